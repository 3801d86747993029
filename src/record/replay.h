/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * replay: what a follower missed. An event's cursor says where it lies: the wall clock of its writing, its ring and its
 * number there. The files are read from there to their end, while a tap gathers what comes meanwhile; what both
 * have is told once. Private to record/.
 */
#include "record/recorder.h"

enum { CURSOR_TEXT = 64, REPLAY_FOUND = 1 << 18 };

struct cursor {
	int64_t wall_us;
	uint8_t role, role_index;
	uint64_t sequence; /* 0: none */
};
void cursor_print(const struct trace_head *head, char text[CURSOR_TEXT]);
bool cursor_parse(struct str text, struct cursor *out);

/* {.recorder, .after, .session, .viewer, .reader.fd = -1} is ready. */
struct replay {
	struct recorder *recorder;
	struct cursor after;
	uint64_t session;  /* 0: all */
	struct str viewer; /* empty: all */
	struct segment_reader reader;
	int64_t file_us;
	bool has_begun, has_found, is_done;
	size_t seen_count;
	struct cursor seen[LIMIT_record_rings]; /* the newest that was replayed, of each ring */
	struct buf *found;
};

/* Some more records; false: there are none left. */
bool replay_step(struct replay *replay, struct buf *found, enum err *err) WAITS;
/* Of the records of a tap, oldest first: without those at the beginning that were replayed. */
struct str replay_rest(const struct replay *replay, struct str records);
/* At most what fits; a longer name is nobody's. */
void viewer_keep(char place[128], struct str viewer);
