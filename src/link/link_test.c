/* SPDX-License-Identifier: Apache-2.0 */
/* Calls over both transports, with both ends in this process: each test runs as a fiber. */
#include "link/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum transport { OVER_SOCKETS, IN_MEMORY, IN_MEMORY_SIMULATED, TRANSPORTS };

/* Who may ask whom in most tests. */
#define ASKER  ROLE_GATE_USER
#define SERVER ROLE_STORE

struct stage {
	enum transport transport;
	struct link *link;
	struct fiber_group servers;
	struct fiber_group callers;
	unsigned served;
	unsigned gone;
	unsigned failed;
	void (*run)(struct stage *stage);
};

/* ---- what is served ---- */

static enum err serve_recipient(struct link_call *call, const struct ask_recipient *ask,
				struct answer_recipient *answer) WAITS
{
	struct stage *stage = call->context;

	if (str_is(ask->address, S("full@x")))
		return fault(ERR_QUOTA, "%.*s is full\n", STR_ARGS(ask->address));
	if (str_starts(ask->address, S("sleep")))
		(void)fiber_sleep(in_ms((int64_t)ask->size));
	if (str_starts(ask->address, S("through"))) {
		struct waitq never;

		waitq_init(&never);
		waitq_wait_through(&never, in_ms((int64_t)ask->size));
	}
	stage->served++;
	answer->verdict = RECIPIENT_DISABLED;
	answer->why = str_first(ask->address, 200);
	return OK;
}

static uint64_t sum_of(struct str octets)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < octets.len; i++)
		sum = sum * 31 + (unsigned char)octets.at[i];
	return sum;
}

static enum err serve_deliver(struct link_call *call, const struct ask_deliver *ask,
			      struct answer_deliver *answer) WAITS
{
	uint64_t *outcomes = NEW_ARRAY(call->arena, uint64_t, ask->recipients.count);
	struct str body;
	enum err err = body_map(&ask->body, &body);

	if (err)
		return err;
	for (size_t i = 0; i < ask->recipients.count; i++)
		outcomes[i] = ask->recipients.at[i].len;
	answer->outcomes = (struct u64s){ outcomes, ask->recipients.count };
	answer->us = sum_of(body);
	answer->batch = body.len;
	body_unmap(&ask->body, body);
	return OK;
}

/* Gives a sealed memfd of `length` octets, each the low octet of `offset`. */
static enum err serve_read(struct link_call *call, const struct ask_maildrop_read *ask,
			   struct answer_maildrop_read *answer) WAITS
{
	char octets[4096];
	int fd = memfd_create("piece", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)call;
	memset(octets, (int)(ask->offset & 0xff), sizeof(octets));
	if (fd < 0 || write(fd, octets, (size_t)ask->length) != (ssize_t)ask->length)
		return fault_errno("piece");
	fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	answer->octets = (struct body){ .fd = fd, .size = ask->length };
	answer->size = ask->index == 1 ? UINT64_MAX : ask->length;
	return OK;
}

static enum err serve_list(struct link_call *call, const struct ask_maildrop_list *ask,
			   struct answer_maildrop_list *answer) WAITS
{
	size_t count = (size_t)ask->first; /* more than 4000 is over the answer's bound */

	answer->uids = (struct u64s){ NEW_ARRAY(call->arena, uint64_t, count), count };
	return OK;
}

static enum err serve_ring(struct link_call *call, const struct ask_ring *ask,
			   struct answer_ring *answer) WAITS
{
	(void)call;
	(void)answer;
	return write(ask->fd, "ring", 4) == 4 ? OK : fault_errno("write");
}

static void note_gone(void *context, struct link_peer *peer)
{
	struct stage *stage = context;

	must(*link_peer_slot(peer) == NULL);
	must(link_peer_index(peer) < LIMIT_role_processes);
	stage->gone++;
}

static const struct link_handlers handlers = {
	.recipient = serve_recipient,
	.deliver = serve_deliver,
	.maildrop_read = serve_read,
	.maildrop_list = serve_list,
	.ring = serve_ring,
	.gone = note_gone,
};

