/* SPDX-License-Identifier: Apache-2.0 */
/* One session from greeting to close. */
#include "smtp/session.h"

enum { FLUSH_MS = 30'000, LONG_LINES_MAX = 3 };

/* ---- the beginning ---- */

static const char *protocol_name(const struct smtp_session *s)
{
	switch (s->listener->kind) {
	case PROTOCOL_SUBMISSION:
		return "submission";
	case PROTOCOL_LMTP:
		return "lmtp";
	default:
		return "smtp";
	}
}

static void trace_connect(struct smtp_session *s)
{
	char peer[ADDR_TEXT];
	char local[ADDR_TEXT];
	char via[ADDR_TEXT] = "";

	addr_print(conn_peer(s->conn), peer);
	addr_print(conn_local(s->conn), local);
	if (conn_via(s->conn)->family != ADDR_NONE)
		addr_print(conn_via(s->conn), via);
	fiber_describe("%s %s", protocol_name(s), peer);
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), connect,
	      .protocol = str_of(protocol_name(s)), .listener = s->listener->name,
	      .peer = str_of(peer), .local = str_of(local), .via = str_of(via));
}

static void trace_implicit_tls(struct smtp_session *s)
{
	const struct tls_info *info = conn_tls(s->conn);

	if (!info->version)
		return;
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), tls, .version = str_of(info->version),
	      .cipher = str_of(info->cipher), .group = str_of(info->group),
	      .server_name = str_of(info->server_name), .resumed = info->resumed, .implicit = 1,
	      .us = (uint64_t)info->us);
	smtp_trace_certificate(s);
}

/* rfc5321 4.3.1: the client waits for the greeting. Who does not is a machine in a hurry. */
static enum err wait_for_silence(struct smtp_session *s, bool *spoke) WAITS
{
	int64_t delay_ms = s->listener->auth_mode == AUTH_MODE_NONE ? s->config->greeting_delay : 0;
	enum err err = OK;

	if (conn_input(s->conn).len == 0)
		err = delay_ms ? conn_fill(s->conn, in_ms(delay_ms)) : conn_fill_now(s->conn);
	*spoke = conn_input(s->conn).len > 0;
	return err == ERR_TIMEOUT || err == ERR_AGAIN ? OK : err;
}

static enum err greet(struct smtp_session *s) WAITS
{
	bool spoke = false;
	enum err err = wait_for_silence(s, &spoke);

	s->heard = now();
	if (err)
		return err;
	if (spoke) {
		bool is_refused = str_is(s->config->pregreet, S("refuse"));

		smtp_trace_policy(s, "pregreet", is_refused ? "refuse" : "accept",
				  S("spoke before the greeting"));
		if (is_refused)
			return smtp_say_last(s, smtp_reply(SMTP_REPLY_pregreeted), "refused");
	}
	err = smtp_say(s, smtp_reply_named(s, s->is_lmtp ? SMTP_REPLY_greeting_lmtp
							 : SMTP_REPLY_greeting));
	s->was_greeted = true;
	return err;
}

/* ---- commands ---- */

/* Not understood, and yet it may be an AUTH: a blank before it, a tab or a control behind it. */
static bool is_like_auth(struct str line)
{
	for (; line.len >= 4; line = str_from(line, 1))
		if (str_starts_nocase(line, S("AUTH")))
			return true;
	return false;
}

static void trace_command(struct smtp_session *s, const struct smtp_command *command,
			  struct str line)
{
	bool is_response = command->verb == SMTP_UNKNOWN && (s->masks_lines || is_like_auth(line));
	bool is_auth = command->verb == SMTP_AUTH && command->argument.len > 0;
	bool has_secret = is_response || (is_auth && command->has_initial);

	if (command->verb != SMTP_UNKNOWN && command->verb != SMTP_AUTH)
		s->masks_lines = false;
	/* Not well formed: it may hold a secret anywhere. */
	has_secret |= is_auth && command->mechanism.len == 0;
	s->has_secret |= has_secret;
	if (!s->service->trace)
		return;
	if (is_response)
		line = S("****");
	else if (is_auth && command->mechanism.len == 0)
		line = S("AUTH ****");
	else if (has_secret)
		line = str_print(&s->arena, "AUTH %.*s ****", STR_ARGS(command->mechanism));
	TRACE(s->service->trace, s->id, smtp_trace_flags(s) | (has_secret ? TRACE_MASKED : 0),
	      command, .verb = str_of(smtp_verb_name(command->verb)), .line = line);
}

/*
 * Commands that move nothing: a client that says only those is here to stay. MAIL is one until a message
 * follows, or MAIL, RCPT and RSET could go on for ever.
 */
