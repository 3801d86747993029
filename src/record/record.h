/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * record: the reader of trace rings that remembers. It keeps the events of sessions on disk for
 * `session show`, writes the log, counts the metrics, and feeds `session follow`. One recorder runs
 * in the role that owns the data directory.
 *
 * Files: FOLDER/trace/trace-MICROSECONDS.trace, records one after the other (docs/formats/trace.md).
 * The name carries the wall clock of the file's beginning.
 *
 * Invariants
 *  (1) Nothing here ever waits for a disk or a terminal on the loop: reading rings, writing files and
 *      log lines, deleting and searching happen on worker threads (offload), one piece at a time. Log
 *      lines go their own way (outlet.h): whoever reads them, or does not, holds up nothing else.
 *  (2) What was read from a ring is the word of a role that strangers talk to: it is checked, bounded
 *      and escaped, and can hurt only what is said about that role.
 *  (3) A full disk or a damaged file costs events, never the recorder: the loss is counted
 *      (glasspost_trace_unwritten_total) and told once a minute.
 *  (4) Log lines are one line each; the address of the client stands before any text that a client
 *      chose, and that text is escaped and in quotes.
 */
#include "control/control.h"
#include "trace/trace.h"

enum record_log {
	RECORD_LOG_NONE,
	RECORD_LOG_TEXT,    /* time, what, key=value */
	RECORD_LOG_JSON,    /* one object a line */
	RECORD_LOG_POSTFIX, /* as Postfix's smtpd, qmgr, lmtp and Dovecot's pop3-login would */
	RECORD_LOG_DEV      /* short, for the person at the terminal */
};
/* "text", "json", "postfix", "dev", "none". */
bool record_log_parse(struct str name, enum record_log *out);

struct record_config {
	int64_t keep_us;      /* events are deleted at this age; 0: none are kept */
	uint64_t keep_octets; /* and the oldest when they are more than this; 0: none are kept */
	enum record_log log;
	int log_fd;           /* lines go there; stays the caller's */
	const char *hostname; /* for the postfix format; copied */
	int64_t tick_ms;      /* how often the rings are read; 0: every 50 ms */
	uint8_t role;         /* under which the recorder itself is heard in the trace */
	uint8_t role_index;
};

struct record_ring {
	const void *at; /* mapped until the ring is removed or the recorder dropped */
	size_t size;
	char name[32]; /* of its role, for metrics: "gate-mx-0" */
	/* Whose it is: no record in it may say otherwise. role 0: they are believed. */
	uint8_t role;
	uint8_t role_index;
};

struct recorder;

/* `folder` is the data directory, where trace/ is made; NULL or "" keeps nothing on disk. */
[[nodiscard]] enum err recorder_new(const char *folder, const struct record_config *config,
				    struct recorder **out);
/* Reads what is still in the rings once more (without fibers), writes it, closes. No fiber may use it. */
void recorder_drop(struct recorder **recorder);

/* ERR_CORRUPT when it is no ring, ERR_LIMIT past LIMIT_record_rings, ERR_EXISTS when it is read already. */
[[nodiscard]] enum err recorder_add_ring(struct recorder *recorder, const struct record_ring *ring)
	WAITS;
/* Reads it once more; after that it may be unmapped. ERR_STOPPED: not done, the ring is still read. */
enum err recorder_remove_ring(struct recorder *recorder, const void *at) WAITS;
/* Takes effect with the next events. */
enum err recorder_reload(struct recorder *recorder, const struct record_config *config) WAITS;

/* The fiber: reads all rings every tick_ms until it is stopped. fiber_spawn(..., recorder_run, recorder, ...). */
void recorder_run(void *recorder) WAITS;
/* Now: what was written to a ring before this call is in the files, the log and the index after it. */
enum err recorder_catch_up(struct recorder *recorder) WAITS;

/*
 * Control commands. A role's own table calls the functions; record_commands is the same as a
 * table whose context is the recorder.
 *
 *   (All of these: with `viewer`, an account, only what is its own.)
 *   session list    limit (100, at most 1000), protocol, peer, account, session, open: rows, oldest first,
 *                   or with `newest` the newest first
 *                   {session, start, protocol, peer, account, open, reason, commands, errors,
 *                    messages, octets_in, octets_out, ms}
 *   session show    session; as: "json" (rows are trace lines) or "text" (rows {"text": LINE}, the
 *                   ladder, with width and ascii)
 *   session follow  session (absent: all); as, width, ascii: never ends by itself; rows
 *                   {"lost": COUNT} where the client was too slow. With `cursors` rows are {"cursor", "event"};
 *                   with `after`, a cursor, it begins with what came since, or {"lost": null};
 *                   with `replay` it ends there. With as: "records", {"records": BASE64}: some records as they lie
 *                   in the files
 *   message list    limit, sender, recipient, state: rows, newest first
 *                   {message, time, sender, recipients, more, subject, octets, state, peer, session, sessions}
 *   message events  message; as, width, ascii: rows as of session show: every event that names it, fetches of it,
 *                   where its sessions began, the octets of its body
 *   metrics         rows {"text": LINE}: Prometheus text exposition 0.0.4
 */
enum err record_session_list(struct recorder *recorder, struct control_call *call) WAITS;
enum err record_session_show(struct recorder *recorder, struct control_call *call) WAITS;
enum err record_session_follow(struct recorder *recorder, struct control_call *call) WAITS;
enum err record_message_list(struct recorder *recorder, struct control_call *call) WAITS;
enum err record_message_events(struct recorder *recorder, struct control_call *call) WAITS;
enum err record_metrics(struct recorder *recorder, struct control_call *call) WAITS;
extern const struct control_command record_commands[];

/* What is remembered of one message and `viewer` (empty: everybody) may know; the caller's to json_decref. */
struct record_message {
	bool is_known;
	json_t *row;        /* as of message list */
	json_t *recipients; /* an array of objects */
};
[[nodiscard]] enum err record_message_look(struct recorder *recorder, uint64_t id,
					   struct str viewer, struct record_message *out) WAITS;
