/* SPDX-License-Identifier: Apache-2.0 */
/* Greeting, EHLO, STARTTLS: until both sides know what may be said. */
#include "smtp/client_session.h"

/* In the clear when TLS is a wish; an end when it is a condition. */
static struct smtp_said without_tls(struct smtp_client *client, struct smtp_said said)
{
	if (client->options.tls == SMTP_TLS_MAY)
		return (struct smtp_said){ .result = SMTP_SENT };
	/* The same message may find a server with TLS tomorrow: not for good (rfc3207 4.1 leaves it open). */
	said.result = SMTP_DEFERRED;
	said.is_tls = true;
	return said;
}

static void trace_handshake(struct smtp_client *client, enum err err, moment began)
{
	const struct tls_info *info = conn_tls(client->conn);

	TRACE(client->options.trace, client->options.session, client_trace_flags(client), tls,
	      .version = str_of(info->version), .cipher = str_of(info->cipher),
	      .group = str_of(info->group), .server_name = client->options.server_name,
	      .resumed = info->resumed, .implicit = client->options.tls == SMTP_TLS_IMPLICIT,
	      .us = (uint64_t)(now() - began), .failure = err ? str_of(fault_text()) : S(""));
}

static enum err handshake(struct smtp_client *client) WAITS
{
	int64_t ms = client->times.hello_ms < LIMIT_tls_handshake ? client->times.hello_ms
								  : LIMIT_tls_handshake;
	const struct smtp_client_options *options = &client->options;
	const struct tls_target target = {
		.server_name = options->server_name,
		.names = options->tls_name_count ? options->tls_names : &options->server_name,
		.name_count = options->tls_name_count    ? options->tls_name_count
			      : options->server_name.len ? 1
							 : 0,
		.sessions = options->tls_sessions,
		.session_key = options->tls_session_key,
	};
	moment began = now();
	enum err err;

	if (conn_input(client->conn).len > 0)
		/* rfc3207 6: said in the clear, by whomever, for us to take as said under TLS. */
		client_trace_policy(client, "STARTTLS", "discard",
				    S("octets that came before the handshake"));
	err = conn_start_tls_to(client->conn, client->options.tls_context, &target,
				client_deadline(client, ms));
	/* Many a server that cannot do it simply hangs up. */
	if (err && err != ERR_TLS && err != ERR_STOPPED)
		err = fault(ERR_TLS, "%s", err_text(err));
	trace_handshake(client, err, began);
	if (!err)
		return OK;
	client_fail(client, err, "during the TLS handshake");
	client->end.is_tls = true;
	return err;
}

static enum err greeting(struct smtp_client *client, struct smtp_said *said) WAITS
{
	struct smtp_reply reply;
	enum err err = client_hear(client, SMTP_UNKNOWN, client->times.greeting_ms, &reply);

	if (err)
		return err;
	*said = client_said(reply);
	/* rfc5321 3.1: 220, or 554 from who serves no mail. */
	return reply.code / 100 == 3 ? client_misheard(client, &reply, "as a greeting") : OK;
}

/* rfc5321 4.1.1.1. What is not understood, or not liked, is said again as HELO (rfc5321 3.2). */
static enum err hello(struct smtp_client *client, struct smtp_said *said) WAITS
{
	bool is_lmtp = client->options.is_lmtp;
	struct str name = client->options.hello;
	struct smtp_reply reply;
	enum err err;

	client->offer = (struct smtp_offer){ 0 };
	err = client_ask(
		client, is_lmtp ? SMTP_LHLO : SMTP_EHLO,
		str_print(&client->scratch, "%s %.*s", is_lmtp ? "LHLO" : "EHLO", STR_ARGS(name)),
		client->times.hello_ms, &reply);
	if (!err && reply.code / 100 == 2)
		smtp_offer_parse(&client->memory, reply.text, &client->offer);
	else if (!err && reply.code / 100 == 5 && !is_lmtp)
		err = client_ask(client, SMTP_HELO,
				 str_print(&client->scratch, "HELO %.*s", STR_ARGS(name)),
				 client->times.hello_ms, &reply);
	if (err)
		return err;
	*said = client_said(reply);
	return reply.code / 100 == 3 ? client_misheard(client, &reply, "in answer to EHLO") : OK;
}

/* Many a server hangs up at STARTTLS, or answers what is no reply: without it there may be more to be had.
   421 is another matter: it says that it is the wrong time. */
static enum err fail_tls(struct smtp_client *client, enum err err)
{
	client->end.is_tls = err != ERR_STOPPED && client->end.reply.code != 421;
	return err;
}

static enum err starttls(struct smtp_client *client, struct smtp_said *said) WAITS
{
	struct smtp_reply reply;
	enum err err;

	if (!(client->offer.extensions & SMTP_EXT_STARTTLS)) {
		*said = without_tls(client, client_says(451, S("4.7.4"),
							S("The server offers no TLS, and without "
							  "it nothing is sent")));
		return OK;
	}
	err = client_ask(client, SMTP_STARTTLS, S("STARTTLS"), client->times.hello_ms, &reply);
	if (err)
		return fail_tls(client, err);
	if (smtp_reply_is_error(&reply)) {
		*said = without_tls(client, client_said(reply));
		return OK;
	}
	if (reply.code / 100 != 2)
		return fail_tls(client, client_misheard(client, &reply, "in answer to STARTTLS"));
	err = handshake(client);
	/* rfc3207 4.2: what was said in the clear is forgotten, by both sides. */
	return err ? err : hello(client, said);
}

enum err client_begin(struct smtp_client *client, struct smtp_said *said) WAITS
{
	bool wants_tls =
		client->options.tls == SMTP_TLS_MAY || client->options.tls == SMTP_TLS_MUST;
	enum err err = OK;

	*said = (struct smtp_said){ .result = SMTP_SENT };
	if (client->options.tls == SMTP_TLS_IMPLICIT)
		err = handshake(client);
	if (!err)
		err = greeting(client, said);
	if (!err && said->result == SMTP_SENT)
		err = hello(client, said);
	if (!err && said->result == SMTP_SENT && wants_tls)
		err = starttls(client, said);
	if (!err && said->result == SMTP_SENT && client->is_open && client->options.user.len > 0)
		err = client_sign_in(client, said);
	else
		return err;
	/* Whatever kept us from it: a password that is wrong, a mechanism that is lacking. */
	said->is_sign_in = !err && said->result != SMTP_SENT;
	return err;
}
