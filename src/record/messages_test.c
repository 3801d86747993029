/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/messages.h"

#include <stdio.h>
#include <stdlib.h>

/* A mail of anna's to bert, to an alias of ours that leads elsewhere, and to somebody elsewhere. */
enum { SESSION = 77, MESSAGE = 1000 };

static struct sessions sessions;
static struct messages messages;
static int64_t clock_us;

static int begin(void **state)
{
	(void)state;
	clock_us = 1000000;
	sessions_init(&sessions);
	messages_init(&messages);
	return 0;
}

static int end(void **state)
{
	(void)state;
	messages_done(&messages);
	sessions_done(&sessions);
	assert_int_equal(messages.count, 0);
	assert_int_equal(messages.addressees, 0);
	return 0;
}

static struct trace_head head_of(unsigned kind, uint64_t session)
{
	clock_us += 1000;
	return (struct trace_head){
		.kind = (uint16_t)kind, .session = session, .wall_us = clock_us, .at_us = clock_us
	};
}

static void tell(struct trace_event event)
{
	sessions_note(&sessions, &event);
	messages_note(&messages, &sessions, &event);
}

static struct str name_of(uint64_t message)
{
	static char text[ID_TEXT + 1];

	id_print(message, text);
	return str_of(text);
}

static void tell_deliver(uint64_t message, const char *recipient, const char *account, uint64_t uid)
{
	tell((struct trace_event){
		.head = head_of(TRACE_deliver, SESSION),
		.deliver = { .message = name_of(message),
			     .recipient = str_of(recipient),
			     .account = str_of(account),
			     .folder = str_of(account ? "INBOX" : ""),
			     .uid = uid,
			     .outcome = account ? S("delivered") : S("over-quota") } });
}

static void tell_queued(uint64_t message, const char *recipient, const char *given)
{
	tell((struct trace_event){ .head = head_of(TRACE_queued, SESSION),
				   .queued = { .message = name_of(message),
					       .sender = S("anna@example.org"),
					       .recipient = str_of(recipient),
					       .forwarded_for = str_of(given) } });
}

static void tell_attempt(uint64_t message, const char *recipient, const char *outcome)
{
	tell((struct trace_event){ .head = head_of(TRACE_attempt, SESSION + 1),
				   .attempt = { .message = name_of(message),
						.recipient = str_of(recipient),
						.outcome = str_of(outcome),
						.code = 451,
						.reply = S("not now"),
						.attempts = 1 } });
}

static void tell_accept(uint64_t message)
{
	tell((struct trace_event){ .head = head_of(TRACE_accept, SESSION),
				   .accept = { .message = name_of(message),
					       .sender = S("anna@example.org"),
					       .octets = 321,
					       .subject = S("hello") } });
}

static struct message *tell_all(void)
{
	tell((struct trace_event){
		.head = head_of(TRACE_auth, SESSION),
		.auth = { .outcome = S("ok"), .account = S("anna@example.org") } });
	tell_deliver(MESSAGE, "bert@example.org", "bert@example.org", 1);
	tell_queued(MESSAGE, "secret@elsewhere.example", "list@example.org");
	tell_queued(MESSAGE, "carl@other.example", "");
	tell_accept(MESSAGE);
	return messages_find(&messages, MESSAGE);
}

static bool sees(const struct message *message, const char *viewer, const char *address)
{
	struct sight sight = message_sight(message, str_of(viewer));
	const struct addressee *a = message_addressee(message, str_of(address));

	assert_non_null(a);
	return sight_of(&sight, a, str_of(viewer));
}

static void a_message_is_put_together_from_what_several_roles_tell(void **state)
{
	struct message *message = tell_all();

	(void)state;
	assert_non_null(message);
	assert_true(str_is(message->sender, S("anna@example.org")));
	assert_true(str_is(message->account, S("anna@example.org")));
	assert_true(str_is(message->subject, S("hello")));
	assert_int_equal(message->octets, 321);
	assert_int_equal(message->session, SESSION);
	assert_int_equal(message->count, 3);
	assert_string_equal(message_state(message, S("")), "mixed");
	tell_attempt(MESSAGE, "carl@other.example", "deferred");
	assert_int_equal(message->session_count, 2);
	assert_true(
		str_is(message_addressee(message, S("carl@other.example"))->reply, S("not now")));
	tell_attempt(MESSAGE, "carl@other.example", "relayed");
	tell_attempt(MESSAGE, "secret@elsewhere.example", "delivered");
	assert_string_equal(message_state(message, S("")), "delivered");
	/* A report that came too late changes nothing. */
	tell_attempt(MESSAGE, "carl@other.example", "late");
	assert_string_equal(message_state(message, S("")), "delivered");
}

