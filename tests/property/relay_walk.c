/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_walk: days of mail that leaves the house, in the simulated world: users submit messages for everywhere, to
 * servers with moods, behind a DNS that fails, over bad lines, while roles are killed. Time runs until nothing is
 * queued any more, or past the expiry of the last message. Then the ledger is checked (posts.h): delivered, or
 * bounced, or still queued; never two of them, never none.
 *
 *	relay_walk                       as many seeds as PROPERTY_SEEDS says (300)
 *	relay_walk --seed N [--trace]    this one; its ladder on the output
 */
#include "poster.h"
#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	POSTERS = 2,
	DEATHS_MAX = 6,
	STEPS_ODDS = 60, /* of a session's steps, one in so many kills somebody */
	DOWN_MS = 20000,
	LOOK_MS = 3600000,
	REST_MS = 12 * 3600000, /* two hosts that hang, and a lease */
	RECORDS_MAX = 64 << 20,
	SEEDS = 300,
};

static const int64_t minute_us = 60 * 1000000;

struct theatre {
	struct run run;
	struct posts posts;
	struct net net;
	struct scene scene, far;
	struct poster posters[POSTERS];
	struct fiber_group deaths;           /* under way */
	unsigned death_count, keeper_deaths; /* of them of who takes mail in */
	bool is_dying;
	bool is_over;
	size_t heard; /* octets of the records */
	size_t pending;
};

/* ---- deaths ---- */

struct death {
	struct theatre *t;
	struct scene *scene;
	enum role_kind kind, other; /* two at once; ROLE_NONE: one */
};

static void kill_one(struct theatre *t, struct scene *scene, enum role_kind kind) WAITS
{
	enum err err;

	if (scene == &t->scene && kind != ROLE_RELAY)
		t->keeper_deaths++;
	if (scene == &t->far)
		t->net.far->deaths++;
	err = house_restart(scene->house, kind, (int64_t)chance(DOWN_MS));
	if (err)
		ledger_broken(&t->posts.ledger, "%s did not start again: %s: %s",
			      role_kind_name(kind), err_text(err), fault_text());
}

static void die(void *arg) WAITS
{
	struct death *death = arg;
	struct theatre *t = death->t;

	(void)!fiber_sleep(in_us((int64_t)chance(chance(2) ? 200 : 300000)));
	kill_one(t, death->scene, death->kind);
	if (death->other)
		kill_one(t, death->scene, death->other);
	t->is_dying = false;
	free(death);
}

static void strike(struct theatre *t)
{
	static const enum role_kind kinds[] = { ROLE_RELAY, ROLE_RELAY, ROLE_RELAY,
						ROLE_STORE, ROLE_STORE, ROLE_GATE_USER };
	struct death *death = calloc(1, sizeof(*death));

	must(death);
	t->is_dying = true;
	t->death_count++;
	*death = (struct death){ t, &t->scene, kinds[chance(COUNT_OF(kinds))], ROLE_NONE };
	if (chance(5) == 0)
		death->other = death->kind == ROLE_RELAY ? ROLE_STORE : ROLE_RELAY;
	if (t->far.house && chance(5) == 0) {
		death->scene = &t->far;
		death->kind = chance(2) ? ROLE_STORE : ROLE_GATE_MX;
		death->other = ROLE_NONE;
	}
	must(!fiber_spawn(&t->deaths, "death", die, death, NULL));
}

/* A server is at some step of a session with us. */
static void take_step(void *context)
{
	struct theatre *t = context;

	if (!t->is_over && !t->is_dying && t->death_count < DEATHS_MAX && chance(STEPS_ODDS) == 0)
		strike(t);
	if (!t->is_over && chance(STEPS_ODDS) == 0)
		sim_cut(world_here(), &t->net.peers[chance(NET_PEERS)].address);
}

/* ---- looking ---- */

static void note_row(void *context, struct str address, unsigned state)
{
	struct theatre *t = context;

	t->pending += posts_row_is_pending(state);
	posts_row(&t->posts, address, state);
}

/* A role that is about to die, or to be started again, is waited for: what is not seen is not settled. */
static void look(struct theatre *t) WAITS
{
	while (t->is_dying && !fiber_sleep(in_ms(100)))
		;
	scene_read_rings(&t->scene, &t->run.records);
	posts_hear(&t->posts, str_from(buf_str(&t->run.records), t->heard));
	t->heard = t->run.records.len;
	t->pending = 0;
	scene_read_queue(&t->scene, note_row, t);
	posts_check_rows(&t->posts);
}

/* ---- the days ---- */

static void begin_posters(struct theatre *t, struct fiber_group *posters)
{
	for (size_t i = 0; i < POSTERS; i++) {
		struct poster *poster = &t->posters[i];
		char ip[20];

		*poster = (struct poster){ .net = &t->net,
					   .server = scene_address(&t->scene, "submission"),
					   .sessions = 1 + (unsigned)chance(2),
					   .deaths = &t->keeper_deaths };
		snprintf(ip, sizeof(ip), "198.18.1.%zu", i + 1);
		must(addr_parse_ip(str_of(ip), &poster->from));
		must(!fiber_spawn(posters, "poster", poster_posts, poster, NULL));
	}
}

static enum err pass_days(struct theatre *t) WAITS
{
	struct fiber_group posters;
	moment end;
	enum err err = OK;

