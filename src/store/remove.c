/* SPDX-License-Identifier: Apache-2.0 */
#include "store/remove.h"

struct body_row {
	uint64_t segment;
	uint64_t length;
	int64_t references;
};

static enum err find_body(struct db *db, uint64_t body, struct body_row *out, bool *found)
{
	enum err err = db_select(db, Q_body_get, db_id(body));

	if (!err)
		err = db_step(db, Q_body_get, found);
	if (err || !*found)
		return err;
	out->segment = (uint64_t)db_int_at(db, Q_body_get, 0);
	out->length = (uint64_t)db_int_at(db, Q_body_get, 2);
	out->references = db_int_at(db, Q_body_get, 3);
	db_finish(db, Q_body_get);
	return OK;
}

enum err writer_let_go(struct writer *writer, uint64_t body)
{
	struct db *db = writer->db;
	struct body_row row;
	bool found;
	enum err err = find_body(db, body, &row, &found);

	if (err || !found) /* a damaged store: the message can go all the same */
		return err;
	if (row.references > 1)
		return db_run(db, Q_body_refer, db_int(-1), db_id(body));
	err = db_run(db, Q_body_delete, db_id(body));
	if (!err)
		err = db_run(db, Q_segment_shrink, db_id(record_span(row.length)),
			     db_id(row.segment));
	return err;
}

enum err writer_remove_message(struct writer *writer, struct removal *removal, uint64_t uid)
{
	struct db *db = writer->db;
	uint64_t body = 0;
	uint64_t size = 0;
	bool found = false;
	enum err err = db_select(db, Q_message_body, db_id(removal->account),
				 db_id(removal->mailbox), db_id(uid));

	if (!err)
		err = db_step(db, Q_message_body, &found);
	if (err || !found)
		return err;
	body = (uint64_t)db_int_at(db, Q_message_body, 0);
	size = (uint64_t)db_int_at(db, Q_message_body, 1);
	db_finish(db, Q_message_body);
	err = db_run(db, Q_message_delete, db_id(removal->account), db_id(removal->mailbox),
		     db_id(uid));
	if (!err)
		err = writer_let_go(writer, body);
	removal->messages++;
	removal->octets += size;
	return err;
}

enum err writer_end_removal(struct writer *writer, const struct removal *removal)
{
	return db_run(writer->db, Q_mailbox_shrink, db_id(removal->messages),
		      db_id(removal->octets), db_id(removal->mailbox));
}
