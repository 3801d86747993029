/* SPDX-License-Identifier: Apache-2.0 */
/* The store's part of the control socket: accounts, domains, aliases, check, compact, figures. */
#include "store/check.h"
#include "store/commands.h"
#include "store/compact.h"
#include "store/password.h"
#include "store/remove.h"
#include "store/sasl.h"
#include "mail/address.h"

#include <stdlib.h>

enum { ROWS_ONCE = 200, REMOVED_ONCE = 500 };

static struct store *store_of(const struct control_call *call)
{
	struct role *role = call->context;

	return role->state;
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* ---- arguments ---- */

/* A whole address, spelt canonically. */
static enum err take_address(struct control_call *call, const char *name, struct arena *arena,
			     struct str *out)
{
	struct str text = control_text(call, name);
	struct address address;

	if (!text.len)
		return control_fail(call, NULL, "which %s?", name);
	if (!address_parse(arena, text, true, &address))
		return control_fail(call, "a whole address: anna@example.org",
				    "not a mail address: %.*s", STR_ARGS(text));
	*out = address_print(arena, &address);
	return OK;
}

static enum err take_domain_name(struct control_call *call, struct arena *arena, struct str *out)
{
	struct str text = control_text(call, "name");

	if (!text.len)
		text = control_text(call, "domain");
	if (!is_domain_or_literal(text, true))
		return control_fail(call, "a domain: example.org", "not a domain: %.*s",
				    STR_ARGS(text));
	*out = domain_canonical(arena, text);
	return OK;
}

/* The source of an alias: an address, or @domain for all the rest of it. */
static enum err take_alias(struct control_call *call, struct arena *arena, struct str *out)
{
	struct str text = control_text(call, "address");

	if (text.len > 1 && text.at[0] == '@') {
		struct str domain = str_from(text, 1);

		if (!is_domain_or_literal(domain, true))
			return control_fail(call, NULL, "not a domain: %.*s", STR_ARGS(domain));
		domain = domain_canonical(arena, domain);
		*out = str_print(arena, "@%.*s", STR_ARGS(domain));
		return OK;
	}
	return take_address(call, "address", arena, out);
}

/* ---- changes: one job for all of them ---- */

struct change {
	struct job job;
	struct arena arena;
	enum err (*run)(struct writer *writer, struct change *change);
	struct str address; /* or domain, or alias: the key */
	struct str display;
	struct str domain;
	struct strs targets;
	int64_t quota;
	int64_t at_us;
	const struct verifier *verifier;
	uint64_t changed;
};

static enum err run_change(struct writer *writer, struct job *job)
{
	struct change *change = CONTAINER_OF(job, struct change, job);

	writer->changed_directory = true;
	return change->run(writer, change);
}

static enum err commit_change(struct control_call *call, struct change *change) WAITS
{
	change->job.run = run_change;
	change->at_us = wall_us();
	return store_commit(store_of(call), &change->job);
}

static enum err no_such(const char *what, struct str name)
{
	return fault(ERR_NOT_FOUND, "there is no %s %.*s", what, STR_ARGS(name));
}

/* ---- domains ---- */

static enum err add_domain(struct writer *writer, struct change *change)
{
	struct str postmaster;
	bool found;
	enum err err = domain_find(writer->db, &change->arena, change->domain, &postmaster, &found);

	if (!err && found)
		return fault(ERR_EXISTS, "%.*s is one of our domains already",
			     STR_ARGS(change->domain));
	return err ? err
		   : db_run(writer->db, Q_domain_add, db_str(change->domain),
			    db_int(change->at_us));
}

static enum err delete_domain(struct writer *writer, struct change *change)
{
	int64_t uses = 0;
	enum err err = db_number_values(writer->db, Q_domain_uses,
					DB_VALUES(db_str(change->domain)), &uses);

	if (!err && uses)
		return fault(ERR_DENIED, "%.*s has accounts or aliases still: delete those first",
			     STR_ARGS(change->domain));
	if (!err)
		err = db_run_values(writer->db, Q_domain_delete, DB_VALUES(db_str(change->domain)),
				    &change->changed);
	if (!err && !change->changed)
		return no_such("domain", change->domain);
	return err;
}

static enum err change_domain(struct control_call *call,
			      enum err (*run)(struct writer *, struct change *)) WAITS
{
	struct change change = { .run = run };
	enum err err = take_domain_name(call, &change.arena, &change.domain);

