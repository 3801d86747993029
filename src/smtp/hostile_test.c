/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that mean harm: false ends of data, chunks that hold commands, floods, cuts, slowness. */
#include "smtp/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HELLO "S: 220 *\nC: EHLO client.example\nS...: 250\n"
#define TO_BOB                                                                                     \
	"C: MAIL FROM:<a@client.example>\nS: 250 2.1.0 *\nC: RCPT TO:<bob@here.example>\nS: 250 "  \
	"*\n"
#define QUIT "C: QUIT\nS: 221 *\nEND\n"

static void play(struct stage *stage, const char *script)
{
	stage->script = script;
	stage_play(stage);
}

/* ---- A: the end of the data ---- */

static const char *const false_ends[] = {
	"\\n.\\n",
	"\\n.\\r\\n",
	"\\r\\n.\\n",
	"\\r.\\r",
	"\\r.\\r\\n",
	"\\r\\n.\\r",
	"\\r.\\n",
	"\\n.\\r",
	"\\r\\n\\0.\\r\\n",
	"\\r\\n.\\0\\r\\n",
	"\\r\\n.\\r\\r\\n",
	"\\r\\r\\n.\\r\\r\\n",
	"\\r\\n .\\r\\n",
	"\\r\\n. \\r\\n",
	"\\r\\n\\x0b.\\r\\n",
	"\\r\\n\\x0c.\\r\\n",
	"\\r\\n\\xc2\\x85.\\r\\n",
	"\\r\\n\\xe2\\x80\\xa8.\\r\\n",
	"\\r\\n..\\r\\n",
	"\\n\\n.\\n\\n",
	"\\r\\n.\\n\\r",
};

/* How a case is played: what the listener and the file say, and what comes before MAIL. */
struct way {
	const char *protocol, *listener, *options, *before;
};

/* A whole second envelope behind the false end, in the same packet. */
static void smuggle(const char *false_end, const struct way *way, bool is_refused)
{
	struct stage stage = { .protocol = way->protocol,
			       .listener = way->listener,
			       .options = way->options };
	char script[2000];

	snprintf(script, sizeof(script),
		 "%s"
		 "C: MAIL FROM:<alice@here.example>\nS: 250 *\nC: RCPT TO:<bob@here.example>\nS: "
		 "250 *\n"
		 "C: DATA\nS: 354 *\n"
		 "R: Subject: outer\\r\\n\\r\\nouter%sMAIL FROM:<alice@here.example>\\r\\n"
		 "RCPT TO:<alice@here.example>\\r\\nDATA\\r\\nSubject: "
		 "inner\\r\\n\\r\\ninner\\r\\n.\\r\\n\n"
		 "S: %s *\nC: NOOP\nS: 250 2.0.0 OK\n" QUIT,
		 way->before, false_end, is_refused ? "550 5.5.2" : "250 2.0.0");
	play(&stage, script);
	assert_int_equal(stage.house.count, is_refused ? 0 : 1);
	if (!is_refused)
		assert_true(str_find_str(stage.house.kept[0].body, S("inner")) != STR_NONE);
	if (is_refused)
		assert_true(stage_traced(&stage, "bare_newlines"));
	stage_done(&stage);
}

static bool holds_bare_newline(const char *end)
{
	struct str rest = str_of(end);

	while (rest.len) {
		if (str_starts(rest, S("\\r\\n"))) {
			rest = str_from(rest, 4);
			continue;
		}
		if (str_starts(rest, S("\\r")) || str_starts(rest, S("\\n")))
			return true;
		rest = str_from(rest, 1);
	}
	return false;
}

static void no_false_end_lets_a_second_envelope_in(void **state)
{
	static const struct way mx = { .before = HELLO };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(false_ends); i++)
		smuggle(false_ends[i], &mx, holds_bare_newline(false_ends[i]));
}

