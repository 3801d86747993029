/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/world.h"

#include <stdarg.h>
#include <stdio.h>

static atomic_size_t process_fibers; /* of all worlds: LIMIT_fiber_count is the process's */

/* ---- birth and end ---- */

static void fiber_timer_fired(struct timer *timer)
{
	struct fiber *fiber = CONTAINER_OF(timer, struct fiber, timer);

	if (!fiber->parked || fiber->deadline == NEVER)
		return;
	if (fiber->deadline > fiber->world->now)
		timer_set(fiber->world, timer, fiber->deadline);
	else
		fiber_wake(fiber, ERR_TIMEOUT);
}

static void leave_group(struct fiber *fiber)
{
	struct fiber_group *group = fiber->group_of;

	if (!group)
		return;
	list_remove(&fiber->group);
	if (--group->count == 0) {
		LIST_EACH (link, &group->waiters)
			fiber_wake(fiber_of_wait(link), OK);
	}
}

static void fiber_main(void)
{
	struct world *world = world_here();
	struct fiber *self = world->current;

	context_arrived(&self->context, &world->loop);
	self->fn(self->arg);
	leave_group(self);
	world->ended = self;
	context_end(&self->context, &world->loop);
	must(false); /* nobody comes back to an ended fiber */
}

/* The fiber's own struct goes to the top of its stack; the rest is for its frames. */
static struct fiber *place_on_stack(struct world *world, struct stack *stack)
{
	uintptr_t top = (uintptr_t)stack->low + stack->size;
	struct fiber *fiber = (void *)((top - sizeof(struct fiber)) & ~(uintptr_t)63);

	if (world->paints)
		stack_paint(stack, fiber);
	return fiber;
}

enum err fiber_start(struct world *world, struct fiber_group *group, struct fiber *model,
		     struct fiber **out)
{
	struct stack stack;
	struct fiber *fiber;
	enum err err;

	if (atomic_load_explicit(&process_fibers, memory_order_relaxed) >= LIMIT_fiber_count)
		return fault(ERR_LIMIT, "%d fibers run already", LIMIT_fiber_count);
	err = stack_take(&world->stacks, &stack);
	if (err)
		return err;
	atomic_fetch_add_explicit(&process_fibers, 1, memory_order_relaxed);
	fiber = place_on_stack(world, &stack);
	*fiber = *model;
	fiber->world = world;
	fiber->stack = stack;
	fiber->id = ++world->last_fiber_id;
	fiber->since = world->now;
	fiber->deadline = NEVER;
	fiber->waits_for = "runs";
	fiber->group_of = group;
	fiber->stopping = world->dropping || (group && group->stopping);
	list_init(&fiber->wait);
	list_init(&fiber->group);
	timer_init(&fiber->timer, fiber_timer_fired);
	context_init(&fiber->context, stack.low, (size_t)((char *)fiber - stack.low), fiber_main);
	if (group) {
		list_add_last(&group->fibers, &fiber->group);
		group->count++;
	}
	list_add_last(&world->fibers, &fiber->all);
	list_add_last(&world->ready, &fiber->run);
	world->stats.spawned++;
	if (++world->stats.fibers > world->stats.fibers_peak)
		world->stats.fibers_peak = world->stats.fibers;
	if (out)
		*out = fiber;
	return OK;
}

enum err fiber_spawn(struct fiber_group *group, const char *name, fiber_fn *fn, void *arg,
		     struct fiber **out)
{
	struct fiber model = { .name = name, .fn = fn, .arg = arg };

	return fiber_start(world_here(), group, &model, out);
}

enum err world_spawn(struct world *world, const char *name, fiber_fn *fn, void *arg)
{
	struct fiber model = { .name = name, .fn = fn, .arg = arg };

	return fiber_start(world, NULL, &model, NULL);
}

void fiber_bury(struct world *world)
{
	struct fiber *fiber = world->ended;
	struct stack stack = fiber->stack;
	size_t used = stack_used(&stack);

	world->ended = NULL;
	if (used > world->stats.stack_used_peak)
		world->stats.stack_used_peak = used;
	timer_clear(world, &fiber->timer);
	list_remove(&fiber->all);
	world->stats.fibers--;
	atomic_fetch_sub_explicit(&process_fibers, 1, memory_order_relaxed);
	stack_give(&world->stacks, &stack);
}

/* ---- giving way ---- */

/* Of its own, so that the frame noted is the one that tools/gdb/fibers.py walks from. */
__attribute__((noinline)) static void give_way(struct fiber *self)
{
	self->frame = __builtin_frame_address(0);
	context_switch(&self->context, &self->world->loop);
}

