/* SPDX-License-Identifier: Apache-2.0 */
#include "record/show.h"
#include "record/messages.h"

enum {
	WIDTH_DEFAULT = 100,
	YIELD_EVERY = 64,
	RECORDS_TOGETHER =
		LIMIT_control_line / 4 * 3 - 2 * TRACE_RECORD_MAX /* in base64 in one line */
};

enum err show_init(struct show *show, struct control_call *call)
{
	struct str as = control_text(call, "as");

	*show = (struct show){ .ascii = control_flag(call, "ascii"),
			       .width = (unsigned)control_number(call, "width", WIDTH_DEFAULT),
			       .cursors = control_flag(call, "cursors"),
			       .text = str_is(as, S("text")),
			       .records = str_is(as, S("records")),
			       .viewer = control_text(call, "viewer"),
			       .out = BUF(1 << 20) };
	if (as.len && !show->text && !show->records && !str_is(as, S("json")))
		return control_fail(call, "it is json, text or records",
				    "sessions are not shown as \"%.*s\"",
				    STR_ARGS(str_first(as, 40)));
	/* Nothing can be taken out of them. */
	if (show->records && show->viewer.len)
		return control_fail(call, "ask for json", "records are for who may see all");
	return OK;
}

enum err show_lines(struct control_call *call, struct str lines) WAITS
{
	enum err err = OK;
	unsigned shown = 0;

	while (!err && lines.len) {
		size_t end = str_find(lines, '\n');
		struct str line = str_first(lines, end);
		OWNED(buf) struct buf row = BUF(LIMIT_control_line);

		lines = str_from(lines, end == STR_NONE ? lines.len : end + 1);
		buf_add(&row, S("{\"text\":"));
		json_add_string(&row, line);
		buf_add(&row, S("}"));
		err = row.failed ? ERR_LIMIT : control_row_text(call, buf_str(&row));
		if (!err && ++shown % YIELD_EVERY == 0)
			err = fiber_yield();
	}
	return err;
}

static enum err show_with_cursor(struct show *show, struct control_call *call,
				 const struct trace_event *event) WAITS
{
	char cursor[TRACE_CURSOR_TEXT];

	trace_cursor_print(&event->head, cursor);
	buf_print(&show->out, "{\"cursor\":\"%s\",\"event\":", cursor);
	if (trace_event_json(event, &show->out) || buf_add_char(&show->out, '}'))
		return OK;
	return control_row_text(call, buf_str(&show->out));
}

enum err show_event(struct show *show, struct control_call *call, const struct trace_event *event)
	WAITS
{
	if (!show->shown || (!show->is_together && show->start_of != event->head.session)) {
		show->start_of = event->head.session;
		show->start_at_us = event->head.at_us;
	}
	/* A client that reads fast never makes us wait: the others get their turn all the same. */
	if (++show->shown % YIELD_EVERY == 0 && fiber_yield())
		return ERR_STOPPED;
	buf_reset(&show->out);
	if (show->cursors)
		return show_with_cursor(show, call, event);
	if (!show->text)
		return trace_event_json(event, &show->out)
			       ? OK
			       : control_row_text(call, buf_str(&show->out));
	if (trace_event_ladder(event, show->start_at_us, show->width, show->ascii, &show->out))
		return OK;
	return show_lines(call, buf_str(&show->out));
}

/* {"records":BASE64}: some whole records, one behind the other. */
static enum err show_recorded(struct show *show, struct control_call *call, struct str records)
	WAITS
{
	enum err err = OK;

	while (!err && records.len) {
		struct str begin = records;
		struct str record;

		while (begin.len - records.len < RECORDS_TOGETHER &&
		       !trace_record_take(&records, &record))
			;
		begin.len -= records.len;
		if (!begin.len)
			break;
		buf_reset(&show->out);
		buf_add(&show->out, S("{\"records\":\""));
		base64_add(&show->out, begin);
		buf_add(&show->out, S("\"}"));
		err = control_row_text(call, buf_str(&show->out));
		if (!err)
			err = fiber_yield();
	}
	return err;
}

enum err show_records(struct show *show, struct control_call *call, struct str records) WAITS
{
	enum err err = OK;

	if (show->records)
		return show_recorded(show, call, records);
	while (!err && records.len) {
		struct trace_event event;
		struct str record;

		if (trace_record_take(&records, &record))
			break;
		if (trace_event_decode(record, &event))
			continue;
		if (!show->viewer.len || event_redact(&event, show->viewer))
			err = show_event(show, call, &event);
	}
	return err;
}
