/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

/* One "name*1*=value" as it stands (rfc2231 7). */
struct segment {
	struct str name;
	int index;        /* of a continuation; -1 when it is none */
	bool is_extended; /* percent-encoded */
	bool is_joined;   /* already part of a parameter */
	struct str value;
};

struct segments {
	struct segment *at;
	size_t count;
	size_t room;
};

/* Grows by doubling: most fields have one parameter, and a message has many fields. */
static void segments_add(struct arena *arena, struct segments *segments, struct segment segment)
{
	if (segments->count == segments->room) {
		size_t room = segments->room ? 2 * segments->room : 2;
		struct segment *at = NEW_ARRAY(arena, struct segment, room);

		if (segments->count)
			memcpy(at, segments->at, segments->count * sizeof(*at));
		segments->at = at;
		segments->room = room;
	}
	segments->at[segments->count++] = segment;
}

/* rfc2045 5.1; octets beyond ASCII are let through, as file names come with them. */
static bool is_token_octet(unsigned char c)
{
	return c > ' ' && c != 0x7F && !strchr("()<>@,;:\\\"/[]?=", c);
}

bool take_token(struct scan *scan, struct str *out)
{
	struct str token = take_while(scan, is_token_octet);

	if (token.len == 0)
		return false;
	*out = token;
	return true;
}

bool take_quoted_string(struct arena *arena, struct scan *scan, struct str *out)
{
	const char *end;
	char *text;
	size_t len = 0;

	if (!take_char(scan, '"'))
		return false;
	for (end = scan->at; end < scan->end && *end != '"'; end++) {
		if (*end == '\\' && end + 1 < scan->end)
			end++;
	}
	text = arena_take(arena, (size_t)(end - scan->at) + 1);
	for (; scan->at < end; scan->at++) {
		if (*scan->at == '\r' || *scan->at == '\n')
			continue; /* rfc5322 3.2.4: folding is no part of it */
		if (*scan->at == '\\' && scan->at + 1 < end)
			scan->at++;
		text[len++] = (unsigned char)*scan->at < ' ' ? ' ' : *scan->at;
	}
	take_char(scan, '"');
	*out = (struct str){ text, len };
	return true;
}

static bool is_loose_octet(unsigned char c)
{
	return c > ' ' && c != ';' && c != '"' && c != 0x7F;
}

static bool is_no_semicolon(unsigned char c)
{
	return c != ';';
}

/* "filename*0*" is the name, the number and whether the value is percent-encoded. */
static void name_split(struct arena *arena, struct str written, struct segment *out)
{
	struct str name = written;
	size_t star = str_find(name, '*');
	struct str tail = star == STR_NONE ? (struct str){ 0 } : str_from(name, star + 1);
	uint64_t index;

	out->index = -1;
	out->is_extended = star != STR_NONE && (tail.len == 0 || tail.at[tail.len - 1] == '*');
	if (tail.len && out->is_extended)
		tail.len--;
	if (star != STR_NONE &&
	    (tail.len == 0 || str_to_u64(tail, LIMIT_mime_parameters, &index))) {
		out->index = tail.len ? (int)index : -1;
		name = str_first(name, star);
	} else {
		out->is_extended = false;
	}
	out->name = str_lower(arena, name);
}

/* One "; name=value"; false when it is none, with the cursor at the next ";" or the end. */
static bool take_segment(struct arena *arena, struct scan *scan, struct segment *out)
{
	struct str name;
	bool is_good = false;

	*out = (struct segment){ 0 };
	skip_cfws(scan);
	if (take_token(scan, &name)) {
		name_split(arena, name, out);
		skip_cfws(scan);
		is_good = take_char(scan, '=');
	}
	if (is_good) {
		skip_cfws(scan);
		if (!take_quoted_string(arena, scan, &out->value))
			out->value = take_while(scan, is_loose_octet);
		skip_cfws(scan);
	}
	take_while(scan, is_no_semicolon);
	return is_good;
}

