/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/outlet.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROOM = 1 << 14, LINE = 64 };

/* Line `number`, LINE octets of it. */
static struct str line_of(unsigned number)
{
	static char line[LINE + 1];

	memset(line, '.', LINE);
	snprintf(line, sizeof(line), "line %08u", number % 100000000);
	line[13] = ' ';
	line[LINE - 1] = '\n';
	return (struct str){ line, LINE };
}

static size_t read_all(int fd, char *at, size_t room)
{
	size_t len = 0;
	ssize_t count;

	while (len < room && (count = read(fd, at + len, room - len)) > 0)
		len += (size_t)count;
	return len;
}

static void lines_wait_for_a_pipe_that_is_full_and_go_on_where_they_were(void **state)
{
	struct outlet outlet;
	char got[3 * ROOM];
	int pipe_fds[2];
	unsigned told = 0;
	size_t len;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096) >= 4096);
	outlet_init(&outlet, ROOM);
	outlet_to(&outlet, pipe_fds[1]);
	assert_false(outlet_has(&outlet));
	for (int turn = 0; turn < 3; turn++) {
		while (outlet_room(&outlet) >= LINE)
			outlet_add(&outlet, line_of(told++));
		outlet_write(&outlet, 0); /* returns though nobody reads */
		assert_true(outlet_has(&outlet));
	}
	fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
	for (len = 0; outlet_has(&outlet) || len < (size_t)told * LINE;) {
		size_t more = read_all(pipe_fds[0], got + len, sizeof(got) - len);

		assert_true(more > 0);
		len += more;
		outlet_write(&outlet, 0);
	}
	assert_int_equal(len, (size_t)told * LINE);
	for (unsigned i = 0; i < told; i++)
		assert_memory_equal(got + (size_t)i * LINE, line_of(i).at, LINE);
	assert_int_equal(outlet_take_lost(&outlet), 0);
	outlet_done(&outlet);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void lines_of_which_nobody_will_read_are_counted(void **state)
{
	struct outlet outlet;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[0]);
	outlet_init(&outlet, ROOM);
	outlet_to(&outlet, pipe_fds[1]);
	for (unsigned i = 0; i < 3; i++)
		outlet_add(&outlet, line_of(i));
	outlet_write(&outlet, 1000);
	assert_false(outlet_has(&outlet));
	assert_int_equal(outlet_take_lost(&outlet), 3);
	assert_int_equal(outlet_take_lost(&outlet), 0);
	outlet_done(&outlet);
	close(pipe_fds[1]);
}

/* A file may grow by so much only, as on a disk that is full. */
static void allow(rlim_t octets)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = octets;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_line_that_was_torn_ends_before_the_next(void **state)
{
	char path[] = "/tmp/outlet-test-XXXXXX";
	struct outlet outlet;
	char got[1024] = { 0 };
	int fd = mkostemp(path, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	outlet_init(&outlet, ROOM);
	outlet_to(&outlet, fd);
	allow(10);
	outlet_add(&outlet, S("whole\nof this a part\nnothing\n"));
	outlet_write(&outlet, 0);
	assert_int_equal(outlet_take_lost(&outlet), 2);
	outlet_add(&outlet, S("nothing of this either\n"));
	outlet_write(&outlet, 0);
	assert_int_equal(outlet_take_lost(&outlet), 1);
	allow(RLIM_INFINITY);
	outlet_add(&outlet, S("after\n"));
	outlet_write(&outlet, 0);
	assert_true(pread(fd, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, "whole\nof t\nafter\n");
	outlet_done(&outlet);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_wait_for_a_pipe_that_is_full_and_go_on_where_they_were),
		cmocka_unit_test(lines_of_which_nobody_will_read_are_counted),
		cmocka_unit_test(a_line_that_was_torn_ends_before_the_next),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
