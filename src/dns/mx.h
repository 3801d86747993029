/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mx: where mail for a domain goes [rfc5321 5.1]: the hosts to try, in order, with their addresses.
 *
 * Invariants
 *  (1) Hosts stand by preference, those of one preference in the order of the world's chance; the addresses of a
 *      host alternate between IPv6 and IPv4, IPv6 first [rfc8305 4].
 *  (2) When one of our own names or addresses is among the hosts, it and all of its preference number or a higher
 *      one are left out: mail only goes towards lower ones, so it cannot go round.
 *  (3) At most LIMIT_route_hosts hosts and LIMIT_route_hops hops.
 *  (4) ROUTE_TEMPORARY when the DNS fails; the address of the domain itself is used only when a server has
 *      said that there is no MX.
 */
#include "dns/resolver.h"

enum mail_route_verdict {
	ROUTE_FOUND,
	ROUTE_NO_DOMAIN, /* 550 5.1.2 */
	ROUTE_NULL_MX,   /* 556 5.1.10 [rfc7505 4] */
	ROUTE_UNUSABLE,  /* 550 5.4.4; 550 5.4.6 when only we ourselves are left */
	ROUTE_TEMPORARY  /* 451 4.4.3 */
};

struct mail_hop {
	struct str host;     /* as the MX names it, for SNI, TLS names and logs */
	struct addr address; /* with the port */
	uint16_t preference;
	bool secure; /* the MX and this address came by DNSSEC */
};

struct mail_route {
	enum mail_route_verdict verdict;
	unsigned code;       /* 550, 556, 451; 0 when found */
	struct str enhanced; /* "5.1.2"; empty when found */
	struct str reason;   /* for people; empty when found */
	bool secure;         /* what the DNS said about MX came by DNSSEC */
	struct mail_hop *hops;
	size_t count;
	int64_t ttl_s; /* that all of it holds */
};

struct mail_route_question {
	struct str domain; /* A-labels; no address literal */
	uint16_t port;     /* 25 */
	uint64_t session;
	const struct str *own_names; /* may be none */
	size_t own_name_count;
	const struct addr
		*own_addresses; /* whatever their ports: leave out what others share with us */
	size_t own_address_count;
};

/* Everything in `out` lies in the arena. */
void mail_route_find(struct resolver *resolver, const struct mail_route_question *question,
		     struct arena *arena, struct mail_route *out) WAITS;
/* The addresses of one host without MX (a smarthost): hops with preference 0; the same verdicts. */
void mail_route_host(struct resolver *resolver, const struct mail_route_question *question,
		     struct arena *arena, struct mail_route *out) WAITS;
