/* SPDX-License-Identifier: Apache-2.0 */
/* The queue when somebody sets the clock of the machine. */
#include "store/queue_fixture.h"

static const int64_t DAY_US = INT64_C(24) * 3600 * 1000000;

static void keep(void *store) WAITS
{
	queue_keep(store);
}

/* A lease is what it was given for: no longer, and no shorter. */
static void clock_is_set(struct fixture *f) WAITS
{
	const int64_t by_us[] = { 2 * DAY_US, -2 * DAY_US };
	uint64_t message = 1;
	struct fiber_group group;
	struct claimed c, d;
	uint64_t anna;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	group_init(&group);
	CHECK(fiber_spawn(&group, "keeper", keep, f->store, NULL) == OK);
	for (size_t i = 0; i < COUNT_OF(by_us); i++, message++) {
		CHECK(send_one(f, message, anna, "bob@far.example") == DELIVERY_DONE);
		CHECK(claim(f, &c));
		sim_set_wall(world_here(), wall_us() - now() + by_us[i]);
		CHECK(fiber_sleep(in_ms(59 * 60 * 1000)) == OK);
		CHECK(!claim(f, &d));
		CHECK(state_of(f, message, 0) == QUEUE_LEASED);
		CHECK(report(f, &c, &sent) == 1);
		drop_claim(&c);
		/* And one that nobody tells of ends in its hour. */
		CHECK(send_one(f, ++message, anna, "bob@far.example") == DELIVERY_DONE);
		CHECK(claim(f, &c));
		sim_set_wall(world_here(), wall_us() - now() + by_us[i]);
		CHECK(fiber_sleep(in_ms(61 * 60 * 1000)) == OK);
		CHECK(claim(f, &d) && d.answer.message == message);
		CHECK(report(f, &c, &sent) == 0 && report(f, &d, &sent) == 1);
		drop_claim(&c);
		drop_claim(&d);
	}
	group_stop(&group);
	group_wait_through(&group);
}

static void a_lease_lasts_its_hour_however_the_clock_is_set(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = clock_is_set, .config_text = RELAYING, .simulated = true });
}

/* It is not known how long the store was away: who has a lease is not hurried. */
static void clock_is_set_before_a_start(struct fixture *f) WAITS
{
	struct claimed c, d;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 1, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(claim(f, &c));
	sim_set_wall(world_here(), wall_us() - now() + 2 * DAY_US);
	fixture_reopen(f);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(!claim(f, &d));
	CHECK(fiber_sleep(in_ms(61 * 60 * 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(claim(f, &d) && d.answer.message == 1);
	CHECK(report(f, &c, &sent) == 0 && report(f, &d, &sent) == 1);
	drop_claim(&c);
	drop_claim(&d);
	CHECK(complaints(f) == 0);
}

static void a_lease_that_a_start_finds_lasts_an_hour_from_then_on(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = clock_is_set_before_a_start, .config_text = RELAYING, .simulated = true });
}

/* What is being sent when the clock leaps past its expiry may be taken at this moment. */
static void leaps_past_expiry(struct fixture *f) WAITS
{
	struct claimed c;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 1, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(claim(f, &c));
	sim_set_wall(world_here(), wall_us() - now() + 30 * DAY_US);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(state_of(f, 1, 0) == QUEUE_LEASED);
	CHECK(report(f, &c, &sent) == 1);
	CHECK(state_of(f, 1, 0) == QUEUE_RELAYED && inbox_count(f, "anna@example.org") == 0);
	drop_claim(&c);
}

static void what_is_being_sent_does_not_expire_by_a_leap_of_the_clock(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = leaps_past_expiry,
				       .config_text = RELAYING "queue_delay_warning = 0\n",
				       .simulated = true });
}

/* The machine was off when the messages should have expired. */
static void is_off_for_a_week(struct fixture *f) WAITS
{
	struct claimed c;
	uint64_t anna;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	CHECK(send_one(f, 1, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(send_one(f, 2, anna, "bob@off.example") == DELIVERY_DONE);
	CHECK(send_one(f, 3, anna, "bob@dead.example") == DELIVERY_DONE);
	for (int i = 0; i < 3; i++) { /* all have had a try, and wait for the next */
		CHECK(claim(f, &c) && report(f, &c, &deferred) == 1);
		drop_claim(&c);
	}
	CHECK(fiber_sleep(in_us(7 * DAY_US)) == OK);
	fixture_reopen(f);
	CHECK(queue_run_due(f->store) == OK);
	claim_of(f, &c, "far.example", 100);
	CHECK(c.answer.message == 1 && report(f, &c, &sent) == 1);
	drop_claim(&c);
	claim_of(f, &c, "off.example", 100);
	CHECK(c.answer.message == 2 && report(f, &c, &deferred) == 1);
	drop_claim(&c);
	CHECK(state_of(f, 1, 0) == QUEUE_RELAYED && state_of(f, 2, 0) == QUEUE_EXPIRED);
	/* And one that nobody tries waits no longer than for that. */
	CHECK(fiber_sleep(in_ms(59 * 60 * 1000)) == OK && queue_run_due(f->store) == OK);
	CHECK(state_of(f, 3, 0) == QUEUE_WAITING);
	CHECK(fiber_sleep(in_ms(2 * 60 * 1000)) == OK && queue_run_due(f->store) == OK);
	CHECK(state_of(f, 3, 0) == QUEUE_EXPIRED);
	CHECK(inbox_count(f, "anna@example.org") == 2);
	CHECK(complaints(f) == 0);
}

static void what_grew_old_while_the_machine_was_off_is_tried_once_more(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = is_off_for_a_week,
				       .config_text = RELAYING "queue_delay_warning = 0\n",
				       .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_lasts_its_hour_however_the_clock_is_set),
		cmocka_unit_test(a_lease_that_a_start_finds_lasts_an_hour_from_then_on),
		cmocka_unit_test(what_grew_old_while_the_machine_was_off_is_tried_once_more),
		cmocka_unit_test(what_is_being_sent_does_not_expire_by_a_leap_of_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
