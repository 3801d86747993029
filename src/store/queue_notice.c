/* SPDX-License-Identifier: Apache-2.0 */
/* What a sender is told about his message, kept in the transaction that makes it so. */
#include "store/queue.h"

#include <stdlib.h>

/* All recipients that a message may have, with their replies (3 KiB each at most), and what comes back. */
enum { WORDS_MAX = LIMIT_delivery_addresses * 3072 + 4 * LIMIT_queue_return };

void notices_init(struct notices *n, struct store *store)
{
	*n = (struct notices){ .store = store,
			       .config = config_ref(store->config),
			       .now_us = wall_us(),
			       .chance = random_u64() };
	for (size_t i = 0; i < COUNT_OF(n->ids); i++) {
		n->ids[i] = id_new();
		n->text[i] = BUF(WORDS_MAX);
	}
}

void notices_done(struct notices *n)
{
	for (size_t i = 0; i < n->count; i++)
		delivery_done(n->made[i]);
	for (size_t i = 0; i < COUNT_OF(n->text); i++)
		buf_drop(&n->text[i]);
	arena_drop(&n->arena);
	config_unref(&n->config);
}

bool wants_notice(const struct queue_recipient *recipient, enum notice_kind kind)
{
	uint64_t notify = recipient->notify;

	/* rfc3461 4.1: without NOTIFY a sender hears of failures, and of delays as we like. */
	switch (kind) {
	case NOTICE_FAILED:
		return !notify || notify & DSN_FAILURE;
	case NOTICE_DELAYED:
		return !notify || notify & DSN_DELAY;
	case NOTICE_DONE:
		break;
	}
	return notify & DSN_SUCCESS;
}

/* ---- what comes back of the message ---- */

static struct str read_original(struct notices *n, const struct queue_message *m, size_t max)
{
	struct body_place at = { m->body, m->place, m->size };
	size_t len = m->size < max ? (size_t)m->size : max;
	char *octets = arena_take(&n->arena, len + 1);

	/* A damaged body, or none: the notification says what happened all the same. */
	if (!m->body || bodies_read(n->store->bodies, &at, 0, octets, len) != OK)
		return S("");
	return (struct str){ octets, len };
}

/* rfc3461 4.3: RET says what comes back of a failure; of all else the header does. */
static void add_original(struct notices *n, const struct notice *notice, struct dsn *dsn)
{
	const struct queue_message *m = notice->message;
	struct str octets = notice->octets.len ? str_first(notice->octets, LIMIT_queue_return)
					       : read_original(n, m, LIMIT_queue_return);

	dsn->is_whole = notice->kind == NOTICE_FAILED && m->ret == DSN_RETURN_FULL && octets.len &&
			octets.len == m->size;
	dsn->original = dsn->is_whole ? octets : str_first(octets, header_end(octets));
}

/* ---- words ---- */

static struct dsn_recipient words_of(struct notices *n, enum notice_kind kind,
				     const struct queue_message *m,
				     const struct notice_recipient *told)
{
	const struct queue_recipient *r = told->recipient;
	struct dsn_recipient out = { .address = r->address,
				     .original = r->original,
				     .status = r->enhanced,
				     .code = r->code,
				     .reply = r->reply,
				     .remote = r->peer,
				     .attempt_us = r->attempt_us,
				     .retry_until_us = m->expires_us };

	out.action = kind == NOTICE_FAILED    ? DSN_FAILED
		     : kind == NOTICE_DELAYED ? DSN_DELAYED
		     : told->is_final         ? DSN_DELIVERED
					      : DSN_RELAYED;
	if (r->state == QUEUE_EXPIRED) {
		out.status = S("4.4.7"); /* rfc3463 3.5: delivery time expired */
		out.reply = r->reply.len ? str_print(&n->arena, "%.*s (it was tried for too long)",
						     STR_ARGS(r->reply))
					 : S("No server of that domain could be reached in time");
	}
	/* What the remote meant for now is not what we say now. */
	if (kind == NOTICE_FAILED && r->state == QUEUE_FAILED && out.status.len &&
	    out.status.at[0] != '5')
		out.status = S("");
	if (kind == NOTICE_DONE && (!out.status.len || out.status.at[0] != '2'))
		out.status = S("2.0.0");
	return out;
}

