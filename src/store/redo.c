/* SPDX-License-Identifier: Apache-2.0 */
#include "store/redo.h"
#include "store/little.h"

/* ---- noting ---- */

void redo_begin(struct redo *redo)
{
	static const char room[REDO_HEAD];

	buf_reset(&redo->octets);
	buf_add(&redo->octets, (struct str){ room, sizeof(room) });
	redo->is_whole = true;
	redo->is_sealed = false;
	redo_mark(redo);
}

bool redo_is_empty(const struct redo *redo)
{
	return redo->is_whole && redo->octets.len == REDO_HEAD;
}

static void add_u8(struct buf *to, uint64_t value)
{
	must(value <= UINT8_MAX);
	buf_add_char(to, (char)value);
}

static void add_u64(struct buf *to, uint64_t value)
{
	char octets[8];

	put_u64(octets, value);
	buf_add(to, (struct str){ octets, sizeof(octets) });
}

/* kind 1, and a number 8, or a length 8 and so many octets. */
static void add_value(struct buf *to, const struct db_value *value)
{
	add_u8(to, value->kind);
	if (value->kind == DB_INTEGER)
		add_u64(to, (uint64_t)value->integer);
	if (value->kind == DB_TEXT || value->kind == DB_OCTETS) {
		add_u64(to, value->octets.len);
		buf_add(to, value->octets);
	}
}

void redo_add(struct redo *redo, const char *name, const struct db_value *values, size_t count)
{
	struct str text = str_of(name ? name : "");

	if (redo->is_sealed || !redo->is_whole)
		return;
	add_u8(&redo->octets, text.len);
	buf_add(&redo->octets, text);
	add_u8(&redo->octets, count);
	for (size_t i = 0; i < count; i++)
		add_value(&redo->octets, &values[i]);
	redo->is_whole = name && count <= REDO_VALUES && !redo->octets.failed;
}

void redo_mark(struct redo *redo)
{
	redo->marked = redo->octets.len;
	redo->was_whole = redo->is_whole;
}

void redo_undo(struct redo *redo)
{
	redo->octets.len = redo->marked;
	redo->octets.failed = false;
	redo->is_whole = redo->was_whole;
}

bool redo_seal(struct redo *redo, const struct redo_head *head)
{
	if (redo->is_whole) {
		put_u64(redo->octets.at, head->epoch);
		put_u64(redo->octets.at + 8, head->segment);
		put_u64(redo->octets.at + 16, head->end);
	}
	redo->is_sealed = true;
	return redo->is_whole;
}

/* ---- reading ---- */

static bool take_octets(struct scan *scan, uint64_t len, struct str *out)
{
	struct str rest = scan_rest(scan);

	if (len > rest.len)
		return false;
	*out = str_first(rest, (size_t)len);
	scan->at += len;
	return true;
}

static bool take_u8(struct scan *scan, uint8_t *out)
{
	struct str one;

	if (!take_octets(scan, 1, &one))
		return false;
	*out = (uint8_t)one.at[0];
	return true;
}

static bool take_u64(struct scan *scan, uint64_t *out)
{
	struct str octets;

	if (!take_octets(scan, sizeof(*out), &octets))
		return false;
	*out = get_u64(octets.at);
	return true;
}

static bool take_value(struct scan *scan, struct db_value *out)
{
	uint64_t number = 0;
	uint8_t kind;

	*out = db_null();
	if (!take_u8(scan, &kind) || kind > DB_OCTETS)
		return false;
	out->kind = (enum db_kind)kind;
	if (kind == DB_NULL)
		return true;
	if (!take_u64(scan, &number))
		return false;
	if (kind == DB_INTEGER)
		out->integer = (int64_t)number;
	return kind == DB_INTEGER || take_octets(scan, number, &out->octets);
}

bool take_redo_head(struct scan *scan, struct redo_head *out)
{
	struct scan ahead = *scan;

	if (!take_u64(&ahead, &out->epoch) || !take_u64(&ahead, &out->segment) ||
	    !take_u64(&ahead, &out->end))
		return false;
	*scan = ahead;
	return true;
}

bool take_redo(struct scan *scan, struct redo_statement *out)
{
	struct scan ahead = *scan;
	uint8_t len;
	uint8_t count;

	if (!take_u8(&ahead, &len) || !take_octets(&ahead, len, &out->name) ||
	    !take_u8(&ahead, &count) || count > REDO_VALUES)
		return false;
	for (out->count = 0; out->count < count; out->count++)
		if (!take_value(&ahead, &out->values[out->count]))
			return false;
	*scan = ahead;
	return true;
}
