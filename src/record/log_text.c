/* SPDX-License-Identifier: Apache-2.0 */
/* The two formats of our own: text, for machines and people alike, and dev, for the terminal. */
#include "record/log.h"

#include <time.h>

static void put_key(struct log_line *line, const char *key)
{
	buf_add_char(line->out, ' ');
	buf_add_c(line->out, key);
	buf_add_char(line->out, '=');
}

static void quoted(struct log_line *line, const char *key, struct str text)
{
	put_key(line, key);
	log_add_quoted(line->out, text);
}

static void word(struct log_line *line, const char *key, struct str text)
{
	put_key(line, key);
	log_add_word(line->out, text);
}

static void number(struct log_line *line, const char *key, uint64_t value)
{
	put_key(line, key);
	log_add_number(line->out, value);
}

static void ms(struct log_line *line, uint64_t us)
{
	put_key(line, "ms");
	log_add_number(line->out, (us + 50) / 1000);
	buf_add_char(line->out, '.');
	buf_add_char(line->out, (char)('0' + (us + 50) / 100 % 10));
}

/* Who it was: always before the first text that the client chose. */
static void client(struct log_line *line)
{
	put_key(line, "session");
	buf_add_c(line->out, line->id);
	put_key(line, "ip");
	buf_add_c(line->out, line->ip);
	number(line, "port", line->port);
	if (line->session)
		word(line, "protocol", str_of(line->session->protocol));
}

static void role(struct log_line *line)
{
	const struct trace_head *head = &line->event->head;

	buf_print(line->out, " role=%s-%u", trace_role_name(head->role), head->role_index);
}

static void text_session(struct log_line *line)
{
	const struct trace_close *close = &line->event->close;

	buf_add(line->out, S("session"));
	client(line);
	word(line, "end", close->reason);
	number(line, "commands", close->commands);
	number(line, "refused", close->errors);
	number(line, "messages", close->messages);
	number(line, "in", close->octets_in);
	number(line, "out", close->octets_out);
	ms(line, close->us);
	quoted(line, "account", close->account);
}

static void text_message(struct log_line *line)
{
	const struct trace_accept *accept = &line->event->accept;

	buf_add(line->out, S("message"));
	client(line);
	word(line, "message", accept->message);
	number(line, "octets", accept->octets);
	ms(line, accept->us);
	quoted(line, "sender", accept->sender);
	quoted(line, "recipients", accept->recipients);
	quoted(line, "subject", accept->subject);
}

static void text_attempt(struct log_line *line)
{
	const struct trace_attempt *attempt = &line->event->attempt;

	buf_print(line->out, "attempt session=%s", line->id);
	word(line, "message", attempt->message);
	word(line, "outcome", attempt->outcome);
	number(line, "attempts", attempt->attempts);
	number(line, "code", attempt->code);
	word(line, "enhanced", attempt->enhanced);
	if (attempt->next_us) {
		put_key(line, "next");
		trace_add_time(line->out, (int64_t)attempt->next_us);
	}
	quoted(line, "recipient", attempt->recipient);
	quoted(line, "peer", attempt->peer);
	quoted(line, "reply", attempt->reply);
}

static void text_queue(struct log_line *line)
{
	struct log_change change = log_change(line->event);

	buf_add(line->out, S("queue"));
	word(line, "message", change.message);
	word(line, "what", change.what);
	number(line, "recipients", change.recipients);
	if (change.recipient.len)
		quoted(line, "recipient", change.recipient);
	if (change.detail.len)
		quoted(line, "detail", change.detail);
}

static void text_notice(struct log_line *line)
{
	const struct trace_notice *notice = &line->event->notice;

	buf_add(line->out, S("notice"));
	word(line, "message", notice->message);
	word(line, "about", notice->about);
	word(line, "outcome", notice->outcome);
	quoted(line, "recipient", notice->recipient);
}

static void text_refusal(struct log_line *line)
{
	const struct trace_policy *policy = &line->event->policy;

	buf_add(line->out, S("refusal"));
	client(line);
	word(line, "rule", policy->rule);
	word(line, "verdict", policy->verdict);
	quoted(line, "source", policy->source);
	quoted(line, "detail", policy->detail);
}

static void text_sign_in(struct log_line *line)
{
	buf_add(line->out, S("sign-in-failed"));
	client(line);
	word(line, "mechanism", line->event->auth.mechanism);
	quoted(line, "account", line->event->auth.account);
}

void log_text(struct log_line *line)
{
	const struct trace_event *event = line->event;

	trace_add_time(line->out, event->head.wall_us);
	buf_add_char(line->out, ' ');
	switch (line->topic) {
	case LOG_SESSION:
		text_session(line);
		break;
	case LOG_MESSAGE:
		text_message(line);
		break;
	case LOG_ATTEMPT:
		text_attempt(line);
		break;
	case LOG_QUEUE:
		text_queue(line);
		break;
	case LOG_NOTICE:
		text_notice(line);
		break;
	case LOG_REFUSAL:
		text_refusal(line);
		break;
	case LOG_SIGN_IN:
		text_sign_in(line);
		break;
	case LOG_TROUBLE:
		buf_add(line->out, S("trouble"));
		role(line);
		word(line, "err", event->trouble.err);
		quoted(line, "detail", event->trouble.detail);
		break;
	case LOG_ROLE:
		buf_add(line->out, S("role"));
		role(line);
		word(line, "what", event->role.what);
		quoted(line, "detail", event->role.detail);
		break;
	case LOG_LEFT_OUT:
		buf_add(line->out, S("left-out"));
		number(line, "lines", line->left_out);
		break;
	default:
		buf_add(line->out, S("lost"));
		number(line, "events", event->lost.events);
		word(line, "of", event->lost.ring);
		break;
	}
	buf_add_char(line->out, '\n');
}

