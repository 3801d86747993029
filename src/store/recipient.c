/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Is this recipient ours?", some thousands of times a second: what was found is remembered until the
 * directory changes, and how full an account is for a few seconds and every delivery in between.
 */
#include "store/aged.h"
#include "store/relaying.h"
#include "store/state.h"

#include <stdlib.h>

enum { KNOWN_MAX = 20000, KNOWN_US = 10 * 1000000, TARGETS_MAX = 100000 };

struct known {
	struct aged_item item;
	uint64_t generation;
	enum recipient_verdict verdict;
	struct str why;     /* a literal */
	struct str address; /* at the end of this allocation */
	bool create;        /* was asked with leave to make accounts */
	size_t count;
	struct {
		uint64_t account;
		uint64_t quota;
	} targets[]; /* those with a quota */
};

struct usage {
	struct aged_item item; /* by account */
	moment at;
	uint64_t octets;
};

struct lookups {
	struct aged known;
	struct aged usage;
	size_t targets; /* of all known */
};

void lookups_init(struct store *store)
{
	store->lookups = calloc(1, sizeof(*store->lookups));
	must(store->lookups);
	aged_init(&store->lookups->known, KNOWN_MAX);
	aged_init(&store->lookups->usage, TARGETS_MAX);
}

void lookups_drop(struct store *store)
{
	if (!store->lookups)
		return;
	aged_done(&store->lookups->known);
	aged_done(&store->lookups->usage);
	free(store->lookups);
	store->lookups = NULL;
}

/* ---- how full ---- */

static struct usage *find_usage(struct store *store, uint64_t account)
{
	struct aged_item *item = aged_find(&store->lookups->usage, account);

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
		usage = calloc(1, sizeof(*usage));
		must(usage);
		aged_add(&store->lookups->usage, &usage->item, account);
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
	struct aged_item *item = aged_find(&store->lookups->known, str_hash(ask->address));

	for (; item; item = aged_find_next(item)) {
		struct known *known = CONTAINER_OF(item, struct known, item);

		if (str_is(known->address, ask->address) && known->create == (ask->create != 0))
			return known;
	}
	return NULL;
}

static void forget_known(struct store *store, struct known *known)
{
	store->lookups->targets -= known->count;
	aged_forget(&store->lookups->known, &known->item);
}

