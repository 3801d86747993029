/* SPDX-License-Identifier: Apache-2.0 */
#include "web/door.h"
#include "net/net.h"
#include "web/exchange.h"
#include "web/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPT_FAILED_MS = 100,
	PUMP_MS =
		1000, /* edges could be lost between two epolls; then this is how long nobody notices */
	CONNECTION_MEMORY = 32768,
	SILENCE_S = 60 /* in the middle of a request or an answer */
};

/* ---- connections ---- */

static struct visit *visit_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Counted as long as the client's connection or libmicrohttpd's is there. */
static void visit_let_go(struct visit *visit)
{
	if (--visit->users)
		return;
	caps_leave(visit->door->web->caps, &visit->peer);
	list_remove(&visit->link);
	free(visit);
}

static struct visit *awaited(struct door *door, int fd)
{
	LIST_EACH (link, &door->visits) {
		struct visit *visit = CONTAINER_OF(link, struct visit, link);

		if (visit->is_awaited && visit->fd == fd)
			return visit;
	}
	return NULL;
}

/* libmicrohttpd begins a connection when it is given, or (since 1.0) when it runs next. */
static struct visit *started(struct door *door, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct visit *visit = info ? awaited(door, info->connect_fd) : NULL;

	if (visit)
		visit->is_awaited = false;
	return visit;
}

static void connection_notified(void *cls, struct MHD_Connection *connection, void **context,
				enum MHD_ConnectionNotificationCode code)
{
	struct door *door = cls;
	struct visit *visit = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = started(door, connection);
	} else if (visit) {
		visit->fd = -1;
		visit_let_go(visit);
	}
}

/* The descriptor is libmicrohttpd's from now on, also when it wants it not. */
static void hand_over(struct visit *visit, int fd)
{
	struct door *door = visit->door;
	struct sockaddr_storage name;
	socklen_t len = (socklen_t)addr_to_sockaddr(&visit->peer, &name, sizeof(name));

	visit->fd = fd;
	visit->since = now();
	visit->users++;
	visit->is_awaited = true;
	door_kick(door);
	if (MHD_add_connection(door->daemon, fd, (struct sockaddr *)&name, len) != MHD_YES &&
	    visit->is_awaited) {
		visit->fd = -1;
		visit->is_awaited = false;
		visit->users--; /* who hands over is one himself */
	}
}

static enum err speak_tls(struct visit *visit, struct conn *conn) WAITS
{
	struct tls_context *tls = tls_context_ref(visit->door->tls);
	struct stream *ends[2] = { 0 };
	size_t discarded;
	enum err err = conn_start_tls(conn, tls, in_ms(LIMIT_tls_handshake), &discarded);

	tls_context_unref(&tls);
	if (!err)
		err = stream_pair(ends);
	if (err)
		return err;
	hand_over(visit, stream_give_fd(&ends[1]));
	conn_splice(conn, ends[0]);
	stream_drop(&ends[0]);
	return OK;
}

static void tls_fiber(void *arg) WAITS
{
	struct visit *visit = arg;
	struct conn *conn = conn_new(visit->stream);

	/* Why a browser gave up is the browser's to show. */
	(void)speak_tls(visit, conn);
	conn_drop(&conn);
	visit_let_go(visit);
}

static void take_in(struct door *door, struct stream **stream)
{
	struct web *web = door->web;
	struct visit *visit;

	if (web->is_closing || caps_enter(web->caps, stream_peer(*stream)))
		return;
	visit = calloc(1, sizeof(*visit));
	must(visit);
	*visit = (struct visit){ .door = door,
				 .peer = *stream_peer(*stream),
				 .users = 1,
				 .fd = -1,
				 .is_reading = true,
				 .since = now() };
	list_add_last(&door->visits, &visit->link);
	if (!door->is_tls) {
		hand_over(visit, stream_give_fd(stream));
		visit_let_go(visit);
		return;
	}
	visit->stream = *stream;
	if (fiber_spawn(&web->role->fibers, "https", tls_fiber, visit, NULL))
		visit_let_go(visit);
	else
		*stream = NULL;
}

static void accept_fiber(void *arg) WAITS
{
	struct door *door = arg;
	enum err err = OK;

	while (err != ERR_STOPPED && err != ERR_CLOSED) {
		struct stream *stream = NULL;

		err = listener_accept(door->listener, NEVER, &stream);
		if (!err) {
			take_in(door, &stream);
			stream_drop(&stream);
		} else if (err != ERR_STOPPED && err != ERR_CLOSED &&
			   fiber_sleep(in_ms(ACCEPT_FAILED_MS))) {
			break;
		}
	}
	listener_drop(&door->listener);
	door->accepting = NULL;
}

/* ---- the pump ---- */

static void cut_late(struct door *door)
{
	moment oldest = now() - (moment)LIMIT_web_request * 1000;

	LIST_EACH (link, &door->visits) {
		struct visit *visit = CONTAINER_OF(link, struct visit, link);

		/* libmicrohttpd finds the end of it and closes. */
		if (visit->fd >= 0 && !visit->is_awaited && visit->is_reading &&
		    visit->since < oldest)
			shutdown(visit->fd, SHUT_RDWR);
	}
}

static moment next_run(struct door *door)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(door->daemon, &ms) == MHD_YES && ms < PUMP_MS)
		return in_ms((int64_t)ms);
	return in_ms(PUMP_MS);
}

void door_kick(struct door *door)
{
	door->is_due = true;
	waitq_wake_all(&door->due);
}

static void watch_fiber(void *arg) WAITS
{
	struct door *door = arg;

	while (!fd_wait(door->watch, READABLE, NEVER))
		door_kick(door);
}

