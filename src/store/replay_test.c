/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts, made by hand: the database's files are put back to what they were at some moment, as if no
 * later octet of them had reached the disk; the body files stay. The next start makes up for it.
 */
#include "store/replay.h"
#include "store/fault_vfs.h"
#include "store/queue_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANNA   "anna@example.org"
#define CONFIG "hostname = mail.example.org\nrelay = users\nsegment_size = 1M\n"

static const char *const database[] = { "glasspost.db", "glasspost.db-wal" };

/* ---- files put aside and back ---- */

static void copy_file(const char *from, const char *to)
{
	static char octets[65536];
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t got;

	must(out >= 0);
	while (in >= 0 && (got = read(in, octets, sizeof(octets))) > 0)
		must(write(out, octets, (size_t)got) == got);
	if (in >= 0)
		close(in);
	close(out);
}

static void copy_database(const struct fixture *f, const char *from, const char *to)
{
	char in[400];
	char out[400];

	for (size_t i = 0; i < COUNT_OF(database); i++) {
		snprintf(in, sizeof(in), "%s/%s%s", f->folder, from, database[i]);
		snprintf(out, sizeof(out), "%s/%s%s", f->folder, to, database[i]);
		copy_file(in, out);
	}
	snprintf(out, sizeof(out), "%s/%sglasspost.db-shm", f->folder, to);
	(void)unlink(out);
}

static void put_aside(const struct fixture *f)
{
	copy_database(f, "", "aside-");
}

static void cut_power(struct fixture *f) WAITS
{
	queue_peer_gone(f->peer);
	peer_drop(&f->peer);
	store_close(&f->store);
	copy_database(f, "aside-", "");
}

/* Every row of every table of mail, in the order of its key. */
static void add_rows(sqlite3 *handle, const char *table, struct buf *to)
{
	struct arena arena = { 0 };
	struct str sql = str_print(&arena, "SELECT * FROM %s", table);
	sqlite3_stmt *statement;

	must(sqlite3_prepare_v2(handle, str_dup_c(&arena, sql), -1, &statement, NULL) == SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		buf_print(to, "\n%s", table);
		for (int i = 0; i < sqlite3_column_count(statement); i++)
			buf_print(to, "|%s", (const char *)sqlite3_column_text(statement, i));
	}
	sqlite3_finalize(statement);
	arena_drop(&arena);
}

static struct buf rows_of(const struct fixture *f)
{
	static const char *const tables[] = { "setting",         "account", "mailbox",
					      "message",         "body",    "queue_message",
					      "queue_recipient", "segment" };
	struct buf rows = BUF(64 << 20);
	sqlite3 *handle;
	char path[400];

	snprintf(path, sizeof(path), "%s/glasspost.db", f->folder);
	must(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	for (size_t i = 0; i < COUNT_OF(tables); i++)
		add_rows(handle, tables[i], &rows);
	must(sqlite3_close(handle) == SQLITE_OK);
	must(!rows.failed);
	return rows;
}

/* ---- mail ---- */

static struct str text_of(struct arena *arena, uint64_t id, size_t len)
{
	struct str text = str_print(arena, "Subject: %llu\r\n\r\n", (unsigned long long)id);
	char *at = arena_take(arena, text.len + len);

	memcpy(at, text.at, text.len);
	for (size_t i = 0; i < len; i++)
		at[text.len + i] = (char)('a' + (i * 31 + id) % 26);
	return (struct str){ at, text.len + len };
}

static enum err deliver(struct fixture *f, uint64_t id, size_t len) WAITS
{
	struct arena arena = { 0 };
	struct handover h = { .message = id,
			      .to = { ANNA, "bert@example.org" },
			      .body = text_of(&arena, id, len) };
	uint64_t out[8] = { 0 };
	enum err err = hand_over(f, &h, out);

	CHECK(err || out[0] == DELIVERY_DONE);
	arena_drop(&arena);
	return err;
}

static void delete_first(struct fixture *f, size_t count) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	struct answer_maildrop_delete deleted = { 0 };
	struct ask_maildrop_open ask = { .account = sign_in_as(f, ANNA) };
	uint64_t indexes[50];

