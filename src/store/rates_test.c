/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rates.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct rate ten_a_minute = { 10, 60'000'000 };

static void act(void *arg) WAITS
{
	struct rates *rates = arg;
	struct rated one = { .id = 1 };
	struct rated other = { .id = 1 };

	must(addr_parse_ip(S("192.0.2.1"), &one.client));
	must(addr_parse_ip(S("192.0.2.2"), &other.client));
	must(rates_take(rates, &one, &ten_a_minute, 7) == 7);
	must(rates_left(rates, &one, &ten_a_minute, 100) == 3);
	must(rates_take(rates, &one, &ten_a_minute, 7) == 3);
	must(rates_take(rates, &one, &ten_a_minute, 1) == 0);
	must(rates_take(rates, &other, &ten_a_minute, 1) == 1);
	rates_give_back(rates, &one, 4);
	must(rates_left(rates, &one, &ten_a_minute, 100) == 4);
	must(fiber_sleep(in_ms(59'000)) == OK);
	must(rates_left(rates, &one, &ten_a_minute, 100) == 4);
	must(fiber_sleep(in_ms(2'000)) == OK);
	must(rates_take(rates, &one, &ten_a_minute, 100) == 10);
	must(rates_take(rates, &one, &(struct rate){ 0 }, 1000) == 1000);
}

static void so_many_a_period_and_client_and_no_more(void **state)
{
	struct world *world = world_sim_new(1);
	struct rates rates;

	(void)state;
	rates_init(&rates);
	must(world_spawn(world, "rates", act, &rates) == OK);
	world_run(world);
	world_drop(&world);
	rates_done(&rates);
}

static void crowd(void *arg) WAITS
{
	struct rates *rates = arg;
	struct rated who = { .client = { .family = ADDR_IPV4 } };

	for (uint64_t i = 0; i < RATES_MAX + 100; i++) {
		who.id = i;
		must(rates_take(rates, &who, &ten_a_minute, 1) == 1);
	}
	must(rates->counts.table.count == RATES_MAX);
}

static void a_crowd_takes_no_more_memory_than_is_meant_for_it(void **state)
{
	struct world *world = world_sim_new(1);
	struct rates rates;

	(void)state;
	rates_init(&rates);
	must(world_spawn(world, "crowd", crowd, &rates) == OK);
	world_run(world);
	world_drop(&world);
	rates_done(&rates);
}

static void rates_are_read_as_they_are_written(void **state)
{
	static const struct {
		const char *text, *printed; /* NULL: refused */
	} rows[] = {
		{ "100/10m", "100/10m" },
		{ "1/s", "1/1s" },
		{ "5/60m", "5/1h" },
		{ "1000/d", "1000/1d" },
		{ "7/90s", "7/90s" },
		{ "0/1h", NULL },
		{ "5/0s", NULL },
		{ "5", NULL },
		{ "5/", NULL },
		{ "/5m", NULL },
		{ "5/5", NULL },
		{ "5/5x", NULL },
		{ "5/5m ", NULL },
		{ "5/32d", NULL },
		{ "-5/1m", NULL },
		{ "5/99999999999999999999d", NULL },
		{ "", NULL },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct rate rate;
		bool is_rate = rate_parse(str_of(rows[i].text), &rate);

		assert_true(is_rate == (rows[i].printed != NULL));
		if (is_rate)
			assert_true(str_is(rate_print(&arena, &rate), str_of(rows[i].printed)));
	}
	arena_drop(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_a_period_and_client_and_no_more),
		cmocka_unit_test(a_crowd_takes_no_more_memory_than_is_meant_for_it),
		cmocka_unit_test(rates_are_read_as_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
