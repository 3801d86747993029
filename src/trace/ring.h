/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ring: how a ring and its records lie in memory. Private to trace/.
 *
 * A ring is one page of header and a power of two of data. Positions count octets for ever; a
 * position's place is the position modulo the capacity. [tail, head) holds whole records. A record
 * is a multiple of 8 octets, so no word of it ever straddles the wrap.
 *
 * The writer moves `tail` past what it is about to overwrite before it overwrites it, and `head`
 * after a record is whole. A reader copies first and looks at `tail` after: when that has not
 * passed its position the copy is sound. All words are read and written as relaxed atomics and
 * ordered by fences, so this holds in the C11 memory model, not only on one machine.
 */
#include "base/base.h"
#include "trace/trace.h"

#include <endian.h>

enum {
	RING_HEADER = 4096,
	RING_VERSION = 1,
	RECORD_ALIGN = 8,
	RECORD_HEAD = 48,
	/* A varint of 64 bits takes 10 octets; a text its length (2 octets at most) and itself. */
	FIELD_MAX_U64 = 10,
	FIELD_MAX_STR = 3 + LIMIT_trace_text,
};

#define RING_MAGIC "gptrace1"

/* Every event's largest body; the union is as large as the largest of them. */
#define RECORD_FIELD_MAX(type, name, doc) +FIELD_MAX_##type
union record_bodies {
#define EVENT(name, number, fields, doc) char name[0 fields(RECORD_FIELD_MAX)];
#include "trace/events.def"
#undef EVENT
};
enum { RECORD_MAX = (RECORD_HEAD + (int)sizeof(union record_bodies) + 15) & ~7 };

static_assert(RECORD_MAX < (int)TRACE_RECORD_MAX, "the promise of trace.h");

/* All numbers are little-endian. */
struct record_head {
	uint32_t size; /* of the whole record, padding included */
	uint32_t check;
	uint64_t sequence;
	int64_t at_us;
	int64_t wall_us;
	uint64_t session;
	uint16_t kind;
	uint8_t role;
	uint8_t role_index;
	uint8_t flags;
	uint8_t padding; /* zero octets at the end, 0..7 */
	uint16_t reserved;
};
static_assert(sizeof(struct record_head) == RECORD_HEAD, "a record's head has no holes");

struct ring_header {
	char magic[8];
	uint32_t version;
	uint8_t role;
	uint8_t role_index;
	uint16_t reserved;
	uint64_t capacity; /* octets of data */
	char pad[40];
	uint64_t head; /* these three by relaxed atomics; see above */
	uint64_t sequence;
	uint64_t tail;
};
static_assert(sizeof(struct ring_header) <= RING_HEADER, "the header is one page");

/* The capacity that a ring of this size has; 0 when no ring can have this size. */
static inline uint64_t ring_capacity(size_t size)
{
	uint64_t capacity = size > RING_HEADER ? size - RING_HEADER : 0;

	if (capacity < UINT64_C(4) * RECORD_MAX || (capacity & (capacity - 1)))
		return 0;
	return capacity;
}

/*
 * What makes a damaged or torn record recognisable: a rotating sum over its words. It guards
 * against accidents, not against a writer that lies: that one could compute it too.
 */
struct record_check {
	uint64_t sum;
};

static inline void record_check_word(struct record_check *check, uint64_t word)
{
	check->sum = (check->sum << 23 | check->sum >> 41) + word * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint32_t record_check_end(const struct record_check *check)
{
	uint64_t sum = check->sum ^ check->sum >> 29;

	return (uint32_t)((sum * UINT64_C(0xbf58476d1ce4e5b9)) >> 32);
}

/* Of a whole record as it lies in octets; its own check field counts as nothing. */
uint32_t record_checksum(struct str record);

/*
 * Fields lie one after the other in an event's struct, without holes (event.c asserts it), so that
 * a table can walk them: starts at event->none, moves *at past the field.
 */
uint64_t field_u64(const char **at);
struct str field_str(const char **at);
const char *event_fields(const struct trace_event *event);
