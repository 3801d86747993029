/* SPDX-License-Identifier: Apache-2.0 */
/* The list of sessions: those that were kept, and those that come while we watch. */
#include "cli/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void seen_list_done(struct seen_list *list)
{
	free(list->at);
	*list = (struct seen_list){ 0 };
}

/* What is new is looked for most, and stands at the end. */
struct seen *seen_find(const struct seen_list *list, uint64_t id)
{
	for (size_t i = list->count; i-- > 0;)
		if (list->at[i].id == id)
			return &list->at[i];
	return NULL;
}

/* The oldest that has ended; the oldest of all when all are open. */
static void forget_one(struct seen_list *list)
{
	size_t which = 0;

	while (which < list->count && list->at[which].is_open)
		which++;
	if (which == list->count)
		which = 0;
	list->count--;
	memmove(&list->at[which], &list->at[which + 1], (list->count - which) * sizeof list->at[0]);
}

/* By their beginning: rows and events may come in another order. */
static struct seen *add(struct seen_list *list, uint64_t id, int64_t start_us)
{
	size_t place;

	if (list->count == SESSIONS_MAX)
		forget_one(list);
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 256;
		list->at = realloc(list->at, list->room * sizeof list->at[0]);
		must(list->at);
	}
	place = list->count;
	while (place > 0 && list->at[place - 1].start_us > start_us)
		place--;
	memmove(&list->at[place + 1], &list->at[place], (list->count - place) * sizeof list->at[0]);
	list->count++;
	list->at[place] = (struct seen){ .id = id, .start_us = start_us, .is_open = true };
	return &list->at[place];
}

/* Made harmless once, here, and cut between characters. */
static void keep(char *place, size_t room, struct str text)
{
	OWNED(buf) struct buf harmless = BUF(8192);
	size_t len;

	trace_add_harmless(&harmless, str_first(text, 500), false);
	len = harmless.len < room - 1 ? harmless.len : room - 1;
	while (len > 0 && len < harmless.len && ((unsigned char)harmless.at[len] & 0xC0) == 0x80)
		len--;
	if (len)
		memcpy(place, harmless.at, len);
	place[len] = '\0';
}

#define KEEP(place, text) keep((place), sizeof(place), (text))

/* "2026-11-22T06:00:00.123456Z" */
static int64_t moment_of(struct str text)
{
	struct tm tm = { 0 };
	char copy[40];
	const char *rest;
	uint64_t us = 0;

	snprintf(copy, sizeof copy, "%.*s", STR_ARGS(text));
	rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return 0;
	if (rest[0] == '.')
		(void)str_to_u64(str_first(str_of(rest + 1), 6), 999999, &us);
	return (int64_t)timegm(&tm) * 1000000 + (int64_t)us;
}

void seen_add_row(struct seen_list *list, const json_t *row)
{
	struct seen *seen;
	uint64_t id;

	if (!id_parse(row_text(row, "session"), &id))
		return;
	seen = seen_find(list, id);
	if (!seen)
		seen = add(list, id, moment_of(row_text(row, "start")));
	KEEP(seen->protocol, row_text(row, "protocol"));
	KEEP(seen->peer, row_text(row, "peer"));
	KEEP(seen->account, row_text(row, "account"));
	KEEP(seen->reason, row_text(row, "reason"));
	seen->is_open = json_is_true(json_object_get(row, "open"));
	seen->errors = row_number(row, "errors");
	seen->messages = row_number(row, "messages");
	seen->us = row_number(row, "ms") * 1000;
}

static void note_close(struct seen *seen, const struct trace_close *close)
{
	KEEP(seen->protocol, close->protocol);
	KEEP(seen->peer, close->peer);
	KEEP(seen->account, close->account);
	KEEP(seen->reason, close->reason);
	seen->is_open = false;
	seen->errors = close->errors;
	seen->messages = close->messages;
	seen->us = close->us;
}

static void note_path(struct seen *seen, struct str from, const char *between, struct str to)
{
	char text[240];

	snprintf(text, sizeof text, "%.*s%s%.*s", STR_ARGS(str_first(from, 80)), between,
		 STR_ARGS(str_first(to, 120)));
	KEEP(seen->path, str_of(text));
}

