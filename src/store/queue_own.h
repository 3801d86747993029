/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* queue_own: who has leased what, and how long he may have it. Private to queue_*.c. */
#include "store/queue.h"

struct queue_lease {
	struct table_item item; /* by the lease */
	struct list age;        /* of all, oldest first */
	struct site *site;
	uint64_t owner;
	moment ends;
};

/* A run of a relay's process that has claimed something. */
struct queue_owner {
	struct table_item
		item;      /* by owner: the last four bits are the process, the rest is the run */
	unsigned channels; /* that claim in its name; without one, what it has is given back */
	bool is_met; /* what other runs of its process had was given back, and what itself never heard of */
	bool is_met_now; /* that is under way: others of its claims wait */
};

/* What was leased before the store was opened is leased still. */
[[nodiscard]] enum err queue_load_leases(struct store *store) WAITS;
/* The site counts it already. */
void queue_lease_add(struct queue *queue, struct site *site, uint64_t lease, uint64_t owner);
struct queue_lease *queue_lease_find(struct queue *queue, uint64_t lease);
void queue_lease_end(struct queue *queue, struct queue_lease *lease);
/*
 * The first claim of a run since the store was opened: what other runs of this process had is given back, and what it
 * has itself and does not know of.
 */
[[nodiscard]] enum err queue_meet_owner(struct peer *peer, uint64_t owner,
					const struct ask_queue_claim *ask) WAITS;
/* What runs without a channel have is given back, and what was leased too long. */
[[nodiscard]] enum err queue_collect(struct store *store) WAITS;
/* When the oldest lease ends; NEVER without one. */
moment queue_lease_ends(const struct queue *queue);
