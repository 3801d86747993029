/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * trace: protocol events. One list (events.def) is at once the log, the oracle of the protocol
 * tests, the metrics and the film in the browser.
 *
 * A ring is shared memory written by one role and read by any number of readers. The writer never
 * waits and never fails: a reader that is too slow loses the oldest events and is told how many.
 *
 * Invariants
 *  (1) One writer per ring. Readers map it read-only and trust nothing in it: a ring is the
 *      writer's word, checked by trace_event_decode.
 *  (2) Secrets never enter a ring: who writes an event masks first.
 *  (3) Text past LIMIT_trace_text is cut and the event says so (TRACE_CUT).
 *  (4) Numbers go up to 2^63 - 1; larger ones are written as that.
 *  (5) A writer is used by one thread at a time; different writers share nothing.
 *
 * Format: docs/formats/trace.md.
 */
#include "base/base.h"

enum trace_direction { TRACE_NONE, TRACE_FROM_CLIENT, TRACE_TO_CLIENT };
enum { TRACE_CUT = 1, TRACE_MASKED = 2, TRACE_ENCRYPTED = 4 };

/* What every event has. */
struct trace_head {
	uint64_t sequence; /* of the ring, from 1 */
	int64_t at_us;     /* monotonic clock of the role's world */
	int64_t wall_us;   /* since 1970 */
	uint64_t session;  /* 0: of no session */
	uint16_t kind;     /* enum trace_kind */
	uint8_t role;      /* enum role_kind */
	uint8_t role_index;
	uint8_t flags; /* TRACE_CUT ... */
};

enum trace_kind {
	TRACE_KIND_NONE,
#define EVENT(name, number, fields, doc) TRACE_##name = number,
#include "trace/events.def"
#undef EVENT
};

/* One struct an event kind: struct trace_command { struct str verb; ... }. */
#define TRACE_FIELD_U64(name, doc)   uint64_t name;
#define TRACE_FIELD_STR(name, doc)   struct str name;
#define TRACE_FIELD(type, name, doc) TRACE_FIELD_##type(name, doc)
#define EVENT(name, number, fields, doc)                                                           \
	struct trace_##name {                                                                      \
		fields(TRACE_FIELD)                                                                \
	};
#include "trace/events.def"
#undef EVENT

struct trace; /* a writer, or nothing: all functions accept NULL and do nothing */

/* A writer on a ring of trace_ring_size() octets of shared memory, made by trace_ring_format. */
[[nodiscard]] enum err trace_writer_new(void *ring, size_t size, struct trace **out);
void trace_writer_drop(struct trace **trace);

/*
 * Write one: TRACE(trace, session, flags, command, .verb = S("MAIL"), .line = line);
 * Time comes from the clock given to trace_set_clock (the world's).
 */
#define TRACE(trace, session, flags, name, ...)                                                    \
	trace_write_##name((trace), (session), (flags), &(struct trace_##name){ __VA_ARGS__ })
#define EVENT(name, number, fields, doc)                                                           \
	void trace_write_##name(struct trace *trace, uint64_t session, unsigned flags,             \
				const struct trace_##name *event);
#include "trace/events.def"
#undef EVENT

/*
 * Where writers take the time from: the world's clocks, or (NULL) the system's. Of the whole process,
 * set before its writers are used.
 */
void trace_set_clock(int64_t (*monotonic_us)(void), int64_t (*wall_us)(void));

/* ---- rings ---- */

size_t trace_ring_size(void); /* header and LIMIT_trace_ring, whole pages */
void trace_ring_format(void *ring, size_t size, unsigned role, unsigned role_index);

/* ---- reading ---- */

struct trace_event {
	struct trace_head head;
	union {
#define EVENT(name, number, fields, doc) struct trace_##name name;
#include "trace/events.def"
#undef EVENT
	};
};

enum { TRACE_RECORD_MAX = 8192 }; /* octets; every record is shorter */

