/* SPDX-License-Identifier: Apache-2.0 */
#include "store/bodies.h"
#include "store/fixture.h"
#include "store/lately.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- io that fails when told ---- */

static long writes_left = -1; /* octets; -1: no bound */
static int write_errno;
static int flushes_left = -1;

static ssize_t failing_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	struct iovec first = pieces[0];

	if (writes_left < 0)
		return pwritev(fd, pieces, count, offset);
	if (writes_left == 0) {
		errno = write_errno;
		return -1;
	}
	/* A short write of what there is still room for, first piece only. */
	if (first.iov_len > (size_t)writes_left)
		first.iov_len = (size_t)writes_left;
	writes_left -= (long)first.iov_len;
	return pwritev(fd, &first, 1, offset);
}

static int failing_fdatasync(int fd)
{
	if (flushes_left == 0) {
		errno = EIO;
		return -1;
	}
	if (flushes_left > 0)
		flushes_left--;
	return fdatasync(fd);
}

static int short_fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)len;
	errno = EOPNOTSUPP;
	return -1;
}

/* What was let go: how often, and the octets. */
static unsigned advices;
static uint64_t advised_octets, advised_end;

static int noted_fadvise(int fd, off_t offset, off_t len, int advice)
{
	assert_int_equal(advice, POSIX_FADV_DONTNEED);
	assert_true((uint64_t)offset >= advised_end);
	advices++;
	advised_octets += (uint64_t)len;
	advised_end = (uint64_t)(offset + len);
	return posix_fadvise(fd, offset, len, advice);
}

static const struct io failing = {
	.pwritev = failing_pwritev,
	.fdatasync = failing_fdatasync,
	.fsync = fsync,
	.fallocate = short_fallocate,
	.fadvise = noted_fadvise,
};

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/glasspost-segment-XXXXXX");
	writes_left = -1;
	flushes_left = -1;
	advices = 0;
	advised_octets = advised_end = 0;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove_folder(folder);
	return 0;
}

static struct body_files *open_with(const struct io *io, uint64_t segment_size)
{
	struct body_files_options options = { .folder = folder,
					      .io = io,
					      .segment_size = segment_size,
					      .store = 77,
					      .durable = true };
	struct body_files *files = NULL;

	assert_int_equal(body_files_open(&options, &files), OK);
	return files;
}

static void append(struct body_files *files, uint64_t body, struct str octets, struct place *out)
{
	assert_int_equal(body_files_append(files, body, octets, out), OK);
}

/* ---- records ---- */

