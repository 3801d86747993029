/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message comes in: who gets it is decided inside the transaction that keeps it, so that nothing can
 * change in between.
 */
#include "store/delivery.h"
#include "store/queue.h"

#include <stdlib.h>

enum { FIELDS_ADDED = 65536 }; /* more than a gate puts in front of a message of the largest size */

/* One mailbox that gets (or has already) this message. */
struct placement {
	size_t recipient;
	struct str address; /* of the account */
	struct str folder;
	uint64_t account;
	uint64_t mailbox;
	uint64_t uid;
	bool had; /* from an earlier try: nothing to do */
};

struct delivering {
	struct job job;
	struct delivery delivery;
};

struct str return_path(struct arena *arena, struct str sender)
{
	/* rfc5321 4.4: one Return-Path line, made at final delivery. */
	return str_print(arena, "Return-Path: <%.*s>\r\n", STR_ARGS(sender));
}

/* ---- on the writer's thread ---- */

static enum delivery_outcome outcome_of(enum recipient_verdict verdict)
{
	switch (verdict) {
	case RECIPIENT_LOCAL:
	case RECIPIENT_REMOTE:
		return DELIVERY_DONE;
	case RECIPIENT_NOT_OURS:
		return DELIVERY_NOT_OURS;
	case RECIPIENT_FULL:
		return DELIVERY_FULL;
	case RECIPIENT_LOOP:
		return DELIVERY_LOOP;
	case RECIPIENT_UNKNOWN:
	case RECIPIENT_DISABLED:
	case RECIPIENT_SENDER:
	case RECIPIENT_RATE:
		break;
	}
	return DELIVERY_UNKNOWN;
}

static enum err make_account(struct writer *writer, struct delivery *d, struct target *target)
{
	struct account_new new_account = { target->address, d->received_us, -1 };
	struct str domain = address_domain(target->address);
	struct str postmaster;
	struct account account;
	bool found = false;
	enum err err = domain_find(writer->db, &d->arena, domain, &postmaster, &found);

	if (!err && !found)
		err = db_run(writer->db, Q_domain_add, db_str(domain), db_int(d->received_us));
	if (!err)
		err = account_find(writer->db, &d->arena, target->address, &account, &found);
	if (!err && !found) {
		err = account_make(writer->db, &d->arena, &new_account);
		writer->changed_directory = true;
		if (!err)
			err = account_find(writer->db, &d->arena, target->address, &account,
					   &found);
	}
	if (!err)
		target->account = account.id;
	return err;
}

static enum err open_mailbox(struct writer *writer, struct delivery *d, struct target *target,
			     struct mailbox *mailbox)
{
	bool found = false;
	enum err err = target->account ? OK : make_account(writer, d, target);

	if (!err)
		err = mailbox_find(writer->db, target->account, target->folder, mailbox, &found);
	if (err || found)
		return err;
	writer->changed_directory = true;
	err = mailbox_make(writer->db, target->account, target->folder, d->received_us);
	if (!err)
		err = mailbox_find(writer->db, target->account, target->folder, mailbox, &found);
	return err;
}

static struct placement *new_placement(struct delivery *d)
{
	if (d->count == d->room) {
		size_t room = d->room ? 4 * d->room : 4;
		struct placement *wider = NEW_ARRAY(&d->arena, struct placement, room);

		if (d->count)
			memcpy(wider, d->placements, d->count * sizeof(*wider));
		d->placements = wider;
		d->room = room;
	}
	return &d->placements[d->count++];
}

static bool is_placed(const struct delivery *d, uint64_t mailbox)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->placements[i].mailbox == mailbox)
			return true;
	return false;
}

static uint64_t octets_placed(const struct delivery *d, uint64_t account)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < d->count; i++)
		if (d->placements[i].account == account && !d->placements[i].had)
			octets += d->size;
	return octets;
}

static enum err check_quota(struct writer *writer, const struct delivery *d,
			    const struct target *target, bool *is_full)
{
	uint64_t used;
	enum err err;

	*is_full = false;
	if (!target->quota)
		return OK;
	err = account_octets(writer->db, target->account, &used);
	*is_full = !err && used + octets_placed(d, target->account) + d->size > target->quota;
	return err;
}

/*
 * Was it kept by an earlier try whose answer was lost? Gates make ids apart from one another, so that two
 * may meet: another message of the same id is refused for now, and never taken for kept.
 */
