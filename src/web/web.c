/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web.h"
#include "net/net.h"
#include "web/door.h"
#include "web/page.h"
#include "web/sign_in.h"

#include <stdio.h>
#include <stdlib.h>

enum { STOP_LOOK_MS = 20 };

static struct web *web_of(struct role *role)
{
	return role->state;
}

static enum err begin(struct role *role) WAITS
{
	const struct caps_limits limits = {
		.open_per_group = LIMIT_web_connections_per_address,
		.new_per_minute = LIMIT_web_connections_per_minute,
		.open_in_all = LIMIT_web_connections,
	};
	struct web *web = calloc(1, sizeof(*web));

	must(web);
	web->role = role;
	web->caps = caps_new(&limits);
	list_init(&web->doors);
	list_init(&web->sign_ins);
	list_init(&web->ended_sign_ins);
	role->state = web;
	return fiber_spawn(&role->fibers, "sign-ins", sign_ins_keep, web, NULL);
}

static enum err listen_at(struct role *role, struct str name, struct listener *listener) WAITS
{
	/* libmicrohttpd needs descriptors. */
	if (world_is_simulated(world_here())) {
		listener_drop(&listener);
		return OK;
	}
	/* What is wrong with one door is no reason to keep the others, or the server, closed. */
	if (door_open(web_of(role), name, listener)) {
		fprintf(stderr, "glasspost web: listener %.*s is not served: %s\n", STR_ARGS(name),
			fault_text());
		TRACE(role->trace, 0, 0, trouble, .err = S("CONFIG"),
		      .detail = str_of(fault_text()));
	}
	return OK;
}

static enum err reload(struct role *role) WAITS
{
	struct web *web = web_of(role);
	enum err err = OK;

	LIST_EACH (link, &web->doors)
		err = err ? err : door_prepare(CONTAINER_OF(link, struct door, link));
	LIST_EACH (link, &web->doors) {
		struct door *door = CONTAINER_OF(link, struct door, link);

		if (err)
			door_leave(door);
		else
			door_renew(door);
	}
	return err;
}

static bool is_answering(const struct web *web)
{
	for (struct list *link = web->doors.next; link != &web->doors; link = link->next)
		if (!list_is_empty(&CONTAINER_OF(link, struct door, link)->exchanges))
			return true;
	return false;
}

/* Answers under way are finished; streams of events end at once. */
static void stop(struct role *role, moment deadline) WAITS
{
	struct web *web = web_of(role);

	web->is_closing = true;
	LIST_EACH (link, &web->doors)
		door_shut(CONTAINER_OF(link, struct door, link));
	while (is_answering(web) && now() < deadline)
		if (fiber_sleep(sooner(deadline, in_ms(STOP_LOOK_MS))) != OK)
			return;
}

static void end(struct role *role) WAITS
{
	struct web *web = web_of(role);

	LIST_EACH (link, &web->doors)
		door_drop(CONTAINER_OF(link, struct door, link));
	sign_ins_drop(web);
	caps_drop(&web->caps);
	free(web);
	role->state = NULL;
}

static enum err run_connections(struct control_call *call) WAITS
{
	struct web *web = web_of(call->context);
	json_t *rows = json_array();
	enum err err = OK;

	LIST_EACH (link, &web->doors) {
		struct door *door = CONTAINER_OF(link, struct door, link);

		LIST_EACH (each, &door->visits) {
			const struct visit *visit = CONTAINER_OF(each, struct visit, link);
			char peer[ADDR_TEXT];

			addr_print(&visit->peer, peer);
			json_array_append_new(rows,
					      json_pack("{s:o, s:s, s:b, s:I}", "listener",
							control_string(door->name), "peer", peer,
							"reading", visit->is_reading, "since_us",
							(json_int_t)(now() - visit->since)));
		}
	}
	for (size_t i = 0; i < json_array_size(rows) && !err; i++)
		err = control_row(call, json_incref(json_array_get(rows, i)));
	json_decref(rows);
	return err;
}

static const struct control_command web_commands[] = {
	{ "connections", run_connections },
	{ NULL, NULL },
};
static const struct control_command *const web_tables[] = { web_commands, NULL };

const struct role_ops web_role = {
	.kind = ROLE_WEB,
	.begin = begin,
	.listen = listen_at,
	.reload = reload,
	.stop = stop,
	.end = end,
	.commands = web_tables,
	.prepare = tls_prepare,
	.lacks = web_page_missing,
};
