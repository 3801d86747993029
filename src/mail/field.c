/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

static struct str between(const char *from, const char *to)
{
	return (struct str){ from, (size_t)(to - from) };
}

/* Past the next LF, or to the end. */
static const char *line_end(const char *at, const char *end)
{
	const char *lf = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

	return lf ? lf + 1 : end;
}

static bool is_empty_line(const char *at, const char *end)
{
	return at < end && (*at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n'));
}

size_t header_end(struct str message)
{
	struct scan scan = scan_of(message);

	while (!scan_at_end(&scan)) {
		bool is_last = is_empty_line(scan.at, scan.end);

		scan.at = line_end(scan.at, scan.end);
		if (is_last)
			break;
	}
	return message.len - (size_t)(scan.end - scan.at);
}

/* rfc5322 3.6.8 ftext: any printable ASCII but the colon; "From joe" of an mbox line is no name. */
static bool is_field_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] <= ' ' || name.at[i] > '~')
			return false;
	}
	return name.len > 0;
}

bool take_field(struct scan *header, struct field *out)
{
	const char *from = header->at;
	const char *at;
	size_t colon;
	struct str first;

	if (from == header->end || is_empty_line(from, header->end))
		return false;
	at = line_end(from, header->end);
	first = between(from, at);
	while (at < header->end && (*at == ' ' || *at == '\t')) /* rfc5322 2.2.3 */
		at = line_end(at, header->end);
	out->whole = between(from, at);
	colon = *from == ' ' || *from == '\t' ? STR_NONE : str_find(first, ':');
	/* rfc5322 4.5: blanks before the colon are obsolete, not an error. */
	out->name = colon == STR_NONE ? (struct str){ 0 } : str_trim(str_first(first, colon));
	if (!is_field_name(out->name))
		out->name = (struct str){ 0 };
	out->value = out->name.len ? str_from(out->whole, colon + 1) : out->whole;
	header->at = at;
	return true;
}

bool field_find(struct str header, struct str name, struct field *out)
{
	struct scan scan = scan_of(header);
	struct field field;

	for (size_t i = 0; i < LIMIT_header_fields && take_field(&scan, &field); i++) {
		if (str_is_nocase(field.name, name)) {
			*out = field;
			return true;
		}
	}
	return false;
}

size_t field_count(struct str header, struct str name)
{
	struct scan scan = scan_of(header);
	struct field field;
	size_t count = 0;

	for (size_t i = 0; i < LIMIT_header_fields && take_field(&scan, &field); i++)
		count += str_is_nocase(field.name, name);
	return count;
}

struct str field_unfold(struct arena *arena, struct str value)
{
	char *text = arena_take(arena, value.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];
		bool is_fold =
			c == '\n' || (c == '\r' && i + 1 < value.len && value.at[i + 1] == '\n');

		if (is_fold)
			continue;
		text[len++] = c < ' ' || c == 0x7F ? ' ' : (char)c;
	}
	return str_trim((struct str){ text, len });
}

/* rfc5322 3.2.2: comments nest, so the depth is counted. An open one ends with the text. */
static void skip_comment(struct scan *scan)
{
	size_t depth = 0;

	do {
		char c = *scan->at++;

		if (c == '\\' && !scan_at_end(scan))
			scan->at++;
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
	} while (depth > 0 && !scan_at_end(scan));
}

void skip_cfws(struct scan *scan)
{
	for (;;) {
		int c = scan_peek(scan);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			scan->at++;
		else if (c == '(')
			skip_comment(scan);
		else
			return;
	}
}
