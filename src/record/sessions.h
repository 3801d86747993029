/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sessions: who was here lately: an index by id, bounded, that forgets the ended ones first. Private to record/. */
#include "trace/trace.h"

enum { SESSION_BUCKETS = 16384 };

struct dialogue;

struct session {
	struct list link;          /* in `open` or `ended`, by beginning or by end */
	struct session *in_bucket; /* the next one */
	uint64_t id;
	int64_t start_wall_us; /* of the first event seen */
	int64_t start_at_us;
	int64_t ended_wall_us; /* 0: still open */
	char protocol[16];
	char peer[64];
	char account[128];
	char reason[24];
	uint64_t commands, errors, messages, octets_in, octets_out, us;
	struct dialogue *dialogue; /* dialogue.h; NULL: nobody wants it, or nothing was said */
};

struct sessions {
	struct list open;
	struct list ended;
	size_t open_count, count;
	struct session *buckets[SESSION_BUCKETS];
};

void sessions_init(struct sessions *sessions);
void sessions_done(struct sessions *sessions);
/* Takes note of an event. The session it belongs to, or NULL when it has none. */
struct session *sessions_note(struct sessions *sessions, const struct trace_event *event);
/* Did this account sign in to it? An empty viewer sees all; NULL is nobody's. */
bool session_is_for(const struct session *session, struct str viewer);
struct session *sessions_find(const struct sessions *sessions, uint64_t id);