static bool is_idle_command(enum smtp_verb verb)
{
	return verb != SMTP_RCPT && verb != SMTP_DATA && verb != SMTP_BDAT && verb != SMTP_QUIT;
}

static enum err run_quit(struct smtp_session *s) WAITS
{
	s->is_over = true;
	s->reason = "quit";
	return smtp_say(s, smtp_reply_named(s, SMTP_REPLY_bye));
}

static enum err run_rset(struct smtp_session *s) WAITS
{
	smtp_forget(s);
	return smtp_say_name(s, SMTP_REPLY_reset);
}

static struct smtp_rules rules_now(const struct smtp_session *s)
{
	struct smtp_rules rules = {
		.extensions = smtp_offered(s),
		.is_lmtp = s->is_lmtp,
		.allows_utf8 = s->envelope.is_utf8,
	};

	if (s->is_signed_in)
		rules.extensions |= SMTP_EXT_AUTH; /* AUTH= of MAIL (rfc4954 5) */
	return rules;
}

static enum err run_help(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	struct smtp_rules rules = rules_now(s);

	return smtp_say(s, smtp_help(&s->arena, command->argument, &rules));
}

static enum err run(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	switch (command->verb) {
	case SMTP_EHLO:
	case SMTP_HELO:
	case SMTP_LHLO:
		return smtp_run_hello(s, command);
	case SMTP_STARTTLS:
		return smtp_run_starttls(s);
	case SMTP_AUTH:
		return smtp_run_auth(s, command);
	case SMTP_MAIL:
		return smtp_run_mail(s, command);
	case SMTP_RCPT:
		return smtp_run_rcpt(s, command);
	case SMTP_DATA:
		return smtp_run_data(s);
	case SMTP_RSET:
		return run_rset(s);
	case SMTP_VRFY:
		return smtp_run_vrfy(s, command);
	case SMTP_EXPN:
		return smtp_run_expn(s, command);
	case SMTP_ETRN:
		return smtp_run_etrn(s, command);
	case SMTP_HELP:
		return run_help(s, command);
	case SMTP_QUIT:
		return run_quit(s);
	default:
		return smtp_say_name(s, SMTP_REPLY_noop);
	}
}

/* What stands against a well-formed command: the wrong moment. */
static struct smtp_reply order_rule(struct smtp_session *s, const struct smtp_command *command)
{
	struct smtp_reply refused = smtp_order(command->verb, s->state);
	bool is_data = command->verb == SMTP_DATA || command->verb == SMTP_BDAT;

	/* rfc5321 3.3: recipients were named, and none was good. In LMTP it must be 503 [rfc2033 4.2]. */
	if (refused.code && is_data && s->state == SMTP_MAILING && s->envelope.refused > 0 &&
	    !s->is_lmtp)
		return smtp_reply(SMTP_REPLY_no_recipients);
	return refused;
}

static enum err refuse(struct smtp_session *s, const struct smtp_command *command,
		       struct smtp_reply refused) WAITS
{
	if (command->verb == SMTP_FOREIGN)
		return smtp_say_last(s, refused, "refused");
	/* Without its size nobody knows where a chunk ends. */
	if (refused.code == 501 && command->verb == SMTP_BDAT)
		return smtp_say_last(s, refused, "refused");
	if (command->verb == SMTP_AUTH)
		s->masks_lines = true;
	if (command->verb == SMTP_RCPT && s->state & (SMTP_MAILING | SMTP_ADDRESSED))
		s->envelope.refused++;
	return smtp_say(s, refused);
}

static enum err serve_line(struct smtp_session *s, struct str line) WAITS
{
	struct smtp_rules rules = rules_now(s);
	struct smtp_command command;
	struct smtp_reply refused = smtp_command_parse(&s->arena, line, &rules, &command);

	s->commands++;
	s->verb = command.verb;
	trace_command(s, &command, line);
	if (is_idle_command(command.verb) && smtp_idles_too_long(s))
		return smtp_say_idles(s);
	if (!refused.code)
		refused = order_rule(s, &command);
	if (command.verb == SMTP_BDAT && refused.code != 501)
		return smtp_run_bdat(s, &command, refused);
	return refused.code ? refuse(s, &command, refused) : run(s, &command);
}

static enum err too_long(struct smtp_session *s) WAITS
{
	s->verb = SMTP_UNKNOWN;
	s->commands++;
	s->has_secret = true;
	TRACE(s->service->trace, s->id, smtp_trace_flags(s) | TRACE_CUT | TRACE_MASKED, command,
	      .verb = S(""), .line = S("****"));
	if (s->errors + 1 >= LONG_LINES_MAX)
		return smtp_say_last(s, smtp_reply(SMTP_REPLY_line_too_long), "errors");
	return smtp_say_name(s, SMTP_REPLY_line_too_long);
}

