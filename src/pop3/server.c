/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

#include <stdio.h>

enum {
	IDLE_LEAST_MS = 600000, /* rfc1939 3: an autologout timer is at least 10 minutes */
	HOLD_MS = 1000,         /* silence after which nothing is held in memory for the client */
	LAST_WRITE_MS = 300000, /* for what a client in order still has to read */
	FAREWELL_MS = 1000
};

static enum err run_noop(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	(void)command;
	return pop3_answer(session, POP3_REPLY_NOOP);
}

/* rfc1939 6: UPDATE. What is marked goes now, and the client hears whether it did. */
static enum err run_quit(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct maildrop *drop = &session->drop;
	enum err err;

	(void)command;
	/* What goes must have left here first: a slow client may have asked for it in the same breath. */
	err = drop->marked_count ? conn_flush(session->conn, in_ms(LAST_WRITE_MS)) : OK;
	if (err)
		return err;
	session->close_reason = "quit";
	if (session->state == POP3_AUTHORIZATION)
		return pop3_answer(session, POP3_REPLY_BYE);
	pop3_enter(session, POP3_UPDATE);
	err = maildrop_commit(drop); /* the store traces what it removes */
	if (err)
		TRACE(session->service->trace, session->id, pop3_trace_flags(session), trouble,
		      .err = str_of(err_name(err)), .detail = str_of(fault_text()));
	/* The lock goes before the answer: who reads it may sign in again at once. */
	maildrop_close(drop);
	return pop3_answer(session, err ? POP3_REPLY_NOT_DELETED : POP3_REPLY_BYE);
}

static pop3_run *const runs[] = {
	[POP3_APOP] = pop3_apop, [POP3_AUTH] = pop3_auth, [POP3_CAPA] = pop3_capa,
	[POP3_DELE] = pop3_dele, [POP3_LANG] = pop3_lang, [POP3_LIST] = pop3_list,
	[POP3_NOOP] = run_noop,  [POP3_PASS] = pop3_pass, [POP3_QUIT] = run_quit,
	[POP3_RETR] = pop3_retr, [POP3_RSET] = pop3_rset, [POP3_STAT] = pop3_stat,
	[POP3_STLS] = pop3_stls, [POP3_TOP] = pop3_top,   [POP3_UIDL] = pop3_uidl,
	[POP3_USER] = pop3_user, [POP3_UTF8] = pop3_utf8,
};

/*
 * Commands that move nothing; too many in a row are a way to hold a connection. USER alone is one: what
 * counts is the PASS after it, and failures of that are counted too.
 */
static bool is_idle_command(const struct pop3_command *command)
{
	const enum pop3_verb verb = command->verb;

	if (verb == POP3_AUTH && !command->has_text) /* it only asks which mechanisms there are */
		return true;
	return verb == POP3_USER || verb == POP3_NOOP || verb == POP3_RSET || verb == POP3_STAT ||
	       verb == POP3_CAPA || verb == POP3_LANG || verb == POP3_UTF8 || verb == POP3_NONE;
}

static bool is_idle_for_too_long(struct pop3_session *session, const struct pop3_command *command)
{
	const struct config *config = session->service->config;

	session->idle_commands = is_idle_command(command) ? session->idle_commands + 1 : 0;
	if (session->exempt || session->idle_commands <= config->commands_idle_max)
		return false;
	session->close_reason = "idle-commands";
	TRACE(session->service->trace, session->id, pop3_trace_flags(session), policy,
	      .rule = S("commands_idle_max"), .verdict = S("close"),
	      .detail = S("commands in a row that move nothing"),
	      .source = config_origin(config, &session->arena, "commands_idle_max"));
	return true;
}

static bool is_switched_off(const struct pop3_session *session, enum pop3_verb verb)
{
	return verb == POP3_NONE ||
	       listener_without(session->service->listener, pop3_verb_name(verb));
}

static enum err refuse_state(struct pop3_session *session) WAITS
{
	return pop3_answer(session, session->state == POP3_AUTHORIZATION ? POP3_REPLY_NEEDS_LOGIN
									 : POP3_REPLY_HAS_LOGIN);
}

static enum err run_line(struct pop3_session *session, struct str line) WAITS
{
	struct pop3_command command;
	enum pop3_reply refusal = pop3_command_parse(line, &command);
	bool masked;
	struct str shown = pop3_command_mask(&session->arena, line, &masked);

