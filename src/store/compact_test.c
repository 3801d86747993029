/* SPDX-License-Identifier: Apache-2.0 */
#include "store/compact.h"
#include "store/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANNA "anna@example.org"

enum { MESSAGES = 120, SIZE = 39000 };

static struct str body_of_id(struct arena *arena, uint64_t id)
{
	char *at = arena_take(arena, SIZE);

	for (size_t i = 0; i < SIZE; i++)
		at[i] = (char)('a' + (i * 13 + id * 7) % 26);
	return (struct str){ at, SIZE };
}

static void fill_more(struct fixture *f, uint64_t first) WAITS
{
	for (uint64_t id = first; id < first + MESSAGES; id++) {
		struct arena arena = { 0 };
		struct handover h = { .message = id,
				      .to = { ANNA },
				      .body = body_of_id(&arena, id) };
		uint64_t out[8];

		CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE);
		arena_drop(&arena);
	}
}

static void fill(struct fixture *f) WAITS
{
	add_account(f, ANNA, NULL, -1);
	fill_more(f, 1);
}

enum { KEEP_NONE = MESSAGES + 1 };

/* Of anna's messages as they are now, those from `first` up to `end`, but for every nth. */
static void delete_range(struct fixture *f, uint64_t first, uint64_t end, uint64_t nth) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	struct answer_maildrop_delete deleted = { 0 };
	struct ask_maildrop_open ask = { .account = sign_in_as(f, ANNA) };
	uint64_t indexes[MESSAGES];
	size_t count = 0;

	CHECK(store_maildrop_open(f->peer, &ask, &drop) == OK);
	for (uint64_t i = first; i < end && i < drop.count; i++)
		if (i % nth != nth - 1)
			indexes[count++] = i;
	CHECK(store_maildrop_delete(f->peer,
				    &(struct ask_maildrop_delete){ .drop = drop.drop,
								   .indexes = { indexes, count } },
				    &deleted) == OK);
	CHECK(deleted.deleted == count);
	CHECK(store_maildrop_close(f->peer, &(struct ask_maildrop_close){ .drop = drop.drop }) ==
	      OK);
}

static void delete_all(struct fixture *f) WAITS
{
	delete_range(f, 0, MESSAGES, KEEP_NONE);
}

static void thin_out(struct fixture *f) WAITS
{
	delete_range(f, 0, MESSAGES, 4);
}

static size_t count_files(struct fixture *f)
{
	DIR *dir = opendir(f->store->body_folder);
	struct dirent *entry;
	uint64_t number;
	size_t count = 0;

	while ((entry = readdir(dir)))
		count += segment_name_parse(entry->d_name, &number);
	closedir(dir);
	return count;
}

static bool is_right(struct str text, uint64_t id)
{
	struct arena arena = { 0 };
	bool result = str_is(str_from(text, 33), body_of_id(&arena, id));

	arena_drop(&arena);
	return result;
}

struct reading {
	struct fixture *f;
	uint64_t drop;
	bool stop;
	size_t reads;
};

static void read_one(struct reading *r, uint64_t index) WAITS
{
	struct buf text = BUF(SIZE + 1000);

	for (uint64_t offset = 0; offset < SIZE + 33;) {
		struct arena arena = { 0 };
		struct answer_maildrop_read answer = { 0 };
		struct ask_maildrop_read ask = {
			.drop = r->drop, .index = index, .offset = offset, .length = 9000
		};
		enum err err = store_maildrop_read(r->f->peer, &ask, &arena, &answer);

		CHECK(err == OK);
		if (err) {
			r->stop = true; /* this would fail for ever */
			break;
		}
		buf_add(&text, answer.octets.octets);
		offset += answer.octets.octets.len;
		arena_drop(&arena);
	}
	CHECK(is_right(buf_str(&text), (index + 1) * 4));
	buf_drop(&text);
	r->reads++;
}

static void keep_reading(void *arg) WAITS
{
	struct reading *r = arg;

	while (!r->stop)
		for (uint64_t i = 0; i < MESSAGES / 4; i++)
			read_one(r, i);
}

