/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/ring.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL = RING_HEADER + (1 << 15) };

static int64_t fake_now = 5000000;

static int64_t fake_monotonic(void)
{
	return fake_now;
}

static int64_t fake_wall(void)
{
	return fake_now + 1767225600000000;
}

static struct trace *writer_of(void *ring, size_t size)
{
	struct trace *trace = NULL;

	assert_int_equal(trace_writer_new(ring, size, &trace), OK);
	return trace;
}

static void *ring_new(size_t size)
{
	void *ring = aligned_alloc(64, size);

	must(ring);
	memset(ring, 0xee, size);
	trace_ring_format(ring, size, 3, 1);
	return ring;
}

static struct trace_reader *reader_of(const void *ring, size_t size, bool from_now)
{
	struct trace_reader *reader = NULL;

	assert_int_equal(trace_reader_new(ring, size, from_now, &reader), OK);
	return reader;
}

static void what_is_written_is_read(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf record = BUF(RECORD_MAX);
	struct trace_event event;
	uint64_t lost = 0;

	(void)state;
	trace_set_clock(fake_monotonic, fake_wall);
	assert_false(trace_reader_next(reader, &record, &lost));
	TRACE(trace, 42, TRACE_ENCRYPTED, command, .verb = S("MAIL"), .line = S("MAIL FROM:<a@b>"));
	TRACE(trace, 0, 0, reply, .code = 250, .line = S("250 OK"), .us = UINT64_MAX);
	trace_set_clock(NULL, NULL);

	assert_true(trace_reader_next(reader, &record, &lost));
	assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
	assert_int_equal(event.head.sequence, 1);
	assert_int_equal(event.head.at_us, 5000000);
	assert_int_equal(event.head.wall_us, 1767225605000000);
	assert_int_equal(event.head.session, 42);
	assert_int_equal(event.head.kind, TRACE_command);
	assert_int_equal(event.head.role, 3);
	assert_int_equal(event.head.role_index, 1);
	assert_int_equal(event.head.flags, TRACE_ENCRYPTED);
	assert_true(str_is(event.command.verb, S("MAIL")));
	assert_true(str_is(event.command.line, S("MAIL FROM:<a@b>")));
	assert_int_equal(trace_event_direction(&event), TRACE_FROM_CLIENT);

	buf_reset(&record);
	assert_true(trace_reader_next(reader, &record, &lost));
	assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
	assert_int_equal(event.reply.code, 250);
	assert_int_equal(event.reply.us, INT64_MAX); /* numbers end there */
	assert_int_equal(event.reply.verb.len, 0);
	assert_int_equal(trace_event_direction(&event), TRACE_TO_CLIENT);
	assert_false(trace_reader_next(reader, &record, &lost));
	assert_int_equal(lost, 0);

	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&record);
	free(ring);
}

static void no_writer_is_a_writer_that_does_nothing(void **state)
{
	struct trace *none = NULL;

	(void)state;
	TRACE(none, 1, 0, state, .from = S("a"), .to = S("b"));
	trace_writer_drop(&none);
}

static void records_wrap_around_the_end_of_the_ring(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf record = BUF(RECORD_MAX);
	char text[LIMIT_trace_text];
	uint64_t lost = 0;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 5000; i++) {
		struct trace_event event;
		size_t len = i * 37 % sizeof(text);

		TRACE(trace, i, 0, data, .how = { text, len }, .octets = i);
		buf_reset(&record);
		assert_true(trace_reader_next(reader, &record, &lost));
		assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
		assert_int_equal(event.data.octets, i);
		assert_true(str_is(event.data.how, ((struct str){ text, len })));
	}
	assert_int_equal(lost, 0);
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&record);
	free(ring);
}

static void a_reader_that_is_overtaken_is_told_how_many_it_lost(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *early = reader_of(ring, SMALL, false);
	struct trace_reader *late;
	struct buf record = BUF(RECORD_MAX);
	uint64_t lost = 0;
	uint64_t seen = 0;
	uint64_t late_lost = 0;

	(void)state;
	for (unsigned i = 1; i <= 10000; i++)
		TRACE(trace, 0, 0, data, .octets = i);
	while (buf_reset(&record), trace_reader_next(early, &record, &lost)) {
		struct trace_event event;

		assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
		seen++;
		assert_int_equal(event.data.octets, lost + seen);
	}
	assert_true(seen > 100);
	assert_int_equal(seen + lost, 10000);

	/* Who comes late has lost nothing: it gets the oldest that is there, or what comes from now on. */
	late = reader_of(ring, SMALL, false);
	buf_reset(&record);
	assert_true(trace_reader_next(late, &record, &late_lost));
	assert_int_equal(late_lost, 0);
	assert_int_equal(trace_record_head(buf_str(&record)).sequence, lost + 1);
	trace_reader_drop(&late);
	late = reader_of(ring, SMALL, true);
	buf_reset(&record);
	assert_false(trace_reader_next(late, &record, &late_lost));
	TRACE(trace, 0, 0, data, .octets = 1);
	assert_true(trace_reader_next(late, &record, &late_lost));
	assert_int_equal(trace_record_head(buf_str(&record)).sequence, 10001);
	assert_int_equal(late_lost, 0);

	trace_reader_drop(&late);
	trace_reader_drop(&early);
	trace_writer_drop(&trace);
	buf_drop(&record);
	free(ring);
}

