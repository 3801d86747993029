/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/segments.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char folder[64];
	struct segments segments;
};

static void place_make(struct place *place)
{
	snprintf(place->folder, sizeof(place->folder), "/tmp/segments-test-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	assert_int_equal(segments_open(place->folder, &place->segments), OK);
}

static void place_reopen(struct place *place)
{
	segments_close(&place->segments);
	assert_int_equal(segments_open(place->folder, &place->segments), OK);
}

static void each_file(const struct place *place, void (*each)(const char *path))
{
	char path[400];
	DIR *folder;
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/trace", place->folder);
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/trace/%s", place->folder, entry->d_name);
		each(path);
	}
	closedir(folder);
}

static void remove_file(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void place_remove(struct place *place)
{
	char path[80];

	segments_close(&place->segments);
	each_file(place, remove_file);
	snprintf(path, sizeof(path), "%s/trace", place->folder);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(place->folder), 0);
}

/* `count` records of a role, from session `first` on. */
static struct buf records_of(unsigned role, uint64_t first, unsigned count)
{
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(64, size);
	struct trace *trace = NULL;
	struct trace_reader *reader = NULL;
	struct buf out = BUF(1 << 20);
	uint64_t lost = 0;

	trace_ring_format(ring, size, role, 0);
	assert_int_equal(trace_writer_new(ring, size, &trace), OK);
	assert_int_equal(trace_reader_new(ring, size, false, &reader), OK);
	for (unsigned i = 0; i < count; i++)
		TRACE(trace, first + i, 0, command, .verb = S("NOOP"), .line = S("NOOP and more"));
	while (trace_reader_next(reader, &out, &lost))
		continue;
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	free(ring);
	return out;
}

static struct buf records(uint64_t first, unsigned count)
{
	return records_of(0, first, count);
}

static void append_of(struct place *place, unsigned role, uint64_t first, unsigned count,
		      int64_t wall_us)
{
	struct buf octets = records_of(role, first, count);

	assert_int_equal(segments_append(&place->segments, buf_str(&octets), wall_us, UINT64_MAX),
			 OK);
	buf_drop(&octets);
}

static void append(struct place *place, uint64_t first, unsigned count, int64_t wall_us)
{
	append_of(place, 0, first, count, wall_us);
}

/* Of one role, how many records are there, and the oldest session. */
static unsigned count_of(const struct segments *segments, unsigned role, uint64_t *oldest)
{
	unsigned count = 0;

	for (size_t i = 0; i < segments->count; i++) {
		struct segment_reader reader;
		struct str record;

		assert_int_equal(segment_reader_open(segments, segments->list[i].start_us, &reader),
				 OK);
		while (segment_reader_next(&reader, &record))
			if (trace_record_head(record).role == role && !count++)
				*oldest = trace_record_head(record).session;
		assert_int_equal(reader.damaged, 0);
		segment_reader_close(&reader);
	}
	return count;
}

/* All sessions of all files in their order, counted; must be ascending. */
static unsigned read_all(const struct segments *segments, uint64_t *damaged)
{
	unsigned count = 0;
	uint64_t newest = 0;

	*damaged = 0;
	for (size_t i = 0; i < segments->count; i++) {
		struct segment_reader reader;
		struct str record;

		assert_int_equal(segment_reader_open(segments, segments->list[i].start_us, &reader),
				 OK);
		while (segment_reader_next(&reader, &record)) {
			assert_true(trace_record_head(record).session > newest);
			newest = trace_record_head(record).session;
			count++;
		}
		*damaged += reader.damaged;
		segment_reader_close(&reader);
	}
	return count;
}

static void what_is_appended_is_read_also_after_a_restart(void **state)
{
	struct place place;
	uint64_t damaged;

	(void)state;
	place_make(&place);
	append(&place, 1, 100, 1000000);
	append(&place, 101, 100, 2000000);
	assert_int_equal(place.segments.count, 1);
	place_reopen(&place);
	append(&place, 201, 7000, 3000000);
	assert_int_equal(place.segments.count, 2); /* never into a file that may be torn */
	assert_int_equal(read_all(&place.segments, &damaged), 7200);
	assert_int_equal(damaged, 0);
	place_remove(&place);
}

