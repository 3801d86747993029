/* SPDX-License-Identifier: Apache-2.0 */
#include "link/shape.h"
#include "link/body.h"
#include "link/codec.h"

#include <unistd.h>

#define FIELD(type, field, largest) { FIELD_##type, offsetof(holder, field), (largest), #field },

/* The largest encoding of a field: every message that keeps its bounds fits into a frame. */
#define OCTETS_U64(max)               8u
#define OCTETS_STR(max)               (4u + (max))
#define OCTETS_SECRET(max)            OCTETS_STR(max)
#define OCTETS_STRS(max)              (4u + (max) * (4u + LIMIT_address))
#define OCTETS_U64S(max)              (4u + (max)*8u)
#define OCTETS_BODY(max)              (9u + LIMIT_link_inline_body)
#define OCTETS_FD(max)                0u
#define FIELD_OCTETS(type, name, max) +OCTETS_##type(max)

#define FDS_U64                    0
#define FDS_STR                    0
#define FDS_SECRET                 0
#define FDS_STRS                   0
#define FDS_U64S                   0
#define FDS_BODY                   1
#define FDS_FD                     1
#define FIELD_FDS(type, name, max) +FDS_##type

#define IS_SECRET_U64                  0
#define IS_SECRET_STR                  0
#define IS_SECRET_SECRET               1
#define IS_SECRET_STRS                 0
#define IS_SECRET_U64S                 0
#define IS_SECRET_BODY                 0
#define IS_SECRET_FD                   0
#define FIELD_SECRETS(type, name, max) +IS_SECRET_##type

/* A struct's own name is known only inside its message, so each shape is made in its own scope. */
#define SHAPE(function, type, list)                                                                \
	static const struct shape *function(void)                                                  \
	{                                                                                          \
		typedef struct type holder;                                                        \
		static const struct field fields[] = { list(FIELD){ FIELD_END, 0, 0, NULL } };     \
		static const struct shape shape = { fields, sizeof(holder), 0u list(FIELD_OCTETS), \
						    0 list(FIELD_SECRETS) > 0 };                   \
                                                                                                   \
		static_assert(0u + FRAME_HEAD list(FIELD_OCTETS) <= LIMIT_link_frame);             \
		static_assert(0 list(FIELD_FDS) <= LIMIT_link_fds);                                \
		return &shape;                                                                     \
	}

