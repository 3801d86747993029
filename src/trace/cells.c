/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/cells.h"

/* Code points that take no cell or could make a line read as something else. */
static bool is_deceptive(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || c == 0xad || (c >= 0x300 && c <= 0x36f) || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
	       (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe000 && c <= 0xf8ff) || c >= 0xe0000;
}

static bool is_wide(uint32_t c)
{
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
	       (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
	       (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
	       (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
	       (c >= 0x20000 && c <= 0x3fffd);
}

/* Octets of the sequence that begins with this one; 0 when none does. */
static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The code point at the front; its length, or 0 when there is none well formed (rfc3629 4). */
static size_t code_point(struct str text, uint32_t *out)
{
	size_t len = sequence_length((unsigned char)text.at[0]);

	if (!len || len > text.len || !str_is_utf8(str_first(text, len)))
		return 0;
	if (len == 1)
		*out = (unsigned char)text.at[0];
	else
		*out = (unsigned char)text.at[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		*out = *out << 6 | ((unsigned char)text.at[i] & 0x3f);
	return len;
}

/* How much of it is plain ASCII: nearly all of nearly every text. */
static size_t plain_length(struct str text)
{
	size_t len = 0;

	while (len < text.len && text.at[len] >= 0x20 && text.at[len] < 0x7f &&
	       text.at[len] != '\\')
		len++;
	return len;
}

enum err trace_add_harmless(struct buf *out, struct str text, bool ascii)
{
	while (text.len) {
		uint32_t c = 0;
		size_t len = plain_length(text);

		if (len) {
			buf_add(out, str_first(text, len));
			text = str_from(text, len);
			continue;
		}
		len = code_point(text, &c);
		if (!len || (len > 1 && ascii)) {
			len = 1;
			buf_print(out, "\\x%02X", (unsigned char)text.at[0]);
		} else if (c < 0x20 || c == 0x7f || c == '\\') {
			escape_add(out, str_first(text, 1));
		} else if (len > 1 && is_deceptive(c)) {
			buf_print(out, "\\u{%x}", c);
		} else {
			buf_add(out, str_first(text, len));
		}
		text = str_from(text, len);
	}
	return out->failed ? ERR_LIMIT : OK;
}

/* The cells of the code point at the front of harmless text, and its length. */
static unsigned cell_width(struct str text, size_t *len)
{
	uint32_t c = 0;

	*len = code_point(text, &c);
	if (!*len)
		*len = 1;
	return is_wide(c) ? 2 : 1;
}

unsigned cells_count(struct str text)
{
	unsigned cells = 0;
	size_t len;

	for (; text.len; text = str_from(text, len))
		cells += cell_width(text, &len);
	return cells;
}

struct str cells_take(struct str *text, unsigned room, bool words)
{
	struct str all = *text;
	size_t used = 0;
	size_t space = 0;
	unsigned cells = 0;

	while (used < all.len) {
		size_t len;
		unsigned width = cell_width(str_from(all, used), &len);

		if (cells + width > room && used)
			break;
		if (all.at[used] == ' ')
			space = used + 1;
		used += len;
		cells += width;
	}
	/* A break at a space is nicer, unless it leaves the line more than half empty. */
	if (words && used < all.len && space > used / 2)
		used = space;
	*text = str_from(all, used);
	return str_first(all, used);
}
