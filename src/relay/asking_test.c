/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay says to a store that comes and goes, and to one whose disk is full. */
#include "relay/asking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { LEASES = 500 };

struct scene {
	struct role role;
	struct relay relay;
	struct fiber_group servers;
	uint64_t next_lease;
	bool told, knows_all;
	bool is_full;
	unsigned reports;
	void (*run)(struct scene *scene) WAITS;
};

/* Those without `only` wait for long, as for work that is not due. */
static enum err serve_claim(struct link_call *call, const struct ask_queue_claim *ask,
			    struct answer_queue_claim *answer) WAITS
{
	struct scene *scene = call->context;

	if (ask->tells) {
		scene->told = true;
		scene->knows_all = ask->holds.count == scene->next_lease;
		for (size_t i = 0; i < ask->holds.count; i++)
			scene->knows_all &= ask->holds.at[i] == i + 1;
	}
	if (!ask->only.len)
		return fiber_sleep(in_ms(100000));
	answer->lease = ++scene->next_lease;
	return OK;
}

static enum err serve_report(struct link_call *call, const struct ask_queue_report *ask,
			     struct answer_queue_report *answer) WAITS
{
	struct scene *scene = call->context;

	(void)ask;
	scene->reports++;
	if (scene->is_full)
		return fault(ERR_FULL, "no room");
	answer->noted = 1;
	return OK;
}

static const struct link_handlers handlers = { .queue_claim = serve_claim,
					       .queue_report = serve_report };

static void begin_store(struct scene *scene)
{
	struct channel *ends[2];

	assert_int_equal(channel_pair_memory(ends), OK);
	assert_int_equal(
		link_serve(ends[0], ROLE_STORE, ROLE_RELAY, 0, &handlers, scene, &scene->servers),
		OK);
	assert_int_equal(link_attach(scene->role.store, 0, ends[1]), OK);
}

static enum err ask_once(struct scene *scene, const char *only) WAITS
{
	struct arena arena = { 0 };
	struct answer_queue_claim claim;
	enum err err =
		relay_ask(&scene->relay, &(struct wanted){ .only = str_of(only) }, &arena, &claim);

	arena_drop(&arena);
	return err;
}

static void ask_fiber(void *arg) WAITS
{
	(void)ask_once(arg, "far.example");
}

static void wait_fiber(void *arg) WAITS
{
	(void)ask_once(arg, "");
}

/*
 * One claim waits when the store ends: its answer may have held a lease. Another one begins before that is known, and
 * leaves last before the store is back.
 */
static void play_lost(struct scene *scene) WAITS
{
	struct fiber_group group;

	group_init(&group);
	begin_store(scene);
	for (int i = 0; i < LEASES; i++)
		assert_int_equal(ask_once(scene, "far.example"), OK);
	assert_int_equal(fiber_spawn(&group, "waits", wait_fiber, scene, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	link_detach(scene->role.store, 0);
	assert_int_equal(fiber_spawn(&group, "asks", ask_fiber, scene, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(100)), OK);
	begin_store(scene);
	assert_int_equal(fiber_sleep(in_ms(100)), OK);
	assert_true(scene->told && scene->knows_all);
	assert_false(scene->relay.held.is_unsure);
	group_stop(&group);
	group_wait_through(&group);
}

/* What was learnt while a claim waits to be sent is in its list, wherever that lies by then. */
static void play_learnt(struct scene *scene) WAITS
{
	struct fiber_group group;

	group_init(&group);
	scene->relay.held.is_unsure = true;
	assert_int_equal(fiber_spawn(&group, "asks", ask_fiber, scene, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(100)), OK);
	while (scene->next_lease < LEASES)
		held_add(&scene->relay.held, ++scene->next_lease);
	begin_store(scene);
	group_wait_through(&group);
	assert_true(scene->told && scene->knows_all);
}

static void play_full(struct scene *scene) WAITS
{
	begin_store(scene);
	scene->is_full = true;
	relay_tell(&scene->relay, &(struct ask_queue_report){ .lease = 1 }, (struct arena){ 0 },
		   false);
	assert_int_equal(fiber_sleep(in_ms(3600 * 1000)), OK);
	assert_in_range(scene->reports, 50, 80);
	scene->is_full = false;
	scene->reports = 0;
	assert_int_equal(fiber_sleep(in_ms(61 * 1000)), OK);
	assert_int_equal(scene->reports, 1);
}

static void play_last(struct scene *scene) WAITS
{
	begin_store(scene);
	scene->is_full = true;
	relay_tell(&scene->relay, &(struct ask_queue_report){ .lease = 1 }, (struct arena){ 0 },
		   false);
	assert_int_equal(fiber_sleep(in_ms(3600 * 1000)), OK);
	scene->is_full = false;
	scene->reports = 0;
	group_stop(&scene->relay.errands);
	group_wait_through(&scene->relay.errands);
	assert_int_equal(scene->reports, 1);
}

/* ---- the scene ---- */

static void scene_fiber(void *arg) WAITS
{
	struct scene *scene = arg;

	group_init(&scene->servers);
	group_init(&scene->relay.errands);
	scene->role.store = link_new(ROLE_RELAY, ROLE_STORE);
	scene->run(scene);
	link_drop(&scene->role.store);
	assert_int_equal(group_wait(&scene->relay.errands, in_ms(200000)), OK);
	group_stop(&scene->servers);
	group_wait_through(&scene->servers);
}

static void play(void (*run)(struct scene *scene))
{
	OWNED(buf) struct buf complaints = BUF(1000);
	struct scene scene = { .run = run, .relay.run = 17 };
	struct world *world = world_sim_new(5);

	scene.relay.role = &scene.role;
	assert_int_equal(config_parse(S(""), S("x"), NULL, 0, &complaints, &scene.role.config), OK);
	assert_int_equal(world_spawn(world, "scene", scene_fiber, &scene), OK);
	world_run(world);
	world_drop(&world);
	held_done(&scene.relay.held);
	config_unref(&scene.role.config);
}

static void a_store_that_is_back_hears_first_of_all_what_we_have(void **state)
{
	(void)state;
	play(play_lost);
}

static void a_claim_that_had_to_wait_says_what_we_have_when_it_leaves(void **state)
{
	(void)state;
	play(play_learnt);
}

static void a_report_that_the_store_cannot_keep_is_repeated_ever_more_seldom(void **state)
{
	(void)state;
	play(play_full);
}

static void a_relay_that_is_stopped_tells_once_more_what_was_not_heard(void **state)
{
	(void)state;
	play(play_last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_that_is_back_hears_first_of_all_what_we_have),
		cmocka_unit_test(a_claim_that_had_to_wait_says_what_we_have_when_it_leaves),
		cmocka_unit_test(a_report_that_the_store_cannot_keep_is_repeated_ever_more_seldom),
		cmocka_unit_test(a_relay_that_is_stopped_tells_once_more_what_was_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