static enum err print_words(struct notices *n, const struct notice *notice, struct str to,
			    struct str *subject)
{
	const struct queue_message *m = notice->message;
	struct dsn_recipient *recipients =
		NEW_ARRAY(&n->arena, struct dsn_recipient, notice->count);
	char id[ID_TEXT + 1];
	struct dsn dsn = { .reporter = n->config->hostname,
			   .to = to,
			   .now_us = n->now_us,
			   .envelope_id = m->envelope_id,
			   .arrived_us = m->arrived_us,
			   .recipients = recipients,
			   .count = notice->count };

	for (size_t i = 0; i < notice->count; i++)
		recipients[i] = words_of(n, notice->kind, m, &notice->recipients[i]);
	id_print(n->ids[n->count], id);
	dsn.id = str_print(&n->arena, "%s%016llX", id, (unsigned long long)n->chance);
	if (!str_is(to, m->sender))
		dsn.about = m->sender.len ? m->sender : S("<>");
	add_original(n, notice, &dsn);
	*subject = dsn_subject(&dsn);
	return dsn_print(&n->text[n->count], &dsn);
}

/* ---- into the mailbox or the queue ---- */

static struct delivery *new_delivery(struct notices *n, struct str to, struct str subject)
{
	struct ask_deliver *ask = &n->asked[n->count];
	struct str *recipient = NEW(&n->arena, struct str);
	uint64_t *notify = NEW(&n->arena, uint64_t);
	struct delivery *d = NEW(&n->arena, struct delivery);

	*recipient = to;
	*notify = DSN_NEVER;
	/* rfc3464 2: the null sender, so that nothing answers to it. */
	*ask = (struct ask_deliver){ .message = n->ids[n->count],
				     .recipients = { recipient, 1 },
				     .notify = { notify, 1 },
				     .utf8 = !str_is_ascii(to),
				     .subject = subject,
				     .from = str_print(&n->arena, "postmaster@%.*s",
						       STR_ARGS(n->config->hostname)),
				     .body_type = 1,
				     .body = BODY_EMPTY };
	delivery_prepare_at(n->config, n->now_us, ask, d);
	d->policy.srs.key = n->store->salts;
	d->octets = buf_str(&n->text[n->count]);
	d->size = RETURN_PATH_FIXED + d->octets.len;
	d->is_notice = true;
	n->made[n->count++] = d;
	return d;
}

static enum err send_to(struct writer *writer, struct notices *n, const struct notice *notice,
			struct str to, bool *is_done)
{
	struct delivery *d;
	struct str subject;
	enum err err = print_words(n, notice, to, &subject);

	if (err)
		return err;
	d = new_delivery(n, to, subject);
	err = delivery_run(writer, d);
	/* Said before anything was kept: aliases that lead too far, an id that another message has. */
	if (err == ERR_LIMIT || err == ERR_EXISTS) {
		d->outcomes[0] = DELIVERY_LOOP;
		d->count = d->leaving_count = 0;
		err = OK;
	}
	*is_done = !err && d->outcomes[0] == DELIVERY_DONE;
	return err;
}

enum err notices_add(struct writer *writer, struct notices *n, const struct notice *notice)
{
	struct str sender = notice->message->sender;
	bool is_done = false;
	enum err err = OK;

	must(n->count == 0);
	/* rfc5321 6.1: what has the null sender is never answered. */
	if (sender.len)
		err = send_to(writer, n, notice, sender, &is_done);
	/* Nobody could be told: the postmaster is, of failures only. */
	if (!err && !is_done && notice->kind == NOTICE_FAILED)
		err = send_to(writer, n, notice, S("postmaster"), &is_done);
	return err;
}

/* ---- in the fiber ---- */

void notices_tell(struct notices *n, uint64_t about)
{
	struct store *store = n->store;
	char about_id[ID_TEXT + 1];
	char id[ID_TEXT + 1];

	id_print(about, about_id);
	for (size_t i = 0; i < n->count; i++) {
		const struct delivery *d = n->made[i];
		bool is_done = d->outcomes[0] == DELIVERY_DONE;

		id_print(d->ask->message, id);
		delivery_tell(store, d);
		TRACE(store->trace, 0, 0, notice, .message = str_of(id), .about = str_of(about_id),
		      .recipient = d->ask->recipients.at[0],
		      .outcome = !is_done           ? S("dropped")
				 : d->leaving_count ? S("queued")
						    : S("delivered"),
		      .octets = d->octets.len, .subject = d->ask->subject);
	}
}
