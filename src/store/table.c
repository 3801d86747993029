/* SPDX-License-Identifier: Apache-2.0 */
#include "store/table.h"

#include <stdlib.h>

enum { BUCKETS_SMALLEST = 16 };

static size_t bucket_of(const struct table *table, uint64_t key)
{
	/* Keys may be ids that count up; the multiplication spreads them (Fibonacci hashing). */
	return (size_t)((key * 0x9E3779B97F4A7C15ull) >> 32) & (table->bucket_count - 1);
}

static void link_item(struct table *table, struct table_item *item)
{
	size_t at = bucket_of(table, item->key);

	item->next = table->buckets[at];
	table->buckets[at] = item;
	if (at < table->first_used)
		table->first_used = at;
}

static void grow(struct table *table)
{
	struct table_item **old = table->buckets;
	size_t old_count = table->bucket_count;

	table->bucket_count = old_count ? 2 * old_count : BUCKETS_SMALLEST;
	table->buckets = calloc(table->bucket_count, sizeof(struct table_item *));
	must(table->buckets);
	table->first_used = table->bucket_count;
	for (size_t i = 0; i < old_count; i++)
		while (old[i]) {
			struct table_item *item = old[i];

			old[i] = item->next;
			link_item(table, item);
		}
	free(old);
}

void table_add(struct table *table, struct table_item *item, uint64_t key)
{
	if (table->count >= table->bucket_count)
		grow(table);
	item->key = key;
	link_item(table, item);
	table->count++;
}

static struct table_item *first_of_key(struct table_item *item, uint64_t key)
{
	while (item && item->key != key)
		item = item->next;
	return item;
}

struct table_item *table_find(const struct table *table, uint64_t key)
{
	if (!table->count)
		return NULL;
	return first_of_key(table->buckets[bucket_of(table, key)], key);
}

struct table_item *table_find_next(const struct table_item *item)
{
	return first_of_key(item->next, item->key);
}

void table_remove(struct table *table, struct table_item *item)
{
	struct table_item **at = &table->buckets[bucket_of(table, item->key)];

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	item->next = NULL;
	table->count--;
}

struct table_item *table_any(struct table *table)
{
	if (!table->count)
		return NULL;
	/* Buckets found empty are not looked at again: to empty a table takes one walk. */
	while (!table->buckets[table->first_used])
		table->first_used++;
	return table->buckets[table->first_used];
}

void table_drop(struct table *table)
{
	free(table->buckets);
	*table = (struct table){ 0 };
}
