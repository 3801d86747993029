/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of servers, and what EHLO says in them, by tables. */
#include "smtp/smtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct reply_case {
	const char *lines; /* each ended by LF */
	unsigned code;     /* 0: no reply */
	const char *enhanced, *text;
};

/* All lines go to one reader, which must have its answer with the last. */
static void check_reply(const struct reply_case *one)
{
	struct scan scan = scan_of(str_of(one->lines));
	struct smtp_reply_reader reader;
	struct str line;
	enum err err = ERR_AGAIN;

	smtp_reply_reader_init(&reader);
	while (take_until(&scan, '\n', &line)) {
		if (err != ERR_AGAIN)
			fail_msg("\"%s\": over too early", one->lines);
		err = smtp_reply_parse(&reader, line);
	}
	if (err != (one->code ? OK : ERR_PROTOCOL))
		fail_msg("\"%s\": %s", one->lines, err_name(err));
	if (!err && (reader.reply.code != one->code ||
		     !str_is(reader.reply.enhanced, str_of(one->enhanced)) ||
		     !str_is(reader.reply.text, str_of(one->text))))
		fail_msg("\"%s\": %u [%.*s] \"%.*s\"", one->lines, reader.reply.code,
			 STR_ARGS(reader.reply.enhanced), STR_ARGS(reader.reply.text));
	smtp_reply_reader_done(&reader);
}

static void check_replies(const struct reply_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_reply(&cases[i]);
}

static void replies_are_read_as_rfc5321_writes_them(void **state)
{
	static const struct reply_case cases[] = {
		{ "250 OK\n", 250, "", "OK" },
		{ "220 mx.example ESMTP ready\n", 220, "", "mx.example ESMTP ready" },
		{ "250-mx.example\n250-SIZE 1000\n250 HELP\n", 250, "",
		  "mx.example\nSIZE 1000\nHELP" },
		{ "354 go\n", 354, "", "go" },
		{ "421 4.3.2 closing\n", 421, "4.3.2", "closing" },
		{ "550 5.1.1 nobody here\n", 550, "5.1.1", "nobody here" },
		{ "550-5.7.1 first\n550 5.7.1 second\n", 550, "5.7.1", "first\nsecond" },
		{ "250 2.1.5\n", 250, "2.1.5", "" },
	};

	(void)state;
	check_replies(cases, COUNT_OF(cases));
}

static void replies_are_read_as_servers_write_them(void **state)
{
	static const struct reply_case cases[] = {
		{ "250\n", 250, "", "" },
		{ "250 \n", 250, "", "" },
		{ "250\tOK\n", 250, "", "OK" },
		{ "250OK\n", 250, "", "OK" },
		{ "250-\n250 x\n", 250, "", "\nx" },
		{ "220-welcome\nno code here\n220 end\n", 220, "", "welcome\nno code here\nend" },
		{ "250-one\n550 two\n", 550, "", "one\ntwo" },
		{ "250-2.0.0 one\n550 two\n", 550, "", "one\ntwo" },
		{ "550-5.1.1 one\n550 two\n", 550, "5.1.1", "one\ntwo" },
		{ "550 2.1.1 not of its class\n", 550, "", "2.1.1 not of its class" },
		{ "550 5.1 no detail\n", 550, "", "5.1 no detail" },
		{ "550 5.1.1x\n", 550, "", "5.1.1x" },
		{ "550 5.1.1000 x\n", 550, "", "5.1.1000 x" },
		{ "550 5.00000000000001.1 x\n", 550, "", "5.00000000000001.1 x" },
		{ "550 5.1.1  two blanks\n", 550, "5.1.1", "two blanks" },
		{ "550 a\rb\x1b[2Jc\x7f\n", 550, "", "a?b?[2Jc?" },
		{ "550 \xc3\xa9t\xc3\xa9\n", 550, "", "\xc3\xa9t\xc3\xa9" },
		{ "550 \xe9t\xe9\n", 550, "", "?t?" },
		{ "299 odd\n", 299, "", "odd" },
		{ "599 odd\n", 599, "", "odd" },
		{ "290 odd\n", 290, "", "odd" },
	};

	(void)state;
	check_replies(cases, COUNT_OF(cases));
}