static void nor_does_signing_in_buy_anything(void **state)
{
	static const struct way submission = {
		.protocol = "submission",
		.listener = "auth_without_tls = yes\n",
		.before = HELLO "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 235 *\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(false_ends); i++)
		smuggle(false_ends[i], &submission, holds_bare_newline(false_ends[i]));
}

static void normalising_makes_line_ends_but_no_ends_of_data(void **state)
{
	static const struct way normalising = { .before = HELLO,
						.options = "bare_newlines = normalise\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(false_ends); i++)
		smuggle(false_ends[i], &normalising, false);
}

static void what_is_normalised_has_no_bare_newline_left(void **state)
{
	struct stage stage = { .options = "bare_newlines = normalise\n" };

	(void)state;
	play(&stage, HELLO TO_BOB
	     "C: DATA\nS: 354 *\nR: a\\nb\\rc\\r\\n.\\n..d\\r\\n.\\r\\n\nS: 250 *\n" QUIT);
	assert_true(str_is(kept_text(&stage.house.kept[0]), S("a\r\nb\r\nc\r\n\r\n..d\r\n")));
	stage_done(&stage);
}

static void the_true_end_is_found_in_five_pieces(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: DATA\nS: 354 *\nR: x\\r\nIDLE 100\nR: \\n\nIDLE 100\nR: .\nIDLE 100\n"
			  "R: \\r\nIDLE 100\nR: \\n\nS: 250 *\n" QUIT);
	assert_true(str_is(kept_text(&stage.house.kept[0]), S("x\r\n")));
	stage_done(&stage);
}

static void lines_of_dots_and_long_lines_arrive_as_they_are(void **state)
{
	struct stage stage = { 0 };
	struct str text;

	(void)state;
	play(&stage, HELLO TO_BOB "C: DATA\nS: 354 *\nC: ..\nC: ...\nC: ....\nC: ..a\nFILL 998 x\n"
				  "C: \nC: .\nS: 250 *\n" QUIT);
	text = kept_text(&stage.house.kept[0]);
	assert_true(str_starts(text, S(".\r\n..\r\n...\r\n.a\r\nxxx")));
	assert_int_equal(text.len, 3 + 4 + 5 + 4 + 1000);
	stage_done(&stage);
}

static void long_lines_are_refused_when_wanted(void **state)
{
	struct stage stage = { .options = "long_lines = refuse\n" };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: DATA\nS: 354 *\nFILL 998 x\nC: \nC: .\nS: 250 *\n" TO_BOB
			  "C: DATA\nS: 354 *\nFILL 999 x\nC: \nC: .\nS: 550 5.6.0 *\n" QUIT);
	stage_done(&stage);
}

/* ---- B: chunks ---- */

static void a_chunk_may_hold_anything(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: BDAT 28 LAST\nR: a\\r\\n.\\r\\nQUIT\\r\\nMAIL FROM:<>\\r\\n\\r\\n\n"
			  "S: 250 2.0.0 Accepted*\n" QUIT);
	assert_true(str_is(kept_text(&stage.house.kept[0]),
			   S("a\r\n.\r\nQUIT\r\nMAIL FROM:<>\r\n\r\n")));
	stage_done(&stage);
}

/* rfc3030 4.2 */
static void chunks_make_one_message(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO
	     "C- MAIL FROM:<a@b.example> BODY=BINARYMIME\nC: RCPT TO:<bob@here.example>\n"
	     "S: 250 *\nS: 250 *\nC- BDAT 3\nR- a\\nb\nC- BDAT 2\nR- \\0\\r\nC: BDAT 0 LAST\n"
	     "S: 250 2.0.0 3 octets received\nS: 250 2.0.0 2 octets received\nS: 250 *\n" QUIT);
	assert_true(str_is(kept_text(&stage.house.kept[0]), (struct str){ "a\nb\0\r", 5 }));
	stage_done(&stage);
}

static void chunks_out_of_order_are_answered_once_each(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     HELLO "C: BDAT 12\nR: RSET\\r\\nNOOP\\r\\n\nS: 503 5.5.1 *\n"
		   "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<no@here.example>\nS: 550 *\n"
		   "C- BDAT 6\nR- NOOP\\r\\n\nC- BDAT 6 LAST\nR: QUIT\\r\\n\n"
		   "S: 554 5.5.1 *\nS: 554 5.5.1 *\nC: RSET\nS: 250 *\n" TO_BOB
		   "C: BDAT 3\nR: a\\r\\n\nS: 250 *\nC: DATA\nS: 503 *\nC: STARTTLS\nS: 503 *\n"
		   "C: RCPT TO:<alice@here.example>\nS: 503 *\nC: MAIL FROM:<>\nS: 503 *\n"
		   "C: RSET\nS: 250 *\n" TO_BOB "C: BDAT 0 LAST\nS: 250 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	assert_int_equal(kept_text(&stage.house.kept[0]).len, 0);
	stage_done(&stage);
}

