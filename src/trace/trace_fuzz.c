/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile ring octets, hostile files of records, and whatever they decode to, shown in every form. */
#include "trace/ring.h"

#include <stdlib.h>

enum { RING = RING_HEADER + (1 << 17), SHOWN_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(struct str record)
{
	struct trace_event event;
	OWNED(buf) struct buf out = BUF(SHOWN_MAX);

	if (trace_event_decode(record, &event))
		return;
	must(trace_event_json(&event, &out) == OK);
	must(str_is_utf8(buf_str(&out)));
	buf_reset(&out);
	must(trace_event_ladder(&event, (int64_t)event.head.session, (unsigned)event.head.sequence,
				event.head.flags & 1, &out) == OK);
	must(str_is_utf8(buf_str(&out)));
}

/* The check is no secret: set it right, so that what lies behind it is reached. */
static void sign(char *at, size_t len)
{
	while (len >= RECORD_HEAD) {
		struct record_head head;
		uint32_t size;

		memcpy(&head, at, sizeof(head));
		size = le32toh(head.size) & 0x3f8;
		if (size < RECORD_HEAD || size > len)
			size = RECORD_HEAD + (uint32_t)((len - RECORD_HEAD) & 0x38);
		head.size = htole32(size);
		head.padding &= 7;
		memcpy(at, &head, sizeof(head));
		head.check = htole32(record_checksum((struct str){ at, size }));
		memcpy(at, &head, sizeof(head));
		at += size;
		len -= size;
	}
}

static void read_file(struct str octets)
{
	struct str record;
	enum err err = OK;

	while (err != ERR_CLOSED) {
		size_t before = octets.len;

		err = trace_record_take(&octets, &record);
		if (!err)
			show(record);
		else if (err == ERR_CORRUPT)
			trace_record_resync(&octets);
		must(err == ERR_CLOSED || octets.len < before);
	}
}

static void read_ring(char *ring)
{
	struct trace_reader *reader;
	struct buf record = BUF(RECORD_MAX);
	uint64_t lost = 0;

	if (trace_reader_new(ring, RING, ring[9] & 1, &reader))
		return;
	/* The ring stands still, so a reader must come to its end. */
	for (int i = 0; i < 1 << 17; i++) {
		buf_reset(&record);
		if (!trace_reader_next(reader, &record, &lost))
			break;
		show(buf_str(&record));
	}
	trace_reader_drop(&reader);
	buf_drop(&record);
}

/* A role that was restarted gets its predecessor's ring, whatever that one did to it. */
static void write_on(char *ring)
{
	struct trace *trace;

	if (trace_writer_new(ring, RING, &trace))
		return;
	for (int i = 0; i < 200; i++)
		TRACE(trace, 1, 0, state, .from = S("one"), .to = S("another, much longer state"));
	trace_writer_drop(&trace);
	read_ring(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *ring;
	struct ring_header *header;
	size_t used = size < 64 ? size : 64;

	if (!ring)
		ring = aligned_alloc(64, RING);
	header = (struct ring_header *)(void *)ring;
	trace_ring_format(ring, RING, 1, 2);
	/* The first 24 octets say where head, sequence and tail stand, the rest is the ring. */
	memcpy(&header->head, data, used < 24 ? used : 24);
	if (size > 24 && data[0] & 1) {
		header->tail = 0;
		header->head = (size - 24) & ~UINT64_C(7);
	}
	for (size_t at = 0; size > 24 && at + size - 24 <= RING - RING_HEADER && at < 1 << 12;
	     at += (size - 24 + 7) & ~UINT64_C(7)) {
		memcpy(ring + RING_HEADER + at, data + 24, size - 24);
		sign(ring + RING_HEADER + at, (size - 24) & ~UINT64_C(7));
	}
	read_ring(ring);
	read_file((struct str){ (const char *)data, size });
	if (size > 24)
		read_file((struct str){ ring + RING_HEADER, size });
	if (size > 1 && data[1] & 1)
		write_on(ring);
	return 0;
}
