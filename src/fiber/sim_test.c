/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated net: links behave as they are told, and the same seed gives the same run. */
#include "fiber/fiber_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { MS = 1000, SECOND = 1'000'000 };

static struct addr address(const char *text)
{
	struct addr addr;

	assert_true(addr_parse(str_of(text), &addr) || addr_parse_ip(str_of(text), &addr));
	return addr;
}

static void set_link(struct sim_link link)
{
	sim_set_link(world_here(), &link);
}

/* Reads to the end; gives the failure and how much came. */
static enum err drain(struct stream *stream, moment deadline, size_t *total) WAITS
{
	char block[4096];
	size_t len;
	enum err err;

	*total = 0;
	while (!(err = stream_read(stream, block, sizeof(block), deadline, &len)))
		*total += len;
	return err;
}

static struct listener *listen_on(const char *text)
{
	struct addr at = address(text);
	struct listener *listener = NULL;

	assert_int_equal(listener_new(&at, 16, &listener), OK);
	return listener;
}

static void connect_through(struct listener *listener, struct stream *ends[2]) WAITS
{
	assert_int_equal(stream_connect(listener_address(listener), NEVER, &ends[0]), OK);
	assert_int_equal(listener_accept(listener, NEVER, &ends[1]), OK);
}

static void drop_both(struct stream *ends[2])
{
	stream_drop(&ends[0]);
	stream_drop(&ends[1]);
}

/* ---- links ---- */

static void delay_main(void *arg) WAITS
{
	struct listener *listener = listen_on("192.0.2.1:25");
	struct stream *ends[2];
	moment begun = now();
	char octet;
	size_t len;

	(void)arg;
	set_link((struct sim_link){ .delay_us = 100 * MS });
	assert_int_equal(stream_connect(listener_address(listener), NEVER, &ends[0]), OK);
	assert_int_equal(now() - begun, 200 * MS); /* there and back */
	assert_int_equal(listener_accept(listener, NEVER, &ends[1]), OK);
	begun = now();
	assert_int_equal(stream_write(ends[0], S("x"), NEVER), OK);
	assert_int_equal(now() - begun, 0);
	assert_int_equal(stream_read(ends[1], &octet, 1, begun + 100 * MS - 1, &len), ERR_TIMEOUT);
	assert_int_equal(stream_read(ends[1], &octet, 1, NEVER, &len), OK);
	assert_int_equal(now() - begun, 100 * MS);
	stream_drop(&ends[0]);
	assert_int_equal(stream_read(ends[1], &octet, 1, NEVER, &len), ERR_CLOSED);
	assert_int_equal(now() - begun, 200 * MS);
	stream_drop(&ends[1]);
	listener_drop(&listener);
}

