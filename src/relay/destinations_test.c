/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/destinations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void a_destination_gets_more_when_it_goes_well_and_half_when_not(void **state)
{
	struct destinations destinations;
	struct destination *destination;

	(void)state;
	destinations_init(&destinations, 8);
	destination = destination_enter(&destinations, S("there.example"));
	assert_int_equal(destination->allowed, DESTINATION_FIRST);
	for (int i = 0; i < 10; i++)
		destination_went_well(&destinations, destination);
	assert_int_equal(destination->allowed, 8);
	destination_failed(destination);
	assert_int_equal(destination->allowed, 4);
	for (int i = 0; i < 10; i++)
		destination_failed(destination);
	assert_int_equal(destination->allowed, 1);
	destination_leave(destination);
	assert_ptr_equal(destination_enter(&destinations, S("there.example")), destination);
	assert_int_equal(destination->allowed, 1);
	destination_leave(destination);
	destinations_done(&destinations);
}

static void who_has_all_it_may_is_full(void **state)
{
	struct destinations destinations;
	struct destination *slow;

	(void)state;
	destinations_init(&destinations, 2);
	slow = destination_enter(&destinations, S("slow.example"));
	destination_leave(destination_enter(&destinations, S("fast.example")));
	assert_false(destination_is_full(&destinations, S("slow.example")));
	destination_enter(&destinations, S("slow.example"));
	assert_true(destination_is_full(&destinations, S("slow.example")));
	assert_false(destination_is_full(&destinations, S("fast.example")));
	destination_leave(slow);
	destination_leave(slow);
	assert_false(destination_is_full(&destinations, S("slow.example")));
	destinations_done(&destinations);
}

static void the_longest_unused_is_forgotten_but_none_in_use(void **state)
{
	struct destinations destinations;
	struct destination *used;
	char name[32];

	(void)state;
	destinations_init(&destinations, 20);
	used = destination_enter(&destinations, S("used.example"));
	destination_failed(used);
	for (unsigned i = 0; i < DESTINATIONS_MAX + 100; i++) {
		snprintf(name, sizeof(name), "%u.example", i);
		destination_leave(destination_enter(&destinations, str_of(name)));
	}
	assert_int_equal(destinations.count, DESTINATIONS_MAX);
	assert_ptr_equal(destination_enter(&destinations, S("used.example")), used);
	destination_leave(used);
	destination_leave(used);
	destinations_done(&destinations);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_destination_gets_more_when_it_goes_well_and_half_when_not),
		cmocka_unit_test(who_has_all_it_may_is_full),
		cmocka_unit_test(the_longest_unused_is_forgotten_but_none_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
