/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as the RFCs print them, and the order of commands. */
#include "smtp/stage.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HELLO "S: 220 mx.here.example ESMTP *\nC: EHLO client.example\nS...: 250\n"
#define ENVELOPE                                                                                   \
	HELLO "C: MAIL FROM:<a@client.example>\nS: 250 2.1.0 *\n"                                  \
	      "C: RCPT TO:<alice@here.example>\nS: 250 2.1.5 *\n"
#define QUIT "C: QUIT\nS: 221 2.0.0 mx.here.example *\nEND\n"

static void play(struct stage *stage, const char *script)
{
	stage->script = script;
	stage_play(stage);
}

/* rfc5321 D.1 */
static void a_typical_session(void **state)
{
	struct stage stage = { 0 };
	static const char text[] = "Blah blah blah...\r\n..etc. etc. etc.\r\n";

	(void)state;
	play(&stage, "S: 220 mx.here.example ESMTP *\n"
		     "C: EHLO bar.com\n"
		     "S: 250-mx.here.example\n"
		     "S: 250-PIPELINING\nS: 250-SIZE 52428800\nS: 250-8BITMIME\nS: 250-SMTPUTF8\n"
		     "S: 250-CHUNKING\nS: 250-BINARYMIME\nS: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\n"
		     "S: 250-STARTTLS\nS: 250 LIMITS RCPTMAX=1000\n"
		     "C: MAIL FROM:<Smith@bar.com>\nS: 250 2.1.0 *\n"
		     "C: RCPT TO:<alice@here.example>\nS: 250 2.1.5 *\n"
		     "C: RCPT TO:<Green@here.example>\nS: 550 5.1.1 *\n"
		     "C: RCPT TO:<bob@here.example>\nS: 250 2.1.5 *\n"
		     "C: DATA\nS: 354 *\n"
		     "C: Blah blah blah...\nC: ...etc. etc. etc.\nC: .\n"
		     "S: 250 2.0.0 Accepted as *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	assert_true(str_is(stage.house.kept[0].sender, S("Smith@bar.com")));
	assert_true(
		str_is(stage.house.kept[0].recipients, S("alice@here.example,bob@here.example")));
	assert_true(str_is(kept_text(&stage.house.kept[0]), str_of(text)));
	stage_done(&stage);
}

/* rfc5321 4.4 */
static void one_received_line_says_who_how_and_for_whom(void **state)
{
	struct stage stage = { 0 };
	struct field field;
	struct scan header;

	(void)state;
	play(&stage, ENVELOPE "C: DATA\nS: 354 *\nC: Subject: x\nC: \nC: y\nC: .\nS: 250 *\n" QUIT);
	header = scan_of(stage.house.kept[0].body);
	assert_true(take_field(&header, &field));
	assert_true(str_is(field.name, S("Received")));
	assert_true(str_find_str(field.value, S("client.example")) != STR_NONE);
	assert_true(str_find_str(field.value, S("by mx.here.example")) != STR_NONE);
	assert_true(str_find_str(field.value, S("with ESMTP")) != STR_NONE);
	assert_true(str_find_str(field.value, S("for <alice@here.example>")) != STR_NONE);
	assert_int_equal(received_count(stage.house.kept[0].body), 1);
	stage_done(&stage);
}

/* rfc821: what a client of 1982 says. */
static void a_session_that_only_knows_helo_completes(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     "S: 220 *\nC: HELO old.example\nS: 250 mx.here.example\n"
	     "C: MAIL FROM:<a@old.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
	     "C: DATA\nS: 354 *\nC: hi\nC: .\nS: 250 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	assert_true(str_find_str(stage.house.kept[0].body, S("with SMTP")) != STR_NONE);
	stage_done(&stage);
}

/* rfc2920 4 */
static void a_pipelined_group_is_answered_in_order(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, "S: 220 *\nC: EHLO dbc.mtview.ca.us\nS...: 250\n"
		     "C- MAIL FROM:<mrose@dbc.mtview.ca.us>\nC- RCPT TO:<alice@here.example>\n"
		     "C- RCPT TO:<nobody@here.example>\nC- RCPT TO:<bob@here.example>\nC: DATA\n"
		     "S: 250 2.1.0 *\nS: 250 2.1.5 *\nS: 550 5.1.1 *\nS: 250 2.1.5 *\nS: 354 *\n"
		     "C- text\nC- .\nC- MAIL FROM:<>\nC- RCPT TO:<bob@here.example>\nC: DATA\n"
		     "S: 250 2.0.0 *\nS: 250 2.1.0 *\nS: 250 2.1.5 *\nS: 354 *\n"
		     "C- second\nC- .\nC: QUIT\nS: 250 2.0.0 *\nS: 221 *\nEND\n");
	assert_int_equal(stage.house.count, 2);
	assert_int_equal(stage.house.kept[1].sender.len, 0);
	stage_done(&stage);
}

