/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLICES_PER_TURN = 256 }; /* run before the world looks outside again */

static _Thread_local struct world *here __attribute__((tls_model("initial-exec")));

/* All worlds of the process: where tools/gdb/fibers.py starts. */
static pthread_mutex_t fiber_worlds_mutex = PTHREAD_MUTEX_INITIALIZER;
struct list fiber_worlds = { &fiber_worlds, &fiber_worlds };

struct world *world_here(void)
{
	must(here);
	return here;
}

bool world_is_simulated(const struct world *world)
{
	return world->simulated;
}

void world_init(struct world *world, const struct world_ops *ops, bool simulated)
{
	*world = (struct world){ .ops = ops, .simulated = simulated };
	list_init(&world->ready);
	list_init(&world->fibers);
	list_init(&world->idle_hooks);
	pthread_mutex_lock(&fiber_worlds_mutex);
	list_add_last(&fiber_worlds, &world->worlds);
	pthread_mutex_unlock(&fiber_worlds_mutex);
}

void world_done(struct world *world)
{
	pthread_mutex_lock(&fiber_worlds_mutex);
	list_remove(&world->worlds);
	pthread_mutex_unlock(&fiber_worlds_mutex);
	/* Hooks that outlive the world may still be removed by their owners. */
	while (list_take_first(&world->idle_hooks))
		;
	stack_pool_drop(&world->stacks);
	heap_drop(&world->timers);
}

/* ---- timers ---- */

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	heap_item_init(&timer->item);
	timer->fire = fire;
}

void timer_set(struct world *world, struct timer *timer, moment when)
{
	heap_remove(&world->timers, &timer->item);
	heap_add(&world->timers, &timer->item, when);
}

void timer_clear(struct world *world, struct timer *timer)
{
	heap_remove(&world->timers, &timer->item);
}

moment world_next_timer(const struct world *world)
{
	const struct heap_item *first = heap_first(&world->timers);

	return first ? first->key : NEVER;
}

void world_fire_timers(struct world *world)
{
	/* Timers set by what fires here wait for the next turn, or a sleeper of 0 ms would hold us. */
	uint64_t until_serial = world->timers.serial;

	for (;;) {
		struct heap_item *first = heap_first(&world->timers);
		struct timer *timer;

		if (!first || first->key > world->now || first->serial >= until_serial)
			return;
		heap_remove(&world->timers, first);
		timer = CONTAINER_OF(first, struct timer, item);
		timer->fire(timer);
	}
}

/* ---- the loop ---- */

static void run_one(struct world *world, struct fiber *fiber)
{
	const char *name = fiber->name;

	world->current = fiber;
	fiber->moved = 0;
	world->slice_begun = world->now;
	world->stats.switches++;
	atomic_store_explicit(&world->running, name, memory_order_relaxed);
	atomic_store_explicit(&world->slices, world->stats.switches, memory_order_relaxed);
	fault_use(&fiber->fault);
	context_switch(&world->loop, &fiber->context);
	world->current = NULL;
	if (world->ended)
		fiber_bury(world);
	if (world->ops->slice_end)
		world->ops->slice_end(world, name);
}

static void run_ready(struct world *world)
{
	for (int i = 0; i < SLICES_PER_TURN && !world->halted; i++) {
		struct list *link = list_take_first(&world->ready);

		if (!link)
			break;
		run_one(world, CONTAINER_OF(link, struct fiber, run));
	}
	fault_use(NULL);
	atomic_store_explicit(&world->running, NULL, memory_order_relaxed);
}

static void run_idle_hooks(struct world *world)
{
	LIST_EACH (link, &world->idle_hooks) {
		struct idle_hook *hook = CONTAINER_OF(link, struct idle_hook, link);

		hook->run(hook);
	}
}

static void run_until_empty(struct world *world)
{
	must(!here); /* world_run is called from plain code, one world at a time */
	here = world;
	if (world->ops->run_begin)
		world->ops->run_begin(world);
	while (world->stats.fibers > 0 && !world->halted) {
		run_ready(world);
		if (world->stats.fibers == 0 || world->halted)
			break;
		/* Before each look outside, not only the sleeping ones: under load the run queue may
		   never be empty, and what hooks flush must still go. */
		run_idle_hooks(world);
		world->ops->poll(world, list_is_empty(&world->ready) ? world_next_timer(world) : 0);
		world->stats.polls++;
		world_fire_timers(world);
	}
	here = NULL;
}

