/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * attempt: one message to the recipients of one destination, now: the way is looked up, hosts are tried in
 * their order, and what became of each recipient stands in `said`.
 *
 * Invariants
 *  (1) A recipient is sent to again, at another host, only when the one before has neither taken nor refused
 *      it and nothing of the message's end was on its way (never after SMTP_UNSURE).
 *  (2) At most five hosts are tried, whatever the DNS says.
 *  (3) A refusal to speak with us at all is final only when every host refuses, and none of them was named by
 *      the operator.
 *  (4) It ends before the lease does: nobody else is sending the same meanwhile.
 *  (5) A session is used for another message only where that one's way has the same key.
 */
#include "link/link.h"
#include "relay/destinations.h"
#include "relay/held.h"
#include "relay/outside.h"
#include "relay/way.h"
#include "role/role.h"

struct relay {
	struct role *role;
	struct resolver *resolver;
	struct tls_context
		*tls; /* trusts anything: who is only tried for TLS gets it from whomever */
	struct tls_context *verifying; /* judges; NULL until it is needed */
	struct tls_sessions *tls_sessions;
	struct destinations ways; /* hosts that routes name, whatever the destinations */
	struct waitq ways_moved;
	struct outside outside;
	struct addr *own; /* where we take mail on port 25 */
	size_t own_count;
	struct list parked; /* sessions that wait for another message, longest first */
	size_t parked_count;
	size_t errand_count; /* sessions that are open or being opened */
	struct waitq errand_ended;
	struct fiber_group errands;
	bool closing; /* nothing new is begun */
	uint64_t run;
	struct held held;
};

/* A session that is open, and whom it speaks to. */
struct dialogue_out {
	struct smtp_client *client; /* NULL: there is none */
	struct str way_key;
	struct str peer; /* "mx.example.net [192.0.2.1]" */
	uint64_t session;
	struct destination *place; /* among relay->ways, or NULL */
};

struct attempt {
	struct relay *relay;
	struct answer_queue_claim *claim;
	struct str octets;        /* the message, while it is sent */
	struct arena *arena;      /* for the texts in `said`, and the session's */
	struct dialogue_out talk; /* what is open at the end, the caller closes or hands on */
	moment until;
	struct way way;
	bool has_reached; /* a host of the MX answered at all */

	/* Outcome. */
	struct smtp_said *said; /* one a recipient of the claim */
	bool *notifies;         /* likewise: who took it offers DSN */
	bool is_final;          /* who took it keeps the mailbox */
	bool is_site_down;      /* no host could be reached */
};

void attempt_run(struct attempt *attempt) WAITS;
/* Neither taken nor refused by anybody: another host, or another time. */
bool attempt_is_pending(const struct smtp_said *said);
/* Ends a session of that way that waits for another message. False: there is none. (parked.c) */
bool relay_end_parked(struct relay *relay, struct str way_key) WAITS;
/* The end of a session. */
void dialogue_end(struct relay *relay, struct dialogue_out *talk) WAITS;
