/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and batches, and what can be seen of a world from inside and outside. */
#include "fiber/fiber_test.h"

#include <string.h>

static void sleep_for_ever(void *arg) WAITS
{
	(void)arg;
	(void)fiber_sleep(NEVER);
}

/* ---- threads and batches ---- */

static void add_one(void *arg)
{
	usleep(1000);
	++*(int *)arg;
}

static void offload_one(void *arg) WAITS
{
	int value = 41;

	offload(OFFLOAD_WORK, add_one, &value);
	assert_int_equal(value, 42);
	++*(int *)arg;
}

static void offload_stopped(void *arg) WAITS
{
	fiber_stop(fiber_self());
	offload_one(arg); /* the stack is lent out: stopping must not take it away */
	assert_int_equal(fiber_sleep(NEVER), ERR_STOPPED);
}

static void offload_main(void *arg) WAITS
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

static void sleep_long(void *arg)
{
	(void)arg;
	usleep(50000);
}

static void offload_slow(void *arg) WAITS
{
	offload(OFFLOAD_HASH, sleep_long, arg);
}

static void kinds_of_work(void *arg) WAITS
{
	struct fiber_group group;
	moment since;

	group_init(&group);
	for (int i = 0; i < 200; i++) /* at two threads: five seconds of them */
		spawn(&group, "slow", offload_slow, NULL);
	assert_int_equal(fiber_yield(), OK);
	since = now();
	offload_one(arg);
	offload(OFFLOAD_LOG, add_one, arg);
	assert_true(now() - since < 500000 && group.count > 100);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void slow_work_of_one_kind_does_not_hold_up_another(void **state)
{
	int done = 0;

	run_in(world_of_kind(state), kinds_of_work, &done);
	assert_int_equal(done, 2);
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

static void commit_often(void *arg) WAITS
{
	struct commit *commit = arg;

	for (int i = 0; i < 10; i++) {
		struct commit_job job = { .number = next_number++ };

		batcher_run(commit->batcher, &job.job);
		assert_true(job.job.done);
		assert_int_equal(job.answer, job.number * 2);
	}
}

static void batcher_main(void *arg) WAITS
{
	struct commit *commit = arg;
	struct fiber_group group;
	moment begun = now();

	next_number = 0;
	commit->batcher = batcher_new(commit_all, commit, 5000);
	group_init(&group);
	for (int i = 0; i < 30; i++)
		spawn(&group, "committer", commit_often, commit);
	assert_int_equal(fiber_sleep(in_ms(1)), OK);
	group_stop(&group); /* not interruptible: all are answered, and none before its time */
	assert_int_equal(group_wait(&group, NEVER), OK);
	assert_true(now() - begun >= 10 * (world_is_simulated(world_here()) ? 5000 : 2000));
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

static void commit_one(void *arg) WAITS
{
	struct commit *commit = arg;
	struct commit_job job = { .number = next_number++ };

	batcher_run(commit->batcher, &job.job);
	assert_int_equal(job.answer, job.number * 2);
}

/* The batcher goes while its thread still works: what it has is finished and answered. */
static void early_drop_main(void *arg) WAITS
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

static void described(void *arg) WAITS
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

static void inside_main(void *arg) WAITS
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

static void hook_main(void *arg) WAITS
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

static void hog(void *arg) WAITS
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

static void all_wait(void *arg) WAITS
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
		BOTH(work_is_offloaded_and_waited_for),
		IN_REAL(slow_work_of_one_kind_does_not_hold_up_another),
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
