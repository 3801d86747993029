/* SPDX-License-Identifier: Apache-2.0 */
/* What a tick does on its worker thread: read the rings, merge, note, write. */
#include "record/log.h"
#include "record/recorder.h"

#include <stdlib.h>

enum { READ_AHEAD = 1 << 16, LOG_PIECE = 1 << 16, LEFT_OUT_MAX = 1 << 10 };

/* ---- merging ---- */

/* Looks at the next record of a source; false when there is none. */
static bool source_look(struct source *source)
{
	struct str rest;

	if (source->has_next)
		return true;
	if (source->used == source->batch.len) {
		buf_reset(&source->batch);
		source->used = 0;
		while (source->batch.len < READ_AHEAD &&
		       trace_reader_next(source->reader, &source->batch, &source->lost))
			continue;
	}
	rest = str_from(buf_str(&source->batch), source->used);
	if (trace_record_take(&rest, &source->next))
		return false;
	source->next_us = trace_record_head(source->next).at_us;
	source->has_next = true;
	return true;
}

static void source_taken(struct source *source)
{
	source->used += source->next.len;
	source->has_next = false;
}

/*
 * Records are merged by at_us: all roles of a machine share that clock, and it never jumps. Those
 * younger than the tick's beginning wait for the next one, or else a ring that was read first would
 * lose its place to one that was read later. A ring with a clock of its own makes them wait only once.
 */
static void source_begin(struct source *source, int64_t cutoff_us)
{
	source->limit_us = source->held_us > cutoff_us ? INT64_MAX : cutoff_us;
	source->held_us = INT64_MIN;
}

/* Of all sources the one whose next record is oldest; NULL when none is due. */
static struct source *next_source(struct recorder *recorder)
{
	struct source *oldest = NULL;

	for (size_t i = 0; i < recorder->source_count; i++) {
		struct source *source = recorder->sources[i];

		if (!source_look(source))
			continue;
		if (source->next_us > source->limit_us)
			source->held_us = source->next_us;
		else if (!oldest || source->next_us < oldest->next_us)
			oldest = source;
	}
	return oldest;
}

/* ---- noting ---- */

static void fail(struct recorder *recorder)
{
	size_t len = strlen(fault_text());

	memcpy(recorder->failure, fault_text(), len + 1);
}

static void write_file(struct recorder *recorder, int64_t wall_us)
{
	const struct record_config *config = &recorder->config;

	if (!recorder->file.len)
		return;
	if (segments_append(&recorder->segments, buf_str(&recorder->file), wall_us,
			    config->keep_octets)) {
		recorder->metrics.unwritten += recorder->file_records;
		fail(recorder);
	}
	buf_reset(&recorder->file);
	recorder->file_records = 0;
}

static void leave_out(struct recorder *recorder, uint64_t lines)
{
	recorder->left_out += lines;
	recorder->metrics.log_dropped += lines;
}

/* What is missing is said where it is missing. */
static void say_left_out(struct recorder *recorder, int64_t wall_us)
{
	const struct record_config *config = &recorder->config;
	const struct trace_head at = { .wall_us = wall_us,
				       .role = config->role,
				       .role_index = config->role_index };
	OWNED(buf) struct buf line = BUF(LEFT_OUT_MAX);

	if (!recorder->left_out || outlet_room(&recorder->outlet) < LEFT_OUT_MAX)
		return;
	if (!log_left_out(&line, config->log, config->hostname, &at, recorder->left_out))
		outlet_add(&recorder->outlet, buf_str(&line));
	recorder->left_out = 0;
}

/* As many of the lines as there is room for; never waits for who reads them. */
static void hand_over_log(struct recorder *recorder, int64_t wall_us)
{
	struct str lines = buf_str(&recorder->log);
	struct str fitting = { 0 };

	leave_out(recorder, outlet_take_lost(&recorder->outlet));
	say_left_out(recorder, wall_us);
	if (!recorder->left_out)
		fitting = str_first(lines, outlet_room(&recorder->outlet));
	if (fitting.len < lines.len)
		fitting = str_first(fitting,
				    str_find_last(fitting, '\n') + 1); /* STR_NONE + 1 is 0 */
	outlet_add(&recorder->outlet, fitting);
	leave_out(recorder, outlet_count_lines(str_from(lines, fitting.len)));
	buf_reset(&recorder->log);
}

static void feed_taps(struct recorder *recorder, struct str record, uint64_t id,
		      const struct session *session)
{
	LIST_EACH (link, &recorder->taps) {
		struct tap *tap = CONTAINER_OF(link, struct tap, link);

		if (tap->session && tap->session != id)
			continue;
		if (tap->viewer[0] && !session_is_for(session, str_of(tap->viewer)))
			continue;
		if (buf_add(&tap->records, record))
			tap->lost++;
	}
}

static void note(struct recorder *recorder, struct str record, int64_t wall_us)
{
	const struct record_config *config = &recorder->config;
	struct trace_event event;
	struct session *session;
	enum err err = trace_event_decode(record, &event);

	if (err)
		recorder->metrics.unreadable++;
	if (err == ERR_CORRUPT)
		return;
	if (config->keep_us && config->keep_octets && recorder->segments.folder >= 0) {
		if (recorder->file.len + record.len > BATCH_MAX)
			write_file(recorder, wall_us);
		recorder->file_records++;
		must(buf_add(&recorder->file, record) == OK);
	}
	if (err) /* of a kind that only a newer program knows */
		return;
	metrics_note(&recorder->metrics, &event);
	session = sessions_note(&recorder->sessions, &event);
	messages_note(&recorder->messages, &recorder->sessions, &event);
	if (log_event(&recorder->log, config->log, config->hostname, &event, session))
		leave_out(recorder, 1);
	if (recorder->log.len > LOG_PIECE)
		hand_over_log(recorder, wall_us);
	if (!list_is_empty(&recorder->taps))
		feed_taps(recorder, record, event.head.session, session);
}

/* Of a recorder that was restarted: is the source's next record in the files already? */
static bool is_seen(struct recorder *recorder, struct source *source)
{
	struct trace_head head;

	if (!source->resuming)
		return false;
	head = trace_record_head(source->next);
	source->resuming = known_has(recorder, &head);
	return source->resuming;
}

static void bury_taps(struct recorder *recorder)
{
	LIST_EACH (link, &recorder->taps) {
		struct tap *tap = CONTAINER_OF(link, struct tap, link);

		if (!__atomic_load_n(&tap->dead, __ATOMIC_ACQUIRE))
			continue;
		list_remove(&tap->link);
		buf_drop(&tap->records);
		free(tap);
	}
}

void recorder_work(struct recorder *recorder, int64_t cutoff_us, int64_t wall_us)
{
	const struct record_config *config = &recorder->config;
	struct source *source;

	bury_taps(recorder);
	for (size_t i = 0; i < recorder->source_count; i++)
		source_begin(recorder->sources[i], cutoff_us);
	/* A bound, so that a role that writes faster than we read cannot keep us here. */
	for (unsigned i = 0; i < EVENTS_PER_TICK; i++) {
		source = next_source(recorder);
		if (!source)
			break;
		if (source->ring.role)
			trace_record_claim(source->next, source->ring.role,
					   source->ring.role_index);
		if (!is_seen(recorder, source))
			note(recorder, source->next, wall_us);
		source_taken(source);
	}
	write_file(recorder, wall_us);
	hand_over_log(recorder, wall_us);
	if (recorder->segments.folder >= 0)
		segments_trim(&recorder->segments, wall_us, config->keep_us, config->keep_octets);
}
