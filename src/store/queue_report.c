/* SPDX-License-Identifier: Apache-2.0 */
/* A relay tells what became of a claim: rows, notifications and the body's reference, in one transaction. */
#include "store/peer.h"
#include "store/queue_own.h"

struct report_row {
	struct queue_recipient before, after;
	const char *outcome; /* for the trace */
	bool is_noted;
};

struct reporting {
	struct job job;
	const struct ask_queue_report *ask;
	struct config *config;
	int64_t now_us;
	int64_t lease_left_us;
	uint64_t chance;
	struct arena arena;
	struct queue_message message;
	struct report_row *rows;
	struct notice_recipient *told;
	size_t told_count;
	uint64_t ended;
	uint64_t left_out;
	uint64_t flow; /* of the message */
	bool is_known;
	struct notices failed, done; /* two kinds may be due at once */
};

/* ---- on the writer's thread ---- */

static void defer(struct reporting *r, struct report_row *row, bool is_unknown)
{
	struct queue_recipient *after = &row->after;
	int64_t lease_end_us = r->now_us + r->lease_left_us;

	/* What was held meanwhile does not grow old. */
	if (r->now_us >= r->message.expires_us && !is_unknown && !r->message.held) {
		after->state = QUEUE_EXPIRED;
		row->outcome = "expired";
		return;
	}
	after->state = r->message.held ? QUEUE_HELD : QUEUE_WAITING;
	after->next_us = r->now_us + queue_backoff_us(r->config, after->attempts, r->chance);
	/* Nobody knows whether it arrived: a little patience makes a second copy less of a surprise. */
	if (is_unknown && after->next_us < lease_end_us)
		after->next_us = lease_end_us;
	row->outcome = is_unknown ? "unknown" : "deferred";
}

static void judge(struct reporting *r, struct report_row *row, size_t i)
{
	const struct ask_queue_report *ask = r->ask;
	struct queue_recipient *after = &row->after;

	after->attempts++;
	after->attempt_us = r->now_us;
	after->session = ask->session;
	after->peer = ask->peer;
	after->code = (unsigned)(ask->codes.at[i] % 1000);
	after->enhanced = ask->enhanced.at[i];
	after->reply = ask->texts.at[i];
	switch ((enum queue_result)ask->results.at[i]) {
	case QUEUE_SENT:
		after->state = ask->is_final ? QUEUE_DELIVERED : QUEUE_RELAYED;
		row->outcome = ask->is_final ? "delivered" : "relayed";
		return;
	case QUEUE_REFUSED:
		after->state = QUEUE_FAILED;
		row->outcome = "failed";
		return;
	case QUEUE_UNKNOWN:
		defer(r, row, true);
		return;
	case QUEUE_DEFERRED:
		break;
	}
	defer(r, row, false);
}

static enum err note_one(struct writer *writer, struct reporting *r, size_t i)
{
	struct report_row *row = &r->rows[i];
	bool found;
	const struct queue_rows rows = { writer->db, &r->arena, r->message.id };
	enum err err = queue_find_recipient(&rows, r->ask->numbers.at[i], &row->before, &found);

	/* Done already, or leased to somebody else meanwhile: what is said now comes too late. */
	row->outcome = "late";
	if (err || !found || row->before.lease != r->ask->lease || row->before.state > QUEUE_HELD)
		return err;
	row->after = row->before;
	row->is_noted = true;
	judge(r, row, i);
	r->ended += row->after.state > QUEUE_HELD;
	return queue_write(writer, r->message.id, &row->after);
}

static enum err notify(struct writer *writer, struct reporting *r, enum notice_kind kind,
		       struct notices *notices)
{
	struct notice notice = { kind, &r->message, S(""), r->told, 0 };
	size_t count = 0;

	for (size_t i = 0; i < r->ask->numbers.count; i++) {
		struct report_row *row = &r->rows[i];
		enum queue_state state = row->after.state;
		bool is_bad = state == QUEUE_FAILED || state == QUEUE_EXPIRED;
		bool is_good = state == QUEUE_DELIVERED ||
			       (state == QUEUE_RELAYED && !r->ask->notifies.at[i]);

		if (row->is_noted && (kind == NOTICE_FAILED ? is_bad : is_good) &&
		    wants_notice(&row->after, kind))
			r->told[count++] =
				(struct notice_recipient){ &row->after, r->ask->is_final };
	}
	notice.count = count;
	return count ? notices_add(writer, notices, &notice) : OK;
}

/* Who was left out is given back as he was. All recipients of a message are of one flow. */
static enum err give_rest(struct writer *writer, struct reporting *r)
{
	const struct queue_rows rows = { writer->db, &r->arena, r->message.id };
	struct queue_recipient first;
	size_t count = 0;
	enum err err = db_run_values(
		writer->db, Q_queue_give_rest,
		DB_VALUES(db_int(r->now_us), db_id(r->message.id), db_id(r->ask->lease)),
		&r->left_out);

	if (err || !r->left_out)
		return err;
	err = queue_find_recipients(&rows, 0, &first, 1, &count);
	r->flow = count ? first.flow : 0;
	return err;
}

static enum err run_report(struct writer *writer, struct job *job)
{
	struct reporting *r = CONTAINER_OF(job, struct reporting, job);
	size_t count = r->ask->numbers.count;
	enum err err =
		queue_find(writer->db, &r->arena, r->ask->message, &r->message, &r->is_known);

