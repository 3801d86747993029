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

static void note_thrice(void *arg)
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

static void sleep_and_note(void *arg)
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

static void look_at_time(void *arg)
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

static void wait_in_queue(void *arg)
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

static void queue_main(void *arg)
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

static void use_semaphore(void *arg)
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

static void semaphore_main(void *arg)
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

/* ---- stopping ---- */

static int cleaned;

static void clean_drop(int *count)
{
	cleaned += *count;
}

static void sleep_for_ever(void *arg)
{
	OWNED(clean) int one = 1;

	(void)arg;
	(void)one;
	while (!fiber_sleep(NEVER))
		;
}

static void stop_main(void *arg)
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

static void leave_sleepers(void *arg)
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

static void keep_own_fault(void *arg)
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

/* ---- no-wait sections ---- */

static void wait_where_it_is_forbidden(void *arg)
{
	(void)arg;
	fiber_no_wait_begin();
	(void)fiber_yield();
}

static void no_wait_section(void *arg)
{
	(void)arg;
	fiber_no_wait_begin();
	fiber_no_wait_begin();
	fiber_no_wait_end();
	fiber_no_wait_end();
	assert_int_equal(fiber_yield(), OK);
}

/* How a child of ours ends that runs fn as a fiber. */
static int end_of_child(struct world *(*make)(void), fiber_fn *fn)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct world *world = make();

		if (!freopen("/dev/null", "w", stderr))
			_exit(98);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (world_spawn(world, "child", fn, NULL))
			_exit(99);
		world_run(world);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void waiting_in_a_no_wait_section_is_a_bug(void **state)
{
	int status = end_of_child(world_real_new, wait_where_it_is_forbidden);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_int_equal(end_of_child(world_real_new, no_wait_section), 0);
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

static void park_shallow(void *arg)
{
	(void)fiber_sleep(*(moment *)arg);
}

static void park_deep(void *arg)
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

static void stack_main(void *arg)
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

static void sleep_then_count(void *arg)
{
	int *count = arg;

	assert_int_equal(fiber_sleep(in_us((int64_t)(random_u64() % 20'000))), OK);
	++*count;
}

static void many_main(void *arg)
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

static void limit_main(void *arg)
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

/* ---- threads and batches ---- */

static void add_one(void *arg)
{
	usleep(1000);
	++*(int *)arg;
}

static void offload_one(void *arg)
{
	int value = 41;

	offload(add_one, &value);
	assert_int_equal(value, 42);
	++*(int *)arg;
}

static void offload_stopped(void *arg)
{
	fiber_stop(fiber_self());
	offload_one(arg); /* the stack is lent out: stopping must not take it away */
	assert_int_equal(fiber_sleep(NEVER), ERR_STOPPED);
}

static void offload_main(void *arg)
{
	struct fiber_group group;

	group_init(&group);
	for (int i = 0; i < 50; i++)
		spawn(&group, "offload", i % 2 ? offload_one : offload_stopped, arg);
	assert_int_equal(fiber_yield(), OK);
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void work_is_offloaded_and_waited_for(void **state)
{
	int done = 0;

	run_in(world_of_kind(state), offload_main, &done);
	assert_int_equal(done, 50);
}

struct commit {
	struct batcher *batcher;
	int batches;
	int jobs;
	int largest;
	int order_broken;
	int next;
};

struct commit_job {
	struct batch_job job;
	int number;
	int answer;
};

static void commit_all(void *context, struct list *jobs)
{
	struct commit *commit = context;
	int count = 0;

	LIST_EACH (link, jobs) {
		struct commit_job *job = CONTAINER_OF(link, struct commit_job, job.link);

		commit->order_broken += job->number != commit->next++;
		job->answer = job->number * 2;
		count++;
	}
	usleep(2000);
	commit->batches++;
	commit->jobs += count;
	if (count > commit->largest)
		commit->largest = count;
}

static int next_number;

static void commit_often(void *arg)
{
	struct commit *commit = arg;

	for (int i = 0; i < 10; i++) {
		struct commit_job job = { .number = next_number++ };

		batcher_run(commit->batcher, &job.job);
		assert_true(job.job.done);
		assert_int_equal(job.answer, job.number * 2);
	}
}

static void batcher_main(void *arg)
{
	struct commit *commit = arg;
	struct fiber_group group;

	next_number = 0;
	commit->batcher = batcher_new(commit_all, commit, 5000);
	group_init(&group);
	for (int i = 0; i < 30; i++)
		spawn(&group, "committer", commit_often, commit);
	assert_int_equal(fiber_yield(), OK);
	group_stop(&group); /* not interruptible: all are answered */
	assert_int_equal(group_wait(&group, NEVER), OK);
	batcher_drop(&commit->batcher);
	assert_null(commit->batcher);
	batcher_drop(&commit->batcher);
}

static void a_batcher_gathers_all_who_are_ready(void **state)
{
	struct commit commit = { 0 };

	run_in(world_of_kind(state), batcher_main, &commit);
	assert_int_equal(commit.jobs, 300);
	assert_int_equal(commit.order_broken, 0);
	assert_int_equal(commit.largest, 30);
	assert_int_equal(commit.batches, 10);
}

static void commit_one(void *arg)
{
	struct commit *commit = arg;
	struct commit_job job = { .number = next_number++ };

	batcher_run(commit->batcher, &job.job);
	assert_int_equal(job.answer, job.number * 2);
}

/* The batcher goes while its thread still works: what it has is finished and answered. */
static void early_drop_main(void *arg)
{
	struct commit *commit = arg;
	struct fiber_group group;

	next_number = 0;
	commit->batcher = batcher_new(commit_all, commit, 5000);
	group_init(&group);
	for (int i = 0; i < 3; i++)
		spawn(&group, "committer", commit_one, commit);
	assert_int_equal(fiber_sleep(now()), OK);
	batcher_drop(&commit->batcher);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void dropping_a_batcher_finishes_what_it_has(void **state)
{
	struct commit commit = { 0 };

	run_in(world_of_kind(state), early_drop_main, &commit);
	assert_int_equal(commit.jobs, 3);
}

/* ---- looking inside ---- */

static void look_at_fiber(void *context, const struct fiber_info *info)
{
	int *seen = context;

	assert_int_equal(info->stack_used, 0); /* not painted */
	if (strcmp(info->name, "sleeper") != 0)
		return;
	assert_string_equal(info->waits_for, "sleep");
	assert_true(info->since_us >= 4000);
	++*seen;
}

static void described(void *arg)
{
	(void)arg;
	fiber_describe("peer 192.0.2.%d, a text that is much longer than what is kept of it %d", 7,
		       1);
	(void)fiber_sleep(NEVER);
}

static void look_at_description(void *context, const struct fiber_info *info)
{
	int *seen = context;

	if (strcmp(info->name, "described") != 0)
		return;
	assert_int_equal(strlen(info->description), 63);
	assert_memory_equal(info->description, "peer 192.0.2.7, ", 16);
	++*seen;
}

static void inside_main(void *arg)
{
	struct fiber_group group;
	int seen = 0;

	(void)arg;
	group_init(&group);
	spawn(&group, "sleeper", sleep_for_ever, NULL);
	spawn(&group, "sleeper", sleep_for_ever, NULL);
	spawn(&group, "described", described, NULL);
	assert_int_equal(fiber_sleep(in_ms(5)), OK);
	world_each_fiber(world_here(), look_at_fiber, &seen);
	world_each_fiber(world_here(), look_at_description, &seen);
	assert_int_equal(seen, 3);
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void a_dump_shows_what_each_fiber_waits_for(void **state)
{
	run_in(world_of_kind(state), inside_main, NULL);
}

struct counting_hook {
	struct idle_hook hook;
	struct waitq *queue;
	int count;
};

static void count_idle(struct idle_hook *hook)
{
	struct counting_hook *counting = CONTAINER_OF(hook, struct counting_hook, hook);

	counting->count++;
	waitq_wake_all(counting->queue); /* a hook may make fibers ready */
}

static void hook_main(void *arg)
{
	struct waitq queue;
	struct counting_hook counting = { .hook.run = count_idle, .queue = &queue };

	(void)arg;
	waitq_init(&queue);
	world_add_idle_hook(world_here(), &counting.hook);
	assert_int_equal(waitq_wait(&queue, in_ms(10'000)), OK);
	assert_int_equal(counting.count, 1);
	world_remove_idle_hook(&counting.hook);
	assert_int_equal(waitq_wait(&queue, in_ms(1)), ERR_TIMEOUT);
	assert_int_equal(counting.count, 1);
}

static void idle_hooks_run_before_the_world_sleeps(void **state)
{
	run_in(world_of_kind(state), hook_main, NULL);
}

static int64_t told_us;

static void note_long_slice(const char *name, int64_t us)
{
	assert_string_equal(name, "test");
	told_us = us;
}

static void hog(void *arg)
{
	moment begun = now();

	(void)arg;
	while (now() - begun < 60'000)
		;
	/* A deadline set after a long slice counts from then, not from its beginning. */
	assert_true(in_ms(0) - begun >= 60'000);
	assert_int_equal(fiber_yield(), OK);
}

static void the_watchdog_tells_of_long_slices(void **state)
{
	struct world *world = world_of_kind(state);

	told_us = 0;
	world_on_long_slice(world, note_long_slice);
	run_in(world, hog, NULL);
	assert_true(told_us >= 60'000);
}

static void never_give_way(void *arg)
{
	(void)arg;
	fiber_describe("spins");
	while (fiber_self())
		;
}

/* Such a fiber never comes back to the loop; only the thread beside it can tell. */
static void the_watchdog_tells_of_a_fiber_that_never_gives_way(void **state)
{
	char text[200] = { 0 };
	size_t len = 0;
	int fds[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct world *world = world_real_new();

		dup2(fds[1], STDERR_FILENO);
		alarm(60);
		if (world_spawn(world, "spinner", never_give_way, NULL))
			_exit(99);
		world_run(world);
		_exit(0);
	}
	close(fds[1]);
	while (len < sizeof(text) - 1 && !strchr(text, '\n')) {
		ssize_t got = read(fds[0], text + len, sizeof(text) - 1 - len);

		assert_true(got > 0);
		len += (size_t)got;
	}
	assert_non_null(strstr(text, "fiber 'spinner' has not given way"));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(fds[0]);
}

static void all_wait(void *arg)
{
	(void)arg;
	(void)fiber_sleep(NEVER);
}

static struct world *sim_one(void)
{
	return world_sim_new(1);
}

static void a_simulated_world_that_cannot_go_on_says_so(void **state)
{
	int status = end_of_child(sim_one, all_wait);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void kinds_main(void *arg)
{
	assert_int_equal(world_is_simulated(world_here()), *(enum kind *)arg == SIMULATED);
}

static void a_world_knows_its_kind(void **state)
{
	run_in(world_of_kind(state), kinds_main, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(fibers_take_turns_in_order),
		BOTH(sleepers_wake_in_order_of_time),
		BOTH(time_passes_and_saturates),
		BOTH(chance_and_ids_do_not_repeat),
		BOTH(queues_wake_time_out_and_stop),
		BOTH(semaphores_are_fair_and_count),
		BOTH(stopping_unwinds_by_ordinary_returns),
		BOTH(dropping_a_world_unwinds_its_fibers),
		BOTH(each_fiber_keeps_its_fault),
		IN_REAL(waiting_in_a_no_wait_section_is_a_bug),
		IN_REAL(an_overflow_hits_the_guard_page),
		BOTH(painted_stacks_tell_how_deep_they_went),
		BOTH(ten_thousand_fibers_run),
		IN_REAL(more_fibers_than_the_limit_are_refused),
		BOTH(work_is_offloaded_and_waited_for),
		BOTH(a_batcher_gathers_all_who_are_ready),
		BOTH(dropping_a_batcher_finishes_what_it_has),
		BOTH(a_dump_shows_what_each_fiber_waits_for),
		BOTH(idle_hooks_run_before_the_world_sleeps),
		IN_REAL(the_watchdog_tells_of_long_slices),
		IN_REAL(the_watchdog_tells_of_a_fiber_that_never_gives_way),
		IN_SIMULATED(a_simulated_world_that_cannot_go_on_says_so),
		BOTH(a_world_knows_its_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