static enum err find_earlier(struct writer *writer, const struct delivery *d,
			     struct placement *placement)
{
	const enum db_query q = Q_message_done;
	bool is_same;
	enum err err = db_select(writer->db, q, db_id(d->ask->message), db_id(placement->account),
				 db_id(placement->mailbox));

	if (!err)
		err = db_step(writer->db, q, &placement->had);
	if (err || !placement->had)
		return err;
	placement->uid = (uint64_t)db_int_at(writer->db, q, 0);
	is_same = (uint64_t)db_int_at(writer->db, q, 1) == d->size &&
		  str_is(db_text_at(writer->db, q, 2), d->ask->sender);
	db_finish(writer->db, q);
	return is_same ? OK : fault(ERR_EXISTS, "another message has this id");
}

static enum err place(struct writer *writer, struct delivery *d, size_t recipient,
		      struct target *target)
{
	struct mailbox mailbox;
	struct placement placement = { .recipient = recipient };
	bool is_full = false;
	enum err err = open_mailbox(writer, d, target, &mailbox);

	if (err || is_placed(d, mailbox.id))
		return err;
	placement.address = target->address;
	placement.folder = target->folder;
	placement.account = target->account;
	placement.mailbox = mailbox.id;
	err = find_earlier(writer, d, &placement);
	if (!err && !placement.had) {
		placement.uid = mailbox.uid_next;
		err = check_quota(writer, d, target, &is_full);
	}
	if (!err && is_full)
		d->outcomes[recipient] = DELIVERY_FULL;
	else if (!err)
		*new_placement(d) = placement;
	return err;
}

/* Of a recipient elsewhere: may this message go there? */
static enum err ask_relay(struct writer *writer, struct delivery *d)
{
	const struct relay_asking asking = { .account = d->right.by_account ? d->account : 0,
					     .network = d->right.network,
					     .sender = d->ask->sender,
					     .any_sender = d->any_sender,
					     .policy = &d->policy };

	d->is_relay_known = true;
	d->may_relay = d->is_notice;
	return d->is_notice ? OK : relay_is_allowed(writer->db, &d->arena, &asking, &d->may_relay);
}

/* An address elsewhere, once a message however many aliases lead there. */
static void leave(struct delivery *d, const struct leaving *leaving)
{
	for (size_t i = 0; leaving->is_forwarded && i < d->leaving_count; i++)
		if (d->leaving[i].is_forwarded && d->leaving[i].hash == leaving->hash &&
		    str_is(d->leaving[i].address, leaving->address))
			return;
	if (d->leaving_count == d->leaving_room) {
		size_t room = d->leaving_room ? 4 * d->leaving_room : 4;
		struct leaving *wider = NEW_ARRAY(&d->arena, struct leaving, room);

		if (d->leaving_count)
			memcpy(wider, d->leaving, d->leaving_count * sizeof(*wider));
		d->leaving = wider;
		d->leaving_room = room;
	}
	d->leaving[d->leaving_count++] = *leaving;
}

static enum err plan_remote(struct writer *writer, struct delivery *d, size_t recipient)
{
	struct address address;
	enum err err = d->is_relay_known ? OK : ask_relay(writer, d);

	/* A gate that has fallen may say anything; this text will be a relay's command. */
	if (err || !d->may_relay ||
	    !address_parse(&d->arena, d->ask->recipients.at[recipient], true, &address))
		return err;
	d->outcomes[recipient] = DELIVERY_DONE;
	d->remote_count++;
	leave(d, &(struct leaving){ .recipient = recipient,
				    .address = d->ask->recipients.at[recipient] });
	return OK;
}

static enum err plan_target(struct writer *writer, struct delivery *d, size_t recipient,
			    struct target *target)
{
	struct leaving leaving = { recipient, target->address, true, str_hash(target->address) };

	if (!target->is_elsewhere)
		return place(writer, d, recipient, target);
	leave(d, &leaving);
	return OK;
}

static enum err plan_recipient(struct writer *writer, struct delivery *d, size_t recipient)
{
	size_t count_before = d->count;
	size_t leaving_before = d->leaving_count;
	struct resolution resolution;
	enum err err = resolve_address(writer->db, &d->arena, &d->policy,
				       d->ask->recipients.at[recipient], &resolution);

