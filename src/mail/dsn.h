/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dsn: the notification that tells a sender what became of his message (rfc3464, in a multipart/report of
 * rfc6522): plain words first, then the same for machines, then the message or its header.
 *
 * Invariant: what others wrote (addresses, replies, host names) cannot begin a line of its own; what comes
 * back of the message is its octets, unchanged.
 */
enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED };
const char *dsn_action_name(enum dsn_action action); /* "failed" ... */

struct dsn_recipient {
	struct str address;
	struct str original; /* ORCPT as it came: "rfc822;" and xtext; empty: none */
	enum dsn_action action;
	struct str status;      /* "5.1.1"; empty: one that fits the action */
	unsigned code;          /* of the reply; 0: there was none */
	struct str reply;       /* its text, or in our words why there was none */
	struct str remote;      /* who said so; empty: nobody did */
	int64_t attempt_us;     /* 0: it was never tried */
	int64_t retry_until_us; /* DSN_DELAYED */
};

struct dsn {
	struct str reporter; /* our host name */
	struct str to;       /* the sender of the message */
	struct str about;    /* when `to` is somebody else: who its sender is; "<>" for nobody */
	struct str id;       /* of the notification: letters and digits that no message can know */
	int64_t now_us;
	struct str envelope_id; /* ENVID as it came (xtext); empty: none */
	int64_t arrived_us;
	const struct dsn_recipient *recipients;
	size_t count;
	struct str original; /* the message, or its header alone */
	bool is_whole;
};

enum err dsn_print(struct buf *out, const struct dsn *dsn);
/* "Not delivered: ...": as in the Subject of what dsn_print makes. */
struct str dsn_subject(const struct dsn *dsn);