static void crc32c_gives_the_published_values(void **state)
{
	unsigned char ascending[32];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		ascending[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283); /* rfc3720 B.4 and its kin */
	assert_int_equal(crc32c(0, ascending, 32), 0x46DD794E);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void records_and_heads_come_back(void **state)
{
	struct record record = { 0x1122334455667788, 4711, 0xdeadbeef, RECORD_REDO };
	struct segment_head head = { 12, 13 };
	unsigned char octets[32];
	struct record record_again;
	struct segment_head head_again;

	(void)state;
	record_print(&record, octets);
	assert_true(record_parse(octets, &record_again));
	assert_memory_equal(&record, &record_again, offsetof(struct record, checksum));
	assert_int_equal(record.checksum, record_again.checksum);
	assert_int_equal(record_again.kind, RECORD_REDO);
	assert_false(segment_head_parse(octets, &head_again));
	segment_head_print(&head, octets);
	assert_true(segment_head_parse(octets, &head_again));
	assert_int_equal(head_again.number, 12);
	assert_int_equal(head_again.store, 13);
	assert_int_equal(record_span(0), 32);
	assert_int_equal(record_span(1), 40);
	assert_int_equal(record_span(8), 40);
	assert_true(record_span(UINT64_MAX) == UINT64_MAX);
	assert_true(record_span(UINT64_MAX - 33) == UINT64_MAX);
}

/* ---- an image of a segment, cut and damaged ---- */

struct image {
	unsigned char *at;
	size_t len;
};

static bool read_image(void *context, uint64_t offset, void *at, size_t len)
{
	struct image *image = context;

	if (offset > image->len || len > image->len - offset)
		return false;
	memcpy(at, image->at + offset, len);
	return true;
}

static struct image make_image(size_t *ends, size_t count)
{
	struct body_files *files = open_with(&io_real, 1 << 20);
	struct image image = { malloc(4096), 0 };
	char text[300];
	struct place place;
	char name[SEGMENT_NAME + 128];
	int fd;

	for (size_t i = 0; i < count; i++) {
		memset(text, (int)('a' + i), sizeof(text));
		append(files, i + 1, (struct str){ text, i * 37 % 300 }, &place);
		assert_int_equal(body_files_flush(files), OK);
		ends[i] = place.offset + record_span(i * 37 % 300);
		body_files_keep(files);
	}
	body_files_close(&files);
	snprintf(name, sizeof(name), "%s/00000001.seg", folder);
	fd = open(name, O_RDONLY);
	image.len = (size_t)read(fd, image.at, 4096);
	close(fd);
	return image;
}

static size_t walk_image(struct image *image, uint64_t *bodies)
{
	struct segment_walk walk = { read_image, image, SEGMENT_HEADER, image->len };
	struct record record;

	*bodies = 0;
	while (segment_walk_next(&walk, &record))
		++*bodies;
	return (size_t)walk.offset;
}

static void a_tail_torn_at_any_octet_leaves_the_records_before_it(void **state)
{
	size_t ends[8];
	struct image image = make_image(ends, COUNT_OF(ends));
	size_t whole = image.len;

	(void)state;
	assert_int_equal(whole, ends[7]);
	for (image.len = SEGMENT_HEADER; image.len <= whole; image.len++) {
		uint64_t bodies;
		size_t end = walk_image(&image, &bodies);
		size_t expected = 0;

		while (expected < 8 && ends[expected] <= image.len)
			expected++;
		assert_int_equal(bodies, expected);
		assert_int_equal(end, expected ? ends[expected - 1] : SEGMENT_HEADER);
	}
	free(image.at);
}

static void a_flipped_bit_in_any_record_is_found(void **state)
{
	size_t ends[4];
	struct image image = make_image(ends, COUNT_OF(ends));
	size_t undetected = 0;

	(void)state;
	for (size_t bit = SEGMENT_HEADER * 8; bit < image.len * 8; bit++) {
		uint64_t bodies;

		image.at[bit / 8] ^= (unsigned char)(1u << bit % 8);
		(void)walk_image(&image, &bodies);
		undetected += bodies == 4;
		image.at[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	/* Only padding may change unseen: 3, 6 and 1 octets behind bodies of 37, 74 and 111. */
	assert_int_equal(undetected, 8 * (3 + 6 + 1));
	free(image.at);
}

/* ---- the writer ---- */

static void a_forgotten_batch_is_written_over(void **state)
{
	struct body_files *files = open_with(&io_real, 1 << 20);
	struct bodies *bodies;
	struct place first, second, third;
	char text[10];

	(void)state;
	append(files, 1, S("first"), &first);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	append(files, 2, S("second, which nobody committed"), &second);
	assert_int_equal(body_files_flush(files), OK);
	body_files_forget(files);
	append(files, 2, S("third"), &third);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	assert_int_equal(second.offset, third.offset);
	assert_int_equal(bodies_open(folder, &bodies), OK);
	assert_int_equal(bodies_read(bodies, &(struct body_place){ 2, third, 5 }, 0, text, 5), OK);
	assert_memory_equal(text, "third", 5);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 1, first, 5 }), OK);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 9, first, 5 }), ERR_CORRUPT);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 1, first, 6 }), ERR_CORRUPT);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 1, { 5, 32 }, 5 }),
			 ERR_NOT_FOUND);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 1, { 0, 32 }, 5 }),
			 ERR_NOT_FOUND);
	bodies_close(&bodies);
	body_files_close(&files);
}

/* Room is taken ahead in zeros, which a record's padding is made of. */
static const struct io short_of_padding = {
	.pwritev = failing_pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.fallocate = fallocate,
	.fadvise = posix_fadvise,
};

static void a_log_record_that_failed_in_its_padding_is_taken_back(void **state)
{
	struct body_files *files = open_with(&short_of_padding, 1 << 20);
	struct image image = { malloc(4096), 4096 };
	struct place place;
	uint64_t records;
	char path[128];
	int fd;

	(void)state;
	append(files, 1, S("first"), &place);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	assert_int_equal(body_files_begin_log(files, 5), OK);
	assert_int_equal(body_files_append_log(files, S("abcde")), OK);
	writes_left = RECORD_HEADER + 5;
	write_errno = EIO;
	assert_int_equal(body_files_flush(files), ERR_IO);
	writes_left = -1;
	body_files_forget(files);
	assert_false(body_files_are_broken(files));
	snprintf(path, sizeof(path), "%s/00000001.seg", folder);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, image.at, 4096), 4096);
	close(fd);
	(void)walk_image(&image, &records);
	assert_int_equal(records, 1);
	free(image.at);
	body_files_close(&files);
}

