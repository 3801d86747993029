/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_document: writes docs/configuration.md, or with --check says whether it is current.
 *
 *	config_document [--check] FILE
 */
#include "config/config.h"

#include <stdio.h>

enum { DOCUMENT_MAX = 1 << 20 };

static const char head[] =
	"# Configuration\n\n"
	"<!-- Made from src/config/options.def by config_document; edit that. -->\n\n"
	"One file, `glasspost.conf` in the data directory: `name = value` lines, `#` comments, "
	"texts\n"
	"with blanks in quotes, lists in braces. Sizes take K, M and G (powers of 1024), times ms, "
	"s,\n"
	"m, h and d. `glasspost init` writes the file with every option and its default; "
	"`glasspost\n"
	"check` names every mistake with its line and what to do; `glasspost reload` or SIGHUP "
	"takes\n"
	"a changed file, or refuses it and keeps the old one. `together`, `user`, `sandbox` and "
	"the\n"
	"numbers of processes change only at a start.\n\n";

static int check(const char *path, struct str wanted)
{
	OWNED(buf) struct buf found = BUF(DOCUMENT_MAX);
	FILE *file = fopen(path, "re");

	must(buf_reserve(&found, DOCUMENT_MAX) == OK);
	if (file) {
		found.len = fread(found.at, 1, DOCUMENT_MAX, file);
		fclose(file);
	}
	if (str_is(buf_str(&found), wanted))
		return 0;
	fprintf(stderr, "%s is not current; make it again: config_document %s\n", path, path);
	return 1;
}

int main(int count, char **arguments)
{
	OWNED(buf) struct buf out = BUF(DOCUMENT_MAX);
	bool checks = count == 3 && strcmp(arguments[1], "--check") == 0;
	FILE *file;

	if (!checks && count != 2) {
		fputs("usage: config_document [--check] FILE\n", stderr);
		return 64;
	}
	buf_add_c(&out, head);
	must(config_markdown(&out) == OK);
	if (checks)
		return check(arguments[2], buf_str(&out));
	file = fopen(arguments[1], "we");
	if (!file || fwrite(out.at, 1, out.len, file) != out.len || fclose(file) != 0) {
		perror(arguments[1]);
		return 1;
	}
	return 0;
}
