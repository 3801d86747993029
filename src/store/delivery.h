/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * delivery: one message, as the writer gives it to its recipients: into mailboxes, or into the queue
 * where they are elsewhere and the message may go there. All of it in one transaction.
 *
 * Invariants
 *  (1) A recipient's outcome is DELIVERY_DONE only when its mailboxes have the message, or the queue.
 *  (2) Nothing is queued for who may not relay: the account behind the sign-in, or the row of the client's
 *      network, is asked in the transaction itself, whatever a gate said.
 *
 * delivery_tell runs in a fiber, delivery_run on the writer's thread.
 */
#include "store/relaying.h"

struct placement;
struct notices; /* queue.h */

/* A recipient elsewhere: as it was given, or what an alias leads to. */
struct leaving {
	size_t recipient; /* of the message, that it stands for */
	struct str address;
	bool is_forwarded;
	uint64_t hash; /* of a forwarded one */
};

struct delivery {
	const struct ask_deliver *ask;
	struct str octets; /* they must live until the batch ends */
	struct resolve_policy policy;
	uint64_t account; /* who signed in; 0: nobody */
	bool is_notice;   /* of the house itself: it may go anywhere */
	struct relay_right right;
	uint64_t remote_max; /* recipients elsewhere that the sender may have now */
	bool any_sender;     /* accept_any_password */
	int64_t received_us;
	int64_t expires_us, alarm_us; /* of what is queued: given up, and looked at by the keeper */
	uint64_t size;                /* as it will be read */
	struct arena arena; /* what the writer makes of it; the fiber reads it after the commit */
	uint64_t *outcomes; /* enum delivery_outcome, one a recipient */
	struct leaving *leaving; /* they go to the queue */
	size_t leaving_count, leaving_room;
	size_t remote_count; /* of them those that the client addressed: who may send so many? */
	struct str sent_as;  /* instead of the sender; empty: it is not rewritten */
	bool was_queued;     /* by an earlier try */
	bool may_relay;      /* once it is known */
	struct notices *notices; /* of what is delivered here; NULL: nobody wants any */
	bool is_relay_known;
	struct placement *placements;
	size_t count, room;
	size_t addresses; /* looked at so far, for all recipients */
};

/* `out` is zero but for its octets; `at_us`: now. Any thread. */
void delivery_prepare_at(const struct config *config, int64_t at_us, const struct ask_deliver *ask,
			 struct delivery *out);
[[nodiscard]] enum err delivery_run(struct writer *writer, struct delivery *delivery);
/* After the commit: the trace, and who waits for the queue. */
void delivery_tell(struct store *store, const struct delivery *delivery);
void delivery_done(struct delivery *delivery);