static void a_new_file_begins_where_the_size_is_reached(void **state)
{
	struct body_files *files = open_with(&io_real, 1000);
	const struct segment_change *changes;
	char text[400] = { 0 };
	struct place place;
	size_t count;

	(void)state;
	for (uint64_t i = 1; i <= 5; i++) {
		append(files, i, (struct str){ text, 400 }, &place);
		assert_int_equal(place.segment, (i + 1) / 2);
	}
	append(files, 6, (struct str){ text, 0 }, &place);
	changes = body_files_changes(files, &count);
	assert_int_equal(count, 3);
	assert_true(changes[0].is_new && changes[1].is_new && changes[2].is_new);
	assert_int_equal(changes[1].added, 2 * record_span(400));
	assert_int_equal(body_files_flush(files), OK);
	body_files_forget(files);
	/* The file made meanwhile stays, and is new still. */
	append(files, 1, S("x"), &place);
	assert_int_equal(place.segment, 3);
	changes = body_files_changes(files, &count);
	assert_true(count == 1 && changes[0].is_new);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	body_files_close(&files);
}

static void what_lies_behind_the_committed_end_is_cut_off(void **state)
{
	struct body_files *files = open_with(&io_real, 1 << 20);
	struct place place;
	char name[100];
	struct stat stat_of;

	(void)state;
	append(files, 1, S("kept"), &place);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	append(files, 2, S("never committed"), &place);
	assert_int_equal(body_files_flush(files), OK);
	body_files_close(&files);

	files = open_with(&io_real, 1 << 20);
	assert_int_equal(body_files_resume(files, 1, 72), OK);
	snprintf(name, sizeof(name), "%s/00000001.seg", folder);
	assert_int_equal(stat(name, &stat_of), 0);
	assert_int_equal(stat_of.st_size, 72);
	append(files, 2, S("next"), &place);
	assert_int_equal(place.offset, 72);
	body_files_close(&files);

	files = open_with(&io_real, 1 << 20);
	assert_int_equal(body_files_resume(files, 1, 5000), ERR_CORRUPT);
	assert_int_equal(body_files_resume(files, 3, 50), ERR_CORRUPT);
	append(files, 3, S("goes on"), &place);
	assert_int_equal(place.segment, 4); /* no number a second time */
	body_files_close(&files);
}

static void a_full_disk_fails_the_batch_and_nothing_else(void **state)
{
	struct place place;

	(void)state;
	write_errno = ENOSPC;
	for (long room = 0; room < 200; room++) {
		struct body_files *files;

		fixture_remove_folder(folder);
		assert_int_equal(mkdir(folder, 0700), 0);
		writes_left = -1;
		files = open_with(&failing, 1 << 20);
		append(files, 1, S("kept"), &place);
		assert_int_equal(body_files_flush(files), OK);
		body_files_keep(files);
		append(files, 2, S("a body that does not fit any more on this disk"), &place);
		append(files, 3, S("and another one, of forty octets or so."), &place);
		writes_left = room;
		assert_int_equal(body_files_flush(files), room < 152 ? ERR_FULL : OK);
		writes_left = -1;
		body_files_forget(files);
		append(files, 2, S("fits"), &place);
		assert_int_equal(place.offset, 72);
		assert_int_equal(body_files_flush(files), OK);
		body_files_keep(files);
		assert_false(body_files_are_broken(files));
		body_files_close(&files);
	}
}

static void a_full_table_of_open_files_fails_the_batch_and_nothing_else(void **state)
{
	struct body_files *files = open_with(&io_real, 1 << 20);
	struct rlimit usual;
	struct place place;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 0, usual.rlim_max }), 0);
	assert_int_equal(body_files_append(files, 1, S("no file to lie in"), &place), ERR_FULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	body_files_forget(files);
	append(files, 1, S("fits"), &place);
	assert_int_equal(body_files_flush(files), OK);
	assert_false(body_files_are_broken(files));
	body_files_close(&files);
}

static void a_failed_flush_is_never_tried_again(void **state)
{
	struct body_files *files = open_with(&failing, 1 << 20);
	struct place place;

	(void)state;
	append(files, 1, S("kept"), &place);
	flushes_left = 0;
	assert_int_equal(body_files_flush(files), ERR_IO);
	assert_true(body_files_are_broken(files));
	flushes_left = -1;
	body_files_forget(files);
	assert_int_equal(body_files_append(files, 1, S("x"), &place), ERR_IO);
	assert_int_equal(body_files_flush(files), ERR_IO);
	body_files_close(&files);
}

static void keep_one(struct body_files *files, uint64_t body, struct str octets)
{
	struct place place;

	append(files, body, octets, &place);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
}

