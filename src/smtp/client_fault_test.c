/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that hang, hang up, or talk nonsense, at every point of a session. */
#include "smtp/client_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct smtp_sending_to two[] = { { .address = S("anna@there.example") },
					      { .address = S("bert@there.example") } };
static const struct str text = S("Subject: x\r\n\r\n.dot\r\n");

enum { MINUTE_MS = 60'000 };

/* A session in lockstep, cut into the moments at which the server has the word. */
static const struct moment_of {
	const char *script;  /* up to there */
	const char *fitting; /* what should come */
	int64_t patience_ms; /* rfc5321 4.5.3.2 */
	bool is_sent;        /* the message has left */
} moments[] = {
	{ "", "220 mx", 5 * MINUTE_MS, false },
	{ "C: EHLO client.example\n", "250 mx", 5 * MINUTE_MS, false },
	{ "C: MAIL FROM:<me@client.example>\n", "250 OK", 5 * MINUTE_MS, false },
	{ "C: RCPT TO:<anna@there.example>\n", "250 OK", 5 * MINUTE_MS, false },
	{ "C: RCPT TO:<bert@there.example>\n", "250 OK", 5 * MINUTE_MS, false },
	{ "C: DATA\n", "354 go", 2 * MINUTE_MS, false },
	{ "C: Subject: x\nC: \nC: ..dot\nC: .\n", "250 kept", 10 * MINUTE_MS, true },
};

/* Everything went well until moment `last`; then this. */
static void play_until(struct client_play *play, size_t last, const char *what)
{
	struct buf script = BUF(65536);

	for (size_t i = 0; i <= last; i++) {
		buf_add_c(&script, moments[i].script);
		if (i < last)
			buf_print(&script, "S: %s\n", moments[i].fitting);
	}
	buf_add_c(&script, what);
	buf_add_char(&script, '\0');
	play->script = script.at;
	play->sendings[0] = (struct smtp_sending){
		.sender = S("me@client.example"), .octets = text, .count = 2, .to = two
	};
	play->count = 1;
	client_play(play);
	buf_drop(&script);
}

/* What the moment's silence or nonsense means for the message. */
static void check_outcome(const struct client_play *play, size_t at, const char *enhanced)
{
	enum smtp_result wanted = moments[at].is_sent ? SMTP_UNSURE : SMTP_DEFERRED;

	for (size_t i = 0; i < 2; i++) {
		const struct smtp_said *said = at < 2 ? &play->open : &play->said[0][i];

		if (said->result != wanted || !said->is_ours ||
		    !str_is(said->reply.enhanced, str_of(enhanced)))
			fail_msg("moment %zu: result %d, %u %.*s %.*s", at, (int)said->result,
				 said->reply.code, STR_ARGS(said->reply.enhanced),
				 STR_ARGS(said->reply.text));
	}
	assert_false(play->is_open[0]);
}

static void a_server_that_hangs_is_given_the_time_of_the_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(moments); i++) {
		struct client_play play = { 0 };

		play_until(&play, i, "END\n");
		check_outcome(&play, i, "4.4.2");
		assert_in_range(play.took_ms, moments[i].patience_ms, moments[i].patience_ms + 100);
		assert_true(client_traced(&play, "\"reason\":\"timeout\""));
		client_play_done(&play);
	}
}

/* A line a minute: the time is that of the whole reply. */
static void a_server_that_drips_gains_no_time(void **state)
{
	struct client_play play = { 0 };
	struct buf drip = BUF(65536);

	(void)state;
	for (int i = 0; i < 30; i++)
		buf_add(&drip, S("S: 250-more\nIDLE 60000\n"));
	buf_add_char(&drip, '\0');
	play_until(&play, 2, drip.at);
	check_outcome(&play, 2, "4.4.2");
	/* The server's half ends later; ours gave up in time. */
	assert_true(client_traced(&play, "\"reason\":\"timeout\""));
	buf_drop(&drip);
	client_play_done(&play);
}

static void a_connection_that_ends_leaves_the_message_where_it_was(void **state)
{
	static const char *const ends[] = { "SHUT\nEND\n", "CUT\n", "R: 25\nSHUT\nEND\n",
					    "S: 250-half a reply\nSHUT\nEND\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(moments); i++)
		for (size_t j = 0; j < COUNT_OF(ends); j++) {
			struct client_play play = { 0 };

			play_until(&play, i, ends[j]);
			check_outcome(&play, i, "4.4.2");
			client_play_done(&play);
		}
}

static void what_is_no_reply_ends_the_session(void **state)
{
	static const char *const nonsense[] = {
		"S: hello\nEND\n",
		"S: 250-more\nS: 250-more\nS: 2500 x\nSHUT\nEND\n",
		"R: \\0\\0\\0\\0\\n\nEND\n",
		"S: 150 too early\nEND\n",
		"S: 999 too much\nEND\n",
		"FILL 20000 x\nFLUSH\nEND\n",
		"R- 250 \nFILL 20000 x\nFLUSH\nEND\n",
		"FILL 1000 250-again\\r\\n\nFLUSH\nEND\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(moments); i++)
		for (size_t j = 0; j < COUNT_OF(nonsense); j++) {
			struct client_play play = { 0 };

			play_until(&play, i, nonsense[j]);
			/* In the midst of a reply a line of nonsense is only odd. */
			check_outcome(&play, i, j == 1 ? "4.4.2" : "4.5.0");
			client_play_done(&play);
		}
}

/* 354 where 250 should be, and 250 where 354 should be. */
static void a_reply_of_the_wrong_class_ends_the_session(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(moments); i++) {
		struct client_play play = { 0 };

		play_until(&play, i, i == 5 ? "S: 250 kept already\nEND\n" : "S: 354 go\nEND\n");
		check_outcome(&play, i, "4.5.0");
		client_play_done(&play);
	}
}

/* rfc5321 3.8 */
static void a_421_may_come_at_any_point(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(moments); i++) {
		struct client_play play = { 0 };

		play_until(&play, i, "S: 421 4.3.2 shutting down\nEND\n");
		for (size_t j = 0; j < 2; j++) {
			const struct smtp_said *said = i < 2 ? &play.open : &play.said[0][j];

			assert_int_equal(said->result, SMTP_DEFERRED);
			assert_int_equal(said->reply.code, 421);
			assert_false(said->is_ours);
		}
		assert_false(play.is_open[0]);
		client_play_done(&play);
	}
}

