/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * destinations: how many connections each host gets that many destinations go through. It begins with a few, one
 * more for each session that went well, half as many after one that could not be made: a slow server is not
 * pressed, a fast one gets all that relay_site_connections allows. The store does the same for each destination.
 *
 * Invariants
 *  (1) A destination has at least one connection and at most `most`.
 *  (2) At most DESTINATIONS_MAX are remembered; those without a connection that were unused longest go first.
 */
#include "fiber/fiber.h"
#include "smtp/client.h"

enum { DESTINATIONS_MAX = 10000, DESTINATION_FIRST = 5 };

struct destination {
	struct list age; /* in destinations->ages, longest unused first */
	struct list bucket;
	struct str name; /* in the destination's own allocation */
	unsigned allowed;
	unsigned open;
	/* It is away, or does not believe us: nobody asks until then. */
	moment rests_until;
	unsigned code;
	char enhanced[12];
	char text[200];
};

struct destinations {
	struct list ages;
	struct list buckets[1024];
	size_t count;
	unsigned most;
};

void destinations_init(struct destinations *destinations, unsigned most);
void destinations_done(struct destinations *destinations);
/* One connection more there. Pair with destination_leave; the destination stays until then. */
struct destination *destination_enter(struct destinations *destinations, struct str name);
void destination_leave(struct destination *destination);
void destination_went_well(const struct destinations *destinations,
			   struct destination *destination);
void destination_failed(struct destination *destination);
/* It is left alone until then, for the reason that it gave. */
void destination_rest(struct destination *destination, moment until, const struct smtp_said *why);
/* Does it rest? Then *why has the reason, its texts in the arena. */
bool destination_rests(struct destinations *destinations, struct str name, struct arena *arena,
		       struct smtp_said *why);
bool destination_is_full(struct destinations *destinations, struct str name);
