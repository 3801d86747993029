/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/log.h"
#include "record/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const int64_t noon = 1767268803000000; /* 2026-01-01T12:00:03Z */

static struct session session = { .id = 1, .protocol = "submission", .peer = "192.0.2.7:4711" };
static struct session outgoing = { .id = 1, .protocol = "smtp-out", .peer = "198.51.100.9:25" };
static struct session pop3 = { .id = 1, .protocol = "pop3", .peer = "[2001:db8::1]:99" };

static const struct {
	enum record_log format;
	struct trace_event event;
	struct session *session;
	const char *line;
} table[] = {
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_close },
	    .close = { S("quit"), S("anna@example.org"), 6, 1, 2, 2409, 844, 12345,
		       S("192.0.2.7:4711"), S("submission"), 0 } },
	  &session,
	  "2026-01-01T12:00:03.000000Z session session=0000000000001 ip=192.0.2.7 port=4711 "
	  "protocol=submission end=quit commands=6 refused=1 messages=2 in=2409 out=844 ms=12.3 "
	  "account=\"anna@example.org\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_accept },
	    .accept = { S("0ABC"), S("a\"\nb@c"), S("d@e"), 2150, 3000, S("192.0.2.7:4711"),
			S("\x1b[31mrosso\xe2\x80\xae ip=10.0.0.1") } },
	  &session,
	  "2026-01-01T12:00:03.000000Z message session=0000000000001 ip=192.0.2.7 port=4711 "
	  "protocol=submission message=0ABC octets=2150 ms=3.0 sender=\"a\\x22\\nb@c\" "
	  "recipients=\"d@e\" subject=\"\\x1B[31mrosso\\u{202e} ip=10.0.0.1\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_policy },
	    .policy = { S("no-relay"), S("refuse"), S("x@y is not ours"), S("glasspost.conf:9") } },
	  &session,
	  "2026-01-01T12:00:03.000000Z refusal session=0000000000001 ip=192.0.2.7 port=4711 "
	  "protocol=submission rule=no-relay verdict=refuse source=\"glasspost.conf:9\" "
	  "detail=\"x@y is not ours\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_attempt },
	    .attempt = { S("0ABC"), S("d@e"), S("deferred"), 451, S("4.7.1"), S("later\nplease"),
			 S("mx.e [192.0.2.9]"), 2, noon } },
	  &outgoing,
	  "2026-01-01T12:00:03.000000Z attempt session=0000000000001 message=0ABC outcome=deferred "
	  "attempts=2 code=451 enhanced=4.7.1 next=2026-01-01T12:00:03.000000Z recipient=\"d@e\" "
	  "peer=\"mx.e [192.0.2.9]\" reply=\"later\\nplease\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .kind = TRACE_queue_change },
	    .queue_change = { S("0ABC"), S("given back"), 1, S("a@b") } },
	  NULL,
	  "2026-01-01T12:00:03.000000Z queue message=0ABC what=unknown recipients=1 "
	  "recipient=\"a@b\" detail=\"given "
	  "back: the relay that had it never told how it went\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .kind = TRACE_claimed },
	    .claimed = { S("0ABC"), S("e"), 2, 1 } },
	  NULL,
	  "" },
	{ RECORD_LOG_JSON,
	  { .head = { .wall_us = noon, .role = 5, .kind = TRACE_queue_change },
	    .queue_change = { S("0ABC"), S("given back"), 2, S("") } },
	  NULL,
	  "{\"time\":\"2026-01-01T12:00:03.000000Z\",\"log\":\"queue\",\"role\":\"role-5\","
	  "\"role_index\":0,\"message\":\"0ABC\",\"what\":\"unknown\",\"detail\":\"given back: "
	  "the relay that had it never told how it went\",\"recipients\":2,\"recipient\":\"\"}\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .kind = TRACE_notice },
	    .notice = { S("0DSN"), S("0ABC"), S("a@b"), S("delivered"), 700, S("Not delivered") } },
	  NULL,
	  "2026-01-01T12:00:03.000000Z notice message=0DSN about=0ABC outcome=delivered "
	  "recipient=\"a@b\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_policy },
	    .policy = { S("no-relay"), S("accept"), S("fine"), S("x") } },
	  &session,
	  "" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_auth },
	    .auth = { S("PLAIN"), 1, S("failed"), { 0 }, 9 } },
	  NULL, /* not known any more */
	  "2026-01-01T12:00:03.000000Z sign-in-failed session=0000000000001 ip=unknown port=0 "
	  "mechanism=PLAIN account=\"\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .role = 5, .role_index = 2, .kind = TRACE_trouble },
	    .trouble = { S("IO"), S("the disk said no") } },
	  NULL,
	  "2026-01-01T12:00:03.000000Z trouble role=role-5-2 err=IO detail=\"the disk said "
	  "no\"\n" },
	{ RECORD_LOG_TEXT,
	  { .head = { .wall_us = noon, .kind = TRACE_lost }, .lost = { 4, S("gate-mx-0") } },
	  NULL,
	  "2026-01-01T12:00:03.000000Z lost events=4 of=gate-mx-0\n" },
	{ RECORD_LOG_DEV,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_accept },
	    .accept = { S("0ABC"), S("a@b"), S("c@d"), 2150, 3000, S("127.0.0.1:4711"),
			S("Sub\"ject") } },
	  &session,
	  "12:00:03 <- 127.0.0.1 From: a@b To: c@d \"Sub\\x22ject\" 2.1 kB session "
	  "0000000000001\n" },
	{ RECORD_LOG_DEV,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_close },
	    .close = { S("quit"), { 0 }, 6, 1, 1, 1, 1, 1, S("127.0.0.1:4711"), S("smtp"), 0 } },
	  &session,
	  "12:00:03 -- 127.0.0.1 smtp: quit, 1 message, 6 commands, 1 refused, session "
	  "0000000000001\n" },
	{ RECORD_LOG_JSON,
	  { .head = { .wall_us = noon, .kind = TRACE_role },
	    .role = { S("ready"), S("pid \"1\"") } },
	  NULL,
	  "{\"time\":\"2026-01-01T12:00:03.000000Z\",\"log\":\"role\",\"role\":\"role-0\","
	  "\"role_index\":0,\"what\":\"ready\",\"detail\":\"pid \\\"1\\\"\"}\n" },
	{ RECORD_LOG_JSON,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_auth },
	    .auth = { S("LOGIN"), 2, S("failed"), { 0 }, 9 } },
	  &pop3,
	  "{\"time\":\"2026-01-01T12:00:03.000000Z\",\"log\":\"sign-in-failed\",\"role\":\"role-"
	  "0\","
	  "\"role_index\":0,\"session\":\"0000000000001\",\"ip\":\"2001:db8::1\",\"port\":99,"
	  "\"protocol\":\"pop3\",\"mechanism\":\"LOGIN\",\"account\":\"\"}\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_connect },
	    .connect = { S("submission"), S("x"), S("192.0.2.7:4711"), { 0 }, { 0 }, 0 } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: connect from "
	  "unknown[192.0.2.7]\n" },
	/* A server that we sent to is nobody whom fail2ban should block. */
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_close },
	    .close = { S("quit"),
		       { 0 },
		       5,
		       1,
		       1,
		       300,
		       200,
		       900,
		       S("198.51.100.9:25"),
		       S("smtp-out"),
		       0 } },
	  &outgoing,
	  "Jan  1 12:00:03 mail.example postfix/smtp[2]: disconnect from unknown[198.51.100.9] "
	  "data=1 commands=4/5\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_accept },
	    .accept = { S("0AB-C"), S("a b>@c"), S("d@e,\"x,y\"@z"), 2150, 30000,
			S("192.0.2.7:4711"), S("no") } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: 0ABC: "
	  "client=unknown[192.0.2.7]\n"
	  "Jan  1 12:00:03 mail.example postfix/qmgr[2]: 0ABC: from=<a\\x20b\\x3E@c>, size=2150, "
	  "nrcpt=2 (queue active)\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_deliver },
	    .deliver = { S("0AB-C"), S("\"x,y\"@z"), S("z"), S("INBOX"), 7, S("delivered") } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/lmtp[2]: 0ABC: to=<\"x,y\"@z>, relay=local, "
	  "delay=0.00, dsn=2.0.0, status=sent (delivered to mailbox)\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_deliver },
	    .deliver = { S("6DQJVEQYG0000"), S("a@z"), S("z"), S("INBOX"), 0, S("over-quota") } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/lmtp[2]: 6DQJVEQYG0000: to=<a@z>, relay=local, "
	  "delay=2.50, dsn=4.2.2, status=deferred (over-quota)\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_policy },
	    .policy = { S("no-relay"), S("defer"), S("x"), S("y") } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: NOQUEUE: reject: CONNECT from "
	  "unknown[192.0.2.7]: 450 4.7.1 no-relay: \"x\"; proto=ESMTP\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_policy },
	    .policy = { S("login_failures_max"), S("close"), S("x"), S("y") } },
	  &pop3,
	  "Jan  1 12:00:03 mail.example dovecot[2]: pop3-login: Disconnected: rip=2001:db8::1, "
	  "login_failures_max: \"x\"\n" },
	/* Of a session whose beginning nobody saw. */
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_reply },
	    .reply = { 452, S("452 later"), 0, S("RCPT"), 9 } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: NOQUEUE: reject: RCPT from "
	  "unknown[192.0.2.7]: 452 4.0.0 <>: Recipient address rejected: later; from=<> to=<> "
	  "proto=SMTP helo=<>\n" },
	/* What another server refuses is an attempt's to tell. */
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_reply },
	    .reply = { 550, S("550 5.1.1 nobody"), 0, S("RCPT"), 9 } },
	  &outgoing,
	  "" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_auth },
	    .auth = { S("PLAIN"), 1, S("failed"), { 0 }, 9 } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: warning: unknown[192.0.2.7]: "
	  "SASL PLAIN authentication failed: authentication failure\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_auth },
	    .auth = { S("USER"), 1, S("failed"), { 0 }, 9 } },
	  &pop3,
	  "Jan  1 12:00:03 mail.example dovecot[2]: pop3-login: Disconnected (auth failed, 1 "
	  "attempts): rip=2001:db8::1, method=USER\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_close },
	    .close = { S("quit"), S("anna@b"), 6, 1, 1, 7, 8, 1, { 0 }, S("pop3"), 0 } },
	  &pop3,
	  "Jan  1 12:00:03 mail.example dovecot[2]: pop3: Disconnected: quit rip=2001:db8::1, "
	  "in=7, "
	  "out=8, user=<anna@b>\n" },
	{ RECORD_LOG_POSTFIX,
	  { .head = { .wall_us = noon, .session = 1, .kind = TRACE_close },
	    .close = { S("quit"), { 0 }, 6, 1, 1, 7, 8, 1, { 0 }, S("submission"), 0 } },
	  &session,
	  "Jan  1 12:00:03 mail.example postfix/submission/smtpd[2]: disconnect from "
	  "unknown[192.0.2.7] data=1 commands=5/6\n" },
};

