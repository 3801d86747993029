/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * table: intrusive items found by a 64-bit key. It owns its buckets and never the items. Items of one
 * key may be several: the caller compares what it hashed.
 */
#include "base/base.h"

struct table_item {
	struct table_item *next;
	uint64_t key;
};

struct table {
	struct table_item **buckets; /* NULL until the first item */
	size_t bucket_count;         /* a power of two */
	size_t count;
	size_t first_used; /* no bucket before this one holds anything */
};

void table_add(struct table *table, struct table_item *item, uint64_t key);
/* The first item of the key, or NULL; go on with table_find_next. */
struct table_item *table_find(const struct table *table, uint64_t key);
struct table_item *table_find_next(const struct table_item *item);
void table_remove(struct table *table, struct table_item *item); /* it must be in it */
/* Any item, or NULL: to empty a table. */
struct table_item *table_any(struct table *table);
void table_drop(struct table *table);