static void a_sender_sees_each_recipient_of_the_message(void **state)
{
	struct message *message = tell_all();

	(void)state;
	assert_true(sees(message, "anna@example.org", "bert@example.org"));
	assert_true(sees(message, "ANNA@example.org", "carl@other.example"));
	assert_true(sees(message, "", "secret@elsewhere.example"));
}

static void a_recipient_sees_nothing_of_others_and_strangers_nothing_at_all(void **state)
{
	struct message *message = tell_all();
	struct sight sight = message_sight(message, S("dora@example.org"));

	(void)state;
	assert_true(sees(message, "bert@example.org", "bert@example.org"));
	assert_false(sees(message, "bert@example.org", "carl@other.example"));
	assert_false(sees(message, "bert@example.org", "secret@elsewhere.example"));
	assert_string_equal(message_state(message, S("bert@example.org")), "delivered");
	assert_false(sight.all || sight.sent || sight.got);
}

static void who_had_not_signed_in_sent_nothing_for_an_account(void **state)
{
	struct sight sight;

	(void)state;
	tell_accept(MESSAGE);
	sight = message_sight(messages_find(&messages, MESSAGE), S("anna@example.org"));
	assert_false(sight.sent);
}

static void a_fetch_finds_the_message_that_lies_there(void **state)
{
	struct message *message = tell_all();
	struct trace_fetch place = { .account = S("bert@example.org"),
				     .folder = S("INBOX"),
				     .uid = 1 };

	(void)state;
	tell((struct trace_event){ .head = head_of(TRACE_fetch, SESSION + 9), .fetch = place });
	assert_int_equal(message->first->fetched_us, clock_us);
	place.uid = 2;
	assert_null(messages_at(&messages, &place));
	place.uid = 1;
	place.folder = S("Junk");
	assert_null(messages_at(&messages, &place));
	/* Nobody takes a place that is taken. */
	tell_deliver(MESSAGE + 1, "eve@example.org", "bert@example.org", 1);
	place.folder = S("INBOX");
	assert_ptr_equal(messages_at(&messages, &place)->message, message);
}

static struct str outcome_of_carl(const struct message *message)
{
	return message_addressee(message, S("carl@other.example"))->outcome;
}

static void an_operator_s_change_counts_for_whom_it_was_done_to(void **state)
{
	struct trace_event event;
	struct message *message = tell_all();

	(void)state;
	event = (struct trace_event){ .head = head_of(TRACE_queue_change, 0),
				      .queue_change = { name_of(MESSAGE), S("delete"), 1,
							S("bert@example.org") } };
	tell(event);
	assert_string_equal(message_state(message, S("")), "mixed");
	assert_true(str_is(outcome_of_carl(message), S("queued")));
	event.queue_change.what = S("hold");
	event.queue_change.recipient = S("carl@other.example");
	tell(event);
	assert_true(str_is(outcome_of_carl(message), S("held")));
	event.queue_change.what = S("delete");
	event.queue_change.recipient = S(""); /* all that are left */
	tell(event);
	assert_true(str_is(outcome_of_carl(message), S("deleted")));
	assert_true(str_is(message->first->outcome, S("delivered")));
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= LIMIT_record_messages + 10; i++)
		tell_deliver(i, "bert@example.org", "bert@example.org", i);
	assert_int_equal(messages.count, LIMIT_record_messages);
	assert_null(messages_find(&messages, 10));
	assert_non_null(messages_find(&messages, 11));
	assert_int_equal(messages.addressees, LIMIT_record_messages);
}

