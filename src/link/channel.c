/* SPDX-License-Identifier: Apache-2.0 */
#include "link/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FLUSH_AT = 65536,  /* gathered octets that do not wait for the idle hook */
	READ_ROOM = 98304, /* asked of each recvmsg; below malloc's threshold for mapping */
	KEEP_ROOM = 2 * READ_ROOM,
	IDLE_MS = 1000 /* after this the receive buffer is given back */
};

/* ---- descriptors under way ---- */

static bool ring_is_full(const struct fd_ring *ring)
{
	return ring->count == COUNT_OF(ring->marks);
}

static void ring_add(struct fd_ring *ring, uint64_t position, int fd)
{
	size_t at = (ring->first + ring->count++) % COUNT_OF(ring->marks);

	ring->marks[at] = (struct fd_mark){ position, fd };
}

static const struct fd_mark *ring_at(const struct fd_ring *ring, size_t index)
{
	if (index >= ring->count)
		return NULL;
	return &ring->marks[(ring->first + index) % COUNT_OF(ring->marks)];
}

static int ring_take(struct fd_ring *ring)
{
	int fd = ring->marks[ring->first].fd;

	ring->first = (ring->first + 1) % COUNT_OF(ring->marks);
	ring->count--;
	return fd;
}

/* Stands for a descriptor that was sent while this process had no room for another. */
enum { FD_LOST = -1 };

static void ring_close(struct fd_ring *ring)
{
	while (ring->count) {
		int fd = ring_take(ring);

		if (fd != FD_LOST)
			close(fd);
	}
}

/* ---- birth and end ---- */

static struct channel *channel_new(int fd)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	must(channel);
	channel->fd = fd;
	channel->users = 1;
	channel->out = BUF(LIMIT_link_outgoing + LIMIT_link_frame);
	channel->in = BUF(LIMIT_link_outgoing + LIMIT_link_frame);
	waitq_init(&channel->readable);
	waitq_init(&channel->writer);
	waitq_init(&channel->room);
	return channel;
}

enum err channel_of_fd(int fd, struct channel **out)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
		return fault(ERR_PROTOCOL, "a channel that is no stream socket");
	*out = channel_new(fd);
	return OK;
}

enum err channel_pair_fds(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return fault_errno("a pair of sockets");
	return OK;
}

enum err channel_pair_memory(struct channel *ends[2])
{
	ends[0] = channel_new(-1);
	ends[1] = channel_new(-1);
	ends[0]->twin = ends[1];
	ends[1]->twin = ends[0];
	return OK;
}

bool channel_is_up(const struct channel *channel)
{
	return !channel->ended;
}

static void channel_end(struct channel *channel, enum err why)
{
	channel->ended = true;
	channel->why = why;
	waitq_wake_all(&channel->readable);
	waitq_wake_all(&channel->writer);
	waitq_wake_all(&channel->room);
}

void channel_cut(struct channel *channel, enum err why)
{
	channel->cut = true;
	if (channel->ended)
		return;
	channel_end(channel, why);
	/* Wakes our own reader and writer too; the descriptor itself must outlive them. */
	if (channel->fd >= 0)
		shutdown(channel->fd, SHUT_RDWR);
	if (channel->twin && !channel->twin->ended)
		channel_end(channel->twin, ERR_CLOSED);
}

struct channel *channel_use(struct channel *channel)
{
	channel->users++;
	return channel;
}

void channel_release(struct channel *channel)
{
	if (--channel->users)
		return;
	channel_cut(channel, ERR_CLOSED);
	if (channel->twin)
		channel->twin->twin = NULL;
	if (channel->started && channel->fd >= 0) {
		world_remove_idle_hook(&channel->hook);
		fd_watch_drop(&channel->watch);
	}
	if (channel->fd >= 0)
		close(channel->fd);
	ring_close(&channel->in_fds);
	ring_close(&channel->out_fds);
	buf_drop(&channel->in);
	buf_drop(&channel->out);
	free(channel);
}

void channel_drop(struct channel **channel)
{
	if (*channel)
		channel_release(*channel);
	*channel = NULL;
}

/* ---- sending ---- */

