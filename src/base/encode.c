/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum err base64_add(struct buf *out, struct str octets)
{
	const unsigned char *in = (const unsigned char *)octets.at;
	size_t left = octets.len;
	char *at;

	if (buf_reserve(out, (octets.len + 2) / 3 * 4))
		return ERR_LIMIT;
	at = out->at + out->len;
	for (; left > 0; in += 3, at += 4) {
		unsigned bits = (unsigned)in[0] << 16 | (left > 1 ? (unsigned)in[1] << 8 : 0) |
				(left > 2 ? in[2] : 0);

		at[0] = base64_alphabet[bits >> 18];
		at[1] = base64_alphabet[bits >> 12 & 63];
		at[2] = left > 1 ? base64_alphabet[bits >> 6 & 63] : '=';
		at[3] = left > 2 ? base64_alphabet[bits & 63] : '=';
		left -= left < 3 ? left : 3;
	}
	out->len += (octets.len + 2) / 3 * 4;
	return OK;
}

int base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_take(struct arena *arena, struct str text, struct str *out)
{
	size_t pads = text.len >= 4 ? (text.at[text.len - 1] == '=') +
					      (size_t)(text.at[text.len - 2] == '=')
				    : 0;
	char *octets = arena_take(arena, text.len / 4 * 3 + 1);
	size_t len = 0;
	unsigned bits = 0;

	if (text.len % 4 != 0 || (pads == 2 && text.at[text.len - 1] != '='))
		return false;
	if (pads == 1 && text.at[text.len - 1] != '=')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		bool is_pad = i >= text.len - pads;
		int value = is_pad ? 0 : base64_value((unsigned char)text.at[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned)value;
		if (i % 4 != 3)
			continue;
		octets[len++] = (char)(bits >> 16);
		octets[len++] = (char)(bits >> 8);
		octets[len++] = (char)bits;
		bits = 0;
	}
	for (size_t i = 0; i < pads; i++)
		if (octets[--len] != 0) /* rfc4648 3.5: stray bits name the same octets twice */
			return false;
	*out = (struct str){ octets, len };
	return true;
}

enum err hex_add(struct buf *out, struct str octets)
{
	static const char digits[] = "0123456789abcdef";

	if (buf_reserve(out, octets.len * 2))
		return ERR_LIMIT;
	for (size_t i = 0; i < octets.len; i++) {
		out->at[out->len++] = digits[(unsigned char)octets.at[i] >> 4];
		out->at[out->len++] = digits[(unsigned char)octets.at[i] & 15];
	}
	return OK;
}