static void a_chunk_without_a_true_size_ends_the_session(void **state)
{
	static const char *const sizes[] = {
		"-1", "18446744073709551617", "", "0x10", "5 LAST x", "5 FIRST", "1,000"
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct stage stage = { 0 };
		char script[400];

		snprintf(script, sizeof(script), HELLO TO_BOB "C: BDAT %s\nS: 501 5.5.4 *\nEND\n",
			 sizes[i]);
		play(&stage, script);
		stage_done(&stage);
	}
}

static void chunks_past_the_size_are_refused_and_eaten(void **state)
{
	struct stage stage = { .options = "message_size_max = 2000\n" };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: BDAT 1500\nFILL 750 a\\x20\nFLUSH\nS: 250 *\n"
			  "C- BDAT 600\nFILL 100 NOOP\\r\\n\nC: BDAT 6 LAST\nR: RSET\\r\\n\n"
			  "S: 552 5.3.4 *\nS: 503 *\n" TO_BOB
			  "C: BDAT 2000 LAST\nFILL 2000 b\nFLUSH\nS: 250 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

static void bare_newlines_in_a_text_chunk_are_refused(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: BDAT 3 LAST\nR: a\\nb\nS: 550 5.5.2 *\n" TO_BOB
			  "C: BDAT 2\nR: a\\r\nS: 250 *\nC: BDAT 1 LAST\nR: \\n\nS: 250 *\n" TO_BOB
			  "C: BDAT 2 LAST\nR: a\\r\nS: 550 5.5.2 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

static void a_chunk_cut_short_is_no_message(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO TO_BOB "C: BDAT 4000000 LAST\nFILL 1000 x\nFLUSH\nIDLE 1000\nCUT\n");
	assert_int_equal(stage.house.count, 0);
	assert_true(stage_traced(&stage, "\"reason\":\"cut\""));
	stage_done(&stage);
}

/* ---- C: commands and floods ---- */

static void a_line_without_an_end_holds_no_memory(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "FILL 8000000 x\nFLUSH\nC: \nS: 500 5.5.2 *\nC: NOOP\nS: 250 *\n" QUIT);
	stage_done(&stage);
}

static void the_third_line_too_long_is_the_last(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO "FILL 13000 x\nC: \nS: 500 5.5.2 *\nFILL 13000 x\nC: \nS: 500 5.5.2 *\n"
			   "FILL 13000 x\nC: \nS: 500 5.5.2 *\nEND\n");
	stage_done(&stage);
}

static void three_thousand_noops_get_their_answer_or_the_door(void **state)
{
	struct stage stage = { .options = "commands_idle_max = 100\n" };
	size_t count = 0;
	struct scan scan;
	struct str line;

	(void)state;
	play(&stage, HELLO "FILL 3000 NOOP\\r\\n\nFLUSH\nIDLE 1000\nS: 250 *\nIDLE 10000\n");
	scan = scan_of(buf_str(&stage.events));
	while (take_until(&scan, '\n', &line))
		count += str_find_str(line, S("250 2.0.0 OK")) != STR_NONE;
	assert_int_equal(count, 99); /* EHLO was the first of them */
	assert_true(stage_traced(&stage, "commands_idle_max"));
	assert_true(stage_traced(&stage, "test.conf:"));
	stage_done(&stage);
}

static void errors_are_answered_slower_and_then_not_at_all(void **state)
{
	struct stage stage = { .options = "errors_soft = 2\nerrors_max = 5\n" };

	(void)state;
	play(&stage, HELLO "C: A1\nS: 500 *\nC: A2\nS: 500 *\nC: A3\nS: 500 *\nC: A4\nS: 500 *\n"
			   "C: A5\nS: 500 *\nS: 421 4.7.0 *\nEND\n");
	assert_true(stage.took_ms >= 3000);
	stage_done(&stage);
}

