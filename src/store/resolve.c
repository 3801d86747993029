/* SPDX-License-Identifier: Apache-2.0 */
#include "store/resolve.h"

/* One address on the way; `parent` leads back to the alias that named it. */
struct step {
	struct str key;
	size_t parent; /* STR_NONE: the recipient itself */
	unsigned depth;
};

struct resolving {
	struct db *db;
	struct arena *arena;
	const struct resolve_policy *policy;
	struct step *steps;
	size_t step_count, step_room;
	size_t target_room;
	struct resolution *out;
};

/* Room for one more in an array of the arena; what it held moves along. */
static void *grown(struct arena *arena, void *at, size_t size, size_t *room)
{
	size_t more = *room ? 4 * *room : 4;
	void *wider = arena_take_array(arena, more, size);

	if (*room)
		memcpy(wider, at, *room * size);
	*room = more;
	return wider;
}

static void verdict(struct resolving *r, enum recipient_verdict verdict, struct str why)
{
	r->out->verdict = verdict;
	r->out->why = why;
	r->out->count = 0;
}

static bool is_on_path(const struct resolving *r, size_t from, struct str key)
{
	for (size_t at = from; at != STR_NONE; at = r->steps[at].parent)
		if (str_is(r->steps[at].key, key))
			return true;
	return false;
}

static void add_step(struct resolving *r, const struct step *step)
{
	if (r->step_count == r->step_room)
		r->steps = grown(r->arena, r->steps, sizeof(*step), &r->step_room);
	r->steps[r->step_count++] = *step;
}

/* ---- targets ---- */

static void add_target(struct resolving *r, const struct target *target)
{
	struct resolution *out = r->out;

	for (size_t i = 0; i < out->count; i++)
		if (str_is(out->targets[i].address, target->address) &&
		    str_is(out->targets[i].folder, target->folder))
			return;
	if (out->count == r->target_room)
		out->targets = grown(r->arena, out->targets, sizeof(*target), &r->target_room);
	out->targets[out->count++] = *target;
}

