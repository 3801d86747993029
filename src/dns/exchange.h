/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * exchange (private): one question put to servers, one after the other, until one of them knows.
 *
 * A server that keeps silent goes to the end of the row for LIMIT_dns_ill; what it says in vain (SERVFAIL, REFUSED,
 * nonsense) counts for this question only. Each query has an id and a socket of its own.
 */
#include "dns/resolver.h"

struct dns_server {
	struct addr address;
	char text[ADDR_TEXT];
	bool trusted;
	moment ill_until;   /* it kept silent */
	moment plain_until; /* it does not know EDNS */
};

struct exchange {
	struct dns_server *servers;
	size_t server_count;
	const struct dns_zone *zone; /* in place of servers */
	const struct dns_question *question;
	struct trace *trace;
	uint64_t session;
	struct resolver_stats *stats;
	moment deadline;
	struct buf *octets; /* out: the answer, as it came */
	bool trusted;       /* out */
	bool in_vain[LIMIT_dns_servers];
};

/* OK: NOERROR or NXDOMAIN, well formed, *out in the arena. Everything else has its text in the fault. */
[[nodiscard]] enum err exchange_run(struct exchange *exchange, struct arena *arena,
				    struct dns_answer *out) WAITS;
/* An event about a question of this exchange, or about one that the cache answered. */
struct exchange_event {
	struct str server;
	bool cached, tcp, secure;
	moment since;
};
/* `answer` NULL: it failed, the fault's text tells why. */
void exchange_trace(struct trace *trace, uint64_t session, const struct dns_question *question,
		    const struct dns_answer *answer, const struct exchange_event *event);
