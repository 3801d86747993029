/* SPDX-License-Identifier: Apache-2.0 */
/* domain add, delete; alias add, delete */
#include "store/circle.h"
#include "store/commands.h"
#include "mail/address.h"

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
		return command_no_such("domain", change->domain);
	return err;
}

static enum err change_domain(struct control_call *call,
			      enum err (*run)(struct writer *, struct change *)) WAITS
{
	struct change change = { .run = run };
	enum err err = command_domain(call, &change.arena, &change.domain);

	if (!err)
		err = command_commit(call, &change);
	arena_drop(&change.arena);
	return err;
}

enum err command_domain_add(struct control_call *call) WAITS
{
	return change_domain(call, add_domain);
}

enum err command_domain_delete(struct control_call *call) WAITS
{
	return change_domain(call, delete_domain);
}

/* ---- aliases ---- */

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
	return command_address(call, "address", arena, out);
}

/* Elsewhere the case of a local part may matter (rfc5321 2.4): it stays as it was given. */
static enum err spell_targets(struct writer *writer, struct change *change)
{
	struct str *spelt = NEW_ARRAY(&change->arena, struct str, change->targets.count + 1);
	enum err err = OK;

	for (size_t i = 0; !err && i < change->targets.count; i++) {
		struct str postmaster;
		bool found;

		spelt[i] = change->targets.at[i];
		err = domain_find(writer->db, &change->arena, address_domain(spelt[i]), &postmaster,
				  &found);
		if (!err && found)
			spelt[i] = address_key(&change->arena, spelt[i]);
	}
	change->targets.at = spelt;
	return err;
}

/* At RCPT it would only be found by those who send mail. */
static enum err check_circle(struct writer *writer, struct change *change)
{
	struct str circle;
	enum err err =
		circle_find(writer->db, &change->arena, change->address, change->targets, &circle);

	if (!err && circle.len)
		err = fault(ERR_DENIED, "that would close a circle: %.*s", STR_ARGS(circle));
	return err;
}

static enum err add_alias(struct writer *writer, struct change *change)
{
	struct str domain = address_domain(change->address);
	int64_t has = 0;
	enum err err = domain_must_be_ours(writer->db, &change->arena, domain);

	if (!err)
		err = db_number_values(writer->db, Q_alias_count,
				       DB_VALUES(db_str(change->address)), &has);
	if (!err && (size_t)has + change->targets.count > LIMIT_alias_targets)
		return fault(ERR_LIMIT, "an alias has at most %d targets", LIMIT_alias_targets);
	if (!err)
		err = spell_targets(writer, change);
	if (!err)
		err = check_circle(writer, change);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
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
	enum err err = spell_targets(writer, change);

	if (!err && !change->targets.count)
		err = db_run_values(writer->db, Q_alias_delete, DB_VALUES(db_str(change->address)),
				    &change->changed);
	for (size_t i = 0; !err && i < change->targets.count; i++) {
		err = db_run_values(
			writer->db, Q_alias_delete_target,
			DB_VALUES(db_str(change->address), db_str(change->targets.at[i])), &one);
		change->changed += one;
	}
	if (!err && !change->changed)
		return command_no_such("alias", change->address);
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
		targets[i] = address_print(&change->arena, &address);
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
		err = command_commit(call, change);
	arena_drop(&change->arena);
	return err;
}

enum err command_alias_add(struct control_call *call) WAITS
{
	struct change change = { .run = add_alias };

	return change_alias(call, &change);
}

enum err command_alias_delete(struct control_call *call) WAITS
{
	struct change change = { .run = delete_alias };

	return change_alias(call, &change);
}
