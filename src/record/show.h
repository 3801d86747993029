/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * show: events as rows of a command: lines of JSON, or of the ladder; or as they were recorded, for who has more time than
 * we to make something of them. What the call's arguments as, width, ascii, cursors and viewer say decides. Private to
 * record/.
 */
#include "control/control.h"
#include "trace/trace.h"

struct show {
	bool text;
	bool records;
	bool cursors; /* each event with the place where `after` would go on */
	bool ascii;
	bool is_together; /* times count from the first event of all, not of each session */
	unsigned width;
	struct str viewer; /* whose own sessions they are; empty: who may know everything */
	int64_t start_at_us;
	uint64_t start_of; /* the session that start_at_us belongs to */
	unsigned shown;
	struct buf out;
};

/* The call fails where its arguments make no sense. Drop `out` at the end. */
[[nodiscard]] enum err show_init(struct show *show, struct control_call *call);
enum err show_event(struct show *show, struct control_call *call, const struct trace_event *event)
	WAITS;
enum err show_records(struct show *show, struct control_call *call, struct str records) WAITS;
/* Each line a row {"text": LINE}. */
enum err show_lines(struct control_call *call, struct str lines) WAITS;
