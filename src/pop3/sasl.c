/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

enum { CALL_MS = 30000, STEPS_MAX = 12 };

/* One SASL exchange under way. */
struct exchange {
	struct pop3_login login;
	uint64_t sasl;        /* the store's number for it */
	struct str challenge; /* to send, or the last one when done */
};

/* Mechanisms that show the password or a token to whoever listens. */
static bool is_plaintext(struct str mechanism)
{
	return str_is_nocase(mechanism, S("PLAIN")) || str_is_nocase(mechanism, S("LOGIN")) ||
	       str_is_nocase(mechanism, S("XOAUTH2")) || str_is_nocase(mechanism, S("OAUTHBEARER"));
}

bool pop3_offers(struct pop3_session *session, struct str mechanism)
{
	const struct pop3_service *service = session->service;
	unsigned char data[64];
	const char *type;
	size_t len;

	if (!config_lists(&service->listener->mechanisms, mechanism))
		return false;
	if (is_plaintext(mechanism) && !pop3_may_ask_password(session))
		return false;
	if (str_is_nocase(mechanism, S("CRAM-MD5")) && !service->config->keep_secrets)
		return false;
	return !str_ends_nocase(mechanism, S("-PLUS")) ||
	       conn_channel_binding(session->conn, &type, data, &len);
}

/* The next line of the exchange, decoded. *reply is set when it ends the exchange. */
static enum err read_response(struct pop3_session *session, struct str *out, enum pop3_reply *reply)
	WAITS
{
	const struct config *config = session->service->config;
	struct str line;
	moment deadline = sooner(in_ms(config->session_idle), in_ms(pop3_patience_ms(session)));
	enum err err = conn_read_line(session->conn, LIMIT_sasl_line, LINE_LF_TOO, deadline, &line);

	session->has_secret = true;
	if (err == ERR_LIMIT) {
		*reply = POP3_REPLY_AUTH_MALFORMED;
		return OK;
	}
	if (err)
		return err;
	TRACE(session->service->trace, session->id, pop3_trace_flags(session) | TRACE_MASKED,
	      command, .verb = S(""), .line = str_is(line, S("*")) ? line : S("****"));
	if (str_is(line, S("*"))) /* rfc5034 4 */
		*reply = POP3_REPLY_AUTH_CANCELLED;
	else if (!base64_take(&session->arena, line, out))
		*reply = POP3_REPLY_AUTH_MALFORMED;
	conn_wipe(session->conn); /* the next line may come before the command is over */
	return OK;
}

static enum err send_challenge(struct pop3_session *session, struct str challenge) WAITS
{
	OWNED(buf) struct buf line = BUF(LIMIT_sasl_line * 2);
	enum err err;

	buf_add(&line, S("+ "));
	base64_add(&line, challenge);
	buf_add(&line, S("\r\n"));
	err = pop3_send(session, buf_str(&line));
	/* A challenge may hold what a password can be guessed from. */
	if (!err)
		TRACE(session->service->trace, session->id,
		      pop3_trace_flags(session) | TRACE_MASKED, reply,
		      .line = challenge.len ? S("+ ****") : S("+ "), .verb = S("AUTH"),
		      .us = (uint64_t)(now() - session->command_at));
	session->command_at = now();
	return err;
}

/* A name that carries a folder (user+folder) is split by the store: some mechanisms sign it whole. */
static void note(struct pop3_session *session, struct exchange *exchange,
		 const struct answer_sasl_start *answer)
{
	if (answer->state == SASL_DONE) {
		buf_reset(&session->folder);
		must(!buf_add(&session->folder, answer->folder));
	}
	exchange->login.state = (enum sasl_state)answer->state;
	exchange->login.account = answer->account;
	exchange->login.address = answer->address;
	exchange->login.delay_ms = answer->delay_ms;
	exchange->sasl = answer->sasl;
	exchange->challenge = answer->challenge;
}

static enum err start(struct pop3_session *session, struct exchange *exchange, struct str initial,
		      bool has_initial) WAITS
{
	struct ask_sasl_start ask = { .mechanism = exchange->login.mechanism,
				      .initial = initial,
				      .has_initial = has_initial,
				      .service = S("pop"),
				      .peer = str_of(session->peer),
				      .session = session->id };
	struct answer_sasl_start answer;
	unsigned char data[64];
	const char *type;
	size_t len;
	enum err err;

	if (listener_binds_channels(session->service->listener) &&
	    conn_channel_binding(session->conn, &type, data, &len)) {
		ask.channel_type = str_of(type);
		ask.channel_data = (struct str){ (const char *)data, len };
	}
	err = call_sasl_start(session->service->store, &ask, &session->arena, &answer,
			      in_ms(CALL_MS));
	if (!err)
		note(session, exchange, &answer);
	return err;
}