static void large_bodies_leave_the_kernel_memory_once_they_are_old(void **state)
{
	struct body_files *files = open_with(&failing, 64 << 20);
	uint64_t span = record_span(1 << 20);
	char *octets = calloc(1, 1 << 20);
	struct str small = { octets, LATELY_LARGE - 1 };
	struct str large = { octets, 1 << 20 };
	struct place place;

	(void)state;
	for (uint64_t i = 1; i <= LATELY_OCTETS / LATELY_LARGE + 2; i++)
		keep_one(files, i, small);
	assert_int_equal(advices, 0); /* small ones stay */
	body_files_close(&files);
	assert_int_equal(body_files_open(&(struct body_files_options){ folder, &failing, 64 << 20,
								       77, true },
					 &files),
			 OK);
	for (uint64_t i = 1; i <= LATELY_OCTETS / span; i++) {
		keep_one(files, i, large);
		keep_one(files, 1000 + i, small);
	}
	assert_int_equal(advices, 0); /* and large ones that came lately */
	keep_one(files, 2000, large);
	assert_int_equal(advices, 1);
	assert_int_equal(advised_octets, span);
	append(files, 2001, large, &place);
	body_files_forget(files); /* its place is given again */
	keep_one(files, 2001, large);
	body_files_close(&files);
	free(octets);
}

static void file_names_are_numbers_of_eight_digits_and_more(void **state)
{
	static const struct {
		const char *name;
		uint64_t number; /* 0: none */
	} rows[] = { { "00000001.seg", 1 },          { "12345678.seg", 12345678 },
		     { "123456789.seg", 123456789 }, { "1.seg", 0 },
		     { "000000001.seg", 0 },         { "00000000.seg", 0 },
		     { "0000000x.seg", 0 },          { ".seg", 0 },
		     { "00000001.seg~", 0 },         { "", 0 } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t number = 0;

		assert_int_equal(segment_name_parse(rows[i].name, &number), rows[i].number != 0);
		if (rows[i].number)
			assert_int_equal(number, rows[i].number);
	}
}

/* ---- a body that is copied from another file ---- */

static void a_body_is_copied_between_others_and_a_damaged_one_fails_the_batch(void **state)
{
	struct body_files *files = open_with(&io_real, 1 << 20);
	struct bodies *bodies;
	struct place places[3];
	struct body_lent lent;
	size_t len = 300001; /* more than a piece, and no multiple of anything */
	char *octets = malloc(len);

	(void)state;
	assert_non_null(octets);
	for (size_t i = 0; i < len; i++)
		octets[i] = (char)(i % 251);
	append(files, 1, (struct str){ octets, len }, &places[0]);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	assert_int_equal(bodies_open(folder, &bodies), OK);
	assert_int_equal(bodies_lend(bodies, &(struct body_place){ 1, places[0], len }, &lent), OK);

	append(files, 2, S("before"), &places[0]);
	assert_int_equal(body_files_append_from(files, &lent.source, &places[1]), OK);
	append(files, 3, S("after"), &places[2]);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 2, places[0], 6 }), OK);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 1, places[1], len }), OK);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 3, places[2], 5 }), OK);

	lent.source.record.checksum ^= 1;
	assert_int_equal(body_files_append_from(files, &lent.source, &places[1]), OK);
	assert_int_equal(body_files_flush(files), ERR_CORRUPT);
	body_files_forget(files);
	lent.source.offset += 1 << 20; /* past the end */
	assert_int_equal(body_files_append_from(files, &lent.source, &places[1]), OK);
	assert_int_equal(body_files_flush(files), ERR_CORRUPT);
	body_files_forget(files);
	append(files, 4, S("and on"), &places[0]);
	assert_int_equal(body_files_flush(files), OK);
	body_files_keep(files);
	assert_int_equal(bodies_verify(bodies, &(struct body_place){ 4, places[0], 6 }), OK);

	bodies_give_back(bodies, &lent);
	bodies_close(&bodies);
	body_files_close(&files);
	free(octets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crc32c_gives_the_published_values),
		TEST(records_and_heads_come_back),
		TEST(a_tail_torn_at_any_octet_leaves_the_records_before_it),
		TEST(a_flipped_bit_in_any_record_is_found),
		TEST(a_forgotten_batch_is_written_over),
		TEST(a_log_record_that_failed_in_its_padding_is_taken_back),
		TEST(a_new_file_begins_where_the_size_is_reached),
		TEST(what_lies_behind_the_committed_end_is_cut_off),
		TEST(a_full_disk_fails_the_batch_and_nothing_else),
		TEST(a_full_table_of_open_files_fails_the_batch_and_nothing_else),
		TEST(a_failed_flush_is_never_tried_again),
		TEST(large_bodies_leave_the_kernel_memory_once_they_are_old),
		TEST(a_body_is_copied_between_others_and_a_damaged_one_fails_the_batch),
		TEST(file_names_are_numbers_of_eight_digits_and_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
