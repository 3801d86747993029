/* SPDX-License-Identifier: Apache-2.0 */
#include "store/compact.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMPACT_PIECE = 4 << 20, BODIES_ONCE = 256, PAUSE_MS = 20, SEGMENTS_ONCE = 64 };

struct candidate {
	uint64_t number;
	uint64_t end;
};

/* ---- which ---- */

struct choosing {
	bool all;
	struct candidate found[SEGMENTS_ONCE];
	size_t count;
};

/* The deadest first: they need the least room to be copied to, and on a full disk give some. */
static enum err choose(struct db *db, void *arg)
{
	struct choosing *choosing = arg;
	int64_t newest = 0; /* the active one */
	bool has_row = true;
	enum err err = db_number_values(db, Q_segment_newest, NULL, 0, &newest);

	if (!err)
		err = db_start(db, Q_segment_deadest, NULL, 0);
	while (!err && choosing->count < SEGMENTS_ONCE) {
		err = db_step(db, Q_segment_deadest, &has_row);
		if (err || !has_row)
			break;
		uint64_t number = (uint64_t)db_int_at(db, Q_segment_deadest, 0);
		uint64_t end = (uint64_t)db_int_at(db, Q_segment_deadest, 1);
		uint64_t live = (uint64_t)db_int_at(db, Q_segment_deadest, 2);
		uint64_t used = end > SEGMENT_HEADER ? end - SEGMENT_HEADER : 0;
		bool is_dead_enough = choosing->all ? live < used : live < used / 2;

		if (number < (uint64_t)newest && is_dead_enough)
			choosing->found[choosing->count++] = (struct candidate){ number, end };
	}
	return err;
}

/* ---- moving ---- */

struct moving {
	struct job job;
	struct bodies *bodies;
	uint64_t segment;
	struct body_place places[BODIES_ONCE];
	char *octets[BODIES_ONCE]; /* from malloc */
	size_t count;
	struct body_lent
		lent; /* a body larger than a piece comes alone, and is copied where it lies */
	uint64_t moved;
	bool is_unreadable; /* a body, or the whole file */
};

static enum err list_bodies(struct db *db, void *arg)
{
	struct moving *m = arg;
	uint64_t total = 0;
	bool has_row = true;
	enum err err =
		db_select(db, Q_body_page_of_segment, db_id(m->segment), db_int(BODIES_ONCE));

	while (!err) {
		err = db_step(db, Q_body_page_of_segment, &has_row);
		if (err || !has_row)
			break;
		struct body_place *p = &m->places[m->count];

		p->body = (uint64_t)db_int_at(db, Q_body_page_of_segment, 0);
		p->place.segment = m->segment;
		p->place.offset = (uint64_t)db_int_at(db, Q_body_page_of_segment, 1);
		p->length = (uint64_t)db_int_at(db, Q_body_page_of_segment, 2);
		total += p->length;
		if (m->count && total > COMPACT_PIECE)
			break;
		m->count++;
	}
	return err;
}

static enum err load_body(struct moving *m, size_t i)
{
	const struct body_place *p = &m->places[i];

	/* A damaged body stays where it is: moving would give it a fresh checksum. */
	if (p->length > COMPACT_PIECE)
		return bodies_lend(m->bodies, p, &m->lent);
	m->octets[i] = malloc(p->length + 1);
	must(m->octets[i]);
	return bodies_read_whole(m->bodies, p, m->octets[i]);
}

static enum err load_bodies(struct db *db, void *arg)
{
	struct moving *m = arg;
	enum err err = list_bodies(db, m);

	for (size_t i = 0; !err && i < m->count; i++) {
		err = load_body(m, i);
		m->is_unreadable = err && err != ERR_BUSY;
	}
	return err;
}

static enum err append_body(struct writer *writer, const struct moving *m, size_t i,
			    struct place *out)
{
	struct str octets = { m->octets[i], m->places[i].length };

	if (m->lent.file)
		return body_files_append_from(writer->segments, &m->lent.source, out);
	return body_files_append(writer->segments, m->places[i].body, octets, out);
}

/* A row is moved only where it still is: a message may have been deleted meanwhile. */
static enum err run_moving(struct writer *writer, struct job *job)
{
	struct moving *m = CONTAINER_OF(job, struct moving, job);
	enum err err = OK;

