/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"
#include "control/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_ROOM = 16384, ROWS_AT_ONCE = 512 };

struct control_client {
	int fd;
	struct buf in;
	size_t used; /* of in: lines already given */
	char error[FAULT_TEXT_MAX];
	char hint[FAULT_TEXT_MAX];
};

/* A path that does not fit into an address is reached through its folder's descriptor. */
static enum err address_of(const char *path, struct sockaddr_un *out, int *folder)
{
	struct str whole = str_of(path);
	size_t slash = str_find_last(whole, '/');
	char parent[4096];

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (whole.len < sizeof(out->sun_path)) {
		memcpy(out->sun_path, path, whole.len);
		return OK;
	}
	if (slash == STR_NONE || slash >= sizeof(parent))
		return fault(ERR_LIMIT, "%s: the path is too long for a socket", path);
	memcpy(parent, path, slash);
	parent[slash] = '\0';
	*folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*folder < 0)
		return fault_errno("%s", parent);
	if (snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *folder,
		     path + slash + 1) >= (int)sizeof(out->sun_path))
		return fault(ERR_LIMIT, "%s: the path is too long for a socket", path);
	return OK;
}

static enum err connect_fault(const char *path)
{
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		return fault(ERR_REFUSED, "the server is not running (no answer on %s)", path);
	if (errno == EACCES || errno == EPERM)
		return fault(ERR_DENIED,
			     "%s is only for the user that the server runs as: "
			     "run this command as that user or as root",
			     path);
	return fault_errno("connect to %s", path);
}

static int connect_to(const char *path, enum err *err)
{
	struct sockaddr_un address;
	int folder = -1;
	int fd;

	*err = address_of(path, &address, &folder);
	if (*err == ERR_NOT_FOUND)
		*err = connect_fault(path);
	if (*err)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*err = fault_errno("make a socket");
	} else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		*err = connect_fault(path);
		close(fd);
		fd = -1;
	}
	if (folder >= 0)
		close(folder);
	return fd;
}

enum err control_open(const char *path, struct control_client **out)
{
	struct control_client *client;
	enum err err;
	int fd = connect_to(path, &err);

	if (err)
		return err;
	client = calloc(1, sizeof(*client));
	must(client);
	client->fd = fd;
	client->in = BUF(2 * LIMIT_control_line + READ_ROOM);
	*out = client;
	return OK;
}

void control_close(struct control_client **client)
{
	if (!*client)
		return;
	close((*client)->fd);
	buf_drop(&(*client)->in);
	free(*client);
	*client = NULL;
}

const char *control_error(const struct control_client *client)
{
	return client->error;
}

const char *control_hint(const struct control_client *client)
{
	return client->hint;
}

static enum err broken(struct control_client *client, enum err err, const char *text)
{
	snprintf(client->error, sizeof(client->error), "%s", text);
	return fault(err, "%s", text);
}

static enum err send_request(struct control_client *client, const struct control_request *request)
{
	OWNED(buf) struct buf line = BUF(LIMIT_control_line);
	json_t *json = json_pack("{s:s,s:O?}", "command", request->command, "arguments",
				 request->arguments);
	enum err err;
	size_t sent = 0;

	if (!json)
		return broken(client, ERR_SYNTAX, "the command's arguments are not UTF-8");
	if (!request->arguments)
		json_object_del(json, "arguments");
	err = line_print(json, &line);
	json_decref(json);
	if (err)
		return broken(client, err, "the command's arguments are too long");
	while (sent < line.len) {
		ssize_t count = send(client->fd, line.at + sent, line.len - sent, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		/* A server that has hung up may have said why: read on. */
		if (count < 0)
			return OK;
		sent += (size_t)count;
	}
	return OK;
}

/* What has come, at least an octet: the descriptor is readable. */
static enum err read_some(struct control_client *client)
{
	ssize_t count;

