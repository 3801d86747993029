/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

enum {
	DECODED_MAX = 65'536, /* of the part; style sheets come before the text */
	TAG_NAME = 12,
	ENTITY_NAME = 10,
};

/* Text going out with its blanks run together. */
struct squeezer {
	char *out;
	size_t len;
	size_t max;
	bool has_blank; /* seen and not yet written */
	bool is_full;
};

static void squeeze(struct squeezer *squeezer, struct str character)
{
	size_t blank = squeezer->has_blank && squeezer->len > 0;

	if (squeezer->len + blank + character.len > squeezer->max) {
		squeezer->is_full = true;
		return;
	}
	if (blank)
		squeezer->out[squeezer->len++] = ' ';
	squeezer->has_blank = false;
	memcpy(squeezer->out + squeezer->len, character.at, character.len);
	squeezer->len += character.len;
}

/* The character at the cursor, which stands in well-formed UTF-8. */
static struct str take_character(struct scan *scan)
{
	const char *from = scan->at++;

	while (scan->at < scan->end && ((unsigned char)*scan->at & 0xC0) == 0x80)
		scan->at++;
	return (struct str){ from, (size_t)(scan->at - from) };
}

/* Blanks of all kinds, controls, and what is there only to fill a preview with nothing. */
static bool is_blank(struct str character)
{
	static const char *const blanks[] = {
		"\xC2\xA0",     /* U+00A0 no-break space */
		"\xE3\x80\x80", /* U+3000 */
		"\xE2\x80\xA8", /* U+2028 */
		"\xE2\x80\xA9", /* U+2029 */
	};
	unsigned char c = (unsigned char)character.at[0];

	if (c <= ' ' || c == 0x7F)
		return true;
	if (c == 0xC2 && character.len == 2 && (unsigned char)character.at[1] < 0xA0)
		return true;
	for (size_t i = 0; i < COUNT_OF(blanks); i++) {
		if (str_is(character, str_of(blanks[i])))
			return true;
	}
	return false;
}

static bool is_nothing(struct str character)
{
	static const char *const nothings[] = {
		"\xC2\xAD",     /* U+00AD soft hyphen */
		"\xCD\x8F",     /* U+034F combining grapheme joiner */
		"\xE2\x80\x8B", /* U+200B zero width space */
		"\xE2\x80\x8C", /* U+200C zero width non-joiner */
		"\xEF\xBB\xBF", /* U+FEFF byte order mark */
	};

	for (size_t i = 0; i < COUNT_OF(nothings); i++) {
		if (str_is(character, str_of(nothings[i])))
			return true;
	}
	return false;
}

static void squeeze_character(struct squeezer *squeezer, struct str character)
{
	unsigned char c = (unsigned char)character.at[0];
	bool is_usual = c > ' ' && c < 0x7F; /* most often: nothing has to be looked up */

	if (!is_usual && is_blank(character))
		squeezer->has_blank = true;
	else if (is_usual || !is_nothing(character))
		squeeze(squeezer, character);
}

static void squeeze_plain(struct squeezer *squeezer, struct str text)
{
	struct scan scan = scan_of(text);

	while (!scan_at_end(&scan) && !squeezer->is_full)
		squeeze_character(squeezer, take_character(&scan));
}

/* ---- HTML: not understood, only stripped ---- */

static bool is_tag_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

static bool is_one_of(struct str name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (str_is_nocase(name, str_of(names[i])))
			return true;
	}
	return false;
}

/* Elements whose content is no text for people. */
static bool is_hidden(struct str name)
{
	static const char *const names[] = { "style", "script", "title", "head" };

	return is_one_of(name, names, COUNT_OF(names));
}

static bool is_inline(struct str name)
{
	static const char *const names[] = { "a",    "b",     "i",      "u",    "em",
					     "font", "small", "strong", "span", "sup" };

	return is_one_of(name, names, COUNT_OF(names));
}

/* Past a comment or a tag; its name, with is_end for "</name>". */
static struct str take_tag(struct scan *scan, bool *is_end)
{
	struct str name;
	size_t end;

	if (str_starts(scan_rest(scan), S("<!--"))) {
		end = str_find_str(scan_rest(scan), S("-->"));
		scan->at = end == STR_NONE ? scan->end : scan->at + end + 3;
		*is_end = false;
		return S("!--");
	}
	take_char(scan, '<');
	*is_end = take_char(scan, '/');
	name = take_while(scan, is_tag_octet);
	while (!scan_at_end(scan) && *scan->at != '>') {
		if (*scan->at == '"' && str_find(str_from(scan_rest(scan), 1), '"') == STR_NONE)
			break; /* a quote without end must not be looked for twice */
		if (*scan->at == '"')
			scan->at += 1 + str_find(str_from(scan_rest(scan), 1), '"');
		scan->at++;
	}
	if (!take_char(scan, '>'))
		scan->at = scan->end;
	return name;
}

