/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void good_mailboxes_print_as_their_canonical_text(void **state)
{
	static const struct {
		const char *written, *canonical;
		bool utf8;
	} cases[] = {
		{ "joe@example.com", "joe@example.com", false },
		{ "Joe.Q@EXAMPLE.Com", "Joe.Q@example.com", false },
		{ "\"joe\"@example.com", "joe@example.com", false },
		{ "\"j\\o\\e\"@example.com", "joe@example.com", false },
		{ "\"joe q\"@example.com", "\"joe q\"@example.com", false },
		{ "\"a\\\"b\\\\c\"@example.com", "\"a\\\"b\\\\c\"@example.com", false },
		{ "\"a@b\"@example.com", "\"a@b\"@example.com", false },
		{ "\".\"@x", "\".\"@x", false },
		{ "\"\"@x", "\"\"@x", false },
		{ "a+b/c=d@x", "a+b/c=d@x", false },
		{ "joe@[192.0.2.1]", "joe@[192.0.2.1]", false },
		{ "joe@[IPv6:2001:DB8::1]", "joe@[IPv6:2001:db8::1]", false },
		{ "joe@[IPv6:::ffff:192.0.2.1]", "joe@[192.0.2.1]", false },
		{ "jos\xC3\xA9@example.com", "jos\xC3\xA9@example.com", true },
		{ "\"jos\xC3\xA9 x\"@example.com", "\"jos\xC3\xA9 x\"@example.com", true },
		{ "joe@B\xC3\x9C"
		  "cher.example",
		  "joe@xn--bcher-kva.example", true },
		{ "joe@xn--bcher-kva.example", "joe@xn--bcher-kva.example", false },
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address address;
		struct address again;
		struct str text;

		if (!address_parse(&arena, str_of(cases[i].written), cases[i].utf8, &address))
			fail_msg("refused: %s", cases[i].written);
		text = address_print(&arena, &address);
		assert_string_equal(str_dup_c(&arena, text), cases[i].canonical);
		assert_true(address_parse(&arena, text, cases[i].utf8, &again));
		assert_true(address_equal(&arena, &address, &again));
		assert_true(str_is(address_print(&arena, &again), text));
		/* What is not ASCII needs permission. */
		assert_int_equal(address_parse(&arena, str_of(cases[i].written), false, &again),
				 !cases[i].utf8);
	}
}

static void bad_mailboxes_are_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
#define BAD(text) { text, sizeof(text) - 1 }
		BAD(""),
		BAD("joe"),
		BAD("@x"),
		BAD("joe@"),
		BAD("joe@@x"),
		BAD("a@b@c"),
		BAD(".a@x"),
		BAD("a.@x"),
		BAD("a..b@x"),
		BAD("a b@x"),
		BAD("a@x y"),
		BAD("a@-x"),
		BAD("a@x-"),
		BAD("a@x..y"),
		BAD("a@.x"),
		BAD("a@x."),
		BAD("a@x_y"),
		BAD("a@[1.2.3]"),
		BAD("a@[1.2.3.256]"),
		BAD("a@[IPv6:1.2.3.4]"),
		BAD("a@[IPv6:zz]"),
		BAD("a@[IPv6:::1%eth0]"),
		BAD("a@[2001:db8::1"),
		BAD("a@[]"),
		BAD("a@[x:]"),
		BAD("a@[tag:data]"),
		BAD("a@[::1]"),
		BAD("a@[::ffff:192.0.2.1]"),
		BAD("\"a@x"),
		BAD("\"a\"b@x"),
		BAD("\"a\\"),
		BAD("\"a\\\n\"@x"),
		BAD("\"a\0b\"@x"),
		BAD("a\0@x"),
		BAD("a@x\0"),
		BAD("a@x\r\n"),
		BAD("\"a\tb\"@x"),
		BAD("a\x7F@x"),
		BAD("a\xFF@x"),
		BAD("a\xC0\xAE@x"),
		BAD("a\xC2\x85@x"),
		BAD("a@\xC0\xAE.x"),
		BAD("a@x\xE2\x80\xAE.y"),
		BAD("a@\xF0\x9F\x92\xA9-.x"),
		BAD("<a@x>"),
		BAD("a(c)@x"),
		BAD("a,b@x"),
#undef BAD
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str text = { cases[i].text, cases[i].len };
		struct address address;

		if (address_parse(&arena, text, true, &address))
			fail_msg("taken: %s", cases[i].text);
	}
}

/* `count` times c, then tail. */
static struct str padded(struct arena *arena, size_t count, char c, const char *tail)
{
	size_t tail_len = strlen(tail);
	char *text = arena_take(arena, count + tail_len);

	memset(text, c, count);
	memcpy(text + count, tail, tail_len);
	return (struct str){ text, count + tail_len };
}

static void lengths_end_at_the_limits_of_rfc5321(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	struct address address;
	struct str label = padded(&arena, 63, 'b', ".");
	struct str long_domain = str_print(
		&arena, "a@%.*s%.*s%.*s%.*s", STR_ARGS(label), STR_ARGS(label), STR_ARGS(label), 60,
		"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");

	(void)state;
	assert_true(address_parse(&arena, padded(&arena, 64, 'a', "@x"), false, &address));
	assert_false(address_parse(&arena, padded(&arena, 65, 'a', "@x"), false, &address));
	assert_true(is_domain_or_literal(padded(&arena, 63, 'a', ".x"), false));
	assert_false(is_domain_or_literal(padded(&arena, 64, 'a', ".x"), false));
	assert_int_equal(long_domain.len, 254);
	assert_true(address_parse(&arena, long_domain, false, &address));
	long_domain = str_print(&arena, "a%.*s", STR_ARGS(long_domain));
	assert_false(address_parse(&arena, long_domain, false, &address));
	assert_false(address_parse(&arena, padded(&arena, 1000000, 'a', "@x"), false, &address));
}

