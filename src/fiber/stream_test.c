/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, by the same code in both worlds. */
#include "fiber/fiber_test.h"

#include <stdio.h>
#include <unistd.h>

static struct addr loopback(void)
{
	struct addr addr;

	assert_true(addr_parse(S("127.0.0.1:0"), &addr));
	return addr;
}

static struct listener *listen_at(struct addr at)
{
	struct listener *listener = NULL;

	assert_int_equal(listener_new(&at, 16, &listener), OK);
	return listener;
}

static void read_exactly(struct stream *stream, char *at, size_t len) WAITS
{
	while (len > 0) {
		size_t got;

		assert_int_equal(stream_read(stream, at, len, in_ms(20'000), &got), OK);
		assert_true(got > 0 && got <= len);
		at += got;
		len -= got;
	}
}

/* ---- echo ---- */

static void echo(void *arg) WAITS
{
	struct stream *stream = arg;
	char buffer[1024];
	size_t len;

	while (!stream_read(stream, buffer, sizeof(buffer), NEVER, &len))
		if (stream_write(stream, (struct str){ buffer, len }, NEVER))
			break;
	stream_drop(&stream);
}

static void echo_server(void *arg) WAITS
{
	struct listener *listener = arg;
	struct stream *stream;

	while (!listener_accept(listener, NEVER, &stream))
		spawn(NULL, "echo", echo, stream);
	listener_drop(&listener);
}

enum { CLIENTS = 50 };

static void echo_client(void *arg) WAITS
{
	const struct addr *to = arg;
	struct stream *stream;

	assert_int_equal(stream_connect(to, in_ms(20'000), &stream), OK);
	assert_int_equal(stream_peer(stream)->port, to->port);
	assert_true(addr_is_same_ip(stream_peer(stream), to));
	assert_int_equal(stream_local(stream)->family, to->family);
	for (int i = 0; i < 20; i++) {
		char sent[100];
		char got[100];

		random_bytes(sent, sizeof(sent));
		assert_int_equal(stream_write(stream, (struct str){ sent, sizeof(sent) }, NEVER),
				 OK);
		read_exactly(stream, got, sizeof(got));
		assert_memory_equal(sent, got, sizeof(got));
	}
	stream_drop(&stream);
	stream_drop(&stream);
}

static void echo_main(void *arg) WAITS
{
	struct listener *listener = listen_at(*(struct addr *)arg);
	struct addr at = *listener_address(listener);
	struct fiber_group group;
	struct fiber *server;

	assert_int_equal(fiber_spawn(NULL, "server", echo_server, listener, &server), OK);
	group_init(&group);
	for (int i = 0; i < CLIENTS; i++)
		spawn(&group, "client", echo_client, &at);
	assert_int_equal(group_wait(&group, NEVER), OK);
	fiber_stop(server);
}

static void many_clients_hear_their_echo(void **state)
{
	struct addr at = loopback();

	run_in(world_of_kind(state), echo_main, &at);
}

static void a_unix_socket_serves_as_well(void **state)
{
	struct addr at;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/fiber_test.%d", (int)getpid());
	assert_true(addr_parse(str_of(path), &at));
	run_in(world_of_kind(state), echo_main, &at);
	assert_int_not_equal(access(path, F_OK), 0); /* the name goes with its listener */
}

/* ---- ends ---- */

static void pair_main(void *arg) WAITS
{
	struct stream *ends[2];
	char buffer[16];
	size_t len;

	(void)arg;
	assert_int_equal(stream_pair(ends), OK);
	assert_int_equal(stream_peer(ends[0])->family, ADDR_UNIX);
	assert_int_equal(stream_local(ends[1])->family, ADDR_UNIX);
	assert_int_equal(stream_try_read(ends[0], buffer, sizeof(buffer), &len), ERR_AGAIN);
	assert_int_equal(stream_wait(ends[0], READABLE, in_ms(1)), ERR_TIMEOUT);
	assert_int_equal(stream_wait(ends[0], WRITABLE, in_ms(1)), OK);
	assert_int_equal(stream_try_write(ends[0], S("ab"), &len), OK);
	assert_int_equal(len, 2);
	assert_int_equal(stream_wait(ends[1], READABLE | WRITABLE, in_ms(1000)), OK);
	read_exactly(ends[1], buffer, 2);
	assert_memory_equal(buffer, "ab", 2);
	/* rfc9293 3.6: one half may close while the other still speaks. */
	stream_shut(ends[0]);
	assert_int_equal(stream_read(ends[1], buffer, 1, in_ms(1000), &len), ERR_CLOSED);
	assert_int_equal(stream_read(ends[1], buffer, 1, in_ms(1000), &len), ERR_CLOSED);
	assert_int_equal(stream_write(ends[1], S("cd"), in_ms(1000)), OK);
	read_exactly(ends[0], buffer, 2);
	assert_memory_equal(buffer, "cd", 2);
	stream_drop(&ends[1]);
	assert_int_equal(stream_read(ends[0], buffer, 1, in_ms(1000), &len), ERR_CLOSED);
	stream_drop(&ends[0]);
}

static void a_pair_shuts_one_half_at_a_time(void **state)
{
	run_in(world_of_kind(state), pair_main, NULL);
}

/* Both ends of a connection over TCP (or what stands for it). */
static void connected(struct stream *ends[2]) WAITS
{
	struct listener *listener = listen_at(loopback());

	assert_int_equal(stream_connect(listener_address(listener), in_ms(5000), &ends[0]), OK);
	assert_int_equal(listener_accept(listener, in_ms(5000), &ends[1]), OK);
	assert_int_equal(stream_peer(ends[1])->port, stream_local(ends[0])->port);
	assert_int_equal(stream_local(ends[1])->port, stream_peer(ends[0])->port);
	listener_drop(&listener);
}

static void reset_main(void *arg) WAITS
{
	struct stream *ends[2];
	char buffer[16];
	size_t len;
	enum err err = OK;

	(void)arg;
	connected(ends);
	assert_int_equal(stream_write(ends[0], S("unread"), NEVER), OK);
	assert_int_equal(stream_wait(ends[1], READABLE, in_ms(1000)), OK);
	stream_drop(&ends[1]); /* with octets unread: rfc1122 4.2.2.13 */
	assert_int_equal(stream_read(ends[0], buffer, 1, in_ms(1000), &len), ERR_RESET);
	stream_drop(&ends[0]);

	connected(ends);
	stream_drop(&ends[0]);
	assert_int_equal(stream_read(ends[1], buffer, 1, in_ms(1000), &len), ERR_CLOSED);
	for (int i = 0; i < 100 && !err; i++) { /* the first writes may pass; no SIGPIPE ever */
		err = stream_write(ends[1], S("anybody?"), in_ms(1000));
		(void)fiber_sleep(in_ms(1));
	}
	assert_int_equal(err, ERR_RESET);
	stream_drop(&ends[1]);
}

static void a_connection_cut_is_a_reset(void **state)
{
	run_in(world_of_kind(state), reset_main, NULL);
}

static void held_main(void *arg) WAITS
{
	struct stream *ends[2];
	char buffer[16];
	size_t len;
	bool is_held;

	connected(ends);
	is_held = stream_hold(ends[1]);
	assert_int_equal(is_held, *(enum kind *)arg == REAL);
	assert_int_equal(stream_write(ends[1], S("goodbye"), NEVER), OK);
	if (is_held)
		assert_int_equal(stream_read(ends[0], buffer, sizeof(buffer), in_ms(30), &len),
				 ERR_TIMEOUT);
	stream_drop(&ends[1]);
	read_exactly(ends[0], buffer, strlen("goodbye"));
	assert_memory_equal(buffer, "goodbye", strlen("goodbye"));
	assert_int_equal(stream_read(ends[0], buffer, sizeof(buffer), in_ms(1000), &len),
			 ERR_CLOSED);
	stream_drop(&ends[0]);
}

static void what_is_held_comes_with_the_end(void **state)
{
	run_in(world_of_kind(state), held_main, *state);
}

static void refused_main(void *arg) WAITS
{
	struct listener *listener = listen_at(loopback());
	struct addr at = *listener_address(listener);
	struct stream *stream = NULL;
	struct listener *second = NULL;

	(void)arg;
	assert_int_equal(listener_new(&at, 16, &second), ERR_EXISTS);
	listener_drop(&listener);
	assert_int_equal(stream_connect(&at, in_ms(5000), &stream), ERR_REFUSED);
	assert_non_null(strstr(fault_text(), "127.0.0.1"));
	assert_null(stream);
}

static void nobody_listening_is_a_refusal(void **state)
{
	run_in(world_of_kind(state), refused_main, NULL);
}

/* ---- deadlines and stopping, in each kind of wait ---- */

static void fill(struct stream *stream) WAITS
{
	static char block[4096];
	size_t len;
	enum err err;

	for (;;) {
		err = stream_try_write(stream, (struct str){ block, sizeof(block) }, &len);
		if (err != ERR_AGAIN) {
			assert_int_equal(err, OK);
			continue;
		}
		/* A yield says that we moved much; then a real wait must time out. */
		if (stream_wait(stream, WRITABLE, in_ms(30)) == ERR_TIMEOUT)
			return;
	}
}

static void deadline_main(void *arg) WAITS
{
	struct listener *listener = listen_at(loopback());
	struct stream *ends[2];
	char buffer[4];
	size_t len;
	moment begun = now();

	(void)arg;
	assert_int_equal(listener_accept(listener, in_ms(10), &ends[0]), ERR_TIMEOUT);
	assert_int_equal(stream_pair(ends), OK);
	assert_int_equal(stream_read(ends[0], buffer, 4, in_ms(10), &len), ERR_TIMEOUT);
	fill(ends[0]);
	assert_int_equal(stream_write(ends[0], S("more"), in_ms(10)), ERR_TIMEOUT);
	assert_true(now() - begun >= 60'000);
	stream_drop(&ends[0]);
	stream_drop(&ends[1]);
	listener_drop(&listener);
}

static void every_wait_has_a_deadline(void **state)
{
	run_in(world_of_kind(state), deadline_main, NULL);
}

struct stop_case {
	struct stream *ends[2];
	struct listener *listener;
	struct waitq queue;
	struct semaphore semaphore;
	struct fiber_group endless;
	int stopped;
};

static void count_stop(struct stop_case *c, enum err err)
{
	assert_int_equal(err, ERR_STOPPED);
	c->stopped++;
}

static void stopped_in_read(void *arg) WAITS
{
	struct stop_case *c = arg;
	char buffer[4];
	size_t len;

	count_stop(c, stream_read(c->ends[0], buffer, 4, NEVER, &len));
	count_stop(c, stream_read(c->ends[0], buffer, 4, NEVER, &len));
}

static void stopped_in_write(void *arg) WAITS
{
	struct stop_case *c = arg;

	count_stop(c, stream_write(c->ends[0], S("more"), NEVER));
	count_stop(c, stream_wait(c->ends[1], READABLE, NEVER)); /* though there is something */
}

static void stopped_in_accept(void *arg) WAITS
{
	struct stop_case *c = arg;
	struct stream *stream;

	count_stop(c, listener_accept(c->listener, NEVER, &stream));
	count_stop(c, stream_connect(listener_address(c->listener), NEVER, &stream));
}

static void stopped_in_queue(void *arg) WAITS
{
	struct stop_case *c = arg;

	count_stop(c, waitq_wait(&c->queue, NEVER));
	count_stop(c, waitq_wait(&c->queue, in_ms(5)));
}

static void stopped_in_semaphore(void *arg) WAITS
{
	struct stop_case *c = arg;

	count_stop(c, semaphore_take(&c->semaphore, NEVER));
	semaphore_give(&c->semaphore); /* one is free now, but we are stopping */
	count_stop(c, semaphore_take(&c->semaphore, NEVER));
	assert_int_equal(c->semaphore.free, 1);
}

static void stopped_in_group(void *arg) WAITS
{
	struct stop_case *c = arg;

	count_stop(c, group_wait(&c->endless, NEVER));
	count_stop(c, group_wait(&c->endless, NEVER));
}

static void stopped_in_sleep(void *arg) WAITS
{
	struct stop_case *c = arg;

	count_stop(c, fiber_sleep(NEVER));
	count_stop(c, fiber_sleep(in_ms(1)));
}

static void stop_main(void *arg) WAITS
{
	static fiber_fn *const fns[] = { stopped_in_read,     stopped_in_write, stopped_in_accept,
					 stopped_in_queue,    stopped_in_group, stopped_in_sleep,
					 stopped_in_semaphore };
	struct stop_case c = { 0 };
	struct fiber_group group;

	(void)arg;
	assert_int_equal(stream_pair(c.ends), OK);
	fill(c.ends[0]);
	c.listener = listen_at(loopback());
	waitq_init(&c.queue);
	semaphore_init(&c.semaphore, 0);
	group_init(&c.endless);
	group_init(&group);
	spawn(&c.endless, "sleep", stopped_in_sleep, &c);
	for (size_t i = 0; i < COUNT_OF(fns); i++)
		spawn(&group, "waiter", fns[i], &c);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	assert_int_equal(c.stopped, 0);
	group_stop(&group);
	assert_int_equal(group_wait(&group, in_ms(1000)), OK);
	assert_int_equal(c.stopped, 2 * COUNT_OF(fns));
	assert_true(list_is_empty(&c.queue.waiters)); /* nothing is left behind */
	assert_true(list_is_empty(&c.semaphore.queue.waiters));
	group_stop(&c.endless);
	assert_int_equal(group_wait(&c.endless, in_ms(1000)), OK);
	stream_drop(&c.ends[0]);
	stream_drop(&c.ends[1]);
	listener_drop(&c.listener);
}

static void every_wait_can_be_stopped(void **state)
{
	run_in(world_of_kind(state), stop_main, NULL);
}

/* ---- much ---- */

enum { MUCH = 3'000'000 };

static unsigned char octet_at(size_t index)
{
	return (unsigned char)(index * 2'654'435'761u >> 13);
}

static void send_much(void *arg) WAITS
{
	struct stream *stream = arg;
	unsigned char block[5000];
	size_t sent = 0;

	while (sent < MUCH) {
		size_t len = 1 + random_u64() % sizeof(block);

		if (len > MUCH - sent)
			len = MUCH - sent;
		for (size_t i = 0; i < len; i++)
			block[i] = octet_at(sent + i);
		assert_int_equal(stream_write(stream, (struct str){ (char *)block, len }, NEVER),
				 OK);
		sent += len;
	}
	stream_drop(&stream);
}

static void much_main(void *arg) WAITS
{
	struct stream *ends[2];
	unsigned char block[7000];
	size_t got = 0;
	size_t len;
	enum err err;

	(void)arg;
	connected(ends);
	spawn(NULL, "sender", send_much, ends[0]);
	while (!(err = stream_read(ends[1], block, 1 + random_u64() % sizeof(block), in_ms(20'000),
				   &len))) {
		for (size_t i = 0; i < len; i++)
			if (block[i] != octet_at(got + i))
				fail_msg("octet %zu differs", got + i);
		got += len;
	}
	assert_int_equal(err, ERR_CLOSED);
	assert_int_equal(got, MUCH);
	stream_drop(&ends[1]);
}

static void much_comes_through_in_order(void **state)
{
	run_in(world_of_kind(state), much_main, NULL);
}

/* ---- one busy connection does not starve the others ---- */

/* Writes and reads back without end; neither ever needs to wait. */
static void talk_to_itself(void *arg) WAITS
{
	struct stream **ends = arg;
	static char block[16'384];
	size_t len;

	while (!stream_write(ends[0], (struct str){ block, sizeof(block) }, NEVER) &&
	       !stream_read(ends[1], block, sizeof(block), NEVER, &len))
		;
}

static void count_turns(void *arg) WAITS
{
	int *turns = arg;

	while (!fiber_yield())
		++*turns;
}

static void fair_main(void *arg) WAITS
{
	struct stream *ends[2];
	struct fiber_group group;
	int turns = 0;

	(void)arg;
	assert_int_equal(stream_pair(ends), OK);
	group_init(&group);
	spawn(&group, "talk", talk_to_itself, ends);
	spawn(&group, "turns", count_turns, &turns);
	for (int i = 0; i < 200; i++)
		assert_int_equal(fiber_yield(), OK);
	assert_true(turns >= 199);
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK);
	stream_drop(&ends[0]);
	stream_drop(&ends[1]);
}

static void a_flood_does_not_starve_the_others(void **state)
{
	run_in(world_of_kind(state), fair_main, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(many_clients_hear_their_echo),       BOTH(a_unix_socket_serves_as_well),
		BOTH(a_pair_shuts_one_half_at_a_time),    BOTH(a_connection_cut_is_a_reset),
		BOTH(nobody_listening_is_a_refusal),      BOTH(every_wait_has_a_deadline),
		BOTH(every_wait_can_be_stopped),          BOTH(much_comes_through_in_order),
		BOTH(a_flood_does_not_starve_the_others), BOTH(what_is_held_comes_with_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
