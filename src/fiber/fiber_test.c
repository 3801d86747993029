/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/fiber_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- order and time ---- */

static char order[64];

static void note(char c)
{
	size_t len = strlen(order);

	assert_true(len + 1 < sizeof(order));
	order[len] = c;
	order[len + 1] = 0;
}

static void note_thrice(void *arg) WAITS
{
	const char *c = arg;

	for (int i = 0; i < 3; i++) {
		note(*c);
		assert_int_equal(fiber_yield(), OK);
	}
}

static void start_three(void *arg)
{
	(void)arg;
	order[0] = 0;
	spawn(NULL, "a", note_thrice, "a");
	spawn(NULL, "b", note_thrice, "b");
	spawn(NULL, "c", note_thrice, "c");
	note('-');
}

static void fibers_take_turns_in_order(void **state)
{
	run_in(world_of_kind(state), start_three, NULL);
	assert_string_equal(order, "-abcabcabc");
}

static void sleep_and_note(void *arg) WAITS
{
	const char *c = arg;
	moment begun = now();

	assert_int_equal(fiber_sleep(in_ms((*c - '0') * 10)), OK);
	assert_true(now() - begun >= (*c - '0') * 10'000);
	note(*c);
}

static void start_sleepers(void *arg)
{
	(void)arg;
	order[0] = 0;
	spawn(NULL, "sleeper", sleep_and_note, "3");
	spawn(NULL, "sleeper", sleep_and_note, "1");
	spawn(NULL, "sleeper", sleep_and_note, "2");
}

static void sleepers_wake_in_order_of_time(void **state)
{
	run_in(world_of_kind(state), start_sleepers, NULL);
	assert_string_equal(order, "123");
}

static void look_at_time(void *arg) WAITS
{
	moment begun = now();
	int64_t wall = wall_us();

	(void)arg;
	assert_int_equal(in_ms(INT64_MAX), NEVER);
	assert_int_equal(in_us(INT64_MAX), NEVER);
	assert_int_equal(in_ms(INT64_MIN), 0);
	assert_int_equal(sooner(3, 2), 2);
	assert_int_equal(sooner(2, NEVER), 2);
	assert_true(in_ms(5) - in_us(5000) <= 0);
	assert_int_equal(fiber_sleep(0), OK);
	assert_int_equal(fiber_sleep(in_ms(20)), OK);
	assert_true(now() >= begun + 20'000);
	assert_true(wall_us() >= wall + 19'000);
}

static void time_passes_and_saturates(void **state)
{
	run_in(world_of_kind(state), look_at_time, NULL);
}

static void look_at_chance(void *arg)
{
	unsigned char bytes[2000] = { 0 };
	size_t zeros = 0;
	uint64_t last = 0;

	(void)arg;
	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		zeros += bytes[i] == 0;
	assert_true(zeros < 40); /* 8 on average */
	for (int i = 0; i < 1000; i++)
		assert_int_not_equal(random_u64(), random_u64());
	for (int i = 0; i < 10'000; i++) {
		uint64_t id = id_new();

		assert_true(id > last);
		last = id;
	}
	assert_true(last >> 22 >= (uint64_t)wall_us() / 1000);
	assert_true(last >> 22 < (uint64_t)wall_us() / 1000 + 60'000);
}

static void chance_and_ids_do_not_repeat(void **state)
{
	run_in(world_of_kind(state), look_at_chance, NULL);
}

/* ---- waiting for one another ---- */

struct queue_case {
	struct waitq queue;
	struct fiber_group group;
	int woken;
	int stopped;
	int timed_out;
};

static void wait_in_queue(void *arg) WAITS
{
	struct queue_case *c = arg;
	enum err err = waitq_wait(&c->queue, in_ms(200));

	c->woken += err == OK;
	c->stopped += err == ERR_STOPPED;
	c->timed_out += err == ERR_TIMEOUT;
	if (err == ERR_STOPPED) {
		assert_true(fiber_is_stopping());
		assert_int_equal(fiber_sleep(NEVER), ERR_STOPPED);
		assert_int_equal(fiber_yield(), ERR_STOPPED);
	}
}

static void queue_main(void *arg) WAITS
{
	struct queue_case *c = arg;
	struct fiber *one;

	waitq_init(&c->queue);
	group_init(&c->group);
	waitq_wake_one(&c->queue); /* nobody there: nothing is remembered */
	for (int i = 0; i < 5; i++)
		assert_int_equal(fiber_spawn(&c->group, "waiter", wait_in_queue, c, &one), OK);
	assert_int_equal(fiber_yield(), OK);
	waitq_wake_one(&c->queue);
	assert_int_equal(fiber_yield(), OK);
	assert_int_equal(c->woken, 1);
	fiber_stop(one);
	assert_int_equal(fiber_yield(), OK);
	assert_int_equal(c->stopped, 1);
	assert_int_equal(group_wait(&c->group, in_ms(5)), ERR_TIMEOUT);
	assert_int_equal(c->group.count, 3);
	assert_int_equal(group_wait(&c->group, NEVER), OK);
	assert_int_equal(c->timed_out, 3);
	for (int i = 0; i < 3; i++)
		spawn(&c->group, "waiter", wait_in_queue, c);
	assert_int_equal(fiber_yield(), OK);
	waitq_wake_all(&c->queue);
	assert_int_equal(group_wait(&c->group, NEVER), OK);
	assert_int_equal(c->woken, 4);
}

static void wake_soon(void *arg)
{
	waitq_wake_all(arg);
}

/* The moment of a wait that ended early must not end a later, longer one. */
static void late_main(void *arg) WAITS
{
	struct waitq queue;
	moment begun = now();

	(void)arg;
	waitq_init(&queue);
	spawn(NULL, "waker", wake_soon, &queue);
	assert_int_equal(waitq_wait(&queue, in_ms(20)), OK);
	assert_int_equal(waitq_wait(&queue, begun + 60'000), ERR_TIMEOUT);
	assert_true(now() >= begun + 60'000);
	assert_int_equal(waitq_wait(&queue, in_ms(5)), ERR_TIMEOUT); /* nor delay a shorter one */
	assert_true(now() < begun + 10'000'000);
	spawn(NULL, "waker", wake_soon, &queue);
	assert_int_equal(waitq_wait(&queue, in_ms(10'000)), OK);
	begun = now();
	assert_int_equal(waitq_wait(&queue, in_ms(20)), ERR_TIMEOUT);
	assert_true(now() - begun < 5'000'000);
}

static void a_deadline_holds_for_its_own_wait(void **state)
{
	run_in(world_of_kind(state), late_main, NULL);
}

static void queues_wake_time_out_and_stop(void **state)
{
	struct queue_case c = { 0 };

	run_in(world_of_kind(state), queue_main, &c);
}

struct semaphore_case {
	struct semaphore semaphore;
	int inside;
	int inside_peak;
	int turn;
	int got[20];
};

static void use_semaphore(void *arg) WAITS
{
	struct semaphore_case *c = arg;
	int mine = c->turn++;
	int round = 0;

	assert_int_equal(semaphore_take(&c->semaphore, NEVER), OK);
	while (round < 20 && c->got[round] >= 0)
		round++;
	c->got[round] = mine;
	if (++c->inside > c->inside_peak)
		c->inside_peak = c->inside;
	assert_int_equal(fiber_sleep(in_ms(1)), OK);
	c->inside--;
	semaphore_give(&c->semaphore);
	/* Whoever comes back at once must not overtake those who wait. */
	assert_int_equal(semaphore_take(&c->semaphore, NEVER), OK);
	semaphore_give(&c->semaphore);
}

static void semaphore_main(void *arg) WAITS
{
	struct semaphore_case *c = arg;
	struct fiber_group group;

	group_init(&group);
	semaphore_init(&c->semaphore, 3);
	memset(c->got, 0xFF, sizeof(c->got));
	for (int i = 0; i < 20; i++)
		spawn(&group, "user", use_semaphore, c);
	assert_int_equal(fiber_yield(), OK);
	assert_int_equal(semaphore_take(&c->semaphore, now()), ERR_TIMEOUT);
	assert_int_equal(group_wait(&group, NEVER), OK);
	assert_int_equal(c->inside_peak, 3);
	assert_int_equal(c->semaphore.free, 3);
	for (int i = 0; i < 20; i++)
		assert_int_equal(c->got[i], i);
}

static void semaphores_are_fair_and_count(void **state)
{
	struct semaphore_case c = { 0 };

	run_in(world_of_kind(state), semaphore_main, &c);
}

struct through_case {
	struct waitq queue;
	bool returned;
};

static void wait_through(void *arg) WAITS
{
	struct through_case *c = arg;

	assert_int_equal(waitq_wait_through(&c->queue, in_ms(5)), ERR_TIMEOUT);
	assert_int_equal(waitq_wait_through(&c->queue, NEVER), OK);
	c->returned = true;
	assert_int_equal(waitq_wait(&c->queue, NEVER), ERR_STOPPED);
}

static void through_main(void *arg) WAITS
{
	struct through_case c = { 0 };
	struct fiber_group group;

	(void)arg;
	waitq_init(&c.queue);
	group_init(&group);
	group_stop(&group); /* born stopped, and waits all the same */
	spawn(&group, "waiter", wait_through, &c);
	assert_int_equal(fiber_sleep(in_ms(20)), OK);
	group_stop(&group);
	assert_int_equal(fiber_sleep(in_ms(5)), OK);
	assert_false(c.returned);
	waitq_wake_one(&c.queue);
	assert_int_equal(group_wait(&group, in_ms(5000)), OK);
	assert_true(c.returned);
}

static void a_wait_through_outlasts_a_stop(void **state)
{
	run_in(world_of_kind(state), through_main, NULL);
}

/* A group whose only fiber ends a while later, and who waits for it. */
struct patience {
	struct fiber_group group;
	enum err stopped;
	bool saw_end;
};

static void end_later(void *arg) WAITS
{
	(void)arg;
	assert_int_equal(fiber_sleep(in_ms(30)), OK);
}

static void wait_for_group(void *arg) WAITS
{
	struct patience *patience = arg;

	patience->stopped = group_wait(&patience->group, NEVER);
	group_wait_through(&patience->group);
	patience->saw_end = patience->group.count == 0;
}

static void group_through_main(void *arg) WAITS
{
	struct patience *patience = arg;
	struct fiber_group waiters;
	struct fiber *waiter;

	group_init(&patience->group);
	group_init(&waiters);
	spawn(&patience->group, "later", end_later, NULL);
	assert_int_equal(fiber_spawn(&waiters, "waiter", wait_for_group, patience, &waiter), OK);
	assert_int_equal(fiber_yield(), OK);
	fiber_stop(waiter);
	assert_int_equal(group_wait(&waiters, in_ms(5000)), OK);
}

static void a_stopped_fiber_can_still_see_the_end_of_a_group(void **state)
{
	struct patience patience = { .stopped = OK };

	run_in(world_of_kind(state), group_through_main, &patience);
	assert_int_equal(patience.stopped, ERR_STOPPED);
	assert_true(patience.saw_end);
}

/* ---- stopping ---- */

static int cleaned;

static void clean_drop(int *count)
{
	cleaned += *count;
}

static void sleep_for_ever(void *arg) WAITS
{
	OWNED(clean) int one = 1;

	(void)arg;
	(void)one;
	while (!fiber_sleep(NEVER))
		;
}

static void stop_main(void *arg) WAITS
{
	struct fiber_group group;

	(void)arg;
	cleaned = 0;
	group_init(&group);
	for (int i = 0; i < 10; i++)
		spawn(&group, "sleeper", sleep_for_ever, NULL);
	assert_int_equal(fiber_yield(), OK);
	group_stop(&group);
	assert_int_equal(cleaned, 0); /* asking does not wait */
	assert_int_equal(group_wait(&group, NEVER), OK);
	assert_int_equal(cleaned, 10);
	spawn(&group, "late", sleep_for_ever, NULL); /* born stopped, still runs and cleans up */
	assert_int_equal(group_wait(&group, NEVER), OK);
	assert_int_equal(cleaned, 11);
}

static void stopping_unwinds_by_ordinary_returns(void **state)
{
	run_in(world_of_kind(state), stop_main, NULL);
}

static void leave_sleepers(void *arg) WAITS
{
	(void)arg;
	cleaned = 0;
	for (int i = 0; i < 5; i++)
		spawn(NULL, "sleeper", sleep_for_ever, NULL);
	assert_int_equal(fiber_yield(), OK);
	world_halt(world_here());
	assert_int_equal(fiber_sleep(in_ms(1000'000)), ERR_STOPPED);
}

static void dropping_a_world_unwinds_its_fibers(void **state)
{
	run_in(world_of_kind(state), leave_sleepers, NULL);
	assert_int_equal(cleaned, 5);
}

/* ---- faults are the fiber's own ---- */

static void keep_own_fault(void *arg) WAITS
{
	const char *text = arg;

	assert_string_equal(fault_text(), "");
	assert_int_equal(fault(ERR_IO, "%s", text), ERR_IO);
	assert_int_equal(fiber_sleep(in_ms(1)), OK);
	assert_string_equal(fault_text(), text);
}

static void start_faults(void *arg)
{
	(void)arg;
	spawn(NULL, "one", keep_own_fault, "first");
	spawn(NULL, "two", keep_own_fault, "second");
}

static void each_fiber_keeps_its_fault(void **state)
{
	run_in(world_of_kind(state), start_faults, NULL);
}

/* ---- stacks ---- */

/* Each frame hands its address on, so that no compiler makes a loop of it. */
__attribute__((noinline)) static int descend(int depth, volatile char *above)
{
	volatile char frame[512];

	for (size_t i = 0; i < sizeof(frame); i += 64)
		frame[i] = (char)(depth + above[0]);
	return depth == 0 ? frame[0] : descend(depth - 1, frame) + frame[64];
}

static void overflow_stack(void *arg)
{
	volatile char top = 0;

	(void)arg;
	descend(1'000'000, &top);
}

static void an_overflow_hits_the_guard_page(void **state)
{
	int status = end_of_child(world_real_new, overflow_stack);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static size_t shallow_used;
static size_t deep_used;

static void park_shallow(void *arg) WAITS
{
	(void)fiber_sleep(*(moment *)arg);
}

static void park_deep(void *arg) WAITS
{
	volatile char top = 0;

	descend(20, &top);
	(void)fiber_sleep(*(moment *)arg);
}

static void find_used(void *context, const struct fiber_info *info)
{
	(void)context;
	if (strcmp(info->name, "shallow") == 0)
		shallow_used = info->stack_used;
	if (strcmp(info->name, "deep") == 0)
		deep_used = info->stack_used;
}

static void stack_main(void *arg) WAITS
{
	moment until = in_ms(20);
	struct world_stats stats;

	(void)arg;
	spawn(NULL, "shallow", park_shallow, &until);
	spawn(NULL, "deep", park_deep, &until);
	assert_int_equal(fiber_yield(), OK);
	world_each_fiber(world_here(), find_used, NULL);
	assert_true(shallow_used > 200);
	/* The promise to idle sessions, sanitizers' red zones apart: one page. */
	assert_true(shallow_used < 8192);
	assert_true(deep_used > shallow_used + 20 * 512);
	assert_int_equal(fiber_sleep(until), OK);
	assert_int_equal(fiber_yield(), OK);
	world_get_stats(world_here(), &stats);
	assert_true(stats.stack_used_peak >= deep_used);
}

static void painted_stacks_tell_how_deep_they_went(void **state)
{
	struct world *world = world_of_kind(state);

	world_paint_stacks(world, true);
	run_in(world, stack_main, NULL);
}

/* ---- many ---- */

enum { MANY = 10'000 };

static void sleep_then_count(void *arg) WAITS
{
	int *count = arg;

	assert_int_equal(fiber_sleep(in_us((int64_t)(random_u64() % 20'000))), OK);
	++*count;
}

static void many_main(void *arg) WAITS
{
	struct fiber_group group;
	int *count = arg;
	struct world_stats stats;

	group_init(&group);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			spawn(&group, "one of many", sleep_then_count, count);
		assert_int_equal(group_wait(&group, NEVER), OK);
	}
	world_get_stats(world_here(), &stats);
	assert_int_equal(stats.spawned, 2 * MANY + 1);
	assert_int_equal(stats.fibers, 1);
	assert_int_equal(stats.fibers_peak, MANY + 1);
	assert_true(stats.switches > 4 * MANY);
	assert_true(stats.polls > 0);
}

static void ten_thousand_fibers_run(void **state)
{
	int count = 0;

	run_in(world_of_kind(state), many_main, &count);
	assert_int_equal(count, 2 * MANY);
}

static void limit_main(void *arg) WAITS
{
	struct fiber_group group;
	enum err err = OK;

	(void)arg;
	group_init(&group);
	while (!err)
		err = fiber_spawn(&group, "crowd", sleep_for_ever, NULL, NULL);
	assert_int_equal(err, ERR_LIMIT);
	assert_int_equal(group.count, LIMIT_fiber_count - 1);
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void more_fibers_than_the_limit_are_refused(void **state)
{
	run_in(world_of_kind(state), limit_main, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(fibers_take_turns_in_order),
		BOTH(sleepers_wake_in_order_of_time),
		BOTH(time_passes_and_saturates),
		BOTH(chance_and_ids_do_not_repeat),
		BOTH(queues_wake_time_out_and_stop),
		BOTH(a_deadline_holds_for_its_own_wait),
		BOTH(a_wait_through_outlasts_a_stop),
		BOTH(a_stopped_fiber_can_still_see_the_end_of_a_group),
		BOTH(semaphores_are_fair_and_count),
		BOTH(stopping_unwinds_by_ordinary_returns),
		BOTH(dropping_a_world_unwinds_its_fibers),
		BOTH(each_fiber_keeps_its_fault),
		IN_REAL(an_overflow_hits_the_guard_page),
		BOTH(painted_stacks_tell_how_deep_they_went),
		BOTH(ten_thousand_fibers_run),
		IN_REAL(more_fibers_than_the_limit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
