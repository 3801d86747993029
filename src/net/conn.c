/* SPDX-License-Identifier: Apache-2.0 */
#include "net/conn.h"

#include <stdlib.h>

enum { READ_SMALLEST = 4096, LINGER_MS = 2000, LINGER_OCTETS = 1 << 20 };

struct conn *conn_new(struct stream *stream)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	must(conn);
	conn->stream = stream;
	conn->output = BUF(CONN_OUTPUT_MAX);
	conn->read_size = READ_SMALLEST;
	return conn;
}

void conn_wipe(struct conn *conn)
{
	if (conn->input_start)
		explicit_bzero(conn->input, conn->input_start);
}

static void release_input(struct conn *conn)
{
	free(conn->input);
	conn->input = NULL;
	conn->input_start = conn->input_end = conn->input_room = 0;
	conn->read_size = READ_SMALLEST;
}

void conn_drop(struct conn **conn)
{
	struct conn *c = *conn;

	if (!c)
		return;
	if (c->input) /* half a line may be half a secret */
		explicit_bzero(c->input, c->input_room);
	release_input(c);
	buf_drop(&c->output);
	if (c->is_held && c->tls)
		tls_shut(c->tls);
	tls_half_drop(&c->tls);
	free(c->proxied);
	stream_drop(&c->stream);
	free(c);
	*conn = NULL;
}

/* ---- the layer below: the stream, or TLS on it ---- */

enum err conn_try_read(struct conn *conn, void *at, size_t room, size_t *out)
{
	return conn->tls ? tls_try_read(conn->tls, at, room, out)
			 : stream_try_read(conn->stream, at, room, out);
}

enum err conn_try_write(struct conn *conn, struct str octets, size_t *out)
{
	return conn->tls ? tls_try_write(conn->tls, octets, out)
			 : stream_try_write(conn->stream, octets, out);
}

/* TLS may need to write in order to read, and the other way round. */
enum err conn_wait(struct conn *conn, unsigned how, moment deadline) WAITS
{
	if (conn->tls && conn->tls->wants)
		how = conn->tls->wants;
	return stream_wait(conn->stream, how, deadline);
}

/* ---- reading ---- */

struct str conn_input(const struct conn *conn)
{
	return (struct str){ conn->input ? conn->input + conn->input_start : "",
			     conn->input_end - conn->input_start };
}

void conn_take(struct conn *conn, size_t count)
{
	must(count <= conn->input_end - conn->input_start);
	conn->input_start += count;
}

/* What is held goes to the front; whatever it is, no second copy of it stays behind. */
static void move_to_front(struct conn *conn)
{
	size_t start = conn->input_start;
	size_t held = conn->input_end - start;
	size_t stale = held > start ? held : start;

	if (held && start) {
		memmove(conn->input, conn->input + start, held);
		explicit_bzero(conn->input + stale, conn->input_end - stale);
	}
	conn->input_start = 0;
	conn->input_end = held;
}

static void grow(struct conn *conn, size_t room)
{
	char *grown = malloc(room);

	must(grown);
	if (conn->input_end) {
		memcpy(grown, conn->input, conn->input_end);
		explicit_bzero(conn->input, conn->input_end);
	}
	free(conn->input);
	conn->input = grown;
	conn->input_room = room;
}

/* Room for more behind what is held; ERR_LIMIT when CONN_INPUT_MAX octets lie unread. */
static enum err make_room(struct conn *conn)
{
	size_t held = conn->input_end - conn->input_start;
	size_t wanted = conn->read_size;

	if (held == CONN_INPUT_MAX)
		return fault(ERR_LIMIT, "%d octets came in and were not taken", CONN_INPUT_MAX);
	move_to_front(conn);
	if (conn->input_room - held >= wanted / 2 && conn->input_room >= wanted)
		return OK;
	while (wanted < held * 2 && wanted < CONN_INPUT_MAX)
		wanted *= 2;
	if (wanted > conn->input_room)
		grow(conn, wanted);
	return OK;
}

/* At most so many octets. */
static enum err read_once(struct conn *conn, size_t most)
{
	size_t room;
	size_t got = 0;
	enum err err = make_room(conn);

	if (err)
		return err;
	room = conn->input_room - conn->input_end;
	err = conn_try_read(conn, conn->input + conn->input_end, room < most ? room : most, &got);
	if (err)
		return err;
	conn->input_end += got;
	conn->octets_in += got;
	if (got == room && conn->read_size < CONN_INPUT_MAX)
		conn->read_size *= 2;
	return OK;
}

/*
 * Wait for the peer: now everything we said leaves. A connection that waits with nothing half-read
 * holds no buffers.
 */
static enum err fill(struct conn *conn, size_t most, moment deadline) WAITS
{
	enum err err = fiber_is_stopping() ? ERR_STOPPED : read_once(conn, most);

	/* What is there already needs no wait; but then our output may wait a little longer. */
	if (err != ERR_AGAIN)
		return err;
	err = conn_flush(conn, deadline);
	while (!err) {
		if (conn->input_start == conn->input_end)
			release_input(conn);
		err = conn_wait(conn, READABLE, deadline);
		if (!err)
			err = read_once(conn, most);
		if (err != ERR_AGAIN)
			return err;
		err = OK;
	}
	return err;
}

