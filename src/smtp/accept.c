/* SPDX-License-Identifier: Apache-2.0 */
/* After the last octet: the filter looks, the store keeps, and only then the client hears 250. */
#include "smtp/session.h"

static_assert((int)SMTP_NOTIFY_NEVER == (int)DSN_NEVER &&
		      (int)SMTP_NOTIFY_SUCCESS == (int)DSN_SUCCESS &&
		      (int)SMTP_NOTIFY_FAILURE == (int)DSN_FAILURE &&
		      (int)SMTP_NOTIFY_DELAY == (int)DSN_DELAY &&
		      (int)SMTP_RETURN_FULL == (int)DSN_RETURN_FULL &&
		      (int)SMTP_RETURN_HEADERS == (int)DSN_RETURN_HEADERS,
	      "words say it as messages do");

/* rfc5321 4.5.3.2.6: clients wait 10 minutes for this reply. */
enum { INSPECT_MS = 120'000, DELIVER_MS = 240'000 };

static struct strs recipients_of(const struct envelope *envelope)
{
	return (struct strs){ envelope->recipients, envelope->recipient_count };
}

/* A reply made of what the filter said; its words are checked like a stranger's. */
static struct smtp_reply filter_reply(const struct answer_inspect *answer)
{
	bool is_defer = answer->verdict == INSPECT_DEFER;
	unsigned class = is_defer ? 4 : 5;
	struct smtp_reply reply = { (unsigned)answer->code, answer->enhanced, answer->text };

	if (reply.code / 100 != class)
		reply.code = is_defer ? 451 : 554;
	if (reply.enhanced.len == 0 || (unsigned)(reply.enhanced.at[0] - '0') != class)
		reply.enhanced = is_defer ? S("4.7.1") : S("5.7.1");
	if (reply.text.len == 0)
		reply.text = is_defer ? S("Not now") : S("Refused");
	return reply;
}

static struct smtp_reply inspect(struct smtp_session *s, const struct body *body,
				 struct answer_inspect *answer) WAITS
{
	struct envelope *envelope = &s->envelope;
	enum err err;

	err = call_inspect(s->service->filter,
			   &(struct ask_inspect){
				   .message = envelope->message->id,
				   .session = s->id,
				   .client = smtp_client_address(s),
				   .helo = buf_str(&s->hello),
				   .sender = envelope->sender,
				   .recipients = recipients_of(envelope),
				   .signed_in = s->is_signed_in,
				   .body = *body,
			   },
			   &s->arena, answer, in_ms(INSPECT_MS));
	if (err) {
		smtp_trace_trouble(s, err, "asking the filter");
		return smtp_reply(SMTP_REPLY_unavailable);
	}
	if (answer->verdict != INSPECT_ACCEPT)
		return filter_reply(answer);
	return (struct smtp_reply){ 0 };
}

static struct smtp_reply deliver(struct smtp_session *s, const struct body *body,
				 const struct answer_inspect *seen, struct answer_deliver *answer)
	WAITS
{
	struct envelope *envelope = &s->envelope;
	size_t wishes = envelope->has_wishes ? envelope->recipient_count : 0;
	enum err err = call_deliver(s->service->store,
				    &(struct ask_deliver){
					    .message = envelope->message->id,
					    .session = s->id,
					    .sender = envelope->sender,
					    .recipients = recipients_of(envelope),
					    .utf8 = envelope->is_utf8,
					    .structure = seen->structure,
					    .subject = seen->subject,
					    .from = seen->from,
					    .message_id = seen->message_id,
					    .preview = seen->preview,
					    .create = s->config->catch_all,
					    .account = s->is_signed_in ? s->account_handle : 0,
					    .body_type = envelope->body,
					    .envelope_id = envelope->envelope_id,
					    .ret = envelope->ret,
					    .notify = { envelope->notify, wishes },
					    .original = { envelope->originals, wishes },
					    .client = smtp_client_address(s),
					    .certificate = smtp_certificate(s),
					    .body = *body,
				    },
				    &s->arena, answer, in_ms(DELIVER_MS));

	if (!err && answer->outcomes.count != envelope->recipient_count)
		err = fault(ERR_PROTOCOL, "the store answered for %zu of %zu recipients",
			    answer->outcomes.count, envelope->recipient_count);
	if (!err)
		return (struct smtp_reply){ 0 };
	smtp_trace_trouble(s, err, "handing the message to the store");
	s->service->room.until = 0;
	if (err == ERR_FULL)
		return smtp_reply(SMTP_REPLY_disk_full);
	return smtp_reply(err == ERR_QUOTA ? SMTP_REPLY_mailbox_full : SMTP_REPLY_unavailable);
}

static struct smtp_reply outcome_reply(struct smtp_session *s, uint64_t outcome)
{
	char id[ID_TEXT + 1];

