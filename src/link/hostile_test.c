/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another role's process could do once it has fallen: send what is not permitted, not well formed,
 * or descriptors nobody asked for. Each cuts the channel, and leaves nothing behind. And its death.
 */
#include "link/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct raw {
	int fd; /* the hostile end */
	struct fiber_group servers;
	unsigned served;
	unsigned gone;
	unsigned reading, reading_most; /* maildrop_read under way */
	enum role_kind peer;            /* ROLE_NONE: an mx gate */
	void (*attack)(struct raw *raw);
	bool must_be_cut;
};

static enum err serve_recipient(struct link_call *call, const struct ask_recipient *ask,
				struct answer_recipient *answer) WAITS
{
	struct raw *raw = call->context;

	(void)answer;
	raw->served++;
	return ask->size ? fiber_sleep(in_ms((int64_t)ask->size)) : OK;
}

static enum err serve_deliver(struct link_call *call, const struct ask_deliver *ask,
			      struct answer_deliver *answer) WAITS
{
	struct raw *raw = call->context;

	(void)ask;
	(void)answer;
	raw->served++;
	return OK;
}

static enum err serve_read(struct link_call *call, const struct ask_maildrop_read *ask,
			   struct answer_maildrop_read *answer) WAITS
{
	struct raw *raw = call->context;
	enum err err;

	(void)ask;
	(void)answer;
	if (++raw->reading > raw->reading_most)
		raw->reading_most = raw->reading;
	err = fiber_sleep(in_ms(20));
	raw->reading--;
	raw->served++;
	return err;
}

static void note_gone(void *context, struct link_peer *peer)
{
	(void)peer;
	((struct raw *)context)->gone++;
}

static const struct link_handlers handlers = {
	.recipient = serve_recipient,
	.deliver = serve_deliver,
	.maildrop_read = serve_read,
	.gone = note_gone,
};

/* ---- raw octets ---- */

static size_t frame_of(char *at, unsigned type, unsigned kind, const void *ask)
{
	struct buf payload = BUF(LIMIT_link_frame);
	struct frame frame = { (enum frame_type)type, kind, 1, false, { 0 } };
	int fd;

	assert_int_equal(shape_encode(message_of(kind)->ask, ask, &payload, &fd), OK);
	frame.has_fd = fd >= 0;
	frame.payload = buf_str(&payload);
	frame_write_head(&frame, at);
	if (payload.len)
		memcpy(at + FRAME_HEAD, payload.at, payload.len);
	buf_drop(&payload);
	return FRAME_HEAD + frame.payload.len;
}