	for (size_t i = 0; i < count; i++)
		indexes[i] = i;
	CHECK(store_maildrop_open(f->peer, &ask, &drop) == OK);
	CHECK(store_maildrop_delete(f->peer,
				    &(struct ask_maildrop_delete){ .drop = drop.drop,
								   .indexes = { indexes, count } },
				    &deleted) == OK);
	CHECK(deleted.deleted == count);
	CHECK(store_maildrop_close(f->peer, &(struct ask_maildrop_close){ .drop = drop.drop }) ==
	      OK);
}

static void queue_some(struct fixture *f) WAITS
{
	struct sending s = { .message = 7000,
			     .sender = ANNA,
			     .to = { "bob@far.example", "zoe@else.example", "eve@far.example" } };
	uint64_t out[8];
	struct claimed c;

	s.account = sign_in_as(f, ANNA);
	CHECK(send_mail(f, &s, out) == OK && out[2] == DELIVERY_DONE);
	s.message = 7001;
	CHECK(send_mail(f, &s, out) == OK && out[2] == DELIVERY_DONE);
	for (int i = 0; i < 3; i++) {
		CHECK(claim(f, &c));
		CHECK(report(f, &c, i == 0 ? &sent : i == 1 ? &refused : &deferred) > 0);
		drop_claim(&c);
	}
	CHECK(claim(f, &c)); /* leased when the power goes */
	drop_claim(&c);
}

static void begin(struct fixture *f) WAITS
{
	add_account(f, ANNA, NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	CHECK(deliver(f, 1, 100) == OK);
	put_aside(f);
}

/* ---- what comes back ---- */

static void a_day(struct fixture *f) WAITS
{
	struct buf before;
	struct buf after;

	begin(f);
	for (uint64_t id = 2; id < 60; id++)
		CHECK(deliver(f, id, id % 5 ? id * 10 : 90000) == OK); /* over several segments */
	queue_some(f);
	delete_first(f, 20);
	CHECK(deliver(f, 99, 10) == OK);
	fixture_reopen(f); /* closed properly: nothing is left to be done */
	before = rows_of(f);
	cut_power(f);
	f->store = NULL;
	after = rows_of(f);
	CHECK(!str_is(buf_str(&before), buf_str(&after)));
	buf_drop(&after);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 40 + 1); /* 60 and a notice that was delivered, without 20 */
	CHECK(complaints(f) == 0);
	after = rows_of(f);
	CHECK(str_is(buf_str(&before), buf_str(&after)));
	CHECK(deliver(f, 100, 10) == OK);
	fixture_reopen(f);
	CHECK(inbox_count(f, ANNA) == 42);
	CHECK(complaints(f) == 0);
	buf_drop(&before);
	buf_drop(&after);
}

static void what_the_database_lost_comes_back_row_for_row(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = a_day, .config_text = CONFIG });
}

static void twice(struct fixture *f) WAITS
{
	begin(f);
	CHECK(deliver(f, 2, 100) == OK && deliver(f, 3, 100) == OK);
	cut_power(f);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 3);
	/* The mail that comes after goes on where the replay ended, and is as safe. */
	CHECK(deliver(f, 4, 100) == OK);
	cut_power(f);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 4);
	CHECK(complaints(f) == 0);
}

static void a_second_cut_takes_nothing_either(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = twice, .config_text = CONFIG });
}

/* ---- what does not ---- */

static struct replay look(const struct fixture *f, struct db *db, uint64_t store)
{
	static char bodies[400];

	snprintf(bodies, sizeof(bodies), "%s/bodies", f->folder);
	return (struct replay){ .folder = bodies, .db = db, .store = store, .look_only = true };
}

/* How many transactions would be done again, with the segment as long as this, and one octet changed. */
static uint64_t found_in(const struct fixture *f, struct db *db, struct str image, size_t changed)
{
	struct replay replay = look(f, db, f->store->id);
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	fd = open(path, O_RDWR | O_TRUNC);
	must(fd >= 0 && write(fd, image.at, image.len) == (ssize_t)image.len);
	if (changed < image.len)
		must(pwrite(fd, &(char){ (char)(image.at[changed] ^ 16) }, 1, (off_t)changed) == 1);
	close(fd);
	CHECK(replay_run(&replay) == OK);
	return replay.transactions;
}

/* The zeros between the end of a record's octets and the next record: nothing depends on them. */
static bool is_padding(struct str image, size_t offset, size_t at)
{
	struct record record;

	while (record_parse((const unsigned char *)image.at + offset, &record) &&
	       offset + record_span(record.length) <= at)
		offset += record_span(record.length);
	return at >= offset + RECORD_HEADER + record.length;
}

