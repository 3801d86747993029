/* SPDX-License-Identifier: Apache-2.0 */
/* A public collection of real and broken messages; skipped, loudly, where it is not there. */
#include "mail/mail.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 822, PATH = 600 };

static bool run(const char *const *argv)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static struct str read_file(struct arena *arena, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *at;
	long size;

	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	size = ftell(file);
	rewind(file);
	at = arena_take(arena, (size_t)size + 1);
	assert_int_equal(fread(at, 1, (size_t)size, file), size);
	fclose(file);
	return (struct str){ at, (size_t)size };
}

static void assert_inside(const struct mime *mime)
{
	for (size_t i = 1; i < mime->count; i++) {
		const struct mime_part *part = &mime->parts[i];
		const struct mime_part *parent = &mime->parts[part->parent];
		const struct mime_part *before = &mime->parts[i - 1];

		assert_true(part->header_at >= parent->body_at);
		assert_true(part->body_at + part->body_len <= parent->body_at + parent->body_len);
		if (part->parent != i - 1)
			assert_true(before->body_at + before->body_len <= part->header_at);
	}
}

struct totals {
	size_t messages, octets, parts, dated, shown;
};

static void inspect(struct str message, struct totals *totals)
{
	OWNED(arena) struct arena arena = { 0 };
	struct mime mime;
	struct summary summary;
	struct str structure;

	mime_parse(&arena, message, &mime);
	assert_inside(&mime);
	summary_of(&arena, &mime, &summary);
	structure = mime_structure_print(&arena, &mime);
	assert_true(structure.len <= LIMIT_structure_octets);
	assert_true(str_is_utf8(summary.subject) && str_is_utf8(summary.from) &&
		    str_is_utf8(summary.preview));
	assert_true(summary.preview.len <= LIMIT_preview_octets);
	totals->messages++;
	totals->octets += message.len;
	totals->parts += mime.count;
	totals->dated += summary.has_date;
	totals->shown += summary.preview.len > 0;
}

static void inspect_folder(struct arena *arena, const char *folder, struct totals *totals)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[PATH];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		inspect(read_file(arena, path), totals);
	}
	closedir(dir);
}

static void every_message_of_the_collection_is_understood(void **state)
{
	static const char archive[] = SOURCE_DIR "/../shared/suites/data/mime/messages.tar.xz";
	OWNED(arena) struct arena arena = { 0 };
	char folder[] = "/tmp/corpus.XXXXXX";
	struct totals totals = { 0 };
	const char *const untar[] = { "tar", "xJf", archive, "-C", folder, NULL };
	const char *const tidy[] = { "rm", "-r", folder, NULL };
	clock_t start;

	(void)state;
	if (access(archive, R_OK) != 0) {
		print_message("SKIPPED, not there: %s\n", archive);
		skip();
	}
	assert_non_null(mkdtemp(folder));
	assert_true(run(untar));
	start = clock();
	inspect_folder(&arena, folder, &totals);
	print_message("%zu messages, %zu octets, %zu parts, %zu with a date, %zu with a preview, "
		      "%ld ms\n",
		      totals.messages, totals.octets, totals.parts, totals.dated, totals.shown,
		      (long)((clock() - start) * 1000 / CLOCKS_PER_SEC));
	assert_true(run(tidy));
	assert_int_equal(totals.messages, MESSAGES);
	assert_true(totals.dated > MESSAGES / 2 && totals.shown > MESSAGES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_of_the_collection_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
