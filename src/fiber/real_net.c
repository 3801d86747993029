/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/real.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_OF_DESCRIPTORS_MS = 100, UNIX_BACKLOG_FULL_MS = 10 };

struct real_stream {
	struct stream stream;
	struct fd_watch watch;
	bool is_accepted; /* here, so that no other process has it */
	bool holds;       /* until the end */
};

struct real_listener {
	struct listener listener;
	struct fd_watch watch;
	bool unlinks;     /* the path of its UNIX socket, when it goes */
	bool is_wildcard; /* listens on every address of its family */
};

static struct real_stream *stream_of(struct stream *stream)
{
	return CONTAINER_OF(stream, struct real_stream, stream);
}

/* A connection that ends by keep-alive, by unreachable nets or by reset was cut, all the same. */
static enum err cut_or_errno(const char *what)
{
	enum err err = fault_errno("%s", what);

	switch (err) {
	case ERR_TIMEOUT: /* the kernel's, not that of a deadline */
	case ERR_CLOSED:
	case ERR_RESET:
		return ERR_RESET;
	default:
		return err;
	}
}

/* ---- streams ---- */

static enum err real_try_read(struct stream *stream, void *at, size_t room, size_t *out)
{
	struct fd_watch *watch = &stream_of(stream)->watch;
	ssize_t got;

	if (!(watch->ready & READABLE))
		return ERR_AGAIN;
	do
		got = recv(watch->fd, at, room, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		/* Less than there was room for: the socket is empty, and an edge will tell of more.
		   (An end that came along with the octets has set watch->ended, and that stays.) */
		if ((size_t)got < room)
			watch_used_up(watch, READABLE);
		*out = (size_t)got;
		return OK;
	}
	if (got == 0)
		return ERR_CLOSED;
	if (errno != EAGAIN)
		return cut_or_errno("read from the connection");
	watch->ready &= ~READABLE;
	return ERR_AGAIN;
}

static enum err real_try_write(struct stream *stream, struct str octets, size_t *out)
{
	struct fd_watch *watch = &stream_of(stream)->watch;
	int more = stream_of(stream)->holds ? MSG_MORE : 0;
	ssize_t put;

	if (!(watch->ready & WRITABLE))
		return ERR_AGAIN;
	do
		put = send(watch->fd, octets.at, octets.len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
	while (put < 0 && errno == EINTR);
	if (put >= 0) {
		*out = (size_t)put;
		return OK;
	}
	if (errno != EAGAIN)
		return cut_or_errno("write to the connection");
	watch_full(watch);
	return ERR_AGAIN;
}

static enum err real_wait(struct stream *stream, unsigned how, moment deadline) WAITS
{
	return watch_wait(&stream_of(stream)->watch, how, deadline);
}

static void real_hold(struct stream *stream)
{
	stream_of(stream)->holds = true;
}

static void real_shut(struct stream *stream)
{
	(void)shutdown(stream_of(stream)->watch.fd, SHUT_WR); /* ENOTCONN: it is cut already */
}

static void real_stream_drop(struct stream *stream)
{
	struct real_stream *real = stream_of(stream);

	if (real->is_accepted)
		watch_left(&real->watch);
	else
		watch_done(&real->watch);
	close(real->watch.fd);
	free(real);
}

static int real_give_fd(struct stream *stream)
{
	struct real_stream *real = stream_of(stream);
	int fd = real->watch.fd;

	watch_done(&real->watch);
	free(real);
	return fd;
}

static const struct stream_ops real_stream_ops = {
	.try_read = real_try_read,
	.try_write = real_try_write,
	.hold = real_hold,
	.wait = real_wait,
	.shut = real_shut,
	.drop = real_stream_drop,
	.give_fd = real_give_fd,
};

static void set_flag(int fd, int level, int option)
{
	static const int one = 1;

	(void)setsockopt(fd, level, option, &one, sizeof(one)); /* a wish, not a need */
}

static void set_options(int fd, enum addr_family family)
{
	if (family == ADDR_UNIX)
		return;
	/* Replies leave at once; the session gathers what belongs together itself. */
	set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
}

static void read_local(int fd, struct addr *out)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);

	if (getsockname(fd, (struct sockaddr *)&storage, &len) == 0)
		addr_from_sockaddr((struct sockaddr *)&storage, len, out);
}

static enum err stream_make(int fd, struct real_stream **out)
{
	struct real_stream *real = calloc(1, sizeof(*real));
	enum err err;

	must(real);
	real->stream.ops = &real_stream_ops;
	err = watch_init(&real->watch, real_here(), fd);
	if (err)
		free(real);
	else
		*out = real;
	return err;
}

