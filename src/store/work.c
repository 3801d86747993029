/* SPDX-License-Identifier: Apache-2.0 */
/* How fibers get work done by the writer and by worker threads, and the upkeep between commits. */
#include "store/compact.h"
#include "store/state.h"

#include <stdio.h>
#include <sys/statvfs.h>

enum { ROOM_KNOWN_MS = 1000, IDLE_MS = 2000, BUSY_MS = 10 * 60 * 1000 };

/* ---- worker threads ---- */

struct work {
	store_work_fn *fn;
	void *arg;
	enum err err;
	char text[FAULT_TEXT_MAX];
};

static void run_work(void *arg)
{
	struct work *work = arg;

	work->err = work->fn(work->arg);
	if (work->err)
		snprintf(work->text, sizeof(work->text), "%s", fault_text());
}

static enum err work_on(enum offload_kind kind, store_work_fn *fn, void *arg) WAITS
{
	struct work work = { .fn = fn, .arg = arg };

	offload(kind, run_work, &work);
	return work.err ? fault(work.err, "%s", work.text) : OK;
}

enum err store_work(store_work_fn *fn, void *arg) WAITS
{
	return work_on(OFFLOAD_WORK, fn, arg);
}

enum err store_hash(store_work_fn *fn, void *arg) WAITS
{
	return work_on(OFFLOAD_HASH, fn, arg);
}

struct reading {
	struct db *db;
	store_read_fn *fn;
	void *arg;
};

static enum err run_reading(void *arg)
{
	struct reading *reading = arg;
	enum err err = db_begin(reading->db);

	if (!err)
		err = reading->fn(reading->db, reading->arg);
	for (int query = 0; query < DB_QUERIES; query++)
		db_finish(reading->db, (enum db_query)query);
	db_rollback(reading->db);
	return err;
}

enum err store_read(struct store *store, store_read_fn *fn, void *arg) WAITS
{
	struct reading reading = { .fn = fn, .arg = arg };
	enum err err = semaphore_take(&store->reader_free, in_ms(30000));

	if (err)
		return fault(err, "no reader of the store was free");
	reading.db = store->readers[--store->reader_count];
	err = store_work(run_reading, &reading);
	store->readers[store->reader_count++] = reading.db;
	semaphore_give(&store->reader_free);
	return err;
}

/* ---- the writer ---- */

enum err store_commit(struct store *store, struct job *job) WAITS
{
	job->err = OK;
	job->leads = false;
	batcher_run(store->batcher, &job->batch);
	if (job->changed_directory)
		store->directory_generation++;
	if (job->leads && job->batch_requests) {
		store->commits++;
		store->messages_kept += job->batch_messages;
		TRACE(store->trace, 0, 0, commit, .requests = job->batch_requests,
		      .messages = job->batch_messages, .octets = job->batch_octets,
		      .us = job->batch_us, .failure = str_of(job->err ? job->text : ""));
		waitq_wake_all(&store->committed);
	}
	return job->err ? fault(job->err, "%s", job->text) : OK;
}

/* ---- the disk ---- */

bool store_has_room(struct store *store, uint64_t octets)
{
	uint64_t floor = store->config->disk_floor;
	struct statvfs disk;

	if (store->room_at == INT64_MIN || now() - store->room_at > ROOM_KNOWN_MS * 1000) {
		/* Where it cannot be known, the write will tell. */
		store->room_free = statvfs(store->folder, &disk)
					   ? UINT64_MAX
					   : (uint64_t)disk.f_bavail * disk.f_frsize;
		store->room_at = now();
	}
	return store->room_free >= floor && store->room_free - floor >= octets;
}

/* ---- policy ---- */

void config_policy(const struct config *config, bool create, struct resolve_policy *out)
{
	*out = (struct resolve_policy){
		.separator = config->subaddress_separator,
		.any_domain = config->accept_any_domain,
		.create = create && (config->catch_all || config->accept_any_domain),
		.quota = config->quota,
		.folders = SUBADDRESS_EXISTING,
		.srs.domain = config->srs_domain,
	};
	if (str_is_nocase(config->subaddress_folders, S("create")))
		out->folders = SUBADDRESS_CREATE;
	else if (str_is_nocase(config->subaddress_folders, S("inbox")))
		out->folders = SUBADDRESS_INBOX;
}

void store_policy(const struct store *store, bool create, struct resolve_policy *out)
{
	config_policy(store->config, create, out);
	out->srs.key = store->salts;
	out->srs.now_us = wall_us();
}

/* ---- upkeep ---- */

/*
 * After a burst, once nothing was committed for a while: the log is carried over and begun anew, so
 * that the next start is quick, and segments that are mostly dead are compacted. Where mail never rests it is
 * done every BUSY_MS, or what is deleted would fill the disk.
 */
void store_upkeep(void *arg) WAITS
{
	struct store *store = arg;
	uint64_t seen = store->commits;

	while (!fiber_is_stopping()) {
		struct job job = { .checkpoint = true };
		moment latest;
		enum err err;

		if (store->commits == seen && waitq_wait(&store->committed, NEVER))
			return;
		latest = in_ms(BUSY_MS);
		do {
			seen = store->commits;
			if (fiber_sleep(in_ms(IDLE_MS)))
				return;
		} while (store->commits != seen && now() < latest);
		(void)!store_commit(store, &job);
		/* Whoever checks or compacts by hand may take long: that is no trouble. */
		while (store->compacting || store->checking)
			if (fiber_sleep(in_ms(IDLE_MS)))
				return;
		err = store_compact(store, false, NULL);
		/* What was committed meanwhile, by the compaction too, is looked at in the next round. */
		if (!err)
			continue;
		if (err != ERR_STOPPED)
			store_trouble(store, err, "compaction will be tried again");
		seen = store->commits; /* its own that failed are no reason to try again at once */
	}
}