	if (!err)
		err = commit_change(call, &change);
	arena_drop(&change.arena);
	return err;
}

static enum err domain_add(struct control_call *call) WAITS
{
	return change_domain(call, add_domain);
}

static enum err domain_delete(struct control_call *call) WAITS
{
	return change_domain(call, delete_domain);
}

/* ---- lists: a page of rows is made on a worker, told by the fiber ---- */

struct listing {
	enum db_query query;
	struct str after, after_target; /* keyset: where the last page ended */
	struct str domain;              /* only these; empty: all */
	struct arena arena;
	json_t *rows;
	size_t seen;
};

static bool is_wanted(const struct listing *listing, struct str address)
{
	return !listing->domain.len || str_is(address_domain(address), listing->domain);
}

static enum err list_accounts(struct db *db, void *arg)
{
	const enum db_query q = Q_account_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_str(listing->after), db_int(ROWS_ONCE));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		struct str address = db_text_at(db, q, 0);
		int64_t quota = db_int_at(db, q, 3);

		listing->seen++;
		listing->after = str_dup(&listing->arena, address);
		if (!is_wanted(listing, address))
			continue;
		json_array_append_new(listing->rows,
				      json_pack("{s:o, s:I, s:b, s:o, s:b, s:I, s:I}", "address",
						control_string(address), "created_us",
						(json_int_t)db_int_at(db, q, 1), "disabled",
						(int)db_int_at(db, q, 2), "quota",
						quota < 0 ? json_null() : json_integer(quota),
						"has_password", (int)db_int_at(db, q, 4),
						"messages", (json_int_t)db_int_at(db, q, 5),
						"octets", (json_int_t)db_int_at(db, q, 6)));
	}
	return err;
}

static enum err list_aliases(struct db *db, void *arg)
{
	const enum db_query q = Q_alias_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_str(listing->after), db_str(listing->after_target),
				 db_int(ROWS_ONCE));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		listing->seen++;
		listing->after = str_dup(&listing->arena, db_text_at(db, q, 0));
		listing->after_target = str_dup(&listing->arena, db_text_at(db, q, 1));
		if (is_wanted(listing, listing->after))
			json_array_append_new(listing->rows,
					      json_pack("{s:o, s:o}", "address",
							control_string(listing->after), "target",
							control_string(listing->after_target)));
	}
	return err;
}

static enum err list_domains(struct db *db, void *arg)
{
	const enum db_query q = Q_domain_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_start(db, q, NULL, 0);

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		json_array_append_new(listing->rows,
				      json_pack("{s:o, s:o, s:I, s:I, s:I}", "name",
						control_string(db_text_at(db, q, 0)), "postmaster",
						control_string(db_text_at(db, q, 1)), "created_us",
						(json_int_t)db_int_at(db, q, 2), "accounts",
						(json_int_t)db_int_at(db, q, 3), "aliases",
						(json_int_t)db_int_at(db, q, 4)));
	}
	return err;
}

static enum err give_rows(struct control_call *call, struct listing *listing) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < json_array_size(listing->rows); i++)
		err = control_row(call, json_incref(json_array_get(listing->rows, i)));
	json_array_clear(listing->rows);
	return err;
}

static enum err list(struct control_call *call, store_read_fn *page) WAITS
{
	struct listing listing = { .rows = json_array() };
	enum err err = OK;

	if (control_text(call, "domain").len)
		listing.domain = domain_canonical(&listing.arena, control_text(call, "domain"));
	do {
		listing.seen = 0;
		err = store_read(store_of(call), page, &listing);
		if (!err)
			err = give_rows(call, &listing);
	} while (!err && listing.seen == ROWS_ONCE);
	json_decref(listing.rows);
	arena_drop(&listing.arena);
	return err;
}

static enum err domain_list(struct control_call *call) WAITS
{
	return list(call, list_domains);
}

static enum err account_list(struct control_call *call) WAITS
{
	return list(call, list_accounts);
}

static enum err alias_list(struct control_call *call) WAITS
{
	return list(call, list_aliases);
}

/* ---- accounts ---- */