static void send_raw(struct raw *raw, const void *octets, size_t len, const int *fds,
		     size_t fd_count)
{
	union {
		char octets[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec piece = { (void *)(uintptr_t)octets, len };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (fd_count) {
		message.msg_control = control.octets;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
	}
	if (sendmsg(raw->fd, &message, MSG_NOSIGNAL) != (ssize_t)len)
		assert_int_equal(errno, EPIPE); /* cut already */
}

static void send_ask(struct raw *raw, unsigned type, unsigned kind, const void *ask)
{
	char octets[4096];

	send_raw(raw, octets, frame_of(octets, type, kind, ask), NULL, 0);
}

/* Has our end been closed? Reads away what was answered. */
static bool is_cut(struct raw *raw) WAITS
{
	char octets[4096];

	for (unsigned i = 0; i < 100; i++) {
		ssize_t got = recv(raw->fd, octets, sizeof(octets), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return true;
		if (got < 0)
			(void)fiber_sleep(in_ms(5));
	}
	return false;
}

static void raw_fiber(void *arg) WAITS
{
	struct raw *raw = arg;
	struct channel *channel;
	int fds[2];

	group_init(&raw->servers);
	assert_int_equal(channel_pair_fds(fds), OK);
	raw->fd = fds[1];
	assert_int_equal(channel_of_fd(fds[0], &channel), OK);
	assert_int_equal(link_serve(channel, ROLE_STORE, raw->peer ? raw->peer : ROLE_GATE_MX, 0,
				    &handlers, raw, &raw->servers),
			 OK);
	raw->attack(raw);
	assert_int_equal(is_cut(raw), raw->must_be_cut);
	if (!raw->must_be_cut)
		assert_int_equal(raw->gone, 0);
	close(raw->fd);
	group_stop(&raw->servers); /* who still sleeps */
	assert_int_equal(group_wait(&raw->servers, in_ms(60000)), OK);
	assert_int_equal(raw->gone, 1);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void run_attack(struct raw *raw)
{
	unsigned before = open_descriptors();
	struct world *world = world_real_new();

	assert_int_equal(world_spawn(world, "attack", raw_fiber, raw), OK);
	world_run(world);
	world_drop(&world);
	assert_int_equal(open_descriptors(), before);
}

static unsigned attack(void (*how)(struct raw *raw), bool must_be_cut)
{
	struct raw raw = { .attack = how, .must_be_cut = must_be_cut };

	run_attack(&raw);
	return raw.served;
}

/* ---- what is sent ---- */

static void good_call(struct raw *raw) WAITS
{
	send_ask(raw, FRAME_CALL, MESSAGE_recipient, &(struct ask_recipient){ .address = S("a") });
}

static void good_call_octet_by_octet(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a@example.org") });

	for (size_t i = 0; i < len; i++) {
		send_raw(raw, octets + i, 1, NULL, 0);
		if (i % 7 == 0)
			(void)fiber_sleep(in_ms(1));
	}
}

static void test_what_is_well_formed_is_served(void **state)
{
	(void)state;
	assert_int_equal(attack(good_call, false), 1);
	assert_int_equal(attack(good_call_octet_by_octet, false), 1);
}

static void not_permitted(struct raw *raw) WAITS
{
	good_call(raw);
	send_ask(raw, FRAME_CALL, MESSAGE_password,
		 &(struct ask_password){ .user = S("u"), .password = S("p") });
	good_call(raw);
}

static void not_for_this_role(struct raw *raw) WAITS
{
	send_ask(raw, FRAME_CALL, MESSAGE_inspect, &(struct ask_inspect){ .session = 1 });
}

static void as_supervisor(struct raw *raw) WAITS
{
	send_ask(raw, FRAME_CALL, MESSAGE_begin, &(struct ask_begin){ 0 });
}

static void an_answer(struct raw *raw) WAITS
{
	send_ask(raw, FRAME_ANSWER, MESSAGE_recipient, &(struct ask_recipient){ .size = 1 });
}

static void unknown_message(struct raw *raw) WAITS
{
	static const char octets[] = "\0\0\0\0\1\0\77\0\1\0\0";

	send_raw(raw, octets, FRAME_HEAD, NULL, 0);
}

static void noise(struct raw *raw) WAITS
{
	static const char octets[] = "GET / HTTP/1.1\r\nHost: store\r\n\r\n";

	send_raw(raw, octets, sizeof(octets) - 1, NULL, 0);
}

static void over_a_bound(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a@example.org") });

	octets[FRAME_HEAD] = 100;
	send_raw(raw, octets, len, NULL, 0);
}

static void test_what_is_not_permitted_or_not_well_formed_cuts_the_channel(void **state)
{
	(void)state;
	assert_int_equal(attack(not_permitted, true), 1); /* what came before is served */
	assert_int_equal(attack(not_for_this_role, true), 0);
	assert_int_equal(attack(as_supervisor, true), 0);
	assert_int_equal(attack(an_answer, true), 0);
	assert_int_equal(attack(unknown_message, true), 0);
	assert_int_equal(attack(noise, true), 0);
	assert_int_equal(attack(over_a_bound, true), 0);
}

static void surprise_descriptors(struct raw *raw, size_t count) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a") });
	int fds[8] = { 0, 1, 2, 0, 1, 2, 0, 1 };

	send_raw(raw, octets, len, fds, count);
}

static void one_surprise(struct raw *raw) WAITS
{
	surprise_descriptors(raw, 1);
}

static void many_surprises(struct raw *raw) WAITS
{
	surprise_descriptors(raw, 8);
}

static void surprises_on_parts_of_a_frame(struct raw *raw) WAITS
{
	char octets[200];
	int fd = 0;

	frame_of(octets, FRAME_CALL, MESSAGE_recipient, &(struct ask_recipient){ .size = 1 });
	for (unsigned i = 0; i < 3; i++) {
		send_raw(raw, octets + i, 1, &fd, 1);
		(void)fiber_sleep(in_ms(2));
	}
}

static void descriptor_missing(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a") });

	octets[5] = FRAME_HAS_FD;
	send_raw(raw, octets, len, NULL, 0);
}

static void body_not_sealed(struct raw *raw) WAITS
{
	char octets[400];
	struct ask_deliver ask = { .body = { .fd = 9, .size = 100000 } };
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_deliver, &ask);
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	send_raw(raw, octets, len, &fd, 1);
	close(fd);
}

/* No enemy's doing: this process had no number left for what a friend sent. */
static void no_descriptor_free(struct raw *raw) WAITS
{
	char octets[400];
	struct ask_deliver ask = { .body = { .fd = 9, .size = 100000 } };
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_deliver, &ask);
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct rlimit usual;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	/* The lowest that was free is taken now. */
	assert_int_equal(
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)fd + 1, usual.rlim_max }), 0);
	send_raw(raw, octets, len, &fd, 1);
	(void)fiber_sleep(in_ms(50));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	close(fd);
	assert_true(recv(raw->fd, octets, sizeof(octets), MSG_DONTWAIT) > FRAME_HEAD);
}