static void a_refusal_counts_for_whom_it_was_said(void **state)
{
	static const struct {
		const char *reply;
		enum smtp_result result;
		unsigned code;
	} cases[] = { { "450 4.3.0 later", SMTP_DEFERRED, 450 },
		      { "550 5.7.1 never", SMTP_REFUSED, 550 } };

	(void)state;
	for (size_t at = 5; at < COUNT_OF(moments); at++)
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			struct client_play play = { 0 };
			char rest[200];

			snprintf(rest, sizeof(rest), "S: %s\nC: QUIT\nS: 221 bye\nEND\n",
				 cases[i].reply);
			play_until(&play, at, rest);
			for (size_t j = 0; j < 2; j++) {
				assert_int_equal(play.said[0][j].result, cases[i].result);
				assert_int_equal(play.said[0][j].reply.code, cases[i].code);
			}
			assert_true(play.is_open[0]);
			client_play_done(&play);
		}
}

/* After the last recipient all is well whatever becomes of QUIT. */
static void a_farewell_that_goes_wrong_changes_nothing(void **state)
{
	static const char *const ends[] = { "C: QUIT\nSHUT\nEND\n", "C: QUIT\nEND\n",
					    "C: QUIT\nS: 500 what?\nEND\n", "SHUT\nIDLE 10\n",
					    "C: QUIT\nCUT\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		struct client_play play = { 0 };
		struct buf rest = BUF(1000);

		buf_print(&rest, "S: 250 kept\n%s", ends[i]);
		buf_add_char(&rest, '\0');
		play_until(&play, 6, rest.at);
		assert_int_equal(play.said[0][0].result, SMTP_SENT);
		assert_true(play.took_ms < 11'000);
		buf_drop(&rest);
		client_play_done(&play);
	}
}

/* A large message to a server that stops reading, or goes away, in its midst: it was not sent. */
static void what_ends_in_the_midst_of_the_data_was_not_sent(void **state)
{
	static const struct {
		const char *what;
		enum smtp_result result;
		unsigned code;
	} cases[] = {
		{ "S: 354 go\nC: x*x\nCUT\n", SMTP_DEFERRED, 451 },
		{ "S: 354 go\nC: x*x\nS: 552 5.3.4 too much\nIDLE 10\n", SMTP_REFUSED, 552 },
		{ "S: 354 go\nC: x*x\nS: 421 4.3.1 disk full\nIDLE 10\n", SMTP_DEFERRED, 421 },
		{ "S: 354 go\nC: x*x\nS: 552 5.3.4 too much\nIDLE 1000000\n", SMTP_REFUSED, 552 },
		{ "S: 354 go\nC: x*x\nIDLE 1000000\n", SMTP_DEFERRED, 451 },
	};
	static char large[1 << 20];

	(void)state;
	for (size_t i = 0; i < sizeof(large); i += 64) {
		memset(large + i, 'x', 62);
		memcpy(large + i + 62, "\r\n", 2);
	}
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client_play play = { .count = 1 };
		struct buf script = BUF(65536);

		for (size_t j = 0; j < 5; j++)
			buf_print(&script, "%sS: %s\n", moments[j].script, moments[j].fitting);
		buf_print(&script, "C: DATA\n%s", cases[i].what);
		buf_add_char(&script, '\0');
		play.script = script.at;
		play.sendings[0] = (struct smtp_sending){ .sender = S("me@client.example"),
							  .octets = { large, sizeof(large) },
							  .count = 2,
							  .to = two };
		client_play(&play);
		if (play.said[0][1].result != cases[i].result ||
		    play.said[0][1].reply.code != cases[i].code)
			fail_msg("case %zu: result %d, %u %.*s", i, (int)play.said[0][1].result,
				 play.said[0][1].reply.code, STR_ARGS(play.said[0][1].reply.text));
		buf_drop(&script);
		client_play_done(&play);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_hangs_is_given_the_time_of_the_rfc),
		cmocka_unit_test(a_server_that_drips_gains_no_time),
		cmocka_unit_test(a_connection_that_ends_leaves_the_message_where_it_was),
		cmocka_unit_test(what_is_no_reply_ends_the_session),
		cmocka_unit_test(a_reply_of_the_wrong_class_ends_the_session),
		cmocka_unit_test(a_421_may_come_at_any_point),
		cmocka_unit_test(a_refusal_counts_for_whom_it_was_said),
		cmocka_unit_test(a_farewell_that_goes_wrong_changes_nothing),
		cmocka_unit_test(what_ends_in_the_midst_of_the_data_was_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
