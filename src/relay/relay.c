/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role. A few fibers ask the store what is due; each claim gets a fiber of its own, which sends, tells
 * the store, and asks for more to the same destination while its session is open.
 */
#include "relay/relay.h"
#include "relay/asking.h"
#include "relay/own.h"
#include "relay/parked.h"
#include "relay/roots.h"

#include <stdlib.h>

enum {
	CLAIMERS = 4, /* a claim is a commit of the store: several share one */
	AGAIN_MS = 500,
	SWEEP_MS = 1000,
	LAST_REPORTS_MS = 5000,
	TLS_SESSIONS = 2000
};

/* One claim on its way, and the session it goes by. */
struct errand {
	struct relay *relay;
	struct arena claim_arena; /* of the claim; the session's texts lie in the other one */
	struct arena arena;
	struct answer_queue_claim claim;
	struct attempt attempt;
	unsigned sent; /* messages in the session */
};

/* ---- telling what became of it ---- */

static struct str one_line(struct arena *arena, struct str text)
{
	struct str line = str_dup(arena, str_first(text, LIMIT_address));

	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.at[i] < ' ')
			((char *)(uintptr_t)line.at)[i] = ' ';
	return line;
}

/* Who is told to stop has tried nothing: those he did not get to are given back as they were. */
static bool is_left_out(const struct smtp_said *said)
{
	return fiber_is_stopping() && attempt_is_pending(said);
}

static struct ask_queue_report report_of(struct errand *errand)
{
	const struct attempt *attempt = &errand->attempt;
	struct arena *arena = &errand->claim_arena;
	size_t room = attempt->said ? errand->claim.numbers.count : 0; /* or it was never begun */
	uint64_t *numbers = NEW_ARRAY(arena, uint64_t, room);
	uint64_t *results = NEW_ARRAY(arena, uint64_t, room);
	uint64_t *codes = NEW_ARRAY(arena, uint64_t, room);
	uint64_t *notifies = NEW_ARRAY(arena, uint64_t, room);
	struct str *enhanced = NEW_ARRAY(arena, struct str, room);
	struct str *texts = NEW_ARRAY(arena, struct str, room);
	size_t count = 0;

	for (size_t i = 0; i < room; i++) {
		const struct smtp_said *said = &attempt->said[i];

		if (is_left_out(said))
			continue;
		numbers[count] = errand->claim.numbers.at[i];
		results[count] = (uint64_t)said->result;
		codes[count] = said->reply.code;
		notifies[count] = attempt->notifies[i];
		enhanced[count] = str_dup(arena, said->reply.enhanced);
		texts[count++] = one_line(arena, said->reply.text);
	}
	return (struct ask_queue_report){ .lease = errand->claim.lease,
					  .message = errand->claim.message,
					  .session = attempt->talk.session,
					  .peer = str_dup(arena, str_first(attempt->talk.peer,
									   LIMIT_queue_peer)),
					  .is_final = attempt->is_final,
					  .site_down = attempt->is_site_down,
					  .numbers = { numbers, count },
					  .results = { results, count },
					  .notifies = { notifies, count },
					  .codes = { codes, count },
					  .enhanced = { enhanced, count },
					  .texts = { texts, count } };
}

/* The claim's arena goes with it. */
static void report(struct errand *errand, bool waits) WAITS
{
	struct ask_queue_report ask = report_of(errand);
	struct arena arena = errand->claim_arena;

	errand->claim_arena = (struct arena){ 0 };
	relay_tell(errand->relay, &ask, arena, waits);
}

/* ---- one errand ---- */

static void wipe(struct str secret)
{
	if (secret.len)
		explicit_bzero((char *)(uintptr_t)secret.at, secret.len);
}

static void send_claim(struct errand *errand) WAITS
{
	attempt_run(&errand->attempt);
	wipe(errand->claim.password);
	body_done(&errand->claim.body);
}

static bool may_go_on(struct errand *errand)
{
	return ++errand->sent < SESSION_MESSAGES_MAX && errand->attempt.talk.client &&
	       smtp_client_is_open(errand->attempt.talk.client) && !errand->relay->closing &&
	       !fiber_is_stopping();
}

/*
 * What became of the claim is told, and while its session is open more to the same destination asked for: the store
 * gets both together, so that they share a commit.
 */
static bool go_on(struct errand *errand) WAITS
{
	struct wanted wanted = { str_dup(&errand->arena, errand->claim.destination),
				 errand->claim.lease };
	bool goes_on = may_go_on(errand);
	enum err err;

	report(errand, !goes_on);
	errand->claim = (struct answer_queue_claim){ .body = BODY_EMPTY };
	if (!goes_on)
		return false;
	err = relay_ask(errand->relay, &wanted, &errand->claim_arena, &errand->claim);
	return !err && errand->claim.lease != 0;
}

/* An open session that goes its way, if one waits. */
static void take_parked(struct errand *errand)
{
	struct parked parked;
	struct way way;

	way_of_claim(&errand->claim, outside_is_blocked(&errand->relay->outside),
		     &errand->claim_arena, &way);
	if (!unpark(errand->relay, way.key, &parked))
		return;
	errand->arena = parked.arena;
	errand->attempt.talk = parked.talk;
	errand->sent = parked.sent;
}

