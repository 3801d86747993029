/* SPDX-License-Identifier: Apache-2.0 */
#include "store/replay.h"
#include "store/record.h"
#include "store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where the database is ---- */

static const struct str epoch_name = { "epoch", 5 };

static enum err epoch_load(struct db *db, uint64_t *out)
{
	bool has_row = false;
	enum err err = db_select(db, Q_setting_get, db_str(epoch_name));

	*out = 0;
	if (!err)
		err = db_step(db, Q_setting_get, &has_row);
	if (!err && has_row && !str_to_u64(db_text_at(db, Q_setting_get, 0), INT64_MAX, out))
		err = fault(ERR_CORRUPT, "the database's epoch is not a number");
	db_finish(db, Q_setting_get);
	return err;
}

enum err epoch_store(struct db *db, uint64_t epoch)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch);
	return db_run(db, Q_setting_set, db_str(epoch_name), db_str(str_of(text)));
}

enum err redo_tip(struct db *db, struct redo_head *out)
{
	bool has_row = false;
	enum err err = epoch_load(db, &out->epoch);

	out->segment = out->end = 0;
	if (!err)
		err = db_start(db, Q_segment_newest, NULL, 0);
	if (!err)
		err = db_step(db, Q_segment_newest, &has_row);
	if (!err && has_row) {
		out->segment = (uint64_t)db_int_at(db, Q_segment_newest, 0);
		out->end = (uint64_t)db_int_at(db, Q_segment_newest, 1);
		db_finish(db, Q_segment_newest);
	}
	return err;
}

/* ---- one transaction ---- */

struct reading {
	struct replay *replay;
	int folder;
	int fd;
	uint64_t number;
	struct redo_head tip;
	bool is_over;
};

static enum err run_statement(struct reading *r, const struct redo_statement *statement)
{
	struct db *db = r->replay->db;
	enum db_query query = db_redo_named(statement->name);
	enum err err;

	if (query == DB_QUERIES || db_parameters(db, query) != statement->count)
		return fault(ERR_UNSUPPORTED,
			     "body file %llu holds mail that another version of glasspost took "
			     "(statement %.*s): start that version once and stop it",
			     (unsigned long long)r->number, STR_ARGS(statement->name));
	err = db_run_values(db, query, statement->values, statement->count, NULL);
	return err == ERR_EXISTS ? ERR_CORRUPT : err;
}

static enum err run_statements(struct reading *r, struct scan *scan)
{
	struct redo_statement statement;
	enum err err = OK;

	while (!err && take_redo(scan, &statement))
		err = run_statement(r, &statement);
	if (!err && !scan_at_end(scan))
		err = fault(ERR_CORRUPT, "a transaction in body file %llu is not well formed",
			    (unsigned long long)r->number);
	return err;
}

/* The record itself moves the end, too: `end` is behind it. */
static enum err do_again(struct reading *r, struct scan *scan, uint64_t end)
{
	struct db *db = r->replay->db;
	enum err err = db_begin(db);

	if (!err)
		err = run_statements(r, scan);
	if (!err)
		err = db_run(db, Q_segment_grow, db_id(end), db_int(0), db_id(r->number));
	if (!err)
		err = redo_tip(db, &r->tip);
	if (!err && (r->tip.segment != r->number || r->tip.end != end))
		err = fault(ERR_CORRUPT, "a transaction in body file %llu leads elsewhere",
			    (unsigned long long)r->number);
	if (!err)
		err = db_commit_logged(db);
	if (err)
		db_rollback(db);
	return err;
}

static bool read_at(void *context, uint64_t offset, void *at, size_t len)
{
	const struct reading *r = context;
	char *to = at;

	while (len) {
		ssize_t got = pread(r->fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return true;
}

static enum err replay_octets(struct reading *r, struct str octets, uint64_t end)
{
	struct scan scan = scan_of(octets);
	struct redo_head head;
	enum err err = OK;

	if (!take_redo_head(&scan, &head))
		return fault(ERR_CORRUPT, "a transaction in body file %llu is too short",
			     (unsigned long long)r->number);
	if (head.epoch != r->tip.epoch || head.segment != r->tip.segment ||
	    head.end != r->tip.end) {
		r->is_over = r->replay->is_of_other_rows = true;
		return OK;
	}
	r->replay->transactions++;
	r->is_over = r->replay->look_only;
	if (!r->is_over)
		err = do_again(r, &scan, end);
	if (!err && db_log_octets(r->replay->db) > r->replay->checkpoint_octets)
		err = db_checkpoint(r->replay->db, false);
	return err;
}

static enum err replay_record(struct reading *r, const struct record *record, uint64_t end)
{
	uint64_t start = end - record_span(record->length) + RECORD_HEADER;
	char *octets;
	enum err err;

	if (record->length > REDO_OCTETS)
		return fault(ERR_CORRUPT, "a transaction in body file %llu is too long",
			     (unsigned long long)r->number);
	octets = malloc(record->length + 1);
	must(octets);
	if (read_at(r, start, octets, record->length))
		err = replay_octets(r, (struct str){ octets, record->length }, end);
	else
		err = fault_errno("read body file %llu", (unsigned long long)r->number);
	free(octets);
	return err;
}

/* ---- files ---- */

static enum err replay_file(struct reading *r, uint64_t offset)
{
	unsigned char octets[SEGMENT_HEADER];
	struct segment_walk walk = { read_at, r, offset, 0 };
	struct segment_head head;
	struct record record;
	struct stat stat_of;
	enum err err = OK;

	/* Torn, or of another store: none of what was committed is in it. */
	if (fstat(r->fd, &stat_of) || !read_at(r, 0, octets, sizeof(octets)) ||
	    !segment_head_parse(octets, &head) || head.number != r->number ||
	    head.store != r->replay->store)
		return OK;
	walk.end = (uint64_t)stat_of.st_size;
	while (!err && !r->is_over && segment_walk_next(&walk, &record))
		if (record.kind == RECORD_REDO)
			err = replay_record(r, &record, walk.offset);
	return err;
}

static enum err open_and_replay(struct reading *r, uint64_t offset)
{
	char name[SEGMENT_NAME];
	enum err err;

	segment_name(r->number, name);
	r->fd = openat(r->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0) /* a row whose file is gone: told when it is gone on in */
		return errno == ENOENT || errno == ELOOP ? OK : fault_errno("open %s", name);
	err = replay_file(r, offset);
	close(r->fd);
	return err;
}

/* The file that was begun after this one; 0: none. */
static uint64_t next_file(int folder, uint64_t after)
{
	int copy = dup(folder);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	uint64_t next = 0;
	uint64_t number;

	must(dir);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (segment_name_parse(entry->d_name, &number) && number > after &&
		    (!next || number < next))
			next = number;
	closedir(dir);
	return next;
}

enum err replay_run(struct replay *replay)
{
	struct reading r = { .replay = replay };
	enum err err = redo_tip(replay->db, &r.tip);

	if (err)
		return err;
	r.folder = open(replay->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.folder < 0)
		return fault_errno("open %s", replay->folder);
	r.number = r.tip.segment;
	if (r.number)
		err = open_and_replay(&r, r.tip.end);
	while (!err && !r.is_over && (r.number = next_file(r.folder, r.number)))
		err = open_and_replay(&r, SEGMENT_HEADER);
	close(r.folder);
	if (!err && replay->transactions && !replay->look_only)
		err = db_flush(replay->db);
	return err;
}