	switch ((enum delivery_outcome)outcome) {
	case DELIVERY_DONE:
		id_print(s->envelope.message->id, id);
		return smtp_reply_with(&s->arena, SMTP_REPLY_accepted, str_of(id));
	case DELIVERY_UNKNOWN:
		return smtp_reply(SMTP_REPLY_user_unknown);
	case DELIVERY_FULL:
		return smtp_reply(SMTP_REPLY_mailbox_full);
	case DELIVERY_NOT_OURS:
		return smtp_reply(SMTP_REPLY_relay_denied);
	case DELIVERY_LOOP:
		return smtp_reply(SMTP_REPLY_recipient_loop);
	case DELIVERY_RATE:
		return smtp_reply_with(&s->arena, SMTP_REPLY_relay_rate,
				       S("it was reached meanwhile"));
	}
	return smtp_reply(SMTP_REPLY_unavailable);
}

/*
 * One reply for all recipients (rfc5321 4.5.3.1.10 knows no other). Somebody who could be served at
 * RCPT and cannot be now is rare (an account went, a mailbox filled up meanwhile): then the client
 * hears a failure for now, comes again, and is told at RCPT. Better a copy twice than one lost.
 */
static struct smtp_reply joint_reply(struct smtp_session *s, const struct answer_deliver *answer)
{
	size_t done = 0;
	size_t failed = 0;

	for (size_t i = 0; i < answer->outcomes.count; i++) {
		if (answer->outcomes.at[i] == DELIVERY_DONE)
			done++;
		else
			failed = i;
	}
	if (done == answer->outcomes.count)
		return outcome_reply(s, DELIVERY_DONE);
	if (done > 0)
		return smtp_reply(answer->outcomes.at[failed] == DELIVERY_FULL
					  ? SMTP_REPLY_mailbox_full
					  : SMTP_REPLY_unavailable);
	return outcome_reply(s, answer->outcomes.at[failed]);
}

static struct str joined(struct arena *arena, struct strs list)
{
	OWNED(buf) struct buf text = BUF(LIMIT_trace_text + LIMIT_address + 2);

	for (size_t i = 0; i < list.count && text.len <= LIMIT_trace_text; i++) {
		if (i > 0)
			buf_add_char(&text, ',');
		buf_add(&text, list.at[i]);
	}
	return str_dup(arena, buf_str(&text));
}

static void note_accepted(struct smtp_session *s, const struct answer_inspect *seen)
{
	const struct message *message = s->envelope.message;
	char id[ID_TEXT + 1];
	char peer[ADDR_TEXT];

	s->messages++;
	s->idle_commands = 0;
	if (!s->service->trace)
		return;
	id_print(message->id, id);
	addr_print(conn_peer(s->conn), peer);
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), accept, .message = str_of(id),
	      .sender = s->envelope.sender,
	      .recipients = joined(&s->arena, recipients_of(&s->envelope)),
	      .octets = message->writer.size, .us = (uint64_t)(now() - message->last_octet),
	      .peer = str_of(peer), .subject = seen->subject);
}

/* rfc2033 4.2: a reply for each RCPT that got 250, in their order. */
static enum err say_outcomes(struct smtp_session *s, const struct answer_deliver *answer) WAITS
{
	size_t count = s->envelope.given_count;
	struct smtp_reply *replies = NEW_ARRAY(&s->arena, struct smtp_reply, count);

	for (size_t i = 0; i < count; i++)
		replies[i] = outcome_reply(s, answer->outcomes.at[s->envelope.given[i]]);
	return smtp_say_each(s, replies, count);
}

static bool any_done(const struct answer_deliver *answer)
{
	for (size_t i = 0; i < answer->outcomes.count; i++)
		if (answer->outcomes.at[i] == DELIVERY_DONE)
			return true;
	return false;
}

static enum err hand_over(struct smtp_session *s, const struct body *body) WAITS
{
	struct answer_inspect seen = { 0 };
	struct answer_deliver answer = { 0 };
	struct smtp_reply refused = inspect(s, body, &seen);

	if (!refused.code)
		refused = deliver(s, body, &seen, &answer);
	if (refused.code)
		return smtp_say_for_all(s, refused);
	if (any_done(&answer))
		note_accepted(s, &seen);
	if (s->is_lmtp)
		return say_outcomes(s, &answer);
	return smtp_say(s, joint_reply(s, &answer));
}

enum err smtp_accept(struct smtp_session *s) WAITS
{
	struct body body = BODY_EMPTY;
	enum err err = body_finish(&s->envelope.message->writer, &body);

	if (err) {
		smtp_trace_trouble(s, err, "keeping the data");
		err = smtp_say_for_all(s, smtp_reply(SMTP_REPLY_unavailable));
	} else {
		err = hand_over(s, &body);
	}
	body_done(&body);
	smtp_forget(s);
	return err;
}
