/* SPDX-License-Identifier: Apache-2.0 */
#include "record/replay.h"

#include <stdio.h>

enum { REPLAY_OCTETS = 64 << 20 };

/* ---- cursors ---- */

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

static bool may_hold(const struct search *search, size_t index)
{
	const struct replay *replay = CONTAINER_OF(search, const struct replay, search);
	const struct segments *segments = &search->recorder->segments;
	int64_t first_us = segments_since(segments, replay->after.wall_us - SEARCH_SLACK_US);

	return search->has_begun ||
	       (segments->list[index].start_us >= first_us && !is_too_far(segments, index));
}

static bool is_wanted(const struct replay *replay, const struct trace_head *head)
{
	if (replay->session && replay->session != head->session)
		return false;
	return !replay->viewer.len ||
	       session_is_for(sessions_find(&replay->search.recorder->sessions, head->session),
			      replay->viewer);
}

static void look(struct search *search, struct str record)
{
	struct replay *replay = CONTAINER_OF(search, struct replay, search);
	struct trace_head head = trace_record_head(record);

	if (!replay->has_found) {
		replay->has_found = is_at(&replay->after, &head);
	} else {
		note_seen(replay, &head);
		if (is_wanted(replay, &head))
			buf_add(&search->found, record);
	}
}

void replay_begin(struct replay *replay, struct recorder *recorder, struct str after)
{
	*replay = (struct replay){
		.search = { .recorder = recorder, .may_hold = may_hold, .look = look }
	};
	search_begin(&replay->search);
	replay->search.is_done = !cursor_parse(after, &replay->after);
}

void viewer_keep(char place[128], struct str viewer)
{
	/* An account is kept cut off where it is longer (sessions.h): nobody may see by that. */
	snprintf(place, 128, "%.*s", viewer.len < 128 ? (int)viewer.len : 1,
		 viewer.len < 128 ? viewer.at : "@");
}
