/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define assert_str(actual, expected) assert_str_at((actual), (expected), __LINE__)

static void assert_str_at(struct str actual, const char *expected, int line)
{
	if (!str_is(actual, str_of(expected)))
		fail_msg("line %d: \"%.*s\" is not \"%s\"", line, STR_ARGS(actual), expected);
}

/* What mime.h promises of offsets, whatever the message is. */
static void assert_tiled(const struct mime *mime)
{
	assert_true(mime->count >= 1 && mime->count <= LIMIT_mime_parts);
	assert_true(mime->depth <= LIMIT_mime_depth);
	assert_int_equal(mime->parts[0].header_at, 0);
	assert_int_equal(mime->parts[0].body_at + mime->parts[0].body_len, mime->message.len);
	for (size_t i = 0; i < mime->count; i++) {
		const struct mime_part *part = &mime->parts[i];
		const struct mime_part *parent;
		size_t lines = 0;
		struct str body = mime_part_body(mime, part);

		assert_true(part->header_at <= part->body_at);
		assert_int_equal(part->kind == MIME_LEAF, part->children == 0);
		if (mime->count < 200) {
			for (size_t n = 0; n < body.len; n++)
				lines += body.at[n] == '\n';
			assert_int_equal(part->lines, lines);
		}
		if (i == 0)
			continue;
		assert_true(part->parent < i);
		parent = &mime->parts[part->parent];
		assert_int_equal(part->depth, parent->depth + 1);
		assert_true(part->header_at >= parent->body_at);
		assert_true(part->body_at + part->body_len <= parent->body_at + parent->body_len);
		if (parent->kind == MIME_MESSAGE)
			assert_int_equal(part->header_at, parent->body_at);
		/* The part before it that is no parent of it ends before it starts. */
		if (part->parent != i - 1)
			assert_true(mime->parts[i - 1].body_at + mime->parts[i - 1].body_len <=
				    part->header_at);
	}
}

static struct str shape(struct arena *arena, struct str message)
{
	OWNED(buf) struct buf out = BUF(100000);
	struct mime mime;

	mime_parse(arena, message, &mime);
	assert_tiled(&mime);
	for (size_t i = 0; i < mime.count; i++) {
		const struct mime_part *part = &mime.parts[i];

		buf_print(&out, "%u%.*s/%.*s", part->depth, STR_ARGS(part->type),
			  STR_ARGS(part->subtype));
		if (part->kind == MIME_LEAF)
			buf_print(&out, "<%.*s>", STR_ARGS(mime_part_body(&mime, part)));
		buf_add_char(&out, ' ');
	}
	buf_add(&out, mime_oddities_print(arena, mime.oddities));
	return str_dup(arena, buf_str(&out));
}

#define MULTI(b) "Content-Type: multipart/mixed; boundary=\"" b "\"\r\n\r\n"

