/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role. A few fibers ask the store what is due; each claim gets a fiber of its own, which sends, tells
 * the store, and asks for more to the same destination while its session is open.
 */
#include "relay/relay.h"
#include "relay/attempt.h"

#include <stdlib.h>

enum {
	CLAIMERS = 4, /* a claim is a commit of the store: several share one */
	CLAIM_WAIT_MS = 600000,
	CLAIM_WAIT_FULL_MS = 20000, /* what is full now may not be so for long */
	CALL_MS = 30000,
	AGAIN_MS = 500,
	LAST_REPORTS_MS = 5000,
	REUSED_MAX =
		100 /* messages in one session, so that others of a slow server get their turn */
};

/* One claim on its way, and the session it goes by. */
struct errand {
	struct relay *relay;
	struct arena claim_arena; /* of the claim; the session's texts lie in the other one */
	struct arena arena;
	struct answer_queue_claim claim;
	struct destination *destination;
	struct attempt attempt;
};

/* ---- asking for work ---- */

static enum err ask(struct relay *relay, struct str only, struct arena *arena,
		    struct answer_queue_claim *claim) WAITS
{
	struct str full[LIMIT_queue_avoid];
	struct ask_queue_claim ask = { .run = relay->run,
				       .site_max = relay->role->config->relay_site_connections,
				       .recipients_max = LIMIT_queue_batch,
				       .wait_ms = only.len ? 0 : CLAIM_WAIT_MS,
				       .only = only };

	if (!only.len)
		ask.avoid = (struct strs){ full, destinations_full(&relay->destinations, full,
								   COUNT_OF(full)) };
	if (ask.avoid.count)
		ask.wait_ms = CLAIM_WAIT_FULL_MS;
	return call_queue_claim(relay->role->store, &ask, arena, claim,
				in_ms((int64_t)ask.wait_ms + CALL_MS));
}

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
	size_t room = errand->claim.numbers.count;
	uint64_t *numbers = NEW_ARRAY(arena, uint64_t, room);
	uint64_t *results = NEW_ARRAY(arena, uint64_t, room);
	uint64_t *codes = NEW_ARRAY(arena, uint64_t, room);
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
		enhanced[count] = said->reply.enhanced;
		texts[count++] = one_line(arena, said->reply.text);
	}
	return (struct ask_queue_report){ .lease = errand->claim.lease,
					  .message = errand->claim.message,
					  .session = attempt->session,
					  .peer = str_first(attempt->peer, LIMIT_queue_peer),
					  .has_dsn = attempt->has_dsn,
					  .site_down = attempt->is_site_down,
					  .numbers = { numbers, count },
					  .results = { results, count },
					  .codes = { codes, count },
					  .enhanced = { enhanced, count },
					  .texts = { texts, count } };
}

/* Until the store has heard it, or we are told to stop and it does not answer: then the lease ends by itself. */
static void report(struct errand *errand) WAITS
{
	struct ask_queue_report ask = report_of(errand);
	struct answer_queue_report answer;

	while (call_queue_report(errand->relay->role->store, &ask, &errand->claim_arena, &answer,
				 in_ms(CALL_MS)))
		if (fiber_sleep(in_ms(AGAIN_MS)))
			return;
}

/* ---- one errand ---- */

static enum err send_claim(struct errand *errand) WAITS
{
	struct attempt *attempt = &errand->attempt;
	enum err err = body_map(&errand->claim.body, &attempt->octets);

	if (err)
		return err;
	attempt->claim = &errand->claim;
	attempt_run(attempt);
	body_unmap(&errand->claim.body, attempt->octets);
	body_done(&errand->claim.body);
	if (attempt->is_site_down)
		destination_failed(errand->destination);
	else
		destination_went_well(&errand->relay->destinations, errand->destination);
	report(errand);
	return OK;
}

