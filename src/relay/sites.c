/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sites.h"

#include <stdlib.h>

void sites_init(struct sites *sites, unsigned most)
{
	*sites = (struct sites){ .most = most };
	list_init(&sites->ages);
	for (size_t i = 0; i < COUNT_OF(sites->buckets); i++)
		list_init(&sites->buckets[i]);
}

static void forget(struct sites *sites, struct site *site)
{
	list_remove(&site->age);
	list_remove(&site->bucket);
	sites->count--;
	free(site);
}

void sites_done(struct sites *sites)
{
	while (!list_is_empty(&sites->ages))
		forget(sites, CONTAINER_OF(sites->ages.next, struct site, age));
}

static struct list *bucket_of(struct sites *sites, struct str name)
{
	return &sites->buckets[str_hash(name) % COUNT_OF(sites->buckets)];
}

static struct site *find(struct sites *sites, struct str name)
{
	LIST_EACH (link, bucket_of(sites, name)) {
		struct site *site = CONTAINER_OF(link, struct site, bucket);

		if (str_is(site->name, name))
			return site;
	}
	return NULL;
}

/* Who has a connection is in use; there are fewer of them than relay_connections. */
static void make_room(struct sites *sites)
{
	LIST_EACH (link, &sites->ages) {
		struct site *site = CONTAINER_OF(link, struct site, age);

		if (site->open)
			continue;
		forget(sites, site);
		return;
	}
}

static struct site *add(struct sites *sites, struct str name)
{
	struct site *site = malloc(sizeof(*site) + name.len);
	char *text = (char *)(site + 1);

	must(site);
	if (sites->count >= SITES_MAX)
		make_room(sites);
	memcpy(text, name.at, name.len);
	*site = (struct site){ .name = { text, name.len },
			       .allowed = sites->most < SITES_FIRST ? sites->most : SITES_FIRST };
	list_add_last(&sites->ages, &site->age);
	list_add_last(bucket_of(sites, name), &site->bucket);
	sites->count++;
	return site;
}

struct site *site_enter(struct sites *sites, struct str destination)
{
	struct site *site = find(sites, destination);

	if (!site)
		site = add(sites, destination);
	list_remove(&site->age);
	list_add_last(&sites->ages, &site->age);
	site->open++;
	return site;
}

void site_leave(struct site *site)
{
	must(site->open > 0);
	site->open--;
}

void site_went_well(const struct sites *sites, struct site *site)
{
	if (site->allowed < sites->most)
		site->allowed++;
	else
		site->allowed = sites->most;
}

void site_failed(struct site *site)
{
	site->allowed = site->allowed > 1 ? site->allowed / 2 : 1;
}

size_t sites_full(const struct sites *sites, struct str *out, size_t room)
{
	size_t count = 0;

	/* Newest first: whoever is busy now was entered lately. */
	for (struct list *link = sites->ages.prev; link != &sites->ages && count < room;
	     link = link->prev) {
		const struct site *site = CONTAINER_OF(link, struct site, age);

		if (site->open >= site->allowed)
			out[count++] = site->name;
	}
	return count;
}
