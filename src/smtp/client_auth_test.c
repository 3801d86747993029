/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in to servers: which way, where, and what is never said. */
#include "smtp/client_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define GREETING "S: 220 mx.there.example ESMTP\nC: EHLO client.example\n"
#define QUIT     "C: QUIT\nS: 221 bye\nEND\n"
#define PLAIN    "AGFubmEAc2VjcmV0" /* NUL anna NUL secret */

enum { LONG_MS = 600'000 };

static void play_as_anna(struct client_play *play, const char *script)
{
	play->script = script;
	play->options.user = S("anna");
	play->options.password = S("secret");
	client_play(play);
	/* The password and all that it can be read from. */
	assert_false(client_traced(play, "secret"));
	assert_false(client_traced(play, "c2VjcmV0"));
	assert_false(client_traced(play, PLAIN));
}

static void check_open(const struct client_play *play, enum smtp_result result, unsigned code)
{
	if (play->open.result != result || play->open.reply.code != code)
		fail_msg("result %d, %u %.*s", (int)play->open.result, play->open.reply.code,
			 STR_ARGS(play->open.reply.text));
}

static void a_password_is_said_under_tls(void **state)
{
	struct client_play play = { .options.tls = SMTP_TLS_IMPLICIT };

	(void)state;
	play_as_anna(&play,
		     "TLS\n" GREETING "S- 250-mx\nS: 250 AUTH LOGIN PLAIN\nC: AUTH PLAIN " PLAIN
		     "\nS: 235 2.7.0 welcome\n" QUIT);
	check_open(&play, SMTP_SENT, 235);
	assert_true(client_traced(&play, "AUTH PLAIN ****"));
	assert_true(client_traced(&play, "\"account\":\"anna\""));
	client_play_done(&play);
}

/* rfc4954 5: who has signed in says for whom, where it knows; and where it has not, nothing. */
static void who_handed_it_in_is_said_to_who_knows_us(void **state)
{
	static const struct smtp_sending_to to = { .address = S("bob@there.example") };
	static const char *const lines[] = { " AUTH=e+3Dmc2@client.example", " AUTH=<>" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct client_play play = { .options.tls = SMTP_TLS_IMPLICIT, .count = 1 };
		char script[1000];

		play.sendings[0] = client_mail(&to, 1, S("Subject: x\r\n\r\ny\r\n"));
		play.sendings[0].submitter = i ? S("") : S("e=mc2@client.example");
		snprintf(script, sizeof(script),
			 "TLS\n" GREETING "S- 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " PLAIN
			 "\nS: 235 2.7.0 welcome\nC: MAIL FROM:<me@client.example>%s\nS: 250 ok\n"
			 "C: RCPT TO:<bob@there.example>\nS: 250 ok\nC: DATA\nS: 354 go\n"
			 "C: Subject: x\nC: \nC: y\nC: .\nS: 250 ok\n" QUIT,
			 lines[i]);
		play_as_anna(&play, script);
		assert_int_equal(play.said[0][0].result, SMTP_SENT);
		client_play_done(&play);
	}
}

static void a_refused_password_is_told_apart(void **state)
{
	struct client_play play = { .options.tls = SMTP_TLS_IMPLICIT };

	(void)state;
	play_as_anna(&play, "TLS\n" GREETING "S- 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " PLAIN
			    "\nS: 535 5.7.8 no\n" QUIT);
	check_open(&play, SMTP_DEFERRED, 535);
	assert_true(play.open.is_sign_in);
	client_play_done(&play);
}

static void a_password_is_not_said_in_the_clear(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_as_anna(&play, GREETING "S- 250-mx\nS: 250 AUTH PLAIN LOGIN\n" QUIT);
	check_open(&play, SMTP_DEFERRED, 454);
	assert_true(play.open.is_ours);
	client_play_done(&play);
}

static void towards_this_machine_it_is(void **state)
{
	struct client_play play = { .from = "127.0.0.1:2525" };

	(void)state;
	play_as_anna(&play, GREETING "S- 250-mx\nS: 250 AUTH LOGIN\nC: AUTH LOGIN\n"
				     "S: 334 VXNlcm5hbWU6\nC: YW5uYQ==\nS: 334 UGFzc3dvcmQ6\n"
				     "C: c2VjcmV0\nS: 235 welcome\n" QUIT);
	check_open(&play, SMTP_SENT, 235);
	client_play_done(&play);
}

/* Who has mistyped a password wants his mail to wait, not to come back. */
static void a_wrong_password_defers(void **state)
{
	struct client_play play = { .from = "127.0.0.1:2525" };

	(void)state;
	play_as_anna(&play, GREETING "S- 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " PLAIN
				     "\nS: 535 5.7.8 no\n" QUIT);
	check_open(&play, SMTP_DEFERRED, 535);
	assert_false(play.open.is_ours);
	assert_true(client_traced(&play, "\"outcome\":\"failed\""));
	client_play_done(&play);
}

static void a_server_without_auth_is_not_used(void **state)
{
	struct client_play play = { .from = "127.0.0.1:2525" };

	(void)state;
	play_as_anna(&play, GREETING "S: 250 mx\n" QUIT);
	check_open(&play, SMTP_DEFERRED, 454);
	client_play_done(&play);
}

static void an_initial_response_too_long_for_the_command_waits_for_its_turn(void **state)
{
	static char password[600];
	struct client_play play = { .from = "127.0.0.1:2525" };

	(void)state;
	memset(password, 'x', sizeof(password));
	play.script = GREETING "S- 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN\nS: 334 \n"
			       "C: AGFubmEAeHh4*\nS: 235 welcome\n" QUIT;
	play.options.user = S("anna");
	play.options.password = (struct str){ password, sizeof(password) };
	client_play(&play);
	check_open(&play, SMTP_SENT, 235);
	client_play_done(&play);
}

/* rfc4954 4: what has no answer is cancelled, and the session goes on to its end. */
static void nonsense_as_a_challenge_is_cancelled(void **state)
{
	static const char *const challenges[] = { "!!!", "bm9uc2Vuc2U=", "", "cj14LHM9LGk9" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(challenges); i++) {
		struct client_play play = { 0 };
		struct buf script = BUF(4096);

		buf_print(&script,
			  GREETING "S- 250-mx\nS: 250 AUTH SCRAM-SHA-256\n"
				   "C: AUTH SCRAM-SHA-256 *\nS: 334 %s\nC: *\n"
				   "S: 501 5.7.0 cancelled\n" QUIT,
			  challenges[i]);
		buf_add_char(&script, '\0');
		play_as_anna(&play, script.at);
		check_open(&play, SMTP_DEFERRED, 454);
		buf_drop(&script);
		client_play_done(&play);
	}
}

static void a_challenge_when_all_was_said_is_cancelled(void **state)
{
	struct client_play play = { .from = "127.0.0.1:2525" };

	(void)state;
	play_as_anna(&play, GREETING "S- 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " PLAIN
				     "\nS: 334 \nC: *\nS: 501 5.7.0 cancelled\n" QUIT);
	check_open(&play, SMTP_DEFERRED, 454);
	client_play_done(&play);
}

/* ---- SCRAM, with a server that knows how it begins ---- */

struct scram {
	unsigned iterations;
	bool is_cancelled; /* the client said "*" */
	struct smtp_said said;
	struct stream *ends[2];
};

static void say(struct conn *conn, const char *line) WAITS
{
	must(!conn_write(conn, str_of(line), in_ms(LONG_MS)));
	must(!conn_write(conn, S("\r\n"), in_ms(LONG_MS)));
}

static struct str hear(struct conn *conn) WAITS
{
	struct str line;