static void under_reads(struct fixture *f) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	struct compact_result result = { 0 };
	struct reading reading = { .f = f };
	struct fiber_group group;
	size_t before;

	fill(f);
	thin_out(f);
	before = count_files(f);
	CHECK(store_maildrop_open(f->peer,
				  &(struct ask_maildrop_open){ .account = sign_in_as(f, ANNA) },
				  &drop) == OK);
	CHECK(drop.count == MESSAGES / 4);
	reading.drop = drop.drop;
	group_init(&group);
	CHECK(fiber_spawn(&group, "reader", keep_reading, &reading, NULL) == OK);
	CHECK(store_compact(f->store, false, &result) == OK);
	reading.stop = true;
	CHECK(group_wait(&group, NEVER) == OK);
	CHECK(reading.reads > 0);
	CHECK(before == 5 && result.segments == 4 && result.bodies > 20);
	CHECK(count_files(f) == 2);
	CHECK(complaints(f) == 0);
	CHECK(store_compact(f->store, false, &result) == OK && result.segments == 0);
	fixture_reopen(f);
	CHECK(complaints(f) == 0);
}

static void segments_that_are_mostly_dead_go_while_mail_is_being_read(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = under_reads, .config_text = "segment_size = 1M\n" });
}

static void keep_up(void *store) WAITS
{
	store_upkeep(store);
}

static void beside_a_check(struct fixture *f) WAITS
{
	struct fiber_group group;
	size_t before;

	fill(f);
	before = count_files(f);
	group_init(&group);
	CHECK(fiber_spawn(&group, "upkeep", keep_up, f->store, NULL) == OK);
	CHECK(fiber_yield() == OK);
	f->store->checking = true;
	thin_out(f);
	CHECK(fiber_sleep(in_ms(60000)) == OK);
	CHECK(count_files(f) == before);
	f->store->checking = false;
	/* Nothing is committed any more: it has not given up. */
	CHECK(fiber_sleep(in_ms(60000)) == OK);
	CHECK(count_files(f) < before);
	group_stop(&group);
	group_wait_through(&group);
}

static void a_check_that_takes_long_keeps_segments_for_a_while_only(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = beside_a_check, .config_text = "segment_size = 1M\n", .simulated = true });
}

static void during_a_compaction(struct fixture *f) WAITS
{
	struct fiber_group group;

	fill(f);
	group_init(&group);
	CHECK(fiber_spawn(&group, "upkeep", keep_up, f->store, NULL) == OK);
	CHECK(fiber_yield() == OK);
	/* The second of the five files is mostly dead, and the others are whole. */
	delete_range(f, 27, 50, KEEP_NONE);
	while (!f->store->compacting)
		CHECK(fiber_sleep(in_ms(1)) == OK);
	delete_all(f);
	CHECK(f->store->compacting);
	CHECK(fiber_sleep(in_ms(60000)) == OK);
	CHECK(count_files(f) == 1);
	group_stop(&group);
	group_wait_through(&group);
}

static void what_is_deleted_during_a_compaction_is_compacted_after_it(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = during_a_compaction,
				       .config_text = "segment_size = 1M\n",
				       .simulated = true });
}

enum { LARGE = (64 << 20) + 4711 };

static struct str large_body(struct arena *arena)
{
	char *at = arena_take(arena, LARGE);

	for (size_t i = 0; i < LARGE; i++)
		at[i] = (char)('a' + (i * 13 + i / 4099) % 26);
	return (struct str){ at, LARGE };
}

static bool is_large_body(struct fixture *f, struct str wanted) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	struct ask_maildrop_open ask = { .account = sign_in_as(f, ANNA) };
	uint64_t at = 33; /* Return-Path is in front */
	bool same = store_maildrop_open(f->peer, &ask, &drop) == OK && drop.count == 1;

	while (same && at < 33 + LARGE) {
		struct arena arena = { 0 };
		struct answer_maildrop_read answer = { 0 };
		struct str octets;

		same = store_maildrop_read(
			       f->peer,
			       &(struct ask_maildrop_read){ .drop = drop.drop,
							    .offset = at,
							    .length = LIMIT_maildrop_piece },
			       &arena, &answer) == OK;
		octets = answer.octets.octets;
		same = same && octets.len &&
		       str_is(octets, str_first(str_from(wanted, at - 33), octets.len));
		at += octets.len;
		arena_drop(&arena);
	}
	return same;
}

