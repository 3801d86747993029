/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

static const char *const names[] = {
	[TRANSFER_7BIT] = "7bit",     [TRANSFER_8BIT] = "8bit",
	[TRANSFER_BINARY] = "binary", [TRANSFER_QUOTED_PRINTABLE] = "quoted-printable",
	[TRANSFER_BASE64] = "base64",
};

enum transfer_encoding transfer_encoding_of(struct str name)
{
	if (name.len == 0)
		return TRANSFER_7BIT; /* rfc2045 6.1 */
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (str_is_nocase(name, str_of(names[i])))
			return (enum transfer_encoding)i;
	}
	return TRANSFER_UNKNOWN;
}

/* rfc2045 6.8: other octets are skipped; the first "=" ends it, so that trailers are not read. */
static size_t base64_decode(struct transfer *transfer, struct str *in, char *out, size_t room)
{
	size_t len = 0;
	size_t i = 0;

	for (; i < in->len && (len < room || transfer->ended); i++) {
		int value = base64_value((unsigned char)in->at[i]);

		if (in->at[i] == '=')
			transfer->ended = true;
		if (transfer->ended || value < 0)
			continue;
		transfer->bits = transfer->bits << 6 | (unsigned)value;
		transfer->count += 6;
		if (transfer->count >= 8) {
			transfer->count -= 8;
			out[len++] = (char)(transfer->bits >> transfer->count);
			transfer->bits &= (1U << transfer->count) - 1;
		}
	}
	*in = str_from(*in, i);
	return len;
}

/*
 * Blanks, and "=" with blanks behind it, mean one thing at the end of a line and another inside
 * it. Gives the octets to skip at `at` when the line ends there (0 when it does not), or STR_NONE
 * when more input decides.
 */
static size_t line_end_after(struct str in, size_t at, bool last)
{
	size_t i = at;

	while (i < in.len && (in.at[i] == ' ' || in.at[i] == '\t'))
		i++;
	if (i < in.len && in.at[i] == '\r' && i + 1 < in.len)
		return in.at[i + 1] == '\n' ? i + 2 - at : 0;
	if (i < in.len && in.at[i] != '\r')
		return in.at[i] == '\n' ? i + 1 - at : 0;
	if (!last)
		return STR_NONE;
	return i == in.len ? i - at : 0;
}

enum { BLANKS_MAX = 998 }; /* a longer run is not looked over again for each of its blanks */

/* What stands at in[at]: how many octets it takes, and the octet it gives (-1: none). */
static size_t quoted_octet(struct str in, size_t at, bool last, int *out)
{
	unsigned char c = (unsigned char)in.at[at];
	struct str window = str_first(in, at + BLANKS_MAX);
	bool is_whole = window.len == in.len;
	size_t end;

	*out = c;
	if (c != '=')
		return 1;
	*out = hex_octet(str_from(in, at + 1));
	if (*out >= 0)
		return 3;
	*out = c;
	if (at + 2 >= in.len && !last)
		return STR_NONE;
	end = line_end_after(window, at + 1, last && is_whole);
	if (end == STR_NONE)
		return is_whole ? STR_NONE : 1;
	if (end == 0 && at + 1 < in.len)
		return 1; /* rfc2045 6.7: an "=" that means nothing is passed on */
	*out = -1;
	return end + 1; /* soft line break */
}

/* A run of blanks: taken whole, given only when the line goes on behind it (rfc2045 6.7 (3)). */
static size_t blank_run(struct str in, size_t at, bool last, bool *is_given)
{
	size_t i = at;

	while (i < in.len && i - at < BLANKS_MAX && (in.at[i] == ' ' || in.at[i] == '\t'))
		i++;
	*is_given = true;
	if (i - at == BLANKS_MAX)
		return i - at;
	if (i == in.len || (in.at[i] == '\r' && i + 1 == in.len)) {
		*is_given = false;
		return last ? i - at : STR_NONE;
	}
	*is_given = in.at[i] != '\n' && !(in.at[i] == '\r' && in.at[i + 1] == '\n');
	return i - at;
}

static size_t quoted_decode(struct str *in, bool last, char *out, size_t room)
{
	size_t len = 0;
	size_t at = 0;

	while (at < in->len && len < room) {
		bool is_blank = in->at[at] == ' ' || in->at[at] == '\t';
		bool is_given = false;
		int octet = -1;
		size_t taken = is_blank ? blank_run(*in, at, last, &is_given)
					: quoted_octet(*in, at, last, &octet);

		if (taken == STR_NONE)
			break;
		if (is_given && taken > room - len)
			taken = room - len;
		if (is_given) {
			memcpy(out + len, in->at + at, taken);
			len += taken;
		} else if (octet >= 0) {
			out[len++] = (char)octet;
		}
		at += taken;
	}
	*in = str_from(*in, at);
	return len;
}

size_t transfer_decode(struct transfer *transfer, struct str *in, bool last, char *out, size_t room)
{
	size_t len;

	switch (transfer->encoding) {
	case TRANSFER_BASE64:
		return base64_decode(transfer, in, out, room);
	case TRANSFER_QUOTED_PRINTABLE:
		return quoted_decode(in, last, out, room);
	default:
		len = in->len < room ? in->len : room;
		if (len)
			memcpy(out, in->at, len);
		*in = str_from(*in, len);
		return len;
	}
}

struct str transfer_decode_all(struct arena *arena, enum transfer_encoding encoding,
			       struct str body, size_t max)
{
	struct transfer transfer = { .encoding = encoding };
	size_t room = body.len < max ? body.len : max; /* no encoding grows */
	char *out = arena_take(arena, room + 1);
	size_t len = transfer_decode(&transfer, &body, true, out, room);

	return (struct str){ out, len };
}
