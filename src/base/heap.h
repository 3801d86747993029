/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * heap: intrusive items ordered by a 64-bit key, smallest first; equal keys leave in the order
 * they came. Timers live in one. The heap owns its array, never the items.
 */
struct heap_item {
	int64_t key;
	uint64_t serial; /* order among equal keys */
	size_t index;    /* HEAP_OUT when in no heap */
};

#define HEAP_OUT SIZE_MAX

struct heap {
	struct heap_item **items;
	size_t count;
	size_t room;
	uint64_t serial;
};

void heap_item_init(struct heap_item *item);
void heap_add(struct heap *heap, struct heap_item *item, int64_t key);
void heap_remove(struct heap *heap, struct heap_item *item); /* fine when it is in none */
struct heap_item *heap_first(const struct heap *heap);       /* NULL when empty */
void heap_drop(struct heap *heap);
