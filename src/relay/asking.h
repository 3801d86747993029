/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * asking: what the relay asks the store for, and tells it.
 *
 * Invariants
 *  (1) What a claim says of the leases that this run has is true when it leaves: the store gives back the others, and
 *      one of them that is known here would be sent twice.
 *  (2) A report is repeated until the store has heard it: at once where the store was away, ever more seldom where
 *      it cannot do it (a full disk).
 */
#include "relay/attempt.h"

/* What goes the way of a session, in place of the lease that it had; or anything. */
struct wanted {
	struct str only;
	uint64_t instead;
};

/* Without `only` it waits until something is due; lease 0: nothing is. */
[[nodiscard]] enum err relay_ask(struct relay *relay, const struct wanted *wanted,
				 struct arena *arena, struct answer_queue_claim *claim) WAITS;
/* All that it says lies in the arena, which goes with it. `waits`: until it was heard, or we are told to stop. */
void relay_tell(struct relay *relay, const struct ask_queue_report *ask, struct arena arena,
		bool waits) WAITS;
