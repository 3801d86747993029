/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdio.h>

enum { ZONE_OCTETS = 8192, PEERS_EACH = 2, HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

const char net_far_address[] = "192.0.2.100";

static const struct {
	const char *domain;
	enum place_kind kind;
} drawn[NET_PLACES] = {
	{ "wire.example", PLACE_HOME },      { "far.example", PLACE_FAR },
	{ "one.example", PLACE_PEERS },      { "two.example", PLACE_PEERS },
	{ "three.example", PLACE_PEERS },    { "nowhere.example", PLACE_NO_DOMAIN },
	{ "nomail.example", PLACE_NO_MAIL }, { "lost.example", PLACE_NO_DNS },
};

/* ---- the DNS ---- */

static void add_hosts(struct net *net, struct buf *zone, const struct place *place)
{
	bool is_implicit = chance(5) == 0;
	size_t count = 0;

	for (size_t i = 0; i < NET_PEERS; i++) {
		const struct peer *peer = &net->peers[i];
		char ip[ADDR_TEXT];

		if (peer->place != place || (count++ && is_implicit))
			continue;
		addr_print_ip(&peer->address, ip);
		if (is_implicit) {
			buf_print(zone, "%s. IN A %s\n", place->domain, ip);
			continue;
		}
		buf_print(zone, "%s. IN MX %u %s.\n", place->domain, 10 * (unsigned)chance(3),
			  peer->host);
		/* Now and then an address where nobody is stands beside it. */
		if (chance(4) == 0)
			buf_print(zone, "%s. IN AAAA 2001:db8::99\n", peer->host);
		if (chance(4) == 0)
			buf_print(zone, "%s. IN A 192.0.2.99\n", peer->host);
		buf_print(zone, "%s. IN A %s\n", peer->host, ip);
	}
}

static void draw_records(struct net *net)
{
	OWNED(buf) struct buf zone = BUF(ZONE_OCTETS);

	buf_print(&zone, "$TTL %u\n", 30 << chance(8));
	for (size_t i = 0; i < NET_PLACES; i++) {
		const struct place *place = &net->places[i];

		if (place->kind == PLACE_PEERS)
			add_hosts(net, &zone, place);
		else if (place->kind == PLACE_NO_MAIL)
			buf_print(&zone, "%s. IN MX 0 .\n", place->domain);
		else if (place->kind == PLACE_FAR)
			buf_print(&zone, "%s. IN MX 5 mail.%s.\nmail.%s. IN A %s\n", place->domain,
				  place->domain, place->domain, net_far_address);
	}
	must(!zone.failed);
	net->records = str_dup(&net->arena, buf_str(&zone));
}

static void publish(struct net *net)
{
	OWNED(buf) struct buf text = BUF(ZONE_OCTETS);
	struct dns_zone *zone;

	must(!buf_add(&text, net->records));
	for (size_t i = 0; i < NET_PLACES; i++)
		if (net->dns[i] != DNS_WELL)
			buf_print(&text, "%s %s.\n",
				  net->dns[i] == DNS_FAILS ? "$SERVFAIL" : "$SILENT",
				  net->places[i].domain);
	must(!text.failed && !dns_zone_parse(&net->arena, buf_str(&text), &zone));
	if (net->zone)
		dns_zone_become(net->zone, zone);
	else
		net->zone = zone;
}

/* ---- weather ---- */

struct front {
	struct net *net;
	size_t index; /* of a peer, or of a place whose DNS it is */
};

static bool is_calm(const struct net *net, const struct place *place)
{
	return now() >= net->calm && !net->is_doomed[place - net->places];
}

/* From minutes to days. False: the weather is over. */
static bool wait_for_change(struct net *net, const struct place *place) WAITS
{
	static const int64_t most_ms[] = {
		60000, 600000, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS
	};
	moment until = in_ms((int64_t)chance((uint64_t)most_ms[chance(COUNT_OF(most_ms))]));

	net->changes++;
	if (now() < net->calm && until > net->calm && !net->is_doomed[place - net->places])
		until = net->calm;
	return fiber_sleep(until) == OK;
}

static void set_dark(struct net *net, size_t index, bool is_dark)
{
	const struct addr *address = &net->peers[index].address;

	if (net->is_dark[index] == is_dark)
		return;
	net->is_dark[index] = is_dark;
	if (is_dark)
		sim_go_dark(world_here(), address);
	else
		sim_come_back(world_here(), address);
}

static void change_peer(struct net *net, size_t index) WAITS
{
	struct peer *peer = &net->peers[index];
	uint64_t dice = chance(100);

	if (is_calm(net, peer->place)) {
		peer->mood = MOOD_KIND;
		set_dark(net, index, false);
		peer_open(peer);
		return;
	}
	peer->mood = dice < 15 ? MOOD_KIND : dice < 80 ? MOOD_MOODY : (enum mood)chance(MOOD_HATES);
	if (chance(40) == 0)
		peer->mood = MOOD_HATES;
	/* Who is doomed takes nothing, in one way or another. */
	if (net->is_doomed[peer->place - net->places])
		peer->mood = MOOD_FULL;
	set_dark(net, index, dice % 5 == 0);
	if (dice % 4 == 0)
		peer_close(peer);
	else
		peer_open(peer);
}

static void peer_weather(void *arg) WAITS
{
	const struct front *front = arg;
	const struct place *place = front->net->peers[front->index].place;

	do
		change_peer(front->net, front->index);
	while (!is_calm(front->net, place) && wait_for_change(front->net, place));
}

static void dns_weather(void *arg) WAITS
{
	const struct front *front = arg;
	struct net *net = front->net;
	const struct place *place = &net->places[front->index];
	bool is_over = false;

	while (!is_over) {
		enum dns_state state = chance(3) ? DNS_WELL : (enum dns_state)(1 + chance(2));

		is_over = is_calm(net, place);
		net->dns[front->index] = is_over ? DNS_WELL : state;
		publish(net);
		is_over = is_over || !wait_for_change(net, place);
	}
}

/* ---- all of it ---- */

static void place_peers(struct net *net, void (*step)(void *context), void *context)
{
	for (size_t i = 0; i < NET_PEERS; i++) {
		struct peer *peer = &net->peers[i];
		char ip[20];

		peer->posts = net->posts;
		peer->place = &net->places[2 + i / PEERS_EACH];
		snprintf(peer->host, sizeof(peer->host), "mx%zu.%s", i % PEERS_EACH,
			 peer->place->domain);
		snprintf(ip, sizeof(ip), "192.0.2.%zu", 10 + i);
		must(addr_parse_ip(str_of(ip), &peer->address));
		peer->step = step;
		peer->context = context;
		peer_init(peer);
	}
}

void net_draw(struct net *net, void (*step)(void *context), void *context)
{
	static const uint64_t calm_ms[] = { 60000, HOUR_MS, 8 * HOUR_MS, DAY_MS, 3 * DAY_MS };

	for (size_t i = 0; i < NET_PLACES; i++) {
		net->places[i].domain = drawn[i].domain;
		net->places[i].kind = drawn[i].kind;
		if (drawn[i].kind == PLACE_FAR)
			net->far = &net->places[i];
		net->is_doomed[i] = drawn[i].kind == PLACE_NO_DNS ||
				    (drawn[i].kind == PLACE_PEERS && chance(8) == 0);
	}
	net->calm = in_ms((int64_t)chance(calm_ms[chance(COUNT_OF(calm_ms))]));
	for (size_t i = 0; i < NET_PLACES; i++)
		net->places[i].well_us =
			net->is_doomed[i] ? INT64_MAX : wall_us() + (net->calm - now());
	place_peers(net, step, context);
	draw_records(net);
	publish(net);
}

void net_begin(struct net *net)
{
	group_init(&net->weather);
	for (size_t i = 0; i < NET_PEERS; i++) {
		struct front *front = NEW(&net->arena, struct front);

		*front = (struct front){ net, i };
		must(!fiber_spawn(&net->weather, "weather", peer_weather, front, NULL));
	}
	for (size_t i = 0; i < NET_PLACES; i++) {
		struct front *front = NEW(&net->arena, struct front);

		*front = (struct front){ net, i };
		if (net->places[i].kind == PLACE_NO_DNS)
			net->dns[i] = chance(2) ? DNS_FAILS : DNS_IS_SILENT;
		else if (chance(2))
			must(!fiber_spawn(&net->weather, "DNS weather", dns_weather, front, NULL));
	}
	publish(net);
}

void net_end(struct net *net) WAITS
{
	group_stop(&net->weather);
	(void)!group_wait(&net->weather, NEVER);
	for (size_t i = 0; i < NET_PEERS; i++) {
		peer_done(&net->peers[i]);
		set_dark(net, i, false);
	}
	arena_drop(&net->arena);
}
