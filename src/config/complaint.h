/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * complaint: mistakes of one file, gathered while it is read and told together, in the order of
 * its lines, so that one look repairs them all.
 */
#include "base/base.h"

enum { COMPLAINTS_MAX = 50 };

struct complaint {
	unsigned line;
	unsigned serial;
	struct str text;
};

struct complaints {
	struct arena *arena;
	struct str file;
	struct complaint items[COMPLAINTS_MAX];
	size_t count; /* all that were made; those past COMPLAINTS_MAX are only counted */
};

/* line 0: of no line (the command line, or the file as a whole). Text: "option: wrong; what to do". */
void complain(struct complaints *complaints, unsigned line, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* "file:line: text" each, sorted. */
void complaints_print(struct complaints *complaints, struct buf *out);
