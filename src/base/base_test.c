/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void arena_keeps_pieces_apart(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	char *first;
	char *second;

	(void)state;
	first = arena_take(&arena, 10);
	second = arena_take(&arena, 100'000);
	memset(first, 'a', 10);
	memset(second, 'b', 100'000);
	assert_int_equal(first[9], 'a');
	assert_true(arena_held(&arena) >= 100'000);
	arena_reset(&arena);
	assert_true(arena_held(&arena) < 2000);
}

static void buf_stops_at_its_maximum(void **state)
{
	OWNED(buf) struct buf buf = BUF(10);

	(void)state;
	assert_int_equal(buf_add(&buf, S("12345678")), OK);
	assert_int_equal(buf_add(&buf, S("abc")), ERR_LIMIT);
	assert_true(buf.failed);
	assert_int_equal(buf.len, 8);
	buf_consume(&buf, 6);
	assert_true(str_is(buf_str(&buf), S("78")));
	buf_reset(&buf);
	assert_int_equal(buf_print(&buf, "%d", 42), OK);
	assert_true(str_is(buf_str(&buf), S("42")));
}

static void a_buf_of_secrets_keeps_them_when_it_moves(void **state)
{
	OWNED(buf) struct buf buf = BUF(5000);

	(void)state;
	assert_int_equal(buf_reserve_secret(&buf, 8), OK);
	assert_int_equal(buf_add(&buf, S("tanstaaf")), OK);
	assert_int_equal(buf_reserve_secret(&buf, 4000), OK);
	assert_true(str_is(buf_str(&buf), S("tanstaaf")));
	assert_true(buf.room - buf.len >= 4000);
	assert_int_equal(buf_reserve_secret(&buf, 4993), ERR_LIMIT);
	assert_true(buf.failed);
}

/* Lengths around what printing finds room for without asking. */
static void printing_takes_any_length(void **state)
{
	char digits[600];

	(void)state;
	memset(digits, '7', sizeof(digits));
	for (int len = 0; len < (int)sizeof(digits); len++) {
		OWNED(buf) struct buf buf = BUF(700);
		OWNED(buf) struct buf tight = BUF(300);
		struct arena arena = { 0 };
		struct str whole = { digits, (size_t)len };

		assert_true(str_is(str_print(&arena, "%.*s", len, digits), whole));
		assert_int_equal(buf_add(&buf, S("0123456789")), OK);
		assert_int_equal(buf_print(&buf, "%.*s", len, digits), OK);
		assert_true(str_is(str_from(buf_str(&buf), 10), whole));
		/* One octet is for the NUL. */
		assert_int_equal(buf_print(&tight, "%.*s", len, digits),
				 len < 300 ? OK : ERR_LIMIT);
		assert_int_equal(tight.len, len < 300 ? len : 0);
		arena_drop(&arena);
	}
}

static void numbers_are_digits_only(void **state)
{
	static const char *const bad[] = { "",   "-1", "+1", "0x10", "1 ", "18446744073709551616",
					   "256" };
	uint64_t value;

	(void)state;
	assert_true(str_to_u64(S("255"), 255, &value));
	assert_int_equal(value, 255);
	assert_true(str_to_u64(S("18446744073709551615"), UINT64_MAX, &value));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(str_to_u64(str_of(bad[i]), 255, &value));
}

static void utf8_is_strict(void **state)
{
	static const char *const bad[] = { "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
					   "\xE2\x82", "\x80",         "\xF0\x80\x80\x80",
					   "\xFF" };

	(void)state;
	assert_true(str_is_utf8(S("na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x93\xAC")));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(str_is_utf8(str_of(bad[i])));
}

static void base64_round_trips(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(1000);
	char octets[70];

	(void)state;
	for (size_t len = 0; len < sizeof(octets); len++) {
		struct str back;

		for (size_t i = 0; i < len; i++)
			octets[i] = (char)(i * 37 + len);
		buf_reset(&text);
		assert_int_equal(base64_add(&text, (struct str){ octets, len }), OK);
		assert_true(base64_take(&arena, buf_str(&text), &back));
		assert_true(str_is(back, (struct str){ octets, len }));
	}
}

static void base64_is_strict(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	static const char *const bad[] = { "A",    "AA",   "AAA",  "AA=A", "A===",
					   "====", "AB==", "AAB=", "AA A", "AAAA\n" };
	struct str out;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(base64_take(&arena, str_of(bad[i]), &out));
}

static void hexadecimal_octets_are_two_digits(void **state)
{
	static const struct {
		const char *text;
		int either, capital;
	} rows[] = {
		{ "2B", 0x2B, 0x2B }, { "2b", 0x2B, -1 }, { "fFx", 0xFF, -1 },
		{ "00", 0, 0 },       { "", -1, -1 },     { "A", -1, -1 },
		{ "G0", -1, -1 },     { "0g", -1, -1 },   { "\xC1\x30", -1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(hex_octet(str_of(rows[i].text)), rows[i].either);
		assert_int_equal(hex_octet_capital(str_of(rows[i].text)), rows[i].capital);
	}
}

static void ids_round_trip(void **state)
{
	static const uint64_t ids[] = { 0, 1, 31, 32, 0xDEADBEEF, UINT64_MAX };
	char text[ID_TEXT + 1];
	uint64_t back;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		id_print(ids[i], text);
		assert_true(id_parse(str_of(text), &back));
		assert_int_equal(back, ids[i]);
	}
	assert_false(id_parse(S("GZZZZZZZZZZZZ"), &back)); /* more than 64 bits */
	assert_false(id_parse(S("0000"), &back));
	assert_false(id_parse(S("000000000000U"), &back));
}

static void addresses_and_networks(void **state)
{
	struct addr addr;
	struct network network;
	char text[ADDR_TEXT];

	(void)state;
	assert_true(addr_parse(S("[2001:db8::1]:25"), &addr));
	addr_print(&addr, text);
	assert_string_equal(text, "[2001:db8::1]:25");
	assert_true(addr_parse_ip(S("::ffff:192.0.2.1"), &addr));
	assert_int_equal(addr.family, ADDR_IPV4);
	assert_true(network_parse(S("192.0.2.0/25"), &network));
	assert_true(network_contains(&network, &addr));
	assert_true(addr_parse_ip(S("192.0.2.128"), &addr));
	assert_false(network_contains(&network, &addr));
	assert_false(network_parse(S("192.0.2.1/24"), &network));
	assert_false(network_parse(S("192.0.2.0/33"), &network));
	assert_false(addr_parse(S("2001:db8::1:25"), &addr));
	assert_false(addr_parse(S("1.2.3.4:65536"), &addr));
}

static void heap_gives_the_soonest_first(void **state)
{
	struct heap heap = { 0 };
	struct heap_item items[200];
	int64_t before = INT64_MIN;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(items); i++) {
		heap_item_init(&items[i]);
		heap_add(&heap, &items[i], (int64_t)(i * 7919 % 101));
	}
	for (size_t i = 0; i < COUNT_OF(items); i += 3)
		heap_remove(&heap, &items[i]);
	while (heap_first(&heap)) {
		struct heap_item *first = heap_first(&heap);

		assert_true(first->key >= before);
		before = first->key;
		heap_remove(&heap, first);
	}
	heap_drop(&heap);
}

static void hostile_text_is_made_safe(void **state)
{
	OWNED(buf) struct buf out = BUF(1000);

	(void)state;
	escape_add(&out, S("a\r\nb\x1B[2J\xFF\\"));
	assert_true(str_is(buf_str(&out), S("a\\r\\nb\\x1B[2J\\xFF\\\\")));
	buf_reset(&out);
	json_add_string(&out, S("\"\\\n\xFF"));
	assert_true(str_is(buf_str(&out), S("\"\\\"\\\\\\u000a\xEF\xBF\xBD\"")));
}

/* A C1 control (CSI), a mark that turns the line around, an umlaut and an emoji. */
#define TURNING                                                                                    \
	"\xC2\x9B"                                                                                 \
	"2J\xE2\x80\xAE\xC3\xA4\xF0\x9F\x93\xAB"

static void nothing_that_a_terminal_obeys_comes_through(void **state)
{
	OWNED(buf) struct buf out = BUF(1000);

	(void)state;
	escape_add(&out, S(TURNING));
	assert_true(
		str_is(buf_str(&out), S("\\xC2\\x9B2J\\xE2\\x80\\xAE\xC3\xA4\xF0\x9F\x93\xAB")));
	buf_reset(&out);
	json_add_string(&out, S(TURNING));
	assert_true(str_is(buf_str(&out), S("\"\\u009b2J\\u202e\xC3\xA4\xF0\x9F\x93\xAB\"")));
	buf_reset(&out);
	json_mend(&out, S("{\n  \"a\\n\": \"" TURNING "\"\n}"));
	assert_true(str_is(buf_str(&out), S("{\n  \"a\\n\": \"\\u009b2J\\u202e\xC3\xA4"
					    "\xF0\x9F\x93\xAB\"\n}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_keeps_pieces_apart),
		cmocka_unit_test(buf_stops_at_its_maximum),
		cmocka_unit_test(a_buf_of_secrets_keeps_them_when_it_moves),
		cmocka_unit_test(printing_takes_any_length),
		cmocka_unit_test(numbers_are_digits_only),
		cmocka_unit_test(utf8_is_strict),
		cmocka_unit_test(base64_round_trips),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(hexadecimal_octets_are_two_digits),
		cmocka_unit_test(ids_round_trip),
		cmocka_unit_test(addresses_and_networks),
		cmocka_unit_test(heap_gives_the_soonest_first),
		cmocka_unit_test(hostile_text_is_made_safe),
		cmocka_unit_test(nothing_that_a_terminal_obeys_comes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
