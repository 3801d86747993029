/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to a message that waits: tried again, warned of, given up; or held, and not. */
#include "store/queue_fixture.h"

#include <sqlite3.h>

static void waits(struct fixture *f) WAITS
{
	static const int64_t minutes[] = { 5, 10, 20, 40, 80, 160, 240, 240 };
	struct claimed c;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 7, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	for (size_t i = 0; i < COUNT_OF(minutes); i++) {
		int64_t about_us = minutes[i] * 60 * 1000000;
		int64_t wait_us;

		CHECK(claim(f, &c));
		CHECK(report(f, &c, &deferred) == 1);
		drop_claim(&c);
		wait_us = next_of(f, 7) - wall_us();
		CHECK(wait_us >= about_us * 7 / 8 && wait_us <= about_us * 9 / 8 + 1);
		CHECK(!claim(f, &c));
		CHECK(fiber_sleep(in_us(wait_us + 1000)) == OK);
	}
}

static void what_failed_for_now_waits_longer_each_time(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = waits, .config_text = RELAYING, .simulated = true });
}

static void ages(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct claimed c;
	struct strs all;
	int64_t hours = 0;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 7, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	while (state_of(f, 7, 0) <= QUEUE_HELD && hours++ < 24 * 6) {
		if (claim(f, &c)) {
			CHECK(report(f, &c, &deferred) == 1);
			drop_claim(&c);
		}
		CHECK(fiber_sleep(in_ms(3600 * 1000)) == OK);
		CHECK(queue_run_due(f->store) == OK);
	}
	CHECK(hours == 24 * 5);
	CHECK(state_of(f, 7, 0) == QUEUE_EXPIRED);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 2);
	if (all.count == 2) {
		CHECK(has(all.at[0], "Subject: Delayed"));
		CHECK(has(all.at[0], "\r\nAction: delayed\r\n"));
		CHECK(has(all.at[0], "\r\nWill-Retry-Until: "));
		CHECK(has(all.at[0], "Later, please"));
		CHECK(has(all.at[1], "Subject: Not delivered"));
		CHECK(has(all.at[1], "Later, please"));
	}
	CHECK(complaints(f) == 0);
	/* And a week later nothing is known of it. */
	CHECK(fiber_sleep(in_ms(8 * 24 * 3600 * 1000ll)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(state_of(f, 7, 0) == 99);
	arena_drop(&arena);
}

static void a_sender_is_warned_once_and_told_when_it_is_given_up(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = ages, .config_text = RELAYING, .simulated = true });
}

static void run_sql(const struct fixture *f, const char *order)
{
	sqlite3 *handle;
	char path[400];

	snprintf(path, sizeof(path), "%s/glasspost.db", f->folder);
	must(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	must(sqlite3_exec(handle, order, NULL, NULL, NULL) == SQLITE_OK);
	must(sqlite3_close(handle) == SQLITE_OK);
}

static void ages_but_for_one(struct fixture *f) WAITS
{
	struct sending s = { .message = 7,
			     .sender = "anna@example.org",
			     .to = { "bob@far.example", "carl@far.example" },
			     .body = S("Subject: two\r\n\r\nx\r\n") };
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	s.account = sign_in_as(f, "anna@example.org");
	CHECK(send_mail(f, &s, out) == OK);
	run_sql(f, "UPDATE queue_recipient SET state = 2 WHERE number = 1");
	for (int day = 0; day < 30; day++) {
		CHECK(fiber_sleep(in_ms(24 * 3600 * 1000)) == OK);
		CHECK(queue_run_due(f->store) == OK);
	}
	CHECK(state_of(f, 7, 0) == QUEUE_EXPIRED || state_of(f, 7, 0) == 99);
	CHECK(state_of(f, 7, 1) == QUEUE_HELD);
}

static void a_recipient_that_is_held_does_not_grow_old(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = ages_but_for_one, .config_text = RELAYING, .simulated = true });
}