#define MESSAGE(name, number, from, to, ask, answer, doc)                                          \
	SHAPE(shape_ask_##name, ask_##name, ask)                                                   \
	SHAPE(shape_answer_##name, answer_##name, answer)                                          \
	static_assert((number) > 0 && (number) < MESSAGE_NUMBERS);
#include "link/messages.def"
#undef MESSAGE

#define FAILURE_FIELDS(F)                                                                          \
	F(U64, err, ERR_SYSTEM)                                                                    \
	F(STR, text, FAULT_TEXT_MAX)

typedef struct failure holder;
static const struct field failure_fields[] = { FAILURE_FIELDS(FIELD){ FIELD_END, 0, 0, NULL } };
const struct shape failure_shape = { failure_fields, sizeof(struct failure),
				     0u FAILURE_FIELDS(FIELD_OCTETS), false };

static struct message table[MESSAGE_NUMBERS];

/* Runs before main, so that no first caller has to be told from the others. */
__attribute__((constructor)) static void table_fill(void)
{
#define MESSAGE(name, number, from, to, ask, answer, doc)                                          \
	table[number] =                                                                            \
		(struct message){ #name, (from), (to), shape_ask_##name(), shape_answer_##name(),  \
				  (doc) };
#include "link/messages.def"
#undef MESSAGE
}

const struct message *message_of(unsigned kind)
{
	return kind < MESSAGE_NUMBERS && table[kind].name ? &table[kind] : NULL;
}

const char *message_name(unsigned kind)
{
	const struct message *message = message_of(kind);

	return message ? message->name : "?";
}

bool message_is_allowed(const struct message *message, enum role_kind from, enum role_kind to)
{
	/* Calls go from a lower rank to a higher one only: no circle can be made. */
	static const unsigned char ranks[ROLE_KINDS] = {
		[ROLE_SUPERVISOR] = 1, [ROLE_GATE_MX] = 2, [ROLE_GATE_USER] = 3, [ROLE_FILTER] = 4,
		[ROLE_RELAY] = 5,      [ROLE_WEB] = 6,     [ROLE_STORE] = 7,
	};

	if ((unsigned)from >= ROLE_KINDS || (unsigned)to >= ROLE_KINDS ||
	    ranks[from] >= ranks[to] || !(message->from & ROLE_BIT(from)))
		return false;
	return message->to == to || message->to == ROLE_NONE;
}

const char *role_kind_name(enum role_kind kind)
{
	static const char *const names[] = {
		[ROLE_NONE] = "none",       [ROLE_SUPERVISOR] = "supervisor",
		[ROLE_GATE_MX] = "gate-mx", [ROLE_GATE_USER] = "gate-user",
		[ROLE_FILTER] = "filter",   [ROLE_STORE] = "store",
		[ROLE_RELAY] = "relay",     [ROLE_WEB] = "web",
	};

	static_assert(COUNT_OF(names) == ROLE_KINDS);
	return (size_t)kind < COUNT_OF(names) ? names[kind] : "?";
}

static void *field_at(const struct field *field, void *value)
{
	return (char *)value + field->offset;
}

void shape_clear(const struct shape *shape, void *value)
{
	memset(value, 0, shape->size);
	for (const struct field *f = shape->fields; f->type; f++) {
		if (f->type == FIELD_BODY)
			*(struct body *)field_at(f, value) = BODY_EMPTY;
		else if (f->type == FIELD_FD)
			*(int *)field_at(f, value) = -1;
	}
}

enum err shape_check_bodies(const struct shape *shape, void *value)
{
	enum err err = OK;

	for (const struct field *f = shape->fields; f->type && !err; f++)
		if (f->type == FIELD_BODY)
			err = body_check(field_at(f, value));
	return err;
}

void shape_close(const struct shape *shape, void *value)
{
	for (const struct field *f = shape->fields; f->type; f++) {
		int *fd = field_at(f, value);

		if (f->type == FIELD_BODY) {
			body_done(field_at(f, value));
		} else if (f->type == FIELD_FD && *fd >= 0) {
			close(*fd);
			*fd = -1;
		}
	}
}

/* ---- documentation ---- */

static void field_describe(struct buf *out, const struct field *field)
{
	static const char *const types[] = {
		[FIELD_U64] = "u64",   [FIELD_STR] = "str",   [FIELD_SECRET] = "secret",
		[FIELD_STRS] = "strs", [FIELD_U64S] = "u64s", [FIELD_BODY] = "body",
		[FIELD_FD] = "fd",
	};

	buf_print(out, "`%s` %s", field->name, types[field->type]);
	if (field->type != FIELD_FD && field->max != UINT64_MAX)
		buf_print(out, " ≤ %llu", (unsigned long long)field->max);
}

static void shape_describe(struct buf *out, const struct shape *shape)
{
	if (!shape->fields->type)
		buf_add_c(out, "nothing");
	for (const struct field *f = shape->fields; f->type; f++) {
		if (f != shape->fields)
			buf_add_c(out, ", ");
		field_describe(out, f);
	}
}

static void callers_describe(struct buf *out, unsigned from)
{
	const char *between = "";

	for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
		if (!(from & ROLE_BIT(kind)))
			continue;
		buf_print(out, "%s%s", between, role_kind_name(kind));
		between = ", ";
	}
}

enum err link_table_markdown(struct buf *out)
{
	buf_add_c(out, "| number | message | may ask | is asked | ask | answer | meaning |\n"
		       "|---|---|---|---|---|---|---|\n");
	for (unsigned kind = 0; kind < MESSAGE_NUMBERS; kind++) {
		const struct message *m = message_of(kind);

		if (!m)
			continue;
		buf_print(out, "| %u | `%s` | ", kind, m->name);
		callers_describe(out, m->from);
		buf_print(out, " | %s | ", m->to == ROLE_NONE ? "any role" : role_kind_name(m->to));
		shape_describe(out, m->ask);
		buf_add_c(out, " | ");
		shape_describe(out, m->answer);
		buf_print(out, " | %s |\n", m->doc);
	}
	return out->failed ? ERR_LIMIT : OK;
}