/* ---- the stage ---- */

static void make_pair(const struct stage *stage, struct channel *ends[2])
{
	int fds[2];

	if (stage->transport != OVER_SOCKETS) {
		assert_int_equal(channel_pair_memory(ends), OK);
		return;
	}
	assert_int_equal(channel_pair_fds(fds), OK);
	assert_int_equal(channel_of_fd(fds[0], &ends[0]), OK);
	assert_int_equal(channel_of_fd(fds[1], &ends[1]), OK);
}

static void serve(struct stage *stage, struct channel *channel, enum role_kind peer)
{
	assert_int_equal(link_serve(channel, SERVER, peer, 0, &handlers, stage, &stage->servers),
			 OK);
}

static void connect_index(struct stage *stage, unsigned index)
{
	struct channel *ends[2];

	make_pair(stage, ends);
	serve(stage, ends[0], ASKER);
	assert_int_equal(link_attach(stage->link, index, ends[1]), OK);
}

static void stage_fiber(void *arg) WAITS
{
	struct stage *stage = arg;

	group_init(&stage->servers);
	group_init(&stage->callers);
	stage->link = link_new(ASKER, SERVER);
	stage->run(stage);
	link_drop(&stage->link);
	assert_int_equal(group_wait(&stage->callers, in_ms(20000)), OK);
	assert_int_equal(group_wait(&stage->servers, in_ms(20000)), OK);
}

static void play(enum transport transport, void (*run)(struct stage *stage))
{
	struct stage stage = { .transport = transport, .run = run };
	struct world *world =
		transport == IN_MEMORY_SIMULATED ? world_sim_new(7) : world_real_new();

	assert_int_equal(world_spawn(world, "stage", stage_fiber, &stage), OK);
	world_run(world);
	world_drop(&world);
}

static void play_everywhere(void (*run)(struct stage *stage))
{
	for (unsigned transport = 0; transport < TRANSPORTS; transport++)
		play(transport, run);
}

static enum err ask_about(struct stage *stage, const char *address, uint64_t size,
			  int64_t within_ms) WAITS
{
	struct arena arena = { 0 };
	struct ask_recipient ask = { .address = str_of(address), .size = size };
	struct answer_recipient answer;
	enum err err = call_recipient(stage->link, &ask, &arena, &answer, in_ms(within_ms));

	if (!err) {
		assert_int_equal(answer.verdict, RECIPIENT_DISABLED);
		assert_true(str_is(answer.why, str_first(ask.address, 200)));
	}
	arena_drop(&arena);
	return err;
}

static size_t in_flight(const struct stage *stage)
{
	struct link_stats stats;

	link_get_stats(stage->link, &stats);
	return stats.in_flight;
}

static void let_it_settle(struct stage *stage) WAITS
{
	(void)stage;
	assert_int_equal(fiber_sleep(in_ms(60)), OK);
}

/* ---- the tests ---- */

static void play_answer(struct stage *stage) WAITS
{
	struct link_stats stats;

	assert_false(link_is_up(stage->link));
	connect_index(stage, 0);
	assert_true(link_is_up(stage->link));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(ask_about(stage, "a@x", i, 5000), OK);
	link_get_stats(stage->link, &stats);
	assert_int_equal(stats.calls, 10);
	assert_int_equal(stats.answers, 10);
	assert_int_equal(stats.in_flight, 0);
	assert_true(stats.bytes_in > 0 && stats.bytes_out > 0 && stats.reads > 0);
}

static void test_a_call_brings_its_answer(void **state)
{
	(void)state;
	play_everywhere(play_answer);
}

static void play_failure(struct stage *stage) WAITS
{
	struct arena arena = { 0 };
	struct answer_room room;

	connect_index(stage, 0);
	assert_int_equal(ask_about(stage, "full@x", 0, 5000), ERR_QUOTA);
	assert_string_equal(fault_text(), "full@x is full?"); /* no control reaches a log */
	assert_int_equal(
		call_room(stage->link, &(struct ask_room){ .size = 1 }, &arena, &room, in_ms(5000)),
		ERR_UNSUPPORTED);
	assert_int_equal(ask_about(stage, "a@x", 0, 5000), OK);
	assert_int_equal(in_flight(stage), 0);
	arena_drop(&arena);
}