static void test_a_descriptor_without_room_fails_its_call_and_no_other(void **state)
{
	(void)state;
	assert_int_equal(attack(no_descriptor_free, false), 0);
}

static void test_descriptors_that_nobody_announced_are_closed(void **state)
{
	(void)state;
	attack(one_surprise, true);
	attack(many_surprises, true);
	attack(surprises_on_parts_of_a_frame, true);
	assert_int_equal(attack(descriptor_missing, true), 0);
	assert_int_equal(attack(body_not_sealed, true), 0);
}

static void too_many_calls(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a"), .size = 60000 });

	for (unsigned i = 0; i <= LIMIT_link_calls; i++) {
		while (send(raw->fd, octets, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		       errno == EAGAIN)
			(void)fiber_sleep(in_ms(1));
		if (i % 500 == 0)
			(void)fiber_yield();
	}
}

enum { READS = 4000 };

/* Few octets each, and each wants many back. */
static void many_reads(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_maildrop_read,
			      &(struct ask_maildrop_read){ .length = LIMIT_maildrop_piece });

	for (unsigned i = 0; i < READS; i++)
		while (send(raw->fd, octets, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		       errno == EAGAIN)
			(void)fiber_sleep(in_ms(1));
	for (unsigned i = 0; i < 500 && raw->served < READS; i++)
		(void)fiber_sleep(in_ms(10));
}

static void test_what_calls_want_back_counts_for_what_is_served_at_once(void **state)
{
	struct raw raw = { .attack = many_reads, .peer = ROLE_GATE_USER };

	(void)state;
	run_attack(&raw);
	assert_int_equal(raw.served, READS);
	assert_true(raw.reading_most <= LIMIT_link_held / LIMIT_link_inline_body + 1);
}

static void test_more_calls_than_may_be_in_flight_cut_the_channel(void **state)
{
	(void)state;
	assert_int_equal(attack(too_many_calls, true), LIMIT_link_calls);
}

static void mutations(struct raw *raw) WAITS
{
	char octets[200];
	size_t len = frame_of(octets, FRAME_CALL, MESSAGE_recipient,
			      &(struct ask_recipient){ .address = S("a@b"), .create = 1 });

	for (unsigned i = 0; i < 3; i++)
		octets[random_u64() % len] ^= (char)(1 + random_u64() % 255);
	send_raw(raw, octets, len, NULL, 0);
	(void)fiber_sleep(in_ms(1));
	raw->must_be_cut = is_cut(raw); /* either way, nothing breaks */
}

static void test_mutated_calls_break_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		attack(mutations, false);
}

/* ---- a caller whose callee is hostile ---- */

struct bad_callee {
	char octets[200];
	size_t len;
	enum err want;
};

static void ask_fiber(void *arg) WAITS
{
	struct bad_callee *bad = arg;
	struct link *link = link_new(ROLE_GATE_MX, ROLE_STORE);
	struct channel *channel;
	struct arena arena = { 0 };
	struct answer_recipient answer;
	int fds[2];

	assert_int_equal(channel_pair_fds(fds), OK);
	assert_int_equal(channel_of_fd(fds[0], &channel), OK);
	assert_int_equal(link_attach(link, 0, channel), OK);
	assert_int_equal(write(fds[1], bad->octets, bad->len), bad->len);
	assert_int_equal(call_recipient(link, &(struct ask_recipient){ .size = 1 }, &arena, &answer,
					in_ms(5000)),
			 bad->want);
	link_drop(&link);
	close(fds[1]);
	arena_drop(&arena);
}