struct making_verifier {
	struct arena *arena;
	struct str password;
	struct str address;
	unsigned char key[CIPHER_KEY];
	bool keep;
	struct verifier verifier;
};

static enum err make_verifier(void *arg)
{
	struct making_verifier *m = arg;

	return verifier_make(m->arena, m->password, m->keep ? m->key : NULL, m->address,
			     &m->verifier);
}

static struct str octets_of(const void *at, size_t len)
{
	return (struct str){ at, len };
}

static enum err set_password(struct writer *writer, struct change *change)
{
	const struct verifier *v = change->verifier;
	enum err err = db_run_values(
		writer->db, Q_account_set_password,
		DB_VALUES(db_str(str_of(v->phc)), db_octets(octets_of(v->salt, SALT)),
			  db_int(SCRAM_ITERATIONS), db_octets(octets_of(v->sha1_stored, SHA1)),
			  db_octets(octets_of(v->sha1_server, SHA1)),
			  db_octets(octets_of(v->sha256_stored, SHA256)),
			  db_octets(octets_of(v->sha256_server, SHA256)),
			  v->secret.len ? db_octets(v->secret) : db_null(),
			  db_str(change->address)),
		&change->changed);

	if (!err && !change->changed)
		return no_such("account", change->address);
	return err;
}

static enum err add_account(struct writer *writer, struct change *change)
{
	struct account_new new_account = { change->display, change->at_us, change->quota };
	enum err err = account_make(writer->db, &change->arena, &new_account);

	if (!err && change->verifier)
		err = set_password(writer, change);
	return err;
}

/* The password travels in the request only; it is never told again, and hashed away from the loop. */
static enum err take_password(struct control_call *call, struct change *change,
			      struct making_verifier *m) WAITS
{
	struct store *store = store_of(call);
	enum err err;

	m->password = control_text(call, "password");
	if (!m->password.len)
		return OK;
	if (m->password.len > LIMIT_password)
		return control_fail(call, NULL, "the password is longer than %d octets",
				    LIMIT_password);
	m->arena = &change->arena;
	m->address = change->address;
	m->keep = store->config->keep_secrets;
	if (m->keep)
		secret_key(store, m->key);
	err = store_work(make_verifier, m);
	explicit_bzero(m->key, sizeof(m->key));
	if (!err)
		change->verifier = &m->verifier;
	return err;
}

static enum err account_add(struct control_call *call) WAITS
{
	struct change change = { .run = add_account, .quota = -1 };
	struct making_verifier m = { 0 };
	enum err err = take_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err && control_has(call, "quota"))
		change.quota = (int64_t)(control_number(call, "quota", 0) & INT64_MAX);
	if (!err)
		err = take_password(call, &change, &m);
	if (!err)
		err = commit_change(call, &change);
	explicit_bzero(&m, sizeof(m));
	arena_drop(&change.arena);
	return err;
}

static enum err account_password(struct control_call *call) WAITS
{
	struct change change = { .run = set_password };
	struct making_verifier m = { 0 };
	enum err err = take_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err)
		err = take_password(call, &change, &m);
	if (!err && !change.verifier)
		err = control_fail(call, "glasspost account password ADDRESS --password-stdin",
				   "no password was given");
	if (!err)
		err = commit_change(call, &change);
	explicit_bzero(&m, sizeof(m));
	arena_drop(&change.arena);
	return err;
}

/* ---- deleting an account: first it is closed, then emptied bit by bit, then gone ---- */

static enum err disable_account(struct writer *writer, struct change *change)
{
	enum err err = db_run_values(writer->db, Q_account_disable,
				     DB_VALUES(db_str(change->address)), &change->changed);

	if (!err && !change->changed)
		return no_such("account", change->address);
	return err;
}

static enum err remove_rows(struct writer *writer, struct change *change, uint64_t account)
{
	struct {
		uint64_t mailbox, uid;
	} rows[REMOVED_ONCE];
	size_t count = 0;
	bool has_row = true;
	enum err err =
		db_select(writer->db, Q_account_messages, db_id(account), db_int(REMOVED_ONCE));

