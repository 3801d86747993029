/* SPDX-License-Identifier: Apache-2.0 */
/* ready, status, reload, stop: what run/supervisor.sock answers. */
#include "supervisor/server.h"

#include <unistd.h>

static enum err run_ready(struct control_call *call) WAITS
{
	struct server *server = call->context;

	for (size_t i = 0; i < server->crew.count; i++) {
		const struct member *member = &server->crew.members[i];

		if (!member->up)
			return control_fail(call, NULL, "%s %u is not ready",
					    role_kind_name(member->kind), member->index);
	}
	if (!server->crew.ready)
		return control_fail(call, NULL, "the server is starting or stopping");
	return OK;
}

static enum err row_of(struct control_call *call, const struct member *member) WAITS
{
	bool in_house = member->crew->in_house;

	return control_row(call,
			   json_pack("{s:s, s:i, s:i, s:s, s:I, s:i, s:s, s:o}", "role",
				     role_kind_name(member->kind), "index", (int)member->index,
				     "pid", in_house ? (int)getpid() : member->pid, "state",
				     member->up ? "up" : "starting", "uptime_s",
				     (json_int_t)((now() - member->since) / 1000000), "restarts",
				     (int)member->restarts, "last_end", member->last_end, "sandbox",
				     control_string(str_of(member->sandbox))));
}

static enum err run_status(struct control_call *call) WAITS
{
	struct server *server = call->context;
	enum err err = OK;

	err = control_row(call,
			  json_pack("{s:s, s:i, s:i, s:s, s:I, s:i, s:s, s:s}", "role",
				    "supervisor", "index", 0, "pid", (int)getpid(), "state",
				    server->crew.ready ? "up" : "starting", "uptime_s",
				    (json_int_t)((now() - server->started) / 1000000), "restarts",
				    0, "last_end", "", "sandbox", server->sandbox));
	for (size_t i = 0; i < server->crew.count && !err; i++)
		err = row_of(call, &server->crew.members[i]);
	return err;
}

static enum err run_listeners(struct control_call *call) WAITS
{
	struct server *server = call->context;
	enum err err = OK;

	for (size_t i = 0; i < server->crew.opening_count && !err; i++) {
		const struct opening *opening = server->crew.openings[i];
		const struct config_listener *l =
			config_listener(server->crew.config, str_of(opening->listener));
		char text[ADDR_TEXT];

		if (!l)
			continue;
		addr_print(&opening->address, text);
		err = control_row(call, json_pack("{s:s, s:o, s:o, s:s}", "name", opening->listener,
						  "protocol", control_string(l->protocol), "tls",
						  control_string(l->tls), "address", text));
	}
	return err;
}

static enum err run_configuration(struct control_call *call) WAITS
{
	struct server *server = call->context;
	OWNED(buf) struct buf json = BUF(1 << 20);
	enum err err = config_json(server->crew.config, &json);

	return err ? err : control_row_text(call, buf_str(&json));
}

/* A row for each complaint, so that the client shows them line by line. */
static enum err give_complaints(struct control_call *call, struct str complaints) WAITS
{
	enum err err = OK;

	while (complaints.len > 0 && !err) {
		size_t end = str_find(complaints, '\n');
		struct str line = str_first(complaints, end == STR_NONE ? complaints.len : end);

		complaints = str_from(complaints, line.len + 1);
		err = control_row(call, json_pack("{s:o}", "complaint", control_string(line)));
	}
	return err;
}

static enum err run_reload(struct control_call *call) WAITS
{
	struct server *server = call->context;
	OWNED(buf) struct buf complaints = BUF(32768);
	enum err err = server_reload(server, &complaints);
	const char *outcome = server->outcome; /* another reload may follow */

	if (!err)
		return OK;
	if (complaints.len == 0)
		return control_fail(call, NULL, "%s: %s", outcome, fault_text());
	err = give_complaints(call, buf_str(&complaints));
	if (err)
		return err;
	return control_fail(call, "repair it and reload again", "%s", outcome);
}

static enum err run_stop(struct control_call *call) WAITS
{
	struct server *server = call->context;

	server->stop_asked = true;
	waitq_wake_all(&server->asked);
	return OK;
}

static enum err run_version(struct control_call *call) WAITS
{
	return control_row(call, json_pack("{s:s, s:s, s:i}", "version", GP_VERSION, "role",
					   "supervisor", "pid", (int)getpid()));
}

const struct control_command server_commands[] = {
	{ "ready", run_ready },         { "status", run_status },
	{ "listeners", run_listeners }, { "configuration", run_configuration },
	{ "reload", run_reload },       { "stop", run_stop },
	{ "version", run_version },     { 0 },
};
