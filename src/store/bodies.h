/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * bodies: reading what segments hold, from any thread. A few files stay open; a file that was
 * compacted away while it is being read stays readable until the reading ends.
 *
 * Errors: ERR_NOT_FOUND: no such file (any more: look the body's place up again); ERR_CORRUPT: what
 * lies there is not this body; ERR_IO.
 */
#include "store/segment.h"

struct bodies;

struct body_place {
	uint64_t body;
	struct place place;
	uint64_t length;
};

[[nodiscard]] enum err bodies_open(const char *folder, struct bodies **out);
void bodies_close(struct bodies **bodies);
/* len octets of the body from offset; both lie within its length. Checks the record's header. */
[[nodiscard]] enum err bodies_read(struct bodies *bodies, const struct body_place *at,
				   uint64_t offset, void *octets, size_t len);
/* All octets of the body, its checksum compared. */
[[nodiscard]] enum err bodies_read_whole(struct bodies *bodies, const struct body_place *at,
					 void *octets);
/* Reads the whole and compares checksums. */
[[nodiscard]] enum err bodies_verify(struct bodies *bodies, const struct body_place *at);
/*
 * The body where it lies, its checksum compared, for body_files_append_from: the file stays open until it is given
 * back. What failed has nothing to give back.
 */
struct body_lent {
	struct body_source source;
	struct open_segment *file;
};
[[nodiscard]] enum err bodies_lend(struct bodies *bodies, const struct body_place *at,
				   struct body_lent *out);
void bodies_give_back(struct bodies *bodies, struct body_lent *lent);
/* The file of this segment is gone: keep no descriptor of it. */
void bodies_forget(struct bodies *bodies, uint64_t segment);
