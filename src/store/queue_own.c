/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_own.h"
#include "store/peer.h"

#include <stdlib.h>

enum { ROWS_ONCE = 500 };

/* ---- leases ---- */

void queue_lease_add(struct queue *queue, struct site *site, uint64_t lease, uint64_t owner,
		     int64_t now_us)
{
	struct queue_lease *item = calloc(1, sizeof(*item));

	must(item);
	item->site = site;
	item->owner = owner;
	item->ends_us = now_us + INT64_C(1000) * QUEUE_LEASE_MS;
	list_add_last(&queue->ages, &item->age);
	table_add(&queue->leases, &item->item, lease);
	queue_alarm_at(queue, item->ends_us);
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

/* ---- giving back ---- */

struct given {
	uint64_t message, number, flow, attempts;
	struct str destination, address;
};

struct giving {
	struct job job;
	struct arena arena;
	uint64_t owner;
	bool others; /* of its process; else its own */
	int64_t now_us;
	struct given *rows;
	size_t count;
};

static enum err list_leased(struct writer *writer, struct giving *g)
{
	enum db_query q = g->others ? Q_queue_leased_by_others : Q_queue_leased_by;
	struct db *db = writer->db;
	bool has_row = true;
	enum err err = g->others ? db_select(db, q, db_id(g->owner & 15), db_id(g->owner),
					     db_int(ROWS_ONCE))
				 : db_select(db, q, db_id(g->owner), db_int(ROWS_ONCE));

	while (!err && g->count < ROWS_ONCE) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		g->rows[g->count++] = (struct given){ (uint64_t)db_int_at(db, q, 0),
						      (uint64_t)db_int_at(db, q, 1),
						      (uint64_t)db_int_at(db, q, 3),
						      (uint64_t)db_int_at(db, q, 5),
						      str_dup(&g->arena, db_text_at(db, q, 2)),
						      str_dup(&g->arena, db_text_at(db, q, 4)) };
	}
	db_finish(db, q);
	return err;
}

static enum err run_giving(struct writer *writer, struct job *job)
{
	struct giving *g = CONTAINER_OF(job, struct giving, job);
	enum err err;

	g->rows = NEW_ARRAY(&g->arena, struct given, ROWS_ONCE);
	err = list_leased(writer, g);
	for (size_t i = 0; !err && i < g->count; i++)
		err = db_run(writer->db, Q_queue_set_state, db_int(QUEUE_WAITING),
			     db_int(g->now_us), db_id(g->rows[i].message),
			     db_id(g->rows[i].number));
	return err;
}

static void tell_given(struct store *store, const struct giving *g)
{
	struct queue *queue = store->queue;
	char id[ID_TEXT + 1];

	for (size_t i = 0; i < g->count; i++) {
		const struct given *row = &g->rows[i];

		id_print(row->message, id);
		TRACE(store->trace, 0, 0, queue_change, .message = str_of(id),
		      .what = S("given back"), .recipients = 1);
		/* Whoever had it ended without a word: the other server may have answered 250 to him. */
		TRACE(store->trace, 0, 0, attempt, .message = str_of(id), .recipient = row->address,
		      .outcome = S("unknown"),
		      .reply = S("who was sending it ended before he told what became of it"),
		      .attempts = row->attempts, .next_us = (uint64_t)g->now_us);
		sites_note(queue->sites, row->destination, row->flow, g->now_us, 1);
		waitq_wake_one(&queue->due);
	}
}

static enum err give_back(struct store *store, uint64_t owner, bool others) WAITS
{
	enum err err = OK;
	size_t count = ROWS_ONCE;

	while (!err && count == ROWS_ONCE) {
		struct giving g = {
			.job.run = run_giving, .owner = owner, .others = others, .now_us = wall_us()
		};

		err = store_commit(store, &g.job);
		if (!err)
			tell_given(store, &g);
		count = g.count;
		arena_drop(&g.arena);
	}
	return err;
}

static bool is_of_process(uint64_t owner, uint64_t other)
{
	return owner != other && (owner & 15) == (other & 15);
}

static void forget_leases(struct queue *queue, uint64_t owner, bool others)
{
	LIST_EACH (link, &queue->ages) {
		struct queue_lease *lease = CONTAINER_OF(link, struct queue_lease, age);

		if (others ? is_of_process(owner, lease->owner) : lease->owner == owner)
			queue_lease_end(queue, lease);
	}
}

/* ---- runs of relays ---- */

static struct queue_owner *find_owner(struct queue *queue, uint64_t owner)
{
	struct table_item *item = table_find(&queue->owners, owner);

	return item ? CONTAINER_OF(item, struct queue_owner, item) : NULL;
}

static void leave_owner(struct queue *queue, uint64_t owner)
{
	struct queue_owner *known = owner ? find_owner(queue, owner) : NULL;

	if (known && known->channels && --known->channels == 0)
		queue_alarm_at(queue, 0);
}

static struct queue_owner *enter_owner(struct queue *queue, uint64_t owner)
{
	struct queue_owner *known = find_owner(queue, owner);

	if (!known) {
		known = calloc(1, sizeof(*known));
		must(known);
		table_add(&queue->owners, &known->item, owner);
	}
	known->channels++;
	return known;
}

enum err queue_meet_owner(struct peer *peer, uint64_t owner) WAITS
{
	struct queue *queue = peer->store->queue;
	struct queue_owner *known;
	enum err err;

	if (peer->queue_owner == owner)
		return OK;
	leave_owner(queue, peer->queue_owner);
	peer->queue_owner = owner;
	known = enter_owner(queue, owner);
	if (known->is_met)
		return OK;
	known->is_met = true;
	err = give_back(peer->store, owner, true);
	forget_leases(queue, owner, true);
	known = find_owner(queue, owner);
	if (err && known)
		known->is_met = false; /* the next claim tries again */
	return err;
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

/* One run that nobody speaks for any more, taken out of the table; 0: there is none. */
static uint64_t take_gone(struct queue *queue)
{
	for (size_t i = 0; i < queue->owners.bucket_count; i++) {
		struct table_item *item = queue->owners.buckets[i];

		for (; item; item = item->next) {
			struct queue_owner *known = CONTAINER_OF(item, struct queue_owner, item);
			uint64_t owner = item->key;

			if (known->channels)
				continue;
			table_remove(&queue->owners, item);
			free(known);
			return owner;
		}
	}
	return 0;
}

enum err queue_collect(struct store *store) WAITS
{
	struct queue *queue = store->queue;
	int64_t now_us = wall_us();
	enum err err = OK;
	uint64_t owner;

	while (!err && (owner = take_gone(queue))) {
		forget_leases(queue, owner, false);
		err = give_back(store, owner, false);
	}
	while (!list_is_empty(&queue->ages)) {
		struct queue_lease *lease = CONTAINER_OF(queue->ages.next, struct queue_lease, age);

		if (lease->ends_us > now_us) {
			queue_alarm_at(queue, lease->ends_us);
			break;
		}
		queue_lease_end(queue, lease);
	}
	return err;
}