static size_t octets_pending(const struct channel *channel)
{
	if (channel->fd < 0)
		return channel->twin ? channel->twin->in.len - channel->twin->in_taken : 0;
	return channel->out.len - channel->out_sent;
}

bool channel_has_room(const struct channel *channel)
{
	const struct fd_ring *fds = channel->twin ? &channel->twin->in_fds : &channel->out_fds;

	return octets_pending(channel) < LIMIT_link_outgoing && !ring_is_full(fds);
}

enum err channel_wait_room(struct channel *channel, moment deadline) WAITS
{
	enum err err = OK;

	channel_use(channel); /* it may end meanwhile */
	while (!err && !channel->ended && !channel_has_room(channel))
		err = waitq_wait_through(&channel->room, deadline);
	channel_release(channel);
	return err;
}

/* One sendmsg, up to where the next descriptor's frame begins: it travels with a first octet. */
static ssize_t send_some(struct channel *channel)
{
	union {
		char octets[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec piece = { channel->out.at + channel->out_sent,
			       channel->out.len - channel->out_sent };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	uint64_t position = channel->out_position + channel->out_sent;
	const struct fd_mark *mark = ring_at(&channel->out_fds, 0);
	const struct fd_mark *bound = mark;

	if (mark && mark->position == position) {
		struct cmsghdr *head = &control.align;

		message.msg_control = control.octets;
		message.msg_controllen = sizeof(control.octets);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &mark->fd, sizeof(int));
		bound = ring_at(&channel->out_fds, 1);
	}
	if (bound)
		piece.iov_len = (size_t)(bound->position - position);
	return sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void count_sent(struct channel *channel, size_t sent)
{
	uint64_t position = channel->out_position + channel->out_sent;
	const struct fd_mark *mark = ring_at(&channel->out_fds, 0);

	if (mark && mark->position == position)
		close(ring_take(&channel->out_fds));
	channel->out_sent += sent;
	channel->stats.writes++;
	channel->stats.bytes_out += sent;
	if (channel->out_sent < channel->out.len)
		return;
	channel->out_position += channel->out.len;
	channel->out_sent = 0;
	if (channel->out_is_secret)
		explicit_bzero(channel->out.at, channel->out.room);
	channel->out_is_secret = false;
	buf_reset(&channel->out);
	if (channel->out.room > KEEP_ROOM)
		buf_drop(&channel->out);
}

static void channel_flush(struct channel *channel)
{
	bool had_room = channel_has_room(channel);

	while (!channel->ended && !channel->blocked && octets_pending(channel)) {
		ssize_t sent = send_some(channel);

		if (sent > 0) {
			count_sent(channel, (size_t)sent);
		} else if (errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS) {
			channel->blocked = true;
			waitq_wake_one(&channel->writer);
		} else if (errno != EINTR) {
			/* The reader still takes what had come; then it finds the end too. */
			channel_end(channel, err_from_errno(errno));
			shutdown(channel->fd, SHUT_RDWR);
		}
	}
	if (!had_room && channel_has_room(channel))
		waitq_wake_all(&channel->room);
}

static void flush_when_idle(struct idle_hook *hook)
{
	struct channel *channel = CONTAINER_OF(hook, struct channel, hook);

	if (octets_pending(channel))
		channel_flush(channel);
}

static void write_fiber(void *arg) WAITS
{
	struct channel *channel = arg;
	enum err err = OK;

	while (!err && !channel->ended) {
		if (!channel->blocked) {
			err = waitq_wait(&channel->writer, NEVER);
			continue;
		}
		/* Descriptors in flight are bounded per user by the kernel, which tells nobody when
		   there is room again: hence the deadline. */
		err = fd_wait(channel->watch, WRITABLE, in_ms(channel->out_fds.count ? 1 : 1000));
		if (err == ERR_TIMEOUT)
			err = OK;
		channel->blocked = false;
		if (!err)
			channel_flush(channel);
	}
	channel_release(channel);
}

void channel_drain(struct channel *channel, moment deadline) WAITS
{
	if (channel->fd < 0)
		return; /* the twin has it already */
	channel_flush(channel);
	while (!channel->ended && octets_pending(channel) && now() < deadline) {
		channel->blocked = false;
		channel_flush(channel);
		if (octets_pending(channel))
			waitq_wait_through(&channel->room, sooner(deadline, in_ms(1)));
	}
}

enum err channel_start(struct channel *channel)
{
	enum err err = OK;

	must(!channel->started);
	if (channel->fd < 0) {
		channel->started = true;
		return OK;
	}
	err = fd_watch_new(channel->fd, &channel->watch);
	if (err)
		return err;
	err = fiber_spawn(NULL, "link writer", write_fiber, channel, NULL);
	if (err) {
		fd_watch_drop(&channel->watch);
		return err;
	}
	channel_use(channel);
	channel->hook = (struct idle_hook){ .run = flush_when_idle };
	world_add_idle_hook(world_here(), &channel->hook);
	channel->started = true;
	return OK;
}

static enum err add_fd(struct fd_ring *ring, uint64_t position, int fd)
{
	int copy;

	if (ring_is_full(ring))
		return fault(ERR_LIMIT, "too many descriptors wait to be sent");
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return fault_errno("a descriptor to send");
	ring_add(ring, position, copy);
	return OK;
}

/* What has left still lies before what waits; it goes before the buffer would reach its end. */
static void make_room(struct channel *channel)
{
	if (channel->twin && channel->twin->in.len >= LIMIT_link_outgoing) {
		buf_consume(&channel->twin->in, channel->twin->in_taken);
		channel->twin->in_taken = 0;
	}
	if (channel->out.len >= LIMIT_link_outgoing) {
		buf_consume(&channel->out, channel->out_sent);
		channel->out_position += channel->out_sent;
		channel->out_sent = 0;
	}
}

enum err channel_send(struct channel *channel, const struct frame *head, const struct shape *shape,
		      const void *value)
{
	struct channel *twin = channel->twin;
	struct buf *to = twin ? &twin->in : &channel->out;
	struct fd_ring *fds = twin ? &twin->in_fds : &channel->out_fds;
	struct frame frame = *head;
	size_t start;
	int fd = -1;
	enum err err;

	if (channel->ended)
		return fault(ERR_GONE, "the channel has ended");
	make_room(channel);
	start = to->len;
	err = buf_reserve_secret(to, FRAME_HEAD);
	if (err)
		return fault(err, "too much waits to be sent");
	to->len += FRAME_HEAD;
	err = shape_encode(shape, value, to, &fd);
	if (!err && fd >= 0)
		err = add_fd(fds, channel->out_position + start, fd);
	if (err) {
		to->len = start;
		return err;
	}
	frame.has_fd = fd >= 0;
	frame.payload.len = to->len - start - FRAME_HEAD;
	frame_write_head(&frame, to->at + start);
	channel->out_is_secret |= shape->is_secret && !twin;
	if (twin) {
		channel->stats.bytes_out += FRAME_HEAD + frame.payload.len;
		waitq_wake_one(&twin->readable);
	} else if (octets_pending(channel) >= FLUSH_AT) {
		channel_flush(channel);
	}
	return OK;
}

/* ---- receiving ---- */

static struct str in_rest(const struct channel *channel)
{
	return str_from(buf_str(&channel->in), channel->in_taken);
}

/* Forget what was given as frames; a part of a frame moves to the front. */
static void in_compact(struct channel *channel)
{
	size_t before = channel->in.len;

	if (channel->in_taken == channel->in.len)
		buf_reset(&channel->in);
	else if (channel->in_taken)
		buf_consume(&channel->in, channel->in_taken);
	/* Half a frame may be half a secret, and where it lay there is no frame any more to be wiped. */
	if (channel->in.len && channel->in_taken)
		explicit_bzero(channel->in.at + channel->in.len, before - channel->in.len);
	channel->in_taken = 0;
	if (channel->twin && !channel->in.len && channel->in.room > KEEP_ROOM)
		buf_drop(&channel->in);
	if (channel->twin)
		waitq_wake_all(&channel->twin->room);
}

/*
 * The received descriptors go to the ring; more of them than a frame may have end the channel. Where the
 * kernel had no number for the only one, the call fails and not the channel: nobody would make another.
 */
static enum err take_descriptors(struct channel *channel, struct msghdr *message)
{
	enum err err = OK;

	if (message->msg_flags & MSG_CTRUNC && !CMSG_FIRSTHDR(message) &&
	    !ring_is_full(&channel->in_fds)) {
		ring_add(&channel->in_fds, 0, FD_LOST);
		return OK;
	}

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			if (i < LIMIT_link_fds && !ring_is_full(&channel->in_fds)) {
				ring_add(&channel->in_fds, 0, fd);
				continue;
			}
			close(fd);
			err = fault(ERR_PROTOCOL, "more descriptors than a message may carry");
		}
	}
	if (!err && (message->msg_flags & MSG_CTRUNC))
		err = fault(ERR_PROTOCOL, "descriptors were cut off");
	return err;
}