static void every_format_says_what_it_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf out = BUF(1 << 16);

		assert_int_equal(log_event(&out, table[i].format, "mail.example", &table[i].event,
					   table[i].session),
				 OK);
		buf_add_char(&out, '\0');
		assert_string_equal(out.at, table[i].line);
		buf_drop(&out);
	}
}

static void each_format_says_how_many_of_its_lines_are_missing(void **state)
{
	static const struct {
		enum record_log format;
		const char *line;
	} rows[] = {
		{ RECORD_LOG_NONE, "" },
		{ RECORD_LOG_TEXT, "2026-01-01T12:00:03.000000Z left-out lines=12\n" },
		{ RECORD_LOG_JSON, "{\"time\":\"2026-01-01T12:00:03.000000Z\",\"log\":\"left-out\","
				   "\"role\":\"role-5\",\"role_index\":2,\"lines\":12}\n" },
		{ RECORD_LOG_POSTFIX,
		  "Jan  1 12:00:03 mail.example postfix/master[1]: warning: 12 lines of "
		  "this log left out: nobody took them\n" },
		{ RECORD_LOG_DEV, "12:00:03 !! 12 lines of this log left out: nobody took them\n" },
	};
	const struct trace_head at = { .wall_us = noon, .role = 5, .role_index = 2 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf out = BUF(1 << 10);

		assert_int_equal(log_left_out(&out, rows[i].format, "mail.example", &at, 12), OK);
		buf_add_char(&out, '\0');
		assert_string_equal(out.at, rows[i].line);
		buf_drop(&out);
	}
}

