/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/maildrop.h"

enum { CALL_MS = 30000, COMMIT_MS = 120000, DELETE_AT_ONCE = 8000 };

void maildrop_init(struct maildrop *drop, struct link *store)
{
	*drop = (struct maildrop){ .store = store };
	waitq_init(&drop->arrivals);
	group_init(&drop->readers);
}

enum err maildrop_open(struct maildrop *drop, uint64_t account, struct str folder) WAITS
{
	struct arena arena = { 0 };
	struct answer_maildrop_open answer;
	enum err err = call_maildrop_open(
		drop->store, &(struct ask_maildrop_open){ .account = account, .folder = folder },
		&arena, &answer, in_ms(CALL_MS));

	arena_drop(&arena);
	if (err)
		return err;
	drop->is_open = true;
	drop->handle = answer.drop;
	drop->uid_validity = answer.uid_validity;
	drop->count = answer.count;
	drop->octets = answer.octets;
	if (answer.count > LIMIT_pop3_messages) {
		maildrop_close(drop);
		return fault(ERR_LIMIT, "%zu messages in one maildrop", drop->count);
	}
	return OK;
}

void maildrop_close(struct maildrop *drop) WAITS
{
	struct arena arena = { 0 };
	struct answer_maildrop_close answer;

	if (!drop->is_open)
		return;
	drop->is_open = false;
	maildrop_forget(drop);
	/* When the store is gone the lock is gone with it. */
	(void)!call_maildrop_close(drop->store,
				   &(struct ask_maildrop_close){ .drop = drop->handle }, &arena,
				   &answer, in_ms(CALL_MS));
	arena_drop(&arena);
	arena_drop(&drop->arena);
	drop->uids = drop->sizes = NULL;
	drop->marks = NULL;
	drop->pieces = NULL;
}

/* One page of the list, copied to its place. */
static enum err load_page(struct maildrop *drop, size_t first, size_t *count) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	struct answer_maildrop_list page;
	enum err err = call_maildrop_list(
		drop->store, &(struct ask_maildrop_list){ .drop = drop->handle, .first = first },
		&arena, &page, in_ms(CALL_MS));

	if (err)
		return err;
	if (page.uids.count == 0 || page.uids.count != page.sizes.count ||
	    page.uids.count > drop->count - first)
		return fault(ERR_CORRUPT, "the list of the maildrop does not fit its count");
	memcpy(drop->uids + first, page.uids.at, page.uids.count * sizeof(uint64_t));
	memcpy(drop->sizes + first, page.sizes.at, page.uids.count * sizeof(uint64_t));
	*count = page.uids.count;
	return OK;
}

enum err maildrop_load(struct maildrop *drop) WAITS
{
	size_t listed = 0;
	enum err err = OK;

	if (drop->uids)
		return OK;
	drop->uids = NEW_ARRAY(&drop->arena, uint64_t, drop->count + 1);
	drop->sizes = NEW_ARRAY(&drop->arena, uint64_t, drop->count + 1);
	drop->marks = NEW_ARRAY(&drop->arena, unsigned char, drop->count / 8 + 1);
	while (!err && listed < drop->count) {
		size_t count = 0;

		err = load_page(drop, listed, &count);
		listed += count;
	}
	if (err) {
		arena_drop(&drop->arena);
		drop->uids = drop->sizes = NULL;
		drop->marks = NULL;
	}
	return err;
}

bool maildrop_is_marked(const struct maildrop *drop, size_t index)
{
	return drop->marks && (drop->marks[index / 8] >> (index % 8) & 1);
}

void maildrop_mark(struct maildrop *drop, size_t index)
{
	if (maildrop_is_marked(drop, index))
		return;
	drop->marks[index / 8] |= (unsigned char)(1u << (index % 8));
	drop->marked_count++;
	drop->marked_octets += drop->sizes[index];
}

void maildrop_unmark_all(struct maildrop *drop)
{
	if (drop->marks)
		memset(drop->marks, 0, drop->count / 8 + 1);
	drop->marked_count = 0;
	drop->marked_octets = 0;
}

static enum err delete_some(struct maildrop *drop, const uint64_t *indexes, size_t count) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	struct answer_maildrop_delete answer;

	return call_maildrop_delete(drop->store,
				    &(struct ask_maildrop_delete){ .drop = drop->handle,
								   .indexes = { indexes, count } },
				    &arena, &answer, in_ms(COMMIT_MS));
}

enum err maildrop_commit(struct maildrop *drop) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	uint64_t *indexes;
	size_t count = 0;
	enum err err = OK;

	if (drop->marked_count == 0)
		return OK;
	indexes = NEW_ARRAY(&arena, uint64_t, DELETE_AT_ONCE);
	for (size_t i = 0; i < drop->count && !err; i++) {
		if (!maildrop_is_marked(drop, i))
			continue;
		indexes[count++] = i;
		if (count == DELETE_AT_ONCE) {
			err = delete_some(drop, indexes, count);
			count = 0;
		}
	}
	if (!err && count > 0)
		err = delete_some(drop, indexes, count);
	return err;
}
