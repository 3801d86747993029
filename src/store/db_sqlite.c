/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded engine. rules: one process, one writing connection, which alone checkpoints (releases
 * before 3.51.3 can damage a log that two connections reset at once); readers are read-only; no mmap,
 * because a failed read would then be a SIGBUS.
 */
#include "store/db.h"
#include "store/gather_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of transactions, for every message: they are compiled once as well. */
enum order { ORDER_READ, ORDER_WRITE, ORDER_COMMIT, ORDER_MARK, ORDER_RELEASE, ORDERS };

struct db {
	sqlite3 *handle;
	sqlite3_stmt *statements[DB_QUERIES];
	sqlite3_stmt *orders[ORDERS];
	bool broken;
	bool durable;
	struct redo *redo;      /* NULL: nobody asks */
	uint64_t log_pages;     /* in the write-ahead log */
	uint64_t carried_pages; /* of them in the database already */
};

static const char *const query_text[DB_QUERIES] = {
#define QUERY(name, sql) [Q_##name] = sql,
#include "store/queries.def"
#undef QUERY
};

static const char *const order_text[ORDERS] = {
	[ORDER_READ] = "BEGIN",          [ORDER_WRITE] = "BEGIN IMMEDIATE",
	[ORDER_COMMIT] = "COMMIT",       [ORDER_MARK] = "SAVEPOINT job",
	[ORDER_RELEASE] = "RELEASE job",
};

/* NULL: none that a redo may hold. */
static const char *const redo_name[DB_QUERIES] = {
#define QUERY(name, sql) [Q_##name] = NULL,
#define REDO(name, sql)  [Q_##name] = #name,
#include "store/queries.def"
#undef QUERY
};

/* ---- failures ---- */

/* The write-ahead log; NULL while there is none. */
static sqlite3_file *log_of(struct db *db)
{
	sqlite3_file *log = NULL;

	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	return log && log->pMethods ? log : NULL;
}

/* Of the newest failure on the log, or else on the database itself: sqlite3_system_errno is not kept. */
static int last_errno(struct db *db)
{
	sqlite3_file *log = log_of(db);
	int error = 0;

	if (log)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (!error)
		sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

static enum err err_of_io(struct db *db)
{
	int extended = sqlite3_extended_errcode(db->handle);
	int error = last_errno(db);

	if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC)
		db->broken = true; /* never flush a second time and believe it */
	/* SQLite knows ENOSPC by itself (SQLITE_FULL); quotas and limits are the same to us. */
	if (extended == SQLITE_IOERR_WRITE && (error == EDQUOT || error == EFBIG))
		return ERR_FULL;
	return ERR_IO;
}

static enum err err_of(struct db *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_CANTOPEN:
		return sqlite3_system_errno(db->handle) == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	case SQLITE_IOERR:
		return err_of_io(db);
	default:
		return ERR_IO;
	}
}

static enum err failed(struct db *db, int code, const char *what)
{
	return fault(err_of(db, code), "database: %s: %s", what, sqlite3_errmsg(db->handle));
}

/* ---- opening ---- */

static int log_grew(void *context, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = context;

	(void)handle;
	(void)name;
	db->log_pages = (uint64_t)pages;
	if (db->log_pages < db->carried_pages)
		db->carried_pages = 0; /* it began anew */
	return SQLITE_OK;
}

static enum err exec(struct db *db, const char *sql)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? OK : failed(db, code, sql);
}

static enum err run_order(struct db *db, enum order order)
{
	sqlite3_stmt **statement = &db->orders[order];
	int code = SQLITE_OK;
	enum err err = OK;

	if (!*statement)
		code = sqlite3_prepare_v3(db->handle, order_text[order], -1,
					  SQLITE_PREPARE_PERSISTENT, statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(*statement);
	if (code != SQLITE_DONE)
		err = failed(db, code, order_text[order]);
	sqlite3_reset(*statement);
	return err;
}

/*
 * The engine opens a file that it cannot open for writing for reading alone, and says so only when
 * something is written. The reason may be gone in a moment; the connection would stay as it is.
 */
static enum err check_writable(struct db *db)
{
	enum err err = sqlite3_db_readonly(db->handle, "main") == 1
			       ? fault(ERR_IO, "the database cannot be opened for writing")
			       : exec(db, "BEGIN IMMEDIATE; ROLLBACK");

