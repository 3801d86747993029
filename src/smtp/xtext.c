/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp.h"

/* rfc3461 4: xchar is any octet from "!" to "~" but "+" and "=". */
static bool is_xchar(unsigned char c)
{
	return c >= '!' && c <= '~' && c != '+' && c != '=';
}

enum err xtext_add(struct buf *out, struct str octets)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < octets.len; i++) {
		unsigned char c = (unsigned char)octets.at[i];
		char code[3] = { '+', digits[c >> 4], digits[c & 15] };

		if (is_xchar(c))
			buf_add_char(out, (char)c);
		else
			buf_add(out, (struct str){ code, sizeof(code) });
	}
	return out->failed ? ERR_LIMIT : OK;
}

/* rfc3461 4: hexchar takes capital letters only. */
static int hex_value(unsigned char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_take(struct arena *arena, struct str text, struct str *out)
{
	char *octets = arena_take(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		int high;
		int low;

		if (is_xchar(c)) {
			octets[len++] = (char)c;
			continue;
		}
		if (c != '+' || text.len - i < 3)
			return false;
		high = hex_value((unsigned char)text.at[i + 1]);
		low = hex_value((unsigned char)text.at[i + 2]);
		if (high < 0 || low < 0)
			return false;
		octets[len++] = (char)(high << 4 | low);
		i += 2;
	}
	*out = (struct str){ octets, len };
	return true;
}
