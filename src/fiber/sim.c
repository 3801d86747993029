/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/sim.h"

#include <stdio.h>
#include <stdlib.h>

/* 0 would look like "not set" to somebody, sooner or later. */
static const moment SIM_START = 1'000'000;
/* 2026-01-01T00:00:00Z */
static const int64_t WALL_START = 1'767'225'600'000'000;

enum { WINDOW_DEFAULT = 65536, FIRST_PORT = 49152, FIRST_LISTENER_PORT = 20000 };

struct sim_world *sim_of(struct world *world)
{
	must(world->simulated);
	return CONTAINER_OF(world, struct sim_world, world);
}

/* ---- time ---- */

static moment sim_now(struct world *world)
{
	return world->now;
}

static int64_t sim_wall_us(struct world *world)
{
	return sim_of(world)->wall_start + (world->now - SIM_START);
}

void sim_set_wall(struct world *world, int64_t us)
{
	sim_of(world)->wall_start = us;
}

/* Nothing from outside ever comes: all that can happen is the next timer. */
static void sim_poll(struct world *world, moment until)
{
	if (until == NEVER) {
		fprintf(stderr, "glasspost: simulated world: all wait, and nothing is due\n");
		world_print_fibers(world);
		must(until != NEVER);
	}
	if (until > world->now)
		world->now = until;
}

/* ---- chance ---- */

static uint64_t rotate(uint64_t value, unsigned by)
{
	return value << by | value >> (64 - by);
}

/* xoshiro256**, of Blackman and Vigna: small, fast, and good enough for anything but keys. */
static uint64_t next_chance(struct sim_world *sim)
{
	uint64_t *s = sim->chance;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate(s[3], 45);
	return result;
}

/* splitmix64 spreads one word over the generator's state, so that seeds 1 and 2 differ at once. */
static void seed_chance(struct sim_world *sim, uint64_t seed)
{
	for (size_t i = 0; i < COUNT_OF(sim->chance); i++) {
		uint64_t z = seed += 0x9E37'79B9'7F4A'7C15;

		z = (z ^ z >> 30) * 0xBF58'476D'1CE4'E5B9;
		z = (z ^ z >> 27) * 0x94D0'49BB'1331'11EB;
		sim->chance[i] = z ^ z >> 31;
	}
}

uint64_t sim_chance(struct sim_world *sim, uint64_t below)
{
	return below > 1 ? next_chance(sim) % below : 0;
}

static void sim_random(struct world *world, void *at, size_t len)
{
	struct sim_world *sim = sim_of(world);
	char *next = at;

	while (len > 0) {
		uint64_t value = next_chance(sim);
		size_t part = len < sizeof(value) ? len : sizeof(value);

		memcpy(next, &value, part);
		next += part;
		len -= part;
	}
}

/* ---- the world ---- */

/* At once and here: a thread's moment of return could not be the same in every run. */
static void sim_offload(struct world *world, enum offload_kind kind, void (*fn)(void *arg),
			void *arg) WAITS
{
	(void)world;
	(void)kind;
	fn(arg);
}

static void sim_drop(struct world *world)
{
	struct sim_world *sim = sim_of(world);

	sim_net_done(sim);
	world_done(world);
	free(sim);
}

void sim_set_link(struct world *world, const struct sim_link *link)
{
	struct sim_world *sim = sim_of(world);

	must(link->delay_us >= 0 && link->jitter_us >= 0 && link->loss_ppm <= 1'000'000);
	sim->link = *link;
	if (sim->link.window == 0)
		sim->link.window = WINDOW_DEFAULT;
}

void sim_set_local(struct world *world, const struct addr *address)
{
	struct sim_world *sim = sim_of(world);

	must(address->family == ADDR_IPV4 || address->family == ADDR_IPV6);
	if (address->family == ADDR_IPV4)
		sim->local_ipv4 = *address;
	else
		sim->local_ipv6 = *address;
}

struct world *world_sim_new(uint64_t seed)
{
	static const struct world_ops ops = {
		.now = sim_now,
		.wall_us = sim_wall_us,
		.random = sim_random,
		.poll = sim_poll,
		.drop = sim_drop,
		.offload = sim_offload,
		.listen = sim_listen,
		.connect = sim_connect,
		.pair = sim_pair,
	};
	struct sim_world *sim = calloc(1, sizeof(*sim));

	must(sim);
	world_init(&sim->world, &ops, true);
	sim->world.now = SIM_START;
	sim->wall_start = WALL_START;
	seed_chance(sim, seed);
	sim->link.window = WINDOW_DEFAULT;
	list_init(&sim->listeners);
	list_init(&sim->connections);
	list_init(&sim->dark);
	/* Networks set aside for measuring: rfc2544 C.2.2, rfc5180 8. */
	must(addr_parse_ip(S("198.18.0.1"), &sim->local_ipv4));
	must(addr_parse_ip(S("2001:2::1"), &sim->local_ipv6));
	sim->next_port = FIRST_PORT;
	sim->next_listener_port = FIRST_LISTENER_PORT;
	return &sim->world;
}
