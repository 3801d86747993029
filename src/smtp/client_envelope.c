/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction: MAIL and RCPT, one by one or pipelined, and who hears what in the end. */
#include "smtp/client_session.h"

/* Of one pipelined group: its replies fit in any connection's buffers, so that neither side blocks the
 * other (rfc2920 3.1). */
enum { GROUP_RECIPIENTS = 100, GROUP_OCTETS = 16384 };

void client_settle(struct transaction *transaction, size_t index, struct smtp_said said)
{
	transaction->sending->said[index] = said;
	transaction->waiting--;
}

void client_settle_all(struct transaction *transaction, struct smtp_said said)
{
	for (size_t i = 0; i < transaction->sending->count; i++)
		if (is_waiting(&transaction->sending->said[i]))
			client_settle(transaction, i, said);
}

static bool has_extension(const struct transaction *transaction, enum smtp_extension extension)
{
	return transaction->client->offer.extensions & extension;
}

/* ---- what the server cannot carry ---- */

/* Lines past 998 octets, NUL, and CR or LF that end no line: what only BINARYMIME carries. */
static bool is_binary(struct str octets)
{
	size_t line = 0;

	for (size_t i = 0; i < octets.len; i++) {
		bool is_end =
			octets.at[i] == '\r' && i + 1 < octets.len && octets.at[i + 1] == '\n';

		if (is_end) {
			i++;
			line = 0;
			continue;
		}
		if (octets.at[i] == '\0' || octets.at[i] == '\r' || octets.at[i] == '\n' ||
		    ++line > LIMIT_smtp_text_line - 2)
			return true;
	}
	return false;
}

/* The body type that the octets need, whatever was declared: 8BITMIME is often said of plain ASCII. */
static enum smtp_body body_needed(const struct smtp_sending *sending)
{
	if (sending->body == SMTP_BODY_BINARYMIME && is_binary(sending->octets))
		return SMTP_BODY_BINARYMIME;
	return str_is_ascii(sending->octets) ? SMTP_BODY_7BIT : SMTP_BODY_8BITMIME;
}

static struct smtp_said judge_body(struct transaction *transaction)
{
	const unsigned binary = SMTP_EXT_BINARYMIME | SMTP_EXT_CHUNKING;
	unsigned offers = transaction->client->offer.extensions;
	bool is_carried = true;

	transaction->body = body_needed(transaction->sending);
	if (transaction->body == SMTP_BODY_BINARYMIME)
		is_carried = (offers & binary) == binary; /* rfc3030 3 */
	else if (transaction->body == SMTP_BODY_8BITMIME)
		is_carried = offers & SMTP_EXT_8BITMIME; /* rfc6152 3 */
	if (is_carried)
		return (struct smtp_said){ .result = SMTP_SENT };
	return client_says(554, S("5.6.3"),
			   S("The message has 8-bit or binary content, which the server does not "
			     "take"));
}

static struct smtp_said judge(struct transaction *transaction)
{
	const struct smtp_sending *sending = transaction->sending;
	uint64_t most = transaction->client->offer.size;

	if (most > 0 && sending->octets.len > most) /* rfc1870 6.1 */
		return client_says(552, S("5.3.4"),
				   str_print(transaction->client->arena,
					     "The server takes messages of up to %llu octets, and "
					     "this one has %zu",
					     (unsigned long long)most, sending->octets.len));
	if (sending->utf8 && !has_extension(transaction, SMTP_EXT_SMTPUTF8)) /* rfc6531 3.5 */
		return client_says(
			550, S("5.6.7"),
			S("The message needs SMTPUTF8, which the server does not offer"));
	return judge_body(transaction);
}

/* A line of the dialogue is made of these: nothing in them may end it, or begin another parameter. */
static bool is_clean(struct str text, bool allow_utf8, unsigned char first)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < first || c == 0x7f || (c >= 0x80 && !allow_utf8))
			return false;
	}
	return true;
}

