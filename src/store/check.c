/* SPDX-License-Identifier: Apache-2.0 */
#include "store/check.h"
#include "store/sasl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODIES_ONCE = 100, COMPLAINTS_OCTETS = 1 << 20 };

/* Complaints gather on the worker as lines "what\tadvice\n" and are told by the fiber. */
struct checking {
	struct store *store;
	struct buf lines;
	uint64_t default_quota;
	uint64_t last_body;
	bool more;
	struct check_result result;
};

#define ADVICE_BACKUP "restore it from a backup"
#define ADVICE_REPORT "the counters are wrong, not the mail; please report this as a bug"
#define ADVICE_ALIAS  "glasspost alias delete, or make the target"

static void complain(struct checking *c, const char *advice, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void complain(struct checking *c, const char *advice, const char *format, ...)
{
	char what[FAULT_TEXT_MAX + 200];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (char *at = what; *at; at++)
		if (*at == '\t' || *at == '\n')
			*at = ' ';
	/* When there is no room for more, enough was said. */
	(void)buf_print(&c->lines, "%s\t%s\n", what, advice);
	c->result.complaints++;
}

/* ---- rows that do not hang together ---- */

static unsigned long long number_at(struct db *db, enum db_query query, int column)
{
	return (unsigned long long)db_int_at(db, query, column);
}

static void tell_row(struct db *db, enum db_query q, struct checking *c)
{
	switch (q) {
	case Q_check_references:
		complain(c, ADVICE_REPORT, "body %llu counts %llu references and has %llu",
			 number_at(db, q, 0), number_at(db, q, 1), number_at(db, q, 2));
		break;
	case Q_check_orphans:
		complain(c, ADVICE_BACKUP,
			 "message %llu of mailbox %llu (account %llu) has lost its body %llu",
			 number_at(db, q, 2), number_at(db, q, 1), number_at(db, q, 0),
			 number_at(db, q, 3));
		break;
	case Q_check_homeless:
		complain(c, ADVICE_REPORT, "message %llu is in mailbox %llu, which is not there",
			 number_at(db, q, 2), number_at(db, q, 1));
		break;
	case Q_check_mailboxes:
		complain(c, ADVICE_REPORT,
			 "mailbox %llu (account %llu) counts %llu messages of %llu octets and has "
			 "%llu of %llu",
			 number_at(db, q, 0), number_at(db, q, 1), number_at(db, q, 3),
			 number_at(db, q, 4), number_at(db, q, 6), number_at(db, q, 7));
		break;
	case Q_check_segments:
		complain(c, ADVICE_REPORT, "body file %llu counts %llu live octets and has %llu",
			 number_at(db, q, 0), number_at(db, q, 1), number_at(db, q, 2));
		break;
	case Q_check_queue_bodies:
		complain(c, ADVICE_BACKUP, "queued message %llu has lost its body %llu",
			 number_at(db, q, 0), number_at(db, q, 1));
		break;
	case Q_check_queue_counts:
		complain(c, ADVICE_REPORT,
			 "queued message %llu counts %llu recipients that are not done and has "
			 "%llu, or its body does not agree with that",
			 number_at(db, q, 0), number_at(db, q, 1), number_at(db, q, 2));
		break;
	case Q_check_queue_orphans:
		complain(c, ADVICE_REPORT, "recipient %llu of message %llu is queued without it",
			 number_at(db, q, 1), number_at(db, q, 0));
		break;
	case Q_check_lost_segments:
		complain(c, ADVICE_BACKUP, "body %llu is in body file %llu, which is not known",
			 number_at(db, q, 0), number_at(db, q, 1));
		break;
	default: {
		struct str address = db_text_at(db, q, 0);
		struct str target = db_text_at(db, q, 1);

		complain(c, ADVICE_ALIAS, "alias %.*s leads to %.*s, which is nobody",
			 STR_ARGS(address), STR_ARGS(target));
	}
	}
}

static enum err check_rows(struct db *db, void *arg)
{
	static const enum db_query queries[] = {
		Q_check_references,   Q_check_orphans,       Q_check_homeless, Q_check_mailboxes,
		Q_check_segments,     Q_check_lost_segments, Q_check_targets,  Q_check_queue_bodies,
		Q_check_queue_counts, Q_check_queue_orphans,
	};
	struct checking *c = arg;
	enum err err = OK;

	for (size_t i = 0; !err && i < COUNT_OF(queries); i++) {
		bool has_row = true;

		err = db_start(db, queries[i], NULL, 0);
		while (!err) {
			err = db_step(db, queries[i], &has_row);
			if (err || !has_row)
				break;
			tell_row(db, queries[i], c);
		}
	}
	return err;
}

static enum err check_quotas(struct db *db, void *arg)
{
	struct checking *c = arg;
	bool has_row = true;
	enum err err = db_start(db, Q_check_quotas, NULL, 0);

	while (!err) {
		err = db_step(db, Q_check_quotas, &has_row);
		if (err || !has_row)
			break;
		int64_t own = db_int_at(db, Q_check_quotas, 1);
		uint64_t quota = own < 0 ? c->default_quota : (uint64_t)own;
		uint64_t used = (uint64_t)db_int_at(db, Q_check_quotas, 2);
		struct str address = db_text_at(db, Q_check_quotas, 0);

		if (quota && used > quota)
			complain(c, "a larger quota, or fewer messages",
				 "%.*s keeps %llu octets of %llu", STR_ARGS(address),
				 (unsigned long long)used, (unsigned long long)quota);
	}
	return err;
}

static enum err check_secrets(struct db *db, void *arg)
{
	struct checking *c = arg;
	struct arena arena = { 0 };
	bool has_row = true;
	enum err err = db_start(db, Q_check_secrets, NULL, 0);

	while (!err) {
		err = db_step(db, Q_check_secrets, &has_row);
		if (err || !has_row)
			break;
		struct str binding = db_text_at(db, Q_check_secrets, 0);
		struct str name = db_text_at(db, Q_check_secrets, 1);
		struct str secret;

		if (secret_open(&c->store->secrets, &arena, binding,
				db_text_at(db, Q_check_secrets, 2), &secret))
			complain(c,
				 "restore store.key from a backup, or glasspost account password, "
				 "or glasspost credential add",
				 "the secret kept for %.*s cannot be opened", STR_ARGS(name));
		else
			secret_wipe(&secret);
		arena_reset(&arena);
	}
	arena_drop(&arena);
	return err;
}

static enum err check_engine(struct db *db, void *arg)
{
	struct checking *c = arg;
	struct buf text = BUF(65536);
	struct scan scan;
	struct str line;
	int64_t messages = 0;
	enum err err = db_verify(db, &text);

	scan = scan_of(buf_str(&text));
	while (take_until(&scan, '\n', &line))
		complain(c, ADVICE_BACKUP, "database: %.*s", STR_ARGS(line));
	buf_drop(&text);
	if (!err)
		err = db_number_values(db, Q_count_messages, NULL, 0, &messages);
	c->result.messages = (uint64_t)messages;
	return err;
}

/* ---- bodies ---- */

static enum err check_body(struct checking *c, const struct body_place *place)
{
	enum err err = bodies_verify(c->store->bodies, place);

	c->last_body = place->body;
	c->result.bodies++;
	c->result.octets += place->length;
	if (err == ERR_BUSY)
		return err;
	if (err)
		complain(c, ADVICE_BACKUP, "%s", fault_text());
	return OK;
}

static enum err check_bodies(struct db *db, void *arg)
{
	struct checking *c = arg;
	struct body_place places[BODIES_ONCE];
	size_t count = 0;
	bool has_row = true;
	enum err err = db_select(db, Q_body_page, db_id(c->last_body), db_int(BODIES_ONCE));

	while (!err) {
		err = db_step(db, Q_body_page, &has_row);
		if (err || !has_row)
			break;
		places[count].body = (uint64_t)db_int_at(db, Q_body_page, 0);
		places[count].place.segment = (uint64_t)db_int_at(db, Q_body_page, 1);
		places[count].place.offset = (uint64_t)db_int_at(db, Q_body_page, 2);
		places[count].length = (uint64_t)db_int_at(db, Q_body_page, 3);
		count++;
	}
	for (size_t i = 0; !err && i < count; i++)
		err = check_body(c, &places[i]);
	c->more = count == BODIES_ONCE;
	return err;
}

/* ---- files ---- */

/* Bodies have heads and checksums of their own, so they can be read without this one. */
static bool has_good_head(const struct checking *c, const char *path, uint64_t number)
{
	unsigned char octets[SEGMENT_HEADER];
	struct segment_head head;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_good = fd >= 0 && pread(fd, octets, sizeof(octets), 0) == SEGMENT_HEADER &&
		       segment_head_parse(octets, &head) && head.number == number &&
		       head.store == c->store->id;

	if (fd >= 0)
		close(fd);
	return is_good;
}

static void check_file(struct checking *c, uint64_t number, uint64_t end, uint64_t live)
{
	char path[STORE_PATH + SEGMENT_NAME + 1];
	char name[SEGMENT_NAME];
	struct stat stat_of;

	segment_name(number, name);
	snprintf(path, sizeof(path), "%.1000s/%s", c->store->body_folder, name);
	c->result.segments++;
	/* Without a live octet it may be gone already: a compaction was cut short, the next forgets it. */
	if (stat(path, &stat_of) && errno == ENOENT && !live)
		return;
	if (stat(path, &stat_of))
		complain(c, ADVICE_BACKUP, "body file %s is missing", name);
	else if ((uint64_t)stat_of.st_size < end)
		complain(c, ADVICE_BACKUP, "body file %s has %llu octets of %llu", name,
			 (unsigned long long)stat_of.st_size, (unsigned long long)end);
	else if (!has_good_head(c, path, number))
		complain(c, "its mail can be read all the same; restore the file from a backup",
			 "body file %s has a damaged header", name);
}

static enum err check_unknown_files(struct db *db, struct checking *c)
{
	DIR *dir = opendir(c->store->body_folder);
	struct dirent *entry;
	uint64_t number;
	int64_t known = 1;
	int64_t newest = 0;
	enum err err = db_number_values(db, Q_segment_newest, NULL, 0, &newest);

	while (!err && dir && (entry = readdir(dir))) {
		if (!segment_name_parse(entry->d_name, &number))
			continue;
		err = db_number_values(db, Q_segment_known, DB_VALUES(db_id(number)), &known);
		/* A newer one is the batch of this moment, or of a crash. */
		if (!err && !known && number < (uint64_t)newest)
			complain(c, "nothing refers to it; the next start of the server removes it",
				 "body file %s is not known to the database", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return err;
}

/* Whoever may not enter the folder reads nothing in it, whatever the modes of its files. */
static void check_folder(struct checking *c)
{
	struct stat stat_of;

	if (stat(c->store->folder, &stat_of) == 0 && stat_of.st_mode & 077)
		complain(c, "chmod 700 the folder, and look who has read what is in it",
			 "%s is open to others (mode %03o)", c->store->folder,
			 (unsigned)stat_of.st_mode & 0777);
}

static enum err check_files(struct db *db, void *arg)
{
	struct checking *c = arg;
	bool has_row = true;
	enum err err = db_start(db, Q_segment_list, NULL, 0);

	check_folder(c);

	while (!err) {
		err = db_step(db, Q_segment_list, &has_row);
		if (err || !has_row)
			break;
		check_file(c, (uint64_t)db_int_at(db, Q_segment_list, 0),
			   (uint64_t)db_int_at(db, Q_segment_list, 1),
			   (uint64_t)db_int_at(db, Q_segment_list, 2));
	}
	return err ? err : check_unknown_files(db, c);
}

/* ---- the whole ---- */

static void tell(struct checking *c, const struct check_report *report) WAITS
{
	struct scan scan = scan_of(buf_str(&c->lines));
	struct str what;
	struct str advice;

	while (take_until(&scan, '\t', &what) && take_until(&scan, '\n', &advice))
		report->complain(report->context, what, advice);
	buf_reset(&c->lines);
}

static enum err check_all(struct checking *c, const struct check_report *report) WAITS
{
	static store_read_fn *const parts[] = { check_engine, check_rows, check_quotas,
						check_secrets, check_files };
	enum err err = OK;

	for (size_t i = 0; !err && i < COUNT_OF(parts); i++) {
		err = store_read(c->store, parts[i], c);
		tell(c, report);
	}
	c->more = report->deep;
	while (!err && c->more) {
		err = store_read(c->store, check_bodies, c);
		tell(c, report);
	}
	return err;
}

enum err store_check(struct store *store, const struct check_report *report,
		     struct check_result *out) WAITS
{
	struct checking c = { .store = store,
			      .lines = BUF(COMPLAINTS_OCTETS),
			      .default_quota = store->config->quota };
	enum err err;

	if (store->compacting)
		return fault(ERR_BUSY, "a compaction is under way: try again in a minute");
	if (store->checking)
		return fault(ERR_BUSY, "another check is under way: try again in a minute");
	store->checking = true;
	err = check_all(&c, report);
	store->checking = false;
	buf_drop(&c.lines);
	*out = c.result;
	return err;
}
