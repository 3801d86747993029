/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client and the server of this house with each other, over lines that are cut at any moment: what
 * the client says of a message is what became of it.
 */
#include "smtp/client.h"
#include "smtp/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LONG_MS = 3'600'000, STEP_US = 250, DELIVER_MS = 5 };

struct meeting {
	const char *listener; /* its options */
	bool is_lmtp;
	int64_t cut_us; /* after the start; 0: never */
	uint64_t seed;
	struct str octets;

	struct house house;
	struct smtp_service service;
	struct fiber_group house_group, group;
	struct stream *ends[2];
	struct smtp_said open, said[3];
	bool was_open;
	int64_t took_us;
};

static const struct smtp_sending_to three[] = { { .address = S("alice@here.example") },
						{ .address = S("nobody@here.example") },
						{ .address = S("bob@here.example") } };

static void serve(void *arg) WAITS
{
	struct meeting *meeting = arg;
	struct conn *conn = conn_new(meeting->ends[0]);

	smtp_serve(&meeting->service, conn, 1);
	conn_drop(&conn);
}

static void cut(void *arg) WAITS
{
	struct meeting *meeting = arg;

	if (fiber_sleep(in_us(meeting->cut_us)) == OK && meeting->ends[1])
		sim_stream_cut(meeting->ends[1]);
}

static void send(struct meeting *meeting) WAITS
{
	struct arena arena = { 0 };
	struct smtp_client *client;
	struct smtp_client_options options = { .hello = S("client.example"),
					       .is_lmtp = meeting->is_lmtp };
	struct smtp_sending sending = {
		.sender = S("me@client.example"),
		.octets = meeting->octets,
		.count = COUNT_OF(three),
		.to = three,
		.said = meeting->said,
	};

	smtp_client_open(conn_new(meeting->ends[1]), &options, &client, &arena, &meeting->open);
	meeting->was_open = client;
	if (client)
		smtp_client_send(client, &sending);
	meeting->ends[1] = NULL; /* the client's, and it goes */
	smtp_client_drop(&client);
	arena_drop(&arena);
}

static void act(void *arg) WAITS
{
	struct meeting *meeting = arg;
	moment start;

	group_init(&meeting->house_group);
	group_init(&meeting->group);
	meeting->service.store =
		stage_link(ROLE_STORE, &house_store, &meeting->house, &meeting->house_group);
	meeting->service.filter =
		stage_link(ROLE_FILTER, &house_filter, &meeting->house, &meeting->house_group);
	must(stream_pair(meeting->ends) == OK);
	start = now();
	must(!fiber_spawn(&meeting->group, "session", serve, meeting, NULL));
	if (meeting->cut_us)
		must(!fiber_spawn(&meeting->house_group, "scissors", cut, meeting, NULL));
	send(meeting);
	meeting->took_us = now() - start;
	must(!group_wait(&meeting->group, in_ms(LONG_MS)));
	link_drop(&meeting->service.store);
	link_drop(&meeting->service.filter);
	group_stop(&meeting->house_group);
	must(!group_wait(&meeting->house_group, in_ms(LONG_MS)));
}

static struct config *config_of(const struct meeting *meeting)
{
	OWNED(buf) struct buf text = BUF(4096);
	OWNED(buf) struct buf complaints = BUF(4096);
	struct config *config;

	buf_print(&text,
		  "hostname = \"mx.here.example\"\nconnections_exempt = \"0.0.0.0/0\"\n"
		  "listener \"port\" {\nprotocol = %s\ntls = none\n%s\n}\n",
		  meeting->is_lmtp ? "lmtp" : "smtp", meeting->listener);
	if (config_parse(buf_str(&text), S("test.conf"), NULL, 0, &complaints, &config))
		fail_msg("%.*s", STR_ARGS(buf_str(&complaints)));
	return config;
}

static void meet(struct meeting *meeting)
{
	struct world *world = world_sim_new(meeting->seed);
	struct sim_link link = { .delay_us = 1000, .octets_per_s = 1 << 20, .window = 8192 };
	struct config *config = config_of(meeting);

	meeting->house.deliver_ms = DELIVER_MS;
	meeting->service.config = config;
	meeting->service.listener = config_listener(config, S("port"));
	sim_set_link(world, &link);
	must(world_spawn(world, "act", act, meeting) == OK);
	world_run(world);
	world_drop(&world);
	config_unref(&config);
}

