/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* actors: the clients of a fault walk. Each is a fiber's whole work; arg is a struct actor. */
#include "talk.h"

struct actor {
	struct ledger *ledger;
	struct addr server;
	struct addr from;  /* its address; port 0 */
	unsigned sessions; /* connections that it makes */
	bool is_lmtp;
	bool signs_in; /* submission */
};

/* Sends messages by SMTP or LMTP, in one of the ways that there are, and gives some up half-way. */
void actor_sends(void *actor) WAITS;
/* Reads mailboxes by POP3, deletes some, and is not always polite. */
void actor_reads(void *actor) WAITS;
/* One mailbox, whole, undisturbed, into `found`; ERR_PROTOCOL when it could not be read. */
[[nodiscard]] enum err read_whole_mailbox(const struct actor *actor, size_t account) WAITS;
