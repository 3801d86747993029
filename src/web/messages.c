/* SPDX-License-Identifier: Apache-2.0 */
/* The answers about messages. */
#include "web/route.h"
#include "web/rows.h"

#include <stdio.h>

void answer_messages(struct exchange *exchange) WAITS
{
	static const char *const names[] = { "sender", "recipient", "state" };
	json_t *arguments = json_object();

	for (size_t i = 0; i < COUNT_OF(names); i++)
		rows_set_text(arguments, names[i], exchange_parameter(exchange, names[i]));
	if (!rows_set_limit(exchange, arguments)) {
		json_decref(arguments);
		return;
	}
	rows_answer(exchange, &(struct listing){ "message list", arguments, "{\"messages\":[", ",",
						 "]}\n", false });
}

/* ---- one: the first row is the message, the others are its recipients ---- */

static enum err write_recipients(struct look *look, struct str rows, bool *any) WAITS
{
	struct exchange *exchange = look->exchange;
	struct str row;
	enum err err = OK;

	while (!err && !look->has_failed && (rows.len || !look->has_ended)) {
		while (!err && look_row(&rows, &row)) {
			err = *any ? exchange_write(exchange, S(",")) : OK;
			*any = true;
			if (!err)
				err = rows_write(exchange, row);
		}
		rows = (struct str){ 0 };
		if (!err)
			err = look_next(look, LOOK_WAIT_MS, &rows);
	}
	return err;
}

void answer_message(struct exchange *exchange) WAITS
{
	struct look look;
	struct str rows = { 0 };
	struct str row;
	bool any = false;
	enum err err = look_open(&look, exchange, "message show", rows_about(exchange, "message"));

	if (err)
		return;
	while (!err && !rows.len && !look.has_ended)
		err = look_next(&look, LOOK_WAIT_MS, &rows);
	if (!err && !look.has_failed && look_row(&rows, &row)) {
		exchange_begin(exchange, exchange->endpoint->type);
		/* Its last octet is the brace that ends it. */
		err = rows_write(exchange, str_first(row, row.len - 1));
		if (!err)
			err = exchange_write(exchange, S(",\"recipients\":["));
		if (!err)
			err = write_recipients(&look, rows, &any);
		if (!err && !look.has_failed)
			err = exchange_write(exchange, S("]}\n"));
	}
	if (err || look.has_failed)
		exchange_break(exchange);
	look_close(&look);
}

void answer_message_events(struct exchange *exchange) WAITS
{
	rows_answer(exchange, &(struct listing){ "message events", rows_about(exchange, "message"),
						 "", "\n", "\n", true });
}

/* ---- its text: rows are {"octets": BASE64} ---- */

static enum err write_octets(struct exchange *exchange, struct str rows) WAITS
{
	struct arena arena = { 0 };
	struct str row;
	enum err err = OK;

	while (!err && look_row(&rows, &row)) {
		json_t *json = control_object(row);
		const char *text = json_string_value(json_object_get(json, "octets"));
		struct str octets;

		if (!text || !base64_take(&arena, str_of(text), &octets))
			exchange_break(exchange);
		else
			err = exchange_write(exchange, octets);
		json_decref(json);
	}
	arena_drop(&arena);
	return err;
}

/* Never as what it says that it is: a browser shall store it or show it, and not obey it. */
static void begin_text(struct exchange *exchange)
{
	char disposition[64];
	char id[ID_TEXT + 1];

	id_print(exchange->id, id);
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s.eml\"", id);
	exchange_begin(exchange, exchange->endpoint->type);
	exchange_set_header(exchange, "Content-Disposition", disposition);
}

static void answer_text(struct exchange *exchange, bool header) WAITS
{
	json_t *arguments = rows_about(exchange, "message");
	struct look look;
	struct str rows = { 0 };
	enum err err;

	json_object_set_new(arguments, "header", json_boolean(header));
	err = look_open(&look, exchange, "message raw", arguments);
	if (err)
		return;
	while (!err && !look.has_ended) {
		err = look_next(&look, LOOK_WAIT_MS, &rows);
		if (!err && rows.len && !exchange->status)
			begin_text(exchange);
		if (!err)
			err = write_octets(exchange, rows);
	}
	if (err)
		exchange_break(exchange);
	look_close(&look);
}

void answer_message_raw(struct exchange *exchange) WAITS
{
	answer_text(exchange, false);
}

void answer_message_header(struct exchange *exchange) WAITS
{
	answer_text(exchange, true);
}