static enum err receive_some(struct channel *channel)
{
	union {
		char octets[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec piece = { channel->in.at + channel->in.len,
			       channel->in.room - channel->in.len };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.octets,
				  .msg_controllen = sizeof(control.octets) };
	ssize_t got;

	do
		got = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_from_errno(errno);
	if (got == 0)
		return ERR_CLOSED;
	channel->in.len += (size_t)got;
	channel->stats.reads++;
	channel->stats.bytes_in += (uint64_t)got;
	/* The kernel stops at descriptors; else a short read has emptied the socket, and whatever
	   comes later is a new event. */
	channel->drained = (size_t)got < piece.iov_len && !message.msg_controllen &&
			   !(message.msg_flags & MSG_CTRUNC);
	return take_descriptors(channel, &message);
}

/* The socket has nothing: sleep, and give the buffer back when the sleep is long. */
static enum err wait_for_octets(struct channel *channel) WAITS
{
	bool empty = channel->in.len == 0;
	enum err err = fd_wait(channel->watch, READABLE, empty ? in_ms(IDLE_MS) : NEVER);

	if (err != ERR_TIMEOUT)
		return err;
	buf_drop(&channel->in);
	return fd_wait(channel->watch, READABLE, NEVER);
}

static enum err fill_from_socket(struct channel *channel) WAITS
{
	enum err err = fiber_yield(); /* first let those run for whom something came */

