/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_own.h"
#include "store/peer.h"

#include <stdlib.h>

enum { ROWS_ONCE = 500 };

/* ---- leases ---- */

void queue_lease_add(struct queue *queue, struct site *site, uint64_t lease, uint64_t owner)
{
	struct queue_lease *item = calloc(1, sizeof(*item));

	must(item);
	item->site = site;
	item->owner = owner;
	item->ends = in_ms(QUEUE_LEASE_MS); /* the same for all: so the list has the oldest first */
	list_add_last(&queue->ages, &item->age);
	table_add(&queue->leases, &item->item, lease);
}

moment queue_lease_ends(const struct queue *queue)
{
	if (list_is_empty(&queue->ages))
		return NEVER;
	return CONTAINER_OF(queue->ages.next, struct queue_lease, age)->ends;
}

struct queue_lease *queue_lease_find(struct queue *queue, uint64_t lease)
{
	struct table_item *item = table_find(&queue->leases, lease);

	return item ? CONTAINER_OF(item, struct queue_lease, item) : NULL;
}

void queue_lease_end(struct queue *queue, struct queue_lease *lease)
{
	table_remove(&queue->leases, &lease->item);
	list_remove(&lease->age);
	sites_end_lease(queue->sites, lease->site);
	free(lease);
	waitq_wake_one(&queue->due);
}

struct loading {
	struct queue *queue;
	struct arena arena;
	struct loaded {
		uint64_t lease, owner;
		struct str destination;
	} * rows;
	size_t count, room;
};

static void add_loaded(struct loading *l, const struct loaded *row)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->rows = reallocarray(l->rows, l->room, sizeof(*l->rows));
		must(l->rows);
	}
	l->rows[l->count++] = *row;
}

/* A store_read_fn. */
static enum err list_all_leased(struct db *db, void *arg)
{
	const enum db_query q = Q_queue_load_leases;
	struct loading *l = arg;
	bool has_row = true;
	enum err err = db_start(db, q, NULL, 0);

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		add_loaded(l, &(struct loaded){ .lease = (uint64_t)db_int_at(db, q, 0),
						.owner = (uint64_t)db_int_at(db, q, 1),
						.destination =
							str_dup(&l->arena, db_text_at(db, q, 2)) });
	}
	return err;
}

enum err queue_load_leases(struct store *store) WAITS
{
	struct queue *queue = store->queue;
	struct loading l = { 0 };
	enum err err = store_read(store, list_all_leased, &l);

	for (size_t i = 0; !err && i < l.count; i++) {
		const struct loaded *row = &l.rows[i];

		if (!queue_lease_find(queue, row->lease))
			queue_lease_add(queue, sites_add_lease(queue->sites, row->destination),
					row->lease, row->owner);
	}
	free(l.rows);
	arena_drop(&l.arena);
	return err;
}

/* ---- runs of relays ---- */

static struct queue_owner *find_owner(struct queue *queue, uint64_t owner)
{
	struct table_item *item = table_find(&queue->owners, owner);

	return item ? CONTAINER_OF(item, struct queue_owner, item) : NULL;
}

static bool is_gone(struct queue *queue, uint64_t owner)
{
	const struct queue_owner *known = find_owner(queue, owner);

	return known && !known->channels;
}

/* ---- which leases ---- */

enum whose {
	OF_GONE,   /* all that this run has; nobody speaks for it any more */
	OF_OTHERS, /* all that other runs of its process have */
	UNHEARD,   /* what this run has and does not know of */
	OVERDUE    /* what anybody has had too long */
};

struct meaning {
	enum whose whose;
	uint64_t owner;
	struct u64s known; /* UNHEARD: leases, sorted */
};

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a;
	uint64_t other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static bool is_among(const struct u64s *leases, uint64_t lease)
{
	return leases->count && bsearch(&lease, leases->at, leases->count, sizeof(lease), compare);
}

static bool is_of_process(uint64_t owner, uint64_t other)
{
	return owner != other && (owner & 15) == (other & 15);
}

static bool is_meant(struct queue *queue, const struct meaning *m, const struct queue_lease *lease)
{
	switch (m->whose) {
	case OF_GONE: /* it may have come back meanwhile */
		return lease->owner == m->owner && is_gone(queue, m->owner);
	case OF_OTHERS:
		return is_of_process(m->owner, lease->owner);
	case UNHEARD:
		return lease->owner == m->owner && !is_among(&m->known, lease->item.key);
	case OVERDUE:
		break;
	}
	return lease->ends <= now();
}

