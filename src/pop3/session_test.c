/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MESSAGE(text, number)                                                                      \
	{                                                                                          \
		.octets = text, .len = sizeof(text) - 1, .uid = number                             \
	}
#define TWO "Subject: two\r\n\r\nno end"

static struct fake_store two_messages(void)
{
	return (struct fake_store){ .messages = { MESSAGE(ONE, 17), MESSAGE(TWO, 23) },
				    .count = 2 };
}

static void play_and_check(struct stage *stage)
{
	stage_play(stage);
	stage_done(stage);
}

static void the_example_of_rfc1939_passes(void **state)
{
	static char first[121];
	static char second[201];
	struct stage stage = { .listener = "\tapop = yes\n",
			       .options = "keep_secrets = yes\n",
			       .store = { .messages = { { first, 120, 1 }, { second, 200, 2 } },
					  .count = 2 },
			       .script = "S: +OK dbc.example POP3 ready <*@dbc.example>\n"
					 "C: APOP mrose DIGEST\nS: +OK 2 messages, 320 octets\n"
					 "C: STAT\nS: +OK 2 320\n"
					 "C: LIST\nS: +OK 2 messages\nS: 1 120\nS: 2 200\nS: .\n"
					 "C: RETR 1\nS: +OK 120 octets\nS...\n"
					 "C: DELE 1\nS: +OK deleted at QUIT\n"
					 "C: RETR 2\nS: +OK 200 octets\nS...\n"
					 "C: DELE 2\nS: +OK deleted at QUIT\n"
					 "C: QUIT\nS: +OK goodbye\nEND\n" };

	(void)state;
	memset(first, 'a', 118);
	memcpy(first + 118, "\r\n", 3);
	memset(second, 'b', 198);
	memcpy(second + 198, "\r\n", 3);
	play_and_check(&stage);
	assert_true(stage.store.deleted[0] && stage.store.deleted[1]);
}

/* ---- messages ---- */

static void a_message_is_stuffed_and_always_ends(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = LOGIN
		"S: +OK 2 messages, * octets\n"
		"C: RETR 1\nS: +OK 52 octets\nS: Subject: one\nS: \nS: first line\n"
		"S: ..dotted\nS: ...\nS: last line\nS: .\n"
		"C: RETR 2\nS: +OK 22 octets\nS: Subject: two\nS: \nS: no end\nS: .\n"
		"C: TOP 1 0\nS: +OK*\nS: Subject: one\nS: \nS: .\n"
		"C: TOP 1 2\nS: +OK*\nS: Subject: one\nS: \nS: first line\nS: ..dotted\n"
		"S: .\n"
		"C: TOP 1 18446744073709551615\nS: +OK*\nS: Subject: one\nS: \n"
		"S: first line\nS: ..dotted\nS: ...\nS: last line\nS: .\n"
		"C: QUIT\nS: +OK goodbye\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void an_empty_message_and_a_bare_newline_cannot_end_early(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .store = { .messages = { MESSAGE("", 1), MESSAGE("a\n.\nb\r\n", 2),
							MESSAGE(".\r\n", 3) },
					  .count = 3 },
			       .script = LOGIN
			       "S: +OK*\nC: RETR 1\nS: +OK 0 octets\nS: .\n"
			       "C: RETR 2\nS: +OK 7 octets\nS: a\n..\nb\nS: .\n"
			       "C: RETR 3\nS: +OK 3 octets\nS: ..\nS: .\nC: QUIT\nS: +OK*\nEND\n" };

	(void)state;
	/* The bare newlines are part of what the client reads as one CRLF line. */
	stage.script = LOGIN "S: +OK*\nC: RETR 1\nS: +OK 0 octets\nS: .\n"
			     "C: RETR 2\nS: +OK 7 octets\nS: a*..*b\nS: .\n"
			     "C: RETR 3\nS: +OK 3 octets\nS: ..\nS: .\nC: QUIT\nS: +OK*\nEND\n";
	play_and_check(&stage);
}

