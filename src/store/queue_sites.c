/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_sites.h"
#include "store/table.h"

#include <stdio.h>
#include <stdlib.h>

/* Where a site or a flow is: in its ready list, in its heap of those that wait, or in neither. */
enum place { NOWHERE, READY, WAITING };

struct flow {
	struct table_item item;
	struct site *site;
	uint64_t key;
	enum place place;
	struct list link;
	struct heap_item wake;
	size_t count; /* messages that are thought due; right only after a claim has looked */
	size_t picks; /* claims under way */
	uint64_t notes;
};

struct site {
	struct table_item item;
	enum place place;
	struct list link;
	struct heap_item wake;
	struct list ready;
	struct heap waiting;
	size_t flow_count;
	size_t leases, picks;
	size_t allowed;          /* leases at once */
	struct list idle;        /* in sites->idle */
	int64_t paused_until_us; /* 0: it is not */
	unsigned failures;
	char reply[SITE_REPLY];
	struct str name; /* behind this struct */
};

struct sites {
	struct table by_name;
	struct table flows; /* by site and key */
	struct list ready;
	struct heap waiting;
	struct list idle; /* sites that have nothing, longest first: what they bear is remembered */
	size_t idle_count;
};

struct sites *sites_new(void)
{
	struct sites *sites = calloc(1, sizeof(*sites));

	must(sites);
	list_init(&sites->ready);
	list_init(&sites->idle);
	return sites;
}

struct str site_name(const struct site *site)
{
	return site->name;
}

uint64_t flow_key(const struct flow *flow)
{
	return flow->key;
}

/* ---- finding ---- */

struct site *sites_find(struct sites *sites, struct str destination)
{
	struct table_item *item = table_find(&sites->by_name, str_hash(destination));

	for (; item; item = table_find_next(item)) {
		struct site *site = CONTAINER_OF(item, struct site, item);

		if (str_is(site->name, destination))
			return site;
	}
	return NULL;
}

static uint64_t flow_hash(const struct site *site, uint64_t key)
{
	return (key ^ (uintptr_t)site) * 0x9E3779B97F4A7C15u;
}

static struct flow *find_flow(struct sites *sites, const struct site *site, uint64_t key)
{
	struct table_item *item = table_find(&sites->flows, flow_hash(site, key));

	for (; item; item = table_find_next(item)) {
		struct flow *flow = CONTAINER_OF(item, struct flow, item);

		if (flow->site == site && flow->key == key)
			return flow;
	}
	return NULL;
}

static struct site *add_site(struct sites *sites, struct str name)
{
	struct site *site = calloc(1, sizeof(*site) + name.len + 1);

	must(site);
	memcpy(site + 1, name.at, name.len);
	site->name = (struct str){ (char *)(site + 1), name.len };
	site->allowed = SITE_FIRST;
	list_init(&site->link);
	list_init(&site->ready);
	list_init(&site->idle);
	heap_item_init(&site->wake);
	table_add(&sites->by_name, &site->item, str_hash(site->name));
	return site;
}

static struct flow *add_flow(struct sites *sites, struct site *site, uint64_t key)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	must(flow);
	flow->site = site;
	flow->key = key;
	list_init(&flow->link);
	heap_item_init(&flow->wake);
	table_add(&sites->flows, &flow->item, flow_hash(site, key));
	site->flow_count++;
	return flow;
}

/* ---- moving ---- */

static void move_flow(struct flow *flow, enum place place, int64_t due_us)
{
	if (flow->place == place && place != WAITING)
		return;
	list_remove(&flow->link);
	heap_remove(&flow->site->waiting, &flow->wake);
	flow->place = place;
	if (place == READY)
		list_add_last(&flow->site->ready, &flow->link);
	else if (place == WAITING)
		heap_add(&flow->site->waiting, &flow->wake, due_us);
}

static void move_site(struct sites *sites, struct site *site, enum place place, int64_t due_us)
{
	if (site->place == place && place != WAITING)
		return;
	list_remove(&site->link);
	heap_remove(&sites->waiting, &site->wake);
	site->place = place;
	if (place == READY)
		list_add_last(&sites->ready, &site->link);
	else if (place == WAITING)
		heap_add(&sites->waiting, &site->wake, due_us);
}