/* What was asked for longest ago goes, by the number of those known or of the targets they lead to. */
static void make_room(struct store *store, size_t targets)
{
	struct lookups *lookups = store->lookups;

	while (lookups->known.table.count && (lookups->known.table.count >= KNOWN_MAX ||
					      lookups->targets + targets > TARGETS_MAX))
		forget_known(store, CONTAINER_OF(aged_oldest(&lookups->known), struct known, item));
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
	char *text;

	if (known)
		forget_known(store, known);
	make_room(store, r->count);
	known = calloc(1, sizeof(*known) + r->count * sizeof(known->targets[0]) + address.len);
	must(known);
	for (size_t i = 0; i < r->count; i++) {
		if (!r->targets[i].quota || !r->targets[i].account)
			continue;
		known->targets[known->count].account = r->targets[i].account;
		known->targets[known->count++].quota = r->targets[i].quota;
		set_usage(store, r->targets[i].account, looking->octets[i]);
	}
	known->generation = generation;
	known->verdict = r->verdict;
	known->why = r->why;
	known->create = looking->ask->create != 0;
	text = (char *)&known->targets[r->count];
	memcpy(text, address.at, address.len);
	known->address = (struct str){ text, address.len };
	store->lookups->targets += known->count;
	aged_add(&store->lookups->known, &known->item, str_hash(address));
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

/* ---- list+anything is the list ---- */

struct shortening {
	struct arena arena;
	struct resolve_policy policy;
	struct str address;
	struct str base; /* empty: the address means what it says */
};

static enum err shorten(struct db *db, void *arg)
{
	struct shortening *shortening = arg;

	return resolve_list(db, &shortening->arena, &shortening->policy, shortening->address,
			    &shortening->base);
}

static enum err look_up(struct store *store, const struct ask_recipient *ask,
			struct answer_recipient *answer) WAITS
{
	struct looking looking = { .ask = ask };
	struct config *config;
	uint64_t generation = store->directory_generation;
	enum err err;

	if (answer_from_memory(store, ask, answer))
		return OK;
	config = config_ref(store->config); /* its texts are read by the worker */
	store_policy(store, ask->create, &looking.policy);
	looking.policy.srs.is_bounce = !ask->sender.len;
	err = store_read(store, look, &looking);
	if (!err) {
		answer_with(&looking, ask->size, answer);
		if (!looking.resolution.is_for_once)
			remember(store, &looking, generation);
	}
	arena_drop(&looking.arena);
	config_unref(&config);
	return err;
}

/*
 * With a separator in it an address may be one of very many that mean the same alias: that is then
 * expanded once, and not for each of them.
 */
static enum err look_up_list(struct store *store, const struct ask_recipient *ask,
			     struct answer_recipient *answer) WAITS
{
	struct shortening shortening = { .address = ask->address };
	struct config *config = config_ref(store->config);
	struct ask_recipient of_list = *ask;
	enum err err;

	store_policy(store, ask->create, &shortening.policy);
	err = store_read(store, shorten, &shortening);
	if (shortening.base.len)
		of_list.address = shortening.base;
	if (!err)
		err = look_up(store, &of_list, answer);
	arena_drop(&shortening.arena);
	config_unref(&config);
	return err;
}

static enum err find_recipient(struct store *store, const struct ask_recipient *ask,
			       struct answer_recipient *answer) WAITS
{
	struct str separator = store->config->subaddress_separator;

	if (answer_from_memory(store, ask, answer))
		return OK;
	if (separator.len && str_find_str(address_local(ask->address), separator) != STR_NONE)
		return look_up_list(store, ask, answer);
	return look_up(store, ask, answer);
}

/* ---- recipients at other servers ---- */

static enum recipient_verdict relay_verdict(struct store *store, const struct relay_right *right,
					    uint64_t pending)
{
	/* Whether a user's sender is his to use was asked at MAIL, and is once more when the message comes. */
	if (!right->by_account && !right->has_network)
		return RECIPIENT_NOT_OURS;
	if (!right->by_account && !right->network)
		return RECIPIENT_SENDER;
	return rates_left(&store->rates, &right->rated, &right->rate, pending + 1) > pending
		       ? RECIPIENT_REMOTE
		       : RECIPIENT_RATE;
}

static enum err let_relay(struct peer *peer, const struct ask_recipient *ask, struct arena *arena,
			  struct answer_recipient *answer)
{
	const struct relay_client client = { ask->client, ask->certificate, ask->sender };
	struct relay_right right;
	uint64_t account = 0;
	enum err err = signed_in_account(peer, ask->account, &account);

	if (err)
		return err;
	relay_right_find(peer->store, account, &client, arena, &right);
	answer->verdict = relay_verdict(peer->store, &right, ask->pending);
	answer->why = right.why;
	if (answer->verdict == RECIPIENT_RATE)
		answer->why = str_print(arena, "%.*s: at most %.*s", STR_ARGS(right.why),
					STR_ARGS(rate_print(arena, &right.rate)));
	return OK;
}

enum err store_recipient(struct peer *peer, const struct ask_recipient *ask, struct arena *arena,
			 struct answer_recipient *answer) WAITS
{
	enum err err;

	if (!ask->address.len) {
		answer->verdict = RECIPIENT_UNKNOWN;
		return OK;
	}
	err = find_recipient(peer->store, ask, answer);
	if (!err && answer->verdict == RECIPIENT_NOT_OURS)
		err = let_relay(peer, ask, arena, answer);
	return err;
}

/* ---- EXPN ---- */

struct expanding {
	struct arena *arena;
	struct str address;
	struct str *targets; /* LIMIT_alias_targets */
	size_t count;
};

static enum err expand(struct db *db, void *arg)
{
	const enum db_query q = Q_alias_get;
	struct expanding *e = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_str(address_key(e->arena, e->address)));

	while (!err && e->count < LIMIT_alias_targets) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		e->targets[e->count++] = str_dup(e->arena, db_text_at(db, q, 0));
	}
	return err;
}

enum err store_expand(struct peer *peer, const struct ask_expand *ask, struct arena *arena,
		      struct answer_expand *answer) WAITS
{
	struct expanding e = { .arena = arena, .address = ask->address };
	uint64_t account = 0;
	enum err err = signed_in_account(peer, ask->account, &account);

	if (!err && !account)
		return fault(ERR_DENIED, "only who signed in may ask who is on a list");
	if (err)
		return err;
	e.targets = NEW_ARRAY(arena, struct str, LIMIT_alias_targets);
	err = store_read(peer->store, expand, &e);
	answer->targets = (struct strs){ e.targets, e.count };
	return err;
}
