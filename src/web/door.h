/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * door: one listening socket of the web role, and the HTTP behind it. Private to web/.
 *
 * A fiber accepts and counts; libmicrohttpd has the connection from then on. Under TLS a fiber of ours has it, by the
 * rules of all our listeners, and libmicrohttpd one end of a pair (its own TLS turns in circles while it waits for a
 * handshake). It keeps an epoll descriptor of its own,
 * which a fiber of the door watches for another that runs it; all its callbacks run there and never wait.
 *
 * Invariants
 *  (1) A connection is closed when a request has not come whole LIMIT_web_request after the connection began or the
 *      request before ended: who sends a drop at a time gains nothing.
 *  (2) Connections are capped for each address and in all (LIMIT_web_connections...).
 */
#include "web/web.h"

#include <microhttpd.h>

struct exchange;
struct hub;

/* What all doors share. */
struct web {
	struct role *role;
	struct caps *caps;
	struct list doors;
	struct list sign_ins; /* sign_in.h */
	struct list ended_sign_ins;
	size_t sign_in_count;
	unsigned signing_in;
	unsigned followers; /* streams of events */
	struct hub *hub;    /* of those who see all of them; NULL: nobody looks on */
	bool is_closing;
};

struct door {
	struct list link; /* in web->doors */
	struct web *web;
	struct str name; /* of the listener; of its own memory */
	struct listener *listener;
	bool is_tls;
	struct tls_context *tls;
	struct tls_context *fresh; /* the next one, between door_prepare and what follows it */
	struct MHD_Daemon *daemon;
	struct fd_watch *watch;
	struct waitq due; /* the pump waits here */
	bool is_due;
	struct list visits;
	struct list exchanges; /* that a fiber works for */
	char complaint[200];
	struct fiber *accepting; /* NULL: it ended */
};

/* A connection. */
struct visit {
	struct list link;
	struct door *door;
	struct addr peer;
	int fd;                /* libmicrohttpd's; -1: it has none yet, or not any more */
	struct stream *stream; /* under TLS: the client's, until its fiber has it */
	unsigned users;
	bool is_awaited; /* libmicrohttpd was given it, and has not begun yet */
	bool is_reading; /* a request, or waits for one */
	moment since;
};

/* Owns the listener, also when it fails. */
[[nodiscard]] enum err door_open(struct web *web, struct str name, struct listener *listener);
/* Takes nobody in any more. */
void door_shut(struct door *door);
/* Something of libmicrohttpd's was changed from outside of its callbacks. */
void door_kick(struct door *door);
/* No fiber of it is left. */
void door_drop(struct door *door);
/* A reload: first all doors prepare for it; then all of them take it over or, where one could not, leave it. */
[[nodiscard]] enum err door_prepare(struct door *door);
void door_renew(struct door *door);
void door_leave(struct door *door);
