/* SPDX-License-Identifier: Apache-2.0 */
/* BDAT (rfc3030): the message in counted chunks. The octets come whatever we think of them. */
#include "smtp/session.h"

enum { EATEN_MAX = 64 << 20, EATING_MS = 30'000 };

/*
 * The octets of a chunk that nobody wants: read, so that none of them is taken for a command. No slower
 * than a message may come.
 */
static enum err eat(struct smtp_session *s, uint64_t octets) WAITS
{
	uint64_t rate = s->config->data_rate_min;
	moment deadline = rate ? in_ms(EATING_MS + (int64_t)(octets / rate * 1000)) : NEVER;
	enum err err = OK;

	while (octets > 0) {
		size_t there = conn_input(s->conn).len;
		size_t part = there < octets ? there : (size_t)octets;

		conn_take(s->conn, part);
		octets -= part;
		if (octets > 0)
			err = conn_fill(s->conn, sooner(deadline, smtp_patience(s)));
		if (err)
			return err;
	}
	return OK;
}

/* Refused, and the transaction with it: a message with a hole is no message (rfc3030 2). */
static enum err refuse_chunk(struct smtp_session *s, const struct smtp_command *command,
			     struct smtp_reply refused) WAITS
{
	enum err err;

	/* The most that a refused client may make us read; more, and the connection is not worth it. */
	if (command->octets > EATEN_MAX + s->config->message_size_max)
		return smtp_say_last(s, refused, "refused");
	err = eat(s, command->octets);
	if (!err && command->is_last && s->state == SMTP_CHUNKING)
		err = smtp_say_for_all(s, refused);
	else if (!err)
		err = smtp_say(s, refused);
	if (s->envelope.message)
		smtp_forget(s);
	return err;
}

static void add_part(struct smtp_session *s, struct str part)
{
	struct dot_reader *reader = &s->envelope.message->reader;
	struct str piece;

	if (s->envelope.body == SMTP_BODY_BINARYMIME) {
		smtp_message_add(s, part);
		return;
	}
	while (dot_read(reader, &part, &piece))
		smtp_message_add(s, piece);
}

static enum err read_chunk(struct smtp_session *s, uint64_t octets) WAITS
{
	enum err err = OK;

	for (;;) {
		struct str part = str_first(conn_input(s->conn),
					    octets < SIZE_MAX ? (size_t)octets : SIZE_MAX);

		add_part(s, part);
		conn_take(s->conn, part.len);
		s->envelope.message->came += part.len;
		octets -= part.len;
		if (octets == 0)
			return OK;
		err = smtp_data_fill(s);
		if (err)
			return err;
	}
}

static void trace_chunk(struct smtp_session *s, const struct smtp_command *command, moment began)
{
	const struct message *message = s->envelope.message;

	TRACE(s->service->trace, s->id, smtp_trace_flags(s), data, .how = S("BDAT"),
	      .octets = command->octets, .total = message->octets, .last = command->is_last,
	      .us = (uint64_t)(now() - began));
}

static struct smtp_reply chunk_ok(struct smtp_session *s, const struct smtp_command *command)
{
	return smtp_reply_with(&s->arena, SMTP_REPLY_chunk_ok,
			       str_print(&s->arena, "%llu", (unsigned long long)command->octets));
}

/* A chunk that cannot fit is refused by its size alone, before it comes. */
static bool is_past_size(const struct smtp_session *s, const struct smtp_command *command)
{
	uint64_t so_far = s->envelope.message ? s->envelope.message->octets : 0;

	return command->octets > s->config->message_size_max - so_far;
}

static enum err take_chunk(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	moment began = now();
	struct smtp_reply refused;
	enum err err;

	if (!s->envelope.message) {
		smtp_message_begin(s);
		s->envelope.message->reader.keeps_dots = true;
	}
	smtp_set_state(s, SMTP_CHUNKING);
	if (is_past_size(s, command)) {
		s->envelope.message->is_too_large = true;
		return refuse_chunk(s, command, smtp_message_judge(s));
	}
	err = read_chunk(s, command->octets);
	if (err)
		return err;
	if (command->is_last && s->envelope.body != SMTP_BODY_BINARYMIME)
		smtp_message_add(s, dot_read_end(&s->envelope.message->reader));
	s->heard = now();
	trace_chunk(s, command, began);
	refused = smtp_message_judge(s);
	if (refused.code) {
		struct smtp_command eaten = { .is_last = command->is_last };

		return refuse_chunk(s, &eaten, refused);
	}
	return command->is_last ? smtp_accept(s) : smtp_say(s, chunk_ok(s, command));
}

enum err smtp_run_bdat(struct smtp_session *s, const struct smtp_command *command,
		       struct smtp_reply refused) WAITS
{
	if (!refused.code)
		refused = smtp_entry_rule(s);
	if (!refused.code && !(smtp_offered(s) & SMTP_EXT_CHUNKING))
		refused = smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("BDAT"));
	if (refused.code)
		return refuse_chunk(s, command, refused);
	return take_chunk(s, command);
}