static void test_a_failure_comes_back_with_its_text(void **state)
{
	(void)state;
	play_everywhere(play_failure);
}

static void caller_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	char address[40];
	uint64_t ms = random_u64() % 30;

	snprintf(address, sizeof(address), "sleep-%llu@x", (unsigned long long)random_u64());
	if (ask_about(stage, address, ms, 15000))
		stage->failed++;
}

static void play_many(struct stage *stage) WAITS
{
	enum { CALLERS = 1000 };

	for (unsigned i = 0; i < 3; i++)
		connect_index(stage, i);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(fiber_spawn(&stage->callers, "caller", caller_fiber, stage, NULL),
				 OK);
	assert_int_equal(group_wait(&stage->callers, in_ms(20000)), OK);
	assert_int_equal(stage->failed, 0);
	assert_int_equal(stage->served, CALLERS);
	assert_int_equal(in_flight(stage), 0);
}

static void test_many_calls_in_flight_get_their_own_answers(void **state)
{
	(void)state;
	play_everywhere(play_many);
}

static void expect_ok(enum err err)
{
	if (err)
		fail_msg("%s: %s", err_name(err), fault_text());
}

static void deliver_one(struct stage *stage, size_t len, size_t recipients) WAITS
{
	struct arena arena = { 0 };
	char *octets = malloc(len + 1);
	struct str *to = NEW_ARRAY(&arena, struct str, recipients);
	struct ask_deliver ask = { .recipients = { to, recipients } };
	struct answer_deliver answer;

	for (size_t i = 0; i < len; i++)
		octets[i] = (char)(i % 251 + len);
	for (size_t i = 0; i < recipients; i++)
		to[i] = str_print(&arena, "%0300zu@x", i);
	ask.body = body_of((struct str){ octets, len });
	expect_ok(call_deliver(stage->link, &ask, &arena, &answer, in_ms(15000)));
	assert_int_equal(answer.batch, len);
	assert_int_equal(answer.us, sum_of((struct str){ octets, len }));
	assert_int_equal(answer.outcomes.count, recipients);
	for (size_t i = 0; i < recipients; i++)
		assert_int_equal(answer.outcomes.at[i], 302);
	body_done(&ask.body);
	free(octets);
	arena_drop(&arena);
}

static void deliver_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	uint64_t chance = random_u64();
	size_t len = (size_t)(chance % (chance & 1 ? 200000 : 3000));

	deliver_one(stage, len, (size_t)(chance >> 40) % 400);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void play_bodies(struct stage *stage) WAITS
{
	static const size_t lengths[] = { 0, 1, 2500, 65536, 65537, 5000000 };
	unsigned before;

	connect_index(stage, 0);
	assert_int_equal(ask_about(stage, "a@x", 0, 5000), OK);
	before = open_descriptors();
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		deliver_one(stage, lengths[i], i % 2 ? 1 : LIMIT_recipients);
	for (unsigned i = 0; i < 150; i++)
		assert_int_equal(
			fiber_spawn(&stage->callers, "deliver", deliver_fiber, stage, NULL), OK);
	assert_int_equal(group_wait(&stage->callers, in_ms(60000)), OK);
	let_it_settle(stage);
	assert_int_equal(open_descriptors(), before);
}

static void test_bodies_of_any_size_pass_and_leave_no_descriptor_behind(void **state)
{
	(void)state;
	play_everywhere(play_bodies);
}

static void play_answer_with_body(struct stage *stage) WAITS
{
	struct arena arena = { 0 };
	struct ask_maildrop_read ask = { .length = 4000 };
	struct answer_maildrop_read answer;
	struct str view;

	connect_index(stage, 0);
	for (ask.offset = 0; ask.offset < 50; ask.offset++) {
		assert_int_equal(
			call_maildrop_read(stage->link, &ask, &arena, &answer, in_ms(5000)), OK);
		assert_int_equal(body_map(&answer.octets, &view), OK);
		assert_int_equal(view.len, 4000);
		assert_int_equal((unsigned char)view.at[3999], ask.offset);
		body_unmap(&answer.octets, view);
		body_done(&answer.octets);
	}
	arena_drop(&arena);
}

