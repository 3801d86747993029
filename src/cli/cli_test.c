/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Splits a command line at its blanks. */
static int parse(const char *line, struct invocation *out)
{
	static char copy[1000];
	char *words[60];
	char *place = NULL;
	int count = 0;

	snprintf(copy, sizeof copy, "%s", line);
	for (char *w = strtok_r(copy, " ", &place); w; w = strtok_r(NULL, " ", &place))
		words[count++] = w;
	*out = (struct invocation){ 0 };
	return command_parse(count, words, out);
}

static void command_lines_are_understood(void **state)
{
	struct invocation i;

	(void)state;
	unsetenv("GLASSPOST_DIR");
	assert_int_equal(parse("glasspost", &i), EX_OK);
	assert_null(i.command);
	assert_int_equal(parse("glasspost account add a@b.example --password-stdin", &i), EX_OK);
	assert_string_equal(i.command->words, "account add");
	assert_string_equal(i.words[0], "a@b.example");
	assert_int_equal(i.word_count, 1);
	assert_non_null(i.options[CLI_password_stdin]);
	assert_string_equal(i.folder, "/var/lib/glasspost");
	assert_int_equal(parse("glasspost --dir /x alias add a@b c@d e@f", &i), EX_OK);
	assert_string_equal(i.folder, "/x");
	assert_int_equal(i.word_count, 3);
	assert_int_equal(parse("glasspost ready --wait=30s", &i), EX_OK);
	assert_string_equal(i.options[CLI_wait], "30s");
	assert_int_equal(parse("glasspost account delete -- --odd@b.example", &i), EX_OK);
	assert_string_equal(i.words[0], "--odd@b.example");
	assert_int_equal(parse("glasspost account list", &i), EX_OK);
	assert_int_equal(parse("glasspost account add --help", &i), EX_OK);
	setenv("GLASSPOST_DIR", "/y", 1);
	assert_int_equal(parse("glasspost status", &i), EX_OK);
	assert_string_equal(i.folder, "/y");
}

static void command_lines_that_make_no_sense_are_usage_errors(void **state)
{
	static const char *const lines[] = {
		"glasspost frobnicate",
		"glasspost account",
		"glasspost account frobnicate",
		"glasspost account add",
		"glasspost account add a@b c@d",
		"glasspost alias add a@b",
		"glasspost --frobnicate",
		"glasspost serve -x",
		"glasspost serve --port-base",
		"glasspost serve --together=yes",
		"glasspost account list a b",
		"glasspost version --deep",
		"glasspost --dir /a --dir /b serve",
		"glasspost serve now",
	};
	struct invocation i;

	(void)state;
	for (size_t n = 0; n < COUNT_OF(lines); n++) {
		if (parse(lines[n], &i) != EX_USAGE)
			fail_msg("%s", lines[n]);
	}
}

static void every_option_of_the_commands_exists_and_every_option_is_used(void **state)
{
	bool used[CLI_OPTIONS] = { [CLI_dir] = true, [CLI_help] = true };

	(void)state;
	for (size_t n = 0; n < cli_command_count; n++) {
		const struct command *command = &cli_commands[n];
		size_t known = 0;
		size_t words = command->options[0] != '\0';

		for (int o = 0; o < CLI_OPTIONS; o++) {
			if (o == CLI_dir || o == CLI_help ||
			    !command_takes(command, (enum cli_option)o))
				continue;
			used[o] = true;
			known++;
		}
		for (const char *c = command->options; *c; c++)
			words += *c == ' ';
		if (known != words)
			fail_msg("%s: %s", command->words, command->options);
		assert_true(strlen(command->summary) > 10 && strlen(command->help) > 10);
	}
	for (int o = 0; o < CLI_OPTIONS; o++) {
		if (!used[o])
			fail_msg("no command takes --%s", cli_options[o].name);
	}
}

static void times_have_units(void **state)
{
	int64_t ms;

	(void)state;
	assert_true(take_time("30s", &ms) && ms == 30000);
	assert_true(take_time("2m", &ms) && ms == 120000);
	assert_true(take_time("200ms", &ms) && ms == 200);
	assert_true(take_time("5", &ms) && ms == 5000);
	assert_false(take_time("soon", &ms));
	assert_false(take_time("-1s", &ms));
	assert_false(take_time("", &ms));
}

static void documents_name_every_command(void **state)
{
	static enum err (*const writers[])(struct buf *) = { document_bash, document_zsh,
							     document_fish, document_manual };

	(void)state;
	for (size_t w = 0; w < COUNT_OF(writers); w++) {
		OWNED(buf) struct buf out = BUF(1 << 20);

		assert_int_equal(writers[w](&out), OK);
		for (size_t n = 0; n < cli_command_count; n++) {
			const char *words = cli_commands[n].words;
			const char *second = strrchr(words, ' ');

			if (str_find_str(buf_str(&out), str_of(second ? second + 1 : words)) ==
			    STR_NONE)
				fail_msg("document %zu lacks %s", w, words);
		}
	}
}

/* What print_table writes, in memory. */
static char *table_of(const char *json)
{
	json_t *rows = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len = 0;
	FILE *before = stdout;

	assert_non_null(rows);
	stdout = open_memstream(&text, &len);
	print_table(rows);
	fclose(stdout);
	stdout = before;
	json_decref(rows);
	return text;
}

static void tables_are_aligned_and_hold_no_control_characters(void **state)
{
	char *text = table_of("[{\"name\":\"a\",\"size_octets\":7,\"on\":true},"
			      "{\"name\":\"gr\\u00fc\\u001b[1m\",\"size_octets\":1234567890123,"
			      "\"on\":false}]");

	(void)state;
	assert_string_equal(text, "NAME          SIZE OCTETS  ON\n"
				  "a                       7  yes\n"
				  "gr\xC3\xBC\\x1B[1m  1234567890123  no\n");
	free(text);
	text = table_of("[]");
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines_are_understood),
		cmocka_unit_test(command_lines_that_make_no_sense_are_usage_errors),
		cmocka_unit_test(every_option_of_the_commands_exists_and_every_option_is_used),
		cmocka_unit_test(times_have_units),
		cmocka_unit_test(documents_name_every_command),
		cmocka_unit_test(tables_are_aligned_and_hold_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
