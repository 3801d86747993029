/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * resolver: a stub client of the domain name system on fibers. Asks recursive servers, keeps what they say
 * as long as it holds, and shares one query between all who ask the same at the same time.
 *
 * Invariants
 *  (1) A name "does not exist" only when a server said so. A server that fails, keeps silent or talks
 *      nonsense gives DNS_TEMPORARY.
 *  (2) Each query has an id from the world's chance and a socket, so a source port, of its own; the kernel lets
 *      only the server's address and port answer it, and we only its id and its question.
 *  (3) `secure` is a server's AD bit, believed only from loopback or when servers_trusted [rfc4035 4.9.3].
 *  (4) The cache holds at most LIMIT_dns_cache_entries and LIMIT_dns_cache_octets; what was unused the longest goes
 *      first. Kept times are clamped to LIMIT_dns_ttl, negative ones to LIMIT_dns_negative_ttl [rfc2308 5],
 *      failures are kept LIMIT_dns_failure_ttl [rfc2308 7].
 *  (5) An answer takes at most LIMIT_dns_wait, whatever servers do.
 *
 * Servers come from the option `resolver`; where it is empty the supervisor reads /etc/resolv.conf, which no role
 * may, and hands the roles what it found as the value of that option. In the simulated world there is a zone in
 * their place.
 *
 * Promises of a role that uses it (sandbox/promises.def): stdio epoll socket connect; TCP_ANY.
 */
#include "dns/dns.h"
#include "fiber/fiber.h"
#include "trace/trace.h"

struct resolver_options {
	const struct addr *servers; /* in the order in which they are tried; copied */
	size_t server_count;        /* at most LIMIT_dns_servers count */
	bool servers_trusted;       /* their AD is believed, wherever they are */
	const struct dns_zone
		*zone;       /* in place of servers, in either world; must outlive its use */
	struct trace *trace; /* NULL is fine */
};

struct resolver;

struct resolver *resolver_new(const struct resolver_options *options);
/* No fiber may be asking any more. Waits for what is under way. */
void resolver_drop(struct resolver **resolver) WAITS;
/* From now on ask this zone: how tests make the net change. What is kept stays kept. */
void resolver_set_zone(struct resolver *resolver, const struct dns_zone *zone);
/* Forget all that is kept. */
void resolver_flush(struct resolver *resolver);

enum dns_verdict {
	DNS_FOUND,    /* at least one record */
	DNS_NO_DATA,  /* the name exists, records of this type do not */
	DNS_NO_NAME,  /* the name does not exist */
	DNS_TEMPORARY /* nobody knows now; also when the asking fiber is stopped */
};

struct dns_result {
	enum dns_verdict verdict;
	bool secure; /* invariant (3); of a negative answer too */
	bool cached;
	struct dns_record *records; /* in the order given by the server; in the caller's arena */
	size_t count;
	struct str canonical; /* the name after all CNAMEs */
	int64_t ttl_s;        /* that it still holds */
	struct str reason;    /* of DNS_TEMPORARY, for people: "127.0.0.1:53: SERVFAIL" */
};

/* `session` is the trace session on whose behalf it is asked, or 0. A `name` that is none gives DNS_NO_NAME. */
struct resolver_question {
	struct str name;
	enum dns_type type;
	uint64_t session;
};

void resolver_ask(struct resolver *resolver, const struct resolver_question *question,
		  struct arena *arena, struct dns_result *out) WAITS;
/* Begin to ask, so that a resolver_ask that follows need not wait as long. Does not wait. */
void resolver_prefetch(struct resolver *resolver, const struct resolver_question *question);

struct resolver_stats {
	uint64_t asked, hits,
		joined; /* questions; of them from the cache; waited for another's query */
	uint64_t queries, queries_tcp, timeouts; /* to servers */
	size_t entries, octets;                  /* kept now */
};
void resolver_get_stats(const struct resolver *resolver, struct resolver_stats *out);
