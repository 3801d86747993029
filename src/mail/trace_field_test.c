/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct received example(void)
{
	struct received received = {
		.from_helo = S("client.example"),
		.from_name = S("host.client.example"),
		.by = S("mx.example.org"),
		.with = S("ESMTPS"),
		.id = S("01J8Z0000000A"),
		.for_address = S("joe@example.org"),
		.tls = S("TLSv1.3 TLS_AES_256_GCM_SHA384"),
		.wall_us = INT64_C(1795299000) * 1000000,
	};

	assert_true(addr_parse_ip(S("192.0.2.7"), &received.from_addr));
	return received;
}

static void received_lines_say_what_rfc5321_asks(void **state)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct received received = example();

	(void)state;
	assert_int_equal(received_print(&out, &received), OK);
	buf_add_char(&out, '\0');
	assert_string_equal(out.at,
			    "Received: from client.example (host.client.example [192.0.2.7])\r\n"
			    "\tby mx.example.org with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
			    "\tid 01J8Z0000000A for <joe@example.org>; "
			    "Sat, 21 Nov 2026 22:10:00 +0000\r\n");
	buf_reset(&out);
	received.from_name = received.tls = received.for_address = S("");
	received.with = S("SMTP");
	assert_true(addr_parse_ip(S("2001:db8::7"), &received.from_addr));
	received.from_helo = S("[IPv6:2001:db8::7]");
	assert_int_equal(received_print(&out, &received), OK);
	buf_add_char(&out, '\0');
	assert_string_equal(
		out.at,
		"Received: from [IPv6:2001:db8::7] ([IPv6:2001:db8::7]) by mx.example.org\r\n"
		"\twith SMTP id 01J8Z0000000A; Sat, 21 Nov 2026 22:10:00 +0000\r\n");
	buf_reset(&out);
	received = (struct received){
		.from_helo = S("local host"), .by = S("mx"), .with = S("LMTP"), .id = S("1")
	};
	received.from_addr.family = ADDR_UNIX;
	assert_int_equal(received_print(&out, &received), OK);
	buf_add_char(&out, '\0');
	assert_string_equal(out.at,
			    "Received: from localhost (helo=local host) by mx with LMTP id 1;\r\n"
			    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
}

/* rfc5322 2.1.1: past 78 only where there is no blank to fold at; and no line is the name alone. */
static void assert_folds_well(struct str text)
{
	struct scan scan = scan_of(text);
	struct str line;

	assert_false(str_starts(text, S("Received:\r\n")));
	while (take_until(&scan, '\n', &line)) {
		struct str words = str_trim(line);

		if (line.len - 1 > 78 && str_find(words, '"') == STR_NONE)
			assert_true(str_find(words, ' ') == STR_NONE);
		assert_true(words.len > 0);
	}
}

/* One field, its lines at most 998 octets, nothing unprintable but the folding. */
static void assert_one_field(struct str text)
{
	struct scan scan = scan_of(text);
	struct field field;

	assert_true(take_field(&scan, &field));
	assert_true(scan_at_end(&scan));
	assert_true(str_is(field.name, S("Received")));
	assert_folds_well(text);
	for (size_t i = 0, line = 0; i < text.len; i++, line++) {
		if (text.at[i] == '\r') {
			assert_int_equal(text.at[++i], '\n');
			assert_true(i + 1 == text.len || text.at[i + 1] == '\t');
			assert_true(line <= 998);
			line = 0;
		} else {
			assert_true(text.at[i] == '\t' ||
				    (text.at[i] >= ' ' && (unsigned char)text.at[i] != 0x7F));
		}
	}
}

static void nothing_that_strangers_say_becomes_syntax(void **state)
{
	static const struct str nasty[] = {
		S("a\r\nX-Injected: yes"),
		S("a\n b"),
		S("a\0b"),
		S(") by evil with ESMTP id x; ("),
		S("(((("),
		S("\\"),
		S("a\\"),
		S("\xE9\xFF"),
		S("<a@b>"),
		S("a;b"),
		S("\"a"),
		S("[1.2.3.4"),
		S("a@b> ; Sat"),
		S("ESMTP id 1"),
		S("\x7F\x1B[2J"),
	};
	OWNED(buf) struct buf out = BUF(100000);
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(nasty); i++) {
		for (unsigned place = 0; place < 7; place++) {
			struct received received = example();
			struct str *const places[] = { &received.from_helo, &received.from_name,
						       &received.by,        &received.with,
						       &received.id,        &received.for_address,
						       &received.tls };
			int64_t us;
			struct str text;
			size_t semicolon;

			*places[place] = nasty[i];
			buf_reset(&out);
			assert_int_equal(received_print(&out, &received), OK);
			text = buf_str(&out);
			assert_one_field(text);
			/* Outside of comments there is one semicolon, and the date behind it. */
			semicolon = str_find_last(text, ';');
			assert_true(date_parse(
				str_trim(field_unfold(&arena, str_from(text, semicolon + 1))), &us,
				NULL));
			assert_true(us == received.wall_us);
			assert_true(str_find_str(text, S("\nX-Injected")) == STR_NONE);
		}
	}
}

