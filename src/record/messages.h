/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * messages: what passed through lately: an index by id, bounded, of what events tell about each message and each of
 * its recipients. Private to record/.
 *
 * Invariants
 *  (1) At most LIMIT_record_messages with LIMIT_record_recipients recipients in all; the oldest message goes first.
 *      Of one message LIMIT_record_message_recipients are known, the others are counted.
 *  (2) Who may see what of a message is decided by message_sight alone. A recipient learns nothing of other
 *      recipients, a sender nothing of whom an alias leads to or of what its recipients do with it.
 */
#include "record/sessions.h"

enum { MESSAGE_BUCKETS = 16384, MESSAGE_SESSIONS = 16, MESSAGE_STAYS = 8 };

/* One recipient. Texts are of the heap, and cut where they are longer than anybody needs. */
struct addressee {
	struct addressee *next;      /* of the message */
	struct addressee *in_bucket; /* by account, folder and uid; of those that have them */
	struct message *message;
	struct str address;
	struct str given;           /* that an alias leads from; empty: it was given so */
	struct str account, folder; /* empty: not in a mailbox of ours */
	uint64_t uid;
	struct str outcome; /* "queued", "delivered", "deferred" ... */
	struct str peer, enhanced, reply;
	uint64_t code, attempts, session;
	bool is_queued;
	int64_t told_us, next_us;
	int64_t fetched_us; /* 0: never */
};

/* Some of its events lie between these moments, and all of them in its stays. */
struct stay {
	int64_t from_us, to_us;
};

struct message {
	struct list link; /* in the order in which they came */
	struct message *in_bucket;
	uint64_t id;
	uint64_t session;    /* that it was accepted in; 0: not known */
	int64_t begun_us;    /* the first event */
	int64_t accepted_us; /* 0: not known */
	struct str sender, subject, peer;
	struct str account; /* who had signed in; empty: nobody */
	uint64_t octets;
	struct addressee *first, *last;
	size_t count;
	uint64_t more; /* recipients that are not known */
	uint64_t sessions[MESSAGE_SESSIONS];
	size_t session_count;
	struct stay stays[MESSAGE_STAYS];
	size_t stay_count;
};

struct messages {
	struct list all;
	size_t count, addressees;
	struct message *buckets[MESSAGE_BUCKETS];
	struct addressee *places[MESSAGE_BUCKETS];
};

/* Which message the event says it is about, as text; empty: none that the list knows. Lies in the event. */
struct str message_named(const struct trace_event *event);

void messages_init(struct messages *messages);
void messages_done(struct messages *messages);
/* Takes note of an event, after `sessions` has. */
void messages_note(struct messages *messages, const struct sessions *sessions,
		   const struct trace_event *event);
struct message *messages_find(const struct messages *messages, uint64_t id);
/* The one that lies there; NULL. */
struct addressee *messages_at(const struct messages *messages, const struct trace_fetch *place);
struct addressee *message_addressee(const struct message *message, struct str address);

/* An empty viewer sees all. */
struct sight {
	bool all, sent, got;
};
struct sight message_sight(const struct message *message, struct str viewer);
/* Does the viewer know of this recipient? Whom an alias leads to is shown as what was given. */
bool sight_of(const struct sight *sight, const struct addressee *addressee, struct str viewer);
/* Takes out of an event about a message that the viewer sent what a sender is not to know. False: it tells nothing else. */
bool event_redact(struct trace_event *event, struct str viewer);
/* "delivered", "queued", "deferred", "held", "failed", "deleted"; "mixed" when recipients fared differently. */
const char *message_state(const struct message *message, struct str viewer);