static void stream_settle(struct real_stream *real)
{
	read_local(real->watch.fd, &real->stream.local);
	set_options(real->watch.fd, real->stream.local.family);
}

/* Options come from the listening socket (tcp(7)); so does the address, unless it stands for all. */
static void stream_settle_accepted(struct real_stream *real, const struct real_listener *from)
{
	if (from->is_wildcard)
		read_local(real->watch.fd, &real->stream.local);
	else
		real->stream.local = from->listener.address;
}

enum err stream_of_fd(int fd, struct stream **out)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);
	struct real_stream *real = NULL;
	enum err err;

	if (getpeername(fd, (struct sockaddr *)&storage, &len) != 0)
		return fault_errno("ask a socket for its peer");
	err = stream_make(fd, &real);
	if (err)
		return err;
	addr_from_sockaddr((struct sockaddr *)&storage, len, &real->stream.peer);
	stream_settle(real);
	*out = &real->stream;
	return OK;
}

enum err real_pair(struct world *world, struct stream *ends[2])
{
	int fds[2];
	enum err err;

	(void)world;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return fault_errno("make a pair of sockets");
	err = stream_of_fd(fds[0], &ends[0]);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	err = stream_of_fd(fds[1], &ends[1]);
	if (err) {
		stream_drop(&ends[0]);
		close(fds[1]);
	}
	return err;
}

/* ---- listeners ---- */

static struct real_listener *listener_of(struct listener *listener)
{
	return CONTAINER_OF(listener, struct real_listener, listener);
}

/* What accept4 says when the next try may go better: the connection was gone before we came. */
static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
	       error == ENOPROTOOPT || error == EHOSTDOWN || error == EHOSTUNREACH ||
	       error == ENETUNREACH || error == EPERM;
}

static bool is_exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* OK: try again. Short of descriptors the connection stays in the backlog and we look later. */
static enum err accept_failed(struct real_listener *real, moment deadline) WAITS
{
	moment retry = sooner(deadline, in_ms(OUT_OF_DESCRIPTORS_MS));
	enum err err;

	if (errno == EAGAIN) {
		real->watch.ready &= ~READABLE;
		return watch_wait(&real->watch, READABLE, deadline);
	}
	if (is_passing(errno))
		return OK;
	if (errno == EINVAL) /* somebody who shares the socket has shut it down */
		return fault(ERR_CLOSED, "the listening socket was shut down");
	if (!is_exhausted(errno))
		return fault_errno("accept a connection");
	err = fiber_park("descriptors", retry);
	return err == ERR_TIMEOUT && retry < deadline ? OK : err;
}

static enum err real_accept(struct listener *listener, moment deadline, struct stream **out) WAITS
{
	struct real_listener *real = listener_of(listener);
	enum err err = OK;

	while (!err) {
		struct sockaddr_storage storage = { 0 };
		socklen_t len = sizeof(storage);
		struct real_stream *stream = NULL;
		int fd = accept4(real->watch.fd, (struct sockaddr *)&storage, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			err = accept_failed(real, deadline);
			continue;
		}
		err = stream_make(fd, &stream);
		if (err) {
			close(fd);
			break;
		}
		addr_from_sockaddr((struct sockaddr *)&storage, len, &stream->stream.peer);
		stream->is_accepted = true;
		stream_settle_accepted(stream, real);
		*out = &stream->stream;
		return OK;
	}
	return err;
}

static void real_listener_drop(struct listener *listener)
{
	struct real_listener *real = listener_of(listener);

	watch_done(&real->watch);
	close(real->watch.fd);
	if (real->unlinks)
		(void)unlink(real->listener.address.path);
	free(real);
}

