/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key.h"
#include "store/replay.h"
#include "store/schema.h"
#include "store/state.h"
#include "store/store.h"
#include "store/maildrop.h"
#include "store/networks.h"
#include "store/queue.h"
#include "store/sasl.h"
#include "mail/address.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHECKPOINT_OCTETS = 16 << 20, SIM_COMMIT_US = 1500 };

_Static_assert(sizeof("Return-Path: <>\r\n") - 1 == RETURN_PATH_FIXED, "as it is printed");

/*
 * On a worker thread, where nothing may be told: what is damaged but does not keep the store from
 * serving is noted, and told by the fiber.
 */
struct opening {
	struct store *store;
	const struct store_options *options;
	char notes[3][FAULT_TEXT_MAX];
	size_t note_count;
	uint64_t transactions; /* done again */
};

static void note_fault(struct opening *opening)
{
	must(opening->note_count < COUNT_OF(opening->notes));
	snprintf(opening->notes[opening->note_count++], FAULT_TEXT_MAX, "%s", fault_text());
}

/* ---- the folder ---- */

static enum err make_folder(const char *path)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return fault_errno("make %s", path);
	return OK;
}

/* One process per store: a second one would write over the first one's segments. */
static enum err take_lock(const char *folder, int *out)
{
	char path[STORE_PATH + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/store.lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_errno("open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return fault(ERR_BUSY, "another glasspost uses %s", folder);
	}
	*out = fd;
	return OK;
}

/* Mail and passwords need no key, so a lost one does not keep the store from serving. */
static enum err load_key(struct opening *opening)
{
	bool is_lost;
	enum err err = key_load(opening->store, opening->options->create, &is_lost);

	if (!err && is_lost)
		note_fault(opening);
	return err;
}

static enum err flush_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err err = OK;

	if (fd < 0)
		return fault_errno("open %s", path);
	if (fsync(fd))
		err = fault_errno("flush %s", path);
	close(fd);
	return err;
}

/* ---- the database ---- */

static enum err load_id(struct db *db, uint64_t *out)
{
	bool has_row;
	char text[32];
	enum err err = db_select(db, Q_setting_get, db_str(S("store")));

	if (!err)
		err = db_step(db, Q_setting_get, &has_row);
	if (err)
		return err;
	if (has_row) {
		struct str value = db_text_at(db, Q_setting_get, 0);
		bool is_number = str_to_u64(value, INT64_MAX, out);

		db_finish(db, Q_setting_get);
		return is_number ? OK : fault(ERR_CORRUPT, "the store's id is not a number");
	}
	if (getrandom(out, sizeof(*out), 0) != sizeof(*out))
		return fault_errno("random octets for the store's id");
	*out = (*out >> 1) | 1;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)*out);
	err = db_run(db, Q_setting_add, db_str(S("store")), db_str(str_of(text)));
	return err ? err : db_flush(db);
}

/* Of another store: put here by a person, and not ours to remove. A torn header is of a crash of ours. */
static bool is_of_another_store(const struct store *store, int folder, const char *name)
{
	unsigned char octets[SEGMENT_HEADER];
	struct segment_head head;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool is_whole = fd >= 0 && pread(fd, octets, sizeof(octets), 0) == SEGMENT_HEADER &&
			segment_head_parse(octets, &head);

	if (fd >= 0)
		close(fd);
	return is_whole && head.store != store->id;
}

/*
 * A file that no row knows was begun by a commit that never was, or left by a compaction that was cut
 * short. Nothing refers to it, and what the newest known file holds behind its end is cut off likewise.
 */
