/* SPDX-License-Identifier: Apache-2.0 */
#include "record/search.h"

enum {
	PIECE_OCTETS = 4 << 20, /* read in one go */
	PIECE_FOUND = 1 << 18   /* ... or until that much was found */
};

void search_begin(struct search *search)
{
	search->reader = (struct segment_reader){ .fd = -1 };
	search->found = BUF(2 * PIECE_FOUND); /* one look may add a few records */
}

static bool next_file(struct search *search)
{
	const struct segments *segments = &search->recorder->segments;

	for (size_t i = 0; i < segments->count; i++) {
		int64_t start_us = segments->list[i].start_us;

		if ((search->has_begun && start_us <= search->file_us) ||
		    !search->may_hold(search, i))
			continue;
		search->has_begun = true;
		search->file_us = start_us;
		if (!segment_reader_open(segments, start_us, &search->reader))
			return true;
	}
	return false;
}

static void read_piece(void *arg)
{
	struct search *search = arg;
	size_t octets = 0;

	while (!search->is_done && octets < PIECE_OCTETS && search->found.len < PIECE_FOUND) {
		struct str record;

		if (search->reader.fd < 0 && !next_file(search)) {
			search->is_done = true;
		} else if (segment_reader_next(&search->reader, &record)) {
			octets += record.len;
			search->look(search, record);
		} else {
			segment_reader_close(&search->reader);
		}
	}
}

bool search_next(struct search *search, enum err *err) WAITS
{
	buf_reset(&search->found);
	if (search->is_done)
		return false;
	*err = semaphore_take(&search->recorder->lock, NEVER);
	if (*err)
		return true;
	offload(OFFLOAD_WORK, read_piece, search);
	semaphore_give(&search->recorder->lock);
	return true;
}

void search_end(struct search *search)
{
	segment_reader_close(&search->reader);
	buf_drop(&search->found);
}
