/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * commit: the one writer. Jobs that are ready together share a transaction and its flush. Only then is any
 * of them answered.
 *
 * What changes mail alone is logged: the bodies and the transaction's redo go to the body files in one
 * flush, and the database commits without one of its own; a start after a power cut does again what the
 * database lost (replay.h). All else (accounts, settings, compaction) is in no log: the bodies
 * are flushed, and then the database, which makes all before it durable there too.
 *
 * Invariants
 *  (1) job->err is OK only when what the job did is durable (in a durable store).
 *  (2) A transaction that is not logged has an epoch of its own, so that nothing logged is ever done
 *      again without it.
 *  (3) A job that fails by itself (a rule, a row that is missing) undoes its own part alone. When
 *      the disk or the database fails, the whole batch fails and nothing of it is kept.
 *  (4) After a failed flush, or two commits in a row that failed by input or output, nothing is
 *      committed any more: `fatal` is called, and the process is expected to end and recover.
 *
 * writer_... run on the batcher's thread; commit_... wait in a fiber.
 */
#include "fiber/fiber.h"
#include "store/db.h"
#include "store/segment.h"

struct writer {
	struct db *db;
	struct body_files *segments;
	struct redo redo;     /* of the batch */
	struct redo_head tip; /* what the database has come to */
	bool is_logged;       /* durable: the body files are its log */
	uint64_t next_body;
	bool changed_directory; /* in this batch */
	unsigned failures;      /* commits in a row that failed by input or output */
	bool dead;
	bool simulated; /* durations are not measured: equal seeds give equal traces */
	uint64_t checkpoint_octets;
	void (*fatal)(void *context, const char *text); /* any thread */
	void *fatal_context;
};

struct job {
	struct batch_job batch;
	/* Inside the transaction. A failure undoes this job alone, unless it is ERR_IO, ERR_FULL or ERR_CORRUPT. */
	enum err (*run)(struct writer *writer, struct job *job);
	bool checkpoint; /* in place of run: carry the log over and begin it anew */
	bool flushes; /* afterwards all that was committed is on the disk in the database itself */
	uint64_t messages, octets; /* for the trace; run sets them */

	/* Outcome. */
	enum err err;
	char text[FAULT_TEXT_MAX]; /* of err */
	bool changed_directory; /* somebody's run in this batch touched domains, accounts or aliases */
	bool leads;             /* the first of its batch: it tells the trace */
	uint64_t batch_requests, batch_messages, batch_octets, batch_us;
};

/* The batch function: context is a struct writer. */
void writer_run_batch(void *writer, struct list *jobs);
/* A body goes to the segments and gets an id; the octets must live until the batch ends. */
[[nodiscard]] enum err writer_add_body(struct writer *writer, struct str octets, uint64_t *body,
				       struct place *place);
