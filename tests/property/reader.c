/* SPDX-License-Identifier: Apache-2.0 */
#include "actors.h"

enum { PAUSE_MS = 8000, MESSAGE_MAX = 400000, DROP_MAX = LEDGER_MESSAGES };

struct reader {
	const struct actor *actor;
	struct talk talk;
	size_t account;
	uint64_t count; /* of the maildrop */
	struct ledger_message *marked[DROP_MAX];
	size_t marked_count;
	bool seen[LEDGER_MESSAGES];
	bool deletes;
};

static bool sign_in(struct reader *r) WAITS
{
	struct talk *talk = &r->talk;
	struct str rest;
	struct scan scan;

	if (!talk_status(talk, NULL) || !talk->is_ok)
		return false;
	if (!talk_line(talk, "USER %s", scene_accounts[r->account]) || !talk_status(talk, NULL))
		return false;
	if (!talk_line(talk, "PASS secret") || !talk_status(talk, NULL) || !talk->is_ok)
		return false;
	if (!talk_line(talk, "STAT") || !talk_status(talk, &rest) || !talk->is_ok)
		return false;
	scan = scan_of(rest);
	if (!take_number(&scan, DROP_MAX, &r->count))
		ledger_broken(talk->ledger, "STAT was answered %.*s", STR_ARGS(rest));
	return !talk->ledger->failure[0];
}

/* The message, or NULL when it could not be read now. */
static struct ledger_message *retrieve(struct reader *r, uint64_t number) WAITS
{
	OWNED(buf) struct buf text = BUF(MESSAGE_MAX);
	struct ledger *ledger = r->talk.ledger;
	struct ledger_message *message;

	if (!talk_line(&r->talk, "RETR %llu", (unsigned long long)number) ||
	    !talk_status(&r->talk, NULL) || !r->talk.is_ok || !talk_text(&r->talk, &text))
		return NULL;
	message = ledger_recognise(ledger, r->account, buf_str(&text));
	if (!message)
		return NULL;
	if (r->seen[message->number - 1])
		ledger_broken(ledger, "message %u is twice with %s", message->number,
			      scene_accounts[r->account]);
	r->seen[message->number - 1] = true;
	return message;
}

static void delete_message(struct reader *r, uint64_t number, struct ledger_message *message) WAITS
{
	if (talk_line(&r->talk, "DELE %llu", (unsigned long long)number) &&
	    talk_status(&r->talk, NULL) && r->talk.is_ok)
		r->marked[r->marked_count++] = message;
}

/* Only here is anything deleted. */
static void quit(struct reader *r) WAITS
{
	bool sent = talk_line(&r->talk, "QUIT");
	bool certain;

	if (sent && chance(10) == 0) {
		(void)!conn_flush(r->talk.conn, in_ms(1000));
		talk_cut(&r->talk);
	}
	certain = talk_status(&r->talk, NULL) && r->talk.is_ok;
	for (size_t i = 0; i < r->marked_count; i++) {
		struct ledger_copy *copy = &r->marked[i]->copies[r->account];

		copy->deleted |= certain;
		copy->maybe_deleted |= !certain;
		r->talk.ledger->deletions += certain;
	}
}

static void hold_session(struct reader *r) WAITS
{
	struct talk *talk = &r->talk;

	if (!sign_in(r))
		return;
	for (uint64_t i = 1; i <= r->count && !talk->is_over && !talk->ledger->failure[0]; i++) {
		struct ledger_message *message = retrieve(r, i);

		if (message && r->deletes && chance(2))
			delete_message(r, i, message);
	}
	if (r->deletes && chance(10) == 0 && talk_line(talk, "RSET") && talk_status(talk, NULL) &&
	    talk->is_ok)
		r->marked_count = 0;
	if (!talk->is_over && (!r->deletes || chance(4)))
		quit(r);
}

void actor_reads(void *arg) WAITS
{
	const struct actor *actor = arg;

	for (unsigned i = 0; i < actor->sessions && !actor->ledger->failure[0]; i++) {
		struct reader reader = { .actor = actor, .deletes = true };

		if (fiber_sleep(in_ms((int64_t)chance(PAUSE_MS))))
			return;
		reader.account = chance(SCENE_ACCOUNTS);
		if (!talk_open(&reader.talk, actor->ledger, &actor->server, &actor->from))
			continue;
		hold_session(&reader);
		talk_close(&reader.talk);
	}
}

enum err read_whole_mailbox(const struct actor *actor, size_t account) WAITS
{
	static const struct sim_link clean;
	struct reader reader = { .actor = actor, .account = account };
	struct talk *talk = &reader.talk;
	uint64_t read = 0;

	*talk = (struct talk){ .ledger = actor->ledger };
	sim_set_link(world_here(), &clean);
	if (stream_connect(&actor->server, in_ms(1000), &talk->stream))
		return ERR_REFUSED;
	talk->conn = conn_new(talk->stream);
	if (sign_in(&reader)) {
		for (uint64_t i = 1; i <= reader.count && !talk->is_over; i++) {
			struct ledger_message *message = retrieve(&reader, i);

			if (message)
				message->copies[account].found++;
			read += message != NULL;
		}
		quit(&reader);
	} else {
		read = UINT64_MAX;
	}
	talk_close(talk);
	return read == reader.count ? OK
				    : fault(ERR_PROTOCOL, "%s could not be read to its end",
					    scene_accounts[account]);
}