/* ---- refused recipients, as Postfix's smtpd tells them ---- */

static struct trace_event command_of(const char *verb, const char *line)
{
	return (struct trace_event){
		.head = { .wall_us = noon, .session = 1, .kind = TRACE_command },
		.command = { str_of(verb), str_of(line) }
	};
}

static struct trace_event reply_of(const char *verb, uint64_t code, const char *line)
{
	return (struct trace_event){ .head = { .wall_us = noon, .session = 1, .kind = TRACE_reply },
				     .reply = { code, str_of(line), 0, str_of(verb), 9 } };
}

static struct trace_event policy_of(const char *rule, const char *verdict)
{
	return (struct trace_event){
		.head = { .wall_us = noon, .session = 1, .kind = TRACE_policy },
		.policy = { str_of(rule), str_of(verdict), S("why"), S("x") }
	};
}

/* The log of a session with these events. */
static void log_session(struct sessions *sessions, const struct trace_event *events, size_t count,
			struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		struct session *known = sessions_note(sessions, &events[i]);

		assert_int_equal(
			log_event(out, RECORD_LOG_POSTFIX, "mail.example", &events[i], known), OK);
	}
	buf_add_char(out, '\0');
}

#define SMTPD "Jan  1 12:00:03 mail.example postfix/smtpd[2]: "

