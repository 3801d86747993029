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
 *  (3) A refusal to speak with us at all is final only when every host refuses.
 */
#include "dns/mx.h"
#include "link/link.h"
#include "relay/destinations.h"
#include "role/role.h"
#include "smtp/client.h"

struct relay {
	struct role *role;
	struct resolver *resolver;
	struct tls_context
		*tls; /* trusts anything: who is only tried for TLS gets it from whomever */
	struct destinations destinations;
	struct semaphore slots; /* sessions that may be open at once */
	struct fiber_group errands;
	bool closing; /* nothing new is begun */
	uint64_t run;
};

struct attempt {
	struct relay *relay;
	const struct answer_queue_claim *claim;
	struct str octets;   /* the message */
	struct arena *arena; /* for the texts in `said` */
	struct smtp_client
		*client; /* of an earlier attempt to the same destination, to be used first; what is
				       open at the end, the caller drops or hands on */
	struct str peer; /* whom `client` speaks to: "mx.example.net [192.0.2.1]" */
	uint64_t session;

	/* Outcome. */
	struct smtp_said *said; /* one a recipient of the claim */
	bool has_dsn;           /* who took it offers DSN */
	bool is_site_down;      /* no host could be reached */
};

void attempt_run(struct attempt *attempt) WAITS;
/* Neither taken nor refused by anybody: another host, or another time. */
bool attempt_is_pending(const struct smtp_said *said);
