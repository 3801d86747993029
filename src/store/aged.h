/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * aged: a table of at most `max` items that forgets the one longest unused to make room for a new one.
 * It owns its items: each was allocated alone (malloc, calloc), begins with its aged_item, and is freed
 * when it is forgotten.
 */
#include "store/table.h"

struct aged_item {
	struct table_item item;
	struct list age;
};

struct aged {
	struct table table;
	struct list ages; /* longest unused first */
	size_t max;
};

void aged_init(struct aged *aged, size_t max);
void aged_done(struct aged *aged);
/* It is the newest; where there are `max`, the oldest goes. */
void aged_add(struct aged *aged, struct aged_item *item, uint64_t key);
/* The first item of the key, or NULL; finding is no use. */
struct aged_item *aged_find(const struct aged *aged, uint64_t key);
struct aged_item *aged_find_next(const struct aged_item *item);
/* The longest unused; NULL when there is none. */
struct aged_item *aged_oldest(const struct aged *aged);
/* It was used: it is the newest again. */
void aged_touch(struct aged *aged, struct aged_item *item);
void aged_forget(struct aged *aged, struct aged_item *item);
void aged_forget_all(struct aged *aged);
