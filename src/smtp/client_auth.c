/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in to a server (rfc4954): the mechanisms are GNU SASL's, the dialogue is ours. */
#include "smtp/client_session.h"

#include <gsasl.h>

/* One exchange under way. */
struct exchange {
	struct smtp_client *client;
	struct str mechanism;
	Gsasl *library;
	Gsasl_session *session;
	unsigned step;
	moment began;
	/* One step, on a worker: SCRAM hashes as often as the server wants. */
	struct str challenge;
	struct str response; /* in the client's scratch */
	int code;
	struct str channel_type, channel; /* binding data; empty: there is no TLS */
};

enum { STEPS_MAX = 12, COMMAND_MAX = 512 };

static const struct mechanism {
	struct str name;
	bool shows_password; /* to who can read the line */
	bool binds;          /* to this TLS channel [rfc5802 6] */
} mechanisms[] = {
	{ .name = S("SCRAM-SHA-256-PLUS"), .binds = true },
	{ .name = S("SCRAM-SHA-1-PLUS"), .binds = true },
	{ .name = S("SCRAM-SHA-256") },
	{ .name = S("SCRAM-SHA-1") },
	{ .name = S("CRAM-MD5") },
	{ .name = S("PLAIN"), .shows_password = true },
	{ .name = S("LOGIN"), .shows_password = true },
};

void smtp_client_prepare(void)
{
	Gsasl *library;

	must(gsasl_init(&library) == GSASL_OK);
	gsasl_done(library);
}

/* ---- what GNU SASL asks for, on a worker ---- */

/* A server that asks for years of hashing is not told the password's hash, nor given the years. */
static bool is_patient_enough(Gsasl_session *session)
{
	struct str text = str_of(gsasl_property_fast(session, GSASL_SCRAM_ITER));
	uint64_t iterations;

	return text.len == 0 || str_to_u64(text, LIMIT_scram_iterations, &iterations);
}

