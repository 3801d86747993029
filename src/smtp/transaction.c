/* SPDX-License-Identifier: Apache-2.0 */
/* MAIL, RCPT, VRFY, EXPN: whose mail, for whom, and may it be. */
#include "smtp/session.h"

/* An address that guessed so many times the limit of a session is as if it went on guessing. */
enum { ASK_MS = 10'000, ROOM_MS = 1000, BLAMED_FACTOR = 10 };

void smtp_forget(struct smtp_session *s)
{
	smtp_envelope_reset(s);
	if (s->state != SMTP_FRESH)
		smtp_set_state(s, SMTP_READY);
}

/* ---- MAIL ---- */

/* Is the disk able to take it? Asked once a second at most while the answer is yes. */
static struct smtp_reply room_rule(struct smtp_session *s, uint64_t size) WAITS
{
	struct smtp_room *room = &s->service->room;
	struct answer_room answer;
	enum err err;

	if (now() < room->until && size <= room->size)
		return (struct smtp_reply){ 0 };
	err = call_room(s->service->store, &(struct ask_room){ .size = size }, &s->arena, &answer,
			in_ms(ASK_MS));
	if (err) {
		smtp_trace_trouble(s, err, "asking for room");
		return smtp_reply(SMTP_REPLY_unavailable);
	}
	if (!answer.enough) {
		smtp_trace_policy(s, "disk_floor", "defer", S("not enough free space"));
		return smtp_reply(SMTP_REPLY_disk_full);
	}
	*room = (struct smtp_room){ .size = size, .until = in_ms(ROOM_MS) };
	return (struct smtp_reply){ 0 };
}

/* ---- who may relay ---- */

bool smtp_is_relay_client(const struct smtp_session *s)
{
	return s->service->may_relay && s->service->may_relay(s->service->gate, conn_peer(s->conn));
}

struct str smtp_client_address(struct smtp_session *s)
{
	const struct addr *peer = conn_peer(s->conn);
	char ip[ADDR_TEXT];

	if (peer->family != ADDR_IPV4 && peer->family != ADDR_IPV6)
		return S("");
	addr_print_ip(peer, ip);
	return str_dup(&s->arena, str_of(ip));
}

struct strs smtp_certificate(struct smtp_session *s)
{
	struct str *names;

	if (!s->listener->client_certificates || !conn_is_tls(s->conn))
		return (struct strs){ 0 };
	names = NEW_ARRAY(&s->arena, struct str, LIMIT_certificate_names);
	return (struct strs){ names, conn_certificate_names(s->conn, &s->arena, names,
							    LIMIT_certificate_names) };
}

void smtp_trace_certificate(struct smtp_session *s)
{
	struct strs names = smtp_certificate(s);
	struct str text = S("");
	char subject[256];

	if (!names.count || !conn_certificate_subject(s->conn, subject, sizeof(subject)))
		return;
	for (size_t i = 0; i < names.count; i++)
		text = str_print(&s->arena, "%.*s %.*s", STR_ARGS(text), STR_ARGS(names.at[i]));
	/* With its fingerprint alone nobody vouches for the rest. */
	smtp_trace_policy(s, "client_certificates", "accept",
			  str_print(&s->arena, "subject %s proves%.*s", subject, STR_ARGS(text)));
}

/*
 * rfc6409 6.1: who signed in sends as himself. The null sender is anybody's (rfc6522 reports). Where
 * other servers' mail comes in, a sender is refused only when it would go out again: at RCPT.
 */
static struct smtp_reply sender_rule(struct smtp_session *s, struct str sender) WAITS
{
	struct answer_may_send answer;
	enum err err;

