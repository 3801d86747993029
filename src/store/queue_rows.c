/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the queue: how a message gets in, and the row of one recipient read and written. */
#include "smtp/smtp.h"
#include "store/queue.h"
#include "store/remove.h"

const char *queue_state_name(enum queue_state state)
{
	static const char *const names[] = { "waiting", "leased", "held",    "delivered",
					     "relayed", "failed", "expired", "deleted" };

	return (size_t)state < COUNT_OF(names) ? names[state] : "?";
}

/* ---- reading ---- */

static struct str text_at(struct db *db, struct arena *arena, enum db_query q, int column)
{
	return str_dup(arena, db_text_at(db, q, column));
}

static uint64_t id_at(struct db *db, enum db_query q, int column)
{
	return (uint64_t)db_int_at(db, q, column);
}

enum err queue_find(struct db *db, struct arena *arena, uint64_t message, struct queue_message *out,
		    bool *found)
{
	const enum db_query q = Q_queue_message_get;
	enum err err = db_select(db, q, db_id(message));

	*found = false;
	if (!err)
		err = db_step(db, q, found);
	if (err || !*found)
		return err;
	*out = (struct queue_message){
		.id = message,
		.sender = text_at(db, arena, q, 0),
		.envelope_id = text_at(db, arena, q, 1),
		.ret = id_at(db, q, 2),
		.utf8 = id_at(db, q, 3),
		.body_type = id_at(db, q, 4),
		.session = id_at(db, q, 5),
		.arrived_us = db_int_at(db, q, 6),
		.expires_us = db_int_at(db, q, 7),
		.held = db_int_at(db, q, 8) != 0,
		.pending = id_at(db, q, 9),
		.body = id_at(db, q, 10),
		.size = id_at(db, q, 11),
		.alarm_us = db_int_at(db, q, 12),
		.place = { id_at(db, q, 13), id_at(db, q, 14) },
		.account = id_at(db, q, 15),
		.done_us = db_int_at(db, q, 16),
		.sent_as = text_at(db, arena, q, 17),
	};
	db_finish(db, q);
	return OK;
}

static void take_recipient(struct db *db, struct arena *arena, enum db_query q,
			   struct queue_recipient *out)
{
	*out = (struct queue_recipient){
		.number = id_at(db, q, 0),
		.address = text_at(db, arena, q, 1),
		.notify = id_at(db, q, 2),
		.original = text_at(db, arena, q, 3),
		.destination = text_at(db, arena, q, 4),
		.flow = id_at(db, q, 5),
		.state = (enum queue_state)db_int_at(db, q, 6),
		.attempts = id_at(db, q, 7),
		.next_us = db_int_at(db, q, 8),
		.lease = id_at(db, q, 9),
		.attempt_us = db_int_at(db, q, 10),
		.session = id_at(db, q, 11),
		.peer = text_at(db, arena, q, 12),
		.code = (unsigned)db_int_at(db, q, 13),
		.enhanced = text_at(db, arena, q, 14),
		.reply = text_at(db, arena, q, 15),
	};
}

enum err queue_find_recipient(const struct queue_rows *rows, uint64_t number,
			      struct queue_recipient *out, bool *found)
{
	const enum db_query q = Q_queue_recipient_get;
	enum err err = db_select(rows->db, q, db_id(rows->message), db_id(number));

	*found = false;
	if (!err)
		err = db_step(rows->db, q, found);
	if (err || !*found)
		return err;
	take_recipient(rows->db, rows->arena, q, out);
	db_finish(rows->db, q);
	return OK;
}

enum err queue_find_recipients(const struct queue_rows *rows, uint64_t from,
			       struct queue_recipient *out, size_t room, size_t *count)
{
	const enum db_query q = Q_queue_recipients;
	bool has_row = true;
	enum err err = db_select(rows->db, q, db_id(rows->message), db_id(from), db_id(room));

	*count = 0;
	while (!err && *count < room) {
		err = db_step(rows->db, q, &has_row);
		if (err || !has_row)
			break;
		take_recipient(rows->db, rows->arena, q, &out[(*count)++]);
	}
	db_finish(rows->db, q);
	return err;
}

/* ---- in ---- */

/* Whose mail it is, so that nobody's mail keeps another's waiting: FNV-1a, the same for ever. */
static uint64_t flow_of(const struct delivery *d)
{
	uint64_t hash = 0xcbf29ce484222325u;
	struct str sender = d->ask->sender;

	if (d->account)
		return d->account;
	for (size_t i = 0; i < sender.len; i++)
		hash = (hash ^ ascii_lower((unsigned char)sender.at[i])) * 0x100000001b3u;
	return hash | (UINT64_C(1) << 63); /* apart from accounts */
}

enum err queue_find_earlier(struct writer *writer, const struct delivery *d, bool *found)
{
	const enum db_query q = Q_queue_message_done;
	bool is_same;
	enum err err = db_select(writer->db, q, db_id(d->ask->message));

	if (!err)
		err = db_step(writer->db, q, found);
	if (err || !*found)
		return err;
	is_same = (uint64_t)db_int_at(writer->db, q, 0) == d->octets.len &&
		  str_is(db_text_at(writer->db, q, 1), d->ask->sender);
	db_finish(writer->db, q);
	return is_same ? OK : fault(ERR_EXISTS, "another message has this id");
}

/*
 * rfc3461 5.2.1: who forwards says which address the message was for, unless the sender did.
 * Nobody is told of what has no sender.
 */
