/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"
#include "pop3/session.h"

enum { CALL_MS = 30000 };

bool pop3_may_ask_password(const struct pop3_session *session)
{
	return conn_is_tls(session->conn) || session->service->listener->auth_without_tls;
}

bool pop3_has_apop(const struct pop3_session *session)
{
	return session->banner[0] != '\0';
}

void pop3_trace_auth(struct pop3_session *session, const struct pop3_login *login,
		     struct str outcome)
{
	bool done = login->state == SASL_DONE;

	TRACE(session->service->trace, session->id, pop3_trace_flags(session), auth,
	      .mechanism = login->mechanism, .step = login->step, .outcome = outcome,
	      .account = done ? login->address : S(""), .us = (uint64_t)(now() - login->began));
}

void pop3_sign_out(struct pop3_session *session) WAITS
{
	struct answer_sign_out answer;

	if (!session->signed_in)
		return;
	session->signed_in = false;
	/* When the store is gone the handle is gone with it. */
	(void)!call_sign_out(session->service->store,
			     &(struct ask_sign_out){ .account = session->account }, &session->arena,
			     &answer, in_ms(CALL_MS));
}

/* The maildrop of who has just signed in; rfc1939 4: exclusively, or the login fails. */
static enum err enter_transaction(struct pop3_session *session) WAITS
{
	struct str folder = session->folder.len ? buf_str(&session->folder) : S("INBOX");
	enum err err = maildrop_open(&session->drop, session->account, folder);

	if (err) {
		TRACE(session->service->trace, session->id, pop3_trace_flags(session), policy,
		      .rule = S("maildrop"), .verdict = S("refuse"),
		      .detail = str_print(&session->arena, "%.*s: %s", STR_ARGS(folder),
					  fault_text()[0] ? fault_text() : err_text(err)),
		      .source = str_of(err_name(err)));
		pop3_sign_out(session);
		buf_reset(&session->folder);
		return pop3_answer_failure(session, err);
	}
	fiber_describe("%s %.*s", session->peer, STR_ARGS(buf_str(&session->address)));
	pop3_enter(session, POP3_TRANSACTION);
	return pop3_say(session,
			str_print(&session->arena, "+OK %zu messages, %llu octets",
				  session->drop.count, (unsigned long long)session->drop.octets));
}

/* A wrong name or password: as slow as the store says, and not for ever. */
static enum err refuse_login(struct pop3_session *session, const struct pop3_login *login) WAITS
{
	const struct pop3_service *service = session->service;
	enum err err;

	buf_reset(&session->folder);
	if (service->caps && !session->exempt)
		caps_blame(service->caps, conn_peer(session->conn), 1);
	err = pop3_delay(session, (int64_t)login->delay_ms);
	pop3_trace_auth(session, login, S("failed"));
	if (err)
		return err;
	session->login_failures++;
	if (session->login_failures < service->config->login_failures_max || session->exempt)
		return pop3_answer(session, POP3_REPLY_AUTH_FAILED);
	session->close_reason = "login-failures";
	TRACE(service->trace, session->id, pop3_trace_flags(session), policy,
	      .rule = S("login_failures_max"), .verdict = S("close"),
	      .detail = str_print(&session->arena, "%llu failed logins",
				  (unsigned long long)session->login_failures),
	      .source = config_origin(service->config, &session->arena, "login_failures_max"));
	return pop3_answer(session, POP3_REPLY_TOO_MANY_FAILURES);
}

