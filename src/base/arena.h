/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * arena: memory with one lifetime. Take pieces, free them all at once.
 *
 * Invariants
 *  (1) A piece lives until arena_reset or arena_drop; pieces never move.
 *  (2) arena_reset keeps the first block, so a loop that resets at its top asks malloc for nothing.
 *  (3) Taking never fails: true exhaustion aborts. Bounds are checked at the edge, before (limits.h).
 *
 * {0} is a ready, empty arena.
 */
struct arena_block;

struct arena {
	struct arena_block *newest; /* blocks chained from the newest to the first */
	size_t used;                /* of the newest block */
};

/* Aligned for any type; not cleared. */
void *arena_take(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
/* count items of size, cleared; a product that overflows aborts. */
void *arena_take_array(struct arena *arena, size_t count, size_t size)
	__attribute__((returns_nonnull));
/* Forget all pieces, keep the first block. */
void arena_reset(struct arena *arena);
/* The same, and what was in them is overwritten: they held a secret. */
void arena_wipe(struct arena *arena);
/* Give everything back; the arena is empty and ready again. */
void arena_drop(struct arena *arena);
/* Octets held from malloc, for the memory tests. */
size_t arena_held(const struct arena *arena);

#define NEW(arena, type)              ((type *)arena_take_array((arena), 1, sizeof(type)))
#define NEW_ARRAY(arena, type, count) ((type *)arena_take_array((arena), (count), sizeof(type)))