static void parts_are_found_where_they_are(void **state)
{
	static const char *const cases[][2] = {
		{ "", "0text/plain<> " },
		{ "A: b\r\n\r\nbody\r\n", "0text/plain<body\r\n> " },
		{ MULTI("x") "pre\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: "
			     "IMAGE/png\r\n\r\n\r\ntwo\r\n\r\n--x--\r\npost\r\n",
		  "0multipart/mixed 1text/plain<one> 1image/png<\r\ntwo\r\n> " },
		{ MULTI("x") "--x\r\n" MULTI("y") "--y\r\n\r\na\r\n--y--\r\n--x\r\n\r\nb\r\n--x--",
		  "0multipart/mixed 1multipart/mixed 2text/plain<a> 1text/plain<b> " },
		/* an inner multipart that forgets its end */
		{ MULTI("x") "--x\r\n" MULTI("y") "--y\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--",
		  "0multipart/mixed 1multipart/mixed 2text/plain<a> 1text/plain<b> unclosed" },
		{ MULTI("x") "--x\r\n\r\na\r\n", "0multipart/mixed 1text/plain<a\r\n> unclosed" },
		/* boundaries that begin like one another, blanks behind, lines that are none */
		{ MULTI("x") "--x\r\n" MULTI(
			  "xy") "--xyz\r\n--xy \t\r\n\r\na\r\n--xy--\r\n-- x\r\n--x--",
		  "0multipart/mixed 1multipart/mixed 2text/plain<a> " },
		{ MULTI("x") "--x--\r\n--x\r\n\r\na",
		  "0multipart/mixed<--x--\r\n--x\r\n\r\na> no-boundary" },
		{ MULTI("x") "--x\r\n--x\r\n--x--",
		  "0multipart/mixed 1text/plain<> 1text/plain<> " },
		{ MULTI("x") "--x\r\nContent-Type: image/gif\r\n--x--",
		  "0multipart/mixed 1image/gif<> " },
		{ MULTI("a--") "--a--\r\n\r\nx\r\n--a----\r\n",
		  "0multipart/mixed 1text/plain<x> " },
		{ "Content-Type: multipart/mixed\r\n\r\n--x\r\n",
		  "0multipart/mixed<--x\r\n> no-boundary" },
		{ MULTI("x") "nothing", "0multipart/mixed<nothing> no-boundary unclosed" },
		{ "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody",
		  "0message/rfc822 1text/plain<body> " },
		{ "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQTpi",
		  "0message/rfc822<QTpi> bad-encoding" },
		{ MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n\r\n--x--",
		  "0multipart/mixed 1message/rfc822 2text/plain<> " },
		{ "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nA: "
		  "b\r\n\r\nc\r\n--x--",
		  "0multipart/digest 1message/rfc822 2text/plain<c> " },
		{ "Content-Type: nonsense\r\n\r\nx", "0text/plain<x> bad-type" },
		{ "Content-Type: text/html\r\nContent-Type: image/gif\r\n\r\nx",
		  "0text/html<x> duplicate" },
		{ "A: b\nbad\n\nx\r\0y", "0text/plain<x\r> no-colon bare-cr bare-lf" },
		{ MULTI("x") "--x\n\na\n--x--\n", "0multipart/mixed 1text/plain<a> bare-lf" },
		{ "\xE9: x\r\n\r\n", "0text/plain<> no-colon raw-header" },
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_str_at(shape(&arena, str_of(cases[i][0])), cases[i][1], (int)i);
	assert_str(shape(&arena, S("A: b\r\n\r\na\0b")), "0text/plain<a> nul");
}

/* ---- limits and time ---- */

static void add_nested(struct buf *out, int depth, const char *boundary)
{
	for (int i = 0; i < depth; i++)
		buf_print(out, "Content-Type: multipart/mixed; boundary=\"%s%d\"\r\n\r\n--%s%d\r\n",
			  boundary, i, boundary, i);
}

static void past_the_depth_all_is_one_leaf(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10000000);
	struct mime mime;

	(void)state;
	add_nested(&text, 2000, "x");
	mime_parse(&arena, buf_str(&text), &mime);
	assert_tiled(&mime);
	assert_int_equal(mime.count, LIMIT_mime_depth + 1);
	assert_true(mime.oddities & MIME_CUT_DEPTH);
	assert_true(mime.parts[LIMIT_mime_depth].is_cut);
	buf_reset(&text);
	for (int i = 0; i < 1000; i++)
		buf_add_c(&text, "Content-Type: message/rfc822\r\n\r\n");
	mime_parse(&arena, buf_str(&text), &mime);
	assert_tiled(&mime);
	assert_int_equal(mime.count, LIMIT_mime_depth + 1);
	assert_true(mime.oddities & MIME_CUT_DEPTH);
}

