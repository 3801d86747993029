/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * segment: the body files DIR/bodies/NNNNNNNN.seg as their one writer sees them.
 *
 * A batch is append..., perhaps its log record, flush, and then keep (the database has committed) or
 * forget (it has not).
 *
 * Invariants
 *  (1) What was kept is never written again.
 *  (2) After flush gave OK in a durable store, everything appended is on the disk, and so is the
 *      name of its file.
 *  (3) After forget the next append goes where the forgotten one went; a file made meanwhile stays.
 *  (4) After forget no restart finds the batch's log record; where that cannot be brought about, the
 *      files are broken.
 *  (5) A flush that failed is not tried again: *broken is set and every later call fails.
 *
 * One thread at a time. Octets given to append must live until flush.
 */
#include "store/io.h"
#include "store/record.h"

struct body_files;

struct body_files_options {
	const char *folder; /* DIR/bodies */
	const struct io *io;
	uint64_t segment_size;
	uint64_t store; /* id, in every header */
	bool durable;
};

struct place {
	uint64_t segment;
	uint64_t offset; /* of the record's header */
};

/* What a batch did to one segment, for the database. */
struct segment_change {
	uint64_t number;
	uint64_t end;   /* where its records end now */
	uint64_t added; /* octets of bodies' records */
	bool is_new;
};

[[nodiscard]] enum err body_files_open(const struct body_files_options *options,
				       struct body_files **out);
void body_files_close(struct body_files **segments);
/*
 * Go on in segment `number`, whose kept records end at `end`: what lies behind is cut off. 0: begin
 * a new one at the first append. Fails with ERR_CORRUPT when the file is missing or shorter.
 */
[[nodiscard]] enum err body_files_resume(struct body_files *segments, uint64_t number,
					 uint64_t end);
[[nodiscard]] enum err body_files_append(struct body_files *segments, uint64_t body,
					 struct str octets, struct place *out);
/*
 * A body that lies in another file: it is copied piece by piece at the flush, which fails with ERR_CORRUPT where
 * the checksum is not that of the record, or the file cannot be read. It stays open until flush.
 */
struct body_source {
	int fd;
	uint64_t offset; /* of the octets */
	struct record record;
};
[[nodiscard]] enum err body_files_append_from(struct body_files *segments,
					      const struct body_source *source, struct place *out);
/*
 * What the batch's transaction changed, behind its bodies: first the segment that will hold it, so that
 * changes() tells of it, and then the octets.
 */
[[nodiscard]] enum err body_files_begin_log(struct body_files *segments, size_t len);
[[nodiscard]] enum err body_files_append_log(struct body_files *segments, struct str octets);
[[nodiscard]] enum err body_files_flush(struct body_files *segments);
const struct segment_change *body_files_changes(const struct body_files *segments, size_t *count);
void body_files_keep(struct body_files *segments);
void body_files_forget(struct body_files *segments);
/* A flush failed: what the disk holds is not known any more. */
bool body_files_are_broken(const struct body_files *segments);

enum { SEGMENT_NAME = 32 };
void segment_name(uint64_t number, char out[SEGMENT_NAME]);
bool segment_name_parse(const char *name, uint64_t *number);
