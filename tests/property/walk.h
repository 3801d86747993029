/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * walk: a client that says legal and illegal things to an SMTP server, as chance (the simulated
 * world's) decides, checks each reply against a model of the protocol, and remembers what was
 * acknowledged.
 *
 * Invariants that a walk checks
 *  (1) Every reply is well formed: three digits, the same on all its lines; one reply a command.
 *  (2) A command in the wrong order is refused by 5xx, and changes nothing.
 *  (3) A message is in every accepted recipient's mailbox once if its data was answered 250, and
 *      nowhere if it was answered otherwise. Only where the connection was cut before the answer
 *      came may it be in either way.
 */
#include "net/net.h"

enum { WALK_RECIPIENTS = 3, WALK_MESSAGES = 400 };

enum walk_fate { WALK_ACKNOWLEDGED, WALK_REFUSED, WALK_UNKNOWN };

/* A message whose data was sent, whole or in part. */
struct walk_message {
	unsigned number; /* in its Subject */
	enum walk_fate fate;
	bool recipients[WALK_RECIPIENTS];
	unsigned found[WALK_RECIPIENTS]; /* copies, counted afterwards */
};

/* All walks of one world. */
struct walk_ledger {
	struct walk_message messages[WALK_MESSAGES];
	size_t count;
	char failure[1000]; /* the first broken invariant; "" */
};

struct walk {
	struct walk_ledger *ledger;
	const struct addr *server;
	unsigned steps;
};

extern const char *const walk_recipients[WALK_RECIPIENTS];

/* Walks so many steps, over as many connections as it takes. */
void walk_run(struct walk *walk) WAITS;
