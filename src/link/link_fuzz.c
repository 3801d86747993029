/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets as another role's process could send them: split into frames, each frame decoded as what it
 * says it is. What is accepted must encode to the same octets: there is one encoding of a value.
 */
#include "link/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOME_FD = 1000 }; /* only carried, never used */

static void round_trip(const struct shape *shape, const struct frame *frame, struct arena *arena)
{
	struct buf again = BUF(LIMIT_link_frame);
	void *value = arena_take(arena, shape->size);
	int fd = frame->has_fd ? SOME_FD : -1;
	int fd_again;
	enum err err = shape_decode(shape, frame->payload, fd, arena, value);

	if (!err) {
		must(!shape_encode(shape, value, &again, &fd_again));
		must(str_is(buf_str(&again), frame->payload));
		must(fd_again == fd);
	}
	buf_drop(&again);
}

static void judge(const struct frame *frame, struct arena *arena)
{
	const struct message *message = message_of(frame->kind);

	if (frame->type == FRAME_FAILURE)
		round_trip(&failure_shape, frame, arena);
	else if (message)
		round_trip(frame->type == FRAME_CALL ? message->ask : message->answer, frame,
			   arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str octets = { (const char *)data, size };
	struct arena arena = { 0 };
	struct frame frame;

	while (!frame_take(&octets, &frame)) {
		judge(&frame, &arena);
		arena_reset(&arena);
	}
	arena_drop(&arena);
	return 0;
}