static void exempt_networks_are_not_slowed_down(void **state)
{
	struct stage stage = { .exempt = true, .options = "errors_soft = 0\nerrors_max = 5\n" };

	(void)state;
	play(&stage, HELLO "C: A1\nS: 500 *\nC: A2\nS: 500 *\nC: A3\nS: 500 *\nC: A4\nS: 500 *\n"
			   "C: A5\nS: 500 *\nS: 421 4.7.0 *\nEND\n");
	assert_true(stage.took_ms < 3000);
	stage_done(&stage);
}

static void who_guesses_recipients_learns_less_and_less(void **state)
{
	struct stage stage = { .options = "unknown_recipients_max = 3\n" };

	(void)state;
	play(&stage, HELLO "C: MAIL FROM:<a@b.example>\nS: 250 *\n"
			   "C: RCPT TO:<n1@here.example>\nS: 550 5.1.1 *\nC: RCPT "
			   "TO:<n2@here.example>\nS: 550 *\n"
			   "C: RCPT TO:<n3@here.example>\nS: 550 *\nC: RCPT "
			   "TO:<n4@here.example>\nS: 450 4.7.1 *\n"
			   "C: RCPT TO:<alice@here.example>\nS: 450 4.7.1 *\n" QUIT);
	assert_int_equal(stage.house.asked_about, 3);
	stage_done(&stage);
}

static void recipients_past_the_limit_wait_for_the_next_message(void **state)
{
	struct stage stage = { .options = "recipients_max = 3\n" };

	(void)state;
	play(&stage, HELLO "C: MAIL FROM:<a@b.example>\nS: 250 *\n"
			   "C: RCPT TO:<user1@here.example>\nS: 250 *\nC: RCPT "
			   "TO:<user2@here.example>\nS: 250 *\n"
			   "C: RCPT TO:<user3@here.example>\nS: 250 *\nC: RCPT "
			   "TO:<user4@here.example>\nS: 452 4.5.3 *\n"
			   "C: DATA\nS: 354 *\nC: x\nC: .\nS: 250 *\n" QUIT);
	assert_true(stage_saw(&stage, "RCPTMAX=3"));
	assert_true(str_is(stage.house.kept[0].recipients,
			   S("user1@here.example,user2@here.example,user3@here.example")));
	stage_done(&stage);
}

static void too_much_data_is_read_on_to_its_end_and_refused(void **state)
{
	struct stage stage = { .options = "message_size_max = 2000\n" };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: DATA\nS: 354 *\nFILL 5000 line\\r\\n\nC: .\nS: 552 5.3.4 *\n" TO_BOB
			  "C: DATA\nS: 354 *\nFILL 333 line\\r\\n\nC: .\nS: 250 *\n" QUIT);
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

static void data_that_never_ends_is_cut_off(void **state)
{
	struct stage stage = { .options = "message_size_max = 2000\n" };

	(void)state;
	play(&stage,
	     HELLO TO_BOB "C: DATA\nS: 354 *\nFILL 3000000 line\\r\\n\nFLUSH\nS: 552 *\nEND\n");
	assert_int_equal(stage.house.count, 0);
	stage_done(&stage);
}

static void a_message_of_many_megabytes_goes_through(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO TO_BOB
	     "C: DATA\nS: 354 *\nFILL 1000000 a line of text\\r\\n\nC: .\nS: 250 *\n" QUIT);
	assert_int_equal(kept_text(&stage.house.kept[0]).len, 16000000);
	stage_done(&stage);
}

/* A peer that does not read holds 64 KiB of ours at most, and not for ever. */
static void who_never_reads_is_closed_in_its_time(void **state)
{
	struct stage stage = { .options = "session_idle = 60s\ncommands_idle_max = 100000\n" };

	(void)state;
	play(&stage, HELLO "FILL 30000 NOOP xxxxxxxxxxxx\\r\\n\nFLUSH\nIDLE 200000\n");
	assert_true(stage_traced(&stage, "\"timeout\"") && !stage_traced(&stage, "\"code\":421"));
	stage_done(&stage);
}

/* ---- F: slowness and cuts ---- */

static void silence_ends_in_421(void **state)
{
	struct stage stage = { .options = "session_idle = 60s\n" };

	(void)state;
	play(&stage, HELLO "C: MAIL FROM:<a@b.example>\nS: 250 *\nS: 421 4.4.2 *\nEND\n");
	assert_true(stage.took_ms >= 60000 && stage.took_ms < 70000);
	stage_done(&stage);
}

