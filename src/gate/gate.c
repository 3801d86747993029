/* SPDX-License-Identifier: Apache-2.0 */
#include "gate/port.h"

#include <stdlib.h>

enum { STOP_LOOK_MS = 50 };

static struct gate *gate_of(struct role *role)
{
	return role->state;
}

static struct caps_limits limits_of(const struct config *config)
{
	return (struct caps_limits){
		.open_per_group = (unsigned)config->connections_per_address,
		.new_per_minute = (unsigned)config->connections_new_per_minute,
		.open_in_all = (unsigned)config->connections_max,
		.octets_in_all = config->message_memory_max,
		.exempt = config->exempt,
		.exempt_count = config->exempt_count,
	};
}

static enum err gate_begin(struct role *role) WAITS
{
	struct gate *gate = calloc(1, sizeof(*gate));
	struct caps_limits limits = limits_of(role->config);

	must(gate);
	gate->role = role;
	gate->caps = caps_new(&limits);
	list_init(&gate->ports);
	list_init(&gate->visits);
	waitq_init(&gate->networks_known);
	role->state = gate;
	return fiber_spawn(&role->fibers, "networks", gate_networks_fiber, gate, NULL);
}

static enum err gate_listen(struct role *role, struct str name, struct listener *listener) WAITS
{
	return port_open(gate_of(role), name, listener);
}

static enum err renew_ports(struct gate *gate)
{
	enum err err = OK;

	LIST_EACH (link, &gate->ports)
		err = err ? err : port_prepare(CONTAINER_OF(link, struct port, link));
	LIST_EACH (link, &gate->ports) {
		struct port *port = CONTAINER_OF(link, struct port, link);

		if (err)
			port_leave(port);
		else
			port_renew(port);
	}
	return err;
}

static enum err gate_reload(struct role *role) WAITS
{
	struct caps_limits limits = limits_of(role->config);
	enum err err = renew_ports(gate_of(role));

	if (err)
		return err;
	caps_set(gate_of(role)->caps, &limits);
	gate_count_changed(gate_of(role));
	return OK;
}

void gate_hang_up(struct gate *gate)
{
	if (gate->is_closing && list_is_empty(&gate->visits) && gate->role->store)
		link_detach(gate->role->store, 0);
}

static void gate_stop(struct role *role, moment deadline) WAITS
{
	struct gate *gate = gate_of(role);

	gate->is_closing = true;
	LIST_EACH (link, &gate->ports)
		port_close(CONTAINER_OF(link, struct port, link));
	while (!list_is_empty(&gate->visits) && now() < deadline) {
		visits_stop_idle(gate);
		/* Stopped ourselves: no more grace for anybody. */
		if (fiber_sleep(sooner(deadline, in_ms(STOP_LOOK_MS))) != OK)
			return;
	}
	gate_hang_up(gate);
}

static void gate_end(struct role *role) WAITS
{
	struct gate *gate = gate_of(role);

	must(list_is_empty(&gate->visits) && list_is_empty(&gate->ports));
	caps_drop(&gate->caps);
	gate_networks_drop(gate);
	free(gate);
	role->state = NULL;
}

/* ---- the control socket ---- */

static const char *tls_name(const struct conn *conn)
{
	return conn_tls(conn)->version ? conn_tls(conn)->version : "";
}

static enum err run_connections(struct control_call *call) WAITS
{
	struct gate *gate = gate_of(call->context);
	json_t *rows = json_array();
	enum err err = OK;

	LIST_EACH (link, &gate->visits) {
		struct visit *visit = CONTAINER_OF(link, struct visit, link);
		char peer[ADDR_TEXT];
		char session[ID_TEXT + 1];

		addr_print(conn_peer(visit->conn), peer);
		id_print(visit->session, session);
		json_array_append_new(rows,
				      json_pack("{s:s, s:o, s:s, s:s, s:I, s:b}", "session",
						session, "listener",
						control_string(visit->generation->listener->name),
						"peer", peer, "tls", tls_name(visit->conn),
						"since_us", (json_int_t)(now() - visit->began),
						"idle", conn_is_idle(visit->conn)));
	}
	/* The list is whole before the first row waits: visits end meanwhile. */
	for (size_t i = 0; i < json_array_size(rows) && !err; i++)
		err = control_row(call, json_incref(json_array_get(rows, i)));
	json_decref(rows);
	return err;
}

static const struct control_command gate_commands[] = {
	{ "connections", run_connections },
	{ NULL, NULL },
};
static const struct control_command *const gate_tables[] = { gate_commands, NULL };

#define GATE_ROLE(role_kind)                                                                       \
	{                                                                                          \
		.kind = role_kind, .begin = gate_begin, .listen = gate_listen,                     \
		.reload = gate_reload, .stop = gate_stop, .end = gate_end,                         \
		.commands = gate_tables, .prepare = tls_prepare,                                   \
	}

const struct role_ops gate_mx_role = GATE_ROLE(ROLE_GATE_MX);
const struct role_ops gate_user_role = GATE_ROLE(ROLE_GATE_USER);
