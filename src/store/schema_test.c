/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fault_vfs.h"
#include "store/fixture.h"
#include "store/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct schema_step steps[] = {
	{ 1, S("CREATE TABLE shelf (id $ID, label TEXT NOT NULL);"
	       "INSERT INTO shelf (label) VALUES ('old')") },
	{ 2, S("ALTER TABLE shelf ADD COLUMN height BIGINT NOT NULL DEFAULT 7") },
	{ 3,
	  S("CREATE TABLE book (shelf BIGINT, title TEXT, PRIMARY KEY (shelf, title)) $CLUSTERED;"
	    "INSERT INTO book SELECT id, label FROM shelf") },
};

static char folder[64];

static struct db *open_db(void)
{
	struct db_options options = { folder, &io_real, false, true, true, NULL };
	struct db *db = NULL;

	assert_int_equal(db_open(&options, &db), OK);
	return db;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/glasspost-schema-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove_folder(folder);
	return 0;
}

static int64_t ask(struct db *db, const char *sql)
{
	int64_t number = -1;

	assert_int_equal(db_ask_number(db, sql, &number), OK);
	return number;
}

static void an_empty_database_gets_every_step_and_then_none(void **state)
{
	struct db *db = open_db();
	unsigned version = 99;

	(void)state;
	assert_int_equal(schema_version(db, &version), OK);
	assert_int_equal(version, 0);
	assert_int_equal(schema_upgrade(db, schema_steps, schema_step_count), OK);
	assert_int_equal(schema_upgrade(db, schema_steps, schema_step_count), OK);
	assert_int_equal(schema_version(db, &version), OK);
	assert_int_equal(version, schema_steps[schema_step_count - 1].version);
	assert_int_equal(ask(db, "SELECT COUNT(*) FROM schema_version"), 1);
	assert_int_equal(ask(db, "SELECT COUNT(*) FROM message"), 0);
	db_close(&db);
}

static void an_older_store_is_brought_up_with_its_rows(void **state)
{
	struct db *db = open_db();

	(void)state;
	assert_int_equal(schema_upgrade(db, steps, 1), OK);
	db_close(&db);
	db = open_db();
	assert_int_equal(schema_upgrade(db, steps, 3), OK);
	assert_int_equal(ask(db, "SELECT height FROM shelf WHERE label = 'old'"), 7);
	assert_int_equal(ask(db, "SELECT COUNT(*) FROM book WHERE title = 'old'"), 1);
	assert_int_equal(ask(db, "SELECT version FROM schema_version"), 3);
	db_close(&db);
}

/* Of the store itself: what version 1 kept is there in the newest, with a queue that is empty. */
static void a_store_without_a_queue_gets_one_and_keeps_its_mail(void **state)
{
	struct db *db = open_db();

	(void)state;
	assert_int_equal(schema_upgrade(db, schema_steps, 1), OK);
	assert_int_equal(ask(db, "SELECT version FROM schema_version"), 1);
	assert_int_equal(
		db_define(
			db,
			S("INSERT INTO body VALUES (5, 1, 32, 7, 9, 1, 0, 's', 'f', 'm', 'p', 't');"
			  "INSERT INTO message VALUES (1, 2, 3, 9, 5, 24, 4, 0, 'a@b');"
			  "INSERT INTO segment VALUES (1, 71, 39)")),
		OK);
	db_close(&db);
	db = open_db();
	assert_int_equal(schema_upgrade(db, schema_steps, schema_step_count), OK);
	assert_int_equal(ask(db, "SELECT version FROM schema_version"),
			 schema_steps[schema_step_count - 1].version);
	assert_int_equal(ask(db, "SELECT body FROM message WHERE uid = 3 AND sender = 'a@b'"), 5);
	assert_int_equal(ask(db, "SELECT references_count FROM body WHERE id = 5"), 1);
	assert_int_equal(ask(db, "SELECT COUNT(*) FROM queue_message"), 0);
	assert_int_equal(ask(db, "SELECT COUNT(*) FROM queue_recipient"), 0);
	db_close(&db);
}

static void a_newer_store_is_refused_untouched(void **state)
{
	struct db *db = open_db();

	(void)state;
	assert_int_equal(schema_upgrade(db, steps, 3), OK);
	assert_int_equal(schema_upgrade(db, steps, 2), ERR_UNSUPPORTED);
	assert_non_null(strstr(fault_text(), "use a newer glasspost"));
	assert_int_equal(ask(db, "SELECT version FROM schema_version"), 3);
	db_close(&db);
}

