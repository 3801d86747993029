/* SPDX-License-Identifier: Apache-2.0 */
/* A relay asks for work: whose turn it is, one job that leases it, and the body that goes with it. */
#include "store/peer.h"
#include "store/queue_own.h"
#include "store/routes.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_AGAIN_MS = 5000, PIECE = 256 << 10 };

struct claiming {
	struct job job;
	struct store *store;
	int64_t now_us;
	struct str destination;
	uint64_t flow;
	uint64_t lease, owner;
	size_t recipients_max;
	struct arena *arena;

	struct sites_found found;
	bool is_found;
	struct queue_message message;
	uint64_t *numbers, *notify;
	struct str *recipients, *original;
	size_t count;
	uint64_t attempts;
	int64_t again_us; /* what could not be read is due */
	struct route route;
	struct str password;
	struct strs sources;
	struct str octets; /* of the body, when it is small and was there to be read */
};

/* ---- on the writer's thread ---- */

static enum err find_first(struct writer *writer, struct claiming *c, uint64_t *message)
{
	const enum db_query q = Q_queue_first;
	enum err err =
		db_select(writer->db, q, db_str(c->destination), db_id(c->flow), db_int(c->now_us));

	if (!err)
		err = db_step(writer->db, q, &c->is_found);
	if (err || !c->is_found)
		return err;
	*message = (uint64_t)db_int_at(writer->db, q, 0);
	db_finish(writer->db, q);
	return OK;
}

static enum err find_recipients(struct writer *writer, struct claiming *c, uint64_t message)
{
	const enum db_query q = Q_queue_take;
	struct db *db = writer->db;
	bool has_row = true;
	enum err err = db_select(db, q, db_id(message), db_str(c->destination), db_int(c->now_us),
				 db_id(c->recipients_max));

	while (!err && c->count < c->recipients_max) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		size_t i = c->count++;
		uint64_t attempts = (uint64_t)db_int_at(db, q, 4);

		c->numbers[i] = (uint64_t)db_int_at(db, q, 0);
		c->recipients[i] = str_dup(c->arena, db_text_at(db, q, 1));
		c->notify[i] = (uint64_t)db_int_at(db, q, 2);
		c->original[i] = str_dup(c->arena, db_text_at(db, q, 3));
		if (attempts > c->attempts)
			c->attempts = attempts;
	}
	db_finish(db, q);
	return err;
}

static enum err lease_all(struct writer *writer, struct claiming *c, uint64_t message)
{
	enum err err = OK;

	for (size_t i = 0; !err && i < c->count; i++)
		err = db_run(writer->db, Q_queue_lease, db_id(c->lease), db_id(c->owner),
			     db_int(c->now_us + INT64_C(1000) * QUEUE_LEASE_MS), db_id(message),
			     db_id(c->numbers[i]));
	return err;
}

/* It waits at this destination, and the message was held when it went to another one: its body is damaged. */
static enum err hold_all(struct writer *writer, struct claiming *c)
{
	enum err err = OK;

	for (size_t i = 0; !err && i < c->count; i++)
		err = db_run(writer->db, Q_queue_set_state, db_int(QUEUE_HELD), db_int(c->now_us),
			     db_id(c->message.id), db_id(c->numbers[i]));
	return err;
}

static enum err look_ahead(struct writer *writer, struct claiming *c)
{
	int64_t next_us = SITES_NEVER;
	enum err err =
		db_number_values(writer->db, Q_queue_soonest,
				 DB_VALUES(db_str(c->destination), db_id(c->flow)), &next_us);

	c->found.has_more = next_us <= c->now_us;
	c->found.next_us = next_us;
	return err;
}

/* A small body is read here and now, so that no thread has to be asked for it. Else the fiber does. */
static void read_small(struct claiming *c)
{
	const struct queue_message *m = &c->message;
	struct body_place at = { m->body, m->place, m->size };
	char *octets;

	if (!m->body || m->size > LIMIT_link_inline_body)
		return;
	octets = arena_take(c->arena, m->size + 1);
	if (bodies_read_whole(c->store->bodies, &at, octets) == OK)
		c->octets = (struct str){ octets, m->size };
}

