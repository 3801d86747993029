/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * replay: what the body files know and the database has lost. A power cut may take the database's newest
 * transactions; the redo of each lies in a body file, behind the bodies that it refers to.
 *
 * Invariants
 *  (1) A transaction is done again wholly or not at all, in the order in which they were committed, and
 *      only on the rows that its head names; the end of the log moves with it. So a replay that is
 *      cut short goes on where it was.
 *  (2) The log ends at the first record that is not whole, in each file.
 *
 * Runs before anything else uses the database and the body files. Errors: ERR_UNSUPPORTED: another
 * version wrote it; ERR_CORRUPT; those of the database.
 */
#include "store/db.h"

struct replay {
	const char *folder; /* of the body files */
	struct db *db;
	uint64_t store;             /* id in the heads of the files */
	uint64_t checkpoint_octets; /* the database's log is carried over where it is larger */
	bool look_only;             /* count the first, and change nothing */

	uint64_t transactions; /* done again */
	bool is_of_other_rows; /* it ended at a transaction for which this database is too old */
};

[[nodiscard]] enum err replay_run(struct replay *replay);
/* What the database has come to: of its next transaction the head. */
[[nodiscard]] enum err redo_tip(struct db *db, struct redo_head *out);
/* setting `epoch`: grows with every transaction that the log does not hold. */
[[nodiscard]] enum err epoch_store(struct db *db, uint64_t epoch);