static void a_pipelined_data_without_a_recipient_is_refused(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     HELLO "C- MAIL FROM:<a@b.example>\nC- RCPT TO:<no1@here.example>\nC: DATA\n"
		   "S: 250 *\nS: 550 5.1.1 *\nS: 554 5.5.1 *\nC: RSET\nS: 250 2.0.0 *\n" QUIT);
	assert_int_equal(stage.house.count, 0);
	stage_done(&stage);
}

static void commands_out_of_order_get_503(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, "S: 220 *\nC: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO*\n"
		     "C: EHLO c.example\nS...: 250\n"
		     "C: RCPT TO:<bob@here.example>\nS: 503 5.5.1 Say MAIL*\n"
		     "C: DATA\nS: 503 5.5.1 *\n"
		     "C: MAIL FROM:<a@b.example>\nS: 250 *\n"
		     "C: MAIL FROM:<c@b.example>\nS: 503 5.5.1 *\n"
		     "C: DATA\nS: 503 5.5.1 Say RCPT*\n"
		     "C: RCPT TO:<bob@here.example>\nS: 250 *\n"
		     "C: DATA x\nS: 501 5.5.4 *\n"
		     "C: STARTTLS\nS: 503 5.5.1 *\n"
		     "C: RSET\nS: 250 *\nC: DATA\nS: 503 *\n" QUIT);
	stage_done(&stage);
}

static void ehlo_in_the_middle_forgets_the_transaction(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, ENVELOPE "C: EHLO again.example\nS...: 250\nC: DATA\nS: 503 *\n" QUIT);
	stage_done(&stage);
}

static void every_refusal_has_its_code(void **state)
{
	struct stage stage = { .exempt = true, .options = "errors_max = 100\n" };

	(void)state;
	play(&stage, HELLO
	     "C: XYZZY\nS: 500 5.5.1 *\nC: TURN\nS: 502 5.5.1 *\nC: SEND FROM:<a@b.c>\nS: 502 *\n"
	     "C: ETRN x\nS: 459 4.7.1 *\nC: EXPN list\nS: 502 *\nC: VRFY bob\nS: 252 2.5.0 *\n"
	     "C: VRFY nobody\nS: 252 2.5.0 *\nC: NOOP\\0\nS: 500 5.5.2 *\n"
	     "C: MAIL FROM <a@b.example>\nS: 501 5.5.4 *\nC: MAIL FROM:<a@b\nS: 553 5.1.7 *\n"
	     "C: MAIL FROM:<a@b.example> FOO=1\nS: 555 5.5.4 *\n"
	     "C: MAIL FROM:<a@b.example> RET=BODY\nS: 501 5.5.4 *\n"
	     "C: MAIL FROM:<a@b.example> SIZE=99999999999\nS: 552 5.3.4 *\n"
	     "C: MAIL FROM:<a@b.example> SIZE=-1\nS: 501 *\n"
	     "C: MAIL FROM:<a@b.example> SIZE=18446744073709551617\nS: 552 *\n"
	     "C: MAIL FROM:<d\\xc3\\xb6@b.example>\nS: 553 5.6.7 *\n"
	     "C: MAIL FROM:<a@b.example>\nS: 250 *\n"
	     "C: RCPT TO:<full@here.example>\nS: 452 4.2.2 *\n"
	     "C: RCPT TO:<off@here.example>\nS: 550 5.2.1 *\n"
	     "C: RCPT TO:<loop@here.example>\nS: 451 4.4.6 *\n"
	     "C: RCPT TO:<x@elsewhere.example>\nS: 554 5.7.1 *\n"
	     "C: RCPT TO:<@here.example:x@elsewhere.example>\nS: 554 5.7.1 *\n"
	     "C: RCPT TO:<\"a@b\"@elsewhere.example>\nS: 554 5.7.1 *\n"
	     "C: RCPT TO:<a@b@here.example>\nS: 553 5.1.3 *\n"
	     "C: RCPT TO:<alice@here.example> NOTIFY=MAYBE\nS: 501 5.5.4 *\n"
	     "C: RCPT TO:<Postmaster>\nS: 250 *\nC: DATA\nS: 354 *\nC: .\nS: 250 *\n" QUIT);
	assert_true(str_is(stage.house.kept[0].recipients, S("postmaster")));
	assert_true(str_is(kept_text(&stage.house.kept[0]), S("")));
	stage_done(&stage);
}

