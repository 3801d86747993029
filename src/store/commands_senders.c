/* SPDX-License-Identifier: Apache-2.0 */
/* sender add, list, delete: as whom an account may send beside its own addresses. */
#include "store/commands.h"
#include "mail/address.h"

enum { ROWS_ONCE = 200 };

/* ---- changes ---- */

static enum err find_account(struct writer *writer, struct change *change, uint64_t *id)
{
	struct account account;
	bool found;
	enum err err = account_find(writer->db, &change->arena, change->address, &account, &found);

	if (!err && !found)
		return command_no_such("account", change->address);
	*id = err ? 0 : account.id;
	return err;
}

static enum err add_senders(struct writer *writer, struct change *change)
{
	uint64_t account = 0;
	int64_t has = 0;
	enum err err = find_account(writer, change, &account);

	if (!err)
		err = db_number_values(writer->db, Q_sender_count, DB_VALUES(db_id(account)), &has);
	if (!err && (size_t)has + change->targets.count > LIMIT_network_senders)
		return fault(ERR_LIMIT, "an account has at most %d senders; @example.org is one",
			     LIMIT_network_senders);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
		struct str sender = change->targets.at[i];

		err = db_run(writer->db, Q_sender_add, db_id(account), db_str(sender));
		if (err == ERR_EXISTS)
			return fault(ERR_EXISTS, "%.*s may send as %.*s already",
				     STR_ARGS(change->address), STR_ARGS(sender));
	}
	return err;
}

static enum err delete_senders(struct writer *writer, struct change *change)
{
	uint64_t account = 0;
	uint64_t one = 0;
	enum err err = find_account(writer, change, &account);

	if (!err && !change->targets.count)
		err = db_run_values(writer->db, Q_sender_delete, DB_VALUES(db_id(account)),
				    &change->changed);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
		err = db_run_values(writer->db, Q_sender_delete_one,
				    DB_VALUES(db_id(account), db_str(change->targets.at[i])), &one);
		change->changed += one;
	}
	if (!err && !change->changed)
		return fault(ERR_NOT_FOUND, "%.*s has no such sender", STR_ARGS(change->address));
	return err;
}

static enum err take_sender(struct control_call *call, struct arena *arena, struct str text,
			    struct str *out)
{
	struct str domain = str_from(text, 1);
	struct address address;

	if (text.len > 1 && text.at[0] == '@' && is_domain_or_literal(domain, true)) {
		*out = str_print(arena, "@%.*s", STR_ARGS(domain_canonical(arena, domain)));
		return OK;
	}
	if (!address_parse(arena, text, true, &address))
		return control_fail(call, "info@example.org, or @example.org for all of a domain",
				    "not a sender: %.*s", STR_ARGS(str_first(text, 100)));
	*out = address_key(arena, address_print(arena, &address));
	return OK;
}

static enum err take_senders(struct control_call *call, struct change *change)
{
	json_t *list = json_object_get(call->arguments, "senders");
	size_t count = json_array_size(list);
	struct str *senders;
	enum err err = OK;

	if (count > LIMIT_network_senders)
		return control_fail(call, NULL, "an account has at most %d senders",
				    LIMIT_network_senders);
	senders = NEW_ARRAY(&change->arena, struct str, count + 1);
	for (size_t i = 0; !err && i < count; i++)
		err = take_sender(call, &change->arena,
				  str_of(json_string_value(json_array_get(list, i))), &senders[i]);
	change->targets = (struct strs){ senders, count };
	return err;
}

static enum err change_senders(struct control_call *call, struct change *change) WAITS
{
	enum err err = command_address(call, "address", &change->arena, &change->display);

	change->address = address_key(&change->arena, change->display);
	if (!err)
		err = take_senders(call, change);
	if (!err && !change->targets.count && change->run == add_senders)
		err = control_fail(call, "glasspost sender add ADDRESS SENDER...",
				   "a sender is missing");
	if (!err)
		err = command_commit(call, change);
	arena_drop(&change->arena);
	return err;
}

enum err command_sender_add(struct control_call *call) WAITS
{
	struct change change = { .run = add_senders };

	return change_senders(call, &change);
}

enum err command_sender_delete(struct control_call *call) WAITS
{
	struct change change = { .run = delete_senders };

	return change_senders(call, &change);
}

/* ---- list ---- */

struct paging {
	struct arena arena;
	struct str after, after_sender;
	struct str domain; /* empty: all */
	json_t *rows;
	size_t seen;
};

static enum err list_page(struct db *db, void *arg)
{
	const enum db_query q = Q_sender_list;
	struct paging *p = arg;
	bool has_row = true;
	enum err err =
		db_select(db, q, db_str(p->after), db_str(p->after_sender), db_int(ROWS_ONCE));

	p->seen = 0;
	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		p->seen++;
		p->after = str_dup(&p->arena, db_text_at(db, q, 0));
		p->after_sender = str_dup(&p->arena, db_text_at(db, q, 1));
		if (!p->domain.len || str_is(address_domain(p->after), p->domain))
			json_array_append_new(p->rows, json_pack("{s:o, s:o}", "address",
								 control_string(p->after), "sender",
								 control_string(p->after_sender)));
	}
	return err;
}

enum err command_sender_list(struct control_call *call) WAITS
{
	struct paging p = { .rows = json_array() };
	enum err err = OK;

	if (control_text(call, "domain").len)
		p.domain = domain_canonical(&p.arena, control_text(call, "domain"));
	do {
		err = store_read(command_store(call), list_page, &p);
		for (size_t i = 0; !err && i < json_array_size(p.rows); i++)
			err = control_row(call, json_incref(json_array_get(p.rows, i)));
		json_array_clear(p.rows);
	} while (!err && p.seen == ROWS_ONCE);
	json_decref(p.rows);
	arena_drop(&p.arena);
	return err;
}
