/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Is this recipient ours?", some thousands of times a second: what was found is remembered until the
 * directory changes, and how full an account is for a few seconds and every delivery in between.
 */
#include "store/state.h"

#include <stdlib.h>

enum { KNOWN_MAX = 20000, KNOWN_US = 10 * 1000000, TARGETS_KEPT = 16 };

struct known {
	struct table_item item;
	uint64_t generation;
	enum recipient_verdict verdict;
	struct str why;     /* a literal */
	struct str address; /* at the end of this allocation */
	bool create;        /* was asked with leave to make accounts */
	size_t count;
	struct {
		uint64_t account;
		uint64_t quota;
	} targets[TARGETS_KEPT]; /* those with a quota */
};

struct usage {
	struct table_item item; /* by account */
	moment at;
	uint64_t octets;
};

struct lookups {
	struct table known;
	struct table usage;
};

static void forget_all(struct table *table)
{
	struct table_item *item;

	while ((item = table_any(table))) {
		table_remove(table, item);
		free(item); /* the item is the first member of what it belongs to */
	}
	table_drop(table);
}

_Static_assert(offsetof(struct known, item) == 0 && offsetof(struct usage, item) == 0,
	       "forget_all frees items");

void lookups_init(struct store *store)
{
	store->lookups = calloc(1, sizeof(*store->lookups));
	must(store->lookups);
}

void lookups_drop(struct store *store)
{
	if (!store->lookups)
		return;
	forget_all(&store->lookups->known);
	forget_all(&store->lookups->usage);
	free(store->lookups);
	store->lookups = NULL;
}

/* ---- how full ---- */

static struct usage *find_usage(struct store *store, uint64_t account)
{
	struct table_item *item = table_find(&store->lookups->usage, account);

	return item ? CONTAINER_OF(item, struct usage, item) : NULL;
}

void lookups_note_octets(struct store *store, uint64_t account, int64_t more)
{
	struct usage *usage = find_usage(store, account);

	if (!usage)
		return;
	if (more < 0 && usage->octets < (uint64_t)-more)
		usage->octets = 0;
	else
		usage->octets += (uint64_t)more;
}

static void set_usage(struct store *store, uint64_t account, uint64_t octets)
{
	struct usage *usage = find_usage(store, account);

	if (!usage) {
		if (store->lookups->usage.count >= KNOWN_MAX)
			forget_all(&store->lookups->usage);
		usage = calloc(1, sizeof(*usage));
		must(usage);
		table_add(&store->lookups->usage, &usage->item, account);
	}
	usage->octets = octets;
	usage->at = now();
}

/* Would a message of this size (0: not known) be too much? */
static bool is_over(uint64_t octets, uint64_t size, uint64_t quota)
{
	return octets >= quota || size > quota - octets;
}

/* false: not known, or known for too long. */
static bool is_full(struct store *store, const struct known *known, uint64_t size, bool *full)
{
	*full = false;
	for (size_t i = 0; i < known->count; i++) {
		struct usage *usage = find_usage(store, known->targets[i].account);

		if (!usage || now() - usage->at > KNOWN_US)
			return false;
		if (is_over(usage->octets, size, known->targets[i].quota))
			*full = true;
	}
	return true;
}

/* ---- what an address means ---- */

static struct known *find_known(struct store *store, const struct ask_recipient *ask)
{
	struct table_item *item = table_find(&store->lookups->known, str_hash(ask->address));

	for (; item; item = table_find_next(item)) {
		struct known *known = CONTAINER_OF(item, struct known, item);

		if (str_is(known->address, ask->address) && known->create == (ask->create != 0))
			return known;
	}
	return NULL;
}

static void forget_known(struct store *store, struct known *known)
{
	table_remove(&store->lookups->known, &known->item);
	free(known);
}

struct looking {
	const struct ask_recipient *ask;
	struct resolve_policy policy;
	struct arena arena;
	struct resolution resolution;
	uint64_t *octets; /* of each target */
};

static enum err look(struct db *db, void *arg)
{
	struct looking *looking = arg;
	struct resolution *r = &looking->resolution;
	enum err err =
		resolve_address(db, &looking->arena, &looking->policy, looking->ask->address, r);

	looking->octets = NEW_ARRAY(&looking->arena, uint64_t, r->count + 1);
	for (size_t i = 0; !err && i < r->count; i++)
		if (r->targets[i].quota && r->targets[i].account)
			err = account_octets(db, r->targets[i].account, &looking->octets[i]);
	return err;
}

static void answer_with(const struct looking *looking, uint64_t size,
			struct answer_recipient *answer)
{
	const struct resolution *r = &looking->resolution;

	answer->verdict = r->verdict;
	answer->why = r->why;
	for (size_t i = 0; i < r->count; i++)
		if (r->targets[i].quota && is_over(looking->octets[i], size, r->targets[i].quota))
			answer->verdict = RECIPIENT_FULL;
}

static void remember(struct store *store, const struct looking *looking, uint64_t generation)
{
	const struct resolution *r = &looking->resolution;
	struct str address = looking->ask->address;
	struct known *known = find_known(store, looking->ask);

	if (known)
		forget_known(store, known);
	if (store->lookups->known.count >= KNOWN_MAX)
		forget_all(&store->lookups->known);
	known = calloc(1, sizeof(*known) + address.len);
	must(known);
	for (size_t i = 0; i < r->count; i++) {
		if (!r->targets[i].quota || !r->targets[i].account)
			continue;
		if (known->count == TARGETS_KEPT) { /* too many to watch: looked up each time */
			free(known);
			return;
		}
		known->targets[known->count].account = r->targets[i].account;
		known->targets[known->count++].quota = r->targets[i].quota;
		set_usage(store, r->targets[i].account, looking->octets[i]);
	}
	known->generation = generation;
	known->verdict = r->verdict;
	known->why = r->why;
	known->create = looking->ask->create != 0;
	memcpy(known + 1, address.at, address.len);
	known->address = (struct str){ (char *)(known + 1), address.len };
	table_add(&store->lookups->known, &known->item, str_hash(address));
}

static bool answer_from_memory(struct store *store, const struct ask_recipient *ask,
			       struct answer_recipient *answer)
{
	struct known *known = find_known(store, ask);
	bool full;

	if (!known || known->generation != store->directory_generation ||
	    !is_full(store, known, ask->size, &full))
		return false;
	answer->verdict = full ? RECIPIENT_FULL : known->verdict;
	answer->why = known->why;
	return true;
}

enum err store_recipient(struct store *store, const struct ask_recipient *ask, struct arena *arena,
			 struct answer_recipient *answer) WAITS
{
	struct looking looking = { .ask = ask };
	struct config *config;
	uint64_t generation = store->directory_generation;
	enum err err;

	(void)arena;
	if (!ask->address.len || answer_from_memory(store, ask, answer)) {
		if (!ask->address.len)
			answer->verdict = RECIPIENT_UNKNOWN;
		return OK;
	}
	config = config_ref(store->config); /* its texts are read by the worker */
	store_policy(store, ask->create, &looking.policy);
	err = store_read(store, look, &looking);
	if (!err) {
		answer_with(&looking, ask->size, answer);
		remember(store, &looking, generation);
	}
	arena_drop(&looking.arena);
	config_unref(&config);
	return err;
}