static void help_lists_the_commands_and_explains_one(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     "S: 220 *\nC: HELP\nS...: 214\nC: help mail\nS: 214-2.0.0 MAIL FROM:*\nS...: 214\n"
	     "C: HELP XYZZY\nS: 504 *\n" QUIT);
	assert_true(stage_saw(&stage, "214-2.0.0   RCPT TO:<address>"));
	assert_false(stage_saw(&stage, "LHLO"));
	stage_done(&stage);
}

/* By hand: LF ends a command, any case does, telnet's negotiation is no part of it. */
static void a_person_with_telnet_is_understood(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, "S: 220 *\nR: \\xff\\xfb\\x1f\\xff\\xfd\\x03eHlO me\\n\nS...: 250\n"
		     "R: mail from: <a@b.example>\\n\nS: 250 *\n"
		     "C: rCPT tO:bob@here.example  \nS: 250 *\nC: quit\nS: 221 *\nEND\n");
	stage_done(&stage);
}

static void other_protocols_are_shown_the_door(void **state)
{
	static const char *const lines[] = {
		"C: GET / HTTP/1.1\n",
		"C: POST / HTTP/1.1\n",
		"C: CONNECT x:25 HTTP/1.1\n",
		"C: PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
		"R: \\x16\\x03\\x01\\x02\\x00\\x01\n\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct stage stage = { 0 };
		char script[300];

		snprintf(script, sizeof(script), "S: 220 *\n%s%sS: 421 4.7.0 *\nEND\n", lines[i],
			 lines[i][0] == 'R' ? "R: \\r\\n\n" : "");
		play(&stage, script);
		stage_done(&stage);
	}
}

static void utf8_addresses_pass_with_smtputf8(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "C: MAIL FROM:<d\\xc3\\xb6@b.example> SMTPUTF8 BODY=8BITMIME\nS: 250 *\n"
			   "C: RCPT TO:<d\\xc3\\xb6rte@here.example>\nS: 250 *\n"
			   "C: RCPT TO:<\\xc3\\x28@here.example>\nS: 553 *\n"
			   "C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	assert_true(stage.house.kept[0].is_utf8);
	assert_true(str_find_str(stage.house.kept[0].body, S("with UTF8SMTP")) != STR_NONE);
	stage_done(&stage);
}

