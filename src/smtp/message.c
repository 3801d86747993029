/* SPDX-License-Identifier: Apache-2.0 */
/* The data of one message on its way in: our Received line, then the client's octets. */
#include "smtp/session.h"

enum { RECEIVED_MAX = 4096, GRACE_MS = 30'000 };

/* rfc3848, rfc6531 3.7.3: ESMTP + S for TLS + A for a sign-in, after what the client said. */
static struct str with_keyword(struct smtp_session *s)
{
	const char *base = s->is_lmtp ? "LMTP" : s->is_extended ? "ESMTP" : "SMTP";

	if (s->envelope.is_utf8)
		base = s->is_lmtp ? "UTF8LMTP" : "UTF8SMTP";
	if (!s->is_extended)
		return str_of(base);
	return str_print(&s->arena, "%s%s%s", base, conn_is_tls(s->conn) ? "S" : "",
			 s->is_signed_in ? "A" : "");
}

/* rfc5321 4.4: one line for this hop. "for" only when there is one recipient: others are not to see it. */
static void add_received(struct smtp_session *s)
{
	OWNED(buf) struct buf line = BUF(RECEIVED_MAX);
	struct envelope *envelope = &s->envelope;
	const struct tls_info *tls = conn_tls(s->conn);
	char id[ID_TEXT + 1];
	struct received received = {
		.from_helo = buf_str(&s->hello),
		.from_addr = *conn_peer(s->conn),
		.by = s->config->hostname,
		.with = with_keyword(s),
		.wall_us = wall_us(),
	};

	id_print(envelope->message->id, id);
	received.id = str_of(id);
	if (envelope->recipient_count == 1)
		received.for_address = envelope->recipients[0];
	if (tls->version)
		received.tls = str_print(&s->arena, "%s %s", tls->version, tls->cipher);
	envelope->message->failure = received_print(&line, &received);
	if (!envelope->message->failure)
		envelope->message->failure = body_write(&envelope->message->writer, buf_str(&line));
}

void smtp_message_begin(struct smtp_session *s)
{
	struct message *message = NEW(&s->envelope.arena, struct message);

	message->id = id_new();
	message->started = message->last_octet = now();
	message->reader.normalise = str_is(s->config->bare_newlines, S("normalise"));
	body_writer_init(&message->writer, s->config->message_size_max + RECEIVED_MAX);
	s->envelope.message = message;
	add_received(s);
}

void smtp_message_drop(struct smtp_session *s)
{
	struct message *message = s->envelope.message;

	if (!message)
		return;
	body_writer_done(&message->writer);
	if (message->held)
		caps_let_go(s->service->caps, conn_peer(s->conn), message->held);
	s->envelope.message = NULL;
}

/* Messages under way lie in memory: not so many that there is none left. */
static enum err hold(struct smtp_session *s, uint64_t octets)
{
	struct message *message = s->envelope.message;

	if (!s->service->caps)
		return OK;
	if (!caps_hold(s->service->caps, conn_peer(s->conn), octets)) {
		smtp_trace_policy(s, "message_memory_max", "defer",
				  S("too much of messages under way"));
		return fault(ERR_FULL, "too much of messages under way");
	}
	message->held += octets;
	return OK;
}

/* Past the limit or after a failure the octets are counted and thrown away. */
void smtp_message_add(struct smtp_session *s, struct str octets)
{
	struct message *message = s->envelope.message;

	if (octets.len > s->config->message_size_max - message->octets)
		message->is_too_large = true;
	if (message->is_too_large || message->failure || octets.len == 0)
		return;
	message->failure = hold(s, octets.len);
	if (!message->failure)
		message->failure = body_write(&message->writer, octets);
	message->octets += octets.len;
}

struct smtp_reply smtp_too_large(struct smtp_session *s)
{
	return smtp_reply_with(
		&s->arena, SMTP_REPLY_too_large,
		str_print(&s->arena, "%llu", (unsigned long long)s->config->message_size_max));
}

static struct smtp_reply too_large(struct smtp_session *s)
{
	smtp_trace_policy(s, "message_size_max", "refuse", S("the message grew past it"));
	return smtp_too_large(s);
}

struct smtp_reply smtp_message_judge(struct smtp_session *s)
{
	struct message *message = s->envelope.message;
	const struct dot_reader *reader = &message->reader;

	if (message->is_too_large)
		return too_large(s);
	if ((reader->has_bare_cr || reader->has_bare_lf) && !reader->normalise) {
		smtp_trace_policy(s, "bare_newlines", "refuse",
				  reader->has_bare_lf ? S("bare LF in the data")
						      : S("bare CR in the data"));
		return smtp_reply(SMTP_REPLY_bare_newline);
	}
	if (reader->line_longest > LIMIT_smtp_text_line &&
	    str_is(s->config->long_lines, S("refuse"))) {
		smtp_trace_policy(s, "long_lines", "refuse", S("a line longer than 998 octets"));
		return smtp_reply(SMTP_REPLY_long_line);
	}
	if (message->failure) {
		smtp_trace_trouble(s, message->failure, "keeping the data");
		return smtp_reply(message->failure == ERR_FULL ? SMTP_REPLY_disk_full
							       : SMTP_REPLY_unavailable);
	}
	return (struct smtp_reply){ 0 };
}

/* How long the client may have been waited for by now, in all. */
static uint64_t due_us(const struct smtp_session *s)
{
	const struct message *message = s->envelope.message;
	uint64_t rate = s->config->data_rate_min;
	uint64_t us = message->came / rate * 1'000'000 + message->came % rate * 1'000'000 / rate;

	return us < GRACE_MS * 1000ull ? GRACE_MS * 1000ull : us;
}

/* The moment at which a sender that says nothing more would be below data_rate_min. */
static moment too_slow_at(const struct smtp_session *s)
{
	if (s->config->data_rate_min == 0)
		return NEVER;
	/* Only time spent waiting for the client counts. */
	return now() + (moment)due_us(s) - s->envelope.message->waited_us;
}

moment smtp_data_deadline(const struct smtp_session *s)
{
	return sooner(too_slow_at(s), smtp_patience(s));
}

enum err smtp_data_waited(struct smtp_session *s, moment since, enum err err) WAITS
{
	struct message *message = s->envelope.message;

	message->waited_us += now() - since;
	if (!err)
		message->last_octet = now();
	if (err != ERR_TIMEOUT || now() < too_slow_at(s))
		return err;
	smtp_trace_policy(s, "data_rate_min", "close", S("the data comes too slowly"));
	err = smtp_say_last(s, smtp_reply_named(s, SMTP_REPLY_data_too_slow), "timeout");
	return err ? err : ERR_CLOSED;
}

enum err smtp_data_fill(struct smtp_session *s) WAITS
{
	moment start = now();

	return smtp_data_waited(s, start, conn_fill(s->conn, smtp_data_deadline(s)));
}