static struct fiber *self_that_may_wait(void)
{
	struct fiber *self = world_here()->current;

	must(self); /* only fibers wait */
	return self;
}

/* Invariant (3) of world.h: an earlier moment may stay in the heap. */
static void want_deadline(struct fiber *self, moment deadline)
{
	struct heap_item *item = &self->timer.item;

	self->deadline = deadline;
	if (deadline == NEVER || (item->index != HEAP_OUT && item->key <= deadline))
		return;
	timer_set(self->world, &self->timer, deadline);
}

static enum err park(struct fiber *self, const char *waits_for, moment deadline)
{
	self->waits_for = waits_for;
	self->since = self->world->now;
	self->trimmed = false;
	self->parked = true;
	want_deadline(self, deadline);
	give_way(self);
	return self->woken;
}

enum err fiber_park(const char *waits_for, moment deadline) WAITS
{
	struct fiber *self = self_that_may_wait();

	if (self->stopping) {
		list_remove(&self->wait);
		return ERR_STOPPED;
	}
	self->hard = false;
	return park(self, waits_for, deadline);
}

enum err fiber_park_hard(const char *waits_for, moment deadline) WAITS
{
	struct fiber *self = self_that_may_wait();

	self->hard = true;
	return park(self, waits_for, deadline);
}

void fiber_wake(struct fiber *fiber, enum err why)
{
	must(fiber->parked);
	fiber->parked = false;
	fiber->woken = why;
	fiber->deadline = NEVER;
	fiber->waits_for = "runs";
	list_remove(&fiber->wait);
	list_add_last(&fiber->world->ready, &fiber->run);
}

void fiber_wake_if(struct fiber *fiber, enum err why)
{
	if (fiber && fiber->parked)
		fiber_wake(fiber, why);
}

struct fiber *fiber_of_wait(struct list *wait)
{
	return CONTAINER_OF(wait, struct fiber, wait);
}

enum err fiber_sleep(moment until) WAITS
{
	enum err err = fiber_park("sleep", until);

	return err == ERR_TIMEOUT ? OK : err;
}

enum err fiber_yield(void) WAITS
{
	struct fiber *self = self_that_may_wait();

	if (self->stopping)
		return ERR_STOPPED;
	list_add_last(&self->world->ready, &self->run);
	give_way(self);
	return self->stopping ? ERR_STOPPED : OK;
}

/* ---- asking to stop ---- */

void fiber_stop(struct fiber *fiber)
{
	fiber->stopping = true;
	if (fiber->parked && !fiber->hard)
		fiber_wake(fiber, ERR_STOPPED);
}

bool fiber_is_stopping(void)
{
	return fiber_self()->stopping;
}

struct fiber *fiber_self(void)
{
	struct fiber *self = world_here()->current;

	must(self);
	return self;
}

void fiber_describe(const char *format, ...)
{
	struct fiber *self = fiber_self();
	va_list args;

	va_start(args, format);
	vsnprintf(self->description, sizeof(self->description), format, args);
	va_end(args);
}

void fiber_trim(struct fiber *fiber, moment before)
{
	if (!fiber->parked || fiber->trimmed || fiber->since > before || fiber->stack.painted)
		return;
	fiber->trimmed = true;
	/* 128 octets below the stack pointer belong to whoever stands there (x86-64 ABI). */
	stack_trim(&fiber->stack, (char *)fiber->context.sp - 128);
}

/* ---- groups ---- */

void group_init(struct fiber_group *group)
{
	*group = (struct fiber_group){ 0 };
	list_init(&group->fibers);
	list_init(&group->waiters);
}

void group_stop(struct fiber_group *group)
{
	group->stopping = true;
	LIST_EACH (link, &group->fibers)
		fiber_stop(CONTAINER_OF(link, struct fiber, group));
}

enum err group_wait(struct fiber_group *group, moment deadline) WAITS
{
	enum err err = OK;

	must(fiber_self()->group_of != group); /* it would wait for its own end */
	while (!err && group->count > 0) {
		list_add_last(&group->waiters, &fiber_self()->wait);
		err = fiber_park("group", deadline);
	}
	return err;
}

void group_wait_through(struct fiber_group *group) WAITS
{
	must(fiber_self()->group_of != group);
	while (group->count > 0) {
		list_add_last(&group->waiters, &fiber_self()->wait);
		must(fiber_park_hard("group", NEVER) == OK);
	}
}