static void set_nonblocking(int fd)
{
	/* accept4 on a blocking descriptor would stop the loop; the poster may have forgotten. */
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static bool is_wildcard(const struct addr *addr)
{
	static const unsigned char none[sizeof(addr->ip)];

	return addr->family != ADDR_UNIX && memcmp(addr->ip, none, sizeof(none)) == 0;
}

enum err listener_of_fd(int fd, struct listener **out)
{
	struct real_listener *real = calloc(1, sizeof(*real));
	enum err err;

	must(real);
	set_nonblocking(fd);
	err = watch_init(&real->watch, real_here(), fd);
	if (err) {
		free(real);
		return err;
	}
	real->listener.accept = real_accept;
	real->listener.drop = real_listener_drop;
	read_local(fd, &real->listener.address);
	set_options(fd, real->listener.address.family);
	real->is_wildcard = is_wildcard(&real->listener.address);
	*out = &real->listener;
	return OK;
}

static int open_socket(const struct addr *addr)
{
	int family = addr->family == ADDR_IPV4   ? AF_INET
		     : addr->family == ADDR_IPV6 ? AF_INET6
						 : AF_UNIX;

	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The socket file of a server that is gone refuses connections; then the name is free. */
static bool unix_name_is_stale(const struct sockaddr *name, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 && connect(fd, name, len) != 0 && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

static bool bind_name(int fd, const struct addr *at)
{
	struct sockaddr_storage storage;
	socklen_t len = (socklen_t)addr_to_sockaddr(at, &storage, sizeof(storage));
	struct sockaddr *name = (struct sockaddr *)&storage;

	if (at->family != ADDR_UNIX)
		set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (at->family == ADDR_IPV6) /* IPv4 has a listener of its own */
		set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, name, len) == 0)
		return true;
	if (errno != EADDRINUSE || at->family != ADDR_UNIX)
		return false;
	if (!unix_name_is_stale(name, len)) {
		errno = EADDRINUSE;
		return false;
	}
	return unlink(at->path) == 0 && bind(fd, name, len) == 0;
}

enum err real_listen(struct world *world, const struct addr *at, int backlog, struct listener **out)
{
	char text[ADDR_TEXT];
	int fd = open_socket(at);
	enum err err;

	(void)world;
	addr_print(at, text);
	if (fd < 0)
		return fault_errno("make a socket for %s", text);
	if (!bind_name(fd, at) || listen(fd, backlog) != 0) {
		err = fault_errno("listen on %s", text);
		close(fd);
		return err;
	}
	err = listener_of_fd(fd, out);
	if (err)
		close(fd);
	else
		listener_of(*out)->unlinks = at->family == ADDR_UNIX;
	return err;
}

/* ---- connecting ---- */

static enum err wait_connected(struct fd_watch *watch, const struct addr *to, moment deadline) WAITS
{
	char text[ADDR_TEXT];
	int error = 0;
	socklen_t len = sizeof(error);
	enum err err;

	addr_print(to, text);
	watch->ready &= ~WRITABLE; /* the hint a fresh watch carries is too early here */
	err = watch_wait(watch, WRITABLE, deadline);
	if (err)
		return fault(err, "connect to %s: %s", text, err_text(err));
	must(getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	if (error == 0)
		return OK;
	errno = error;
	return fault_errno("connect to %s", text);
}

/* OK and *under_way when the kernel will tell the end of it by WRITABLE. */
static enum err begin_connect(int fd, const struct addr *to, moment deadline, bool *under_way) WAITS
{
	struct sockaddr_storage storage;
	socklen_t len = (socklen_t)addr_to_sockaddr(to, &storage, sizeof(storage));
	char text[ADDR_TEXT];

	addr_print(to, text);
	for (;;) {
		moment retry = sooner(deadline, in_ms(UNIX_BACKLOG_FULL_MS));
		enum err err;

		if (connect(fd, (struct sockaddr *)&storage, len) == 0)
			return OK;
		if (errno == EINPROGRESS || errno == EINTR) {
			*under_way = true;
			return OK;
		}
		if (errno != EAGAIN)
			return fault_errno("connect to %s", text);
		/* A UNIX socket whose backlog is full: nothing tells when there is room. */
		err = fiber_park("connect", retry);
		if (err != ERR_TIMEOUT || retry >= deadline)
			return fault(err, "connect to %s: %s", text, err_text(err));
	}
}

/* The port is chosen when it is known where to: as many connections to each server as there are ports. */
static enum err bind_from(int fd, const struct addr *from)
{
	struct sockaddr_storage storage;
	struct addr any_port = *from;
	char text[ADDR_TEXT];
	socklen_t len;

	any_port.port = 0;
	len = (socklen_t)addr_to_sockaddr(&any_port, &storage, sizeof(storage));
	set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	if (bind(fd, (struct sockaddr *)&storage, len) == 0)
		return OK;
	addr_print_ip(from, text);
	return fault_errno("connect from %s", text);
}

enum err real_connect(struct world *world, const struct connecting *connecting, struct stream **out)
	WAITS
{
	const struct addr *to = connecting->to;
	const moment deadline = connecting->deadline;
	struct real_stream *real = NULL;
	int fd = open_socket(to);
	bool under_way = false;
	enum err err;

	(void)world;
	if (fd < 0)
		return fault_errno("make a socket");
	err = connecting->from ? bind_from(fd, connecting->from) : OK;
	if (!err)
		err = begin_connect(fd, to, deadline, &under_way);
	if (!err)
		err = stream_make(fd, &real);
	if (err) {
		close(fd);
		return err;
	}
	if (under_way)
		err = wait_connected(&real->watch, to, deadline);
	if (err) {
		real_stream_drop(&real->stream);
		return err;
	}
	real->stream.peer = *to;
	stream_settle(real);
	*out = &real->stream;
	return OK;
}
