/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fibers cost: a switch, a wait with a deadline, a birth, a round trip over a stream, a
 * round trip through a worker thread. Prints nanoseconds each; not a test.
 */
#include "fiber/fiber.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 2'000'000, FEWER = 100'000 };

static double clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void report(const char *what, double begun, int count)
{
	printf("%-44s %9.1f ns\n", what, (clock_ns() - begun) / count);
}

static void yield_often(void *arg) WAITS
{
	const int *count = arg;

	for (int i = 0; i < *count; i++)
		(void)fiber_yield();
}

struct table {
	struct waitq queues[2];
	int rounds;
};

static void wait_often(void *arg) WAITS
{
	struct table *table = arg;
	int side = table->rounds++ & 1;

	for (int i = 0; i < FEWER; i++) {
		waitq_wake_one(&table->queues[!side]);
		if (waitq_wait(&table->queues[side], in_ms(300'000)))
			return;
	}
	waitq_wake_one(&table->queues[!side]);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void echo(void *arg) WAITS
{
	struct stream *stream = arg;
	char buffer[512];
	size_t len;

	while (!stream_read(stream, buffer, sizeof(buffer), NEVER, &len))
		if (stream_write(stream, (struct str){ buffer, len }, NEVER))
			break;
	stream_drop(&stream);
}

static void measure_births(void) WAITS
{
	double begun = clock_ns();

	for (int i = 0; i < FEWER; i++) {
		if (fiber_spawn(NULL, "nothing", nothing, NULL, NULL))
			return;
		(void)fiber_yield();
	}
	report("birth and end", begun, FEWER);
}

static void measure_streams(void) WAITS
{
	struct stream *ends[2];
	char buffer[64];
	size_t len;
	double begun = clock_ns();

	if (stream_pair(ends) || fiber_spawn(NULL, "echo", echo, ends[1], NULL))
		return;
	for (int i = 0; i < FEWER; i++)
		if (stream_write(ends[0], S("NOOP\r\n"), NEVER) ||
		    stream_read(ends[0], buffer, sizeof(buffer), in_ms(300'000), &len))
			return;
	report("round trip over a stream", begun, FEWER);
	stream_drop(&ends[0]);
}

static void measure_offload(void) WAITS
{
	double begun = clock_ns();

	for (int i = 0; i < FEWER; i++)
		offload(nothing, NULL);
	report("round trip through a thread", begun, FEWER);
}

static void measure(void *arg) WAITS
{
	static const int count = ROUNDS / 2;
	static struct table table;
	struct fiber_group group;
	double begun;

	(void)arg;
	group_init(&group);
	if (fiber_spawn(&group, "yield", yield_often, (void *)&count, NULL) ||
	    fiber_spawn(&group, "yield", yield_often, (void *)&count, NULL))
		return;
	begun = clock_ns();
	(void)group_wait(&group, NEVER);
	report("switch (fiber to fiber, by way of the loop)", begun, ROUNDS);

	waitq_init(&table.queues[0]);
	waitq_init(&table.queues[1]);
	if (fiber_spawn(&group, "wait", wait_often, &table, NULL) ||
	    fiber_spawn(&group, "wait", wait_often, &table, NULL))
		return;
	begun = clock_ns();
	(void)group_wait(&group, NEVER);
	report("wait with a deadline and wake-up", begun, 2 * FEWER);

	measure_births();
	measure_streams();
	measure_offload();
}

int main(void)
{
	struct world *world = world_real_new();

	if (world_spawn(world, "measure", measure, NULL))
		return 1;
	world_run(world);
	world_drop(&world);
	return 0;
}
