/* SPDX-License-Identifier: Apache-2.0 */
#include "record/log.h"
#include "record/dialogue.h"

#include <stdio.h>
#include <time.h>

bool record_log_parse(struct str name, enum record_log *out)
{
	static const struct {
		struct str name;
		enum record_log log;
	} table[] = {
		{ { "none", 4 }, RECORD_LOG_NONE },       { { "text", 4 }, RECORD_LOG_TEXT },
		{ { "json", 4 }, RECORD_LOG_JSON },       { { "dev", 3 }, RECORD_LOG_DEV },
		{ { "postfix", 7 }, RECORD_LOG_POSTFIX },
	};

	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (str_is(name, table[i].name)) {
			*out = table[i].log;
			return true;
		}
	return false;
}

enum log_topic log_topic(const struct trace_event *event)
{
	struct str verdict = event->policy.verdict;

	switch (event->head.kind) {
	case TRACE_close:
		return LOG_SESSION;
	case TRACE_accept:
		return LOG_MESSAGE;
	case TRACE_attempt:
		return LOG_ATTEMPT;
	case TRACE_queue_change:
		return LOG_QUEUE;
	case TRACE_notice:
		return LOG_NOTICE;
	case TRACE_policy:
		if (str_is(verdict, S("refuse")) || str_is(verdict, S("defer")) ||
		    str_is(verdict, S("close")))
			return LOG_REFUSAL;
		return LOG_NOTHING;
	case TRACE_auth:
		return str_is(event->auth.outcome, S("failed")) ? LOG_SIGN_IN : LOG_NOTHING;
	case TRACE_trouble:
		return LOG_TROUBLE;
	case TRACE_role:
		return LOG_ROLE;
	case TRACE_lost:
		return LOG_LOST;
	default:
		return LOG_NOTHING;
	}
}

struct log_change log_change(const struct trace_event *event)
{
	const struct trace_queue_change *queue_change = &event->queue_change;
	struct log_change change = { .message = queue_change->message,
				     .what = queue_change->what,
				     .recipient = queue_change->recipient,
				     .recipients = queue_change->recipients };

	if (str_is(change.what, S("given back"))) {
		change.what = S("unknown");
		change.detail = S("given back: the relay that had it never told how it went");
	}
	return change;
}

void log_add_quoted(struct buf *out, struct str text)
{
	size_t quote;

	buf_add_char(out, '"');
	while ((quote = str_find(text, '"')) != STR_NONE) {
		trace_add_harmless(out, str_first(text, quote), false);
		buf_add(out, S("\\x22"));
		text = str_from(text, quote + 1);
	}
	trace_add_harmless(out, text, false);
	buf_add_char(out, '"');
}

void log_add_word(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		/* strchr finds NUL in every string. */
		if (!c || (!ascii_is_alpha(c) && !ascii_is_digit(c) && !strchr("-_.:+", c))) {
			log_add_quoted(out, text);
			return;
		}
	}
	buf_add(out, text.len ? text : S("-"));
}

/* Half of a log line is numbers, and printf takes its time with them. */
void log_add_number(struct buf *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buf_add(out, (struct str){ digits + at, sizeof(digits) - at });
}

static struct str peer_of(const struct log_line *line)
{
	const struct trace_event *event = line->event;

	if (event->head.kind == TRACE_close && event->close.peer.len)
		return event->close.peer;
	if (event->head.kind == TRACE_accept && event->accept.peer.len)
		return event->accept.peer;
	if (event->head.kind == TRACE_connect)
		return event->connect.peer;
	return str_of(line->session ? line->session->peer : NULL);
}

static void find_peer(struct log_line *line)
{
	struct str peer = peer_of(line);
	struct addr addr;

	memcpy(line->ip, "unknown", sizeof("unknown"));
	if (str_starts(peer, S("unix:"))) {
		memcpy(line->ip, "unix", sizeof("unix"));
	} else if (addr_parse(peer, &addr) && addr.family != ADDR_UNIX) {
		addr_print_ip(&addr, line->ip);
		line->port = addr.port;
	}
}

static enum err add_line(enum record_log format, struct log_line *line)
{
	static void (*const formats[])(struct log_line *) = {
		[RECORD_LOG_TEXT] = log_text,
		[RECORD_LOG_JSON] = log_json,
		[RECORD_LOG_POSTFIX] = log_postfix,
		[RECORD_LOG_DEV] = log_dev,
	};

	if (!line->hostname)
		line->hostname = "localhost";
	formats[format](line);
	return line->out->failed ? ERR_LIMIT : OK;
}

enum err log_event(struct buf *out, enum record_log format, const char *hostname,
		   const struct trace_event *event, struct session *session)
{
	struct log_line line = { .topic = log_topic(event),
				 .event = event,
				 .session = session,
				 .hostname = hostname,
				 .id = "-",
				 .out = out };

	if (format == RECORD_LOG_POSTFIX) /* its lines tell what was said before */
		dialogue_note(session, event);
	else if (line.topic == LOG_NOTHING || format == RECORD_LOG_NONE)
		return OK;
	if (event->head.session)
		id_print(event->head.session, line.id);
	find_peer(&line);
	return add_line(format, &line);
}

enum err log_left_out(struct buf *out, enum record_log format, const char *hostname,
		      const struct trace_head *at, uint64_t lines)
{
	const struct trace_event event = { .head = *at };
	struct log_line line = { .topic = LOG_LEFT_OUT,
				 .event = &event,
				 .hostname = hostname,
				 .left_out = lines,
				 .id = "-",
				 .out = out };

	return format == RECORD_LOG_NONE ? OK : add_line(format, &line);
}
