/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * peer: a mail server of others, with moods: it greylists, is late, hangs, closes, is cut off, says 421 at any point,
 * takes some of the recipients, breaks TLS, talks nonsense, refuses for good, and loses its 250. What it takes
 * responsibility for it writes into the posts.
 */
#include "posts.h"

enum mood {
	MOOD_KIND,  /* no trouble */
	MOOD_MOODY, /* trouble of every sort, now and then */
	MOOD_BAD,   /* trouble every time */
	MOOD_GREY,  /* 451 in the first ten minutes */
	MOOD_HALF,  /* half of the recipients now */
	MOOD_FULL,  /* 452 to everything */
	MOOD_HATES, /* 554 in greeting */
	MOODS
};

struct peer {
	struct posts *posts;
	struct place *place;
	char host[40];
	struct addr address; /* port 25 */
	enum mood mood;
	struct listener *listener; /* NULL: nobody listens */
	struct fiber_group ears;
	struct fiber_group visits;
	/* Called at every step of a session: who is to die just then? */
	void (*step)(void *context);
	void *context;
	unsigned taken, lost; /* transactions; of them those whose 250 was not said */
};

void peer_init(struct peer *peer);
void peer_open(struct peer *peer);
void peer_close(struct peer *peer) WAITS;
/* Ends its sessions. */
void peer_done(struct peer *peer) WAITS;