struct trace_reader;
/* From the oldest event still there (`from_now` false) or from the next one. */
[[nodiscard]] enum err trace_reader_new(const void *ring, size_t size, bool from_now,
					struct trace_reader **out);
void trace_reader_drop(struct trace_reader **reader);
/*
 * The next event as it lies in the ring, added to `record` (empty it first, unless you gather
 * several); false when there is none yet, or when `record` has no room for it (nothing is taken
 * then). *lost grows by the events that were overtaken by the writer since the last call.
 */
bool trace_reader_next(struct trace_reader *reader, struct buf *record, uint64_t *lost);
/*
 * A record's meaning; its texts point into the record. ERR_CORRUPT for anything not well formed,
 * ERR_UNSUPPORTED for a kind that this version does not know (only head is filled then). Fields
 * that the record's writer did not know yet are 0 or empty.
 */
[[nodiscard]] enum err trace_event_decode(struct str record, struct trace_event *out);
/* Splits a file of records: takes one record off the front of *octets. ERR_CORRUPT, or ERR_CLOSED at the end. */
[[nodiscard]] enum err trace_record_take(struct str *octets, struct str *record);
/* After ERR_CORRUPT: moves on to the next place where a whole record begins, or to the end. */
void trace_record_resync(struct str *octets);
/* Only the head of a record that trace_record_take or a reader gave: cheap, for who copies records. */
struct trace_head trace_record_head(struct str record);

/* Makes a whole record say that it is of this role, whatever its writer said: `record` is writable memory. */
void trace_record_claim(struct str record, unsigned role, unsigned role_index);

/* ---- showing ---- */

/* events.def as tables. */
struct trace_field_info {
	const char *name;
	const char *doc;
	bool is_text; /* else a number */
};
struct trace_kind_info {
	unsigned number;
	const char *name;
	const char *doc;
	const struct trace_field_info *fields; /* in the order of the event's struct */
	size_t field_count;
};
extern const struct trace_kind_info trace_kinds[];
extern const size_t trace_kind_count;
const struct trace_kind_info *trace_kind_of(unsigned number);    /* NULL when unknown */
const struct trace_kind_info *trace_kind_named(struct str name); /* likewise */
const char *trace_kind_name(unsigned kind);                      /* "unknown" when it is */
/* How roles are called: `names` must live for ever. Without it, or past it, "role-N". */
void trace_set_role_names(const char *const *names, unsigned count);
const char *trace_role_name(unsigned role);
enum trace_direction trace_event_direction(const struct trace_event *event);
enum err trace_event_json(const struct trace_event *event, struct buf *out); /* one line, no LF */
/* Where an event lies, as `after` of session follow takes it: WALL-ROLE-INDEX-SEQUENCE. */
enum { TRACE_CURSOR_TEXT = 64 };
void trace_cursor_print(const struct trace_head *head, char text[TRACE_CURSOR_TEXT]);
/*
 * The ladder: client lines to the left, server lines to the right, as `session show --text` draws
 * it: one event as one or more whole lines, `width` columns wide (clamped to 60..200). Times count
 * from start_us (at_us of the session's first event). Text from outside is made harmless.
 */
enum err trace_event_ladder(const struct trace_event *event, int64_t start_us, unsigned width,
			    bool ascii, struct buf *out);
/*
 * Adds text from outside so that it can do nothing but be read, in a terminal or a log: controls,
 * octets that are no UTF-8 and code points that are invisible or turn the direction of writing are
 * spelled out; with `ascii` everything past 0x7e is.
 */
enum err trace_add_harmless(struct buf *out, struct str text, bool ascii);
/* RFC 3339 in UTC with microseconds, of wall_us; never more than 27 octets. */
void trace_add_time(struct buf *out, int64_t wall_us);
/* The JSON schema of a trace line and the table for docs/formats/trace.md, made from events.def. */
enum err trace_schema_json(struct buf *out);
enum err trace_schema_markdown(struct buf *out);
