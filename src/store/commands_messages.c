/* SPDX-License-Identifier: Apache-2.0 */
/* message show and raw: what is known of one message, and its text. What passed lately the recorder knows. */
#include "store/commands.h"
#include "store/queue.h"

#include <stdlib.h>

enum { ROWS_ONCE = 1000, PIECE = 32768, NOBODY = 0 };

static enum err take_id(struct control_call *call, uint64_t *id)
{
	struct str text = control_text(call, "message");

	return id_parse(text, id) ? OK
				  : control_fail(call, "glasspost message list",
						 "not the id of a message: %.*s",
						 STR_ARGS(str_first(text, 40)));
}

static json_t *time_text(int64_t at_us)
{
	OWNED(buf) struct buf text = BUF(64);

	trace_add_time(&text, at_us);
	return json_stringn(text.at, text.len);
}

/* ---- show: what the queue has, what the recorder remembers, what lies in mailboxes ---- */

struct showing {
	uint64_t id;
	uint64_t number; /* recipients of the queue from this one on */
	size_t seen;
	bool is_queued, is_kept;
	json_t *row;  /* of the message */
	json_t *rows; /* of recipients */
	struct arena arena;
};

static const char *outcome_of(const struct queue_recipient *r)
{
	if (r->state == QUEUE_WAITING || r->state == QUEUE_LEASED)
		return r->attempts ? "deferred" : "queued";
	return queue_state_name(r->state);
}

/* The same members as the recorder's rows have. */
static json_t *queued_row(const struct queue_recipient *r)
{
	json_t *row = command_queue_recipient(r);

	json_object_set_new(row, "outcome", json_string(outcome_of(r)));
	json_object_set_new(row, "forwarded_for", json_string(""));
	json_object_set_new(row, "account", json_string(""));
	json_object_set_new(row, "folder", json_string(""));
	json_object_set_new(row, "uid", json_integer(0));
	json_object_set_new(row, "fetched", json_null());
	json_object_set_new(row, "queued", json_true());
	return row;
}

static enum err read_queue(struct db *db, void *arg)
{
	struct showing *s = arg;
	const struct queue_rows rows = { db, &s->arena, s->id };
	struct queue_recipient *found = NEW_ARRAY(&s->arena, struct queue_recipient, ROWS_ONCE);
	struct queue_message message;
	enum err err = queue_find(db, &s->arena, s->id, &message, &s->is_queued);

	if (err || !s->is_queued)
		return err;
	if (!s->row)
		s->row = command_queue_message(&message);
	err = queue_find_recipients(&rows, s->number, found, ROWS_ONCE, &s->seen);
	for (size_t i = 0; !err && i < s->seen; i++) {
		json_array_append_new(s->rows, queued_row(&found[i]));
		s->number = found[i].number + 1;
	}
	return err;
}

static json_t *kept_row(struct db *db, enum db_query q)
{
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:I, s:o, s:b}", "recipient",
			 control_string(db_text_at(db, q, 0)), "state", "delivered", "outcome",
			 "delivered", "account", control_string(db_text_at(db, q, 0)), "folder",
			 control_string(db_text_at(db, q, 1)), "uid",
			 (json_int_t)db_int_at(db, q, 2), "tried", time_text(db_int_at(db, q, 4)),
			 "queued", 0);
}

/* What nobody remembers may still lie in mailboxes. */
static enum err read_mailboxes(struct db *db, void *arg)
{
	const enum db_query q = Q_message_places;
	struct showing *s = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_id(s->id), db_int(ROWS_ONCE));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		if (!s->is_kept)
			s->row = json_pack("{s:o, s:o, s:o, s:I}", "time",
					   time_text(db_int_at(db, q, 4)), "sender",
					   control_string(db_text_at(db, q, 5)), "subject",
					   control_string(db_text_at(db, q, 6)), "octets",
					   (json_int_t)db_int_at(db, q, 3));
		s->is_kept = true;
		json_array_append_new(s->rows, kept_row(db, q));
	}
	return err;
}

static enum err give_rows(struct control_call *call, struct showing *s) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < json_array_size(s->rows); i++)
		err = control_row(call, json_incref(json_array_get(s->rows, i)));
	json_array_clear(s->rows);
	arena_reset(&s->arena);
	return err;
}

/* The message, by all that know of it. */
static enum err give_message(struct control_call *call, struct showing *s,
			     const struct record_message *known) WAITS
{
	json_t *row = known->is_known ? json_copy(known->row) : json_object();
	char id[ID_TEXT + 1];

	id_print(s->id, id);
	json_object_set_new(row, "message", json_string(id));
	if (s->row)
		json_object_update(row, s->row);
	if (s->is_queued && !known->is_known)
		json_object_set(row, "time", json_object_get(row, "arrived"));
	json_object_del(row, "recipients"); /* they have rows of their own */
	json_object_del(row, "more");
	return control_row(call, row);
}

/* Of recipients in the queue the queue knows better. */
static enum err give_remembered(struct control_call *call, const struct showing *s,
				const struct record_message *known) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < json_array_size(known->recipients); i++) {
		json_t *row = json_array_get(known->recipients, i);

		if (!s->is_queued || !json_is_true(json_object_get(row, "queued")))
			err = control_row(call, json_incref(row));
	}
	return err;
}