static void lmtp_answers_for_each_recipient(void **state)
{
	struct stage stage = { .protocol = "lmtp", .listener = "tls = none\n" };

	(void)state;
	play(&stage,
	     "S: 220 mx.here.example LMTP *\nC: EHLO x\nS: 500 *\nC: LHLO x\nS...: 250\n"
	     "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<alice@here.example>\nS: 250 *\n"
	     "C: RCPT TO:<nobody@here.example>\nS: 550 *\nC: RCPT TO:<late@here.example>\nS: 250 "
	     "*\n"
	     "C: RCPT TO:<alice@here.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
	     "C: DATA\nS: 354 *\nC: x\nC: .\n"
	     "S: 250 2.0.0 *\nS: 452 4.2.2 *\nS: 250 2.0.0 *\nS: 250 2.0.0 *\n"
	     "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<alice@here.example>\nS: 250 *\n"
	     "C: RCPT TO:<bob@here.example>\nS: 250 *\nC: DATA\nS: 354 *\nR: a\\nb\\r\\n.\\r\\n\n"
	     "S: 550 5.5.2 *\nS: 550 5.5.2 *\nC: RSET\nS: 250 *\nC: DATA\nS: 503 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	assert_true(str_is(stage.house.kept[0].recipients,
			   S("alice@here.example,late@here.example,bob@here.example")));
	stage_done(&stage);
}

