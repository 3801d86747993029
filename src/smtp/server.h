/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * smtp/server: one SMTP, submission or LMTP session from greeting to close, read straight; runs in
 * a fiber of its own, over any stream (TCP, UNIX socket, standard input, a simulated link).
 *
 * Invariants
 *  (1) 250 after message data is said only when the store answered that the message is durable
 *      [rfc5321 6.1]. A failure on the way is a 4xx; a refusal is a 5xx; nothing is half-kept.
 *  (2) No octet of a message is ever run as a command: data is read to its true end
 *      (CRLF.CRLF, or BDAT's count) also when it was refused, or the connection is closed.
 *  (3) Replies leave in the order of their commands, a pipelined group's in one go [rfc2920 3.1].
 *  (4) After STARTTLS nothing is remembered of what came in the clear [rfc3207 4.2].
 *  (5) EHLO lists what works in this state of this session, and nothing else.
 *  (6) Secrets are in no trace: AUTH's responses are masked before they are written.
 *  (7) An idle session holds this file's struct, its host name and no other memory.
 *
 * Lives in: gate, and every test that needs an SMTP server. The caller has read the PROXY header,
 * asked caps_enter and the deny lists, made implicit TLS; it drops the connection afterwards.
 * RFC 5321, 1870, 1985, 2033, 2034, 2920, 3030, 3207, 3461, 3848, 4954, 6152, 6409, 6531, 8314, 9422.
 */
#include "config/config.h"
#include "link/link.h"
#include "net/net.h"
#include "trace/trace.h"

/* What the store last said about its free space, so that not every MAIL has to ask. */
struct smtp_room {
	uint64_t size;
	moment until;
};

/* What sessions of one listener share. Everything in it outlives the session. */
struct smtp_service {
	const struct config *config;
	const struct config_listener *listener;
	struct link *store;
	struct link *filter;
	struct tls_context *tls; /* NULL: no certificate, TLS is not offered */
	struct trace *trace;     /* NULL is fine */
	struct caps
		*caps; /* failed logins and unknown recipients are remembered here; NULL is fine */
	const bool *is_stressed; /* connections are scarce: less patience; NULL is fine */
	struct smtp_room room;
	/* May this address hand on mail without signing in, as far as the gate was told? NULL: none may. */
	bool (*may_relay)(void *gate, const struct addr *peer);
	void *gate;
};

/* Serve until the session ends. Does not own conn. `session` is the id in the trace. */
void smtp_serve(struct smtp_service *service, struct conn *conn, uint64_t session) WAITS;
