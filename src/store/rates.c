/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rates.h"

#include <stdlib.h>

enum { PERIOD_MAX_S = 31 * 86400, COUNT_MAX = 100'000'000 };

struct count {
	struct aged_item item;
	struct rated who;
	uint64_t used;
	moment ends; /* of the period */
};

void rates_init(struct rates *rates)
{
	aged_init(&rates->counts, RATES_MAX);
}

void rates_done(struct rates *rates)
{
	aged_done(&rates->counts);
}

static uint64_t key_of(const struct rated *who)
{
	char octets[sizeof(who->id) + sizeof(who->client.ip)];

	memcpy(octets, &who->id, sizeof(who->id));
	memcpy(octets + sizeof(who->id), who->client.ip, sizeof(who->client.ip));
	return str_hash((struct str){ octets, sizeof(octets) });
}

static bool is_same(const struct rated *a, const struct rated *b)
{
	return a->id == b->id && addr_is_same_ip(&a->client, &b->client);
}

static struct count *find(struct rates *rates, const struct rated *who)
{
	struct aged_item *item = aged_find(&rates->counts, key_of(who));

	for (; item; item = aged_find_next(item)) {
		struct count *count = CONTAINER_OF(item, struct count, item);

		if (is_same(&count->who, who))
			return count;
	}
	return NULL;
}

static uint64_t left(const struct count *count, const struct rate *rate, uint64_t wanted)
{
	uint64_t free_now = rate->max;

	if (!rate->max)
		return wanted;
	if (count && now() < count->ends)
		free_now = count->used < rate->max ? rate->max - count->used : 0;
	return wanted < free_now ? wanted : free_now;
}

uint64_t rates_left(struct rates *rates, const struct rated *who, const struct rate *rate,
		    uint64_t wanted)
{
	return left(rate->max ? find(rates, who) : NULL, rate, wanted);
}

uint64_t rates_take(struct rates *rates, const struct rated *who, const struct rate *rate,
		    uint64_t wanted)
{
	struct count *count;
	uint64_t taken;

	if (!rate->max)
		return wanted;
	count = find(rates, who);
	taken = left(count, rate, wanted);
	if (!taken)
		return 0;
	if (!count) {
		count = calloc(1, sizeof(*count));
		must(count);
		count->who = *who;
		aged_add(&rates->counts, &count->item, key_of(who));
	}
	aged_touch(&rates->counts, &count->item);
	if (now() >= count->ends) {
		count->used = 0;
		count->ends = in_us(rate->period_us);
	}
	count->used += taken;
	return taken;
}

void rates_give_back(struct rates *rates, const struct rated *who, uint64_t count)
{
	struct count *of = count ? find(rates, who) : NULL;

	if (of)
		of->used -= of->used < count ? of->used : count;
}

/* ---- as text ---- */

static const struct {
	char letter;
	uint32_t seconds;
} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

bool rate_parse(struct str text, struct rate *out)
{
	size_t slash = str_find(text, '/');
	struct scan scan = scan_of(slash == STR_NONE ? S("") : str_from(text, slash + 1));
	uint64_t number = 1;

	*out = (struct rate){ 0 };
	if (!str_to_u64(str_first(text, slash == STR_NONE ? 0 : slash), COUNT_MAX, &out->max))
		return false;
	/* "100/h" is an hour. */
	if (ascii_is_digit((unsigned char)scan_peek(&scan)) &&
	    !take_number(&scan, PERIOD_MAX_S, &number))
		return false;
	for (size_t i = 0; i < COUNT_OF(units) && !out->period_us; i++)
		if (take_char(&scan, units[i].letter) && number <= PERIOD_MAX_S / units[i].seconds)
			out->period_us = (int64_t)number * units[i].seconds * 1'000'000;
	return out->max && out->period_us && scan_at_end(&scan);
}

struct str rate_print(struct arena *arena, const struct rate *rate)
{
	uint64_t seconds = (uint64_t)(rate->period_us / 1'000'000);
	size_t unit = 0;

	while (unit + 1 < COUNT_OF(units) && (!seconds || seconds % units[unit].seconds))
		unit++;
	return str_print(arena, "%llu/%llu%c", (unsigned long long)rate->max,
			 (unsigned long long)(seconds / units[unit].seconds), units[unit].letter);
}
