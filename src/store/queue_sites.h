/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * queue_sites: whose turn it is. Destinations ("sites") take turns, and within one the flows of those
 * who send there. It knows when something may be due, and nothing of messages: the database has those,
 * and what a claim finds there puts this right.
 *
 * Invariants
 *  (1) A site with a hundred thousand messages costs the others no more than a site with one.
 *  (2) A site that is paused, or has as many leases as the asker allows, is passed over.
 *  (3) Nothing due is forgotten: a flow is let go only when the database has no more of it.
 *  (4) A site has SITE_FIRST leases at most at first, one more for each message that somebody there answered
 *      for, and half as many after one that nobody did: a slow server is not pressed, a fast one gets all that
 *      the asker allows. It never has less than one. Of sites with nothing to send the last SITES_IDLE are
 *      remembered.
 *
 * Times are microseconds of the wall clock. No input or output, no clock, no fibers.
 */
#include "base/base.h"

struct sites;
struct site;
struct flow;

enum { SITE_REPLY = 400, SITE_FIRST = 5, SITES_IDLE = 10000 };
#define SITES_NEVER INT64_MAX

struct sites *sites_new(void);
void sites_drop(struct sites **sites);

/* `messages` more of this flow are due from then on. */
void sites_note(struct sites *sites, struct str destination, uint64_t flow, int64_t due_us,
		size_t messages);

struct sites_ask {
	int64_t now_us;
	size_t site_max;
	struct str only; /* empty: any */
	size_t ending;   /* leases of that one that are about to end, and do not count */
};
struct sites_pick {
	struct site *site;
	struct flow *flow;
	uint64_t notes; /* that the flow had had by then */
};
/* The next turn; end it with sites_picked. false: nothing is due that may be given. */
bool sites_pick(struct sites *sites, const struct sites_ask *ask, struct sites_pick *out);
struct str site_name(const struct site *site);
uint64_t flow_key(const struct flow *flow);

struct sites_found {
	bool has_lease;  /* something was claimed: a lease more, until sites_end_lease */
	bool has_more;   /* and more of this flow is due now */
	int64_t next_us; /* else when; SITES_NEVER: the flow has nothing */
};
/* The site lives on while it has leases. */
void sites_picked(struct sites *sites, const struct sites_pick *pick,
		  const struct sites_found *found);
/* A lease more that no pick led to: of before the store was opened. */
struct site *sites_add_lease(struct sites *sites, struct str destination);
void sites_end_lease(struct sites *sites, struct site *site);

/* Nobody there answered: it gets half as many leases. */
void site_slow(struct site *site);
/* It could not be reached (for the `failures`th time in a row: counted here). Gives that number. */
unsigned sites_fail(struct sites *sites, struct site *site);
void sites_pause(struct sites *sites, struct site *site, int64_t until_us, struct str reply);
/* Somebody there answered: one lease more, up to `most`. */
void site_speed(struct site *site, size_t most);
/* The same, or an operator wants it tried: no pause, no failures. */
void sites_resume(struct sites *sites, struct site *site);
struct site *sites_find(struct sites *sites, struct str destination);
/* Of a paused site; empty otherwise. */
struct str site_reply(const struct site *site, int64_t now_us);
int64_t site_paused_until(const struct site *site);

/* When to ask again; SITES_NEVER: when something is noted. */
int64_t sites_next_us(const struct sites *sites);
