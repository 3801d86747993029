/* SPDX-License-Identifier: Apache-2.0 */
#include "store/directory.h"

#include <stdio.h>

struct str address_key(struct arena *arena, struct str address)
{
	return str_lower(arena, address);
}

struct str address_domain(struct str address)
{
	size_t at = str_find_last(address, '@');

	return at == STR_NONE ? (struct str){ 0 } : str_from(address, at + 1);
}

struct str address_local(struct str address)
{
	size_t at = str_find_last(address, '@');

	return at == STR_NONE ? address : str_first(address, at);
}

enum err domain_find(struct db *db, struct arena *arena, struct str name, struct str *postmaster,
		     bool *found)
{
	enum err err = db_select(db, Q_domain_get, db_str(name));

	if (!err)
		err = db_step(db, Q_domain_get, found);
	if (err || !*found)
		return err;
	*postmaster = str_dup(arena, db_text_at(db, Q_domain_get, 1));
	db_finish(db, Q_domain_get);
	return OK;
}

enum err domain_must_be_ours(struct db *db, struct arena *arena, struct str name)
{
	struct str postmaster;
	bool found;
	enum err err = domain_find(db, arena, name, &postmaster, &found);

	if (err || found)
		return err;
	return fault(ERR_NOT_FOUND,
		     "%.*s is none of our domains: `glasspost domain add %.*s` makes it one",
		     STR_ARGS(name), STR_ARGS(name));
}

enum err domain_find_first(struct db *db, struct arena *arena, struct str *name, bool *found)
{
	enum err err = db_start(db, Q_domain_first, NULL, 0);

	if (!err)
		err = db_step(db, Q_domain_first, found);
	if (err || !*found)
		return err;
	*name = str_dup(arena, db_text_at(db, Q_domain_first, 0));
	db_finish(db, Q_domain_first);
	return OK;
}

static enum err take_account(struct db *db, struct arena *arena, enum db_query q,
			     struct account *out, bool *found)
{
	enum err err = db_step(db, q, found);

	if (err || !*found)
		return err;
	out->id = (uint64_t)db_int_at(db, q, 0);
	out->address = str_dup(arena, db_text_at(db, q, 1));
	out->display = str_dup(arena, db_text_at(db, q, 2));
	out->disabled = db_int_at(db, q, 3) != 0;
	out->quota = db_is_null(db, q, 4) ? -1 : db_int_at(db, q, 4);
	out->password = str_dup(arena, db_text_at(db, q, 5));
	out->scram_salt = str_dup(arena, db_text_at(db, q, 6));
	out->scram_iterations = (uint64_t)db_int_at(db, q, 7);
	out->sha1_stored = str_dup(arena, db_text_at(db, q, 8));
	out->sha1_server = str_dup(arena, db_text_at(db, q, 9));
	out->sha256_stored = str_dup(arena, db_text_at(db, q, 10));
	out->sha256_server = str_dup(arena, db_text_at(db, q, 11));
	out->secret = str_dup(arena, db_text_at(db, q, 12));
	db_finish(db, q);
	return OK;
}

enum err account_find(struct db *db, struct arena *arena, struct str key, struct account *out,
		      bool *found)
{
	enum err err = db_select(db, Q_account_get, db_str(key));

	return err ? err : take_account(db, arena, Q_account_get, out, found);
}

enum err account_find_oldest(struct db *db, struct arena *arena, struct str domain,
			     struct account *out, bool *found)
{
	enum err err = db_select(db, Q_account_oldest, db_str(domain));

	return err ? err : take_account(db, arena, Q_account_oldest, out, found);
}

enum err mailbox_find(struct db *db, uint64_t account, struct str name, struct mailbox *out,
		      bool *found)
{
	enum err err = db_select(db, Q_mailbox_get, db_id(account), db_str(name));

	if (!err)
		err = db_step(db, Q_mailbox_get, found);
	if (err || !*found)
		return err;
	out->id = (uint64_t)db_int_at(db, Q_mailbox_get, 0);
	out->uid_validity = (uint64_t)db_int_at(db, Q_mailbox_get, 1);
	out->uid_next = (uint64_t)db_int_at(db, Q_mailbox_get, 2);
	out->messages = (uint64_t)db_int_at(db, Q_mailbox_get, 3);
	out->octets = (uint64_t)db_int_at(db, Q_mailbox_get, 4);
	db_finish(db, Q_mailbox_get);
	return OK;
}

enum err account_octets(struct db *db, uint64_t account, uint64_t *out)
{
	int64_t octets = 0;
	enum err err = db_number_values(db, Q_account_used, DB_VALUES(db_id(account)), &octets);

	*out = octets > 0 ? (uint64_t)octets : 0;
	return err;
}

/*
 * rfc9051 2.3.1.1: a number that grows from one mailbox of a name to the next. The seconds of the clock,
 * but past the newest number ever given: the clock may stand or go back, and who was deleted come again.
 */
static enum err next_uid_validity(struct db *db, int64_t created_us, uint64_t *out)
{
	static const struct str name = { "uid_validity", 12 };
	uint64_t seconds = created_us > 0 ? (uint64_t)created_us / 1000000 : 0;
	uint64_t newest = 0;
	char text[32];
	bool has_row = false;
	enum err err = db_select(db, Q_setting_get, db_str(name));

	if (!err)
		err = db_step(db, Q_setting_get, &has_row);
	if (err)
		return err;
	if (has_row && !str_to_u64(db_text_at(db, Q_setting_get, 0), UINT32_MAX - 1, &newest))
		err = fault(ERR_CORRUPT, "the newest uid_validity is not a number");
	db_finish(db, Q_setting_get);
	*out = seconds > newest && seconds < UINT32_MAX ? seconds : newest + 1;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)*out);
	return err ? err : db_run(db, Q_setting_set, db_str(name), db_str(str_of(text)));
}

enum err mailbox_make(struct db *db, uint64_t account, struct str name, int64_t created_us)
{
	uint64_t uid_validity = 0;
	enum err err = next_uid_validity(db, created_us, &uid_validity);

	return err ? err
		   : db_run(db, Q_mailbox_add, db_id(account), db_str(name), db_id(uid_validity));
}

enum err account_make(struct db *db, struct arena *arena, const struct account_new *new_account)
{
	struct str key = address_key(arena, new_account->address);
	struct str domain = address_domain(key);
	struct account made;
	bool found = false;
	enum err err = domain_must_be_ours(db, arena, domain);

	if (!err)
		err = account_find(db, arena, key, &made, &found);
	if (!err && found)
		return fault(ERR_EXISTS, "there is an account %.*s already", STR_ARGS(key));
	if (!err)
		err = db_run(db, Q_account_add, db_str(key), db_str(new_account->address),
			     db_str(domain), db_int(new_account->created_us),
			     new_account->quota < 0 ? db_null() : db_int(new_account->quota));
	if (!err)
		err = account_find(db, arena, key, &made, &found);
	if (err)
		return err;
	must(found);
	return mailbox_make(db, made.id, S("INBOX"), new_account->created_us);
}