/* What the operator wants of it; a secret that does not open is told, and nobody is signed in to. */
static enum err find_way(struct writer *writer, struct claiming *c)
{
	struct route *route = &c->route;
	bool found = false;
	enum err err = route_find(writer->db, c->arena, c->destination, route, &found);

	if (!err && !found)
		*route = (struct route){ .transport = QUEUE_BY_MX, .tls = QUEUE_TLS_OPPORTUNISTIC };
	if (!err)
		err = source_find(writer->db, c->arena, c->message.sender, &c->sources);
	if (!err && route->credential.len &&
	    secret_open(&c->store->secrets, c->arena,
			str_print(c->arena, "credential %.*s", STR_ARGS(route->credential)),
			route->secret, &c->password))
		c->password = S("");
	return err;
}

static enum err run_claim(struct writer *writer, struct job *job)
{
	struct claiming *c = CONTAINER_OF(job, struct claiming, job);
	uint64_t message = 0;
	bool found = false;
	enum err err = find_first(writer, c, &message);

	if (!err && c->is_found)
		err = find_recipients(writer, c, message);
	if (!err && c->is_found)
		err = queue_find(writer->db, c->arena, message, &c->message, &found);
	if (!err && c->is_found && !found)
		return fault(ERR_CORRUPT, "recipients of message %llu are queued without it",
			     (unsigned long long)message);
	if (!err && c->is_found)
		err = c->message.held ? hold_all(writer, c) : lease_all(writer, c, message);
	if (c->message.held)
		c->is_found = false;
	if (!err && c->is_found)
		err = find_way(writer, c);
	if (!err)
		err = look_ahead(writer, c);
	if (!err && c->is_found)
		read_small(c);
	c->found.has_lease = c->is_found;
	return err;
}

/* ---- the body, when it is large ---- */

struct fetching {
	struct store *store;
	uint64_t message;
	struct body_writer *out;
};

static enum err copy_octets(struct fetching *f, const struct body_place *at)
{
	char *piece = malloc(PIECE);
	enum err err = OK;

	must(piece);
	for (uint64_t offset = 0; !err && offset < at->length; offset += PIECE) {
		uint64_t left = at->length - offset;
		size_t len = left < PIECE ? (size_t)left : PIECE;

		err = bodies_read(f->store->bodies, at, offset, piece, len);
		if (!err)
			err = body_write(f->out, (struct str){ piece, len });
	}
	free(piece);
	return err;
}

static enum err fetch(struct db *db, void *arg)
{
	struct fetching *f = arg;
	struct arena arena = { 0 };
	struct queue_message message;
	bool found = false;
	enum err err = queue_find(db, &arena, f->message, &message, &found);

	if (!err && (!found || !message.body)) /* what is leased is not deleted */
		err = fault(ERR_CORRUPT, "the message has lost its body");
	/* All of it before the first octet leaves: what is damaged must not be somebody else's letter. */
	if (!err)
		err = bodies_verify(
			f->store->bodies,
			&(struct body_place){ message.body, message.place, message.size });
	if (!err)
		err = copy_octets(
			f, &(struct body_place){ message.body, message.place, message.size });
	arena_drop(&arena);
	return err;
}

/* A compaction may move it while it is read: then it is looked up once more. What is not found even so has lost its file. */
static enum err fetch_body(struct store *store, const struct claiming *c, struct body *out) WAITS
{
	enum err err = ERR_NOT_FOUND;

	for (int tries = 0; err == ERR_NOT_FOUND && tries < 3; tries++) {
		struct body_writer writer;
		struct fetching f = { store, c->message.id, &writer };

		body_writer_init(&writer, UINT64_MAX);
		err = store_read(store, fetch, &f);
		if (!err)
			err = body_finish(&writer, out);
		if (!err && out->fd < 0)
			out->octets = str_dup(c->arena, out->octets);
		body_writer_done(&writer);
	}
	if (err == ERR_NOT_FOUND) {
		char text[FAULT_TEXT_MAX];

		snprintf(text, sizeof(text), "%s", fault_text());
		err = fault(ERR_CORRUPT, "%s", text);
	}
	return err;
}

/* ---- in the fiber ---- */

