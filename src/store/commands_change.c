/* SPDX-License-Identifier: Apache-2.0 */
/* queue retry, hold, release, redirect, delete, flush: some rows a commit, until there are no more. */
#include "store/commands.h"
#include "store/queue.h"
#include "store/relaying.h"

enum { ROWS_ONCE = 500 };

enum doing { DO_RETRY, DO_HOLD, DO_RELEASE, DO_REDIRECT, DO_DELETE };
static const char *const names[] = { "retry", "hold", "release", "redirect", "delete" };

struct altered {
	uint64_t message;
	struct queue_recipient row;
	bool is_changed;
};

struct altering {
	struct job job;
	enum doing doing;
	struct str site;      /* of this destination; empty: any */
	int64_t only;         /* this message; 0: any */
	struct str recipient; /* of it; empty: all */
	struct str to;        /* DO_REDIRECT */
	int64_t now_us;
	int64_t message, number; /* after this one */
	struct arena arena;
	struct altered *rows;
	size_t count, leased;
	uint64_t whole_of; /* the message that is_whole is about; 0: none yet */
	bool is_whole;     /* all that waits of it is meant */
	/* Of the whole, in the fiber. */
	uint64_t changed, messages, newest;
};

/* ---- on the writer's thread ---- */

static enum err list_some(struct writer *writer, struct altering *a)
{
	const enum db_query q = Q_queue_page_of;
	struct db *db = writer->db;
	bool has_row = true;
	enum err err = db_select(db, q, db_int(a->message), db_int(a->number), db_str(a->site),
				 db_int(a->only), db_int(ROWS_ONCE));

	while (!err && a->count < ROWS_ONCE) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		struct altered *row = &a->rows[a->count++];

		row->message = (uint64_t)(a->message = db_int_at(db, q, 0));
		row->row.number = (uint64_t)(a->number = db_int_at(db, q, 1));
	}
	db_finish(db, q);
	return err;
}

static enum err set_held(struct writer *writer, const struct queue_message *m, bool held)
{
	/* What is held does not grow old; released, it may be too old already. */
	struct db_value alarm = held ? db_null() : db_int(m->expires_us);

	if (m->held == held && (held || m->alarm_us))
		return OK;
	return db_run(writer->db, Q_queue_set_held, db_int(held), alarm, db_id(m->id));
}

static enum err set_state(struct writer *writer, const struct altering *a, struct altered *row,
			  enum queue_state state)
{
	row->is_changed = true;
	row->row.state = state;
	return db_run(writer->db, Q_queue_set_state, db_int(state), db_int(a->now_us),
		      db_id(row->message), db_id(row->row.number));
}

static enum err alter_row(struct writer *writer, const struct altering *a, struct altered *row)
{
	bool is_held = row->row.state == QUEUE_HELD;
	enum err err;

	switch (a->doing) {
	case DO_RETRY:
		return is_held ? OK : set_state(writer, a, row, QUEUE_WAITING);
	case DO_HOLD:
		return is_held ? OK : set_state(writer, a, row, QUEUE_HELD);
	case DO_RELEASE:
		return is_held ? set_state(writer, a, row, QUEUE_WAITING) : OK;
	case DO_REDIRECT:
		row->is_changed = true;
		row->row.destination = a->to;
		return db_run(writer->db, Q_queue_redirect, db_str(a->to), db_int(a->now_us),
			      db_id(row->message), db_id(row->row.number));
	case DO_DELETE:
		break;
	}
	err = set_state(writer, a, row, QUEUE_REMOVED);
	return err ? err : queue_end(writer, row->message, 1, a->now_us);
}

/* Is the message as a whole meant? Its rows stand together, so that this is asked for once. */
static enum err find_whole(struct writer *writer, struct altering *a, uint64_t message)
{
	int64_t elsewhere = 0;
	enum err err = OK;

	if (a->whole_of == message)
		return OK;
	if (a->doing == DO_HOLD && a->site.len)
		err = db_number_values(writer->db, Q_queue_elsewhere,
				       DB_VALUES(db_id(message), db_str(a->site)), &elsewhere);
	a->whole_of = err ? 0 : message;
	a->is_whole = !elsewhere && !a->recipient.len;
	return err;
}

