/* SPDX-License-Identifier: Apache-2.0 */
/* queue list, show, stats */
#include "store/commands.h"
#include "store/queue.h"

enum { ROWS_ONCE = 1000, SITES_SHOWN = 1000 };

struct paging {
	int64_t message, number; /* after this one */
	uint64_t wanted;         /* queue show: this one */
	size_t seen;
	struct arena arena;
	json_t *rows;
	struct buf text; /* list: the rows as JSON, each with its line end */
};

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *id_text(uint64_t id)
{
	char text[ID_TEXT + 1];

	id_print(id, text);
	return json_string(text);
}

/* RFC 3339; null for never. */
static json_t *time_text(int64_t at_us)
{
	OWNED(buf) struct buf text = BUF(64);

	if (!at_us)
		return json_null();
	trace_add_time(&text, at_us);
	return json_stringn(text.at, text.len);
}

static enum err give_rows(struct control_call *call, struct paging *p) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < json_array_size(p->rows); i++)
		err = control_row(call, json_incref(json_array_get(p->rows, i)));
	json_array_clear(p->rows);
	arena_reset(&p->arena);
	return err;
}

/* ---- list ---- */

/* Made by hand: a queue may be very long, and this is most of what its listing costs. */
static void add_text(struct buf *out, const char *name, struct str text)
{
	buf_add_c(out, name);
	(void)!json_add_string(out, text);
}

static void add_time(struct buf *out, const char *name, int64_t at_us)
{
	buf_add_c(out, name);
	if (!at_us) {
		buf_add(out, S("null"));
		return;
	}
	buf_add_char(out, '"');
	trace_add_time(out, at_us);
	buf_add_char(out, '"');
}

static void list_row(struct db *db, struct buf *out)
{
	const enum db_query q = Q_queue_page;
	enum queue_state state = (enum queue_state)db_int_at(db, q, 5);
	char id[ID_TEXT + 1];

	id_print((uint64_t)db_int_at(db, q, 0), id);
	add_text(out, "{\"message\":", str_of(id));
	add_text(out, ",\"sender\":", db_text_at(db, q, 2));
	add_text(out, ",\"recipient\":", db_text_at(db, q, 3));
	add_text(out, ",\"destination\":", db_text_at(db, q, 4));
	add_text(out, ",\"state\":", str_of(queue_state_name(state)));
	buf_print(out, ",\"octets\":%lld", (long long)db_int_at(db, q, 6));
	add_time(out, ",\"arrived\":", db_int_at(db, q, 7));
	buf_print(out, ",\"attempts\":%lld", (long long)db_int_at(db, q, 8));
	add_time(out, ",\"next\":", state == QUEUE_HELD ? 0 : db_int_at(db, q, 9));
	add_text(out, ",\"reply\":", db_text_at(db, q, 12));
	buf_add(out, S("}\n"));
}

static enum err list_page(struct db *db, void *arg)
{
	struct paging *p = arg;
	bool has_row = true;
	enum err err = db_select(db, Q_queue_page, db_int(p->message), db_int(p->number),
				 db_int(ROWS_ONCE));

	p->seen = 0;
	buf_reset(&p->text);
	while (!err) {
		err = db_step(db, Q_queue_page, &has_row);
		if (err || !has_row)
			break;
		p->seen++;
		p->message = db_int_at(db, Q_queue_page, 0);
		p->number = db_int_at(db, Q_queue_page, 1);
		list_row(db, &p->text);
	}
	return err;
}

enum err command_queue_list(struct control_call *call) WAITS
{
	struct paging p = { .message = INT64_MIN,
			    .number = INT64_MIN,
			    .text = BUF((size_t)ROWS_ONCE * LIMIT_control_line) };
	enum err err;

	do {
		err = store_read(command_store(call), list_page, &p);
		if (!err)
			err = control_rows_text(call, buf_str(&p.text));
	} while (!err && p.seen == ROWS_ONCE);
	buf_drop(&p.text);
	return err;
}

/* ---- one message ---- */

