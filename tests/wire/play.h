/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * play: performs a script's steps against a stand. What was expected and what came is kept as a
 * transcript; at the first difference playing ends.
 */
#include "stand.h"

struct play_line {
	struct str script; /* what the script says here, "" where it says nothing */
	struct str server; /* what came */
	unsigned line;
	bool differs;
};

struct play {
	struct stand *stand;
	struct arena arena;
	struct play_line *lines;
	size_t line_count;
	size_t line_room;
	bool failed;
	struct wire_conn *conns[WIRE_CONNECTIONS];
};

/* Plays the whole script; play->failed tells how it went. */
void play_run(struct play *play) WAITS;
/* The transcript, expected beside got. */
void play_print(const struct play *play, struct buf *out);
void play_done(struct play *play);