/* Else bob's copy would come again. */
static void lmtp_answers_for_each_recipient_before_it_closes_for_errors(void **state)
{
	struct stage stage = { .protocol = "lmtp",
			       .listener = "tls = none\n",
			       .options = "errors_max = 2\n" };

	(void)state;
	play(&stage,
	     "S: 220 *\nC: LHLO x\nS...: 250\nC: MAIL FROM:<a@b.example>\nS: 250 *\n"
	     "C: RCPT TO:<nobody@here.example>\nS: 550 *\n"
	     "C: RCPT TO:<gone@here.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
	     "C: DATA\nS: 354 *\nC: x\nC: .\nS: 550 5.1.1 *\nS: 250 2.0.0 *\nS: 421 *\nEND\n");
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

static void lmtp_refuses_for_each_recipient_before_it_closes_for_errors(void **state)
{
	struct stage stage = { .protocol = "lmtp",
			       .listener = "tls = none\n",
			       .options = "errors_max = 1\n" };

	(void)state;
	play(&stage,
	     "S: 220 *\nC: LHLO x\nS...: 250\nC: MAIL FROM:<a@b.example>\nS: 250 *\n"
	     "C: RCPT TO:<alice@here.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
	     "C: DATA\nS: 354 *\nR: a\\nb\\r\\n.\\r\\n\n"
	     "S: 550 5.5.2 *\nS: 550 5.5.2 *\nS: 421 *\nEND\n");
	stage_done(&stage);
}

static void an_extension_that_is_off_is_neither_offered_nor_taken(void **state)
{
	struct stage stage = { .listener = "without = \"SIZE, CHUNKING, SMTPUTF8\"\n" };

	(void)state;
	play(&stage,
	     HELLO "C: MAIL FROM:<a@b.example> SIZE=1\nS: 555 *\n"
		   "C: MAIL FROM:<a@b.example> SMTPUTF8\nS: 555 *\n"
		   "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: 250 *\n"
		   "C: BDAT 6 LAST\nR: NOOP\\r\\n\nS: 502 *\n" QUIT);
	assert_false(stage_saw(&stage, "250-SIZE"));
	assert_false(stage_saw(&stage, "-CHUNKING"));
	assert_false(stage_saw(&stage, "BINARYMIME"));
	assert_int_equal(stage.house.count, 0);
	stage_done(&stage);
}

/* ---- one script, two worlds ---- */

/* The events without what a clock, a port number or chance put into them. */
static json_t *timeless(struct str line)
{
	static const char *const gone[] = { "at_us", "wall_us", "time", "sequence" };
	static const char *const gone_fields[] = { "us", "message", "peer", "local" };
	json_t *event = json_loadb(line.at, line.len, 0, NULL);
	json_t *fields = json_object_get(event, "fields");
	const char *text = json_string_value(json_object_get(fields, "line"));

	assert_non_null(event);
	for (size_t i = 0; i < COUNT_OF(gone); i++)
		json_object_del(event, gone[i]);
	for (size_t i = 0; i < COUNT_OF(gone_fields); i++)
		json_object_del(fields, gone_fields[i]);
	if (text && strstr(text, "Accepted as"))
		json_object_set_new(fields, "line", json_string("Accepted"));
	if (json_object_get(fields, "sender")) /* the Received line has the address in it */
		json_object_del(fields, "octets");
	return event;
}

static void the_same_script_gives_the_same_trace_in_both_worlds(void **state)
{
	struct stage sim = { 0 };
	struct stage real = { .in_real_world = true };
	static const char script[] = ENVELOPE "C: DATA\nS: 354 *\nC: Subject: x\nC: \nC: ..dot\nC: "
					      ".\nS: 250 *\nC: HELP\nS...: 214\n"
					      "C: STARTTLS\nS: 220 *\nTLS\nC: EHLO again\nS...: "
					      "250\nC: MAIL FROM:<a@b.example>\nS: 250 *\n"
					      "C: RCPT TO:<nobody@here.example>\nS: 550 *\nC: BDAT "
					      "6 LAST\nR: NOOP\\r\\n\nS: 554 *\n" QUIT;
	struct scan a;
	struct scan b;
	struct str line_a;
	struct str line_b;
	size_t count = 0;

	(void)state;
	play(&sim, script);
	play(&real, script);
	a = scan_of(buf_str(&sim.events));
	b = scan_of(buf_str(&real.events));
	while (take_until(&a, '\n', &line_a)) {
		json_t *event_a;
		json_t *event_b;

		assert_true(take_until(&b, '\n', &line_b));
		event_a = timeless(line_a);
		event_b = timeless(line_b);
		if (!json_equal(event_a, event_b))
			fail_msg("%.*s\n%.*s", STR_ARGS(line_a), STR_ARGS(line_b));
		json_decref(event_a);
		json_decref(event_b);
		count++;
	}
	assert_true(scan_at_end(&b));
	assert_true(count > 40);
	stage_done(&sim);
	stage_done(&real);
}

static void equal_seeds_give_equal_traces_to_the_octet(void **state)
{
	struct stage one = { .seed = 7 };
	struct stage two = { .seed = 7 };

	(void)state;
	play(&one, ENVELOPE "C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	play(&two, ENVELOPE "C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	assert_true(str_is(buf_str(&one.events), buf_str(&two.events)));
	assert_true(str_is(one.house.kept[0].body, two.house.kept[0].body));
	stage_done(&one);
	stage_done(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_typical_session),
		cmocka_unit_test(one_received_line_says_who_how_and_for_whom),
		cmocka_unit_test(a_session_that_only_knows_helo_completes),
		cmocka_unit_test(a_pipelined_group_is_answered_in_order),
		cmocka_unit_test(a_pipelined_data_without_a_recipient_is_refused),
		cmocka_unit_test(commands_out_of_order_get_503),
		cmocka_unit_test(ehlo_in_the_middle_forgets_the_transaction),
		cmocka_unit_test(every_refusal_has_its_code),
		cmocka_unit_test(help_lists_the_commands_and_explains_one),
		cmocka_unit_test(a_person_with_telnet_is_understood),
		cmocka_unit_test(other_protocols_are_shown_the_door),
		cmocka_unit_test(utf8_addresses_pass_with_smtputf8),
		cmocka_unit_test(lmtp_answers_for_each_recipient),
		cmocka_unit_test(lmtp_answers_for_each_recipient_before_it_closes_for_errors),
		cmocka_unit_test(lmtp_refuses_for_each_recipient_before_it_closes_for_errors),
		cmocka_unit_test(an_extension_that_is_off_is_neither_offered_nor_taken),
		cmocka_unit_test(the_same_script_gives_the_same_trace_in_both_worlds),
		cmocka_unit_test(equal_seeds_give_equal_traces_to_the_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
