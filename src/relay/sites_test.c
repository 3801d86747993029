/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void a_destination_gets_more_when_it_goes_well_and_half_when_not(void **state)
{
	struct sites sites;
	struct site *site;

	(void)state;
	sites_init(&sites, 8);
	site = site_enter(&sites, S("there.example"));
	assert_int_equal(site->allowed, SITES_FIRST);
	for (int i = 0; i < 10; i++)
		site_went_well(&sites, site);
	assert_int_equal(site->allowed, 8);
	site_failed(site);
	assert_int_equal(site->allowed, 4);
	for (int i = 0; i < 10; i++)
		site_failed(site);
	assert_int_equal(site->allowed, 1);
	site_leave(site);
	assert_ptr_equal(site_enter(&sites, S("there.example")), site);
	assert_int_equal(site->allowed, 1);
	site_leave(site);
	sites_done(&sites);
}

static void who_has_all_it_may_is_named(void **state)
{
	struct str names[4];
	struct sites sites;
	struct site *slow;

	(void)state;
	sites_init(&sites, 2);
	slow = site_enter(&sites, S("slow.example"));
	site_leave(site_enter(&sites, S("fast.example")));
	assert_int_equal(sites_full(&sites, names, COUNT_OF(names)), 0);
	site_enter(&sites, S("slow.example"));
	assert_int_equal(sites_full(&sites, names, COUNT_OF(names)), 1);
	assert_true(str_is(names[0], S("slow.example")));
	assert_int_equal(sites_full(&sites, names, 0), 0);
	site_leave(slow);
	site_leave(slow);
	assert_int_equal(sites_full(&sites, names, COUNT_OF(names)), 0);
	sites_done(&sites);
}

static void the_longest_unused_is_forgotten_but_none_in_use(void **state)
{
	struct sites sites;
	struct site *used;
	char name[32];

	(void)state;
	sites_init(&sites, 20);
	used = site_enter(&sites, S("used.example"));
	site_failed(used);
	for (unsigned i = 0; i < SITES_MAX + 100; i++) {
		snprintf(name, sizeof(name), "%u.example", i);
		site_leave(site_enter(&sites, str_of(name)));
	}
	assert_int_equal(sites.count, SITES_MAX);
	assert_ptr_equal(site_enter(&sites, S("used.example")), used);
	site_leave(used);
	site_leave(used);
	sites_done(&sites);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_destination_gets_more_when_it_goes_well_and_half_when_not),
		cmocka_unit_test(who_has_all_it_may_is_named),
		cmocka_unit_test(the_longest_unused_is_forgotten_but_none_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
