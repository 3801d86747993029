/* SPDX-License-Identifier: Apache-2.0 */
#include "record/log.h"

static void put_key(struct log_line *line, const char *key)
{
	buf_add(line->out, S(",\""));
	buf_add_c(line->out, key);
	buf_add(line->out, S("\":"));
}

static void text(struct log_line *line, const char *key, struct str value)
{
	put_key(line, key);
	json_add_string(line->out, value);
}

static void number(struct log_line *line, const char *key, uint64_t value)
{
	put_key(line, key);
	log_add_number(line->out, value);
}

static void begin(struct log_line *line, const char *topic)
{
	const struct trace_head *head = &line->event->head;

	buf_add(line->out, S("{\"time\":\""));
	trace_add_time(line->out, head->wall_us);
	buf_print(line->out, "\",\"log\":\"%s\",\"role\":", topic);
	json_add_string(line->out, str_of(trace_role_name(head->role)));
	number(line, "role_index", head->role_index);
	if (!head->session)
		return;
	text(line, "session", str_of(line->id));
	text(line, "ip", str_of(line->ip));
	number(line, "port", line->port);
	if (line->session)
		text(line, "protocol", str_of(line->session->protocol));
}

static void session(struct log_line *line)
{
	const struct trace_close *close = &line->event->close;

	begin(line, "session");
	text(line, "end", close->reason);
	number(line, "commands", close->commands);
	number(line, "refused", close->errors);
	number(line, "messages", close->messages);
	number(line, "octets_in", close->octets_in);
	number(line, "octets_out", close->octets_out);
	number(line, "us", close->us);
	text(line, "account", close->account);
}

static void message(struct log_line *line)
{
	const struct trace_accept *accept = &line->event->accept;

	begin(line, "message");
	text(line, "message", accept->message);
	number(line, "octets", accept->octets);
	number(line, "us", accept->us);
	text(line, "sender", accept->sender);
	text(line, "recipients", accept->recipients);
	text(line, "subject", accept->subject);
}

static void attempt(struct log_line *line)
{
	const struct trace_attempt *attempt = &line->event->attempt;

	begin(line, "attempt");
	text(line, "message", attempt->message);
	text(line, "recipient", attempt->recipient);
	text(line, "outcome", attempt->outcome);
	number(line, "code", attempt->code);
	text(line, "enhanced", attempt->enhanced);
	text(line, "reply", attempt->reply);
	text(line, "peer", attempt->peer);
	number(line, "attempts", attempt->attempts);
	if (!attempt->next_us)
		return;
	put_key(line, "next");
	buf_add_char(line->out, '"');
	trace_add_time(line->out, (int64_t)attempt->next_us);
	buf_add_char(line->out, '"');
}

static void queue(struct log_line *line)
{
	struct log_change change = log_change(line->event);

	begin(line, "queue");
	text(line, "message", change.message);
	text(line, "what", change.what);
	text(line, "detail", change.detail);
	number(line, "recipients", change.recipients);
	text(line, "recipient", change.recipient);
}

static void notice(struct log_line *line)
{
	const struct trace_notice *notice = &line->event->notice;

	begin(line, "notice");
	text(line, "message", notice->message);
	text(line, "about", notice->about);
	text(line, "recipient", notice->recipient);
	text(line, "outcome", notice->outcome);
}

static void refusal(struct log_line *line)
{
	const struct trace_policy *policy = &line->event->policy;

	begin(line, "refusal");
	text(line, "rule", policy->rule);
	text(line, "verdict", policy->verdict);
	text(line, "source", policy->source);
	text(line, "detail", policy->detail);
}

void log_json(struct log_line *line)
{
	const struct trace_event *event = line->event;

	switch (line->topic) {
	case LOG_SESSION:
		session(line);
		break;
	case LOG_MESSAGE:
		message(line);
		break;
	case LOG_ATTEMPT:
		attempt(line);
		break;
	case LOG_QUEUE:
		queue(line);
		break;
	case LOG_NOTICE:
		notice(line);
		break;
	case LOG_REFUSAL:
		refusal(line);
		break;
	case LOG_SIGN_IN:
		begin(line, "sign-in-failed");
		text(line, "mechanism", event->auth.mechanism);
		text(line, "account", event->auth.account);
		break;
	case LOG_TROUBLE:
		begin(line, "trouble");
		text(line, "err", event->trouble.err);
		text(line, "detail", event->trouble.detail);
		break;
	case LOG_ROLE:
		begin(line, "role");
		text(line, "what", event->role.what);
		text(line, "detail", event->role.detail);
		break;
	case LOG_LEFT_OUT:
		begin(line, "left-out");
		number(line, "lines", line->left_out);
		break;
	default:
		begin(line, "lost");
		number(line, "events", event->lost.events);
		text(line, "of", event->lost.ring);
		break;
	}
	buf_add(line->out, S("}\n"));
}
