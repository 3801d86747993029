/* SPDX-License-Identifier: Apache-2.0 */
#include "link/codec.h"
#include "link/body.h"

#include <endian.h>

enum { BODY_INLINE = 0, BODY_MEMFD = 1, BODY_HEAD = 9, FRAME_FLAGS = FRAME_HAS_FD };

/* ---- octets ---- */

static char *put_u32(char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static char *put_u64(char *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static char *put_str(char *at, struct str s)
{
	at = put_u32(at, (uint32_t)s.len);
	if (s.len)
		memcpy(at, s.at, s.len);
	return at + s.len;
}

static uint32_t get_u32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get_u64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

/* ---- frames ---- */

void frame_write_head(const struct frame *frame, char head[FRAME_HEAD])
{
	put_u32(head, (uint32_t)frame->payload.len);
	head[4] = (char)frame->type;
	head[5] = frame->has_fd ? FRAME_HAS_FD : 0;
	head[6] = (char)(frame->kind & 0xff);
	head[7] = (char)(frame->kind >> 8);
	put_u32(head + 8, frame->call);
}

void frame_wipe(const struct frame *frame)
{
	if (frame->payload.len)
		explicit_bzero((char *)(uintptr_t)frame->payload.at, frame->payload.len);
}

size_t frame_length(struct str octets)
{
	uint32_t payload;

	if (octets.len < FRAME_HEAD)
		return 0;
	payload = get_u32(octets.at);
	return payload > LIMIT_link_frame - FRAME_HEAD ? 0 : FRAME_HEAD + payload;
}

enum err frame_take(struct str *octets, struct frame *out)
{
	const unsigned char *head = (const unsigned char *)octets->at;
	size_t length = frame_length(*octets);

	if (octets->len < FRAME_HEAD)
		return ERR_AGAIN;
	if (!length)
		return fault(ERR_PROTOCOL, "a frame of %u octets", get_u32(octets->at));
	/* The head is judged before the rest has come, so that nobody waits for a bad frame's end. */
	if (head[4] < FRAME_CALL || head[4] > FRAME_FAILURE || (head[5] & ~FRAME_FLAGS))
		return fault(ERR_PROTOCOL, "a frame of type %u with flags %u", head[4], head[5]);
	if (octets->len < length)
		return ERR_AGAIN;
	*out = (struct frame){
		.type = (enum frame_type)head[4],
		.has_fd = head[5] & FRAME_HAS_FD,
		.kind = head[6] | (unsigned)head[7] << 8,
		.call = get_u32(octets->at + 8),
		.payload = { octets->at + FRAME_HEAD, length - FRAME_HEAD },
	};
	*octets = str_from(*octets, length);
	return OK;
}

/* ---- encoding ---- */

static enum err too_large(const struct field *field)
{
	return fault(ERR_LIMIT, "%s is over its bound of %llu", field->name,
		     (unsigned long long)field->max);
}

static enum err strs_measure(const struct field *field, const struct strs *list, size_t *size)
{
	*size = 4;
	if (list->count > field->max)
		return too_large(field);
	for (size_t i = 0; i < list->count; i++) {
		if (list->at[i].len > LIMIT_address)
			return too_large(field);
		*size += 4 + list->at[i].len;
	}
	return OK;
}

static enum err body_measure(const struct field *field, const struct body *body, size_t *size,
			     int *fd)
{
	*size = BODY_HEAD;
	if (body_is_memfd(body)) {
		*fd = body->fd;
		return body->size > field->max ? too_large(field) : OK;
	}
	if (body->octets.len > field->max || body->octets.len > LIMIT_link_inline_body)
		return too_large(field);
	*size += body->octets.len;
	return OK;
}

/* Octets that this field will take; checks its bound. */
static enum err field_measure(const struct field *field, const void *at, size_t *size, int *fd)
{
	switch (field->type) {
	case FIELD_U64:
		*size = 8;
		return *(const uint64_t *)at > field->max ? too_large(field) : OK;
	case FIELD_STR:
	case FIELD_SECRET:
		*size = 4 + ((const struct str *)at)->len;
		return ((const struct str *)at)->len > field->max ? too_large(field) : OK;
	case FIELD_STRS:
		return strs_measure(field, at, size);
	case FIELD_U64S:
		*size = 4;
		if (((const struct u64s *)at)->count > field->max)
			return too_large(field);
		*size += ((const struct u64s *)at)->count * 8;
		return OK;
	case FIELD_BODY:
		return body_measure(field, at, size, fd);
	case FIELD_FD:
		*size = 0;
		*fd = *(const int *)at;
		return *fd < 0 ? fault(ERR_LIMIT, "%s is missing", field->name) : OK;
	case FIELD_END:
		break;
	}
	must(false); /* the table has no other types */
	return ERR_SYSTEM;
}

static char *put_strs(char *at, const struct strs *list)
{
	at = put_u32(at, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		at = put_str(at, list->at[i]);
	return at;
}

static char *put_u64s(char *at, const struct u64s *list)
{
	at = put_u32(at, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		at = put_u64(at, list->at[i]);
	return at;
}

static char *put_body(char *at, const struct body *body)
{
	if (body_is_memfd(body)) {
		*at++ = BODY_MEMFD;
		return put_u64(at, body->size);
	}
	*at++ = BODY_INLINE;
	at = put_u64(at, body->octets.len);
	if (body->octets.len)
		memcpy(at, body->octets.at, body->octets.len);
	return at + body->octets.len;
}

static char *put_field(char *at, const struct field *field, const void *value)
{
	switch (field->type) {
	case FIELD_U64:
		return put_u64(at, *(const uint64_t *)value);
	case FIELD_STR:
	case FIELD_SECRET:
		return put_str(at, *(const struct str *)value);
	case FIELD_STRS:
		return put_strs(at, value);
	case FIELD_U64S:
		return put_u64s(at, value);
	case FIELD_BODY:
		return put_body(at, value);
	case FIELD_FD:
	case FIELD_END:
		break;
	}
	return at;
}

enum err shape_encode(const struct shape *shape, const void *value, struct buf *out, int *fd)
{
	const char *base = value;
	size_t total = 0;
	char *at;
	enum err err;

	*fd = -1;
	for (const struct field *f = shape->fields; f->type; f++) {
		size_t size;

		err = field_measure(f, base + f->offset, &size, fd);
		if (err)
			return err;
		total += size;
	}
	/* A message before this one may have a secret in it. */
	err = buf_reserve_secret(out, total);
	if (err)
		return fault(err, "no room for a message of %zu octets", total);
	at = out->at + out->len;
	for (const struct field *f = shape->fields; f->type; f++)
		at = put_field(at, f, base + f->offset);
	out->len += total;
	return OK;
}

/* ---- decoding ---- */

struct reader {
	struct str rest;
	struct arena *arena;
	int *fd_place; /* where the frame's descriptor belongs */
};

static enum err not_valid(const struct field *field)
{
	return fault(ERR_PROTOCOL, "field %s is not valid", field->name);
}

static bool take_octets(struct reader *reader, size_t count, const char **out)
{
	if (reader->rest.len < count)
		return false;
	*out = reader->rest.at;
	reader->rest = str_from(reader->rest, count);
	return true;
}

static bool take_text(struct reader *reader, uint64_t max, struct str *out)
{
	const char *at;
	uint32_t len;

	if (!take_octets(reader, 4, &at))
		return false;
	len = get_u32(at);
	if (len > max || !take_octets(reader, len, &at))
		return false;
	*out = (struct str){ at, len };
	return true;
}

/* A count whose items, `each` octets or more, can still be there. */
static bool take_count(struct reader *reader, uint64_t max, size_t each, size_t *out)
{
	const char *at;

	if (!take_octets(reader, 4, &at))
		return false;
	*out = get_u32(at);
	return *out <= max && *out <= reader->rest.len / each;
}

static bool take_strs(struct reader *reader, uint64_t max, struct strs *out)
{
	size_t count;
	struct str *items;

	if (!take_count(reader, max, 4, &count))
		return false;
	items = NEW_ARRAY(reader->arena, struct str, count);
	for (size_t i = 0; i < count; i++)
		if (!take_text(reader, LIMIT_address, &items[i]))
			return false;
	*out = (struct strs){ items, count };
	return true;
}

static bool take_u64s(struct reader *reader, uint64_t max, struct u64s *out)
{
	size_t count;
	uint64_t *items;
	const char *at;

	if (!take_count(reader, max, 8, &count))
		return false;
	items = NEW_ARRAY(reader->arena, uint64_t, count);
	if (!take_octets(reader, count * 8, &at))
		return false;
	for (size_t i = 0; i < count; i++)
		items[i] = get_u64(at + i * 8);
	*out = (struct u64s){ items, count };
	return true;
}

static bool take_body(struct reader *reader, uint64_t max, struct body *out)
{
	const char *at;
	uint64_t size;

	if (!take_octets(reader, BODY_HEAD, &at))
		return false;
	size = get_u64(at + 1);
	if (size > max)
		return false;
	out->size = size;
	if (*at == BODY_MEMFD) {
		reader->fd_place = &out->fd;
		return size > 0;
	}
	if (*at != BODY_INLINE || size > LIMIT_link_inline_body ||
	    !take_octets(reader, (size_t)size, &at))
		return false;
	out->octets = (struct str){ at, (size_t)size };
	return true;
}

static bool take_field(struct reader *reader, const struct field *field, void *out)
{
	const char *at;

	switch (field->type) {
	case FIELD_U64:
		if (!take_octets(reader, 8, &at))
			return false;
		*(uint64_t *)out = get_u64(at);
		return *(uint64_t *)out <= field->max;
	case FIELD_STR:
	case FIELD_SECRET:
		return take_text(reader, field->max, out);
	case FIELD_STRS:
		return take_strs(reader, field->max, out);
	case FIELD_U64S:
		return take_u64s(reader, field->max, out);
	case FIELD_BODY:
		return take_body(reader, field->max, out);
	case FIELD_FD:
		reader->fd_place = out;
		return true;
	case FIELD_END:
		break;
	}
	return false;
}

static enum err decode_fields(const struct shape *shape, struct reader *reader, char *out)
{
	for (const struct field *f = shape->fields; f->type; f++)
		if (!take_field(reader, f, out + f->offset))
			return not_valid(f);
	if (reader->rest.len)
		return fault(ERR_PROTOCOL, "%zu octets after the last field", reader->rest.len);
	return OK;
}

enum err shape_decode(const struct shape *shape, struct str payload, int fd, struct arena *arena,
		      void *out)
{
	struct reader reader = { .rest = payload, .arena = arena };
	enum err err;

	shape_clear(shape, out);
	err = decode_fields(shape, &reader, out);
	if (!err && (fd >= 0) != (reader.fd_place != NULL))
		err = fault(ERR_PROTOCOL, fd >= 0 ? "a descriptor that no field asks for"
						  : "a descriptor is missing");
	if (err) {
		shape_clear(shape, out);
		return err;
	}
	if (reader.fd_place)
		*reader.fd_place = fd;
	return OK;
}
