/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the tables of docs/sandbox.md, or says whether the file given holds the current ones. */
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <stdlib.h>

static bool file_holds(const char *path, struct str table)
{
	static char octets[262144];
	FILE *file = fopen(path, "r");
	struct str text = { octets, 0 };

	if (!file)
		return false;
	text.len = fread(octets, 1, sizeof(octets), file);
	fclose(file);
	return str_find_str(text, table) != STR_NONE;
}

int main(int argc, char **argv)
{
	struct buf table = BUF(131072);
	bool current = true;

	if (sandbox_table_markdown(&table))
		return 1;
	if (argc == 2)
		current = file_holds(argv[1], buf_str(&table));
	else
		fwrite(table.at, 1, table.len, stdout);
	if (!current)
		fprintf(stderr,
			"%s does not hold the current tables: put this program's output there\n",
			argv[1]);
	buf_drop(&table);
	return current ? 0 : 1;
}
