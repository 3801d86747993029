/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/wire.h"

/* Of one name. Pointers only lead backwards, but a message may hold a long row of them. */
enum { POINTERS_MAX = 64 };
enum { LABEL_KIND = 0xC0, LABEL_POINTER = 0xC0 };

bool wire_take_u8(struct wire *wire, uint8_t *out)
{
	if (wire->len - wire->offset < 1)
		return false;
	*out = wire->message[wire->offset++];
	return true;
}

bool wire_take_u16(struct wire *wire, uint16_t *out)
{
	const unsigned char *at = wire->message + wire->offset;

	if (wire->len - wire->offset < 2)
		return false;
	*out = (uint16_t)(at[0] << 8 | at[1]);
	wire->offset += 2;
	return true;
}

bool wire_take_u32(struct wire *wire, uint32_t *out)
{
	uint16_t high;
	uint16_t low;

	if (wire->len - wire->offset < 4)
		return false;
	if (!wire_take_u16(wire, &high) || !wire_take_u16(wire, &low))
		return false;
	*out = (uint32_t)high << 16 | low;
	return true;
}

bool wire_take(struct wire *wire, size_t count, struct str *out)
{
	if (wire->len - wire->offset < count)
		return false;
	*out = (struct str){ (const char *)wire->message + wire->offset, count };
	wire->offset += count;
	return true;
}

/* One label's octets, its length before them; false when the name grows too long. */
static bool add_label(struct dns_name *name, const unsigned char *label, size_t size)
{
	if (name->len + size > DNS_NAME_MAX)
		return false;
	memcpy(name->at + name->len, label, size);
	name->len = (uint8_t)(name->len + size);
	return true;
}

bool wire_take_name(struct wire *wire, struct dns_name *out)
{
	size_t at = wire->offset;
	size_t end = 0; /* where the message goes on, once a pointer was followed */
	unsigned pointers = 0;
	struct dns_name name = { 0 };

	while (at < wire->len) {
		const unsigned char *label = wire->message + at;
		size_t size = 1 + (size_t)*label;

		if ((*label & LABEL_KIND) == LABEL_POINTER) {
			size_t target;

			if (wire->len - at < 2 || ++pointers > POINTERS_MAX)
				return false;
			target = (size_t)(label[0] & ~LABEL_KIND) << 8 | label[1];
			if (target >= at) /* "a prior occurrence" [rfc1035 4.1.4] */
				return false;
			end = end ? end : at + 2;
			at = target;
			continue;
		}
		if (*label & LABEL_KIND || wire->len - at < size || !add_label(&name, label, size))
			return false;
		at += size;
		if (size == 1) {
			wire->offset = end ? end : at;
			*out = name;
			return true;
		}
	}
	return false;
}

bool wire_take_head(struct wire *wire, struct wire_head *out)
{
	return wire_take_u16(wire, &out->id) && wire_take_u16(wire, &out->flags) &&
	       wire_take_u16(wire, &out->questions) && wire_take_u16(wire, &out->answers) &&
	       wire_take_u16(wire, &out->authorities) && wire_take_u16(wire, &out->additionals);
}

bool wire_take_question(struct wire *wire, struct dns_name *name, uint16_t *type, uint16_t *class)
{
	return wire_take_name(wire, name) && wire_take_u16(wire, type) &&
	       wire_take_u16(wire, class);
}

bool wire_take_record(struct wire *wire, struct wire_record *out)
{
	struct str data;

	if (!wire_take_name(wire, &out->owner) || !wire_take_u16(wire, &out->type) ||
	    !wire_take_u16(wire, &out->class) || !wire_take_u32(wire, &out->ttl_s) ||
	    !wire_take_u16(wire, &out->data_len))
		return false;
	if (out->ttl_s > INT32_MAX) /* rfc2181 8 */
		out->ttl_s = 0;
	out->data = wire->offset;
	return wire_take(wire, out->data_len, &data);
}

void wire_add_u8(struct buf *out, unsigned value)
{
	buf_add_char(out, (char)value);
}

void wire_add_u16(struct buf *out, unsigned value)
{
	wire_add_u8(out, value >> 8 & 0xFF);
	wire_add_u8(out, value & 0xFF);
}

void wire_add_u32(struct buf *out, uint32_t value)
{
	wire_add_u16(out, value >> 16);
	wire_add_u16(out, value & 0xFFFF);
}

void wire_add_name(struct buf *out, const struct dns_name *name)
{
	buf_add(out, (struct str){ (const char *)name->at, name->len });
}
