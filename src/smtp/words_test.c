/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines and replies, by tables. */
#include "smtp/smtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct smtp_rules all = { .extensions = ~0u };

struct line_case {
	const char *line;
	enum smtp_verb verb;
	unsigned code;        /* 0: well formed */
	const char *enhanced; /* NULL: any */
	const char *address;  /* canonical, of MAIL and RCPT; NULL: not looked at */
};

static void check_line(struct arena *arena, const struct line_case *one,
		       const struct smtp_rules *rules)
{
	struct smtp_command command;
	struct smtp_reply reply = smtp_command_parse(arena, str_of(one->line), rules, &command);
	struct str address;

	if (reply.code != one->code || command.verb != one->verb)
		fail_msg("\"%s\": %u %.*s, verb %d", one->line, reply.code, STR_ARGS(reply.text),
			 (int)command.verb);
	if (one->enhanced && !str_is(reply.enhanced, str_of(one->enhanced)))
		fail_msg("\"%s\": %.*s", one->line, STR_ARGS(reply.enhanced));
	if (!one->address)
		return;
	address = command.is_null ? S("<>") : address_print(arena, &command.address);
	if (!str_is(address, str_of(one->address)))
		fail_msg("\"%s\": %.*s", one->line, STR_ARGS(address));
}

static void check_lines(const struct line_case *cases, size_t count, const struct smtp_rules *rules)
{
	struct arena arena = { 0 };

	for (size_t i = 0; i < count; i++)
		check_line(&arena, &cases[i], rules);
	arena_drop(&arena);
}

