/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/sim_link.h"

#include <stdlib.h>

enum {
	SEGMENT = 1460, /* octets: an Ethernet frame without its headers */
	HEADERS = 40,   /* of IPv4 and TCP, for the bandwidth */
	RTO_FLOOR_US = 200'000,
	RTO_SYN_US = 1'000'000, /* rfc6298 2.1 */
	RTO_CEILING_US = 120'000'000,
	RETRIES_MAX = 15, /* then the sender gives the connection up, as Linux does */
};

static const struct stream_ops sim_stream_ops;

struct sim_connection *sim_connection_new(struct sim_world *sim)
{
	struct sim_connection *connection = calloc(1, sizeof(*connection));

	must(connection);
	connection->sim = sim;
	connection->behaviour = sim->link;
	list_init(&connection->packets);
	list_init(&connection->backlog);
	list_add_last(&sim->connections, &connection->link);
	for (unsigned side = 0; side < 2; side++) {
		struct sim_end *end = &connection->ends[side];

		end->stream.ops = &sim_stream_ops;
		end->connection = connection;
		end->side = side;
		end->inbox = BUF(sim->link.window);
		end->dropped = true;
	}
	return connection;
}

/* ---- packets ---- */

static void packet_drop(struct sim_packet *packet)
{
	timer_clear(&packet->connection->sim->world, &packet->timer);
	list_remove(&packet->link);
	free(packet);
}

static void drop_packets(struct sim_connection *connection)
{
	LIST_EACH (link, &connection->packets)
		packet_drop(CONTAINER_OF(link, struct sim_packet, link));
}

static void connection_drop(struct sim_connection *connection)
{
	drop_packets(connection);
	list_remove(&connection->link);
	list_remove(&connection->backlog);
	buf_drop(&connection->ends[0].inbox);
	buf_drop(&connection->ends[1].inbox);
	free(connection);
}

static void wake_reader(struct sim_end *end)
{
	fiber_wake_if(end->waiters[0], OK);
}

static void wake_writer(struct sim_end *end)
{
	fiber_wake_if(end->waiters[1], OK);
}

void sim_end_reset(struct sim_end *end)
{
	end->reset = true;
	wake_reader(end);
	wake_writer(end);
}

static void data_arrived(struct sim_end *end, size_t len)
{
	if (end->dropped) { /* nobody is here any more; the sender must hear of it */
		sim_send(end->connection, end->side, SIM_RESET, 0);
		return;
	}
	if (end->reset)
		return;
	end->arrived += len;
	must(end->arrived <= end->inbox.len);
	wake_reader(end);
}

static void acknowledged(struct sim_end *end, size_t len)
{
	must(len <= end->unread);
	end->unread -= len;
	wake_writer(end);
}

static void packet_arrived(struct timer *timer)
{
	struct sim_packet *packet = CONTAINER_OF(timer, struct sim_packet, timer);
	struct sim_connection *connection = packet->connection;
	struct sim_end *end = &connection->ends[packet->to];

	if (packet->kind == SIM_SYN && !connection->dark) {
		sim_syn_arrived(packet); /* which may keep the packet for another try */
		if (packet->timer.item.index != HEAP_OUT)
			return;
	} else if (packet->kind == SIM_GIVE_UP) {
		sim_end_reset(end);
	} else if (!connection->dark) {
		switch (packet->kind) {
		case SIM_SYN_ACK:
			connection->established = true;
			wake_writer(end);
			break;
		case SIM_DATA:
			data_arrived(end, packet->len);
			break;
		case SIM_ACK:
			acknowledged(end, packet->len);
			break;
		case SIM_FIN:
			end->fin_arrived = true;
			wake_reader(end);
			break;
		default:
			connection->refused = !connection->established;
			sim_end_reset(end);
		}
	}
	packet_drop(packet);
}

static void send_at(struct sim_connection *connection, unsigned to, enum sim_packet_kind kind,
		    size_t len, moment arrival)
{
	struct sim_packet *packet = calloc(1, sizeof(*packet));

	must(packet);
	packet->connection = connection;
	packet->to = to;
	packet->kind = kind;
	packet->len = len;
	list_add_last(&connection->packets, &packet->link);
	timer_init(&packet->timer, packet_arrived);
	timer_set(&connection->sim->world, &packet->timer, arrival);
}

/* When the line has carried it: each octet takes its time, one packet after the other. */
static moment carry(const struct sim_connection *connection, struct sim_end *from, size_t len)
{
	uint64_t rate = connection->behaviour.octets_per_s;
	moment begin = connection->sim->world.now;

	if (rate == 0)
		return begin;
	if (from->line_free > begin)
		begin = from->line_free;
	from->line_free = begin + (moment)((len + HEADERS) * 1'000'000 / rate);
	return from->line_free;
}

/* rfc6298 5: each loss costs the timeout, which then doubles. RETRIES_MAX + 1 losses are too many. */
static unsigned lose(const struct sim_connection *connection, enum sim_packet_kind kind,
		     moment *arrival)
{
	const struct sim_link *link = &connection->behaviour;
	int64_t rto = kind == SIM_SYN || kind == SIM_SYN_ACK
			      ? RTO_SYN_US
			      : RTO_FLOOR_US + 2 * link->delay_us + link->jitter_us;
	unsigned losses = 0;

	while (link->loss_ppm > 0 && losses <= RETRIES_MAX &&
	       sim_chance(connection->sim, 1'000'000) < link->loss_ppm) {
		*arrival += rto;
		rto = rto * 2 < RTO_CEILING_US ? rto * 2 : RTO_CEILING_US;
		losses++;
	}
	return losses;
}