/* One deadline for the whole line: an octet now and then does not keep a session. */
static void a_trickle_of_octets_is_silence_too(void **state)
{
	struct stage stage = { .options = "session_idle = 60s\n" };

	(void)state;
	play(&stage,
	     HELLO "R: N\nIDLE 20000\nR: O\nIDLE 20000\nR: O\nIDLE 20001\nS: 421 4.4.2 *\nEND\n");
	stage_done(&stage);
}

static void slow_data_is_cut_off_after_its_grace(void **state)
{
	struct stage stage = { .options = "data_rate_min = 500\n" };

	(void)state;
	play(&stage, HELLO TO_BOB "C: DATA\nS: 354 *\nC: x\nIDLE 10000\nC: y\nIDLE 10000\nC: z\n"
				  "S: 421 4.4.2 *\nEND\n");
	assert_true(stage.took_ms >= 30000 && stage.took_ms < 35000);
	assert_int_equal(stage.house.count, 0);
	assert_true(stage_traced(&stage, "data_rate_min"));
	stage_done(&stage);
}

static void play_text(struct stage *stage, struct buf *script)
{
	buf_add_char(script, '\0');
	assert_false(script->failed);
	play(stage, script->at);
}

static void empty_chunks_do_not_keep_a_session_for_ever(void **state)
{
	struct stage stage = { .options = "data_rate_min = 500\n" };
	OWNED(buf) struct buf script = BUF(2000);

	(void)state;
	buf_add(&script, S(HELLO TO_BOB));
	for (int i = 0; i < 3; i++)
		buf_add(&script, S("C: BDAT 0\nS: 250 *\nIDLE 9000\n"));
	buf_add(&script, S("C: BDAT 1\nR: x\nS: 250 *\nS: 421 4.4.2 *\nEND\n"));
	play_text(&stage, &script);
	assert_true(stage.took_ms >= 30000 && stage.took_ms < 35000);
	assert_true(stage_traced(&stage, "data_rate_min"));
	stage_done(&stage);
}

/* 20 KiB in forty seconds are more than 500 octets a second. */
static void chunks_that_come_with_their_commands_are_counted(void **state)
{
	struct stage stage = { .options = "data_rate_min = 500\n" };
	OWNED(buf) struct buf script = BUF(48000);

	(void)state;
	buf_add(&script, S(HELLO TO_BOB));
	for (int i = 0; i < 40; i++)
		buf_print(&script, "R: BDAT 512\\r\\n%0512d\nS: 250 *\nIDLE 1000\n", i);
	buf_add(&script, S("C: BDAT 0 LAST\nS: 250 *\n" QUIT));
	play_text(&stage, &script);
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

/* What is not refused is no error, and yet somebody who only ever hears "later" does not stay for ever. */
static void put_off_for_ever(const char *options, const char *recipient, const char *reply,
			     int times)
{
	struct stage stage = { .options = options };
	OWNED(buf) struct buf script = BUF(100000);

	buf_add(&script, S(HELLO "C: MAIL FROM:<a@b.example>\nS: 250 *\n"
				 "C: RCPT TO:<nobody@here.example>\nS: 550 *\n"));
	for (int i = 0; i < times; i++)
		buf_print(&script, "C: RCPT TO:<%s>\nS: %s *\n", recipient, reply);
	buf_print(&script, "C: RCPT TO:<%s>\nS: 421 4.7.0 *\nEND\n", recipient);
	play_text(&stage, &script);
	assert_true(stage_traced(&stage, "commands_idle_max"));
	stage_done(&stage);
}

static void recipients_that_are_put_off_for_ever_move_nothing(void **state)
{
	(void)state;
	put_off_for_ever("unknown_recipients_max = 1\ncommands_idle_max = 10\n",
			 "alice@here.example", "450", 8);
	put_off_for_ever("commands_idle_max = 10\n", "full@here.example", "452",
			 LIMIT_recipients_excess + 8);
}

static void a_cut_before_the_end_keeps_nothing(void **state)
{
	static const char *const parts[] = { "C: x\n", "R: x\\r\\n.\n", "R: .\\r\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		struct stage stage = { 0 };
		char script[400];

		snprintf(script, sizeof(script),
			 HELLO TO_BOB "C: DATA\nS: 354 *\n%sIDLE 100\nCUT\n", parts[i]);
		play(&stage, script);
		assert_int_equal(stage.house.count, 0);
		stage_done(&stage);
	}
}

static void a_half_close_after_the_end_still_gets_its_250(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO TO_BOB "C: DATA\nS: 354 *\nC: x\nC- .\nSHUT\nS: 250 *\nEND\n");
	assert_int_equal(stage.house.count, 1);
	stage_done(&stage);
}