json_t *command_queue_recipient(const struct queue_recipient *r)
{
	bool is_done = r->state > QUEUE_HELD;

	return json_pack("{s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "recipient",
			 control_string(r->address), "destination", control_string(r->destination),
			 "state", queue_state_name(r->state), "attempts", (json_int_t)r->attempts,
			 "next",
			 is_done || r->state == QUEUE_HELD ? json_null() : time_text(r->next_us),
			 "tried", time_text(r->attempt_us), "peer", control_string(r->peer), "code",
			 (json_int_t)r->code, "enhanced", control_string(r->enhanced), "reply",
			 control_string(r->reply), "session",
			 r->session ? id_text(r->session) : json_null());
}

json_t *command_queue_message(const struct queue_message *m)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:b, s:I, s:o, s:o}", "message",
			 id_text(m->id), "sender", control_string(m->sender), "sent_as",
			 m->sent_as.len ? control_string(m->sent_as) : json_null(), "octets",
			 (json_int_t)m->size, "arrived", time_text(m->arrived_us), "expires",
			 time_text(m->expires_us), "held", m->held, "pending",
			 (json_int_t)m->pending, "done", time_text(m->done_us), "session",
			 m->session ? id_text(m->session) : json_null());
}

static enum err show_page(struct db *db, void *arg)
{
	struct paging *p = arg;
	const struct queue_rows rows = { db, &p->arena, p->wanted };
	struct queue_recipient *found = NEW_ARRAY(&p->arena, struct queue_recipient, ROWS_ONCE);
	struct queue_message message;
	bool is_there = false;
	enum err err = queue_find(db, &p->arena, p->wanted, &message, &is_there);

	if (!err && !is_there)
		return fault(ERR_NOT_FOUND,
			     "no message of that id was queued, or it is too long ago");
	if (!err && p->number == 0)
		json_array_append_new(p->rows, command_queue_message(&message));
	if (!err)
		err = queue_find_recipients(&rows, (uint64_t)p->number, found, ROWS_ONCE, &p->seen);
	for (size_t i = 0; !err && i < p->seen; i++) {
		json_array_append_new(p->rows, command_queue_recipient(&found[i]));
		p->number = (int64_t)found[i].number + 1;
	}
	return err;
}

enum err command_queue_show(struct control_call *call) WAITS
{
	struct paging p = { 0 };
	struct str text = control_text(call, "message");
	enum err err;

	if (!id_parse(text, &p.wanted))
		return control_fail(call, "glasspost queue list", "not the id of a message: %.*s",
				    STR_ARGS(text));
	p.rows = json_array();
	do {
		err = store_read(command_store(call), show_page, &p);
		if (!err)
			err = give_rows(call, &p);
	} while (!err && p.seen == ROWS_ONCE);
	json_decref(p.rows);
	arena_drop(&p.arena);
	return err;
}

/* ---- by destination ---- */

static enum err count_sites(struct db *db, void *arg)
{
	const enum db_query q = Q_queue_count_sites;
	struct paging *p = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_int(SITES_SHOWN));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		json_array_append_new(p->rows,
				      json_pack("{s:o, s:I, s:o, s:I}", "destination",
						control_string(db_text_at(db, q, 0)), "recipients",
						(json_int_t)db_int_at(db, q, 1), "next",
						time_text(db_int_at(db, q, 2)), "attempts",
						(json_int_t)db_int_at(db, q, 3)));
	}
	return err;
}

static void add_pause(struct store *store, json_t *row)
{
	struct str name = str_of(json_string_value(json_object_get(row, "destination")));
	struct site *site = sites_find(store->queue->sites, name);
	int64_t until_us = site ? site_paused_until(site) : 0;

	json_object_set_new(row, "paused_until", time_text(until_us));
	json_object_set_new(row, "reply",
			    control_string(site ? site_reply(site, wall_us()) : S("")));
}

enum err command_queue_stats(struct control_call *call) WAITS
{
	struct paging p = { .rows = json_array() };
	struct store *store = command_store(call);
	enum err err = store_read(store, count_sites, &p);

	for (size_t i = 0; !err && i < json_array_size(p.rows); i++)
		add_pause(store, json_array_get(p.rows, i));
	if (!err)
		err = give_rows(call, &p);
	if (!err)
		control_result(call, "leases", number(store->queue->leases.count));
	json_decref(p.rows);
	arena_drop(&p.arena);
	return err;
}
