/* SPDX-License-Identifier: Apache-2.0 */
/* Dot-stuffing both ways, at every split point of many inputs, against a model that is slow and plain. */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_MAX = 4096 };

struct outcome {
	struct buf text;
	size_t taken;
	bool ended, bare_cr, bare_lf;
	uint64_t unstuffed, line_longest;
};

static void outcome_drop(struct outcome *outcome)
{
	buf_drop(&outcome->text);
}

/* One octet at a time, looking back and ahead in the whole text. */
static struct outcome model(struct str in, bool normalise)
{
	struct outcome out = { .text = BUF(TEXT_MAX) };
	bool at_line_start = true;
	uint64_t line = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.at[i];
		bool crlf = c == '\r' && i + 1 < in.len && in.at[i + 1] == '\n';

		if (at_line_start && c == '.') {
			if (str_starts(str_from(in, i), S(".\r\n"))) {
				out.ended = true;
				out.taken = i + 3;
				return out;
			}
			out.unstuffed++;
			at_line_start = false;
			continue;
		}
		at_line_start = false;
		if (crlf) {
			buf_add(&out.text, S("\r\n"));
			line += 2;
			i++;
			at_line_start = true;
		} else if (c == '\r' || c == '\n') {
			*(c == '\r' ? &out.bare_cr : &out.bare_lf) = true;
			buf_add(&out.text, normalise ? S("\r\n") : (struct str){ &c, 1 });
			line += normalise ? 2 : 1;
		} else {
			buf_add_char(&out.text, c);
			line++;
		}
		if (line > out.line_longest)
			out.line_longest = line;
		if (at_line_start || (normalise && (c == '\r' || c == '\n')))
			line = 0;
	}
	out.taken = in.len;
	return out;
}

static void feed(struct dot_reader *reader, struct str in, struct outcome *out)
{
	size_t before = in.len;
	struct str piece;

	while (dot_read(reader, &in, &piece))
		assert_int_equal(buf_add(&out->text, piece), OK);
	out->taken += before - in.len;
}

static void finish(const struct dot_reader *reader, struct outcome *out)
{
	assert_int_equal(reader->octets, out->text.len);
	out->ended = dot_read_ended(reader);
	out->bare_cr = reader->has_bare_cr;
	out->bare_lf = reader->has_bare_lf;
	out->unstuffed = reader->unstuffed;
	out->line_longest = reader->line_longest;
}

static void same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->taken, b->taken);
	assert_int_equal(a->text.len, b->text.len);
	if (a->text.len)
		assert_memory_equal(a->text.at, b->text.at, a->text.len);
	assert_int_equal(a->ended, b->ended);
	assert_int_equal(a->bare_cr, b->bare_cr);
	assert_int_equal(a->bare_lf, b->bare_lf);
	assert_int_equal(a->unstuffed, b->unstuffed);
	assert_int_equal(a->line_longest, b->line_longest);
}

/* Pieces of a copy of their own, so that a sanitizer sees any look past them. */
static void feed_copy(struct dot_reader *reader, struct str in, struct outcome *out)
{
	char *copy = malloc(in.len ? in.len : 1);

	if (in.len)
		memcpy(copy, in.at, in.len);
	feed(reader, (struct str){ copy, in.len }, out);
	free(copy);
}

/* Whether the text ends is only known when all came, so every input is given an end. */
static void check_splits(struct str body, bool normalise)
{
	OWNED(buf) struct buf whole = BUF(TEXT_MAX);
	OWNED(outcome) struct outcome wanted = { 0 };
	struct str in;

	buf_add(&whole, body);
	buf_add(&whole, S("\r\n.\r\nQUIT\r\n"));
	in = buf_str(&whole);
	wanted = model(in, normalise);
	for (size_t i = 0; i <= in.len; i++) {
		for (size_t j = i; j <= in.len; j += 1 + in.len / 16) {
			OWNED(outcome) struct outcome got = { .text = BUF(TEXT_MAX) };
			struct dot_reader reader = { .normalise = normalise };

			feed_copy(&reader, str_first(in, i), &got);
			feed_copy(&reader, str_from(str_first(in, j), i), &got);
			feed_copy(&reader, str_from(in, j), &got);
			finish(&reader, &got);
			same(&wanted, &got);
		}
	}
}