static void what_is_no_reply_is_said_to_be_none(void **state)
{
	static const struct reply_case cases[] = {
		{ "\n", 0, NULL, NULL },
		{ "hello\n", 0, NULL, NULL },
		{ "25\n", 0, NULL, NULL },
		{ "2500 OK\n", 0, NULL, NULL },
		{ "150 too low\n", 0, NULL, NULL },
		{ "600 too high\n", 0, NULL, NULL },
		{ " 250 indented\n", 0, NULL, NULL },
		{ "-50 x\n", 0, NULL, NULL },
		{ "HTTP/1.1 400 Bad Request\n", 0, NULL, NULL },
		{ "+OK ready\n", 0, NULL, NULL },
		{ "\x16\x03\x01\n", 0, NULL, NULL },
	};

	(void)state;
	check_replies(cases, COUNT_OF(cases));
}

static void a_reader_reads_one_reply_after_another(void **state)
{
	struct smtp_reply_reader reader;

	(void)state;
	smtp_reply_reader_init(&reader);
	assert_int_equal(smtp_reply_parse(&reader, S("550-5.1.1 a")), ERR_AGAIN);
	assert_int_equal(smtp_reply_parse(&reader, S("550 5.1.1 b")), OK);
	assert_int_equal(smtp_reply_parse(&reader, S("250 c")), OK);
	assert_int_equal(reader.reply.code, 250);
	assert_int_equal(reader.reply.enhanced.len, 0);
	assert_true(str_is(reader.reply.text, S("c")));
	smtp_reply_reader_done(&reader);
}

static void a_reply_has_an_end_and_a_size(void **state)
{
	struct smtp_reply_reader reader;
	static char line[2000] = "250-";
	int lines = 0;
	enum err err;

	(void)state;
	memset(line + 4, 'x', sizeof(line) - 4);
	smtp_reply_reader_init(&reader);
	do
		err = smtp_reply_parse(&reader, (struct str){ line, sizeof(line) });
	while (++lines < 5000 && err == ERR_AGAIN);
	assert_int_equal(err, ERR_PROTOCOL);
	assert_int_equal(lines, LIMIT_smtp_heard_lines + 1);
	smtp_reply_reader_done(&reader);

	smtp_reply_reader_init(&reader);
	for (int i = 0; i < 20; i++)
		assert_int_equal(smtp_reply_parse(&reader, (struct str){ line, sizeof(line) }),
				 ERR_AGAIN);
	assert_int_equal(smtp_reply_parse(&reader, S("250 end")), OK);
	assert_in_range(reader.reply.text.len, 4000, LIMIT_smtp_heard_text);
	smtp_reply_reader_done(&reader);
}

struct offer_case {
	const char *text;
	unsigned extensions;
	uint64_t size, rcpt_max, mail_max, rcpt_domain_max;
	const char *mechanisms;
};