enum err conn_fill_now(struct conn *conn)
{
	return read_once(conn, SIZE_MAX);
}

enum err conn_fill(struct conn *conn, moment deadline) WAITS
{
	return fill(conn, SIZE_MAX, deadline);
}

/* Where the line ends: *len its octets, *whole with its end. Starts looking at `from`. */
static bool find_line(struct str in, size_t from, enum line_rule rule, size_t *len, size_t *whole)
{
	for (;;) {
		size_t lf = str_find(str_from(in, from), '\n');

		if (lf == STR_NONE)
			return false;
		lf += from;
		*whole = lf + 1;
		if (lf > 0 && in.at[lf - 1] == '\r') {
			*len = lf - 1;
			return true;
		}
		*len = lf;
		if (rule == LINE_LF_TOO)
			return true;
		from = lf + 1;
	}
}

/* The rest of a line that was too long goes as it comes: nothing grows. */
static enum err skip_line(struct conn *conn, enum line_rule rule, moment deadline) WAITS
{
	while (conn->skips_line) {
		struct str in = conn_input(conn);
		size_t i;
		enum err err;

		for (i = 0; i < in.len && conn->skips_line; i++) {
			if (in.at[i] == '\n' && (rule == LINE_LF_TOO || conn->skip_saw_cr))
				conn->skips_line = false;
			conn->skip_saw_cr = in.at[i] == '\r';
		}
		conn_take(conn, i);
		conn_wipe(conn); /* nobody knows what it was to be */
		if (!conn->skips_line)
			break;
		err = conn_fill(conn, deadline);
		if (err)
			return err;
	}
	return OK;
}

static enum err line_too_long(struct conn *conn, bool has_end, size_t whole)
{
	struct str in = conn_input(conn);

	if (has_end) {
		conn_take(conn, whole);
	} else {
		conn->skip_saw_cr = in.at[in.len - 1] == '\r';
		conn->skips_line = true;
		conn_take(conn, in.len);
	}
	return fault(ERR_LIMIT, "a line is too long");
}

enum err conn_read_line(struct conn *conn, size_t max, enum line_rule rule, moment deadline,
			struct str *out) WAITS
{
	size_t looked = 0;
	enum err err = skip_line(conn, rule, deadline);

	must(max < CONN_INPUT_MAX);
	while (!err) {
		struct str in = conn_input(conn);
		size_t len;
		size_t whole = 0;
		bool has_end = find_line(in, looked, rule, &len, &whole);

		if (has_end ? whole > max : in.len > max)
			return line_too_long(conn, has_end, whole);
		if (has_end) {
			*out = str_first(in, len);
			conn_take(conn, whole);
			return OK;
		}
		looked = in.len;
		conn->is_idle = in.len == 0;
		err = conn_fill(conn, deadline);
		conn->is_idle = false;
	}
	return err;
}

bool conn_is_idle(const struct conn *conn)
{
	return conn->is_idle;
}

/* ---- writing ---- */

static enum err lost(const struct conn *conn)
{
	return conn->lost ? fault(conn->lost, "nothing that is said leaves any more") : OK;
}

enum err conn_flush(struct conn *conn, moment deadline) WAITS
{
	size_t done = 0;
	enum err err = conn->output.len ? lost(conn) : OK;

	while (!err && done < conn->output.len) {
		size_t written = 0;

		err = conn_try_write(conn, str_from(buf_str(&conn->output), done), &written);
		done += written;
		conn->octets_out += written;
		if (err == ERR_AGAIN)
			err = conn_wait(conn, WRITABLE, deadline);
	}
	if (done == conn->output.len)
		buf_drop(&conn->output);
	else
		buf_consume(&conn->output, done);
	/* Who is slow, or who was told to stop, may try again. */
	if (err && err != ERR_TIMEOUT && err != ERR_STOPPED)
		conn->lost = err;
	return err;
}

enum err conn_write(struct conn *conn, struct str octets, moment deadline) WAITS
{
	enum err err = lost(conn);

	while (!err && octets.len > 0) {
		size_t room = CONN_OUTPUT_MAX - conn->output.len;
		struct str part = str_first(octets, room);

		if (part.len > 0)
			err = buf_add(&conn->output, part);
		must(!err);
		octets = str_from(octets, part.len);
		if (conn->output.len == CONN_OUTPUT_MAX)
			err = conn_flush(conn, deadline);
	}
	return err;
}

uint64_t conn_unsent(const struct conn *conn)
{
	return conn->output.len;
}

bool conn_hold(struct conn *conn)
{
	conn->is_held = conn->input_start == conn->input_end &&
			!(conn->tls && SSL_has_pending(conn->tls->ssl)) &&
			stream_hold(conn->stream);
	return conn->is_held;
}

void conn_shut(struct conn *conn)
{
	if (conn->tls)
		tls_shut(conn->tls);
	stream_shut(conn->stream);
}

