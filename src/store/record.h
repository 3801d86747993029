/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * record: the bytes of a body file. A segment is a header and then records, each a header, octets
 * and zeros up to the next multiple of 8. The octets are a message's body, or what a transaction
 * changed in the database (redo.h). All numbers are little-endian.
 *
 * Invariants
 *  (1) A record that parses was written whole as far as its header goes; its octets are whole when
 *      crc32c over them gives `checksum`.
 *  (2) Nothing here trusts a length: spans are checked for overflow against the file's end.
 *
 * Pure: no files, no clock. Format: docs/formats/store.md.
 */
#include "base/base.h"

enum { SEGMENT_HEADER = 32, RECORD_HEADER = 32, RECORD_ALIGN = 8 };

struct segment_head {
	uint64_t number;
	uint64_t store; /* which store wrote it: files of two stores cannot be mixed up */
};

enum record_kind { RECORD_BODY, RECORD_REDO };

struct record {
	uint64_t body; /* id in the database; 0 of what is no body */
	uint64_t length;
	uint32_t checksum; /* CRC-32C of the octets */
	enum record_kind kind;
};

void segment_head_print(const struct segment_head *head, unsigned char out[SEGMENT_HEADER]);
bool segment_head_parse(const unsigned char at[SEGMENT_HEADER], struct segment_head *out);
void record_print(const struct record *record, unsigned char out[RECORD_HEADER]);
bool record_parse(const unsigned char at[RECORD_HEADER], struct record *out);

/* Octets from one record to the next; UINT64_MAX when there is no such length. */
uint64_t record_span(uint64_t length);

/* Reads exactly len octets at offset of the segment; false at its end or when it cannot be read. */
typedef bool segment_read_fn(void *context, uint64_t offset, void *at, size_t len);

struct segment_walk {
	segment_read_fn *read;
	void *context;
	uint64_t offset; /* of the next record */
	uint64_t end;    /* no record reaches past this */
};

/* The next record whose header and body are whole; false: `offset` is where whole records end. */
bool segment_walk_next(struct segment_walk *walk, struct record *out);

/* CRC-32C (Castagnoli). Start with 0; pass the last result to go on. */
uint32_t crc32c(uint32_t crc, const void *at, size_t len);