static void is_tried_when_the_warning_is_due(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct claimed c;
	struct strs all;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 7, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(claim(f, &c) && report(f, &c, &deferred) == 1);
	drop_claim(&c);
	CHECK(fiber_sleep(in_ms((4 * 3600 - 60) * 1000)) == OK);
	CHECK(claim(f, &c));
	CHECK(fiber_sleep(in_ms(120 * 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(report(f, &c, &deferred) == 1);
	drop_claim(&c);
	CHECK(fiber_sleep(in_ms(24 * 3600 * 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 1 && has(all.at[0], "Subject: Delayed"));
	arena_drop(&arena);
}

static void a_sender_is_warned_also_while_an_attempt_is_under_way(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = is_tried_when_the_warning_is_due,
				       .config_text = RELAYING,
				       .simulated = true });
}

static void is_held_while_it_is_tried(struct fixture *f) WAITS
{
	struct claimed c;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 7, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(fiber_sleep(in_ms((5 * 24 * 60 - 10) * 60000ll)) == OK);
	CHECK(claim(f, &c));
	run_sql(f, "UPDATE queue_message SET held = 1, alarm_us = NULL");
	CHECK(fiber_sleep(in_ms(20 * 60000)) == OK);
	CHECK(report(f, &c, &deferred) == 1);
	drop_claim(&c);
	CHECK(state_of(f, 7, 0) == QUEUE_HELD);
	CHECK(inbox_count(f, "anna@example.org") == 0);
}

static void what_is_held_while_it_is_tried_does_not_grow_old_either(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = is_held_while_it_is_tried, .config_text = RELAYING, .simulated = true });
}

/* As `queue hold` does with what a relay has: its report would keep the message back. */
static void claim_and_hold(struct fixture *f, struct claimed *c) WAITS
{
	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 7, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(claim(f, c));
	run_sql(f, "UPDATE queue_message SET held = 1, alarm_us = NULL");
}

static void stays_held(struct fixture *f, struct claimed *c) WAITS
{
	struct claimed again;

	CHECK(!claim(f, &again));
	CHECK(state_of(f, 7, 0) == QUEUE_HELD);
	drop_claim(c);
	drop_claim(&again);
}

static void is_left_out(struct fixture *f) WAITS
{
	struct claimed c;

	claim_and_hold(f, &c);
	c.answer.numbers.count = 0;
	CHECK(report(f, &c, &down) == 0);
	stays_held(f, &c);
}

static void loses_its_relay(struct fixture *f) WAITS
{
	struct claimed c;

	claim_and_hold(f, &c);
	queue_peer_gone(f->peer);
	CHECK(queue_run_due(f->store) == OK);
	stays_held(f, &c);
}

static void outlives_its_lease(struct fixture *f) WAITS
{
	struct claimed c;

	claim_and_hold(f, &c);
	CHECK(fiber_sleep(in_ms(QUEUE_LEASE_MS + 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	stays_held(f, &c);
}

static void what_is_held_while_it_is_tried_stays_so_whoever_gives_it_back(void **state)
{
	static void (*const ways[])(struct fixture *) = { is_left_out, loses_its_relay,
							  outlives_its_lease };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++)
		fixture_run(&(struct fixture){
			.body = ways[i], .config_text = RELAYING, .simulated = true });
}

enum { LISTS = 8, MEMBERS = 500 };

/* As many as a message may lead to, each with as long a reply as is kept. */
static void is_for_very_many(struct fixture *f) WAITS
{
	struct sending s = { .message = 7,
			     .sender = "anna@example.org",
			     .body = S("Subject: all\r\n\r\nx\r\n") };
	char lists[LISTS][40];
	char member[300];
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	for (int list = 0; list < LISTS; list++) {
		snprintf(lists[list], sizeof(lists[list]), "list%d@example.org", list);
		s.to[list] = lists[list];
		for (int i = 0; i < MEMBERS; i++) {
			snprintf(member, sizeof(member), "%d.%d.%060d@%060d.%060d.%050d.example",
				 list, i, 1, 1, 1, 1);
			add_alias(f, lists[list], member);
		}
	}
	CHECK(send_mail(f, &s, out) == OK && out[LISTS - 1] == DELIVERY_DONE);
	run_sql(f, "UPDATE queue_recipient SET code = 450, enhanced = '4.2.0',"
		   " reply = printf('%.300c', 'r'), peer = printf('%.200c', 'p')");
	CHECK(fiber_sleep(in_ms(5 * 24 * 3600 * 1000ll)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(state_of(f, 7, 0) == QUEUE_EXPIRED);
	CHECK(state_of(f, 7, LISTS * MEMBERS - 1) == QUEUE_EXPIRED);
	CHECK(inbox_count(f, "anna@example.org") == 1);
}

static void a_sender_is_told_of_however_many_recipients_there_were(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = is_for_very_many,
				       .config_text = RELAYING "queue_delay_warning = 0\n",
				       .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_failed_for_now_waits_longer_each_time),
		cmocka_unit_test(a_sender_is_warned_once_and_told_when_it_is_given_up),
		cmocka_unit_test(a_recipient_that_is_held_does_not_grow_old),
		cmocka_unit_test(a_sender_is_warned_also_while_an_attempt_is_under_way),
		cmocka_unit_test(what_is_held_while_it_is_tried_does_not_grow_old_either),
		cmocka_unit_test(what_is_held_while_it_is_tried_stays_so_whoever_gives_it_back),
		cmocka_unit_test(a_sender_is_told_of_however_many_recipients_there_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
