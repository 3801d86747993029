/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* file: the configuration's text by libconfuse, into the words behind each option; not yet understood. */
#include "config/complaint.h"
#include "config/table.h"

struct raw_word {
	struct raw_word *next;
	struct str text;
};

struct raw_value {
	unsigned line;                 /* 0: not set */
	struct str text;               /* a list's words are joined by ", " */
	struct raw_word *words, **end; /* of a list, while it is read */
};

struct raw_listener {
	struct raw_listener *next;
	struct str name;
	unsigned line;
	struct raw_value *values; /* one a row of listener_rows */
};

struct raw_file {
	struct raw_value *values; /* one a row of config_rows */
	struct raw_listener *listeners;
	size_t listener_count;
};

/* What could be read is in *out even when there were complaints. */
void file_read(struct arena *arena, struct str text, struct complaints *complaints,
	       struct raw_file *out);
