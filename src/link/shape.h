/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * shape: messages.def as data: which fields a struct has, where they lie and how large they may
 * be. Codec, permission check and documentation all read these tables, so none can disagree.
 */
#include "link/link.h"

enum field_type {
	FIELD_END,
	FIELD_U64,
	FIELD_STR,
	FIELD_SECRET,
	FIELD_STRS,
	FIELD_U64S,
	FIELD_BODY,
	FIELD_FD
};

struct field {
	enum field_type type;
	size_t offset;
	uint64_t max;
	const char *name;
};

struct shape {
	const struct field *fields; /* closed by FIELD_END */
	size_t size;                /* of the struct */
	size_t octets_max;          /* of its encoding, descriptors apart */
	bool is_secret;             /* it has a field that is */
};

struct message {
	const char *name;
	unsigned from; /* mask of ROLE_BIT */
	enum role_kind to;
	const struct shape *ask;
	const struct shape *answer;
	const char *doc;
};

/* What a failure frame carries in place of an answer. */
struct failure {
	uint64_t err;
	struct str text;
};

extern const struct shape failure_shape;

/* The first number past the table. */
enum { MESSAGE_NUMBERS = 64 };

const struct message *message_of(unsigned kind); /* NULL: there is no such message */
bool message_is_allowed(const struct message *message, enum role_kind from, enum role_kind to);

/* All zero, descriptors -1. */
void shape_clear(const struct shape *shape, void *value);
/* Are the value's bodies what they say? For what came from a link. ERR_PROTOCOL. */
[[nodiscard]] enum err shape_check_bodies(const struct shape *shape, void *value);
/* Close every descriptor that the value holds. */
void shape_close(const struct shape *shape, void *value);
