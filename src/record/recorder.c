/* SPDX-License-Identifier: Apache-2.0 */
#include "record/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOG_WAIT_MS = 250, LAST_LOG_WAIT_MS = 1000 };
enum { COMPLAIN_MS = 60000, LEARN_OCTETS = 64 << 20, KNOWN_SLACK_US = 10000000 };

/* ---- being made and ended ---- */

static enum err own_ring_new(struct recorder *recorder)
{
	size_t size = trace_ring_size();

	recorder->own_ring = aligned_alloc(64, size);
	must(recorder->own_ring);
	trace_ring_format(recorder->own_ring, size, recorder->config.role,
			  recorder->config.role_index);
	return trace_writer_new(recorder->own_ring, size, &recorder->own);
}

static enum err source_new(const struct record_ring *ring, struct source **out)
{
	struct source *source = calloc(1, sizeof(*source));
	enum err err;

	must(source);
	source->ring = *ring;
	source->batch = BUF(1 << 18);
	source->held_us = INT64_MIN;
	source->resuming = true;
	err = trace_reader_new(ring->at, ring->size, false, &source->reader);
	if (err)
		free(source);
	else
		*out = source;
	return err;
}

static void source_drop(struct source *source)
{
	trace_reader_drop(&source->reader);
	buf_drop(&source->batch);
	free(source);
}

static void configure(struct recorder *recorder, const struct record_config *config)
{
	recorder->config = *config;
	snprintf(recorder->hostname, sizeof(recorder->hostname), "%s",
		 config->hostname ? config->hostname : "localhost");
	recorder->config.hostname = recorder->hostname;
	outlet_to(&recorder->outlet, config->log_fd);
}

enum err recorder_new(const char *folder, const struct record_config *config, struct recorder **out)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	struct record_ring own = { .size = trace_ring_size(), .name = "recorder" };
	enum err err;

	must(recorder);
	tzset(); /* the zone's file is read before the sandbox closes */
	outlet_init(&recorder->outlet, LIMIT_log_waiting);
	configure(recorder, config);
	semaphore_init(&recorder->lock, 1);
	waitq_init(&recorder->told);
	list_init(&recorder->taps);
	sessions_init(&recorder->sessions);
	messages_init(&recorder->messages);
	recorder->file = BUF(BATCH_MAX + TRACE_RECORD_MAX);
	recorder->log = BUF(LOG_MAX);
	recorder->complained = INT64_MIN;
	recorder->known_wall_us = INT64_MIN;
	recorder->segments = (struct segments){ .folder = -1, .fd = -1 };
	err = own_ring_new(recorder);
	own.at = recorder->own_ring;
	if (!err)
		err = source_new(&own, &recorder->sources[0]);
	must(!err); /* our own ring, fresh */
	recorder->source_count = 1;
	err = segments_open(folder, &recorder->segments);
	if (err)
		recorder_drop(&recorder);
	else
		*out = recorder;
	return err;
}

void recorder_drop(struct recorder **at)
{
	struct recorder *recorder = *at;
	struct timespec wall;

	if (!recorder)
		return;
	clock_gettime(CLOCK_REALTIME, &wall);
	LIST_EACH (link, &recorder->taps)
		CONTAINER_OF(link, struct tap, link)->dead = true;
	recorder_work(recorder, INT64_MAX, (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000);
	outlet_write(&recorder->outlet, LAST_LOG_WAIT_MS);
	for (size_t i = 0; i < recorder->source_count; i++)
		source_drop(recorder->sources[i]);
	trace_writer_drop(&recorder->own);
	free(recorder->own_ring);
	segments_close(&recorder->segments);
	sessions_done(&recorder->sessions);
	messages_done(&recorder->messages);
	buf_drop(&recorder->file);
	buf_drop(&recorder->log);
	outlet_done(&recorder->outlet);
	free(recorder);
	*at = NULL;
}

/* ---- ticking ---- */

struct work {
	struct recorder *recorder;
	int64_t cutoff_us;
	int64_t wall_us;
};

static void work_offloaded(void *arg)
{
	const struct work *work = arg;

	recorder_work(work->recorder, work->cutoff_us, work->wall_us);
}

/* What the tick found out about itself becomes events, read by the next tick like all others. */
static void tell(struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->source_count; i++) {
		struct source *source = recorder->sources[i];

		if (source->lost)
			TRACE(recorder->own, 0, 0, lost, .events = source->lost,
			      .ring = str_of(source->ring.name));
		source->lost = 0;
	}
	if (!recorder->failure[0])
		return;
	if (recorder->complained == INT64_MIN ||
	    now() - recorder->complained >= COMPLAIN_MS * INT64_C(1000)) {
		TRACE(recorder->own, 0, 0, trouble, .err = S("IO"),
		      .detail = str_of(recorder->failure));
		recorder->complained = now();
	}
	recorder->failure[0] = '\0';
}

enum err recorder_tick(struct recorder *recorder, bool everything) WAITS
{
	struct work work = { .recorder = recorder };
	enum err err = semaphore_take(&recorder->lock, NEVER);

	if (err)
		return err;
	work.wall_us = wall_us();
	work.cutoff_us = everything ? INT64_MAX : now();
	offload(OFFLOAD_LOG, work_offloaded, &work);
	tell(recorder);
	semaphore_give(&recorder->lock);
	waitq_wake_all(&recorder->told);
	return OK;
}

enum err recorder_catch_up(struct recorder *recorder) WAITS
{
	return recorder_tick(recorder, true);
}

static struct known *known_find(struct recorder *recorder, const struct trace_head *head)
{
	for (size_t i = 0; i < recorder->known_count; i++)
		if (recorder->known[i].role == head->role &&
		    recorder->known[i].role_index == head->role_index)
			return &recorder->known[i];
	return NULL;
}

