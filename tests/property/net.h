/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * net: the world around the house: places with their servers and their DNS, drawn by chance, and the weather over
 * them: servers go down, are unreachable, change their mood; name servers fail or keep silent. Some places are never
 * well, all others are in the end.
 */
#include "dns/dns.h"
#include "peer.h"

enum { NET_PLACES = 8, NET_PEERS = 6 };

enum dns_state { DNS_WELL, DNS_FAILS, DNS_IS_SILENT };

struct net {
	struct posts *posts;
	struct place places[NET_PLACES];
	struct place *far; /* one of them */
	enum dns_state dns[NET_PLACES];
	bool is_doomed[NET_PLACES];
	struct peer peers[NET_PEERS];
	bool is_dark[NET_PEERS]; /* its cable is pulled */
	struct dns_zone *zone;
	struct str records; /* of the zone, without outages */
	struct arena arena;
	struct fiber_group weather;
	unsigned changes; /* of the weather */
	moment calm;      /* from then on all are well but the doomed */
};

/* The far house listens there. */
extern const char net_far_address[];

/* Places, servers and the zone. `step`: see peer.h. */
void net_draw(struct net *net, void (*step)(void *context), void *context);
/* The weather begins, and who is well listens. */
void net_begin(struct net *net);
/* No weather any more, and nobody listens. */
void net_end(struct net *net) WAITS;