static void files_rotate_by_time_and_size_and_a_clock_set_back_does_not_disorder_them(void **state)
{
	struct place place;
	struct buf octets;
	uint64_t damaged;

	(void)state;
	place_make(&place);
	append(&place, 1, 10, 1000000);
	append(&place, 11, 10, 1000000 + SEGMENT_US - 1);
	assert_int_equal(place.segments.count, 1);
	append(&place, 21, 10, 1000000 + SEGMENT_US);
	assert_int_equal(place.segments.count, 2);
	/* With 1000 octets to keep a file is full at 125. */
	octets = records(31, 10);
	assert_int_equal(segments_append(&place.segments, buf_str(&octets), 5, 1000), OK);
	buf_drop(&octets);
	assert_int_equal(place.segments.count, 3);
	assert_int_equal(place.segments.list[2].start_us, 1000000 + SEGMENT_US + 1);
	assert_int_equal(read_all(&place.segments, &damaged), 40);
	assert_int_equal(segments_since(&place.segments, 999999), INT64_MIN);
	assert_int_equal(segments_since(&place.segments, 1000000), 1000000);
	assert_int_equal(segments_since(&place.segments, INT64_MAX), 1000000 + SEGMENT_US + 1);
	place_remove(&place);
}

static size_t file_count;

static void count_file(const char *path)
{
	(void)path;
	file_count++;
}

static void old_files_and_too_many_octets_are_deleted_but_never_the_file_in_use(void **state)
{
	struct place place;

	(void)state;
	place_make(&place);
	for (int i = 0; i < 5; i++)
		append(&place, 1 + (uint64_t)i * 10, 10, 1000000 + i * SEGMENT_US);
	assert_int_equal(place.segments.count, 5);
	segments_trim(&place.segments, 1000000 + 4 * SEGMENT_US, 2 * SEGMENT_US, UINT64_MAX);
	assert_int_equal(place.segments.count, 3);
	segments_trim(&place.segments, 1000000 + 4 * SEGMENT_US, 100 * SEGMENT_US,
		      2 * place.segments.list[0].octets);
	assert_int_equal(place.segments.count, 2);
	segments_trim(&place.segments, INT64_MAX, 0, 0);
	assert_int_equal(place.segments.count, 1);
	file_count = 0;
	each_file(&place, count_file);
	assert_int_equal(file_count, 1);
	/* A fresh start has no file in use: all of it may go. */
	place_reopen(&place);
	assert_int_equal(place.segments.count, 1);
	segments_trim(&place.segments, INT64_MAX, 0, 0);
	assert_int_equal(place.segments.count, 0);
	append(&place, 100, 10, 9000000);
	place_remove(&place);
}

static void write_at(const char *path, off_t at, struct str octets)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets.at, octets.len, at), octets.len);
	close(fd);
}

static void damage_head(const char *path)
{
	write_at(path, 8, S("\xff\xff\xff"));
}

static void damage_middle(const char *path)
{
	struct stat st;
	int fd;

	/* 333 octets lost in the middle, so that nothing behind lies where it should. */
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_size > 500000) {
		static char octets[1 << 20];
		ssize_t count = pread(fd, octets, sizeof(octets), 300000 + 333);

		assert_true(count > 0);
		assert_int_equal(pwrite(fd, octets, (size_t)count, 300000), count);
		assert_int_equal(ftruncate(fd, st.st_size - 333), 0);
	}
	close(fd);
}

static void tear_tail(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0);
}

static void fill_with_noise(const char *path)
{
	static char noise[100000];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (char)(seed >> 24);
	}
	write_at(path, 100000, (struct str){ noise, sizeof(noise) });
}

