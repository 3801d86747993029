/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/world.h"

/*
 * What one fiber may move before it gives way. A peer that sends faster than we work would
 * otherwise never make its fiber wait, and the others would never run. Past it a try says
 * ERR_AGAIN, and the wait that follows is a yield.
 */
enum {
	SLICE_OCTETS = 262'144,
	CALL_OCTETS = 512,     /* what a call counts for beside its octets */
	ACCEPT_OCTETS = 16'384 /* a connection accepted */
};

static bool slice_is_used_up(void)
{
	const struct fiber *self = world_here()->current;

	return self && self->moved > SLICE_OCTETS;
}

static void slice_count(size_t octets)
{
	struct fiber *self = world_here()->current;

	if (self)
		self->moved += (unsigned)(octets < SLICE_OCTETS ? octets : SLICE_OCTETS);
}

enum err stream_try_read(struct stream *stream, void *at, size_t room, size_t *out)
{
	enum err err;

	must(room > 0);
	if (slice_is_used_up())
		return ERR_AGAIN;
	err = stream->ops->try_read(stream, at, room, out);
	if (!err)
		slice_count(*out + CALL_OCTETS);
	return err;
}

enum err stream_try_write(struct stream *stream, struct str octets, size_t *out)
{
	enum err err;

	if (slice_is_used_up())
		return ERR_AGAIN;
	err = stream->ops->try_write(stream, octets, out);
	if (!err)
		slice_count(*out + CALL_OCTETS);
	return err;
}

enum err stream_wait(struct stream *stream, unsigned how, moment deadline) WAITS
{
	if (slice_is_used_up())
		return fiber_yield();
	return stream->ops->wait(stream, how, deadline);
}

enum err stream_read(struct stream *stream, void *at, size_t room, moment deadline, size_t *out)
	WAITS
{
	enum err err = fiber_is_stopping() ? ERR_STOPPED : OK;

	while (!err) {
		err = stream_try_read(stream, at, room, out);
		if (err != ERR_AGAIN)
			return err;
		err = stream_wait(stream, READABLE, deadline);
	}
	return err;
}

enum err stream_write(struct stream *stream, struct str octets, moment deadline) WAITS
{
	enum err err = fiber_is_stopping() ? ERR_STOPPED : OK;

	while (!err && octets.len > 0) {
		size_t written = 0;

		err = stream_try_write(stream, octets, &written);
		octets = str_from(octets, written);
		if (err == ERR_AGAIN)
			err = stream_wait(stream, WRITABLE, deadline);
	}
	return err;
}

bool stream_hold(struct stream *stream)
{
	if (stream->ops->hold)
		stream->ops->hold(stream);
	return stream->ops->hold;
}

void stream_shut(struct stream *stream)
{
	stream->ops->shut(stream);
}

void stream_drop(struct stream **stream)
{
	if (!*stream)
		return;
	(*stream)->ops->drop(*stream);
	*stream = NULL;
}

int stream_give_fd(struct stream **stream)
{
	int fd;

	if (!(*stream)->ops->give_fd)
		return -1;
	fd = (*stream)->ops->give_fd(*stream);
	*stream = NULL;
	return fd;
}

const struct addr *stream_peer(const struct stream *stream)
{
	return &stream->peer;
}

const struct addr *stream_local(const struct stream *stream)
{
	return &stream->local;
}

void sim_stream_cut(struct stream *stream)
{
	must(stream->ops->cut); /* the simulated world's only */
	stream->ops->cut(stream);
}

enum err listener_new(const struct addr *at, int backlog, struct listener **out)
{
	struct world *world = world_here();

	return world->ops->listen(world, at, backlog, out);
}

enum err listener_accept(struct listener *listener, moment deadline, struct stream **out) WAITS
{
	enum err err = slice_is_used_up() ? fiber_yield() : OK;

	if (fiber_is_stopping())
		return ERR_STOPPED;
	if (!err)
		err = listener->accept(listener, deadline, out);
	if (!err)
		slice_count(ACCEPT_OCTETS);
	return err;
}

const struct addr *listener_address(const struct listener *listener)
{
	return &listener->address;
}

void listener_drop(struct listener **listener)
{
	if (!*listener)
		return;
	(*listener)->drop(*listener);
	*listener = NULL;
}

enum err stream_connect(const struct addr *to, moment deadline, struct stream **out) WAITS
{
	return stream_connect_from(NULL, to, deadline, out);
}

enum err stream_connect_from(const struct addr *from, const struct addr *to, moment deadline,
			     struct stream **out) WAITS
{
	struct world *world = world_here();

	if (fiber_is_stopping())
		return ERR_STOPPED;
	must(!from || from->family == to->family);
	return world->ops->connect(world, &(struct connecting){ from, to, deadline }, out);
}

enum err stream_pair(struct stream *ends[2])
{
	struct world *world = world_here();

	return world->ops->pair(world, ends);
}
