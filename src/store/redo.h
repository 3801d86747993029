/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * redo: what one transaction changed in the database, as octets of a RECORD_REDO in a body file: the
 * statements that ran, by name, with their values and in their order. To run them again on the rows that
 * the head names gives what the transaction gave.
 *
 * Invariants
 *  (1) Only statements that queries.def has as REDO are in it. `is_whole` is false when another one ran,
 *      or when there was no room: then these octets are of no use.
 *  (2) What ran in a part that was undone is not in it.
 *  (3) Nothing here trusts a length: the parser stays inside the octets it was given.
 *
 * Pure: no files, no clock. Format: docs/formats/store.md.
 */
#include "store/value.h"

enum { REDO_HEAD = 24, REDO_VALUES = 32, REDO_OCTETS = 16 << 20 };

/* The rows that it applies to, and no others. */
struct redo_head {
	uint64_t epoch;   /* setting `epoch` */
	uint64_t segment; /* the newest row of segment, and its end */
	uint64_t end;
};

struct redo {
	struct buf octets;
	bool is_whole;
	bool is_sealed; /* nothing is noted any more */
	size_t marked;  /* where the part that may be undone begins */
	bool was_whole;
};

#define REDO_NONE ((struct redo){ .octets = BUF(REDO_OCTETS) })

/* Empty but for the room of its head. */
void redo_begin(struct redo *redo);
bool redo_is_empty(const struct redo *redo);
/* name NULL: a statement that no redo may hold. */
void redo_add(struct redo *redo, const char *name, const struct db_value *values, size_t count);
void redo_mark(struct redo *redo);
void redo_undo(struct redo *redo);
/* No more is noted; false when it is of no use. */
bool redo_seal(struct redo *redo, const struct redo_head *head);

struct redo_statement {
	struct str name;
	struct db_value values[REDO_VALUES]; /* views into the octets */
	size_t count;
};

/* Moves past the head. */
bool take_redo_head(struct scan *scan, struct redo_head *out);
/* The next statement; false at the end, and where there is none (scan_at_end tells which). */
bool take_redo(struct scan *scan, struct redo_statement *out);
