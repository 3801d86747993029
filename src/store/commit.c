/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit.h"
#include "store/replay.h"

#include <stdio.h>
#include <time.h>

enum { FAILURES_FATAL = 2 };

static int64_t clock_us(const struct writer *writer)
{
	struct timespec at;

	if (writer->simulated)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static struct job *job_of(struct list *link)
{
	return CONTAINER_OF(CONTAINER_OF(link, struct batch_job, link), struct job, batch);
}

static void job_failed(struct job *job, enum err err)
{
	job->err = err;
	snprintf(job->text, sizeof(job->text), "%s", fault_text());
}

/* Failures after which the transaction itself is not to be trusted. */
static bool is_of_the_world(enum err err)
{
	return err == ERR_IO || err == ERR_FULL || err == ERR_CORRUPT || err == ERR_SYSTEM ||
	       err == ERR_BUSY;
}

enum err writer_add_body(struct writer *writer, struct str octets, uint64_t *body,
			 struct place *place)
{
	enum err err = body_files_append(writer->segments, writer->next_body, octets, place);

	if (!err)
		*body = writer->next_body++;
	/* Whatever it was, the body files are where it was: the batch ends here. */
	return err && !is_of_the_world(err) ? ERR_IO : err;
}

static enum err run_job(struct writer *writer, struct job *job)
{
	enum err err = db_mark(writer->db);
	enum err undo;

	if (err)
		return err;
	err = job->run(writer, job);
	if (is_of_the_world(err))
		return err;
	if (err)
		job_failed(job, err);
	undo = db_unmark(writer->db, err != OK);
	return undo;
}

static enum err run_jobs(struct writer *writer, struct list *jobs)
{
	enum err err = OK;

	LIST_EACH (link, jobs) {
		struct job *job = job_of(link);

		if (!err && job->run)
			err = run_job(writer, job);
	}
	return err;
}

static enum err note_segments(struct writer *writer)
{
	size_t count;
	const struct segment_change *changes = body_files_changes(writer->segments, &count);
	enum err err = OK;

	for (size_t i = 0; !err && i < count; i++) {
		const struct segment_change *c = &changes[i];

		if (c->is_new)
			err = db_run(writer->db, Q_segment_add, db_id(c->number), db_id(c->end),
				     db_id(c->added));
		else
			err = db_run(writer->db, Q_segment_grow, db_id(c->end), db_id(c->added),
				     db_id(c->number));
	}
	return err;
}

/* Behind the bodies and the notes of their segments, and so in one flush with them. */
static enum err append_log(struct writer *writer)
{
	const struct segment_change *changes;
	enum err err = body_files_append_log(writer->segments, buf_str(&writer->redo.octets));
	size_t count;

	changes = body_files_changes(writer->segments, &count);
	if (err)
		return err;
	must(count);
	return db_run(writer->db, Q_segment_grow, db_id(changes[count - 1].end), db_int(0),
		      db_id(changes[count - 1].number));
}

static enum err commit(struct writer *writer, bool logged)
{
	size_t count;
	enum err err = OK;

	(void)body_files_changes(writer->segments, &count);
	if (logged && redo_is_empty(&writer->redo) && !count)
		return db_commit_logged(writer->db); /* nothing changed */
	if (logged)
		err = body_files_begin_log(writer->segments, writer->redo.octets.len);
	if (!err)
		err = note_segments(writer);
	if (err)
		return err;
	logged = logged && redo_seal(&writer->redo, &writer->tip);
	if (logged)
		err = append_log(writer);
	else if (writer->is_logged)
		err = epoch_store(writer->db, ++writer->tip.epoch);
	/* Bodies first: a row must never be durable before what it refers to. */
	if (!err)
		err = body_files_flush(writer->segments);
	if (err)
		return err;
	return logged ? db_commit_logged(writer->db) : db_commit(writer->db);
}

static bool may_be_logged(const struct writer *writer, struct list *jobs)
{
	LIST_EACH (link, jobs)
		if (job_of(link)->flushes)
			return false;
	return writer->is_logged && writer->redo.is_whole;
}

static void keep(struct writer *writer)
{
	size_t count;
	const struct segment_change *changes = body_files_changes(writer->segments, &count);

	if (count) {
		writer->tip.segment = changes[count - 1].number;
		writer->tip.end = changes[count - 1].end;
	}
	body_files_keep(writer->segments);
}

static enum err commit_all(struct writer *writer, struct list *jobs)
{
	uint64_t next_body = writer->next_body;
	uint64_t epoch = writer->tip.epoch;
	enum err err = db_begin(writer->db);

	if (err)
		return err;
	err = run_jobs(writer, jobs);
	if (!err)
		err = commit(writer, may_be_logged(writer, jobs));
	if (!err) {
		keep(writer);
		return OK;
	}
	db_rollback(writer->db);
	body_files_forget(writer->segments);
	writer->next_body = next_body;
	writer->tip.epoch = epoch;
	return err;
}

static void checkpoint(struct writer *writer, bool whole)
{
	/* What a failed checkpoint left undone lies in the log still; only a failed flush matters. */
	(void)!db_checkpoint(writer->db, whole);
}

static void tell_outcome(struct writer *writer, struct list *jobs, enum err err, int64_t since_us)
{
	struct job *first = job_of(jobs->next);
	uint64_t requests = 0;
	uint64_t messages = 0;
	uint64_t octets = 0;

	LIST_EACH (link, jobs) {
		struct job *job = job_of(link);

		if (err)
			job_failed(job, err);
		requests += job->run != NULL;
		messages += job->err ? 0 : job->messages;
		octets += job->err ? 0 : job->octets;
	}
	first->leads = true;
	LIST_EACH (each, jobs) {
		struct job *job = job_of(each);

		job->batch_requests = requests;
		job->batch_messages = messages;
		job->batch_octets = octets;
		job->batch_us = (uint64_t)(clock_us(writer) - since_us);
		job->changed_directory = writer->changed_directory;
	}
}

static bool wants_checkpoint(struct list *jobs)
{
	LIST_EACH (link, jobs)
		if (job_of(link)->checkpoint)
			return true;
	return false;
}

/* A device that fails twice in a row, or whose flush failed once, is not asked again. */
static void judge(struct writer *writer, enum err err)
{
	bool broken = db_is_broken(writer->db) || body_files_are_broken(writer->segments);

	writer->failures = err == ERR_IO ? writer->failures + 1 : 0;
	if (writer->dead || (!broken && writer->failures < FAILURES_FATAL))
		return;
	writer->dead = true;
	writer->fatal(writer->fatal_context, fault_text());
}

void writer_run_batch(void *context, struct list *jobs)
{
	struct writer *writer = context;
	int64_t since_us = clock_us(writer);
	enum err err;

	writer->changed_directory = false;
	if (writer->dead) {
		err = fault(ERR_IO, "the store failed before and is about to end");
		tell_outcome(writer, jobs, err, since_us);
		return;
	}
	if (wants_checkpoint(jobs))
		checkpoint(writer, true);
	else if (db_log_octets(writer->db) > writer->checkpoint_octets)
		checkpoint(writer, false);
	err = commit_all(writer, jobs);
	tell_outcome(writer, jobs, err, since_us);
	judge(writer, err);
}
