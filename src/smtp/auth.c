/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH (rfc4954): the dialogue is ours, the mechanisms and the secrets are the store's. */
#include "smtp/session.h"

enum { STEPS_MAX = 12, ASK_MS = 15'000 };

/* One exchange under way. */
struct exchange {
	struct str mechanism;
	unsigned step;
	moment began;
	struct answer_sasl_start answer; /* sasl_start's and sasl_step's are the same */
};

static bool is_plus(struct str mechanism)
{
	return str_ends_nocase(mechanism, S("-PLUS"));
}

bool smtp_mechanism_is_offered(const struct smtp_session *s, struct str mechanism)
{
	const char *type;
	unsigned char data[64];
	size_t len;

	if (!config_lists(&s->listener->mechanisms, mechanism))
		return false;
	if (str_is_nocase(mechanism, S("CRAM-MD5")) && !s->config->keep_secrets)
		return false;
	return !is_plus(mechanism) || conn_channel_binding(s->conn, &type, data, &len);
}

static void trace_step(struct smtp_session *s, const struct exchange *exchange, struct str outcome)
{
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), auth, .mechanism = exchange->mechanism,
	      .step = exchange->step, .outcome = outcome,
	      .account = s->is_signed_in ? buf_str(&s->account) : S(""),
	      .us = (uint64_t)(now() - exchange->began));
}

/* 235: the handle is ours until sign_out. */
static enum err succeed(struct smtp_session *s, struct exchange *exchange) WAITS
{
	s->is_signed_in = true;
	s->masks_lines = false;
	s->account_handle = exchange->answer.account;
	buf_reset(&s->account);
	buf_add(&s->account, exchange->answer.address);
	trace_step(s, exchange, S("ok"));
	fiber_describe("smtp %.*s", STR_ARGS(exchange->answer.address));
	return smtp_say_name(s, SMTP_REPLY_signed_in);
}

static enum err fail(struct smtp_session *s, struct exchange *exchange) WAITS
{
	enum err err = OK;

	if (exchange->answer.delay_ms > 0)
		err = fiber_sleep(in_ms((int64_t)exchange->answer.delay_ms));
	trace_step(s, exchange, S("failed"));
	s->failures++;
	if (s->service->caps)
		caps_blame(s->service->caps, conn_peer(s->conn), 1);
	if (!err)
		err = smtp_say_name(s, SMTP_REPLY_sign_in_failed);
	if (!err && !s->is_over && s->failures >= s->config->login_failures_max) {
		smtp_trace_policy(s, "login_failures_max", "close", S("too many failed sign-ins"));
		err = smtp_say_last(s, smtp_reply_named(s, SMTP_REPLY_too_many_failures), "errors");
	}
	return err;
}

static enum err unavailable(struct smtp_session *s, struct exchange *exchange) WAITS
{
	trace_step(s, exchange, S("unavailable"));
	return smtp_say_name(s, SMTP_REPLY_sign_in_unavailable);
}

static void give_up(struct smtp_session *s, const struct exchange *exchange) WAITS
{
	struct answer_sasl_drop answer;

	/* A store that does not answer has ended, and the exchange with it. */
	if (exchange->answer.sasl &&
	    call_sasl_drop(s->service->store,
			   &(struct ask_sasl_drop){ .sasl = exchange->answer.sasl }, &s->arena,
			   &answer, in_ms(ASK_MS)) != OK)
		return;
}

static enum err start(struct smtp_session *s, struct exchange *exchange,
		      const struct smtp_command *command, struct str initial) WAITS
{
	const char *type = "";
	unsigned char data[64];
	size_t len = 0;

	if (!listener_binds_channels(s->listener) ||
	    !conn_channel_binding(s->conn, &type, data, &len)) {
		type = "";
		len = 0;
	}
	return call_sasl_start(s->service->store,
			       &(struct ask_sasl_start){
				       .mechanism = command->mechanism,
				       .initial = initial,
				       .has_initial = command->has_initial,
				       .channel_type = str_of(type),
				       .channel_data = { (const char *)data, len },
				       .service = S("smtp"),
				       .peer = smtp_client_address(s),
				       .session = s->id,
			       },
			       &s->arena, &exchange->answer, in_ms(ASK_MS));
}

static enum err step(struct smtp_session *s, struct exchange *exchange, struct str response) WAITS
{
	struct answer_sasl_step answer;
	enum err err = call_sasl_step(s->service->store,
				      &(struct ask_sasl_step){
					      .sasl = exchange->answer.sasl,
					      .response = response,
				      },
				      &s->arena, &answer, in_ms(ASK_MS));

	if (err)
		return err;
	exchange->answer = (struct answer_sasl_start){
		.state = answer.state,
		.sasl = answer.sasl,
		.challenge = answer.challenge,
		.account = answer.account,
		.address = answer.address,
		.delay_ms = answer.delay_ms,
	};
	return OK;
}

enum response { RESPONSE_GIVEN, RESPONSE_CANCELLED, RESPONSE_TOO_LONG, RESPONSE_MALFORMED };

/* The challenge goes out, the client's line comes back. */
static enum err converse(struct smtp_session *s, struct exchange *exchange, struct str *out,
			 enum response *how) WAITS
{
	OWNED(buf) struct buf text = BUF(2 * LIMIT_sasl_line);
	struct str line;
	enum err err = base64_add(&text, exchange->answer.challenge);