static void a_step_that_fails_leaves_the_older_version_whole(void **state)
{
	static const struct schema_step broken[] = {
		{ 1, S("CREATE TABLE shelf (id $ID, label TEXT NOT NULL)") },
		{ 2, S("CREATE TABLE lamp (id $ID); CREATE TABLE shelf (id $ID)") },
	};
	struct db *db = open_db();
	bool has_lamp = true;

	(void)state;
	assert_int_equal(schema_upgrade(db, broken, 1), OK);
	assert_int_not_equal(schema_upgrade(db, broken, 2), OK);
	assert_int_equal(ask(db, "SELECT version FROM schema_version"), 1);
	assert_int_equal(db_has_table(db, S("lamp"), &has_lamp), OK);
	assert_false(has_lamp);
	db_close(&db);
}

static void remove_database(void)
{
	static const char *const names[] = { "glasspost.db", "glasspost.db-wal",
					     "glasspost.db-shm" };
	char path[100];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)remove(path);
	}
}

/* From this write or flush on the disk takes nothing more, as if the power had gone. */
static bool upgrade_cut_short(struct fault_plan plan)
{
	struct db_options options = { folder, &fault_io, false, true, false, NULL };
	struct db *db = NULL;
	bool struck;

	fault_clear();
	assert_int_equal(db_open(&options, &db), OK);
	fault_plan = plan;
	(void)!schema_upgrade(db, steps, 3);
	struck = plan.write_at >= 0 ? fault_plan.writes > plan.write_at
				    : fault_plan.flushes > plan.flush_at;
	db_close(&db);
	fault_clear();
	return struck;
}

static void cut_short_everywhere(bool flushes)
{
	bool struck = true;
	long n;

	for (n = 0; struck; n++) {
		struct db *db;
		unsigned version = 0;

		remove_database();
		db = open_db();
		assert_int_equal(schema_upgrade(db, steps, 1), OK);
		db_close(&db);
		struck = upgrade_cut_short((struct fault_plan){ .write_at = flushes ? -1 : n,
								.flush_at = flushes ? n : -1,
								.error = EIO,
								.stays = true });
		db = open_db();
		assert_int_equal(schema_version(db, &version), OK);
		assert_true(version == 1 || version == 3);
		assert_int_equal(schema_upgrade(db, steps, 3), OK);
		assert_int_equal(ask(db, "SELECT height FROM shelf WHERE label = 'old'"), 7);
		assert_int_equal(ask(db, "SELECT COUNT(*) FROM book WHERE title = 'old'"), 1);
		db_close(&db);
	}
	assert_true(n > 2);
}

static void an_upgrade_cut_short_anywhere_is_made_whole_by_the_next_start(void **state)
{
	(void)state;
	cut_short_everywhere(false);
	cut_short_everywhere(true);
}

static void every_statement_of_the_store_can_be_prepared(void **state)
{
	static const struct db_value none[16];
	struct db *db = open_db();

	(void)state;
	assert_int_equal(schema_upgrade(db, schema_steps, schema_step_count), OK);
	/* Preparing is what db_start does first; the numbers of parameters are checked by who calls. */
	for (int query = 0; query < DB_QUERIES; query++) {
		size_t count = db_parameters(db, (enum db_query)query);

		assert_true(count <= COUNT_OF(none));
		assert_int_equal(db_start(db, (enum db_query)query, none, count), OK);
		db_finish(db, (enum db_query)query);
	}
	db_close(&db);
}

static void a_reader_sees_one_snapshot(void **state)
{
	struct db_options options = { folder, &io_real, true, true, false, NULL };
	struct db *writer = open_db();
	struct db *reader = NULL;

	(void)state;
	assert_int_equal(schema_upgrade(writer, steps, 1), OK);
	assert_int_equal(db_open(&options, &reader), OK);
	assert_int_equal(db_begin(reader), OK);
	assert_int_equal(ask(reader, "SELECT COUNT(*) FROM shelf"), 1);
	assert_int_equal(db_define(writer, S("INSERT INTO shelf (label) VALUES ('new')")), OK);
	assert_int_equal(ask(reader, "SELECT COUNT(*) FROM shelf"), 1);
	db_rollback(reader);
	assert_int_equal(ask(reader, "SELECT COUNT(*) FROM shelf"), 2);
	assert_int_not_equal(db_define(reader, S("INSERT INTO shelf (label) VALUES ('x')")), OK);
	assert_true(db_log_octets(writer) > 0);
	assert_int_equal(db_checkpoint(writer, true), OK);
	assert_int_equal(db_log_octets(writer), 0);
	db_close(&reader);
	db_close(&writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_database_gets_every_step_and_then_none),
		TEST(an_older_store_is_brought_up_with_its_rows),
		TEST(a_store_without_a_queue_gets_one_and_keeps_its_mail),
		TEST(a_newer_store_is_refused_untouched),
		TEST(a_step_that_fails_leaves_the_older_version_whole),
		TEST(an_upgrade_cut_short_anywhere_is_made_whole_by_the_next_start),
		TEST(every_statement_of_the_store_can_be_prepared),
		TEST(a_reader_sees_one_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