	/* list+1, list+2 ... each lead to the whole of a list, and everybody waits for this thread. */
	d->addresses += resolution.addresses;
	if (!err && d->addresses > LIMIT_delivery_addresses)
		return fault(ERR_LIMIT, "the recipients lead to more than %d addresses",
			     LIMIT_delivery_addresses);
	d->outcomes[recipient] = outcome_of(resolution.verdict);
	if (!err && resolution.verdict == RECIPIENT_NOT_OURS)
		return plan_remote(writer, d, recipient);
	for (size_t i = 0; !err && i < resolution.count; i++)
		if (d->outcomes[recipient] == DELIVERY_DONE)
			err = plan_target(writer, d, recipient, &resolution.targets[i]);
	/* All mailboxes of a recipient or none: the sender will try the whole of it again. */
	if (d->outcomes[recipient] != DELIVERY_DONE) {
		d->count = count_before;
		d->leaving_count = leaving_before;
	}
	return err;
}

static bool any_forwarded(const struct delivery *d)
{
	for (size_t i = 0; i < d->leaving_count; i++)
		if (d->leaving[i].is_forwarded)
			return true;
	return false;
}

/*
 * SPF of the sender's domain does not know us: what is forwarded goes out under an address of ours, and a
 * bounce to that comes back here. Where none can be made it goes as it came, which is better than not at all.
 */
static enum err rewrite_sender(struct writer *writer, struct delivery *d)
{
	struct str sender = d->ask->sender;
	struct str domain = d->policy.srs.domain;
	struct str postmaster;
	bool found = false;
	enum err err = OK;

	if (sender.len)
		err = domain_find(writer->db, &d->arena, address_domain(sender), &postmaster,
				  &found);
	if (err || found || !sender.len)
		return err;
	if (!domain.len)
		err = domain_find_first(writer->db, &d->arena, &domain, &found);
	if (!err && !srs_forward(&d->arena, &d->policy.srs, sender, domain, &d->sent_as))
		d->sent_as = S("");
	return err;
}

static enum err keep_body(struct writer *writer, struct delivery *d, uint64_t references,
			  uint64_t *body)
{
	const struct ask_deliver *ask = d->ask;
	struct place place;
	enum err err = writer_add_body(writer, d->octets, body, &place);

	if (err)
		return err;
	return db_run(writer->db, Q_body_add, db_id(*body), db_id(place.segment),
		      db_id(place.offset), db_id(d->octets.len), db_id(ask->message),
		      db_id(references), db_id(ask->utf8), db_str(ask->subject), db_str(ask->from),
		      db_str(ask->message_id), db_str(ask->preview), db_str(ask->structure));
}

static enum err keep_message(struct writer *writer, const struct delivery *d,
			     const struct placement *p, uint64_t body)
{
	enum err err = db_run(writer->db, Q_message_add, db_id(p->account), db_id(p->mailbox),
			      db_id(p->uid), db_id(d->ask->message), db_id(body), db_id(d->size),
			      db_int(d->received_us), db_str(d->ask->sender));

	if (!err)
		err = db_run(writer->db, Q_mailbox_grow, db_id(d->size), db_id(p->mailbox));
	/* The body is in the batch already: a rule that breaks now is the batch's trouble. */
	return err == ERR_EXISTS ? ERR_CORRUPT : err;
}

/* ---- NOTIFY=SUCCESS (rfc3461 4.1) ---- */

static bool wants_success(const struct ask_deliver *ask, size_t i)
{
	return ask->notify.count && ask->notify.at[i] & DSN_SUCCESS;
}

/* Kept by this very transaction, so that he is told once however often it is tried; and here alone. */
static bool is_new_here(const struct delivery *d, size_t recipient)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->placements[i].recipient == recipient && d->placements[i].had)
			return false;
	/* What leaves is told of by what becomes of it there. */
	for (size_t i = 0; i < d->leaving_count; i++)
		if (d->leaving[i].recipient == recipient)
			return false;
	return true;
}

static enum err tell_success(struct writer *writer, struct delivery *d)
{
	const struct ask_deliver *ask = d->ask;
	size_t room = ask->recipients.count;
	struct queue_recipient *rows = NEW_ARRAY(&d->arena, struct queue_recipient, room);
	struct notice_recipient *told = NEW_ARRAY(&d->arena, struct notice_recipient, room);
	const struct queue_message message = { .id = ask->message,
					       .sender = ask->sender,
					       .envelope_id = ask->envelope_id,
					       .ret = ask->ret,
					       .arrived_us = d->received_us,
					       .expires_us = d->expires_us,
					       .size = d->octets.len };
	struct notice notice = { NOTICE_DONE, &message, d->octets, told, 0 };

