/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_SMALLEST = 256 };

/* 0: there is room already; ERR_LIMIT: past max. */
static enum err room_for(struct buf *buf, size_t more, size_t *out)
{
	size_t room = buf->room ? buf->room : ROOM_SMALLEST;

	*out = 0;
	if (more > buf->max || buf->len > buf->max - more) {
		buf->failed = true;
		return ERR_LIMIT;
	}
	if (buf->room - buf->len >= more)
		return OK;
	while (room < buf->len + more)
		room *= 2;
	*out = room < buf->max ? room : buf->max;
	return OK;
}

enum err buf_reserve(struct buf *buf, size_t more)
{
	size_t room;
	enum err err = room_for(buf, more, &room);
	char *at;

	if (err || !room)
		return err;
	at = realloc(buf->at, room);
	must(at);
	buf->at = at;
	buf->room = room;
	return OK;
}

enum err buf_reserve_secret(struct buf *buf, size_t more)
{
	size_t room;
	enum err err = room_for(buf, more, &room);
	char *at;

	if (err || !room)
		return err;
	at = malloc(room);
	must(at);
	if (buf->at) {
		memcpy(at, buf->at, buf->len);
		explicit_bzero(buf->at, buf->room);
	}
	free(buf->at);
	buf->at = at;
	buf->room = room;
	return OK;
}

enum err buf_add(struct buf *buf, struct str s)
{
	enum err err = buf_reserve(buf, s.len);

	if (!err && s.len) {
		memcpy(buf->at + buf->len, s.at, s.len);
		buf->len += s.len;
	}
	return err;
}

enum err buf_add_c(struct buf *buf, const char *c_string)
{
	return buf_add(buf, str_of(c_string));
}

enum err buf_add_char(struct buf *buf, char c)
{
	return buf_add(buf, (struct str){ &c, 1 });
}

enum err buf_print(struct buf *buf, const char *format, ...)
{
	va_list args;
	size_t room;
	int len;
	enum err err;

	if (!buf->room && buf->max >= ROOM_SMALLEST)
		(void)!buf_reserve(buf, ROOM_SMALLEST);
	room = buf->room - buf->len;
	va_start(args, format);
	len = vsnprintf(room ? buf->at + buf->len : NULL, room, format, args);
	va_end(args);
	must(len >= 0);
	if ((size_t)len < room) { /* most often */
		buf->len += (size_t)len;
		return OK;
	}
	/* vsnprintf ends with a NUL, which needs room but is not counted. */
	err = buf_reserve(buf, (size_t)len + 1);
	if (err)
		return err;
	va_start(args, format);
	vsnprintf(buf->at + buf->len, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += (size_t)len;
	return OK;
}

void buf_consume(struct buf *buf, size_t count)
{
	must(count <= buf->len);
	buf->len -= count;
	if (buf->len)
		memmove(buf->at, buf->at + count, buf->len);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

void buf_drop(struct buf *buf)
{
	free(buf->at);
	*buf = BUF(buf->max);
}