void seen_note(struct seen_list *list, const struct trace_event *event)
{
	struct seen *seen;

	if (!event->head.session)
		return;
	seen = seen_find(list, event->head.session);
	/* Of a session that we did not see begin, there is only the rest. */
	if (!seen && event->head.kind != TRACE_connect)
		return;
	if (!seen)
		seen = add(list, event->head.session, event->head.wall_us);
	switch (event->head.kind) {
	case TRACE_connect:
		KEEP(seen->protocol, event->connect.protocol);
		KEEP(seen->peer, event->connect.peer);
		break;
	case TRACE_auth:
		if (str_is(event->auth.outcome, S("ok")))
			KEEP(seen->account, event->auth.account);
		break;
	case TRACE_accept:
		KEEP(seen->subject, event->accept.subject);
		note_path(seen, event->accept.sender, " > ", event->accept.recipients);
		break;
	case TRACE_attempt:
		note_path(seen, event->attempt.outcome, ": ", event->attempt.recipient);
		break;
	case TRACE_close:
		note_close(seen, &event->close);
		break;
	default:
		break;
	}
}

enum style seen_style(const struct seen *seen)
{
	if (seen->is_open)
		return STYLE_ONGOING;
	if (strcmp(seen->reason, "quit") == 0 || strcmp(seen->reason, "stopping") == 0)
		return seen->errors ? STYLE_LATER : STYLE_GOOD;
	return STYLE_BAD;
}

static void add_time(struct buf *out, int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char text[20] = "";

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof text, "%H:%M:%S", &tm);
	buf_print(out, "%-8s", text);
}

static void add_duration(struct buf *out, const struct seen *seen)
{
	char text[24] = "open";

	if (!seen->is_open && seen->us < 10000000)
		snprintf(text, sizeof text, "%llu ms", (unsigned long long)(seen->us / 1000));
	else if (!seen->is_open)
		snprintf(text, sizeof text, "%llu s", (unsigned long long)(seen->us / 1000000));
	buf_print(out, "%9s", text);
}

/* What is worth a word: a good end is said by its sign already. */
static void add_outcome(struct buf *out, const struct seen *seen)
{
	bool is_good = strcmp(seen->reason, "quit") == 0;

	if (!seen->is_open && !(is_good && seen->subject[0]))
		buf_print(out, "  %s", seen->reason);
	if (seen->messages > 1 || (seen->messages && !seen->subject[0]))
		buf_print(out, "  %llu message%s", (unsigned long long)seen->messages,
			  seen->messages == 1 ? "" : "s");
	if (seen->errors)
		buf_print(out, "  %llu refused", (unsigned long long)seen->errors);
}

static void add_ascii(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.at[i] < 0x80)
			buf_add_char(out, text.at[i]);
		else
			buf_print(out, "\\x%02X", (unsigned char)text.at[i]);
	}
}

static void add_line(struct buf *out, const struct seen *seen, unsigned width)
{
	size_t port = str_find_last(str_of(seen->peer), ':');
	bool is_wide = width >= 100;

	add_time(out, seen->start_us);
	if (is_wide || port == STR_NONE)
		buf_print(out, " %-10s %-22s", seen->protocol, seen->peer);
	else
		buf_print(out, " %-10s %-15.*s", seen->protocol, (int)port, seen->peer);
	add_duration(out, seen);
	add_outcome(out, seen);
	if (seen->account[0])
		buf_print(out, "  %s", seen->account);
	if (seen->subject[0])
		buf_print(out, "  %s", seen->subject);
	if (seen->path[0])
		buf_print(out, "  %s", seen->path);
}

void seen_print(const struct seen *seen, unsigned width, bool ascii, struct buf *out)
{
	OWNED(buf) struct buf line = BUF(4096);

	add_line(&line, seen, width);
	if (ascii)
		add_ascii(out, buf_str(&line));
	else
		buf_add(out, buf_str(&line));
}