	must(!conn_read_line(conn, LIMIT_sasl_line, LINE_CRLF_ONLY, in_ms(LONG_MS), &line));
	return line;
}

/* "n,,n=anna,r=NONCE" gets "r=NONCEmore,s=salt,i=N", and then a 235 without any proof. */
static void serve_scram(void *arg) WAITS
{
	struct scram *scram = arg;
	struct arena arena = { 0 };
	struct buf challenge = BUF(4096);
	struct conn *conn = conn_new(scram->ends[0]);
	struct str first;
	struct str nonce;

	say(conn, "220 mx");
	hear(conn);
	say(conn, "250-mx\r\n250 AUTH SCRAM-SHA-256");
	must(base64_take(&arena, str_from(hear(conn), sizeof("AUTH SCRAM-SHA-256 ") - 1), &first));
	nonce = str_from(first, str_find_str(first, S(",r=")) + 3);
	must(!base64_add(&challenge, str_print(&arena, "r=%.*smore,s=c2FsdHNhbHRzYWx0,i=%u",
					       STR_ARGS(nonce), scram->iterations)));
	say(conn, str_print(&arena, "334 %.*s", STR_ARGS(buf_str(&challenge))).at);
	scram->is_cancelled = str_is(hear(conn), S("*"));
	say(conn, scram->is_cancelled ? "501 cancelled" : "235 come in");
	must(str_is(hear(conn), S("QUIT")));
	conn_drop(&conn);
	buf_drop(&challenge);
	arena_drop(&arena);
}

static void act_scram(void *arg) WAITS
{
	struct scram *scram = arg;
	struct arena arena = { 0 };
	struct fiber_group group;
	struct smtp_client *client;
	struct smtp_client_options options = { .hello = S("client.example"),
					       .user = S("anna"),
					       .password = S("secret") };

	group_init(&group);
	must(!stream_pair(scram->ends));
	must(!fiber_spawn(&group, "server", serve_scram, scram, NULL));
	smtp_client_open(conn_new(scram->ends[1]), &options, &client, &arena, &scram->said);
	smtp_client_drop(&client);
	must(!group_wait(&group, in_ms(LONG_MS)));
	arena_drop(&arena);
}

static void play_scram(struct scram *scram)
{
	struct world *world = world_sim_new(1);

	must(world_spawn(world, "act", act_scram, scram) == OK);
	world_run(world);
	world_drop(&world);
}

/* rfc5802 9: a hostile server would have us compute for years. */
static void a_server_that_asks_for_too_much_hashing_is_left(void **state)
{
	struct scram scram = { .iterations = 4'000'000'000 };

	(void)state;
	play_scram(&scram);
	assert_true(scram.is_cancelled);
	assert_int_equal(scram.said.result, SMTP_DEFERRED);
}

/* rfc5802 5: who does not know the password cannot be the server that is meant. */
static void a_server_that_proves_nothing_gets_no_mail(void **state)
{
	struct scram scram = { .iterations = 4096 };

	(void)state;
	play_scram(&scram);
	assert_false(scram.is_cancelled);
	assert_int_equal(scram.said.result, SMTP_DEFERRED);
	assert_true(scram.said.is_ours);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_said_under_tls),
		cmocka_unit_test(who_handed_it_in_is_said_to_who_knows_us),
		cmocka_unit_test(a_refused_password_is_told_apart),
		cmocka_unit_test(a_password_is_not_said_in_the_clear),
		cmocka_unit_test(towards_this_machine_it_is),
		cmocka_unit_test(a_wrong_password_defers),
		cmocka_unit_test(a_server_without_auth_is_not_used),
		cmocka_unit_test(an_initial_response_too_long_for_the_command_waits_for_its_turn),
		cmocka_unit_test(nonsense_as_a_challenge_is_cancelled),
		cmocka_unit_test(a_challenge_when_all_was_said_is_cancelled),
		cmocka_unit_test(a_server_that_asks_for_too_much_hashing_is_left),
		cmocka_unit_test(a_server_that_proves_nothing_gets_no_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