static void a_damaged_file_costs_what_is_damaged_and_no_more(void **state)
{
	static const struct {
		void (*damage)(const char *path);
		unsigned least, most;
	} table[] = {
		{ damage_head, 6999, 6999 },
		{ damage_middle, 6993, 6997 },
		{ tear_tail, 6999, 6999 },
		{ fill_with_noise, 5609, 5611 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct place place;
		uint64_t damaged;
		unsigned count;

		place_make(&place);
		append(&place, 1, 7000, 1000000);
		each_file(&place, table[i].damage);
		place_reopen(&place);
		count = read_all(&place.segments, &damaged);
		assert_in_range(count, table[i].least, table[i].most);
		assert_true(damaged > 0);
		place_remove(&place);
	}
}

static void foreign_files_are_left_alone(void **state)
{
	static const char *const names[] = { "trace-.trace", "trace-12x.trace", "readme", ".trace",
					     "trace-99999999999999999999.trace" };
	struct place place;
	char path[200];

	(void)state;
	place_make(&place);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "%s/trace/%s", place.folder, names[i]);
		close(open(path, O_WRONLY | O_CREAT, 0600));
	}
	snprintf(path, sizeof(path), "%s/trace/trace-0000000000000005.trace", place.folder);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	place_reopen(&place);
	assert_int_equal(place.segments.count, 0);
	segments_trim(&place.segments, INT64_MAX, 0, 0);
	file_count = 0;
	snprintf(path, sizeof(path), "%s/trace/.trace", place.folder);
	assert_int_equal(unlink(path), 0);
	each_file(&place, count_file);
	assert_int_equal(file_count, 5);
	place_remove(&place);
}

static void a_folder_that_is_gone_is_an_error_and_the_next_append_tries_again(void **state)
{
	struct place place;
	struct buf octets = records(1, 3);
	char path[200];

	(void)state;
	place_make(&place);
	snprintf(path, sizeof(path), "%s/trace", place.folder);
	assert_int_equal(rmdir(path), 0);
	assert_int_not_equal(segments_append(&place.segments, buf_str(&octets), 1, 1 << 20), OK);
	assert_int_equal(place.segments.count, 0);
	assert_int_equal(mkdir(path, 0700), 0);
	place_reopen(&place);
	assert_int_equal(segments_append(&place.segments, buf_str(&octets), 1, 1 << 20), OK);
	buf_drop(&octets);
	place_remove(&place);
}