static void a_long_hello_is_folded_behind_the_word_from(void **state)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct received received = example();

	(void)state;
	received.from_helo =
		S("a-rather-long-label-of-a-cloud-provider.some-region.compute.example");
	received.from_name = received.tls = S("");
	assert_int_equal(received_print(&out, &received), OK);
	buf_add_char(&out, '\0');
	assert_string_equal(
		out.at, "Received: from\r\n"
			"\ta-rather-long-label-of-a-cloud-provider.some-region.compute.example\r\n"
			"\t([192.0.2.7]) by mx.example.org with ESMTPS id 01J8Z0000000A\r\n"
			"\tfor <joe@example.org>; Sat, 21 Nov 2026 22:10:00 +0000\r\n");
}

/* Every length of every kind of greeting, blanks in it or none. */
static void no_length_of_a_hello_makes_a_line_that_could_be_folded(void **state)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct received received = example();
	char hello[300];

	(void)state;
	for (size_t blanks = 0; blanks <= 9; blanks += 3)
		for (size_t len = 0; len < sizeof(hello); len++) {
			for (size_t i = 0; i < len; i++)
				hello[i] = blanks && i % 10 >= 10 - blanks ? ' ' : 'a';
			received.from_helo = (struct str){ hello, len };
			buf_reset(&out);
			assert_int_equal(received_print(&out, &received), OK);
			assert_one_field(buf_str(&out));
		}
}

static void long_names_never_make_long_lines(void **state)
{
	OWNED(buf) struct buf out = BUF(100000);
	OWNED(arena) struct arena arena = { 0 };
	struct received received = example();
	char label[64];
	struct str domain;

	(void)state;
	memset(label, 'a', 63);
	label[63] = '\0';
	domain = str_print(&arena, "%s.%s.%s.%.60s", label, label, label, label);
	received.from_helo = received.from_name = received.by = domain;
	received.tls = str_print(&arena, "%s%s%s%s%s%s", label, label, label, label, label, label);
	assert_int_equal(received_print(&out, &received), OK);
	assert_one_field(buf_str(&out));
	buf_reset(&out);
	received.from_helo = str_print(&arena, "_%.*s%.*s", STR_ARGS(domain), STR_ARGS(domain));
	assert_int_equal(received_print(&out, &received), OK);
	assert_one_field(buf_str(&out));
}

static void utf8_recipients_are_named_only_where_utf8_may_be(void **state)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct received received = example();

	(void)state;
	received.for_address = S("jos\xC3\xA9@example.org");
	assert_int_equal(received_print(&out, &received), OK);
	assert_true(str_find_str(buf_str(&out), S("for <")) == STR_NONE);
	buf_reset(&out);
	received.with = S("UTF8SMTPS");
	assert_int_equal(received_print(&out, &received), OK);
	assert_true(str_find_str(buf_str(&out), S("for <jos\xC3\xA9@example.org>;")) != STR_NONE);
}

static void a_full_buffer_is_told(void **state)
{
	OWNED(buf) struct buf out = BUF(50);
	struct received received = example();

	(void)state;
	assert_int_equal(received_print(&out, &received), ERR_LIMIT);
}

static void received_fields_are_counted(void **state)
{
	(void)state;
	assert_int_equal(received_count(S("Received: a\r\n b\r\nX-Received: no\r\nreceived: "
					  "c\r\n\r\nReceived: d\r\n")),
			 2);
}

static void lines_of_one_host_are_counted_apart(void **state)
{
	static const struct {
		const char *header;
		size_t count;
	} rows[] = {
		{ "Received: from a by mail.example.org with SMTP; x\r\n", 1 },
		{ "Received: from a\r\n\tby MAIL.example.org;\r\n x\r\n", 0 },
		{ "Received: from a ([192.0.2.1])\r\n\tby Mail.Example.Org\r\n\twith SMTP; x\r\n",
		  1 },
		{ "Received: from a (by mail.example.org ) by b; x\r\n", 0 },
		{ "Received: from by by mail.example.org ; x\r\n", 0 },
		{ "X-Received: by mail.example.org ; x\r\n", 0 },
		{ "Received: by mail.example.org id 1; x\r\nreceived: by mail.example.org\r\n", 2 },
		{ "Received: by mail.example.org.evil.example id 1; x\r\n", 0 },
		{ "Received: by\r\n", 0 },
		{ "\r\nReceived: by mail.example.org id 1; x\r\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(received_count_by(str_of(rows[i].header), S("mail.example.org")),
				 rows[i].count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(received_lines_say_what_rfc5321_asks),
		cmocka_unit_test(nothing_that_strangers_say_becomes_syntax),
		cmocka_unit_test(a_long_hello_is_folded_behind_the_word_from),
		cmocka_unit_test(no_length_of_a_hello_makes_a_line_that_could_be_folded),
		cmocka_unit_test(long_names_never_make_long_lines),
		cmocka_unit_test(utf8_recipients_are_named_only_where_utf8_may_be),
		cmocka_unit_test(a_full_buffer_is_told),
		cmocka_unit_test(received_fields_are_counted),
		cmocka_unit_test(lines_of_one_host_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