static void past_the_parts_all_is_one_leaf(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10000000);
	struct mime mime;
	const struct mime_part *last;

	(void)state;
	buf_add_c(&text, MULTI("x"));
	for (int i = 0; i < 20000; i++)
		buf_add_c(&text, "--x\r\n\r\nbody\r\n");
	buf_add_c(&text, "--x--\r\n");
	mime_parse(&arena, buf_str(&text), &mime);
	assert_tiled(&mime);
	assert_int_equal(mime.count, LIMIT_mime_parts);
	assert_true(mime.oddities & MIME_CUT_PARTS);
	last = &mime.parts[mime.count - 1];
	assert_true(last->is_cut);
	assert_int_equal(last->body_at + last->body_len, text.len);
}

static void headers_without_end_stop_at_their_limit(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10000000);
	struct mime mime;

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_add_c(&text, "X-Header: some text\r\n");
	buf_add_c(&text, "Content-Type: text/html\r\n\r\nbody");
	mime_parse(&arena, buf_str(&text), &mime);
	assert_tiled(&mime);
	assert_true(mime.oddities & MIME_CUT_HEADER);
	assert_true(mime.oddities & MIME_CUT_FIELDS);
	assert_true(mime.parts[0].body_at <= LIMIT_header_octets);
	assert_true(mime.parts[0].body_at > LIMIT_header_octets - 100);
}

static int64_t cpu_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* All that is ever made of a message; the best of three, as the machine has other work too. */
static int64_t cost_us(struct str message)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 3; i++) {
		OWNED(arena) struct arena arena = { 0 };
		int64_t start = cpu_us();
		struct mime mime;
		struct summary summary;
		int64_t took;

		mime_parse(&arena, message, &mime);
		summary_of(&arena, &mime, &summary);
		assert_true(mime_structure_print(&arena, &mime).len <= LIMIT_structure_octets);
		/* Memory is bounded as well: a fixed number of octets for each octet that came. */
		assert_true(arena_held(&arena) < 40 * message.len + 1000000);
		took = cpu_us() - start;
		best = took < best ? took : best;
		assert_tiled(&mime);
	}
	return best;
}

static void repeat(struct buf *out, const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_add_c(out, text);
}

typedef void make_fn(struct buf *out, size_t n);

static void make_same_boundary(struct buf *out, size_t n)
{
	repeat(out, "Content-Type: multipart/mixed; boundary=same\r\n\r\n--same\r\n", n);
}

