/* SPDX-License-Identifier: Apache-2.0 */
#include "store/turns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORK_MS = 10, LONG_MS = 60'000, ORDER_MAX = 64 };

/* Fibers that take a turn, work, and note in which order they were served. */
struct scene {
	struct turns turns;
	size_t places;
	struct fiber_group group;
	char order[ORDER_MAX];
	size_t served, working, most;
};

struct client {
	struct scene *scene;
	enum standing standing;
	char name;
	moment patience_ms;
	enum err err;
};

static void visit(void *arg) WAITS
{
	struct client *client = arg;
	struct scene *scene = client->scene;

	client->err = turns_take(&scene->turns, client->standing, scene->places,
				 in_ms(client->patience_ms));
	if (client->err)
		return;
	must(scene->served < ORDER_MAX);
	scene->order[scene->served++] = client->name;
	if (++scene->working > scene->most)
		scene->most = scene->working;
	must(fiber_sleep(in_ms(WORK_MS)) == OK);
	scene->working--;
	turns_give(&scene->turns, client->standing);
}

static void send(struct scene *scene, struct client *clients, size_t count) WAITS
{
	for (size_t i = 0; i < count; i++) {
		clients[i].scene = scene;
		if (!clients[i].patience_ms)
			clients[i].patience_ms = LONG_MS;
		must(fiber_spawn(&scene->group, "client", visit, &clients[i], NULL) == OK);
	}
	must(group_wait(&scene->group, in_ms(LONG_MS)) == OK);
}

static void run(void (*body)(void *arg) WAITS, size_t places)
{
	struct world *world = world_sim_new(1);
	struct scene scene = { .places = places };

	turns_init(&scene.turns);
	assert_int_equal(world_spawn(world, "body", body, &scene), OK);
	world_run(world);
	world_drop(&world);
}

static void in_order(void *arg) WAITS
{
	struct scene *scene = arg;
	struct client clients[] = {
		{ .standing = STANDING_SUSPECT, .name = 's' },
		{ .standing = STANDING_NEW, .name = 'n' },
		{ .standing = STANDING_SUSPECT, .name = 't' },
		{ .standing = STANDING_WELCOME, .name = 'w' },
		{ .standing = STANDING_NEW, .name = 'o' },
		{ .standing = STANDING_WELCOME, .name = 'x' },
	};

	group_init(&scene->group);
	send(scene, clients, COUNT_OF(clients));
	/* The first one found an empty house. */
	assert_memory_equal(scene->order, "swxnot", 6);
	assert_int_equal(scene->most, 1);
}

static void better_standing_goes_first(void **state)
{
	(void)state;
	run(in_order, 1);
}

static void a_place_kept(void *arg) WAITS
{
	struct scene *scene = arg;
	struct client clients[20];

	group_init(&scene->group);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		clients[i] = (struct client){ .standing = STANDING_SUSPECT, .name = 's' };
	/* The last to come does not wait for any of them. */
	clients[19] = (struct client){ .standing = STANDING_NEW, .name = 'n', .patience_ms = 1 };
	send(scene, clients, COUNT_OF(clients));
	assert_int_equal(clients[19].err, OK);
	assert_int_equal(scene->order[2], 'n');
	assert_int_equal(scene->most, 3);
	assert_int_equal(scene->served, COUNT_OF(clients));
}

static void suspects_leave_a_place_free(void **state)
{
	(void)state;
	run(a_place_kept, 3);
}

static void out_of_patience(void *arg) WAITS
{
	struct scene *scene = arg;
	struct client clients[] = {
		{ .standing = STANDING_NEW, .name = 'a' },
		{ .standing = STANDING_NEW, .name = 'b', .patience_ms = WORK_MS / 2 },
		{ .standing = STANDING_NEW, .name = 'c' },
	};

	group_init(&scene->group);
	send(scene, clients, COUNT_OF(clients));
	assert_int_equal(clients[1].err, ERR_TIMEOUT);
	assert_int_equal(scene->served, 2);
	assert_memory_equal(scene->order, "ac", 2);
	assert_true(list_is_empty(&scene->turns.waiting[STANDING_NEW]));
}

static void who_gives_up_leaves_nothing_behind(void **state)
{
	(void)state;
	run(out_of_patience, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(better_standing_goes_first),
		cmocka_unit_test(suspects_leave_a_place_free),
		cmocka_unit_test(who_gives_up_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
