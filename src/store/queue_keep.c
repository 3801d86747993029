/* SPDX-License-Identifier: Apache-2.0 */
/* The clock's part: expiry, warnings, leases of who is gone, and rows that told long enough how it went. */
#include "store/queue_own.h"

#include <stdlib.h>

enum {
	ALARMS_ONCE = 64,
	OLD_ONCE = 500,
	PAGE = 200,
	IDLE_MS = 60000,
	RETRY_MS = 5000,
	FORGET_MS = 3600000
};
static_assert((int)FORGET_MS <= (int)QUEUE_LEASE_MS);
static const int64_t LEASED_STILL_US = 60 * 1000000;
static const int64_t LAST_TRY_US = INT64_C(3600) * 1000000;

/* ---- life ---- */

static enum err load(struct db *db, void *arg)
{
	const enum db_query q = Q_queue_load;
	struct queue *queue = arg;
	bool has_row = true;
	enum err err = db_start(db, q, NULL, 0);

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		sites_note(queue->sites, db_text_at(db, q, 0), (uint64_t)db_int_at(db, q, 1),
			   db_int_at(db, q, 2), 1);
	}
	return err;
}

enum err queue_init(struct store *store) WAITS
{
	struct queue *queue = calloc(1, sizeof(*queue));
	enum err err;

	must(queue);
	store->queue = queue;
	queue->sites = sites_new();
	waitq_init(&queue->due);
	waitq_init(&queue->alarms);
	waitq_init(&queue->met);
	list_init(&queue->ages);
	err = store_read(store, load, queue);
	return err ? err : queue_load_leases(store);
}

static void drop_items(struct table *table)
{
	struct table_item *item;

	while ((item = table_any(table))) {
		table_remove(table, item);
		free(item); /* each begins with its item */
	}
	table_drop(table);
}

void queue_drop(struct store *store)
{
	struct queue *queue = store->queue;

	if (!queue)
		return;
	drop_items(&queue->leases);
	drop_items(&queue->owners);
	sites_drop(&queue->sites);
	free(queue);
	store->queue = NULL;
}

void queue_alarm_at(struct queue *queue, int64_t at_us)
{
	if (at_us >= queue->alarm_us)
		return;
	queue->alarm_us = at_us;
	waitq_wake_all(&queue->alarms);
}

/* ---- a message that is old ---- */

static const char WHAT_RETRY[] = "retry";

struct aging {
	struct job job;
	struct store *store;
	struct config *config;
	int64_t now_us;
	uint64_t id;
	struct arena arena;
	struct queue_message message;
	struct queue_recipient *recipients;
	struct notice_recipient *told;
	size_t count, told_count, leased, held, ended;
	const char *what; /* for the trace; NULL: nothing was done */
	struct notices notices;
};

static bool is_over(const struct aging *a)
{
	return a->now_us >= a->message.expires_us;
}

static enum err list_recipients(struct writer *writer, struct aging *a)
{
	const struct queue_rows rows = { writer->db, &a->arena, a->id };
	size_t room = (size_t)a->message.pending + PAGE;
	struct queue_recipient page;
	uint64_t from = 0;
	size_t got = 1;
	enum err err = OK;

	a->recipients = NEW_ARRAY(&a->arena, struct queue_recipient, room);
	a->told = NEW_ARRAY(&a->arena, struct notice_recipient, room);
	while (!err && got && a->count < room) {
		err = queue_find_recipients(&rows, from, &page, 1, &got);
		if (err || !got)
			break;
		from = page.number + 1;
		if (page.state > QUEUE_HELD)
			continue;
		if (page.state == QUEUE_HELD) { /* does not grow old */
			a->held++;
			continue;
		}
		/* A relay tries it at this moment, and will tell. That it waits may be said all the same:
		   there is one warning, and this is its time. */
		if (is_over(a) && page.state == QUEUE_LEASED)
			a->leased++;
		else
			a->recipients[a->count++] = page;
	}
	return err;
}

static void choose_told(struct aging *a, enum notice_kind kind)
{
	for (size_t i = 0; i < a->count; i++)
		if (wants_notice(&a->recipients[i], kind))
			a->told[a->told_count++] =
				(struct notice_recipient){ &a->recipients[i], false };
}