static void test_an_answer_can_carry_a_body(void **state)
{
	(void)state;
	play_everywhere(play_answer_with_body);
}

static void play_answer_over_bound(struct stage *stage) WAITS
{
	struct arena arena = { 0 };
	struct answer_maildrop_list answer;

	connect_index(stage, 0);
	assert_int_equal(call_maildrop_list(stage->link,
					    &(struct ask_maildrop_list){ .first = 4001 }, &arena,
					    &answer, in_ms(5000)),
			 ERR_LIMIT);
	assert_int_equal(call_maildrop_list(stage->link,
					    &(struct ask_maildrop_list){ .first = 4000 }, &arena,
					    &answer, in_ms(5000)),
			 OK);
	assert_int_equal(answer.uids.count, 4000);
	arena_drop(&arena);
}

static void test_an_answer_over_its_bound_is_a_failure_of_that_call_only(void **state)
{
	(void)state;
	play_everywhere(play_answer_over_bound);
}

static void play_descriptor(struct stage *stage) WAITS
{
	struct link *boss = link_new(ROLE_SUPERVISOR, SERVER);
	struct channel *ends[2];
	struct arena arena = { 0 };
	struct answer_ring answer;
	char octets[8] = "";
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	make_pair(stage, ends);
	serve(stage, ends[0], ROLE_SUPERVISOR);
	assert_int_equal(link_attach(boss, 0, ends[1]), OK);
	assert_int_equal(
		call_ring(boss, &(struct ask_ring){ .fd = pipes[1] }, &arena, &answer, in_ms(5000)),
		OK);
	assert_int_equal(read(pipes[0], octets, sizeof(octets)), 4);
	assert_string_equal(octets, "ring");
	let_it_settle(stage);
	/* The callee's copy is closed: with ours gone too, the pipe ends. */
	close(pipes[1]);
	assert_int_equal(read(pipes[0], octets, sizeof(octets)), 0);
	close(pipes[0]);
	link_drop(&boss);
	arena_drop(&arena);
}

static void test_a_descriptor_passes_and_is_closed_after_the_handler(void **state)
{
	(void)state;
	play_everywhere(play_descriptor);
}

static void play_timeout(struct stage *stage) WAITS
{
	connect_index(stage, 0);
	assert_int_equal(ask_about(stage, "sleep@x", 40, 10), ERR_TIMEOUT);
	assert_int_equal(in_flight(stage), 1); /* its seat waits for the late answer */
	assert_int_equal(ask_about(stage, "a@x", 0, 5000), OK);
	let_it_settle(stage);
	assert_int_equal(in_flight(stage), 0);
	assert_int_equal(stage->served, 2);
	assert_int_equal(ask_about(stage, "b@x", 0, 5000), OK);
}

static void test_a_late_answer_is_dropped_and_disturbs_nobody(void **state)
{
	(void)state;
	play_everywhere(play_timeout);
}

static void play_nobody_there(struct stage *stage) WAITS
{
	moment begun = now();

	assert_int_equal(ask_about(stage, "a@x", 0, 100), ERR_TIMEOUT);
	assert_int_equal(ask_about(stage, "a@x", 0, 60000), ERR_GONE);
	assert_true(now() - begun >= LINK_PATIENCE_MS * 1000);
	assert_true(now() - begun < LINK_PATIENCE_MS * 1000 + 1000000);
}

static void test_without_a_channel_a_call_has_patience_but_not_for_ever(void **state)
{
	(void)state;
	play(OVER_SOCKETS, play_nobody_there);
	play(IN_MEMORY_SIMULATED, play_nobody_there);
}

static void play_attach_late(struct stage *stage) WAITS
{
	assert_int_equal(fiber_spawn(&stage->callers, "caller", caller_fiber, stage, NULL), OK);
	let_it_settle(stage);
	connect_index(stage, 5);
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
	assert_int_equal(stage->failed, 0);
}

