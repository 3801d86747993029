/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pop3/server: one POP3 session from greeting to close, read straight; runs in a fiber of its own.
 *
 * Invariants
 *  (1) Messages marked by DELE are removed at QUIT and by nothing else: a cut, a timeout or a stop
 *      leaves the maildrop as it was [rfc1939 3, 6].
 *  (2) The maildrop is held exclusively from the login to the end of the session [rfc1939 4] and
 *      given back whatever ends it.
 *  (3) Passwords are asked for in the clear only where the listener allows it; octets that came in
 *      the clear behind STLS are never executed [rfc2595 4].
 *  (4) CAPA lists what works in this state of this session, and nothing else [rfc2449 5].
 *  (5) Bodies pass through in pieces of LIMIT_maildrop_piece octets; memory does not grow with
 *      the message. The list of messages is held as 16 octets a message.
 *
 * Lives in: gate (class user) and every test that needs a POP3 server. The caller has read the PROXY
 * header, asked caps_enter and the deny lists; it drops the connection and calls caps_leave afterwards.
 * The handshake of an implicit-TLS listener is made here, unless the connection is under TLS already,
 * and so are the trace's connect and close.
 * RFC 1939, 2449, 2595, 3206, 5034, 6856, 8314.
 */
#include "config/config.h"
#include "link/link.h"
#include "net/net.h"
#include "trace/trace.h"

/* What sessions of one listener share. Everything outlives the session. */
struct pop3_service {
	const struct config *config;
	const struct config_listener *listener;
	struct link *store;
	struct tls_context *tls; /* NULL: no certificate, TLS is not offered */
	struct trace *trace;     /* NULL is fine */
	struct caps *caps;       /* failed logins are remembered here; NULL is fine */
	const bool *
		is_stressed; /* connections are scarce: less patience before the login; NULL is fine */
};

/* Serve until the session ends. Does not own conn. `session` is the id in the trace. */
void pop3_serve(const struct pop3_service *service, struct conn *conn, uint64_t session) WAITS;
