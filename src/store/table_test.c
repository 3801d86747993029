/* SPDX-License-Identifier: Apache-2.0 */
#include "store/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = LIMIT_link_handles };

struct thing {
	struct table_item item;
	bool out;
};

static struct thing *things_in(struct table *table)
{
	struct thing *things = calloc(MANY, sizeof(*things));

	assert_non_null(things);
	for (uint64_t i = 0; i < MANY; i++)
		table_add(table, &things[i].item, i / 2); /* two of each key */
	return things;
}

static void items_are_found_by_their_key_until_they_are_removed(void **state)
{
	struct table table = { 0 };
	struct thing *things = things_in(&table);

	(void)state;
	for (uint64_t i = 0; i < MANY; i += 2) {
		struct table_item *first = table_find(&table, i / 2);
		struct table_item *second = first ? table_find_next(first) : NULL;

		assert_true(first == &things[i].item || first == &things[i + 1].item);
		assert_true(second && second != first && !table_find_next(second));
		table_remove(&table, first);
		assert_ptr_equal(table_find(&table, i / 2), second);
	}
	assert_int_equal(table.count, MANY / 2);
	assert_null(table_find(&table, MANY));
	table_drop(&table);
	free(things);
}

static void any_gives_every_item_once_while_others_come_in(void **state)
{
	struct table table = { 0 };
	struct thing *things = things_in(&table);
	struct table_item *item;
	size_t taken = 0;

	(void)state;
	while ((item = table_any(&table))) {
		struct thing *thing = CONTAINER_OF(item, struct thing, item);

		table_remove(&table, item);
		assert_false(thing->out);
		if (taken++ % 3 == 0) /* comes in again, under a key of any place */
			table_add(&table, item, taken * 7919);
		else
			thing->out = true;
		if (taken == 3 * MANY)
			break;
	}
	assert_int_equal(table.count, 0);
	for (size_t i = 0; i < MANY; i++)
		assert_true(things[i].out);
	table_drop(&table);
	free(things);
}

/* A channel that ends with all the handles it may have must not stop the loop. */
static void a_large_table_is_emptied_at_once(void **state)
{
	struct table table = { 0 };
	struct thing *things = things_in(&table);
	struct table_item *item;
	clock_t begun = clock();

	(void)state;
	while ((item = table_any(&table)))
		table_remove(&table, item);
	assert_true(clock() - begun < CLOCKS_PER_SEC / 5);
	table_drop(&table);
	free(things);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_found_by_their_key_until_they_are_removed),
		cmocka_unit_test(any_gives_every_item_once_while_others_come_in),
		cmocka_unit_test(a_large_table_is_emptied_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
