/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * event: what the store tells (record.h: session follow) as server-sent events (WHATWG's HTML 9.2), and what is read from
 * them again. Private to web/.
 */
#include "base/base.h"

/*
 * A row with a cursor: adds what it is for a browser, and says how many events that are: those lost count too. Of a row
 * that tells of losses nobody could count, `events` is 0.
 */
enum event_kind { EVENT_NONE, EVENT_TRACE, EVENT_LOST };
[[nodiscard]] enum event_kind event_print(struct buf *out, struct str row, uint64_t *events);
/* A row of records: its octets, in the arena. False: it is another row. */
[[nodiscard]] bool event_records(struct arena *arena, struct str row, struct str *records);
/* Adds one record. ERR_LIMIT: there is no room in `out`; nothing was added. */
[[nodiscard]] enum err event_print_record(struct buf *out, struct str record);
/* event: lost; `events` 0: nobody knows how many. */
void event_print_lost(struct buf *out, uint64_t events);
/* The first event off the text, with the empty line at its end; false when there is none. */
bool event_take(struct str *text, struct str *event);
/* Its id; empty when it has none. */
struct str event_id(struct str event);

/* What an id says: WALL-ROLE-INDEX-SEQUENCE. */
struct event_place {
	struct str ring; /* "-ROLE-INDEX"; in the id */
	uint64_t wall_us, sequence;
};
bool event_place(struct str id, struct event_place *out);
