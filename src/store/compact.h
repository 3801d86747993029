/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * compact: segments of which more than half is dead are emptied into the active one and removed.
 *
 * Invariants
 *  (1) A body is copied, flushed and its row changed in one commit like any other; a crash leaves
 *      either place valid.
 *  (2) A file is removed only when no row refers to it and the database is durable past all that is
 *      logged in it; readers that have it open go on reading.
 *      Its own row goes last, so that a removal that failed, or was cut short, is made up for by
 *      the next compaction.
 *  (3) At most COMPACT_PIECE octets are copied at once, with a pause after, so that deliveries pass. A body that
 *      is larger is one commit, as it was when it came; no more of it is in memory than a piece of its copying.
 */
#include "store/state.h"

struct compact_result {
	uint64_t segments; /* removed */
	uint64_t bodies;   /* moved */
	uint64_t octets;   /* of files given back */
};

/* `all`: every segment that holds anything dead. *out may be NULL. ERR_BUSY while one is running. */
[[nodiscard]] enum err store_compact(struct store *store, bool all, struct compact_result *out)
	WAITS;
