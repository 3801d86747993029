/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"
#include "store/little.h"

static const char SEGMENT_MAGIC[8] = "GPSEG\0\0\1";
static const char record_magic[][4] = {
	[RECORD_BODY] = "GPB\1",
	[RECORD_REDO] = "GPT\1",
};

/* magic 8, number 8, store 8, zero 4, checksum of the 28 octets before 4. */
void segment_head_print(const struct segment_head *head, unsigned char out[SEGMENT_HEADER])
{
	memcpy(out, SEGMENT_MAGIC, 8);
	put_u64(out + 8, head->number);
	put_u64(out + 16, head->store);
	put_u32(out + 24, 0);
	put_u32(out + 28, crc32c(0, out, 28));
}

bool segment_head_parse(const unsigned char at[SEGMENT_HEADER], struct segment_head *out)
{
	if (memcmp(at, SEGMENT_MAGIC, 8) != 0 || get_u32(at + 28) != crc32c(0, at, 28))
		return false;
	out->number = get_u64(at + 8);
	out->store = get_u64(at + 16);
	return true;
}

/* magic 4, checksum of the octets 4, length 8, body id 8, zero 4, checksum of the 28 octets before 4. */
void record_print(const struct record *record, unsigned char out[RECORD_HEADER])
{
	memcpy(out, record_magic[record->kind], 4);
	put_u32(out + 4, record->checksum);
	put_u64(out + 8, record->length);
	put_u64(out + 16, record->body);
	put_u32(out + 24, 0);
	put_u32(out + 28, crc32c(0, out, 28));
}

bool record_parse(const unsigned char at[RECORD_HEADER], struct record *out)
{
	size_t kind = 0;

	while (memcmp(at, record_magic[kind], 4) != 0)
		if (++kind == COUNT_OF(record_magic))
			return false;
	if (get_u32(at + 28) != crc32c(0, at, 28))
		return false;
	out->kind = (enum record_kind)kind;
	out->checksum = get_u32(at + 4);
	out->length = get_u64(at + 8);
	out->body = get_u64(at + 16);
	return true;
}

uint64_t record_span(uint64_t length)
{
	if (length > UINT64_MAX - RECORD_HEADER - RECORD_ALIGN)
		return UINT64_MAX;
	return (RECORD_HEADER + length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

static bool is_whole(struct segment_walk *walk, const struct record *record)
{
	char piece[4096];
	uint64_t offset = walk->offset + RECORD_HEADER;
	uint64_t left = record->length;
	uint32_t crc = 0;

	while (left) {
		size_t len = left < sizeof(piece) ? (size_t)left : sizeof(piece);

		if (!walk->read(walk->context, offset, piece, len))
			return false;
		crc = crc32c(crc, piece, len);
		offset += len;
		left -= len;
	}
	return crc == record->checksum;
}

bool segment_walk_next(struct segment_walk *walk, struct record *out)
{
	unsigned char head[RECORD_HEADER];
	struct record record;
	uint64_t span;

	if (walk->offset > walk->end || walk->end - walk->offset < RECORD_HEADER)
		return false;
	if (!walk->read(walk->context, walk->offset, head, sizeof(head)) ||
	    !record_parse(head, &record))
		return false;
	span = record_span(record.length);
	if (span > walk->end - walk->offset || !is_whole(walk, &record))
		return false;
	walk->offset += span;
	*out = record;
	return true;
}