static enum err step(struct pop3_session *session, struct exchange *exchange, struct str response)
	WAITS
{
	struct ask_sasl_step ask = { .sasl = exchange->sasl, .response = response };
	struct answer_sasl_step answer;
	enum err err = call_sasl_step(session->service->store, &ask, &session->arena, &answer,
				      in_ms(CALL_MS));

	exchange->login.step++;
	if (!err)
		note(session, exchange,
		     &(struct answer_sasl_start){ .state = answer.state,
						  .sasl = answer.sasl,
						  .challenge = answer.challenge,
						  .account = answer.account,
						  .address = answer.address,
						  .folder = answer.folder,
						  .delay_ms = answer.delay_ms });
	return err;
}

static void drop_exchange(struct pop3_session *session, const struct exchange *exchange) WAITS
{
	struct answer_sasl_drop answer;

	if (exchange->sasl) /* what the store says to that does not matter */
		(void)!call_sasl_drop(session->service->store,
				      &(struct ask_sasl_drop){ .sasl = exchange->sasl },
				      &session->arena, &answer, in_ms(CALL_MS));
}

static enum err give_up(struct pop3_session *session, struct exchange *exchange,
			enum pop3_reply reply) WAITS
{
	drop_exchange(session, exchange);
	pop3_trace_auth(session, &exchange->login,
			reply == POP3_REPLY_AUTH_CANCELLED ? S("cancelled") : S("failed"));
	buf_reset(&session->folder);
	return pop3_answer(session, reply);
}

/* Challenges and responses until the store has decided. */
static enum err run_exchange(struct pop3_session *session, struct exchange *exchange) WAITS
{
	enum pop3_reply reply = POP3_REPLY_NONE;
	struct str response = S("");
	enum err err = OK;

	while (!err && exchange->login.state == SASL_CONTINUE && exchange->login.step < STEPS_MAX) {
		pop3_trace_auth(session, &exchange->login, S("continue"));
		err = send_challenge(session, exchange->challenge);
		if (!err)
			err = read_response(session, &response, &reply);
		if (err) {
			drop_exchange(session, exchange);
			return err;
		}
		if (reply != POP3_REPLY_NONE)
			return give_up(session, exchange, reply);
		err = step(session, exchange, response);
		if (err) { /* the store is away, or late: nothing of it may be believed */
			drop_exchange(session, exchange);
			exchange->login.state = SASL_BUSY;
		}
		err = OK;
	}
	if (exchange->login.state == SASL_CONTINUE)
		return give_up(session, exchange, POP3_REPLY_AUTH_MALFORMED);
	/* rfc5034 4: data that comes with success is one more challenge, and its response empty. */
	if (exchange->login.state == SASL_DONE && exchange->challenge.len > 0) {
		err = send_challenge(session, exchange->challenge);
		if (!err)
			err = read_response(session, &response, &reply);
		if (err || reply != POP3_REPLY_NONE || response.len > 0) {
			session->account = exchange->login.account;
			session->signed_in = true; /* only to be given back */
			pop3_sign_out(session);
			exchange->sasl = 0;
		}
		if (!err && (reply != POP3_REPLY_NONE || response.len > 0))
			return give_up(session, exchange,
				       reply ? reply : POP3_REPLY_AUTH_MALFORMED);
	}
	return err ? err : pop3_conclude(session, &exchange->login);
}

static enum err list_mechanisms(struct pop3_session *session) WAITS
{
	const struct config_list *list = &session->service->listener->mechanisms;
	OWNED(buf) struct buf out = BUF(LIMIT_pop3_command_line * 8);
	enum err err;

	for (size_t i = 0; i < list->count; i++)
		if (pop3_offers(session, list->at[i]))
			buf_print(&out, "%.*s\r\n", STR_ARGS(list->at[i]));
	buf_add(&out, S(".\r\n"));
	err = pop3_say(session, S("+OK the mechanisms"));
	return err ? err : pop3_send(session, buf_str(&out));
}

enum err pop3_auth(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct exchange exchange = { .login = { .began = now() } };
	struct str initial = S("");

	/* However it ends: responses that were sent ahead may follow. A verb that is one ends it. */
	session->masks_lines = true;
	if (!command->has_text) /* rfc5034 does not have it, but rfc1734's clients ask like this */
		return list_mechanisms(session);
	if (!pop3_offers(session, command->text))
		return pop3_answer(session,
				   is_plaintext(command->text) && pop3_may_start_tls(session)
					   ? POP3_REPLY_NEEDS_TLS
					   : POP3_REPLY_AUTH_UNKNOWN);
	/* The line is gone when the next one is read. */
	exchange.login.mechanism = str_dup(&session->arena, command->text);
	if (command->has_secret && !str_is(command->secret, S("=")) &&
	    !base64_take(&session->arena, command->secret, &initial))
		return pop3_answer(session, POP3_REPLY_AUTH_MALFORMED);
	conn_wipe(session->conn); /* before the next line is read */
	buf_reset(&session->user);
	buf_reset(&session->folder);
	if (start(session, &exchange, initial, command->has_secret)) {
		exchange.login.state = SASL_BUSY;
		return pop3_conclude(session, &exchange.login);
	}
	return run_exchange(session, &exchange);
}
