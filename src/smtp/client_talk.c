/* SPDX-License-Identifier: Apache-2.0 */
/* Commands out, replies in, and what it means when neither goes. */
#include "smtp/client_session.h"

enum { LAST_WORDS_MS = 2000 };

unsigned client_trace_flags(const struct smtp_client *client)
{
	return conn_is_tls(client->conn) ? TRACE_ENCRYPTED : 0;
}

void client_trace_policy(struct smtp_client *client, const char *rule, const char *verdict,
			 struct str detail)
{
	TRACE(client->options.trace, client->options.session, client_trace_flags(client), policy,
	      .rule = str_of(rule), .verdict = str_of(verdict), .detail = detail);
}

/* ---- verdicts ---- */

struct smtp_said client_said(struct smtp_reply reply)
{
	struct smtp_said said = { .result = SMTP_SENT, .reply = reply };

	if (reply.code >= 500)
		said.result = SMTP_REFUSED;
	else if (reply.code >= 400)
		said.result = SMTP_DEFERRED;
	return said;
}

struct smtp_said client_says(unsigned code, struct str enhanced, struct str text)
{
	struct smtp_said said = client_said((struct smtp_reply){ code, enhanced, text });

	said.is_ours = true;
	return said;
}

static struct smtp_said said_kept(struct arena *arena, struct smtp_said said)
{
	said.reply.enhanced = str_dup(arena, said.reply.enhanced);
	said.reply.text = str_dup(arena, said.reply.text);
	return said;
}

/* The reason outlives the transaction in which it was found. */
static void close_session(struct smtp_client *client, struct smtp_said why, const char *reason)
{
	if (!client->is_open)
		return;
	client->is_open = false;
	client->end = said_kept(&client->memory, why);
	client->reason = reason;
}

struct smtp_said client_end(struct smtp_client *client)
{
	must(!client->is_open);
	return said_kept(client->arena, client->end);
}

enum err client_fail(struct smtp_client *client, enum err err, const char *doing)
{
	struct str enhanced = S("4.4.2"); /* rfc3463 3.5: bad connection */
	struct str what = str_of(err_text(err));
	struct smtp_said why;

	if (err == ERR_PROTOCOL || err == ERR_LIMIT)
		enhanced = S("4.5.0");
	else if (err == ERR_TLS)
		enhanced = S("4.7.5");
	else if (err == ERR_STOPPED)
		enhanced = S("4.3.2");
	if (err == ERR_PROTOCOL || err == ERR_LIMIT || err == ERR_TLS)
		what = str_print(client->arena, "%s (%s)", err_text(err), fault_text());
	why = client_says(451, enhanced,
			  str_print(client->arena, "%.*s, %s", STR_ARGS(what), doing));
	close_session(client, why,
		      err == ERR_PROTOCOL || err == ERR_LIMIT ? "protocol"
							      : conn_close_reason(err));
	return err;
}

enum err client_misheard(struct smtp_client *client, const struct smtp_reply *reply,
			 const char *doing)
{
	return client_fail(client, fault(ERR_PROTOCOL, "%u has no place there", reply->code),
			   doing);
}

/* ---- out ---- */

static enum err write_line(struct smtp_client *client, struct str line) WAITS
{
	moment deadline = client_deadline(client, client->times.block_ms);
	enum err err = conn_write(client->conn, line, deadline);

	if (!err)
		err = conn_write(client->conn, S("\r\n"), deadline);
	client->commands++;
	client->said_at = now();
	return err;
}

enum err client_say(struct smtp_client *client, enum smtp_verb verb, struct str line) WAITS
{
	enum err err = write_line(client, line);

	if (err)
		return client_lost(client, err, false);
	TRACE(client->options.trace, client->options.session, client_trace_flags(client), command,
	      .verb = str_of(smtp_verb_name(verb)), .line = line);
	return OK;
}

enum err client_say_masked(struct smtp_client *client, struct str line, struct str shown) WAITS
{
	enum err err = write_line(client, line);

	if (err)
		return client_lost(client, err, false);
	TRACE(client->options.trace, client->options.session,
	      client_trace_flags(client) | TRACE_MASKED, command, .verb = S("AUTH"), .line = shown);
	return OK;
}

/* ---- in ---- */

static void trace_line(struct smtp_client *client, struct str verb, struct str line)
{
	uint64_t code;
	/* A challenge may hold what a password can be guessed from (CRAM-MD5, SCRAM). */
	bool is_secret = str_starts(line, S("334"));

	if (!str_to_u64(str_first(line, 3), 599, &code))
		code = 0;
	TRACE(client->options.trace, client->options.session,
	      client_trace_flags(client) | (is_secret ? TRACE_MASKED : 0), reply, .code = code,
	      .line = is_secret ? S("334 ****") : line, .more = line.len > 3 && line.at[3] == '-',
	      .verb = verb, .us = (uint64_t)(now() - client->said_at));
}

static enum err hear(struct smtp_client *client, struct str verb, moment deadline) WAITS
{
	struct str line;
	enum err err;

	do {
		err = conn_read_line(client->conn, LIMIT_smtp_heard_line, LINE_LF_TOO, deadline,
				     &line);
		if (err)
			return err;
		trace_line(client, verb, line);
		err = smtp_reply_parse(&client->reader, line);
	} while (err == ERR_AGAIN);
	return err;
}

/* What was heard, for longer than until the next line. */
static struct smtp_reply reply_kept(struct smtp_client *client)
{
	const struct smtp_reply *heard = &client->reader.reply;

	return (struct smtp_reply){
		.code = heard->code,
		.enhanced = str_dup(client->arena, heard->enhanced),
		.text = str_dup(client->arena, heard->text),
	};
}

/*
 * Who closes in our face, or listens no more, has often said why: 421, or during the data what is wrong with them. Replies to
 * commands before that may lie in front of it.
 */
enum err client_lost(struct smtp_client *client, enum err err, bool is_data) WAITS
{
	moment deadline = in_ms(LAST_WORDS_MS);
	const struct smtp_reply *heard = &client->reader.reply;
	bool may_hear = err == ERR_CLOSED || err == ERR_RESET || err == ERR_TIMEOUT;

	while (may_hear && client->is_open && hear(client, S(""), deadline) == OK)
		if (heard->code == 421 || (is_data && smtp_reply_is_error(heard)))
			close_session(client, client_said(reply_kept(client)),
				      conn_close_reason(err));
	return client_fail(client, err, "while we were speaking");
}

static const char *waiting_for(enum smtp_verb verb, struct arena *arena)
{
	if (verb == SMTP_UNKNOWN)
		return "while we waited for the greeting";
	return str_print(arena, "while we waited for the reply to %s", smtp_verb_name(verb)).at;
}

enum err client_hear(struct smtp_client *client, enum smtp_verb verb, int64_t ms,
		     struct smtp_reply *out) WAITS
{
	struct str name = verb == SMTP_UNKNOWN ? S("greeting") : str_of(smtp_verb_name(verb));
	enum err err = hear(client, name, client_deadline(client, ms));

	if (err)
		return client_fail(client, err, waiting_for(verb, client->arena));
	*out = reply_kept(client);
	client->errors += smtp_reply_is_error(out);
	if (out->code == 421) /* rfc5321 3.8: it closes, whatever was asked */
		close_session(client, client_said(*out), "peer-closed");
	return OK;
}

enum err client_ask(struct smtp_client *client, enum smtp_verb verb, struct str line, int64_t ms,
		    struct smtp_reply *out) WAITS
{
	enum err err = client_say(client, verb, line);

	return err ? err : client_hear(client, verb, ms, out);
}
