/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MINUTE_MS = 60'000 };

static struct addr ip(const char *text)
{
	struct addr out;

	must(addr_parse_ip(str_of(text), &out));
	return out;
}

static void run_in_world(fiber_fn *fn)
{
	struct world *world = world_sim_new(1);

	must(world_spawn(world, "test", fn, NULL) == OK);
	world_run(world);
	world_drop(&world);
}

static const char *enter(struct caps *caps, const char *text)
{
	struct addr peer = ip(text);

	return caps_enter(caps, &peer);
}

static void leave(struct caps *caps, const char *text)
{
	struct addr peer = ip(text);

	caps_leave(caps, &peer);
}

static void open_connections(void *arg) WAITS
{
	struct caps_limits limits = { .open_per_group = 2,
				      .new_per_minute = 100,
				      .open_in_all = 5 };
	struct caps *caps = caps_new(&limits);

	(void)arg;
	must(!enter(caps, "192.0.2.1") && !enter(caps, "192.0.2.1"));
	must(strcmp(enter(caps, "192.0.2.1"), "connections_per_address") == 0);
	must(!enter(caps, "192.0.2.2"));
	/* IPv6 is counted by the /64 */
	must(!enter(caps, "2001:db8::1") && !enter(caps, "2001:db8::ffff"));
	must(strcmp(enter(caps, "192.0.2.3"), "connections_max") == 0);
	leave(caps, "192.0.2.2");
	must(strcmp(enter(caps, "2001:db8::2"), "connections_per_address") == 0);
	must(!enter(caps, "2001:db8:0:1::1"));
	leave(caps, "192.0.2.1");
	must(!enter(caps, "192.0.2.1"));
	caps_drop(&caps);
	must(!caps);
}

static void new_connections(void *arg) WAITS
{
	struct caps_limits limits = { .open_per_group = 100,
				      .new_per_minute = 3,
				      .open_in_all = 100 };
	struct caps *caps = caps_new(&limits);

	(void)arg;
	for (int i = 0; i < 3; i++) {
		must(!enter(caps, "192.0.2.1"));
		leave(caps, "192.0.2.1");
	}
	must(strcmp(enter(caps, "192.0.2.1"), "connections_new_per_minute") == 0);
	must(!enter(caps, "192.0.2.9"));
	must(!fiber_sleep(in_ms(2 * MINUTE_MS)));
	must(!enter(caps, "192.0.2.1"));
	caps_drop(&caps);
}

static void exemptions(void *arg) WAITS
{
	struct network loopback;
	struct caps_limits limits = { .open_per_group = 1,
				      .new_per_minute = 1,
				      .open_in_all = 3,
				      .exempt = &loopback,
				      .exempt_count = 1 };
	struct caps_limits strict = { .open_per_group = 1, .new_per_minute = 9, .open_in_all = 9 };
	struct addr unix_peer = { .family = ADDR_UNIX };
	struct addr local = ip("127.0.0.1");
	struct caps *caps;

	(void)arg;
	must(network_parse(S("127.0.0.0/8"), &loopback));
	caps = caps_new(&limits);
	must(!enter(caps, "127.0.0.1") && !enter(caps, "127.0.0.1"));
	must(!caps_enter(caps, &unix_peer));
	must(strcmp(enter(caps, "127.0.0.1"), "connections_max") == 0);
	caps_blame(caps, &local, 10);
	must(caps_blamed(caps, &local) == 0);
	/* What entered exempt leaves safely when it is not any more. */
	caps_set(caps, &strict);
	leave(caps, "127.0.0.1");
	leave(caps, "127.0.0.1");
	must(!enter(caps, "127.0.0.1"));
	caps_drop(&caps);
}

