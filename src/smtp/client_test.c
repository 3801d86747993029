/* SPDX-License-Identifier: Apache-2.0 */
/* The client's dialogue, with servers that are polite, old, poor or odd. */
#include "smtp/client_stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GREETING    "S: 220 mx.there.example ESMTP\nC: EHLO client.example\n"
#define PLAIN_HELLO GREETING "S: 250 mx.there.example\n"
#define PIPELINING  GREETING "S- 250-mx.there.example\nS: 250 PIPELINING\n"
#define QUIT        "C: QUIT\nS: 221 bye\nEND\n"
#define TEXT        "C: Subject: x\nC: \nC: ..dot\nC: .\n"

static const struct smtp_sending_to two[] = { { .address = S("anna@there.example") },
					      { .address = S("bert@there.example") } };
static const struct str text = S("Subject: x\r\n\r\n.dot\r\n");

static void check_said(const struct smtp_said *said, enum smtp_result result, unsigned code,
		       const char *enhanced, bool is_ours)
{
	if (said->result != result || said->reply.code != code ||
	    !str_is(said->reply.enhanced, str_of(enhanced)) || said->is_ours != is_ours)
		fail_msg("result %d: %u [%.*s] %.*s%s", (int)said->result, said->reply.code,
			 STR_ARGS(said->reply.enhanced), STR_ARGS(said->reply.text),
			 said->is_ours ? " (ours)" : "");
}

/* One message to two recipients. */
static void play_one(struct client_play *play, const char *script)
{
	play->script = script;
	if (!play->count) {
		play->sendings[0] = client_mail(two, 2, text);
		play->count = 1;
	}
	client_play(play);
}

static void a_message_goes_step_by_step_to_a_server_without_extensions(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_one(&play, PLAIN_HELLO "C: MAIL FROM:<me@client.example>\nS: 250 2.1.0 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 250 OK\n"
				    "C: RCPT TO:<bert@there.example>\nS: 251 will forward\n"
				    "C: DATA\nS: 354 go\n" TEXT "S: 250 2.0.0 queued as 17\n" QUIT);
	check_said(&play.open, SMTP_SENT, 250, "", false);
	check_said(&play.said[0][0], SMTP_SENT, 250, "2.0.0", false);
	check_said(&play.said[0][1], SMTP_SENT, 250, "2.0.0", false);
	assert_true(str_is(play.said[0][0].reply.text, S("queued as 17")));
	assert_true(play.is_open[0]);
	assert_true(client_traced(&play, "\"outgoing\":1"));
	assert_true(client_traced(&play, "RCPT TO:<bert@there.example>"));
	client_play_done(&play);
}

