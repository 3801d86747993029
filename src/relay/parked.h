/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * parked: sessions that are open and have nothing to send: for a few seconds they wait for another message
 * that goes their way, whatever its destination. A smarthost is signed in to once for many of them.
 *
 * Invariants
 *  (1) At most PARKED_MAX, none longer than PARKED_MS.
 *  (2) A session carries at most SESSION_MESSAGES_MAX messages, so that others of a slow server get their turn
 *      and memory is bounded.
 */
#include "relay/attempt.h"

enum { PARKED_MAX = 50, PARKED_MS = 5000, SESSION_MESSAGES_MAX = 100 };

struct parked {
	struct list link; /* in relay->parked */
	struct dialogue_out talk;
	struct arena arena; /* of its texts */
	unsigned sent;
	moment since;
};

/* Takes over session and arena; what is not open, or too many, ends at once. */
void park(struct relay *relay, struct dialogue_out *talk, struct arena *arena, unsigned sent) WAITS;
/* One of that way, if there is any: *arena (empty) becomes its arena. */
bool unpark(struct relay *relay, struct str way_key, struct parked *out);
/* Ends those that have waited long enough; all of them when `all`. */
void parked_sweep(struct relay *relay, bool all) WAITS;