static void each_refused_recipient_is_a_line_as_postfix_writes_it(void **state)
{
	static struct sessions sessions;
	const struct trace_event events[] = {
		{ .head = { .wall_us = noon, .session = 1, .kind = TRACE_connect },
		  .connect = { S("smtp"), S("mx"), S("192.0.2.7:4711"), { 0 }, { 0 }, 0 } },
		policy_of("networks_deny", "refuse"),
		command_of("EHLO", "EHLO client.example"),
		command_of("MAIL", "MAIL FROM:<a@b> SIZE=7"),
		reply_of("MAIL", 250, "250 2.1.0 ok"),
		command_of("RCPT", "rcpt to: <\"x>y\"@z> NOTIFY=NEVER"),
		reply_of("RCPT", 550, "550 5.1.1 No such mailbox here"),
		command_of("RCPT", "RCPT TO:<c@elsewhere.example>"),
		policy_of("relay", "refuse"),
		reply_of("RCPT", 554, "554 5.7.1 Not our domain; relaying is denied"),
		command_of("RCPT", "RCPT TO:<d@z>"),
		reply_of("RCPT", 250, "250 2.1.5 ok"),
		command_of("RCPT", "RCPT TO:<e@z"),
		reply_of("RCPT", 501, "501 Syntax"),
		policy_of("errors_max", "close"),
		command_of("", "\x1b[31m"),
		policy_of("session_idle", "close"),
		command_of("X\x1b", "X"),
		policy_of("sender", "refuse"),
	};
	struct buf out = BUF(1 << 16);

	(void)state;
	sessions_init(&sessions);
	log_session(&sessions, events, COUNT_OF(events), &out);
	assert_string_equal(
		out.at,
		SMTPD "connect from unknown[192.0.2.7]\n" /**/
		SMTPD "NOQUEUE: reject: CONNECT from unknown[192.0.2.7]: 554 5.7.1 networks_deny: "
		      "\"why\"; proto=ESMTP\n" /**/
		SMTPD "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <\"x\\x3Ey\"@z>: "
		      "Recipient address rejected: User unknown: No such mailbox here; from=<a@b> "
		      "to=<\"x\\x3Ey\"@z> proto=ESMTP helo=<client.example>\n" /**/
		SMTPD "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 554 5.7.1 "
		      "<c@elsewhere.example>: Relay access denied: Not our domain; relaying is "
		      "denied; from=<a@b> to=<c@elsewhere.example> proto=ESMTP "
		      "helo=<client.example>\n" /**/
		SMTPD "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 501 5.0.0 <>: Recipient "
		      "address rejected: Syntax; from=<a@b> to=<> proto=ESMTP "
		      "helo=<client.example>\n"                              /**/
		SMTPD "too many errors after RCPT from unknown[192.0.2.7]\n" /**/
		SMTPD "timeout after UNKNOWN from unknown[192.0.2.7]\n"      /**/
		SMTPD "NOQUEUE: reject: \"X\\x1B\" from unknown[192.0.2.7]: 554 5.7.1 sender: "
		      "\"why\"; proto=ESMTP\n");
	sessions_done(&sessions);
	buf_drop(&out);
}

