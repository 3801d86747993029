/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lately.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

static void the_oldest_goes_first_once_too_much_is_held(void **state)
{
	struct lately lately = { 0 };
	struct span span;

	(void)state;
	lately_add(&lately, (struct span){ 100, 200 });
	lately_add(&lately, (struct span){ 300, 350 });
	assert_false(lately_take(&lately, 150, &span));
	assert_true(lately_take(&lately, 149, &span));
	assert_true(span.from == 100 && span.end == 200);
	assert_false(lately_take(&lately, 50, &span));
	assert_true(lately_take(&lately, 0, &span));
	assert_true(span.from == 300 && span.end == 350);
	assert_false(lately_take(&lately, 0, &span));
}

static void neighbours_are_one(void **state)
{
	struct lately lately = { 0 };
	struct span span;

	(void)state;
	lately_add(&lately, (struct span){ 100, 200 });
	lately_add(&lately, (struct span){ 200, 300 });
	assert_true(lately_take(&lately, 0, &span));
	assert_true(span.from == 100 && span.end == 300);
	assert_int_equal(lately.octets, 0);
}

static void more_spans_than_there_are_places_for_lose_none(void **state)
{
	struct lately lately = { 0 };
	struct span span;
	uint64_t end = 0;
	uint64_t octets = 0;

	(void)state;
	for (uint64_t i = 0; i < 3 * LATELY_SPANS; i++)
		lately_add(&lately, (struct span){ i * 10, i * 10 + 5 });
	while (lately_take(&lately, 0, &span)) {
		assert_true(span.from >= end);
		end = span.end;
		octets += span.end - span.from;
	}
	assert_int_equal(end, (3 * LATELY_SPANS - 1) * 10 + 5);
	assert_true(octets >= (uint64_t)3 * LATELY_SPANS * 5);
	assert_int_equal(lately.octets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_goes_first_once_too_much_is_held),
		cmocka_unit_test(neighbours_are_one),
		cmocka_unit_test(more_spans_than_there_are_places_for_lose_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
