/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdlib.h>

enum { BLOCK_SMALLEST = 1024, BLOCK_LARGEST = 65536, ALIGNMENT = 16 };

struct arena_block {
	struct arena_block *older;
	size_t size; /* of data */
	_Alignas(ALIGNMENT) char data[];
};

static struct arena_block *block_new(size_t size, struct arena_block *older)
{
	struct arena_block *block = malloc(sizeof(*block) + size);

	must(block); /* no memory at all: the supervisor restarts us, nothing unacknowledged matters */
	block->older = older;
	block->size = size;
	return block;
}

/* Blocks double up to a limit, so that a large arena takes few of them and a small one little. */
static size_t next_size(const struct arena *arena, size_t wanted)
{
	size_t size = arena->newest ? arena->newest->size * 2 : BLOCK_SMALLEST;

	if (size > BLOCK_LARGEST)
		size = BLOCK_LARGEST;
	return size < wanted ? wanted : size;
}

void *arena_take(struct arena *arena, size_t size)
{
	size_t rounded;
	void *piece;

	must(!__builtin_add_overflow(size, ALIGNMENT - 1, &rounded));
	rounded &= ~(size_t)(ALIGNMENT - 1);
	if (!arena->newest || arena->newest->size - arena->used < rounded) {
		arena->newest = block_new(next_size(arena, rounded), arena->newest);
		arena->used = 0;
	}
	piece = arena->newest->data + arena->used;
	arena->used += rounded;
	return piece;
}

void *arena_take_array(struct arena *arena, size_t count, size_t size)
{
	size_t total;
	void *piece;

	must(!__builtin_mul_overflow(count, size, &total));
	piece = arena_take(arena, total);
	memset(piece, 0, total);
	return piece;
}

void arena_reset(struct arena *arena)
{
	while (arena->newest && arena->newest->older) {
		struct arena_block *older = arena->newest->older;

		free(arena->newest);
		arena->newest = older;
	}
	arena->used = 0;
}

void arena_wipe(struct arena *arena)
{
	for (struct arena_block *b = arena->newest; b; b = b->older)
		explicit_bzero(b->data, b == arena->newest ? arena->used : b->size);
	arena_reset(arena);
}

void arena_drop(struct arena *arena)
{
	arena_reset(arena);
	free(arena->newest);
	arena->newest = NULL;
}

size_t arena_held(const struct arena *arena)
{
	size_t held = 0;

	for (const struct arena_block *b = arena->newest; b; b = b->older)
		held += sizeof(*b) + b->size;
	return held;
}
