/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* poster: the people of a relay walk: who submits mail, and who reads all mailboxes in the end. */
#include "net.h"
#include "talk.h"

struct poster {
	struct net *net;
	struct addr server; /* submission */
	struct addr from;
	unsigned sessions;
	const unsigned *deaths; /* of the store and of the gate, so far */
};

/* A fiber; arg is a struct poster. */
void poster_posts(void *poster) WAITS;

struct mailbox {
	struct posts *posts;
	struct addr server; /* POP3 */
	enum place_kind house;
	size_t account; /* SCENE_ACCOUNTS: the postmaster's */
	char address[40];
};

/* All of it goes to the posts. ERR_PROTOCOL when it could not be read. */
[[nodiscard]] enum err poster_reads(const struct mailbox *mailbox) WAITS;
