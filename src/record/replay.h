/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * replay: what a follower missed. An event's cursor says where it lies: the wall clock of its writing, its ring and its
 * number there. The files are read from there to their end, while a tap gathers what comes meanwhile; what both
 * have is told once. Private to record/.
 */
#include "record/search.h"

/* As trace_cursor_print writes it. */
struct cursor {
	int64_t wall_us;
	uint8_t role, role_index;
	uint64_t sequence; /* 0: none */
};
bool cursor_parse(struct str text, struct cursor *out);

struct replay {
	struct search search; /* its pieces are what was missed */
	struct cursor after;
	uint64_t session;  /* 0: all */
	struct str viewer; /* empty: all */
	bool has_found;
	size_t seen_count;
	struct cursor seen[LIMIT_record_rings]; /* the newest that was replayed, of each ring */
};

/* From that cursor on; of no cursor, nothing was missed. search_end() at the end. */
void replay_begin(struct replay *replay, struct recorder *recorder, struct str after);
/* Of the records of a tap, oldest first: without those at the beginning that were replayed. */
struct str replay_rest(const struct replay *replay, struct str records);
/* At most what fits; a longer name is nobody's. */
void viewer_keep(char place[128], struct str viewer);