	if (!s->is_signed_in && s->listener->kind != PROTOCOL_SUBMISSION)
		return (struct smtp_reply){ 0 };
	if (s->is_signed_in && sender.len == 0)
		return (struct smtp_reply){ 0 };
	/* auth = offered: he has our own domains to write to. */
	if (!s->is_signed_in && !smtp_is_relay_client(s) && !smtp_certificate(s).count)
		return (struct smtp_reply){ 0 };
	err = call_may_send(s->service->store,
			    &(struct ask_may_send){
				    .account = s->is_signed_in ? s->account_handle : 0,
				    .sender = sender,
				    .client = smtp_client_address(s),
				    .certificate = smtp_certificate(s),
			    },
			    &s->arena, &answer, in_ms(ASK_MS));
	if (err) {
		smtp_trace_trouble(s, err, "asking for the sender's right");
		return smtp_reply(SMTP_REPLY_unavailable);
	}
	smtp_trace_listed(
		s, "sender", answer.allowed ? "accept" : "refuse",
		str_print(&s->arena, "<%.*s>: %.*s", STR_ARGS(sender), STR_ARGS(answer.why)));
	if (answer.allowed)
		return (struct smtp_reply){ 0 };
	if (s->is_signed_in)
		return smtp_reply(SMTP_REPLY_not_your_address);
	/* A certificate that is listed nowhere is none. */
	return answer.listed ? smtp_reply(SMTP_REPLY_relay_sender) : smtp_entry_rule(s);
}

static struct smtp_reply size_rule(struct smtp_session *s, const struct smtp_command *command)
{
	if (!command->has_size || command->size <= s->config->message_size_max)
		return (struct smtp_reply){ 0 };
	smtp_trace_policy(s, "message_size_max", "refuse", S("SIZE= says too much"));
	return smtp_too_large(s); /* rfc1870 6.1 */
}

enum err smtp_run_mail(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	struct smtp_reply refused = { 0 };
	struct str sender = S("");

	if (!command->is_null)
		sender = address_print(&s->arena, &command->address);
	/* With a certificate the store says whether he need sign in. */
	if (!smtp_certificate(s).count)
		refused = smtp_entry_rule(s);
	if (!refused.code)
		refused = size_rule(s, command);
	if (!refused.code)
		refused = sender_rule(s, sender);
	if (!refused.code)
		refused = room_rule(s, command->has_size ? command->size : 0);
	if (refused.code)
		return smtp_say(s, refused);
	smtp_envelope_reset(s);
	s->envelope.sender = str_dup(&s->envelope.arena, sender);
	s->envelope.body = command->body;
	s->envelope.is_utf8 = command->wants_utf8;
	s->envelope.ret = command->ret;
	s->envelope.envelope_id = str_dup(&s->envelope.arena, command->envelope_id);
	s->envelope.size_said = command->has_size ? command->size : 0;
	smtp_set_state(s, SMTP_MAILING);
	return smtp_say_name(s, SMTP_REPLY_sender_ok);
}

/* ---- RCPT ---- */

static struct smtp_reply not_ours(struct smtp_session *s)
{
	bool is_ours_to_send = s->listener->kind == PROTOCOL_SUBMISSION;

	return smtp_reply(is_ours_to_send ? SMTP_REPLY_no_relay : SMTP_REPLY_relay_denied);
}

static struct smtp_reply verdict_reply(struct smtp_session *s, uint64_t verdict, struct str why)
{
	switch ((enum recipient_verdict)verdict) {
	case RECIPIENT_LOCAL:
	case RECIPIENT_REMOTE:
		return smtp_reply(SMTP_REPLY_recipient_ok);
	case RECIPIENT_UNKNOWN:
		return smtp_reply(SMTP_REPLY_user_unknown);
	case RECIPIENT_NOT_OURS:
		return not_ours(s);
	case RECIPIENT_FULL:
		return smtp_reply(SMTP_REPLY_mailbox_full);
	case RECIPIENT_DISABLED:
		return smtp_reply(SMTP_REPLY_user_disabled);
	case RECIPIENT_LOOP:
		return smtp_reply(SMTP_REPLY_recipient_loop);
	case RECIPIENT_SENDER:
		return smtp_reply(SMTP_REPLY_relay_sender);
	case RECIPIENT_RATE:
		return smtp_reply_with(&s->arena, SMTP_REPLY_relay_rate, why);
	}
	return smtp_reply(SMTP_REPLY_unavailable);
}

static struct str recipient_text(struct smtp_session *s, const struct smtp_command *command)
{
	/* rfc5321 4.5.1: "postmaster" alone; the store knows whose he is. */
	return command->is_postmaster ? S("postmaster")
				      : address_print(&s->arena, &command->address);
}

static struct smtp_reply ask_recipient(struct smtp_session *s, struct str recipient,
				       uint64_t *verdict, struct str *why) WAITS
{
	struct answer_recipient answer;
	enum err err = call_recipient(s->service->store,
				      &(struct ask_recipient){
					      .address = recipient,
					      .size = s->envelope.size_said,
					      .create = s->config->catch_all,
					      .account = s->is_signed_in ? s->account_handle : 0,
					      .sender = s->envelope.sender,
					      .client = smtp_client_address(s),
					      .certificate = smtp_certificate(s),
					      .pending = s->envelope.remote_count,
				      },
				      &s->arena, &answer, in_ms(ASK_MS));

	if (err) {
		smtp_trace_trouble(s, err, "asking about a recipient");
		return smtp_reply(SMTP_REPLY_unavailable);
	}
	*verdict = answer.verdict;
	*why = answer.why;
	return verdict_reply(s, answer.verdict, answer.why);
}

/* Who tries names gets to know less and less, and slower (behaviour 56). */
static enum err later(struct smtp_session *s) WAITS
{
	enum err err;