static void tell_claim(struct store *store, const struct claiming *c, uint64_t session)
{
	char id[ID_TEXT + 1];

	id_print(c->message.id, id);
	TRACE(store->trace, session, 0, claimed, .message = str_of(id),
	      .destination = c->destination, .recipients = c->count, .attempts = c->attempts);
}

static enum err answer_claim(struct store *store, struct claiming *c,
			     struct answer_queue_claim *answer) WAITS
{
	const struct queue_message *m = &c->message;

	*answer = (struct answer_queue_claim){
		.lease = c->lease,
		.lease_ms = QUEUE_LEASE_MS,
		.message = m->id,
		.session = m->session,
		.destination = c->destination,
		.sender = m->sent_as.len ? m->sent_as : m->sender,
		.envelope_id = m->envelope_id,
		.ret = m->ret,
		.utf8 = m->utf8,
		.body_type = m->body_type,
		.arrived_us = (uint64_t)m->arrived_us,
		.attempts = c->attempts,
		.numbers = { c->numbers, c->count },
		.recipients = { c->recipients, c->count },
		.notify = { c->notify, c->count },
		.original = { c->original, c->count },
		.body = { c->octets, -1, c->octets.len },
		.transport = c->route.transport,
		.target = c->route.host,
		.port = c->route.port,
		.tls = c->route.tls,
		.fallback = c->route.is_fallback,
		.credential = c->route.credential,
		.credential_us = (uint64_t)c->route.credential_us,
		.user = c->route.user,
		.password = c->password,
		.sources = c->sources,
		.signed_in = m->account != 0,
	};
	if (c->octets.at || !m->size)
		return OK;
	return fetch_body(store, c, &answer->body);
}

/* ---- a body that cannot be read ---- */

static enum err run_holding(struct writer *writer, struct job *job)
{
	struct claiming *c = CONTAINER_OF(job, struct claiming, job);
	enum err err =
		db_run(writer->db, Q_queue_set_held, db_int(1), db_null(), db_id(c->message.id));

	return err ? err : hold_all(writer, c);
}

static enum err run_putting_back(struct writer *writer, struct job *job)
{
	struct claiming *c = CONTAINER_OF(job, struct claiming, job);
	enum err err = OK;

	for (size_t i = 0; !err && i < c->count; i++)
		err = db_run(writer->db, Q_queue_give_one, db_int(c->again_us),
			     db_id(c->message.id), db_id(c->numbers[i]), db_id(c->lease));
	return err;
}

/* Nobody has heard of this lease: it ends in that commit. False: it stays, and the message comes when it is overdue. */
static bool take_back(struct store *store, struct claiming *c, const char *what) WAITS
{
	struct queue_lease *lease;
	char id[ID_TEXT + 1];

	secret_wipe(&c->password);
	if (store_commit(store, &c->job))
		return false;
	lease = queue_lease_find(store->queue, c->lease); /* another run may have ended it */
	if (lease)
		queue_lease_end(store->queue, lease);
	id_print(c->message.id, id);
	TRACE(store->trace, 0, 0, queue_change, .message = str_of(id), .what = str_of(what),
	      .recipients = c->count);
	return true;
}

/*
 * To claim it again would find it as it is. It is held, neither old nor lost: an operator may have a backup, and
 * must decide what its sender is told.
 */
static void hold_damaged(struct store *store, struct claiming *c) WAITS
{
	char why[FAULT_TEXT_MAX];
	char id[ID_TEXT + 1];
	char advice[200];

	snprintf(why, sizeof(why), "%s", fault_text());
	c->job.run = run_holding;
	if (!take_back(store, c, "hold"))
		return;
	id_print(c->message.id, id);
	snprintf(advice, sizeof(advice),
		 "message %s is held in the queue: restore its body from a backup and `glasspost "
		 "queue release %s`, or `glasspost queue delete %s`",
		 id, id, id);
	store_trouble(store, fault(ERR_CORRUPT, "%s", why), advice);
}

