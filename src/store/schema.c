/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

#include <stdio.h>

const struct schema_step schema_steps[] = {
#define STEP(version, sql) { version, S(sql) },
#include "store/schema.def"
#undef STEP
};

const size_t schema_step_count = COUNT_OF(schema_steps);

enum err schema_version(struct db *db, unsigned *out)
{
	bool is_there;
	int64_t version = 0;
	enum err err = db_has_table(db, S("schema_version"), &is_there);

	if (!err && is_there)
		err = db_ask_number(db, "SELECT version FROM schema_version", &version);
	if (err)
		return err;
	if (version < 0 || version > 1000000)
		return fault(ERR_CORRUPT, "the database says it has version %lld",
			     (long long)version);
	*out = (unsigned)version;
	return OK;
}

static enum err note_version(struct db *db, unsigned version)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);"
		 "DELETE FROM schema_version; INSERT INTO schema_version VALUES (%u)",
		 version);
	return db_define(db, str_of(sql));
}

enum err schema_upgrade(struct db *db, const struct schema_step *steps, size_t count)
{
	unsigned newest = steps[count - 1].version;
	unsigned version = 0;
	enum err err = schema_version(db, &version);

	if (err || version == newest)
		return err;
	if (version > newest)
		return fault(
			ERR_UNSUPPORTED,
			"the database has version %u, this program knows up to %u: use a newer "
			"glasspost",
			version, newest);
	err = db_begin(db);
	for (size_t i = 0; !err && i < count; i++)
		if (steps[i].version > version)
			err = db_define(db, steps[i].sql);
	if (!err)
		err = note_version(db, newest);
	if (!err)
		return db_commit(db);
	db_rollback(db);
	return err;
}