/* LF alone ends a command, for people with nc; never message data (see mail/dot.h). */
static enum err read_command(struct smtp_session *s, struct str *line) WAITS
{
	bool is_under_way = s->envelope.message != NULL;
	moment deadline = is_under_way ? smtp_data_deadline(s) : smtp_patience(s);
	moment start = now();
	enum err err =
		conn_read_line(s->conn, LIMIT_smtp_command_line, LINE_LF_TOO, deadline, line);

	s->heard = now();
	/* Between its chunks, too, a message may come no slower than it may, or it never ends. */
	return is_under_way ? smtp_data_waited(s, start, err) : err;
}

/* What the trace masks the memory forgets. */
static void forget_secrets(struct smtp_session *s)
{
	if (!s->has_secret)
		return;
	conn_wipe(s->conn);
	arena_wipe(&s->arena);
	s->has_secret = false;
}

static enum err serve_command(struct smtp_session *s) WAITS
{
	struct str line;
	enum err err;

	forget_secrets(s);
	/* Nothing outlives its command but the envelope; an idle session keeps no memory. */
	if (conn_input(s->conn).len == 0)
		arena_drop(&s->arena);
	else
		arena_reset(&s->arena);
	err = read_command(s, &line);
	if (err == ERR_LIMIT)
		return too_long(s);
	return err ? err : serve_line(s, line);
}

/* ---- the end ---- */

/* rfc5321 3.8: 421 to who can still hear it; nobody is waited for. */
static void say_farewell(struct smtp_session *s, enum err err) WAITS
{
	s->verb = SMTP_UNKNOWN;
	s->heard = now();
	if (err == ERR_TIMEOUT)
		smtp_trace_policy(s, "session_idle", "close", S("silent for too long"));
	if (err == ERR_TIMEOUT)
		smtp_say_farewell(s, SMTP_REPLY_idle_too_long);
	else if (err == ERR_STOPPED)
		smtp_say_farewell(s, SMTP_REPLY_stopping);
	else if (!s->is_over && err != ERR_CLOSED && err != ERR_RESET && err != ERR_TLS)
		smtp_trace_trouble(s, err, "in a session");
}

static void trace_close(struct smtp_session *s)
{
	char peer[ADDR_TEXT];

	addr_print(conn_peer(s->conn), peer);
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), close, .reason = str_of(s->reason),
	      .account = s->is_signed_in ? buf_str(&s->account) : S(""), .commands = s->commands,
	      .errors = s->errors, .messages = s->messages, .octets_in = conn_octets_in(s->conn),
	      .octets_out = conn_octets_out(s->conn), .us = (uint64_t)(now() - s->began),
	      .peer = str_of(peer), .protocol = str_of(protocol_name(s)),
	      .unsent = conn_unsent(s->conn));
}

static void finish(struct smtp_session *s, enum err err) WAITS
{
	bool is_gone = !s->is_over && (err == ERR_CLOSED || err == ERR_RESET);
	bool has_quit = s->is_over && s->verb == SMTP_QUIT;

	/* Who let a deadline pass is given no second one. */
	s->is_hurried = err != OK && !s->is_over && err != ERR_CLOSED;
	/* A handshake that failed, in whatever way, leaves nothing to say it in. */
	if (err && !s->is_over && !s->reason)
		say_farewell(s, err);
	if (!s->reason)
		s->reason = conn_close_reason(err);
	/* Signing out may take a while, and the reply would wait for it. */
	has_quit = has_quit && !s->is_signed_in && conn_hold(s->conn);
	if (conn_flush(s->conn, sooner(smtp_patience(s), in_ms(FLUSH_MS))) == OK && !is_gone &&
	    !has_quit) {
		conn_shut(s->conn);
		conn_linger(s->conn);
	}
	trace_close(s);
	forget_secrets(s);
	smtp_sign_out(s);
	smtp_envelope_reset(s);
	buf_drop(&s->hello);
	buf_drop(&s->account);
	arena_drop(&s->arena);
}

void smtp_serve(struct smtp_service *service, struct conn *conn, uint64_t session) WAITS
{
	struct smtp_session s = {
		.service = service,
		.config = service->config,
		.listener = service->listener,
		.conn = conn,
		.id = session,
		.began = now(),
		.heard = now(),
		.state = SMTP_FRESH,
		.is_lmtp = service->listener->kind == PROTOCOL_LMTP,
		.is_exempt = config_is_exempt(service->config, conn_peer(conn)),
		.hello = BUF(LIMIT_domain + 1),
		.account = BUF(LIMIT_address + 1),
	};
	enum err err;

	trace_connect(&s);
	trace_implicit_tls(&s);
	err = greet(&s);
	while (!err && !s.is_over)
		err = serve_command(&s);
	finish(&s, err);
}
