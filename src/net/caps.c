/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caps per address: a hash table of groups (IPv4 address, IPv6 /64). A group with an open
 * connection stays; the others are remembered in the order of their last use and forgotten from
 * the oldest on, so that memory is bounded however many addresses come by.
 */
#include "net/net.h"

#include <stdlib.h>

enum { BUCKETS = 4096, REMEMBERED_MAX = 16384, BLAME_MAX = 1'000'000, SHARES = 4 };

static const moment minute_us = 60'000'000;
static const moment blame_halves_us = 600'000'000;
static const moment blame_gone_us = 3'600'000'000;

struct group {
	struct list bucket;
	struct list age; /* in caps->idle while nothing is open */
	struct addr address;
	unsigned open;
	unsigned new_before; /* begun in the minute before `minute` */
	unsigned new_now;    /* and in it */
	unsigned blame;
	uint64_t held; /* octets */
	moment minute; /* when the current minute began */
	moment blamed; /* when blame was last brought up to date */
	moment blamed_last;
};

struct caps {
	struct caps_limits limits;
	struct list buckets[BUCKETS];
	struct list idle; /* longest idle first */
	size_t idle_count;
	unsigned open;
	uint64_t held;
};

static void take_limits(struct caps *caps, const struct caps_limits *limits)
{
	free(caps->limits.exempt);
	caps->limits = *limits;
	caps->limits.exempt = NULL;
	if (limits->exempt_count == 0)
		return;
	caps->limits.exempt = calloc(limits->exempt_count, sizeof(*limits->exempt));
	must(caps->limits.exempt);
	memcpy(caps->limits.exempt, limits->exempt, limits->exempt_count * sizeof(*limits->exempt));
}

struct caps *caps_new(const struct caps_limits *limits)
{
	struct caps *caps = calloc(1, sizeof(*caps));

	must(caps);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&caps->buckets[i]);
	list_init(&caps->idle);
	take_limits(caps, limits);
	return caps;
}

void caps_set(struct caps *caps, const struct caps_limits *limits)
{
	take_limits(caps, limits);
}

void caps_drop(struct caps **caps)
{
	struct caps *c = *caps;

	if (!c)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct list *link; (link = list_take_first(&c->buckets[i]));)
			free(CONTAINER_OF(link, struct group, bucket));
	free(c->limits.exempt);
	free(c);
	*caps = NULL;
}

static bool is_exempt(const struct caps *caps, const struct addr *peer)
{
	if (peer->family != ADDR_IPV4 && peer->family != ADDR_IPV6)
		return true; /* UNIX sockets have file permissions */
	for (size_t i = 0; i < caps->limits.exempt_count; i++)
		if (network_contains(&caps->limits.exempt[i], peer))
			return true;
	return false;
}

static struct list *bucket_of(struct caps *caps, const struct addr *group)
{
	struct str octets = { (const char *)group->ip, sizeof(group->ip) };

	return &caps->buckets[str_hash(octets) % BUCKETS];
}

static struct group *group_find(struct caps *caps, const struct addr *peer)
{
	struct addr address = addr_rate_group(peer);

	LIST_EACH (link, bucket_of(caps, &address)) {
		struct group *group = CONTAINER_OF(link, struct group, bucket);

		if (addr_is_same_ip(&group->address, &address))
			return group;
	}
	return NULL;
}

static void group_drop(struct caps *caps, struct group *group)
{
	caps->idle_count--;
	list_remove(&group->age);
	list_remove(&group->bucket);
	free(group);
}

/* At the end of the idle ones: the last to be forgotten. */
static void group_rest(struct caps *caps, struct group *group)
{
	list_add_last(&caps->idle, &group->age);
	if (++caps->idle_count > REMEMBERED_MAX)
		group_drop(caps, CONTAINER_OF(caps->idle.next, struct group, age));
}

static void group_wake(struct caps *caps, struct group *group)
{
	if (!list_is_empty(&group->age)) {
		list_remove(&group->age);
		caps->idle_count--;
	}
}

/* Known or made; not in the idle list: the caller says group_rest when nothing is open. */
static struct group *group_get(struct caps *caps, const struct addr *peer)
{
	struct group *group = group_find(caps, peer);

