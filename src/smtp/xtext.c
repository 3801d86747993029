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

bool xtext_take(struct arena *arena, struct str text, struct str *out)
{
	char *octets = arena_take(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		int octet;

		if (is_xchar(c)) {
			octets[len++] = (char)c;
			continue;
		}
		/* rfc3461 4: hexchar takes capital letters only. */
		octet = c == '+' ? hex_octet_capital(str_from(text, i + 1)) : -1;
		if (octet < 0)
			return false;
		octets[len++] = (char)octet;
		i += 2;
	}
	*out = (struct str){ octets, len };
	return true;
}
