/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* remove: messages go away, and bodies with the last message that refers to them. Writer's thread. */
#include "store/commit.h"

struct removal {
	uint64_t account;
	uint64_t mailbox;
	uint64_t messages; /* grow with each one removed */
	uint64_t octets;
};

/* One reference less to the body; it goes with the last. */
[[nodiscard]] enum err writer_let_go(struct writer *writer, uint64_t body);
/* A message that is gone already is no failure. */
[[nodiscard]] enum err writer_remove_message(struct writer *writer, struct removal *removal,
					     uint64_t uid);
/* After the last one: the mailbox's counters. */
[[nodiscard]] enum err writer_end_removal(struct writer *writer, const struct removal *removal);