static void a_stop_tells_the_idle_and_finishes_commits(void **state)
{
	struct stage idle = { 0 };
	struct stage busy = { .house.deliver_ms = 5000 };

	(void)state;
	play(&idle, HELLO "STOP\nS: 421 4.3.2 *\nEND\n");
	play(&busy, HELLO TO_BOB
	     "C: DATA\nS: 354 *\nC: x\nC: .\nIDLE 1000\nSTOP\nS: 250 *\nS: 421 *\nEND\n");
	assert_int_equal(busy.house.count, 1);
	stage_done(&idle);
	stage_done(&busy);
}

static void pregreeters_are_noted_or_refused(void **state)
{
	struct stage noted = { .options = "greeting_delay = 1s\n" };
	struct stage refused = { .options = "greeting_delay = 1s\npregreet = refuse\n" };

	(void)state;
	play(&noted, "C: EHLO hasty\nS: 220 *\nS...: 250\n" QUIT);
	play(&refused, "C: EHLO hasty\nS: 554 5.5.1 *\nEND\n");
	assert_true(stage_traced(&noted, "\"rule\":\"pregreet\",\"verdict\":\"accept\""));
	assert_true(stage_traced(&refused, "\"rule\":\"pregreet\",\"verdict\":\"refuse\""));
	stage_done(&noted);
	stage_done(&refused);
}

/* ---- the world's failures: never a 250, never silence ---- */

static void nothing_is_acknowledged_that_is_not_kept(void **state)
{
	static const struct {
		enum err deliver, inspect;
		const char *reply;
	} cases[] = {
		{ ERR_GONE, OK, "451 4.3.0" },  { ERR_IO, OK, "451 4.3.0" },
		{ ERR_FULL, OK, "452 4.3.1" },  { OK, ERR_GONE, "451 4.3.0" },
		{ ERR_QUOTA, OK, "452 4.2.2" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct stage stage = { .house = { .deliver_err = cases[i].deliver,
						  .inspect_err = cases[i].inspect } };
		char script[400];

		snprintf(script, sizeof(script),
			 HELLO TO_BOB
			 "C: DATA\nS: 354 *\nC: x\nC: .\nS: %s *\nC: NOOP\nS: 250 *\n" QUIT,
			 cases[i].reply);
		play(&stage, script);
		assert_int_equal(stage.house.count, 0);
		assert_true(stage_traced(&stage, "\"kind\":\"trouble\""));
		stage_done(&stage);
	}
}

static void the_filter_may_refuse_and_defer(void **state)
{
	struct stage refuse = { .house = { .verdict = INSPECT_REFUSE,
					   .verdict_text = "A loop\r\n250 forged" } };
	struct stage defer = { .house = { .verdict = INSPECT_DEFER } };

	(void)state;
	play(&refuse, HELLO TO_BOB
	     "C: DATA\nS: 354 *\nC: x\nC: .\nS: 554-5.4.6 A loop?\nS: 554 5.4.6 250 forged\n" QUIT);
	play(&defer, HELLO TO_BOB "C: DATA\nS: 354 *\nC: x\nC: .\nS: 451 4.7.1 *\n" QUIT);
	assert_int_equal(refuse.house.count + defer.house.count, 0);
	stage_done(&refuse);
	stage_done(&defer);
}

static void a_full_disk_is_said_at_mail(void **state)
{
	struct stage stage = { .house.is_full = true };

	(void)state;
	play(&stage, HELLO "C: MAIL FROM:<a@b.example>\nS: 452 4.3.1 *\nC: DATA\nS: 503 *\n" QUIT);
	stage_done(&stage);
}

static void a_recipient_lost_between_rcpt_and_data_is_not_lost_silently(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, HELLO
	     "C: MAIL FROM:<a@b.example>\nS: 250 *\nC: RCPT TO:<alice@here.example>\nS: 250 *\n"
	     "C: RCPT TO:<late@here.example>\nS: 250 *\nC: DATA\nS: 354 *\nC: x\nC: .\nS: 452 "
	     "4.2.2 *\n" QUIT);
	stage_done(&stage);
}