	if (err || !r->is_known)
		return err;
	r->rows = NEW_ARRAY(&r->arena, struct report_row, count + 1);
	r->told = NEW_ARRAY(&r->arena, struct notice_recipient, count + 1);
	for (size_t i = 0; !err && i < count; i++)
		err = note_one(writer, r, i);
	if (!err)
		err = give_rest(writer, r);
	/* While the body is still there: part of it may go with them. */
	if (!err)
		err = notify(writer, r, NOTICE_FAILED, &r->failed);
	if (!err)
		err = notify(writer, r, NOTICE_DONE, &r->done);
	if (!err)
		err = queue_end(writer, r->message.id, r->ended, r->now_us);
	return err;
}

/* ---- in the fiber ---- */

static void tell_row(struct store *store, const struct reporting *r, size_t i)
{
	const struct report_row *row = &r->rows[i];
	const struct queue_recipient *after = &row->after;
	bool is_pending = row->is_noted && after->state <= QUEUE_HELD;
	char id[ID_TEXT + 1];

	id_print(r->message.id, id);
	TRACE(store->trace, r->ask->session, 0, attempt, .message = str_of(id),
	      .recipient = row->before.address, .outcome = str_of(row->outcome),
	      .code = r->ask->codes.at[i], .enhanced = r->ask->enhanced.at[i],
	      .reply = r->ask->texts.at[i], .peer = r->ask->peer, .attempts = after->attempts,
	      .next_us = is_pending ? (uint64_t)after->next_us : 0);
	if (is_pending && after->state == QUEUE_WAITING)
		sites_note(store->queue->sites, after->destination, after->flow, after->next_us, 0);
}

static void tell_site(struct store *store, struct str name, const char *what, int64_t until_us,
		      struct str reply)
{
	TRACE(store->trace, 0, 0, site, .destination = name, .what = str_of(what),
	      .until_us = (uint64_t)until_us, .reply = reply);
}

/* A site that nobody answered for rests as a whole: its messages are not tried one after the other. */
static void judge_site(struct store *store, const struct reporting *r, struct site *site)
{
	struct sites *sites = store->queue->sites;
	struct str reply = r->ask->texts.count ? r->ask->texts.at[0] : S("");
	int64_t until_us;

	if (!r->ask->numbers.count)
		return; /* nobody was sent to, so nothing is known of the place */
	if (!r->ask->site_down) {
		site_speed(site, (size_t)r->config->relay_site_connections);
		sites_resume(sites, site);
		return;
	}
	site_slow(site);
	/* Others of the same minute say the same: one failure is counted for all of them. */
	if (site_paused_until(site) > r->now_us)
		return;
	until_us = r->now_us + queue_backoff_us(r->config, sites_fail(sites, site), r->chance);
	tell_site(store, site_name(site), "paused", until_us, reply);
	sites_pause(sites, site, until_us, reply);
}

static void tell_report(struct store *store, struct reporting *r)
{
	struct queue *queue = store->queue;
	struct queue_lease *lease = queue_lease_find(queue, r->ask->lease);
	size_t count = r->ask->numbers.count;

	for (size_t i = 0; r->is_known && i < count; i++)
		tell_row(store, r, i);
	if (lease) {
		if (r->left_out)
			sites_note(queue->sites, site_name(lease->site), r->flow, r->now_us, 1);
		judge_site(store, r, lease->site);
		queue_lease_end(queue, lease);
	}
	notices_tell(&r->failed, r->message.id);
	notices_tell(&r->done, r->message.id);
	waitq_wake_one(&queue->due);
}

/* By the clock that does not jump; nothing of one that was given back. */
static int64_t lease_left_us(struct queue *queue, uint64_t lease)
{
	const struct queue_lease *known = queue_lease_find(queue, lease);

	return known && known->ends > now() ? known->ends - now() : 0;
}

static enum err check_report(const struct ask_queue_report *ask)
{
	size_t count = ask->numbers.count;

	if (ask->results.count != count || ask->codes.count != count ||
	    ask->notifies.count != count || ask->enhanced.count != count ||
	    ask->texts.count != count)
		return fault(ERR_PROTOCOL, "a report that does not say all of each recipient");
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (ask->numbers.at[i] == ask->numbers.at[j])
				return fault(ERR_PROTOCOL, "a recipient is reported twice");
	return ask->lease ? OK : fault(ERR_PROTOCOL, "a report without a lease");
}

enum err store_queue_report(struct peer *peer, const struct ask_queue_report *ask,
			    struct answer_queue_report *answer) WAITS
{
	struct store *store = peer->store;
	struct reporting r = { .job.run = run_report, .ask = ask };
	enum err err = check_report(ask);

	if (err)
		return err;
	r.config = config_ref(store->config);
	r.now_us = wall_us();
	r.lease_left_us = lease_left_us(store->queue, ask->lease);
	r.chance = random_u64();
	notices_init(&r.failed, store);
	notices_init(&r.done, store);
	err = store_commit(store, &r.job);
	if (!err) {
		tell_report(store, &r);
		for (size_t i = 0; r.is_known && i < ask->numbers.count; i++)
			answer->noted += r.rows[i].is_noted;
	}
	notices_done(&r.failed);
	notices_done(&r.done);
	arena_drop(&r.arena);
	config_unref(&r.config);
	return err;
}
