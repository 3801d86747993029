/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a client's session; what is said in it is in the client_*.c beside. */
#include "smtp/client_session.h"

#include <stdlib.h>

enum { MINUTE_MS = 60'000, SECOND_MS = 1000 };

/* rfc5321 4.5.3.2, which leaves EHLO and QUIT open: nobody should wait long for a farewell. */
const struct smtp_client_times smtp_client_times = {
	.greeting_ms = 5 * MINUTE_MS,
	.hello_ms = 5 * MINUTE_MS,
	.mail_ms = 5 * MINUTE_MS,
	.rcpt_ms = 5 * MINUTE_MS,
	.data_ms = 2 * MINUTE_MS,
	.block_ms = 3 * MINUTE_MS,
	.end_ms = 10 * MINUTE_MS,
	.quit_ms = 10 * SECOND_MS,
};

/* ---- the beginning ---- */

static struct str protocol_name(const struct smtp_client *client)
{
	return client->options.is_lmtp ? S("lmtp-out") : S("smtp-out");
}

static void trace_connect(const struct smtp_client *client)
{
	char peer[ADDR_TEXT];
	char local[ADDR_TEXT];

	addr_print(conn_peer(client->conn), peer);
	addr_print(conn_local(client->conn), local);
	fiber_describe("%.*s %s", STR_ARGS(protocol_name(client)), peer);
	TRACE(client->options.trace, client->options.session, client_trace_flags(client), connect,
	      .protocol = protocol_name(client), .listener = client->options.server_name,
	      .peer = str_of(peer), .local = str_of(local), .outgoing = 1);
}

static struct smtp_client *client_new(struct conn *conn, const struct smtp_client_options *options,
				      struct arena *arena)
{
	struct smtp_client *client = calloc(1, sizeof(*client));
	struct smtp_client_options *own;

	must(client);
	must(options->tls == SMTP_TLS_NONE || options->tls_context);
	client->conn = conn;
	client->options = *options;
	client->times = options->times ? *options->times : smtp_client_times;
	client->arena = client->arena_of_open = arena;
	client->is_open = true;
	client->began = client->said_at = now();
	smtp_reply_reader_init(&client->reader);
	own = &client->options;
	own->hello = str_dup(&client->memory, options->hello);
	own->server_name = str_dup(&client->memory, options->server_name);
	own->user = str_dup(&client->memory, options->user);
	own->password = str_dup(&client->memory, options->password);
	client->until = options->until ? options->until : NEVER;
	return client;
}

void client_forget_password(struct smtp_client *client)
{
	struct str *password = &client->options.password;

	if (password->len > 0)
		explicit_bzero((char *)(uintptr_t)password->at, password->len);
	*password = S("");
}

void smtp_client_open(struct conn *conn, const struct smtp_client_options *options,
		      struct smtp_client **out, struct arena *arena, struct smtp_said *said) WAITS
{
	struct smtp_client *client = client_new(conn, options, arena);
	enum err err;

	trace_connect(client);
	err = client_begin(client, said);
	arena_reset(&client->scratch);
	client_forget_password(client);
	client->options.tls_names = NULL; /* the caller's, and not needed any more */
	client->options.tls_session_key = S("");
	if (err || !client->is_open)
		*said = client_end(client);
	*out = client;
	if (err || said->result != SMTP_SENT)
		smtp_client_drop(out);
}

/* ---- what it can do ---- */

bool smtp_client_is_open(const struct smtp_client *client)
{
	uint64_t most = client->offer.mail_max;

	return client->is_open && (most == 0 || client->mails < most);
}

unsigned smtp_client_offers(const struct smtp_client *client)
{
	return client->offer.extensions;
}

const struct smtp_offer *smtp_client_offer(const struct smtp_client *client)
{
	return &client->offer;
}

/* ---- the end ---- */

static void trace_close(const struct smtp_client *client)
{
	char peer[ADDR_TEXT];

	addr_print(conn_peer(client->conn), peer);
	TRACE(client->options.trace, client->options.session, client_trace_flags(client), close,
	      .reason = str_of(client->reason ? client->reason : "quit"),
	      .account = client->is_signed_in ? client->options.user : S(""),
	      .commands = client->commands, .errors = client->errors, .messages = client->messages,
	      .octets_in = conn_octets_in(client->conn),
	      .octets_out = conn_octets_out(client->conn), .us = (uint64_t)(now() - client->began),
	      .peer = str_of(peer), .protocol = protocol_name(client),
	      .unsent = conn_unsent(client->conn));
}

/* rfc5321 4.1.1.10. What is answered, or whether, changes nothing any more. */
static void say_quit(struct smtp_client *client) WAITS
{
	struct smtp_reply reply;

	if (!fiber_is_stopping() &&
	    client_ask(client, SMTP_QUIT, S("QUIT"), client->times.quit_ms, &reply) == OK)
		conn_shut(client->conn);
}

void smtp_client_drop(struct smtp_client **client) WAITS
{
	struct smtp_client *c = *client;
	struct arena last_words = { 0 };

	if (!c)
		return;
	*client = NULL;
	c->arena = &last_words;
	c->until = NEVER;
	if (c->is_open)
		say_quit(c);
	trace_close(c);
	conn_drop(&c->conn);
	smtp_reply_reader_done(&c->reader);
	arena_drop(&c->scratch);
	arena_drop(&c->memory);
	arena_drop(&last_words);
	free(c);
}
