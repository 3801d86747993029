/* SPDX-License-Identifier: Apache-2.0 */
#include "control/request.h"
#include "control/serve.h"

#include <stdarg.h>
#include <stdio.h>

struct str control_text(const struct control_call *call, const char *name)
{
	const json_t *value = json_object_get(call->arguments, name);

	if (!json_is_string(value))
		return (struct str){ 0 };
	return (struct str){ json_string_value(value), json_string_length(value) };
}

uint64_t control_number(const struct control_call *call, const char *name, uint64_t otherwise)
{
	const json_t *value = json_object_get(call->arguments, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return otherwise;
	return (uint64_t)json_integer_value(value);
}

bool control_flag(const struct control_call *call, const char *name)
{
	return json_is_true(json_object_get(call->arguments, name));
}

bool control_has(const struct control_call *call, const char *name)
{
	return json_object_get(call->arguments, name) != NULL;
}

json_t *control_string(struct str octets)
{
	json_t *string = json_stringn(octets.at ? octets.at : "", octets.len);
	OWNED(buf) struct buf mended = BUF(octets.len * 6 + 16);

	if (string)
		return string;
	/* jansson takes only UTF-8; base spells everything else as U+FFFD. */
	json_add_string(&mended, octets);
	string = json_loadb(mended.at, mended.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	must(string);
	return string;
}

enum err connection_send(struct control_connection *connection) WAITS
{
	enum err err = ERR_CLOSED;

	if (!connection->gone && connection->sink)
		err = connection->sink->line(connection->sink, buf_str(&connection->out));
	else if (!connection->gone)
		err = stream_write(connection->stream, buf_str(&connection->out), in_ms(ROW_MS));
	buf_reset(&connection->out);
	if (err && err != ERR_STOPPED) {
		connection->gone = true;
		err = fault(ERR_CLOSED, "the client is gone");
	}
	return err;
}

static enum err send_json(struct control_connection *connection, const json_t *json) WAITS
{
	enum err err;

	buf_reset(&connection->out);
	err = line_print(json, &connection->out);
	return err ? err : connection_send(connection);
}

enum err control_row(struct control_call *call, json_t *row) WAITS
{
	json_t *line = json_pack("{s:o}", "row", row);
	enum err err;

	must(line);
	err = send_json(call->connection, line);
	json_decref(line);
	return err;
}

enum err control_row_text(struct control_call *call, struct str json) WAITS
{
	struct buf *out = &call->connection->out;

	must(str_find(json, '\n') == STR_NONE);
	buf_reset(out);
	buf_add(out, S("{\"row\":"));
	buf_add(out, json);
	if (buf_add(out, S("}\n")) || out->failed) {
		buf_reset(out);
		return fault(ERR_LIMIT, "an answer line would be longer than %d octets",
			     LIMIT_control_line);
	}
	return connection_send(call->connection);
}

enum err control_rows_text(struct control_call *call, struct str rows) WAITS
{
	struct control_connection *connection = call->connection;
	struct buf *out = &connection->out;
	struct scan scan = scan_of(rows);
	const size_t frame = sizeof("{\"row\":}\n") - 1;
	enum err err = OK;
	struct str row;

	buf_reset(out);
	while (!err && take_until(&scan, '\n', &row)) {
		if (connection->sink || row.len + frame > LIMIT_control_line) {
			err = control_row_text(call, row);
			continue;
		}
		if (out->len + row.len + frame > LIMIT_control_line)
			err = connection_send(connection);
		buf_add(out, S("{\"row\":"));
		buf_add(out, row);
		buf_add(out, S("}\n"));
	}
	must(err || scan_at_end(&scan)); /* the last row lacks its end */
	return err || !out->len ? err : connection_send(connection);
}

void control_result(struct control_call *call, const char *name, json_t *value)
{
	json_object_set_new(call->result, name, value);
}

static json_t *failure_new(const char *error, const char *hint)
{
	json_t *failure = json_object();

	json_object_set_new(failure, "ok", json_false());
	json_object_set_new(failure, "error", control_string(str_of(error)));
	if (hint)
		json_object_set_new(failure, "hint", control_string(str_of(hint)));
	return failure;
}

enum err control_fail(struct control_call *call, const char *hint, const char *format, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_decref(call->failure);
	call->failure = failure_new(text, hint);
	return ERR_DENIED;
}

enum err call_finish(struct control_call *call, enum err err) WAITS
{
	struct control_connection *connection = call->connection;

	if (connection->gone)
		return ERR_CLOSED;
	if (!err) {
		err = send_json(connection, call->result);
		if (err != ERR_LIMIT)
			return err;
	}
	if (!call->failure)
		call->failure = failure_new(fault_text()[0] ? fault_text() : err_text(err), NULL);
	return send_json(connection, call->failure);
}

bool control_is_gone(const struct control_call *call)
{
	struct control_connection *connection = call->connection;
	char octets[512];
	size_t count;
	enum err err;

	if (connection->sink)
		return connection->gone || connection->sink->is_gone(connection->sink);
	while (!connection->gone) {
		err = stream_try_read(connection->stream, octets, sizeof(octets), &count);
		if (err == ERR_AGAIN)
			break;
		/* What comes early is the next request; more than one of those is nobody we serve. */
		if (err || buf_add(&connection->in, (struct str){ octets, count }))
			connection->gone = true;
	}
	return connection->gone;
}
