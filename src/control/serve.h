/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* serve: a connection of the control socket, as the server has it. Private to control/. */
#include "control/control.h"

enum { REQUEST_MS = 5000, ROW_MS = 30000 };

struct control_server {
	const struct control_command *const *tables;
	void *context;
	size_t connections;
	size_t users; /* the accepting fiber and the connections: the last one frees it */
};

struct control_connection {
	struct stream *stream;
	struct control_sink *sink; /* in place of the stream */
	struct control_server *server;
	struct buf in;
	struct buf out;
	bool gone;
};

/* Sends what lies in connection->out and empties it. */
enum err connection_send(struct control_connection *connection) WAITS;
/* The last line of an answer, as the command's end demands it. */
enum err call_finish(struct control_call *call, enum err err) WAITS;
