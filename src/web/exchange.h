/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * exchange: one request and its answer. Private to web/.
 *
 * libmicrohttpd calls back on the pump's fiber; what has to wait runs in a fiber of the exchange. Meanwhile the
 * connection is suspended. An answer is either said whole, or begun and then written piece by piece.
 *
 * Invariants
 *  (1) An exchange lives until libmicrohttpd, its answer and its fiber have all let go of it.
 *  (2) exchange_write waits while the browser has not taken LIMIT_web_answer_ahead octets; ERR_CLOSED: it is gone.
 *  (3) Every answer carries the headers that keep other sites and its own text from doing anything in the page.
 */
#include "web/door.h"

struct endpoint;

/*
 * More of a streamed answer than was written: it is asked whenever all before was taken, by whoever sends. Gives octets
 * that stay until it is asked again; none: there are none now. Never waits.
 */
struct source {
	struct str (*next)(struct source *source);
};

struct exchange {
	struct list link; /* in door->exchanges, while has_fiber */
	struct door *door;
	struct MHD_Connection *connection;
	unsigned references;
	struct arena arena;
	struct str method, path;
	struct addr peer;
	const struct endpoint *endpoint;
	uint64_t id; /* of the path */
	struct str id_text;
	struct buf body;
	uint64_t account; /* who signed in: the handle at the store; 0: nobody */
	struct str account_address;

	/* the answer */
	unsigned status;               /* 0: not known yet */
	struct MHD_Response *response; /* until it is libmicrohttpd's */
	struct buf out;
	struct source *source; /* or NULL */
	struct str slice;      /* of the source's last octets, what was not taken yet */
	struct waitq room;
	bool has_fiber;
	bool is_suspended;
	bool is_finished; /* all of a stream was written */
	bool is_broken;   /* not all could be */
	bool is_over;     /* libmicrohttpd has finished with it */
};

/* ---- door.c's ---- */

struct exchange *exchange_new(struct door *door, struct visit *visit,
			      struct MHD_Connection *connection, const char *method,
			      const char *url);
void exchange_take_body(struct exchange *exchange, struct str octets);
/* The request is whole, or its answer is. False: close the connection. */
bool exchange_answer(struct exchange *exchange);
/* libmicrohttpd forgets it. */
void exchange_over(struct exchange *exchange);

/* ---- what answers use ---- */

/* Of the request; empty when there is none. */
struct str exchange_header(const struct exchange *exchange, const char *name);
struct str exchange_cookie(const struct exchange *exchange, const char *name);
/* Of the query; what is no UTF-8 is empty. */
struct str exchange_parameter(const struct exchange *exchange, const char *name);
bool exchange_is_tls(const struct exchange *exchange);

/* The answer, whole: {"error": ..., "hint": ...}. */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *hint,
		     const char *format, ...) PRINTF_LIKE(4, 5);
/* The answer, whole. The octets are copied, */
void exchange_say(struct exchange *exchange, unsigned status, const char *type, struct str octets);
/* or last as long as the program. */
void exchange_say_static(struct exchange *exchange, unsigned status, const char *type,
			 struct str octets);
/* The answer, piece by piece, in the exchange's fiber; ends with the fiber. */
void exchange_begin(struct exchange *exchange, const char *type);
enum err exchange_write(struct exchange *exchange, struct str octets) WAITS;
/* Adds what there is room for right now: all of it, or ERR_AGAIN; ERR_CLOSED. */
enum err exchange_try_write(struct exchange *exchange, struct str octets);
/* NULL: no more; where it was in the middle of something the answer is cut off. */
void exchange_set_source(struct exchange *exchange, struct source *source);
/* The source has octets now. */
void exchange_has_more(struct exchange *exchange);
/* Not all of it could be said: the browser sees it cut off. */
void exchange_break(struct exchange *exchange);
/* Of an answer that was said or begun. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);
