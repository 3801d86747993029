/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of any octets: the walk ends, stays inside, finds what it says it finds, and finds the
 * same again when what lies behind its end is cut off or other octets follow there. So does the reader of
 * a transaction, and what it has read, noted anew, is octet for octet what it read it from.
 */
#include "store/record.h"
#include "store/redo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
	const uint8_t *at;
	size_t len;
};

static bool read_image(void *context, uint64_t offset, void *at, size_t len)
{
	const struct image *image = context;

	if (offset > image->len || len > image->len - offset)
		return false;
	if (len)
		memcpy(at, image->at + offset, len);
	return true;
}

static bool is_inside(struct str part, struct str whole)
{
	return !part.len || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void note_again(struct redo *redo, const struct redo_statement *statement, struct str from)
{
	char name[UINT8_MAX + 1];

	must(is_inside(statement->name, from) && statement->count <= REDO_VALUES);
	for (size_t i = 0; i < statement->count; i++)
		must(is_inside(statement->values[i].octets, from));
	if (statement->name.len)
		memcpy(name, statement->name.at, statement->name.len);
	name[statement->name.len] = '\0';
	/* A name is a C string where it is noted. */
	if (strlen(name) == statement->name.len)
		redo_add(redo, name, statement->values, statement->count);
	else
		redo->is_whole = false;
}

static void read_redo(struct str octets)
{
	struct redo_statement statement;
	struct scan scan = scan_of(octets);
	struct redo redo = REDO_NONE;
	struct redo_head head;

	redo_begin(&redo);
	if (take_redo_head(&scan, &head))
		while (take_redo(&scan, &statement))
			note_again(&redo, &statement, octets);
	if (scan_at_end(&scan) && octets.len >= REDO_HEAD && redo_seal(&redo, &head))
		must(str_is(buf_str(&redo.octets), octets));
	buf_drop(&redo.octets);
}

static size_t walk(struct image *image, uint64_t *end)
{
	struct segment_walk walk = { read_image, image, SEGMENT_HEADER, image->len };
	struct record record;
	uint64_t before = walk.offset;
	size_t count = 0;

	while (segment_walk_next(&walk, &record)) {
		must(walk.offset - before == record_span(record.length));
		must(walk.offset <= image->len);
		must(crc32c(0, image->at + before + RECORD_HEADER, (size_t)record.length) ==
		     record.checksum);
		if (record.kind == RECORD_REDO)
			read_redo((struct str){ (const char *)image->at + before + RECORD_HEADER,
						record.length });
		before = walk.offset;
		count++;
	}
	*end = walk.offset;
	return count;
}

/* The input with its checksums set right, so that the walk gets past the first record. */
static void mend(uint8_t *at, size_t len)
{
	size_t offset = SEGMENT_HEADER;
	struct record record;

	while (offset <= len && len - offset >= RECORD_HEADER) {
		uint64_t length = at[offset + 8] | (uint64_t)at[offset + 9] << 8;

		record.body = at[offset + 16];
		record.length = length;
		record.kind = at[offset + 2] == 'T' ? RECORD_REDO : RECORD_BODY;
		if (record_span(length) > len - offset)
			break;
		record.checksum = crc32c(0, at + offset + RECORD_HEADER, (size_t)length);
		record_print(&record, at + offset);
		offset += (size_t)record_span(length);
	}
}

static void check(struct image *image)
{
	uint64_t end;
	uint64_t end_again;
	size_t count = walk(image, &end);

	if (end > image->len)
		return;
	image->len = (size_t)end;
	must(walk(image, &end_again) == count && end_again == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image = { data, size };
	struct segment_head head;
	unsigned char again[SEGMENT_HEADER];
	uint8_t *mended;

	if (size >= SEGMENT_HEADER && segment_head_parse(data, &head)) {
		segment_head_print(&head, again);
		must(segment_head_parse(again, &head));
	}
	check(&image);
	read_redo((struct str){ (const char *)data, size });
	mended = malloc(size + 1);
	must(mended);
	if (size)
		memcpy(mended, data, size);
	mend(mended, size);
	image = (struct image){ mended, size };
	check(&image);
	free(mended);
	return 0;
}
