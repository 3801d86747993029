/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/session.h"

/* The longest reply is a list of recipients (EXPN), each on a line of its own. */
enum { SLOW_MS = 1000, REPLY_MAX = (LIMIT_alias_targets + 1) * LIMIT_smtp_reply_line };

unsigned smtp_trace_flags(const struct smtp_session *s)
{
	return conn_is_tls(s->conn) ? TRACE_ENCRYPTED : 0;
}

moment smtp_patience(const struct smtp_session *s)
{
	bool is_stressed = s->service->is_stressed && *s->service->is_stressed;

	if (s->is_hurried)
		return now();
	return in_ms(is_stressed ? s->config->session_stress_idle : s->config->session_idle);
}

struct smtp_reply smtp_reply_named(struct smtp_session *s, enum smtp_reply_name name)
{
	return smtp_reply_with(&s->arena, name, s->config->hostname);
}

static struct str verb_text(const struct smtp_session *s)
{
	return s->was_greeted ? str_of(smtp_verb_name(s->verb)) : S("greeting");
}

static void trace_lines(struct smtp_session *s, const struct smtp_reply *reply, struct str lines)
{
	struct scan scan = scan_of(lines);
	struct str line;

	while (take_until(&scan, '\n', &line)) {
		/* A challenge may hold what a password can be guessed from (CRAM-MD5, SCRAM). */
		bool is_secret = reply->code == 334;

		line = str_first(line, line.len - 1);
		TRACE(s->service->trace, s->id,
		      smtp_trace_flags(s) | (is_secret ? TRACE_MASKED : 0), reply,
		      .code = reply->code, .line = is_secret ? S("334 ****") : line,
		      .more = !scan_at_end(&scan), .verb = verb_text(s),
		      .us = (uint64_t)(now() - s->heard));
	}
}

static void print(struct smtp_session *s, const struct smtp_reply *reply, struct buf *lines)
{
	bool with_enhanced = !listener_without(s->listener, "ENHANCEDSTATUSCODES");
	enum err err = smtp_reply_print(lines, reply, with_enhanced);

	must(!err);
}

/* Where nothing leaves any more nothing was said. What leaves later, or never, close tells (`unsent`). */
static enum err say(struct smtp_session *s, const struct smtp_reply *reply) WAITS
{
	OWNED(buf) struct buf lines = BUF(REPLY_MAX);
	enum err err;

	print(s, reply, &lines);
	err = conn_write(s->conn, buf_str(&lines), smtp_patience(s));
	if (!err)
		trace_lines(s, reply, buf_str(&lines));
	return err;
}

enum err smtp_slow_down(struct smtp_session *s) WAITS
{
	if (s->is_exempt)
		return OK;
	return fiber_sleep(in_ms(SLOW_MS));
}

static enum err count_error(struct smtp_session *s) WAITS
{
	s->errors++;
	if (s->errors <= s->config->errors_soft || s->is_exempt)
		return OK;
	smtp_trace_policy(s, "errors_soft", "delay", S("one more refused command"));
	return smtp_slow_down(s);
}

enum err smtp_say_each(struct smtp_session *s, const struct smtp_reply *replies, size_t count) WAITS
{
	bool is_refused = false;
	enum err err = OK;

	for (size_t i = 0; i < count; i++) {
		must(replies[i].code);
		is_refused |= replies[i].code >= 500;
	}
	if (is_refused)
		err = count_error(s);
	for (size_t i = 0; !err && i < count; i++)
		err = say(s, &replies[i]);
	if (!err && s->errors >= s->config->errors_max) {
		smtp_trace_policy(s, "errors_max", "close", S("too many refused commands"));
		err = smtp_say_last(s, smtp_reply_named(s, SMTP_REPLY_too_many_errors), "errors");
	}
	return err;
}

enum err smtp_say(struct smtp_session *s, struct smtp_reply reply) WAITS
{
	return smtp_say_each(s, &reply, 1);
}

enum err smtp_say_name(struct smtp_session *s, enum smtp_reply_name name) WAITS
{
	return smtp_say(s, smtp_reply(name));
}

enum err smtp_say_last(struct smtp_session *s, struct smtp_reply reply, const char *reason) WAITS
{
	s->is_over = true;
	s->reason = reason;
	return say(s, &reply);
}

void smtp_say_farewell(struct smtp_session *s, enum smtp_reply_name name) WAITS
{
	OWNED(buf) struct buf lines = BUF(REPLY_MAX);
	struct smtp_reply reply = smtp_reply_named(s, name);
	moment deadline = smtp_patience(s);

	s->is_over = true;
	print(s, &reply, &lines);
	if (conn_flush(s->conn, deadline) == OK &&
	    conn_write(s->conn, buf_str(&lines), deadline) == OK &&
	    conn_flush(s->conn, deadline) == OK)
		trace_lines(s, &reply, buf_str(&lines));
}

bool smtp_idles_too_long(struct smtp_session *s)
{
	return ++s->idle_commands > s->config->commands_idle_max;
}

enum err smtp_say_idles(struct smtp_session *s) WAITS
{
	smtp_trace_policy(s, "commands_idle_max", "close", S("commands that move nothing"));
	return smtp_say_last(s, smtp_reply_named(s, SMTP_REPLY_too_many_idle_commands), "errors");
}

enum err smtp_say_for_all(struct smtp_session *s, struct smtp_reply reply) WAITS
{
	size_t count = s->is_lmtp ? s->envelope.given_count : 1;
	struct smtp_reply *replies = NEW_ARRAY(&s->arena, struct smtp_reply, count);

	for (size_t i = 0; i < count; i++)
		replies[i] = reply;
	return smtp_say_each(s, replies, count);
}

void smtp_set_state(struct smtp_session *s, enum smtp_state state)
{
	if (state == s->state)
		return;
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), state,
	      .from = str_of(smtp_state_name(s->state)), .to = str_of(smtp_state_name(state)));
	s->state = state;
}

void smtp_trace_policy(struct smtp_session *s, const char *option, const char *verdict,
		       struct str detail)
{
	if (!s->service->trace)
		return;
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), policy, .rule = str_of(option),
	      .verdict = str_of(verdict), .detail = detail,
	      .source = config_origin(s->config, &s->arena, option));
}

void smtp_trace_listed(struct smtp_session *s, const char *rule, const char *verdict,
		       struct str detail)
{
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), policy, .rule = str_of(rule),
	      .verdict = str_of(verdict), .detail = detail, .source = S("the store's list"));
}

void smtp_trace_trouble(struct smtp_session *s, enum err err, const char *what)
{
	TRACE(s->service->trace, s->id, smtp_trace_flags(s), trouble, .err = str_of(err_name(err)),
	      .detail = str_print(&s->arena, "%s: %s (%s)", what, err_text(err), fault_text()));
}
