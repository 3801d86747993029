/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of networks: sorted by family, prefix and address; one search for each prefix that occurs. */
#include "net/net.h"

#include <stdlib.h>

struct item {
	unsigned char ip[16];
	unsigned char family;
	unsigned char prefix;
	size_t place;
};

/* Items of one family and one length of prefix lie together. */
struct span {
	unsigned char family;
	unsigned char prefix;
	size_t first, count;
};

enum { SPANS_MAX = 33 + 129 };

struct netlist {
	struct item *items;
	size_t count;
	struct span spans[SPANS_MAX];
	size_t span_count;
};

static int compare_keys(const struct item *a, const struct item *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static int compare_items(const void *left, const void *right)
{
	const struct item *a = left;
	const struct item *b = right;
	int order = compare_keys(a, b);

	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

/* The same network a second time never decides: it goes. */
static void drop_repeats(struct netlist *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (!kept || compare_keys(&list->items[kept - 1], &list->items[i]) != 0)
			list->items[kept++] = list->items[i];
	list->count = kept;
}

static void find_spans(struct netlist *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct item *item = &list->items[i];
		struct span *last = list->span_count ? &list->spans[list->span_count - 1] : NULL;

		if (last && last->family == item->family && last->prefix == item->prefix) {
			last->count++;
			continue;
		}
		must(list->span_count < SPANS_MAX);
		list->spans[list->span_count++] = (struct span){ item->family, item->prefix, i, 1 };
	}
}

struct netlist *netlist_new(const struct network *at, size_t count)
{
	struct netlist *list = calloc(1, sizeof(*list));

	must(list);
	list->items = calloc(count + 1, sizeof(*list->items));
	must(list->items);
	for (size_t i = 0; i < count; i++) {
		enum addr_family family = at[i].address.family;
		struct item *item = &list->items[list->count];

		must(family == ADDR_IPV4 || family == ADDR_IPV6);
		must(at[i].prefix <= (family == ADDR_IPV4 ? 32 : 128));
		*item = (struct item){ .family = (unsigned char)family,
				       .prefix = (unsigned char)at[i].prefix,
				       .place = i };
		memcpy(item->ip, at[i].address.ip, sizeof(item->ip));
		list->count++;
	}
	qsort(list->items, list->count, sizeof(*list->items), compare_items);
	drop_repeats(list);
	find_spans(list);
	return list;
}

void netlist_drop(struct netlist **list)
{
	struct netlist *gone = *list;

	*list = NULL;
	if (!gone)
		return;
	free(gone->items);
	free(gone);
}

/* The address with its host bits 0. */
static struct item masked(const struct addr *addr, unsigned prefix)
{
	struct item key = { .family = (unsigned char)addr->family,
			    .prefix = (unsigned char)prefix };

	memcpy(key.ip, addr->ip, prefix / 8);
	if (prefix % 8)
		key.ip[prefix / 8] = addr->ip[prefix / 8] & (unsigned char)(0xFF00 >> (prefix % 8));
	return key;
}

static size_t search(const struct netlist *list, const struct span *span, const struct addr *addr)
{
	struct item key = masked(addr, span->prefix);
	size_t low = span->first;
	size_t high = span->first + span->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_keys(&key, &list->items[middle]);

		if (order == 0)
			return list->items[middle].place;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NETLIST_NONE;
}

size_t netlist_find(const struct netlist *list, const struct addr *addr)
{
	size_t first = NETLIST_NONE;

	if (!list || (addr->family != ADDR_IPV4 && addr->family != ADDR_IPV6))
		return first;
	for (size_t i = 0; i < list->span_count; i++) {
		size_t place;

		if (list->spans[i].family != (unsigned char)addr->family)
			continue;
		place = search(list, &list->spans[i], addr);
		if (place < first)
			first = place;
	}
	return first;
}