static void long_texts_are_cut_and_marked(void **state)
{
	static const struct {
		const char *filler;
		size_t kept;
	} table[] = {
		{ "x", LIMIT_trace_text },
		{ "\xc3\xbc", LIMIT_trace_text },             /* 1024 is even */
		{ "\xe5\xae\x89", LIMIT_trace_text / 3 * 3 }, /* not inside a character */
		{ "\xf0\x9f\x94\x92", LIMIT_trace_text / 4 * 4 },
		{ "\x80", LIMIT_trace_text }, /* no UTF-8 at all */
	};
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf record = BUF(RECORD_MAX);
	uint64_t lost = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf text = BUF(1 << 16);
		struct trace_event event;

		while (text.len < 5000)
			buf_add_c(&text, table[i].filler);
		TRACE(trace, 1, 0, command, .verb = S("V"), .line = buf_str(&text));
		buf_reset(&record);
		assert_true(trace_reader_next(reader, &record, &lost));
		assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
		assert_int_equal(event.head.flags, TRACE_CUT);
		assert_int_equal(event.command.line.len, table[i].kept);
		assert_memory_equal(event.command.line.at, text.at, table[i].kept);
		buf_drop(&text);
	}
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&record);
	free(ring);
}

/* Fields that belong together, so that a mixture of two events is noticed. */
static void write_pattern(struct trace *trace, uint64_t number)
{
	char text[600];
	size_t len = number * 31 % sizeof(text);

	memset(text, (int)('a' + number % 26), len);
	TRACE(trace, number, 0, accept, .message = { text, len }, .octets = number,
	      .us = ~number >> 1, .subject = { text, len / 2 });
}

static bool pattern_is_sound(const struct trace_event *event)
{
	uint64_t number = event->accept.octets;
	size_t len = number * 31 % 600;

	if (event->head.kind != TRACE_accept || event->head.session != number ||
	    event->head.sequence != number || event->accept.us != ~number >> 1 ||
	    event->accept.message.len != len || event->accept.subject.len != len / 2)
		return false;
	for (size_t i = 0; i < len; i++)
		if (event->accept.message.at[i] != (char)('a' + number % 26))
			return false;
	return true;
}

struct load {
	const void *ring;
	bool done; /* by the writer, atomic */
	uint64_t seen;
	uint64_t lost;
	uint64_t wrong;
};

static void *read_under_load(void *arg)
{
	struct load *load = arg;
	struct trace_reader *reader = NULL;
	struct buf record = BUF(RECORD_MAX);
	struct trace_event event;
	bool last;

	if (trace_reader_new(load->ring, SMALL, false, &reader))
		return NULL;
	do {
		last = __atomic_load_n(&load->done, __ATOMIC_ACQUIRE);
		while (buf_reset(&record), trace_reader_next(reader, &record, &load->lost)) {
			load->seen++;
			if (trace_event_decode(buf_str(&record), &event) ||
			    !pattern_is_sound(&event))
				load->wrong++;
		}
	} while (!last);
	trace_reader_drop(&reader);
	buf_drop(&record);
	return NULL;
}

static void readers_beside_a_busy_writer_never_get_a_torn_event(void **state)
{
	const uint64_t count = 300000;
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct load loads[2] = { { .ring = ring }, { .ring = ring } };
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_under_load, &loads[i]), 0);
	for (uint64_t i = 1; i <= count; i++)
		write_pattern(trace, i);
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&loads[i].done, true, __ATOMIC_RELEASE);
		pthread_join(threads[i], NULL);
		assert_int_equal(loads[i].wrong, 0);
		assert_true(loads[i].seen > 0);
		/* A reader that gave up 16 times starts at the head: what came before counts later. */
		assert_true(loads[i].seen + loads[i].lost <= count);
	}
	trace_writer_drop(&trace);
	free(ring);
}

static void a_ring_mapped_read_only_can_be_read(void **state)
{
	size_t size = trace_ring_size();
	int fd = memfd_create("ring", MFD_CLOEXEC);
	void *ours;
	void *theirs;
	struct trace *trace;
	struct trace_reader *reader;
	struct buf record = BUF(RECORD_MAX);
	uint64_t lost = 0;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	ours = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	theirs = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(ours != MAP_FAILED && theirs != MAP_FAILED);
	trace_ring_format(ours, size, 1, 0);
	trace = writer_of(ours, size);
	reader = reader_of(theirs, size, false);
	write_pattern(trace, 1);
	assert_true(trace_reader_next(reader, &record, &lost));
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	munmap(ours, size);
	munmap(theirs, size);
	close(fd);
	buf_drop(&record);
}

