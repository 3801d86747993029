/* SPDX-License-Identifier: Apache-2.0 */
/* What fibers_test.sh looks at: a few fibers that wait, and one that aborts. */
#include "fiber/fiber.h"

#include <stdlib.h>

static void sleep_long(void *arg)
{
	(void)arg;
	(void)fiber_sleep(NEVER);
	fiber_describe("gone"); /* so that the sleep above is no tail call and keeps its frame */
}

__attribute__((noinline)) static void session_that_reads(struct stream *stream)
{
	char buffer[100];
	size_t len;

	while (!stream_read(stream, buffer, sizeof(buffer), NEVER, &len))
		;
}

static void read_long(void *arg)
{
	fiber_describe("peer 192.0.2.%d", 1);
	session_that_reads(arg);
	fiber_describe("gone");
}

static void crash(void *arg)
{
	struct stream *ends[2];

	if (stream_pair(ends) || fiber_spawn(NULL, "sleeper", sleep_long, NULL, NULL) ||
	    fiber_spawn(NULL, "reader", read_long, ends[0], NULL) || fiber_sleep(in_ms(10)) ||
	    fiber_spawn(NULL, "late", sleep_long, arg, NULL))
		return;
	abort();
}

int main(void)
{
	struct world *world = world_real_new();

	if (world_spawn(world, "crash", crash, NULL))
		return 1;
	world_run(world);
	return 1;
}