static void test_an_answer_that_nobody_asked_for_cuts_the_channel(void **state)
{
	struct bad_callee cases[3] = { { .want = ERR_GONE } };

	(void)state;
	cases[0].len = frame_of(cases[0].octets, FRAME_ANSWER, MESSAGE_recipient,
				&(struct ask_recipient){ .size = 1 });
	cases[1].len = frame_of(cases[1].octets, FRAME_CALL, MESSAGE_recipient,
				&(struct ask_recipient){ .size = 1 });
	cases[2] = (struct bad_callee){ "\1\0\0\0\3\0\1\0\0\0\0\0\0", 13, ERR_GONE };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct world *world = world_real_new();

		cases[i].want = ERR_GONE;
		assert_int_equal(world_spawn(world, "ask", ask_fiber, &cases[i]), OK);
		world_run(world);
		world_drop(&world);
	}
}

/* ---- two processes ---- */

static void child_fiber(void *arg) WAITS
{
	static struct raw raw;
	struct channel *channel;

	must(!channel_of_fd(*(int *)arg, &channel));
	must(!link_serve(channel, ROLE_STORE, ROLE_GATE_MX, 0, &handlers, &raw, NULL));
}

/* A callee in a process of its own; gives our end. */
static int start_child(pid_t *pid)
{
	int fds[2];

	assert_int_equal(channel_pair_fds(fds), OK);
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid == 0) {
		struct world *world = world_real_new();

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		must(!world_spawn(world, "child", child_fiber, &fds[1]));
		world_run(world);
		_exit(0);
	}
	close(fds[1]);
	return fds[0];
}

struct death {
	pid_t pids[2];
	int fds[2];
	struct link *link;
	struct fiber_group callers;
	unsigned gone;
};

static enum err ask_child(struct death *death, uint64_t ms) WAITS
{
	struct arena arena = { 0 };
	struct answer_recipient answer;
	struct ask_recipient ask = { .address = S("a@x"), .size = ms };
	enum err err = call_recipient(death->link, &ask, &arena, &answer, in_ms(8000));

	arena_drop(&arena);
	return err;
}

static void slow_fiber(void *arg) WAITS
{
	struct death *death = arg;

	if (ask_child(death, 7000) == ERR_GONE)
		death->gone++;
}

static void attach_child(struct death *death, unsigned which) WAITS
{
	struct channel *channel;

	assert_int_equal(channel_of_fd(death->fds[which], &channel), OK);
	assert_int_equal(link_attach(death->link, 0, channel), OK);
}

static void death_fiber(void *arg) WAITS
{
	struct death *death = arg;

	group_init(&death->callers);
	death->link = link_new(ROLE_GATE_MX, ROLE_STORE);
	attach_child(death, 0);
	assert_int_equal(ask_child(death, 0), OK);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(fiber_spawn(&death->callers, "slow", slow_fiber, death, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(20)), OK);
	assert_int_equal(kill(death->pids[0], SIGKILL), 0);
	assert_int_equal(group_wait(&death->callers, in_ms(2000)), OK);
	assert_int_equal(death->gone, 50);
	assert_false(link_is_up(death->link));
	attach_child(death, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ask_child(death, 0), OK);
	link_drop(&death->link);
}

static void test_the_death_of_the_callee_ends_its_calls_and_a_new_one_serves(void **state)
{
	struct death death = { 0 };
	struct world *world;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		death.fds[i] = start_child(&death.pids[i]);
	world = world_real_new();
	assert_int_equal(world_spawn(world, "death", death_fiber, &death), OK);
	world_run(world);
	world_drop(&world);
	for (unsigned i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(death.pids[i], &status, 0), death.pids[i]);
		/* The first was killed; the second ended by itself when its channel did. */
		assert_int_equal(WIFSIGNALED(status), i == 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_well_formed_is_served),
		cmocka_unit_test(test_what_is_not_permitted_or_not_well_formed_cuts_the_channel),
		cmocka_unit_test(test_descriptors_that_nobody_announced_are_closed),
		cmocka_unit_test(test_a_descriptor_without_room_fails_its_call_and_no_other),
		cmocka_unit_test(test_more_calls_than_may_be_in_flight_cut_the_channel),
		cmocka_unit_test(test_what_calls_want_back_counts_for_what_is_served_at_once),
		cmocka_unit_test(test_mutated_calls_break_nothing),
		cmocka_unit_test(test_an_answer_that_nobody_asked_for_cuts_the_channel),
		cmocka_unit_test(test_the_death_of_the_callee_ends_its_calls_and_a_new_one_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