static void pump_fiber(void *arg) WAITS
{
	struct door *door = arg;
	moment looked = now();
	enum err err = OK;

	while (err != ERR_STOPPED) {
		moment next;

		door->is_due = false;
		MHD_run(door->daemon);
		if (now() - looked > (moment)PUMP_MS * 1000) {
			looked = now();
			cut_late(door);
		}
		next = next_run(door);
		err = next <= now() ? fiber_yield() : OK;
		if (!err && next > now() && !door->is_due)
			err = waitq_wait(&door->due, next);
	}
}

/* ---- requests ---- */

static enum MHD_Result requested(void *cls, struct MHD_Connection *connection, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *len, void **context)
{
	struct door *door = cls;
	struct visit *visit = visit_of(connection);
	struct exchange *exchange = *context;

	(void)version;
	if (!visit)
		return MHD_NO;
	if (!exchange) {
		exchange = exchange_new(door, visit, connection, method, url);
		*context = exchange;
		return guard_begin(exchange) || exchange_answer(exchange) ? MHD_YES : MHD_NO;
	}
	if (*len) {
		exchange_take_body(exchange, (struct str){ data, *len });
		*len = 0;
		return MHD_YES;
	}
	visit->is_reading = false;
	return exchange_answer(exchange) ? MHD_YES : MHD_NO;
}

static void completed(void *cls, struct MHD_Connection *connection, void **context,
		      enum MHD_RequestTerminationCode code)
{
	struct visit *visit = visit_of(connection);
	struct exchange *exchange = *context;

	(void)cls;
	(void)code;
	if (exchange)
		exchange_over(exchange);
	*context = NULL;
	if (visit) {
		visit->is_reading = true;
		visit->since = now();
	}
}

/* Of libmicrohttpd's own complaints the newest counts where it does not start; those about clients would fill the log. */
static PRINTF_LIKE(2, 0) void note_complaint(void *cls, const char *format, va_list arguments)
{
	struct door *door = cls;

	if (!door->daemon)
		(void)vsnprintf(door->complaint, sizeof(door->complaint), format, arguments);
}

/* ---- opening and shutting ---- */

static enum err make_tls(struct door *door, struct tls_context **out)
{
	const struct role *role = door->web->role;
	const struct config_listener *listener = config_listener(role->config, door->name);
	enum tls_age age = str_is(listener->tls_versions, S("1.3")) ? TLS_AGE_NEW : TLS_AGE_CURRENT;

	return tls_context_new(role->certificate.chain, role->certificate.key, age, "http/1.1",
			       out);
}

static enum err start_daemon(struct door *door)
{
	const unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			       MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;

	door->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, requested, door, MHD_OPTION_EXTERNAL_LOGGER, note_complaint,
		door, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		connection_notified, door, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)LIMIT_web_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!door->daemon)
		return fault(ERR_SYSTEM, "libmicrohttpd did not start: %.*s",
			     STR_ARGS(str_first(str_of(door->complaint),
						strcspn(door->complaint, "\n"))));
	info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	must(info);
	return fd_watch_new(info->epoll_fd, &door->watch);
}

static enum err begin(struct door *door)
{
	struct role *role = door->web->role;
	const struct config_listener *listener = config_listener(role->config, door->name);
	enum err err = OK;

	if (!listener)
		return fault(ERR_NOT_FOUND, "no listener of that name");
	door->is_tls = listener->tls_mode == TLS_MODE_IMPLICIT;
	if (door->is_tls)
		err = make_tls(door, &door->tls);
	if (!err)
		err = start_daemon(door);
	if (!err)
		err = fiber_spawn(&role->fibers, "http", pump_fiber, door, NULL);
	if (!err)
		err = fiber_spawn(&role->fibers, "http events", watch_fiber, door, NULL);
	return err ? err
		   : fiber_spawn(&role->fibers, "http accept", accept_fiber, door,
				 &door->accepting);
}

enum err door_open(struct web *web, struct str name, struct listener *listener)
{
	struct door *door = calloc(1, sizeof(*door));
	enum err err;

	must(door);
	door->web = web;
	door->name = (struct str){ strndup(name.at, name.len), name.len };
	must(door->name.at);
	door->listener = listener;
	waitq_init(&door->due);
	list_init(&door->visits);
	list_init(&door->exchanges);
	list_add_last(&web->doors, &door->link);
	err = begin(door);
	/* One that did not open goes with the others, once no fiber is in it. */
	if (err && !door->accepting)
		listener_drop(&door->listener);
	return err;
}

void door_shut(struct door *door)
{
	if (door->accepting)
		fiber_stop(door->accepting);
}

void door_drop(struct door *door)
{
	if (door->watch)
		fd_watch_drop(&door->watch);
	if (door->daemon)
		MHD_stop_daemon(door->daemon);
	LIST_EACH (link, &door->visits) {
		struct visit *visit = CONTAINER_OF(link, struct visit, link);

		if (visit->is_awaited) /* it was closed before it began */
			visit_let_go(visit);
	}
	must(list_is_empty(&door->visits));
	tls_context_unref(&door->tls);
	list_remove(&door->link);
	free((char *)(uintptr_t)door->name.at);
	free(door);
}

enum err door_prepare(struct door *door)
{
	const struct role *role = door->web->role;
	enum err err = OK;

	if (door->is_tls && config_listener(role->config, door->name))
		err = make_tls(door, &door->fresh);
	if (err)
		TRACE(role->trace, 0, 0, trouble, .err = S("TLS"), .detail = str_of(fault_text()));
	return err;
}

void door_renew(struct door *door)
{
	if (!door->fresh)
		return;
	tls_context_unref(&door->tls);
	door->tls = door->fresh;
	door->fresh = NULL;
}

void door_leave(struct door *door)
{
	tls_context_unref(&door->fresh);
}