	if (command.verb == POP3_NONE && session->masks_lines) {
		shown = S("****");
		masked = true;
	} else if (command.verb != POP3_NONE) {
		session->masks_lines = false;
	}
	session->has_secret |= masked;
	session->verb = command.verb;
	session->command_at = now();
	session->commands++;
	TRACE(session->service->trace, session->id,
	      pop3_trace_flags(session) | (masked ? TRACE_MASKED : 0), command,
	      .verb = str_of(pop3_verb_name(command.verb)), .line = shown);
	if (session->state == POP3_AUTHORIZATION && pop3_line_is_http(line)) {
		session->close_reason = "http";
		return pop3_answer(session, POP3_REPLY_NOT_HTTP);
	}
	if (is_idle_for_too_long(session, &command))
		return pop3_answer(session, POP3_REPLY_TOO_MANY_IDLE);
	if (is_switched_off(session, command.verb))
		return pop3_answer(session,
				   refusal == POP3_REPLY_CONTROL ? refusal : POP3_REPLY_UNKNOWN);
	if (refusal == POP3_REPLY_SYNTAX)
		return pop3_answer_syntax(session);
	if (refusal != POP3_REPLY_NONE)
		return pop3_answer(session, refusal);
	if (!(pop3_verb_states(command.verb) & session->state))
		return refuse_state(session);
	if (command.verb != POP3_PASS) /* rfc1939 7: PASS comes immediately after USER */
		buf_reset(&session->user);
	return runs[command.verb](session, &command);
}

/*
 * rfc1939 3 gives a client ten minutes. Who has not signed in gets less while connections are scarce,
 * or strangers who say nothing would keep our users out.
 */
int64_t pop3_patience_ms(const struct pop3_session *session)
{
	const struct pop3_service *service = session->service;
	int64_t idle_ms = service->config->session_idle;

	if (session->state == POP3_AUTHORIZATION && service->is_stressed && *service->is_stressed)
		return service->config->session_stress_idle;
	return idle_ms > IDLE_LEAST_MS ? idle_ms : IDLE_LEAST_MS;
}

/* A client that is silent for a moment costs no more memory than its session. */
static enum err read_line(struct pop3_session *session, struct str *line) WAITS
{
	size_t max =
		session->state == POP3_AUTHORIZATION ? LIMIT_sasl_line : LIMIT_pop3_command_line;
	moment deadline = in_ms(pop3_patience_ms(session));
	enum err err;

	if (session->drop.window > 0) {
		err = conn_read_line(session->conn, max, LINE_LF_TOO, in_ms(HOLD_MS), line);
		if (err != ERR_TIMEOUT)
			return err;
		maildrop_forget(&session->drop);
	}
	return conn_read_line(session->conn, max, LINE_LF_TOO, deadline, line);
}

/* What the trace masks the memory forgets. */
static void forget_secrets(struct pop3_session *session)
{
	if (!session->has_secret)
		return;
	conn_wipe(session->conn);
	arena_wipe(&session->arena);
	session->has_secret = false;
}

static enum err run_command(struct pop3_session *session) WAITS
{
	struct str line;
	enum err err;

	forget_secrets(session);
	arena_reset(&session->arena);
	err = read_line(session, &line);
	if (err == ERR_LIMIT) {
		session->has_secret = true; /* nobody knows what it was to be */
		session->verb = POP3_NONE;
		session->commands++;
		session->command_at = now();
		return pop3_answer(session, POP3_REPLY_TOO_LONG);
	}
	return err ? err : run_line(session, line);
}

/* rfc1939 7: different each time, shaped like a msg-id. */
static void make_banner(struct pop3_session *session)
{
	const struct pop3_service *service = session->service;
	char id[ID_TEXT + 1];
	int len;

	if (!service->listener->apop || !service->config->keep_secrets)
		return;
	id_print(session->id, id);
	len = snprintf(session->banner, sizeof(session->banner), "<%s.%016llx@%.*s>", id,
		       (unsigned long long)random_u64(), STR_ARGS(service->config->hostname));
	if (len < 0 || (size_t)len >= sizeof(session->banner))
		session->banner[0] = '\0'; /* a host name too long for it: no APOP */
}

