/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

/*
 * What is written grows at three places, each as long as the value at most: words joined by
 * spaces (a display name), words joined by nothing (a local part), and domains.
 */
struct writer {
	char *at;
	char *start; /* of the text being written */
};

struct list_parser {
	struct arena *arena;
	struct scan scan;
	struct mailbox_list *list;
	size_t room;
	size_t max;
	struct writer phrase;
	struct writer local;
	struct writer domain;
	struct str comment; /* the last one in this entry: "joe@example (Joe)" */
	bool in_group;
};

static void writer_init(struct writer *writer, struct arena *arena, size_t room)
{
	writer->at = writer->start = arena_take(arena, room);
}

static void writer_add(struct writer *writer, struct str s)
{
	if (s.len)
		memcpy(writer->at, s.at, s.len);
	writer->at += s.len;
}

static size_t writer_len(const struct writer *writer)
{
	return (size_t)(writer->at - writer->start);
}

/* What was written since the last end. */
static struct str writer_end(struct writer *writer)
{
	struct str s = { writer->start, writer_len(writer) };

	writer->start = writer->at;
	return s;
}

/* rfc5322 3.2.3, with the dot (obs-phrase) and octets beyond ASCII. */
static bool is_atom_octet(unsigned char c)
{
	return c > ' ' && c != 0x7F && !strchr("()<>[]:;@\\,\"", c);
}

static bool is_literal_octet(unsigned char c)
{
	return c > ' ' && c != 0x7F && c != '[' && c != ']' && c != '\\';
}

