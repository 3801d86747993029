/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/recorder.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Twice as many octets as there is room for, and ticks that each would wait for a second. */
enum { TROUBLES = 9000, AT_ONCE = 1000, AFTER = 5, PATIENCE_US = 3000000 };

/* A recorder in a real world whose log goes to a pipe of which a thread reads, or not yet. */
struct unread {
	void *ring;
	struct trace *writer;
	struct recorder *recorder;
	struct fiber_group group;
	int pipe[2];
	bool is_read_late;
	pthread_t reader;
	struct buf log;
	int64_t took_us;
	uint64_t dropped;
};

static void *read_log(void *arg)
{
	struct unread *unread = arg;
	ssize_t count;

	while (!buf_reserve(&unread->log, 65536) &&
	       (count = read(unread->pipe[0], unread->log.at + unread->log.len, 65536)) > 0)
		unread->log.len += (size_t)count;
	return NULL;
}

static void tell_trouble(const struct unread *unread, struct str detail)
{
	TRACE(unread->writer, 0, 0, trouble, .err = S("IO"), .detail = detail);
}

/* What is asked of the recorder waits for its lock, as recorder_catch_up does. */
static void flood(struct unread *unread) WAITS
{
	moment begun = now();
	char detail[1000];

	memset(detail, 'x', sizeof(detail));
	for (int i = 1; i <= TROUBLES; i++) {
		tell_trouble(unread, (struct str){ detail, sizeof(detail) });
		if (i % AT_ONCE == 0)
			must(recorder_catch_up(unread->recorder) == OK);
	}
	unread->took_us = now() - begun;
	unread->dropped = unread->recorder->metrics.log_dropped;
}

static void read_it_now(struct unread *unread) WAITS
{
	must(pthread_create(&unread->reader, NULL, read_log, unread) == 0);
	for (int i = 0; i < AFTER; i++) {
		must(fiber_sleep(in_ms(100)) == OK);
		tell_trouble(unread, S("after"));
	}
}

static void main_fiber(void *arg) WAITS
{
	struct unread *unread = arg;
	struct record_ring ring = { .at = unread->ring, .size = trace_ring_size(), .name = "r" };
	struct record_config config = { .log = RECORD_LOG_TEXT, .log_fd = unread->pipe[1] };

	group_init(&unread->group);
	must(recorder_new(NULL, &config, &unread->recorder) == OK);
	must(recorder_add_ring(unread->recorder, &ring) == OK);
	must(fiber_spawn(&unread->group, "recorder", recorder_run, unread->recorder, NULL) == OK);
	flood(unread);
	if (unread->is_read_late)
		read_it_now(unread);
	group_stop(&unread->group);
	must(group_wait(&unread->group, in_ms(5000)) == OK);
}

static void live(struct unread *unread, bool is_read_late)
{
	struct world *world = world_real_new();

	*unread = (struct unread){ .is_read_late = is_read_late, .log = BUF(1 << 26) };
	unread->ring = aligned_alloc(64, trace_ring_size());
	trace_ring_format(unread->ring, trace_ring_size(), 1, 0);
	assert_int_equal(trace_writer_new(unread->ring, trace_ring_size(), &unread->writer), OK);
	assert_int_equal(pipe2(unread->pipe, O_CLOEXEC), 0);
	assert_int_equal(world_spawn(world, "main", main_fiber, unread), OK);
	world_run(world);
	recorder_drop(&unread->recorder);
	close(unread->pipe[1]);
	if (is_read_late)
		pthread_join(unread->reader, NULL);
	close(unread->pipe[0]);
	world_drop(&world);
	trace_writer_drop(&unread->writer);
	free(unread->ring);
}

static void a_log_that_nobody_reads_holds_up_nothing(void **state)
{
	struct unread unread;

	(void)state;
	live(&unread, false);
	assert_true(unread.took_us < PATIENCE_US);
	assert_true(unread.dropped > 0);
}

/* Every line is there, or is one of those that the log says are missing, and where they are missing. */
static void a_log_that_is_read_late_says_what_it_left_out(void **state)
{
	struct unread unread;
	struct scan scan;
	struct str line;
	uint64_t told = 0;
	uint64_t left_out = 0;
	uint64_t after = 0;

	(void)state;
	live(&unread, true);
	scan = scan_of(buf_str(&unread.log));
	while (take_until(&scan, '\n', &line)) {
		size_t at = str_find_str(line, S(" left-out lines="));
		bool is_after = str_find_str(line, S("detail=\"after\"")) != STR_NONE;

		assert_true(!is_after || left_out > 0);
		if (at != STR_NONE)
			left_out += strtoull(line.at + at + 16, NULL, 10);
		else
			told++;
		after += is_after;
	}
	assert_true(scan_at_end(&scan));
	assert_int_equal(after, AFTER);
	assert_int_equal(left_out, unread.dropped);
	assert_int_equal(told + left_out, TROUBLES + AFTER);
	buf_drop(&unread.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_that_nobody_reads_holds_up_nothing),
		cmocka_unit_test(a_log_that_is_read_late_says_what_it_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
