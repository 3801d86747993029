/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/cells.h"
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * One session as it might be, drawn at two widths and in two alphabets. The golden files are what
 * it should look like: GOLDEN_UPDATE=1 ladder_test writes them anew; look at them then.
 */
static const struct trace_event film[] = {
	{ .head = { .at_us = 1000, .kind = TRACE_connect, .session = 77 },
	  .connect = { S("submission"),
		       S("submission"),
		       S("127.0.0.1:40112"),
		       S("127.0.0.1:1587"),
		       { 0 },
		       0 } },
	{ .head = { .at_us = 1120, .kind = TRACE_reply },
	  .reply = { 220, S("220 mail.example ESMTP Glasspost"), 0, S("greeting"), 100 } },
	{ .head = { .at_us = 2000, .kind = TRACE_command },
	  .command = { S("EHLO"), S("EHLO client.example") } },
	{ .head = { .at_us = 2050, .kind = TRACE_reply },
	  .reply = { 250, S("250-mail.example greets client.example"), 1, S("EHLO"), 50 } },
	{ .head = { .at_us = 2050, .kind = TRACE_reply },
	  .reply = { 250, S("250 STARTTLS"), 0, S("EHLO"), 50 } },
	{ .head = { .at_us = 3000, .kind = TRACE_command },
	  .command = { S("STARTTLS"), S("STARTTLS") } },
	{ .head = { .at_us = 7400, .kind = TRACE_tls, .flags = TRACE_ENCRYPTED },
	  .tls = { S("TLSv1.3"),
		   S("TLS_AES_256_GCM_SHA384"),
		   S("X25519"),
		   S("mail.example"),
		   0,
		   0,
		   4400,
		   { 0 } } },
	{ .head = { .at_us = 9000, .kind = TRACE_command, .flags = TRACE_ENCRYPTED | TRACE_MASKED },
	  .command = { S("AUTH"), S("AUTH PLAIN ***") } },
	{ .head = { .at_us = 59000, .kind = TRACE_auth, .flags = TRACE_ENCRYPTED },
	  .auth = { S("PLAIN"), 0, S("ok"), S("anna@example.org"), 50000 } },
	{ .head = { .at_us = 59100, .kind = TRACE_state, .flags = TRACE_ENCRYPTED },
	  .state = { S("greeted"), S("signed in") } },
	{ .head = { .at_us = 60000, .kind = TRACE_command, .flags = TRACE_ENCRYPTED },
	  .command = { S("MAIL"),
		       S("MAIL "
			 "FROM:<a-very-long-local-part-of-an-address@a-host-with-a-long-name."
			 "example."
			 "org> SIZE=4711 BODY=8BITMIME SMTPUTF8 \xe2\x80\xae ENVID=\x01\xff") } },
	{ .head = { .at_us = 60200, .kind = TRACE_policy, .flags = TRACE_ENCRYPTED },
	  .policy = { S("sender-is-own"), S("refuse"),
		      S("anna@example.org may not send as somebody of another domain"),
		      S("glasspost.conf:17") } },
	{ .head = { .at_us = 60300, .kind = TRACE_reply, .flags = TRACE_ENCRYPTED },
	  .reply = { 550,
		     S("550 5.7.1 That address is not yours: ask the administrator, who may allow "
		       "it in "
		       "the configuration"),
		     0, S("MAIL"), 300 } },
	{ .head = { .at_us = 61000, .kind = TRACE_data, .flags = TRACE_ENCRYPTED },
	  .data = { S("DATA"), 2150, 2150, 1, 3, 400 } },
	{ .head = { .at_us = 62000, .kind = TRACE_data, .flags = TRACE_ENCRYPTED },
	  .data = { S("BDAT"), 5000000000, 5000002150, 0, 0, 400 } },
	{ .head = { .at_us = 64000, .kind = TRACE_inspect },
	  .inspect = { S("1"), S("accept"), 3, 2, { 0 }, 700 } },
	{ .head = { .at_us = 65000, .kind = TRACE_commit },
	  .commit = { 12, 7, 20480, 2300, { 0 } } },
	{ .head = { .at_us = 65100, .kind = TRACE_accept },
	  .accept = { S("0ABCDEFGHJKMN"), S("a@b"), S("anna@example.org,otto@example.org"), 2150,
		      3000, S("127.0.0.1:40112"),
		      S("Gr\xc3\xbc\xc3\x9f"
			"e \xe5\xae\x89\xe5\xa8\x9c") } },
	{ .head = { .at_us = 65200, .kind = TRACE_deliver },
	  .deliver = { S("0ABC"), S("otto@example.org"), S("otto@example.org"), S("INBOX"), 42,
		       S("delivered") } },
	{ .head = { .at_us = 65300, .kind = TRACE_dns },
	  .dns = { S("example.net"), S("MX"), S("127.0.0.1:53"), S("found"), S("10 mx.example.net"),
		   300, 0, 1, 1, 4200 } },
	{ .head = { .at_us = 65400, .kind = TRACE_queued },
	  .queued = { S("0ABC"), S("otto@example.org"), S("nina@example.net"), S("example.net"),
		      S(""), S("") } },
	{ .head = { .at_us = 65410, .kind = TRACE_claimed },
	  .claimed = { S("0ABC"), S("example.net"), 1, 2 } },
	{ .head = { .at_us = 65420, .kind = TRACE_attempt },
	  .attempt = { S("0ABC"), S("nina@example.net"), S("deferred"), 450, S("4.7.1"),
		       S("come again"), S("mx.example.net [192.0.2.1]"), 3, 1767225600000000 } },
	{ .head = { .at_us = 65430, .kind = TRACE_site },
	  .site = { S("example.net"), S("paused"), 1767225600000000, S("no answer") } },
	{ .head = { .at_us = 65440, .kind = TRACE_notice },
	  .notice = { S("0ABD"), S("0ABC"), S("otto@example.org"), S("delivered"), 700,
		      S("Not delivered") } },
	{ .head = { .at_us = 66000, .kind = TRACE_fetch },
	  .fetch = { S("otto@example.org"), S("INBOX"), 42, 2150, S("RETR") } },
	{ .head = { .at_us = 12066000, .kind = TRACE_expunge },
	  .expunge = { S("otto@example.org"), S("INBOX"), 1 } },
	{ .head = { .at_us = 712066000, .kind = TRACE_lost }, .lost = { 4, S("store") } },
	{ .head = { .at_us = 90000000000, .kind = TRACE_close, .flags = TRACE_ENCRYPTED },
	  .close = { S("quit"), S("anna@example.org"), 6, 1, 1, 2409, 844, 89999999000,
		     S("127.0.0.1:40112"), S("submission"), 0 } },
};