static enum err alter_one(struct writer *writer, struct altering *a, struct altered *row)
{
	const struct queue_rows rows = { writer->db, &a->arena, row->message };
	struct queue_message message;
	bool found;
	enum err err = queue_find_recipient(&rows, row->row.number, &row->row, &found);

	if (err || !found)
		return err;
	if (a->recipient.len && !str_is(a->recipient, row->row.address))
		return OK;
	err = find_whole(writer, a, row->message);
	if (err)
		return err;
	/* The message as a whole is held only with all of them. */
	if (a->doing == DO_RELEASE || (a->doing == DO_HOLD && a->is_whole)) {
		err = queue_find(writer->db, &a->arena, row->message, &message, &found);
		if (!err && found)
			err = set_held(writer, &message, a->doing == DO_HOLD);
	}
	/* A relay tries it at this moment; its report is the truth. */
	if (row->row.state == QUEUE_LEASED) {
		a->leased++;
		return err;
	}
	return err ? err : alter_row(writer, a, row);
}

static enum err run_altering(struct writer *writer, struct job *job)
{
	struct altering *a = CONTAINER_OF(job, struct altering, job);
	enum err err;

	a->rows = NEW_ARRAY(&a->arena, struct altered, ROWS_ONCE);
	err = list_some(writer, a);
	for (size_t i = 0; !err && i < a->count; i++)
		err = alter_one(writer, a, &a->rows[i]);
	return err;
}

/* ---- in the fiber ---- */

static void note_due(struct sites *sites, const struct altering *a, const struct queue_recipient *r)
{
	sites_note(sites, r->destination, r->flow, a->now_us, 1);
	/* Who wants it tried knows more than the last attempt: the place rests no longer. */
	if (a->doing == DO_RETRY)
		sites_resume(sites, sites_find(sites, r->destination));
}

/* Rows of a message stand together. */
static void count_messages(struct altering *a)
{
	for (size_t i = 0; i < a->count; i++) {
		a->messages += a->rows[i].message != a->newest;
		a->newest = a->rows[i].message;
	}
}

static uint64_t tell_some(struct store *store, const struct altering *a)
{
	struct queue *queue = store->queue;
	uint64_t changed = 0;
	char id[ID_TEXT + 1];

	for (size_t i = 0; i < a->count; i++) {
		const struct altered *row = &a->rows[i];

		if (!row->is_changed)
			continue;
		changed++;
		id_print(row->message, id);
		TRACE(store->trace, 0, 0, queue_change, .message = str_of(id),
		      .what = str_of(names[a->doing]), .recipients = 1,
		      .recipient = row->row.address);
		if (row->row.state > QUEUE_LEASED)
			continue;
		note_due(queue->sites, a, &row->row);
		waitq_wake_one(&queue->due);
	}
	queue_alarm_at(queue, 0);
	return changed;
}

/* ID of a message, @DOMAIN for all that waits for it, or all. */
static enum err take_what(struct control_call *call, struct altering *a, struct arena *arena)
{
	struct str what = control_text(call, "what");
	uint64_t id;

	a->recipient = control_text(call, "recipient");
	/* Else what was meant for one would be done to all. */
	if (a->recipient.len && !id_parse(what, &id))
		return control_fail(call, "the id of a message, from glasspost queue list",
				    "a recipient is one of a message, and %.*s is none",
				    STR_ARGS(what));
	if (str_is(what, S("all")))
		return OK;
	if (what.len > 1 && what.at[0] == '@') {
		a->site = domain_canonical(arena, str_from(what, 1));
		return OK;
	}
	if (!id_parse(what, &id) || !id)
		return control_fail(call, "the id of a message, @DOMAIN or all",
				    "nothing in the queue is called %.*s", STR_ARGS(what));
	a->only = (int64_t)id;
	return OK;
}

static enum err alter_all(struct store *store, struct altering *a) WAITS
{
	uint64_t leased = 0;
	enum err err;

	a->message = a->number = INT64_MIN;
	a->now_us = wall_us();
	do {
		a->job = (struct job){ .run = run_altering };
		a->count = a->leased = 0;
		err = store_commit(store, &a->job);
		if (!err)
			a->changed += tell_some(store, a);
		if (!err)
			count_messages(a);
		leased += a->leased;
		arena_reset(&a->arena);
	} while (!err && a->count == ROWS_ONCE);
	a->leased = leased;
	return err;
}