static bool is_kept_for(const struct meeting *meeting, struct str address)
{
	const struct kept *kept = &meeting->house.kept[0];

	return meeting->house.count > 0 && str_find_str(kept->recipients, address) != STR_NONE;
}

/* SENT: it is there. REFUSED and DEFERRED: it is not. UNSURE: it may be, and only at the very end. */
static unsigned check(const struct meeting *meeting)
{
	unsigned unsure = 0;

	assert_true(meeting->house.count <= 1);
	if (meeting->house.count == 1)
		assert_true(str_is(kept_text(&meeting->house.kept[0]), meeting->octets));
	if (!meeting->was_open) {
		assert_int_equal(meeting->open.result, SMTP_DEFERRED);
		assert_int_equal(meeting->house.count, 0);
		return 0;
	}
	for (size_t i = 0; i < COUNT_OF(three); i++) {
		bool is_kept = is_kept_for(meeting, three[i].address);

		if (meeting->said[i].result == SMTP_SENT)
			assert_true(is_kept);
		else if (meeting->said[i].result != SMTP_UNSURE)
			assert_false(is_kept);
		unsure += meeting->said[i].result == SMTP_UNSURE;
	}
	return unsure;
}

/* Every quarter of a millisecond of the session, until past its end. */
static void cut_everywhere(const struct meeting *wanted)
{
	struct meeting whole = *wanted;
	unsigned unsure = 0;
	unsigned cuts = 0;

	meet(&whole);
	assert_int_equal(whole.said[0].result, SMTP_SENT);
	assert_int_equal(whole.said[1].result, SMTP_REFUSED);
	assert_int_equal(whole.said[2].result, SMTP_SENT);
	check(&whole);
	for (int64_t at = STEP_US; at < whole.took_us + STEP_US; at += STEP_US, cuts++) {
		struct meeting meeting = *wanted;

		meeting.cut_us = at;
		meet(&meeting);
		unsure += check(&meeting);
		arena_drop(&meeting.house.arena);
	}
	/* Were there none, the cuts would have missed the moment that matters. */
	assert_true(cuts > 20 && unsure > 0);
	arena_drop(&whole.house.arena);
}

static const struct str dotted = S("Subject: x\r\n\r\n.dot\r\n..\r\nend\r\n");

static void a_cut_pipelined_session_is_judged_truly(void **state)
{
	(void)state;
	cut_everywhere(&(struct meeting){
		.listener = "without = \"CHUNKING\"", .octets = dotted, .seed = 1 });
}

static void a_cut_session_step_by_step_is_judged_truly(void **state)
{
	(void)state;
	cut_everywhere(&(struct meeting){
		.listener = "without = \"PIPELINING, CHUNKING\"", .octets = dotted, .seed = 2 });
}

static void a_cut_session_with_chunks_is_judged_truly(void **state)
{
	(void)state;
	cut_everywhere(&(struct meeting){ .listener = "", .octets = dotted, .seed = 3 });
}

static void a_cut_lmtp_session_is_judged_truly(void **state)
{
	(void)state;
	cut_everywhere(
		&(struct meeting){ .listener = "", .is_lmtp = true, .octets = dotted, .seed = 4 });
}

/* So large that it is cut in the midst of the data most of the time. */
static void a_cut_large_message_is_judged_truly(void **state)
{
	static char large[64 * 1024];

	(void)state;
	for (size_t i = 0; i < sizeof(large); i += 64) {
		memset(large + i, '.', 62);
		memcpy(large + i + 62, "\r\n", 2);
	}
	cut_everywhere(&(struct meeting){ .listener = "without = \"CHUNKING\"",
					  .octets = { large, sizeof(large) },
					  .seed = 5 });
	cut_everywhere(
		&(struct meeting){ .listener = "", .octets = { large, sizeof(large) }, .seed = 6 });
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_pipelined_session_is_judged_truly),
		cmocka_unit_test(a_cut_session_step_by_step_is_judged_truly),
		cmocka_unit_test(a_cut_session_with_chunks_is_judged_truly),
		cmocka_unit_test(a_cut_lmtp_session_is_judged_truly),
		cmocka_unit_test(a_cut_large_message_is_judged_truly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
