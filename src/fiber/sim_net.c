/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated net: who listens where, how a connection comes about, and the faults that a test
 * sets on addresses.
 */
#include "fiber/sim_link.h"

#include <stdlib.h>

enum {
	SYN_RETRY_US = 1'000'000,
	CONNECT_MAX_US = 127'000'000, /* what Linux's six retries of a SYN come to */
};

struct sim_listener {
	struct listener listener;
	struct list link; /* in sim->listeners */
	struct sim_world *sim;
	struct list backlog;
	size_t count;
	size_t max;
	struct fiber *waiter;
};

struct dark_address {
	struct list link;
	struct addr address;
};

/* ---- addresses ---- */

static bool is_same(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return false;
	if (a->family == ADDR_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && addr_is_same_ip(a, b);
}

/* A fault's address without a port means all of that host's. */
static bool is_meant(const struct addr *meant, const struct addr *address)
{
	struct addr with_port = *meant;

	if (meant->family != ADDR_UNIX && meant->port == 0)
		with_port.port = address->port;
	return is_same(&with_port, address);
}

static bool touches(const struct sim_connection *connection, const struct addr *address)
{
	const struct stream *stream = &connection->ends[0].stream;

	return is_meant(address, &stream->local) || is_meant(address, &stream->peer);
}

static bool is_wildcard(const struct addr *address)
{
	static const unsigned char zero[16];

	return address->family != ADDR_UNIX && memcmp(address->ip, zero, sizeof(zero)) == 0;
}

static struct sim_listener *find_listener(const struct sim_world *sim, const struct addr *to)
{
	struct sim_listener *fallback = NULL;

	LIST_EACH (link, &sim->listeners) {
		struct sim_listener *listener = CONTAINER_OF(link, struct sim_listener, link);
		const struct addr *at = &listener->listener.address;

		if (is_same(at, to))
			return listener;
		if (is_wildcard(at) && at->family == to->family && at->port == to->port)
			fallback = listener;
	}
	return fallback;
}

/* ---- listeners ---- */

static enum err sim_accept(struct listener *base, moment deadline, struct stream **out) WAITS
{
	struct sim_listener *listener = CONTAINER_OF(base, struct sim_listener, listener);
	struct list *first;
	enum err err = OK;

	while (!err && list_is_empty(&listener->backlog)) {
		must(!listener->waiter); /* one fiber per listener */
		listener->waiter = fiber_self();
		err = fiber_park("connection", deadline);
		listener->waiter = NULL;
	}
	if (err)
		return err;
	first = list_take_first(&listener->backlog);
	listener->count--;
	*out = &CONTAINER_OF(first, struct sim_connection, backlog)->ends[1].stream;
	return OK;
}

static void sim_listener_drop(struct listener *base)
{
	struct sim_listener *listener = CONTAINER_OF(base, struct sim_listener, listener);
	struct list *link;

	must(!listener->waiter);
	while ((link = list_take_first(&listener->backlog))) {
		struct sim_connection *connection =
			CONTAINER_OF(link, struct sim_connection, backlog);

		/* Those who were never accepted are told that nobody is here. */
		sim_send(connection, 1, SIM_RESET, 0);
		connection->ends[1].reset = true;
		sim_end_drop(&connection->ends[1]);
	}
	list_remove(&listener->link);
	free(listener);
}

enum err sim_listen(struct world *world, const struct addr *at, int backlog, struct listener **out)
{
	struct sim_world *sim = sim_of(world);
	struct sim_listener *listener;
	struct addr address = *at;
	char text[ADDR_TEXT];

	if (address.family != ADDR_UNIX && address.port == 0)
		address.port = sim->next_listener_port++;
	LIST_EACH (link, &sim->listeners) {
		listener = CONTAINER_OF(link, struct sim_listener, link);
		if (is_same(&listener->listener.address, &address)) {
			addr_print(&address, text);
			return fault(ERR_EXISTS, "listen on %s: in use", text);
		}
	}
	listener = calloc(1, sizeof(*listener));
	must(listener);
	listener->listener.accept = sim_accept;
	listener->listener.drop = sim_listener_drop;
	listener->listener.address = address;
	listener->sim = sim;
	listener->max = backlog > 0 ? (size_t)backlog : 1;
	list_init(&listener->backlog);
	list_add_last(&sim->listeners, &listener->link);
	*out = &listener->listener;
	return OK;
}

/* ---- connecting ---- */

void sim_syn_arrived(struct sim_packet *syn)
{
	struct sim_connection *connection = syn->connection;
	struct sim_end *end = &connection->ends[1];
	struct sim_listener *listener = find_listener(connection->sim, &end->stream.local);

	if (!listener) {
		sim_send(connection, 1, SIM_RESET, 0);
		return;
	}
	if (listener->count >= listener->max) { /* not answered; the other side tries again */
		struct world *world = &connection->sim->world;

		timer_set(world, &syn->timer, world->now + (SYN_RETRY_US << syn->len));
		if (syn->len < 6)
			syn->len++;
		return;
	}
	end->dropped = false;
	list_add_last(&listener->backlog, &connection->backlog);
	listener->count++;
	fiber_wake_if(listener->waiter, OK);
	sim_send(connection, 1, SIM_SYN_ACK, 0);
}

static struct addr next_local(struct sim_world *sim, const struct addr *to)
{
	struct addr local = { .family = ADDR_UNIX };

	if (to->family == ADDR_UNIX)
		return local;
	local = to->family == ADDR_IPV6 ? sim->local_ipv6 : sim->local_ipv4;
	local.port = sim->next_port;
	sim->next_port = sim->next_port == UINT16_MAX ? 49152 : (uint16_t)(sim->next_port + 1);
	return local;
}

static bool is_dark(const struct sim_connection *connection)
{
	LIST_EACH (link, &connection->sim->dark) {
		if (touches(connection, &CONTAINER_OF(link, struct dark_address, link)->address))
			return true;
	}
	return false;
}

static enum err wait_established(struct sim_end *end, moment deadline) WAITS
{
	struct sim_connection *connection = end->connection;
	moment latest = sooner(deadline, in_us(CONNECT_MAX_US));
	enum err err = OK;

	while (!err && !connection->established && !end->reset) {
		end->waiters[1] = fiber_self();
		err = fiber_park("connect", latest);
		end->waiters[1] = NULL;
	}
	if (err)
		return err;
	if (connection->established)
		return OK;
	return connection->refused ? ERR_REFUSED : ERR_RESET;
}

enum err sim_connect(struct world *world, const struct connecting *connecting, struct stream **out)
	WAITS
{
	const struct addr *to = connecting->to;
	struct sim_connection *connection = sim_connection_new(sim_of(world));
	struct sim_end *ends = connection->ends;
	enum err err;

	ends[0].dropped = false;
	ends[0].stream.local = next_local(connection->sim, to);
	if (connecting->from)
		memcpy(ends[0].stream.local.ip, connecting->from->ip,
		       sizeof(ends[0].stream.local.ip));
	ends[1].stream.peer = ends[0].stream.local;
	ends[0].stream.peer = ends[1].stream.local = *to;
	connection->dark = is_dark(connection);
	sim_send(connection, 0, SIM_SYN, 0);
	err = wait_established(&ends[0], connecting->deadline);
	if (err) {
		char text[ADDR_TEXT];

		sim_send(connection, 0, SIM_RESET, 0);
		ends[0].reset = true;
		sim_end_drop(&ends[0]);
		addr_print(to, text);
		return fault(err, "connect to %s: %s", text, err_text(err));
	}
	*out = &ends[0].stream;
	return OK;
}

enum err sim_pair(struct world *world, struct stream *ends[2])
{
	struct sim_connection *connection = sim_connection_new(sim_of(world));

	connection->established = true;
	for (unsigned side = 0; side < 2; side++) {
		struct sim_end *end = &connection->ends[side];

		end->dropped = false;
		end->stream.local.family = end->stream.peer.family = ADDR_UNIX;
		ends[side] = &end->stream;
	}
	return OK;
}

/* ---- faults ---- */

void sim_cut(struct world *world, const struct addr *address)
{
	LIST_EACH (link, &sim_of(world)->connections) {
		struct sim_connection *connection = CONTAINER_OF(link, struct sim_connection, link);

		if (touches(connection, address))
			sim_connection_cut(connection);
	}
}

void sim_go_dark(struct world *world, const struct addr *address)
{
	struct sim_world *sim = sim_of(world);
	struct dark_address *dark = calloc(1, sizeof(*dark));

	must(dark);
	dark->address = *address;
	list_add_last(&sim->dark, &dark->link);
	LIST_EACH (link, &sim->connections) {
		struct sim_connection *connection = CONTAINER_OF(link, struct sim_connection, link);

		if (touches(connection, address))
			connection->dark = true;
	}
}

void sim_come_back(struct world *world, const struct addr *address)
{
	LIST_EACH (link, &sim_of(world)->dark) {
		struct dark_address *dark = CONTAINER_OF(link, struct dark_address, link);

		if (!is_same(&dark->address, address))
			continue;
		list_remove(link);
		free(dark);
	}
}

void sim_net_done(struct sim_world *sim)
{
	struct list *link;

	while ((link = list_take_first(&sim->dark)))
		free(CONTAINER_OF(link, struct dark_address, link));
}
