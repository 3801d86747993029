/* SPDX-License-Identifier: Apache-2.0 */
#include "web/rows.h"
#include "web/route.h"

enum { ROWS_MAX = 1000 };

enum err rows_write(struct exchange *exchange, struct str row) WAITS
{
	OWNED(buf) struct buf out = BUF(6 * row.len + 1);

	must(!json_mend(&out, row));
	return exchange_write(exchange, buf_str(&out));
}

static enum err write_rows(struct exchange *exchange, const struct listing *listing,
			   struct str rows, bool *first) WAITS
{
	struct str row;
	enum err err = OK;

	while (!err && look_row(&rows, &row)) {
		err = *first ? OK : exchange_write(exchange, str_of(listing->between));
		*first = false;
		if (!err)
			err = listing->is_trace ? exchange_write(exchange, row)
						: rows_write(exchange, row);
	}
	return err;
}

/* Nothing is begun before the store has said yes: else a refusal could not be told. */
void rows_answer(struct exchange *exchange, const struct listing *listing) WAITS
{
	struct look look;
	struct str rows = { 0 };
	bool first = true;
	enum err err = look_open(&look, exchange, listing->command, listing->arguments);

	if (err)
		return;
	while (!err && !rows.len && !look.has_ended)
		err = look_next(&look, LOOK_WAIT_MS, &rows);
	if (!err && !look.has_failed) {
		exchange_begin(exchange, exchange->endpoint->type);
		err = exchange_write(exchange, str_of(listing->before));
	}
	while (!err && !look.has_failed && (rows.len || !look.has_ended)) {
		err = write_rows(exchange, listing, rows, &first);
		rows = (struct str){ 0 };
		if (!err)
			err = look_next(&look, LOOK_WAIT_MS, &rows);
	}
	if (!err && !look.has_failed)
		err = exchange_write(exchange, str_of(listing->after));
	if (err || look.has_failed)
		exchange_break(exchange);
	look_close(&look);
}

void rows_set_text(json_t *arguments, const char *name, struct str text)
{
	if (text.len)
		json_object_set_new(arguments, name, control_string(text));
}

/* A number of the query; false when it is none, and that is said. */
bool rows_set_limit(struct exchange *exchange, json_t *arguments)
{
	struct str text = exchange_parameter(exchange, "limit");
	uint64_t limit = 0;

	if (!text.len)
		return true;
	if (!str_to_u64(text, ROWS_MAX, &limit)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "a number up to 1000",
				"limit is no number that can be given");
		return false;
	}
	json_object_set_new(arguments, "limit", json_integer((json_int_t)limit));
	return true;
}

json_t *rows_about(const struct exchange *exchange, const char *what)
{
	char text[ID_TEXT + 1];

	id_print(exchange->id, text);
	return json_pack("{s:s}", what, text);
}
