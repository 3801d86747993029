/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_schema json | markdown | update FILE | check FILE: the schema of a trace line, and the part
 * of docs/formats/trace.md that is made from events.def.
 */
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>

enum { DOCUMENT_MAX = 1 << 20 };

#define BEGIN_MARK "<!-- made from src/trace/events.def by `trace_schema update`: begin -->\n"
#define END_MARK   "<!-- made from src/trace/events.def: end -->\n"

static bool read_whole(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "rb");
	size_t count;

	if (!file || buf_reserve(out, DOCUMENT_MAX - 1)) {
		perror(path);
		return false;
	}
	count = fread(out->at, 1, DOCUMENT_MAX - 1, file);
	out->len = count;
	fclose(file);
	return true;
}

/* The document as it should be: what stands between the marks made anew. */
static bool renew(struct str document, struct buf *out)
{
	size_t begin = str_find_str(document, S(BEGIN_MARK));
	size_t end = str_find_str(document, S(END_MARK));

	if (begin == STR_NONE || end == STR_NONE || end < begin)
		return false;
	buf_add(out, str_first(document, begin));
	buf_add(out, S(BEGIN_MARK "\n"));
	if (trace_schema_markdown(out))
		return false;
	buf_add(out, S("\n### Schema\n\n```json\n"));
	if (trace_schema_json(out))
		return false;
	buf_add(out, S("```\n\n"));
	buf_add(out, str_from(document, end));
	return !out->failed;
}

static int document(const char *path, bool update)
{
	OWNED(buf) struct buf now = BUF(DOCUMENT_MAX);
	OWNED(buf) struct buf wanted = BUF(DOCUMENT_MAX);
	FILE *file;

	if (!read_whole(path, &now))
		return 1;
	if (!renew(buf_str(&now), &wanted)) {
		fprintf(stderr, "%s: the marks around the generated part are missing\n", path);
		return 1;
	}
	if (str_is(buf_str(&now), buf_str(&wanted)))
		return 0;
	if (!update) {
		fprintf(stderr, "%s is out of date: run trace_schema update %s\n", path, path);
		return 1;
	}
	file = fopen(path, "wb");
	if (!file || fwrite(wanted.at, 1, wanted.len, file) != wanted.len || fclose(file) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

static int print(enum err (*schema)(struct buf *out))
{
	OWNED(buf) struct buf out = BUF(DOCUMENT_MAX);

	if (schema(&out))
		return 1;
	fwrite(out.at, 1, out.len, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct str what = str_of(argc > 1 ? argv[1] : "");

	if (argc == 2 && str_is(what, S("json")))
		return print(trace_schema_json);
	if (argc == 2 && str_is(what, S("markdown")))
		return print(trace_schema_markdown);
	if (argc == 3 && (str_is(what, S("update")) || str_is(what, S("check"))))
		return document(argv[2], str_is(what, S("update")));
	fprintf(stderr, "usage: trace_schema json | markdown | update FILE | check FILE\n");
	return 2;
}