static void drop_flow(struct sites *sites, struct flow *flow)
{
	move_flow(flow, NOWHERE, 0);
	table_remove(&sites->flows, &flow->item);
	flow->site->flow_count--;
	free(flow);
}

static void end_idleness(struct sites *sites, struct site *site)
{
	if (list_is_empty(&site->idle))
		return;
	list_remove(&site->idle);
	sites->idle_count--;
}

static void drop_site(struct sites *sites, struct site *site)
{
	end_idleness(sites, site);
	move_site(sites, site, NOWHERE, 0);
	table_remove(&sites->by_name, &site->item);
	heap_drop(&site->waiting);
	free(site);
}

/* Only what it bears is worth remembering. */
static void rest_site(struct sites *sites, struct site *site)
{
	end_idleness(sites, site);
	if (site->allowed == SITE_FIRST) {
		drop_site(sites, site);
		return;
	}
	move_site(sites, site, NOWHERE, 0);
	site->paused_until_us = 0;
	site->failures = 0;
	list_add_last(&sites->idle, &site->idle);
	if (++sites->idle_count <= SITES_IDLE)
		return;
	drop_site(sites, CONTAINER_OF(sites->idle.next, struct site, idle));
}

/* Where it belongs after something changed; it may be gone afterwards. */
static void place_site(struct sites *sites, struct site *site)
{
	struct heap_item *first = heap_first(&site->waiting);

	if (!site->flow_count && !site->leases && !site->picks) {
		rest_site(sites, site);
		return;
	}
	end_idleness(sites, site);
	if (site->flow_count && site->paused_until_us)
		move_site(sites, site, WAITING, site->paused_until_us);
	else if (site->flow_count && !list_is_empty(&site->ready))
		move_site(sites, site, READY, 0);
	else if (site->flow_count && first)
		move_site(sites, site, WAITING, first->key);
	else
		move_site(sites, site, NOWHERE, 0);
}

static void wake_flows(struct site *site, int64_t now_us)
{
	struct heap_item *first;

	while ((first = heap_first(&site->waiting)) && first->key <= now_us) {
		struct flow *flow = CONTAINER_OF(first, struct flow, wake);

		if (!flow->count)
			flow->count = 1;
		move_flow(flow, READY, 0);
	}
}

static void wake_sites(struct sites *sites, int64_t now_us)
{
	struct heap_item *first;

	while ((first = heap_first(&sites->waiting)) && first->key <= now_us) {
		struct site *site = CONTAINER_OF(first, struct site, wake);

		if (site->paused_until_us <= now_us)
			site->paused_until_us = 0;
		wake_flows(site, now_us);
		place_site(sites, site);
	}
}

/* ---- what comes in ---- */

void sites_note(struct sites *sites, struct str destination, uint64_t key, int64_t due_us,
		size_t messages)
{
	struct site *site = sites_find(sites, destination);
	struct flow *flow;

	if (!site)
		site = add_site(sites, destination);
	flow = find_flow(sites, site, key);
	if (!flow)
		flow = add_flow(sites, site, key);
	flow->count += messages;
	flow->notes++;
	/* Ready is sooner than any moment; of two moments the sooner one counts. */
	if (flow->place == NOWHERE || (flow->place == WAITING && due_us < flow->wake.key))
		move_flow(flow, WAITING, due_us);
	place_site(sites, site);
}

/* ---- turns ---- */

static bool may_give(const struct site *site, const struct sites_ask *ask)
{
	size_t most = site->allowed < ask->site_max ? site->allowed : ask->site_max;

	return site->place == READY && site->leases + site->picks < most + ask->ending;
}

static void take_turn(struct sites *sites, struct site *site, struct sites_pick *out)
{
	struct flow *flow = CONTAINER_OF(site->ready.next, struct flow, link);

	move_flow(flow, NOWHERE, 0);
	flow->count--;
	flow->picks++;
	site->picks++;
	if (flow->count)
		move_flow(flow, READY, 0);
	move_site(sites, site, NOWHERE, 0); /* and to the end of those that are ready */
	place_site(sites, site);
	*out = (struct sites_pick){ site, flow, flow->notes };
}

