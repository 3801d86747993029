/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * channel: frames to and from one process of another role, over a UNIX stream socket or in memory.
 *
 * Invariants
 *  (1) What is sent gathers in `out` (in memory: in the twin's `in`) and leaves in one sendmsg when
 *      no fiber can run, or past FLUSH_AT octets.
 *  (2) Frames come out in the order they were sent, each with its own descriptor. A descriptor
 *      that no frame announced ends the channel.
 *  (3) Once `ended` nothing is sent any more. What had come before the other side ended is still
 *      given; after channel_cut nothing is.
 *  (4) The memory goes when the last user has released it; a cut wakes everybody who waits here.
 */
#include "link/codec.h"

/* A descriptor on its way, and the place in the stream where its frame begins. */
struct fd_mark {
	uint64_t position;
	int fd;
};

struct fd_ring {
	struct fd_mark marks[LIMIT_link_outgoing_fds];
	size_t first;
	size_t count;
};

struct channel {
	int fd; /* -1: in memory */
	struct fd_watch *watch;
	struct channel *twin; /* in memory: the other end, NULL when it is gone */
	unsigned users;
	bool started;
	bool ended;
	bool cut;     /* by ourselves */
	bool blocked; /* the socket took no more: the writer fiber is at it */
	bool drained; /* the last recvmsg took all there was */
	enum err why;

	struct buf out;
	size_t out_sent;       /* of out, already gone */
	uint64_t out_position; /* of out.at[0] in the stream */
	struct fd_ring out_fds;
	bool out_is_secret; /* something in it was: it is overwritten once it has left */

	struct buf in;
	size_t in_taken; /* of in, already given as frames */
	struct fd_ring in_fds;

	struct waitq readable; /* in memory: the reader */
	struct waitq writer;
	struct waitq room; /* who would send but must wait */
	struct idle_hook hook;
	struct link_stats stats;
};

/* Begin to read and write in the world that runs now. */
[[nodiscard]] enum err channel_start(struct channel *channel);
struct channel *channel_use(struct channel *channel);
void channel_release(struct channel *channel);
/* The end, now: both sides find out, waiting fibers wake. */
void channel_cut(struct channel *channel, enum err why);
bool channel_is_up(const struct channel *channel);
bool channel_has_room(const struct channel *channel);
/* Until there is room, or the channel has ended (OK too). Not ended by a stop. */
enum err channel_wait_room(struct channel *channel, moment deadline) WAITS;

/*
 * Encode a frame into what leaves next. Never waits. ERR_LIMIT: over a bound, nothing was sent;
 * ERR_GONE: the channel has ended. Descriptors are duplicated, the value keeps its own.
 */
[[nodiscard]] enum err channel_send(struct channel *channel, const struct frame *head,
				    const struct shape *shape, const void *value);
/*
 * The next frame; its payload lives until the next call or wait. *fd is the caller's, -1 when none: with has_fd
 * one was sent, and this process had no number free for it.
 * ERR_CLOSED at the end, ERR_PROTOCOL for what is no frame, ERR_STOPPED.
 */
[[nodiscard]] enum err channel_next(struct channel *channel, struct frame *out, int *fd) WAITS;
/* Wait until everything has left, at most until the deadline. */
void channel_drain(struct channel *channel, moment deadline) WAITS;
