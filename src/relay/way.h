/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * way: how the hosts of a claim are found, and what has to be so before they are trusted with the mail.
 *
 * Invariants
 *  (1) Two ways with the same key may share a session, and no others: it has the hosts, the policy, the
 *      credential and the sources in it.
 *  (2) A mistake of the operator's (a smarthost that does not exist) is temporary: it is mended by him, and
 *      everybody's mail can wait for that.
 */
#include "dns/mx.h"
#include "link/link.h"
#include "relay/dial.h"
#include "smtp/client.h"

enum { WAY_HOSTS_MAX = 5 };

/* One host with the addresses that the route has for it, side by side. */
struct way_host {
	struct str name;
	bool is_secure; /* DNSSEC says so, or the operator */
	struct addr addresses[DIAL_MAX];
	size_t count;
};

struct way {
	enum queue_transport transport;
	struct str target; /* host, socket or domain */
	uint16_t port;
	enum queue_tls tls;
	struct str credential, user, password;
	bool is_fixed; /* the operator named the host */
	struct addr *sources;
	size_t source_count;
	struct str key;
};

/* The claim's own way; `fallback`: that of its fallback, else that of the MX hosts where it has one. Texts lie in the arena
   or in the claim. */
void way_of_claim(const struct answer_queue_claim *claim, bool fallback, struct arena *arena,
		  struct way *out);

struct way_finding {
	struct resolver *resolver;
	struct str hostname; /* ours */
	const struct addr *own;
	size_t own_count;
	uint64_t session;
	struct arena *arena;
};
/* How many hosts to try, WAY_HOSTS_MAX at most; 0: *why tells everybody why not. */
size_t way_find_hosts(const struct way *way, const struct way_finding *finding,
		      struct way_host *hosts, struct smtp_said *why) WAITS;
/* What the certificate of this host may be for; at most 3. */
size_t way_names(const struct way *way, const struct way_host *host, struct arena *arena,
		 struct str names[3]);
enum smtp_tls_policy way_tls(const struct way *way);
