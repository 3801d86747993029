/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * log: events as log lines. One line per ended session, accepted message, attempt to deliver elsewhere, change of
 * the queue, notification, refusal, failed sign-in, trouble and event of a role; nothing for all else, but in Postfix's
 * form, which has connections, deliveries and refused recipients too. Private to record/.
 */
#include "record/record.h"
#include "record/sessions.h"

enum log_topic {
	LOG_NOTHING,
	LOG_SESSION,
	LOG_MESSAGE,
	LOG_ATTEMPT,
	LOG_QUEUE,
	LOG_NOTICE,
	LOG_REFUSAL,
	LOG_SIGN_IN,
	LOG_TROUBLE,
	LOG_ROLE,
	LOG_LOST,
	LOG_LEFT_OUT /* of no event: lines of the log itself that are missing here */
};

struct log_line {
	enum log_topic topic;
	const struct trace_event *event; /* LOG_LEFT_OUT: only its head is something */
	const struct session *session;   /* NULL: of none, or not known any more */
	const char *hostname;
	uint64_t left_out; /* LOG_LEFT_OUT: so many */
	/* Filled by log_event: */
	char id[ID_TEXT + 1]; /* "-" without a session */
	char ip[ADDR_TEXT];   /* "unknown" when it is */
	unsigned port;
	struct buf *out;
};

/*
 * Every event goes through here, in order: adds its line or lines, if it is worth any, and keeps of its session (NULL:
 * it is of none) what a later line needs. `hostname` is for the postfix format.
 */
enum err log_event(struct buf *out, enum record_log format, const char *hostname,
		   const struct trace_event *event, struct session *session);
/* Adds the line that says that so many are missing before it; `at` has its time and who tells it. */
enum err log_left_out(struct buf *out, enum record_log format, const char *hostname,
		      const struct trace_head *at, uint64_t lines);

/* Of LOG_QUEUE: what was done to a message that waits. */
struct log_change {
	struct str message, what, detail;
	struct str recipient; /* empty: all that were left */
	uint64_t recipients;
};
/* `what` is "unknown" where nobody knows the outcome of an attempt, so that the message may arrive twice. */
struct log_change log_change(const struct trace_event *event);
enum log_topic log_topic(const struct trace_event *event);
void log_text(struct log_line *line);
void log_json(struct log_line *line);
void log_postfix(struct log_line *line);
void log_dev(struct log_line *line);

/* In double quotes; harmless, and without a quote of its own. */
void log_add_quoted(struct buf *out, struct str text);
void log_add_number(struct buf *out, uint64_t number);
/* Without quotes where there is nothing but letters, digits and -_.:+ in it. */
void log_add_word(struct buf *out, struct str text);
