/* SPDX-License-Identifier: Apache-2.0 */
#include "record/metrics.h"

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

static struct label_value value_of(struct str s)
{
	struct label_value value = { "" };

	s = str_first(s, sizeof(value.text) - 1);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		bool plain = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' ||
			     c == '.' || c == '+' || c == ' ';

		value.text[i] = plain ? (char)c : '_';
	}
	return value;
}

void labelled_add(struct labelled *labelled, struct str first, struct str second, uint64_t by)
{
	const struct label_value value[2] = { value_of(first), value_of(second) };
	static const struct label_value others[2] = { { "other" }, { "other" } };
	size_t i = 0;

	while (i < labelled->count && memcmp(labelled->of[i].value, value, sizeof(value)) != 0)
		i++;
	if (i == LABELS_MAX) {
		/* The last place is everybody's who came too late. */
		i = LABELS_MAX - 1;
		memcpy(labelled->of[i].value, others, sizeof(others));
	} else if (i == labelled->count) {
		memcpy(labelled->of[i].value, value, sizeof(value));
		labelled->count++;
	}
	labelled->of[i].total += by;
}

static void count(struct labelled *labelled, struct str value)
{
	labelled_add(labelled, value, (struct str){ 0 }, 1);
}

static struct str class_of(const struct trace_reply *reply)
{
	static const struct str classes[] = {
		{ "2xx", 3 }, { "3xx", 3 }, { "4xx", 3 }, { "5xx", 3 }
	};

	if (reply->code >= 200 && reply->code < 600)
		return classes[reply->code / 100 - 2];
	if (str_starts(reply->line, S("+OK")))
		return S("ok");
	return str_starts(reply->line, S("-ERR")) ? S("err") : S("other");
}

static void note_close(struct metrics *metrics, const struct trace_close *close)
{
	count(&metrics->closes, close->reason);
	/* Where we are the client, in and out mean something else, and so does how long it took. */
	if (str_ends_nocase(close->protocol, S("-out"))) {
		metrics->relay_octets_in += close->octets_in;
		metrics->relay_octets_out += close->octets_out;
		metrics->relayed += close->messages;
		observe(&metrics->relay_us, close->us);
		return;
	}
	metrics->octets_in += close->octets_in;
	metrics->octets_out += close->octets_out;
	observe(&metrics->session_us, close->us);
}

static void note_auth(struct metrics *metrics, const struct trace_auth *auth)
{
	if (!str_is(auth->outcome, S("continue")))
		labelled_add(&metrics->auth, auth->mechanism, auth->outcome, 1);
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
		count(&metrics->roles, event->role.what);
		break;
	case TRACE_trouble:
		count(&metrics->trouble, event->trouble.err);
		break;
	case TRACE_lost:
		labelled_add(&metrics->lost, event->lost.ring, (struct str){ 0 },
			     event->lost.events);
		break;
	case TRACE_inspect:
		count(&metrics->inspected, event->inspect.verdict);
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
		count(&metrics->sessions, event->connect.protocol);
		break;
	case TRACE_command:
		count(&metrics->commands,
		      event->command.verb.len ? event->command.verb : S("unknown"));
		break;
	case TRACE_reply:
		if (!event->reply.more)
			count(&metrics->replies, class_of(&event->reply));
		break;
	case TRACE_tls:
		if (event->tls.failure.len)
			metrics->tls_failures++;
		else
			count(&metrics->tls, event->tls.version);
		break;
	case TRACE_auth:
		note_auth(metrics, &event->auth);
		break;
	case TRACE_policy:
		labelled_add(&metrics->policy, event->policy.rule, event->policy.verdict, 1);
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
		count(&metrics->deliveries, event->deliver.outcome);
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

struct labelled_family {
	const char *name, *help;
	const char *label[2]; /* the second may be NULL */
	const struct labelled *labelled;
};

static void print_labelled(struct buf *out, const struct labelled_family *told)
{
	family(out, told->name, "counter", told->help);
	for (size_t i = 0; i < told->labelled->count; i++) {
		buf_print(out, "glasspost_%s{%s=\"%s\"", told->name, told->label[0],
			  told->labelled->of[i].value[0].text);
		if (told->label[1])
			buf_print(out, ",%s=\"%s\"", told->label[1],
				  told->labelled->of[i].value[1].text);
		buf_print(out, "} %llu\n", (unsigned long long)told->labelled->of[i].total);
	}
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
		{ "relay_received_octets_total",
		  "Octets from other servers in ended sessions, TLS apart.",
		  metrics->relay_octets_in },
		{ "relay_sent_octets_total",
		  "Octets to other servers in ended sessions, TLS apart.",
		  metrics->relay_octets_out },
		{ "messages_relayed_total", "Messages that other servers took.", metrics->relayed },
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
	const struct labelled_family families[] = {
		{ "sessions_total", "Sessions begun.", { "protocol" }, &metrics->sessions },
		{ "sessions_ended_total", "Sessions ended.", { "reason" }, &metrics->closes },
		{ "commands_total", "Commands from clients.", { "verb" }, &metrics->commands },
		{ "replies_total", "Replies to clients.", { "class" }, &metrics->replies },
		{ "tls_handshakes_total",
		  "TLS handshakes that succeeded.",
		  { "version" },
		  &metrics->tls },
		{ "auth_total",
		  "Attempts to sign in.",
		  { "mechanism", "outcome" },
		  &metrics->auth },
		{ "policy_total",
		  "Decisions of rules and limits.",
		  { "rule", "verdict" },
		  &metrics->policy },
		{ "inspected_total",
		  "Messages that the filter looked at.",
		  { "verdict" },
		  &metrics->inspected },
		{ "deliveries_total",
		  "Deliveries to mailboxes.",
		  { "outcome" },
		  &metrics->deliveries },
		{ "trouble_total",
		  "Failures that an operator should know of.",
		  { "err" },
		  &metrics->trouble },
		{ "role_events_total", "What happened to the roles.", { "what" }, &metrics->roles },
		{ "trace_lost_total",
		  "Events overtaken before the recorder read them.",
		  { "ring" },
		  &metrics->lost },
	};

	family(out, "sessions_open", "gauge", "Sessions open now.");
	buf_print(out, "glasspost_sessions_open %zu\n", open);
	for (size_t i = 0; i < COUNT_OF(families); i++)
		print_labelled(out, &families[i]);
	print_counters(metrics, out);
	print_histogram(out, "session_seconds", "How long sessions lasted.", &metrics->session_us);
	print_histogram(out, "relay_session_seconds",
			"How long sessions with other servers lasted.", &metrics->relay_us);
	print_histogram(out, "accept_seconds", "From a message's last octet to its durable commit.",
			&metrics->accept_us);
	print_histogram(out, "commit_seconds", "Time of a group commit, flushes included.",
			&metrics->commit_us);
	return out->failed ? ERR_LIMIT : OK;
}
