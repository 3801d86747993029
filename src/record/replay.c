/* SPDX-License-Identifier: Apache-2.0 */
#include "record/replay.h"

#include <stdio.h>

enum { STEP_OCTETS = 4 << 20, REPLAY_OCTETS = 64 << 20 };
static const int64_t SLACK_US =
	2000000; /* events of several roles are not in the order of their wall clocks */

/* ---- cursors ---- */

void cursor_print(const struct trace_head *head, char text[CURSOR_TEXT])
{
	snprintf(text, CURSOR_TEXT, "%lld-%u-%u-%llu", (long long)head->wall_us, head->role,
		 head->role_index, (unsigned long long)head->sequence);
}

bool cursor_parse(struct str text, struct cursor *out)
{
	struct scan scan = scan_of(text);
	uint64_t wall, role, index, sequence;

	if (!take_number(&scan, INT64_MAX, &wall) || !take_char(&scan, '-') ||
	    !take_number(&scan, UINT8_MAX, &role) || !take_char(&scan, '-') ||
	    !take_number(&scan, UINT8_MAX, &index) || !take_char(&scan, '-') ||
	    !take_number(&scan, INT64_MAX, &sequence) || !scan_at_end(&scan) || !sequence)
		return false;
	*out = (struct cursor){ (int64_t)wall, (uint8_t)role, (uint8_t)index, sequence };
	return true;
}

static bool is_at(const struct cursor *cursor, const struct trace_head *head)
{
	return head->sequence == cursor->sequence && head->role == cursor->role &&
	       head->role_index == cursor->role_index && head->wall_us == cursor->wall_us;
}

/* ---- what was replayed ---- */

static struct cursor *seen_of(const struct replay *replay, const struct trace_head *head)
{
	for (size_t i = 0; i < replay->seen_count; i++) {
		const struct cursor *seen = &replay->seen[i];

		if (seen->role == head->role && seen->role_index == head->role_index)
			return (struct cursor *)(uintptr_t)seen;
	}
	return NULL;
}

static void note_seen(struct replay *replay, const struct trace_head *head)
{
	struct cursor *seen = seen_of(replay, head);

	if (!seen && replay->seen_count < COUNT_OF(replay->seen))
		seen = &replay->seen[replay->seen_count++];
	if (seen)
		*seen = (struct cursor){ head->wall_us, head->role, head->role_index,
					 head->sequence };
}

struct str replay_rest(const struct replay *replay, struct str records)
{
	struct str rest = records;
	struct str record;

	while (replay->seen_count && !trace_record_take(&rest, &record)) {
		struct trace_head head = trace_record_head(record);
		const struct cursor *seen = seen_of(replay, &head);

		/* A ring that began anew has small numbers and new times. */
		if (!seen || head.sequence > seen->sequence || head.wall_us > seen->wall_us)
			break;
		records = rest;
	}
	return records;
}

/* ---- reading ---- */

static bool is_too_far(const struct segments *segments, size_t first)
{
	uint64_t octets = 0;

	for (size_t i = first; i < segments->count; i++)
		octets += segments->list[i].octets;
	return octets > REPLAY_OCTETS;
}

static bool next_file(struct replay *replay)
{
	const struct segments *segments = &replay->recorder->segments;
	int64_t first_us = segments_since(segments, replay->after.wall_us - SLACK_US);

	for (size_t i = 0; i < segments->count; i++) {
		int64_t start_us = segments->list[i].start_us;

		if (replay->has_begun ? start_us <= replay->file_us
				      : start_us < first_us || is_too_far(segments, i))
			continue;
		replay->has_begun = true;
		replay->file_us = start_us;
		if (!segment_reader_open(segments, start_us, &replay->reader))
			return true;
	}
	return false;
}

static bool is_wanted(const struct replay *replay, const struct trace_head *head)
{
	if (replay->session && replay->session != head->session)
		return false;
	return !replay->viewer.len ||
	       session_is_for(sessions_find(&replay->recorder->sessions, head->session),
			      replay->viewer);
}

static void look_at(struct replay *replay, struct str record)
{
	struct trace_head head = trace_record_head(record);

	if (!replay->has_found) {
		replay->has_found = is_at(&replay->after, &head);
	} else {
		note_seen(replay, &head);
		if (is_wanted(replay, &head))
			buf_add(replay->found, record);
	}
}

static void step_offloaded(void *arg)
{
	struct replay *replay = arg;
	size_t searched = 0;

	while (!replay->is_done && searched < STEP_OCTETS && replay->found->len < REPLAY_FOUND) {
		struct str record;

		if (replay->reader.fd < 0 && !next_file(replay)) {
			replay->is_done = true;
		} else if (segment_reader_next(&replay->reader, &record)) {
			searched += record.len;
			look_at(replay, record);
		} else {
			segment_reader_close(&replay->reader);
		}
	}
}

bool replay_step(struct replay *replay, struct buf *found, enum err *err) WAITS
{
	if (replay->is_done || !replay->after.sequence)
		return false;
	*err = semaphore_take(&replay->recorder->lock, NEVER);
	if (*err)
		return true;
	replay->found = found;
	offload(OFFLOAD_WORK, step_offloaded, replay);
	semaphore_give(&replay->recorder->lock);
	return true;
}

void viewer_keep(char place[128], struct str viewer)
{
	/* An account is kept cut off where it is longer (sessions.h): nobody may see by that. */
	snprintf(place, 128, "%.*s", viewer.len < 128 ? (int)viewer.len : 1,
		 viewer.len < 128 ? viewer.at : "@");
}