void world_run(struct world *world)
{
	world->halted = false;
	run_until_empty(world);
}

void world_halt(struct world *world)
{
	world->halted = true;
}

void world_drop(struct world **world)
{
	struct world *w = *world;

	if (!w)
		return;
	/* What still waits is asked to stop and unwinds, so that its cleanups run. */
	w->dropping = true;
	LIST_EACH (link, &w->fibers)
		fiber_stop(CONTAINER_OF(link, struct fiber, all));
	while (w->stats.fibers > 0)
		world_run(w);
	w->ops->drop(w);
	*world = NULL;
}

void world_add_idle_hook(struct world *world, struct idle_hook *hook)
{
	list_add_last(&world->idle_hooks, &hook->link);
}

void world_remove_idle_hook(struct idle_hook *hook)
{
	list_remove(&hook->link);
}

/* ---- time and chance ---- */

moment now(void)
{
	struct world *world = world_here();

	return world->ops->now(world);
}

int64_t wall_us(void)
{
	struct world *world = world_here();

	return world->ops->wall_us(world);
}

moment in_us(int64_t us)
{
	moment then;

	if (__builtin_add_overflow(now(), us, &then))
		return NEVER; /* now() is not negative, so it was too much */
	return then;
}

moment in_ms(int64_t ms)
{
	int64_t us;

	if (__builtin_mul_overflow(ms, 1000, &us))
		return ms > 0 ? NEVER : 0;
	return in_us(us);
}

moment sooner(moment a, moment b)
{
	return a < b ? a : b;
}

void random_bytes(void *at, size_t len)
{
	struct world *world = world_here();

	world->ops->random(world, at, len);
}

uint64_t random_u64(void)
{
	uint64_t value;

	random_bytes(&value, sizeof(value));
	return value;
}

moment in_wall_us(int64_t us, int64_t look_ms)
{
	int64_t wait_us;
	moment at;

	if (__builtin_sub_overflow(us, wall_us(), &wait_us))
		wait_us = INT64_MAX;
	at = in_us(wait_us > 0 ? wait_us : 0);
	return world_here()->simulated ? at : sooner(at, in_ms(look_ms));
}

/*
 * Within one world ids only grow: the low bits start by chance in each new millisecond and count
 * from there, so that two of one world never meet and those of two worlds hardly ever.
 */
uint64_t id_new(void)
{
	struct world *world = world_here();
	uint64_t ms = (uint64_t)wall_us() / 1000;
	uint64_t id;

	if ((ms & (((uint64_t)1 << 42) - 1)) <= world->last_id >> 22 && world->last_id)
		id = world->last_id + 1;
	else
		id = ms << 22 | (random_u64() & 0x1F'FFFF); /* half of them: room to count on */
	world->last_id = id ? id : 1;
	return world->last_id;
}

/* ---- looking inside ---- */

void world_each_fiber(struct world *world,
		      void (*each)(void *context, const struct fiber_info *info), void *context)
{
	bool was_here = here != NULL;
	moment at;

	if (!was_here)
		here = world;
	at = world->ops->now(world);
	if (!was_here)
		here = NULL;
	LIST_EACH (link, &world->fibers) {
		struct fiber *fiber = CONTAINER_OF(link, struct fiber, all);
		struct fiber_info info = {
			.id = fiber->id,
			.name = fiber->name,
			.waits_for = fiber->waits_for,
			.since_us = at > fiber->since ? at - fiber->since : 0,
			.stack_used = stack_used(&fiber->stack),
		};

		memcpy(info.description, fiber->description, sizeof(info.description));
		each(context, &info);
	}
}

static void print_fiber(void *context, const struct fiber_info *info)
{
	(void)context;
	fprintf(stderr, "  fiber %llu %s (%s): %s for %lld us\n", (unsigned long long)info->id,
		info->name, info->description, info->waits_for, (long long)info->since_us);
}

void world_print_fibers(struct world *world)
{
	world_each_fiber(world, print_fiber, NULL);
}

void world_get_stats(const struct world *world, struct world_stats *out)
{
	*out = world->stats;
	LIST_EACH (link, &world->fibers) {
		size_t used = stack_used(&CONTAINER_OF(link, struct fiber, all)->stack);

		if (used > out->stack_used_peak)
			out->stack_used_peak = used;
	}
}

void world_paint_stacks(struct world *world, bool on)
{
	world->paints = on;
}

void world_on_long_slice(struct world *world, void (*told)(const char *name, int64_t us))
{
	world->on_long_slice = told;
}