/* Blanks and comments; the text of the last comment is kept. */
static void skip_to_token(struct list_parser *parser)
{
	struct scan *scan = &parser->scan;

	for (;;) {
		const char *from = scan->at;
		int c = scan_peek(scan);

		if (c != '(' && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return;
		if (c != '(') {
			scan->at++;
			continue;
		}
		skip_cfws(scan); /* the comment, and what blanks and comments follow */
		parser->comment = (struct str){ from, (size_t)(scan->at - from) };
	}
}

static bool take_list_word(struct list_parser *parser, struct str *out)
{
	if (take_quoted_string(parser->arena, &parser->scan, out))
		return true;
	*out = take_while(&parser->scan, is_atom_octet);
	return out->len > 0;
}

static void list_add(struct list_parser *parser, struct list_entry entry)
{
	struct mailbox_list *list = parser->list;

	if (list->count == parser->max) {
		list->is_cut = true;
		return;
	}
	if (list->count == parser->room) {
		size_t room = parser->room ? 2 * parser->room : 4;
		struct list_entry *entries = NEW_ARRAY(parser->arena, struct list_entry, room);

		if (list->count)
			memcpy(entries, list->entries, list->count * sizeof(*entries));
		list->entries = entries;
		parser->room = room;
	}
	list->entries[list->count++] = entry;
}

/* rfc5322 3.4.1 domain, blanks and comments between its labels too (obs-domain). */
static struct str take_list_domain(struct list_parser *parser)
{
	struct scan *scan = &parser->scan;

	skip_to_token(parser);
	if (scan_peek(scan) == '[') {
		const char *from = scan->at++;

		take_while(scan, is_literal_octet);
		take_char(scan, ']');
		writer_add(&parser->domain, (struct str){ from, (size_t)(scan->at - from) });
		return writer_end(&parser->domain);
	}
	for (;;) {
		struct str label = take_while(scan, is_atom_octet);
		bool ends_with_dot = label.len && label.at[label.len - 1] == '.';

		writer_add(&parser->domain, label);
		skip_to_token(parser);
		if (!label.len || (!ends_with_dot && scan_peek(scan) != '.'))
			return writer_end(&parser->domain);
	}
}

/* rfc5322 4.4 obs-route: *("," / "@domain") ":" */
static struct str take_route(struct list_parser *parser)
{
	struct scan *scan = &parser->scan;
	char *start = parser->domain.at;

	for (;;) {
		skip_to_token(parser);
		if (take_char(scan, ',')) {
			writer_add(&parser->domain, S(","));
		} else if (take_char(scan, '@')) {
			writer_add(&parser->domain, S("@"));
			(void)take_list_domain(parser);
		} else {
			break;
		}
	}
	if (!take_char(scan, ':'))
		parser->list->has_errors = true;
	parser->domain.start = parser->domain.at;
	return (struct str){ start, (size_t)(parser->domain.at - start) };
}

/* Behind "<": the address, and up to and past ">". */
static void take_angle(struct list_parser *parser, struct list_entry *entry)
{
	struct scan *scan = &parser->scan;
	struct str word;

	skip_to_token(parser);
	if (scan_peek(scan) == '@')
		entry->route = take_route(parser);
	parser->local.start = parser->local.at;
	for (;;) {
		skip_to_token(parser);
		if (!take_list_word(parser, &word))
			break;
		writer_add(&parser->local, word);
	}
	entry->local = writer_end(&parser->local);
	if (take_char(scan, '@'))
		entry->domain = take_list_domain(parser);
	else
		parser->list->has_errors = true;
	skip_to_token(parser);
	if (take_char(scan, '>'))
		return;
	parser->list->has_errors = true;
	while (!scan_at_end(scan) && *scan->at != ',' && *scan->at != '>' && *scan->at != ';')
		scan->at++;
	take_char(scan, '>');
}

/* Words up to something that is none: they are a display name, a group's name or a local part. */
static void take_words(struct list_parser *parser)
{
	struct str word;

	for (;;) {
		skip_to_token(parser);
		if (!take_list_word(parser, &word))
			return;
		if (writer_len(&parser->phrase))
			writer_add(&parser->phrase, S(" "));
		writer_add(&parser->phrase, word);
		writer_add(&parser->local, word);
	}
}

static struct str comment_text(struct arena *arena, struct str comment)
{
	comment = str_trim(field_unfold(arena, comment));
	if (comment.len >= 2 && comment.at[comment.len - 1] == ')')
		comment = (struct str){ comment.at + 1, comment.len - 2 };
	return str_trim(comment);
}

/* An entry that has words or an address goes into the list. */
static void entry_done(struct list_parser *parser, struct list_entry entry, bool is_angle)
{
	if (!entry.local.len && !entry.domain.len && !entry.name.len && !is_angle)
		return;
	if (!is_angle && !entry.name.len && parser->comment.len)
		entry.name = comment_text(parser->arena, parser->comment);
	if (!entry.domain.len)
		parser->list->has_errors = true;
	list_add(parser, entry);
}

static void take_entry(struct list_parser *parser)
{
	struct scan *scan = &parser->scan;
	struct list_entry entry = { .kind = LIST_MAILBOX };
	bool is_angle = false;
	struct str words;

	parser->comment = (struct str){ 0 };
	take_words(parser);
	words = writer_end(&parser->phrase);
	if (take_char(scan, ':')) { /* rfc5322 3.4 group */
		parser->local.start = parser->local.at;
		parser->in_group = true;
		list_add(parser, (struct list_entry){ .kind = LIST_GROUP, .name = words });
		return;
	}
	is_angle = take_char(scan, '<');
	if (is_angle) {
		entry.name = words;
		take_angle(parser, &entry);
	} else {
		entry.local = writer_end(&parser->local);
		if (take_char(scan, '@'))
			entry.domain = take_list_domain(parser);
	}
	skip_to_token(parser);
	entry_done(parser, entry, is_angle);
	if (!scan_at_end(scan) && *scan->at != ',' && *scan->at != ';')
		parser->list->has_errors = true;
	while (!scan_at_end(scan) && *scan->at != ',' && *scan->at != ';')
		scan->at++; /* what still stands here belongs to nothing */
}

static void end_group(struct list_parser *parser)
{
	if (!parser->in_group)
		return;
	parser->in_group = false;
	list_add(parser, (struct list_entry){ .kind = LIST_GROUP_END });
}

void mailbox_list_parse(struct arena *arena, struct str value, size_t max, struct mailbox_list *out)
{
	struct list_parser parser = {
		.arena = arena, .scan = scan_of(value), .list = out, .max = max
	};

	*out = (struct mailbox_list){ 0 };
	writer_init(&parser.phrase, arena, 2 * value.len + 1);
	writer_init(&parser.local, arena, value.len + 1);
	writer_init(&parser.domain, arena, value.len + 1);
	while (!scan_at_end(&parser.scan) && !out->is_cut) {
		take_entry(&parser);
		if (take_char(&parser.scan, ';'))
			end_group(&parser);
		else
			take_char(&parser.scan, ',');
	}
	end_group(&parser);
}

static bool needs_quotes(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (memchr("<>@,;:\"\\", name.at[i], 8))
			return true;
	}
	return false;
}

