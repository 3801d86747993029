/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of api.def but for signing in and the stream of events. */
#include "web/guard.h"
#include "web/rows.h"
#include "web/route.h"

enum { INFO_MAX = 65536, OPENAPI_MAX = 1 << 18 };

void answer_sessions(struct exchange *exchange) WAITS
{
	json_t *arguments = json_pack("{s:b}", "newest", 1);

	rows_set_text(arguments, "protocol", exchange_parameter(exchange, "protocol"));
	rows_set_text(arguments, "peer", exchange_parameter(exchange, "peer"));
	rows_set_text(arguments, "account", exchange_parameter(exchange, "account"));
	json_object_set_new(arguments, "open",
			    json_boolean(str_is(exchange_parameter(exchange, "open"), S("1"))));
	if (!rows_set_limit(exchange, arguments)) {
		json_decref(arguments);
		return;
	}
	rows_answer(exchange, &(struct listing){ "session list", arguments, "{\"sessions\":[", ",",
						 "]}\n", false });
}

void answer_session(struct exchange *exchange) WAITS
{
	json_t *arguments = rows_about(exchange, "session");
	struct look look;
	struct str rows = { 0 };
	struct str row;
	enum err err = look_open(&look, exchange, "session list", arguments);

	if (err)
		return;
	while (!err && !rows.len && !look.has_ended)
		err = look_next(&look, LOOK_WAIT_MS, &rows);
	if (!err && look_row(&rows, &row)) {
		exchange_begin(exchange, exchange->endpoint->type);
		if (rows_write(exchange, row) || exchange_write(exchange, S("\n")))
			exchange_break(exchange);
	} else if (!err && !look.has_failed) {
		exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "GET /api/v1/sessions",
				"no session of that id is known, or it is too long ago");
	}
	look_close(&look);
}

void answer_session_events(struct exchange *exchange) WAITS
{
	rows_answer(exchange, &(struct listing){ "session show", rows_about(exchange, "session"),
						 "", "\n", "\n", true });
}

void answer_queue(struct exchange *exchange) WAITS
{
	rows_answer(exchange, &(struct listing){ "queue list", json_object(), "{\"recipients\":[",
						 ",", "]}\n", false });
}

/* ---- metrics: rows are {"text": LINE} ---- */

static enum err write_lines(struct exchange *exchange, struct str rows) WAITS
{
	struct str row;
	enum err err = OK;

	while (!err && look_row(&rows, &row)) {
		json_t *json = control_object(row);
		const json_t *text = json_object_get(json, "text");

		if (json_is_string(text))
			err = exchange_write(exchange, (struct str){ json_string_value(text),
								     json_string_length(text) });
		if (!err)
			err = exchange_write(exchange, S("\n"));
		json_decref(json);
	}
	return err;
}

void answer_metrics(struct exchange *exchange) WAITS
{
	struct look look;
	struct str rows;
	enum err err = look_open(&look, exchange, "metrics", json_object());

	if (err)
		return;
	while (!err && !look.has_ended) {
		err = look_next(&look, LOOK_WAIT_MS, &rows);
		if (!err && !look.has_failed && !exchange->status)
			exchange_begin(exchange, exchange->endpoint->type);
		if (!err && !look.has_failed)
			err = write_lines(exchange, rows);
	}
	if (err)
		exchange_break(exchange);
	look_close(&look);
}

/* ---- what the web role knows by itself ---- */

void answer_livez(struct exchange *exchange) WAITS
{
	exchange_say_static(exchange, MHD_HTTP_OK, exchange->endpoint->type, S("ok\n"));
}

void answer_readyz(struct exchange *exchange) WAITS
{
	const struct web *web = exchange->door->web;

	if (!web->is_closing && web->role->all_ready && link_is_up(web->role->store))
		exchange_say_static(exchange, MHD_HTTP_OK, exchange->endpoint->type, S("ok\n"));
	else
		exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "glasspost status",
				"not every role serves now");
}

void answer_openapi(struct exchange *exchange) WAITS
{
	OWNED(buf) struct buf out = BUF(OPENAPI_MAX);

	must(!route_openapi(&out));
	exchange_say(exchange, MHD_HTTP_OK, exchange->endpoint->type, buf_str(&out));
}

static void add_address(json_t *listeners, const struct config_listener *listener,
			const struct addr *address)
{
	static const char *const tls[] = { "none", "starttls", "implicit" };
	char text[ADDR_TEXT];

	addr_print(address, text);
	json_array_append_new(listeners, json_pack("{s:o, s:o, s:s, s:s}", "name",
						   control_string(listener->name), "protocol",
						   control_string(listener->protocol), "address",
						   text, "tls", tls[listener->tls_mode]));
}

static json_t *listeners_json(const struct config *config)
{
	json_t *listeners = json_array();

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		struct addr address;

		for (size_t n = 0; n < listener->address.count; n++)
			if (config_listener_address(listener, n, S(""), &address))
				add_address(listeners, listener, &address);
	}
	return listeners;
}

static json_t *info_json(const struct exchange *exchange)
{
	const struct web *web = exchange->door->web;
	const struct config *config = web->role->config;
	bool is_open = !guard_needs_sign_in(web);
	bool is_known = is_open || exchange->account;
	bool is_admin =
		exchange->account && config_lists(&config->web_admins, exchange->account_address);

	return json_pack(
		"{s:s, s:s, s:o, s:s, s:o, s:b, s:b, s:o}", "name", "glasspost", "version",
		GP_VERSION, "hostname", control_string(config->hostname), "mode",
		is_open ? "dev" : "serve", "account",
		exchange->account ? control_string(exchange->account_address) : json_null(),
		"sign_in", !is_known, "bodies", is_open || (is_admin && config->web_bodies),
		"listeners", is_known ? listeners_json(config) : json_array());
}

static int add_piece(const char *piece, size_t len, void *out)
{
	return buf_add(out, (struct str){ piece, len }) ? -1 : 0;
}

void answer_info(struct exchange *exchange) WAITS
{
	OWNED(buf) struct buf out = BUF(INFO_MAX);
	json_t *info = info_json(exchange);

	if (!info || json_dump_callback(info, add_piece, &out, JSON_COMPACT) ||
	    buf_add_char(&out, '\n'))
		exchange_refuse(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL,
				"there are too many listeners to name");
	else
		exchange_say(exchange, MHD_HTTP_OK, exchange->endpoint->type, buf_str(&out));
	json_decref(info);
}
