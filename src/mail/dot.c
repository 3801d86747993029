/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

static void count_line(struct dot_reader *reader, uint64_t octets, bool ends)
{
	reader->line_octets += octets;
	if (reader->line_octets > reader->line_longest)
		reader->line_longest = reader->line_octets;
	if (ends)
		reader->line_octets = 0;
}

static bool give(struct dot_reader *reader, struct str *in, size_t count, struct str *out)
{
	*out = str_first(*in, count);
	*in = str_from(*in, count);
	reader->octets += count;
	return true;
}

static bool give_constant(struct dot_reader *reader, struct str constant, struct str *out)
{
	*out = constant;
	reader->octets += constant.len;
	count_line(reader, constant.len, false);
	return true;
}

/* The CR that ends in[0..count) was bare, or something after it makes it so. */
static enum dot_state bare_cr(struct dot_reader *reader)
{
	reader->has_bare_cr = true;
	return reader->normalise ? DOT_OWED_LF : DOT_TEXT;
}

/*
 * Whole clean lines from a line's middle or start, up to the first octet that needs a decision:
 * a bare CR or LF, a dot at the start of a line, or the end of the input. Returns how many octets
 * of `at` belong to the piece and leaves the state that follows them.
 */
static size_t run_lines(struct dot_reader *reader, const char *at, size_t len)
{
	size_t done = 0;

	for (;;) {
		const char *lf = memchr(at + done, '\n', len - done);
		size_t line_len = lf ? (size_t)(lf - at) - done : len - done;
		const char *cr = memchr(at + done, '\r', line_len);

		if (!cr) {
			/* No CR before the LF: it is bare, and left for the next step. */
			count_line(reader, line_len, false);
			reader->state = DOT_TEXT;
			return done + line_len;
		}
		if (cr + 1 != lf) {
			size_t with_cr = (size_t)(cr - at) + 1 - done;

			count_line(reader, with_cr, false);
			reader->state = DOT_CR;
			return done + with_cr;
		}
		count_line(reader, line_len + 1, true);
		done += line_len + 1;
		reader->state = DOT_LINE_START;
		if (done == len || (at[done] == '.' && !reader->keeps_dots))
			return done;
	}
}

/* In the middle of a line: text first, then the LF that run_lines stopped before. */
static bool read_text(struct dot_reader *reader, struct str *in, struct str *out)
{
	if (in->at[0] != '\n')
		return give(reader, in, run_lines(reader, in->at, in->len), out);
	reader->has_bare_lf = true;
	if (reader->normalise) {
		*in = str_from(*in, 1);
		give_constant(reader, S("\r\n"), out);
		count_line(reader, 0, true);
		return true;
	}
	count_line(reader, 1, false);
	return give(reader, in, 1, out);
}

static bool read_after_cr(struct dot_reader *reader, struct str *in, struct str *out)
{
	if (in->at[0] == '\n') {
		count_line(reader, 1, true);
		reader->state = DOT_LINE_START;
		return give(reader, in, 1, out);
	}
	reader->state = bare_cr(reader);
	return give(reader, in, 0, out);
}

static bool read_after_dot(struct dot_reader *reader, struct str *in, struct str *out)
{
	if (in->at[0] == '\r') {
		reader->state = DOT_DOT_CR;
		*in = str_from(*in, 1);
		return give(reader, in, 0, out);
	}
	/* rfc5321 4.5.2: the first dot goes when anything else stands on the line. */
	reader->unstuffed++;
	reader->state = DOT_TEXT;
	return give(reader, in, 0, out);
}

static bool read_after_dot_cr(struct dot_reader *reader, struct str *in, struct str *out)
{
	if (in->at[0] == '\n') {
		*in = str_from(*in, 1);
		reader->state = DOT_ENDED;
		return give(reader, in, 0, out);
	}
	/* ".\rX": the dot was stuffing after all, and the CR is bare. */
	reader->unstuffed++;
	reader->state = bare_cr(reader);
	return give_constant(reader, S("\r"), out);
}

bool dot_read(struct dot_reader *reader, struct str *in, struct str *out)
{
	if (in->len == 0 || reader->state == DOT_ENDED)
		return false;
	switch (reader->state) {
	case DOT_LINE_START:
		if (in->at[0] == '.' && !reader->keeps_dots) {
			reader->state = DOT_DOT;
			*in = str_from(*in, 1);
			return give(reader, in, 0, out);
		}
		reader->state = DOT_TEXT;
		return read_text(reader, in, out);
	case DOT_TEXT:
		return read_text(reader, in, out);
	case DOT_CR:
		return read_after_cr(reader, in, out);
	case DOT_DOT:
		return read_after_dot(reader, in, out);
	case DOT_DOT_CR:
		return read_after_dot_cr(reader, in, out);
	case DOT_OWED_LF:
		reader->state = DOT_TEXT;
		give_constant(reader, S("\n"), out);
		count_line(reader, 0, true);
		return true;
	case DOT_ENDED:
		break;
	}
	return false;
}

struct str dot_read_end(struct dot_reader *reader)
{
	struct str owed = S("");

	if (reader->state == DOT_CR)
		reader->state = bare_cr(reader);
	if (reader->state == DOT_OWED_LF)
		give_constant(reader, S("\n"), &owed);
	reader->state = DOT_ENDED;
	return owed;
}

/* Up to and with the octet after which the next dot would have to be doubled. */
static size_t run_out(struct dot_writer *writer, struct str in)
{
	size_t done = 0;

	while (done < in.len) {
		const char *lf = memchr(in.at + done, '\n', in.len - done);

		if (!lf) {
			writer->state = in.at[in.len - 1] == '\r' ? DOT_OUT_CR : DOT_OUT_TEXT;
			return in.len;
		}
		if (lf == in.at)
			writer->state =
				writer->state == DOT_OUT_CR ? DOT_OUT_LINE_START : DOT_OUT_LF;
		else
			writer->state = lf[-1] == '\r' ? DOT_OUT_LINE_START : DOT_OUT_LF;
		done = (size_t)(lf - in.at) + 1;
		if (done < in.len && in.at[done] == '.')
			return done;
	}
	return done;
}

bool dot_write(struct dot_writer *writer, struct str *in, struct str *out)
{
	bool at_start = writer->state == DOT_OUT_LINE_START || writer->state == DOT_OUT_LF;
	size_t count;

	if (in->len == 0)
		return false;
	if (at_start && in->at[0] == '.' && !writer->owes_dot) {
		writer->owes_dot = true;
		*out = S(".");
		return true;
	}
	writer->owes_dot = false;
	count = run_out(writer, *in);
	*out = str_first(*in, count);
	*in = str_from(*in, count);
	return true;
}

struct str dot_write_end(const struct dot_writer *writer)
{
	return writer->state == DOT_OUT_LINE_START ? S(".\r\n") : S("\r\n.\r\n");
}