	return err;
}

static enum err prepare_connection(struct db *db, const struct db_options *options)
{
	enum err err;

	sqlite3_extended_result_codes(db->handle, 1);
	/* Nobody else writes; only a person with another tool could be in the way. */
	sqlite3_busy_timeout(db->handle, options->read_only ? 2000 : 100);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, options->read_only, NULL);
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, 4 << 20);
	err = exec(db, "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
		       "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
		       "PRAGMA cell_size_check = ON");
	if (err)
		return err;
	if (options->read_only)
		return exec(db, "PRAGMA cache_size = -4096; PRAGMA query_only = ON");
	/* The engine flushes its log before it carries it over; of commits db_commit takes care. */
	err = exec(db, options->durable ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"
					: "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
	if (!err)
		err = exec(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -32768");
	sqlite3_wal_hook(db->handle, log_grew, db);
	return err ? err : check_writable(db);
}

void db_prepare(void)
{
	/* Nobody asks how much it has allocated, and each allocation would take a lock to count. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_initialize();
}

enum err db_open(const struct db_options *options, struct db **out)
{
	int flags = options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	char path[4096];
	struct db *db;
	enum err err;
	int code;

	if (snprintf(path, sizeof(path), "%s/glasspost.db", options->folder) >= (int)sizeof(path))
		return fault(ERR_LIMIT, "the name of the data directory is too long");
	if (options->create && !options->read_only) {
		/* SQLite would let everybody read it; log and index take the mode from here. */
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			return fault_errno("make %s", path);
		close(fd);
	}
	db = calloc(1, sizeof(*db));
	must(db);
	db->durable = options->durable && !options->read_only;
	db->redo = options->redo;
	code = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX,
			       options->read_only ? options->io->vfs
						  : gather_vfs(options->io->vfs));
	must(db->handle);
	err = code == SQLITE_OK ? prepare_connection(db, options) : failed(db, code, path);
	if (err) {
		db_close(&db);
		return err;
	}
	*out = db;
	return OK;
}