enum err pop3_conclude(struct pop3_session *session, const struct pop3_login *login) WAITS
{
	switch (login->state) {
	case SASL_DONE:
		pop3_trace_auth(session, login, S("ok"));
		session->signed_in = true;
		session->account = login->account;
		buf_reset(&session->address);
		buf_add(&session->address, login->address);
		return enter_transaction(session);
	case SASL_FAILED:
		return refuse_login(session, login);
	case SASL_MALFORMED:
		pop3_trace_auth(session, login, S("failed"));
		return pop3_answer(session, POP3_REPLY_AUTH_MALFORMED);
	case SASL_UNKNOWN:
		pop3_trace_auth(session, login, S("failed"));
		return pop3_answer(session, POP3_REPLY_AUTH_UNKNOWN);
	case SASL_BUSY:
		pop3_trace_auth(session, login, S("unavailable"));
		return pop3_answer(session, POP3_REPLY_AUTH_BUSY);
	case SASL_CONTINUE:
		break;
	}
	pop3_trace_auth(session, login, S("unavailable"));
	return pop3_answer(session, POP3_REPLY_FAILED_FOR_NOW);
}

/* The store could not be asked, or would not say. */
static enum err login_unavailable(struct pop3_session *session, struct pop3_login *login) WAITS
{
	login->state = SASL_CONTINUE;
	return pop3_conclude(session, login);
}

/* Keeps the name, and the folder that it may carry. */
static bool keep_user(struct pop3_session *session, struct str name)
{
	struct str user;
	struct str folder;

	login_split(&session->arena, name, session->service->config->subaddress_separator, &user,
		    &folder);
	buf_reset(&session->user);
	buf_reset(&session->folder);
	return !buf_add(&session->user, user) && !buf_add(&session->folder, folder);
}

enum err pop3_user(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct str name = str_trim(command->text);

	if (!pop3_may_ask_password(session)) /* before the password, not after it */
		return pop3_answer(session, pop3_may_start_tls(session) ? POP3_REPLY_NEEDS_TLS
									: POP3_REPLY_NO_PASSWORDS);
	if (!keep_user(session, name)) {
		buf_reset(&session->user);
		return pop3_answer(session, POP3_REPLY_TOO_LONG);
	}
	return pop3_answer(session, POP3_REPLY_SEND_PASS); /* for any name: none is given away */
}

enum err pop3_pass(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct answer_password answer;
	struct pop3_login login = { .mechanism = S("USER"), .began = now() };
	struct ask_password ask = { .password = command->text,
				    .peer = str_of(session->peer),
				    .session = session->id };
	enum err err;

	if (session->user.len == 0)
		return pop3_answer(session, POP3_REPLY_NEEDS_USER);
	ask.user = str_dup(&session->arena, buf_str(&session->user));
	buf_reset(&session->user); /* rfc1939 7: PASS comes immediately after USER, once */
	if (command->text.len > LIMIT_password)
		return pop3_answer(session, POP3_REPLY_TOO_LONG);
	err = call_password(session->service->store, &ask, &session->arena, &answer,
			    in_ms(CALL_MS));
	if (err)
		return login_unavailable(session, &login);
	login.state = (enum sasl_state)answer.state;
	login.account = answer.account;
	login.address = answer.address;
	login.delay_ms = answer.delay_ms;
	return pop3_conclude(session, &login);
}

enum err pop3_apop(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct answer_apop answer;
	struct pop3_login login = { .mechanism = S("APOP"), .began = now() };
	struct ask_apop ask = { .banner = str_of(session->banner),
				.digest = command->secret,
				.peer = str_of(session->peer),
				.session = session->id };
	enum err err;

	if (!pop3_has_apop(session))
		return pop3_answer(session, POP3_REPLY_UNKNOWN);
	if (!keep_user(session, command->text))
		return pop3_answer(session, POP3_REPLY_TOO_LONG);
	ask.user = str_dup(&session->arena, buf_str(&session->user));
	buf_reset(&session->user);
	err = call_apop(session->service->store, &ask, &session->arena, &answer, in_ms(CALL_MS));
	if (err)
		return login_unavailable(session, &login);
	login.state = (enum sasl_state)answer.state;
	login.account = answer.account;
	login.address = answer.address;
	login.delay_ms = answer.delay_ms;
	return pop3_conclude(session, &login);
}