static void a_word_that_is_no_word_is_quoted(void **state)
{
	static const struct {
		struct str given;
		const char *shown;
	} words[] = {
		{ S("quit"), "quit" },
		{ S(""), "-" },
		{ S("two words"), "\"two words\"" },
		{ S("nul\0"), "\"nul\\x00\"" },
		{ S("a=b"), "\"a=b\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		struct buf out = BUF(100);

		log_add_word(&out, words[i].given);
		assert_true(str_is(buf_str(&out), str_of(words[i].shown)));
		buf_drop(&out);
	}
}

static void formats_are_known_by_their_names(void **state)
{
	enum record_log log;

	(void)state;
	assert_true(record_log_parse(S("postfix"), &log));
	assert_int_equal(log, RECORD_LOG_POSTFIX);
	assert_true(record_log_parse(S("none"), &log));
	assert_int_equal(log, RECORD_LOG_NONE);
	assert_false(record_log_parse(S("syslog"), &log));
}

static bool metrics_say(const struct metrics *metrics, const char *line)
{
	struct buf out = BUF(1 << 20);
	struct scan scan;
	struct str found;
	bool said = false;

	assert_int_equal(metrics_print(metrics, 3, &out), OK);
	scan = scan_of(buf_str(&out));
	while (take_until(&scan, '\n', &found))
		said = said || str_is(found, str_of(line));
	buf_drop(&out);
	return said;
}

static void metrics_count_what_happened(void **state)
{
	static struct metrics metrics;
	static const struct trace_event events[] = {
		{ .head = { .kind = TRACE_connect }, .connect = { .protocol = S("smtp") } },
		{ .head = { .kind = TRACE_command }, .command = { .verb = S("EHLO") } },
		{ .head = { .kind = TRACE_command }, .command = { .line = S("nonsense") } },
		{ .head = { .kind = TRACE_reply }, .reply = { .code = 250, .more = 1 } },
		{ .head = { .kind = TRACE_reply }, .reply = { .code = 250 } },
		{ .head = { .kind = TRACE_reply }, .reply = { .line = S("+OK") } },
		{ .head = { .kind = TRACE_auth }, .auth = { S("PLAIN"), 0, S("ok"), { 0 }, 1 } },
		{ .head = { .kind = TRACE_auth },
		  .auth = { S("PLAIN"), 0, S("continue"), { 0 }, 1 } },
		{ .head = { .kind = TRACE_accept }, .accept = { .octets = 2150, .us = 3000 } },
		{ .head = { .kind = TRACE_commit },
		  .commit = { .requests = 3, .messages = 2, .octets = 9, .us = 700 } },
		{ .head = { .kind = TRACE_deliver }, .deliver = { .outcome = S("delivered") } },
		{ .head = { .kind = TRACE_close },
		  .close = { .reason = S("quit"),
			     .octets_in = 5,
			     .octets_out = 6,
			     .us = 2000000 } },
		{ .head = { .kind = TRACE_auth },
		  .auth = { S("SCRAM-SHA-256-PLUS"), 0, S("unavailable"), { 0 }, 1 } },
		{ .head = { .kind = TRACE_lost }, .lost = { 7, S("gate \"mx\"\n") } },
		{ .head = { .kind = TRACE_policy },
		  .policy = { .rule = S("r"), .verdict = S("defer") } },
	};
	static const char *const lines[] = {
		"glasspost_sessions_open 3",
		"glasspost_sessions_total{protocol=\"smtp\"} 1",
		"glasspost_commands_total{verb=\"EHLO\"} 1",
		"glasspost_commands_total{verb=\"unknown\"} 1",
		"glasspost_replies_total{class=\"2xx\"} 1",
		"glasspost_replies_total{class=\"ok\"} 1",
		"glasspost_auth_total{mechanism=\"PLAIN\",outcome=\"ok\"} 1",
		"glasspost_messages_accepted_total 1",
		"glasspost_message_octets_total 2150",
		"glasspost_accept_seconds_bucket{le=\"0.0025\"} 0",
		"glasspost_accept_seconds_bucket{le=\"0.005\"} 1",
		"glasspost_accept_seconds_bucket{le=\"+Inf\"} 1",
		"glasspost_accept_seconds_sum 0.003000",
		"glasspost_commit_seconds_count 1",
		"glasspost_commit_requests_total 3",
		"glasspost_deliveries_total{outcome=\"delivered\"} 1",
		"glasspost_sessions_ended_total{reason=\"quit\"} 1",
		"glasspost_received_octets_total 5",
		"glasspost_trace_lost_total{ring=\"gate _mx__\"} 7",
		"glasspost_policy_total{rule=\"r\",verdict=\"defer\"} 1",
		"glasspost_auth_total{mechanism=\"SCRAM-SHA-256-PLUS\",outcome=\"unavailable\"} 1",
		"glasspost_trace_events_total 15",
		"# TYPE glasspost_commit_seconds histogram",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(events); i++)
		metrics_note(&metrics, &events[i]);
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		assert_true(metrics_say(&metrics, lines[i]));
	assert_false(metrics_say(
		&metrics, "glasspost_auth_total{mechanism=\"PLAIN\",outcome=\"continue\"} 1"));
}

static void a_role_that_invents_labels_fills_one_place_only(void **state)
{
	static struct labelled labelled;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char verb[16];

		snprintf(verb, sizeof(verb), "X%d", i);
		labelled_add(&labelled, str_of(verb), S(""), 1);
	}
	assert_int_equal(labelled.count, LABELS_MAX);
	assert_string_equal(labelled.of[LABELS_MAX - 1].value[0].text, "other");
	assert_int_equal(labelled.of[LABELS_MAX - 1].total, 1000 - LABELS_MAX + 1);
}

