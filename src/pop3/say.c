/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

enum { WRITE_MS = 300000, SOFT_DELAY_MS = 1000 };

unsigned pop3_trace_flags(const struct pop3_session *session)
{
	return conn_is_tls(session->conn) ? TRACE_ENCRYPTED : 0;
}

enum err pop3_send(struct pop3_session *session, struct str octets) WAITS
{
	return conn_write(session->conn, octets, in_ms(WRITE_MS));
}

static void trace_line(struct pop3_session *session, struct str line)
{
	const char *verb = session->commands ? pop3_verb_name(session->verb) : "greeting";

	TRACE(session->service->trace, session->id, pop3_trace_flags(session), reply, .line = line,
	      .verb = str_of(verb), .us = (uint64_t)(now() - session->command_at));
}

/* Where nothing leaves any more nothing was said. What leaves later, or never, close tells (`unsent`). */
enum err pop3_say(struct pop3_session *session, struct str line) WAITS
{
	enum err err = pop3_send(session, line);

	if (!err)
		err = pop3_send(session, S("\r\n"));
	if (!err)
		trace_line(session, line);
	return err;
}

enum err pop3_say_farewell(struct pop3_session *session, struct str line, moment deadline) WAITS
{
	enum err err = conn_flush(session->conn, deadline);

	if (!err)
		err = conn_write(session->conn, line, deadline);
	if (!err)
		err = conn_write(session->conn, S("\r\n"), deadline);
	if (!err)
		err = conn_flush(session->conn, deadline);
	if (!err)
		trace_line(session, line);
	return err;
}

enum err pop3_delay(struct pop3_session *session, int64_t ms) WAITS
{
	enum err err;

	if (ms <= 0)
		return OK;
	err = conn_flush(session->conn, in_ms(WRITE_MS));
	return err ? err : fiber_sleep(in_ms(ms));
}

/* A refused command: counted, slowed down past the soft limit, the last past the hard one. */
static enum err count_error(struct pop3_session *session) WAITS
{
	const struct config *config = session->service->config;

	session->errors++;
	if (session->exempt)
		return OK;
	if (session->errors > config->errors_max && !session->close_reason)
		session->close_reason = "errors";
	if (session->errors <= config->errors_soft)
		return OK;
	TRACE(session->service->trace, session->id, pop3_trace_flags(session), policy,
	      .rule = S("errors_soft"), .verdict = S("delay"),
	      .detail =
		      str_print(&session->arena, "error %llu", (unsigned long long)session->errors),
	      .source = config_origin(config, &session->arena, "errors_soft"));
	return pop3_delay(session, SOFT_DELAY_MS);
}

static enum err answer_line(struct pop3_session *session, struct str line, bool ok) WAITS
{
	enum err err = ok ? OK : count_error(session);

	if (err)
		return err;
	/* The last answer says that it is the last: one reply a command, also at the end. */
	if (!ok && session->close_reason && strcmp(session->close_reason, "errors") == 0)
		line = pop3_reply_text(POP3_REPLY_TOO_MANY_ERRORS);
	return pop3_say(session, line);
}

enum err pop3_answer(struct pop3_session *session, enum pop3_reply reply) WAITS
{
	return answer_line(session, pop3_reply_text(reply), pop3_reply_is_ok(reply));
}

enum err pop3_answer_syntax(struct pop3_session *session) WAITS
{
	struct str line =
		str_print(&session->arena, "-ERR syntax: %s", pop3_verb_syntax(session->verb));

	return answer_line(session, line, false);
}

enum err pop3_answer_failure(struct pop3_session *session, enum err err) WAITS
{
	switch (err) {
	case ERR_BUSY:
		return pop3_answer(session, POP3_REPLY_IN_USE);
	case ERR_NOT_FOUND:
		return pop3_answer(session, POP3_REPLY_NO_FOLDER);
	case ERR_LIMIT:
		return pop3_answer(session, POP3_REPLY_LOGIN_DELAY);
	case ERR_DENIED:
	case ERR_CORRUPT:
		return pop3_answer(session, POP3_REPLY_FAILED_FOR_GOOD);
	default:
		return pop3_answer(session, POP3_REPLY_FAILED_FOR_NOW);
	}
}

void pop3_enter(struct pop3_session *session, enum pop3_state state)
{
	TRACE(session->service->trace, session->id, pop3_trace_flags(session), state,
	      .from = str_of(pop3_state_name(session->state)),
	      .to = str_of(pop3_state_name(state)));
	session->state = state;
}
