/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static bool has(struct str text, const char *what)
{
	bool found = str_find_str(text, str_of(what)) != STR_NONE;

	if (!found)
		fprintf(stderr, "not in the text: %s\n", what);
	return found;
}

static struct dsn_recipient failed_one(void)
{
	return (struct dsn_recipient){ .address = S("bob@far.example"),
				       .original = S("rfc822;b+2Bo@far.example"),
				       .status = S("5.1.1"),
				       .code = 550,
				       .reply = S("No such user"),
				       .remote = S("mx.far.example [192.0.2.7]"),
				       .attempt_us = 1800000000000000 };
}

static struct dsn one(const struct dsn_recipient *recipient)
{
	return (struct dsn){ .reporter = S("mail.example.org"),
			     .to = S("anna@example.org"),
			     .id = S("0ABC"),
			     .now_us = 1800000001000000,
			     .envelope_id = S("QQ+2B1"),
			     .arrived_us = 1799999999000000,
			     .recipients = recipient,
			     .count = 1,
			     .original = S("From: a\r\nSubject: x\r\n\r\n") };
}

static void its_three_parts_are_found_again_by_a_parser(void **state)
{
	struct dsn_recipient recipient = failed_one();
	struct dsn dsn = one(&recipient);
	struct buf out = BUF(100000);
	struct arena arena = { 0 };
	struct field field;
	struct str text;

	(void)state;
	assert_int_equal(dsn_print(&out, &dsn), OK);
	text = buf_str(&out);
	assert_true(field_find(text, S("Content-Type"), &field));
	assert_true(has(text, "boundary=\"=_0ABC\""));
	assert_true(has(text, "--=_0ABC\r\nContent-Type: message/delivery-status\r\n"));
	assert_true(has(text,
			"Original-Envelope-Id: QQ+1\r\nReporting-MTA: dns; mail.example.org\r\n"));
	assert_true(has(text, "\r\n\r\nOriginal-Recipient: rfc822;b+o@far.example\r\n"
			      "Final-Recipient: rfc822; bob@far.example\r\nAction: failed\r\n"
			      "Status: 5.1.1\r\nRemote-MTA: dns; mx.far.example\r\n"
			      "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
			      "Last-Attempt-Date: "));
	assert_true(has(text, "Content-Type: text/rfc822-headers"));
	assert_true(has(text, "From: a\r\nSubject: x\r\n\r\n\r\n--=_0ABC--\r\n"));
	assert_true(has(text, "Auto-Submitted: auto-replied\r\n"));
	buf_drop(&out);
	arena_drop(&arena);
}

static void an_original_in_another_alphabet_stays_as_it_was_written(void **state)
{
	struct dsn_recipient recipient = failed_one();
	struct dsn dsn = one(&recipient);
	struct buf out = BUF(100000);

	(void)state;
	recipient.original = S("rfc822;+C3+A4nne+2B1@far.example");
	assert_int_equal(dsn_print(&out, &dsn), OK);
	assert_true(has(buf_str(&out), "Original-Recipient: rfc822;+C3+A4nne+1@far.example\r\n"));
	buf_drop(&out);
}

static void what_others_wrote_begins_no_line(void **state)
{
	struct dsn_recipient recipient = failed_one();
	struct dsn dsn = one(&recipient);
	struct buf out = BUF(100000);

	(void)state;
	recipient.reply = S("x\r\nAction: delivered\r\n\r\n--=_0ABC--");
	recipient.remote = S("evil\nStatus: 2.0.0");
	recipient.original = S("rfc822;a+0D+0AAction:+20delivered");
	recipient.address = S("a\r\nBcc: x");
	dsn.envelope_id = S("a+0D+0AX: y");
	dsn.to = S("anna\r\nBcc: eve@example.org");
	assert_int_equal(dsn_print(&out, &dsn), OK);
	assert_false(str_find_str(buf_str(&out), S("\nAction: delivered")) != STR_NONE);
	assert_false(str_find_str(buf_str(&out), S("\nBcc")) != STR_NONE);
	assert_false(str_find_str(buf_str(&out), S("\nX: y")) != STR_NONE);
	assert_false(str_find_str(buf_str(&out), S("\nStatus: 2.0.0")) != STR_NONE);
	buf_drop(&out);
}

static void an_address_that_is_not_ascii_has_a_type_of_its_own(void **state)
{
	struct dsn_recipient recipient = failed_one();
	struct dsn dsn = one(&recipient);
	struct buf out = BUF(100000);

	(void)state;
	recipient.address = S("d\xc3\xb6rte@far.example");
	recipient.action = DSN_DELAYED;
	recipient.status = S("");
	recipient.retry_until_us = 1800400000000000;
	dsn.is_whole = true;
	assert_int_equal(dsn_print(&out, &dsn), OK);
	assert_true(has(buf_str(&out), "Content-Type: message/global-delivery-status\r\n"
				       "Content-Transfer-Encoding: 8bit\r\n"));
	assert_true(has(buf_str(&out), "Final-Recipient: utf-8; d\xc3\xb6rte@far.example\r\n"
				       "Action: delayed\r\nStatus: 4.0.0\r\n"));
	assert_true(has(buf_str(&out), "Will-Retry-Until: "));
	assert_true(has(buf_str(&out), "Content-Type: message/rfc822\r\n"));
	buf_drop(&out);
}

static void no_line_is_longer_than_998_octets(void **state)
{
	struct dsn_recipient recipient = failed_one();
	struct dsn dsn = one(&recipient);
	struct buf out = BUF(1000000);
	char reply[5000];
	struct scan scan;
	struct str line;

	(void)state;
	memset(reply, 'x', sizeof(reply));
	recipient.reply = (struct str){ reply, sizeof(reply) };
	assert_int_equal(dsn_print(&out, &dsn), OK);
	scan = scan_of(buf_str(&out));
	while (take_until(&scan, '\n', &line))
		assert_true(line.len <= 999);
	buf_drop(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_three_parts_are_found_again_by_a_parser),
		cmocka_unit_test(an_original_in_another_alphabet_stays_as_it_was_written),
		cmocka_unit_test(what_others_wrote_begins_no_line),
		cmocka_unit_test(an_address_that_is_not_ascii_has_a_type_of_its_own),
		cmocka_unit_test(no_line_is_longer_than_998_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
