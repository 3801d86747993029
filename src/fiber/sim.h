/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sim (private): the world of the laboratory and of fault tests. Its clock stands still while
 * anybody can run, then jumps to the next timer. Its net is in sim_net.c and sim_link.c.
 */
#include "fiber/world.h"

struct sim_world {
	struct world world;
	int64_t wall_start; /* the wall clock when the monotonic one stood at SIM_START */
	uint64_t chance[4]; /* the generator's state */
	struct sim_link link;
	struct list listeners;
	struct list connections;
	struct list dark; /* addresses whose cable is pulled */
	struct addr local_ipv4;
	struct addr local_ipv6;
	uint16_t next_port; /* of those who connect */
	uint16_t next_listener_port;
};

struct sim_world *sim_of(struct world *world);              /* must() be a simulated one */
uint64_t sim_chance(struct sim_world *sim, uint64_t below); /* 0..below-1; 0 when below is 0 */
void sim_net_done(struct sim_world *sim);

enum err sim_listen(struct world *world, const struct addr *at, int backlog, struct listener **out);
enum err sim_connect(struct world *world, const struct connecting *connecting, struct stream **out)
	WAITS;
enum err sim_pair(struct world *world, struct stream *ends[2]);