static void check_octets(struct str in, bool normalise)
{
	OWNED(outcome) struct outcome wanted = model(in, normalise);
	OWNED(outcome) struct outcome got = { .text = BUF(TEXT_MAX) };
	struct dot_reader reader = { .normalise = normalise };

	for (size_t i = 0; i < in.len; i++)
		feed_copy(&reader, (struct str){ in.at + i, 1 }, &got);
	finish(&reader, &got);
	if (wanted.ended)
		same(&wanted, &got);
}

static const char *const bodies[] = {
	"",
	".",
	"..",
	"...",
	".a",
	"a",
	"\r",
	"\n",
	"\r\n",
	"\n\r",
	"\r\r",
	"\n\n",
	"a\r\nb",
	"one\r\n..two\r\n...\r\n",
	"a\n.\nb",
	"a\n.\r\nb",
	"a\r\n.\nb",
	"a\r.\rb",
	"a\r.\r\nb",
	"a\r\n.\rb",
	"a\r.\nb",
	"a\n.\rb",
	"a\r\n.\r\r\nb",
	"a\r\r\n.\r\r\nb",
	"a\r\n .\r\nb",
	"a\r\n. \r\nb",
	"a\r\n\x0b.\r\nb",
	"a\r\n..\r\nb",
	"a\n\n.\n\nb",
	"a\r\n.\n\rb",
	".\r",
	"..\r",
	".\n",
	"\r\n.\r",
	"x\r\n.\r.\r",
	"\r\n\r\n\r\n",
	"\xc2\x85.\xc2\x85",
	".\r\n.\r\n",
};

static void the_reader_gives_the_same_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bodies); i++)
		for (int normalise = 0; normalise < 2; normalise++) {
			check_splits(str_of(bodies[i]), normalise);
			check_octets(str_of(bodies[i]), normalise);
		}
}

static void the_reader_agrees_with_the_model_on_random_text(void **state)
{
	static const char letters[] = "\r\n.\r\n.ab";
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char text[24];
		size_t len;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		len = seed >> 40 & 15;
		for (size_t i = 0; i < len; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			text[i] = letters[(seed >> 33) % (sizeof(letters) - 1)];
		}
		check_splits((struct str){ text, len }, round & 1);
		check_octets((struct str){ text, len }, round & 1);
	}
}

/* reliability: each of these has been taken for the end of the text by some server. */
static void only_crlf_dot_crlf_ends_the_text(void **state)
{
	static const struct {
		const char *at;
		size_t len;
	} ends[] = {
#define END(text) { text, sizeof(text) - 1 }
		END("\n.\n"),
		END("\n.\r\n"),
		END("\r\n.\n"),
		END("\r.\r"),
		END("\r.\r\n"),
		END("\r\n.\r"),
		END("\r.\n"),
		END("\n.\r"),
		END("\r\n\0.\r\n"),
		END("\r\n.\0\r\n"),
		END("\r\n.\r\r\n"),
		END("\r\r\n.\r\r\n"),
		END("\r\n .\r\n"),
		END("\r\n. \r\n"),
		END("\r\n\v.\r\n"),
		END("\r\n\f.\r\n"),
		END("\r\n\xc2\x85.\r\n"),
		END("\r\n\xe2\x80\xa8.\r\n"),
		END("\r\n..\r\n"),
		END("\n\n.\n\n"),
		END("\r\n.\n\r"),
#undef END
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		struct dot_reader reader = { 0 };
		OWNED(outcome) struct outcome got = { .text = BUF(TEXT_MAX) };

		feed(&reader, S("text"), &got);
		feed(&reader, (struct str){ ends[i].at, ends[i].len }, &got);
		feed(&reader, S("MAIL FROM:<smuggled@example.net>\r\n"), &got);
		assert_false(dot_read_ended(&reader));
		feed(&reader, S(".\r\nQUIT"), &got);
		finish(&reader, &got);
		assert_true(got.ended);
	}
}

static void what_follows_the_end_stays_with_the_caller(void **state)
{
	struct dot_reader reader = { 0 };
	struct str in = S(".\r\n.\r\n");
	struct str piece;

	(void)state;
	while (dot_read(&reader, &in, &piece))
		assert_int_equal(piece.len, 0);
	assert_true(dot_read_ended(&reader));
	assert_true(str_is(in, S(".\r\n")));
}

static void write_all(struct dot_writer *writer, struct str in, struct buf *out)
{
	struct str piece;

	while (dot_write(writer, &in, &piece))
		assert_int_equal(buf_add(out, piece), OK);
}

