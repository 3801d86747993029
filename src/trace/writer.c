/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"

#include <stdlib.h>
#include <time.h>

struct trace {
	struct ring_header *header;
	uint64_t *words;
	uint64_t capacity;
	uint64_t head;
	uint64_t tail;
	uint64_t sequence;
	uint8_t role;
	uint8_t role_index;
	int64_t wall_ahead_us; /* wall clock minus monotonic clock, when last asked */
	int64_t asked_at_us;
	unsigned asked_clock;
	/* The record being made: a record is made whole here, then copied. */
	size_t used;
	uint8_t flags;
	uint64_t scratch[RECORD_MAX / 8];
};

static int64_t clock_us(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static int64_t system_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

static struct {
	int64_t (*monotonic_us)(void);
	int64_t (*wall_us)(void);
	unsigned generation;
} clocks = { system_monotonic_us, system_wall_us, 1 };

void trace_set_clock(int64_t (*monotonic_us)(void), int64_t (*wall_us)(void))
{
	clocks.monotonic_us = monotonic_us ? monotonic_us : system_monotonic_us;
	clocks.wall_us = wall_us ? wall_us : system_wall_us;
	clocks.generation++;
}

size_t trace_ring_size(void)
{
	static_assert((LIMIT_trace_ring & (LIMIT_trace_ring - 1)) == 0, "a power of two");
	return RING_HEADER + LIMIT_trace_ring;
}

void trace_ring_format(void *ring, size_t size, unsigned role, unsigned role_index)
{
	struct ring_header *header = ring;

	must(ring_capacity(size));
	memset(header, 0, sizeof(*header));
	header->version = htole32(RING_VERSION);
	header->role = (uint8_t)role;
	header->role_index = (uint8_t)role_index;
	header->capacity = htole64(ring_capacity(size));
	memcpy(header->magic, RING_MAGIC, sizeof(header->magic));
}

/* A role that was restarted goes on where its predecessor, which may have died mid-record, ended. */
static void writer_resume(struct trace *trace)
{
	const struct ring_header *header = trace->header;

	trace->head = header->head;
	trace->tail = header->tail;
	trace->sequence = header->sequence & INT64_MAX;
	if (trace->head % RECORD_ALIGN || trace->tail % RECORD_ALIGN || trace->tail > trace->head ||
	    trace->head - trace->tail > trace->capacity || trace->head > INT64_MAX) {
		trace->head = 0;
		trace->tail = 0;
	}
}

enum err trace_writer_new(void *ring, size_t size, struct trace **out)
{
	struct ring_header *header = ring;
	struct trace *trace;

	if (!ring_capacity(size) || memcmp(header->magic, RING_MAGIC, sizeof(header->magic)) != 0 ||
	    le32toh(header->version) != RING_VERSION ||
	    le64toh(header->capacity) != ring_capacity(size))
		return fault(ERR_CORRUPT, "not a trace ring of %zu octets", size);
	trace = calloc(1, sizeof(*trace));
	must(trace);
	trace->header = header;
	trace->words = (uint64_t *)(void *)((char *)ring + RING_HEADER);
	trace->capacity = ring_capacity(size);
	trace->role = header->role;
	trace->role_index = header->role_index;
	writer_resume(trace);
	*out = trace;
	return OK;
}

void trace_writer_drop(struct trace **trace)
{
	free(*trace);
	*trace = NULL;
}

/* ---- making a record ---- */

static inline void put_varint(struct trace *trace, uint64_t value)
{
	unsigned char *at = (unsigned char *)trace->scratch + trace->used;
	size_t len = 0;

	while (value >= 0x80) {
		at[len++] = (unsigned char)(value | 0x80);
		value >>= 7;
	}
	at[len++] = (unsigned char)value;
	trace->used += len;
}

static inline void put_U64(struct trace *trace, uint64_t value)
{
	put_varint(trace, value > INT64_MAX ? INT64_MAX : value);
}

/* The longest beginning within the limit that does not end inside a UTF-8 sequence. */
static size_t cut_length(struct str s)
{
	size_t len = LIMIT_trace_text;

	for (int back = 0; back < 3 && ((unsigned char)s.at[len] & 0xc0) == 0x80; back++)
		len--;
	if (((unsigned char)s.at[len] & 0xc0) == 0x80)
		return LIMIT_trace_text; /* it was no UTF-8 anyway */
	return len;
}

static inline void put_STR(struct trace *trace, struct str s)
{
	if (s.len > LIMIT_trace_text) {
		s.len = cut_length(s);
		trace->flags |= TRACE_CUT;
	}
	put_varint(trace, s.len);
	if (s.len)
		memcpy((char *)trace->scratch + trace->used, s.at, s.len);
	trace->used += s.len;
}

static inline void record_begin(struct trace *trace, unsigned flags)
{
	trace->used = RECORD_HEAD;
	trace->flags = (uint8_t)(flags & (TRACE_CUT | TRACE_MASKED | TRACE_ENCRYPTED));
}

/*
 * One clock is asked for every event, the other only now and then: the wall clock is the monotonic
 * one and a difference, which is asked for again after a millisecond.
 */
static inline int64_t writer_wall_us(struct trace *trace, int64_t at_us)
{
	if (trace->asked_clock != clocks.generation || at_us - trace->asked_at_us >= 1000 ||
	    at_us < trace->asked_at_us) {
		trace->wall_ahead_us = clocks.wall_us() - at_us;
		trace->asked_at_us = at_us;
		trace->asked_clock = clocks.generation;
	}
	return at_us + trace->wall_ahead_us;
}

static inline uint64_t *writer_word(const struct trace *trace, uint64_t position)
{
	return &trace->words[(position & (trace->capacity - 1)) / 8];
}

/* Give up the oldest records until `size` octets fit. */
static inline void make_room(struct trace *trace, uint64_t size)
{
	uint64_t tail = trace->tail;

	if (trace->head + size - tail <= trace->capacity)
		return;
	do {
		uint64_t first = __atomic_load_n(writer_word(trace, tail), __ATOMIC_RELAXED);
		uint32_t old = (uint32_t)le64toh(first);

		/* Only a predecessor gone wild leaves such a size: forget all that it wrote. */
		if (old < RECORD_HEAD || old % RECORD_ALIGN || old > trace->head - tail)
			tail = trace->head;
		else
			tail += old;
	} while (trace->head + size - tail > trace->capacity);
	trace->tail = tail;
	__atomic_store_n(&trace->header->tail, tail, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void record_end(struct trace *trace, uint64_t session, uint16_t kind)
{
	struct record_head *head = (struct record_head *)(void *)trace->scratch;
	size_t padding = -trace->used % RECORD_ALIGN;
	size_t count = (trace->used + padding) / 8;
	uint32_t size = (uint32_t)(trace->used + padding);
	int64_t at_us = clocks.monotonic_us();
	struct record_check check = { size };

	memset((char *)trace->scratch + trace->used, 0, padding);
	head->sequence = htole64(++trace->sequence);
	head->at_us = (int64_t)htole64((uint64_t)at_us);
	head->wall_us = (int64_t)htole64((uint64_t)writer_wall_us(trace, at_us));
	head->session = htole64(session);
	head->kind = htole16(kind);
	head->role = trace->role;
	head->role_index = trace->role_index;
	head->flags = trace->flags;
	head->padding = (uint8_t)padding;
	head->reserved = 0;

	make_room(trace, size);
	for (size_t i = 1; i < count; i++) {
		uint64_t word = trace->scratch[i];

		record_check_word(&check, le64toh(word));
		__atomic_store_n(writer_word(trace, trace->head + i * 8), word, __ATOMIC_RELAXED);
	}
	head->size = htole32(size);
	head->check = htole32(record_check_end(&check));
	__atomic_store_n(writer_word(trace, trace->head), trace->scratch[0], __ATOMIC_RELAXED);
	trace->head += size;
	__atomic_store_n(&trace->header->sequence, trace->sequence, __ATOMIC_RELAXED);
	__atomic_store_n(&trace->header->head, trace->head, __ATOMIC_RELEASE);
}

#define WRITE_FIELD(type, name, doc) put_##type(trace, event->name);
#define EVENT(name, number, fields, doc)                                                           \
	void trace_write_##name(struct trace *trace, uint64_t session, unsigned flags,             \
				const struct trace_##name *event)                                  \
	{                                                                                          \
		if (!trace)                                                                        \
			return;                                                                    \
		record_begin(trace, flags);                                                        \
		fields(WRITE_FIELD) record_end(trace, session, number);                            \
	}
#include "trace/events.def"
#undef EVENT