/* A disk or a machine that fails now may do it no longer in a while: others have their turn, and then it has. */
static void put_back(struct store *store, struct claiming *c, enum err err) WAITS
{
	char why[FAULT_TEXT_MAX];
	char id[ID_TEXT + 1];
	char advice[200];

	snprintf(why, sizeof(why), "%s", fault_text());
	c->again_us = wall_us() + 1000 * store->config->queue_retry_min;
	c->job.run = run_putting_back;
	if (!take_back(store, c, "given back"))
		return;
	sites_note(store->queue->sites, c->destination, c->flow, c->again_us, 1);
	id_print(c->message.id, id);
	snprintf(advice, sizeof(advice),
		 "message %s waits, it is tried again in %lld s; `glasspost queue retry %s` tries "
		 "it now",
		 id, (long long)(store->config->queue_retry_min / 1000), id);
	store_trouble(store, fault(err, "%s", why), advice);
}

static enum err claim(struct peer *peer, uint64_t owner, const struct sites_pick *pick,
		      const struct ask_queue_claim *ask, struct claiming *c) WAITS
{
	struct store *store = peer->store;
	size_t max = ask->recipients_max ? (size_t)ask->recipients_max : 1;
	enum err err;

	c->store = store;
	c->job.run = run_claim;
	c->now_us = wall_us();
	c->destination = str_dup(c->arena, site_name(pick->site));
	c->flow = flow_key(pick->flow);
	c->owner = owner;
	c->recipients_max = max;
	do
		c->lease = random_u64();
	while (!c->lease);
	c->numbers = NEW_ARRAY(c->arena, uint64_t, max);
	c->notify = NEW_ARRAY(c->arena, uint64_t, max);
	c->recipients = NEW_ARRAY(c->arena, struct str, max);
	c->original = NEW_ARRAY(c->arena, struct str, max);
	err = store_commit(store, &c->job);
	/* Of what the disk refused nothing is known: it is looked at again, a little later. */
	if (err)
		c->found = (struct sites_found){ .next_us = c->now_us + 1000 * 1000 };
	if (!err && c->is_found)
		queue_lease_add(store->queue, pick->site, c->lease, owner);
	sites_picked(store->queue->sites, pick, &c->found);
	if (c->found.has_more)
		waitq_wake_one(&store->queue->due);
	return err;
}

/* Waits for the next thing that may be due; false: no longer. */
static bool wait_for_more(struct queue *queue, moment deadline) WAITS
{
	moment until = in_wall_us(sites_next_us(queue->sites), LOOK_AGAIN_MS);
	enum err err;

	if (now() >= deadline)
		return false;
	if (until < in_ms(1))
		until = in_ms(1);
	err = waitq_wait(&queue->due, sooner(until, deadline));
	return err == OK || (err == ERR_TIMEOUT && now() < deadline);
}

/* The session that had this lease asks for the next: its place at the destination is its own. */
static bool is_ending(struct queue *queue, const struct ask_queue_claim *ask)
{
	struct queue_lease *lease = queue_lease_find(queue, ask->instead);

	return lease && str_is(site_name(lease->site), ask->only);
}

enum err store_queue_claim(struct peer *peer, unsigned index, const struct ask_queue_claim *ask,
			   struct arena *arena, struct answer_queue_claim *answer) WAITS
{
	struct store *store = peer->store;
	struct queue *queue = store->queue;
	moment deadline = in_ms((int64_t)ask->wait_ms);
	uint64_t owner = (ask->run & ~UINT64_C(15)) | (index & 15);
	struct sites_pick pick;
	enum err err = queue_meet_owner(peer, owner, ask);

	while (!err) {
		struct claiming c = { .arena = arena };
		struct sites_ask turn = { .now_us = wall_us(),
					  .site_max = ask->site_max ? (size_t)ask->site_max : 1,
					  .only = ask->only,
					  .ending = is_ending(queue, ask) };

		if (peer->is_lost)
			return fault(ERR_GONE, "who claims has ended");
		if (sites_pick(queue->sites, &turn, &pick)) {
			err = claim(peer, owner, &pick, ask, &c);
			if (err || !c.is_found)
				continue;
			tell_claim(store, &c, 0);
			err = answer_claim(store, &c, answer);
			if (!err || err == ERR_STOPPED)
				return err;
			if (err == ERR_CORRUPT)
				hold_damaged(store, &c);
			else
				put_back(store, &c, err);
			*answer = (struct answer_queue_claim){ .body = BODY_EMPTY };
			err = OK;
			continue;
		}
		if (!wait_for_more(queue, deadline))
			return OK;
	}
	return err;
}