static void draw(struct buf *out, unsigned width, bool ascii)
{
	for (size_t i = 0; i < COUNT_OF(film); i++)
		assert_int_equal(trace_event_ladder(&film[i], 1000, width, ascii, out), OK);
}

static void compare(const char *name, unsigned width, bool ascii)
{
	struct buf drawn = BUF(1 << 20);
	struct buf golden = BUF(1 << 20);
	char path[1024];
	FILE *file;

	draw(&drawn, width, ascii);
	snprintf(path, sizeof(path), "%s/%s", GOLDEN, name);
	if (getenv("GOLDEN_UPDATE")) {
		file = fopen(path, "wb");
		assert_non_null(file);
		assert_int_equal(fwrite(drawn.at, 1, drawn.len, file), drawn.len);
		fclose(file);
	}
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(buf_reserve(&golden, 65536), OK);
	golden.len = fread(golden.at, 1, 65536, file);
	fclose(file);
	assert_int_equal(golden.len, drawn.len);
	assert_memory_equal(golden.at, drawn.at, drawn.len);
	buf_drop(&drawn);
	buf_drop(&golden);
}

static void the_ladder_looks_like_its_golden_files(void **state)
{
	(void)state;
	compare("ladder-80.txt", 80, false);
	compare("ladder-120.txt", 120, false);
	compare("ladder-ascii.txt", 72, true);
}

