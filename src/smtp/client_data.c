/* SPDX-License-Identifier: Apache-2.0 */
/* The message itself: DATA with dots doubled, or BDAT; and the replies to its end. */
#include "smtp/client_session.h"

/* Of one BDAT: a server that will not have the message can say so after each. */
enum { CHUNK = 1 << 20, BLOCK = 65536 };

static enum err write_block(struct smtp_client *client, struct str octets) WAITS
{
	enum err err = OK;

	/* rfc5321 4.5.3.2.5: the time is that of a block, not of the message. */
	while (!err && octets.len > 0) {
		err = conn_write(client->conn, str_first(octets, BLOCK),
				 client_deadline(client, client->times.block_ms));
		octets = str_from(octets, BLOCK);
	}
	return err;
}

static void trace_data(const struct transaction *transaction, const char *how, size_t octets,
		       size_t total, moment began)
{
	const struct smtp_client *client = transaction->client;

	TRACE(client->options.trace, client->options.session, client_trace_flags(client), data,
	      .how = str_of(how), .octets = octets, .total = total,
	      .last = total == transaction->sending->octets.len, .us = (uint64_t)(now() - began));
}

/* ---- the replies to the end of the message ---- */

/* A refusal, or delivered. What is neither leaves open what became of the message. */
static enum err hear_end(struct transaction *transaction, enum smtp_verb verb,
			 struct smtp_said *said) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err = client_hear(client, verb, client->times.end_ms, &reply);

	if (err)
		return err;
	*said = client_said(reply);
	return reply.code / 100 == 3 ? client_misheard(client, &reply, "in answer to the message")
				     : OK;
}

/* rfc2033 4.2: one for each recipient that was accepted, in their order. */
static enum err hear_end_for_each(struct transaction *transaction, enum smtp_verb verb) WAITS
{
	const struct smtp_sending *sending = transaction->sending;
	bool is_kept = false;
	struct smtp_said said;
	enum err err = OK;

	for (size_t i = 0; !err && i < sending->count; i++) {
		if (!is_waiting(&sending->said[i]))
			continue;
		err = hear_end(transaction, verb, &said);
		if (!err)
			client_settle(transaction, i, said);
		is_kept = is_kept || (!err && said.result == SMTP_SENT);
		/* Nothing comes behind a 421, and it speaks of the others as little. */
		if (!transaction->client->is_open)
			break;
	}
	transaction->client->messages += is_kept;
	return err;
}

static enum err hear_verdict(struct transaction *transaction, enum smtp_verb verb) WAITS
{
	struct smtp_said said;
	enum err err;

	transaction->is_sent = true;
	if (transaction->client->options.is_lmtp)
		return hear_end_for_each(transaction, verb);
	err = hear_end(transaction, verb, &said);
	if (err)
		return err;
	transaction->client->messages += said.result == SMTP_SENT;
	client_settle_all(transaction, said);
	return OK;
}

/* ---- DATA ---- */

static enum err write_text(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct dot_writer writer = { 0 };
	struct str rest = transaction->sending->octets;
	moment began = now();
	struct str piece;
	enum err err = OK;

	while (!err && dot_write(&writer, &rest, &piece))
		err = write_block(client, piece);
	if (!err)
		err = conn_write(client->conn, dot_write_end(&writer),
				 client_deadline(client, client->times.block_ms));
	if (!err)
		err = conn_flush(client->conn, client_deadline(client, client->times.block_ms));
	if (err)
		return client_lost(client, err, true);
	trace_data(transaction, "DATA", transaction->sending->octets.len,
		   transaction->sending->octets.len, began);
	client->said_at = now();
	return OK;
}

/* rfc2920 3.1: all were refused, and still the server waits for a message. It gets an empty one. */
static enum err say_nothing(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err;

	if (client->options.is_lmtp) /* and how many replies would that get? */
		return client_misheard(client, &transaction->data, "without any recipient");
	err = conn_write(client->conn, S(".\r\n"), client_deadline(client, client->times.block_ms));
	if (err)
		return client_lost(client, err, true);
	return client_hear(client, SMTP_DATA, client->times.end_ms, &reply);
}

static enum err send_text(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	enum err err = OK;

	if (!transaction->was_offered && transaction->waiting > 0)
		err = client_ask(client, SMTP_DATA, S("DATA"), client->times.data_ms,
				 &transaction->data);
	if (err || !client->is_open)
		return err;
	client->needs_reset = true;
	if (transaction->data.code == 0) /* nobody is left, and nothing was said */
		return OK;
	if (smtp_reply_is_error(&transaction->data)) {
		client_settle_all(transaction, client_said(transaction->data));
		return OK;
	}
	if (transaction->data.code / 100 != 3)
		return client_misheard(client, &transaction->data, "in answer to DATA");
	client->needs_reset = false;
	if (transaction->waiting == 0)
		return say_nothing(transaction);
	err = write_text(transaction);
	return err ? err : hear_verdict(transaction, SMTP_DATA);
}

/* ---- BDAT (rfc3030) ---- */

static enum err say_chunk(struct transaction *transaction, struct str chunk, size_t done,
			  bool is_last) WAITS
{
	struct smtp_client *client = transaction->client;
	moment began = now();
	enum err err = client_say(
		client, SMTP_BDAT,
		str_print(&client->scratch, "BDAT %zu%s", chunk.len, is_last ? " LAST" : ""));

	if (err)
		return err;
	err = write_block(client, chunk);
	if (!err)
		err = conn_flush(client->conn, client_deadline(client, client->times.block_ms));
	if (err)
		return client_lost(client, err, true);
	trace_data(transaction, "BDAT", chunk.len, done + chunk.len, began);
	client->said_at = now();
	return OK;
}

static enum err hear_chunk(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err = client_hear(client, SMTP_BDAT, client->times.end_ms, &reply);

	if (err)
		return err;
	if (smtp_reply_is_error(&reply))
		client_settle_all(transaction, client_said(reply));
	else if (reply.code / 100 != 2)
		return client_misheard(client, &reply, "in answer to BDAT");
	return OK;
}

static enum err send_chunks(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct str octets = transaction->sending->octets;
	unsigned messages = client->messages;
	size_t done = 0;
	bool is_last = false;
	enum err err = OK;

	while (!err && !is_last && client->is_open && transaction->waiting > 0) {
		struct str chunk = str_first(str_from(octets, done), CHUNK);

		is_last = done + chunk.len == octets.len;
		err = say_chunk(transaction, chunk, done, is_last);
		done += chunk.len;
		if (!err)
			err = is_last ? hear_verdict(transaction, SMTP_BDAT)
				      : hear_chunk(transaction);
	}
	/* rfc3030 2: after a refused chunk nothing is certain but RSET. */
	client->needs_reset = client->messages == messages;
	return err;
}

enum err client_data(struct transaction *transaction) WAITS
{
	return transaction->is_by_chunks ? send_chunks(transaction) : send_text(transaction);
}
