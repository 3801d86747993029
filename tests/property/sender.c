/* SPDX-License-Identifier: Apache-2.0 */
#include "actors.h"

enum { PAUSE_MS = 3000, CHUNK_MAX = 9000 };

struct sender {
	const struct actor *actor;
	struct talk talk;
	struct ledger_message *message;
	/* The accounts whose RCPT got 250, in that order, each time that it did. */
	size_t taken[SCENE_ACCOUNTS];
	size_t taken_count;
	unsigned store_deaths; /* when the data began to be sent */
};

/* ---- fates ---- */

static struct ledger_copy *copy_of(struct sender *s, size_t i)
{
	return &s->message->copies[s->taken[i]];
}

static void settle_all(struct sender *s, enum fate fate)
{
	for (size_t i = 0; i < s->taken_count; i++)
		if (copy_of(s, i)->fate == FATE_OPEN)
			copy_of(s, i)->fate = fate;
}

/* After the end of the data; no answer: nobody knows. */
static enum fate fate_of(const struct sender *s, bool answered)
{
	if (!answered)
		return FATE_UNKNOWN;
	if (s->talk.code == 250)
		return FATE_ACCEPTED;
	/* The call was under way when the store died: it may have been kept before. */
	return s->store_deaths == s->talk.ledger->store_deaths ? FATE_REFUSED : FATE_UNKNOWN;
}

static void hear_outcome(struct sender *s) WAITS
{
	if (!s->actor->is_lmtp) {
		settle_all(s, fate_of(s, talk_reply(&s->talk)));
		return;
	}
	/* rfc2033 4.2: one for each recipient; 421 speaks for all that are left. */
	for (size_t i = 0; i < s->taken_count; i++) {
		bool answered = s->talk.code == 421 || talk_reply(&s->talk);

		copy_of(s, i)->fate = fate_of(s, answered);
	}
}

/* ---- the envelope ---- */

static void choose_accounts(bool wanted[SCENE_ACCOUNTS])
{
	size_t certain = chance(SCENE_ACCOUNTS);

	for (size_t i = 0; i < SCENE_ACCOUNTS; i++)
		wanted[i] = i == certain || chance(3) == 0;
}

static void note_recipient(struct sender *s, size_t account) WAITS
{
	if (!talk_reply(&s->talk) || s->talk.code != 250)
		return;
	s->taken[s->taken_count++] = account;
	s->message->copies[account].fate = FATE_OPEN;
}

/* MAIL and RCPTs one by one, or all in one go (rfc2920). */
static bool send_envelope(struct sender *s) WAITS
{
	const char *sender =
		s->actor->signs_in ? scene_accounts[0] : (chance(5) ? "walker@client.example" : "");
	struct talk *talk = &s->talk;
	bool pipelines = chance(2);
	bool wanted[SCENE_ACCOUNTS];

	choose_accounts(wanted);
	s->taken_count = 0;
	talk_line(talk, "MAIL FROM:<%s>", sender);
	if (!pipelines && (!talk_reply(talk) || talk->code != 250))
		return false;
	for (size_t i = 0; i < SCENE_ACCOUNTS; i++) {
		if (wanted[i])
			talk_line(talk, "RCPT TO:<%s>", scene_accounts[i]);
		if (wanted[i] && !pipelines)
			note_recipient(s, i);
	}
	if (!pipelines)
		return !talk->is_over && s->taken_count > 0;
	if (!talk_reply(talk))
		return false;
	for (size_t i = 0; i < SCENE_ACCOUNTS; i++)
		if (wanted[i])
			note_recipient(s, i);
	return !talk->is_over && s->taken_count > 0;
}

/* ---- the data ---- */

/* The end was never sent: nothing may be kept. */
static void give_up(struct sender *s) WAITS
{
	settle_all(s, FATE_REFUSED);
	if (chance(2)) {
		(void)!conn_flush(s->talk.conn, in_ms(1000));
		talk_cut(&s->talk);
	} else {
		s->talk.is_over = true;
	}
}

