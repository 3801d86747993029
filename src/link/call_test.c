/* SPDX-License-Identifier: Apache-2.0 */
/* How calls end: in time, late, refused, by a stop, with their channel; and what they cost meanwhile. */
#include "link/stage.h"

#include <stdio.h>
#include <stdlib.h>

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

/* ---- what comes too late to be of use ---- */

/* As another role: not every one may ask for everything. */
static void connect_as(struct stage *stage, enum role_kind role)
{
	struct channel *ends[2];

	link_drop(&stage->link);
	stage->link = link_new(role, SERVER);
	make_pair(stage, ends);
	serve(stage, ends[0], role);
	assert_int_equal(link_attach(stage->link, 0, ends[1]), OK);
}

static void play_handed_out(struct stage *stage) WAITS
{
	const struct ask_password password = { .user = S("slow"), .password = S("tanstaaf") };
	struct answer_password signed_in;
	struct answer_maildrop_open drop;
	struct answer_view_open view;
	struct answer_queue_claim claim;
	struct arena arena = { 0 };

	connect_as(stage, ROLE_GATE_USER);
	assert_int_equal(call_password(stage->link, &password, &arena, &signed_in, in_ms(10)),
			 ERR_TIMEOUT);
	assert_int_equal(call_maildrop_open(stage->link, &(struct ask_maildrop_open){ 0 }, &arena,
					    &drop, in_ms(10)),
			 ERR_TIMEOUT);
	let_it_settle(stage);
	assert_int_equal(stage->given_back[0], 71);
	assert_int_equal(stage->given_back[1], 72);
	assert_int_equal(stage->given_back[2], 73);
	connect_as(stage, ROLE_WEB);
	assert_int_equal(
		call_view_open(stage->link, &(struct ask_view_open){ 0 }, &arena, &view, in_ms(10)),
		ERR_TIMEOUT);
	let_it_settle(stage);
	assert_int_equal(stage->given_back[3], 74);
	connect_as(stage, ROLE_RELAY);
	assert_int_equal(call_queue_claim(stage->link, &(struct ask_queue_claim){ 0 }, &arena,
					  &claim, in_ms(10)),
			 ERR_TIMEOUT);
	let_it_settle(stage);
	assert_int_equal(stage->given_back[4], 75);
	assert_int_equal(in_flight(stage), 0);
	arena_drop(&arena);
}

static void test_what_a_late_answer_hands_out_is_given_back(void **state)
{
	(void)state;
	play_everywhere(play_handed_out);
}

/* The link goes while the answer is on its way, and while it is being given back. */
static void play_dropped(struct stage *stage) WAITS
{
	const struct ask_password password = { .user = S("slow"), .password = S("tanstaaf") };
	struct answer_password signed_in;
	struct arena arena = { 0 };

	connect_as(stage, ROLE_GATE_USER);
	assert_int_equal(call_password(stage->link, &password, &arena, &signed_in, in_ms(10)),
			 ERR_TIMEOUT);
	link_detach(stage->link, 0);
	let_it_settle(stage);
	assert_int_equal(stage->given_back[0], 0);
	connect_as(stage, ROLE_GATE_USER);
	assert_int_equal(call_password(stage->link, &password, &arena, &signed_in, in_ms(10)),
			 ERR_TIMEOUT);
	while (in_flight(stage))
		assert_int_equal(fiber_yield(), OK);
	arena_drop(&arena);
}

static void test_a_link_that_ends_gives_nothing_back(void **state)
{
	(void)state;
	play(IN_MEMORY, play_dropped);
	play(OVER_SOCKETS, play_dropped);
}

static bool holds_secret(const struct buf *buf)
{
	return buf->at && memmem(buf->at, buf->room, "tanstaaf", 8);
}

static void play_secret(struct stage *stage) WAITS
{
	const struct ask_password ask = { .user = S("mrose"), .password = S("tanstaaf") };
	struct answer_password answer;
	struct arena arena = { 0 };
	struct channel *ends[2];

	make_pair(stage, ends);
	serve(stage, ends[0], ASKER);
	assert_int_equal(link_attach(stage->link, 0, ends[1]), OK);
	assert_int_equal(call_password(stage->link, &ask, &arena, &answer, in_ms(5000)), OK);
	assert_int_equal(answer.state, SASL_DONE);
	assert_false(holds_secret(&ends[1]->out));
	assert_false(holds_secret(&ends[0]->in));
	/* The callee's memory for the call is kept for the next one. */
	assert_memory_not_equal(stage->secret, "tanstaaf", 8);
	arena_drop(&arena);
}

