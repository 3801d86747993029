/* SPDX-License-Identifier: Apache-2.0 */
#include "web/exchange.h"
#include "web/guard.h"
#include "web/route.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 16384, PATH_MAX_OCTETS = 512 };

/* ---- life ---- */

struct exchange *exchange_new(struct door *door, struct visit *visit,
			      struct MHD_Connection *connection, const char *method,
			      const char *url)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	must(exchange);
	exchange->door = door;
	exchange->connection = connection;
	exchange->references = 1;
	exchange->peer = visit->peer;
	exchange->method = str_dup(&exchange->arena, str_first(str_of(method), 16));
	exchange->path = str_dup(&exchange->arena, str_first(str_of(url), PATH_MAX_OCTETS + 1));
	exchange->body = BUF(LIMIT_web_body);
	exchange->out = BUF(LIMIT_web_answer_ahead);
	waitq_init(&exchange->room);
	return exchange;
}

static void let_go(struct exchange *exchange)
{
	if (--exchange->references)
		return;
	must(!exchange->response);
	if (exchange->body.at)
		explicit_bzero(exchange->body.at,
			       exchange->body.room); /* there may be a password in it */
	buf_drop(&exchange->body);
	buf_drop(&exchange->out);
	arena_drop(&exchange->arena);
	free(exchange);
}

/* Ours; libmicrohttpd keeps it as long as it needs it. */
static void drop_response(struct exchange *exchange)
{
	struct MHD_Response *response = exchange->response;

	exchange->response = NULL;
	if (response)
		MHD_destroy_response(response);
}

void exchange_over(struct exchange *exchange)
{
	drop_response(exchange);
	exchange->is_over = true;
	exchange->connection = NULL;
	waitq_wake_all(&exchange->room);
	let_go(exchange);
}

static void resume(struct exchange *exchange)
{
	if (!exchange->is_suspended)
		return;
	exchange->is_suspended = false;
	MHD_resume_connection(exchange->connection);
	door_kick(exchange->door);
}

static void suspend(struct exchange *exchange)
{
	exchange->is_suspended = true;
	MHD_suspend_connection(exchange->connection);
}

/* ---- the request ---- */

void exchange_take_body(struct exchange *exchange, struct str octets)
{
	(void)buf_add(&exchange->body, octets); /* what is too much is found by body.failed */
}

static struct str value_of(const struct exchange *exchange, enum MHD_ValueKind kind,
			   const char *name)
{
	const char *value = NULL;
	size_t len = 0;

	if (!exchange->connection ||
	    MHD_lookup_connection_value_n(exchange->connection, kind, name, strlen(name), &value,
					  &len) != MHD_YES ||
	    !value)
		return (struct str){ 0 };
	return (struct str){ value, len };
}

struct str exchange_header(const struct exchange *exchange, const char *name)
{
	return value_of(exchange, MHD_HEADER_KIND, name);
}

struct str exchange_cookie(const struct exchange *exchange, const char *name)
{
	return value_of(exchange, MHD_COOKIE_KIND, name);
}

struct str exchange_parameter(const struct exchange *exchange, const char *name)
{
	struct str value = value_of(exchange, MHD_GET_ARGUMENT_KIND, name);

	return str_is_utf8(value) ? value : (struct str){ 0 };
}

bool exchange_is_tls(const struct exchange *exchange)
{
	return exchange->door->is_tls;
}