static bool may_go_on(const struct errand *errand)
{
	return errand->attempt.client && smtp_client_is_open(errand->attempt.client) &&
	       !errand->relay->closing && !fiber_is_stopping();
}

/* More to the same destination, while its session is open. */
static bool claim_more(struct errand *errand) WAITS
{
	struct str destination = str_dup(&errand->arena, errand->claim.destination);
	enum err err;

	arena_reset(&errand->claim_arena);
	errand->claim = (struct answer_queue_claim){ .body = BODY_EMPTY };
	err = ask(errand->relay, destination, &errand->claim_arena, &errand->claim);
	return !err && errand->claim.lease != 0;
}

static void errand_fiber(void *arg) WAITS
{
	struct errand *errand = arg;
	struct relay *relay = errand->relay;
	unsigned sent = 0;

	errand->attempt.relay = relay;
	errand->attempt.arena = &errand->arena;
	errand->destination = destination_enter(&relay->destinations, errand->claim.destination);
	while (!send_claim(errand) && ++sent < REUSED_MAX && may_go_on(errand) &&
	       claim_more(errand))
		;
	smtp_client_drop(&errand->attempt.client);
	destination_leave(errand->destination);
	body_done(&errand->claim.body);
	arena_drop(&errand->claim_arena);
	arena_drop(&errand->arena);
	free(errand);
	semaphore_give(&relay->slots);
}

static enum err begin_errand(struct relay *relay) WAITS
{
	struct errand *errand = calloc(1, sizeof(*errand));
	enum err err;

	must(errand);
	errand->relay = relay;
	errand->claim.body = BODY_EMPTY;
	err = ask(relay, S(""), &errand->claim_arena, &errand->claim);
	/* What is claimed and not begun when we close comes back to the store with the end of our channel. */
	if (!err && (!errand->claim.lease || relay->closing))
		err = ERR_AGAIN;
	if (!err)
		err = fiber_spawn(&relay->errands, "errand", errand_fiber, errand, NULL);
	if (!err)
		return OK;
	body_done(&errand->claim.body);
	arena_drop(&errand->claim_arena);
	free(errand);
	return err;
}

static void claim_fiber(void *arg) WAITS
{
	struct relay *relay = arg;

	while (!relay->closing && !semaphore_take(&relay->slots, NEVER)) {
		enum err err = begin_errand(relay);

		if (!err)
			continue;
		semaphore_give(&relay->slots);
		/* The store is away or overloaded: it will be asked again soon. */
		if (fiber_is_stopping() || (err != ERR_AGAIN && fiber_sleep(in_ms(AGAIN_MS))))
			return;
	}
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

static enum err begin(struct role *role) WAITS
{
	struct relay *relay = calloc(1, sizeof(*relay));
	enum err err;

	must(relay);
	relay->role = role;
	relay->run = random_u64() | 1;
	role->state = relay;
	destinations_init(&relay->destinations, (unsigned)role->config->relay_site_connections);
	semaphore_init(&relay->slots, (size_t)role->config->relay_connections);
	group_init(&relay->errands);
	relay->resolver = make_resolver(role);
	err = tls_client_context_new(S(""), &relay->tls);
	for (int i = 0; !err && i < CLAIMERS; i++)
		err = fiber_spawn(&role->fibers, "claims", claim_fiber, relay, NULL);
	return err;
}

static enum err reload(struct role *role) WAITS
{
	struct relay *relay = role->state;

	relay->destinations.most = (unsigned)role->config->relay_site_connections;
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
	resolver_drop(&relay->resolver);
	destinations_done(&relay->destinations);
	tls_context_unref(&relay->tls);
	free(relay);
}

static void prepare(void)
{
	tls_prepare();
	smtp_client_prepare();
}

const struct role_ops relay_role = {
	.kind = ROLE_RELAY,
	.begin = begin,
	.reload = reload,
	.stop = stop,
	.end = end,
	.prepare = prepare,
};