	buf_consume(&client->in, client->used);
	client->used = 0;
	if (buf_reserve(&client->in, READ_ROOM))
		return broken(client, ERR_PROTOCOL,
			      "the server's answer is longer than a line may be");
	do
		count = read(client->fd, client->in.at + client->in.len, READ_ROOM);
	while (count < 0 && errno == EINTR);
	if (count <= 0)
		return broken(client, ERR_CLOSED,
			      "the server closed the connection before the answer was complete");
	client->in.len += (size_t)count;
	return OK;
}

/* wait: in milliseconds, -1 for ever. Not as poll does it: a signal does not end the waiting. */
static bool is_readable(const struct control_client *client, int wait)
{
	struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
	int ready;

	do
		ready = poll(&poll_fd, 1, wait);
	while (ready < 0 && errno == EINTR);
	return ready != 0;
}

static enum err read_more(struct control_client *client, int64_t timeout_ms)
{
	int wait = timeout_ms > INT32_MAX ? INT32_MAX : timeout_ms > 0 ? (int)timeout_ms : -1;

	if (!is_readable(client, wait))
		return broken(client, ERR_TIMEOUT, "the server did not answer in time");
	return read_some(client);
}

static bool has_line(const struct control_client *client, struct str *line)
{
	struct str rest = str_from(buf_str(&client->in), client->used);
	size_t end = str_find(rest, '\n');

	*line = str_first(rest, end);
	return end != STR_NONE;
}

/* The line at the front, of which has_line said that it is there. */
static enum err take_line(struct control_client *client, struct str line, json_t **out)
{
	client->used += line.len + 1;
	*out = request_is_shallow(line) ? json_loadb(line.at, line.len, JSON_ALLOW_NUL, NULL)
					: NULL;
	if (!json_is_object(*out)) {
		json_decref(*out);
		return broken(client, ERR_PROTOCOL, "the server's answer makes no sense");
	}
	return OK;
}

static enum err last_line(struct control_client *client, json_t *line, json_t **out)
{
	const char *error = json_string_value(json_object_get(line, "error"));
	const char *hint = json_string_value(json_object_get(line, "hint"));

	if (json_is_true(json_object_get(line, "ok"))) {
		if (out)
			*out = json_incref(line);
		return OK;
	}
	snprintf(client->hint, sizeof(client->hint), "%s", hint ? hint : "");
	return broken(client, ERR_DENIED, error ? error : "the server gave no reason");
}

/* A row as the server spells it, taken apart by nobody. */
static bool is_row(struct str line, struct str *row)
{
	const struct str head = S("{\"row\":");

	if (line.len < head.len + 2 || !str_starts(line, head) ||
	    !str_is(str_from(line, line.len - 2), S("}}")) || !request_is_shallow(line))
		return false;
	*row = str_from(str_first(line, line.len - 1), head.len);
	return row->at[0] == '{';
}

/* ERR_AGAIN: it was a row, and another line follows. */
static enum err give_line(struct control_client *client, const struct control_request *request,
			  struct str text, json_t **out)
{
	json_t *line = NULL;
	json_t *row;
	struct str row_text;
	enum err err;

	if (request->text && is_row(text, &row_text)) {
		client->used += text.len + 1;
		return request->text(request->context, row_text) ? ERR_AGAIN : ERR_STOPPED;
	}
	err = take_line(client, text, &line);
	if (err)
		return err;
	row = json_object_get(line, "row");
	if (!row)
		err = last_line(client, line, out);
	else if (request->row && !request->row(request->context, row))
		err = ERR_STOPPED;
	else
		err = ERR_AGAIN;
	json_decref(line);
	return err;
}

enum err control_begin(struct control_client *client, const struct control_request *request)
{
	client->error[0] = '\0';
	client->hint[0] = '\0';
	return send_request(client, request);
}

enum err control_ask(struct control_client *client, const struct control_request *request,
		     json_t **out)
{
	enum err err = control_begin(client, request);
	struct str line;

	if (err)
		return err;
	do {
		while (!has_line(client, &line)) {
			err = read_more(client, request->timeout_ms);
			if (err)
				return err;
		}
		err = give_line(client, request, line, out);
	} while (err == ERR_AGAIN);
	return err;
}

enum err control_take(struct control_client *client, const struct control_request *request,
		      size_t *rows)
{
	enum err err = ERR_AGAIN;
	struct str line;

	*rows = 0;
	while (err == ERR_AGAIN && *rows < ROWS_AT_ONCE) {
		if (has_line(client, &line)) {
			err = give_line(client, request, line, NULL);
			*rows += err == ERR_AGAIN;
			continue;
		}
		if (!is_readable(client, 0))
			return ERR_AGAIN;
		err = read_some(client);
		err = err ? err : ERR_AGAIN;
	}
	return err;
}

int control_descriptor(const struct control_client *client)
{
	return client->fd;
}