static void trace_connect(const struct pop3_session *session)
{
	const struct addr *via = conn_via(session->conn);
	char peer[ADDR_TEXT];
	char local[ADDR_TEXT];
	char proxy[ADDR_TEXT] = "";

	addr_print(conn_peer(session->conn), peer);
	addr_print(conn_local(session->conn), local);
	if (via->family != ADDR_NONE)
		addr_print(via, proxy);
	TRACE(session->service->trace, session->id, 0, connect, .protocol = S("pop3"),
	      .listener = session->service->listener->name, .peer = str_of(peer),
	      .local = str_of(local), .via = str_of(proxy));
}

static void session_init(struct pop3_session *session, const struct pop3_service *service,
			 struct conn *conn, uint64_t id)
{
	*session = (struct pop3_session){ .service = service,
					  .conn = conn,
					  .id = id,
					  .state = POP3_AUTHORIZATION,
					  .user = BUF(LIMIT_user_name),
					  .folder = BUF(LIMIT_folder_name),
					  .address = BUF(LIMIT_address) };
	session->started = session->command_at = now();
	session->exempt = config_is_exempt(service->config, conn_peer(conn));
	if (conn_peer(conn)->family != ADDR_UNIX)
		addr_print_ip(conn_peer(conn), session->peer);
	maildrop_init(&session->drop, service->store);
	make_banner(session);
	fiber_describe("%s", session->peer);
}

static enum err greet(struct pop3_session *session) WAITS
{
	const struct pop3_service *service = session->service;
	enum err err = OK;

	if (service->listener->tls_mode == TLS_MODE_IMPLICIT && !conn_is_tls(session->conn))
		err = service->tls
			      ? pop3_handshake(session, true)
			      : fault(ERR_TLS, "an implicit-TLS listener without a certificate");
	if (err)
		return err;
	return pop3_say(session, str_print(&session->arena, "+OK %.*s POP3 ready%s%s",
					   STR_ARGS(service->config->hostname),
					   session->banner[0] ? " " : "", session->banner));
}

static void trace_close(struct pop3_session *session, enum err err)
{
	const char *reason = session->close_reason ? session->close_reason : conn_close_reason(err);
	char peer[ADDR_TEXT];

	if (err && strcmp(reason, "trouble") == 0)
		TRACE(session->service->trace, session->id, 0, trouble,
		      .err = str_of(err_name(err)), .detail = str_of(fault_text()));
	addr_print(conn_peer(session->conn), peer);
	TRACE(session->service->trace, session->id, pop3_trace_flags(session), close,
	      .reason = str_of(reason), .account = buf_str(&session->address),
	      .commands = session->commands, .errors = session->errors,
	      .messages = session->messages, .octets_in = conn_octets_in(session->conn),
	      .octets_out = conn_octets_out(session->conn),
	      .us = (uint64_t)(now() - session->started), .peer = str_of(peer),
	      .protocol = S("pop3"), .unsent = conn_unsent(session->conn));
}

/* Whatever ended it: nothing is deleted here, the maildrop is given back. */
static void session_done(struct pop3_session *session, enum err err) WAITS
{
	bool is_gone = err == ERR_CLOSED || err == ERR_RESET;

	/* rfc1939 3: a client that was silent for too long is sent no response. */
	if (err == ERR_STOPPED)
		is_gone |= pop3_say_farewell(session, pop3_reply_text(POP3_REPLY_STOPPING),
					     in_ms(FAREWELL_MS)) != OK;
	else
		is_gone |=
			conn_flush(session->conn, in_ms(err ? FAREWELL_MS : LAST_WRITE_MS)) != OK;
	maildrop_close(&session->drop);
	pop3_sign_out(session);
	trace_close(session, err);
	conn_shut(session->conn);
	/* Who was silent for too long has nothing under way that could be lost. */
	if (!is_gone && err != ERR_TIMEOUT)
		conn_linger(session->conn);
	forget_secrets(session);
	buf_drop(&session->user);
	buf_drop(&session->folder);
	buf_drop(&session->address);
	arena_drop(&session->drop.arena);
	arena_drop(&session->arena);
}

void pop3_serve(const struct pop3_service *service, struct conn *conn, uint64_t session_id) WAITS
{
	struct pop3_session session;
	enum err err;

	session_init(&session, service, conn, session_id);
	trace_connect(&session);
	err = greet(&session);
	while (!err && !session.close_reason)
		err = run_command(&session);
	session_done(&session, err);
}