static void numbers_are_strict(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.options = "errors_soft = 1000\nerrors_max = 1000\n",
		.store = two_messages(),
		.script = LOGIN
		"S: +OK*\n"
		"C: RETR 0\nS: -ERR no such message\nC: RETR 3\nS: -ERR no such message\n"
		"C: RETR -1\nS: -ERR syntax: RETR message\n"
		"C: RETR 4294967297\nS: -ERR no such message\n"
		"C: RETR 18446744073709551617\nS: -ERR syntax*\n"
		"C: RETR 1x\nS: -ERR syntax*\nC: TOP 1 -1\nS: -ERR syntax*\n"
		"C: LIST 0\nS: -ERR*\nC: UIDL 3\nS: -ERR*\nC: DELE 0\nS: -ERR*\n"
		"C: DELE 1\nS: +OK*\nC: DELE 1\nS: -ERR that message is deleted\n"
		"C: RETR 1\nS: -ERR that message is deleted\nC: LIST 1\nS: -ERR*\n"
		"C: RSET\nS: +OK 2 *\nC: LIST 1\nS: +OK 1 52\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
	assert_false(stage.store.deleted[0]);
}

static void uidl_is_made_of_the_folders_life_and_the_uid(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = LOGIN
		"S: +OK*\nC: UIDL\nS: +OK*\nS: 1 1767225600.17\nS: 2 1767225600.23\nS: .\n"
		"C: DELE 1\nS: +OK*\nC: UIDL\nS: +OK 1 messages\nS: 2 1767225600.23\nS: .\n"
		"C: UIDL 2\nS: +OK 2 1767225600.23\nC: LIST\nS: +OK 1 messages\nS: 2 22\n"
		"S: .\nC: STAT\nS: +OK 1 22\nC: RSET\nS: +OK 2 74\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

/* Nobody could have read it: neither TLS nor the clear is there. */
static void who_is_stopped_in_a_handshake_is_told_nothing_and_none_is_traced(void **state)
{
	struct stage stage = { .script = "S: +OK*\nC: STLS\nS: +OK*\nSTOP\nEND\n" };

	(void)state;
	stage_play(&stage);
	assert_true(dialogue_traced(&stage.dialogue, "\"failure\":\"asked to stop\""));
	assert_false(dialogue_traced(&stage.dialogue, "SYS/TEMP"));
	stage_done(&stage);
}

/* ---- deletion ---- */

static void deletion_happens_at_quit_only(void **state)
{
	static const char *const ends[] = { "CUT\n", "STOP\nS: -ERR [SYS/TEMP]*\nEND\n",
					    "IDLE 700000\nEND\n", "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		char script[500];
		struct stage stage = { .listener = CLEAR,
				       .store = two_messages(),
				       .script = script };

		snprintf(script, sizeof(script), "%s%s%s", LOGIN,
			 "S: +OK*\nC: DELE 1\nS: +OK*\nC: DELE 2\nS: +OK*\n", ends[i]);
		play_and_check(&stage);
		assert_false(stage.store.deleted[0] || stage.store.deleted[1]);
	}
}

static void a_failed_deletion_is_told(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = LOGIN
		"S: +OK*\nC: DELE 1\nS: +OK*\n"
		"C: QUIT\nS: -ERR [SYS/TEMP] some deleted messages were not removed\nEND\n"
	};

	(void)state;
	stage.store.delete_err = ERR_FULL;
	play_and_check(&stage);
	assert_false(stage.store.deleted[0]);
}

/* ---- signing in ---- */