static void send_and_shut(void *arg) WAITS
{
	struct stream *stream = arg;
	static char block[10'000];

	for (int i = 0; i < 10; i++)
		if (stream_write(stream, (struct str){ block, sizeof(block) }, NEVER))
			return;
	stream_shut(stream);
}

/* How long 100,000 octets take over a pair of ends of the link set. */
static moment time_of_transfer(struct sim_link link, enum err *end, size_t *total) WAITS
{
	struct stream *ends[2];
	moment begun = now();
	moment took;

	set_link(link);
	assert_int_equal(stream_pair(ends), OK);
	spawn(NULL, "sender", send_and_shut, ends[0]);
	*end = drain(ends[1], NEVER, total);
	took = now() - begun;
	(void)fiber_yield();
	drop_both(ends);
	return took;
}

static void bandwidth_main(void *arg) WAITS
{
	size_t total;
	enum err err;
	moment took = time_of_transfer((struct sim_link){ .octets_per_s = 10'000 }, &err, &total);

	(void)arg;
	assert_int_equal(err, ERR_CLOSED);
	assert_int_equal(total, 100'000);
	assert_in_range(took, 10 * SECOND, 105 * SECOND / 10); /* headers take their part */
	/* A window of one segment's worth and a round trip of 200 ms: 5 windows a second. */
	took = time_of_transfer((struct sim_link){ .delay_us = 100 * MS, .window = 10'000 }, &err,
				&total);
	assert_int_equal(total, 100'000);
	assert_in_range(took, 18 * SECOND / 10, 22 * SECOND / 10);
}

static void loss_main(void *arg) WAITS
{
	size_t total;
	enum err err;
	moment took = time_of_transfer((struct sim_link){ .loss_ppm = 50'000 }, &err, &total);

	(void)arg;
	assert_int_equal(err, ERR_CLOSED);
	assert_int_equal(total, 100'000);
	/* 69 segments, one in twenty late by 200 ms or more; most of those waits lie apart. */
	assert_in_range(took, 200 * MS, 20 * SECOND);
}

static void write_into_nothing(void *arg) WAITS
{
	struct stream *ends[2];
	moment begun = now();
	size_t total;

	(void)arg;
	set_link((struct sim_link){ .loss_ppm = 1'000'000 });
	assert_int_equal(stream_pair(ends), OK);
	assert_int_equal(stream_write(ends[0], S("hello?"), NEVER), OK);
	/* The sender's TCP gives up after a quarter of an hour; the other side hears nothing. */
	assert_int_equal(drain(ends[0], NEVER, &total), ERR_RESET);
	assert_in_range(now() - begun, 600 * (int64_t)SECOND, 1800 * (int64_t)SECOND);
	assert_int_equal(drain(ends[1], in_ms(100), &total), ERR_TIMEOUT);
	drop_both(ends);
}

static void jitter_main(void *arg) WAITS
{
	struct stream *ends[2];
	bool varied = false;
	moment last = 0;

	(void)arg;
	set_link((struct sim_link){ .delay_us = 10 * MS, .jitter_us = 50 * MS });
	assert_int_equal(stream_pair(ends), OK);
	for (int i = 0; i < 200; i++) {
		char sent = (char)i;
		char got;
		size_t len;
		moment begun = now();

		/* A second octet close behind the first must not overtake it. */
		assert_int_equal(stream_write(ends[0], (struct str){ &sent, 1 }, NEVER), OK);
		sent = (char)~sent;
		assert_int_equal(stream_write(ends[0], (struct str){ &sent, 1 }, NEVER), OK);
		assert_int_equal(stream_read(ends[1], &got, 1, NEVER, &len), OK);
		assert_in_range(now() - begun, 10 * MS, 60 * MS);
		varied |= last && now() - begun != last;
		last = now() - begun;
		assert_int_equal(got, (char)i);
		assert_int_equal(stream_read(ends[1], &got, 1, NEVER, &len), OK);
		assert_int_equal(got, (char)~(char)i);
	}
	assert_true(varied);
	drop_both(ends);
}

static void window_main(void *arg) WAITS
{
	struct stream *ends[2];
	char block[1000] = { 0 };
	size_t len;
	size_t put = 0;

	(void)arg;
	set_link((struct sim_link){ .window = 2500 });
	assert_int_equal(stream_pair(ends), OK);
	while (!stream_try_write(ends[0], (struct str){ block, sizeof(block) }, &len))
		put += len;
	assert_int_equal(put, 2500);
	assert_int_equal(stream_wait(ends[0], WRITABLE, in_ms(1000)), ERR_TIMEOUT);
	assert_int_equal(stream_read(ends[1], block, 100, NEVER, &len), OK);
	assert_int_equal(stream_wait(ends[0], WRITABLE, in_ms(1000)), OK);
	assert_int_equal(stream_try_write(ends[0], (struct str){ block, sizeof(block) }, &len), OK);
	assert_int_equal(len, 100);
	drop_both(ends);
}

/* ---- faults ---- */

static void cut_main(void *arg) WAITS
{
	struct listener *listener = listen_on("192.0.2.1:25");
	struct listener *other = listen_on("192.0.2.2:25");
	struct stream *ends[2];
	struct stream *spared[2];
	struct addr host = address("192.0.2.1");
	size_t total;

	(void)arg;
	set_link((struct sim_link){ .delay_us = 10 * MS });
	connect_through(listener, ends);
	connect_through(other, spared);
	assert_int_equal(stream_write(ends[0], S("arrives"), NEVER), OK);
	assert_int_equal(fiber_sleep(in_ms(20)), OK);
	assert_int_equal(stream_write(ends[0], S("is lost"), NEVER), OK);
	sim_cut(world_here(), &host);
	assert_int_equal(drain(ends[1], NEVER, &total), ERR_RESET);
	assert_int_equal(total, 7);
	assert_int_equal(drain(ends[0], NEVER, &total), ERR_RESET);
	assert_int_equal(stream_write(ends[0], S("x"), NEVER), ERR_RESET);
	drop_both(ends);
	connect_through(listener, ends); /* a cut is no outage */
	sim_stream_cut(ends[1]);
	assert_int_equal(drain(ends[0], NEVER, &total), ERR_RESET);
	drop_both(ends);
	assert_int_equal(stream_write(spared[0], S("spared"), NEVER), OK);
	assert_int_equal(stream_wait(spared[1], READABLE, in_ms(100)), OK);
	drop_both(spared);
	listener_drop(&listener);
	listener_drop(&other);
}

static void dark_main(void *arg) WAITS
{
	struct listener *listener = listen_on("192.0.2.1:25");
	struct stream *ends[2];
	struct stream *late;
	struct addr host = address("192.0.2.1");
	moment begun;
	size_t total;

	(void)arg;
	set_link((struct sim_link){ .delay_us = 10 * MS });
	connect_through(listener, ends);
	assert_int_equal(stream_write(ends[0], S("under way"), NEVER), OK);
	sim_go_dark(world_here(), &host);
	assert_int_equal(stream_write(ends[0], S("too late"), NEVER), OK);
	assert_int_equal(drain(ends[1], in_ms(3'600'000), &total), ERR_TIMEOUT);
	assert_int_equal(total, 0);
	stream_drop(&ends[0]);
	assert_int_equal(drain(ends[1], in_ms(3'600'000), &total), ERR_TIMEOUT); /* half open */
	begun = now();
	assert_int_equal(stream_connect(listener_address(listener), in_ms(5000), &late),
			 ERR_TIMEOUT);
	assert_int_equal(now() - begun, 5 * SECOND);
	assert_int_equal(stream_connect(listener_address(listener), NEVER, &late), ERR_TIMEOUT);
	assert_in_range(now() - begun, 60 * SECOND, 300 * SECOND);
	sim_come_back(world_here(), &host);
	assert_int_equal(stream_connect(listener_address(listener), in_ms(5000), &late), OK);
	assert_int_equal(drain(ends[1], in_ms(1000), &total), ERR_TIMEOUT);
	stream_drop(&ends[1]);
	stream_drop(&late);
	listener_drop(&listener); /* with `late` never accepted */
}

/* ---- listeners and addresses ---- */

static void accept_late(void *arg) WAITS
{
	struct listener *listener = arg;
	struct stream *stream;

	assert_int_equal(fiber_sleep(in_ms(10'500)), OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(listener_accept(listener, NEVER, &stream), OK);
		stream_drop(&stream);
	}
}

static void connect_and_drop(void *arg) WAITS
{
	struct listener *listener = arg;
	struct stream *stream;

	assert_int_equal(stream_connect(listener_address(listener), NEVER, &stream), OK);
	stream_drop(&stream);
}

static void backlog_main(void *arg) WAITS
{
	struct addr at = address("192.0.2.1:25");
	struct listener *listener;
	struct fiber_group group;
	struct stream *stream;
	size_t total;

	(void)arg;
	assert_int_equal(listener_new(&at, 1, &listener), OK);
	group_init(&group);
	for (int i = 0; i < 3; i++)
		spawn(&group, "connect", connect_and_drop, listener);
	spawn(&group, "accept", accept_late, listener);
	assert_int_equal(group_wait(&group, in_ms(60'000)), OK); /* by trying again */
	assert_int_equal(stream_connect(&at, NEVER, &stream), OK);
	listener_drop(&listener); /* who was never accepted is told */
	assert_int_equal(drain(stream, NEVER, &total), ERR_RESET);
	stream_drop(&stream);
	assert_int_equal(stream_connect(&at, NEVER, &stream), ERR_REFUSED);
}

static void address_main(void *arg) WAITS
{
	struct listener *any4 = listen_on("0.0.0.0:25");
	struct listener *any6 = listen_on("[::]:25");
	struct listener *one = listen_on("192.0.2.9:25");
	struct addr local = address("203.0.113.7");
	struct addr to = address("192.0.2.44:25");
	struct stream *ends[2];

	(void)arg;
	sim_set_local(world_here(), &local);
	assert_int_equal(stream_connect(&to, NEVER, &ends[0]), OK);
	assert_int_equal(listener_accept(any4, NEVER, &ends[1]), OK);
	assert_true(addr_is_same_ip(stream_peer(ends[1]), &local));
	assert_true(addr_is_same_ip(stream_local(ends[1]), &to)); /* not the wildcard */
	drop_both(ends);
	connect_through(one, ends); /* the exact one wins */
	drop_both(ends);
	to = address("[2001:db8::5]:25");
	assert_int_equal(stream_connect(&to, NEVER, &ends[0]), OK);
	assert_int_equal(listener_accept(any6, NEVER, &ends[1]), OK);
	assert_int_equal(stream_peer(ends[1])->family, ADDR_IPV6);
	drop_both(ends);
	listener_drop(&any4);
	listener_drop(&any6);
	listener_drop(&one);
}

static void wall_main(void *arg) WAITS
{
	(void)arg;
	assert_int_equal(wall_us(), 1'767'225'600'000'000); /* 2026-01-01T00:00:00Z */
	assert_int_equal(fiber_sleep(in_ms(5 * 86'400'000LL)), OK);
	assert_int_equal(wall_us(), 1'767'225'600'000'000 + 5 * 86'400LL * SECOND);
	sim_set_wall(world_here(), 0);
	assert_int_equal(wall_us(), 5 * 86'400LL * SECOND);
}

/* ---- random walks: the same seed gives the same run ---- */

struct walk {
	uint64_t trace;
	size_t steps;
	struct listener *listener;
	struct waitq queue;
	struct semaphore semaphore;
	struct fiber_group group;
	struct batcher *batcher;
};

/* Everything that can be observed goes in; FNV-1a. */
static void observe(struct walk *walk, uint64_t value)
{
	uint64_t values[] = { value, (uint64_t)now() };
	const unsigned char *at = (const void *)values;

	for (size_t i = 0; i < sizeof(values); i++)
		walk->trace = (walk->trace ^ at[i]) * 0x100'0000'01B3;
	walk->steps++;
}

static void random_link(void)
{
	set_link((struct sim_link){
		.delay_us = (int64_t)(random_u64() % 50'000),
		.jitter_us = (int64_t)(random_u64() % 20'000),
		.octets_per_s = random_u64() % 3 ? 0 : 1000 + random_u64() % 1'000'000,
		.loss_ppm = random_u64() % 2 ? 0 : (unsigned)(random_u64() % 200'000),
		.window = random_u64() % 2 ? 0 : 1 + random_u64() % 5000,
	});
}

/* Sends a stream of counted octets, so that the other side can tell any that is out of place. */
static void walk_send(struct walk *walk, struct stream *stream) WAITS
{
	char block[600];
	unsigned char next = 0;

	for (int i = 0; i < 12; i++) {
		size_t len = 1 + random_u64() % sizeof(block);
		enum err err;

		for (size_t k = 0; k < len; k++)
			block[k] = (char)next++;
		err = stream_write(stream, (struct str){ block, len }, in_ms(2000));
		observe(walk, (uint64_t)err);
		if (err)
			break;
		if (random_u64() % 20 == 0)
			sim_stream_cut(stream);
		(void)fiber_sleep(in_us((int64_t)(random_u64() % 30'000)));
	}
}

static void walk_client(void *arg) WAITS
{
	struct walk *walk = arg;
	struct stream *stream;
	enum err err;

	random_link();
	err = stream_connect(listener_address(walk->listener), in_ms(1 + random_u64() % 5000),
			     &stream);
	observe(walk, (uint64_t)err);
	if (err)
		return;
	walk_send(walk, stream);
	stream_drop(&stream);
}

struct walk_session {
	struct walk *walk;
	struct stream *stream;
};

static void walk_serve(void *arg) WAITS
{
	struct walk_session *session = arg;
	unsigned char block[512];
	unsigned char expected = 0;
	size_t len;
	enum err err;

	while (!(err = stream_read(session->stream, block, 1 + random_u64() % sizeof(block),
				   in_ms(3000), &len))) {
		for (size_t i = 0; i < len; i++)
			if (block[i] != expected++)
				fail_msg("an octet out of its place");
		observe(session->walk, len);
	}
	observe(session->walk, (uint64_t)err);
	stream_drop(&session->stream);
	free(session);
}

static void walk_accept(void *arg) WAITS
{
	struct walk *walk = arg;
	struct stream *stream;

	while (!listener_accept(walk->listener, NEVER, &stream)) {
		struct walk_session *session = malloc(sizeof(*session));

		must(session);
		*session = (struct walk_session){ walk, stream };
		observe(walk, stream_peer(stream)->port);
		spawn(&walk->group, "serve", walk_serve, session);
	}
}

static void walk_batch(void *context, struct list *jobs)
{
	LIST_EACH (link, jobs)
		observe(context, 7);
}

static void walk_wait(void *arg) WAITS
{
	struct walk *walk = arg;
	struct batch_job job;

	for (int i = 0; i < 8; i++) {
		moment deadline = in_us((int64_t)(random_u64() % 40'000));
		enum err err = OK;

		switch (random_u64() % 6) {
		case 0:
			err = waitq_wait(&walk->queue, deadline);
			break;
		case 1:
			waitq_wake_one(&walk->queue);
			break;
		case 2:
			waitq_wake_all(&walk->queue);
			break;
		case 3:
			err = semaphore_take(&walk->semaphore, deadline);
			(void)fiber_sleep(in_us((int64_t)(random_u64() % 5000)));
			if (!err)
				semaphore_give(&walk->semaphore);
			break;
		case 4:
			batcher_run(walk->batcher, &job);
			break;
		default:
			err = fiber_yield();
		}
		observe(walk, (uint64_t)err);
	}
}

static void walk_main(void *arg) WAITS
{
	struct walk *walk = arg;
	struct fiber_group clients;
	struct fiber *accepter;
	struct fiber *victim;

	walk->listener = listen_on("192.0.2.1:25");
	walk->batcher = batcher_new(walk_batch, walk, 1500);
	waitq_init(&walk->queue);
	semaphore_init(&walk->semaphore, 2);
	group_init(&walk->group);
	group_init(&clients);
	assert_int_equal(fiber_spawn(NULL, "accept", walk_accept, walk, &accepter), OK);
	for (int i = 0; i < 8; i++) {
		spawn(&clients, "client", walk_client, walk);
		assert_int_equal(fiber_spawn(&clients, "wait", walk_wait, walk, &victim), OK);
		if (random_u64() % 4 == 0)
			fiber_stop(victim);
		(void)fiber_sleep(in_us((int64_t)(random_u64() % 10'000)));
	}
	assert_int_equal(group_wait(&clients, NEVER), OK);
	fiber_stop(accepter);
	(void)fiber_yield();
	assert_int_equal(group_wait(&walk->group, NEVER), OK);
	assert_int_equal(walk->semaphore.free, 2);
	assert_true(list_is_empty(&walk->queue.waiters));
	batcher_drop(&walk->batcher);
	listener_drop(&walk->listener);
}

static uint64_t trace_of(uint64_t seed)
{
	struct walk walk = { .trace = 0xCBF2'9CE4'8422'2325 };
	struct world *world = world_sim_new(seed);

	run_in(world, walk_main, &walk);
	assert_true(walk.steps > 50);
	return walk.trace;
}

enum { SEEDS = 200 };

static void the_same_seed_gives_the_same_trace(void **state)
{
	static uint64_t traces[SEEDS];

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		traces[seed] = trace_of(seed);
		if (trace_of(seed) != traces[seed])
			fail_msg("seed %d: two runs differ", (int)seed);
		for (uint64_t other = 0; other < seed; other++)
			if (traces[other] == traces[seed])
				fail_msg("seeds %d and %d: the same run", (int)seed, (int)other);
	}
}

#define IN_SIM_WORLD(test, main)                                                                   \
	static void test(void **state)                                                             \
	{                                                                                          \
		run_in(world_of_kind(state), main, NULL);                                          \
	}

IN_SIM_WORLD(a_delay_is_kept_to_the_microsecond, delay_main)
IN_SIM_WORLD(bandwidth_and_window_bound_the_rate, bandwidth_main)
IN_SIM_WORLD(losses_are_repaired_by_waiting, loss_main)
IN_SIM_WORLD(a_link_that_loses_all_is_given_up, write_into_nothing)
IN_SIM_WORLD(jitter_does_not_reorder, jitter_main)
IN_SIM_WORLD(a_full_window_makes_the_writer_wait, window_main)
IN_SIM_WORLD(a_cut_resets_both_sides, cut_main)
IN_SIM_WORLD(a_pulled_cable_tells_nobody, dark_main)
IN_SIM_WORLD(a_full_backlog_is_tried_again, backlog_main)
IN_SIM_WORLD(addresses_are_found_as_on_a_real_host, address_main)
IN_SIM_WORLD(five_days_pass_at_once, wall_main)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SIMULATED(a_delay_is_kept_to_the_microsecond),
		IN_SIMULATED(bandwidth_and_window_bound_the_rate),
		IN_SIMULATED(losses_are_repaired_by_waiting),
		IN_SIMULATED(a_link_that_loses_all_is_given_up),
		IN_SIMULATED(jitter_does_not_reorder),
		IN_SIMULATED(a_full_window_makes_the_writer_wait),
		IN_SIMULATED(a_cut_resets_both_sides),
		IN_SIMULATED(a_pulled_cable_tells_nobody),
		IN_SIMULATED(a_full_backlog_is_tried_again),
		IN_SIMULATED(addresses_are_found_as_on_a_real_host),
		IN_SIMULATED(five_days_pass_at_once),
		IN_SIMULATED(the_same_seed_gives_the_same_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
