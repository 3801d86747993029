/* SPDX-License-Identifier: Apache-2.0 */
/* What calls carry, over each transport: answers, failures, bodies, descriptors. */
#include "link/stage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