	for (size_t i = 0; !err && i < m->count; i++) {
		uint64_t span = record_span(m->places[i].length);
		int64_t segment = 0;
		struct place place;

		err = db_number_values(writer->db, Q_body_get, DB_VALUES(db_id(m->places[i].body)),
				       &segment);
		if (err || (uint64_t)segment != m->segment)
			continue;
		err = append_body(writer, m, i, &place);
		if (!err)
			err = db_run(writer->db, Q_body_move, db_id(place.segment),
				     db_id(place.offset), db_id(m->places[i].body),
				     db_id(m->segment));
		if (!err)
			err = db_run(writer->db, Q_segment_shrink, db_id(span), db_id(m->segment));
		m->moved++;
	}
	return err;
}

static void free_octets(struct moving *m)
{
	for (size_t i = 0; i < BODIES_ONCE; i++) {
		free(m->octets[i]);
		m->octets[i] = NULL;
	}
}

static enum err move_some(struct store *store, struct moving *m) WAITS
{
	enum err err;

	m->count = 0;
	m->job = (struct job){ .run = run_moving };
	err = store_read(store, load_bodies, m);
	if (!err && m->count)
		err = store_commit(store, &m->job);
	free_octets(m);
	bodies_give_back(m->bodies, &m->lent);
	return err;
}

/* ---- removing ---- */

struct removing {
	struct store *store;
	uint64_t segment;
	struct job job;
};

/* What was emptied stays empty: bodies only ever come into the active segment. */
static enum err check_empty(struct db *db, void *arg)
{
	const struct removing *r = arg;
	bool has_row;
	enum err err = db_select(db, Q_body_page_of_segment, db_id(r->segment), db_int(1));

	if (!err)
		err = db_step(db, Q_body_page_of_segment, &has_row);
	if (err || !has_row)
		return err;
	return fault(ERR_BUSY, "body %lld is in the segment still",
		     (long long)db_int_at(db, Q_body_page_of_segment, 0));
}

/* To give back the blocks of a large file takes a while. */
static enum err unlink_file(void *arg)
{
	const struct removing *r = arg;
	char path[STORE_PATH + SEGMENT_NAME + 1];
	char name[SEGMENT_NAME];

	segment_name(r->segment, name);
	snprintf(path, sizeof(path), "%.1000s/%s", r->store->body_folder, name);
	if (r->store->io->unlink(path) && errno != ENOENT)
		return fault_errno("remove %s", path);
	/* After that nobody opens it any more: a descriptor that stayed would keep its blocks. */
	bodies_forget(r->store->bodies, r->segment);
	return OK;
}

static enum err forget_row(struct writer *writer, struct job *job)
{
	const struct removing *r = CONTAINER_OF(job, struct removing, job);

	return db_run(writer->db, Q_segment_delete, db_id(r->segment));
}

/* The row goes last: while it is there, the next compaction tries again. */
static enum err remove_segment(struct store *store, uint64_t number) WAITS
{
	struct removing r = { .store = store, .segment = number, .job.run = forget_row };
	struct job flush = { .flushes = true };
	enum err err = store_read(store, check_empty, &r);

	/* Its transactions must never be asked for again. */
	if (!err)
		err = store_commit(store, &flush);
	if (!err)
		err = store_work(unlink_file, &r);
	return err ? err : store_commit(store, &r.job);
}

/* What is wrong with this segment alone is told, and the others are compacted all the same. */
static enum err compact_one(struct store *store, const struct candidate *candidate,
			    struct compact_result *out) WAITS
{
	struct moving *m = calloc(1, sizeof(*m));
	enum err err;

	must(m);
	m->bodies = store->bodies;
	m->segment = candidate->number;
	do {
		err = move_some(store, m);
		if (!err && m->count)
			err = fiber_sleep(in_ms(PAUSE_MS));
	} while (!err && m->count);
	if (!err)
		err = remove_segment(store, candidate->number);
	out->bodies += m->moved;
	if (!err) {
		out->segments++;
		out->octets += candidate->end;
	} else if (m->is_unreadable) {
		store_trouble(store, err, "the segment stays as it is");
		err = OK;
	}
	free(m);
	return err;
}

enum err store_compact(struct store *store, bool all, struct compact_result *out) WAITS
{
	struct choosing choosing = { .all = all };
	struct compact_result ours = { 0 };
	enum err err;

	if (store->compacting)
		return fault(ERR_BUSY, "a compaction is under way");
	if (store->checking)
		return fault(ERR_BUSY, "the store is being checked: try again in a minute");
	store->compacting = true;
	err = store_read(store, choose, &choosing);
	for (size_t i = 0; !err && i < choosing.count; i++)
		err = compact_one(store, &choosing.found[i], &ours);
	store->compacting = false;
	if (out)
		*out = ours;
	return err;
}