	while (!err) {
		err = db_step(writer->db, Q_account_messages, &has_row);
		if (err || !has_row)
			break;
		rows[count].mailbox = (uint64_t)db_int_at(writer->db, Q_account_messages, 0);
		rows[count++].uid = (uint64_t)db_int_at(writer->db, Q_account_messages, 1);
	}
	for (size_t i = 0; !err && i < count; i++) {
		struct removal removal = { .account = account, .mailbox = rows[i].mailbox };

		err = writer_remove_message(writer, &removal, rows[i].uid);
		if (!err)
			err = writer_end_removal(writer, &removal);
	}
	change->changed = count;
	return err;
}

static enum err empty_account(struct writer *writer, struct change *change)
{
	struct account account;
	bool found;
	enum err err = account_find(writer->db, &change->arena, change->address, &account, &found);

	if (err || !found)
		return err ? err : no_such("account", change->address);
	err = remove_rows(writer, change, account.id);
	if (err || change->changed)
		return err;
	err = db_run(writer->db, Q_alias_forget_target, db_str(change->address));
	return err ? err : db_run(writer->db, Q_account_delete, db_str(change->address));
}

static enum err account_delete(struct control_call *call) WAITS
{
	struct change change = { .run = disable_account };
	uint64_t messages = 0;
	enum err err = take_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err)
		err = commit_change(call, &change);
	change.run = empty_account;
	do {
		if (!err)
			err = commit_change(call, &change);
		messages += change.changed;
	} while (!err && change.changed);
	if (!err)
		control_result(call, "messages", number(messages));
	arena_drop(&change.arena);
	return err;
}

/* ---- aliases ---- */

static enum err check_target(struct writer *writer, struct change *change, struct str target)
{
	struct str domain = address_domain(target);
	struct str postmaster;
	bool found;
	enum err err = domain_find(writer->db, &change->arena, domain, &postmaster, &found);

	if (err || found)
		return err;
	return fault(ERR_DENIED,
		     "%.*s is at a domain that is not ours, and mail is not relayed to others yet",
		     STR_ARGS(target));
}

static enum err add_alias(struct writer *writer, struct change *change)
{
	struct str domain = address_domain(change->address);
	struct str postmaster;
	int64_t has = 0;
	bool found;
	enum err err = domain_find(writer->db, &change->arena, domain, &postmaster, &found);

	if (!err && !found)
		return fault(
			ERR_NOT_FOUND,
			"%.*s is none of our domains: `glasspost domain add %.*s` makes it one",
			STR_ARGS(domain), STR_ARGS(domain));
	if (!err)
		err = db_number_values(writer->db, Q_alias_count,
				       DB_VALUES(db_str(change->address)), &has);
	if (!err && (size_t)has + change->targets.count > LIMIT_alias_targets)
		return fault(ERR_LIMIT, "an alias has at most %d targets", LIMIT_alias_targets);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
		err = check_target(writer, change, change->targets.at[i]);
		if (!err)
			err = db_run(writer->db, Q_alias_add, db_str(change->address),
				     db_str(change->targets.at[i]), db_str(domain));
		if (err == ERR_EXISTS)
			return fault(ERR_EXISTS, "%.*s leads to %.*s already",
				     STR_ARGS(change->address), STR_ARGS(change->targets.at[i]));
	}
	return err;
}

static enum err delete_alias(struct writer *writer, struct change *change)
{
	uint64_t one = 0;
	enum err err = OK;

	if (!change->targets.count)
		err = db_run_values(writer->db, Q_alias_delete, DB_VALUES(db_str(change->address)),
				    &change->changed);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
		err = db_run_values(
			writer->db, Q_alias_delete_target,
			DB_VALUES(db_str(change->address), db_str(change->targets.at[i])), &one);
		change->changed += one;
	}
	if (!err && !change->changed)
		return no_such("such alias:", change->address);
	return err;
}

static enum err take_targets(struct control_call *call, struct change *change)
{
	json_t *list = json_object_get(call->arguments, "targets");
	size_t count = json_array_size(list);
	struct str *targets;

	if (count > LIMIT_alias_targets)
		return control_fail(call, NULL, "an alias has at most %d targets",
				    LIMIT_alias_targets);
	targets = NEW_ARRAY(&change->arena, struct str, count + 1);
	for (size_t i = 0; i < count; i++) {
		struct str text = str_of(json_string_value(json_array_get(list, i)));
		struct address address;

		if (!address_parse(&change->arena, text, true, &address))
			return control_fail(call, NULL, "not a mail address: %.*s", STR_ARGS(text));
		targets[i] = address_key(&change->arena, address_print(&change->arena, &address));
	}
	change->targets = (struct strs){ targets, count };
	return OK;
}

