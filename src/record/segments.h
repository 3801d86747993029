/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * segments: the trace files of one folder: appending, rotation, deletion by age and size, reading.
 * Plain blocking code for a worker thread. Private to record/.
 */
#include "trace/trace.h"

enum { SEGMENT_OCTETS = 16 << 20 };
static const int64_t SEGMENT_US = INT64_C(3600) * 1000000;

enum { SEGMENT_RINGS = 128 };

struct segment {
	int64_t start_us; /* its name */
	int64_t end_us;   /* not younger than its newest event */
	uint64_t octets;
	bool is_counted;                 /* of_ring holds; not of a file that was there before us */
	uint32_t of_ring[SEGMENT_RINGS]; /* octets by role and index */
};

struct segments {
	int folder;           /* descriptor of FOLDER/trace; -1: nothing is kept */
	struct segment *list; /* by start, the newest last */
	size_t count, room;
	int fd; /* of the newest, being appended to; -1: none is */
};

/* Makes FOLDER/trace and learns what is in it. */
[[nodiscard]] enum err segments_open(const char *folder, struct segments *out);
void segments_close(struct segments *segments);
/* Appends whole records. On failure the file is left behind and the next call begins a new one. */
[[nodiscard]] enum err segments_append(struct segments *segments, struct str records,
				       int64_t wall_us, uint64_t keep_octets);
/*
 * Deletes what is too old or too much; the file being appended to stays. Of what is too much goes the
 * oldest of the ring that has most of all: a role that writes much pushes out nobody's history but
 * its own.
 */
void segments_trim(struct segments *segments, int64_t wall_us, int64_t keep_us,
		   uint64_t keep_octets);

/* Reading one file from front to back; damage is skipped and counted. */
struct segment_reader {
	int fd;
	struct buf piece;
	struct str rest; /* of piece */
	bool at_end;     /* of the file */
	uint64_t damaged;
};
/* ERR_NOT_FOUND when it has been deleted meanwhile. */
[[nodiscard]] enum err segment_reader_open(const struct segments *segments, int64_t start_us,
					   struct segment_reader *out);
bool segment_reader_next(struct segment_reader *reader, struct str *record);
void segment_reader_close(struct segment_reader *reader);
/* The start of the first file that may have events of this moment or later; INT64_MIN: all files. */
int64_t segments_since(const struct segments *segments, int64_t wall_us);
