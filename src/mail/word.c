/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

enum { CHARSET_NAME = 64 };

/* "=?charset*language?B?text?=" (rfc2047 2, rfc2231 5). */
struct word {
	struct str charset;
	bool is_base64;
	struct str text;
};

struct decoding {
	struct arena *arena;
	char *pending; /* octets of words of one character set, not yet converted */
	size_t pending_len;
	struct str charset; /* of the pending octets */
	char *out;
	size_t len;
	size_t max;
	bool is_full; /* something was cut: nothing may follow it */
};

enum { CHARACTER_MAX = 4 }; /* octets of UTF-8 */

/*
 * The text of a word holds no "?", so a failed try costs no more than the way to the fourth one:
 * the whole stays linear.
 */
static bool take_word(struct scan *scan, struct word *out)
{
	struct scan at = *scan;
	struct str letter;

	if (!take_char(&at, '=') || !take_char(&at, '?') || !take_until(&at, '?', &out->charset) ||
	    out->charset.len == 0 || out->charset.len > CHARSET_NAME)
		return false;
	out->charset = str_first(out->charset, str_find(out->charset, '*'));
	if (!take_until(&at, '?', &letter) || letter.len != 1)
		return false;
	out->is_base64 = ascii_lower((unsigned char)letter.at[0]) == 'b';
	if (!out->is_base64 && ascii_lower((unsigned char)letter.at[0]) != 'q')
		return false;
	/* rfc2047 2 allows no blanks in the text; many write them all the same. */
	if (!take_until(&at, '?', &out->text) || !take_char(&at, '='))
		return false;
	*scan = at;
	return true;
}

/* rfc2047 4.2 */
static size_t q_decode(struct str text, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int octet = text.at[i] == '=' ? hex_octet(str_from(text, i + 1)) : -1;

		if (octet >= 0) {
			out[len++] = (char)octet;
			i += 2;
		} else {
			out[len++] = text.at[i] == '_' ? ' ' : text.at[i];
		}
	}
	return len;
}

static size_t word_decode(const struct word *word, char *out)
{
	struct transfer transfer = { .encoding = TRANSFER_BASE64 };
	struct str text = word->text;

	if (!word->is_base64)
		return q_decode(text, out);
	return transfer_decode(&transfer, &text, true, out, text.len);
}

static void add_text(struct decoding *decoding, struct str text)
{
	decoding->is_full = text.len > decoding->max - decoding->len;
	text = utf8_first(text, decoding->max - decoding->len);
	if (text.len)
		memcpy(decoding->out + decoding->len, text.at, text.len);
	decoding->len += text.len;
}

static void flush(struct decoding *decoding)
{
	struct str octets = { decoding->pending, decoding->pending_len };
	struct str text;

	if (octets.len == 0 || decoding->is_full)
		return;
	/* One character more than there is room for tells whether something is cut. */
	charset_to_utf8(decoding->arena, decoding->charset, octets,
			decoding->max - decoding->len + CHARACTER_MAX, &text);
	add_text(decoding, text);
	decoding->pending_len = 0;
}

static void add_plain(struct decoding *decoding, struct str text)
{
	flush(decoding);
	if (decoding->is_full)
		return;
	add_text(decoding,
		 utf8_repair(decoding->arena, text, decoding->max - decoding->len + CHARACTER_MAX));
}

static void add_word(struct decoding *decoding, const struct word *word)
{
	if (!str_is_nocase(word->charset, decoding->charset))
		flush(decoding);
	decoding->charset = word->charset;
	decoding->pending_len += word_decode(word, decoding->pending + decoding->pending_len);
}

/* C0, DEL and C1 become spaces: what is shown must not be obeyed. */
static void remove_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

		if (c < ' ' || c == 0x7F)
			text[i] = ' ';
		else if (c == 0xC2 && next >= 0x80 && next < 0xA0)
			text[i] = text[i + 1] = ' ';
	}
}

struct str text_clean(struct arena *arena, struct str text, size_t max)
{
	struct str clean = str_dup(arena, utf8_repair(arena, field_unfold(arena, text), max));

	remove_controls((char *)clean.at, clean.len); /* our own copy */
	return utf8_first(clean, max);
}

/* All up to the next "=?", as it is. */
static struct str take_plain(struct scan *scan)
{
	struct str rest = scan_rest(scan);
	size_t len = 1; /* the "=" of a word that was none */

	while (len < rest.len &&
	       !(rest.at[len] == '=' && len + 1 < rest.len && rest.at[len + 1] == '?'))
		len++;
	scan->at += len;
	return str_first(rest, len);
}

struct str words_decode(struct arena *arena, struct str value, size_t max)
{
	struct str line = field_unfold(arena, value);
	struct scan scan = scan_of(line);
	struct decoding decoding = { .arena = arena };
	struct word word;

	decoding.max = line.len < max / 3 ? line.len * 3 : max;
	decoding.out = arena_take(arena, decoding.max + 1);
	decoding.pending = arena_take(arena, line.len + 1);
	while (!scan_at_end(&scan) && !decoding.is_full) {
		struct scan blank = scan;

		/* rfc2047 6.2: blanks between words are not shown. */
		take_blanks(&blank);
		if (decoding.pending_len && take_word(&blank, &word)) {
			scan = blank;
			add_word(&decoding, &word);
		} else if (take_word(&scan, &word)) {
			add_word(&decoding, &word);
		} else {
			add_plain(&decoding, take_plain(&scan));
		}
	}
	flush(&decoding);
	remove_controls(decoding.out, decoding.len);
	return (struct str){ decoding.out, decoding.len };
}
