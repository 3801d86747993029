/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdlib.h>

void heap_item_init(struct heap_item *item)
{
	*item = (struct heap_item){ .index = HEAP_OUT };
}

static bool before(const struct heap_item *a, const struct heap_item *b)
{
	return a->key != b->key ? a->key < b->key : a->serial < b->serial;
}

static void place(struct heap *heap, size_t index, struct heap_item *item)
{
	heap->items[index] = item;
	item->index = index;
}

static void sift_up(struct heap *heap, size_t index, struct heap_item *item)
{
	while (index > 0) {
		size_t parent = (index - 1) / 2;

		if (!before(item, heap->items[parent]))
			break;
		place(heap, index, heap->items[parent]);
		index = parent;
	}
	place(heap, index, item);
}

static void sift_down(struct heap *heap, size_t index, struct heap_item *item)
{
	for (;;) {
		size_t child = 2 * index + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child]))
			child++;
		if (!before(heap->items[child], item))
			break;
		place(heap, index, heap->items[child]);
		index = child;
	}
	place(heap, index, item);
}

void heap_add(struct heap *heap, struct heap_item *item, int64_t key)
{
	must(item->index == HEAP_OUT);
	if (heap->count == heap->room) {
		heap->room = heap->room ? heap->room * 2 : 64;
		heap->items = reallocarray(heap->items, heap->room, sizeof(struct heap_item *));
		must(heap->items);
	}
	item->key = key;
	item->serial = heap->serial++;
	heap->count++;
	sift_up(heap, heap->count - 1, item);
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
	size_t index = item->index;
	struct heap_item *last;

	if (index == HEAP_OUT)
		return;
	must(index < heap->count && heap->items[index] == item);
	item->index = HEAP_OUT;
	last = heap->items[--heap->count];
	if (last == item)
		return;
	if (index > 0 && before(last, heap->items[(index - 1) / 2]))
		sift_up(heap, index, last);
	else
		sift_down(heap, index, last);
}

struct heap_item *heap_first(const struct heap *heap)
{
	return heap->count ? heap->items[0] : NULL;
}

void heap_drop(struct heap *heap)
{
	free(heap->items);
	*heap = (struct heap){ 0 };
}