/* Those of one run, whose it is in *owner; empty: there is none. */
static struct u64s list_meant(struct queue *queue, const struct meaning *m, struct arena *arena,
			      uint64_t *owner)
{
	uint64_t *leases = NEW_ARRAY(arena, uint64_t, queue->leases.count + 1);
	size_t count = 0;

	LIST_EACH (link, &queue->ages) {
		struct queue_lease *lease = CONTAINER_OF(link, struct queue_lease, age);

		if (!is_meant(queue, m, lease) || (count && lease->owner != *owner))
			continue;
		*owner = lease->owner;
		leases[count++] = lease->item.key;
	}
	qsort(leases, count, sizeof(*leases), compare);
	return (struct u64s){ leases, count };
}

/* ---- giving back ---- */

struct given {
	uint64_t message, number, flow, attempts, lease;
	struct str destination, address;
	bool is_given; /* nobody reported of it meanwhile */
};

struct giving {
	struct job job;
	struct arena arena;
	enum whose whose;
	uint64_t owner;
	struct u64s leases; /* of it, sorted */
	int64_t now_us;
	int64_t message, number; /* the last row that was looked at */
	struct given *rows;
	size_t count, looked_at;
};

/* A store_read_fn. */
static enum err list_leased(struct db *db, void *arg)
{
	const enum db_query q = Q_queue_leased_by;
	struct giving *g = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_id(g->owner), db_int(g->message), db_int(g->number),
				 db_int(ROWS_ONCE));

	while (!err && g->looked_at < ROWS_ONCE) {
		uint64_t lease;

		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		g->looked_at++;
		g->message = db_int_at(db, q, 0);
		g->number = db_int_at(db, q, 1);
		lease = (uint64_t)db_int_at(db, q, 6);
		if (!is_among(&g->leases, lease))
			continue;
		g->rows[g->count++] =
			(struct given){ .message = (uint64_t)g->message,
					.number = (uint64_t)g->number,
					.flow = (uint64_t)db_int_at(db, q, 3),
					.attempts = (uint64_t)db_int_at(db, q, 5),
					.lease = lease,
					.destination = str_dup(&g->arena, db_text_at(db, q, 2)),
					.address = str_dup(&g->arena, db_text_at(db, q, 4)) };
	}
	db_finish(db, q);
	return err;
}

static enum err run_giving(struct writer *writer, struct job *job)
{
	struct giving *g = CONTAINER_OF(job, struct giving, job);
	enum err err = OK;

	for (size_t i = 0; !err && i < g->count; i++) {
		struct given *row = &g->rows[i];
		uint64_t changed = 0;

		err = db_run_values(writer->db, Q_queue_give_one,
				    DB_VALUES(db_int(g->now_us), db_id(row->message),
					      db_id(row->number), db_id(row->lease)),
				    &changed);
		row->is_given = changed > 0;
	}
	return err;
}

/*
 * Whoever had it ended without a word: the other server may have answered 250 to him. Told before it is given back: who
 * dies in between has said too much, not too little.
 */
static void tell_unknown(struct store *store, const struct giving *g)
{
	char id[ID_TEXT + 1];
	const char *why = g->whose == OVERDUE
				  ? "who was sending it did not tell in time what became of it"
				  : "who was sending it ended before he told what became of it";

	for (size_t i = 0; i < g->count && g->whose != UNHEARD; i++) {
		const struct given *row = &g->rows[i];

		id_print(row->message, id);
		TRACE(store->trace, 0, 0, attempt, .message = str_of(id), .recipient = row->address,
		      .outcome = S("unknown"), .reply = str_of(why), .attempts = row->attempts,
		      .next_us = (uint64_t)g->now_us);
	}
}

static void tell_given(struct store *store, const struct giving *g)
{
	struct queue *queue = store->queue;
	char id[ID_TEXT + 1];

	for (size_t i = 0; i < g->count; i++) {
		const struct given *row = &g->rows[i];

		if (!row->is_given)
			continue;
		id_print(row->message, id);
		TRACE(store->trace, 0, 0, queue_change, .message = str_of(id),
		      .what = S("given back"), .recipients = 1, .recipient = row->address);
		sites_note(queue->sites, row->destination, row->flow, g->now_us, 1);
		waitq_wake_one(&queue->due);
	}
}

static enum err give_rows(struct store *store, struct giving *g) WAITS
{
	enum err err;

	g->message = g->number = INT64_MIN;
	do {
		g->job = (struct job){ .run = run_giving };
		g->now_us = wall_us();
		g->rows = NEW_ARRAY(&g->arena, struct given, ROWS_ONCE);
		g->count = g->looked_at = 0;
		err = store_read(store, list_leased, g);
		if (!err && g->count) {
			tell_unknown(store, g);
			err = store_commit(store, &g->job);
			if (!err)
				tell_given(store, g);
		}
		arena_reset(&g->arena);
	} while (!err && g->looked_at == ROWS_ONCE);
	arena_drop(&g->arena);
	return err;
}

/* A lease ends when its rows have been given back: what a full disk did not let us give is given the next time. */
static enum err give_back(struct store *store, const struct meaning *m) WAITS
{
	struct queue *queue = store->queue;
	struct arena arena = { 0 };
	enum err err = OK;

