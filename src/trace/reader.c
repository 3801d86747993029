/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"

#include <stdlib.h>

/* A reader that is overtaken this often in one call lets the writer go and starts at its head. */
enum { OVERTAKEN_MAX = 16 };

struct trace_reader {
	const struct ring_header *header;
	const uint64_t *words;
	uint64_t capacity;
	uint64_t position;
	uint64_t expected; /* sequence of the next event; 0: not known yet */
	uint64_t known_at; /* position at which `expected` was right */
	uint64_t record[RECORD_MAX / 8];
};

enum look { LOOK_EMPTY, LOOK_FOUND, LOOK_AGAIN };

static uint64_t reader_head(const struct trace_reader *reader)
{
	return __atomic_load_n(&reader->header->head, __ATOMIC_ACQUIRE);
}

/* To the oldest record that is still there; past everything when the header makes no sense. */
static void reader_resync(struct trace_reader *reader, uint64_t head)
{
	uint64_t tail = __atomic_load_n(&reader->header->tail, __ATOMIC_RELAXED);

	if (tail % RECORD_ALIGN || tail > head || head - tail > reader->capacity)
		tail = head;
	reader->position = tail;
}

enum err trace_reader_new(const void *ring, size_t size, bool from_now, struct trace_reader **out)
{
	const struct ring_header *header = ring;
	struct trace_reader *reader;

	if (!ring_capacity(size) || memcmp(header->magic, RING_MAGIC, sizeof(header->magic)) != 0 ||
	    le32toh(header->version) != RING_VERSION)
		return fault(ERR_CORRUPT, "not a trace ring of %zu octets", size);
	reader = calloc(1, sizeof(*reader));
	must(reader);
	reader->header = header;
	reader->words = (const uint64_t *)(const void *)((const char *)ring + RING_HEADER);
	reader->capacity = ring_capacity(size);
	reader->position = reader_head(reader) & ~(uint64_t)(RECORD_ALIGN - 1);
	if (from_now)
		reader->expected = __atomic_load_n(&header->sequence, __ATOMIC_RELAXED) + 1;
	else
		reader_resync(reader, reader->position);
	if (reader->position == 0)
		reader->expected = 1;
	reader->known_at = reader->position;
	*out = reader;
	return OK;
}

void trace_reader_drop(struct trace_reader **reader)
{
	free(*reader);
	*reader = NULL;
}

static uint64_t reader_word(const struct trace_reader *reader, uint64_t position)
{
	return __atomic_load_n(&reader->words[(position & (reader->capacity - 1)) / 8],
			       __ATOMIC_RELAXED);
}

/* Asked after a copy was made: was the writer there meanwhile? */
static bool reader_is_overtaken(const struct trace_reader *reader)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&reader->header->tail, __ATOMIC_RELAXED) > reader->position;
}

/* Copies the record at the position into reader->record. */
static enum look reader_look(struct trace_reader *reader, uint32_t *size)
{
	uint64_t head = reader_head(reader);
	struct record_check check;
	uint64_t first;

	if (head == reader->position)
		return LOOK_EMPTY;
	/* A head behind us is a ring begun anew. */
	if (head % RECORD_ALIGN || head < reader->position ||
	    head - reader->position > reader->capacity || reader_is_overtaken(reader)) {
		if (head % RECORD_ALIGN)
			return LOOK_EMPTY;
		reader_resync(reader, head);
		return LOOK_AGAIN;
	}
	first = reader_word(reader, reader->position);
	*size = (uint32_t)le64toh(first);
	if (*size < RECORD_HEAD || *size > RECORD_MAX || *size % RECORD_ALIGN ||
	    *size > head - reader->position) {
		if (reader_is_overtaken(reader))
			return LOOK_AGAIN;
		reader->position = head; /* the ring lies: nothing before its head can be found */
		return LOOK_AGAIN;
	}
	check = (struct record_check){ *size };
	reader->record[0] = first;
	for (uint32_t i = 1; i < *size / 8; i++) {
		reader->record[i] = reader_word(reader, reader->position + i * UINT64_C(8));
		record_check_word(&check, le64toh(reader->record[i]));
	}
	if (reader_is_overtaken(reader))
		return LOOK_AGAIN;
	if (record_check_end(&check) != le64toh(first) >> 32) {
		reader->position += *size;
		return LOOK_AGAIN;
	}
	return LOOK_FOUND;
}

/* A ring may claim any sequence: no more can be lost than fitted between the two positions. */
static uint64_t reader_count_lost(struct trace_reader *reader, uint64_t sequence)
{
	uint64_t most = reader->position - reader->known_at;
	uint64_t lost = 0;

	most = reader->position < reader->known_at ? 0 : most / RECORD_HEAD;
	if (reader->expected && sequence > reader->expected)
		lost = sequence - reader->expected;
	return lost < most ? lost : most;
}

bool trace_reader_next(struct trace_reader *reader, struct buf *record, uint64_t *lost)
{
	const struct record_head *head = (const struct record_head *)(const void *)reader->record;

	for (unsigned tries = 0; tries < OVERTAKEN_MAX; tries++) {
		uint32_t size = 0;
		enum look look = reader_look(reader, &size);

		if (look == LOOK_EMPTY)
			return false;
		if (look == LOOK_AGAIN)
			continue;
		if (buf_add(record, (struct str){ (const char *)reader->record, size }))
			return false;
		*lost += reader_count_lost(reader, le64toh(head->sequence));
		reader->expected = le64toh(head->sequence) + 1;
		reader->position += size;
		reader->known_at = reader->position;
		return true;
	}
	reader->position = reader_head(reader) & ~(uint64_t)(RECORD_ALIGN - 1);
	return false;
}
