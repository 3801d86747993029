/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"

/* ---- the tables made from events.def ---- */

#define FIELD_IS_TEXT_STR           true
#define FIELD_IS_TEXT_U64           false
#define FIELD_INFO(type, name, doc) { #name, doc, FIELD_IS_TEXT_##type },
#define EVENT(name, number, fields, doc)                                                           \
	static const struct trace_field_info name##_fields[] = { fields(FIELD_INFO) };
#include "trace/events.def"
#undef EVENT

/* Tables walk an event's struct field by field, so it may have no holes. */
#define FIELD_SIZE_U64              sizeof(uint64_t)
#define FIELD_SIZE_STR              sizeof(struct str)
#define FIELD_SIZE(type, name, doc) +FIELD_SIZE_##type
#define EVENT(name, number, fields, doc)                                                           \
	static_assert(sizeof(struct trace_##name) == 0 fields(FIELD_SIZE), "no holes");
#include "trace/events.def"
#undef EVENT

const struct trace_kind_info trace_kinds[] = {
#define EVENT(name, number, fields, doc)                                                           \
	{ number, #name, doc, name##_fields, COUNT_OF(name##_fields) },
#include "trace/events.def"
#undef EVENT
};
const size_t trace_kind_count = COUNT_OF(trace_kinds);

enum kind_index {
#define EVENT(name, number, fields, doc) INDEX_##name,
#include "trace/events.def"
#undef EVENT
};

static const struct trace_kind_info *const by_number[] = {
#define EVENT(name, number, fields, doc) [number] = &trace_kinds[INDEX_##name],
#include "trace/events.def"
#undef EVENT
};

const struct trace_kind_info *trace_kind_of(unsigned number)
{
	return number < COUNT_OF(by_number) ? by_number[number] : NULL;
}

const struct trace_kind_info *trace_kind_named(struct str name)
{
	for (size_t i = 0; i < trace_kind_count; i++)
		if (str_is(name, str_of(trace_kinds[i].name)))
			return &trace_kinds[i];
	return NULL;
}

const char *trace_kind_name(unsigned kind)
{
	const struct trace_kind_info *info = trace_kind_of(kind);

	return info ? info->name : "unknown";
}

enum trace_direction trace_event_direction(const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_connect:
	case TRACE_command:
	case TRACE_data:
		return TRACE_FROM_CLIENT;
	case TRACE_reply:
	case TRACE_fetch:
		return TRACE_TO_CLIENT;
	default:
		return TRACE_NONE;
	}
}

/* ---- names of roles ---- */

static const char *const *role_names;
static unsigned role_name_count;

void trace_set_role_names(const char *const *names, unsigned count)
{
	role_names = names;
	role_name_count = names ? count : 0;
}

const char *trace_role_name(unsigned role)
{
	static const char *const numbered[] = { "role-0", "role-1", "role-2", "role-3", "role-4",
						"role-5", "role-6", "role-7", "role-8", "role-9" };

	if (role < role_name_count && role_names[role])
		return role_names[role];
	return role < COUNT_OF(numbered) ? numbered[role] : "role-unknown";
}

/* ---- walking an event's fields ---- */

const char *event_fields(const struct trace_event *event)
{
	return (const char *)&event->connect;
}

uint64_t field_u64(const char **at)
{
	uint64_t value;

	memcpy(&value, *at, sizeof(value));
	*at += sizeof(value);
	return value;
}

struct str field_str(const char **at)
{
	struct str value;

	memcpy(&value, *at, sizeof(value));
	*at += sizeof(value);
	return value;
}

/* ---- records ---- */

uint32_t record_checksum(struct str record)
{
	struct record_check check = { record.len };

	for (size_t i = 8; i < record.len; i += 8) {
		uint64_t word;

		memcpy(&word, record.at + i, sizeof(word));
		record_check_word(&check, le64toh(word));
	}
	return record_check_end(&check);
}

/* The size that the record at the front claims; 0 when there can be none. */
static size_t record_size(struct str octets)
{
	uint32_t size;

	if (octets.len < RECORD_HEAD)
		return 0;
	memcpy(&size, octets.at, sizeof(size));
	size = le32toh(size);
	if (size < RECORD_HEAD || size > RECORD_MAX || size % RECORD_ALIGN || size > octets.len)
		return 0;
	return size;
}

static bool record_is_whole(struct str record)
{
	uint32_t check;

	memcpy(&check, record.at + 4, sizeof(check));
	return le32toh(check) == record_checksum(record);
}

enum err trace_record_take(struct str *octets, struct str *record)
{
	size_t size = record_size(*octets);

	if (!octets->len)
		return ERR_CLOSED;
	if (!size || !record_is_whole(str_first(*octets, size)))
		return fault(ERR_CORRUPT, "not a trace record");
	*record = str_first(*octets, size);
	*octets = str_from(*octets, size);
	return OK;
}

void trace_record_resync(struct str *octets)
{
	/* Records in a file lie at multiples of 8 of its start, but a file may have lost octets. */
	while (octets->len) {
		size_t size;

		*octets = str_from(*octets, 1);
		size = record_size(*octets);
		if (size && record_is_whole(str_first(*octets, size)))
			return;
	}
}

struct trace_head trace_record_head(struct str record)
{
	struct record_head head;

	must(record.len >= RECORD_HEAD);
	memcpy(&head, record.at, sizeof(head));
	return (struct trace_head){ .sequence = le64toh(head.sequence),
				    .at_us = (int64_t)le64toh((uint64_t)head.at_us),
				    .wall_us = (int64_t)le64toh((uint64_t)head.wall_us),
				    .session = le64toh(head.session),
				    .kind = le16toh(head.kind),
				    .role = head.role,
				    .role_index = head.role_index,
				    .flags = head.flags };
}

void trace_record_claim(struct str record, unsigned role, unsigned role_index)
{
	struct record_head head;

	must(record.len >= RECORD_HEAD);
	memcpy(&head, record.at, sizeof(head));
	if (head.role == role && head.role_index == role_index)
		return;
	head.role = (uint8_t)role;
	head.role_index = (uint8_t)role_index;
	memcpy((char *)(uintptr_t)record.at, &head, sizeof(head));
	head.check = htole32(record_checksum(record));
	memcpy((char *)(uintptr_t)record.at, &head, sizeof(head));
}

static bool take_varint(struct str *octets, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < octets->len && i < 9; i++) {
		unsigned char octet = (unsigned char)octets->at[i];

		value |= (uint64_t)(octet & 0x7f) << (7 * i);
		if (octet < 0x80) {
			*octets = str_from(*octets, i + 1);
			*out = value;
			return true;
		}
	}
	return false; /* 9 octets hold 63 bits; more is no number of ours */
}

static bool take_field(struct str *body, bool is_text, char **to)
{
	uint64_t number;
	struct str text;

	if (!take_varint(body, &number))
		return false;
	if (!is_text) {
		memcpy(*to, &number, sizeof(number));
		*to += sizeof(number);
		return true;
	}
	if (number > LIMIT_trace_text || number > body->len)
		return false;
	text = str_first(*body, (size_t)number);
	*body = str_from(*body, (size_t)number);
	memcpy(*to, &text, sizeof(text));
	*to += sizeof(text);
	return true;
}

enum err trace_event_decode(struct str record, struct trace_event *out)
{
	size_t size = record_size(record);
	const struct trace_kind_info *kind;
	struct str body;
	unsigned char padding;
	char *to;

	memset(out, 0, sizeof(*out));
	if (!size || size != record.len || !record_is_whole(record))
		return fault(ERR_CORRUPT, "not a trace record");
	out->head = trace_record_head(record);
	padding = (unsigned char)record.at[offsetof(struct record_head, padding)];
	if (out->head.sequence > INT64_MAX || padding >= RECORD_ALIGN ||
	    padding > size - RECORD_HEAD)
		return fault(ERR_CORRUPT, "a trace record whose head makes no sense");
	kind = trace_kind_of(out->head.kind);
	if (!kind)
		return fault(ERR_UNSUPPORTED, "a trace record of kind %u, which is not known here",
			     out->head.kind);
	body = str_first(str_from(record, RECORD_HEAD), size - RECORD_HEAD - padding);
	to = (char *)&out->connect;
	for (size_t i = 0; i < kind->field_count && body.len; i++)
		if (!take_field(&body, kind->fields[i].is_text, &to))
			return fault(ERR_CORRUPT, "a trace record of kind %s with a broken %s",
				     kind->name, kind->fields[i].name);
	return OK;
}