static enum err tell_sender(struct writer *writer, struct aging *a, enum notice_kind kind)
{
	struct notice notice = { kind, &a->message, S(""), a->told, 0 };

	choose_told(a, kind);
	notice.count = a->told_count;
	return notice.count ? notices_add(writer, &a->notices, &notice) : OK;
}

static enum err expire(struct writer *writer, struct aging *a)
{
	enum err err = OK;

	a->what = a->count ? "expire" : NULL;
	for (size_t i = 0; !err && i < a->count; i++) {
		a->recipients[i].state = QUEUE_EXPIRED;
		err = queue_write(writer, a->id, &a->recipients[i]);
	}
	if (!err)
		err = tell_sender(writer, a, NOTICE_FAILED);
	a->ended = a->count;
	if (!err && (a->leased || a->held)) /* a release of the held sets it again */
		err = db_run(writer->db, Q_queue_set_alarm,
			     a->leased ? db_int(a->now_us + LEASED_STILL_US) : db_null(),
			     db_id(a->id));
	return err ? err : queue_end(writer, a->id, a->ended, a->now_us);
}

/* Nobody looked for so long when it should have expired: the machine was off, or its clock was set ahead. */
static bool is_late(const struct aging *a)
{
	return a->message.alarm_us <= a->message.expires_us &&
	       a->now_us >= a->message.expires_us + LAST_TRY_US;
}

/* It had no chance meanwhile, and so it has one more. What is deferred then expires with the reply to that. */
static enum err try_once_more(struct writer *writer, struct aging *a)
{
	enum err err = db_run(writer->db, Q_queue_set_alarm, db_int(a->now_us + LAST_TRY_US),
			      db_id(a->id));

	a->what = a->count ? WHAT_RETRY : NULL;
	for (size_t i = 0; !err && i < a->count; i++)
		err = db_run(writer->db, Q_queue_set_state, db_int(QUEUE_WAITING),
			     db_int(a->now_us), db_id(a->id), db_id(a->recipients[i].number));
	return err;
}

static enum err warn(struct writer *writer, struct aging *a)
{
	enum err err =
		db_run(writer->db, Q_queue_set_alarm, db_int(a->message.expires_us), db_id(a->id));

	a->what = "warn";
	return err ? err : tell_sender(writer, a, NOTICE_DELAYED);
}

static enum err run_aging(struct writer *writer, struct job *job)
{
	struct aging *a = CONTAINER_OF(job, struct aging, job);
	bool found;
	enum err err = queue_find(writer->db, &a->arena, a->id, &a->message, &found);

	/* Done or held since it was looked for. */
	if (err || !found || !a->message.alarm_us || a->message.alarm_us > a->now_us)
		return err;
	err = list_recipients(writer, a);
	if (err)
		return err;
	if (!is_over(a))
		return warn(writer, a);
	return is_late(a) ? try_once_more(writer, a) : expire(writer, a);
}

static void tell_aging(struct aging *a)
{
	struct store *store = a->store;
	char id[ID_TEXT + 1];

	if (!a->what)
		return;
	id_print(a->id, id);
	TRACE(store->trace, 0, 0, queue_change, .message = str_of(id), .what = str_of(a->what),
	      .recipients = a->count);
	for (size_t i = 0; a->what == WHAT_RETRY && i < a->count; i++) {
		const struct queue_recipient *r = &a->recipients[i];

		sites_note(store->queue->sites, r->destination, r->flow, a->now_us, 1);
		waitq_wake_one(&store->queue->due);
	}
	for (size_t i = 0; i < a->ended; i++) {
		const struct queue_recipient *r = &a->recipients[i];

		TRACE(store->trace, 0, 0, attempt, .message = str_of(id), .recipient = r->address,
		      .outcome = S("expired"), .code = r->code, .enhanced = r->enhanced,
		      .reply = r->reply, .peer = r->peer, .attempts = r->attempts);
	}
	notices_tell(&a->notices, a->id);
}

static void aging_fiber(void *arg) WAITS
{
	struct aging *a = arg;

	notices_init(&a->notices, a->store);
	a->job.run = run_aging;
	if (store_commit(a->store, &a->job) == OK)
		tell_aging(a);
	notices_done(&a->notices);
	arena_drop(&a->arena);
}

/* ---- all that is due ---- */

