/* SPDX-License-Identifier: Apache-2.0 */
#include "store/penalty.h"
#include "store/aged.h"

#include <stdlib.h>

enum {
	REMEMBERED_MAX = 20000, /* of each kind */
	FREE = 1,
	FREE_EXEMPT = 100,
	STRIKES = 5,
	PENALTY_MAX_MS = 8000
};
static const moment forgotten_us = 600'000'000;
static const moment welcome_us = 30 * 86'400'000'000;

/* Failed tries of one network or of one name. */
struct failure {
	struct aged_item item;
	unsigned count;
	moment at;
	moment until; /* of the penalty */
};

/* Somebody who signed in from this network. */
struct welcome {
	struct aged_item item;
	unsigned strikes;
	moment struck;
	moment until;
};

/* A try that waits; on its fiber's stack. */
struct held {
	struct list link;
	uint64_t network, name;
};

struct penalties {
	struct aged networks, accounts, strangers; /* of struct failure */
	struct aged welcomes;
	struct list held;
	size_t held_count;
};

struct penalties *penalties_new(void)
{
	struct penalties *p = calloc(1, sizeof(*p));

	must(p);
	aged_init(&p->networks, REMEMBERED_MAX);
	aged_init(&p->accounts, REMEMBERED_MAX);
	aged_init(&p->strangers, REMEMBERED_MAX);
	aged_init(&p->welcomes, REMEMBERED_MAX);
	list_init(&p->held);
	return p;
}

void penalties_drop(struct penalties **penalties)
{
	struct penalties *p = *penalties;

	if (!p)
		return;
	must(!p->held_count);
	aged_done(&p->networks);
	aged_done(&p->accounts);
	aged_done(&p->strangers);
	aged_done(&p->welcomes);
	free(p);
	*penalties = NULL;
}

/* ---- keys ---- */

/* 0: nothing is counted by network. */
static uint64_t key_of_network(const struct penalty_who *who)
{
	struct addr group;
	char text[ADDR_TEXT];

	if (who->is_exempt || who->network.family == ADDR_NONE)
		return 0;
	group = addr_rate_group(&who->network);
	addr_print_ip(&group, text);
	return str_hash(str_of(text)) | 1;
}

/* The failures that exempt networks had with a name are counted apart: others know nothing of them. */
static uint64_t key_of_name(const struct penalty_who *who)
{
	struct arena arena = { 0 };
	uint64_t key = str_hash(str_print(&arena, "%s%.*s", who->is_exempt ? "exempt " : "",
					  STR_ARGS(str_lower(&arena, who->name))));

	arena_drop(&arena);
	return key;
}

static uint64_t key_of_pair(const struct penalty_who *who)
{
	uint64_t pair[2] = { key_of_network(who), key_of_name(who) };

	return pair[0] ? str_hash((struct str){ (const char *)pair, sizeof(pair) }) : 0;
}

static struct aged *names_of(const struct penalties *p, const struct penalty_who *who)
{
	return (struct aged *)(uintptr_t)(who->is_account ? &p->accounts : &p->strangers);
}

/* ---- who is welcome ---- */

static struct welcome *welcome_find(const struct penalties *p, const struct penalty_who *who)
{
	uint64_t key = key_of_pair(who);
	struct aged_item *item = key ? aged_find(&p->welcomes, key) : NULL;

	return item ? CONTAINER_OF(item, struct welcome, item) : NULL;
}

static bool is_welcome(const struct penalties *p, const struct penalty_who *who)
{
	const struct welcome *welcome = welcome_find(p, who);

	return welcome && welcome->until > now() &&
	       (welcome->strikes < STRIKES || now() - welcome->struck > forgotten_us);
}

static void strike(struct penalties *p, const struct penalty_who *who)
{
	struct welcome *welcome = welcome_find(p, who);

	if (!welcome)
		return;
	if (now() - welcome->struck > forgotten_us)
		welcome->strikes = 0;
	welcome->strikes++;
	welcome->struck = now();
}