/* ---- the answer ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
	const char *before;

	if (!exchange->response)
		return;
	before = MHD_get_response_header(exchange->response, name);
	if (before)
		(void)MHD_del_response_header(exchange->response, name, before);
	add_header(exchange->response, name, value);
}

/* What every answer says of itself. The page's own policy is set by who serves it. */
static void dress(struct exchange *exchange, const char *type)
{
	static const struct {
		const char *name, *value;
	} headers[] = {
		{ "Content-Security-Policy",
		  "default-src 'none'; frame-ancestors 'none'; sandbox" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "X-Frame-Options", "DENY" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Embedder-Policy", "require-corp" },
		{ "Cache-Control", "no-store" },
	};

	add_header(exchange->response, "Content-Type", type);
	for (size_t i = 0; i < COUNT_OF(headers); i++)
		add_header(exchange->response, headers[i].name, headers[i].value);
	if (exchange_is_tls(exchange))
		add_header(exchange->response, "Strict-Transport-Security", "max-age=31536000");
}

static void say(struct exchange *exchange, unsigned status, const char *type, struct str octets,
		enum MHD_ResponseMemoryMode mode)
{
	must(!exchange->status);
	exchange->status = status;
	exchange->response = MHD_create_response_from_buffer(
		octets.len, (void *)(uintptr_t)(octets.at ? octets.at : ""), mode);
	must(exchange->response);
	dress(exchange, type);
}

void exchange_say(struct exchange *exchange, unsigned status, const char *type, struct str octets)
{
	say(exchange, status, type, octets, MHD_RESPMEM_MUST_COPY);
}

void exchange_say_static(struct exchange *exchange, unsigned status, const char *type,
			 struct str octets)
{
	say(exchange, status, type, octets, MHD_RESPMEM_PERSISTENT);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *hint,
		     const char *format, ...)
{
	OWNED(buf) struct buf out = BUF(4096);
	char text[FAULT_TEXT_MAX];
	va_list arguments;

	if (exchange->status) {
		exchange_break(exchange);
		return;
	}
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	buf_add(&out, S("{\"error\":"));
	json_add_string(&out, str_of(text));
	if (hint && hint[0]) {
		buf_add(&out, S(",\"hint\":"));
		json_add_string(&out, str_of(hint));
	}
	buf_add(&out, S("}\n"));
	exchange_say(exchange, status, "application/json", buf_str(&out));
	if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		add_header(exchange->response, "Retry-After", "5");
}

/* ---- pieces ---- */

/* What goes next, once nothing of a slice is left: what was written, else what the source has. */
static size_t take(struct exchange *exchange, char *at, size_t room)
{
	bool is_written = !exchange->slice.len && exchange->out.len;
	struct str octets;

	if (!exchange->slice.len && !is_written && exchange->source)
		exchange->slice = exchange->source->next(exchange->source);
	octets = str_first(is_written ? buf_str(&exchange->out) : exchange->slice, room);
	if (!octets.len)
		return 0;
	memcpy(at, octets.at, octets.len);
	if (is_written) {
		buf_consume(&exchange->out, octets.len);
		waitq_wake_all(&exchange->room);
	} else {
		exchange->slice = str_from(exchange->slice, octets.len);
	}
	return octets.len;
}

static ssize_t give_piece(void *cls, uint64_t position, char *at, size_t room)
{
	struct exchange *exchange = cls;
	size_t len = 0;
	size_t more;

	(void)position;
	do {
		more = take(exchange, at + len, room - len);
		len += more;
	} while (more && len < room);
	if (len)
		return (ssize_t)len;
	if (exchange->is_broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (exchange->is_finished)
		return MHD_CONTENT_READER_END_OF_STREAM;
	suspend(exchange);
	return 0;
}

void exchange_set_source(struct exchange *exchange, struct source *source)
{
	exchange->source = source;
	if (exchange->slice.len) {
		/* What was written must not be read as the rest of it. */
		exchange_break(exchange);
		buf_reset(&exchange->out);
	}
	exchange->slice = (struct str){ 0 };
}

void exchange_has_more(struct exchange *exchange)
{
	resume(exchange);
}

static void piece_over(void *cls)
{
	let_go(cls);
}

void exchange_begin(struct exchange *exchange, const char *type)
{
	must(!exchange->status && exchange->has_fiber);
	exchange->references++;
	exchange->status = MHD_HTTP_OK;
	exchange->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, give_piece,
							       exchange, piece_over);
	must(exchange->response);
	dress(exchange, type);
}

enum err exchange_try_write(struct exchange *exchange, struct str octets)
{
	if (exchange->is_over)
		return ERR_CLOSED;
	if (exchange->out.len && exchange->out.len + octets.len > exchange->out.max)
		return ERR_AGAIN;
	must(octets.len <= exchange->out.max && !buf_add(&exchange->out, octets));
	resume(exchange);
	return OK;
}

enum err exchange_write(struct exchange *exchange, struct str octets) WAITS
{
	enum err err = OK;

	while (!err && octets.len) {
		struct str piece = str_first(octets, exchange->out.max / 2);

		err = exchange_try_write(exchange, piece);
		if (!err)
			octets = str_from(octets, piece.len);
		else if (err == ERR_AGAIN)
			err = waitq_wait(&exchange->room, NEVER);
	}
	return err;
}

void exchange_break(struct exchange *exchange)
{
	exchange->is_broken = true;
}

/* ---- from request to answer ---- */

static void answer_fiber(void *arg) WAITS
{
	struct exchange *exchange = arg;

	exchange->endpoint->answer(exchange);
	if (!exchange->status)
		exchange_refuse(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL,
				"there is no answer");
	exchange->is_finished = true;
	exchange->has_fiber = false;
	list_remove(&exchange->link);
	if (exchange->is_over)
		drop_response(exchange);
	else
		resume(exchange);
	let_go(exchange);
}

static bool queue(struct exchange *exchange)
{
	enum MHD_Result result =
		MHD_queue_response(exchange->connection, exchange->status, exchange->response);

	drop_response(exchange);
	return result == MHD_YES;
}

static bool begin_fiber(struct exchange *exchange)
{
	struct door *door = exchange->door;

	exchange->references++;
	exchange->has_fiber = true;
	list_add_last(&door->exchanges, &exchange->link);
	if (!fiber_spawn(&door->web->role->fibers, "request", answer_fiber, exchange, NULL)) {
		suspend(exchange);
		return true;
	}
	exchange->has_fiber = false;
	list_remove(&exchange->link);
	exchange->references--;
	exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, NULL,
			"the server has too much to do");
	return queue(exchange);
}

bool exchange_answer(struct exchange *exchange)
{
	if (exchange->response)
		return queue(exchange);
	if (exchange->has_fiber) { /* it has nothing to say yet */
		suspend(exchange);
		return true;
	}
	if (exchange->path.len > PATH_MAX_OCTETS)
		exchange_refuse(exchange, MHD_HTTP_URI_TOO_LONG, NULL, "the address is too long");
	else if (exchange->body.failed)
		exchange_refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
				"a request is at most %d octets", LIMIT_web_body);
	else if (guard_admit(exchange) && route(exchange))
		return begin_fiber(exchange);
	return queue(exchange);
}