static void show_name(struct arena *arena, struct buf *out, struct str name, size_t max)
{
	name = words_decode(arena, name, max);
	if (!needs_quotes(name)) {
		buf_add(out, name);
		return;
	}
	buf_add_char(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] == '"' || name.at[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, name.at[i]);
	}
	buf_add_char(out, '"');
}

static void show_mailbox(struct arena *arena, struct buf *out, const struct list_entry *entry,
			 size_t max)
{
	if (entry->name.len) {
		show_name(arena, out, entry->name, max);
		buf_add_c(out, " <");
	}
	buf_add(out, text_clean(arena, local_part_print(arena, entry->local), max));
	if (entry->domain.len) {
		buf_add_char(out, '@');
		buf_add(out, text_clean(arena, entry->domain, max));
	}
	if (entry->name.len)
		buf_add_char(out, '>');
}

struct str mailbox_list_show(struct arena *arena, const struct mailbox_list *list, size_t max)
{
	OWNED(buf) struct buf out = BUF(8 * max + 1024);
	const char *separator = "";

	/* Names longer than all there is room for are cut at the end, with the rest. */
	size_t name_max = max + 8;

	for (size_t i = 0; i < list->count && out.len <= max; i++) {
		const struct list_entry *entry = &list->entries[i];

		if (entry->kind == LIST_GROUP_END) {
			buf_add_char(&out, ';');
			separator = ", ";
			continue;
		}
		buf_add_c(&out, separator);
		separator = entry->kind == LIST_GROUP ? " " : ", ";
		if (entry->kind == LIST_GROUP) {
			show_name(arena, &out, entry->name, name_max);
			buf_add_char(&out, ':');
		} else {
			show_mailbox(arena, &out, entry, name_max);
		}
	}
	return str_dup(arena, utf8_first(utf8_repair(arena, buf_str(&out), out.len), max));
}

/* The angle brackets and what is between them, blanks and controls gone. */
static struct str message_id_text(struct arena *arena, struct str inside)
{
	char *text = arena_take(arena, inside.len + 2);
	size_t len = 0;

	text[len++] = '<';
	for (size_t i = 0; i < inside.len; i++) {
		if ((unsigned char)inside.at[i] > ' ' && inside.at[i] != 0x7F)
			text[len++] = inside.at[i];
	}
	text[len++] = '>';
	return (struct str){ text, len };
}

bool take_message_id(struct arena *arena, struct scan *scan, struct str *out)
{
	struct scan at = *scan;
	struct str inside;

	for (;;) {
		skip_cfws(&at);
		if (scan_at_end(&at))
			return false;
		if (!take_char(&at, '<')) {
			at.at++;
			continue;
		}
		if (!take_until(&at, '>', &inside))
			return false;
		/* "<a <b@c>": the innermost bracket starts it. */
		inside = str_from(inside, str_find_last(inside, '<') + 1);
		if (inside.len == 0)
			continue;
		*out = message_id_text(arena, inside);
		*scan = at;
		return true;
	}
}
