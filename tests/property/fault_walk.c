/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_walk: sessions of SMTP, LMTP and POP3 at once in the simulated world, over bad lines, while
 * connections are cut, cables pulled and roles killed. Afterwards the ledger is checked, every fiber
 * must be gone that came with them, and the same seed must give the same trace again.
 *
 *	fault_walk                       as many seeds as PROPERTY_SEEDS says (300)
 *	fault_walk --seed N [--trace]    this one; its ladder on the output
 */
#include "actors.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	ACTORS = 5,
	FAULTS = 8,
	FAULT_PAUSE_MS = 5000,
	REST_MS = 2000000, /* a POP3 session in the dark may stay for 10 minutes, and write for 5 */
	RECORDS_MAX = 4 * 4194304 + 65536,
	SEEDS = 300,
	SEEDS_WARM = 40, /* after these, memory in use has to stand still */
	GROWTH_MAX =
		4194304, /* but for what a later seed needed more of, once, and kept for the next */
};

/* One world. */
struct theatre {
	struct ledger ledger;
	struct scene scene;
	struct actor actors[ACTORS];
	bool is_over; /* the clients are done: no more faults */
	enum err err;
	char why[FAULT_TEXT_MAX];
	struct buf records;
	unsigned faults, deaths;
	size_t switches;
};

/* ---- faults ---- */

static void kill_role(struct theatre *t) WAITS
{
	static const enum role_kind kinds[] = { ROLE_STORE,  ROLE_STORE,   ROLE_FILTER,
						ROLE_FILTER, ROLE_GATE_MX, ROLE_GATE_USER };
	enum role_kind kind = kinds[chance(COUNT_OF(kinds))];
	enum err err;

	t->deaths++;
	if (kind == ROLE_STORE)
		t->ledger.store_deaths++;
	err = house_restart(t->scene.house, kind, (int64_t)chance(4000));
	if (err)
		ledger_broken(&t->ledger, "%s did not start again: %s: %s", role_kind_name(kind),
			      err_text(err), fault_text());
}

static void pull_cable(const struct addr *address) WAITS
{
	sim_go_dark(world_here(), address);
	(void)!fiber_sleep(in_ms((int64_t)chance(60000)));
	sim_come_back(world_here(), address);
}

static void strike(struct theatre *t) WAITS
{
	const struct actor *actor = &t->actors[chance(ACTORS)];

	t->faults++;
	switch (chance(5)) {
	case 0:
		sim_cut(world_here(), &actor->from);
		break;
	case 1:
		sim_cut(world_here(), &actor->server);
		break;
	case 2:
		pull_cable(&actor->from);
		break;
	default:
		kill_role(t);
	}
}

static void fate_fiber(void *arg) WAITS
{
	struct theatre *t = arg;

	for (uint64_t left = chance(FAULTS + 1); left > 0 && !t->is_over; left--) {
		(void)!fiber_sleep(in_ms((int64_t)chance(FAULT_PAUSE_MS)));
		if (!t->is_over)
			strike(t);
	}
}

/* ---- the clients ---- */

static void cast_actors(struct theatre *t)
{
	static const char *const ports[ACTORS] = { "mx", "mx", "submission", "lmtp", "pop3" };

	for (size_t i = 0; i < ACTORS; i++) {
		struct actor *actor = &t->actors[i];
		char ip[20];

		*actor =
			(struct actor){ .ledger = &t->ledger, .sessions = 1 + (unsigned)chance(3) };
		actor->server = scene_address(&t->scene, ports[i]);
		actor->is_lmtp = strcmp(ports[i], "lmtp") == 0;
		actor->signs_in = strcmp(ports[i], "submission") == 0;
		snprintf(ip, sizeof(ip), "198.18.1.%zu", i + 1);
		must(addr_parse_ip(str_of(ip), &actor->from));
	}
}

static void play_sessions(struct theatre *t) WAITS
{
	struct fiber_group clients;
	struct fiber_group fate;

	group_init(&clients);
	group_init(&fate);
	cast_actors(t);
	for (size_t i = 0; i < ACTORS; i++)
		must(!fiber_spawn(&clients, "client", i + 1 < ACTORS ? actor_sends : actor_reads,
				  &t->actors[i], NULL));
	must(!fiber_spawn(&fate, "fate", fate_fiber, t, NULL));
	must(!group_wait(&clients, NEVER));
	t->is_over = true;
	must(!group_wait(&fate, NEVER));
}

static enum err read_mailboxes(struct theatre *t) WAITS
{
	enum err err = OK;

	for (size_t i = 0; i < SCENE_ACCOUNTS && !err; i++)
		err = read_whole_mailbox(&t->actors[ACTORS - 1], i);
	return err;
}

static void act(void *arg) WAITS
{
	struct theatre *t = arg;
	struct world_stats stats;
	enum err err = scene_begin(&t->scene, "session_idle = 60s\n");

	if (!err) {
		play_sessions(t);
		err = scene_wait_for_rest(&t->scene, REST_MS);
	}
	if (!err)
		err = read_mailboxes(t);
	if (!err)
		err = scene_wait_for_rest(&t->scene, REST_MS);
	if (err)
		snprintf(t->why, sizeof(t->why), "%s: %s", err_text(err), fault_text());
	t->err = err;
	if (t->scene.house && house_role(t->scene.house, ROLE_STORE))
		scene_read_rings(&t->scene, &t->records);
	world_get_stats(world_here(), &stats);
	t->switches = stats.switches;
	scene_end(&t->scene);
}

