/* SPDX-License-Identifier: Apache-2.0 */
#include "record/metrics.h"

#include <stdarg.h>
#include <stdio.h>

/* Upper bounds in microseconds: from a commit on a fast disk to a night of IDLE. */
static const uint64_t bounds[BUCKETS] = { 100,     250,      500,      1000,     2500,
					  5000,    10000,    25000,    100000,   500000,
					  2500000, 10000000, 60000000, 600000000 };

static void observe(struct histogram *histogram, uint64_t us)
{
	size_t i = 0;

	while (i < BUCKETS && us > bounds[i])
		i++;
	histogram->buckets[i]++;
	histogram->count++;
	histogram->sum_us += us;
}

void labelled_add(struct labelled *labelled, uint64_t by, const char *format, ...)
{
	char label[LABEL_TEXT];
	va_list args;
	size_t i;

	va_start(args, format);
	vsnprintf(label, sizeof(label), format, args);
	va_end(args);
	for (i = 0; i < labelled->count; i++)
		if (!strcmp(labelled->of[i].label, label))
			break;
	if (i == labelled->count && i == LABELS_MAX) {
		i = LABELS_MAX - 1; /* the last place is everybody's who came too late */
		snprintf(labelled->of[i].label, LABEL_TEXT, "other=\"yes\"");
	} else if (i == labelled->count) {
		memcpy(labelled->of[i].label, label, sizeof(label));
		labelled->count++;
	}
	labelled->of[i].value += by;
}

/* A label's value, reduced to what needs no escaping, and short. */
struct value {
	char text[25];
};

static struct value value_of(struct str s)
{
	struct value value = { "" };

	s = str_first(s, sizeof(value.text) - 1);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		bool plain = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' ||
			     c == '.' || c == '+' || c == ' ';

		value.text[i] = plain ? (char)c : '_';
	}
	return value;
}

static void count(struct labelled *labelled, const char *name, struct str value)
{
	labelled_add(labelled, 1, "%s=\"%s\"", name, value_of(value).text);
}

static void note_reply(struct metrics *metrics, const struct trace_reply *reply)
{
	if (reply->more)
		return;
	if (reply->code >= 200 && reply->code < 600)
		labelled_add(&metrics->replies, 1, "class=\"%cxx\"",
			     (char)('0' + reply->code / 100));
	else if (str_starts(reply->line, S("+OK")))
		count(&metrics->replies, "class", S("ok"));
	else if (str_starts(reply->line, S("-ERR")))
		count(&metrics->replies, "class", S("err"));
	else
		count(&metrics->replies, "class", S("other"));
}

static void note_close(struct metrics *metrics, const struct trace_close *close)
{
	count(&metrics->closes, "reason", close->reason);
	metrics->octets_in += close->octets_in;
	metrics->octets_out += close->octets_out;
	observe(&metrics->session_us, close->us);
}

static void note_auth(struct metrics *metrics, const struct trace_auth *auth)
{
	if (!str_is(auth->outcome, S("continue")))
		labelled_add(&metrics->auth, 1, "mechanism=\"%s\",outcome=\"%.11s\"",
			     value_of(auth->mechanism).text, value_of(auth->outcome).text);
}

static void note_commit(struct metrics *metrics, const struct trace_commit *commit)
{
	metrics->commits++;
	metrics->commit_failures += commit->failure.len != 0;
	metrics->commit_requests += commit->requests;
	metrics->commit_messages += commit->messages;
	metrics->commit_octets += commit->octets;
	observe(&metrics->commit_us, commit->us);
}

static void note_accept(struct metrics *metrics, const struct trace_accept *accept)
{
	metrics->messages++;
	metrics->message_octets += accept->octets;
	observe(&metrics->accept_us, accept->us);
}

static void note_house(struct metrics *metrics, const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_role:
		count(&metrics->roles, "what", event->role.what);
		break;
	case TRACE_trouble:
		count(&metrics->trouble, "err", event->trouble.err);
		break;
	case TRACE_lost:
		labelled_add(&metrics->lost, event->lost.events, "ring=\"%s\"",
			     value_of(event->lost.ring).text);
		break;
	case TRACE_inspect:
		count(&metrics->inspected, "verdict", event->inspect.verdict);
		break;
	case TRACE_expunge:
		metrics->expunged += event->expunge.messages;
		break;
	default:
		break;
	}
}

void metrics_note(struct metrics *metrics, const struct trace_event *event)
{
	metrics->events++;
	switch (event->head.kind) {
	case TRACE_connect:
		count(&metrics->sessions, "protocol", event->connect.protocol);
		break;
	case TRACE_command:
		count(&metrics->commands, "verb",
		      event->command.verb.len ? event->command.verb : S("unknown"));
		break;
	case TRACE_reply:
		note_reply(metrics, &event->reply);
		break;
	case TRACE_tls:
		if (event->tls.failure.len)
			metrics->tls_failures++;
		else
			count(&metrics->tls, "version", event->tls.version);
		break;
	case TRACE_auth:
		note_auth(metrics, &event->auth);
		break;
	case TRACE_policy:
		labelled_add(&metrics->policy, 1, "rule=\"%s\",verdict=\"%.8s\"",
			     value_of(event->policy.rule).text,
			     value_of(event->policy.verdict).text);
		break;
	case TRACE_close:
		note_close(metrics, &event->close);
		break;
	case TRACE_accept:
		note_accept(metrics, &event->accept);
		break;
	case TRACE_commit:
		note_commit(metrics, &event->commit);
		break;
	case TRACE_deliver:
		count(&metrics->deliveries, "outcome", event->deliver.outcome);
		break;
	case TRACE_fetch:
		metrics->fetched++;
		metrics->fetched_octets += event->fetch.octets;
		break;
	default:
		note_house(metrics, event);
		break;
	}
}

