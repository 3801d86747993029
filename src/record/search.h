/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * search: the kept records, from the oldest file that may hold what is looked for to the newest. Some megabytes at a
 * time, on a worker and under the recorder's lock, so that whoever else wants it waits for that long at most. Private
 * to record/.
 */
#include "record/recorder.h"

/* Events of several roles are not in the order of their wall clocks, and files end a tick after their last event. */
static const int64_t SEARCH_SLACK_US = 2000000;

/* The first member of whoever looks for something. */
struct search {
	struct recorder *recorder;
	/* On the worker. Whether that file of recorder->segments, after those that were read, is worth reading. */
	bool (*may_hold)(const struct search *search, size_t index);
	/* On the worker. Adds to `found` what is looked for; sets is_done where nothing more can come. */
	void (*look)(struct search *search, struct str record);
	struct buf found; /* of the last piece; gone with the next */
	bool is_done;

	bool has_begun;
	int64_t file_us; /* the file being read */
	struct segment_reader reader;
};

/* With recorder, may_hold and look set. */
void search_begin(struct search *search);
/* One piece; false: there is none left. It may have found nothing. */
bool search_next(struct search *search, enum err *err) WAITS;
void search_end(struct search *search);