/* ---- one seed ---- */

static void theatre_drop(struct theatre *t)
{
	arena_drop(&t->ledger.arena);
	buf_drop(&t->records);
	free(t);
}

static struct theatre *play_seed(uint64_t seed)
{
	struct world *world = world_sim_new(seed);
	struct theatre *t = calloc(1, sizeof(*t));

	must(t);
	t->records = BUF(RECORDS_MAX);
	trace_set_clock(now, wall_us);
	must(!world_spawn(world, "fault walk", act, t));
	world_run(world); /* ends when the last fiber has: none is left behind */
	world_drop(&world);
	if (!t->err)
		ledger_check(&t->ledger);
	return t;
}

static const char *failure_of(const struct theatre *t)
{
	if (t->ledger.failure[0])
		return t->ledger.failure;
	return t->err ? t->why : NULL;
}

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

struct sums {
	size_t messages, accepted, unknown, deletions, switches;
	unsigned faults, deaths;
};

static void add_up(struct sums *sums, const struct theatre *t)
{
	sums->messages += t->ledger.count;
	sums->deletions += t->ledger.deletions;
	sums->switches += t->switches;
	sums->faults += t->faults;
	sums->deaths += t->deaths;
	for (size_t i = 0; i < t->ledger.count; i++) {
		for (size_t a = 0; a < SCENE_ACCOUNTS; a++) {
			enum fate fate = t->ledger.messages[i].copies[a].fate;

			sums->accepted += fate == FATE_ACCEPTED;
			sums->unknown += fate == FATE_UNKNOWN;
		}
	}
}

/* Twice: the second time must be the same to the octet. */
static bool seed_holds(uint64_t seed, struct sums *sums)
{
	unsigned descriptors = count_descriptors();
	struct theatre *first = play_seed(seed);
	struct theatre *second = play_seed(seed);
	const char *why = failure_of(first);

	if (!why && !str_is(buf_str(&first->records), buf_str(&second->records)))
		why = "the second run gave another trace than the first";
	if (!why && count_descriptors() > descriptors)
		why = "descriptors are left open";
	if (why)
		printf("seed %" PRIu64 ": %s\n  again: fault_walk --seed %" PRIu64 " --trace\n",
		       seed, why, seed);
	add_up(sums, first);
	theatre_drop(first);
	theatre_drop(second);
	return why == NULL;
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

static void draw(const struct theatre *t)
{
	OWNED(buf) struct buf text = BUF(65536);
	struct arena arena = { 0 };
	struct str rest = buf_str(&t->records);
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

static int show_seed(uint64_t seed, bool with_trace)
{
	struct theatre *t = play_seed(seed);
	const char *why = failure_of(t);

	if (with_trace)
		draw(t);
	printf("seed %" PRIu64 ": %s\n", seed, why ? why : "holds");
	theatre_drop(t);
	return why != NULL;
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

static int walk_seeds(uint64_t first, uint64_t count)
{
	double wall = seconds(CLOCK_MONOTONIC);
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	struct sums sums = { 0 };
	size_t in_use = 0;
	unsigned failed = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		failed += !seed_holds(seed, &sums);
		if (seed == first + SEEDS_WARM)
			in_use = mallinfo2().uordblks;
	}
	if (in_use > 0 && mallinfo2().uordblks > in_use + GROWTH_MAX) {
		printf("memory in use grew from %zu to %zu octets\n", in_use, mallinfo2().uordblks);
		failed++;
	}
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%" PRIu64
	       " seeds, each twice: %u failed; %zu messages, %zu copies acknowledged, %zu "
	       "of unknown fate, %zu deleted; %u faults, %u of them deaths of a role; %.1f s, %.1f "
	       "ms of CPU a run\n",
	       count, failed, sums.messages, sums.accepted, sums.unknown, sums.deletions,
	       sums.faults, sums.deaths, wall, cpu * 500 / (double)count);
	/* A walk in which nothing happened would hold, too. */
	if (sums.accepted < count || sums.deletions < count / 4 || sums.deaths < count / 4)
		failed++;
	return failed > 0;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "none",   "supervisor", "gate-mx", "gate-user",
					     "filter", "store",      "relay" };
	uint64_t seed;
	int status;

	static_assert(COUNT_OF(names) == ROLE_KINDS);
	trace_set_role_names(names, COUNT_OF(names));
	setvbuf(stdout, NULL, _IOLBF, 0);
	scene_prepare();
	if (argc >= 3 && strcmp(argv[1], "--seed") == 0 &&
	    str_to_u64(str_of(argv[2]), UINT64_MAX, &seed))
		status = show_seed(seed, argc > 3 && strcmp(argv[3], "--trace") == 0);
	else if (argc == 1)
		status = walk_seeds(number_of("PROPERTY_FIRST", 1),
				    number_of("PROPERTY_SEEDS", SEEDS));
	else
		status = 64;
	scene_forget();
	return status;
}
