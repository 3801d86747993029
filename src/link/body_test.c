/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void fill(char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (char)(i * 31 + i / 251);
}

static void test_a_small_body_stays_inline(void **state)
{
	static char octets[LIMIT_link_inline_body];
	struct body body = body_of((struct str){ octets, sizeof(octets) });
	struct str view;

	(void)state;
	assert_int_equal(body.fd, -1);
	assert_int_equal(body.size, sizeof(octets));
	assert_int_equal(body_map(&body, &view), OK);
	assert_ptr_equal(view.at, octets);
	body_unmap(&body, view);
	body_done(&body);
	assert_int_equal(body.size, 0);
}

static void test_a_large_body_is_a_memfd_that_nobody_can_change(void **state)
{
	size_t len = 300000;
	char *octets = malloc(len);
	struct body body;
	struct str view;

	(void)state;
	fill(octets, len);
	body = body_of((struct str){ octets, len });
	assert_true(body.fd >= 0);
	assert_int_equal(body_map(&body, &view), OK);
	assert_true(str_is(view, (struct str){ octets, len }));
	body_unmap(&body, view);
	assert_int_equal(pwrite(body.fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(body.fd, 1), -1);
	assert_ptr_equal(mmap(NULL, len, PROT_WRITE, MAP_SHARED, body.fd, 0), MAP_FAILED);
	assert_true(fcntl(body.fd, F_GETFD) & FD_CLOEXEC);
	body_done(&body);
	assert_int_equal(body.fd, -1);
	free(octets);
}

static void test_a_body_without_seals_or_of_another_size_is_refused(void **state)
{
	struct body body = { .fd = memfd_create("loose", MFD_ALLOW_SEALING), .size = 100000 };
	struct str view;

	(void)state;
	assert_int_equal(ftruncate(body.fd, 100000), 0);
	assert_int_equal(body_map(&body, &view), ERR_PROTOCOL);
	assert_int_equal(fcntl(body.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
	assert_int_equal(body_map(&body, &view), ERR_PROTOCOL);
	assert_int_equal(fcntl(body.fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
	assert_int_equal(body_map(&body, &view), OK);
	body_unmap(&body, view);
	body.size = 100001;
	assert_int_equal(body_map(&body, &view), ERR_PROTOCOL);
	body.size = 100000;
	body_done(&body);
	body = (struct body){ .fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), .size = 100000 };
	assert_int_equal(body_map(&body, &view), ERR_PROTOCOL);
	body_done(&body);
}

/* Writes `len` octets in pieces of `piece` and reads them back. */
static void write_in_pieces(size_t len, size_t piece)
{
	char *octets = malloc(len + 1);
	struct body_writer writer;
	struct body body;
	struct str view;

	fill(octets, len);
	body_writer_init(&writer, len);
	for (size_t at = 0; at < len; at += piece) {
		size_t part = len - at < piece ? len - at : piece;

		assert_int_equal(body_write(&writer, (struct str){ octets + at, part }), OK);
	}
	assert_int_equal(body_finish(&writer, &body), OK);
	assert_int_equal(body.size, len);
	assert_int_equal(body.fd >= 0, len > LIMIT_link_inline_body);
	assert_int_equal(body_map(&body, &view), OK);
	assert_true(str_is(view, (struct str){ octets, len }));
	body_unmap(&body, view);
	body_done(&body);
	body_writer_done(&writer);
	free(octets);
}

static void test_a_body_in_pieces_comes_out_whole(void **state)
{
	static const size_t lengths[] = { 0, 1, 1000, 65535, 65536, 65537, 131072, 400000 };
	static const size_t pieces[] = { 100, 4096, 65536, 65537, 200000 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		for (size_t k = 0; k < COUNT_OF(pieces); k++)
			write_in_pieces(lengths[i], pieces[k]);
}

static void test_past_its_maximum_a_body_is_counted_but_not_kept(void **state)
{
	struct body_writer writer;
	struct body body;

	(void)state;
	body_writer_init(&writer, 10);
	assert_int_equal(body_write(&writer, S("12345678")), OK);
	assert_int_equal(body_write(&writer, S("123")), ERR_LIMIT);
	assert_int_equal(body_write(&writer, S("1")), ERR_LIMIT);
	assert_int_equal(writer.size, 12);
	assert_int_equal(writer.small.len, 8);
	assert_int_equal(body_finish(&writer, &body), ERR_LIMIT);
	body_writer_done(&writer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_small_body_stays_inline),
		cmocka_unit_test(test_a_large_body_is_a_memfd_that_nobody_can_change),
		cmocka_unit_test(test_a_body_without_seals_or_of_another_size_is_refused),
		cmocka_unit_test(test_a_body_in_pieces_comes_out_whole),
		cmocka_unit_test(test_past_its_maximum_a_body_is_counted_but_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