struct listing {
	int64_t now_us;
	enum db_query query;
	uint64_t ids[OLD_ONCE];
	size_t count, max;
	int64_t next_us;
};

static enum err list_ids(struct db *db, void *arg)
{
	struct listing *l = arg;
	bool has_row = true;
	enum err err = db_select(db, l->query, db_int(l->now_us), db_id(l->max));

	while (!err && l->count < l->max) {
		err = db_step(db, l->query, &has_row);
		if (err || !has_row)
			break;
		l->ids[l->count++] = (uint64_t)db_int_at(db, l->query, 0);
	}
	db_finish(db, l->query);
	l->next_us = SITES_NEVER;
	if (!err)
		err = db_number_values(db, Q_queue_next_alarm, NULL, 0, &l->next_us);
	return err;
}

/* Side by side, so that they share commits. */
static enum err age(struct store *store, const struct listing *l) WAITS
{
	struct aging *all = calloc(l->count, sizeof(*all));
	struct fiber_group group;
	enum err err = OK;

	must(all);
	group_init(&group);
	for (size_t i = 0; !err && i < l->count; i++) {
		all[i].store = store;
		all[i].id = l->ids[i];
		all[i].now_us = l->now_us;
		err = fiber_spawn(&group, "queue aging", aging_fiber, &all[i], NULL);
	}
	/* Whoever is told to stop waits all the same: they work on what lies here. */
	group_wait_through(&group);
	for (size_t i = 0; !err && i < l->count; i++)
		err = all[i].job.err;
	free(all);
	return err;
}

static enum err run_alarms(struct store *store) WAITS
{
	struct listing *l = calloc(1, sizeof(*l));
	enum err err = OK;

	must(l);
	do {
		*l = (struct listing){ .now_us = wall_us(),
				       .query = Q_queue_alarms,
				       .max = ALARMS_ONCE };
		err = store_read(store, list_ids, l);
		if (!err && l->count)
			err = age(store, l);
	} while (!err && l->count);
	if (!err)
		queue_alarm_at(store->queue, l->next_us);
	free(l);
	return err;
}

struct forgetting {
	struct job job;
	const struct listing *list;
};

static enum err run_forgetting(struct writer *writer, struct job *job)
{
	struct forgetting *f = CONTAINER_OF(job, struct forgetting, job);
	enum err err = OK;

	for (size_t i = 0; !err && i < f->list->count; i++) {
		err = db_run(writer->db, Q_queue_forget_recipients, db_id(f->list->ids[i]));
		if (!err)
			err = db_run(writer->db, Q_queue_forget, db_id(f->list->ids[i]));
	}
	return err;
}

static enum err forget_old(struct store *store) WAITS
{
	struct listing *l = calloc(1, sizeof(*l));
	enum err err = OK;

	must(l);
	do {
		struct forgetting f = { .job.run = run_forgetting, .list = l };

		*l = (struct listing){ .now_us = wall_us() - 1000 * store->config->queue_history,
				       .query = Q_queue_old,
				       .max = OLD_ONCE };
		err = store_read(store, list_ids, l);
		if (!err && l->count)
			err = store_commit(store, &f.job);
	} while (!err && l->count);
	free(l);
	return err;
}

enum err queue_run_due(struct store *store) WAITS
{
	enum err err;

	store->queue->alarm_us = SITES_NEVER;
	err = queue_collect(store);
	if (!err)
		err = run_alarms(store);
	return err ? err : forget_old(store);
}

void queue_keep(void *arg) WAITS
{
	struct store *store = arg;
	struct queue *queue = store->queue;

	while (!fiber_is_stopping()) {
		enum err err = queue_run_due(store);
		moment until;

		if (err && err != ERR_STOPPED) {
			store_trouble(store, err, "the queue will be looked at again");
			(void)fiber_sleep(in_ms(RETRY_MS));
			continue;
		}
		if (queue->alarm_us <= wall_us() || queue_lease_ends(queue) <= now())
			continue;
		/* A lease that comes meanwhile ends later than this wait. */
		until = sooner(in_wall_us(queue->alarm_us, IDLE_MS), queue_lease_ends(queue));
		(void)waitq_wait(&queue->alarms, sooner(until, in_ms(FORGET_MS)));
	}
}
