/* SPDX-License-Identifier: Apache-2.0 */
#include "store/aged.h"

#include <stdlib.h>

_Static_assert(offsetof(struct aged_item, item) == 0, "what a table finds is an aged_item");

void aged_init(struct aged *aged, size_t max)
{
	must(max);
	*aged = (struct aged){ .max = max };
	list_init(&aged->ages);
}

void aged_done(struct aged *aged)
{
	aged_forget_all(aged);
	table_drop(&aged->table);
}

void aged_add(struct aged *aged, struct aged_item *item, uint64_t key)
{
	if (aged->table.count >= aged->max)
		aged_forget(aged, aged_oldest(aged));
	table_add(&aged->table, &item->item, key);
	list_add_last(&aged->ages, &item->age);
}

struct aged_item *aged_find(const struct aged *aged, uint64_t key)
{
	return (struct aged_item *)table_find(&aged->table, key);
}

struct aged_item *aged_find_next(const struct aged_item *item)
{
	return (struct aged_item *)table_find_next(&item->item);
}

struct aged_item *aged_oldest(const struct aged *aged)
{
	return list_is_empty(&aged->ages) ? NULL
					  : CONTAINER_OF(aged->ages.next, struct aged_item, age);
}

void aged_touch(struct aged *aged, struct aged_item *item)
{
	list_remove(&item->age);
	list_add_last(&aged->ages, &item->age);
}

void aged_forget(struct aged *aged, struct aged_item *item)
{
	table_remove(&aged->table, &item->item);
	list_remove(&item->age);
	free(item);
}

void aged_forget_all(struct aged *aged)
{
	LIST_EACH (link, &aged->ages)
		aged_forget(aged, CONTAINER_OF(link, struct aged_item, age));
}