/* What was struck stays: a gate that has fallen must not clean a slate with every client that comes back. */
void penalty_passed(struct penalties *p, const struct penalty_who *who)
{
	struct welcome *welcome = welcome_find(p, who);
	uint64_t key = key_of_pair(who);

	if (!key)
		return;
	if (welcome) {
		aged_touch(&p->welcomes, &welcome->item);
	} else {
		welcome = calloc(1, sizeof(*welcome));
		must(welcome);
		aged_add(&p->welcomes, &welcome->item, key);
	}
	welcome->until = in_us(welcome_us);
}

/* ---- counting ---- */

static uint64_t count(struct aged *failures, uint64_t key, unsigned free_tries)
{
	struct aged_item *item = aged_find(failures, key);
	struct failure *failure = item ? CONTAINER_OF(item, struct failure, item) : NULL;
	unsigned over;
	uint64_t ms;

	if (failure) {
		aged_touch(failures, item);
	} else {
		failure = calloc(1, sizeof(*failure));
		must(failure);
		aged_add(failures, &failure->item, key);
	}
	if (now() - failure->at > forgotten_us)
		failure->count = 0;
	failure->at = now();
	if (failure->count < UINT32_MAX)
		failure->count++;
	if (failure->count <= free_tries)
		return 0;
	over = failure->count - free_tries;
	ms = over > 3 ? PENALTY_MAX_MS : 1000u << (over - 1);
	failure->until = in_ms((int64_t)ms);
	return ms;
}

uint64_t penalty_failed(struct penalties *p, const struct penalty_who *who)
{
	uint64_t network = key_of_network(who);
	uint64_t by_name =
		count(names_of(p, who), key_of_name(who), who->is_exempt ? FREE_EXEMPT : FREE);
	uint64_t by_network = network ? count(&p->networks, network, FREE) : 0;

	strike(p, who);
	if (who->is_exempt)
		return 0;
	return by_network > by_name ? by_network : by_name;
}

/* ---- holding back ---- */

static moment end_of(const struct aged *failures, uint64_t key)
{
	struct aged_item *item = aged_find(failures, key);

	return item ? CONTAINER_OF(item, struct failure, item)->until : 0;
}

static moment penalty_end(const struct penalties *p, const struct penalty_who *who)
{
	uint64_t network = key_of_network(who);
	moment by_name = end_of(names_of(p, who), key_of_name(who));
	moment by_network = network ? end_of(&p->networks, network) : 0;

	if (is_welcome(p, who))
		return 0;
	return by_network > by_name ? by_network : by_name;
}

bool penalty_applies(const struct penalties *p, const struct penalty_who *who)
{
	return penalty_end(p, who) > now();
}

enum standing penalty_standing(const struct penalties *p, const struct penalty_who *who)
{
	uint64_t network = key_of_network(who);
	struct aged_item *item = network ? aged_find(&p->networks, network) : NULL;

	if (is_welcome(p, who))
		return STANDING_WELCOME;
	if (item && now() - CONTAINER_OF(item, struct failure, item)->at <= forgotten_us)
		return STANDING_SUSPECT;
	return STANDING_NEW;
}

static bool has_place(const struct penalties *p, const struct held *held)
{
	size_t of_network = 0;
	size_t of_name = 0;

	if (p->held_count >= PENALTY_HELD_ALL)
		return false;
	LIST_EACH (link, &p->held) {
		const struct held *other = CONTAINER_OF(link, struct held, link);

		of_network += held->network && other->network == held->network;
		of_name += other->name == held->name;
	}
	return of_network < PENALTY_HELD && of_name < PENALTY_HELD;
}

enum err penalty_admit(struct penalties *p, const struct penalty_who *who, bool *held) WAITS
{
	struct held place = { .network = key_of_network(who), .name = key_of_name(who) };
	moment until = penalty_end(p, who);
	enum err err;

	*held = until > now();
	if (!*held)
		return OK;
	if (!has_place(p, &place))
		return fault(ERR_BUSY, "too many tries wait for the end of a penalty");
	list_add_last(&p->held, &place.link);
	p->held_count++;
	err = fiber_sleep(until);
	list_remove(&place.link);
	p->held_count--;
	return err;
}
