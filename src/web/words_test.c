/* SPDX-License-Identifier: Apache-2.0 */
#include "web/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void a_host_is_a_name_or_an_address_and_perhaps_a_port(void **state)
{
	static const char *const sound[] = { "localhost", "localhost:8025",         "127.0.0.1",
					     "[::1]:80",  "mail.example.org:65535", "a_b.example" };
	static const char *const unsound[] = { "",        ":80",       "a b",  "a:80:80",
					       "a:65536", "a:",        "[::1", "[]",
					       "[x]",     "user@host", "a/b",  "a\r\nX: y",
					       "[::1]80", "\xc3\xbc" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sound); i++)
		assert_true(host_is_sound(str_of(sound[i])));
	for (size_t i = 0; i < COUNT_OF(unsound); i++)
		assert_false(host_is_sound(str_of(unsound[i])));
}

static void only_names_of_this_machine_are_local(void **state)
{
	static const char *const local[] = { "localhost",      "LOCALHOST:1", "a.localhost",
					     "127.0.0.1:8025", "127.255.0.3", "[::1]",
					     "[::1]:8025" };
	static const char *const others[] = { "localhost.evil.example",
					      "127.0.0.1.evil.example",
					      "evil.example",
					      "10.0.0.1",
					      "[::2]",
					      "notlocalhost",
					      "0.0.0.0",
					      "[::ffff:10.0.0.1]",
					      "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(local); i++)
		assert_true(host_is_local(str_of(local[i])));
	for (size_t i = 0; i < COUNT_OF(others); i++)
		assert_false(host_is_local(str_of(others[i])));
}

static void an_origin_must_be_this_host_to_the_letter(void **state)
{
	(void)state;
	assert_true(origin_is_of(S("http://localhost:8025"), S("localhost:8025")));
	assert_true(origin_is_of(S("https://Mail.example.org"), S("mail.example.org")));
	assert_false(origin_is_of(S("http://localhost:8025.evil.example"), S("localhost:8025")));
	assert_false(origin_is_of(S("http://localhost:8025/"), S("localhost:8025")));
	assert_false(origin_is_of(S("null"), S("null")));
	assert_false(origin_is_of(S("http://"), S("")));
	assert_false(origin_is_of(S("ftp://a"), S("a")));
}

static const char *complaint_of(const char *const fields[][2])
{
	struct framing framing = { 0 };

	for (size_t i = 0; fields[i][0]; i++)
		framing_note(&framing, str_of(fields[i][0]), str_of(fields[i][1]));
	return framing_complaint(&framing);
}

static void a_request_that_could_be_read_in_two_ways_is_not_read(void **state)
{
	static const char *const good[][2] = { { "Host", "localhost" },
					       { "content-length", "12" },
					       { "X-Odd_Name.1", "any thing\twith tabs" },
					       { 0 } };
	static const char *const bad[][3][2] = {
		{ { "Content-Length", "2" }, { "Content-Length", "2" } },
		{ { "Content-Length", "2, 2" } },
		{ { "Content-Length", "+2" } },
		{ { "Content-Length", "0x2" } },
		{ { "Content-Length", "" } },
		{ { "Content-Length", "99999999999999999999" } },
		{ { "Content-Length ", "2" } },
		{ { "Host", "a" }, { "HOST", "a" } },
		{ { "", "x" } },
		{ { "X\xc3\xbc", "x" } },
		{ { "X", "a\rContent-Length: 2" } },
		{ { "X", "a\x7f" } },
	};
	struct framing framing = { 0 };

	(void)state;
	assert_null(complaint_of(good));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_non_null(complaint_of(bad[i]));
	framing_note(&framing, S("X"), (struct str){ "a\0b", 3 });
	assert_true(framing.is_unsound);
	framing_note(&framing, S("transfer-encoding"), S("identity"));
	assert_true(framing.has_coding);
}

static void a_list_has_what_it_does_not_weigh_with_nothing(void **state)
{
	(void)state;
	assert_true(list_has(S("gzip"), S("gzip")));
	assert_true(list_has(S("deflate , GZIP;q=0.5,br"), S("gzip")));
	assert_false(list_has(S("gzip;q=0"), S("gzip")));
	assert_false(list_has(S("gzip; q=0.000"), S("gzip")));
	assert_true(list_has(S("gzip;q=0.001"), S("gzip")));
	assert_false(list_has(S("xgzip, gzipx"), S("gzip")));
	assert_false(list_has(S(""), S("gzip")));
	assert_false(list_has(S(",,;,"), S("gzip")));
}

static void a_body_is_json_by_its_type_only(void **state)
{
	(void)state;
	assert_true(type_is_json(S("application/json")));
	assert_true(type_is_json(S("Application/JSON ; charset=utf-8")));
	assert_false(type_is_json(S("text/plain; a=application/json")));
	assert_false(type_is_json(S("application/jsonp")));
	assert_false(type_is_json(S("")));
}

static void a_path_with_an_id_fits_its_pattern(void **state)
{
	uint64_t id;

	(void)state;
	assert_true(path_fits(S("/a/{id}"), S("/a/0000000000007"), &id));
	assert_int_equal(id, 7);
	assert_true(path_fits(S("/a/{id}/b"), S("/a/0000000000007/b"), &id));
	assert_true(path_fits(S("/a"), S("/a"), &id));
	assert_int_equal(id, 0);
	assert_false(path_fits(S("/a/{id}"), S("/a/0000000000000"), &id));
	assert_false(path_fits(S("/a/{id}"), S("/a/nonsense"), &id));
	assert_false(path_fits(S("/a/{id}"), S("/a/0000000000007/b"), &id));
	assert_false(path_fits(S("/a/{id}/b"), S("/a/0000000000007"), &id));
	assert_false(path_fits(S("/a"), S("/a/"), &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_a_name_or_an_address_and_perhaps_a_port),
		cmocka_unit_test(only_names_of_this_machine_are_local),
		cmocka_unit_test(an_origin_must_be_this_host_to_the_letter),
		cmocka_unit_test(a_request_that_could_be_read_in_two_ways_is_not_read),
		cmocka_unit_test(a_list_has_what_it_does_not_weigh_with_nothing),
		cmocka_unit_test(a_body_is_json_by_its_type_only),
		cmocka_unit_test(a_path_with_an_id_fits_its_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