/* ---- dev ---- */

static void plain(struct log_line *line, const char *before, struct str text, const char *after)
{
	buf_add_c(line->out, before);
	trace_add_harmless(line->out, text, false);
	buf_add_c(line->out, after);
}

static void dev_size(struct log_line *line, uint64_t octets)
{
	if (octets < 1000)
		buf_print(line->out, "%llu octets", (unsigned long long)octets);
	else if (octets < 1000000)
		buf_print(line->out, "%.1f kB", (double)octets / 1e3);
	else
		buf_print(line->out, "%.1f MB", (double)octets / 1e6);
}

static void dev_begin(struct log_line *line, const char *mark)
{
	time_t seconds = line->event->head.wall_us / 1000000;
	struct tm parts = { 0 };

	localtime_r(&seconds, &parts);
	buf_print(line->out, "%02d:%02d:%02d %s ", parts.tm_hour, parts.tm_min, parts.tm_sec, mark);
}

static void dev_message(struct log_line *line)
{
	const struct trace_accept *accept = &line->event->accept;

	dev_begin(line, "<-");
	plain(line, line->ip, S(""), " From: ");
	plain(line, "", accept->sender.len ? accept->sender : S("<>"), " To: ");
	plain(line, "", accept->recipients, " ");
	log_add_quoted(line->out, accept->subject);
	buf_add_char(line->out, ' ');
	dev_size(line, accept->octets);
	buf_print(line->out, " session %s\n", line->id);
}

static void dev_count(struct log_line *line, uint64_t count, const char *what, bool plural)
{
	if (count)
		buf_print(line->out, ", %llu %s%s", (unsigned long long)count, what,
			  plural && count != 1 ? "s" : "");
}

static void dev_session(struct log_line *line)
{
	const struct trace_close *close = &line->event->close;

	dev_begin(line, "--");
	plain(line, line->ip, S(""), " ");
	plain(line, "", close->protocol, ": ");
	plain(line, "", close->reason, "");
	if (close->account.len)
		plain(line, ", ", close->account, "");
	dev_count(line, close->messages, "message", true);
	dev_count(line, close->commands, "command", true);
	dev_count(line, close->errors, "refused", false);
	buf_print(line->out, ", session %s\n", line->id);
}

static void dev_attempt(struct log_line *line)
{
	const struct trace_attempt *attempt = &line->event->attempt;

	dev_begin(line, "->");
	plain(line, "", attempt->recipient, ": ");
	plain(line, "", attempt->outcome, "");
	if (attempt->peer.len)
		plain(line, " by ", attempt->peer, "");
	if (attempt->code)
		buf_print(line->out, ": %u", (unsigned)attempt->code);
	plain(line, " ", attempt->reply, "");
	buf_print(line->out, " session %s\n", line->id);
}

static void dev_queue(struct log_line *line)
{
	struct log_change change = log_change(line->event);

	dev_begin(line, "--");
	plain(line, "queue: ", change.message, " ");
	plain(line, "", change.what, change.detail.len ? ", " : "");
	plain(line, "", change.detail, "\n");
}

static void dev_notice(struct log_line *line)
{
	const struct trace_notice *notice = &line->event->notice;

	dev_begin(line, "<-");
	plain(line, "notice to ", notice->recipient, " about ");
	plain(line, "", notice->about, ": ");
	plain(line, "", notice->outcome, "\n");
}

void log_dev(struct log_line *line)
{
	const struct trace_event *event = line->event;

	switch (line->topic) {
	case LOG_SESSION:
		dev_session(line);
		return;
	case LOG_MESSAGE:
		dev_message(line);
		return;
	case LOG_ATTEMPT:
		dev_attempt(line);
		return;
	case LOG_QUEUE:
		dev_queue(line);
		return;
	case LOG_NOTICE:
		dev_notice(line);
		return;
	case LOG_REFUSAL:
		dev_begin(line, "!!");
		plain(line, line->ip, S(""), " ");
		plain(line, "", event->policy.rule, ": ");
		plain(line, "", event->policy.detail, "");
		buf_print(line->out, " session %s\n", line->id);
		return;
	case LOG_SIGN_IN:
		dev_begin(line, "!!");
		plain(line, line->ip, S(""), " sign-in failed by ");
		plain(line, "", event->auth.mechanism, "");
		buf_print(line->out, " session %s\n", line->id);
		return;
	case LOG_TROUBLE:
		dev_begin(line, "!!");
		plain(line, trace_role_name(event->head.role), S(""), ": ");
		plain(line, "", event->trouble.detail, "\n");
		return;
	case LOG_ROLE:
		return; /* the supervisor says it on the same terminal when one falls */
	case LOG_LEFT_OUT:
		dev_begin(line, "!!");
		buf_print(line->out, "%llu lines of this log left out: nobody took them\n",
			  (unsigned long long)line->left_out);
		return;
	default:
		dev_begin(line, "!!");
		buf_print(line->out, "%llu events lost", (unsigned long long)event->lost.events);
		plain(line, " of ", event->lost.ring, "\n");
		return;
	}
}