static enum err add_original(struct buf *out, const struct delivery *d,
			     const struct leaving *leaving)
{
	const struct ask_deliver *ask = d->ask;
	struct str given = ask->recipients.at[leaving->recipient];
	struct str said = ask->original.count ? ask->original.at[leaving->recipient] : S("");

	if (said.len || !leaving->is_forwarded || !ask->sender.len || !str_is_ascii(given))
		return buf_add(out, said);
	buf_add(out, S("rfc822;"));
	return xtext_add(out, given);
}

static enum err add_recipient(struct writer *writer, const struct delivery *d, size_t number)
{
	const struct ask_deliver *ask = d->ask;
	const struct leaving *leaving = &d->leaving[number];
	uint64_t notify = ask->notify.count ? ask->notify.at[leaving->recipient] : 0;
	struct buf original = BUF(LIMIT_address);
	enum err err = add_original(&original, d, leaving);

	if (err)
		buf_reset(&original); /* it may be left out */
	err = db_run(writer->db, Q_queue_recipient_add, db_id(ask->message), db_id(number),
		     db_str(leaving->address), db_id(notify), db_str(buf_str(&original)),
		     db_str(address_domain(leaving->address)), db_id(flow_of(d)),
		     db_int(d->received_us));
	buf_drop(&original);
	return err;
}

/* An address that an alias leads to may need more than its message does. */
static bool needs_utf8(const struct delivery *d)
{
	bool needed = d->ask->utf8 || !str_is_ascii(d->sent_as);

	for (size_t i = 0; !needed && i < d->leaving_count; i++)
		needed = !str_is_ascii(d->leaving[i].address);
	return needed;
}

enum err queue_add(struct writer *writer, const struct delivery *d, uint64_t body)
{
	const struct ask_deliver *ask = d->ask;
	enum err err = db_run(writer->db, Q_queue_message_add, db_id(ask->message), db_id(body),
			      db_id(d->octets.len), db_str(ask->sender), db_str(ask->envelope_id),
			      db_id(ask->ret), db_id(needs_utf8(d)), db_id(ask->body_type),
			      db_id(ask->session), db_id(d->account), db_int(d->received_us),
			      db_int(d->expires_us), db_int(d->alarm_us), db_id(d->leaving_count),
			      db_str(d->sent_as));

	for (size_t i = 0; !err && i < d->leaving_count; i++)
		err = add_recipient(writer, d, i);
	/* The body is in the batch already: a rule that breaks now is the batch's trouble. */
	return err == ERR_EXISTS ? ERR_CORRUPT : err;
}

/* Is this the first that leaves for its destination? One claim serves them all. */
static bool is_first_of_site(const struct delivery *d, size_t at)
{
	enum { LOOKED_AT = 50 }; /* one too many is a claim in vain, no more */
	struct str domain = address_domain(d->leaving[at].address);

	for (size_t i = at, looked = 0; i-- > 0 && looked < LOOKED_AT; looked++)
		if (str_is(address_domain(d->leaving[i].address), domain))
			return false;
	return true;
}

void queue_tell_added(struct store *store, const struct delivery *d)
{
	struct queue *queue = store->queue;
	const struct ask_deliver *ask = d->ask;
	uint64_t flow = flow_of(d);
	char id[ID_TEXT + 1];

	id_print(ask->message, id);
	for (size_t i = 0; i < d->leaving_count; i++) {
		struct str address = d->leaving[i].address;

		TRACE(store->trace, ask->session, 0, queued, .message = str_of(id),
		      .sender = ask->sender, .recipient = address,
		      .destination = address_domain(address),
		      .forwarded_for = d->leaving[i].is_forwarded
					       ? ask->recipients.at[d->leaving[i].recipient]
					       : S(""),
		      .sent_as = d->sent_as);
		if (!is_first_of_site(d, i))
			continue;
		sites_note(queue->sites, address_domain(address), flow, d->received_us, 1);
		waitq_wake_one(&queue->due);
	}
	queue_alarm_at(queue, d->alarm_us);
}

/* ---- changes ---- */

enum err queue_write(struct writer *writer, uint64_t message, const struct queue_recipient *r)
{
	return db_run(writer->db, Q_queue_note, db_int(r->state), db_id(r->attempts),
		      db_int(r->next_us), db_int(r->attempt_us), db_id(r->session), db_str(r->peer),
		      db_int(r->code), db_str(r->enhanced), db_str(r->reply), db_id(message),
		      db_id(r->number));
}

enum err queue_end(struct writer *writer, uint64_t message, uint64_t recipients, int64_t now_us)
{
	const enum db_query q = Q_queue_pending;
	int64_t pending;
	uint64_t body;
	bool has_row;
	enum err err;

	if (!recipients)
		return OK;
	err = db_run(writer->db, Q_queue_ended, db_id(recipients), db_id(message));
	if (!err)
		err = db_select(writer->db, q, db_id(message));
	if (!err)
		err = db_step(writer->db, q, &has_row);
	if (err || !has_row)
		return err;
	pending = db_int_at(writer->db, q, 0);
	body = (uint64_t)db_int_at(writer->db, q, 1);
	db_finish(writer->db, q);
	if (pending > 0)
		return OK;
	err = writer_let_go(writer, body);
	return err ? err : db_run(writer->db, Q_queue_close, db_int(now_us), db_id(message));
}

int64_t queue_backoff_us(const struct config *config, uint64_t attempts, uint64_t chance)
{
	int64_t max_us = 1000 * config->queue_retry_max;
	int64_t wait_us = 1000 * config->queue_retry_min;

	for (uint64_t i = 1; i < attempts && wait_us < max_us; i++)
		wait_us *= 2;
	if (wait_us > max_us)
		wait_us = max_us;
	/* Those that failed together come apart again. */
	return wait_us - wait_us / 8 + (int64_t)(chance % ((uint64_t)wait_us / 4 + 1));
}