/* rfc2920 3.1 */
static void a_server_with_pipelining_gets_the_envelope_in_one_go(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_one(&play, PIPELINING
		 "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\n"
		 "C: RCPT TO:<bert@there.example>\nC: DATA\n"
		 "S- 250 OK\nS- 250 OK\nS- 250 OK\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	/* Greeting, EHLO, envelope, data, QUIT: a millisecond each way. */
	assert_in_range(play.took_ms, 8, 12);
	client_play_done(&play);
}

/* rfc5321 3.2 and behaviour 3: HELO, and no extension after it. */
static void a_server_that_knows_no_ehlo_is_told_helo(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_one(&play,
		 GREETING "S: 502 what?\nC: HELO client.example\nS- 250-old\nS: 250 PIPELINING\n"
			  "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
			  "C: RCPT TO:<anna@there.example>\nS: 250 OK\n"
			  "C: RCPT TO:<bert@there.example>\nS: 250 OK\n"
			  "C: DATA\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT);
	check_said(&play.said[0][1], SMTP_SENT, 250, "", false);
	assert_int_equal(play.offer.extensions, 0);
	client_play_done(&play);
}

static void who_does_not_serve_is_left(void **state)
{
	static const struct {
		const char *script;
		enum smtp_result result;
		unsigned code;
		const char *enhanced;
		bool is_ours;
	} cases[] = {
		{ "S: 554 5.3.2 no mail here\nC: QUIT\nS: 221 bye\nEND\n", SMTP_REFUSED, 554,
		  "5.3.2", false },
		{ "S: 450 4.3.2 later\nC: QUIT\nS: 221 bye\nEND\n", SMTP_DEFERRED, 450, "4.3.2",
		  false },
		{ "S: 421 4.3.2 overloaded\nEND\n", SMTP_DEFERRED, 421, "4.3.2", false },
		{ "S: 354 odd\nEND\n", SMTP_DEFERRED, 451, "4.5.0", true },
		{ "S: SSH-2.0-OpenSSH_9.2\nEND\n", SMTP_DEFERRED, 451, "4.5.0", true },
		{ "SHUT\nEND\n", SMTP_DEFERRED, 451, "4.4.2", true },
		{ GREETING "S: 421 4.4.5 busy\nEND\n", SMTP_DEFERRED, 421, "4.4.5", false },
		{ GREETING "S: 450 4.7.1 greylisted\n" QUIT, SMTP_DEFERRED, 450, "4.7.1", false },
		{ GREETING "S: 550 no\nC: HELO client.example\nS: 550 5.7.1 still no\n" QUIT,
		  SMTP_REFUSED, 550, "5.7.1", false },
		{ GREETING "S: 354 odd\nEND\n", SMTP_DEFERRED, 451, "4.5.0", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client_play play = { 0 };

		play_one(&play, cases[i].script);
		check_said(&play.open, cases[i].result, cases[i].code, cases[i].enhanced,
			   cases[i].is_ours);
		client_play_done(&play);
	}
}

static void some_recipients_are_taken_and_others_not(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_one(&play,
		 PIPELINING "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\n"
			    "C: RCPT TO:<bert@there.example>\nC: DATA\n"
			    "S- 250 OK\nS- 550 5.1.1 nobody\nS- 250 OK\nS: 354 go\n" TEXT
			    "S: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 550, "5.1.1", false);
	check_said(&play.said[0][1], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

/* Without a recipient no data; and RSET before the next message, not before QUIT. */
static void when_nobody_is_taken_nothing_is_sent(void **state)
{
	struct client_play play = { .count = 2 };

	(void)state;
	play.sendings[0] = play.sendings[1] = client_mail(two, 2, text);
	play_one(&play, PLAIN_HELLO "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 450 4.2.1 later\n"
				    "C: RCPT TO:<bert@there.example>\nS: 551 5.1.6 moved\n"
				    "C: RSET\nS: 250 OK\n"
				    "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 550 5.1.1 no\n"
				    "C: RCPT TO:<bert@there.example>\nS: 550 5.1.1 no\n" QUIT);
	check_said(&play.said[0][0], SMTP_DEFERRED, 450, "4.2.1", false);
	check_said(&play.said[0][1], SMTP_REFUSED, 551, "5.1.6", false);
	check_said(&play.said[1][0], SMTP_REFUSED, 550, "5.1.1", false);
	client_play_done(&play);
}

/* rfc2920 3.1: DATA went out with the envelope; the server's 354 is answered with an empty message. */
static void a_server_that_wants_data_for_nobody_gets_a_lone_dot(void **state)
{
	struct client_play play = { .count = 2 };

	(void)state;
	play.sendings[0] = play.sendings[1] = client_mail(two, 1, text);
	play_one(&play, PIPELINING
		 "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\nC: DATA\n"
		 "S- 250 OK\nS- 550 5.1.1 nobody\nS: 354 go\nC: .\nS: 554 no recipients\n"
		 "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\nC: DATA\n"
		 "S- 250 OK\nS- 550 5.1.1 nobody\nS: 503 no recipients\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 550, "5.1.1", false);
	check_said(&play.said[1][0], SMTP_REFUSED, 550, "5.1.1", false);
	client_play_done(&play);
}

static void a_refused_sender_is_refused_for_everybody(void **state)
{
	struct client_play play = { .count = 2 };

	(void)state;
	play.sendings[0] = play.sendings[1] = client_mail(two, 2, text);
	play_one(&play, PIPELINING
		 "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\n"
		 "C: RCPT TO:<bert@there.example>\nC: DATA\n"
		 "S- 550 5.7.1 not you\nS- 503 order\nS- 503 order\nS: 503 order\n"
		 "C: RSET\nC: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\n"
		 "C: RCPT TO:<bert@there.example>\nC: DATA\n"
		 "S- 250 OK\nS- 450 4.7.1 slow\nS- 503 order\nS- 503 order\nS: 503 order\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 550, "5.7.1", false);
	check_said(&play.said[0][1], SMTP_REFUSED, 550, "5.7.1", false);
	check_said(&play.said[1][1], SMTP_DEFERRED, 450, "4.7.1", false);
	client_play_done(&play);
}

/* rfc5321 4.5.3.1.10 */
static void too_many_recipients_are_asked_again_later(void **state)
{
	struct client_play play = { 0 };

	(void)state;
	play_one(&play, PLAIN_HELLO "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 552 too many\n"
				    "C: RCPT TO:<bert@there.example>\nS: 552 5.2.2 full\n" QUIT);
	check_said(&play.said[0][0], SMTP_DEFERRED, 552, "", false);
	check_said(&play.said[0][1], SMTP_REFUSED, 552, "5.2.2", false);
	client_play_done(&play);
}

/* rfc9422 */
static void the_servers_limits_are_kept(void **state)
{
	struct client_play play = { .count = 2 };

	(void)state;
	play.sendings[0] = play.sendings[1] = client_mail(two, 2, text);
	play_one(&play,
		 GREETING "S- 250-mx\nS: 250 LIMITS RCPTMAX=1 MAILMAX=1\n"
			  "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
			  "C: RCPT TO:<anna@there.example>\nS: 250 OK\nC: DATA\nS: 354 go\n" TEXT
			  "S: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	check_said(&play.said[0][1], SMTP_DEFERRED, 452, "4.5.3", true);
	assert_false(play.is_open[0]);
	assert_int_equal(play.offer.rcpt_max, 1);
	client_play_done(&play);
}

#define FULL_HELLO                                                                                 \
	GREETING "S- 250-mx\nS- 250-SIZE 1000\nS- 250-8BITMIME\nS- 250-DSN\nS: 250 SMTPUTF8\n"

static void parameters_are_said_to_who_knows_them(void **state)
{
	static const struct smtp_sending_to to = {
		.address = S("\xc3\xa4nne@there.example"),
		.notify = S("SUCCESS,FAILURE"),
		.original = S("utf-8;\\x{E4}nne@there.example"),
	};
	struct client_play play = { .count = 1 };

	(void)state;
	play.sendings[0] = client_mail(&to, 1, S("Subject: \xc3\xa4\r\n\r\n"));
	play.sendings[0].utf8 = true;
	play.sendings[0].ret = S("HDRS");
	play.sendings[0].envelope_id = S("QQ314159");
	play_one(&play, FULL_HELLO
		 "C: MAIL FROM:<me@client.example> SIZE=15 BODY=8BITMIME SMTPUTF8 RET=HDRS "
		 "ENVID=QQ314159\nS: 250 OK\n"
		 "C: RCPT TO:<\xc3\xa4nne@there.example> NOTIFY=SUCCESS,FAILURE "
		 "ORCPT=utf-8;\\x{E4}nne@there.example\nS: 250 OK\n"
		 "C: DATA\nS: 354 go\nC: Subject: \xc3\xa4\nC: \nC: .\nS: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

static void what_a_server_cannot_carry_is_not_begun(void **state)
{
	static const struct {
		const char *script;
		struct smtp_sending sending;
		unsigned code;
		const char *enhanced;
	} cases[] = {
		{ PLAIN_HELLO QUIT, { .octets = S("\xc3\xa4\r\n") }, 554, "5.6.3" },
		{ PLAIN_HELLO QUIT, { .octets = S("x\r\n"), .utf8 = true }, 550, "5.6.7" },
		{ FULL_HELLO QUIT,
		  { .octets = S("\0\r\n"), .body = SMTP_BODY_BINARYMIME },
		  554,
		  "5.6.3" },
		{ FULL_HELLO QUIT,
		  { .octets = S("x\r\n"), .sender = S("a\r\nRSET@b") },
		  553,
		  "5.1.7" },
		{ FULL_HELLO QUIT,
		  { .octets = S("x\r\n"), .ret = S("FULL SIZE=1") },
		  555,
		  "5.5.4" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client_play play = { .count = 1 };

		play.sendings[0] = cases[i].sending;
		play.sendings[0].to = two;
		play.sendings[0].count = 2;
		play_one(&play, cases[i].script);
		check_said(&play.said[0][0], SMTP_REFUSED, cases[i].code, cases[i].enhanced, true);
		check_said(&play.said[0][1], SMTP_REFUSED, cases[i].code, cases[i].enhanced, true);
		assert_true(play.is_open[0]);
		client_play_done(&play);
	}
}

/* rfc1870 6.1 */
static void a_message_over_the_servers_size_is_not_begun(void **state)
{
	static char large[1001];
	struct client_play play = { .count = 1 };

	(void)state;
	memset(large, 'x', sizeof(large));
	play.sendings[0] = client_mail(two, 1, (struct str){ large, sizeof(large) });
	play_one(&play, FULL_HELLO QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 552, "5.3.4", true);
	client_play_done(&play);
}

/* 8BITMIME and BINARYMIME are often declared of what is plain text. */
static void plain_text_goes_to_everybody_whatever_was_declared(void **state)
{
	struct client_play play = { .count = 1 };

	(void)state;
	play.sendings[0] = client_mail(two, 1, text);
	play.sendings[0].body = SMTP_BODY_BINARYMIME;
	play_one(&play, PLAIN_HELLO "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 250 OK\n"
				    "C: DATA\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

static void an_address_cannot_say_a_command(void **state)
{
	static const struct smtp_sending_to to[] = {
		{ .address = S("a@b.example>\r\nRSET\r\nRCPT TO:<c") },
		{ .address = S("anna@there.example"), .notify = S("NEVER\r\nQUIT") },
		{ .address = S("\xc3\xa4nne@there.example") },
		{ .address = S("") },
		{ .address = S("anna@there.example") },
	};
	struct client_play play = { .count = 1 };

	(void)state;
	play.sendings[0] = client_mail(to, COUNT_OF(to), text);
	play_one(&play, PLAIN_HELLO "C: MAIL FROM:<me@client.example>\nS: 250 OK\n"
				    "C: RCPT TO:<anna@there.example>\nS: 250 OK\n"
				    "C: DATA\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 553, "5.1.3", true);
	check_said(&play.said[0][1], SMTP_REFUSED, 555, "5.5.4", true);
	check_said(&play.said[0][2], SMTP_REFUSED, 553, "5.1.3", true);
	check_said(&play.said[0][3], SMTP_REFUSED, 553, "5.1.3", true);
	check_said(&play.said[0][4], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

/* rfc3030: dots as they are, the octets counted. */
static void a_server_with_chunking_gets_the_octets_as_they_are(void **state)
{
	static const struct str binary = S("a\0b\r\n.\r\nend\r\n");
	struct client_play play = { .count = 1 };

	(void)state;
	play.sendings[0] = client_mail(two, 2, binary);
	play.sendings[0].body = SMTP_BODY_BINARYMIME;
	play_one(&play,
		 GREETING "S- 250-mx\nS- 250-CHUNKING\nS- 250-PIPELINING\nS: 250 BINARYMIME\n"
			  "C: MAIL FROM:<me@client.example> BODY=BINARYMIME\n"
			  "C: RCPT TO:<anna@there.example>\nC: RCPT TO:<bert@there.example>\n"
			  "S- 250 OK\nS- 550 5.1.1 no\nS: 250 OK\n"
			  "C: BDAT 13 LAST\nC: a*b\nC: .\nC: end\nS: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 550, "5.1.1", false);
	check_said(&play.said[0][1], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

static struct str lines_of(struct arena *arena, size_t count)
{
	char *octets = arena_take(arena, count * 64);

	for (size_t i = 0; i < count; i++) {
		memset(octets + i * 64, 'x', 62);
		memcpy(octets + i * 64 + 62, "\r\n", 2);
	}
	return (struct str){ octets, count * 64 };
}

#define CHUNKING GREETING "S- 250-mx\nS: 250 CHUNKING\n"
#define ONE_TAKEN                                                                                  \
	"C: MAIL FROM:<me@client.example>\nS: 250 OK\n"                                            \
	"C: RCPT TO:<anna@there.example>\nS: 250 OK\n"

/* A MiB each: 16384 lines of 64 octets. */
static void a_large_message_goes_in_chunks(void **state)
{
	struct client_play play = { .count = 1 };
	struct buf script = BUF(1 << 20);

	(void)state;
	buf_add(&script, S(CHUNKING ONE_TAKEN "C: BDAT 1048576\n"));
	for (int i = 0; i < 16384; i++)
		buf_add(&script, S("C: x*x\n"));
	buf_add(&script, S("S: 250 so far\nC: BDAT 64 LAST\nC: x*x\nS: 250 kept\n" QUIT));
	buf_add_char(&script, '\0');
	play.sendings[0] = client_mail(two, 1, lines_of(&play.arena, 16385));
	play_one(&play, script.at);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	buf_drop(&script);
	client_play_done(&play);
}

/* rfc3030 2 */
static void after_a_refused_chunk_no_other_is_sent(void **state)
{
	struct client_play play = { .count = 2 };
	struct buf script = BUF(1 << 20);

	(void)state;
	buf_add(&script, S(CHUNKING ONE_TAKEN "C: BDAT 1048576\n"));
	for (int i = 0; i < 16384; i++)
		buf_add(&script, S("C: x*x\n"));
	buf_add(&script, S("S: 552 5.2.2 full\nC: RSET\nS: 250 OK\n" ONE_TAKEN
			   "C: BDAT 20 LAST\nC: Subject: x\nC: \nC: .dot\nS: 250 kept\n" QUIT));
	buf_add_char(&script, '\0');
	play.sendings[0] = client_mail(two, 1, lines_of(&play.arena, 40000));
	play.sendings[1] = client_mail(two, 1, text);
	play_one(&play, script.at);
	check_said(&play.said[0][0], SMTP_REFUSED, 552, "5.2.2", false);
	check_said(&play.said[1][0], SMTP_SENT, 250, "", false);
	buf_drop(&script);
	client_play_done(&play);
}

static void an_empty_message_is_a_message(void **state)
{
	struct client_play play = { .count = 1 };

	(void)state;
	play.sendings[0] = client_mail(two, 1, S(""));
	play.sendings[0].sender = S("");
	play_one(&play, CHUNKING "C: MAIL FROM:<>\nS: 250 OK\n"
				 "C: RCPT TO:<anna@there.example>\nS: 250 OK\n"
				 "C: BDAT 0 LAST\nS: 250 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
	client_play_done(&play);
}

/* ---- LMTP (rfc2033) ---- */

#define LHLO "S: 220 lmtp\nC: LHLO client.example\nS- 250-mx\nS: 250 PIPELINING\n"
#define LMTP_ENVELOPE                                                                              \
	"C: MAIL FROM:<me@client.example>\nC: RCPT TO:<anna@there.example>\n"                      \
	"C: RCPT TO:<bert@there.example>\nC: DATA\n"

static void over_lmtp_every_recipient_has_a_reply(void **state)
{
	struct client_play play = { .options.is_lmtp = true };

	(void)state;
	play_one(&play, LHLO LMTP_ENVELOPE "S- 250 OK\nS- 250 OK\nS- 250 OK\nS: 354 go\n" TEXT
					   "S- 250 2.1.5 kept\nS: 452 4.2.2 full\n" QUIT);
	check_said(&play.said[0][0], SMTP_SENT, 250, "2.1.5", false);
	check_said(&play.said[0][1], SMTP_DEFERRED, 452, "4.2.2", false);
	assert_true(client_traced(&play, "lmtp-out"));
	client_play_done(&play);
}

static void over_lmtp_only_accepted_recipients_have_a_reply(void **state)
{
	struct client_play play = { .options.is_lmtp = true };

	(void)state;
	play_one(&play,
		 LHLO LMTP_ENVELOPE "S- 250 OK\nS- 550 5.1.1 nobody\nS- 250 OK\nS: 354 go\n" TEXT
				    "S: 250 2.1.5 kept\n" QUIT);
	check_said(&play.said[0][0], SMTP_REFUSED, 550, "5.1.1", false);
	check_said(&play.said[0][1], SMTP_SENT, 250, "2.1.5", false);
	client_play_done(&play);
}

static void over_lmtp_a_reply_that_does_not_come_leaves_one_recipient_unsure(void **state)
{
	struct client_play play = { .options.is_lmtp = true };

	(void)state;
	play_one(&play, LHLO LMTP_ENVELOPE "S- 250 OK\nS- 250 OK\nS- 250 OK\nS: 354 go\n" TEXT
					   "S: 250 2.1.5 kept\nSHUT\nEND\n");
	check_said(&play.said[0][0], SMTP_SENT, 250, "2.1.5", false);
	check_said(&play.said[0][1], SMTP_UNSURE, 451, "4.4.2", true);
	client_play_done(&play);
}

/* There is no HELO to fall back to. */
static void over_lmtp_lhlo_must_be_known(void **state)
{
	struct client_play play = { .options.is_lmtp = true };

	(void)state;
	play_one(&play, "S: 220 smtp\nC: LHLO client.example\nS: 502 5.5.1 what?\n" QUIT);
	check_said(&play.open, SMTP_REFUSED, 502, "5.5.1", false);
	client_play_done(&play);
}

/* ---- TLS ---- */

#define OFFERS_TLS GREETING "S- 250-mx\nS: 250 STARTTLS\n"
#define ONE_MESSAGE                                                                                \
	ONE_TAKEN "C: RCPT TO:<bert@there.example>\nS: 250 OK\nC: DATA\nS: 354 go\n" TEXT          \
		  "S: 250 kept\n"

/* rfc3207 4.2: EHLO anew, and only what it says now counts. */
static void after_starttls_the_server_is_greeted_anew(void **state)
{
	struct client_play play = { .options.tls = SMTP_TLS_MUST };

	(void)state;
	play_one(&play, GREETING
		 "S- 250-mx\nS- 250-PIPELINING\nS- 250-AUTH PLAIN\nS: 250 STARTTLS\n"
		 "C: STARTTLS\nS: 220 go\nTLS\nC: EHLO client.example\nS: 250 mx\n" ONE_MESSAGE
			 QUIT);
	check_said(&play.said[0][1], SMTP_SENT, 250, "", false);
	assert_int_equal(play.offer.extensions, 0);
	assert_true(client_traced(&play, "\"kind\":\"tls\""));
	assert_true(client_traced(&play, "TLSv1.3"));
	client_play_done(&play);
}

/* rfc3207 6: said in the clear, in the place of the server's answer to the second EHLO. */
static void what_came_before_the_handshake_is_thrown_away(void **state)
{
	struct client_play play = { .options.tls = SMTP_TLS_MUST };

	(void)state;
	play_one(&play,
		 OFFERS_TLS "C: STARTTLS\nS- 220 go\nS: 250 forged\nTLS\nC: EHLO client.example\n"
			    "S: 250 mx\n" ONE_MESSAGE QUIT);
	check_said(&play.said[0][1], SMTP_SENT, 250, "", false);
	assert_true(client_traced(&play, "discard"));
	client_play_done(&play);
}

static void without_tls_it_depends_on_the_policy(void **state)
{
	static const struct {
		const char *script;
		enum smtp_tls_policy tls;
		enum smtp_result result;
		unsigned code;
		const char *enhanced;
		bool is_ours, is_tls; /* without TLS another try may do better */
	} cases[] = {
		{ OFFERS_TLS ONE_MESSAGE QUIT, SMTP_TLS_NONE, SMTP_SENT, 250, "", false, false },
		{ PLAIN_HELLO ONE_MESSAGE QUIT, SMTP_TLS_MAY, SMTP_SENT, 250, "", false, false },
		{ PLAIN_HELLO QUIT, SMTP_TLS_MUST, SMTP_DEFERRED, 451, "4.7.4", true, true },
		{ OFFERS_TLS "C: STARTTLS\nS: 454 4.7.0 not now\n" ONE_MESSAGE QUIT, SMTP_TLS_MAY,
		  SMTP_SENT, 250, "", false, false },
		{ OFFERS_TLS "C: STARTTLS\nS: 554 5.7.0 never\n" QUIT, SMTP_TLS_MUST, SMTP_DEFERRED,
		  554, "5.7.0", false, true },
		{ OFFERS_TLS "C: STARTTLS\nS: 220 go\nR: no TLS at all\nSHUT\nIDLE 1000\n",
		  SMTP_TLS_MAY, SMTP_DEFERRED, 451, "4.7.5", true, true },
		{ OFFERS_TLS "C: STARTTLS\nS: 220 go\nSHUT\nIDLE 1000\n", SMTP_TLS_MAY,
		  SMTP_DEFERRED, 451, "4.7.5", true, true },
		{ OFFERS_TLS "C: STARTTLS\nS: 220 go\nIDLE 60000\n", SMTP_TLS_MUST, SMTP_DEFERRED,
		  451, "4.7.5", true, true },
		{ OFFERS_TLS "C: STARTTLS\nS: 421 4.3.2 bye\nEND\n", SMTP_TLS_MAY, SMTP_DEFERRED,
		  421, "4.3.2", false, false },
		{ "S: 220 in the clear\nIDLE 1000\n", SMTP_TLS_IMPLICIT, SMTP_DEFERRED, 451,
		  "4.7.5", true, true },
		{ "TLS\n" PLAIN_HELLO ONE_MESSAGE QUIT, SMTP_TLS_IMPLICIT, SMTP_SENT, 250, "",
		  false, false },
		{ OFFERS_TLS "C: STARTTLS\nSHUT\nIDLE 1000\n", SMTP_TLS_MAY, SMTP_DEFERRED, 451,
		  "4.4.2", true, true },
		{ OFFERS_TLS "C: STARTTLS\nS: hello there\nSHUT\nIDLE 1000\n", SMTP_TLS_MAY,
		  SMTP_DEFERRED, 451, "4.5.0", true, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client_play play = { .options.tls = cases[i].tls };
		play_one(&play, cases[i].script);
		check_said(cases[i].result ? &play.open : &play.said[0][1], cases[i].result,
			   cases[i].code, cases[i].enhanced, cases[i].is_ours);
		assert_int_equal(play.open.is_tls, cases[i].is_tls);
		client_play_done(&play);
	}
}

/* ---- more than one message ---- */

static void several_messages_go_in_one_session(void **state)
{
	struct client_play play = { .count = 3, .pause_ms = 1000 };

	(void)state;
	for (int i = 0; i < 3; i++)
		play.sendings[i] = client_mail(two, 2, text);
	play_one(&play, PLAIN_HELLO ONE_MESSAGE ONE_MESSAGE ONE_MESSAGE QUIT);
	for (int i = 0; i < 3; i++)
		check_said(&play.said[i][1], SMTP_SENT, 250, "", false);
	assert_true(client_traced(&play, "\"messages\":3"));
	client_play_done(&play);
}

/* rfc5321 3.8: who was idle for too long is told 421, unasked. */
static void a_session_that_was_closed_meanwhile_sends_nothing(void **state)
{
	static const struct {
		const char *script;
		unsigned code;
		const char *enhanced;
		bool is_ours;
	} cases[] = {
		{ PLAIN_HELLO ONE_MESSAGE "IDLE 500\nS: 421 4.4.2 idle\nEND\n", 421, "4.4.2",
		  false },
		{ PLAIN_HELLO ONE_MESSAGE "SHUT\nEND\n", 451, "4.4.2", true },
		{ PLAIN_HELLO ONE_MESSAGE "IDLE 500\nS: 250 what was that?\nEND\n", 451, "4.5.0",
		  true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client_play play = { .count = 2, .pause_ms = 1000 };

		play.sendings[0] = play.sendings[1] = client_mail(two, 2, text);
		play_one(&play, cases[i].script);
		check_said(&play.said[0][0], SMTP_SENT, 250, "", false);
		check_said(&play.said[1][0], SMTP_DEFERRED, cases[i].code, cases[i].enhanced,
			   cases[i].is_ours);
		check_said(&play.said[1][1], SMTP_DEFERRED, cases[i].code, cases[i].enhanced,
			   cases[i].is_ours);
		assert_false(play.is_open[1]);
		client_play_done(&play);
	}
}

/* More than one group: neither side ever waits for the other with full buffers. */
static void hundreds_of_recipients_are_pipelined_in_groups(void **state)
{
	static struct smtp_sending_to to[PLAYED_MOST];
	struct client_play play = { .count = 1, .window = 4096 };
	struct buf script = BUF(1 << 20);
	size_t said = 0;

	(void)state;
	buf_add(&script, S(PIPELINING "C: MAIL FROM:<me@client.example>\n"));
	for (size_t i = 0; i < PLAYED_MOST; i++) {
		to[i].address = str_print(&play.arena, "user%zu@there.example", i);
		buf_print(&script, "C: RCPT TO:<%.*s>\n", STR_ARGS(to[i].address));
		if (i % 100 < 99)
			continue;
		if (i == PLAYED_MOST - 1)
			buf_add(&script, S("C: DATA\n"));
		if (said == 0)
			buf_add(&script, S("S- 250 sender OK\n"));
		for (; said < i; said++)
			buf_print(&script, "S- %d 2.1.5 OK\n", said % 7 ? 250 : 550);
		buf_print(&script, "S: 250 2.1.5 OK\n");
		said++;
	}
	buf_add(&script, S("S: 354 go\n" TEXT "S: 250 kept\n" QUIT));
	buf_add_char(&script, '\0');
	play.sendings[0] = client_mail(to, PLAYED_MOST, text);
	play_one(&play, script.at);
	for (size_t i = 0; i < PLAYED_MOST; i++)
		assert_int_equal(play.said[0][i].result,
				 i % 7 || i % 100 == 99 ? SMTP_SENT : SMTP_REFUSED);
	buf_drop(&script);
	client_play_done(&play);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_goes_step_by_step_to_a_server_without_extensions),
		cmocka_unit_test(a_server_with_pipelining_gets_the_envelope_in_one_go),
		cmocka_unit_test(a_server_that_knows_no_ehlo_is_told_helo),
		cmocka_unit_test(who_does_not_serve_is_left),
		cmocka_unit_test(some_recipients_are_taken_and_others_not),
		cmocka_unit_test(when_nobody_is_taken_nothing_is_sent),
		cmocka_unit_test(a_server_that_wants_data_for_nobody_gets_a_lone_dot),
		cmocka_unit_test(a_refused_sender_is_refused_for_everybody),
		cmocka_unit_test(too_many_recipients_are_asked_again_later),
		cmocka_unit_test(the_servers_limits_are_kept),
		cmocka_unit_test(parameters_are_said_to_who_knows_them),
		cmocka_unit_test(what_a_server_cannot_carry_is_not_begun),
		cmocka_unit_test(a_message_over_the_servers_size_is_not_begun),
		cmocka_unit_test(plain_text_goes_to_everybody_whatever_was_declared),
		cmocka_unit_test(an_address_cannot_say_a_command),
		cmocka_unit_test(a_server_with_chunking_gets_the_octets_as_they_are),
		cmocka_unit_test(a_large_message_goes_in_chunks),
		cmocka_unit_test(after_a_refused_chunk_no_other_is_sent),
		cmocka_unit_test(an_empty_message_is_a_message),
		cmocka_unit_test(over_lmtp_every_recipient_has_a_reply),
		cmocka_unit_test(over_lmtp_only_accepted_recipients_have_a_reply),
		cmocka_unit_test(over_lmtp_a_reply_that_does_not_come_leaves_one_recipient_unsure),
		cmocka_unit_test(over_lmtp_lhlo_must_be_known),
		cmocka_unit_test(after_starttls_the_server_is_greeted_anew),
		cmocka_unit_test(what_came_before_the_handshake_is_thrown_away),
		cmocka_unit_test(without_tls_it_depends_on_the_policy),
		cmocka_unit_test(several_messages_go_in_one_session),
		cmocka_unit_test(a_session_that_was_closed_meanwhile_sends_nothing),
		cmocka_unit_test(hundreds_of_recipients_are_pipelined_in_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