/* What binds the exchange to this TLS channel, under the name that fits the channel. */
static int give_channel(const struct exchange *exchange, Gsasl_session *session,
			Gsasl_property which)
{
	struct str wanted = which == GSASL_CB_TLS_EXPORTER ? S("tls-exporter") : S("tls-unique");
	OWNED(buf) struct buf text = BUF(256);

	if (!exchange->channel.len || !str_is(exchange->channel_type, wanted) ||
	    base64_add(&text, exchange->channel))
		return GSASL_NO_CALLBACK;
	return gsasl_property_set_raw(session, which, text.at, text.len);
}

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property which)
{
	const struct exchange *exchange = gsasl_session_hook_get(session);
	const struct smtp_client_options *options = &exchange->client->options;

	(void)library;
	switch ((int)which) {
	case GSASL_CB_TLS_EXPORTER:
	case GSASL_CB_TLS_UNIQUE:
		return give_channel(exchange, session, which);
	case GSASL_AUTHID:
		return gsasl_property_set_raw(session, which, options->user.at, options->user.len);
	case GSASL_PASSWORD:
		if (!is_patient_enough(session))
			return GSASL_NO_PASSWORD;
		return gsasl_property_set_raw(session, which, options->password.at,
					      options->password.len);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static void step_on_worker(void *arg)
{
	struct exchange *exchange = arg;
	char *octets = NULL;
	size_t len = 0;

	exchange->code = gsasl_step(exchange->session, exchange->challenge.at,
				    exchange->challenge.len, &octets, &len);
	exchange->response = S("");
	if (len > 0 && (exchange->code == GSASL_OK || exchange->code == GSASL_NEEDS_MORE))
		exchange->response =
			str_dup(&exchange->client->scratch, (struct str){ octets, len });
	if (octets)
		explicit_bzero(octets, len);
	gsasl_free(octets);
}

/* The response to a challenge; false when there is none to give. */
static bool step(struct exchange *exchange, struct str challenge) WAITS
{
	exchange->challenge = challenge;
	offload(OFFLOAD_HASH, step_on_worker, exchange);
	return exchange->code == GSASL_OK || exchange->code == GSASL_NEEDS_MORE;
}

/* ---- the dialogue ---- */

static bool is_safe(const struct smtp_client *client)
{
	return conn_is_tls(client->conn) || addr_is_loopback(conn_peer(client->conn));
}

static void find_channel(struct exchange *exchange)
{
	unsigned char data[64];
	const char *type;
	size_t len;

	if (!conn_channel_binding(exchange->client->conn, &type, data, &len))
		return;
	exchange->channel_type = str_of(type);
	exchange->channel = str_dup(&exchange->client->scratch, (struct str){ (char *)data, len });
}

static const struct mechanism *choose(const struct exchange *exchange)
{
	const struct smtp_client *client = exchange->client;

	for (size_t i = 0; i < COUNT_OF(mechanisms); i++)
		if (smtp_offer_has_mechanism(&client->offer, mechanisms[i].name) &&
		    (!mechanisms[i].binds || exchange->channel.len) &&
		    (!mechanisms[i].shows_password || is_safe(client)))
			return &mechanisms[i];
	return NULL;
}

static void trace_step(const struct exchange *exchange, const char *outcome)
{
	struct smtp_client *client = exchange->client;

	TRACE(client->options.trace, client->options.session, client_trace_flags(client), auth,
	      .mechanism = exchange->mechanism, .step = exchange->step, .outcome = str_of(outcome),
	      .account = client->is_signed_in ? client->options.user : S(""),
	      .us = (uint64_t)(now() - exchange->began));
}

/* It may hold the password. */
static void forget_response(struct exchange *exchange)
{
	if (exchange->response.len > 0)
		explicit_bzero((char *)(uintptr_t)exchange->response.at, exchange->response.len);
	exchange->response = S("");
}

static bool has_first_word(struct str mechanism)
{
	return !str_is(mechanism, S("LOGIN")) && !str_is(mechanism, S("CRAM-MD5"));
}

/* With the initial response where the mechanism has one and the line has room [rfc4954 4]. */
static enum err say_auth(struct exchange *exchange, bool *was_said) WAITS
{
	struct smtp_client *client = exchange->client;
	OWNED(buf) struct buf line = BUF(2 * LIMIT_sasl_line);
	OWNED(buf) struct buf shown = BUF(COMMAND_MAX);
	enum err err;

	buf_print(&line, "AUTH %.*s", STR_ARGS(exchange->mechanism));
	buf_add(&shown, buf_str(&line));
	*was_said = has_first_word(exchange->mechanism) &&
		    line.len + 1 + 4 * (exchange->response.len + 2) / 3 + 2 <= COMMAND_MAX;
	if (*was_said) {
		buf_add(&line, S(" "));
		base64_add(&line, exchange->response);
		forget_response(exchange);
		buf_add(&shown, S(" ****"));
	}
	err = client_say_masked(client, buf_str(&line), buf_str(&shown));
	explicit_bzero(line.at, line.len);
	return err;
}

static enum err say_response(struct exchange *exchange) WAITS
{
	OWNED(buf) struct buf line = BUF(2 * LIMIT_sasl_line);
	enum err err;

	if (base64_add(&line, exchange->response))
		return client_fail(exchange->client, fault(ERR_LIMIT, "a response is too long"),
				   "while signing in");
	forget_response(exchange);
	err = client_say_masked(exchange->client, buf_str(&line), S("****"));
	if (line.len > 0)
		explicit_bzero(line.at, line.len);
	return err;
}

/* rfc4954 4: "*" ends it, and the server says 501 to that. */
static enum err give_up(struct exchange *exchange, struct smtp_said *said) WAITS
{
	struct smtp_reply reply;
	enum err err;

	trace_step(exchange, "cancelled");
	*said = client_says(454, S("4.7.0"),
			    str_print(exchange->client->arena, "Signing in by %.*s: %s",
				      STR_ARGS(exchange->mechanism),
				      gsasl_strerror(exchange->code)));
	err = client_say(exchange->client, SMTP_AUTH, S("*"));
	return err ? err
		   : client_hear(exchange->client, SMTP_AUTH, exchange->client->times.hello_ms,
				 &reply);
}

/* 235 or a refusal. */
static void conclude(struct exchange *exchange, const struct smtp_reply *reply,
		     struct smtp_said *said)
{
	*said = client_said(*reply);
	if (reply->code >= 400) {
		/* A password that is wrong today is mended by somebody; the mail can wait for that. */
		said->result = SMTP_DEFERRED;
	} else if (exchange->code != GSASL_OK && str_starts(exchange->mechanism, S("SCRAM"))) {
		/* rfc5802 5: the server has to show that it knows the password too. */
		*said = client_says(454, S("4.7.0"), S("The server did not prove who it is"));
	}
	exchange->client->is_signed_in = said->result == SMTP_SENT;
	trace_step(exchange, said->result == SMTP_SENT ? "ok" : "failed");
}

/* One challenge, from its base64. False: it is none, or it has no answer. */
static bool take_challenge(struct exchange *exchange, struct str text, bool is_first_due) WAITS
{
	struct str challenge;

	/* The first word is owed still: it was too long for the command. */
	if (is_first_due)
		return true;
	exchange->step++;
	if (exchange->code == GSASL_OK) { /* all has been said */
		exchange->code = GSASL_MECHANISM_CALLED_TOO_MANY_TIMES;
		return false;
	}
	exchange->code = GSASL_BASE64_ERROR;
	return base64_take(&exchange->client->scratch, str_trim(text), &challenge) &&
	       step(exchange, challenge);
}

static enum err converse(struct exchange *exchange, bool was_said, struct smtp_said *said) WAITS
{
	struct smtp_client *client = exchange->client;
	bool is_first_due = !was_said && has_first_word(exchange->mechanism);
	struct smtp_reply reply;
	enum err err = client_hear(client, SMTP_AUTH, client->times.hello_ms, &reply);

	while (!err && reply.code == 334) {
		if (exchange->step == STEPS_MAX ||
		    !take_challenge(exchange, reply.text, is_first_due))
			return give_up(exchange, said);
		is_first_due = false;
		trace_step(exchange, "continue");
		err = say_response(exchange);
		if (!err)
			err = client_hear(client, SMTP_AUTH, client->times.hello_ms, &reply);
	}
	if (!err && reply.code / 100 == 3)
		err = client_misheard(client, &reply, "in answer to AUTH");
	if (!err)
		conclude(exchange, &reply, said);
	return err;
}

static enum err run_exchange(struct exchange *exchange, struct smtp_said *said) WAITS
{
	bool was_said;
	enum err err;

	if (has_first_word(exchange->mechanism) && !step(exchange, S(""))) {
		*said = client_says(454, S("4.7.0"),
				    str_print(exchange->client->arena, "Signing in by %.*s: %s",
					      STR_ARGS(exchange->mechanism),
					      gsasl_strerror(exchange->code)));
		return OK;
	}
	err = say_auth(exchange, &was_said);
	return err ? err : converse(exchange, was_said, said);
}

enum err client_sign_in(struct smtp_client *client, struct smtp_said *said) WAITS
{
	const struct mechanism *mechanism;
	struct exchange exchange = { .client = client, .began = now(), .code = GSASL_NEEDS_MORE };
	enum err err = OK;

	find_channel(&exchange);
	mechanism = choose(&exchange);
	if (!mechanism) {
		*said = client_says(454, S("4.7.0"),
				    S("The server offers no way to sign in that may be used here"));
		return OK;
	}
	exchange.mechanism = mechanism->name;
	must(gsasl_init(&exchange.library) == GSASL_OK);
	gsasl_callback_set(exchange.library, on_property);
	if (gsasl_client_start(exchange.library, mechanism->name.at, &exchange.session) ==
	    GSASL_OK) {
		gsasl_session_hook_set(exchange.session, &exchange);
		err = run_exchange(&exchange, said);
		gsasl_finish(exchange.session);
	} else {
		*said = client_says(454, S("4.7.0"), S("The SASL library lacks the mechanism"));
	}
	gsasl_done(exchange.library);
	return err;
}
