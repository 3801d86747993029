/* SPDX-License-Identifier: Apache-2.0 */
/* STARTTLS and AUTH: what is offered when, what is forgotten, what is never said. */
#include "smtp/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HELLO    "S: 220 *\nC: EHLO client.example\nS...: 250\n"
#define STARTTLS "C: STARTTLS\nS: 220 2.0.0 *\nTLS\n"
#define SECURE   HELLO STARTTLS "C: EHLO client.example\nS...: 250\n"
#define QUIT     "C: QUIT\nS: 221 *\nEND\n"
#define PLAIN    "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 235 2.7.0 *\n"
#define WRONG    "C: AUTH PLAIN AGFsaWNlAHdyb25n\n"

static void play(struct stage *stage, const char *script)
{
	stage->script = script;
	stage_play(stage);
}

static void play_submission(struct stage *stage, const char *script)
{
	stage->protocol = "submission";
	play(stage, script);
}

/* rfc3207 4.2 */
static void after_starttls_the_server_has_forgotten_everything(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO STARTTLS
	     "C: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO*\nC: EHLO again.example\nS...: "
	     "250\n"
	     "C: STARTTLS\nS: 503 5.5.1 *\n"
	     "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
	     "C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	assert_true(str_find_str(stage.house.kept[0].body, S("with ESMTPS")) != STR_NONE);
	assert_true(str_find_str(stage.house.kept[0].body, S("again.example")) != STR_NONE);
	assert_true(stage_traced(&stage, "\"kind\":\"tls\""));
	assert_true(stage_traced(&stage, "TLSv1.3"));
	stage_done(&stage);
}

static void starttls_leaves_the_list_once_tls_is_on(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     "S: 220 *\nC: EHLO a\nS: 250-*\nS: 250-PIPELINING\nS: 250-SIZE *\nS: 250-8BITMIME\n"
	     "S: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\nS: 250-ENHANCEDSTATUSCODES\nS: "
	     "250-DSN\n"
	     "S: 250-STARTTLS\nS: 250 LIMITS *\n" STARTTLS
	     "C: EHLO a\nS: 250-*\nS: 250-PIPELINING\nS: 250-SIZE *\nS: 250-8BITMIME\n"
	     "S: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\nS: 250-ENHANCEDSTATUSCODES\nS: "
	     "250-DSN\n"
	     "S: 250 LIMITS *\n" QUIT);
	stage_done(&stage);
}

/* Commands smuggled behind STARTTLS in the same packet are thrown away, whole or half. */
static void what_is_injected_behind_starttls_is_never_run(void **state)
{
	static const char *const injected[] = { "NOOP\\r\\n", "EHLO evil\\r\\n",
						"RSET\\r\\nMAIL FRO" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(injected); i++) {
		struct stage stage = { 0 };
		char script[500];

		snprintf(script, sizeof(script),
			 HELLO "C- STARTTLS\nR: %s\nS: 220 2.0.0 *\nTLS\n"
			       "C: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO*\n"
			       "C: EHLO a\nS...: 250\n" QUIT,
			 injected[i]);
		play(&stage, script);
		assert_false(stage_saw(&stage, "OK"));
		assert_true(stage_traced(&stage, "thrown away"));
		stage_done(&stage);
	}
}

static void starttls_is_refused_where_it_makes_no_sense(void **state)
{
	struct stage argument = { 0 };
	struct stage none = { .listener = "tls = none\n" };
	struct stage bare = { .without_certificate = true };

	(void)state;
	play(&argument, "S: 220 *\nC: STARTTLS\nS: 503 *\nC: EHLO a\nS...: 250\nC: STARTTLS "
			"now\nS: 501 5.5.4 *\n" QUIT);
	play(&none, HELLO "C: STARTTLS\nS: 502 5.5.1 *\n" QUIT);
	play(&bare, HELLO "C: STARTTLS\nS: 454 4.7.0 *\n" QUIT);
	assert_false(stage_saw(&none, "250-STARTTLS"));
	assert_false(stage_saw(&bare, "250-STARTTLS"));
	stage_done(&argument);
	stage_done(&none);
	stage_done(&bare);
}

static void plaintext_in_place_of_a_handshake_ends_the_session(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "C: STARTTLS\nS: 220 *\nC: EHLO a\nEND\n");
	assert_true(stage_traced(&stage, "\"reason\":\"tls\""));
	stage_done(&stage);
}

