/* SPDX-License-Identifier: Apache-2.0 */
#include "seeds.h"

#include "role/role.h"
#include "trace/trace.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	WARM = 40,            /* after these seeds, memory in use has to stand still, */
	GROWTH_MAX = 4194304, /* but for what one needed more of, once, and kept for the next */
};

static unsigned count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

void run_failed(struct run *run, enum err err)
{
	snprintf(run->why, sizeof(run->why), "%s: %s", err_text(err), fault_text());
}

static struct run *play(const struct seeds *seeds, uint64_t seed)
{
	struct world *world = world_sim_new(seed);
	struct run *run = calloc(1, seeds->size);
	const char *broken;

	must(run);
	run->records = BUF(seeds->records_max);
	must(!world_spawn(world, seeds->program, seeds->act, run));
	world_run(world);
	world_drop(&world);
	broken = seeds->judge(run);
	if (broken[0])
		snprintf(run->why, sizeof(run->why), "%s", broken);
	return run;
}

static void drop(const struct seeds *seeds, struct run *run)
{
	seeds->drop(run);
	buf_drop(&run->records);
	free(run);
}

static bool seed_holds(const struct seeds *seeds, uint64_t seed)
{
	unsigned descriptors = count_descriptors();
	struct run *first = play(seeds, seed);
	struct run *second = play(seeds, seed);
	const char *why = first->why;
	bool holds;

	if (!why[0] && !str_is(buf_str(&first->records), buf_str(&second->records)))
		why = "the second run gave another trace than the first";
	if (!why[0] && count_descriptors() > descriptors)
		why = "descriptors are left open";
	holds = !why[0];
	if (!holds)
		printf("seed %" PRIu64 ": %s\n  again: %s --seed %" PRIu64 " --trace\n", seed, why,
		       seeds->program, seed);
	seeds->add_up(first);
	drop(seeds, first);
	drop(seeds, second);
	return holds;
}

/* ---- the ladder ---- */

static int by_time(const void *a, const void *b)
{
	const struct str *x = a;
	const struct str *y = b;
	int64_t first = trace_record_head(*x).at_us;
	int64_t second = trace_record_head(*y).at_us;

	if (first != second)
		return first < second ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static void draw(const struct run *run)
{
	OWNED(buf) struct buf text = BUF(65536);
	struct arena arena = { 0 };
	struct str rest = buf_str(&run->records);
	struct str *all = NEW_ARRAY(&arena, struct str, rest.len / 16 + 1);
	struct trace_event event;
	size_t count = 0;

	while (trace_record_take(&rest, &all[count]) == OK)
		count++;
	qsort(all, count, sizeof(*all), by_time);
	for (size_t i = 0; i < count; i++) {
		if (trace_event_decode(all[i], &event))
			continue;
		buf_reset(&text);
		(void)!trace_event_ladder(&event, 0, 132, true, &text);
		printf("%-9s %04" PRIx64 " %.*s", trace_role_name(event.head.role),
		       event.head.session & 0xffff, STR_ARGS(buf_str(&text)));
	}
	arena_drop(&arena);
}

static int show_seed(const struct seeds *seeds, uint64_t seed, bool with_trace)
{
	struct run *run = play(seeds, seed);
	bool holds = !run->why[0];

	if (with_trace)
		draw(run);
	printf("seed %" PRIu64 ": %s\n", seed, holds ? "holds" : run->why);
	drop(seeds, run);
	return !holds;
}

/* ---- all seeds ---- */

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	uint64_t number;

	return str_to_u64(str_of(getenv(variable)), UINT64_MAX, &number) ? number : otherwise;
}

static double seconds(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int walk_all(const struct seeds *seeds, uint64_t first, uint64_t count)
{
	double wall = seconds(CLOCK_MONOTONIC);
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	size_t in_use = 0;
	unsigned failed = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		failed += !seed_holds(seeds, seed);
		if (seed == first + WARM)
			in_use = mallinfo2().uordblks;
	}
	if (in_use > 0 && mallinfo2().uordblks > in_use + GROWTH_MAX) {
		printf("memory in use grew from %zu to %zu octets\n", in_use, mallinfo2().uordblks);
		failed++;
	}
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%" PRIu64 " seeds, each twice: %u failed; %.1f s, %.1f ms of CPU a run; ", count,
	       failed, wall, cpu * 500 / (double)count);
	/* A walk in which nothing happened would hold, too. */
	failed += !seeds->tell(count);
	return failed > 0;
}

int seeds_main(const struct seeds *seeds, int argc, char **argv)
{
	uint64_t seed;

	role_name_traces();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 3 && strcmp(argv[1], "--seed") == 0 &&
	    str_to_u64(str_of(argv[2]), UINT64_MAX, &seed))
		return show_seed(seeds, seed, argc > 3 && strcmp(argv[3], "--trace") == 0);
	if (argc != 1)
		return 64;
	return walk_all(seeds, number_of("PROPERTY_FIRST", 1),
			number_of("PROPERTY_SEEDS", seeds->usual));
}
