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
#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	ACTORS = 5,
	FAULTS = 8,
	FAULT_PAUSE_MS = 5000,
	REST_MS = 2000000, /* a POP3 session in the dark may stay for 10 minutes, and write for 5 */
	RECORDS_MAX = 4 * 4194304 + 65536,
	SEEDS = 300,
};

/* One world. */
struct theatre {
	struct run run;
	struct ledger ledger;
	struct scene scene;
	struct actor actors[ACTORS];
	bool is_over; /* the clients are done: no more faults */
	unsigned faults, deaths;
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
		run_failed(&t->run, err);
	if (t->scene.house && house_role(t->scene.house, ROLE_STORE))
		scene_read_rings(&t->scene, &t->run.records);
	scene_end(&t->scene);
}

static const char *judge(struct run *run)
{
	struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	if (!run->why[0])
		ledger_check(&t->ledger);
	return t->ledger.failure;
}

static void drop(struct run *run)
{
	struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	arena_drop(&t->ledger.arena);
}

/* ---- all seeds ---- */

static struct {
	size_t messages, accepted, unknown, deletions;
	unsigned faults, deaths;
} sums;

static void add_up(const struct run *run)
{
	const struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	sums.messages += t->ledger.count;
	sums.deletions += t->ledger.deletions;
	sums.faults += t->faults;
	sums.deaths += t->deaths;
	for (size_t i = 0; i < t->ledger.count; i++) {
		for (size_t a = 0; a < SCENE_ACCOUNTS; a++) {
			enum fate fate = t->ledger.messages[i].copies[a].fate;

			sums.accepted += fate == FATE_ACCEPTED;
			sums.unknown += fate == FATE_UNKNOWN;
		}
	}
}

static bool tell(uint64_t count)
{
	printf("%zu messages, %zu copies acknowledged, %zu of unknown fate, %zu deleted; %u "
	       "faults, "
	       "%u of them deaths of a role\n",
	       sums.messages, sums.accepted, sums.unknown, sums.deletions, sums.faults,
	       sums.deaths);
	return sums.accepted >= count && sums.deletions >= count / 4 && sums.deaths >= count / 4;
}

int main(int argc, char **argv)
{
	static const struct seeds seeds = { .program = "fault_walk",
					    .usual = SEEDS,
					    .size = sizeof(struct theatre),
					    .records_max = RECORDS_MAX,
					    .act = act,
					    .judge = judge,
					    .drop = drop,
					    .add_up = add_up,
					    .tell = tell };
	int status;

	scene_prepare();
	status = seeds_main(&seeds, argc, argv);
	scene_forget();
	return status;
}