	for (size_t i = 0; i < room; i++) {
		if (d->outcomes[i] != DELIVERY_DONE || !wants_success(ask, i) || !is_new_here(d, i))
			continue;
		rows[i] = (struct queue_recipient){ .address = ask->recipients.at[i],
						    .original = ask->original.count
									? ask->original.at[i]
									: S(""),
						    .state = QUEUE_DELIVERED,
						    .attempt_us = d->received_us };
		told[notice.count++] = (struct notice_recipient){ &rows[i], true };
	}
	return notice.count ? notices_add(writer, d->notices, &notice) : OK;
}

/* Nothing of the message is kept: its sender tries the whole of it again. */
static void refuse_all(struct delivery *d, enum delivery_outcome outcome)
{
	for (size_t i = 0; i < d->ask->recipients.count; i++)
		d->outcomes[i] = outcome;
	d->count = d->leaving_count = d->remote_count = 0;
}

enum err delivery_run(struct writer *writer, struct delivery *d)
{
	uint64_t references = 0;
	uint64_t body = 0;
	enum err err = OK;

	for (size_t i = 0; !err && i < d->ask->recipients.count; i++)
		err = plan_recipient(writer, d, i);
	for (size_t i = 0; i < d->count; i++)
		references += !d->placements[i].had;
	if (!err && d->leaving_count)
		err = queue_find_earlier(writer, d, &d->was_queued);
	if (!err && !d->was_queued && !d->is_notice && d->remote_count > d->remote_max) {
		refuse_all(d, DELIVERY_RATE);
		return OK;
	}
	if (!err && any_forwarded(d))
		err = rewrite_sender(writer, d);
	references += d->leaving_count && !d->was_queued;
	if (err || !references)
		return err;
	err = keep_body(writer, d, references, &body);
	for (size_t i = 0; !err && i < d->count; i++)
		if (!d->placements[i].had)
			err = keep_message(writer, d, &d->placements[i], body);
	if (!err && d->leaving_count && !d->was_queued)
		err = queue_add(writer, d, body);
	if (!err && d->notices)
		err = tell_success(writer, d);
	return err;
}

static enum err run_delivery(struct writer *writer, struct job *job)
{
	struct delivering *delivering = CONTAINER_OF(job, struct delivering, job);
	enum err err = delivery_run(writer, &delivering->delivery);

	job->messages = 1;
	job->octets = delivering->delivery.octets.len;
	return err;
}

/* ---- in the fiber ---- */

static const char *outcome_name(uint64_t outcome)
{
	switch (outcome) {
	case DELIVERY_DONE:
		return "delivered";
	case DELIVERY_FULL:
		return "over-quota";
	case DELIVERY_NOT_OURS:
		return "not-ours";
	case DELIVERY_LOOP:
		return "loop";
	case DELIVERY_RATE:
		return "over-rate";
	default:
		return "unknown";
	}
}

void delivery_tell(struct store *store, const struct delivery *d)
{
	const struct ask_deliver *ask = d->ask;
	char id[ID_TEXT + 1];

	id_print(ask->message, id);
	for (size_t i = 0; i < d->count; i++) {
		const struct placement *p = &d->placements[i];

		TRACE(store->trace, ask->session, 0, deliver, .message = str_of(id),
		      .recipient = ask->recipients.at[p->recipient], .account = p->address,
		      .folder = p->folder, .uid = p->uid, .outcome = S("delivered"));
		if (!p->had)
			lookups_note_octets(store, p->account, (int64_t)d->size);
	}
	for (size_t i = 0; i < ask->recipients.count; i++)
		if (d->outcomes[i] != DELIVERY_DONE)
			TRACE(store->trace, ask->session, 0, deliver, .message = str_of(id),
			      .recipient = ask->recipients.at[i],
			      .outcome = str_of(outcome_name(d->outcomes[i])));
	if (d->leaving_count && !d->was_queued)
		queue_tell_added(store, d);
}

void delivery_done(struct delivery *d)
{
	arena_drop(&d->arena);
}

void delivery_prepare_at(const struct config *config, int64_t at_us, const struct ask_deliver *ask,
			 struct delivery *d)
{
	size_t count = ask->recipients.count;

	d->ask = ask;
	d->any_sender = config->accept_any_password;
	d->received_us = at_us;
	d->alarm_us = d->expires_us = at_us + 1000 * config->queue_expire;
	if (config->queue_delay_warning && config->queue_delay_warning < config->queue_expire)
		d->alarm_us = at_us + 1000 * config->queue_delay_warning;
	d->size = RETURN_PATH_FIXED + ask->sender.len + d->octets.len;
	d->outcomes = NEW_ARRAY(&d->arena, uint64_t, count + 1);
	config_policy(config, ask->create, &d->policy);
	d->policy.srs.is_bounce = !ask->sender.len;
	d->policy.srs.now_us = at_us;
}

