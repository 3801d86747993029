/* SPDX-License-Identifier: Apache-2.0 */
#include "control/serve.h"
#include "control/request.h"

#include <stdlib.h>

enum { ACCEPT_FAILURES_MAX = 100, ACCEPT_PAUSE_MS = 100, ROOM = 16384 };

static void server_leave(struct control_server *server)
{
	if (--server->users == 0)
		free(server);
}

static const struct control_command *command_find(const struct control_server *server,
						  struct str name)
{
	for (size_t i = 0; server->tables[i]; i++)
		for (const struct control_command *c = server->tables[i]; c->name; c++)
			if (str_is(str_of(c->name), name))
				return c;
	return NULL;
}

/* One line off connection->in, kept in `line` without its LF. */
static enum err read_line(struct control_connection *connection, struct buf *line) WAITS
{
	moment deadline = in_ms(REQUEST_MS);
	size_t searched = 0;

	buf_reset(line);
	for (;;) {
		struct buf *in = &connection->in;
		size_t end = str_find(str_from(buf_str(in), searched), '\n');
		size_t count;
		enum err err;

		if (end != STR_NONE) {
			end += searched;
			buf_add(line, str_first(buf_str(in), end));
			buf_consume(in, end + 1);
			explicit_bzero(in->at + in->len, in->room - in->len);
			return OK;
		}
		searched = in->len;
		if (in->len >= in->max)
			return fault(ERR_LIMIT, "a request is at most %d octets",
				     LIMIT_control_line);
		err = buf_reserve(in, in->max - in->len < 4096 ? in->max - in->len : 4096);
		must(!err);
		err = stream_read(connection->stream, in->at + in->len, in->room - in->len,
				  deadline, &count);
		if (err)
			return err;
		in->len += count;
	}
}

/* The request was none: say so and have done with this client. */
static void refuse(struct control_connection *connection, const char *error) WAITS
{
	json_t *arguments = json_object();
	struct control_call call = { .arguments = arguments, .connection = connection };
	enum err err = control_fail(&call, NULL, "%s", error);

	call_finish(&call, err);
	json_decref(call.failure);
	json_decref(arguments);
}

static enum err run_call(struct control_call *call, struct str name) WAITS
{
	enum err err;

	call->result = json_pack("{s:b}", "ok", 1);
	must(call->result);
	fault(OK, "%s", ""); /* an older failure's words must not pass for this one's */
	if (call->command) {
		fiber_describe("%s", call->command->name);
		err = call->command->run(call);
	} else {
		err = control_fail(call,
				   "this role may not serve it, or the program is of another "
				   "version than the server: glasspost version",
				   "unknown command: %.*s", STR_ARGS(name));
	}
	err = call_finish(call, err);
	json_decref(call->result);
	json_decref(call->failure);
	return err;
}

static enum err run(struct control_connection *connection, const struct control_ask *ask) WAITS
{
	struct control_call call = {
		.context = connection->server->context,
		.command = command_find(connection->server, ask->command),
		.arguments = ask->arguments,
		.connection = connection,
	};

	return run_call(&call, ask->command);
}

enum err control_run(const struct control_command *command, void *context, json_t *arguments,
		     struct control_sink *sink) WAITS
{
	struct control_connection connection = { .sink = sink, .out = BUF(LIMIT_control_line) };
	struct control_call call = { .context = context,
				     .command = command,
				     .arguments = arguments,
				     .connection = &connection };
	enum err err = run_call(&call, str_of(command->name));

	buf_drop(&connection.out);
	return err;
}

static enum err serve_request(struct control_connection *connection, struct buf *line) WAITS
{
	struct control_ask ask;
	enum err err;

	fiber_describe("reads a request");
	err = read_line(connection, line);
	if (err == ERR_LIMIT)
		refuse(connection, fault_text());
	else if (err == ERR_TIMEOUT && connection->in.len)
		refuse(connection, "the request did not come within 5 s");
	if (err)
		return err;
	err = request_parse(buf_str(line), &ask);
	if (err) {
		refuse(connection, fault_text());
		return err;
	}
	err = run(connection, &ask);
	json_decref(ask.json);
	explicit_bzero(line->at, line->room); /* there may be a password in it */
	return err;
}

static void connection_fiber(void *arg) WAITS
{
	struct control_connection *connection = arg;
	struct buf line = BUF(LIMIT_control_line + 1);

	/* What grows leaves copies behind: no request with a password needs more than this. */
	must(buf_reserve(&line, ROOM) == OK && buf_reserve(&connection->in, ROOM) == OK);
	while (!serve_request(connection, &line))
		continue;
	buf_drop(&line);
	buf_drop(&connection->in);
	buf_drop(&connection->out);
	stream_drop(&connection->stream);
	connection->server->connections--;
	server_leave(connection->server);
	free(connection);
}

/* A few octets into a fresh connection never wait. */
static void turn_away(struct stream **stream)
{
	struct str busy = S("{\"ok\":false,\"error\":\"too many control connections\","
			    "\"hint\":\"end a `session follow` or wait\"}\n");
	size_t sent;

	if (!stream_try_write(*stream, busy, &sent))
		stream_shut(*stream);
	stream_drop(stream);
}

static void welcome(struct control_server *server, struct stream *stream, struct fiber_group *group)
{
	struct control_connection *connection;

	if (server->connections >= LIMIT_control_connections) {
		turn_away(&stream);
		return;
	}
	connection = calloc(1, sizeof(*connection));
	must(connection);
	connection->stream = stream;
	connection->server = server;
	connection->in = BUF(LIMIT_control_line);
	connection->out = BUF(LIMIT_control_line);
	if (fiber_spawn(group, "control", connection_fiber, connection, NULL)) {
		turn_away(&connection->stream);
		free(connection);
		return;
	}
	server->connections++;
	server->users++;
}

enum err control_serve(struct listener *listener, const struct control_command *const *tables,
		       void *context, struct fiber_group *group) WAITS
{
	struct control_server *server = calloc(1, sizeof(*server));
	unsigned failures = 0;
	enum err err = OK;

	must(server);
	server->tables = tables;
	server->context = context;
	server->users = 1;
	request_wipe_json();
	json_object_seed((size_t)(random_u64() | 1)); /* jansson would open /dev/urandom for it */
	while (failures < ACCEPT_FAILURES_MAX) {
		struct stream *stream = NULL;

		err = listener_accept(listener, NEVER, &stream);
		if (!err) {
			failures = 0;
			welcome(server, stream, group);
			continue;
		}
		failures++; /* out of descriptors, say: that may pass */
		if (err == ERR_STOPPED || fiber_sleep(in_ms(ACCEPT_PAUSE_MS)))
			break;
	}
	server_leave(server);
	return err;
}