static enum err show(struct control_call *call, struct showing *s,
		     const struct record_message *known) WAITS
{
	struct store *store = command_store(call);
	/* A viewer is told what the recorder knows to be the viewer's, nothing else. */
	bool is_all = !control_has(call, "viewer");
	enum err err = is_all ? store_read(store, read_queue, s) : OK;

	if (!err && is_all && !s->is_queued && !known->is_known)
		err = store_read(store, read_mailboxes, s);
	if (!err && !s->is_queued && !s->is_kept && !known->is_known)
		return control_fail(call, "glasspost message list",
				    "no message of that id is known, or it is too long ago");
	if (!err)
		err = give_message(call, s, known);
	if (!err)
		err = give_rows(call, s);
	while (!err && s->is_queued && s->seen == ROWS_ONCE) {
		err = store_read(store, read_queue, s);
		if (!err)
			err = give_rows(call, s);
	}
	return err ? err : give_remembered(call, s, known);
}

enum err command_message_show(struct control_call *call) WAITS
{
	struct recorder *recorder = command_store(call)->recorder;
	struct showing s = { .rows = json_array() };
	struct record_message known = { 0 };
	enum err err = take_id(call, &s.id);

	if (!err && recorder)
		err = record_message_look(recorder, s.id, control_text(call, "viewer"), &known);
	if (!err)
		err = show(call, &s, &known);
	json_decref(s.row);
	json_decref(s.rows);
	json_decref(known.row);
	json_decref(known.recipients);
	arena_drop(&s.arena);
	return err;
}

/* ---- raw ---- */

struct reading {
	struct store *store;
	uint64_t message;
	uint64_t account; /* that it must belong to; NOBODY: to anybody */
	uint64_t offset;  /* behind the Return-Path line */
	bool is_found, is_in_mailbox;
	struct str sender;
	struct body_place body;
	char at[PIECE];
	size_t len;
	struct arena arena;
};

/* In a mailbox, or in the queue. Compaction moves bodies: each piece is looked up anew. */
static enum err find_body(struct db *db, struct reading *r, enum db_query q)
{
	bool has_row = false;
	enum err err = db_select(db, q, db_id(r->message), db_id(r->account));

	if (!err)
		err = db_step(db, q, &has_row);
	if (err || !has_row)
		return err;
	r->is_found = true;
	r->is_in_mailbox = q == Q_message_raw;
	r->body.body = (uint64_t)db_int_at(db, q, 0);
	r->body.place.segment = (uint64_t)db_int_at(db, q, 1);
	r->body.place.offset = (uint64_t)db_int_at(db, q, 2);
	r->body.length = (uint64_t)db_int_at(db, q, 3);
	r->sender = str_dup(&r->arena, db_text_at(db, q, 4));
	db_finish(db, q);
	return OK;
}

static enum err read_piece(struct db *db, void *arg)
{
	struct reading *r = arg;
	uint64_t left;
	enum err err;

	r->is_found = false;
	r->len = 0;
	arena_reset(&r->arena);
	err = find_body(db, r, Q_message_raw);
	if (!err && !r->is_found)
		err = find_body(db, r, Q_queue_raw);
	if (err || !r->is_found)
		return err;
	if (r->offset == 0)
		err = bodies_verify(r->store->bodies, &r->body);
	left = r->body.length - r->offset;
	r->len = left < PIECE ? (size_t)left : PIECE;
	return err || !r->len ? err
			      : bodies_read(r->store->bodies, &r->body, r->offset, r->at, r->len);
}

/* Up to and with the empty line after the header: how many octets of these. *seen: of CR LF CR LF so many are behind us. */
static size_t header_ends(struct str octets, unsigned *seen)
{
	for (size_t i = 0; i < octets.len; i++) {
		bool fits = octets.at[i] == (*seen % 2 ? '\n' : '\r');

		*seen = fits ? *seen + 1 : octets.at[i] == '\r';
		if (*seen == 4)
			return i + 1;
	}
	return octets.len;
}

static enum err give_octets(struct control_call *call, struct str octets) WAITS
{
	OWNED(buf) struct buf row = BUF(LIMIT_control_line);

	buf_add(&row, S("{\"octets\":\""));
	base64_add(&row, octets);
	buf_add(&row, S("\"}"));
	must(!row.failed);
	return control_row_text(call, buf_str(&row));
}

static enum err give_body(struct control_call *call, struct reading *r) WAITS
{
	bool header = control_flag(call, "header");
	unsigned seen = 2; /* a line could have ended in front of it */
	enum err err = OK;

	if (r->is_in_mailbox)
		err = give_octets(call, return_path(&r->arena, r->sender));
	while (!err && r->len && seen < 4) {
		struct str piece = { r->at, r->len };

		r->offset += r->len;
		err = give_octets(call,
				  header ? str_first(piece, header_ends(piece, &seen)) : piece);
		if (!err && seen < 4 && r->offset < r->body.length)
			err = store_read(r->store, read_piece, r);
		else
			r->len = 0;
	}
	return err;
}

enum err command_message_raw(struct control_call *call) WAITS
{
	struct reading *r = calloc(1, sizeof(*r));
	enum err err;

	must(r);
	r->store = command_store(call);
	r->account = control_number(call, "viewer_id", NOBODY);
	err = take_id(call, &r->message);
	if (!err)
		err = store_read(r->store, read_piece, r);
	if (!err && !r->is_found)
		err = control_fail(call, "glasspost message show ID",
				   "there is no text of a message of that id");
	if (!err)
		err = give_body(call, r);
	arena_drop(&r->arena);
	free(r);
	return err;
}