static void sessions_are_bounded_and_the_ended_go_first(void **state)
{
	static struct sessions sessions;
	struct trace_event event = { .head = { .kind = TRACE_connect },
				     .connect = { .protocol = S("smtp"),
						  .peer = S("192.0.2.1:1") } };

	(void)state;
	sessions_init(&sessions);
	for (uint64_t i = 1; i <= LIMIT_record_sessions + 100; i++) {
		event.head.session = i;
		event.head.kind = TRACE_connect;
		event.connect.protocol = S("smtp");
		sessions_note(&sessions, &event);
		if (i % 4 == 2)
			continue;
		event.head.kind = TRACE_close;
		event.head.wall_us = (int64_t)i;
		event.close = (struct trace_close){ .reason = S("quit"), .commands = i };
		sessions_note(&sessions, &event);
		event.connect = (struct trace_connect){ .peer = S("192.0.2.1:1") };
	}
	assert_int_equal(sessions.count, LIMIT_record_sessions);
	assert_null(sessions_find(&sessions, 1));
	assert_non_null(sessions_find(&sessions, 2)); /* is open still */
	assert_string_equal(sessions_find(&sessions, 2)->peer, "192.0.2.1:1");
	assert_int_equal(sessions_find(&sessions, 50001)->commands, 50001);
	assert_int_equal(sessions_find(&sessions, 50001)->ended_wall_us, 50001);
	sessions_done(&sessions);
	assert_int_equal(sessions.count, 0);
	assert_int_equal(sessions.open_count, 0);
}

static void of_dead_roles_the_open_sessions_make_room_in_the_end(void **state)
{
	static struct sessions sessions;
	struct trace_event event = { .head = { .kind = TRACE_connect } };

	(void)state;
	sessions_init(&sessions);
	for (uint64_t i = 1; i <= 2 * LIMIT_record_sessions; i++) {
		event.head.session = i;
		sessions_note(&sessions, &event);
	}
	assert_int_equal(sessions.count, LIMIT_record_sessions);
	assert_null(sessions_find(&sessions, 1));
	assert_non_null(sessions_find(&sessions, 2 * LIMIT_record_sessions));
	sessions_done(&sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_says_what_it_should),
		cmocka_unit_test(each_format_says_how_many_of_its_lines_are_missing),
		cmocka_unit_test(each_refused_recipient_is_a_line_as_postfix_writes_it),
		cmocka_unit_test(a_word_that_is_no_word_is_quoted),
		cmocka_unit_test(formats_are_known_by_their_names),
		cmocka_unit_test(metrics_count_what_happened),
		cmocka_unit_test(a_role_that_invents_labels_fills_one_place_only),
		cmocka_unit_test(sessions_are_bounded_and_the_ended_go_first),
		cmocka_unit_test(of_dead_roles_the_open_sessions_make_room_in_the_end),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
