/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recording.h"
#include "store/state.h"

#include <stdio.h>
#include <unistd.h>

enum { SIM_TICK_MS = 60000 };

/* `hostname` is printed into the caller's room, as the recorder wants a C string. */
static struct record_config config_of(const struct role *role, char hostname[LIMIT_domain + 1])
{
	const struct config *config = role->config;
	struct record_config out = {
		.keep_us = config->sessions_keep * 1000,
		.keep_octets = config->sessions_keep_size,
		.log_fd = STDERR_FILENO,
		.hostname = hostname,
		.role = (uint8_t)role->kind,
		.role_index = (uint8_t)role->index,
	};

	snprintf(hostname, LIMIT_domain + 1, "%.*s", STR_ARGS(config->hostname));
	if (!record_log_parse(config->log, &out.log))
		out.log = RECORD_LOG_NONE;
	/* A simulated server has no operator who reads along, and its days pass in milliseconds. */
	if (world_is_simulated(world_here())) {
		out.log = RECORD_LOG_NONE;
		out.tick_ms = SIM_TICK_MS;
	}
	return out;
}

static enum err add_rings(struct role *role, struct recorder *recorder) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < role->ring_count; i++) {
		struct record_ring ring = { .at = role->rings[i].at,
					    .size = role->rings[i].size,
					    .role = (uint8_t)role->rings[i].role,
					    .role_index = (uint8_t)role->rings[i].index };

		snprintf(ring.name, sizeof(ring.name), "%s-%u", role_kind_name(role->rings[i].role),
			 role->rings[i].index);
		err = recorder_add_ring(recorder, &ring);
	}
	return err;
}

enum err recording_begin(struct role *role, struct recorder **out) WAITS
{
	char hostname[LIMIT_domain + 1];
	struct record_config config = config_of(role, hostname);
	struct recorder *recorder;
	enum err err = recorder_new(role->folder, &config, &recorder);

	if (err)
		return err;
	err = add_rings(role, recorder);
	if (!err)
		err = fiber_spawn(&role->fibers, "recorder", recorder_run, recorder, NULL);
	if (err)
		recorder_drop(&recorder);
	else
		*out = recorder;
	return err;
}

enum err recording_reload(struct role *role, struct recorder *recorder) WAITS
{
	char hostname[LIMIT_domain + 1];
	struct record_config config = config_of(role, hostname);

	return recorder_reload(recorder, &config);
}

/* ---- commands ---- */

static struct recorder *recorder_of(struct control_call *call)
{
	struct role *role = call->context;
	struct store *store = role->state;

	return store->recorder;
}

static enum err session_list(struct control_call *call) WAITS
{
	return record_session_list(recorder_of(call), call);
}

static enum err session_show(struct control_call *call) WAITS
{
	return record_session_show(recorder_of(call), call);
}

static enum err session_follow(struct control_call *call) WAITS
{
	return record_session_follow(recorder_of(call), call);
}

static enum err message_list(struct control_call *call) WAITS
{
	return record_message_list(recorder_of(call), call);
}

static enum err message_events(struct control_call *call) WAITS
{
	return record_message_events(recorder_of(call), call);
}

static enum err metrics(struct control_call *call) WAITS
{
	return record_metrics(recorder_of(call), call);
}

const struct control_command recording_commands[] = {
	{ "session list", session_list },
	{ "session show", session_show },
	{ "session follow", session_follow },
	{ "message list", message_list },
	{ "message events", message_events },
	{ "metrics", metrics },
	{ NULL, NULL },
};