static void tell_result(struct control_call *call, const struct altering *a)
{
	control_result(call, "recipients", json_integer((json_int_t)a->changed));
	control_result(call, "leased", json_integer((json_int_t)a->leased));
}

static enum err alter(struct control_call *call, struct altering *a) WAITS
{
	enum err err = alter_all(command_store(call), a);

	if (!err && a->only && !a->changed && !a->leased)
		return control_fail(call, "glasspost queue list",
				    a->recipient.len
					    ? "that recipient of it is not waiting for that"
					    : "no recipient of that message is waiting for it");
	if (!err)
		tell_result(call, a);
	return err;
}

static enum err run_doing(struct control_call *call, enum doing doing) WAITS
{
	struct altering a = { .doing = doing };
	struct arena arena = { 0 };
	enum err err = take_what(call, &a, &arena);

	if (!err && doing == DO_REDIRECT) {
		a.to = domain_canonical(&arena, control_text(call, "destination"));
		if (!is_domain_or_literal(a.to, false))
			err = control_fail(call, "a domain or [an address]",
					   "not a destination: %.*s", STR_ARGS(a.to));
	}
	if (!err)
		err = alter(call, &a);
	arena_drop(&a.arena);
	arena_drop(&arena);
	return err;
}

enum err command_queue_retry(struct control_call *call) WAITS
{
	return run_doing(call, DO_RETRY);
}

enum err command_queue_hold(struct control_call *call) WAITS
{
	return run_doing(call, DO_HOLD);
}

enum err command_queue_release(struct control_call *call) WAITS
{
	return run_doing(call, DO_RELEASE);
}

enum err command_queue_redirect(struct control_call *call) WAITS
{
	return run_doing(call, DO_REDIRECT);
}

enum err command_queue_delete(struct control_call *call) WAITS
{
	return run_doing(call, DO_DELETE);
}

/* All of a destination now, and it is thought to be there again. */
static enum err flush(struct store *store, struct altering *a) WAITS
{
	struct queue *queue = store->queue;
	struct site *site = sites_find(queue->sites, a->site);
	enum err err;

	if (site)
		sites_resume(queue->sites, site);
	err = alter_all(store, a);
	waitq_wake_all(&queue->due);
	return err;
}

enum err command_queue_flush(struct control_call *call) WAITS
{
	struct altering a = { .doing = DO_RETRY };
	struct arena arena = { 0 };
	enum err err = command_domain(call, &arena, &a.site);

	if (!err)
		err = flush(command_store(call), &a);
	if (!err)
		tell_result(call, &a);
	arena_drop(&a.arena);
	arena_drop(&arena);
	return err;
}

/* ---- ETRN ---- */

/* A site is started so often, whoever asks for it: each is a walk through all that waits. */
static bool is_too_soon(struct store *store, struct str site)
{
	static const struct rate once = { .max = 1, .period_us = 30'000'000 };
	const struct rated who = { .id = str_hash(site) | UINT64_C(3) << 62 };

	return !rates_take(&store->rates, &who, &once, 1);
}

enum err store_flush(struct peer *peer, const struct ask_flush *ask, struct arena *arena,
		     struct answer_flush *answer) WAITS
{
	const struct relay_client client = { ask->client, ask->certificate, S("") };
	struct altering a = { .doing = DO_RETRY, .site = ask->site };
	struct relay_right right;
	uint64_t account = 0;
	enum err err = signed_in_account(peer, ask->account, &account);

	if (err)
		return err;
	relay_right_find(peer->store, account, &client, arena, &right);
	if (!right.by_account && !right.has_network) {
		answer->verdict = FLUSH_DENIED;
		return OK;
	}
	if (is_too_soon(peer->store, ask->site)) {
		answer->verdict = FLUSH_LATER;
		return OK;
	}
	err = flush(peer->store, &a);
	answer->verdict = FLUSH_STARTED;
	answer->messages = a.messages;
	arena_drop(&a.arena);
	return err;
}