void conn_linger(struct conn *conn) WAITS
{
	moment deadline = in_ms(LINGER_MS);
	uint64_t start = conn->octets_in;

	while (conn->octets_in - start < LINGER_OCTETS) {
		conn_take(conn, conn_input(conn).len);
		if (conn_fill(conn, deadline) != OK)
			return;
	}
}

/* ---- who and how much ---- */

const struct addr *conn_peer(const struct conn *conn)
{
	return conn->proxied ? &conn->proxied->from : stream_peer(conn->stream);
}

const struct addr *conn_local(const struct conn *conn)
{
	return conn->proxied ? &conn->proxied->to : stream_local(conn->stream);
}

const struct addr *conn_via(const struct conn *conn)
{
	static const struct addr none = { .family = ADDR_NONE };

	return conn->proxied ? &conn->proxied->via : &none;
}

uint64_t conn_octets_in(const struct conn *conn)
{
	return conn->octets_in;
}

uint64_t conn_octets_out(const struct conn *conn)
{
	return conn->octets_out;
}

/* rfc8314 3: a ClientHello may come in the same segment, and is for TLS to read. */
enum err conn_read_proxy(struct conn *conn, moment deadline) WAITS
{
	struct proxy_header header;
	size_t used = 0;
	enum err err = proxy_parse(conn_input(conn), &header, &used);

	while (err == ERR_AGAIN) {
		err = fill(conn, used - conn_input(conn).len, deadline);
		if (!err)
			err = proxy_parse(conn_input(conn), &header, &used);
	}
	if (err)
		return err;
	conn_take(conn, used);
	if (header.is_local)
		return OK;
	conn->proxied = calloc(1, sizeof(*conn->proxied));
	must(conn->proxied);
	conn->proxied->via = *stream_peer(conn->stream);
	conn->proxied->from = header.from;
	conn->proxied->to = header.to;
	return OK;
}

/* ---- TLS ---- */

static enum err handshake(struct conn *conn, struct tls_half *tls, moment deadline) WAITS
{
	enum err err;

	while ((err = tls_try_handshake(tls)) == ERR_AGAIN) {
		err = stream_wait(conn->stream, tls->wants, deadline);
		if (err)
			return err;
	}
	return err;
}

static enum err start_tls(struct conn *conn, struct tls_half *tls, moment deadline) WAITS
{
	moment start = now();
	enum err err = handshake(conn, tls, deadline);

	conn->tls = tls;
	tls->wants = 0;
	tls->info.us = now() - start;
	tls->is_broken = err != OK;
	/* Neither TLS nor the clear: there is no language left to say anything in. */
	conn->lost = err;
	return err;
}

enum err conn_start_tls(struct conn *conn, struct tls_context *context, moment deadline,
			size_t *discarded) WAITS
{
	struct tls_half *tls;
	enum err err = conn->tls ? fault(ERR_TLS, "TLS is on already") : OK;

	if (!err)
		err = conn_flush(conn, deadline);
	*discarded = conn->input_end - conn->input_start;
	conn->skips_line = false;
	release_input(conn);
	if (!err)
		err = tls_half_new(context, conn->stream, true, &tls);
	return err ? err : start_tls(conn, tls, deadline);
}

enum err conn_start_tls_to(struct conn *conn, struct tls_context *context,
			   const struct tls_target *target, moment deadline) WAITS
{
	struct tls_half *tls;
	enum err err = conn->tls ? fault(ERR_TLS, "TLS is on already") : OK;

	if (!err)
		err = conn_flush(conn, deadline);
	release_input(conn);
	if (!err)
		err = tls_half_new(context, conn->stream, false, &tls);
	if (err)
		return err;
	err = tls_half_aim(tls, target);
	if (err) {
		tls_half_drop(&tls);
		return err;
	}
	err = start_tls(conn, tls, deadline);
	if (err)
		tls_half_disappoint(tls);
	return err;
}

enum err conn_start_tls_client(struct conn *conn, struct tls_context *context,
			       struct str server_name, moment deadline) WAITS
{
	struct tls_target target = { .server_name = server_name,
				     .names = &server_name,
				     .name_count = server_name.len ? 1 : 0 };

	return conn_start_tls_to(conn, context, &target, deadline);
}

bool conn_is_tls(const struct conn *conn)
{
	return conn->tls && conn->tls->info.version;
}

const struct tls_info *conn_tls(const struct conn *conn)
{
	static const struct tls_info none;

	return conn_is_tls(conn) ? &conn->tls->info : &none;
}

/* Only TLS itself has a text of its own: what is kept of a time out or a cut is another failure's. */
const char *conn_tls_failure(enum err err)
{
	return err == ERR_TLS && fault_text()[0] ? fault_text() : err_text(err);
}

const char *conn_close_reason(enum err err)
{
	switch (err) {
	case OK:
		return "quit";
	case ERR_CLOSED:
		return "peer-closed";
	case ERR_RESET:
		return "cut";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_STOPPED:
		return "stopping";
	case ERR_TLS:
		return "tls";
	default:
		return "trouble";
	}
}