static enum err change_alias(struct control_call *call, struct change *change) WAITS
{
	enum err err = take_alias(call, &change->arena, &change->display);

	change->address = address_key(&change->arena, change->display);
	if (!err)
		err = take_targets(call, change);
	if (!err && !change->targets.count && change->run == add_alias)
		err = control_fail(call, "glasspost alias add ADDRESS TARGET...",
				   "an alias needs a target");
	if (!err)
		err = commit_change(call, change);
	arena_drop(&change->arena);
	return err;
}

static enum err alias_add(struct control_call *call) WAITS
{
	struct change change = { .run = add_alias };

	return change_alias(call, &change);
}

static enum err alias_delete(struct control_call *call) WAITS
{
	struct change change = { .run = delete_alias };

	return change_alias(call, &change);
}

/* ---- upkeep ---- */

static void tell_complaint(void *context, struct str what, struct str advice) WAITS
{
	struct control_call *call = context;

	/* A client that went away ends the telling, not the check. */
	(void)control_row(call, json_pack("{s:o, s:o}", "what", control_string(what), "advice",
					  control_string(advice)));
}

static enum err run_check(struct control_call *call) WAITS
{
	struct check_report report = { call, tell_complaint };
	struct check_result result;
	enum err err = store_check(store_of(call), &report, &result);

	if (err)
		return err;
	control_result(call, "bodies", number(result.bodies));
	control_result(call, "messages", number(result.messages));
	control_result(call, "segments", number(result.segments));
	control_result(call, "octets", number(result.octets));
	control_result(call, "complaints", number(result.complaints));
	return OK;
}

static enum err run_compact(struct control_call *call) WAITS
{
	struct compact_result result;
	enum err err = store_compact(store_of(call), control_flag(call, "all"), &result);

	if (err)
		return err;
	control_result(call, "segments", number(result.segments));
	control_result(call, "bodies", number(result.bodies));
	control_result(call, "octets", number(result.octets));
	return OK;
}

struct figures {
	int64_t accounts, messages, bodies, segments;
	uint64_t octets, live;
};

static enum err count_all(struct db *db, void *arg)
{
	struct figures *f = arg;
	bool has_row = true;
	enum err err = db_number_values(db, Q_count_accounts, NULL, 0, &f->accounts);

	if (!err)
		err = db_number_values(db, Q_count_messages, NULL, 0, &f->messages);
	if (!err)
		err = db_number_values(db, Q_count_bodies, NULL, 0, &f->bodies);
	if (!err)
		err = db_start(db, Q_segment_list, NULL, 0);
	while (!err) {
		err = db_step(db, Q_segment_list, &has_row);
		if (err || !has_row)
			break;
		f->segments++;
		f->octets += (uint64_t)db_int_at(db, Q_segment_list, 1);
		f->live += (uint64_t)db_int_at(db, Q_segment_list, 2);
	}
	return err;
}

static enum err run_stats(struct control_call *call) WAITS
{
	struct store *store = store_of(call);
	struct figures f = { 0 };
	enum err err = store_read(store, count_all, &f);

	if (err)
		return err;
	return control_row(call, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accounts",
					   (json_int_t)f.accounts, "messages",
					   (json_int_t)f.messages, "bodies", (json_int_t)f.bodies,
					   "segments", (json_int_t)f.segments, "octets",
					   (json_int_t)f.octets, "live_octets", (json_int_t)f.live,
					   "commits", (json_int_t)store->commits, "kept",
					   (json_int_t)store->messages_kept));
}

const struct control_command store_commands[] = {
	{ "account add", account_add },
	{ "account list", account_list },
	{ "account password", account_password },
	{ "account delete", account_delete },
	{ "domain add", domain_add },
	{ "domain list", domain_list },
	{ "domain delete", domain_delete },
	{ "alias add", alias_add },
	{ "alias list", alias_list },
	{ "alias delete", alias_delete },
	{ "store check", run_check },
	{ "store compact", run_compact },
	{ "store stats", run_stats },
	{ 0 },
};