static void test_a_secret_stays_nowhere_on_its_way(void **state)
{
	(void)state;
	play_everywhere(play_secret);
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

	if (ask_about(stage, "sleep@x", 200, 10000) == ERR_GONE)
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
	for (int i = 0; i < 50 && !stage->gone; i++)
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

/* ---- a call that gets no fiber, on a channel that takes no more ---- */

enum { RECIPIENT = 1, MAILDROP_LIST = 21, LAST_CALL = 77777 };

/* As an asker that reads nothing, so by hand. */
static void send_ask(struct channel *channel, uint32_t call, unsigned kind, const void *ask)
{
	struct frame head = { .type = FRAME_CALL, .kind = kind, .call = call };

	assert_int_equal(channel_send(channel, &head, message_of(kind)->ask, ask), OK);
}

static size_t octets_waiting(const struct channel *channel)
{
	const struct channel *twin = channel->twin;

	return twin ? twin->in.len - twin->in_taken : channel->out.len - channel->out_sent;
}

/* The last answers but one pass the bound while the callee waits for the next ask. */
static void fill(struct channel *asker, const struct channel *callee) WAITS
{
	static char name[200];
	struct ask_maildrop_list list = { .first = 4000 };
	struct ask_recipient sleeper = { .address = { name, sizeof(name) }, .size = 200 };
	uint32_t call = 0;

	memset(name, 'x', sizeof(name));
	memcpy(name, "sleep", 5);
	while (octets_waiting(callee) < LIMIT_link_outgoing - 200000) {
		send_ask(asker, ++call, MAILDROP_LIST, &list);
		assert_int_equal(fiber_sleep(in_ms(1)), OK);
	}
	for (unsigned i = 0; i < 1500; i++)
		send_ask(asker, ++call, RECIPIENT, &sleeper);
	assert_int_equal(fiber_sleep(in_ms(50)), OK);
	assert_true(channel_has_room(callee));
}

static void sleep_for_ever(void *arg) WAITS
{
	(void)arg;
	(void)fiber_sleep(NEVER);
}

static void take_every_fiber(struct fiber_group *crowd)
{
	enum err err = OK;

	group_init(crowd);
	while (!err)
		err = fiber_spawn(crowd, "crowd", sleep_for_ever, NULL, NULL);
	assert_int_equal(err, ERR_LIMIT);
}

static bool is_answered(struct channel *asker) WAITS
{
	struct frame frame;
	int fd;

	while (channel_next(asker, &frame, &fd) == OK)
		if (frame.call == LAST_CALL)
			return frame.type == FRAME_ANSWER;
	return false;
}

static void play_no_fiber(struct stage *stage) WAITS
{
	struct ask_recipient last = { .address = S("a@x") };
	struct fiber_group crowd;
	struct channel *ends[2];

	make_pair(stage, ends);
	serve(stage, ends[0], ASKER);
	assert_int_equal(channel_start(ends[1]), OK);
	fill(ends[1], ends[0]);
	assert_int_equal(fiber_sleep(in_ms(300)), OK);
	assert_false(channel_has_room(ends[0]));
	take_every_fiber(&crowd);
	send_ask(ends[1], LAST_CALL, RECIPIENT, &last);
	assert_true(is_answered(ends[1]));
	group_stop(&crowd);
	assert_int_equal(group_wait(&crowd, NEVER), OK);
	channel_cut(ends[1], ERR_CLOSED);
	channel_drop(&ends[1]);
	let_it_settle(stage);
}

static void test_a_call_that_gets_no_fiber_is_served_all_the_same_on_a_full_channel_too(
	void **state)
{
	(void)state;
	play_everywhere(play_no_fiber);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_late_answer_is_dropped_and_disturbs_nobody),
		cmocka_unit_test(test_what_a_late_answer_hands_out_is_given_back),
		cmocka_unit_test(test_a_link_that_ends_gives_nothing_back),
		cmocka_unit_test(test_a_secret_stays_nowhere_on_its_way),
		cmocka_unit_test(test_without_a_channel_a_call_has_patience_but_not_for_ever),
		cmocka_unit_test(test_a_call_that_waits_for_a_channel_uses_the_first_to_come),
		cmocka_unit_test(test_a_new_channel_takes_the_place_of_an_old_one),
		cmocka_unit_test(test_a_stop_does_not_cut_a_call_short),
		cmocka_unit_test(test_a_server_that_stops_answers_what_it_has_begun),
		cmocka_unit_test(test_what_may_not_be_asked_is_not_sent),
		cmocka_unit_test(test_a_peer_that_does_not_read_costs_bounded_memory),
		cmocka_unit_test(test_the_simulated_world_repeats_itself),
		cmocka_unit_test(
			test_a_call_that_gets_no_fiber_is_served_all_the_same_on_a_full_channel_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
