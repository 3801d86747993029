/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * check: is everything there, and does it hang together? Counts references, mailboxes and segments
 * again, has the engine look at its own files, and when `deep` reads each body and compares its
 * checksum. Changes nothing. While it runs nothing is compacted; mail goes on.
 */
#include "store/state.h"

struct check_result {
	uint64_t bodies, messages, segments, octets; /* looked at */
	uint64_t complaints;
};

struct check_report {
	bool deep;
	void *context;
	/* One thing that is wrong, and what to do. In the calling fiber. */
	void (*complain)(void *context, struct str what, struct str advice) WAITS;
};

[[nodiscard]] enum err store_check(struct store *store, const struct check_report *report,
				   struct check_result *out) WAITS;