static void large(struct fixture *f) WAITS
{
	struct compact_result result = { 0 };
	struct arena arena = { 0 };
	struct handover h = { .message = 2, .to = { ANNA }, .body = large_body(&arena) };
	/* So much that it begins a file of its own. */
	struct handover next = { .message = 3,
				 .to = { ANNA },
				 .body = str_first(h.body, 20 << 20) };
	uint64_t out[8];

	add_account(f, ANNA, NULL, -1);
	CHECK(hand_one(f, 1, ANNA, "Subject: x\r\n\r\nx\r\n") == DELIVERY_DONE);
	CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE);
	CHECK(hand_over(f, &next, out) == OK && out[0] == DELIVERY_DONE);
	delete_range(f, 0, 1, KEEP_NONE);
	delete_range(f, 1, 2, KEEP_NONE);
	CHECK(store_compact(f->store, true, &result) == OK);
	CHECK(result.bodies == 1 && result.segments == 1);
	CHECK(is_large_body(f, h.body));
	CHECK(complaints(f) == 0);
	fixture_reopen(f);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void a_body_of_any_size_is_moved(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = large, .config_text = "message_size_max = 100M\nsegment_size = 80M\n" });
}

static bool read_file(void *context, uint64_t offset, void *at, size_t len)
{
	return pread(fileno(context), at, len, (off_t)offset) == (ssize_t)len;
}

/* Where the body's octets are in the file; 0: not there. */
static uint64_t offset_of(FILE *file, uint64_t body)
{
	struct segment_walk walk = { read_file, file, SEGMENT_HEADER, UINT64_MAX };
	struct record record;

	while (segment_walk_next(&walk, &record))
		if (record.kind == RECORD_BODY && record.body == body)
			return walk.offset - record_span(record.length) + RECORD_HEADER;
	return 0;
}

static void damaged(struct fixture *f) WAITS
{
	struct compact_result result = { 0 };
	struct arena arena = { 0 };
	char path[400];
	FILE *file;

	fill(f);
	thin_out(f);
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	file = fopen(path, "r+");
	CHECK(fseek(file, (long)offset_of(file, 4) + 500, SEEK_SET) == 0);
	CHECK(fputc('?', file) == '?');
	CHECK(fclose(file) == 0);
	/* A fresh checksum over damaged octets would hide the damage. */
	CHECK(store_compact(f->store, true, &result) == OK && result.segments == 3);
	CHECK(access(path, F_OK) == 0);
	CHECK(complaints(f) == 1);
	arena_drop(&arena);
}

static void a_damaged_body_stays_where_it_is(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = damaged, .config_text = "segment_size = 1M\n" });
}

static void without_a_file(struct fixture *f) WAITS
{
	struct compact_result result = { 0 };
	char path[400];

	fill(f);
	thin_out(f);
	fixture_reopen(f); /* so that no file is open from before */
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	CHECK(unlink(path) == 0);
	CHECK(store_compact(f->store, false, &result) == OK && result.segments == 3);
}

static void a_body_file_that_is_missing_keeps_no_other_from_being_compacted(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = without_a_file, .config_text = "segment_size = 1M\n" });
}

static void never_at_rest(struct fixture *f) WAITS
{
	struct fiber_group group;
	size_t before;

	fill(f);
	thin_out(f);
	before = count_files(f);
	group_init(&group);
	CHECK(fiber_spawn(&group, "upkeep", store_upkeep, f->store, NULL) == OK);
	for (uint64_t second = 0; second < 1200; second++) {
		CHECK(hand_one(f, 10000 + second, ANNA, "Subject: x\r\n\r\nx\r\n") ==
		      DELIVERY_DONE);
		CHECK(fiber_sleep(in_ms(1000)) == OK);
	}
	CHECK(before == 5 && count_files(f) == 2);
	group_stop(&group);
	group_wait_through(&group);
}