static void a_handshake_that_does_not_come_is_cut_off(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "C: STARTTLS\nS: 220 *\nEND\n");
	assert_true(stage.took_ms >= 30000 && stage.took_ms < 35000);
	assert_true(stage_traced(&stage, "\"reason\":\"tls\""));
	assert_true(stage_traced(&stage, "\"failure\":\"timed out\""));
	assert_false(stage_traced(&stage, "\"code\":421"));
	assert_false(stage_traced(&stage, "session_idle"));
	stage_done(&stage);
}

static void who_is_stopped_in_a_handshake_is_told_nothing_and_none_is_traced(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "C: STARTTLS\nS: 220 *\nSTOP\nEND\n");
	assert_true(stage_traced(&stage, "\"reason\":\"tls\""));
	assert_false(stage_traced(&stage, "\"code\":421"));
	stage_done(&stage);
}

static void a_response_that_never_came_is_not_traced(void **state)
{
	struct stage stage = { 0 };
	struct scan events;
	struct str line;
	size_t commands = 0;

	(void)state;
	play_submission(&stage, SECURE "C: AUTH PLAIN\nS: 334 *\nCUT\n");
	events = scan_of(buf_str(&stage.events));
	while (take_until(&events, '\n', &line))
		commands += str_find_str(line, S("\"kind\":\"command\"")) != STR_NONE;
	assert_int_equal(commands, 4); /* EHLO, STARTTLS, EHLO, AUTH */
	stage_done(&stage);
}

/* ---- submission: TLS, then a name, then mail ---- */

