/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of this folder share: a simulated world whose net is a zone file. */
#include "dns/mx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct scene {
	fiber_fn *fn;
	const char *zone;
};

struct net {
	const struct scene *scene;
	struct arena arena;
	struct arena zones;
	struct resolver *resolver;
	unsigned answers;
};

static inline struct dns_zone *zone_of(struct net *net, const char *text)
{
	struct dns_zone *zone = NULL;

	assert_int_equal(dns_zone_parse(&net->zones, str_of(text), &zone), OK);
	return zone;
}

static inline void set_zone(struct net *net, const char *text)
{
	resolver_set_zone(net->resolver, zone_of(net, text));
}

static inline struct dns_result ask_net(struct net *net, const char *name, enum dns_type type) WAITS
{
	struct resolver_question question = { str_of(name), type, 0 };
	struct dns_result result;

	resolver_ask(net->resolver, &question, &net->arena, &result);
	return result;
}

static inline const char *shown(struct net *net, const struct dns_result *result)
{
	struct dns_answer answer = { .records = result->records, .count = result->count };
	struct buf text = BUF(4000);
	char *copy;

	dns_answer_show(&answer, &text);
	copy = str_dup_c(&net->arena, buf_str(&text));
	buf_drop(&text);
	return copy;
}

static inline struct resolver_stats stats(const struct net *net)
{
	struct resolver_stats stats;

	resolver_get_stats(net->resolver, &stats);
	return stats;
}

static inline void run_scene(void *arg) WAITS
{
	struct net *net = arg;
	struct resolver_options options = { .zone = zone_of(net, net->scene->zone) };

	net->resolver = resolver_new(&options);
	net->scene->fn(net);
	resolver_drop(&net->resolver);
}

static inline void play(void **state)
{
	struct net net = { .scene = *state };
	struct world *world = world_sim_new(1);

	assert_int_equal(world_spawn(world, "test", run_scene, &net), OK);
	world_run(world);
	world_drop(&world);
	arena_drop(&net.arena);
	arena_drop(&net.zones);
}
