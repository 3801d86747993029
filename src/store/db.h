/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * db: the database as the store uses it: one connection, the statements of queries.def by name, and
 * transactions. Small on purpose: another engine comes behind these functions and changes nothing
 * above them. SQL is kept to what SQLite and PostgreSQL share; schema.def and queries.def hold all of it.
 *
 * Invariants
 *  (1) A connection is used by one thread at a time.
 *  (2) A read-only connection sees one snapshot from db_begin to db_rollback.
 *  (3) After a failed db_commit nothing of the transaction is there, unless db_is_broken says that this
 *      is not known: then the process must end and recover.
 *  (4) In a durable database, what db_commit or db_flush gave OK for is on the disk, and so is all that
 *      was committed before. db_commit_logged flushes nothing: a power cut may take the newest of
 *      its transactions, each wholly and none without those after it.
 *
 * Texts from db_text are valid until the next db_step, db_finish or db_run of the same query.
 * Errors: ERR_FULL (disk), ERR_BUSY (another process), ERR_EXISTS (a UNIQUE rule), ERR_CORRUPT, ERR_IO.
 */
#include "store/io.h"
#include "store/redo.h"

enum db_query {
#define QUERY(name, sql) Q_##name,
#include "store/queries.def"
#undef QUERY
	DB_QUERIES
};

struct db;

struct db_options {
	const char *folder; /* the database lies in it */
	const struct io *io;
	bool read_only;
	bool durable;
	bool create;       /* make it when there is none */
	struct redo *redo; /* what changes in each transaction is noted there; may be NULL */
};

/* Before the sandbox: the engine sets itself up. */
void db_prepare(void);
[[nodiscard]] enum err db_open(const struct db_options *options, struct db **out);
void db_close(struct db **db);

[[nodiscard]] enum err db_begin(struct db *db);
[[nodiscard]] enum err db_commit(struct db *db);
[[nodiscard]] enum err db_commit_logged(struct db *db);
[[nodiscard]] enum err db_flush(struct db *db);
void db_rollback(struct db *db);
/* A failure since the last call may have left the disk in doubt (a flush failed). */
bool db_is_broken(const struct db *db);
/* Nested: what ran since the mark can be undone alone. */
[[nodiscard]] enum err db_mark(struct db *db);
[[nodiscard]] enum err db_unmark(struct db *db, bool undo);

/* Start a query, and then step it: *has_row false at the end, which also finishes it. */
[[nodiscard]] enum err db_start(struct db *db, enum db_query query, const struct db_value *values,
				size_t count);
[[nodiscard]] enum err db_step(struct db *db, enum db_query query, bool *has_row);
void db_finish(struct db *db, enum db_query query);
/* The REDO of this name; DB_QUERIES when there is none. */
enum db_query db_redo_named(struct str name);
/* How many parameters the statement has; SIZE_MAX when it cannot be prepared. */
size_t db_parameters(struct db *db, enum db_query query);
int64_t db_int_at(struct db *db, enum db_query query, int column);
struct str db_text_at(struct db *db, enum db_query query, int column);
bool db_is_null(struct db *db, enum db_query query, int column);

/* A statement without rows; *changed may be NULL. */
[[nodiscard]] enum err db_run_values(struct db *db, enum db_query query,
				     const struct db_value *values, size_t count,
				     uint64_t *changed);
/* One number: the first column of the first row; `preset` when there is none. */
[[nodiscard]] enum err db_number_values(struct db *db, enum db_query query,
					const struct db_value *values, size_t count, int64_t *out);

#define DB_VALUES(...)                                                                             \
	((const struct db_value[]){ __VA_ARGS__ }),                                                \
		sizeof((const struct db_value[]){ __VA_ARGS__ }) / sizeof(struct db_value)
#define db_select(db, query, ...) db_start((db), (query), DB_VALUES(__VA_ARGS__))
#define db_run(db, query, ...)    db_run_values((db), (query), DB_VALUES(__VA_ARGS__), NULL)

/* Statements of the schema: text with $ID, $ID_ONCE, $OCTETS, $CLUSTERED for what engines spell apart. */
[[nodiscard]] enum err db_define(struct db *db, struct str sql);
[[nodiscard]] enum err db_has_table(struct db *db, struct str name, bool *out);
/* One number by SQL text of our own, for schema versions and tests. */
[[nodiscard]] enum err db_ask_number(struct db *db, const char *sql, int64_t *out);

/* ---- upkeep, by the writer alone ---- */

uint64_t db_log_octets(const struct db *db); /* write-ahead log not yet carried over */
/* Carry the log over. `whole`: and begin it anew, when no reader is in the way. */
[[nodiscard]] enum err db_checkpoint(struct db *db, bool whole);
/* The engine's own look at its files: adds a line per complaint. */
[[nodiscard]] enum err db_verify(struct db *db, struct buf *complaints);
