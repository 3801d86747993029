/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * smtp/client: the sending side of SMTP and LMTP: a session on a connection somebody else made, and one
 * transaction after another on it. Runs in the caller's fiber, over any stream.
 *
 * Invariants
 *  (1) A recipient is `SMTP_SENT` only when the server's positive reply to the end of the data has come
 *      (LMTP: the reply for this very recipient).
 *  (2) When the connection ends after the last octet of the data was sent and before that reply came, its
 *      recipients are `SMTP_UNSURE`: it may have been delivered or not [rfc1047]. The same when what
 *      came in its place is no reply.
 *  (3) The message leaves octet for octet as given, dots doubled or counted by BDAT; a message that the
 *      server's extensions cannot carry (8BITMIME, SMTPUTF8, SIZE, BINARYMIME) is failed before DATA, with
 *      the enhanced code of rfc6152 3, rfc6531 3.5 and rfc1870 6.1.
 *  (4) Replies are a stranger's octets: bounded in length and number, never trusted in form; what is no
 *      reply ends the session.
 *  (5) Secrets of AUTH are in no trace.
 *
 * Timeouts: rfc5321 4.5.3.2, in `struct smtp_client_times`.
 */
#include "net/net.h"
#include "smtp/smtp.h"
#include "trace/trace.h"

enum smtp_tls_policy {
	SMTP_TLS_NONE, /* never asked for */
	SMTP_TLS_MAY, /* STARTTLS when offered; when it fails the caller may come again with NONE */
	SMTP_TLS_MUST,     /* STARTTLS or nothing is sent */
	SMTP_TLS_IMPLICIT, /* from the first octet (submissions) */
};

struct smtp_client_times {
	int64_t greeting_ms, hello_ms, mail_ms, rcpt_ms, data_ms, block_ms, end_ms, quit_ms;
};
extern const struct smtp_client_times smtp_client_times; /* rfc5321 4.5.3.2 */

struct smtp_client_options {
	struct str hello; /* our name in EHLO */
	bool is_lmtp;
	enum smtp_tls_policy tls;
	struct tls_context *tls_context; /* of a client; needed unless SMTP_TLS_NONE */
	struct str server_name;          /* SNI, and the name in the trace */
	/* With a context that judges: the certificate is for one of these (net.h); none: for server_name. */
	const struct str *tls_names;
	size_t tls_name_count;
	struct tls_sessions *tls_sessions; /* NULL: none is resumed; else under this key */
	struct str tls_session_key;
	struct str user, password; /* AUTH (PLAIN, LOGIN, SCRAM through GNU SASL); empty: none */
	moment until; /* whatever the single times are, no longer than until then; 0: no bound */
	const struct smtp_client_times *times; /* NULL: the RFC's */
	struct trace *trace;                   /* NULL is fine */
	uint64_t session;                      /* id in the trace */
};

enum smtp_result {
	SMTP_SENT,
	SMTP_REFUSED,  /* 5xx, or what cannot be carried: for good */
	SMTP_DEFERRED, /* 4xx, a connection that ended, a time-out: try again */
	SMTP_UNSURE,   /* invariant (2) */
};

/* What the server said, or what we say in its place when `is_ours`. */
struct smtp_said {
	enum smtp_result result;
	bool is_ours;
	bool is_tls;             /* TLS was not to be had, or its handshake failed */
	bool is_sign_in;         /* who we are was not believed, or could not be said */
	struct smtp_reply reply; /* code, enhanced, text (lines parted by LF) */
};

struct smtp_client;
/* Greeting, EHLO (HELO when it is not understood), TLS, AUTH. Takes the conn in every case.
 * *out NULL: not open; `said` tells why (result DEFERRED or REFUSED). The texts of replies lie in
 * `arena`, which outlives the client; options are copied, and the copy of the password is overwritten when the
 * signing in is over. */
void smtp_client_open(struct conn *conn, const struct smtp_client_options *options,
		      struct smtp_client **out, struct arena *arena, struct smtp_said *said) WAITS;

struct smtp_sending {
	struct str sender; /* as printed in a path without <>; empty: the null sender */
	enum smtp_body body;
	bool utf8; /* an address or a header field needs SMTPUTF8 */
	struct str
		envelope_id; /* ENVID as in the command (xtext), empty: none; sent when DSN is offered */
	struct str ret;      /* FULL, HDRS or empty */
	/* Who handed it in, for MAIL AUTH= where we have signed in ourselves [rfc4954 5]; empty: not known, "<>". */
	struct str submitter;
	moment until;      /* the whole transaction has to end by then; 0: no bound */
	struct str octets; /* the whole message */
	size_t count;
	const struct smtp_sending_to {
		struct str address;
		struct str notify, original; /* NOTIFY=, ORCPT= as in the command; empty: none */
	} * to;
	struct smtp_said *said; /* one a recipient, filled in */
	struct arena *arena;    /* for the texts in `said`; NULL: the one of smtp_client_open */
};
/* One transaction. Afterwards smtp_client_is_open says whether another may follow. A session that was
 * reused may have ended meanwhile: then nobody is sent to, all are DEFERRED and it is not open. */
void smtp_client_send(struct smtp_client *client, const struct smtp_sending *sending) WAITS;
bool smtp_client_is_open(const struct smtp_client *client);
unsigned smtp_client_offers(const struct smtp_client *client); /* enum smtp_extension */
/* What EHLO said, with its numbers: size, rcpt_max, mail_max, rcpt_domain_max (0: not said). The caller
 * keeps to rcpt_max and rcpt_domain_max by splitting; recipients past rcpt_max are DEFERRED unasked. */
const struct smtp_offer *smtp_client_offer(const struct smtp_client *client);
/* Before a sandbox: the SASL library loads what it needs. */
void smtp_client_prepare(void);
/* QUIT when the session is open, then away with the connection. */
void smtp_client_drop(struct smtp_client **client) WAITS;