static void recipients_past_the_bound_are_counted(void **state)
{
	struct message *message;

	(void)state;
	for (uint64_t i = 0; i < LIMIT_record_message_recipients + 5; i++)
		tell_deliver(MESSAGE, "all@example.org", "bert@example.org", i + 1);
	message = messages_find(&messages, MESSAGE);
	assert_int_equal(message->count, LIMIT_record_message_recipients);
	assert_int_equal(message->more, 5);
}

static void recipients_in_all_are_bounded_too(void **state)
{
	uint64_t uid = 1;

	(void)state;
	for (uint64_t m = 1; m <= LIMIT_record_recipients / 500 + 2; m++)
		for (int i = 0; i < 500; i++)
			tell_deliver(m, "all@example.org", "bert@example.org", uid++);
	assert_int_equal(messages.addressees, LIMIT_record_recipients);
	assert_null(messages_find(&messages, 1));
	assert_null(messages_find(&messages, 2));
	assert_non_null(messages_find(&messages, 3));
}

static void what_lies_far_apart_is_remembered_as_stays(void **state)
{
	struct message *message = tell_all();

	(void)state;
	assert_int_equal(message->stay_count, 1);
	for (int day = 0; day < 2 * MESSAGE_STAYS; day++) {
		clock_us += INT64_C(86400) * 1000000;
		tell_attempt(MESSAGE, "carl@other.example", "deferred");
	}
	assert_int_equal(message->stay_count, MESSAGE_STAYS);
	assert_int_equal(message->stays[MESSAGE_STAYS - 1].to_us, clock_us);
}

static void long_texts_are_cut_between_characters(void **state)
{
	char subject[1024];
	struct trace_event event = { .head = head_of(TRACE_accept, SESSION) };
	struct message *message;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(subject); i += 2)
		memcpy(&subject[i], "\xc3\xa9", 2);
	event.accept =
		(struct trace_accept){ .message = name_of(MESSAGE), .subject = { subject, 999 } };
	tell(event);
	message = messages_find(&messages, MESSAGE);
	assert_true(message->subject.len > 200 && str_is_utf8(message->subject));
}

static void names_that_are_none_make_no_message(void **state)
{
	(void)state;
	tell((struct trace_event){ .head = head_of(TRACE_accept, SESSION),
				   .accept = { .message = S("nonsense") } });
	tell((struct trace_event){ .head = head_of(TRACE_claimed, SESSION) });
	assert_int_equal(messages.count, 0);
}

static void a_report_of_ours_has_a_size_and_a_subject(void **state)
{
	char report[ID_TEXT + 1];
	struct trace_event event = { .head = head_of(TRACE_notice, 0) };
	struct message *message;

	(void)state;
	id_print(MESSAGE + 1, report);
	tell_accept(MESSAGE);
	event.notice = (struct trace_notice){ .message = str_of(report),
					      .about = name_of(MESSAGE),
					      .recipient = S("anna@example.org"),
					      .outcome = S("delivered"),
					      .octets = 500,
					      .subject = S("Not delivered: your message") };
	tell(event);
	message = messages_find(&messages, MESSAGE + 1);
	assert_non_null(message);
	assert_int_equal(message->octets, 500);
	assert_int_equal(message->subject.len, 27);
	assert_int_equal(message->sender.len, 0);
	assert_int_equal(messages_find(&messages, MESSAGE)->octets, 321);
	/* One that reached nobody is nowhere. */
	id_print(MESSAGE + 2, report);
	event.notice.outcome = S("dropped");
	tell(event);
	assert_null(messages_find(&messages, MESSAGE + 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_is_put_together_from_what_several_roles_tell),
		TEST(a_sender_sees_each_recipient_of_the_message),
		TEST(a_recipient_sees_nothing_of_others_and_strangers_nothing_at_all),
		TEST(who_had_not_signed_in_sent_nothing_for_an_account),
		TEST(a_fetch_finds_the_message_that_lies_there),
		TEST(an_operator_s_change_counts_for_whom_it_was_done_to),
		TEST(the_oldest_go_when_there_are_too_many),
		TEST(recipients_past_the_bound_are_counted),
		TEST(recipients_in_all_are_bounded_too),
		TEST(what_lies_far_apart_is_remembered_as_stays),
		TEST(long_texts_are_cut_between_characters),
		TEST(names_that_are_none_make_no_message),
		TEST(a_report_of_ours_has_a_size_and_a_subject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
