/* SPDX-License-Identifier: Apache-2.0 */
/* The store's part of the control socket: what its commands share, and check, compact, figures. */
#include "store/commands.h"
#include "store/check.h"
#include "store/compact.h"
#include "mail/address.h"

struct store *command_store(const struct control_call *call)
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
enum err command_address(struct control_call *call, const char *name, struct arena *arena,
			 struct str *out)
{
	struct str text = control_text(call, name);
	struct address address;

	if (!text.len)
		return control_fail(call, NULL, "%s is missing", name);
	if (!address_parse(arena, text, true, &address))
		return control_fail(call, "a whole address: anna@example.org",
				    "not a mail address: %.*s", STR_ARGS(text));
	*out = address_print(arena, &address);
	return OK;
}

enum err command_domain(struct control_call *call, struct arena *arena, struct str *out)
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

/* ---- changes: one job for all of them ---- */

static enum err run_change(struct writer *writer, struct job *job)
{
	struct change *change = CONTAINER_OF(job, struct change, job);

	writer->changed_directory = true;
	return change->run(writer, change);
}

enum err command_commit(struct control_call *call, struct change *change) WAITS
{
	change->job.run = run_change;
	change->at_us = wall_us();
	return store_commit(command_store(call), &change->job);
}

enum err command_no_such(const char *what, struct str name)
{
	return fault(ERR_NOT_FOUND, "there is no %s %.*s", what, STR_ARGS(name));
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
	struct check_report report = { control_flag(call, "deep"), call, tell_complaint };
	struct check_result result;
	enum err err = store_check(command_store(call), &report, &result);

	if (err)
		return err;
	control_result(call, "bodies", number(result.bodies));
	control_result(call, "messages", number(result.messages));
	control_result(call, "segments", number(result.segments));
	control_result(call, "octets", number(result.octets));
	control_result(call, "complaints", number(result.complaints));
	if (result.complaints)
		return control_fail(call, NULL, "%llu complaints",
				    (unsigned long long)result.complaints);
	return OK;
}

static enum err run_compact(struct control_call *call) WAITS
{
	struct compact_result result;
	enum err err = store_compact(command_store(call), control_flag(call, "all"), &result);

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
	struct store *store = command_store(call);
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
	{ "account add", command_account_add },
	{ "account list", command_account_list },
	{ "account password", command_account_password },
	{ "account delete", command_account_delete },
	{ "domain add", command_domain_add },
	{ "domain list", command_domain_list },
	{ "domain delete", command_domain_delete },
	{ "alias add", command_alias_add },
	{ "alias list", command_alias_list },
	{ "alias delete", command_alias_delete },
	{ "network add", command_network_add },
	{ "network list", command_network_list },
	{ "network delete", command_network_delete },
	{ "sender add", command_sender_add },
	{ "sender list", command_sender_list },
	{ "sender delete", command_sender_delete },
	{ "queue list", command_queue_list },
	{ "queue show", command_queue_show },
	{ "queue stats", command_queue_stats },
	{ "queue retry", command_queue_retry },
	{ "queue hold", command_queue_hold },
	{ "queue release", command_queue_release },
	{ "queue redirect", command_queue_redirect },
	{ "queue delete", command_queue_delete },
	{ "queue flush", command_queue_flush },
	{ "message show", command_message_show },
	{ "message raw", command_message_raw },
	{ "route add", command_route_add },
	{ "route list", command_route_list },
	{ "route delete", command_route_delete },
	{ "source add", command_source_add },
	{ "source list", command_source_list },
	{ "source delete", command_source_delete },
	{ "credential add", command_credential_add },
	{ "credential list", command_credential_list },
	{ "credential delete", command_credential_delete },
	{ "store rotate-key", command_store_rotate_key },
	{ "store check", run_check },
	{ "store compact", run_compact },
	{ "store stats", run_stats },
	{ 0 },
};
