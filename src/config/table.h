/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* table: options.def as rows that the parser and the writers walk. */
#include "config/config.h"

enum option_type {
	OPTION_TEXT,
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_LIST
};

struct option_row {
	const char *name;
	enum option_type type;
	const char *preset;
	uint64_t min;
	uint64_t max;
	const char *doc;
	size_t offset; /* of the value in struct config or struct config_listener */
	bool at_start; /* a reload does not change it */
};

extern const struct option_row config_rows[];
extern const size_t config_row_count;
extern const struct option_row listener_rows[];
extern const size_t listener_row_count;

/* The row of this name, or NULL. */
const struct option_row *option_find(const struct option_row *rows, size_t count, struct str name);
/* The words that a TEXT option may be, separated by blanks; NULL when any text will do. */
const char *option_choices(const char *name);
/* The known name that looks most like this one; NULL when none comes near. */
const char *option_nearest(const struct option_row *rows, size_t count, struct str name);

/* The listeners of a file that names none. */
struct listener_preset {
	const char *name;
	const char *protocol;
	const char *address;
	const char *tls;
	const char *doc;
};
extern const struct listener_preset listener_presets[];
extern const size_t listener_preset_count;