static void torn(struct fixture *f) WAITS
{
	struct db_options options = { .folder = f->folder, .io = &io_real, .read_only = true };
	uint64_t begun;
	struct buf image = BUF(1 << 20);
	char path[400];
	struct db *db;
	size_t end;

	begin(f);
	begun = f->store->writer.tip.end;
	CHECK(deliver(f, 2, 50) == OK);
	end = f->store->writer.tip.end;
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	must(buf_reserve(&image, end) == OK);
	FILE *file = fopen(path, "r");
	image.len = fread(image.at, 1, end, file);
	fclose(file);
	CHECK(image.len == end);
	cut_power(f);
	f->store = calloc(1, sizeof(*f->store));
	CHECK(db_open(&options, &db) == OK);
	CHECK(db_ask_number(db, "SELECT value FROM setting WHERE name = 'store'",
			    (int64_t *)&f->store->id) == OK);
	for (size_t at = begun; at < end; at++) {
		CHECK(found_in(f, db, str_first(buf_str(&image), at), end) == 0);
		CHECK(found_in(f, db, buf_str(&image), at) ==
		      is_padding(buf_str(&image), begun, at));
		CHECK(fiber_yield() == OK);
	}
	CHECK(found_in(f, db, buf_str(&image), end) == 1);
	db_close(&db);
	free(f->store);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 2);
	CHECK(complaints(f) == 0);
	buf_drop(&image);
}

static void a_log_cut_or_damaged_at_any_octet_ends_before_the_transaction(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = torn, .config_text = CONFIG });
}

/* The disk fills between the flush of the log and the commit. */
static void refused_late(struct fixture *f) WAITS
{
	begin(f);
	CHECK(deliver(f, 2, 100) == OK);
	fault_plan = (struct fault_plan){ .write_at = 1, .flush_at = -1, .error = ENOSPC };
	CHECK(deliver(f, 3, 100) == ERR_FULL);
	CHECK(fault_plan.writes > 1);
	fault_clear();
	CHECK(f->fatal_calls == 0);
	CHECK(inbox_count(f, ANNA) == 2);
	cut_power(f);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 2); /* what was refused is not there */
	CHECK(deliver(f, 3, 100) == OK);
	cut_power(f);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 3);
	CHECK(complaints(f) == 0);
}

static void what_was_refused_after_its_flush_does_not_come_back(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = refused_late, .config_text = CONFIG, .io = &fault_io });
}

/* It cannot be taken back either: then only a restart can tell. */
static void nothing_can_be_written(struct fixture *f) WAITS
{
	begin(f);
	fault_plan =
		(struct fault_plan){ .write_at = 1, .flush_at = -1, .error = EIO, .stays = true };
	CHECK(deliver(f, 2, 100) == ERR_IO);
	CHECK(f->fatal_calls == 1);
	CHECK(deliver(f, 3, 100) == ERR_IO);
	fault_clear();
	fixture_reopen(f);
	CHECK(complaints(f) == 0);
}

static void a_log_that_cannot_be_taken_back_ends_the_process(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = nothing_can_be_written, .config_text = CONFIG, .io = &fault_io });
}

static void other_rows(struct fixture *f) WAITS
{
	begin(f);
	CHECK(deliver(f, 2, 100) == OK);
	add_account(f, "carl@example.org", NULL, -1);
	CHECK(deliver(f, 3, 100) == OK);
	cut_power(f); /* further back than any power cut: account and all are gone */
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 2);
	CHECK(complaints(f) == 0);
	CHECK(deliver(f, 4, 100) == OK);
	fixture_reopen(f);
	CHECK(inbox_count(f, ANNA) == 3);
}

static void a_database_from_a_copy_gets_what_came_before_the_next_change_of_accounts(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = other_rows, .config_text = CONFIG });
}

/* ---- other versions ---- */

static void write_redo(const struct fixture *f, struct redo *redo, const struct redo_head *head)
{
	char path[400];
	struct record record = { .kind = RECORD_REDO };
	unsigned char octets[RECORD_HEADER];
	int fd;

	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	fd = open(path, O_RDWR);
	must(fd >= 0 && redo_seal(redo, head));
	record.length = redo->octets.len;
	record.checksum = crc32c(0, redo->octets.at, redo->octets.len);
	record_print(&record, octets);
	must(pwrite(fd, octets, sizeof(octets), (off_t)head->end) == RECORD_HEADER);
	must(pwrite(fd, redo->octets.at, redo->octets.len, (off_t)head->end + RECORD_HEADER) ==
	     (ssize_t)redo->octets.len);
	must(ftruncate(fd, (off_t)(head->end + record_span(record.length))) == 0);
	close(fd);
}