static void extensions_are_understood_in_any_order_and_case(void **state)
{
	static const struct offer_case cases[] = {
		{ "mx.example", 0, 0, 0, 0, 0, "" },
		{ "", 0, 0, 0, 0, 0, "" },
		/* The first line is a name, whatever it looks like. */
		{ "PIPELINING", 0, 0, 0, 0, 0, "" },
		{ "mx\nPIPELINING\n8bitmime\nSmtpUtf8\nCHUNKING\nBINARYMIME",
		  SMTP_EXT_PIPELINING | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_CHUNKING |
			  SMTP_EXT_BINARYMIME,
		  0, 0, 0, 0, "" },
		{ "mx\nDSN\nENHANCEDSTATUSCODES\nSTARTTLS\nXCLIENT NAME ADDR",
		  SMTP_EXT_DSN | SMTP_EXT_ENHANCEDSTATUSCODES | SMTP_EXT_STARTTLS, 0, 0, 0, 0, "" },
		{ "mx\nSIZE", SMTP_EXT_SIZE, 0, 0, 0, 0, "" },
		{ "mx\nSIZE 0", SMTP_EXT_SIZE, 0, 0, 0, 0, "" },
		{ "mx\nsize 35882577", SMTP_EXT_SIZE, 35882577, 0, 0, 0, "" },
		{ "mx\nSIZE 99999999999999999999999", SMTP_EXT_SIZE, 0, 0, 0, 0, "" },
		{ "mx\nSIZE many", SMTP_EXT_SIZE, 0, 0, 0, 0, "" },
		{ "mx\nSIZEABLE 5", 0, 0, 0, 0, 0, "" },
		{ "mx\nAUTH plain LOGIN\tSCRAM-SHA-256", SMTP_EXT_AUTH, 0, 0, 0, 0,
		  "plain LOGIN\tSCRAM-SHA-256" },
		{ "mx\nAUTH=PLAIN LOGIN\nAUTH CRAM-MD5", SMTP_EXT_AUTH, 0, 0, 0, 0,
		  "PLAIN LOGIN CRAM-MD5" },
		{ "mx\nAUTH", SMTP_EXT_AUTH, 0, 0, 0, 0, "" },
		{ "mx\nLIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1", SMTP_EXT_LIMITS, 0, 20, 5, 1,
		  "" },
		{ "mx\nlimits mailmax=7 XMAX=3 rcptmax=x", SMTP_EXT_LIMITS, 0, 0, 7, 0, "" },
		{ "mx\nLIMITS RCPTMAX=0 MAILMAX=1000000", SMTP_EXT_LIMITS, 0, 0, 0, 0, "" },
		{ "mx\n  PIPELINING  ", SMTP_EXT_PIPELINING, 0, 0, 0, 0, "" },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct offer_case *one = &cases[i];
		struct smtp_offer offer;

		smtp_offer_parse(&arena, str_of(one->text), &offer);
		if (offer.extensions != one->extensions || offer.size != one->size ||
		    offer.rcpt_max != one->rcpt_max || offer.mail_max != one->mail_max ||
		    offer.rcpt_domain_max != one->rcpt_domain_max ||
		    !str_is(offer.mechanisms, str_of(one->mechanisms)))
			fail_msg("\"%s\": %x, size %llu, limits %llu %llu %llu, \"%.*s\"",
				 one->text, offer.extensions, (unsigned long long)offer.size,
				 (unsigned long long)offer.rcpt_max,
				 (unsigned long long)offer.mail_max,
				 (unsigned long long)offer.rcpt_domain_max,
				 STR_ARGS(offer.mechanisms));
	}
	arena_drop(&arena);
}

static void mechanisms_are_found_whole(void **state)
{
	struct smtp_offer offer = { .mechanisms = S("plain SCRAM-SHA-256-PLUS  Login") };

	(void)state;
	assert_true(smtp_offer_has_mechanism(&offer, S("PLAIN")));
	assert_true(smtp_offer_has_mechanism(&offer, S("LOGIN")));
	assert_false(smtp_offer_has_mechanism(&offer, S("SCRAM-SHA-256")));
	assert_false(smtp_offer_has_mechanism(&offer, S("LOG")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read_as_rfc5321_writes_them),
		cmocka_unit_test(replies_are_read_as_servers_write_them),
		cmocka_unit_test(what_is_no_reply_is_said_to_be_none),
		cmocka_unit_test(a_reader_reads_one_reply_after_another),
		cmocka_unit_test(a_reply_has_an_end_and_a_size),
		cmocka_unit_test(extensions_are_understood_in_any_order_and_case),
		cmocka_unit_test(mechanisms_are_found_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