void sim_send(struct sim_connection *connection, unsigned from, enum sim_packet_kind kind,
	      size_t len)
{
	const struct sim_link *link = &connection->behaviour;
	struct sim_end *sender = &connection->ends[from];
	moment arrival;

	if (connection->dark || sender->stalled)
		return;
	if (kind == SIM_ACK) { /* small, cumulative, in nobody's way */
		send_at(connection, !from, kind, len, connection->sim->world.now + link->delay_us);
		return;
	}
	arrival = carry(connection, sender, len) + link->delay_us;
	arrival += (moment)sim_chance(connection->sim, (uint64_t)link->jitter_us + 1);
	if (kind != SIM_RESET && lose(connection, kind, &arrival) > RETRIES_MAX) {
		sender->stalled = true;
		send_at(connection, from, SIM_GIVE_UP, 0, arrival);
		return;
	}
	if (arrival < sender->last_arrival) /* what comes behind a lost one waits for it */
		arrival = sender->last_arrival;
	sender->last_arrival = arrival;
	send_at(connection, !from, kind, len, arrival);
}

/* ---- streams ---- */

static struct sim_end *end_of(struct stream *stream)
{
	return CONTAINER_OF(stream, struct sim_end, stream);
}

static struct sim_end *other_end(const struct sim_end *end)
{
	return &end->connection->ends[!end->side];
}

static bool is_readable(const struct sim_end *end)
{
	return end->arrived > 0 || end->fin_arrived || end->reset;
}

static bool is_writable(const struct sim_end *end)
{
	return end->unread < end->connection->behaviour.window || end->reset || end->shut;
}

static enum err sim_try_read(struct stream *stream, void *at, size_t room, size_t *out)
{
	struct sim_end *end = end_of(stream);
	size_t len = end->arrived < room ? end->arrived : room;

	if (len > 0) {
		memcpy(at, end->inbox.at, len);
		buf_consume(&end->inbox, len);
		end->arrived -= len;
		sim_send(end->connection, end->side, SIM_ACK, len);
		*out = len;
		return OK;
	}
	if (end->reset)
		return fault(ERR_RESET, "read from the connection: it was cut");
	return end->fin_arrived ? ERR_CLOSED : ERR_AGAIN;
}

/* Losses and bandwidth are per segment; without either a write may travel in one piece. */
static void send_data(struct sim_end *end, size_t len)
{
	const struct sim_link *link = &end->connection->behaviour;
	size_t most = link->loss_ppm || link->octets_per_s ? (size_t)SEGMENT : len;

	while (len > 0) {
		size_t part = len < most ? len : most;

		sim_send(end->connection, end->side, SIM_DATA, part);
		len -= part;
	}
}

static enum err sim_try_write(struct stream *stream, struct str octets, size_t *out)
{
	struct sim_end *end = end_of(stream);
	struct sim_end *other = other_end(end);
	size_t room;

	if (end->reset || end->shut)
		return fault(ERR_RESET, "write to the connection: it was cut");
	if (!is_writable(end))
		return ERR_AGAIN;
	room = end->connection->behaviour.window - end->unread;
	octets = str_first(octets, room);
	/* Where nothing passes any more, or nobody is left to read, the octets are lost. */
	if (!other->dropped && !end->connection->dark && !end->stalled)
		must(buf_add(&other->inbox, octets) == OK);
	end->unread += octets.len;
	send_data(end, octets.len);
	*out = octets.len;
	return OK;
}

static enum err sim_wait(struct stream *stream, unsigned how, moment deadline) WAITS
{
	struct sim_end *end = end_of(stream);
	struct fiber *self = fiber_self();
	enum err err = self->stopping ? ERR_STOPPED : OK;

	while (!err &&
	       !((how & READABLE && is_readable(end)) || (how & WRITABLE && is_writable(end)))) {
		for (unsigned i = 0; i < 2; i++) {
			if (!(how & (READABLE << i)))
				continue;
			must(!end->waiters[i]); /* one fiber per direction */
			end->waiters[i] = self;
		}
		err = fiber_park(how == READABLE ? "readable" : "writable", deadline);
		for (unsigned i = 0; i < 2; i++)
			if (how & (READABLE << i))
				end->waiters[i] = NULL;
	}
	return err;
}

static void sim_shut(struct stream *stream)
{
	struct sim_end *end = end_of(stream);

	if (end->shut || end->reset)
		return;
	end->shut = true;
	sim_send(end->connection, end->side, SIM_FIN, 0);
}

void sim_end_drop(struct sim_end *end)
{
	must(!end->waiters[0] && !end->waiters[1]);
	end->dropped = true;
	if (other_end(end)->dropped) {
		connection_drop(end->connection);
		return;
	}
	/* rfc1122 4.2.2.13: closing with octets unread cuts the connection. */
	if (end->arrived > 0 && !end->reset)
		sim_send(end->connection, end->side, SIM_RESET, 0);
	else
		sim_shut(&end->stream);
}

static void sim_stream_drop(struct stream *stream)
{
	sim_end_drop(end_of(stream));
}

void sim_connection_cut(struct sim_connection *connection)
{
	drop_packets(connection);
	for (unsigned side = 0; side < 2; side++)
		sim_end_reset(&connection->ends[side]);
}

static void cut_stream(struct stream *stream)
{
	sim_connection_cut(end_of(stream)->connection);
}

static const struct stream_ops sim_stream_ops = {
	.try_read = sim_try_read,
	.try_write = sim_try_write,
	.wait = sim_wait,
	.shut = sim_shut,
	.drop = sim_stream_drop,
	.cut = cut_stream,
};