static void send_data(struct sender *s) WAITS
{
	struct talk *talk = &s->talk;
	struct str text = talk_stuffed(&talk->arena, s->message->text);

	if (!talk_line(talk, "DATA") || !talk_reply(talk) || talk->code != 354) {
		settle_all(s, FATE_REFUSED);
		return;
	}
	s->store_deaths = talk->ledger->store_deaths;
	if (chance(12) == 0) {
		talk_send(talk, str_first(text, chance(text.len + 1)));
		give_up(s);
		return;
	}
	if (!talk_send(talk, text)) {
		settle_all(s, FATE_REFUSED);
		return;
	}
	if (talk_send(talk, S(".\r\n")) && chance(15) == 0) {
		(void)!conn_flush(talk->conn, in_ms(1000));
		talk_cut(talk);
	}
	hear_outcome(s);
}

/* One chunk; false when the message has ended with it, settled. */
static bool send_chunk(struct sender *s, struct str chunk, bool is_last) WAITS
{
	struct talk *talk = &s->talk;

	s->store_deaths = talk->ledger->store_deaths;
	if (!talk_line(talk, "BDAT %zu%s", chunk.len, is_last ? " LAST" : "") ||
	    !talk_send(talk, chunk)) {
		/* Not all octets of the chunk were handed to the net, unless it was empty. */
		settle_all(s, is_last && chunk.len == 0 ? FATE_UNKNOWN : FATE_REFUSED);
		return false;
	}
	if (is_last) {
		hear_outcome(s);
		return false;
	}
	if (talk_reply(talk) && talk->code == 250)
		return true;
	settle_all(s, FATE_REFUSED);
	return false;
}

static void send_chunks(struct sender *s) WAITS
{
	struct str rest = s->message->text;
	bool goes_on = true;

	while (goes_on) {
		struct str chunk = str_first(rest, chance(CHUNK_MAX));
		bool is_last = chunk.len == rest.len && chance(2);

		if (chance(30) == 0) {
			give_up(s);
			return;
		}
		if (chance(30) == 0) {
			settle_all(s, FATE_REFUSED);
			(void)!(talk_line(&s->talk, "RSET") && talk_reply(&s->talk));
			return;
		}
		rest = str_from(rest, chunk.len);
		goes_on = send_chunk(s, chunk, is_last);
	}
}

static void send_message(struct sender *s) WAITS
{
	s->message = ledger_message_new(s->talk.ledger);
	arena_reset(&s->talk.arena);
	if (!s->message) {
		s->talk.is_over = true;
		return;
	}
	if (!send_envelope(s)) {
		settle_all(s, FATE_REFUSED);
		if (!s->talk.is_over && talk_line(&s->talk, "RSET"))
			(void)!talk_reply(&s->talk);
		return;
	}
	if (chance(3))
		send_data(s);
	else
		send_chunks(s);
	settle_all(s, FATE_REFUSED);
}

/* ---- the session ---- */

static bool sign_in(struct talk *talk) WAITS
{
	/* \0ann@wire.example\0secret */
	return talk_line(talk, "AUTH PLAIN AGFubkB3aXJlLmV4YW1wbGUAc2VjcmV0") && talk_reply(talk) &&
	       talk->code == 235;
}

static void hold_session(struct sender *s) WAITS
{
	struct talk *talk = &s->talk;

	if (!talk_reply(talk) || talk->code != 220)
		return;
	talk_line(talk, s->actor->is_lmtp ? "LHLO walk.example" : "EHLO walk.example");
	if (!talk_reply(talk) || talk->code != 250)
		return;
	if (s->actor->signs_in && !sign_in(talk))
		return;
	for (uint64_t left = 1 + chance(3); left > 0 && !talk->is_over; left--)
		send_message(s);
	if (!talk->is_over && chance(4) && talk_line(talk, "QUIT"))
		(void)!talk_reply(talk);
}

void actor_sends(void *arg) WAITS
{
	const struct actor *actor = arg;

	for (unsigned i = 0; i < actor->sessions && !actor->ledger->failure[0]; i++) {
		struct sender sender = { .actor = actor };

		if (fiber_sleep(in_ms((int64_t)chance(PAUSE_MS))))
			return;
		if (!talk_open(&sender.talk, actor->ledger, &actor->server, &actor->from))
			continue;
		hold_session(&sender);
		talk_close(&sender.talk);
	}
}