/* rfc5321 D, rfc5321 4.1.1, rfc1870 5, rfc3030 4, rfc4954 4.1, rfc6531, and what people send. */
static void good_lines_are_understood(void **state)
{
	static const struct line_case cases[] = {
		{ "EHLO bar.com", SMTP_EHLO, 0, NULL, NULL },
		{ "ehlo [192.0.2.1]", SMTP_EHLO, 0, NULL, NULL },
		{ "EHLO [IPv6:2001:db8::1]", SMTP_EHLO, 0, NULL, NULL },
		{ "HELO my_pc", SMTP_HELO, 0, NULL, NULL },
		{ "EHLO bar.com   ", SMTP_EHLO, 0, NULL, NULL },
		{ "MAIL FROM:<Smith@bar.com>", SMTP_MAIL, 0, NULL, "Smith@bar.com" },
		{ "mail from: <Smith@BAR.com>", SMTP_MAIL, 0, NULL, "Smith@bar.com" },
		{ "MAIL FROM:Smith@bar.com", SMTP_MAIL, 0, NULL, "Smith@bar.com" },
		{ "MAIL FROM:Smith@bar.com SIZE=5", SMTP_MAIL, 0, NULL, "Smith@bar.com" },
		{ "MAIL FROM:<>", SMTP_MAIL, 0, NULL, "<>" },
		{ "MAIL FROM:<> BODY=8BITMIME", SMTP_MAIL, 0, NULL, "<>" },
		{ "MAIL FROM:<@a.example,@b.example:u@c.example>", SMTP_MAIL, 0, NULL,
		  "u@c.example" },
		{ "MAIL FROM:<\"a b\"@c.example>", SMTP_MAIL, 0, NULL, "\"a b\"@c.example" },
		{ "MAIL FROM:<ned@thor.innosoft.com> SIZE=500000", SMTP_MAIL, 0, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SIZE=0", SMTP_MAIL, 0, NULL, NULL },
		{ "MAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com", SMTP_MAIL, 0, NULL,
		  "e=mc2@example.com" },
		{ "MAIL FROM:<a@b.example> AUTH=<>", SMTP_MAIL, 0, NULL, NULL },
		{ "MAIL FROM:<a@b.example> body=binarymime smtputf8", SMTP_MAIL, 0, NULL, NULL },
		{ "MAIL FROM:<d\xc3\xb6@b.example> SMTPUTF8", SMTP_MAIL, 0, NULL, NULL },
		{ "MAIL FROM:<a@[192.0.2.1]>", SMTP_MAIL, 0, NULL, "a@[192.0.2.1]" },
		{ "RCPT TO:<Jones@foo.com>", SMTP_RCPT, 0, NULL, "Jones@foo.com" },
		{ "RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>", SMTP_RCPT, 0, NULL,
		  "userc@d.bar.org" },
		{ "RCPT TO:<postMASTER>", SMTP_RCPT, 0, NULL, NULL },
		{ "RCPT TO:<\"user+../../etc\"@here.example>", SMTP_RCPT, 0, NULL,
		  "\"user+../../etc\"@here.example" },
		{ "DATA", SMTP_DATA, 0, NULL, NULL },
		{ "data  ", SMTP_DATA, 0, NULL, NULL },
		{ "BDAT 86 LAST", SMTP_BDAT, 0, NULL, NULL },
		{ "bdat 0 last", SMTP_BDAT, 0, NULL, NULL },
		{ "BDAT 18446744073709551615", SMTP_BDAT, 0, NULL, NULL },
		{ "RSET", SMTP_RSET, 0, NULL, NULL },
		{ "NOOP", SMTP_NOOP, 0, NULL, NULL },
		{ "NOOP anything at all", SMTP_NOOP, 0, NULL, NULL },
		{ "VRFY Crispin", SMTP_VRFY, 0, NULL, NULL },
		{ "EXPN Example-People", SMTP_EXPN, 0, NULL, NULL },
		{ "HELP", SMTP_HELP, 0, NULL, NULL },
		{ "QUIT", SMTP_QUIT, 0, NULL, NULL },
		{ "STARTTLS", SMTP_STARTTLS, 0, NULL, NULL },
		{ "AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=", SMTP_AUTH, 0, NULL, NULL },
		{ "AUTH CRAM-MD5", SMTP_AUTH, 0, NULL, NULL },
		{ "AUTH EXTERNAL =", SMTP_AUTH, 0, NULL, NULL },
	};

	(void)state;
	check_lines(cases, COUNT_OF(cases), &all);
}

static void lines_that_are_no_command_get_the_right_code(void **state)
{
	static const struct line_case cases[] = {
		{ "", SMTP_UNKNOWN, 500, "5.5.1", NULL },
		{ "XYZZY", SMTP_UNKNOWN, 500, "5.5.1", NULL },
		{ "MAILFROM:<a@b.example>", SMTP_UNKNOWN, 500, NULL, NULL },
		{ "NOOP\tx", SMTP_UNKNOWN, 500, "5.5.2", NULL },
		{ "EHLO a\rb", SMTP_UNKNOWN, 500, "5.5.2", NULL },
		{ "\x01\x02\x03", SMTP_UNKNOWN, 500, "5.5.2", NULL },
		{ "\x80\x2e\x01", SMTP_UNKNOWN, 500, "5.5.2", NULL },
		{ "GET / HTTP/1.1", SMTP_FOREIGN, 421, NULL, NULL },
		{ "post / HTTP/1.1", SMTP_FOREIGN, 421, NULL, NULL },
		{ "\x16\x03\x01", SMTP_FOREIGN, 421, NULL, NULL },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 1", SMTP_FOREIGN, 421, NULL, NULL },
		{ "EHLO", SMTP_EHLO, 501, "5.5.4", NULL },
		{ "EHLO a b", SMTP_EHLO, 501, NULL, NULL },
		{ "EHLO d\xc3\xb6", SMTP_EHLO, 501, NULL, NULL },
		{ "LHLO a", SMTP_LHLO, 500, NULL, NULL },
		{ "DATA x", SMTP_DATA, 501, NULL, NULL },
		{ "RSET x", SMTP_RSET, 501, NULL, NULL },
		{ "QUIT x", SMTP_QUIT, 501, NULL, NULL },
		{ "STARTTLS x", SMTP_STARTTLS, 501, NULL, NULL },
		{ "BDAT", SMTP_BDAT, 501, NULL, NULL },
		{ "BDAT -1", SMTP_BDAT, 501, NULL, NULL },
		{ "BDAT 18446744073709551616", SMTP_BDAT, 501, NULL, NULL },
		{ "BDAT 0x10", SMTP_BDAT, 501, NULL, NULL },
		{ "BDAT 1 LAST x", SMTP_BDAT, 501, NULL, NULL },
		{ "BDAT 1LAST", SMTP_BDAT, 501, NULL, NULL },
		{ "AUTH", SMTP_AUTH, 501, NULL, NULL },
		{ "AUTH PLAIN a b", SMTP_AUTH, 501, NULL, NULL },
		{ "AUTH PL/AIN", SMTP_AUTH, 501, NULL, NULL },
		{ "AUTH ABCDEFGHIJKLMNOPQRSTU", SMTP_AUTH, 504, NULL, NULL },
		{ "VRFY", SMTP_VRFY, 501, NULL, NULL },
		{ "TURN", SMTP_TURN, 502, "5.5.1", NULL },
		{ "ETRN @x", SMTP_ETRN, 501, NULL, NULL },
		{ "ETRN #x", SMTP_ETRN, 501, NULL, NULL },
		{ "ETRN", SMTP_ETRN, 501, NULL, NULL },
		{ "ETRN two words", SMTP_ETRN, 501, NULL, NULL },
		{ "ETRN x.example", SMTP_ETRN, 0, NULL, NULL },
		{ "SOML FROM:<a@b>", SMTP_SOML, 502, NULL, NULL },
	};

	(void)state;
	check_lines(cases, COUNT_OF(cases), &all);
}

static void bad_paths_and_parameters_get_the_right_code(void **state)
{
	static const struct line_case cases[] = {
		{ "MAIL", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL TO:<a@b.example>", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM <a@b.example>", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:a@b.example>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<;cmd;>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<a b@c.example>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<\"a@b.example>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<a@[IPv6:1:2]>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<a@b.example>x", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<@a.example:>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<@a.example u@c.example>", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<\xc0\xaf@b.example> SMTPUTF8", SMTP_MAIL, 553, "5.1.7", NULL },
		{ "MAIL FROM:<d\xc3\xb6@b.example>", SMTP_MAIL, 553, "5.6.7", NULL },
		{ "MAIL FROM:<a@b.example> SIZE=abc", SMTP_MAIL, 501, "5.5.4", NULL },
		{ "MAIL FROM:<a@b.example> SIZE=-1", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SIZE", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SIZE=", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SIZE=111111111111111111111", SMTP_MAIL, 501, NULL,
		  NULL },
		{ "MAIL FROM:<a@b.example> SIZE=1 SIZE=2", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> BODY=9BIT", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SMTPUTF8=1", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> XYZ=1", SMTP_MAIL, 555, "5.5.4", NULL },
		{ "MAIL FROM:<a@b.example> RET=NONE", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> ENVID=a+0D+0Ab", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> AUTH=a+0D+0Ab", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> AUTH=a+zz", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> -X", SMTP_MAIL, 501, NULL, NULL },
		{ "RCPT TO:", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<>", SMTP_RCPT, 553, "5.1.3", NULL },
		{ "RCPT TO:<user+../../etc@here.example>", SMTP_RCPT, 553, "5.1.3", NULL },
		{ "RCPT TO:<nodomain>", SMTP_RCPT, 553, "5.1.3", NULL },
		{ "RCPT TO:<a@b@c.example>", SMTP_RCPT, 553, "5.1.3", NULL },
		{ "RCPT TO:<a@b.example> NOTIFY=ALWAYS", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=rfc822;a+0Ab", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<d\xc3\xb6@b.example>", SMTP_RCPT, 553, "5.6.7", NULL },
	};

	(void)state;
	check_lines(cases, COUNT_OF(cases), &all);
}

static void parameters_of_extensions_that_are_off_are_unknown(void **state)
{
	static const struct smtp_rules none = { .extensions = 0 };
	static const struct smtp_rules no_binary = { .extensions = SMTP_EXT_8BITMIME };
	static const struct line_case cases[] = {
		{ "MAIL FROM:<a@b.example> SIZE=1", SMTP_MAIL, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> BODY=8BITMIME", SMTP_MAIL, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> SMTPUTF8", SMTP_MAIL, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> AUTH=<>", SMTP_MAIL, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> RET=FULL", SMTP_MAIL, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> ENVID=x", SMTP_MAIL, 555, NULL, NULL },
		{ "RCPT TO:<a@b.example> NOTIFY=NEVER", SMTP_RCPT, 555, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=rfc822;a@b.example", SMTP_RCPT, 555, NULL, NULL },
	};
	static const struct line_case binary = { "MAIL FROM:<a@b.example> BODY=BINARYMIME",
						 SMTP_MAIL, 504, "5.5.4", NULL };

	(void)state;
	check_lines(cases, COUNT_OF(cases), &none);
	check_lines(&binary, 1, &no_binary);
}

static struct smtp_command parsed(struct arena *arena, struct str line)
{
	struct smtp_command command;
	struct smtp_reply reply = smtp_command_parse(arena, line, &all, &command);

	assert_int_equal(reply.code, 0);
	return command;
}

static void wishes_about_notifications_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		uint64_t notify; /* 0: refused with 501 */
	} notify[] = {
		{ "NEVER", SMTP_NOTIFY_NEVER },
		{ "success", SMTP_NOTIFY_SUCCESS },
		{ "DELAY,FAILURE", SMTP_NOTIFY_DELAY | SMTP_NOTIFY_FAILURE },
		{ "SUCCESS,FAILURE,DELAY",
		  SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY },
		{ "NEVER,SUCCESS", 0 },
		{ "SUCCESS,NEVER", 0 },
		{ "SUCCESS,", 0 },
		{ ",SUCCESS", 0 },
		{ "SUCCESS,SUCCESS", 0 },
		{ "SOMETIMES", 0 },
	};
	static const struct line_case bad[] = {
		{ "RCPT TO:<a@b.example> NOTIFY", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> NOTIFY=", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> NOTIFY=NEVER NOTIFY=NEVER", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=a@b.example", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=rfc822;", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=;a@b.example", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=rfc822;a+2@b", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=utf-8;\xc3\xa4@b", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> ORCPT=rfc822;+C3+A4@b", SMTP_RCPT, 501, NULL, NULL },
		{ "RCPT TO:<a@b.example> RET=FULL", SMTP_RCPT, 555, NULL, NULL },
		{ "MAIL FROM:<a@b.example> RET=BODY", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> RET=FULL RET=FULL", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> ENVID=+0A", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> ENVID=a+b", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> ENVID", SMTP_MAIL, 501, NULL, NULL },
		{ "MAIL FROM:<a@b.example> NOTIFY=NEVER", SMTP_MAIL, 555, NULL, NULL },
	};
	struct arena arena = { 0 };
	struct smtp_command c;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(notify); i++) {
		struct str line =
			str_print(&arena, "RCPT TO:<a@b.example> NOTIFY=%s", notify[i].text);
		struct smtp_reply reply = smtp_command_parse(&arena, line, &all, &c);

		assert_int_equal(reply.code, notify[i].notify ? 0 : 501);
		assert_true(reply.code || c.notify == notify[i].notify);
	}
	check_lines(bad, COUNT_OF(bad), &all);
	c = parsed(&arena, S("RCPT TO:<a@b.example> ORCPT=rfc822;e+3Dmc2@b.example NOTIFY=NEVER"));
	assert_true(str_is(c.original, S("rfc822;e+3Dmc2@b.example")));
	assert_int_equal(c.notify, SMTP_NOTIFY_NEVER);
	c = parsed(&arena, S("MAIL FROM:<a@b.example> ret=hdrs ENVID=QQ+20314159"));
	assert_int_equal(c.ret, SMTP_RETURN_HEADERS);
	assert_true(str_is(c.envelope_id, S("QQ+20314159")));
	arena_drop(&arena);
}

static void originals_of_other_alphabets_come_as_text_or_as_xtext(void **state)
{
	static const struct {
		const char *text;
		unsigned code;
	} originals[] = {
		{ "utf-8;\xc3\xa4@b", 0 },     { "rfc822;+C3+A4@b", 0 },
		{ "utf-8;\\x{E4}@b", 0 },      { "rfc822;+C3@b", 501 },
		{ "rfc822;+C3+A4+0D@b", 501 }, { "rfc822;+C3+A4+0D+0A@b", 501 },
	};
	struct smtp_rules rules = all;
	struct arena arena = { 0 };
	struct smtp_command c;

	(void)state;
	rules.allows_utf8 = true;
	for (size_t i = 0; i < COUNT_OF(originals); i++)
		assert_int_equal(
			smtp_command_parse(&arena,
					   str_print(&arena, "RCPT TO:<a@b.example> ORCPT=%s",
						     originals[i].text),
					   &rules, &c)
				.code,
			originals[i].code);
	arena_drop(&arena);
}

static void an_envelope_id_has_a_hundred_characters_and_an_original_five_hundred(void **state)
{
	struct arena arena = { 0 };
	struct smtp_command c;
	char many[501];

	(void)state;
	memset(many, 'x', sizeof(many));
	for (int more = 0; more < 2; more++) {
		struct str id = str_print(&arena, "MAIL FROM:<> ENVID=%.*s", 100 + more, many);
		struct str original = str_print(&arena, "RCPT TO:<a@b.example> ORCPT=rfc822;%.*s",
						493 + more, many);

		assert_int_equal(smtp_command_parse(&arena, id, &all, &c).code, more ? 501 : 0);
		assert_int_equal(smtp_command_parse(&arena, original, &all, &c).code,
				 more ? 501 : 0);
	}
	arena_drop(&arena);
}

static void values_come_out_of_the_line(void **state)
{
	struct arena arena = { 0 };
	struct smtp_command c;

	(void)state;
	c = parsed(&arena, S("MAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com SIZE=77 "
			     "BODY=BINARYMIME"));
	assert_true(str_is(c.submitter, S("e=mc2@example.com")));
	assert_true(c.has_size && c.size == 77);
	assert_int_equal(c.body, SMTP_BODY_BINARYMIME);
	c = parsed(&arena, S("MAIL FROM:<a@b.example> SIZE=18446744073709551617"));
	assert_true(c.size == UINT64_MAX);
	c = parsed(&arena, S("bdat 5 last"));
	assert_true(c.octets == 5 && c.is_last);
	c = parsed(&arena, S("auth plain ="));
	assert_true(str_is(c.mechanism, S("PLAIN")) && c.has_initial && c.initial.len == 0);
	c = parsed(&arena, S("rcpt to:<Postmaster>"));
	assert_true(c.is_postmaster);
	arena_drop(&arena);
}

/* rfc854: negotiation, subnegotiation and a plain command in the middle of a word. */
static void telnet_leaves_no_mark_on_a_command(void **state)
{
	static const char line[] = "\xff\xfb\x1fHEL\xff\xf1P\xff\xfa\x18x\xff\xf0 m\xff";
	struct arena arena = { 0 };
	struct smtp_command c;

	(void)state;
	c = parsed(&arena, (struct str){ line, sizeof(line) - 1 });
	assert_true(c.verb == SMTP_HELP && str_is(c.argument, S("m")));
	arena_drop(&arena);
}

static void order_says_what_is_missing(void **state)
{
	static const struct {
		enum smtp_verb verb;
		enum smtp_state state;
		unsigned code;
	} cases[] = {
		{ SMTP_MAIL, SMTP_FRESH, 503 },     { SMTP_MAIL, SMTP_READY, 0 },
		{ SMTP_MAIL, SMTP_MAILING, 503 },   { SMTP_RCPT, SMTP_READY, 503 },
		{ SMTP_RCPT, SMTP_MAILING, 0 },     { SMTP_RCPT, SMTP_ADDRESSED, 0 },
		{ SMTP_RCPT, SMTP_CHUNKING, 503 },  { SMTP_DATA, SMTP_MAILING, 503 },
		{ SMTP_DATA, SMTP_ADDRESSED, 0 },   { SMTP_DATA, SMTP_CHUNKING, 503 },
		{ SMTP_BDAT, SMTP_CHUNKING, 0 },    { SMTP_BDAT, SMTP_READY, 503 },
		{ SMTP_AUTH, SMTP_ADDRESSED, 503 }, { SMTP_STARTTLS, SMTP_CHUNKING, 503 },
		{ SMTP_NOOP, SMTP_FRESH, 0 },       { SMTP_QUIT, SMTP_CHUNKING, 0 },
		{ SMTP_RSET, SMTP_CHUNKING, 0 },    { SMTP_EHLO, SMTP_CHUNKING, 0 },
		{ SMTP_HELP, SMTP_FRESH, 0 },       { SMTP_STARTTLS, SMTP_FRESH, 503 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(smtp_order(cases[i].verb, cases[i].state).code, cases[i].code);
}

static void every_reply_fits_its_own_enhanced_code(void **state)
{
	(void)state;
	for (int i = 0; i < SMTP_REPLIES; i++) {
		struct smtp_reply reply = smtp_reply((enum smtp_reply_name)i);

		assert_true(reply.code >= 200 && reply.code <= 599);
		assert_true(reply.text.len > 0);
		/* rfc2034 3: the classes agree */
		if (reply.enhanced.len)
			assert_int_equal(reply.enhanced.at[0] - '0', reply.code / 100);
		else
			assert_true(reply.code < 400);
	}
}

static void a_reply_is_lines_of_at_most_512_octets(void **state)
{
	struct arena arena = { 0 };
	OWNED(buf) struct buf out = BUF(1 << 20);
	char *words = arena_take(&arena, 5000);
	struct smtp_reply reply = { 250, S("2.0.0"), { words, 5000 } };
	struct scan scan;
	struct str line;
	size_t octets = 0;
	bool was_last = false;

	(void)state;
	memset(words, 'x', 5000);
	for (size_t i = 0; i < 2500; i += 7)
		words[i] = ' ';
	assert_int_equal(smtp_reply_print(&out, &reply, true), OK);
	scan = scan_of(buf_str(&out));
	while (take_until(&scan, '\n', &line)) {
		assert_false(was_last);
		assert_true(line.len + 1 <= LIMIT_smtp_reply_line);
		assert_true(line.at[line.len - 1] == '\r');
		assert_true(str_starts(line, S("250-2.0.0 ")) || str_starts(line, S("250 2.0.0 ")));
		was_last = line.at[3] == ' ';
		octets += line.len - 11;
	}
	assert_true(was_last && scan_at_end(&scan));
	assert_int_equal(octets, 5000);
	arena_drop(&arena);
}

/* rfc4954 4: clients read one line of up to 12288 octets, and no continuation. */
static void a_long_challenge_is_one_line(void **state)
{
	struct arena arena = { 0 };
	OWNED(buf) struct buf out = BUF(1 << 16);
	char *words = arena_take(&arena, 12000);
	struct smtp_reply reply = { 334, S(""), { words, 12000 } };

	(void)state;
	memset(words, 'x', 12000);
	assert_int_equal(smtp_reply_print(&out, &reply, true), OK);
	assert_int_equal(out.len, 12006);
	assert_true(str_starts(buf_str(&out), S("334 x")));
	arena_drop(&arena);
}

static void nothing_in_a_reply_can_start_another(void **state)
{
	OWNED(buf) struct buf out = BUF(4096);
	struct smtp_reply reply = { 550, S("5.1.1\r\n250"), S("a\r\nb\0\x7f\xc3\xa4") };

	(void)state;
	assert_int_equal(smtp_reply_print(&out, &reply, true), OK);
	assert_true(str_is(buf_str(&out), S("550-5.1.1??250 a?\r\n550 5.1.1??250 b????\r\n")));
	buf_reset(&out);
	reply = (struct smtp_reply){ 250, S("2.0.0"), S("") };
	assert_int_equal(smtp_reply_print(&out, &reply, false), OK);
	assert_true(str_is(buf_str(&out), S("250 \r\n")));
}

static void xtext_comes_back_as_it_went(void **state)
{
	struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(4096);
	char octets[256];
	struct str back;
	static const char *const bad[] = { "a=b", "a b", "+", "+1", "+1g", "+ff", "a\x80" };

	(void)state;
	for (int i = 0; i < 256; i++)
		octets[i] = (char)i;
	assert_int_equal(xtext_add(&text, (struct str){ octets, 256 }), OK);
	assert_true(xtext_take(&arena, buf_str(&text), &back));
	assert_int_equal(back.len, 256);
	assert_memory_equal(back.at, octets, 256);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(xtext_take(&arena, str_of(bad[i]), &back));
	arena_drop(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines_are_understood),
		cmocka_unit_test(lines_that_are_no_command_get_the_right_code),
		cmocka_unit_test(bad_paths_and_parameters_get_the_right_code),
		cmocka_unit_test(parameters_of_extensions_that_are_off_are_unknown),
		cmocka_unit_test(wishes_about_notifications_are_read_strictly),
		cmocka_unit_test(originals_of_other_alphabets_come_as_text_or_as_xtext),
		cmocka_unit_test(
			an_envelope_id_has_a_hundred_characters_and_an_original_five_hundred),
		cmocka_unit_test(values_come_out_of_the_line),
		cmocka_unit_test(telnet_leaves_no_mark_on_a_command),
		cmocka_unit_test(order_says_what_is_missing),
		cmocka_unit_test(every_reply_fits_its_own_enhanced_code),
		cmocka_unit_test(a_reply_is_lines_of_at_most_512_octets),
		cmocka_unit_test(a_long_challenge_is_one_line),
		cmocka_unit_test(nothing_in_a_reply_can_start_another),
		cmocka_unit_test(xtext_comes_back_as_it_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