static void nothing_a_client_says_forges_a_received_line(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	play(&stage, "S: 220 *\nR: EHLO a\\rX-Evil: 1\\r\\n\nS: 500 *\nC: EHLO (a)b\\\\;\"\nS...: "
		     "250\n" TO_BOB "C: DATA\nS: 354 *\nC: \nC: .\nS: 250 *\n" QUIT);
	assert_int_equal(field_count(stage.house.kept[0].body, S("X-Evil")), 0);
	assert_int_equal(received_count(stage.house.kept[0].body), 1);
	assert_true(str_is(kept_text(&stage.house.kept[0]), S("\r\n")));
	stage_done(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_false_end_lets_a_second_envelope_in),
		cmocka_unit_test(nor_does_signing_in_buy_anything),
		cmocka_unit_test(normalising_makes_line_ends_but_no_ends_of_data),
		cmocka_unit_test(what_is_normalised_has_no_bare_newline_left),
		cmocka_unit_test(the_true_end_is_found_in_five_pieces),
		cmocka_unit_test(lines_of_dots_and_long_lines_arrive_as_they_are),
		cmocka_unit_test(long_lines_are_refused_when_wanted),
		cmocka_unit_test(a_chunk_may_hold_anything),
		cmocka_unit_test(chunks_make_one_message),
		cmocka_unit_test(chunks_out_of_order_are_answered_once_each),
		cmocka_unit_test(a_chunk_without_a_true_size_ends_the_session),
		cmocka_unit_test(chunks_past_the_size_are_refused_and_eaten),
		cmocka_unit_test(bare_newlines_in_a_text_chunk_are_refused),
		cmocka_unit_test(a_chunk_cut_short_is_no_message),
		cmocka_unit_test(a_line_without_an_end_holds_no_memory),
		cmocka_unit_test(the_third_line_too_long_is_the_last),
		cmocka_unit_test(three_thousand_noops_get_their_answer_or_the_door),
		cmocka_unit_test(errors_are_answered_slower_and_then_not_at_all),
		cmocka_unit_test(exempt_networks_are_not_slowed_down),
		cmocka_unit_test(who_guesses_recipients_learns_less_and_less),
		cmocka_unit_test(recipients_past_the_limit_wait_for_the_next_message),
		cmocka_unit_test(too_much_data_is_read_on_to_its_end_and_refused),
		cmocka_unit_test(data_that_never_ends_is_cut_off),
		cmocka_unit_test(a_message_of_many_megabytes_goes_through),
		cmocka_unit_test(who_never_reads_is_closed_in_its_time),
		cmocka_unit_test(silence_ends_in_421),
		cmocka_unit_test(a_trickle_of_octets_is_silence_too),
		cmocka_unit_test(slow_data_is_cut_off_after_its_grace),
		cmocka_unit_test(empty_chunks_do_not_keep_a_session_for_ever),
		cmocka_unit_test(chunks_that_come_with_their_commands_are_counted),
		cmocka_unit_test(recipients_that_are_put_off_for_ever_move_nothing),
		cmocka_unit_test(a_cut_before_the_end_keeps_nothing),
		cmocka_unit_test(a_half_close_after_the_end_still_gets_its_250),
		cmocka_unit_test(a_stop_tells_the_idle_and_finishes_commits),
		cmocka_unit_test(pregreeters_are_noted_or_refused),
		cmocka_unit_test(nothing_is_acknowledged_that_is_not_kept),
		cmocka_unit_test(the_filter_may_refuse_and_defer),
		cmocka_unit_test(a_full_disk_is_said_at_mail),
		cmocka_unit_test(a_recipient_lost_between_rcpt_and_data_is_not_lost_silently),
		cmocka_unit_test(nothing_a_client_says_forges_a_received_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
