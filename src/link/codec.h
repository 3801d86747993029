/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * codec: values to octets and back, as docs/formats/link.md says.
 *
 * Invariants
 *  (1) Both directions check every bound of messages.def; the encoder says ERR_LIMIT, the decoder
 *      ERR_PROTOCOL. Nothing is asked from memory before its count was checked.
 *  (2) There is one encoding of a value: what was decoded encodes to the same octets.
 *  (3) The decoder copies no text: texts of *out view the payload, which must outlive it. Lists
 *      lie in the arena.
 */
#include "link/shape.h"

enum frame_type { FRAME_CALL = 1, FRAME_ANSWER, FRAME_FAILURE };

enum { FRAME_HEAD = 12, FRAME_HAS_FD = 1 };

struct frame {
	enum frame_type type;
	unsigned kind;
	uint32_t call;
	bool has_fd;
	struct str payload; /* views the octets it was taken from */
};

/* payload.len is written, the payload itself is not. */
void frame_write_head(const struct frame *frame, char head[FRAME_HEAD]);
/* Takes one frame off the front of *octets: OK, ERR_AGAIN when it is not all there, ERR_PROTOCOL. */
[[nodiscard]] enum err frame_take(struct str *octets, struct frame *out);
/* Overwrites the payload where it was taken from: it held a secret, and has been copied. */
void frame_wipe(const struct frame *frame);
/* The length of the frame that begins here; 0 while its head is incomplete or not valid. */
size_t frame_length(struct str octets);

/* Appends the value. *fd is the descriptor that must travel with it, still the value's; or -1. */
[[nodiscard]] enum err shape_encode(const struct shape *shape, const void *value, struct buf *out,
				    int *fd);
/* fd: what came with the frame, or -1. OK: *out owns it. Failure: still the caller's, *out is cleared. */
[[nodiscard]] enum err shape_decode(const struct shape *shape, struct str payload, int fd,
				    struct arena *arena, void *out);