static void make_open_boundaries(struct buf *out, size_t n)
{
	add_nested(out, 99, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
	repeat(out, "--bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbx\r\n", n);
}

static void make_prefixes(struct buf *out, size_t n)
{
	for (int i = 1; i < 70; i++)
		buf_print(out, "Content-Type: multipart/mixed; boundary=%.*s\r\n\r\n--%.*s\r\n", i,
			  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			  i,
			  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	repeat(out, "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
	       n);
}

static void make_parts(struct buf *out, size_t n)
{
	buf_add_c(out, MULTI("x"));
	repeat(out, "--x\r\nContent-Type: text/plain; a*0=b; a*1=c\r\n\r\n", n);
}

static void make_fields(struct buf *out, size_t n)
{
	repeat(out, "To: a@b\r\n", n);
}

static void make_addresses(struct buf *out, size_t n)
{
	buf_add_c(out, "Cc: ");
	repeat(out, "\"n (\" <a@b>, ", n);
}

static void make_words(struct buf *out, size_t n)
{
	buf_add_c(out, "Subject: ");
	repeat(out, "=?utf-8?Q?=00?=\r\n =?big5?Q?=20?=\r\n ", n);
}

static void make_half_words(struct buf *out, size_t n)
{
	buf_add_c(out, "Subject: ");
	repeat(out, "=?utf-8?Q?", n);
}

static void make_pieces(struct buf *out, size_t n)
{
	buf_add_c(out, "Content-Disposition: attachment");
	for (size_t i = 0; i < n; i++)
		buf_print(out, ";\r\n filename*%zu*=%%41", i);
}

static void make_folds(struct buf *out, size_t n)
{
	buf_add_c(out, "Subject: x");
	repeat(out, "\r\n y", n);
	buf_add_c(out, "\r\nContent-Type: text/plain");
	repeat(out, "\r\n ", n);
}

static void make_quotes(struct buf *out, size_t n)
{
	buf_add_c(out, "From: \"");
	repeat(out, "\\\"\\a", n);
	buf_add_c(out, "\r\nContent-Type: text/plain; name=\"");
	repeat(out, "\\\"", n);
}

static void make_parameters(struct buf *out, size_t n)
{
	buf_add_c(out, "Content-Type: text/plain");
	for (size_t i = 0; i < n; i++)
		buf_print(out, ";\r\n p%zu*0*=utf-8''%%41; p%zu*2=\"\\c\"; p%zu*1=b", i, i, i);
}

static void make_messages(struct buf *out, size_t n)
{
	repeat(out, "Subject: (a) =?utf-8?Q?b?=\r\nContent-Type: message/rfc822\r\n\r\n", n);
}

static void make_comments(struct buf *out, size_t n)
{
	buf_add_c(out, "From: ");
	repeat(out, "(((a", n);
}

static void make_ids(struct buf *out, size_t n)
{
	buf_add_c(out, "Message-ID: ");
	repeat(out, "(<a", n);
}

static void make_tags(struct buf *out, size_t n)
{
	buf_add_c(out, "Content-Type: text/html\r\n\r\n");
	repeat(out, "<a \"<!--<style></x", n);
}

static void make_blanks(struct buf *out, size_t n)
{
	buf_add_c(out, "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
	repeat(out, "=    \t=  ", n);
}

enum { TRIES = 5 };

/* Four times as much may cost four times the time, and half more for noise; quadratic would be sixteen. */
static bool is_linear(make_fn *make, size_t n)
{
	int64_t us[3];

	for (size_t step = 0; step < 3; step++) {
		OWNED(buf) struct buf text = BUF(100000000);

		make(&text, n << step);
		us[step] = cost_us(buf_str(&text));
	}
	print_message("%lld %lld %lld us\n", (long long)us[0], (long long)us[1], (long long)us[2]);
	return us[2] <= 6 * us[0] + 3000 || us[2] <= 6 * us[1] / 2 + 3000;
}

static void time_is_linear_whatever_the_message(void **state)
{
	/* Four times n in a header still fits header_octets: what is past it would cost nothing. */
	static const struct {
		const char *name;
		make_fn *make;
		size_t n;
	} cases[] = {
		{ "the same boundary nested", make_same_boundary, 20000 },
		{ "a hundred open boundaries", make_open_boundaries, 20000 },
		{ "boundaries that begin alike", make_prefixes, 20000 },
		{ "parts", make_parts, 20000 },
		{ "fields", make_fields, 28000 },
		{ "addresses", make_addresses, 19000 },
		{ "encoded words", make_words, 7000 },
		{ "half encoded words", make_half_words, 26000 },
		{ "pieces of a parameter", make_pieces, 10000 },
		{ "folds", make_folds, 35000 },
		{ "quoted pairs", make_quotes, 40000 },
		{ "parameters in pieces", make_parameters, 4000 },
		{ "nested messages", make_messages, 20000 },
		{ "comments", make_comments, 65000 },
		{ "message ids", make_ids, 85000 },
		{ "tags", make_tags, 20000 },
		{ "blanks", make_blanks, 50000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool linear = false;

		/* A busy machine spoils a measurement, and never mends one. */
		for (int try = 0; !linear && try < TRIES; try++)
			linear = is_linear(cases[i].make, cases[i].n);
		if (!linear)
			fail_msg("%s: not linear", cases[i].name);
	}
}

/* ---- what is told of a message ---- */

static struct str preview(struct arena *arena, struct str message)
{
	struct mime mime;

	mime_parse(arena, message, &mime);
	return mime_preview(arena, &mime, LIMIT_preview_octets);
}

static void previews_show_the_text(void **state)
{
	static const char *const cases[][2] = {
		{ "\r\n  Hello,\r\n\r\n\tworld. ", "Hello, world." },
		{ "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
		  "quoted-printable\r\n\r\ncaf=E9 =\r\nau lait",
		  "caf\xC3\xA9 au lait" },
		{ "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=", "hello" },
		{ "Content-Type: "
		  "text/html\r\n\r\n<html><head><title>no</title></head><style>p{a:b}</style>"
		  "<p class=\"a>b\">He<b>ll</b>o&amp;bye&nbsp;&#xE9;&#8364;</p>x<br>y<!-- no -->z "
		  "&bogus; &#xD800;",
		  "Hello&bye \xC3\xA9\xE2\x82\xAC x y z &bogus; &#xD800;" },
		{ "Content-Type: text/html\r\n\r\n<script>if (a < b) x</script>t<unclosed", "t" },
		{ MULTI("x") "--x\r\nContent-Type: "
			     "text/html\r\n\r\n<p>h</p>\r\n--x\r\n\r\np\r\n--x--",
		  "p" },
		{ MULTI("x") "--x\r\nContent-Disposition: "
			     "attachment\r\n\r\na\r\n--x\r\nContent-Type: "
			     "text/html\r\n\r\nh\r\n--x--",
		  "h" },
		{ MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n\r\nA: "
			     "b\r\n\r\ninner\r\n--x--",
		  "" },
		{ "Content-Type: image/png\r\n\r\nx", "" },
		{ "\r\na\x1B[31mb\xFF", "a [31mb\xEF\xBF\xBD" },
		{ "\r\n\xE2\x80\x8C\xC2\xA0\xE2\x80\x8C\xC2\xA0"
		  "a",
		  "a" },
	};
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10000);
	struct str cut;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_str_at(preview(&arena, str_of(cases[i][0])), cases[i][1], (int)i);
	buf_add_c(&text, "\r\nx");
	repeat(&text, "\xC3\xA9", 1000);
	cut = preview(&arena, buf_str(&text));
	assert_int_equal(cut.len, LIMIT_preview_octets - 1); /* never half a character */
	assert_true(str_is_utf8(cut));
}

static void summaries_tell_of_the_header(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	struct mime mime;
	struct summary summary;

	(void)state;
	mime_parse(&arena,
		   S("Received: a\r\nRECEIVED: b\r\nFrom: =?utf-8?Q?Ren=C3=A9?= <r@x>\r\nTo: a@b, "
		     "c@d\r\n"
		     "Subject: =?utf-8?Q?caf=C3=A9?=\r\n au lait\r\nDate: Sat, 21 Nov 2026 "
		     "22:10:00 +0000\r\n"
		     "Message-ID: <1@x>\r\n\r\nbody\r\n"),
		   &mime);
	summary_of(&arena, &mime, &summary);
	assert_str(summary.from, "Ren\xC3\xA9 <r@x>");
	assert_str(summary.subject, "caf\xC3\xA9 au lait");
	assert_str(summary.message_id, "<1@x>");
	assert_str(summary.preview, "body");
	assert_true(summary.has_date && summary.date_us == INT64_C(1795299000) * 1000000);
	assert_int_equal(summary.received_count, 2);
	assert_int_equal(summary.oddities, 0);
	mime_parse(&arena, S("From: a@b\r\nFrom: c@d\r\nSubject: 1\r\n\r\n"), &mime);
	summary_of(&arena, &mime, &summary);
	assert_str(mime_oddities_print(&arena, summary.oddities), "many-from no-date duplicate");
	assert_str(summary.from, "a@b");
	mime_parse(&arena, S(""), &mime);
	summary_of(&arena, &mime, &summary);
	assert_str(mime_oddities_print(&arena, summary.oddities), "no-from no-date");
}

/* Lines, each one balanced list; nothing but printable ASCII: no quote ends early. */
static void assert_well_formed(struct str text)
{
	assert_true(text.len > 0 && text.len <= LIMIT_structure_octets);
	assert_int_equal(text.at[text.len - 1], '\n');
	while (text.len) {
		size_t end = str_find(text, '\n');
		int depth = 0;
		bool in_string = false;

		assert_true(text.at[0] == '(' && text.at[end - 1] == ')');
		for (size_t i = 0; i < end; i++) {
			assert_true(text.at[i] >= ' ' && text.at[i] <= '~');
			if (in_string && text.at[i] == '\\')
				i++;
			else if (text.at[i] == '"')
				in_string = !in_string;
			else if (!in_string)
				depth += (text.at[i] == '(') - (text.at[i] == ')');
			assert_true(depth > 0 || i == end - 1);
		}
		assert_true(depth == 0 && !in_string);
		text = str_from(text, end + 1);
	}
}

static void structures_are_told_line_by_line(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	struct mime mime;
	struct str text;

	(void)state;
	mime_parse(
		&arena,
		S("From: \"A \\\"B\" <a@b>\r\nTo: G: c@d;\r\nSubject: caf\xC3\xA9\r\n" MULTI(
			"x") "--x\r\nContent-ID: <i>\r\nContent-Disposition: attachment; "
			     "filename=a.txt\r\n"
			     "Content-Transfer-Encoding: BASE64\r\n\r\nYQ==\r\nYg==\r\n--x--\r\n"),
		&mime);
	text = mime_structure_print(&arena, &mime);
	assert_well_formed(text);
	assert_str(text,
		   "(structure 1 224 2 1 \"\")\n"
		   "(part NIL multipart 0 97 127 8 \"multipart\" \"mixed\" (\"boundary\" \"x\") "
		   "\"7bit\" NIL NIL NIL () NIL NIL NIL)\n"
		   "(envelope 0 NIL \"caf\\xC3\\xA9\" ((mailbox \"A \\\"B\" NIL \"a\" \"b\")) () "
		   "() ((group \"G\") (mailbox NIL NIL \"c\" \"d\") (group-end)) () () NIL NIL)\n"
		   "(part 0 leaf 102 205 10 1 \"text\" \"plain\" () \"base64\" \"<i>\" NIL "
		   "\"attachment\" (\"filename\" \"a.txt\") NIL NIL NIL)\n");
}

static void structures_stay_within_their_limit(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10000000);
	struct mime mime;
	struct str structure;

	(void)state;
	buf_add_c(&text, "Subject: ");
	repeat(&text, "\xC3\xA9\"\\", 5000);
	buf_add_c(&text, "\r\nCc: ");
	repeat(&text, "\"\xC3\xA9\" <\xE9@b>, ", 12000);
	buf_add_c(&text, "\r\nTo: ");
	repeat(&text, "a@b, ", 20000);
	buf_add_c(&text, "\r\n" MULTI("x"));
	repeat(&text, "--x\r\nContent-Type: a/b; c=d\r\n\r\nbody\r\n", 5000);
	mime_parse(&arena, buf_str(&text), &mime);
	assert_int_equal(mime.count, 5001);
	structure = mime_structure_print(&arena, &mime);
	assert_well_formed(structure);
	assert_true(str_ends_nocase(structure, S("\n(cut)\n")));
	assert_true(str_find_str(structure, S("(envelope 0 ")) != STR_NONE);
	assert_true(structure.len > LIMIT_structure_octets - 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found_where_they_are),
		cmocka_unit_test(past_the_depth_all_is_one_leaf),
		cmocka_unit_test(past_the_parts_all_is_one_leaf),
		cmocka_unit_test(headers_without_end_stop_at_their_limit),
		cmocka_unit_test(time_is_linear_whatever_the_message),
		cmocka_unit_test(previews_show_the_text),
		cmocka_unit_test(summaries_tell_of_the_header),
		cmocka_unit_test(structures_are_told_line_by_line),
		cmocka_unit_test(structures_stay_within_their_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