bool sites_pick(struct sites *sites, const struct sites_ask *ask, struct sites_pick *out)
{
	struct site *site;

	wake_sites(sites, ask->now_us);
	if (ask->only.len) {
		site = sites_find(sites, ask->only);
		if (!site)
			return false;
		if (!site->paused_until_us)
			wake_flows(site, ask->now_us);
		if (may_give(site, ask)) {
			take_turn(sites, site, out);
			return true;
		}
		place_site(sites, site);
		return false;
	}
	LIST_EACH (link, &sites->ready) {
		site = CONTAINER_OF(link, struct site, link);
		/* Flows of it that have become due since take their turn, too. */
		wake_flows(site, ask->now_us);
		if (!may_give(site, ask))
			continue;
		take_turn(sites, site, out);
		return true;
	}
	return false;
}

/*
 * What a claim found was so at its commit; what was noted since the pick is newer, and may be missing in
 * it. So a flow goes only when nothing was noted, and of two moments the sooner one stays: to look in vain
 * costs little, to forget costs the message.
 */
static void place_flow(struct sites *sites, struct flow *flow, const struct sites_found *found,
		       bool is_stale)
{
	if (found->has_more || (flow->count && flow->place == NOWHERE))
		move_flow(flow, READY, 0);
	if (flow->count || flow->place == READY)
		return;
	if (found->next_us != SITES_NEVER) {
		if (flow->place == NOWHERE || found->next_us < flow->wake.key)
			move_flow(flow, WAITING, found->next_us);
	} else if (is_stale && flow->place == NOWHERE) {
		flow->count = 1;
		move_flow(flow, READY, 0);
	} else if (flow->place == NOWHERE && !flow->picks) {
		drop_flow(sites, flow);
	}
}

void sites_picked(struct sites *sites, const struct sites_pick *pick,
		  const struct sites_found *found)
{
	struct site *site = pick->site;
	struct flow *flow = pick->flow;
	bool is_stale = pick->notes != flow->notes;

	flow->picks--;
	site->picks--;
	site->leases += found->has_lease;
	if (!found->has_lease && !found->has_more && !is_stale) {
		flow->count = 0;
		if (flow->place == READY)
			move_flow(flow, NOWHERE, 0);
	} else if (found->has_more && !flow->count) {
		flow->count = 1;
	}
	place_flow(sites, flow, found, is_stale);
	place_site(sites, site);
}

struct site *sites_add_lease(struct sites *sites, struct str destination)
{
	struct site *site = sites_find(sites, destination);

	if (!site)
		site = add_site(sites, destination);
	end_idleness(sites, site);
	site->leases++;
	return site;
}

void sites_end_lease(struct sites *sites, struct site *site)
{
	must(site->leases);
	site->leases--;
	place_site(sites, site);
}

/* ---- pauses ---- */

void site_slow(struct site *site)
{
	site->allowed = site->allowed > 1 ? site->allowed / 2 : 1;
}

void site_speed(struct site *site, size_t most)
{
	site->allowed = site->allowed < most ? site->allowed + 1 : most;
}

unsigned sites_fail(struct sites *sites, struct site *site)
{
	(void)sites;
	return ++site->failures;
}

void sites_pause(struct sites *sites, struct site *site, int64_t until_us, struct str reply)
{
	site->paused_until_us = until_us;
	snprintf(site->reply, sizeof(site->reply), "%.*s", STR_ARGS(reply));
	place_site(sites, site);
}

void sites_resume(struct sites *sites, struct site *site)
{
	site->paused_until_us = 0;
	site->failures = 0;
	place_site(sites, site);
}

struct str site_reply(const struct site *site, int64_t now_us)
{
	return site->paused_until_us > now_us ? str_of(site->reply) : S("");
}

int64_t site_paused_until(const struct site *site)
{
	return site->paused_until_us;
}

int64_t sites_next_us(const struct sites *sites)
{
	struct heap_item *first = heap_first(&sites->waiting);

	return first ? first->key : SITES_NEVER;
}

void sites_drop(struct sites **sites)
{
	struct sites *gone = *sites;
	struct table_item *item;

	if (!gone)
		return;
	while ((item = table_any(&gone->flows)))
		drop_flow(gone, CONTAINER_OF(item, struct flow, item));
	while ((item = table_any(&gone->by_name)))
		drop_site(gone, CONTAINER_OF(item, struct site, item));
	table_drop(&gone->flows);
	table_drop(&gone->by_name);
	heap_drop(&gone->waiting);
	free(gone);
	*sites = NULL;
}