static void a_store_that_never_rests_is_compacted_too(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = never_at_rest,
				       .config_text = "segment_size = 1M\ndurable = no\n",
				       .simulated = true });
}

static void leftovers(struct fixture *f) WAITS
{
	unsigned char octets[SEGMENT_HEADER];
	char path[400];
	FILE *file;

	fill(f);
	snprintf(path, sizeof(path), "%s/bodies/00000009.seg", f->folder);
	file = fopen(path, "w"); /* as of a commit that a crash cut short */
	CHECK(file && fclose(file) == 0);
	fixture_reopen(f);
	CHECK(access(path, F_OK) != 0);
	fill_more(f, MESSAGES + 1);
	CHECK(complaints(f) == 0);
	/* One of another store is a person's doing. */
	segment_head_print(&(struct segment_head){ 999, f->store->id + 1 }, octets);
	snprintf(path, sizeof(path), "%s/bodies/00000999.seg", f->folder);
	file = fopen(path, "w");
	CHECK(file && fwrite(octets, sizeof(octets), 1, file) == 1 && fclose(file) == 0);
	fixture_reopen(f);
	CHECK(access(path, F_OK) == 0);
}

static void files_that_no_row_knows_are_removed_at_the_start_if_they_are_ours(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = leftovers, .config_text = "segment_size = 1M\n" });
}

static int removals_that_fail;

static int failing_unlink(const char *path)
{
	if (removals_that_fail == 0)
		return unlink(path);
	removals_that_fail--;
	errno = EIO;
	return -1;
}

static const struct io failing_io = {
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.fallocate = fallocate,
	.fadvise = posix_fadvise,
	.unlink = failing_unlink,
};

static void removal_fails(struct fixture *f) WAITS
{
	struct compact_result result = { 0 };

	fill(f);
	thin_out(f);
	removals_that_fail = 1;
	CHECK(store_compact(f->store, false, &result) == ERR_IO && result.segments == 0);
	CHECK(count_files(f) >= 5);
	CHECK(complaints(f) == 0);
	CHECK(store_compact(f->store, false, &result) == OK && result.segments == 4);
	CHECK(count_files(f) == 2);
	CHECK(complaints(f) == 0);
}

static void a_removal_that_failed_is_made_up_for_by_the_next_compaction(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = removal_fails, .io = &failing_io, .config_text = "segment_size = 1M\n" });
}

static void cut_short(struct fixture *f) WAITS
{
	struct compact_result result = { 0 };
	char path[400];

	fill(f);
	delete_all(f);
	snprintf(path, sizeof(path), "%s/bodies/00000002.seg", f->folder);
	CHECK(unlink(path) == 0);
	fixture_reopen(f);
	CHECK(complaints(f) == 0);
	CHECK(store_compact(f->store, false, &result) == OK && result.segments == 4);
	CHECK(count_files(f) == 1);
	CHECK(complaints(f) == 0);
}

static void a_crash_between_the_removal_of_a_file_and_of_its_row_is_no_damage(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = cut_short, .config_text = "segment_size = 1M\n" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_that_are_mostly_dead_go_while_mail_is_being_read),
		cmocka_unit_test(a_check_that_takes_long_keeps_segments_for_a_while_only),
		cmocka_unit_test(what_is_deleted_during_a_compaction_is_compacted_after_it),
		cmocka_unit_test(a_body_of_any_size_is_moved),
		cmocka_unit_test(a_damaged_body_stays_where_it_is),
		cmocka_unit_test(a_body_file_that_is_missing_keeps_no_other_from_being_compacted),
		cmocka_unit_test(a_store_that_never_rests_is_compacted_too),
		cmocka_unit_test(files_that_no_row_knows_are_removed_at_the_start_if_they_are_ours),
		cmocka_unit_test(a_removal_that_failed_is_made_up_for_by_the_next_compaction),
		cmocka_unit_test(a_crash_between_the_removal_of_a_file_and_of_its_row_is_no_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
