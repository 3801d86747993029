/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The enumerations that travel in messages. Part of link's public face (link.h includes it). */

enum recipient_verdict {
	RECIPIENT_LOCAL,    /* 250 */
	RECIPIENT_UNKNOWN,  /* the domain is ours, the user is not: 550 5.1.1 */
	RECIPIENT_NOT_OURS, /* another domain: relaying */
	RECIPIENT_FULL,     /* over quota: 452 4.2.2 */
	RECIPIENT_DISABLED, /* 550 5.2.1 */
	RECIPIENT_LOOP,     /* aliases lead in a circle: 451 4.4.6, the operator's mistake */
	RECIPIENT_REMOTE,   /* another domain, and who asks may send there: 250 */
	RECIPIENT_SENDER,   /* ... and may do so, but not for this sender: 550 5.7.1 */
	RECIPIENT_RATE      /* ... and has sent too much of late: 450 4.7.1 */
};

enum delivery_outcome {
	DELIVERY_DONE,
	DELIVERY_UNKNOWN, /* the account went away between RCPT and DATA */
	DELIVERY_FULL,    /* over quota */
	DELIVERY_NOT_OURS,
	DELIVERY_LOOP,
	DELIVERY_RATE /* more for other servers than may be sent now; nothing of the message is kept */
};

enum sasl_state {
	SASL_CONTINUE,
	SASL_DONE,      /* with a last challenge when the mechanism has one (SCRAM) */
	SASL_FAILED,    /* 535 5.7.8, after delay_ms */
	SASL_MALFORMED, /* 501 5.5.2: not a valid response */
	SASL_UNKNOWN,   /* no such mechanism here: 504 5.5.4 */
	SASL_BUSY       /* too many hashes in flight: 454 4.7.0 */
};

/* How a message leaves: as its sender wished (rfc3461 4). */
enum dsn_notify {
	DSN_NEVER = 1,
	DSN_SUCCESS = 2,
	DSN_FAILURE = 4,
	DSN_DELAY = 8
}; /* 0: not said */
enum dsn_return { DSN_RETURN_ANY, DSN_RETURN_FULL, DSN_RETURN_HEADERS };

/* What became of one recipient at another server. */
enum queue_result {
	QUEUE_SENT,
	QUEUE_REFUSED,  /* for good */
	QUEUE_DEFERRED, /* try again */
	QUEUE_UNKNOWN   /* the connection ended between our last octet and the reply */
};

/* Which way mail for a destination goes; numbers are kept in no database. */
enum queue_transport {
	QUEUE_BY_MX,    /* the MX hosts of the target */
	QUEUE_BY_SMTP,  /* one host */
	QUEUE_BY_SMTPS, /* the same, TLS from the first octet (rfc8314) */
	QUEUE_BY_LMTP,  /* one host or socket that keeps mailboxes (rfc2033) */
	QUEUE_DISCARD,
	QUEUE_ERROR,
	QUEUE_TRANSPORTS
};
enum queue_tls {
	QUEUE_TLS_NONE,
	QUEUE_TLS_OPPORTUNISTIC, /* where it is offered; its failure does not keep the mail */
	QUEUE_TLS_REQUIRED,      /* encrypted, to whomever */
	QUEUE_TLS_VERIFIED,      /* and by a certificate for the right name */
	QUEUE_TLS_POLICIES
};

enum flush_verdict { FLUSH_STARTED, FLUSH_DENIED, FLUSH_LATER };

enum inspect_verdict { INSPECT_ACCEPT, INSPECT_REFUSE, INSPECT_DEFER };