static bool is_folder_name(struct str name)
{
	if (!name.len || name.len > LIMIT_local_part || name.at[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.at[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

static enum err choose_folder(struct resolving *r, struct str wanted, struct target *target)
{
	struct mailbox mailbox;
	bool found = false;
	enum err err = OK;

	target->folder = S("INBOX");
	if (!wanted.len || r->policy->folders == SUBADDRESS_INBOX ||
	    str_is_nocase(wanted, S("INBOX")))
		return OK;
	if (target->account)
		err = mailbox_find(r->db, target->account, wanted, &mailbox, &found);
	if (err)
		return err;
	if (found || (r->policy->folders == SUBADDRESS_CREATE && is_folder_name(wanted)))
		target->folder = wanted;
	return OK;
}

static enum err take_account(struct resolving *r, const struct account *account, struct str folder,
			     struct str why)
{
	struct target target = { .address = account->address, .account = account->id };
	enum err err;

	if (account->disabled) {
		verdict(r, RECIPIENT_DISABLED, S("the account is disabled"));
		return OK;
	}
	target.quota = account->quota < 0 ? r->policy->quota : (uint64_t)account->quota;
	err = choose_folder(r, folder, &target);
	if (err)
		return err;
	add_target(r, &target);
	if (!r->out->why.len)
		r->out->why = why;
	return OK;
}

/* ---- the ways an address can mean somebody; each sets *done when it did ---- */

static enum err try_alias(struct resolving *r, size_t at, struct str key, bool *done)
{
	enum err err = db_select(r->db, Q_alias_get, db_str(key));
	bool has_row = true;

	while (!err) {
		struct step next = { .parent = at, .depth = r->steps[at].depth + 1 };

		err = db_step(r->db, Q_alias_get, &has_row);
		if (err || !has_row)
			break;
		*done = true;
		next.key = str_dup(r->arena, db_text_at(r->db, Q_alias_get, 0));
		if (r->step_count > LIMIT_alias_targets || next.depth > LIMIT_alias_depth) {
			verdict(r, RECIPIENT_LOOP, S("aliases lead too far"));
			break;
		}
		add_step(r, &next);
	}
	db_finish(r->db, Q_alias_get);
	if (!err && *done && !r->out->why.len)
		r->out->why = S("alias");
	return err;
}

static enum err try_account(struct resolving *r, struct str key, struct str folder, bool *done)
{
	struct account account;
	enum err err = account_find(r->db, r->arena, key, &account, done);

	if (err || !*done)
		return err;
	return take_account(r, &account, folder, folder.len ? S("subaddress") : S("account"));
}

/* An alias, or else an account; `itself`: an alias named this very address, so the account is meant. */
static enum err try_name(struct resolving *r, size_t at, struct str key, struct str folder,
			 bool *done)
{
	bool itself = is_on_path(r, r->steps[at].parent, key);
	enum err err = OK;

	if (!itself)
		err = try_alias(r, at, key, done);
	if (!err && !*done)
		err = try_account(r, key, folder, done);
	if (!err && !*done && itself) {
		verdict(r, RECIPIENT_LOOP, S("aliases lead in a circle"));
		*done = true;
	}
	return err;
}

/* user+folder@domain: the address without its folder; false: there is none in it. */
static bool split_subaddress(struct arena *arena, struct str separator, struct str key,
			     struct str *base, struct str *folder)
{
	struct str local = address_local(key);
	size_t split = separator.len ? str_find_str(local, separator) : STR_NONE;

	if (split == STR_NONE || split == 0 || local.at[0] == '"')
		return false;
	*base = str_print(arena, "%.*s@%.*s", (int)split, local.at, STR_ARGS(address_domain(key)));
	*folder = str_from(local, split + separator.len);
	return true;
}

static enum err try_subaddress(struct resolving *r, size_t at, bool *done)
{
	struct str base;
	struct str folder;

	if (!split_subaddress(r->arena, r->policy->separator, r->steps[at].key, &base, &folder))
		return OK;
	return try_name(r, at, base, folder, done);
}

enum err resolve_list(struct db *db, struct arena *arena, const struct resolve_policy *policy,
		      struct str address, struct str *base)
{
	struct str key = address_key(arena, address);
	struct account account;
	struct str shorter;
	struct str folder;
	int64_t rows = 0;
	bool found = false;
	enum err err;

	if (!split_subaddress(arena, policy->separator, key, &shorter, &folder))
		return OK;
	err = db_number_values(db, Q_alias_has, DB_VALUES(db_str(key)), &rows);
	if (!err && !rows)
		err = account_find(db, arena, key, &account, &found);
	if (err || rows || found)
		return err;
	err = db_number_values(db, Q_alias_has, DB_VALUES(db_str(shorter)), &rows);
	if (!err && rows)
		*base = shorter;
	return err;
}

/* rfc5321 4.5.1: postmaster is always somebody. */
static enum err try_postmaster(struct resolving *r, size_t at, struct str postmaster, bool *done)
{
	struct str key = r->steps[at].key;
	struct account account;
	enum err err = OK;

	if (!str_is(address_local(key), S("postmaster")))
		return OK;
	if (postmaster.len && !is_on_path(r, at, postmaster))
		err = try_account(r, postmaster, (struct str){ 0 }, done);
	if (err || *done)
		return err;
	err = account_find_oldest(r->db, r->arena, address_domain(key), &account, done);
	if (err || !*done)
		return err;
	return take_account(r, &account, (struct str){ 0 }, S("postmaster"));
}

static enum err try_catch_all(struct resolving *r, size_t at, bool *done)
{
	struct str domain = address_domain(r->steps[at].key);
	struct str key = str_print(r->arena, "@%.*s", STR_ARGS(domain));
	enum err err;

	err = try_alias(r, at, key, done);
	if (!err && *done && str_is(r->out->why, S("alias")))
		r->out->why = S("catch-all");
	return err;
}

static void make_on_arrival(struct resolving *r, size_t at)
{
	struct str key = r->steps[at].key;
	struct str local = address_local(key);
	struct str separator = r->policy->separator;
	size_t split = separator.len ? str_find_str(local, separator) : STR_NONE;
	struct target target = { .address = key, .folder = S("INBOX"), .quota = r->policy->quota };

	if (split != STR_NONE && split > 0 && local.at[0] != '"')
		target.address = str_print(r->arena, "%.*s@%.*s", (int)split, local.at,
					   STR_ARGS(address_domain(key)));
	add_target(r, &target);
	if (!r->out->why.len)
		r->out->why = S("made on arrival");
}

static enum err resolve_step(struct resolving *r, size_t at)
{
	struct str key = r->steps[at].key;
	struct str postmaster = { 0 };
	bool ours = false;
	bool done = false;
	enum err err = domain_find(r->db, r->arena, address_domain(key), &postmaster, &ours);

	if (err)
		return err;
	if (!ours && (!r->policy->any_domain || !address_domain(key).len)) {
		if (at)
			add_target(r, &(struct target){ .address = key, .is_elsewhere = true });
		else
			verdict(r, RECIPIENT_NOT_OURS, S("not one of our domains"));
		return OK;
	}
	/* Case matters elsewhere (rfc5321 2.4), and not here. */
	key = r->steps[at].key = address_key(r->arena, key);
	err = try_name(r, at, key, (struct str){ 0 }, &done);
	if (!err && !done)
		err = try_subaddress(r, at, &done);
	if (!err && !done)
		err = try_postmaster(r, at, postmaster, &done);
	if (!err && !done)
		err = try_catch_all(r, at, &done);
	if (err || done)
		return err;
	if (r->policy->create)
		make_on_arrival(r, at);
	else
		verdict(r, RECIPIENT_UNKNOWN,
			at ? S("a target of the alias is unknown") : S("no such account or alias"));
	return OK;
}

/*
 * A bounce for somebody whose mail was forwarded: on to him. Whoever else writes to such an address, and
 * who made one up, is told that there is nobody: so it forwards nothing but bounces.
 */
static enum err try_srs(struct resolving *r, struct str address, bool *done)
{
	const struct srs_rule *rule = &r->policy->srs;
	struct str local = address_local(address);
	struct str domain = address_domain(address);
	struct str sender;
	struct str postmaster;
	bool ours = rule->domain.len && str_is_nocase(domain, rule->domain);
	enum err err = OK;

	if (!srs_is(str_from(local, local.len && local.at[0] == '"')) || r->policy->any_domain)
		return OK;
	if (!ours)
		err = domain_find(r->db, r->arena, domain, &postmaster, &ours);
	if (err || !ours)
		return err;
	*done = true;
	r->out->is_for_once = true;
	if (!rule->is_bounce) {
		verdict(r, RECIPIENT_UNKNOWN, S("only bounces come back to forwarded mail"));
	} else if (!srs_reverse(r->arena, rule, local, &sender)) {
		verdict(r, RECIPIENT_UNKNOWN, S("not made here, or too old"));
	} else {
		add_step(r, &(struct step){ .key = sender, .depth = 1 });
		r->out->why = S("bounce");
	}
	return OK;
}

/* rfc5321 4.5.1: postmaster without a domain is ours too. */
static enum err whole_address(struct resolving *r, struct str *key)
{
	struct str domain;
	bool found = false;
	enum err err = OK;

	if (str_find_last(*key, '@') != STR_NONE || !str_is(*key, S("postmaster")))
		return OK;
	err = domain_find_first(r->db, r->arena, &domain, &found);
	if (!err && found)
		*key = str_print(r->arena, "postmaster@%.*s", STR_ARGS(domain));
	return err;
}

enum err resolve_address(struct db *db, struct arena *arena, const struct resolve_policy *policy,
			 struct str address, struct resolution *out)
{
	struct resolving r = { .db = db, .arena = arena, .policy = policy, .out = out };
	struct str key = address_key(arena, address);
	bool is_srs = false;
	enum err err;

	*out = (struct resolution){ .verdict = RECIPIENT_LOCAL };
	err = whole_address(&r, &key);
	add_step(&r, &(struct step){ .key = key, .parent = STR_NONE });
	if (!err)
		err = try_srs(&r, address, &is_srs);
	for (size_t at = is_srs; !err && at < r.step_count && out->verdict == RECIPIENT_LOCAL; at++)
		err = resolve_step(&r, at);
	out->addresses = r.step_count;
	return err;
}

enum err resolve_owner(struct db *db, struct arena *arena, const struct resolve_policy *policy,
		       struct ownership *ownership)
{
	struct resolution resolution;
	enum err err = resolve_address(db, arena, policy, ownership->address, &resolution);

	ownership->is_owner = false;
	for (size_t i = 0; !err && i < resolution.count; i++)
		if (resolution.verdict == RECIPIENT_LOCAL && !resolution.targets[i].is_elsewhere &&
		    resolution.targets[i].account == ownership->account)
			ownership->is_owner = true;
	return err;
}
