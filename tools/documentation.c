/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documentation check | update DOCS: the parts of the documentation that are made from the tables in the
 * source. In a document they stand between the lines
 *
 *	<!-- made: NAME -->
 *	<!-- end: NAME -->
 */
#include "config/config.h"
#include "link/link.h"
#include "sandbox/sandbox.h"
#include "trace/trace.h"
#include "web/web.h"

#include <stdio.h>

enum { DOCUMENT_MAX = 1 << 20 };

static enum err limits_markdown(struct buf *out)
{
	buf_add_c(out, "| limit | value | unit | why |\n|---|---|---|---|\n");
#define LIMIT(name, value, unit, why)                                                              \
	buf_print(out, "| `%s` | %lld | %s | %s |\n", #name, (long long)(value), unit, why);
#include "base/limits.def"
#undef LIMIT
	return out->failed ? ERR_LIMIT : OK;
}

static enum err trace_markdown(struct buf *out)
{
	enum err err = trace_schema_markdown(out);

	buf_add_c(out, "\n### Schema\n\n```json\n");
	if (!err)
		err = trace_schema_json(out);
	buf_add_c(out, "```\n");
	return err;
}

static const struct part {
	const char *file;
	const char *name;
	enum err (*print)(struct buf *out);
} parts[] = {
	{ "limits.md", "limits", limits_markdown },
	{ "configuration.md", "options", config_markdown },
	{ "sandbox.md", "roles", sandbox_table_markdown },
	{ "api.md", "api", web_api_markdown },
	{ "formats/link.md", "messages", link_table_markdown },
	{ "formats/trace.md", "events", trace_markdown },
};

static bool read_whole(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "rbe");

	if (!file || buf_reserve(out, DOCUMENT_MAX)) {
		perror(path);
		return false;
	}
	out->len = fread(out->at, 1, DOCUMENT_MAX, file);
	fclose(file);
	return true;
}

static bool write_whole(const char *path, struct str octets)
{
	FILE *file = fopen(path, "wbe");

	if (file && fwrite(octets.at, 1, octets.len, file) == octets.len && fclose(file) == 0)
		return true;
	perror(path);
	return false;
}

/* The document with the part between its marks made anew. */
static bool renew(const struct part *part, struct str document, struct buf *out)
{
	OWNED(buf) struct buf begin_mark = BUF(200);
	OWNED(buf) struct buf end_mark = BUF(200);
	size_t begin;
	size_t end;

	buf_print(&begin_mark, "<!-- made: %s -->\n", part->name);
	buf_print(&end_mark, "<!-- end: %s -->\n", part->name);
	begin = str_find_str(document, buf_str(&begin_mark));
	end = str_find_str(document, buf_str(&end_mark));
	if (begin == STR_NONE || end == STR_NONE || end < begin)
		return false;
	buf_add(out, str_first(document, begin + begin_mark.len));
	if (part->print(out))
		return false;
	buf_add(out, str_from(document, end));
	return !out->failed;
}

static bool do_part(const struct part *part, const char *folder, bool update)
{
	OWNED(buf) struct buf there = BUF(DOCUMENT_MAX);
	OWNED(buf) struct buf wanted = BUF(2 * DOCUMENT_MAX);
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, part->file);
	if (!read_whole(path, &there))
		return false;
	if (!renew(part, buf_str(&there), &wanted)) {
		fprintf(stderr, "%s: the marks around '%s' are missing\n", path, part->name);
		return false;
	}
	if (str_is(buf_str(&there), buf_str(&wanted)))
		return true;
	if (update)
		return write_whole(path, buf_str(&wanted));
	fprintf(stderr, "%s is out of date; run: make documentation\n", path);
	return false;
}

int main(int argc, char **argv)
{
	bool update = argc == 3 && strcmp(argv[1], "update") == 0;
	bool all_well = true;

	if (!update && (argc != 3 || strcmp(argv[1], "check") != 0)) {
		fprintf(stderr, "usage: documentation check | update DOCS\n");
		return 64;
	}
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		all_well &= do_part(&parts[i], argv[2], update);
	return all_well ? 0 : 1;
}
