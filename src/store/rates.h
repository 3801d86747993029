/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rates: how many recipients at other servers an account, or a client of a network, may still write to.
 *
 * Invariants
 *  (1) A period begins with the first recipient that is counted; at most `max` are taken until it ends.
 *  (2) Memory is bounded: of RATES_MAX that are counted the one unused the longest is forgotten.
 *
 * Kept in memory alone: with the store's process a period that is under way begins anew.
 */
#include "store/aged.h"
#include "fiber/fiber.h"

enum { RATES_MAX = 50000 };

struct rate {
	uint64_t max; /* 0: no bound */
	int64_t period_us;
};

/* Who is counted. */
struct rated {
	uint64_t id;        /* of the account, or of the network's row */
	struct addr client; /* ADDR_NONE for accounts and certificates */
};

struct rates {
	struct aged counts;
};

void rates_init(struct rates *rates);
void rates_done(struct rates *rates);
/* How many of `wanted` may be taken now; they are counted. */
uint64_t rates_take(struct rates *rates, const struct rated *who, const struct rate *rate,
		    uint64_t wanted);
/* The same without counting. */
uint64_t rates_left(struct rates *rates, const struct rated *who, const struct rate *rate,
		    uint64_t wanted);
/* So many were not used after all. */
void rates_give_back(struct rates *rates, const struct rated *who, uint64_t count);

/* "100/10m": N/PERIOD, a number of s, m, h or d behind the slash. max and period are not 0. */
bool rate_parse(struct str text, struct rate *out);
/* In the largest unit that is whole. */
struct str rate_print(struct arena *arena, const struct rate *rate);