static void errand_fiber(void *arg) WAITS
{
	struct errand *errand = arg;
	struct relay *relay = errand->relay;

	errand->attempt.relay = relay;
	errand->attempt.claim = &errand->claim;
	take_parked(errand);
	errand->attempt.arena = &errand->arena;
	do
		send_claim(errand);
	while (go_on(errand));
	park(relay, &errand->attempt.talk, &errand->arena, errand->sent);
	body_done(&errand->claim.body);
	arena_drop(&errand->claim_arena);
	free(errand);
	relay->errand_count--;
	waitq_wake_one(&relay->errand_ended);
}

static enum err begin_errand(struct relay *relay) WAITS
{
	struct errand *errand = calloc(1, sizeof(*errand));
	enum err err;

	must(errand);
	errand->relay = relay;
	errand->claim.body = BODY_EMPTY;
	err = relay_ask(relay, &(struct wanted){ 0 }, &errand->claim_arena, &errand->claim);
	/* What is claimed and not begun when we close comes back to the store with the end of our channel. */
	if (!err && (!errand->claim.lease || relay->closing))
		err = ERR_AGAIN;
	if (!err)
		err = fiber_spawn(&relay->errands, "errand", errand_fiber, errand, NULL);
	if (!err)
		return OK;
	if (errand->claim.lease && !relay->closing)
		report(errand,
		       true); /* no room to send it: others may be luckier, or we a bit later */
	wipe(errand->claim.password);
	body_done(&errand->claim.body);
	arena_drop(&errand->claim_arena);
	free(errand);
	return err;
}

/* As many as the configuration says now. */
static enum err take_turn(struct relay *relay) WAITS
{
	while (relay->errand_count >= relay->role->config->relay_connections) {
		enum err err = waitq_wait(&relay->errand_ended, NEVER);

		if (err)
			return err;
	}
	relay->errand_count++;
	return OK;
}

static void claim_fiber(void *arg) WAITS
{
	struct relay *relay = arg;

	while (!relay->closing && !take_turn(relay)) {
		enum err err = begin_errand(relay);

		if (!err)
			continue;
		relay->errand_count--;
		/* The store is away or overloaded: it will be asked again soon. */
		if (fiber_is_stopping() || (err != ERR_AGAIN && fiber_sleep(in_ms(AGAIN_MS))))
			return;
	}
}

static void sweep_fiber(void *arg) WAITS
{
	struct relay *relay = arg;

	while (!fiber_sleep(in_ms(SWEEP_MS)))
		parked_sweep(relay, relay->closing);
}

/* ---- the role ---- */

static struct resolver *make_resolver(const struct role *role)
{
	return resolver_new(
		&(struct resolver_options){ .servers = role->config->resolvers,
					    .server_count = role->config->resolver_count,
					    .servers_trusted = role->config->resolver_trusted,
					    .zone = role->zone,
					    .trace = role->trace });
}

static struct relay *relay_new(struct role *role)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	must(relay);
	relay->role = role;
	relay->run = random_u64() | 1;
	destinations_init(&relay->ways, (unsigned)role->config->relay_site_connections);
	waitq_init(&relay->ways_moved);
	waitq_init(&relay->errand_ended);
	list_init(&relay->parked);
	group_init(&relay->errands);
	relay->tls_sessions = tls_sessions_new(TLS_SESSIONS);
	relay->resolver = make_resolver(role);
	own_addresses(role->config, &relay->own, &relay->own_count);
	return relay;
}

static enum err begin(struct role *role) WAITS
{
	struct relay *relay = relay_new(role);
	enum err err;

	role->state = relay;
	err = tls_client_context_new(S(""), &relay->tls);
	for (int i = 0; !err && i < CLAIMERS; i++)
		err = fiber_spawn(&role->fibers, "claims", claim_fiber, relay, NULL);
	if (!err)
		err = fiber_spawn(&role->fibers, "sweeper", sweep_fiber, relay, NULL);
	return err;
}

static enum err reload(struct role *role) WAITS
{
	struct relay *relay = role->state;

	relay->ways.most = (unsigned)role->config->relay_site_connections;
	free(relay->own);
	own_addresses(role->config, &relay->own, &relay->own_count);
	waitq_wake_all(&relay->errand_ended);
	return OK;
}

/*
 * What is being sent is finished and reported; at the deadline it is broken off, and reported still. A claim that
 * waits for its answer is not worth waiting for: it ends with the link.
 */
static void stop(struct role *role, moment deadline) WAITS
{
	struct relay *relay = role->state;

	relay->closing = true;
	if (group_wait(&relay->errands, deadline)) {
		group_stop(&relay->errands);
		(void)group_wait(&relay->errands, in_ms(LAST_REPORTS_MS));
	}
	parked_sweep(relay, true);
	if (role->store)
		link_detach(role->store, 0);
}

static void end(struct role *role) WAITS
{
	struct relay *relay = role->state;

	role->state = NULL;
	if (!relay)
		return;
	group_stop(&relay->errands);
	while (relay->errands.count)
		(void)group_wait(&relay->errands, NEVER);
	parked_sweep(relay, true);
	resolver_drop(&relay->resolver);
	destinations_done(&relay->ways);
	tls_context_unref(&relay->tls);
	tls_context_unref(&relay->verifying);
	tls_sessions_drop(&relay->tls_sessions);
	held_done(&relay->held);
	free(relay->own);
	free(relay);
}

static void prepare(void)
{
	tls_prepare();
	smtp_client_prepare();
	roots_prepare();
	own_prepare();
}

const struct role_ops relay_role = {
	.kind = ROLE_RELAY,
	.begin = begin,
	.reload = reload,
	.stop = stop,
	.end = end,
	.prepare = prepare,
};
