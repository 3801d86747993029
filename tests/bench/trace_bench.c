/* SPDX-License-Identifier: Apache-2.0 */
/* What an event costs its writer and its reader: nanoseconds each, over a real ring. */
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS = 5000000 };

static double seconds(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void report(const char *what, double took, double events)
{
	printf("%-44s %7.1f ns\n", what, took * 1e9 / events);
}

int main(void)
{
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);
	struct trace *trace;
	struct trace_reader *reader;
	struct buf record = BUF(1 << 20);
	uint64_t lost = 0;
	uint64_t count = 0;
	double start;

	trace_ring_format(ring, size, 1, 0);
	if (trace_writer_new(ring, size, &trace) || trace_reader_new(ring, size, false, &reader))
		return 1;
	start = seconds();
	for (int i = 0; i < EVENTS; i++)
		TRACE(trace, 1, 0, command, .verb = S("RCPT"),
		      .line = S("RCPT TO:<anna@example.org>"));
	report("write a command", seconds() - start, EVENTS);
	start = seconds();
	for (int i = 0; i < EVENTS; i++)
		TRACE(trace, 1, 0, reply, .code = 250, .line = S("250 2.1.5 recipient ok"),
		      .verb = S("RCPT"), .us = 431);
	report("write a reply", seconds() - start, EVENTS);
	start = seconds();
	for (int i = 0; i < EVENTS; i++)
		TRACE(trace, 1, 0, close, .reason = S("quit"), .account = S("anna@example.org"),
		      .commands = 6, .messages = 1, .octets_in = 2400, .octets_out = 844,
		      .us = 12000, .peer = S("127.0.0.1:40112"), .protocol = S("submission"));
	report("write a close", seconds() - start, EVENTS);
	start = seconds();
	while (trace_reader_next(reader, &record, &lost)) {
		count++;
		if (record.len > 1 << 19)
			buf_reset(&record);
	}
	report("read one out of the ring", seconds() - start, (double)count);
	trace_reader_drop(&reader);
	trace_writer_drop(&trace);
	buf_drop(&record);
	free(ring);
	return 0;
}