static size_t percent_decode(struct str text, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int octet = text.at[i] == '%' ? hex_octet(str_from(text, i + 1)) : -1;

		out[len++] = octet < 0 ? text.at[i] : (char)octet;
		if (octet >= 0)
			i += 2;
	}
	return len;
}

/* rfc2231 4: charset'language'text, in the first piece alone. */
static struct str take_charset(struct str *value)
{
	size_t first = str_find(*value, '\'');
	size_t second = first == STR_NONE ? STR_NONE : str_find(str_from(*value, first + 1), '\'');
	struct str charset;

	if (second == STR_NONE)
		return (struct str){ 0 };
	charset = str_first(*value, first);
	*value = str_from(*value, first + 1 + second + 1);
	return charset;
}

/* Joins all pieces of the parameter that segments[first] belongs to. */
static struct str join(struct arena *arena, struct segments *segments, size_t first)
{
	struct segment *pieces[LIMIT_mime_parameters + 1] = { 0 };
	struct str charset = { 0 };
	struct str text;
	size_t len = 0;
	char *out;

	for (size_t i = first; i < segments->count; i++) {
		struct segment *piece = &segments->at[i];
		int index = piece->index < 0 ? 0 : piece->index;

		if (!str_is(piece->name, segments->at[first].name) ||
		    (piece->index < 0 && !piece->is_extended))
			continue;
		piece->is_joined = true;
		len += piece->value.len;
		if (!pieces[index])
			pieces[index] = piece;
	}
	out = arena_take(arena, len + 1);
	len = 0;
	for (size_t i = 0; i < COUNT_OF(pieces) && pieces[i]; i++) {
		struct str value = pieces[i]->value;

		if (i == 0 && pieces[i]->is_extended)
			charset = take_charset(&value);
		if (pieces[i]->is_extended)
			len += percent_decode(value, out + len);
		else if (value.len)
			len += (size_t)((char *)mempcpy(out + len, value.at, value.len) -
					(out + len));
	}
	charset_to_utf8(arena, charset, (struct str){ out, len }, 3 * len, &text);
	return text;
}

static void parameters_build(struct arena *arena, struct segments *segments, struct parameters *out)
{
	out->items = NEW_ARRAY(arena, struct parameter, segments->count);
	/* The joined ones first: "filename*" outranks a "filename" beside it (rfc6266 4.3). */
	for (size_t i = 0; i < segments->count; i++) {
		struct segment *segment = &segments->at[i];

		if (segment->is_joined || (segment->index < 0 && !segment->is_extended))
			continue;
		out->items[out->count++] =
			(struct parameter){ segment->name, join(arena, segments, i) };
	}
	for (size_t i = 0; i < segments->count; i++) {
		struct segment *segment = &segments->at[i];

		if (!segment->is_joined)
			out->items[out->count++] =
				(struct parameter){ segment->name, segment->value };
	}
}

void parameters_parse(struct arena *arena, struct scan *scan, struct parameters *out)
{
	struct segments segments = { 0 };
	struct segment segment;

	*out = (struct parameters){ 0 };
	for (;;) {
		skip_cfws(scan);
		if (!take_char(scan, ';'))
			break;
		if (!take_segment(arena, scan, &segment))
			continue;
		if (segments.count == LIMIT_mime_parameters) {
			out->is_cut = true;
			break;
		}
		segments_add(arena, &segments, segment);
	}
	if (segments.count)
		parameters_build(arena, &segments, out);
}

struct str parameters_find(const struct parameters *parameters, struct str name, bool *found)
{
	for (size_t i = 0; i < parameters->count; i++) {
		if (!str_is_nocase(parameters->items[i].name, name))
			continue;
		if (found)
			*found = true;
		return parameters->items[i].value;
	}
	if (found)
		*found = false;
	return (struct str){ 0 };
}
