/* SPDX-License-Identifier: Apache-2.0 */
/* What only the real world has: descriptors, threads, the kernel's limits. */
#include "fiber/fiber_test.h"
#include "fiber/world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- descriptors ---- */

struct pipe_case {
	int fds[2];
	struct fd_watch *watch;
	int got;
};

static void read_pipe(void *arg) WAITS
{
	struct pipe_case *c = arg;
	char octet;
	enum err err = OK;

	while (!err) {
		ssize_t len = read(c->fds[0], &octet, 1);

		if (len == 0)
			return;
		if (len == 1)
			c->got++;
		else if (errno == EAGAIN)
			err = fd_wait(c->watch, READABLE, in_ms(5000));
	}
	assert_int_equal(err, ERR_STOPPED);
}

static void pipe_main(void *arg) WAITS
{
	struct pipe_case c = { 0 };
	struct fiber_group group;

	(void)arg;
	assert_int_equal(pipe2(c.fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(fd_watch_new(c.fds[0], &c.watch), OK);
	assert_int_equal(fd_wait(c.watch, READABLE, in_ms(1)), OK); /* nothing tried yet */
	assert_int_equal(fd_wait(c.watch, READABLE, in_ms(1)), ERR_TIMEOUT);
	/* An edge that comes while nobody waits is not lost. */
	assert_int_equal(write(c.fds[1], "a", 1), 1);
	assert_int_equal(fiber_sleep(in_ms(2)), OK);
	assert_int_equal(fd_wait(c.watch, READABLE, in_ms(1)), OK);
	group_init(&group);
	spawn(&group, "reader", read_pipe, &c);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fiber_sleep(in_ms(i % 3)), OK);
		assert_int_equal(write(c.fds[1], "b", 1), 1);
	}
	assert_int_equal(fiber_sleep(in_ms(5)), OK);
	assert_int_equal(c.got, 21);
	group_stop(&group);
	assert_int_equal(group_wait(&group, in_ms(1000)), OK);
	group_init(&group);
	spawn(&group, "reader", read_pipe, &c);
	close(c.fds[1]);
	assert_int_equal(group_wait(&group, in_ms(1000)), OK); /* the end wakes too */
	fd_watch_drop(&c.watch);
	fd_watch_drop(&c.watch);
	assert_null(c.watch);
	close(c.fds[0]);
	assert_int_equal(fd_watch_new(c.fds[0], &c.watch), ERR_SYSTEM);
}

static void descriptors_are_waited_for(void **state)
{
	run_in(world_of_kind(state), pipe_main, NULL);
}