static void passwords_are_asked_for_under_tls_only(void **state)
{
	struct stage stage = {
		.store = two_messages(),
		.script =
			"S: +OK*\nC: CAPA\nS: +OK*\nS: STLS\nS: SASL *SCRAM-SHA-256\nS: TOP\nS...\n"
			"C: USER mrose\nS: -ERR [AUTH] passwords are taken under TLS only*\n"
			"C: PASS tanstaaf\nS: -ERR USER first\n"
			"C: AUTH PLAIN\nS: -ERR [AUTH]*\nC: STLS\nS: +OK begin TLS now\nTLS\n"
			"C: CAPA\nS: +OK*\nS: USER\nS: SASL PLAIN LOGIN *-PLUS*\nS: TOP\nS...\n"
			"C: STLS\nS: -ERR TLS is active already\n"
			"C: USER mrose\nS: +OK*\nC: PASS tanstaaf\nS: +OK 2*\n"
			"C: CAPA\nS: +OK*\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\n"
			"S: PIPELINING\nS: UTF8 USER\nS: LANG\nS: EXPIRE NEVER\nS: LOGIN-DELAY 0\n"
			"S: IMPLEMENTATION Glasspost-*\nS: .\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void what_is_sent_behind_stls_is_never_executed(void **state)
{
	struct stage stage = { .store = two_messages(),
			       .script =
				       "S: +OK*\nC- STLS\nC: CAPA\nS: +OK begin TLS now\nTLS\n"
				       "C: NOOP\nS: -ERR sign in first\nC: QUIT\nS: +OK*\nEND\n" };

	(void)state;
	stage_play(&stage);
	assert_true(str_find_str(buf_str(&stage.events), S("stls-injection")) != STR_NONE);
	stage_done(&stage);
}

static void stls_forgets_who_was_named(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = "S: +OK*\nC: USER mrose\nS: +OK*\nC: STLS\nS: +OK*\nTLS\n"
			  "C: PASS tanstaaf\nS: -ERR USER first\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void an_implicit_tls_listener_shakes_hands_first(void **state)
{
	struct stage stage = { .listener = "\ttls = implicit\n",
			       .store = two_messages(),
			       .script = "TLS\n" LOGIN "S: +OK 2*\nC: STAT\nS: +OK 2 74\n"
					 "C: QUIT\nS: +OK*\nEND\n" };

	(void)state;
	play_and_check(&stage);
}

static void failures_are_slow_and_not_for_ever(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.options = "login_failures_max = 3\n",
		.store = two_messages(),
		.script = "S: +OK*\nC: USER mrose\nS: +OK*\nC: PASS x\nS: -ERR [AUTH] name or*\n"
			  "C: PASS tanstaaf\nS: -ERR USER first\n"
			  "C: AUTH PLAIN AG1yb3NlAG5vdC1yaWdodA==\nS: -ERR [AUTH] name or*\n"
			  "C: USER mrose\nS: +OK*\nC: PASS x\nS: -ERR [AUTH] too many*\nEND\n"
	};

	(void)state;
	stage.store.delay_ms = 2000;
	stage_play(&stage);
	assert_true(str_find_str(buf_str(&stage.events), S("login-failures")) != STR_NONE);
	assert_true(str_find_str(buf_str(&stage.events), S("PASS x")) == STR_NONE);
	assert_true(str_find_str(buf_str(&stage.events), S("tanstaaf")) == STR_NONE);
	assert_true(str_find_str(buf_str(&stage.events), S("AG1yb3Nl")) == STR_NONE);
	stage_done(&stage);
}

static void an_exempt_client_may_fail_often(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.options = "login_failures_max = 1\nerrors_max = 1\nerrors_soft = 0\n",
		.exempt = true,
		.store = two_messages(),
		.script = "S: +OK*\nC: USER mrose\nS: +OK*\nC: PASS x\nS: -ERR [AUTH] name*\n"
			  "C: X\nS: -ERR*\nC: X\nS: -ERR*\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void sasl_speaks_in_challenges(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.options = "errors_soft = 1000\n",
		.store = two_messages(),
		/* "one" -> "1", "two" -> "2", then "bye" and an empty response. */
		.script =
			"S: +OK*\nC: AUTH\nS: +OK*\nS: PLAIN\nS: LOGIN\nS...\n"
			"C: AUTH NTLM\nS: -ERR no such mechanism here\n"
			"C: AUTH SCRAM-SHA-256-PLUS\nS: -ERR no such mechanism here\n"
			"C: AUTH SCRAM-SHA-256\nS: + b25l\nC: *\nS: -ERR cancelled\n"
			"C: AUTH SCRAM-SHA-256\nS: + b25l\nC: !\nS: -ERR not a valid response\n"
			"C: AUTH PLAIN AA\nS: -ERR not a valid response\n"
			"C: AUTH PLAIN =\nS: -ERR not a valid response\n"
			"C: AUTH SCRAM-SHA-256\nS: + b25l\nC: MQ==\nS: + dHdv\nC: Mg==\nS: + Ynll\n"
			"C: *\nS: -ERR cancelled\n"
			"C: AUTH SCRAM-SHA-256\nS: + b25l\nC: MQ==\nS: + dHdv\nC: Mg==\nS: + Ynll\n"
			"C: \nS: +OK 2*\nC: AUTH PLAIN\nS: -ERR signed in already\n"
			"C: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	stage_play(&stage);
	/* The challenges and responses are the client's secret. */
	assert_true(str_find_str(buf_str(&stage.events), S("b25l")) == STR_NONE);
	assert_true(str_find_str(buf_str(&stage.events), S("MQ==")) == STR_NONE);
	stage_done(&stage);
}

static void plain_works_with_and_without_an_initial_response(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = "S: +OK*\nC: AUTH PLAIN\nS: + \nC: AG1yb3NlAHRhbnN0YWFm\nS: +OK 2*\n"
			  "C: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
	stage.script =
		"S: +OK*\nC: AUTH plain AG1yb3NlAHRhbnN0YWFm\nS: +OK 2*\nC: QUIT\nS: +OK*\nEND\n";
	play_and_check(&stage);
	assert_string_equal(stage.store.user, "mrose");
}

static void apop_is_there_when_both_switches_are_on(void **state)
{
	struct stage stage = {
		.listener = CLEAR "\tapop = yes\n",
		.store = two_messages(),
		.options = "keep_secrets = yes\n",
		.script = "S: +OK*<*>\n"
			  "C: APOP mrose c4c9334bac560ecc979e58001b3e22fb\nS: -ERR [AUTH]*\n"
			  "C: APOP mrose DIGEST\nS: +OK 2*\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
	stage.listener = CLEAR;
	stage.options = NULL;
	stage.script = "S: +OK dbc.example POP3 ready\n"
		       "C: APOP mrose c4c9334bac560ecc979e58001b3e22fb\nS: -ERR unknown command\n"
		       "C: QUIT\nS: +OK*\nEND\n";
	play_and_check(&stage);
}

static void a_login_opens_the_folder_it_names(void **state)
{
	static const char *const scripts[] = {
		"S: +OK*\nC: USER mrose+lists@example.org\nS: +OK*\nC: PASS tanstaaf\nS: +OK 2*\n"
		"C: QUIT\nS: +OK*\nEND\n",
		"S: +OK*\nC: USER mrose@example.org+lists\nS: +OK*\nC: PASS tanstaaf\nS: +OK 2*\n"
		"C: QUIT\nS: +OK*\nEND\n",
		/* NUL mrose+lists@example.org NUL tanstaaf */
		"S: +OK*\nC: AUTH PLAIN AG1yb3NlK2xpc3RzQGV4YW1wbGUub3JnAHRhbnN0YWFm\nS: +OK 2*\n"
		"C: QUIT\nS: +OK*\nEND\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(scripts); i++) {
		struct stage stage = { .listener = CLEAR,
				       .store = two_messages(),
				       .script = scripts[i] };

		play_and_check(&stage);
		assert_string_equal(stage.store.folder, "lists");
		assert_string_equal(stage.store.user, "mrose@example.org");
	}
}

static void a_folder_that_is_not_there_is_told_after_the_password(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.store = two_messages(),
		.script = "S: +OK*\nC: USER mrose+gone@example.org\nS: +OK*\nC: PASS x\n"
			  "S: -ERR [AUTH]*\nC: USER mrose+gone@example.org\nS: +OK*\nC: PASS "
			  "tanstaaf\n"
			  "S: -ERR [SYS/PERM] no such folder\n"
			  "C: USER mrose\nS: +OK*\nC: PASS tanstaaf\nS: +OK 2*\nC: QUIT\nS: "
			  "+OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
	assert_string_equal(stage.store.folder, "INBOX");
}

static void response_codes_say_why(void **state)
{
	static const struct {
		enum err err;
		const char *reply;
	} cases[] = {
		{ ERR_BUSY, "S: -ERR [IN-USE] *\n" },
		{ ERR_LIMIT, "S: -ERR [LOGIN-DELAY] *\n" },
		{ ERR_CORRUPT, "S: -ERR [SYS/PERM] *\n" },
		{ ERR_IO, "S: -ERR [SYS/TEMP] *\n" },
		{ ERR_GONE, "S: -ERR [SYS/TEMP] *\n" },
	};
	struct stage stage = { .listener = CLEAR, .store = two_messages() };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char script[400];

		snprintf(script, sizeof(script),
			 "%s%sC: STAT\nS: -ERR sign in first\nC: QUIT\nS: +OK*\n", LOGIN,
			 cases[i].reply);
		stage.store.open_err = cases[i].err;
		stage.script = script;
		play_and_check(&stage);
	}
	stage.store.open_err = OK;
	stage.store.password_err = ERR_IO;
	stage.script = LOGIN "S: -ERR [SYS/TEMP]*\nC: QUIT\nS: +OK*\nEND\n";
	play_and_check(&stage);
}

/* ---- the rest of the language ---- */

static void commands_are_refused_in_the_wrong_state(void **state)
{
	struct stage stage = {
		.listener = CLEAR,
		.options = "errors_soft = 1000\n",
		.store = two_messages(),
		.script =
			"S: +OK*\nC: STAT\nS: -ERR sign in first\nC: NOOP\nS: -ERR sign in first\n"
			"C: RETR 1\nS: -ERR sign in first\nC: XYZZY\nS: -ERR unknown command\n"
			"C: USER mrose\nS: +OK*\nC: CAPA\nS: +OK*\nS...\nC: PASS tanstaaf\n"
			"S: -ERR USER first\nC: USER mrose\nS: +OK*\nC: PASS tanstaaf\nS: +OK 2*\n"
			"C: USER mrose\nS: -ERR signed in already\nC: STLS\nS: -ERR signed in "
			"already\n"
			"C: UTF8\nS: -ERR signed in already\nC: NOOP\nS: +OK\nC: QUIT\nS: "
			"+OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void languages_are_english(void **state)
{
	struct stage stage = {
		.store = two_messages(),
		.script = "S: +OK*\nC: LANG\nS: +OK*\nS: en English\nS: .\n"
			  "C: LANG en\nS: +OK en *\nC: LANG EN-gb\nS: +OK en *\n"
			  "C: LANG *\nS: +OK en *\nC: LANG fr\nS: -ERR no such language*\n"
			  "C: UTF8\nS: +OK*\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

static void a_listener_may_do_without_extensions(void **state)
{
	struct stage stage = {
		.listener = CLEAR "\twithout = \"TOP, UTF8, STLS\"\n",
		.store = two_messages(),
		.script = "S: +OK*\nC: CAPA\nS: +OK*\nS: USER\nS: SASL*\nS: UIDL\n"
			  "S: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: LANG\nS...\n"
			  "C: UTF8\nS: -ERR unknown command\nC: STLS\n"
			  "S: -ERR unknown command\nC: QUIT\nS: +OK*\nEND\n"
	};

	(void)state;
	play_and_check(&stage);
}

/* ---- limits ---- */

static void errors_are_slowed_then_end_the_session(void **state)
{
	struct stage stage = { .options = "errors_soft = 2\nerrors_max = 4\n",
			       .store = two_messages(),
			       .script = "S: +OK*\nC- X\nC- X\nC- X\nC- X\nC- X\nC: X\n"
					 "S: -ERR unknown command\nS: -ERR unknown command\n"
					 "S: -ERR unknown command\nS: -ERR unknown command\n"
					 "S: -ERR too many errors, goodbye\nEND\n" };

	(void)state;
	stage_play(&stage);
	assert_true(str_find_str(buf_str(&stage.events), S("\"errors\"")) != STR_NONE);
	stage_done(&stage);
}

static void doing_nothing_for_ever_ends_the_session(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .options = "commands_idle_max = 10\n",
			       .store = two_messages() };
	OWNED(buf) struct buf script = BUF(10000);

	(void)state;
	buf_add(&script, S(LOGIN "S: +OK 2*\n"));
	for (int i = 0; i < 10; i++)
		buf_add(&script, S("C: NOOP\nS: +OK\n"));
	buf_add(&script, S("C: NOOP\nS: -ERR too many commands*\nEND\n"));
	buf_add_char(&script, '\0');
	stage.script = script.at;
	play_and_check(&stage);
}

/* A stranger's way to stay: neither an error nor a failed login. */
static void asking_for_mechanisms_for_ever_ends_the_session(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .options = "commands_idle_max = 10\n",
			       .store = two_messages() };
	OWNED(buf) struct buf script = BUF(10000);

	(void)state;
	buf_add(&script, S("S: +OK dbc.example POP3 ready\n"));
	for (int i = 0; i < 5; i++)
		buf_add(&script, S("C: NOOP\nS: -ERR*\nC: AUTH\nS: +OK*\nS...\n"));
	buf_add(&script, S("C: AUTH\nS: -ERR too many commands*\nEND\n"));
	buf_add_char(&script, '\0');
	stage.script = script.at;
	play_and_check(&stage);
}

static void a_silent_client_has_ten_minutes(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .options = "session_idle = 5m\n",
			       .store = two_messages(),
			       .script = LOGIN
			       "S: +OK*\nIDLE 590000\nC: NOOP\nS: +OK\nIDLE 601000\nEND\n" };

	(void)state;
	stage_play(&stage);
	assert_true(str_find_str(buf_str(&stage.events), S("timeout")) != STR_NONE);
	stage_done(&stage);
}

static void a_sign_in_that_was_begun_buys_no_time_where_connections_are_scarce(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .options = "session_stress_idle = 10s\n",
			       .script = "S: +OK*\nC: AUTH PLAIN\nS: + *\nIDLE 11000\nEND\n" };

	(void)state;
	stage_is_stressed = true;
	stage_play(&stage);
	stage_is_stressed = false;
	assert_true(stage.took_ms < 12000);
	stage_done(&stage);
}

static void a_line_too_long_is_refused_and_skipped(void **state)
{
	struct stage stage = { .store = two_messages() };
	OWNED(buf) struct buf script = BUF(200000);

	(void)state;
	buf_add(&script, S("S: +OK*\nC: "));
	for (int i = 0; i < 100000; i++)
		buf_add_char(&script, 'a');
	buf_add(&script, S("\nS: -ERR line too long\nC: QUIT\nS: +OK*\nEND\n"));
	buf_add_char(&script, '\0');
	stage.script = script.at;
	play_and_check(&stage);
}

static void a_browser_is_sent_away(void **state)
{
	struct stage stage = { .store = two_messages(),
			       .script = "S: +OK*\nC- GET / HTTP/1.1\nC: USER x\n"
					 "S: -ERR this is no web server, goodbye\nEND\n" };

	(void)state;
	play_and_check(&stage);
}

/* A response that was sent ahead of a refused AUTH is no command, and stays a secret. */
static void a_secret_is_masked_however_auth_fails(void **state)
{
	static const char *const ways[] = {
		"C- AUTH PLAIN\nC: c2VjcmV0\nS: -ERR*\nS: -ERR*\n",
		"C- AUTH LOGIN\nC- YWxpY2U=\nC: c2VjcmV0\nS: -ERR*\nS: -ERR*\nS: -ERR*\n",
		"C- AUTH SCRAM-SHA-256 !\nC: c2VjcmV0\nS: -ERR*\nS: -ERR*\n",
		"C: PASSc2VjcmV0\nS: -ERR*\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		char script[300];
		struct stage stage = { .store = two_messages(), .script = script };

		snprintf(script, sizeof(script), "S: +OK*\n%sC: QUIT\nS: +OK*\nEND\n", ways[i]);
		stage_play(&stage);
		assert_true(str_find_str(buf_str(&stage.events), S("c2VjcmV0")) == STR_NONE);
		assert_true(str_find_str(buf_str(&stage.events), S("QUIT")) != STR_NONE);
		stage_done(&stage);
	}
}

static void the_trace_tells_the_whole_session(void **state)
{
	static const char *const wanted[] = { "\"connect\"",   "greeting",         "PASS ****",
					      "AUTHORIZATION", "TRANSACTION",      "\"fetch\"",
					      "RETR",          "UPDATE",           "\"quit\"",
					      "\"auth\"",      "mrose@example.org" };
	struct stage stage = { .listener = CLEAR,
			       .store = two_messages(),
			       .script = LOGIN
			       "S: +OK*\nC: RETR 1\nS: +OK*\nS...\nC: DELE 1\nS: +OK*\n"
			       "C: QUIT\nS: +OK*\nEND\n" };
	struct buf first;

	(void)state;
	stage_play(&stage);
	for (size_t i = 0; i < COUNT_OF(wanted); i++)
		if (str_find_str(buf_str(&stage.events), str_of(wanted[i])) == STR_NONE)
			fail_msg("no %s in\n%.*s", wanted[i], STR_ARGS(buf_str(&stage.events)));
	assert_true(str_find_str(buf_str(&stage.events), S("first line")) == STR_NONE);
	first = stage.events;
	buf_drop(&stage.transcript);
	stage.store = two_messages();
	stage_play(&stage);
	assert_true(str_is(buf_str(&first), buf_str(&stage.events)));
	buf_drop(&first);
	stage_done(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_rfc1939_passes),
		cmocka_unit_test(a_message_is_stuffed_and_always_ends),
		cmocka_unit_test(an_empty_message_and_a_bare_newline_cannot_end_early),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(uidl_is_made_of_the_folders_life_and_the_uid),
		cmocka_unit_test(who_is_stopped_in_a_handshake_is_told_nothing_and_none_is_traced),
		cmocka_unit_test(deletion_happens_at_quit_only),
		cmocka_unit_test(a_failed_deletion_is_told),
		cmocka_unit_test(passwords_are_asked_for_under_tls_only),
		cmocka_unit_test(what_is_sent_behind_stls_is_never_executed),
		cmocka_unit_test(stls_forgets_who_was_named),
		cmocka_unit_test(an_implicit_tls_listener_shakes_hands_first),
		cmocka_unit_test(failures_are_slow_and_not_for_ever),
		cmocka_unit_test(an_exempt_client_may_fail_often),
		cmocka_unit_test(sasl_speaks_in_challenges),
		cmocka_unit_test(plain_works_with_and_without_an_initial_response),
		cmocka_unit_test(apop_is_there_when_both_switches_are_on),
		cmocka_unit_test(a_login_opens_the_folder_it_names),
		cmocka_unit_test(a_folder_that_is_not_there_is_told_after_the_password),
		cmocka_unit_test(response_codes_say_why),
		cmocka_unit_test(commands_are_refused_in_the_wrong_state),
		cmocka_unit_test(languages_are_english),
		cmocka_unit_test(a_listener_may_do_without_extensions),
		cmocka_unit_test(errors_are_slowed_then_end_the_session),
		cmocka_unit_test(doing_nothing_for_ever_ends_the_session),
		cmocka_unit_test(asking_for_mechanisms_for_ever_ends_the_session),
		cmocka_unit_test(a_silent_client_has_ten_minutes),
		cmocka_unit_test(
			a_sign_in_that_was_begun_buys_no_time_where_connections_are_scarce),
		cmocka_unit_test(a_line_too_long_is_refused_and_skipped),
		cmocka_unit_test(a_browser_is_sent_away),
		cmocka_unit_test(a_secret_is_masked_however_auth_fails),
		cmocka_unit_test(the_trace_tells_the_whole_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