	smtp_trace_policy(s, "unknown_recipients_max", "defer", S("too many unknown recipients"));
	s->envelope.refused++;
	if (smtp_idles_too_long(s))
		return smtp_say_idles(s);
	err = smtp_slow_down(s);
	return err ? err : smtp_say_name(s, SMTP_REPLY_recipients_later);
}

/* This session's guesses, and those that its address is remembered for. */
static bool is_guessing(const struct smtp_session *s)
{
	uint64_t max = s->config->unknown_recipients_max;

	return s->unknown >= max ||
	       (s->service->caps &&
		caps_blamed(s->service->caps, conn_peer(s->conn)) >= BLAMED_FACTOR * max);
}

static void note_unknown(struct smtp_session *s)
{
	s->unknown++;
	if (s->service->caps)
		caps_blame(s->service->caps, conn_peer(s->conn), 1);
}

/* An honest client comes again with those that were put off, so that it is let do so; but a list without an end
   moves nothing. */
static enum err put_off(struct smtp_session *s, struct smtp_reply reply) WAITS
{
	if (++s->envelope.excess > LIMIT_recipients_excess && smtp_idles_too_long(s))
		return smtp_say_idles(s);
	return smtp_say(s, reply);
}

/* rfc5321 4.5.3.1.10: the rest is for the next transaction. */
static enum err one_too_many(struct smtp_session *s, struct str recipient) WAITS
{
	smtp_trace_policy(s, "recipients_max", "defer", recipient);
	return put_off(s, smtp_reply(SMTP_REPLY_too_many_recipients));
}

static bool is_elsewhere(uint64_t verdict)
{
	return verdict == RECIPIENT_REMOTE || verdict == RECIPIENT_NOT_OURS ||
	       verdict == RECIPIENT_SENDER || verdict == RECIPIENT_RATE;
}

/* Who decided about mail that would leave again. */
static void trace_relaying(struct smtp_session *s, uint64_t verdict, struct str recipient,
			   struct str why)
{
	const char *said = verdict == RECIPIENT_REMOTE ? "accept"
			   : verdict == RECIPIENT_RATE ? "defer"
						       : "refuse";

