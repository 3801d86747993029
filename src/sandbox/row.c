/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/row.h"
#include "sandbox/calls.h"

#include <stdarg.h>
#include <stdio.h>

static const struct sandbox_row rows[] = {
#define ROLE(name, promises, files, tcp, fsize, rights, nice, doc)                                 \
	{ name, promises, files, tcp, fsize, rights, nice, doc },
#include "sandbox/roles.def"
};

static const struct {
	const char *name;
	const char *doc;
} promises[] = {
#define PROMISE(name, doc) { #name, doc },
#include "sandbox/promises.def"
};

const struct sandbox_row *sandbox_row(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* ---- the report ---- */

void progress_done(struct progress *progress, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_print(&progress->done, "%s%s", progress->done.len ? ", " : "", text);
}

void progress_lacks(struct progress *progress, const char *what)
{
	buf_print(&progress->lacking, "%s%s", progress->lacking.len ? ", " : "", what);
}

/* ---- documentation ---- */

static void promises_print(struct buf *out, unsigned mask)
{
	const char *between = "";

	for (unsigned i = 0; i < COUNT_OF(promises); i++) {
		if (!(mask & 1u << i))
			continue;
		buf_print(out, "%s%s", between, promises[i].name);
		between = " ";
	}
}

static void fsize_print(struct buf *out, uint64_t fsize)
{
	if (fsize)
		buf_print(out, "%llu octets", (unsigned long long)fsize);
	else
		buf_add_c(out, "no bound");
}

enum err sandbox_table_markdown(struct buf *out)
{
	static const char *const files[] = { "none", "the data directory", "any" };
	static const char *const tcp[] = { "none", "any" };
	static const char *const rights[] = { "none", "kept" };

	buf_add_c(out, "| role | promises | files | TCP bind, connect | capabilities | a file may "
		       "grow to | nice | what it does |\n"
		       "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buf_print(out, "| %s | ", rows[i].name);
		promises_print(out, rows[i].promises);
		buf_print(out, " | %s | %s | %s | ", files[rows[i].files], tcp[rows[i].tcp],
			  rights[rows[i].rights]);
		fsize_print(out, rows[i].fsize);
		buf_print(out, " | %d | %s |\n", rows[i].nice, rows[i].doc);
	}
	buf_add_c(out, "\n| promise | | system calls |\n|---|---|---|\n");
	for (unsigned i = 0; i < COUNT_OF(promises); i++) {
		buf_print(out, "| %s | %s | ", promises[i].name, promises[i].doc);
		calls_print(out, i);
		buf_add_c(out, " |\n");
	}
	buf_add_c(out, "\nRefused with EPERM when not promised: ");
	calls_print(out, PROMISES);
	buf_add_c(out, ".\n");
	return out->failed ? ERR_LIMIT : OK;
}