static void remove_leftovers(struct store *store)
{
	DIR *dir = opendir(store->body_folder);
	struct dirent *entry;
	uint64_t number;
	int64_t known;

	while (dir && (entry = readdir(dir))) {
		if (!segment_name_parse(entry->d_name, &number))
			continue;
		if (db_number_values(store->writer.db, Q_segment_known, DB_VALUES(db_id(number)),
				     &known))
			break;
		if (known == 0 && !is_of_another_store(store, dirfd(dir), entry->d_name))
			(void)!unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* What a power cut took from the database is in the body files. */
static enum err replay(struct opening *opening)
{
	struct store *store = opening->store;
	struct replay replay = { .folder = store->body_folder,
				 .db = store->writer.db,
				 .store = store->id,
				 .checkpoint_octets = CHECKPOINT_OCTETS };
	enum err err = replay_run(&replay);

	if (!err && replay.is_of_other_rows) {
		(void)fault(ERR_CORRUPT,
			    "the database is older than the body files (a copy?): what came to "
			    "them after transaction %llu is not taken",
			    (unsigned long long)replay.transactions);
		note_fault(opening);
	}
	opening->transactions = replay.transactions;
	return err ? err : redo_tip(store->writer.db, &store->writer.tip);
}

static enum err resume_segments(struct opening *opening)
{
	struct writer *writer = &opening->store->writer;
	enum err err = replay(opening);

	if (err)
		return err;
	remove_leftovers(opening->store);
	err = body_files_resume(writer->segments, writer->tip.segment, writer->tip.end);
	if (err == ERR_CORRUPT) {
		/* Mail goes on in a new file; the check tells which bodies are lost. */
		note_fault(opening);
		err = body_files_resume(writer->segments, writer->tip.segment, UINT64_MAX);
	}
	return err;
}

static bool has_segments(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	uint64_t number;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = segment_name_parse(entry->d_name, &number);
	if (dir)
		closedir(dir);
	return found;
}

/*
 * An empty database where mail or a key is: the true one was lost. To go on with an empty one would
 * refuse everybody's mail for good ("no such user"), and take the body files for leftovers.
 */
static enum err check_not_lost(struct store *store)
{
	char key[STORE_PATH + 32];
	unsigned version;
	enum err err = schema_version(store->writer.db, &version);

	snprintf(key, sizeof(key), "%s/store.key", store->folder);
	if (err || version > 0 || (access(key, F_OK) != 0 && !has_segments(store->body_folder)))
		return err;
	return fault(ERR_CORRUPT, "%s/glasspost.db is missing or empty, though this store was used",
		     store->folder);
}

/* Steps of the schema are made for rows of the version before; these are not there yet. */
static enum err upgrade(struct store *store)
{
	struct replay replay = { .folder = store->body_folder,
				 .db = store->writer.db,
				 .look_only = true };
	unsigned version;
	enum err err = schema_version(store->writer.db, &version);

	if (!err && version > 0 && version < schema_steps[schema_step_count - 1].version) {
		err = load_id(store->writer.db, &replay.store);
		if (!err)
			err = replay_run(&replay);
		if (!err && replay.transactions)
			err = fault(
				ERR_UNSUPPORTED,
				"mail taken by the version of glasspost before this one is not in "
				"the database yet: start that version once and stop it");
	}
	return err ? err : schema_upgrade(store->writer.db, schema_steps, schema_step_count);
}

static enum err open_writer(struct opening *opening)
{
	struct store *store = opening->store;
	const struct store_options *options = opening->options;
	struct writer *writer = &store->writer;
	struct db_options db = { .folder = store->folder,
				 .io = store->io,
				 .durable = store->config->durable,
				 .create = options->create,
				 .redo = &writer->redo };
	struct body_files_options segments = { .folder = store->body_folder,
					       .io = store->io,
					       .segment_size = store->config->segment_size,
					       .durable = store->config->durable };
	int64_t newest = 0;
	enum err err = db_open(&db, &writer->db);

	if (!err)
		err = check_not_lost(store);
	if (!err)
		err = upgrade(store);
	if (!err)
		err = load_id(writer->db, &store->id);
	segments.store = store->id;
	if (!err)
		err = body_files_open(&segments, &writer->segments);
	if (!err)
		err = resume_segments(opening);
	if (!err)
		err = db_number_values(writer->db, Q_body_newest, NULL, 0, &newest);
	writer->next_body = (uint64_t)newest + 1;
	return err;
}

static enum err open_readers(struct store *store)
{
	struct db_options options = { .folder = store->folder, .io = store->io, .read_only = true };
	enum err err = OK;

	for (size_t i = 0; !err && i < STORE_READERS; i++) {
		err = db_open(&options, &store->readers[i]);
		if (!err)
			store->reader_count++;
	}
	return err;
}

static enum err open_files(void *arg)
{
	struct opening *opening = arg;
	struct store *store = opening->store;
	const struct store_options *options = opening->options;
	enum err err = OK;

	if (options->create)
		err = make_folder(store->folder);
	if (!err && options->create)
		err = make_folder(store->body_folder);
	if (!err)
		err = take_lock(store->folder, &store->lock);
	if (!err)
		err = open_writer(opening);
	/* After the database: a key without one shows that there was one. */
	if (!err)
		err = load_key(opening);
	if (!err)
		err = open_readers(store);
	if (!err)
		err = bodies_open(store->body_folder, &store->bodies);
	if (!err && options->create)
		err = flush_folder(store->folder);
	/* Each says what is wrong; what to do is the same for all. */
	if (err == ERR_CORRUPT) {
		char what[FAULT_TEXT_MAX];

		snprintf(what, sizeof(what), "%s", fault_text());
		err = fault(err, "%s: restore %s from a backup", what, store->folder);
	}
	return err;
}

/* ---- life ---- */

static void end_process(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "glasspost: store: %s\n", text);
	_exit(74); /* EX_IOERR: the supervisor starts us again, and we recover */
}

static struct store *store_of(const struct store_options *options)
{
	struct store *store = calloc(1, sizeof(*store));

	must(store);
	snprintf(store->folder, sizeof(store->folder), "%s", options->folder);
	snprintf(store->body_folder, sizeof(store->body_folder), "%.1000s/bodies", options->folder);
	store->lock = -1;
	store->config = config_ref(options->config);
	store->trace = options->trace;
	store->io = options->io ? options->io : &io_real;
	store->writer.checkpoint_octets = CHECKPOINT_OCTETS;
	store->writer.redo = REDO_NONE;
	store->writer.is_logged = store->config->durable;
	store->writer.fatal = options->fatal ? options->fatal : end_process;
	store->writer.fatal_context = options->fatal_context;
	store->room_at = INT64_MIN;
	waitq_init(&store->committed);
	secret_keys_init(&store->secrets);
	semaphore_init(&store->closing_secrets, 1);
	return store;
}

enum err store_open(const struct store_options *options, struct store **out) WAITS
{
	struct store *store;
	struct opening opening;
	enum err err;

	if (strlen(options->folder) > STORE_PATH - 64)
		return fault(ERR_LIMIT, "the name of the data directory is too long");
	store = store_of(options);
	opening = (struct opening){ .store = store, .options = options };
	err = store_work(open_files, &opening);
	semaphore_init(&store->reader_free, store->reader_count);
	store->writer.simulated = world_is_simulated(world_here());
	for (size_t i = 0; !err && i < opening.note_count; i++)
		store_trouble(store, fault(ERR_CORRUPT, "%s", opening.notes[i]),
			      "run `glasspost store check --deep`");
	if (!err && opening.transactions)
		fprintf(stderr,
			"glasspost: store: %llu transactions that the database had lost were done "
			"again\n",
			(unsigned long long)opening.transactions);
	if (!err) {
		store->batcher = batcher_new(writer_run_batch, &store->writer, SIM_COMMIT_US);
		lookups_init(store);
		err = sign_in_init(store);
	}
	if (err) {
		store_close(&store);
		return err;
	}
	maildrops_init(store);
	err = queue_init(store);
	if (!err)
		err = networks_init(store);
	if (err) {
		store_close(&store);
		return err;
	}
	*out = store;
	return OK;
}

static enum err close_files(void *arg)
{
	struct store *store = arg;

	for (size_t i = 0; i < STORE_READERS; i++)
		db_close(&store->readers[i]);
	bodies_close(&store->bodies);
	body_files_close(&store->writer.segments);
	db_close(&store->writer.db);
	buf_drop(&store->writer.redo.octets);
	return OK;
}

void store_close(struct store **store) WAITS
{
	struct store *gone = *store;

	if (!gone)
		return;
	batcher_drop(&gone->batcher);
	(void)!store_work(close_files, gone);
	lookups_drop(gone);
	sign_in_drop(gone);
	maildrops_drop(gone);
	queue_drop(gone);
	networks_drop(gone);
	if (gone->lock >= 0)
		close(gone->lock);
	config_unref(&gone->config);
	secret_keys_done(&gone->secrets);
	explicit_bzero(gone->salts, sizeof(gone->salts));
	free(gone);
	*store = NULL;
}

void store_configure(struct store *store, struct config *config) WAITS
{
	struct config *old = store->config;

	store->config = config_ref(config);
	config_unref(&old);
	store->directory_generation++; /* policies may have changed: forget what was looked up */
	store->room_at = INT64_MIN;
}

void store_trouble(struct store *store, enum err err, const char *what)
{
	struct str detail = str_of(fault_text());
	struct arena arena = { 0 };

	detail = str_print(&arena, "%.*s: %s", STR_ARGS(detail), what);
	TRACE(store->trace, 0, 0, trouble, .err = str_of(err_name(err)), .detail = detail);
	fprintf(stderr, "glasspost: store: %.*s\n", STR_ARGS(detail));
	arena_drop(&arena);
}

/* ---- a new one, without fibers ---- */

static enum err add_first(struct db *db, struct arena *arena, struct str domain)
{
	struct timespec at;
	int64_t now_us;
	struct str address = str_print(arena, "postmaster@%.*s", STR_ARGS(domain));

	clock_gettime(CLOCK_REALTIME, &at);
	now_us = (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
	enum err err = db_run(db, Q_domain_add, db_str(domain), db_int(now_us));

	if (err)
		return err;
	/* rfc5321 4.5.1: mail to postmaster is taken from the first day on. */
	return account_make(
		db, arena,
		&(struct account_new){ .address = address, .created_us = now_us, .quota = -1 });
}

static enum err fill_new(struct db *db, struct str domain)
{
	struct arena arena = { 0 };
	uint64_t id;
	enum err err = schema_upgrade(db, schema_steps, schema_step_count);

	if (!err)
		err = db_begin(db);
	if (err)
		return err;
	err = load_id(db, &id);
	if (!err && domain.len)
		err = add_first(db, &arena, domain_canonical(&arena, domain));
	if (!err)
		err = db_commit(db);
	else
		db_rollback(db);
	arena_drop(&arena);
	return err;
}

enum err store_create(const char *folder, struct str domain)
{
	struct db_options options = {
		.folder = folder, .io = &io_real, .durable = true, .create = true
	};
	char path[STORE_PATH];
	struct db *db = NULL;
	int lock = -1;
	enum err err;

	if (strlen(folder) > STORE_PATH - 64)
		return fault(ERR_LIMIT, "the name of the data directory is too long");
	if (domain.len && !is_domain_or_literal(domain, true))
		return fault(ERR_SYNTAX, "not a domain: %.*s", STR_ARGS(domain));
	snprintf(path, sizeof(path), "%s/glasspost.db", folder);
	if (access(path, F_OK) == 0)
		return fault(ERR_EXISTS, "there is a store in %s already", folder);
	err = make_folder(folder);
	snprintf(path, sizeof(path), "%s/bodies", folder);
	if (!err)
		err = make_folder(path);
	if (!err)
		err = take_lock(folder, &lock);
	if (!err)
		err = db_open(&options, &db);
	if (!err)
		err = fill_new(db, domain);
	db_close(&db);
	if (!err)
		err = key_create(folder);
	if (!err)
		err = flush_folder(folder);
	if (lock >= 0)
		close(lock);
	return err;
}