static void every_line_of_the_ladder_is_as_wide_as_was_asked(void **state)
{
	const unsigned widths[] = { 0, 60, 61, 79, 80, 133, 200, 5000 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(widths) * 2; i++) {
		unsigned width = widths[i / 2];
		unsigned wanted = width < 60 ? 60 : width > 200 ? 200 : width;
		struct buf out = BUF(1 << 20);
		struct scan scan;
		struct str line;
		size_t lines = 0;

		draw(&out, width, i % 2);
		scan = scan_of(buf_str(&out));
		while (take_until(&scan, '\n', &line)) {
			assert_true(cells_count(line) <= wanted);
			/* The two lines of the ends stand out; all others span both life lines. */
			if (lines++ >= 2)
				assert_int_equal(cells_count(line), wanted);
		}
		assert_true(scan_at_end(&scan));
		buf_drop(&out);
	}
}

static void text_from_outside_is_shown_and_does_nothing(void **state)
{
	static const struct {
		struct str given;
		bool ascii;
		struct str shown;
	} table[] = {
		{ S("plain"), false, S("plain") },
		{ S("a\tb\r\nc\x1b[31m"), false, S("a\\tb\\r\\nc\\x1B[31m") },
		{ S("back\\slash"), false, S("back\\\\slash") },
		{ S("\xc3\xbc"), false, S("\xc3\xbc") },
		{ S("\xc3\xbc"), true, S("\\xC3\\xBC") },
		{ S("\xff\xc3"), false, S("\\xFF\\xC3") },
		{ S("\xe2\x80\xae"), false, S("\\u{202e}") },
		{ S("\xc2\x85"), false, S("\\u{85}") },
		{ S("\xe2\x80\xa8"), false, S("\\u{2028}") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf out = BUF(1000);

		trace_add_harmless(&out, table[i].given, table[i].ascii);
		assert_true(str_is(buf_str(&out), table[i].shown));
		buf_drop(&out);
	}
}

static void text_is_split_by_cells_and_never_inside_a_character(void **state)
{
	struct str text = S("ab\xe5\xae\x89\xe5\xa8\x9c"
			    "cd");
	struct str words = S("one two three");

	(void)state;
	assert_int_equal(cells_count(text), 8);
	assert_true(str_is(cells_take(&text, 3, false), S("ab")));
	assert_true(str_is(cells_take(&text, 3, false), S("\xe5\xae\x89")));
	assert_true(str_is(cells_take(&text, 3, false), S("\xe5\xa8\x9c"
							  "c")));
	assert_true(str_is(cells_take(&text, 3, false), S("d")));
	assert_int_equal(text.len, 0);
	assert_true(str_is(cells_take(&words, 10, true), S("one two ")));
	/* A wide character is taken even where nothing fits, so that every loop ends. */
	text = S("\xe5\xae\x89");
	assert_int_equal(cells_take(&text, 1, false).len, 3);
}

static void an_output_that_is_full_says_so(void **state)
{
	struct buf out = BUF(100);

	(void)state;
	assert_int_equal(trace_event_ladder(&film[0], 0, 80, false, &out), ERR_LIMIT);
	buf_drop(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ladder_looks_like_its_golden_files),
		cmocka_unit_test(every_line_of_the_ladder_is_as_wide_as_was_asked),
		cmocka_unit_test(text_from_outside_is_shown_and_does_nothing),
		cmocka_unit_test(text_is_split_by_cells_and_never_inside_a_character),
		cmocka_unit_test(an_output_that_is_full_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
