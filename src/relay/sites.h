/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sites: how many connections each destination gets. It begins with a few, one more for each session
 * that went well, half as many after one that could not be made: a slow server is not pressed, a fast one
 * gets all that relay_site_connections allows.
 *
 * Invariants
 *  (1) A destination has at least one connection and at most `most`.
 *  (2) At most SITES_MAX are remembered; those without a connection that were unused longest go first.
 */
#include "base/base.h"

enum { SITES_MAX = 10000, SITES_FIRST = 5 };

struct site {
	struct list age; /* in sites->ages, longest unused first */
	struct list bucket;
	struct str name; /* in the site's own allocation */
	unsigned allowed;
	unsigned open;
};

struct sites {
	struct list ages;
	struct list buckets[1024];
	size_t count;
	unsigned most;
};

void sites_init(struct sites *sites, unsigned most);
void sites_done(struct sites *sites);
/* One connection more there. Pair with site_leave; the site stays until then. */
struct site *site_enter(struct sites *sites, struct str destination);
void site_leave(struct site *site);
void site_went_well(const struct sites *sites, struct site *site);
void site_failed(struct site *site);
/* Those that have all they may: up to `room` names, views that hold until the next call. */
size_t sites_full(const struct sites *sites, struct str *out, size_t room);