static void a_mailbox_ends_where_its_grammar_ends(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	struct scan scan = scan_of(S("joe@example.com> SIZE=10"));
	struct scan bad = scan_of(S("joe> x"));
	struct address address = { .local = S("untouched") };

	(void)state;
	assert_false(take_mailbox(&arena, &bad, false, &address));
	assert_true(str_is(address.local, S("untouched")));
	assert_int_equal(scan_rest(&bad).len, 6);
	assert_true(take_mailbox(&arena, &scan, false, &address));
	assert_true(str_is(scan_rest(&scan), S("> SIZE=10")));
	assert_true(str_is(address.domain, S("example.com")));
}

static void helo_takes_domains_and_literals(void **state)
{
	(void)state;
	assert_true(is_domain_or_literal(S("client.example"), false));
	assert_true(is_domain_or_literal(S("[192.0.2.7]"), false));
	assert_true(is_domain_or_literal(S("[IPv6:2001:db8::7]"), false));
	assert_false(is_domain_or_literal(S(""), false));
	assert_false(is_domain_or_literal(S("a b"), false));
	assert_false(is_domain_or_literal(S("a\r\nX: y"), false));
	assert_false(is_domain_or_literal(S("[192.0.2.7]x"), false));
}

/* ---- the isemail collection ---- */

static struct str between(struct str text, struct str before, struct str after, size_t *end)
{
	size_t from = str_find_str(text, before);
	size_t to;

	*end = STR_NONE;
	if (from == STR_NONE)
		return (struct str){ 0 };
	text = str_from(text, from + before.len);
	to = str_find_str(text, after);
	if (to == STR_NONE)
		return (struct str){ 0 };
	*end = from + before.len + to + after.len;
	return str_first(text, to);
}

/* XML's references undone; U+2400 and what follows stand for the controls. */
static struct str xml_text(struct arena *arena, struct str xml)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct scan scan = scan_of(xml);

	while (!scan_at_end(&scan)) {
		struct str name;
		long code;

		if (*scan.at != '&') {
			buf_add_char(&out, *scan.at++);
			continue;
		}
		scan.at++;
		assert_true(take_until(&scan, ';', &name));
		code = str_is(name, S("amp"))    ? '&'
		       : str_is(name, S("lt"))   ? '<'
		       : str_is(name, S("gt"))   ? '>'
		       : str_is(name, S("quot")) ? '"'
						 : strtol(name.at + 2, NULL, 16);
		assert_true(code > 0);
		if (code >= 0x2400 && code < 0x2421)
			code -= 0x2400;
		if (code < 0x80) {
			buf_add_char(&out, (char)code);
		} else {
			buf_add_char(&out, (char)(0xC0 | code >> 6));
			buf_add_char(&out, (char)(0x80 | (code & 0x3F)));
		}
	}
	return str_dup(arena, buf_str(&out));
}

/* Does the verdict mean a Mailbox of RFC 5321? The rest of RFC 5322 and the obsolete do not. */
static bool is_mailbox_verdict(struct str category, struct str diagnosis)
{
	return str_is(category, S("ISEMAIL_VALID_CATEGORY")) ||
	       str_is(category, S("ISEMAIL_RFC5321")) || str_is(category, S("ISEMAIL_DNSWARN")) ||
	       /* "::" for a single group: rfc4291 2.2 allows what rfc5321 4.1.3 advises against */
	       str_is(diagnosis, S("ISEMAIL_RFC5321_IPV6DEPRECATED"));
}

static size_t check_collection(const char *path)
{
	OWNED(arena) struct arena arena = { 0 };
	FILE *file = fopen(path, "rb");
	char *xml = arena_take(&arena, 1000000);
	struct str rest;
	size_t count = 0;

	if (!file) {
		print_message("SKIPPED, not there: %s\n", path);
		return 0;
	}
	rest = (struct str){ xml, fread(xml, 1, 1000000, file) };
	fclose(file);
	for (;;) {
		size_t end;
		size_t ignored;
		struct str test = between(rest, S("<test id="), S("</test>"), &end);
		struct str text;
		struct str category;
		struct str diagnosis;
		struct address address;

		if (end == STR_NONE)
			break;
		rest = str_from(rest, end);
		text = xml_text(&arena, between(test, S("<address>"), S("</address>"), &ignored));
		category = between(test, S("<category>"), S("</category>"), &ignored);
		diagnosis = between(test, S("<diagnosis>"), S("</diagnosis>"), &ignored);
		count++;
		if (address_parse(&arena, text, false, &address) !=
		    is_mailbox_verdict(category, diagnosis))
			fail_msg("%.*s: %.*s", STR_ARGS(diagnosis), STR_ARGS(text));
	}
	return count;
}

static void the_isemail_collection_agrees(void **state)
{
	size_t count;

	(void)state;
	count = check_collection(SOURCE_DIR "/../shared/suites/data/mime/tests.xml");
	if (count == 0)
		skip();
	assert_int_equal(count, 164);
	count = check_collection(SOURCE_DIR "/../shared/suites/data/mime/tests-original.xml");
	assert_int_equal(count, 279);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_mailboxes_print_as_their_canonical_text),
		cmocka_unit_test(bad_mailboxes_are_refused),
		cmocka_unit_test(lengths_end_at_the_limits_of_rfc5321),
		cmocka_unit_test(a_mailbox_ends_where_its_grammar_ends),
		cmocka_unit_test(helo_takes_domains_and_literals),
		cmocka_unit_test(the_isemail_collection_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
