/* SPDX-License-Identifier: Apache-2.0 */
/* DATA (rfc5321 4.1.1.4): text up to the line of one dot. */
#include "smtp/session.h"

/* A message refused for its size is read on, to find its end; but not for ever. */
enum { PATIENCE_FACTOR = 2, PATIENCE_LEAST = 16 << 20 };

static void trace_data(struct smtp_session *s)
{
	const struct message *message = s->envelope.message;

	TRACE(s->service->trace, s->id, smtp_trace_flags(s), data, .how = S("DATA"),
	      .octets = message->reader.octets, .total = message->reader.octets, .last = 1,
	      .unstuffed = message->reader.unstuffed,
	      .us = (uint64_t)(message->last_octet - message->started));
}

/* All that is there; what follows the end stays for the next command. */
static void take_input(struct smtp_session *s)
{
	struct message *message = s->envelope.message;
	struct str in = conn_input(s->conn);
	size_t before = in.len;
	struct str piece;

	while (dot_read(&message->reader, &in, &piece))
		smtp_message_add(s, piece);
	conn_take(s->conn, before - in.len);
	message->came += before - in.len;
}

static bool is_past_patience(const struct smtp_session *s)
{
	uint64_t patience = s->config->message_size_max * PATIENCE_FACTOR;

	if (patience < PATIENCE_LEAST)
		patience = PATIENCE_LEAST;
	return s->envelope.message->reader.octets > patience;
}

static enum err read_to_the_dot(struct smtp_session *s) WAITS
{
	struct message *message = s->envelope.message;
	enum err err = OK;

	for (;;) {
		take_input(s);
		if (dot_read_ended(&message->reader))
			return OK;
		if (is_past_patience(s)) {
			err = smtp_say_last(s, smtp_message_judge(s), "refused");
			return err ? err : ERR_CLOSED;
		}
		err = smtp_data_fill(s);
		if (err)
			return err;
	}
}

static struct smtp_reply data_rule(struct smtp_session *s)
{
	struct smtp_reply refused = smtp_entry_rule(s);

	if (refused.code)
		return refused;
	/* rfc3030 3: a BINARYMIME message has no lines, so no line of one dot can end it. */
	if (s->envelope.body == SMTP_BODY_BINARYMIME)
		return smtp_reply(SMTP_REPLY_binary_needs_chunks);
	return refused;
}

enum err smtp_run_data(struct smtp_session *s) WAITS
{
	struct smtp_reply refused = data_rule(s);
	enum err err;

	if (refused.code)
		return smtp_say(s, refused);
	smtp_message_begin(s);
	err = smtp_say_name(s, SMTP_REPLY_data_go);
	if (!err)
		err = read_to_the_dot(s);
	if (err)
		return err;
	s->heard = s->envelope.message->last_octet;
	trace_data(s);
	refused = smtp_message_judge(s);
	if (!refused.code)
		return smtp_accept(s);
	err = smtp_say_for_all(s, refused);
	smtp_forget(s);
	return err;
}
