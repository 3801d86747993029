/* SPDX-License-Identifier: Apache-2.0 */
#include "web/event.h"
#include "trace/trace.h"

/* {"cursor":"CURSOR","event":EVENT}, as the store writes it. */
static bool row_split(struct str row, struct str *cursor, struct str *event)
{
	const struct str begin = S("{\"cursor\":\"");
	const struct str middle = S("\",\"event\":");
	size_t end;

	if (!str_starts(row, begin) || row.at[row.len - 1] != '}')
		return false;
	row = str_first(str_from(row, begin.len), row.len - begin.len - 1);
	end = str_find(row, '"');
	*cursor = str_first(row, end);
	*event = str_from(row, end == STR_NONE ? row.len : end);
	if (!str_starts(*event, middle))
		return false;
	*event = str_from(*event, middle.len);
	return true;
}

void event_print_lost(struct buf *out, uint64_t events)
{
	if (events)
		buf_print(out, "event: lost\ndata: {\"events\":%llu}\n\n",
			  (unsigned long long)events);
	else
		buf_add(out, S("event: lost\ndata: {\"events\":null}\n\n"));
}

/* {"lost":COUNT}; null: some, and nobody knows how many. */
static enum event_kind print_lost(struct buf *out, struct str row, uint64_t *events)
{
	struct scan scan = scan_of(row);

	if (!take_str_nocase(&scan, S("{\"lost\":")))
		return EVENT_NONE;
	(void)take_number(&scan, UINT32_MAX, events);
	event_print_lost(out, *events);
	return EVENT_LOST;
}

enum event_kind event_print(struct buf *out, struct str row, uint64_t *events)
{
	struct str cursor, event;

	*events = 0;
	if (!row_split(row, &cursor, &event))
		return print_lost(out, row, events);
	*events = 1;
	buf_add(out, S("event: trace\nid: "));
	buf_add(out, cursor);
	buf_add(out, S("\ndata: "));
	buf_add(out, event);
	buf_add(out, S("\n\n"));
	return EVENT_TRACE;
}

bool event_records(struct arena *arena, struct str row, struct str *records)
{
	const struct str begin = S("{\"records\":\"");
	const struct str end = S("\"}");

	if (!str_starts(row, begin) || row.len < begin.len + end.len)
		return false;
	row = str_first(str_from(row, begin.len), row.len - begin.len - end.len);
	return base64_take(arena, row, records);
}

enum err event_print_record(struct buf *out, struct str record)
{
	const size_t len = out->len;
	struct trace_event event;
	char cursor[TRACE_CURSOR_TEXT];
	enum err err = trace_event_decode(record, &event);

	if (err)
		return err;
	trace_cursor_print(&event.head, cursor);
	buf_add(out, S("event: trace\nid: "));
	buf_add_c(out, cursor);
	buf_add(out, S("\ndata: "));
	err = trace_event_json(&event, out);
	buf_add(out, S("\n\n"));
	if (!out->failed && !err)
		return OK;
	out->len = len;
	out->failed = false;
	return err ? err : ERR_LIMIT;
}

bool event_take(struct str *text, struct str *event)
{
	size_t end = str_find_str(*text, S("\n\n"));

	if (end == STR_NONE)
		return false;
	*event = str_first(*text, end + 2);
	*text = str_from(*text, end + 2);
	return true;
}

struct str event_id(struct str event)
{
	const struct str begin = S("event: trace\nid: ");

	if (!str_starts(event, begin))
		return (struct str){ 0 };
	event = str_from(event, begin.len);
	return str_first(event, str_find(event, '\n'));
}

bool event_place(struct str id, struct event_place *out)
{
	size_t first = str_find(id, '-');
	size_t last = str_find_last(id, '-');

	if (first == STR_NONE || last <= first)
		return false;
	out->ring = str_first(str_from(id, first), last - first);
	return str_to_u64(str_first(id, first), INT64_MAX, &out->wall_us) &&
	       str_to_u64(str_from(id, last + 1), INT64_MAX, &out->sequence);
}