static void a_restarted_writer_goes_on_where_the_last_one_ended(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf record = BUF(RECORD_MAX);
	uint64_t lost = 0;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		struct trace *trace = writer_of(ring, SMALL);

		write_pattern(trace, i);
		trace_writer_drop(&trace);
		buf_reset(&record);
		assert_true(trace_reader_next(reader, &record, &lost));
		assert_int_equal(trace_record_head(buf_str(&record)).sequence, i);
	}
	assert_int_equal(lost, 0);
	trace_reader_drop(&reader);
	buf_drop(&record);
	free(ring);
}

static void a_ring_of_the_wrong_shape_is_refused(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace_reader *reader = NULL;
	struct trace *trace = NULL;

	(void)state;
	assert_int_equal(trace_reader_new(ring, SMALL - 8, false, &reader), ERR_CORRUPT);
	assert_int_equal(trace_reader_new(ring, 100, false, &reader), ERR_CORRUPT);
	assert_int_equal(trace_writer_new(ring, SMALL - 8, &trace), ERR_CORRUPT);
	((char *)ring)[0] ^= 1;
	assert_int_equal(trace_reader_new(ring, SMALL, false, &reader), ERR_CORRUPT);
	assert_int_equal(trace_writer_new(ring, SMALL, &trace), ERR_CORRUPT);
	free(ring);
}

static void a_damaged_file_costs_only_the_records_that_are_damaged(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf file = BUF(1 << 16);
	struct str octets;
	struct str record;
	uint64_t lost = 0;
	size_t third = 0;
	unsigned taken = 0;
	unsigned corrupt = 0;
	enum err err;

	(void)state;
	for (uint64_t i = 1; i <= 5; i++) {
		if (i == 3)
			third = file.len;
		write_pattern(trace, i);
		assert_true(trace_reader_next(reader, &file, &lost));
	}
	file.at[third + 60] ^= 4;
	octets = (struct str){ file.at, file.len - 5 }; /* and a torn tail */
	while ((err = trace_record_take(&octets, &record)) != ERR_CLOSED) {
		if (err) {
			corrupt++;
			trace_record_resync(&octets);
			continue;
		}
		taken++;
		assert_true(trace_record_head(record).sequence != 3);
	}
	assert_int_equal(taken, 3);
	assert_int_equal(corrupt, 2);
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&file);
	free(ring);
}

/* Changes one octet after the other and sets the check right: every outcome but a crash is fine. */
static void any_octet_of_a_record_may_be_wrong(void **state)
{
	void *ring = ring_new(SMALL);
	struct trace *trace = writer_of(ring, SMALL);
	struct trace_reader *reader = reader_of(ring, SMALL, false);
	struct buf record = BUF(RECORD_MAX);
	struct buf json = BUF(1 << 16);
	struct trace_event event;
	uint64_t lost = 0;
	unsigned refused = 0;

	(void)state;
	TRACE(trace, 1, 0, close, .reason = S("quit"), .commands = 6, .us = 1 << 20,
	      .peer = S("::1"));
	assert_true(trace_reader_next(reader, &record, &lost));
	for (size_t i = 0; i < record.len * 256; i++) {
		char was = record.at[i / 256];
		uint32_t check;

		record.at[i / 256] = (char)(i % 256);
		if (i / 256 >= 8) {
			check = htole32(record_checksum(buf_str(&record)));
			memcpy(record.at + 4, &check, 4);
		}
		if (trace_event_decode(buf_str(&record), &event)) {
			refused++;
		} else {
			buf_reset(&json);
			assert_int_equal(trace_event_json(&event, &json), OK);
		}
		record.at[i / 256] = was;
	}
	assert_true(refused > 500);
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&record);
	buf_drop(&json);
	free(ring);
}

static void a_kind_from_the_future_is_known_by_its_head(void **state)
{
	struct record_head head = { .size = htole32(RECORD_HEAD),
				    .sequence = htole64(9),
				    .kind = htole16(999) };
	struct str record = { (const char *)&head, sizeof(head) };
	struct trace_event event;

	(void)state;
	head.check = htole32(record_checksum(record));
	assert_int_equal(trace_event_decode(record, &event), ERR_UNSUPPORTED);
	assert_int_equal(event.head.sequence, 9);
	assert_string_equal(trace_kind_name(999), "unknown");
	assert_string_equal(trace_kind_name(TRACE_fetch), "fetch");
}