static void submission_wants_tls_then_a_sign_in(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play_submission(&stage, HELLO
			"C: MAIL FROM:<alice@here.example>\nS: 530 5.7.0 *STARTTLS*\n"
			"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 538 5.7.11 *\n"
			"C: VRFY alice\nS: 530 *\n" STARTTLS "C: EHLO client.example\nS...: 250\n"
			"C: MAIL FROM:<alice@here.example>\nS: 530 5.7.0 Sign in*\n" PLAIN
			"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 503 5.5.1 *\n"
			"C: MAIL FROM:<bob@here.example>\nS: 553 5.7.1 *\n"
			"C: MAIL FROM:<alice@here.example> AUTH=<>\nS: 250 *\n"
			"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 503 *\n"
			"C: RCPT TO:<x@elsewhere.example>\nS: 550 5.7.1 *sends no mail to other "
			"servers*\n"
			"C: RCPT TO:<bob@here.example>\nS: 250 *\n"
			"C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	assert_true(str_find_str(stage.house.kept[0].body, S("with ESMTPSA")) != STR_NONE);
	assert_true(stage_saw(&stage, "250-AUTH PLAIN LOGIN"));
	assert_true(stage_saw(&stage, "250-AUTH=PLAIN LOGIN"));
	assert_false(stage_traced(&stage, "AGFsaWNl"));
	assert_true(stage_traced(&stage, "AUTH PLAIN ****"));
	stage_done(&stage);
}

static void auth_is_offered_only_under_tls(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play_submission(&stage, HELLO QUIT);
	assert_false(stage_saw(&stage, "AUTH"));
	stage_done(&stage);
}

#define LOGIN                                                                                      \
	"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\n"                                        \
	"S: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 *\n"

static void every_way_through_a_mechanism_works(void **state)
{
	static const char *const ways[] = {
		PLAIN,
		"C: auth plain\nS: 334 \nC: AGFsaWNlAHNlY3JldA==\nS: 235 *\n",
		LOGIN,
		"C: AUTH SCRAM-SHA-256\nS: 334 b25l\nC: MQ==\nS: 334 Ynll\nC: \nS: 235 *\n",
		"C: AUTH SCRAM-SHA-256-PLUS\nS: 334 b25l\nC: MQ==\nS: 334 Ynll\nC: \nS: 235 *\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct stage stage = { 0 };
		char script[1000];

		snprintf(script, sizeof(script),
			 SECURE "%sC: MAIL FROM:<alice@here.example>\nS: 250 *\n" QUIT, ways[i]);
		play_submission(&stage, script);
		assert_false(stage_traced(&stage, "c2VjcmV0"));
		assert_false(stage_traced(&stage, "YWxpY2U"));
		assert_false(stage_traced(&stage, "Ynll"));
		assert_true(stage_traced(&stage, "\"outcome\":\"ok\""));
		stage_done(&stage);
	}
}

static void what_is_no_sign_in_is_refused_and_the_session_goes_on(void **state)
{
	static const struct {
		const char *dialogue;
	} cases[] = {
		{ "C: AUTH\nS: 501 *\n" },
		{ "C: AUTH XYZZY\nS: 504 5.5.4 *\n" },
		{ "C: AUTH CRAM-MD5\nS: 504 *\n" },
		{ "C: AUTH PLAIN !!!!\nS: 501 5.5.2 *\n" },
		{ "C: AUTH PLAIN =\nS: 501 *\n" },
		{ "C: AUTH PLAIN AGFs aWNl\nS: 501 *\n" },
		{ "C: AUTH PLAIN YWxpY2U=\nS: 501 5.5.2 *\n" },
		{ "C: AUTH PLAIN AGJ1c3kAc2VjcmV0\nS: 454 4.7.0 *\n" },
		{ "C: AUTH LOGIN\nS: 334 *\nC: *\nS: 501 5.7.0 *\n" },
		{ "C: AUTH LOGIN\nS: 334 *\nC: not base64\nS: 501 5.5.2 *\n" },
		{ "C: AUTH LOGIN\nS: 334 *\nFILL 20000 A\nC: \nS: 500 5.5.6 *\n" },
		{ "C: AUTH SCRAM-SHA-256\nS: 334 *\nC: MQ==\nS: 334 *\nC: *\nS: 501 *\n" },
		{ "C: AUTH SCRAM-SHA-256\nS: 334 *\nC: MQ==\nS: 334 *\nC: MQ==\nS: 501 *\n" },
		{ WRONG "S: 535 5.7.8 *\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct stage stage = { 0 };
		char script[1000];

		snprintf(script, sizeof(script),
			 SECURE "%sC: MAIL FROM:<alice@here.example>\nS: 530 5.7.0 *\n" PLAIN QUIT,
			 cases[i].dialogue);
		play_submission(&stage, script);
		stage_done(&stage);
	}
}

static void a_wrong_password_is_told_late_and_ends_in_421(void **state)
{
	struct stage stage = { .options = "login_failures_max = 3\n", .house.delay_ms = 2000 };

	(void)state;
	play_submission(&stage, SECURE WRONG "S: 535 *\n" WRONG "S: 535 *\n" WRONG
					     "S: 535 *\nS: 421 4.7.0 *\nEND\n");
	assert_true(stage.took_ms >= 6000);
	assert_true(stage_traced(&stage, "login_failures_max"));
	assert_false(stage_traced(&stage, "AGFsaWNlAHdyb25n"));
	stage_done(&stage);
}

/* A client that goes on with its password after a refusal must not write it into our trace. */
static void a_secret_behind_a_refused_auth_is_masked(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play_submission(&stage, HELLO
			"C- AUTH LOGIN\nC- YWxpY2U=\nC: c2VjcmV0\nS: 538 *\nS: 500 *\nS: 500 *\n"
			"C: AUTH PLAIN c2Vj cmV0\nS: 501 *\n" QUIT);
	assert_false(stage_traced(&stage, "c2Vj"));
	assert_false(stage_traced(&stage, "YWxpY2U"));
	stage_done(&stage);
}

/* Whatever comes in between: a response that was sent ahead is no command, and stays a secret. */
static void a_secret_is_masked_however_auth_fails(void **state)
{
	static const struct {
		const char *script;
		enum err store;
	} ways[] = {
		{ "C- AUTH LOGIN\nC- !\nC: c2VjcmV0\nS: 334 *\nS: 501 *\nS: 500 *\n", OK },
		{ "C- AUTH LOGIN\nC- *\nC: c2VjcmV0\nS: 334 *\nS: 501 *\nS: 500 *\n", OK },
		{ "C- AUTH LOGIN\nC- YWxpY2U=\nC: c2VjcmV0\nS: 454 *\nS: 500 *\nS: 500 *\n",
		  ERR_GONE },
		{ "C- AUTH PLAIN AGFsaWNlAHdyb25n\nC: c2VjcmV0\nS: 535 *\nS: 500 *\n", OK },
		{ "R:  AUTH PLAIN c2VjcmV0\\r\\n\nS: 500 *\n", OK },
		{ "R: AUTH\\tPLAIN c2VjcmV0\\r\\n\nS: 500 *\n", OK },
		{ "R: AUTH PLAIN c2VjcmV0\\x01\\r\\n\nS: 500 *\n", OK },
		{ "C: AUTHPLAIN c2VjcmV0\nS: 500 *\n", OK },
		{ "C: AUTH=PLAIN c2VjcmV0\nS: 500 *\n", OK },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct stage stage = { .house = { .sasl_err = ways[i].store } };
		char script[600];

		snprintf(script, sizeof(script), SECURE "%s" QUIT, ways[i].script);
		play_submission(&stage, script);
		assert_false(stage_traced(&stage, "c2VjcmV0"));
		assert_true(stage_traced(&stage, "\"verb\":\"QUIT\""));
		stage_done(&stage);
	}
}

static void the_store_being_away_is_no_refusal(void **state)
{
	struct stage stage = { .house.sasl_err = ERR_GONE };

	(void)state;
	play_submission(&stage, SECURE "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 454 4.7.0 *\n" QUIT);
	stage_done(&stage);
}

static void a_step_that_takes_too_long_gives_its_exchange_back(void **state)
{
	struct stage stage = { .house.step_err = ERR_TIMEOUT };

	(void)state;
	play_submission(&stage,
			SECURE "C: AUTH LOGIN\nS: 334 *\nC: YWxpY2U=\nS: 454 4.7.0 *\n" QUIT);
	assert_int_equal(stage.house.exchanges, 0);
	stage_done(&stage);
}

static void implicit_tls_speaks_smtp_at_once(void **state)
{
	struct stage stage = { .implicit_tls = true, .listener = "tls = implicit\n" };

	(void)state;
	play_submission(&stage, "TLS\nS: 220 *\nC: EHLO a\nS...: 250\n" PLAIN
				"C: MAIL FROM:<alice@here.example>\nS: 250 *\n" QUIT);
	assert_false(stage_saw(&stage, "STARTTLS"));
	assert_true(stage_traced(&stage, "\"implicit\":1"));
	stage_done(&stage);
}

static void a_port_without_sign_in_has_no_auth(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, SECURE "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 502 *\n" QUIT);
	assert_false(stage_saw(&stage, "250-AUTH"));
	stage_done(&stage);
}

static void vrfy_and_expn_answer_where_the_listener_says_so(void **state)
{
	struct stage stage = { .listener = "vrfy = yes\nexpn = yes\n" };

	(void)state;
	play_submission(&stage, SECURE PLAIN
			"C: VRFY alice@here.example\nS: 250 2.1.5 <alice@here.example>\n"
			"C: VRFY nobody@here.example\nS: 550 5.1.1 *\n"
			"C: VRFY x@elsewhere.example\nS: 252 *\nC: VRFY alice\nS: 252 *\n"
			"C: EXPN bob@here.example\nS: 250 2.1.5 <bob@here.example>\n"
			"C: EXPN nobody@here.example\nS: 550 *\n" QUIT);
	stage_done(&stage);
}

static void expn_names_everybody_of_the_longest_list(void **state)
{
	struct stage stage = { .listener = "expn = yes\n" };

	(void)state;
	stage.house.list_count = LIMIT_alias_targets;
	play_submission(&stage, SECURE PLAIN "C: EXPN bob@here.example\nS...: 250\n" QUIT);
	assert_true(stage_saw(&stage, "250 2.1.5 <llll"));
	stage_done(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_starttls_the_server_has_forgotten_everything),
		cmocka_unit_test(starttls_leaves_the_list_once_tls_is_on),
		cmocka_unit_test(what_is_injected_behind_starttls_is_never_run),
		cmocka_unit_test(starttls_is_refused_where_it_makes_no_sense),
		cmocka_unit_test(plaintext_in_place_of_a_handshake_ends_the_session),
		cmocka_unit_test(a_handshake_that_does_not_come_is_cut_off),
		cmocka_unit_test(who_is_stopped_in_a_handshake_is_told_nothing_and_none_is_traced),
		cmocka_unit_test(a_response_that_never_came_is_not_traced),
		cmocka_unit_test(submission_wants_tls_then_a_sign_in),
		cmocka_unit_test(auth_is_offered_only_under_tls),
		cmocka_unit_test(every_way_through_a_mechanism_works),
		cmocka_unit_test(what_is_no_sign_in_is_refused_and_the_session_goes_on),
		cmocka_unit_test(a_wrong_password_is_told_late_and_ends_in_421),
		cmocka_unit_test(a_secret_behind_a_refused_auth_is_masked),
		cmocka_unit_test(a_secret_is_masked_however_auth_fails),
		cmocka_unit_test(the_store_being_away_is_no_refusal),
		cmocka_unit_test(a_step_that_takes_too_long_gives_its_exchange_back),
		cmocka_unit_test(implicit_tls_speaks_smtp_at_once),
		cmocka_unit_test(a_port_without_sign_in_has_no_auth),
		cmocka_unit_test(vrfy_and_expn_answer_where_the_listener_says_so),
		cmocka_unit_test(expn_names_everybody_of_the_longest_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
