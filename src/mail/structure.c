/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <inttypes.h>

/*
 * A line that grows past LINE_SOFT takes no further list items, a string past STRING_MAX no
 * further octets; so one line stays well below half of what there is for all of them.
 */
enum {
	LINE_SOFT = 12'000,
	LINE_HARD = 40'000,
	STRING_MAX = 1000,
	LIST_MAX = 200, /* addresses of one list */
	CUT_LINE = 6,   /* "(cut)" and its line end */
};

/* Printable ASCII as it is; quote and backslash behind a backslash, the rest as \xNN. */
static void add_string(struct buf *line, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t end;
	size_t i = 0;

	buf_add_char(line, '"');
	end = line->len + STRING_MAX;
	for (; i < s.len && line->len < end; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < ' ' || c >= 0x7F) {
			const char escape[] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

			buf_add(line, (struct str){ escape, sizeof(escape) });
			continue;
		}
		if (c == '"' || c == '\\')
			buf_add_char(line, '\\');
		buf_add_char(line, (char)c);
	}
	buf_add_char(line, '"');
	if (i < s.len)
		buf_add_char(line, '+');
}

/* A string, or NIL for one that was not there. */
static void add_nstring(struct buf *line, struct str s)
{
	buf_add_char(line, ' ');
	if (s.len)
		add_string(line, s);
	else
		buf_add_c(line, "NIL");
}

static void add_parameters(struct buf *line, const struct parameters *parameters)
{
	bool is_cut = parameters->is_cut;

	buf_add_c(line, " (");
	for (size_t i = 0; i < parameters->count; i++) {
		if (line->len > LINE_SOFT) {
			is_cut = true;
			break;
		}
		if (i > 0)
			buf_add_char(line, ' ');
		add_string(line, parameters->items[i].name);
		buf_add_char(line, ' ');
		add_string(line, parameters->items[i].value);
	}
	if (is_cut)
		buf_add_c(line, " cut");
	buf_add_char(line, ')');
}

static void part_line(struct buf *line, const struct mime_part *part)
{
	static const char *const kinds[] = {
		[MIME_LEAF] = "leaf", [MIME_MULTIPART] = "multipart", [MIME_MESSAGE] = "message"
	};

	buf_add_c(line, "(part ");
	if (part->parent == MIME_NO_PARENT)
		buf_add_c(line, "NIL");
	else
		buf_print(line, "%" PRIu32, part->parent);
	buf_print(line, " %s %zu %zu %zu %zu ", part->is_cut ? "cut" : kinds[part->kind],
		  part->header_at, part->body_at, part->body_len, part->lines);
	add_string(line, part->type);
	buf_add_char(line, ' ');
	add_string(line, part->subtype);
	add_parameters(line, &part->parameters);
	add_nstring(line, part->encoding_text);
	add_nstring(line, part->id);
	add_nstring(line, part->description);
	add_nstring(line, part->disposition);
	add_parameters(line, &part->disposition_parameters);
	add_nstring(line, part->language);
	add_nstring(line, part->location);
	add_nstring(line, part->md5);
	buf_add_c(line, ")\n");
}

static void add_entry(struct buf *line, const struct list_entry *entry)
{
	switch (entry->kind) {
	case LIST_GROUP:
		buf_add_c(line, "(group");
		add_nstring(line, entry->name);
		break;
	case LIST_GROUP_END:
		buf_add_c(line, "(group-end");
		break;
	case LIST_MAILBOX:
		buf_add_c(line, "(mailbox");
		add_nstring(line, entry->name);
		add_nstring(line, entry->route);
		add_nstring(line, entry->local);
		add_nstring(line, entry->domain);
		break;
	}
	buf_add_char(line, ')');
}

/* The fields of one header that an envelope is made of: the first of each name. */
enum envelope_field { DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID };

static const char *const envelope_names[] = {
	[DATE] = "Date",
	[SUBJECT] = "Subject",
	[FROM] = "From",
	[SENDER] = "Sender",
	[REPLY_TO] = "Reply-To",
	[TO] = "To",
	[CC] = "Cc",
	[BCC] = "Bcc",
	[IN_REPLY_TO] = "In-Reply-To",
	[MESSAGE_ID] = "Message-ID",
};

struct envelope_fields {
	struct str values[COUNT_OF(envelope_names)];
	bool has[COUNT_OF(envelope_names)];
};

static void envelope_collect(struct str header, struct envelope_fields *out)
{
	struct scan scan = scan_of(header);
	struct field field;

	*out = (struct envelope_fields){ 0 };
	for (size_t i = 0; i < LIMIT_header_fields && take_field(&scan, &field); i++) {
		for (size_t n = 0; n < COUNT_OF(envelope_names); n++) {
			if (out->has[n] || !str_is_nocase(field.name, str_of(envelope_names[n])))
				continue;
			out->has[n] = true;
			out->values[n] = field.value;
		}
	}
}

static void add_addresses(struct arena *arena, struct buf *line, struct str value)
{
	struct mailbox_list list;
	size_t i = 0;

	mailbox_list_parse(arena, value, LIST_MAX, &list);
	buf_add_c(line, " (");
	for (; i < list.count && line->len <= LINE_SOFT; i++) {
		if (i > 0)
			buf_add_char(line, ' ');
		add_entry(line, &list.entries[i]);
	}
	if (list.is_cut || i < list.count)
		buf_add_c(line, " cut");
	buf_add_char(line, ')');
}

static void envelope_line(struct arena *arena, struct buf *line, size_t index, struct str header)
{
	struct envelope_fields fields;

	envelope_collect(header, &fields);
	buf_print(line, "(envelope %zu", index);
	add_nstring(line, field_unfold(arena, fields.values[DATE]));
	add_nstring(line, field_unfold(arena, fields.values[SUBJECT]));
	for (size_t n = FROM; n <= BCC; n++)
		add_addresses(arena, line, fields.values[n]);
	add_nstring(line, field_unfold(arena, fields.values[IN_REPLY_TO]));
	add_nstring(line, field_unfold(arena, fields.values[MESSAGE_ID]));
	buf_add_c(line, ")\n");
}

/* false when there is no room for it any more. */
static bool add_line(struct buf *out, const struct buf *line)
{
	if (line->failed || line->len > out->max - CUT_LINE - out->len)
		return false;
	return buf_add(out, buf_str(line)) == OK;
}

static bool has_envelope(const struct mime *mime, const struct mime_part *part)
{
	return part->parent == MIME_NO_PARENT || mime->parts[part->parent].kind == MIME_MESSAGE;
}

struct str mime_structure_print(struct arena *arena, const struct mime *mime)
{
	OWNED(buf) struct buf out = BUF(LIMIT_structure_octets);
	OWNED(buf) struct buf line = BUF(LINE_HARD);
	bool fits = true;

	buf_print(&out, "(structure 1 %zu %zu %zu ", mime->message.len, mime->count, mime->depth);
	add_string(&out, mime_oddities_print(arena, mime->oddities));
	buf_add_c(&out, ")\n");
	for (size_t i = 0; i < mime->count && fits; i++) {
		const struct mime_part *part = &mime->parts[i];

		buf_reset(&line);
		part_line(&line, part);
		fits = add_line(&out, &line);
		if (!fits || !has_envelope(mime, part))
			continue;
		buf_reset(&line);
		envelope_line(arena, &line, i, mime_part_header(mime, part));
		fits = add_line(&out, &line);
	}
	if (!fits)
		buf_add_c(&out, "(cut)\n");
	return str_dup(arena, buf_str(&out));
}
