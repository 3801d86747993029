/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the control socket that every role answers. */
#include "role/life.h"

#include <unistd.h>

static void add_fiber(void *context, const struct fiber_info *info)
{
	json_t *rows = context;

	json_array_append_new(
		rows,
		json_pack("{s:I, s:s, s:o, s:s, s:I, s:I}", "id", (json_int_t)info->id, "name",
			  info->name, "description", control_string(str_of(info->description)),
			  "waits_for", info->waits_for ? info->waits_for : "", "since_us",
			  (json_int_t)info->since_us, "stack", (json_int_t)info->stack_used));
}

static enum err run_fibers(struct control_call *call) WAITS
{
	json_t *rows = json_array();
	enum err err = OK;

	world_each_fiber(world_here(), add_fiber, rows);
	for (size_t i = 0; i < json_array_size(rows) && !err; i++)
		err = control_row(call, json_incref(json_array_get(rows, i)));
	json_decref(rows);
	return err;
}

static enum err run_version(struct control_call *call) WAITS
{
	struct role *role = call->context;

	return control_row(call, json_pack("{s:s, s:s, s:i, s:i}", "version", GP_VERSION, "role",
					   role_kind_name(role->kind), "index", (int)role->index,
					   "pid", (int)getpid()));
}

static json_t *link_json(const struct link *link)
{
	struct link_stats s;

	if (!link)
		return json_null();
	link_get_stats(link, &s);
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "up", link_is_up(link),
			 "calls", (json_int_t)s.calls, "answers", (json_int_t)s.answers, "failures",
			 (json_int_t)s.failures, "octets_in", (json_int_t)s.bytes_in, "octets_out",
			 (json_int_t)s.bytes_out, "reads", (json_int_t)s.reads, "writes",
			 (json_int_t)s.writes, "in_flight", (json_int_t)s.in_flight);
}

static enum err run_stats(struct control_call *call) WAITS
{
	struct role *role = call->context;
	struct world_stats s;
	json_t *world;

	world_get_stats(world_here(), &s);
	world = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "switches",
			  (json_int_t)s.switches, "spawned", (json_int_t)s.spawned, "polls",
			  (json_int_t)s.polls, "fibers", (json_int_t)s.fibers, "fibers_peak",
			  (json_int_t)s.fibers_peak, "slices_long", (json_int_t)s.slices_long,
			  "slice_longest_us", (json_int_t)s.slice_longest_us, "stack_used_peak",
			  (json_int_t)s.stack_used_peak);
	return control_row(call, json_pack("{s:s, s:i, s:o, s:o, s:o}", "role",
					   role_kind_name(role->kind), "index", (int)role->index,
					   "world", world, "filter", link_json(role->filter),
					   "store", link_json(role->store)));
}

const struct control_command role_common_commands[] = {
	{ "fibers", run_fibers },
	{ "version", run_version },
	{ "stats", run_stats },
	{ 0 },
};
