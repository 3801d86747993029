/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * control: the control socket, by which the command line speaks to a running role.
 *
 * A request is one line, a JSON object; an answer is any number of rows and one last line:
 *
 *	> {"command":"account list","arguments":{"domain":"example.org"}}
 *	< {"row":{"address":"anna@example.org"}}
 *	< {"ok":true}
 *	or
 *	< {"ok":false,"error":"no such domain: example.org","hint":"glasspost domain list"}
 *
 * Who may connect is decided by the socket's file mode alone: the listener's maker sets it.
 *
 * Invariants
 *  (1) A request is read within 5 s and LIMIT_control_line, at most 16 levels deep; anything else is
 *      answered by an error line and the connection is closed.
 *  (2) At most LIMIT_control_connections at once; one more is told so.
 *  (3) Rows are never gathered: control_row waits while the client is slow, and gives up on it
 *      after 30 s without progress.
 *  (4) Several requests may follow one another on a connection, never overlap.
 */
#include "fiber/fiber.h"

#include <jansson.h>

/* ---- serving ---- */

struct control_connection;
struct control_call;

struct control_command {
	const char *name; /* "account add"; NULL ends a table */
	/*
	 * OK, or a failure: then the error line has control_fail's text, or else the newest fault's.
	 * Rows that were given stay given.
	 */
	enum err (*run)(struct control_call *call) WAITS;
};

struct control_call {
	void *context; /* as given to control_serve */
	const struct control_command *command;
	json_t *arguments; /* an object; borrowed */
	/* The rest is control's own. */
	struct control_connection *connection;
	json_t *result;
	json_t *failure;
};

/*
 * Accepts connections, each a fiber of `group`, until the calling fiber is stopped (ERR_STOPPED) or
 * the listener fails. `tables` is an array of tables ended by NULL; it and the context must outlive the
 * group's fibers. The listener stays the caller's, who may drop it once this has returned.
 */
enum err control_serve(struct listener *listener, const struct control_command *const *tables,
		       void *context, struct fiber_group *group) WAITS;

/*
 * A command without a socket: `line` gets each line of the answer with its LF, the last one too, and may wait;
 * what it fails with ends the command as a client that is gone would. is_gone: control_is_gone for this one.
 */
struct control_sink {
	enum err (*line)(struct control_sink *sink, struct str line) WAITS;
	bool (*is_gone)(struct control_sink *sink);
};
enum err control_run(const struct control_command *command, void *context, json_t *arguments,
		     struct control_sink *sink) WAITS;

/* Arguments. What is absent or of another type is empty, `otherwise`, or false. */
struct str control_text(const struct control_call *call, const char *name);
uint64_t control_number(const struct control_call *call, const char *name, uint64_t otherwise);
bool control_flag(const struct control_call *call, const char *name);
bool control_has(const struct control_call *call, const char *name);

/* Streams one row; takes `row` over, whatever happens. ERR_CLOSED when the client is gone. */
enum err control_row(struct control_call *call, json_t *row) WAITS;
/* The same for an object that is JSON text already, without line ends: {"row":TEXT}. */
enum err control_row_text(struct control_call *call, struct str json) WAITS;
/* Many of these, each ended by LF: they go out together. */
enum err control_rows_text(struct control_call *call, struct str rows) WAITS;
/* A member of the last line, beside "ok": takes `value` over. */
void control_result(struct control_call *call, const char *name, json_t *value);
/* What the user reads when the command fails, and what to do about it (hint may be NULL). ERR_DENIED. */
enum err control_fail(struct control_call *call, const char *hint, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* Has the client gone? For commands that wait for something else than the client. */
bool control_is_gone(const struct control_call *call);
/* Text of others that must be a JSON object, no deeper than LIMIT_control_depth and without a name twice; else NULL. */
json_t *control_object(struct str text);
/* A JSON string of octets that may be no UTF-8: those are replaced by U+FFFD. */
json_t *control_string(struct str octets);

/* ---- asking: blocking, without fibers, for the command line ---- */

struct control_client;

struct control_request {
	const char *command;
	json_t *arguments; /* borrowed; NULL for none */
	/* Each row, borrowed. false: enough (control_ask gives ERR_STOPPED). NULL: rows are not wanted. */
	bool (*row)(void *context, const json_t *row);
	void *context;
	int64_t timeout_ms; /* of silence; 0: as long as it takes (follow) */
	/* In place of `row`, when set: the row as the server spells it, unread but for its ends and its depth; it may
	   have been a role that has fallen to somebody. */
	bool (*text)(void *context, struct str row);
};

/*
 * fault_text() says what is wrong in words for the user: ERR_REFUSED when nobody answers on `path`
 * ("the server is not running (no answer on PATH)"), ERR_DENIED when its file mode forbids us.
 */
[[nodiscard]] enum err control_open(const char *path, struct control_client **out);
/*
 * OK: the command ran; *out (may be NULL) is the last line, the caller's to json_decref.
 * ERR_DENIED: it was refused or failed; control_error() and control_hint() say why and what to do.
 * ERR_CLOSED, ERR_TIMEOUT, ERR_PROTOCOL: the conversation broke; control_error() tells it too.
 * ERR_STOPPED: the row callback had enough.
 */
[[nodiscard]] enum err control_ask(struct control_client *client,
				   const struct control_request *request, json_t **out);
/*
 * The same for who waits for other things too: begin, then take whenever the descriptor is readable.
 * control_take gives the rows that are there, a few hundred at most, and never waits. ERR_AGAIN: the
 * answer goes on; when *rows is not 0 there may be more already. Anything else is as control_ask says.
 */
[[nodiscard]] enum err control_begin(struct control_client *client,
				     const struct control_request *request);
[[nodiscard]] enum err control_take(struct control_client *client,
				    const struct control_request *request, size_t *rows);
int control_descriptor(const struct control_client *client);
const char *control_error(const struct control_client *client); /* "" when there was none */
const char *control_hint(const struct control_client *client);  /* "" when there is none */
void control_close(struct control_client **client);