void db_close(struct db **db)
{
	struct db *gone = *db;

	if (!gone)
		return;
	for (int i = 0; i < DB_QUERIES; i++)
		sqlite3_finalize(gone->statements[i]);
	for (int i = 0; i < ORDERS; i++)
		sqlite3_finalize(gone->orders[i]);
	/* Broken: no last checkpoint, which would believe what the flush denied. */
	if (gone->broken)
		sqlite3_db_config(gone->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	must(sqlite3_close(gone->handle) == SQLITE_OK);
	free(gone);
	*db = NULL;
}

bool db_is_broken(const struct db *db)
{
	return db->broken;
}

/* ---- transactions ---- */

enum err db_begin(struct db *db)
{
	if (db->redo)
		redo_begin(db->redo);
	return run_order(db,
			 sqlite3_db_readonly(db->handle, "main") == 1 ? ORDER_READ : ORDER_WRITE);
}

/* Of what was committed: whether the disk has it is not known now. */
static enum err log_failed(struct db *db, int code, const char *what)
{
	db->broken = true; /* never flush a second time and believe it */
	return fault(ERR_IO, "database: %s: %s", what, sqlite3_errstr(code));
}

enum err db_flush(struct db *db)
{
	sqlite3_file *log = db->durable ? log_of(db) : NULL;
	int code = log ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : SQLITE_OK;

	return code == SQLITE_OK ? OK : log_failed(db, code, "flush");
}

enum err db_commit_logged(struct db *db)
{
	enum err err = run_order(db, ORDER_COMMIT);
	sqlite3_file *log = err ? NULL : log_of(db);
	int code = log ? log->pMethods->xFileControl(log, GATHER_RELEASE, NULL) : SQLITE_OK;

	return code == SQLITE_OK ? err : log_failed(db, code, "write");
}

enum err db_commit(struct db *db)
{
	enum err err = db_commit_logged(db);

	return err ? err : db_flush(db);
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

enum err db_mark(struct db *db)
{
	if (db->redo)
		redo_mark(db->redo);
	return run_order(db, ORDER_MARK);
}

enum err db_unmark(struct db *db, bool undo)
{
	if (undo && db->redo)
		redo_undo(db->redo);
	return undo ? exec(db, "ROLLBACK TO job; RELEASE job") : run_order(db, ORDER_RELEASE);
}

/* ---- statements ---- */

static int bind_one(sqlite3_stmt *statement, int index, const struct db_value *value)
{
	static const char empty[1];
	const char *at = value->octets.at ? value->octets.at : empty;

	switch (value->kind) {
	case DB_NULL:
		return sqlite3_bind_null(statement, index);
	case DB_INTEGER:
		return sqlite3_bind_int64(statement, index, value->integer);
	case DB_TEXT:
		return sqlite3_bind_text64(statement, index, at, value->octets.len, SQLITE_STATIC,
					   SQLITE_UTF8);
	case DB_OCTETS:
		return sqlite3_bind_blob64(statement, index, at, value->octets.len, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static enum err prepare(struct db *db, enum db_query query)
{
	int code = SQLITE_OK;

	if (!db->statements[query])
		code = sqlite3_prepare_v3(db->handle, query_text[query], -1,
					  SQLITE_PREPARE_PERSISTENT, &db->statements[query], NULL);
	return code == SQLITE_OK ? OK : failed(db, code, query_text[query]);
}

enum db_query db_redo_named(struct str name)
{
	size_t query = 0;

	while (query < DB_QUERIES && !(redo_name[query] && str_is(name, str_of(redo_name[query]))))
		query++;
	return (enum db_query)query;
}

size_t db_parameters(struct db *db, enum db_query query)
{
	if (prepare(db, query))
		return SIZE_MAX;
	return (size_t)sqlite3_bind_parameter_count(db->statements[query]);
}

static enum err start(struct db *db, enum db_query query, const struct db_value *values,
		      size_t count)
{
	sqlite3_stmt **statement = &db->statements[query];
	int code = SQLITE_OK;
	enum err err = prepare(db, query);

	if (err)
		return err;
	must((int)count == sqlite3_bind_parameter_count(*statement));
	sqlite3_reset(*statement);
	for (size_t i = 0; i < count; i++) {
		code = bind_one(*statement, (int)i + 1, &values[i]);
		if (code != SQLITE_OK)
			return failed(db, code, "bind");
	}
	return OK;
}

enum err db_start(struct db *db, enum db_query query, const struct db_value *values, size_t count)
{
	enum err err = start(db, query, values, count);

	/* What changes something goes through db_run, or the redo would not have it. */
	must(err || !db->redo || sqlite3_stmt_readonly(db->statements[query]));
	return err;
}

enum err db_step(struct db *db, enum db_query query, bool *has_row)
{
	sqlite3_stmt *statement = db->statements[query];
	int code = sqlite3_step(statement);
	enum err err = OK;

	*has_row = code == SQLITE_ROW;
	if (*has_row)
		return OK;
	if (code != SQLITE_DONE)
		err = failed(db, code, "step");
	sqlite3_reset(statement);
	return err;
}

void db_finish(struct db *db, enum db_query query)
{
	if (db->statements[query])
		sqlite3_reset(db->statements[query]);
}

int64_t db_int_at(struct db *db, enum db_query query, int column)
{
	return sqlite3_column_int64(db->statements[query], column);
}

struct str db_text_at(struct db *db, enum db_query query, int column)
{
	const char *at = sqlite3_column_blob(db->statements[query], column);
	int len = sqlite3_column_bytes(db->statements[query], column);

	return (struct str){ at, (size_t)len };
}

bool db_is_null(struct db *db, enum db_query query, int column)
{
	return sqlite3_column_type(db->statements[query], column) == SQLITE_NULL;
}

enum err db_run_values(struct db *db, enum db_query query, const struct db_value *values,
		       size_t count, uint64_t *changed)
{
	bool has_row;
	enum err err = start(db, query, values, count);

	if (!err)
		err = db_step(db, query, &has_row);
	if (!err && changed)
		*changed = (uint64_t)sqlite3_changes64(db->handle);
	if (!err && db->redo)
		redo_add(db->redo, redo_name[query], values, count);
	return err;
}

enum err db_number_values(struct db *db, enum db_query query, const struct db_value *values,
			  size_t count, int64_t *out)
{
	bool has_row;
	enum err err = db_start(db, query, values, count);

	if (!err)
		err = db_step(db, query, &has_row);
	if (!err && has_row) {
		*out = db_int_at(db, query, 0);
		db_finish(db, query);
	}
	return err;
}

/* ---- schema ---- */

static const struct {
	struct str word;
	const char *spelling;
} words[] = {
	{ S("$ID_ONCE"), "INTEGER PRIMARY KEY AUTOINCREMENT" },
	{ S("$ID"), "INTEGER PRIMARY KEY" },
	{ S("$OCTETS"), "BLOB" },
	{ S("$CLUSTERED"), "WITHOUT ROWID" },
};

static size_t word_at(struct str sql, const char **spelling)
{
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_starts(sql, words[i].word)) {
			*spelling = words[i].spelling;
			return words[i].word.len;
		}
	return 0;
}

enum err db_define(struct db *db, struct str sql)
{
	struct buf text = BUF(65536);
	enum err err;

	while (sql.len) {
		const char *spelling;
		size_t len = word_at(sql, &spelling);

		if (len)
			buf_add_c(&text, spelling);
		else
			buf_add_char(&text, sql.at[0]);
		sql = str_from(sql, len ? len : 1);
	}
	buf_add_char(&text, '\0');
	if (db->redo)
		redo_add(db->redo, NULL, NULL, 0);
	err = text.failed ? fault(ERR_LIMIT, "schema step too long") : exec(db, text.at);
	buf_drop(&text);
	return err;
}

enum err db_ask_number(struct db *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
	enum err err = OK;

	if (code != SQLITE_OK)
		return failed(db, code, sql);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(statement, 0);
	else
		err = code == SQLITE_DONE ? fault(ERR_NOT_FOUND, "no row: %s", sql)
					  : failed(db, code, sql);
	sqlite3_finalize(statement);
	return err;
}

enum err db_has_table(struct db *db, struct str name, bool *out)
{
	char sql[200];
	int64_t count = 0;
	enum err err;

	snprintf(sql, sizeof(sql),
		 "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '%.*s'",
		 STR_ARGS(name));
	err = db_ask_number(db, sql, &count);
	*out = count > 0;
	return err;
}

/* ---- upkeep ---- */

uint64_t db_log_octets(const struct db *db)
{
	return (db->log_pages - db->carried_pages) * 4096;
}

enum err db_checkpoint(struct db *db, bool whole)
{
	int pages = 0;
	int carried = 0;
	int code = sqlite3_wal_checkpoint_v2(
		db->handle, NULL, whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
		&pages, &carried);

	/* A reader in the way is no failure: the next checkpoint gets further. */
	if (code == SQLITE_BUSY)
		return OK;
	if (code != SQLITE_OK)
		return failed(db, code, "checkpoint");
	db->log_pages = pages > 0 ? (uint64_t)pages : 0;
	db->carried_pages = carried > 0 ? (uint64_t)carried : 0;
	return OK;
}

static enum err verify_with(struct db *db, const char *pragma, struct buf *complaints)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db->handle, pragma, -1, &statement, NULL);

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			break;
		const char *line = (const char *)sqlite3_column_text(statement, 0);

		if (line && strcmp(line, "ok") != 0)
			buf_print(complaints, "%s: %s\n", pragma, line);
	}
	sqlite3_finalize(statement);
	return code == SQLITE_DONE ? OK : failed(db, code, pragma);
}

enum err db_verify(struct db *db, struct buf *complaints)
{
	enum err err = verify_with(db, "PRAGMA integrity_check(100)", complaints);

	return err ? err : verify_with(db, "PRAGMA foreign_key_check", complaints);
}