static void blame(void *arg) WAITS
{
	struct caps_limits limits = { .open_per_group = 9, .new_per_minute = 9, .open_in_all = 9 };
	struct caps *caps = caps_new(&limits);
	struct addr peer = ip("192.0.2.1");

	(void)arg;
	must(caps_blamed(caps, &peer) == 0);
	caps_blame(caps, &peer, 8);
	must(caps_blamed(caps, &peer) == 8);
	must(!fiber_sleep(in_ms(10 * MINUTE_MS)));
	must(caps_blamed(caps, &peer) == 4);
	must(!fiber_sleep(in_ms(10 * MINUTE_MS)));
	must(caps_blamed(caps, &peer) == 2);
	caps_blame(caps, &peer, UINT32_MAX);
	caps_blame(caps, &peer, UINT32_MAX);
	must(caps_blamed(caps, &peer) == 1'000'000);
	must(!fiber_sleep(in_ms(61 * MINUTE_MS)));
	must(caps_blamed(caps, &peer) == 0);
	caps_drop(&caps);
}

/* A million addresses leave no more behind than the table remembers. */
static void a_crowd(void *arg) WAITS
{
	struct caps_limits limits = { .open_per_group = 2, .new_per_minute = 9, .open_in_all = 9 };
	struct caps *caps = caps_new(&limits);
	struct addr peer = ip("10.0.0.0");

	(void)arg;
	must(!enter(caps, "192.0.2.1"));
	for (unsigned i = 0; i < 100'000; i++) {
		peer.ip[1] = (unsigned char)(i >> 16);
		peer.ip[2] = (unsigned char)(i >> 8);
		peer.ip[3] = (unsigned char)i;
		must(!caps_enter(caps, &peer));
		caps_blame(caps, &peer, 1);
		caps_leave(caps, &peer);
	}
	must(caps_blamed(caps, &peer) == 1); /* the newest are remembered */
	peer = ip("10.0.0.1");
	must(caps_blamed(caps, &peer) == 0); /* the oldest are not */
	must(!enter(caps, "192.0.2.1"));     /* who is in is never forgotten */
	must(strcmp(enter(caps, "192.0.2.1"), "connections_per_address") == 0);
	caps_drop(&caps);
}

#define IN_WORLD(name, fn)                                                                         \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		run_in_world(fn);                                                                  \
	}
IN_WORLD(connections_open_at_once_are_capped, open_connections)
IN_WORLD(connections_begun_in_a_minute_are_capped, new_connections)
IN_WORLD(exempt_networks_are_not_counted, exemptions)
IN_WORLD(blame_fades, blame)
IN_WORLD(memory_is_bounded_whoever_comes, a_crowd)

static void hold_fiber(void *arg)
{
	struct caps_limits limits = {
		.open_per_group = 9, .new_per_minute = 9, .open_in_all = 9, .octets_in_all = 1000
	};
	struct caps *caps = caps_new(&limits);
	struct addr greedy = ip("192.0.2.1");
	struct addr other = ip("198.51.100.1");

	(void)arg;
	assert_null(enter(caps, "192.0.2.1"));
	assert_null(enter(caps, "198.51.100.1"));
	assert_true(caps_hold(caps, &greedy, 250));
	assert_false(caps_hold(caps, &greedy, 1));
	assert_true(caps_hold(caps, &other, 200));
	assert_false(caps_hold(caps, &other, UINT64_MAX));
	caps_let_go(caps, &greedy, 250);
	assert_true(caps_hold(caps, &greedy, 249));
	caps_let_go(caps, &greedy, 249);
	caps_let_go(caps, &other, 200);
	leave(caps, "192.0.2.1");
	leave(caps, "198.51.100.1");
	caps_drop(&caps);
}

static void no_address_takes_all_the_memory(void **state)
{
	(void)state;
	run_in_world(hold_fiber);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_open_at_once_are_capped),
		cmocka_unit_test(connections_begun_in_a_minute_are_capped),
		cmocka_unit_test(exempt_networks_are_not_counted),
		cmocka_unit_test(blame_fades),
		cmocka_unit_test(memory_is_bounded_whoever_comes),
		cmocka_unit_test(no_address_takes_all_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