static bool is_path(struct str address, bool allow_utf8)
{
	return address.len <= LIMIT_address && is_clean(address, allow_utf8, ' ');
}

/* Recipients that cannot be named, and those past what the server said that it takes. */
static void judge_recipients(struct transaction *transaction)
{
	const struct smtp_sending *sending = transaction->sending;
	uint64_t most = transaction->client->offer.rcpt_max;
	size_t named = 0;

	for (size_t i = 0; i < sending->count; i++) {
		const struct smtp_sending_to *to = &sending->to[i];

		if (to->address.len == 0 || !is_path(to->address, sending->utf8))
			client_settle(transaction, i,
				      client_says(553, S("5.1.3"),
						  S("The address cannot be said to this server")));
		else if (!is_clean(to->notify, false, '!') ||
			 !is_clean(to->original, sending->utf8, '!'))
			client_settle(transaction, i,
				      client_says(555, S("5.5.4"),
						  S("NOTIFY or ORCPT is not well formed")));
		else if (most > 0 && ++named > most)
			client_settle(transaction, i,
				      client_says(452, S("4.5.3"),
						  S("The server takes fewer recipients at once")));
	}
}

static struct smtp_said judge_sender(const struct transaction *transaction)
{
	const struct smtp_sending *sending = transaction->sending;

	if (!is_path(sending->sender, sending->utf8))
		return client_says(553, S("5.1.7"), S("The sender cannot be said to this server"));
	if (!is_clean(sending->envelope_id, false, '!') || !is_clean(sending->ret, false, '!'))
		return client_says(555, S("5.5.4"), S("RET or ENVID is not well formed"));
	return (struct smtp_said){ .result = SMTP_SENT };
}

/* ---- the commands ---- */

static enum err say_mail(struct transaction *transaction) WAITS
{
	const struct smtp_sending *sending = transaction->sending;
	OWNED(buf) struct buf line = BUF(LIMIT_smtp_command_line);

	buf_print(&line, "MAIL FROM:<%.*s>", STR_ARGS(sending->sender));
	if (has_extension(transaction, SMTP_EXT_SIZE))
		buf_print(&line, " SIZE=%zu", sending->octets.len);
	if (transaction->body == SMTP_BODY_8BITMIME)
		buf_add(&line, S(" BODY=8BITMIME"));
	else if (transaction->body == SMTP_BODY_BINARYMIME)
		buf_add(&line, S(" BODY=BINARYMIME"));
	if (sending->utf8)
		buf_add(&line, S(" SMTPUTF8"));
	if (has_extension(transaction, SMTP_EXT_DSN) && sending->ret.len > 0)
		buf_print(&line, " RET=%.*s", STR_ARGS(sending->ret));
	if (has_extension(transaction, SMTP_EXT_DSN) && sending->envelope_id.len > 0)
		buf_print(&line, " ENVID=%.*s", STR_ARGS(sending->envelope_id));
	if (has_extension(transaction, SMTP_EXT_AUTH) && transaction->client->is_signed_in) {
		buf_add(&line, S(" AUTH="));
		if (!sending->submitter.len || xtext_add(&line, sending->submitter))
			buf_add(&line, S("<>"));
	}
	return client_say(transaction->client, SMTP_MAIL, buf_str(&line));
}

static enum err say_rcpt(struct transaction *transaction, size_t index, size_t *octets) WAITS
{
	const struct smtp_sending_to *to = &transaction->sending->to[index];
	OWNED(buf) struct buf line = BUF(LIMIT_smtp_command_line);

	buf_print(&line, "RCPT TO:<%.*s>", STR_ARGS(to->address));
	if (has_extension(transaction, SMTP_EXT_DSN) && to->notify.len > 0)
		buf_print(&line, " NOTIFY=%.*s", STR_ARGS(to->notify));
	if (has_extension(transaction, SMTP_EXT_DSN) && to->original.len > 0)
		buf_print(&line, " ORCPT=%.*s", STR_ARGS(to->original));
	*octets += line.len + 2;
	return client_say(transaction->client, SMTP_RCPT, buf_str(&line));
}