void known_note(struct recorder *recorder, const struct trace_head *head)
{
	struct known *known = known_find(recorder, head);

	if (!known && recorder->known_count < COUNT_OF(recorder->known)) {
		known = &recorder->known[recorder->known_count++];
		*known = (struct known){ head->role, head->role_index, 0, INT64_MIN };
	}
	if (known && head->sequence > known->sequence)
		known->sequence = head->sequence;
	if (known && head->wall_us > known->wall_us)
		known->wall_us = head->wall_us;
	if (head->wall_us > recorder->known_wall_us)
		recorder->known_wall_us = head->wall_us;
}

/*
 * A ring that began anew has small sequences but new times; a clock that was set back gives old
 * times but new sequences. Only what is old in both ways was seen, and nothing that was written since
 * this recorder began: a machine may start with both a new ring and an old clock.
 */
bool known_has(const struct recorder *recorder, const struct trace_head *head)
{
	const struct known *known = known_find((struct recorder *)recorder, head);

	if (head->at_us >= recorder->begun_at)
		return false;
	if (known)
		return head->sequence <= known->sequence && head->wall_us <= known->wall_us;
	/* Of a role that has been silent for as long as the newest files reach. */
	return recorder->known_wall_us != INT64_MIN &&
	       head->wall_us < recorder->known_wall_us - KNOWN_SLACK_US;
}

static void learn_from(struct recorder *recorder, const struct segment *segment)
{
	struct segment_reader reader;
	struct trace_event event;
	struct str record;

	if (!segment_reader_open(&recorder->segments, segment->start_us, &reader))
		while (segment_reader_next(&reader, &record)) {
			if (trace_event_decode(record, &event))
				continue;
			known_note(recorder, &event.head);
			sessions_note(&recorder->sessions, &event);
			messages_note(&recorder->messages, &recorder->sessions, &event);
		}
	segment_reader_close(&reader);
}

/* After a restart the lists should not begin at nothing: the newest files fill the indexes. */
static void learn_offloaded(void *arg)
{
	struct recorder *recorder = arg;
	const struct segments *segments = &recorder->segments;
	size_t first = segments->count;
	uint64_t octets = 0;

	while (first > 0 && octets + segments->list[first - 1].octets <= LEARN_OCTETS)
		octets += segments->list[--first].octets;
	for (size_t i = first; i < segments->count; i++)
		learn_from(recorder, &segments->list[i]);
}

static int64_t tick_ms(const struct recorder *recorder)
{
	return recorder->config.tick_ms ? recorder->config.tick_ms : TICK_MS;
}

static void log_offloaded(void *arg)
{
	outlet_write(arg, LOG_WAIT_MS);
}

/* Without the lock: who reads the log may be slow, or stand still, and the recorder goes on. */
static void write_log(void *arg) WAITS
{
	struct recorder *recorder = arg;
	enum err err = OK;

	while (err != ERR_STOPPED) {
		if (outlet_has(&recorder->outlet))
			offload(OFFLOAD_OUT, log_offloaded, &recorder->outlet);
		err = waitq_wait(&recorder->told, in_ms(tick_ms(recorder)));
	}
}

static void learn(struct recorder *recorder) WAITS
{
	if (semaphore_take(&recorder->lock, NEVER))
		return;
	recorder->begun_at = now();
	offload(OFFLOAD_LOG, learn_offloaded, recorder);
	semaphore_give(&recorder->lock);
}

void recorder_run(void *arg) WAITS
{
	struct recorder *recorder = arg;
	struct fiber_group log;

	learn(recorder);
	group_init(&log);
	if (fiber_spawn(&log, "log", write_log, recorder, NULL))
		TRACE(recorder->own, 0, 0, trouble, .err = S("LIMIT"),
		      .detail = str_of(fault_text()));
	while (!recorder_tick(recorder, false))
		if (fiber_sleep(in_ms(tick_ms(recorder))))
			break;
	group_stop(&log);
	group_wait_through(&log);
}

/* ---- rings and configuration ---- */

static size_t source_index(const struct recorder *recorder, const void *at)
{
	size_t i = 0;

	while (i < recorder->source_count && recorder->sources[i]->ring.at != at)
		i++;
	return i;
}

static enum err add_source(struct recorder *recorder, const struct record_ring *ring)
{
	enum err err;

	if (source_index(recorder, ring->at) < recorder->source_count)
		return fault(ERR_EXISTS, "the ring of %.31s is read already", ring->name);
	if (recorder->source_count == LIMIT_record_rings)
		return fault(ERR_LIMIT, "more than %d trace rings", LIMIT_record_rings);
	err = source_new(ring, &recorder->sources[recorder->source_count]);
	if (!err)
		recorder->source_count++;
	return err;
}

enum err recorder_add_ring(struct recorder *recorder, const struct record_ring *ring) WAITS
{
	enum err err = semaphore_take(&recorder->lock, NEVER);

	if (err)
		return err;
	err = add_source(recorder, ring);
	semaphore_give(&recorder->lock);
	return err;
}

enum err recorder_remove_ring(struct recorder *recorder, const void *at) WAITS
{
	enum err err = recorder_tick(recorder, true);
	size_t i;

	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	i = source_index(recorder, at);
	if (i < recorder->source_count) {
		source_drop(recorder->sources[i]);
		recorder->sources[i] = recorder->sources[--recorder->source_count];
	}
	semaphore_give(&recorder->lock);
	return OK;
}

enum err recorder_reload(struct recorder *recorder, const struct record_config *config) WAITS
{
	enum err err = semaphore_take(&recorder->lock, NEVER);

	if (err)
		return err;
	configure(recorder, config);
	semaphore_give(&recorder->lock);
	return OK;
}
