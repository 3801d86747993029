/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * schema: which tables there are, by version. A store of an older version is brought up in one
 * transaction when it is opened; one of a newer version is refused, untouched.
 */
#include "store/db.h"

struct schema_step {
	unsigned version;
	struct str sql;
};

extern const struct schema_step schema_steps[];
extern const size_t schema_step_count;

/* 0: an empty database. */
[[nodiscard]] enum err schema_version(struct db *db, unsigned *out);
/* Up to the last of `steps`. ERR_UNSUPPORTED when the database is newer than that. */
[[nodiscard]] enum err schema_upgrade(struct db *db, const struct schema_step *steps, size_t count);