static void a_record_from_the_past_has_empty_new_fields(void **state)
{
	/* Only the first of reply's fields, its code: 220 as a varint. */
	struct {
		struct record_head head;
		char body[8];
	} old = { { .size = htole32(56), .kind = htole16(TRACE_reply), .padding = 6 },
		  { (char)0xdc, 0x01 } };
	struct str record = { (const char *)&old, sizeof(old) };
	struct trace_event event;

	(void)state;
	old.head.check = htole32(record_checksum(record));
	assert_int_equal(trace_event_decode(record, &event), OK);
	assert_int_equal(event.reply.code, 220);
	assert_int_equal(event.reply.line.len, 0);
}

static void the_json_line_is_json_with_the_promised_members(void **state)
{
	struct trace_event event = {
		.head = { .sequence = 7,
			  .at_us = 12,
			  .wall_us = 1767225600000001,
			  .session = 1,
			  .kind = TRACE_command,
			  .role = 200,
			  .flags = TRACE_MASKED },
		.command = { S("AUTH"), S("AUTH \"\\\x01\xff\xc3\xbc") },
	};
	struct buf out = BUF(1 << 16);
	json_error_t error;
	json_t *json;
	char session[ID_TEXT + 1];

	(void)state;
	assert_int_equal(trace_event_json(&event, &out), OK);
	json = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(json);
	id_print(1, session);
	assert_int_equal(json_integer_value(json_object_get(json, "v")), 1);
	assert_string_equal(json_string_value(json_object_get(json, "session")), session);
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-01-01T00:00:00.000001Z");
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "command");
	assert_string_equal(json_string_value(json_object_get(json, "direction")), "from-client");
	assert_true(json_is_true(json_object_get(json, "masked")));
	assert_true(json_is_false(json_object_get(json, "cut")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "fields"), "line")),
		"AUTH \"\\\x01\xef\xbf\xbd\xc3\xbc");
	json_decref(json);
	buf_drop(&out);
}

static void impossible_times_are_drawn_to_the_edges_of_the_calendar(void **state)
{
	static const struct {
		int64_t wall_us;
		const char *time;
	} table[] = {
		{ INT64_MIN, "0001-01-01T00:00:00.000000Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999999Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ 0, "1970-01-01T00:00:00.000000Z" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct trace_event event = { .head = { .wall_us = table[i].wall_us,
						       .kind = TRACE_state } };
		struct buf out = BUF(4096);
		json_t *json;

		assert_int_equal(trace_event_json(&event, &out), OK);
		json = json_loadb(out.at, out.len, 0, NULL);
		assert_string_equal(json_string_value(json_object_get(json, "time")),
				    table[i].time);
		assert_true(json_is_null(json_object_get(json, "session")));
		json_decref(json);
		buf_drop(&out);
	}
}

static void the_schema_is_json_and_names_every_kind(void **state)
{
	struct buf out = BUF(1 << 20);
	json_t *json;

	(void)state;
	assert_int_equal(trace_schema_json(&out), OK);
	json = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "allOf")), trace_kind_count);
	json_decref(json);
	buf_drop(&out);
}

static void roles_are_named_by_whoever_knows_their_names(void **state)
{
	static const char *const names[] = { "supervisor", NULL, "store" };

	(void)state;
	assert_string_equal(trace_role_name(2), "role-2");
	trace_set_role_names(names, 3);
	assert_string_equal(trace_role_name(2), "store");
	assert_string_equal(trace_role_name(1), "role-1");
	assert_string_equal(trace_role_name(77), "role-unknown");
	trace_set_role_names(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(no_writer_is_a_writer_that_does_nothing),
		cmocka_unit_test(records_wrap_around_the_end_of_the_ring),
		cmocka_unit_test(a_reader_that_is_overtaken_is_told_how_many_it_lost),
		cmocka_unit_test(long_texts_are_cut_and_marked),
		cmocka_unit_test(readers_beside_a_busy_writer_never_get_a_torn_event),
		cmocka_unit_test(a_ring_mapped_read_only_can_be_read),
		cmocka_unit_test(a_restarted_writer_goes_on_where_the_last_one_ended),
		cmocka_unit_test(a_ring_of_the_wrong_shape_is_refused),
		cmocka_unit_test(a_damaged_file_costs_only_the_records_that_are_damaged),
		cmocka_unit_test(any_octet_of_a_record_may_be_wrong),
		cmocka_unit_test(a_kind_from_the_future_is_known_by_its_head),
		cmocka_unit_test(a_record_from_the_past_has_empty_new_fields),
		cmocka_unit_test(the_json_line_is_json_with_the_promised_members),
		cmocka_unit_test(impossible_times_are_drawn_to_the_edges_of_the_calendar),
		cmocka_unit_test(the_schema_is_json_and_names_every_kind),
		cmocka_unit_test(roles_are_named_by_whoever_knows_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