/* What opening the store says to a transaction with this statement in it. */
static enum err open_with(struct fixture *f, const struct redo_head *head, const char *name,
			  size_t values) WAITS
{
	static const struct db_value numbers[2] = { { .kind = DB_INTEGER },
						    { .kind = DB_INTEGER } };
	struct store_options options = { .folder = f->folder, .config = f->config };
	struct redo redo = REDO_NONE;
	struct store *store = NULL;
	enum err err;

	redo_begin(&redo);
	redo_add(&redo, name, numbers, values);
	write_redo(f, &redo, head);
	buf_drop(&redo.octets);
	err = store_open(&options, &store);
	store_close(&store);
	return err;
}

static void foreign(struct fixture *f) WAITS
{
	struct redo_head head;

	begin(f);
	head = f->store->writer.tip;
	cut_power(f);
	CHECK(open_with(f, &head, "message_add_with_wings", 2) == ERR_UNSUPPORTED);
	CHECK(strstr(fault_text(), "start that version once"));
	CHECK(open_with(f, &head, "mailbox_shrink", 2) == ERR_UNSUPPORTED);
	CHECK(open_with(f, &head, "account_disable", 1) == ERR_UNSUPPORTED);
	CHECK(open_with(f, &head, "body_delete", 1) == OK);
	fixture_open(f);
}

static void a_statement_of_another_version_is_refused_and_stays(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = foreign, .config_text = CONFIG });
}

static void upgraded(struct fixture *f) WAITS
{
	struct store_options options = { .folder = f->folder, .config = f->config };
	struct store *store = NULL;
	struct db_options writing = { .folder = f->folder, .io = &io_real };
	struct db *db;

	begin(f);
	CHECK(deliver(f, 2, 100) == OK);
	cut_power(f);
	CHECK(db_open(&writing, &db) == OK);
	CHECK(db_define(db, S("UPDATE schema_version SET version = version - 1")) == OK);
	db_close(&db);
	CHECK(store_open(&options, &store) == ERR_UNSUPPORTED);
	CHECK(strstr(fault_text(), "start that version once"));
	CHECK(db_open(&writing, &db) == OK);
	CHECK(db_define(db, S("UPDATE schema_version SET version = version + 1")) == OK);
	db_close(&db);
	fixture_open(f);
	CHECK(inbox_count(f, ANNA) == 2);
}

static void an_upgrade_waits_for_the_mail_of_the_version_before(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = upgraded, .config_text = CONFIG });
}

/* ---- secrets ---- */

static void secret(struct fixture *f) WAITS
{
	uint64_t epoch;
	uint64_t end;

	begin(f);
	epoch = f->store->writer.tip.epoch;
	end = f->store->writer.tip.end;
	add_account(f, "carl@example.org", "a secret nobody knows", -1);
	CHECK(f->store->writer.tip.epoch == epoch + 1);
	CHECK(f->store->writer.tip.end == end);
	CHECK(deliver(f, 2, 100) == OK);
	CHECK(f->store->writer.tip.epoch == epoch + 1);
	CHECK(f->store->writer.tip.end > end);
}

static void accounts_and_their_secrets_are_in_no_log(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = secret, .config_text = CONFIG });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_database_lost_comes_back_row_for_row),
		cmocka_unit_test(a_second_cut_takes_nothing_either),
		cmocka_unit_test(a_log_cut_or_damaged_at_any_octet_ends_before_the_transaction),
		cmocka_unit_test(what_was_refused_after_its_flush_does_not_come_back),
		cmocka_unit_test(a_log_that_cannot_be_taken_back_ends_the_process),
		cmocka_unit_test(
			a_database_from_a_copy_gets_what_came_before_the_next_change_of_accounts),
		cmocka_unit_test(a_statement_of_another_version_is_refused_and_stays),
		cmocka_unit_test(an_upgrade_waits_for_the_mail_of_the_version_before),
		cmocka_unit_test(accounts_and_their_secrets_are_in_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
