/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* metrics: events counted, told as Prometheus text exposition 0.0.4. Private to record/. */
#include "trace/trace.h"

/* Label values come from roles that strangers talk to: bounded in number, the rest is "other". */
enum { LABELS_MAX = 64, VALUE_TEXT = 25, BUCKETS = 14 };

/* A label's value, reduced to what needs no escaping, and filled up with NULs. */
struct label_value {
	char text[VALUE_TEXT];
};

/* A metric with one or two labels; their names are known where it is printed. */
struct labelled {
	size_t count;
	struct {
		struct label_value value[2];
		uint64_t total;
	} of[LABELS_MAX];
};

struct histogram {
	uint64_t buckets[BUCKETS + 1]; /* the last: more than all bounds */
	uint64_t count;
	uint64_t sum_us;
};

struct metrics {
	struct labelled sessions, commands, replies, auth, deliveries, policy, trouble, lost, tls,
		inspected, closes, roles;
	uint64_t relay_octets_in, relay_octets_out,
		relayed; /* of sessions where we are the client */
	uint64_t tls_failures, messages, message_octets, octets_in, octets_out, fetched,
		fetched_octets, expunged, commits, commit_failures, commit_requests,
		commit_messages, commit_octets, events, unreadable, unwritten, log_dropped;
	struct histogram relay_us, session_us, accept_us, commit_us;
};

void metrics_note(struct metrics *metrics, const struct trace_event *event);
void labelled_add(struct labelled *labelled, struct str first, struct str second, uint64_t by);
/* `open` sessions are known to the index. */
enum err metrics_print(const struct metrics *metrics, size_t open, struct buf *out);
