/* SPDX-License-Identifier: Apache-2.0 */
#include "net/conn.h"

enum { PIECE = 4096, OTHER_WAY_MS = 10, STALLED_MS = 60000 };

struct splice {
	struct conn *conn;
	struct stream *stream;
	struct fiber *reader; /* the one that reads the connection */
	bool is_over;
};

/*
 * Two fibers use the connection, one for each direction. TLS may want the other direction's event; two fibers must
 * not wait for the same, and that is rare: so it is looked at again a little later.
 */
static enum err wait_for(struct splice *splice, unsigned how, moment deadline) WAITS
{
	const struct tls_half *tls = splice->conn->tls;

	if (tls && tls->wants && tls->wants != how)
		return fiber_sleep(in_ms(OTHER_WAY_MS));
	return stream_wait(splice->conn->stream, how, deadline);
}

static enum err write_all(struct splice *splice, struct str octets) WAITS
{
	enum err err = OK;

	while (!err && octets.len) {
		size_t written = 0;

		err = conn_try_write(splice->conn, octets, &written);
		octets = str_from(octets, written);
		if (err == ERR_AGAIN)
			err = wait_for(splice, WRITABLE, in_ms(STALLED_MS));
	}
	return err;
}

/* From the stream: its end is the end of everything. */
static void outward_fiber(void *arg) WAITS
{
	struct splice *splice = arg;
	char piece[PIECE];
	enum err err = OK;

	while (!err) {
		size_t got = 0;

		err = stream_read(splice->stream, piece, sizeof(piece), NEVER, &got);
		if (!err)
			err = write_all(splice, (struct str){ piece, got });
	}
	if (err == ERR_CLOSED)
		conn_shut(splice->conn);
	splice->is_over = true;
	if (splice->reader)
		fiber_stop(splice->reader);
}

static enum err inward(struct splice *splice) WAITS
{
	char piece[PIECE];
	enum err err = OK;

	while (!err) {
		size_t got = 0;

		err = conn_try_read(splice->conn, piece, sizeof(piece), &got);
		if (!err)
			err = stream_write(splice->stream, (struct str){ piece, got }, NEVER);
		else if (err == ERR_AGAIN)
			err = wait_for(splice, READABLE, NEVER);
	}
	return err;
}

void conn_splice(struct conn *conn, struct stream *stream) WAITS
{
	struct splice splice = { .conn = conn, .stream = stream, .reader = fiber_self() };
	struct str early = conn_input(conn);
	struct fiber_group group;
	enum err err;

	group_init(&group);
	err = stream_write(stream, early, NEVER);
	conn_take(conn, early.len);
	if (!err)
		err = fiber_spawn(&group, "splice", outward_fiber, &splice, NULL);
	if (!err)
		err = inward(&splice);
	splice.reader = NULL;
	/* Who said all that he wanted may still get his answer; who was cut off gets none. */
	if (err == ERR_CLOSED && !splice.is_over) {
		stream_shut(stream);
		(void)group_wait(&group, NEVER);
	}
	group_stop(&group);
	group_wait_through(&group);
}