static int hex_capital(char c)
{
	if (ascii_is_digit((unsigned char)c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_octet_capital(struct str text)
{
	int high = text.len >= 2 ? hex_capital(text.at[0]) : -1;
	int low = high >= 0 ? hex_capital(text.at[1]) : -1;

	return low < 0 ? -1 : high * 16 + low;
}

int hex_octet(struct str text)
{
	char capitals[2];

	if (text.len < 2)
		return -1;
	for (size_t i = 0; i < sizeof(capitals); i++)
		capitals[i] = text.at[i] >= 'a' && text.at[i] <= 'f'
				      ? (char)(text.at[i] - 'a' + 'A')
				      : text.at[i];
	return hex_octet_capital((struct str){ capitals, sizeof(capitals) });
}

/* The octets of the character that starts s, at most 4; 0 when they are no UTF-8. */
static size_t character_length(struct str s)
{
	for (size_t len = 1; len <= 4 && len <= s.len; len++)
		if (str_is_utf8(str_first(s, len)))
			return len;
	return 0;
}

/* Of a character of UTF-8. */
static unsigned code_point(struct str character)
{
	static const unsigned char first_bits[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
	unsigned code = (unsigned char)character.at[0] & first_bits[character.len];

	for (size_t i = 1; i < character.len; i++)
		code = code << 6 | ((unsigned char)character.at[i] & 0x3F);
	return code;
}

/*
 * Terminals obey some characters in place of showing them: C0 and C1 controls, and those that turn
 * the direction of the text around them or end its line. All lie below U+10000.
 */
static bool is_obeyed(unsigned code)
{
	return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
	       code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
	       (code >= 0x2066 && code <= 0x2069);
}

enum err json_mend(struct buf *out, struct str json)
{
	while (json.len) {
		size_t len = character_length(json);
		unsigned code = len ? code_point(str_first(json, len)) : 0xFFFD;

		if (code >= 0x7F && is_obeyed(code))
			buf_print(out, "\\u%04x", code);
		else if (len)
			buf_add(out, str_first(json, len));
		else
			buf_add_c(out, "\xEF\xBF\xBD");
		json = str_from(json, len ? len : 1);
	}
	return out->failed ? ERR_LIMIT : OK;
}

enum err json_add_string(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	while (s.len) {
		unsigned char c = (unsigned char)s.at[0];
		size_t len = character_length(s);

		if (len == 0)
			buf_add_c(out, "\xEF\xBF\xBD");
		else if (c == '"' || c == '\\')
			buf_print(out, "\\%c", c);
		else if (is_obeyed(code_point(str_first(s, len))))
			buf_print(out, "\\u%04x", code_point(str_first(s, len)));
		else
			buf_add(out, str_first(s, len));
		s = str_from(s, len ? len : 1);
	}
	buf_add_char(out, '"');
	return out->failed ? ERR_LIMIT : OK;
}

enum err escape_add(struct buf *out, struct str s)
{
	while (s.len) {
		unsigned char c = (unsigned char)s.at[0];
		size_t len = character_length(s);

		if (c == '\r' || c == '\n' || c == '\t')
			buf_add_c(out, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t");
		else if (c == '\\')
			buf_add_c(out, "\\\\");
		else if (len == 0)
			buf_print(out, "\\x%02X", c);
		else if (is_obeyed(code_point(str_first(s, len))))
			for (size_t i = 0; i < len; i++)
				buf_print(out, "\\x%02X", (unsigned char)s.at[i]);
		else
			buf_add(out, str_first(s, len));
		s = str_from(s, len ? len : 1);
	}
	return out->failed ? ERR_LIMIT : OK;
}

static const char id_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_print(uint64_t id, char text[ID_TEXT + 1])
{
	for (int i = ID_TEXT - 1; i >= 0; i--, id >>= 5)
		text[i] = id_alphabet[id & 31];
	text[ID_TEXT] = 0;
}

bool id_parse(struct str text, uint64_t *out)
{
	uint64_t id = 0;

	if (text.len != ID_TEXT)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = ascii_lower((unsigned char)text.at[i]);
		const char *hit = c ? strchr(id_alphabet, c >= 'a' && c <= 'z' ? c - 32 : c) : NULL;

		if (!hit || (i == 0 && hit - id_alphabet > 15)) /* 13 * 5 is one bit more than 64 */
			return false;
		id = id << 5 | (uint64_t)(hit - id_alphabet);
	}
	*out = id;
	return true;
}

static void mdoc_add_word(struct buf *out, struct str word, bool begins_line)
{
	if (begins_line && word.len > 0 && (word.at[0] == '.' || word.at[0] == '\''))
		buf_add(out, S("\\&"));
	for (size_t i = 0; i < word.len; i++) {
		if (word.at[i] == '\\')
			buf_add(out, S("\\e"));
		else if (word.at[i] == '-' && i == 0 && word.len > 1)
			buf_add(out, S("\\-")); /* an option, not a hyphen */
		else
			buf_add_char(out, word.at[i]);
	}
}

static bool ends_sentence(struct str word, struct str rest)
{
	return word.len > 1 && word.at[word.len - 1] == '.' && rest.len > 0 && rest.at[0] >= 'A' &&
	       rest.at[0] <= 'Z';
}

enum err mdoc_add(struct buf *out, struct str paragraph)
{
	enum { COLUMNS = 76 };
	size_t column = 0;

	while (paragraph.len > 0) {
		size_t blank = str_find(paragraph, ' ');
		struct str word = str_first(paragraph, blank == STR_NONE ? paragraph.len : blank);

		paragraph = str_from(paragraph, word.len + 1);
		if (column > 0 && column + 1 + word.len > COLUMNS) {
			buf_add_char(out, '\n');
			column = 0;
		}
		if (column > 0)
			buf_add_char(out, ' ');
		mdoc_add_word(out, word, column == 0);
		column += word.len + 1;
		if (ends_sentence(word, paragraph)) {
			buf_add_char(out, '\n');
			column = 0;
		}
	}
	return buf_add_char(out, '\n');
}