	if (group) {
		group_wake(caps, group);
		return group;
	}
	group = calloc(1, sizeof(*group));
	must(group);
	group->address = addr_rate_group(peer);
	group->minute = group->blamed = now();
	list_init(&group->age);
	list_add_last(bucket_of(caps, &group->address), &group->bucket);
	return group;
}

/* Connections begun in the last minute, the minute before counted by the part of it that still lies inside. */
static unsigned begun_lately(struct group *group)
{
	moment passed = now() - group->minute;

	if (passed >= 2 * minute_us) {
		group->new_before = group->new_now = 0;
		group->minute = now();
	} else if (passed >= minute_us) {
		group->new_before = group->new_now;
		group->new_now = 0;
		group->minute += minute_us;
	}
	passed = now() - group->minute;
	return group->new_now +
	       (unsigned)((uint64_t)group->new_before * (uint64_t)(minute_us - passed) / minute_us);
}

static const char *cap_reached(const struct caps *caps, struct group *group)
{
	unsigned begun = begun_lately(group);

	/* Refused ones count too, so that hammering does not pay; the counter stops where it cannot turn over. */
	if (group->new_now < UINT32_MAX / 2)
		group->new_now++;
	if (group->open >= caps->limits.open_per_group)
		return "connections_per_address";
	if (begun >= caps->limits.new_per_minute)
		return "connections_new_per_minute";
	return NULL;
}

const char *caps_enter(struct caps *caps, const struct addr *peer)
{
	struct group *group;
	const char *reached;

	if (caps->open >= caps->limits.open_in_all)
		return "connections_max";
	if (is_exempt(caps, peer)) {
		caps->open++;
		return NULL;
	}
	group = group_get(caps, peer);
	reached = cap_reached(caps, group);
	if (!reached) {
		caps->open++;
		group->open++;
	}
	if (group->open == 0)
		group_rest(caps, group);
	return reached;
}

/* A group may have become exempt, or the other way round, by caps_set while it was in. */
void caps_leave(struct caps *caps, const struct addr *peer)
{
	struct group *group = group_find(caps, peer);

	must(caps->open > 0);
	caps->open--;
	if (!group || group->open == 0)
		return;
	if (--group->open == 0)
		group_rest(caps, group);
}

bool caps_hold(struct caps *caps, const struct addr *peer, uint64_t octets)
{
	struct group *group = is_exempt(caps, peer) ? NULL : group_find(caps, peer);
	uint64_t max = caps->limits.octets_in_all;

	if (max && (octets > max || caps->held > max - octets))
		return false;
	/* One address may not take it all, or it would be the only one that is served. */
	if (max && group && group->held + octets > max / SHARES)
		return false;
	caps->held += octets;
	if (group)
		group->held += octets;
	return true;
}

/* Of a group that became exempt meanwhile, or the other way round, less may be noted. */
void caps_let_go(struct caps *caps, const struct addr *peer, uint64_t octets)
{
	struct group *group = group_find(caps, peer);

	must(caps->held >= octets);
	caps->held -= octets;
	if (group)
		group->held -= octets < group->held ? octets : group->held;
}

static void blame_fade(struct group *group)
{
	if (now() - group->blamed_last > blame_gone_us)
		group->blame = 0;
	while (group->blame && now() - group->blamed >= blame_halves_us) {
		group->blame /= 2;
		group->blamed += blame_halves_us;
	}
	if (!group->blame)
		group->blamed = now();
}

void caps_blame(struct caps *caps, const struct addr *peer, unsigned points)
{
	struct group *group;

	if (is_exempt(caps, peer))
		return;
	group = group_get(caps, peer);
	blame_fade(group);
	group->blame = points > BLAME_MAX - group->blame ? BLAME_MAX : group->blame + points;
	group->blamed_last = now();
	if (group->open == 0)
		group_rest(caps, group);
}

unsigned caps_blamed(struct caps *caps, const struct addr *peer)
{
	struct group *group = is_exempt(caps, peer) ? NULL : group_find(caps, peer);

	if (!group)
		return 0;
	blame_fade(group);
	return group->blame;
}
