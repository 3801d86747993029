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

static void hold_one(const struct fixture *f, int state)
{
	sqlite3 *handle;
	char path[400];
	char order[100];

	snprintf(path, sizeof(path), "%s/glasspost.db", f->folder);
	snprintf(order, sizeof(order), "UPDATE queue_recipient SET state = %d WHERE number = 1",
		 state);
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
	hold_one(f, QUEUE_HELD);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_failed_for_now_waits_longer_each_time),
		cmocka_unit_test(a_sender_is_warned_once_and_told_when_it_is_given_up),
		cmocka_unit_test(a_recipient_that_is_held_does_not_grow_old),
		cmocka_unit_test(a_sender_is_warned_also_while_an_attempt_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