/* ---- exposition ---- */

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_print(out, "# HELP glasspost_%s %s\n# TYPE glasspost_%s %s\n", name, help, name, type);
}

static void print_labelled(struct buf *out, const char *name, const char *help,
			   const struct labelled *labelled)
{
	family(out, name, "counter", help);
	for (size_t i = 0; i < labelled->count; i++)
		buf_print(out, "glasspost_%s{%s} %llu\n", name, labelled->of[i].label,
			  (unsigned long long)labelled->of[i].value);
}

static void print_histogram(struct buf *out, const char *name, const char *help,
			    const struct histogram *histogram)
{
	uint64_t below = 0;

	family(out, name, "histogram", help);
	for (size_t i = 0; i < BUCKETS; i++) {
		below += histogram->buckets[i];
		buf_print(out, "glasspost_%s_bucket{le=\"%g\"} %llu\n", name,
			  (double)bounds[i] / 1e6, (unsigned long long)below);
	}
	buf_print(out, "glasspost_%s_bucket{le=\"+Inf\"} %llu\n", name,
		  (unsigned long long)histogram->count);
	buf_print(out, "glasspost_%s_sum %.6f\nglasspost_%s_count %llu\n", name,
		  (double)histogram->sum_us / 1e6, name, (unsigned long long)histogram->count);
}

static void print_counters(const struct metrics *metrics, struct buf *out)
{
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{ "tls_failures_total", "TLS handshakes that failed.", metrics->tls_failures },
		{ "messages_accepted_total", "Messages durable and acknowledged.",
		  metrics->messages },
		{ "message_octets_total", "Octets of those messages.", metrics->message_octets },
		{ "received_octets_total", "Octets from clients of ended sessions, TLS apart.",
		  metrics->octets_in },
		{ "sent_octets_total", "Octets to clients of ended sessions, TLS apart.",
		  metrics->octets_out },
		{ "messages_fetched_total", "Messages sent to their readers.", metrics->fetched },
		{ "fetched_octets_total", "Octets of those messages.", metrics->fetched_octets },
		{ "messages_expunged_total", "Messages deleted for good.", metrics->expunged },
		{ "commits_total", "Group commits of the store.", metrics->commits },
		{ "commit_failures_total", "Group commits that failed.", metrics->commit_failures },
		{ "commit_requests_total", "Requests that shared those commits.",
		  metrics->commit_requests },
		{ "commit_messages_total", "Messages in those commits.", metrics->commit_messages },
		{ "commit_octets_total", "Octets appended by those commits.",
		  metrics->commit_octets },
		{ "trace_events_total", "Events that the recorder read.", metrics->events },
		{ "trace_unreadable_total", "Events that made no sense.", metrics->unreadable },
		{ "trace_unwritten_total", "Events that could not be written to disk.",
		  metrics->unwritten },
		{ "log_lines_dropped_total", "Log lines that nobody took in time.",
		  metrics->log_dropped },
	};

	for (size_t i = 0; i < COUNT_OF(counters); i++) {
		family(out, counters[i].name, "counter", counters[i].help);
		buf_print(out, "glasspost_%s %llu\n", counters[i].name,
			  (unsigned long long)counters[i].value);
	}
}

enum err metrics_print(const struct metrics *metrics, size_t open, struct buf *out)
{
	const struct {
		const char *name, *help;
		const struct labelled *labelled;
	} families[] = {
		{ "sessions_total", "Sessions begun.", &metrics->sessions },
		{ "sessions_ended_total", "Sessions ended.", &metrics->closes },
		{ "commands_total", "Commands from clients.", &metrics->commands },
		{ "replies_total", "Replies to clients.", &metrics->replies },
		{ "tls_handshakes_total", "TLS handshakes that succeeded.", &metrics->tls },
		{ "auth_total", "Attempts to sign in.", &metrics->auth },
		{ "policy_total", "Decisions of rules and limits.", &metrics->policy },
		{ "inspected_total", "Messages that the filter looked at.", &metrics->inspected },
		{ "deliveries_total", "Deliveries to mailboxes.", &metrics->deliveries },
		{ "trouble_total", "Failures that an operator should know of.", &metrics->trouble },
		{ "role_events_total", "What happened to the roles.", &metrics->roles },
		{ "trace_lost_total", "Events overtaken before the recorder read them.",
		  &metrics->lost },
	};

	family(out, "sessions_open", "gauge", "Sessions open now.");
	buf_print(out, "glasspost_sessions_open %zu\n", open);
	for (size_t i = 0; i < COUNT_OF(families); i++)
		print_labelled(out, families[i].name, families[i].help, families[i].labelled);
	print_counters(metrics, out);
	print_histogram(out, "session_seconds", "How long sessions lasted.", &metrics->session_us);
	print_histogram(out, "accept_seconds", "From a message's last octet to its durable commit.",
			&metrics->accept_us);
	print_histogram(out, "commit_seconds", "Time of a group commit, flushes included.",
			&metrics->commit_us);
	return out->failed ? ERR_LIMIT : OK;
}