static enum err say_reset(struct transaction *transaction) WAITS
{
	if (!transaction->client->needs_reset)
		return OK;
	return client_say(transaction->client, SMTP_RSET, S("RSET"));
}

static enum err hear_reset(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err = OK;

	if (client->needs_reset)
		err = client_hear(client, SMTP_RSET, client->times.mail_ms, &reply);
	if (!err && client->needs_reset && client->is_open && reply.code / 100 != 2)
		err = client_misheard(client, &reply, "in answer to RSET");
	client->needs_reset = false;
	return err;
}

/* A refusal of MAIL is one of every recipient; those were said already when they were pipelined. */
static enum err hear_mail(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err = client_hear(client, SMTP_MAIL, client->times.mail_ms, &reply);

	if (err)
		return err;
	if (smtp_reply_is_error(&reply))
		client_settle_all(transaction, client_said(reply));
	else if (reply.code / 100 != 2)
		return client_misheard(client, &reply, "in answer to MAIL");
	return OK;
}

/* rfc5321 4.5.3.1.10: too many recipients is 452, and 552 of those who know no better. */
static struct smtp_said judge_rcpt(struct smtp_reply reply)
{
	struct smtp_said said = client_said(reply);

	if (reply.code == 552 && (reply.enhanced.len == 0 || str_is(reply.enhanced, S("5.5.3"))))
		said.result = SMTP_DEFERRED;
	return said;
}

static enum err hear_rcpt(struct transaction *transaction, size_t index) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_reply reply;
	enum err err = client_hear(client, SMTP_RCPT, client->times.rcpt_ms, &reply);

	if (err)
		return err;
	if (!is_waiting(&transaction->sending->said[index]))
		return OK; /* MAIL was refused; this only says so again */
	if (smtp_reply_is_error(&reply))
		client_settle(transaction, index, judge_rcpt(reply));
	else if (reply.code / 100 != 2)
		return client_misheard(client, &reply, "in answer to RCPT");
	return OK;
}

/* ---- one by one ---- */

static enum err in_lockstep(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	size_t octets = 0;
	enum err err = say_reset(transaction);

	if (!err)
		err = hear_reset(transaction);
	if (!err && client->is_open)
		err = say_mail(transaction);
	if (!err && client->is_open)
		err = hear_mail(transaction);
	for (size_t i = 0; !err && client->is_open && i < transaction->sending->count; i++) {
		if (!is_waiting(&transaction->sending->said[i]))
			continue;
		err = say_rcpt(transaction, i, &octets);
		if (!err)
			err = hear_rcpt(transaction, i);
	}
	return err;
}

/* ---- pipelined (rfc2920) ---- */

/* Recipients [from, *end), as many as go into one group; `asked` remembers who was waiting. */
static enum err say_group(struct transaction *transaction, size_t from, bool *asked, size_t *end)
	WAITS
{
	size_t octets = 0;
	size_t named = 0;
	size_t i = from;
	enum err err = OK;

	for (; !err && i < transaction->sending->count; i++) {
		if (named == GROUP_RECIPIENTS || octets > GROUP_OCTETS)
			break;
		asked[i] = is_waiting(&transaction->sending->said[i]);
		if (asked[i])
			err = say_rcpt(transaction, i, &octets);
		named += asked[i];
	}
	*end = i;
	if (!err && i == transaction->sending->count && !transaction->is_by_chunks) {
		transaction->was_offered = true;
		err = client_say(transaction->client, SMTP_DATA, S("DATA"));
	}
	return err;
}

