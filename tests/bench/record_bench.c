/* SPDX-License-Identifier: Apache-2.0 */
/* What the recorder does with an event: reads, merges, notes, writes it to a file. Nanoseconds of one thread. */
#include "record/recorder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100, SESSIONS = 1000, RINGS = 2 };

static double seconds(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* One message as a gate tells it: some twenty events. */
static unsigned tell(struct trace *gate, struct trace *store, uint64_t id)
{
	TRACE(gate, id, 0, connect, .protocol = S("smtp"), .listener = S("mx"),
	      .peer = S("192.0.2.7:4711"), .local = S("192.0.2.1:25"));
	for (int i = 0; i < 5; i++) {
		TRACE(gate, id, 0, command, .verb = S("RCPT"),
		      .line = S("RCPT TO:<anna@example.org>"));
		TRACE(gate, id, 0, reply, .code = 250, .line = S("250 2.1.5 recipient ok"),
		      .verb = S("RCPT"), .us = 431);
		TRACE(gate, id, 0, state, .from = S("mail"), .to = S("rcpt"));
	}
	TRACE(gate, id, 0, data, .how = S("DATA"), .octets = 2048, .total = 2048, .last = 1);
	TRACE(store, id, 0, deliver, .message = S("0ABCDEFGHJKMN"),
	      .recipient = S("anna@example.org"), .account = S("anna@example.org"),
	      .folder = S("INBOX"), .outcome = S("delivered"));
	TRACE(gate, id, 0, accept, .message = S("0ABCDEFGHJKMN"), .sender = S("otto@example.net"),
	      .recipients = S("anna@example.org"), .octets = 2150, .us = 3000,
	      .peer = S("192.0.2.7:4711"), .subject = S("On the cost of remembering"));
	TRACE(gate, id, 0, close, .reason = S("quit"), .commands = 6, .messages = 1,
	      .octets_in = 2400, .octets_out = 844, .us = 12000, .peer = S("192.0.2.7:4711"),
	      .protocol = S("smtp"));
	return 20;
}

static void bench(enum record_log log, const char *name)
{
	char folder[] = "/tmp/record-bench-XXXXXX";
	struct record_config config = { .keep_us = INT64_MAX / 2,
					.keep_octets = 64 << 20,
					.log = log,
					.log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC) };
	struct recorder *recorder = NULL;
	struct trace *writers[RINGS];
	void *rings[RINGS];
	double took = 0;
	uint64_t events = 0;

	must(mkdtemp(folder) && recorder_new(folder, &config, &recorder) == OK);
	for (int i = 0; i < RINGS; i++) {
		struct source *source = calloc(1, sizeof(*source));

		must(source);
		rings[i] = aligned_alloc(64, trace_ring_size());
		trace_ring_format(rings[i], trace_ring_size(), 1, 0);
		must(trace_writer_new(rings[i], trace_ring_size(), &writers[i]) == OK);
		source->batch = BUF(1 << 18);
		source->held_us = INT64_MIN;
		must(trace_reader_new(rings[i], trace_ring_size(), false, &source->reader) == OK);
		recorder->sources[recorder->source_count++] = source;
	}
	for (uint64_t round = 0; round < ROUNDS; round++) {
		double start;

		for (uint64_t i = 0; i < SESSIONS; i++)
			events += tell(writers[0], writers[1], round * SESSIONS + i + 1);
		start = seconds();
		recorder_work(recorder, INT64_MAX, (int64_t)(1767225600000000 + round * 1000000));
		took += seconds() - start;
	}
	printf("%-44s %7.1f ns an event\n", name, took * 1e9 / (double)events);
	must(recorder->metrics.events == events);
	segments_trim(&recorder->segments, INT64_MAX, 0, 0);
	recorder_drop(&recorder);
	for (int i = 0; i < RINGS; i++) {
		trace_writer_drop(&writers[i]);
		free(rings[i]);
	}
	close(config.log_fd);
}

int main(void)
{
	bench(RECORD_LOG_NONE, "record, no log");
	bench(RECORD_LOG_TEXT, "record, log in text");
	bench(RECORD_LOG_JSON, "record, log in JSON");
	return 0;
}