	if (!is_elsewhere(verdict) || !why.len)
		return;
	smtp_trace_listed(s, "relay", said,
			  str_print(&s->arena, "<%.*s> to <%.*s>: %.*s",
				    STR_ARGS(s->envelope.sender), STR_ARGS(recipient),
				    STR_ARGS(why)));
}

enum err smtp_run_rcpt(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	uint64_t verdict = RECIPIENT_NOT_OURS;
	struct str recipient = recipient_text(s, command);
	struct str why = S("");
	struct smtp_reply reply;

	if (s->envelope.given_count >= s->config->recipients_max)
		return one_too_many(s, recipient);
	if (is_guessing(s))
		return later(s);
	reply = ask_recipient(s, recipient, &verdict, &why);
	if (verdict == RECIPIENT_UNKNOWN)
		note_unknown(s);
	trace_relaying(s, verdict, recipient, why);
	if (reply.code != 250) {
		s->envelope.refused++;
		return reply.code < 500 ? put_off(s, reply) : smtp_say(s, reply);
	}
	s->envelope.remote_count += verdict == RECIPIENT_REMOTE;
	smtp_envelope_add(&s->envelope, recipient, command);
	smtp_set_state(s, SMTP_ADDRESSED);
	return smtp_say(s, reply);
}

/* ---- VRFY and EXPN ---- */

/* An address as people type it after VRFY: with or without brackets. */
static bool argument_address(struct smtp_session *s, struct str argument, struct str *out)
{
	struct address address;

	if (argument.len > 2 && argument.at[0] == '<' && argument.at[argument.len - 1] == '>')
		argument = str_first(str_from(argument, 1), argument.len - 2);
	if (!address_parse(&s->arena, argument, false, &address))
		return false;
	*out = address_print(&s->arena, &address);
	return true;
}

/* By default everybody gets the same answer: nothing is to be learned here (rfc5321 7.3). */
enum err smtp_run_vrfy(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	uint64_t verdict = RECIPIENT_NOT_OURS;
	struct smtp_reply refused = smtp_entry_rule(s);
	struct smtp_reply reply;
	struct str address;
	struct str why;

	if (refused.code)
		return smtp_say(s, refused);
	if (listener_without(s->listener, "VRFY"))
		return smtp_say(s, smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("VRFY")));
	if (!s->listener->vrfy || !argument_address(s, command->argument, &address))
		return smtp_say_name(s, SMTP_REPLY_cannot_verify);
	reply = ask_recipient(s, address, &verdict, &why);
	if (verdict == RECIPIENT_UNKNOWN)
		note_unknown(s);
	if (is_elsewhere(verdict) && reply.code != 451)
		reply = smtp_reply(SMTP_REPLY_cannot_verify);
	else if (reply.code == 250)
		reply = smtp_reply_with(&s->arena, SMTP_REPLY_verified, address);
	return smtp_say(s, reply);
}

/* rfc5321 3.5.2: a line for each of the list; an account is a list of one. */
static struct smtp_reply list_reply(struct smtp_session *s, struct str address) WAITS
{
	OWNED(buf) struct buf text = BUF(LIMIT_alias_targets * (LIMIT_address + 4));
	struct answer_expand answer;
	enum err err = call_expand(
		s->service->store,
		&(struct ask_expand){ .address = address, .account = s->account_handle }, &s->arena,
		&answer, in_ms(ASK_MS));

	if (err) {
		smtp_trace_trouble(s, err, "asking who is on a list");
		return smtp_reply(SMTP_REPLY_unavailable);
	}
	if (!answer.targets.count)
		return smtp_reply(SMTP_REPLY_cannot_verify);
	for (size_t i = 0; i < answer.targets.count; i++)
		buf_print(&text, "%s%.*s", i ? ">\n<" : "", STR_ARGS(answer.targets.at[i]));
	return smtp_reply_with(&s->arena, SMTP_REPLY_verified, buf_str(&text));
}

/* For who signed in, where the listener allows it. */
enum err smtp_run_expn(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	uint64_t verdict = RECIPIENT_NOT_OURS;
	struct smtp_reply reply;
	struct str address;
	struct str why = S("");

	if (!s->listener->expn || !s->is_signed_in)
		return smtp_say(s, smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("EXPN")));
	if (!argument_address(s, command->argument, &address))
		return smtp_say_name(s, SMTP_REPLY_bad_recipient);
	reply = ask_recipient(s, address, &verdict, &why);
	if (is_elsewhere(verdict) && reply.code != 451)
		reply = smtp_reply(SMTP_REPLY_cannot_verify);
	else if (reply.code == 250 && str_is(why, S("account")))
		reply = smtp_reply_with(&s->arena, SMTP_REPLY_verified, address);
	else if (reply.code == 250)
		reply = list_reply(s, address);
	return smtp_say(s, reply);
}
