/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(text)                                                                                   \
	{                                                                                          \
		SIGNATURE text, sizeof(SIGNATURE text) - 1                                         \
	}
#define V1(text)                                                                                   \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void good_headers_give_their_addresses(void **state)
{
	static const struct {
		struct str octets;
		const char *from, *to;
	} cases[] = {
		{ V1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n"), "192.0.2.1:56324",
		  "198.51.100.2:25" },
		{ V1("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "[2001:db8::1]:1",
		  "[2001:db8::2]:65535" },
		{ V1("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 25\r\n"), "192.0.2.1:1",
		  "[2001:db8::2]:25" },
		{ V2("\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19"),
		  "192.0.2.1:56324", "198.51.100.2:25" },
		{ V2("\x21\x11\x00\x10\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19\x04\x00\x01"
		     "\x00"),
		  "192.0.2.1:56324", "198.51.100.2:25" },
		{ V2("\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x01\xff\xff"),
		  "[2001:db8::1]:1", "[2001:db8::2]:65535" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct proxy_header header;
		char text[ADDR_TEXT];
		size_t used = 0;

		assert_int_equal(proxy_parse(cases[i].octets, &header, &used), OK);
		assert_int_equal(used, cases[i].octets.len);
		assert_false(header.is_local);
		addr_print(&header.from, text);
		assert_string_equal(text, cases[i].from);
		addr_print(&header.to, text);
		assert_string_equal(text, cases[i].to);
		/* Every part of it asks for more, and what follows is left. */
		for (size_t len = 0; len < cases[i].octets.len; len++)
			assert_int_equal(
				proxy_parse(str_first(cases[i].octets, len), &header, &used),
				ERR_AGAIN);
	}
}

static void a_header_of_the_proxy_itself_keeps_the_addresses(void **state)
{
	static const struct str cases[] = {
		V1("PROXY UNKNOWN\r\n"),
		V1("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"),
		V2("\x20\x00\x00\x00"),
		V2("\x21\x00\x00\x00"),
		V2("\x21\x31\x00\x02xx"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct proxy_header header = { 0 };
		size_t used = 0;

		assert_int_equal(proxy_parse(cases[i], &header, &used), OK);
		assert_true(header.is_local);
		assert_int_equal(used, cases[i].len);
	}
}

static void bad_headers_are_refused(void **state)
{
	static const struct str cases[] = {
		V1("EHLO x\r\n"),
		V1("PROXX TCP4"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 056324 25\r\n"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"),
		V1("PROXY TCP4  192.0.2.1 198.51.100.2 1 25\r\n"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 1 25 \r\n"),
		V1("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"),
		V1("PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n"),
		V1("PROXY TCP4 300.0.2.1 198.51.100.2 1 25\r\n"),
		V1("PROXY UDP4 192.0.2.1 198.51.100.2 1 25\r\n"),
		V1("PROXY TCP4 192.0.2.1 198.51.100.2 1 "
		   "25xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		V2("\x11\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19"),
		V2("\x22\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19"),
		V2("\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00"),
		V2("\x21\x11\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct proxy_header header;
		size_t used;

		if (proxy_parse(cases[i], &header, &used) != ERR_PROTOCOL)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_headers_give_their_addresses),
		cmocka_unit_test(a_header_of_the_proxy_itself_keeps_the_addresses),
		cmocka_unit_test(bad_headers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