static enum err hear_group(struct transaction *transaction, size_t from, const bool *asked,
			   size_t end) WAITS
{
	struct smtp_client *client = transaction->client;
	enum err err = OK;

	for (size_t i = from; !err && client->is_open && i < end; i++)
		if (asked[i])
			err = hear_rcpt(transaction, i);
	if (!err && client->is_open && transaction->was_offered)
		err = client_hear(client, SMTP_DATA, client->times.data_ms, &transaction->data);
	return err;
}

static enum err pipelined(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	size_t count = transaction->sending->count;
	bool *asked = NEW_ARRAY(&client->scratch, bool, count);
	bool is_first = true;
	size_t end = 0;
	enum err err = say_reset(transaction);

	if (!err)
		err = say_mail(transaction);
	/* After a refused MAIL nobody is left to be asked, and no further group goes out. */
	for (size_t from = 0; !err && client->is_open && from < count && transaction->waiting > 0;
	     from = end) {
		err = say_group(transaction, from, asked, &end);
		if (!err && is_first)
			err = hear_reset(transaction);
		if (!err && is_first && client->is_open)
			err = hear_mail(transaction);
		if (!err && client->is_open)
			err = hear_group(transaction, from, asked, end);
		is_first = false;
	}
	return err;
}

enum err client_envelope(struct transaction *transaction) WAITS
{
	if (has_extension(transaction, SMTP_EXT_PIPELINING))
		return pipelined(transaction);
	return in_lockstep(transaction);
}

/* ---- the whole ---- */

/* What has come unasked is an end: 421 mostly, to who was idle for too long [rfc5321 3.8]. */
static void listen_first(struct smtp_client *client) WAITS
{
	struct smtp_reply reply;
	enum err err = conn_input(client->conn).len > 0 ? OK : conn_fill(client->conn, now());

	if (err == ERR_TIMEOUT)
		return;
	if (err) {
		client_fail(client, err, "between two messages");
		return;
	}
	if (client_hear(client, SMTP_NOOP, client->times.block_ms, &reply) == OK && client->is_open)
		client_misheard(client, &reply, "between two messages");
}

static struct smtp_said verdict_of_end(const struct transaction *transaction)
{
	struct smtp_said said = client_end(transaction->client);

	/* rfc1047: it had everything, and may have kept it. */
	if (transaction->is_sent)
		said.result = SMTP_UNSURE;
	return said;
}

static void trace_ours(struct smtp_client *client, const struct smtp_said *said)
{
	client_trace_policy(client, "carry", "refuse", said->reply.text);
}

static void run(struct transaction *transaction) WAITS
{
	struct smtp_client *client = transaction->client;
	struct smtp_said said = judge_sender(transaction);
	enum err err = OK;

	if (said.result == SMTP_SENT)
		said = judge(transaction);
	if (said.result != SMTP_SENT) {
		trace_ours(client, &said);
		client_settle_all(transaction, said);
		return;
	}
	judge_recipients(transaction);
	if (transaction->waiting == 0)
		return;
	client->mails++;
	err = client_envelope(transaction);
	if (!err && client->is_open)
		err = client_data(transaction);
	if (err || !client->is_open)
		client_settle_all(transaction, verdict_of_end(transaction));
	must(transaction->waiting == 0);
}

void smtp_client_send(struct smtp_client *client, const struct smtp_sending *sending) WAITS
{
	struct transaction transaction = {
		.client = client,
		.sending = sending,
		.waiting = sending->count,
		.is_by_chunks = client->offer.extensions & SMTP_EXT_CHUNKING,
	};

	for (size_t i = 0; i < sending->count; i++)
		sending->said[i] = (struct smtp_said){ 0 };
	client->arena = sending->arena ? sending->arena : client->arena_of_open;
	client->until = sending->until ? sending->until : NEVER;
	arena_reset(&client->scratch);
	if (client->is_open && client->mails > 0)
		listen_first(client);
	if (client->is_open)
		run(&transaction);
	else
		client_settle_all(&transaction, client_end(client));
	client->until = NEVER;
	client->arena = client->arena_of_open;
}
