/* SPDX-License-Identifier: Apache-2.0 */
/* What the store tells as server-sent events, and what is read from them again. */
#include "trace/trace.h"
#include "web/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void is_text(const struct buf *out, const char *text)
{
	assert_int_equal(out->len, strlen(text));
	assert_memory_equal(out->at, text, out->len);
}

static void a_row_with_a_cursor_is_an_event_with_an_id(void **state)
{
	OWNED(buf) struct buf out = BUF(1000);
	uint64_t events;

	(void)state;
	assert_int_equal(
		event_print(&out, S("{\"cursor\":\"5-1-0-7\",\"event\":{\"a\":1}}"), &events),
		EVENT_TRACE);
	assert_int_equal(events, 1);
	is_text(&out, "event: trace\nid: 5-1-0-7\ndata: {\"a\":1}\n\n");
}

static void what_was_lost_is_told_with_its_number_or_without(void **state)
{
	OWNED(buf) struct buf out = BUF(1000);
	uint64_t events;

	(void)state;
	assert_int_equal(event_print(&out, S("{\"lost\":12}"), &events), EVENT_LOST);
	assert_int_equal(events, 12);
	assert_int_equal(event_print(&out, S("{\"lost\":null}"), &events), EVENT_LOST);
	assert_int_equal(events, 0);
	is_text(&out,
		"event: lost\ndata: {\"events\":12}\n\nevent: lost\ndata: {\"events\":null}\n\n");
	assert_int_equal(event_print(&out, S("{\"cursor\":\"5-1-0-7\"}"), &events), EVENT_NONE);
	assert_int_equal(event_print(&out, S(""), &events), EVENT_NONE);
}

static void events_are_taken_off_a_text_with_their_ids(void **state)
{
	struct str text =
		S("event: trace\nid: 5-1-0-7\ndata: 1\n\nevent: lost\ndata: 2\n\nevent: tr");
	struct event_place place;
	struct str event;

	(void)state;
	assert_true(event_take(&text, &event));
	assert_true(event_place(event_id(event), &place));
	assert_true(str_is(place.ring, S("-1-0")));
	assert_int_equal(place.wall_us, 5);
	assert_int_equal(place.sequence, 7);
	assert_true(event_take(&text, &event));
	assert_int_equal(event_id(event).len, 0);
	assert_false(event_take(&text, &event));
	assert_false(event_place(S("5-7"), &place));
	assert_false(event_place(S("-"), &place));
	assert_false(event_place(S(""), &place));
}

/* Of the smallest kind: what the store's recorder wrote of one. */
static struct str recorded(struct buf *out)
{
	struct trace_reader *reader;
	struct trace *trace;
	uint64_t lost = 0;
	void *ring = calloc(1, trace_ring_size());

	must(ring);
	trace_ring_format(ring, trace_ring_size(), 1, 0);
	must(!trace_reader_new(ring, trace_ring_size(), false, &reader));
	must(!trace_writer_new(ring, trace_ring_size(), &trace));
	TRACE(trace, 77, 0, command, .verb = S("NOOP"), .line = S("NOOP"));
	must(trace_reader_next(reader, out, &lost));
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	free(ring);
	return buf_str(out);
}

static void a_record_is_an_event_where_there_is_room(void **state)
{
	OWNED(buf) struct buf record = BUF(TRACE_RECORD_MAX);
	OWNED(buf) struct buf row = BUF(TRACE_RECORD_MAX * 2);
	OWNED(buf) struct buf out = BUF(4000);
	OWNED(buf) struct buf small = BUF(40);
	struct arena arena = { 0 };
	struct str records;

	(void)state;
	(void)recorded(&record);
	buf_add(&row, S("{\"records\":\""));
	base64_add(&row, buf_str(&record));
	buf_add(&row, S("\"}"));
	assert_true(event_records(&arena, buf_str(&row), &records));
	assert_true(str_is(records, buf_str(&record)));
	assert_int_equal(event_print_record(&out, records), OK);
	assert_true(str_starts(buf_str(&out), S("event: trace\nid: ")));
	assert_true(str_find_str(buf_str(&out), S("\"verb\":\"NOOP\"")) != STR_NONE);
	assert_int_equal(event_print_record(&small, records), ERR_LIMIT);
	assert_int_equal(small.len, 0);
	assert_false(small.failed);
	assert_false(event_records(&arena, S("{\"records\":\"!\"}"), &records));
	assert_false(event_records(&arena, S("{\"records\":\""), &records));
	assert_int_not_equal(event_print_record(&out, S("no record")), OK);
	arena_drop(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_with_a_cursor_is_an_event_with_an_id),
		cmocka_unit_test(what_was_lost_is_told_with_its_number_or_without),
		cmocka_unit_test(events_are_taken_off_a_text_with_their_ids),
		cmocka_unit_test(a_record_is_an_event_where_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
