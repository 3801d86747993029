/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cache (private): what was asked: questions under way, and answers as they came, as long as they hold.
 *
 * Invariants
 *  (1) An entry is under way or settled. At most one entry of a question is in the table.
 *  (2) Entries are counted: the table, the query under way and each who waits hold one.
 *  (3) Only settled entries are kept and count for the limits; the one unused the longest goes first.
 */
#include "dns/dns.h"
#include "fiber/fiber.h"

enum { CACHE_REASON_MAX = 160 };

struct entry {
	struct list bucket; /* in the table, or alone */
	struct list age;    /* in cache->kept, or alone */
	struct dns_question question;
	uint64_t session; /* whose question it was first */
	unsigned references;
	bool under_way;
	bool ahead; /* asked for before somebody needs it */
	struct waitq waiters;
	/* Settled: */
	struct buf octets; /* the answer; empty: it failed */
	bool trusted;      /* the server's AD is believed */
	moment expires;
	char reason[CACHE_REASON_MAX]; /* of a failure */
};

struct cache {
	struct list *buckets;
	struct list kept; /* unused the longest first */
	size_t entries;   /* kept */
	size_t octets;
};

void cache_init(struct cache *cache);
/* No entry may be under way. */
void cache_done(struct cache *cache);
/* Under way, or settled and still good; NULL. Counts as a use. */
struct entry *cache_find(struct cache *cache, const struct dns_question *question);
/* A new one, under way, in the table; none of its question may be there. The caller holds one reference. */
struct entry *cache_add(struct cache *cache, const struct dns_question *question);
struct entry *entry_ref(struct entry *entry);
void entry_drop(struct entry **entry); /* gives one reference back */
/* It is known now: kept for ttl_s, or (0) forgotten once all who waited have read it. */
void cache_settle(struct cache *cache, struct entry *entry, uint32_t ttl_s);
void cache_flush(struct cache *cache);