/* Past the end tag of this element, or of all there is. */
static void skip_element(struct scan *scan, struct str name)
{
	while (!scan_at_end(scan)) {
		struct str text;
		bool is_end;

		if (!take_until(scan, '<', &text)) {
			scan->at = scan->end;
			return;
		}
		scan->at--;
		if (scan_rest(scan).len > 1 && scan->at[1] != '/' && scan->at[1] != '!') {
			scan->at++; /* "a < b" of a script */
			continue;
		}
		if (str_is_nocase(take_tag(scan, &is_end), name) && is_end)
			return;
	}
}

static size_t utf8_put(uint64_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

static uint64_t code_of_name(struct str name)
{
	static const struct {
		const char *name;
		unsigned code;
	} names[] = {
		{ "amp", '&' },      { "lt", '<' },       { "gt", '>' },        { "quot", '"' },
		{ "apos", '\'' },    { "nbsp", 0xA0 },    { "copy", 0xA9 },     { "eacute", 0xE9 },
		{ "auml", 0xE4 },    { "ouml", 0xF6 },    { "uuml", 0xFC },     { "szlig", 0xDF },
		{ "ndash", 0x2013 }, { "mdash", 0x2014 }, { "hellip", 0x2026 }, { "rsquo", 0x2019 },
		{ "lsquo", 0x2018 }, { "ldquo", 0x201C }, { "rdquo", 0x201D },  { "zwnj", 0x200C },
		{ "euro", 0x20AC },
	};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (str_is(name, str_of(names[i].name)))
			return names[i].code;
	}
	return 0;
}

static uint64_t code_of_number(struct str digits)
{
	uint64_t code = 0;

	if (digits.len < 2 || ascii_lower((unsigned char)digits.at[0]) != 'x')
		return str_to_u64(digits, 0x10FFFF, &code) ? code : 0;
	for (size_t i = 1; i < digits.len; i++) {
		unsigned char c = ascii_lower((unsigned char)digits.at[i]);

		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return 0;
		code = code * 16 + (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return code <= 0x10FFFF ? code : 0;
}

/* "&name;" or "&#number;"; anything else is the ampersand itself. */
static void squeeze_entity(struct squeezer *squeezer, struct scan *scan)
{
	struct str ahead = str_first(str_from(scan_rest(scan), 1), ENTITY_NAME);
	size_t end = str_find(ahead, ';');
	struct str name = str_first(ahead, end);
	uint64_t code = 0;
	char text[4];

	if (end != STR_NONE && end > 1)
		code = name.at[0] == '#' ? code_of_number(str_from(name, 1)) : code_of_name(name);
	if (code == 0 || (code >= 0xD800 && code < 0xE000)) {
		squeeze_character(squeezer, take_character(scan));
		return;
	}
	scan->at += 1 + end + 1;
	squeeze_character(squeezer, (struct str){ text, utf8_put(code, text) });
}

static void squeeze_html(struct squeezer *squeezer, struct str text)
{
	struct scan scan = scan_of(text);

	while (!scan_at_end(&scan) && !squeezer->is_full) {
		bool is_end = false;
		struct str name;

		if (*scan.at == '&') {
			squeeze_entity(squeezer, &scan);
			continue;
		}
		if (*scan.at != '<') {
			squeeze_character(squeezer, take_character(&scan));
			continue;
		}
		name = take_tag(&scan, &is_end);
		if (!is_end && is_hidden(name))
			skip_element(&scan, name);
		squeezer->has_blank = squeezer->has_blank || !is_inline(name);
	}
}

/* ---- which part ---- */

/* The first leaf of that type that is shown and does not lie in a message inside this one. */
static const struct mime_part *text_part(struct arena *arena, const struct mime *mime,
					 struct str subtype)
{
	bool *is_inside = NEW_ARRAY(arena, bool, mime->count);

	for (size_t i = 0; i < mime->count; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (part->parent != MIME_NO_PARENT)
			is_inside[i] = is_inside[part->parent] ||
				       mime->parts[part->parent].kind == MIME_MESSAGE;
		if (!is_inside[i] && part->kind == MIME_LEAF && str_is(part->type, S("text")) &&
		    str_is(part->subtype, subtype) && !str_is(part->disposition, S("attachment")))
			return part;
	}
	return NULL;
}

struct str mime_preview(struct arena *arena, const struct mime *mime, size_t max)
{
	const struct mime_part *part = text_part(arena, mime, S("plain"));
	bool is_html = !part;
	struct squeezer squeezer = { .max = max };
	struct str charset;
	struct str text;

	if (is_html)
		part = text_part(arena, mime, S("html"));
	if (!part)
		return (struct str){ 0 };
	text = transfer_decode_all(arena, part->encoding,
				   str_first(mime_part_body(mime, part), 4 * DECODED_MAX),
				   DECODED_MAX);
	charset = parameters_find(&part->parameters, S("charset"), NULL);
	charset_to_utf8(arena, charset, text, DECODED_MAX, &text);
	squeezer.out = arena_take(arena, max + 1);
	if (is_html)
		squeeze_html(&squeezer, text);
	else
		squeeze_plain(&squeezer, text);
	return (struct str){ squeezer.out, squeezer.len };
}