static void test_a_call_that_waits_for_a_channel_uses_the_first_to_come(void **state)
{
	(void)state;
	play_everywhere(play_attach_late);
}

static void gone_fiber(void *arg) WAITS
{
	struct stage *stage = arg;

	if (ask_about(stage, "sleep@x", 30, 10000) == ERR_GONE)
		stage->failed++;
}

static void play_replace(struct stage *stage) WAITS
{
	connect_index(stage, 0);
	assert_int_equal(fiber_spawn(&stage->callers, "caller", gone_fiber, stage, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	connect_index(stage, 0);
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
	assert_int_equal(stage->failed, 1);
	assert_int_equal(ask_about(stage, "a@x", 0, 5000), OK);
	let_it_settle(stage);
	assert_int_equal(stage->gone, 1);   /* of the first channel, after its call ended */
	assert_int_equal(stage->served, 2); /* which was served to its end all the same */
	assert_int_equal(in_flight(stage), 0);
}

static void test_a_new_channel_takes_the_place_of_an_old_one(void **state)
{
	(void)state;
	play_everywhere(play_replace);
}

static void through_fiber(void *arg) WAITS
{
	struct stage *stage = arg;

	if (ask_about(stage, "through@x", 40, 10000) || !fiber_is_stopping())
		stage->failed++;
}

static void play_stop_caller(struct stage *stage) WAITS
{
	connect_index(stage, 0);
	assert_int_equal(fiber_spawn(&stage->callers, "caller", through_fiber, stage, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	group_stop(&stage->callers);
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
	assert_int_equal(stage->failed, 0);
}

static void test_a_stop_does_not_cut_a_call_short(void **state)
{
	(void)state;
	play_everywhere(play_stop_caller);
}

static void plain_fiber(void *arg) WAITS
{
	struct stage *stage = arg;

	if (ask_about(stage, "through@x", 40, 10000))
		stage->failed++;
}

static void play_stop_server(struct stage *stage) WAITS
{
	connect_index(stage, 0);
	assert_int_equal(fiber_spawn(&stage->callers, "caller", plain_fiber, stage, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	group_stop(&stage->servers);
	assert_int_equal(group_wait(&stage->servers, in_ms(5000)), OK);
	assert_int_equal(stage->gone, 1);
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
	assert_int_equal(stage->failed, 0);
	let_it_settle(stage);
	assert_false(link_is_up(stage->link));
}

static void test_a_server_that_stops_answers_what_it_has_begun(void **state)
{
	(void)state;
	play_everywhere(play_stop_server);
}

static void play_refused(struct stage *stage) WAITS
{
	static const char octets[400];
	struct arena arena = { 0 };
	struct ask_recipient ask = { .address = { octets, 321 } };
	struct answer_recipient recipient;
	struct answer_inspect inspect;

	connect_index(stage, 0);
	assert_int_equal(call_inspect(stage->link, &(struct ask_inspect){ .session = 1 }, &arena,
				      &inspect, in_ms(5000)),
			 ERR_DENIED); /* the store inspects nothing */
	assert_int_equal(call_recipient(stage->link, &ask, &arena, &recipient, in_ms(5000)),
			 ERR_LIMIT);
	assert_int_equal(ask_about(stage, "a@x", 0, 5000), OK);
	assert_int_equal(stage->served, 1);
	assert_int_equal(in_flight(stage), 0);
	arena_drop(&arena);
}

static void test_what_may_not_be_asked_is_not_sent(void **state)
{
	(void)state;
	play_everywhere(play_refused);
}

static void collect_callers(void *context, const struct fiber_info *info)
{
	(void)info;
	++*(unsigned *)context;
}

/* A peer that reads nothing: what is gathered for it stays within bounds. */
static void wide_fiber(void *arg) WAITS
{
	static char octets[60000];
	struct stage *stage = arg;
	struct arena arena = { 0 };
	struct ask_deliver ask = { .body = { { octets, sizeof(octets) }, -1, sizeof(octets) } };
	struct answer_deliver answer;
	enum err err = call_deliver(stage->link, &ask, &arena, &answer, in_ms(300));

	if (err != ERR_TIMEOUT)
		stage->failed++;
	arena_drop(&arena);
}

static void play_no_reader(struct stage *stage) WAITS
{
	enum { CALLERS = 300 };
	struct channel *ends[2];
	struct link_stats stats;
	unsigned fibers = 0;

	make_pair(stage, ends);
	assert_int_equal(link_attach(stage->link, 0, ends[1]), OK);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(fiber_spawn(&stage->callers, "wide", wide_fiber, stage, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(100)), OK);
	world_each_fiber(world_here(), collect_callers, &fibers);
	assert_true(fibers >= CALLERS);
	assert_true(ends[1]->out.len <= LIMIT_link_outgoing + LIMIT_link_frame);
	assert_true(ends[0]->in.len <= LIMIT_link_outgoing + LIMIT_link_frame);
	link_get_stats(stage->link, &stats);
	assert_true(stats.in_flight > 60 && stats.in_flight < 100); /* 4 MiB of 60,000 octets */
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
	assert_int_equal(stage->failed, 0);
	channel_drop(&ends[0]);
	let_it_settle(stage);
	assert_int_equal(in_flight(stage), 0);
}

static void test_a_peer_that_does_not_read_costs_bounded_memory(void **state)
{
	(void)state;
	play_everywhere(play_no_reader);
}

/* Two runs of the simulated world tell the same story. */
static char story[2][4000];
static size_t story_len;
static unsigned story_at;

static void teller_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	char address[40];
	uint64_t ms = random_u64() % 50;

	snprintf(address, sizeof(address), "sleep-%llu@x", (unsigned long long)random_u64() % 1000);
	assert_int_equal(ask_about(stage, address, ms, 1000), OK);
	story_len +=
		(size_t)snprintf(story[story_at] + story_len, sizeof(story[story_at]) - story_len,
				 "%s at %lld\n", address, (long long)now());
}

static void play_story(struct stage *stage) WAITS
{
	connect_index(stage, 0);
	connect_index(stage, 1);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(fiber_spawn(&stage->callers, "teller", teller_fiber, stage, NULL),
				 OK);
	assert_int_equal(group_wait(&stage->callers, in_ms(5000)), OK);
}

static void test_the_simulated_world_repeats_itself(void **state)
{
	(void)state;
	for (story_at = 0; story_at < 2; story_at++) {
		story_len = 0;
		play(IN_MEMORY_SIMULATED, play_story);
	}
	assert_true(strlen(story[0]) > 1000);
	assert_string_equal(story[0], story[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call_brings_its_answer),
		cmocka_unit_test(test_a_failure_comes_back_with_its_text),
		cmocka_unit_test(test_many_calls_in_flight_get_their_own_answers),
		cmocka_unit_test(test_bodies_of_any_size_pass_and_leave_no_descriptor_behind),
		cmocka_unit_test(test_an_answer_can_carry_a_body),
		cmocka_unit_test(test_an_answer_over_its_bound_is_a_failure_of_that_call_only),
		cmocka_unit_test(test_a_descriptor_passes_and_is_closed_after_the_handler),
		cmocka_unit_test(test_a_late_answer_is_dropped_and_disturbs_nobody),
		cmocka_unit_test(test_without_a_channel_a_call_has_patience_but_not_for_ever),
		cmocka_unit_test(test_a_call_that_waits_for_a_channel_uses_the_first_to_come),
		cmocka_unit_test(test_a_new_channel_takes_the_place_of_an_old_one),
		cmocka_unit_test(test_a_stop_does_not_cut_a_call_short),
		cmocka_unit_test(test_a_server_that_stops_answers_what_it_has_begun),
		cmocka_unit_test(test_what_may_not_be_asked_is_not_sent),
		cmocka_unit_test(test_a_peer_that_does_not_read_costs_bounded_memory),
		cmocka_unit_test(test_the_simulated_world_repeats_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