static void what_was_stuffed_is_read_back_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bodies); i++) {
		struct str body = str_of(bodies[i]);
		bool is_whole = body.len == 0 || str_ends_nocase(body, S("\r\n"));
		struct dot_reader scout = { 0 };
		OWNED(outcome) struct outcome ignored = { .text = BUF(TEXT_MAX) };

		feed(&scout, body, &ignored);
		if (scout.has_bare_lf)
			continue; /* a dot behind a bare LF is doubled on purpose */
		for (size_t split = 0; split <= body.len; split++) {
			OWNED(buf) struct buf wire = BUF(TEXT_MAX);
			OWNED(outcome) struct outcome got = { .text = BUF(TEXT_MAX) };
			struct dot_writer writer = { 0 };
			struct dot_reader reader = { 0 };

			write_all(&writer, str_first(body, split), &wire);
			write_all(&writer, str_from(body, split), &wire);
			buf_add(&wire, dot_write_end(&writer));
			feed(&reader, buf_str(&wire), &got);
			assert_true(dot_read_ended(&reader));
			assert_int_equal(got.text.len, body.len + (is_whole ? 0 : 2));
			if (body.len)
				assert_memory_equal(got.text.at, body.at, body.len);
		}
	}
}

static void a_lone_dot_never_leaves_undoubled(void **state)
{
	static const struct {
		const char *text;
		const char *wire;
	} cases[] = {
		{ "", ".\r\n" },
		{ ".", "..\r\n.\r\n" },
		{ "a", "a\r\n.\r\n" },
		{ "a\r\n", "a\r\n.\r\n" },
		{ "a\r\n.\r\n", "a\r\n..\r\n.\r\n" },
		{ "a\n.\nb", "a\n..\nb\r\n.\r\n" },
		{ "a\n", "a\n\r\n.\r\n" },
		{ "..a", "...a\r\n.\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t split = 0; split <= strlen(cases[i].text); split++) {
			OWNED(buf) struct buf wire = BUF(TEXT_MAX);
			struct dot_writer writer = { 0 };

			write_all(&writer, str_first(str_of(cases[i].text), split), &wire);
			write_all(&writer, str_from(str_of(cases[i].text), split), &wire);
			buf_add(&wire, dot_write_end(&writer));
			assert_true(str_is(buf_str(&wire), str_of(cases[i].wire)));
		}
}

/* BDAT: every octet is text, and the end is where the count ends. */
static void a_counted_text_keeps_its_dots_and_is_still_checked(void **state)
{
	static const struct {
		const char *text;
		const char *normal;
		bool bare_cr, bare_lf;
	} cases[] = {
		{ "a\r\n.\r\nQUIT\r\n", "a\r\n.\r\nQUIT\r\n", false, false },
		{ "..\r\n.", "..\r\n.", false, false },
		{ "a\r", "a\r\n", true, false },
		{ "a\n.\n", "a\r\n.\r\n", false, true },
		{ "a\r.\r\nb", "a\r\n.\r\nb", true, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t split = 0; split <= strlen(cases[i].text); split++) {
			struct dot_reader reader = { .keeps_dots = true, .normalise = true };
			OWNED(outcome) struct outcome got = { .text = BUF(TEXT_MAX) };

			feed_copy(&reader, str_first(str_of(cases[i].text), split), &got);
			feed_copy(&reader, str_from(str_of(cases[i].text), split), &got);
			buf_add(&got.text, dot_read_end(&reader));
			assert_true(str_is(buf_str(&got.text), str_of(cases[i].normal)));
			assert_int_equal(reader.has_bare_cr, cases[i].bare_cr);
			assert_int_equal(reader.has_bare_lf, cases[i].bare_lf);
			assert_int_equal(reader.octets, got.text.len);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reader_gives_the_same_at_every_split),
		cmocka_unit_test(the_reader_agrees_with_the_model_on_random_text),
		cmocka_unit_test(only_crlf_dot_crlf_ends_the_text),
		cmocka_unit_test(what_follows_the_end_stays_with_the_caller),
		cmocka_unit_test(what_was_stuffed_is_read_back_at_every_split),
		cmocka_unit_test(a_counted_text_keeps_its_dots_and_is_still_checked),
		cmocka_unit_test(a_lone_dot_never_leaves_undoubled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