/* Before anything is mapped: reading a hole of a memfd makes memory of it. */
static enum err check_size(struct store *store, uint64_t octets)
{
	if (octets > store->config->message_size_max + FIELDS_ADDED)
		return fault(ERR_LIMIT, "a message of %llu octets", (unsigned long long)octets);
	return store_has_room(store, octets)
		       ? OK
		       : fault(ERR_FULL, "less than disk_floor would be free");
}

static enum err check_envelope(const struct ask_deliver *ask)
{
	size_t count = ask->recipients.count;

	if ((ask->notify.count && ask->notify.count != count) ||
	    (ask->original.count && ask->original.count != count))
		return fault(ERR_PROTOCOL, "what recipients wish is not said for each of them");
	return OK;
}

static void answer_with(const struct delivering *d, struct arena *arena,
			struct answer_deliver *answer)
{
	size_t count = d->delivery.ask->recipients.count;
	uint64_t *outcomes = NEW_ARRAY(arena, uint64_t, count + 1);

	memcpy(outcomes, d->delivery.outcomes, count * sizeof(*outcomes));
	answer->outcomes = (struct u64s){ outcomes, count };
	answer->batch = d->job.batch_messages;
	answer->us = d->job.batch_us;
}

/*
 * Who would send this, and how much of it: what may go is counted before, so that messages at the same time
 * do not pass together what one of them may not.
 */
static enum err find_right(struct peer *peer, const struct ask_deliver *ask, struct delivery *d)
{
	const struct relay_client client = { ask->client, ask->certificate, ask->sender };
	enum err err = signed_in_account(peer, ask->account, &d->account);

	if (err)
		return err;
	relay_right_find(peer->store, d->account, &client, &d->arena, &d->right);
	if (d->right.by_account || d->right.network)
		d->remote_max = rates_take(&peer->store->rates, &d->right.rated, &d->right.rate,
					   ask->recipients.count);
	return OK;
}

static void give_rate_back(struct store *store, const struct delivery *d, enum err err)
{
	bool is_used = !err && !d->was_queued;
	uint64_t used = is_used ? d->remote_count : 0;

	if (d->right.rate.max && d->remote_max > used)
		rates_give_back(&store->rates, &d->right.rated, d->remote_max - used);
}

/* The null sender is never answered (rfc5321 6.1). */
static bool any_success_wanted(const struct ask_deliver *ask)
{
	for (size_t i = 0; ask->sender.len && i < ask->notify.count; i++)
		if (ask->notify.at[i] & DSN_SUCCESS)
			return true;
	return false;
}

static enum err commit_delivery(struct store *store, struct delivering *d) WAITS
{
	const struct ask_deliver *ask = d->delivery.ask;
	struct notices notices;
	enum err err;

	if (!any_success_wanted(ask))
		return store_commit(store, &d->job);
	notices_init(&notices, store);
	d->delivery.notices = &notices;
	err = store_commit(store, &d->job);
	if (!err)
		notices_tell(&notices, ask->message);
	notices_done(&notices);
	d->delivery.notices = NULL;
	return err;
}

enum err store_deliver(struct peer *peer, const struct ask_deliver *ask, struct arena *arena,
		       struct answer_deliver *answer) WAITS
{
	struct store *store = peer->store;
	struct config *config = config_ref(store->config); /* its texts are read by the writer */
	struct delivering d = { .job.run = run_delivery };
	enum err err = check_size(store, ask->body.size);

	if (!err)
		err = check_envelope(ask);
	if (!err)
		err = body_map(&ask->body, &d.delivery.octets);
	if (!err) {
		err = find_right(peer, ask, &d.delivery);
		if (err)
			body_unmap(&ask->body, d.delivery.octets);
	}
	if (!err) {
		delivery_prepare_at(config, wall_us(), ask, &d.delivery);
		d.delivery.policy.srs.key = store->salts;
		err = commit_delivery(store, &d);
		body_unmap(&ask->body, d.delivery.octets);
		give_rate_back(store, &d.delivery, err);
	}
	if (!err) {
		delivery_tell(store, &d.delivery);
		answer_with(&d, arena, answer);
	} else if (err == ERR_FULL) {
		store->room_at = INT64_MIN; /* look again: it may have been freed */
	}
	delivery_done(&d.delivery);
	config_unref(&config);
	return err;
}