static int datagram_socket(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

/* A refused datagram is an error that passes; it must not leave the socket for ever "ready". */
static void datagram_main(void *arg) WAITS
{
	struct sockaddr_in a_name;
	struct sockaddr_in b_name;
	int a = datagram_socket(&a_name);
	int b = datagram_socket(&b_name);
	struct fd_watch *watch;
	char octet;

	(void)arg;
	close(b);
	assert_int_equal(fd_watch_new(a, &watch), OK);
	assert_int_equal(connect(a, (struct sockaddr *)&b_name, sizeof(b_name)), 0);
	assert_int_equal(send(a, "?", 1, 0), 1);
	assert_int_equal(fiber_sleep(in_ms(5)), OK);
	assert_int_equal(fd_wait(watch, READABLE, in_ms(1000)), OK);
	assert_int_equal(recv(a, &octet, 1, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(fd_wait(watch, READABLE, in_ms(5)), ERR_TIMEOUT);
	fd_watch_drop(&watch);
	close(a);
}

static void a_refused_datagram_passes(void **state)
{
	run_in(world_of_kind(state), datagram_main, NULL);
}

static void of_fd_main(void *arg) WAITS
{
	struct addr at;
	struct listener *listener;
	struct stream *stream;
	struct stream *other;
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fds[2];
	char octet;
	size_t len;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* blocking, as inherited ones */

	(void)arg;
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(listener_of_fd(fd, &listener), OK);
	at = *listener_address(listener);
	assert_true(at.port > 0);
	assert_int_equal(listener_accept(listener, in_ms(5), &stream), ERR_TIMEOUT);
	assert_int_equal(stream_connect(&at, in_ms(1000), &stream), OK);
	stream_drop(&stream);
	assert_int_equal(listener_accept(listener, in_ms(1000), &stream), OK);
	stream_drop(&stream);
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0); /* as who shares it may */
	assert_int_equal(listener_accept(listener, in_ms(1000), &stream), ERR_CLOSED);
	listener_drop(&listener);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(stream_of_fd(fds[0], &stream), OK);
	assert_int_equal(stream_of_fd(fds[1], &other), OK);
	assert_int_equal(stream_write(stream, S("x"), NEVER), OK);
	assert_int_equal(stream_read(other, &octet, 1, in_ms(1000), &len), OK);
	/* A cut-off end that somebody else still holds open must not come back as events. */
	fd = dup(fds[1]);
	stream_drop(&other);
	assert_int_equal(stream_write(stream, S("y"), NEVER), OK);
	assert_int_equal(fiber_sleep(in_ms(5)), OK);
	close(fd);
	stream_drop(&stream);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(stream_of_fd(fds[0], &stream), ERR_SYSTEM); /* no socket */
	close(fds[0]);
	close(fds[1]);
}

static void inherited_sockets_become_streams(void **state)
{
	run_in(world_of_kind(state), of_fd_main, NULL);
}

/* ---- the kernel's limits ---- */

struct exhausted {
	struct listener *listener;
	int accepted;
};

static void accept_some(void *arg) WAITS
{
	struct exhausted *c = arg;
	struct stream *stream;

	while (!listener_accept(c->listener, NEVER, &stream)) {
		c->accepted++;
		stream_drop(&stream);
	}
}

static void exhausted_main(void *arg) WAITS
{
	struct exhausted c = { 0 };
	struct addr at;
	struct rlimit before;
	struct rlimit none;
	struct fiber_group group;
	struct world_stats stats;
	struct world_stats later;
	struct stream *stream;

	(void)arg;
	assert_true(addr_parse(S("127.0.0.1:0"), &at));
	assert_int_equal(listener_new(&at, 16, &c.listener), OK);
	assert_int_equal(stream_connect(listener_address(c.listener), NEVER, &stream), OK);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3; /* all above are open already */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	group_init(&group);
	spawn(&group, "acceptor", accept_some, &c);
	world_get_stats(world_here(), &stats);
	assert_int_equal(fiber_sleep(in_ms(350)), OK);
	world_get_stats(world_here(), &later);
	assert_int_equal(c.accepted, 0);
	assert_true(later.switches - stats.switches < 10); /* it does not spin */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fiber_sleep(in_ms(250)), OK);
	assert_int_equal(c.accepted, 1);
	group_stop(&group);
	assert_int_equal(group_wait(&group, in_ms(1000)), OK);
	stream_drop(&stream);
	listener_drop(&c.listener);
}

static void running_out_of_descriptors_does_not_spin(void **state)
{
	run_in(world_of_kind(state), exhausted_main, NULL);
}

static void connect_to_full(void *arg) WAITS
{
	struct addr *at = arg;
	struct stream *stream;

	assert_int_equal(stream_connect(at, NEVER, &stream), ERR_STOPPED);
}

/* A listener that never accepts: its backlog fills, and connecting hangs. */
static void backlog_main(void *arg) WAITS
{
	struct addr at;
	struct listener *listener;
	struct stream *streams[8];
	struct fiber_group group;
	enum err err = OK;
	size_t count = 0;

	assert_true(addr_parse(str_of(arg), &at));
	assert_int_equal(listener_new(&at, 1, &listener), OK);
	at = *listener_address(listener);
	while (!err && count < COUNT_OF(streams)) {
		err = stream_connect(&at, in_ms(100), &streams[count]);
		count += err == OK;
	}
	assert_int_equal(err, ERR_TIMEOUT);
	assert_non_null(strstr(fault_text(), "timed out"));
	group_init(&group);
	spawn(&group, "connect", connect_to_full, &at);
	assert_int_equal(fiber_sleep(in_ms(20)), OK);
	group_stop(&group);
	assert_int_equal(group_wait(&group, in_ms(1000)), OK);
	while (count > 0)
		stream_drop(&streams[--count]);
	listener_drop(&listener);
}

static void connecting_has_a_deadline(void **state)
{
	char path[64];

	run_in(world_of_kind(state), backlog_main, "127.0.0.1:0");
	snprintf(path, sizeof(path), "/tmp/real_test.%d", (int)getpid());
	run_in(world_of_kind(state), backlog_main, path);
}

static void stale_main(void *arg)
{
	struct addr at;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct listener *listener;
	struct listener *second;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", (char *)arg);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd); /* as a killed server leaves it */
	assert_true(addr_parse(str_of(arg), &at));
	assert_int_equal(listener_new(&at, 1, &listener), OK);
	assert_int_equal(listener_new(&at, 1, &second), ERR_EXISTS);
	listener_drop(&listener);
	assert_true(addr_parse(S("/no/such/folder/socket"), &at));
	assert_int_equal(listener_new(&at, 1, &listener), ERR_NOT_FOUND);
	assert_non_null(strstr(fault_text(), "/no/such/folder"));
}

static void a_dead_servers_socket_name_is_taken_over(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/real_test.%d", (int)getpid());
	run_in(world_of_kind(state), stale_main, path);
}

/* ---- stacks ---- */

/* Uses two pages of stack beside the one we stand on, and gives them back by returning. */
__attribute__((noinline)) static void go_deep(int more)
{
	char frame[6000];

	memset(frame, more, sizeof(frame));
	__asm__ volatile("" : : "r"(frame) : "memory"); /* it is really there */
	if (more)
		go_deep(more - 1);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

static void go_deep_and_wait(void *arg) WAITS
{
	(void)arg;
	go_deep(1);
	(void)fiber_sleep(NEVER);
}

static size_t resident_pages(const struct stack *stack)
{
	unsigned char map[256];
	size_t pages = stack->size / 4096;
	size_t count = 0;

	assert_true(pages <= sizeof(map));
	assert_int_equal(mincore(stack->low, stack->size, map), 0);
	for (size_t i = 0; i < pages; i++)
		count += map[i] & 1;
	return count;
}

static void trim_main(void *arg) WAITS
{
	struct fiber_group group;
	struct fiber *fiber;

	(void)arg;
	if (sysconf(_SC_PAGESIZE) != 4096)
		return;
	group_init(&group);
	assert_int_equal(fiber_spawn(&group, "deep", go_deep_and_wait, NULL, &fiber), OK);
	assert_int_equal(fiber_yield(), OK);
	assert_true(resident_pages(&fiber->stack) >= 3);
	fiber_trim(fiber, now() - 1'000'000);
	assert_true(resident_pages(&fiber->stack) >= 3); /* it has not waited long enough */
	fiber_trim(fiber, now());
#ifdef GP_ASAN
	assert_true(resident_pages(&fiber->stack) <= 2);
#else
	assert_int_equal(resident_pages(&fiber->stack), 1);
#endif
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK); /* and it can still go on */
}

static void an_idle_fiber_costs_one_page(void **state)
{
	run_in(world_of_kind(state), trim_main, NULL);
}

static void sweep_main(void *arg) WAITS
{
	struct fiber_group group;
	struct fiber *fiber;

	(void)arg;
	group_init(&group);
	assert_int_equal(fiber_spawn(&group, "deep", go_deep_and_wait, NULL, &fiber), OK);
	for (int i = 0; i < 90 && !fiber->trimmed; i++)
		assert_int_equal(fiber_sleep(in_ms(100)), OK);
	assert_true(fiber->trimmed);
	group_stop(&group);
	assert_int_equal(group_wait(&group, NEVER), OK);
}

static void those_who_wait_for_seconds_are_trimmed(void **state)
{
	run_in(world_of_kind(state), sweep_main, NULL);
}

/* ---- a world per thread ---- */

static void count_to(void *arg) WAITS
{
	int *count = arg;

	for (int i = 0; i < 1000; i++) {
		++*count;
		if (i % 100 == 0)
			(void)fiber_sleep(in_us(10));
		else
			(void)fiber_yield();
	}
}

static void *thread_main(void *arg)
{
	struct world *world = world_sim_new(7);

	(void)world_spawn(world, "count", count_to, arg);
	(void)world_spawn(world, "count", count_to, arg);
	world_run(world);
	world_drop(&world);
	return NULL;
}

static void each_thread_may_run_a_world(void **state)
{
	pthread_t threads[4];
	int counts[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &counts[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(counts[i], 2000);
	}
}

/* ---- chance ---- */

static uint64_t unkeyed; /* a hash from before there was a world */

static void tables_are_keyed_by_chance(void **state)
{
	struct world *world = world_of_kind(state);

	world_drop(&world);
	assert_true(str_hash(S("mail.example")) != unkeyed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_REAL(tables_are_keyed_by_chance),
		IN_REAL(descriptors_are_waited_for),
		IN_REAL(a_refused_datagram_passes),
		IN_REAL(inherited_sockets_become_streams),
		IN_REAL(running_out_of_descriptors_does_not_spin),
		IN_REAL(connecting_has_a_deadline),
		IN_REAL(a_dead_servers_socket_name_is_taken_over),
		IN_REAL(an_idle_fiber_costs_one_page),
		IN_REAL(those_who_wait_for_seconds_are_trimmed),
		IN_REAL(each_thread_may_run_a_world),
	};

	unkeyed = str_hash(S("mail.example"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
