/* SPDX-License-Identifier: Apache-2.0 */
/*
 * texts FILE.json: the explanations as a C file on standard output, sorted by their way
 * ("smtp/verbs/EHLO"), so that the program finds one without reading JSON at run time. Built and run
 * while the program is built.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 2000, WAY_MAX = 120 };

struct entry {
	char way[WAY_MAX];
	const json_t *json;
};

static struct entry entries[ENTRIES_MAX];
static size_t entry_count;

static void fail(const char *way, const char *what)
{
	fprintf(stderr, "texts: %s: %s\n", way, what);
	exit(1);
}

static void add_entry(const char *way, const json_t *json)
{
	struct entry *entry = &entries[entry_count];

	if (entry_count == ENTRIES_MAX)
		fail(way, "more explanations than this tool has room for");
	if (snprintf(entry->way, sizeof entry->way, "%s", way) >= (int)sizeof entry->way)
		fail(way, "the names on the way there are too long");
	entry->json = json;
	entry_count++;
}

/* The file is ours, and three levels deep at most. */
static void gather(const char *way, json_t *json, int depth)
{
	const char *name;
	json_t *inner;

	if (depth > 3 || !json_is_object(json))
		fail(way, "neither an explanation nor a group of them");
	if (json_object_get(json, "title")) {
		add_entry(way, json);
		return;
	}
	json_object_foreach(json, name, inner)
	{
		char longer[WAY_MAX];

		if (snprintf(longer, sizeof longer, "%s%s%s", way, way[0] ? "/" : "", name) >=
		    (int)sizeof longer)
			fail(name, "a name that is too long");
		gather(longer, inner, depth + 1);
	}
}

static int by_way(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->way, ((const struct entry *)b)->way);
}

/* As the inside of a C string; octal escapes, so that no digit behind can belong to one. */
static void print_inside(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		if (*at < 0x20 || *at > 0x7e || *at == '"' || *at == '\\' || *at == '?')
			printf("\\%03o", *at);
		else
			putchar(*at);
	}
}

static void print_text(const struct entry *entry, const char *member, bool needed)
{
	const char *text = json_string_value(json_object_get(entry->json, member));

	if (needed && !text)
		fail(entry->way, member);
	printf("\t  .%s = \"", member);
	print_inside(text ? text : "");
	puts("\",");
}

/* [["5321","4.1.1.1"]] as "RFC 5321 section 4.1.1.1". */
static void print_rfc(const struct entry *entry)
{
	const json_t *list = json_object_get(entry->json, "rfc");

	printf("\t  .rfc = \"");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *number = json_string_value(json_array_get(one, 0));
		const char *section = json_string_value(json_array_get(one, 1));

		if (!number || !section)
			fail(entry->way, "rfc is a list of pairs, number and section");
		printf("%sRFC %s%s%s", i ? "; " : "", number, section[0] ? " section " : "",
		       section);
	}
	puts("\",");
}

static void print_answers(const struct entry *entry)
{
	const json_t *list = json_object_get(entry->json, "answers");

	printf("\t  .answers = \"");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *code = json_string_value(json_array_get(list, i));

		if (!code)
			fail(entry->way, "answers is a list of codes");
		printf("%s", i ? " " : "");
		print_inside(code);
	}
	puts("\" },");
}

static void print_entry(const struct entry *entry)
{
	printf("\t{ .way = \"");
	print_inside(entry->way);
	puts("\",");
	print_text(entry, "title", true);
	print_rfc(entry);
	print_text(entry, "syntax", false);
	print_text(entry, "newcomer", true);
	print_text(entry, "student", true);
	print_text(entry, "rfc_says", true);
	print_answers(entry);
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *json;

	if (argc != 2) {
		fputs("usage: texts FILE.json\n", stderr);
		return 2;
	}
	json = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!json) {
		fprintf(stderr, "%s:%d: %s\n", argv[1], error.line, error.text);
		return 1;
	}
	gather("", json, 0);
	qsort(entries, entry_count, sizeof entries[0], by_way);
	puts("/* Made from texts/ by tools/texts.c. */\n#include \"cli/explain.h\"\n\n"
	     "const struct explanation explanations[] = {");
	for (size_t i = 0; i < entry_count; i++)
		print_entry(&entries[i]);
	printf("};\nconst size_t explanation_count = %zu;\n", entry_count);
	json_decref(json);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