	must(!err);
	err = smtp_say(s, smtp_reply_with(&s->arena, SMTP_REPLY_challenge, buf_str(&text)));
	if (!err)
		err = conn_read_line(s->conn, LIMIT_sasl_line, LINE_LF_TOO, smtp_patience(s),
				     &line);
	exchange->step++;
	exchange->began = s->heard = now();
	if (!err || err == ERR_LIMIT)
		TRACE(s->service->trace, s->id, smtp_trace_flags(s) | TRACE_MASKED, command,
		      .verb = S("AUTH"), .line = S("****"));
	s->has_secret = true;
	*how = RESPONSE_GIVEN;
	if (err == ERR_LIMIT)
		*how = RESPONSE_TOO_LONG;
	else if (!err && str_is(line, S("*")))
		*how = RESPONSE_CANCELLED;
	else if (!err && !base64_take(&s->arena, line, out))
		*how = RESPONSE_MALFORMED;
	conn_wipe(s->conn); /* the next line may come before the command is over */
	return err == ERR_LIMIT ? OK : err;
}

static enum err refuse_response(struct smtp_session *s, struct exchange *exchange,
				enum response how) WAITS
{
	give_up(s, exchange);
	trace_step(s, exchange, how == RESPONSE_CANCELLED ? S("cancelled") : S("failed"));
	if (how == RESPONSE_CANCELLED) /* rfc4954 4 */
		return smtp_say_name(s, SMTP_REPLY_auth_cancelled);
	return smtp_say_name(s, how == RESPONSE_TOO_LONG ? SMTP_REPLY_auth_line_too_long
							 : SMTP_REPLY_bad_base64);
}

static enum err conclude(struct smtp_session *s, struct exchange *exchange) WAITS
{
	switch ((enum sasl_state)exchange->answer.state) {
	case SASL_DONE:
		return succeed(s, exchange);
	case SASL_FAILED:
		return fail(s, exchange);
	case SASL_MALFORMED:
		trace_step(s, exchange, S("failed"));
		return smtp_say_name(s, SMTP_REPLY_bad_response);
	case SASL_UNKNOWN:
		trace_step(s, exchange, S("unavailable"));
		return smtp_say_name(s, SMTP_REPLY_mechanism_unknown);
	case SASL_CONTINUE: /* without an end */
		give_up(s, exchange);
		break;
	case SASL_BUSY:
		break;
	}
	return unavailable(s, exchange);
}

/*
 * Challenges and responses until the store knows. A last challenge that comes with success (SCRAM's
 * server signature) still goes out as a 334, and the client answers it with an empty line
 * (rfc4954 4, rfc5802 5).
 */
static enum err run_exchange(struct smtp_session *s, struct exchange *exchange) WAITS
{
	struct answer_sasl_start *answer = &exchange->answer;
	enum response how;
	struct str response;
	enum err err;

	while (answer->state == SASL_CONTINUE && exchange->step < STEPS_MAX) {
		trace_step(s, exchange, S("continue"));
		err = converse(s, exchange, &response, &how);
		if (err) {
			give_up(s, exchange);
			return err;
		}
		if (how != RESPONSE_GIVEN)
			return refuse_response(s, exchange, how);
		if (step(s, exchange, response) != OK) {
			give_up(s, exchange); /* it may only be late */
			return unavailable(s, exchange);
		}
	}
	if (answer->state == SASL_DONE && answer->challenge.len > 0) {
		err = converse(s, exchange, &response, &how);
		if (err || how != RESPONSE_GIVEN || response.len > 0) {
			s->account_handle = answer->account;
			s->is_signed_in = true; /* only to be given back */
			smtp_sign_out(s);
			answer->sasl = 0; /* it has ended */
		}
		if (err)
			return err;
		if (how != RESPONSE_GIVEN || response.len > 0)
			return refuse_response(s, exchange,
					       how == RESPONSE_GIVEN ? RESPONSE_MALFORMED : how);
	}
	return conclude(s, exchange);
}

/* What speaks against AUTH now, before anything of it is looked at. */
static struct smtp_reply auth_rule(struct smtp_session *s, const struct smtp_command *command)
{
	if (s->listener->auth_mode == AUTH_MODE_NONE || listener_without(s->listener, "AUTH"))
		return smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("AUTH"));
	if (s->is_signed_in) /* rfc4954 4 */
		return smtp_reply(SMTP_REPLY_signed_in_already);
	if (!conn_is_tls(s->conn) && !s->listener->auth_without_tls)
		return smtp_reply(SMTP_REPLY_tls_for_mechanism);
	if (!smtp_mechanism_is_offered(s, command->mechanism))
		return smtp_reply(SMTP_REPLY_mechanism_unknown);
	return (struct smtp_reply){ 0 };
}

enum err smtp_run_auth(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	struct exchange exchange = { .mechanism = command->mechanism, .began = now() };
	struct smtp_reply refused = auth_rule(s, command);
	struct str initial = S("");
	enum err err;

	/* However it ends but well: responses that were sent ahead come as if they were commands. */
	s->masks_lines = true;
	if (!refused.code && command->has_initial &&
	    !base64_take(&s->arena, command->initial, &initial))
		refused = smtp_reply(SMTP_REPLY_bad_base64);
	conn_wipe(s->conn); /* what else there is of the command lies in the arena */
	if (refused.code)
		return smtp_say(s, refused);
	err = start(s, &exchange, command, initial);
	if (err) {
		smtp_trace_trouble(s, err, "signing in");
		return unavailable(s, &exchange);
	}
	return run_exchange(s, &exchange);
}

void smtp_sign_out(struct smtp_session *s) WAITS
{
	struct answer_sign_out answer;

	if (!s->is_signed_in)
		return;
	s->is_signed_in = false;
	buf_drop(&s->account);
	if (call_sign_out(s->service->store, &(struct ask_sign_out){ .account = s->account_handle },
			  &s->arena, &answer, in_ms(ASK_MS)) != OK)
		smtp_trace_trouble(s, ERR_GONE, "signing out");
}