	while (!err) {
		struct giving g = { .whose = m->whose };

		g.leases = list_meant(queue, m, &arena, &g.owner);
		if (!g.leases.count)
			break;
		err = give_rows(store, &g);
		for (size_t i = 0; !err && i < g.leases.count; i++) {
			struct queue_lease *lease = queue_lease_find(queue, g.leases.at[i]);

			if (lease)
				queue_lease_end(queue, lease);
		}
		arena_reset(&arena);
	}
	arena_drop(&arena);
	return err;
}

/* The answers to these claims were lost with the store that gave them. */
static enum err give_back_unheard(struct store *store, uint64_t owner,
				  const struct ask_queue_claim *ask) WAITS
{
	struct arena arena = { 0 };
	size_t count = ask->holds.count;
	uint64_t *known = NEW_ARRAY(&arena, uint64_t, count + 1);
	enum err err;

	for (size_t i = 0; i < count; i++)
		known[i] = ask->holds.at[i];
	qsort(known, count, sizeof(*known), compare);
	err = give_back(store, &(struct meaning){ UNHEARD, owner, { known, count } });
	arena_drop(&arena);
	return err;
}

/* ---- who claims ---- */

static void leave_owner(struct queue *queue, uint64_t owner)
{
	struct queue_owner *known = owner ? find_owner(queue, owner) : NULL;

	if (known && known->channels && --known->channels == 0)
		queue_alarm_at(queue, 0);
}

static void enter_owner(struct queue *queue, uint64_t owner)
{
	struct queue_owner *known = find_owner(queue, owner);

	if (!known) {
		known = calloc(1, sizeof(*known));
		must(known);
		table_add(&queue->owners, &known->item, owner);
	}
	known->channels++;
}

static enum err meet(struct peer *peer, uint64_t owner, const struct ask_queue_claim *ask) WAITS
{
	struct queue *queue = peer->store->queue;
	struct queue_owner *known = find_owner(queue, owner);
	enum err err;

	known->is_met_now = true;
	err = give_back(peer->store, &(struct meaning){ .whose = OF_OTHERS, .owner = owner });
	if (!err && ask->tells)
		err = give_back_unheard(peer->store, owner, ask);
	known = find_owner(queue, owner);
	if (known) {
		known->is_met = !err; /* else the next claim tries again */
		known->is_met_now = false;
	}
	waitq_wake_all(&queue->met);
	return err;
}

enum err queue_meet_owner(struct peer *peer, uint64_t owner, const struct ask_queue_claim *ask)
	WAITS
{
	struct queue *queue = peer->store->queue;
	struct queue_owner *known;
	enum err err = OK;

	if (peer->queue_owner != owner) {
		leave_owner(queue, peer->queue_owner);
		peer->queue_owner = owner;
		enter_owner(queue, owner);
	}
	/* What is claimed meanwhile would be taken for unheard. */
	while (!err && (known = find_owner(queue, owner)) && known->is_met_now)
		err = waitq_wait(&queue->met, NEVER);
	known = find_owner(queue, owner);
	if (err || !known)
		return err ? err : fault(ERR_GONE, "who claims has ended");
	return known->is_met ? OK : meet(peer, owner, ask);
}

void queue_peer_lost(struct peer *peer)
{
	if (!peer)
		return;
	peer->is_lost = true;
	waitq_wake_all(&peer->store->queue->due);
}

void queue_peer_gone(struct peer *peer)
{
	if (!peer)
		return;
	leave_owner(peer->store->queue, peer->queue_owner);
	peer->queue_owner = 0;
}

/* One run that nobody speaks for any more; 0: there is none. */
static uint64_t find_gone(struct queue *queue)
{
	for (size_t i = 0; i < queue->owners.bucket_count; i++)
		for (struct table_item *item = queue->owners.buckets[i]; item; item = item->next)
			if (!CONTAINER_OF(item, struct queue_owner, item)->channels)
				return item->key;
	return 0;
}

/* Unless it has come back meanwhile. */
static void forget_gone(struct queue *queue, uint64_t owner)
{
	struct queue_owner *known = find_owner(queue, owner);

	if (!known || known->channels)
		return;
	table_remove(&queue->owners, &known->item);
	free(known);
}

enum err queue_collect(struct store *store) WAITS
{
	struct queue *queue = store->queue;
	enum err err = OK;
	uint64_t owner;

	while (!err && (owner = find_gone(queue))) {
		err = give_back(store, &(struct meaning){ .whose = OF_GONE, .owner = owner });
		if (!err)
			forget_gone(queue, owner);
	}
	if (err || queue_lease_ends(queue) > now())
		return err;
	return give_back(store, &(struct meaning){ .whose = OVERDUE });
}
