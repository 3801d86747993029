/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void an_event_is_read_back_from_its_line_as_it_was_written(void **state)
{
	struct trace_event event = { .head = { .sequence = 9,
					       .at_us = 5,
					       .wall_us = WALL_US,
					       .session = 77,
					       .kind = TRACE_close,
					       .flags = TRACE_CUT | TRACE_ENCRYPTED },
				     .close = { S("quit"), S("anna"), 6, 1, 2, 3, 4, 5, S("peer"),
						S("smtp"), 7 } };
	json_t *row = row_of(&event);
	struct arena arena = { 0 };
	struct watched read;

	(void)state;
	assert_true(watched_read(&arena, row, &read));
	assert_int_equal(read.event.head.kind, TRACE_close);
	assert_int_equal(read.event.head.session, 77);
	assert_int_equal(read.event.head.flags, TRACE_CUT | TRACE_ENCRYPTED);
	assert_true(str_is(read.event.close.reason, S("quit")));
	assert_true(str_is(read.event.close.peer, S("peer")));
	assert_int_equal(read.event.close.octets_out, 4);
	assert_int_equal(read.event.close.unsent, 7);
	json_decref(row);
	arena_drop(&arena);
}

static void what_is_no_event_is_passed_over(void **state)
{
	static const char *const lines[] = { "{}",
					     "[]",
					     "{\"kind\":\"command\"}",
					     "{\"kind\":\"new thing\",\"fields\":{}}",
					     "{\"kind\":7,\"fields\":{}}",
					     "{\"lost\":4}" };
	struct arena arena = { 0 };
	struct film film;

	(void)state;
	film_init(&film, 77);
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		json_t *row = json_loads(lines[i], 0, NULL);
		struct watched read;

		assert_non_null(row);
		assert_false(watched_read(&arena, row, &read));
		assert_false(film_add(&film, row));
		json_decref(row);
	}
	film_done(&film);
	arena_drop(&arena);
}

static void the_list_is_bounded(void **state)
{
	struct seen_list list = { 0 };

	(void)state;
	for (uint64_t i = 1; i <= SESSIONS_MAX + 100; i++) {
		struct trace_event event = {
			.head = { .kind = TRACE_connect, .session = i, .wall_us = (int64_t)i }
		};

		seen_note(&list, &event);
	}
	assert_int_equal(list.count, SESSIONS_MAX);
	assert_null(seen_find(&list, 100));
	assert_non_null(seen_find(&list, SESSIONS_MAX + 100));
	seen_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_read_back_from_its_line_as_it_was_written),
		cmocka_unit_test(what_is_no_event_is_passed_over),
		cmocka_unit_test(the_list_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