	group_init(&posters);
	begin_posters(t, &posters);
	while (!err && posters.count) {
		err = group_wait(&posters, in_ms(LOOK_MS));
		if (err == ERR_TIMEOUT)
			err = OK;
		look(t);
	}
	end = in_us(t->posts.expire_us + 60 * minute_us);
	do {
		err = fiber_sleep(in_ms(LOOK_MS));
		look(t);
	} while (!err && t->pending && now() < end && !t->posts.ledger.failure[0]);
	t->is_over = true;
	t->posts.end_us = wall_us();
	(void)!group_wait(&t->deaths, NEVER);
	if (!err && t->pending && now() >= end)
		ledger_broken(&t->posts.ledger,
			      "%zu recipients are queued an hour after the last expiry",
			      t->pending);
	return err;
}

static enum err read_mailboxes(struct theatre *t) WAITS
{
	enum err err = OK;

	for (size_t i = 0; i <= SCENE_ACCOUNTS && !err; i++) {
		struct mailbox mailbox = { .posts = &t->posts,
					   .house = PLACE_HOME,
					   .account = i,
					   .server = scene_address(&t->scene, "pop3") };
		const char *name = i < SCENE_ACCOUNTS ? scene_accounts[i] : "postmaster@";

		snprintf(mailbox.address, sizeof(mailbox.address), "%.*s@wire.example",
			 (int)strcspn(name, "@"), name);
		err = poster_reads(&mailbox);
		if (err || !t->far.house)
			continue;
		snprintf(mailbox.address, sizeof(mailbox.address), "%.*s@far.example",
			 (int)strcspn(name, "@"), name);
		mailbox.house = PLACE_FAR;
		mailbox.server = scene_address(&t->far, "pop3");
		err = poster_reads(&mailbox);
	}
	return err;
}

static enum err begin_houses(struct theatre *t) WAITS
{
	static const int64_t expire_h[] = { 120, 120, 120, 24, 5 };
	struct scene_plan plan = { .zone = t->net.zone };
	struct scene_plan far = { .is_far = true,
				  .address = net_far_address,
				  .options = "session_idle = 60s\n" };
	char options[200];
	int64_t hours = expire_h[chance(COUNT_OF(expire_h))];
	enum err err;

	t->posts.expire_us = hours * 60 * minute_us;
	t->posts.warning_us = 240 * minute_us;
	snprintf(options, sizeof(options),
		 "queue_expire = %lldh\nqueue_history = 60d\nsession_idle = 60s\n",
		 (long long)hours);
	plan.options = options;
	err = scene_begin_as(&t->far, &far);
	return err ? err : scene_begin_as(&t->scene, &plan);
}

static void act(void *arg) WAITS
{
	struct theatre *t = arg;
	enum err err;

	t->net.posts = &t->posts;
	group_init(&t->deaths);
	net_draw(&t->net, take_step, t);
	err = begin_houses(t);
	net_begin(&t->net);
	if (!err)
		err = pass_days(t);
	net_end(&t->net);
	if (!err)
		err = scene_wait_for_rest(&t->scene, REST_MS);
	if (!err)
		err = read_mailboxes(t);
	if (!err)
		err = scene_wait_for_rest(&t->scene, REST_MS);
	if (err)
		run_failed(&t->run, err);
	if (t->scene.house)
		look(t);
	if (t->far.house)
		scene_read_rings(&t->far, &t->run.records);
	scene_end(&t->scene);
	scene_end(&t->far);
}

static const char *judge(struct run *run)
{
	struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	if (!run->why[0])
		posts_check(&t->posts);
	return t->posts.ledger.failure;
}

static void drop(struct run *run)
{
	struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	arena_drop(&t->posts.ledger.arena);
}

/* ---- all seeds ---- */

static struct {
	size_t posts, recipients, kept, lost;
	unsigned bounces, warnings, twice, deaths, changes, unknown;
} sums;

static void add_up(const struct run *run)
{
	const struct theatre *t = CONTAINER_OF(run, struct theatre, run);

	sums.posts += t->posts.count;
	sums.bounces += t->posts.bounces;
	sums.warnings += t->posts.warnings;
	sums.twice += t->posts.twice;
	sums.deaths += t->death_count;
	sums.changes += t->net.changes;
	for (size_t i = 0; i < NET_PEERS; i++)
		sums.lost += t->net.peers[i].lost;
	for (size_t i = 0; i < t->posts.count; i++) {
		const struct post *post = t->posts.list[i];

		for (size_t j = 0; j < post->count && post->fate == FATE_ACCEPTED; j++) {
			sums.recipients++;
			sums.kept += post->to[j].kept > 0;
			sums.unknown += post->to[j].unknown;
		}
	}
}

static bool tell(uint64_t count)
{
	printf("%zu messages, %zu recipients acknowledged: %zu delivered (%u twice or more), %u "
	       "bounced, %u warned of; %zu 250s lost by servers, %u outcomes unknown; %u deaths of "
	       "a "
	       "role, %u changes of the weather\n",
	       sums.posts, sums.recipients, sums.kept, sums.twice, sums.bounces, sums.warnings,
	       sums.lost, sums.unknown, sums.deaths, sums.changes);
	return sums.kept >= count && sums.bounces >= count / 4 && sums.warnings >= count / 4 &&
	       sums.deaths >= count / 4 && sums.unknown >= count / 20;
}

int main(int argc, char **argv)
{
	static const struct seeds seeds = { .program = "relay_walk",
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