/* Files can be made, and nothing written to them: as on a full disk. */
static void fill_disk(bool full)
{
	struct rlimit limit;

	signal(SIGXFSZ, full ? SIG_IGN : SIG_DFL);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = full ? 0 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static unsigned files_found;

static void count_one(const char *path)
{
	(void)path;
	files_found++;
}

static void a_full_disk_is_not_filled_with_empty_files(void **state)
{
	struct place place;
	struct buf octets = records(1, 3);

	(void)state;
	place_make(&place);
	fill_disk(true);
	for (int64_t i = 1; i <= 10; i++)
		assert_int_not_equal(
			segments_append(&place.segments, buf_str(&octets), i, UINT64_MAX), OK);
	fill_disk(false);
	files_found = 0;
	each_file(&place, count_one);
	assert_int_equal(files_found, 0);
	assert_int_equal(place.segments.count, 0);
	assert_int_equal(segments_append(&place.segments, buf_str(&octets), 11, UINT64_MAX), OK);
	assert_int_equal(place.segments.count, 1);
	buf_drop(&octets);
	place_remove(&place);
}

static void a_file_that_cannot_be_thinned_leaves_nothing_behind(void **state)
{
	struct place place;
	uint64_t oldest;

	(void)state;
	place_make(&place);
	append_of(&place, 2, 1, 20, 1000000);
	append_of(&place, 3, 21, 900, 1000001);
	place_reopen(&place);
	append_of(&place, 2, 1001, 20, 2000000);
	fill_disk(true);
	segments_trim(&place.segments, 2000000, 100 * SEGMENT_US, place.segments.list[1].octets);
	fill_disk(false);
	files_found = 0;
	each_file(&place, count_one);
	assert_int_equal(files_found, 1);
	assert_int_equal(count_of(&place.segments, 2, &oldest), 20);
	place_remove(&place);
}

static void without_a_folder_nothing_is_kept(void **state)
{
	struct segments segments;

	(void)state;
	assert_int_equal(segments_open(NULL, &segments), OK);
	assert_int_equal(segments_append(&segments, S("12345678"), 1, 1), OK);
	assert_int_equal(segments.count, 0);
	segments_close(&segments);
	assert_int_equal(segments_open("/nonexistent/folder", &segments), ERR_NOT_FOUND);
}

static void a_flood_from_one_role_pushes_out_its_own_history_only(void **state)
{
	struct place place;
	uint64_t damaged, oldest, keep;

	(void)state;
	place_make(&place);
	for (uint64_t i = 0; i < 10; i++) {
		append_of(&place, 2, 1 + i * 1000, 20, 1000000 + (int64_t)i * SEGMENT_US);
		append_of(&place, 3, 21 + i * 1000, 900, 1000001 + (int64_t)i * SEGMENT_US);
	}
	keep = 3 * place.segments.list[0].octets;
	for (int again = 0; again < 2; again++) {
		segments_trim(&place.segments, 1000000 + 9 * SEGMENT_US, 100 * SEGMENT_US, keep);
		assert_int_equal(count_of(&place.segments, 2, &oldest), 200);
		assert_int_equal(oldest, 1);
		assert_int_equal(count_of(&place.segments, 3, &oldest), 2 * 900);
		assert_int_equal(oldest, 21 + 8 * 1000);
		assert_int_equal(read_all(&place.segments, &damaged), 2000);
		place_reopen(&place); /* and so it stays for who did not see how it came about */
	}
	keep = place.segments.list[9].octets;
	segments_trim(&place.segments, 1000000 + 9 * SEGMENT_US, 100 * SEGMENT_US, keep);
	assert_int_equal(count_of(&place.segments, 2, &oldest), 200);
	assert_int_equal(count_of(&place.segments, 3, &oldest), 0);
	/* Who is the largest then loses his oldest; age goes by the events, not by the rewriting. */
	segments_trim(&place.segments, 1000000 + 9 * SEGMENT_US, 100 * SEGMENT_US,
		      place.segments.list[0].octets * 5);
	assert_int_equal(count_of(&place.segments, 2, &oldest), 100);
	place_reopen(&place);
	segments_trim(&place.segments, 1000000 + 8 * SEGMENT_US, 0, UINT64_MAX);
	assert_int_equal(count_of(&place.segments, 2, &oldest), 40);
	place_remove(&place);
}

/* A record that says it is another role's is made to say whose it is, and is whole after that. */
static void a_record_cannot_pass_for_another_roles(void **state)
{
	struct buf octets = records_of(3, 1, 2);
	struct str rest = buf_str(&octets);
	struct str record;
	struct trace_event event;

	(void)state;
	while (trace_record_take(&rest, &record) == OK) {
		trace_record_claim(record, 5, 1);
		assert_int_equal(trace_event_decode(record, &event), OK);
		assert_int_equal(event.head.role, 5);
		assert_int_equal(event.head.role_index, 1);
		assert_true(str_is(event.command.verb, S("NOOP")));
	}
	assert_int_equal(rest.len, 0);
	rest = buf_str(&octets);
	assert_int_equal(trace_record_take(&rest, &record), OK); /* its check holds */
	buf_drop(&octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_is_read_also_after_a_restart),
		cmocka_unit_test(
			files_rotate_by_time_and_size_and_a_clock_set_back_does_not_disorder_them),
		cmocka_unit_test(
			old_files_and_too_many_octets_are_deleted_but_never_the_file_in_use),
		cmocka_unit_test(a_flood_from_one_role_pushes_out_its_own_history_only),
		cmocka_unit_test(a_record_cannot_pass_for_another_roles),
		cmocka_unit_test(a_damaged_file_costs_what_is_damaged_and_no_more),
		cmocka_unit_test(foreign_files_are_left_alone),
		cmocka_unit_test(a_folder_that_is_gone_is_an_error_and_the_next_append_tries_again),
		cmocka_unit_test(a_full_disk_is_not_filled_with_empty_files),
		cmocka_unit_test(a_file_that_cannot_be_thinned_leaves_nothing_behind),
		cmocka_unit_test(without_a_folder_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