	while (!err && !channel->cut) {
		size_t wanted = frame_length(in_rest(channel));
		size_t room = wanted > channel->in.len ? wanted - channel->in.len : 0;

		if (!channel->drained) {
			err = buf_reserve_secret(&channel->in, room > READ_ROOM ? room : READ_ROOM);
			if (!err)
				err = receive_some(channel);
			if (err != ERR_AGAIN)
				return err;
		}
		channel->drained = false;
		err = wait_for_octets(channel);
	}
	return err ? err : channel->why;
}

static enum err fill_from_twin(struct channel *channel) WAITS
{
	size_t before = channel->in.len;
	enum err err = OK;

	while (!err && channel->in.len == before && !channel->ended)
		err = waitq_wait(&channel->readable, NEVER);
	if (err)
		return err;
	channel->stats.reads++;
	channel->stats.bytes_in += channel->in.len - before;
	return channel->in.len > before ? OK : channel->why;
}

/* Everything whole was taken. A descriptor may wait for the frame that has begun, no other. */
static enum err fill(struct channel *channel) WAITS
{
	in_compact(channel);
	if (channel->in_fds.count > (channel->in.len ? 1u : 0u))
		return fault(ERR_PROTOCOL, "a descriptor that no message announced");
	return channel->fd < 0 ? fill_from_twin(channel) : fill_from_socket(channel);
}

enum err channel_next(struct channel *channel, struct frame *out, int *fd) WAITS
{
	enum err err;

	for (;;) {
		struct str rest = in_rest(channel);

		if (channel->cut)
			return channel->why;
		err = frame_take(&rest, out);
		if (!err)
			break;
		if (err == ERR_AGAIN)
			err = fill(channel);
		if (err)
			return err;
	}
	channel->in_taken += FRAME_HEAD + out->payload.len;
	*fd = -1;
	if (!out->has_fd)
		return OK;
	if (!channel->in_fds.count)
		return fault(ERR_PROTOCOL, "a message without its descriptor");
	*fd = ring_take(&channel->in_fds);
	return OK;
}
