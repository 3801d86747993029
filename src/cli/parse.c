/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLDER_DEFAULT "/var/lib/glasspost"

const struct option_text cli_options[CLI_OPTIONS] = {
#define CLI_OPTION(id, name, value, doc) { name, value, doc },
#include "cli/options.def"
};

const struct command cli_commands[] = {
#define COMMAND(words, id, arguments, options, summary, help)                                      \
	{ words, arguments, options, summary, help, run_##id },
#include "cli/commands.def"
};
const size_t cli_command_count = COUNT_OF(cli_commands);

static int option_of(struct str given)
{
	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (str_is(str_of(cli_options[i].name), given))
			return i;
	}
	return -1;
}

static bool lists_word(const char *list, struct str word)
{
	struct str rest = str_of(list);

	while (rest.len > 0) {
		size_t blank = str_find(rest, ' ');
		struct str name = str_first(rest, blank == STR_NONE ? rest.len : blank);

		if (str_is(name, word))
			return true;
		rest = str_from(rest, name.len + 1);
	}
	return false;
}

bool command_takes(const struct command *command, enum cli_option option)
{
	return option == CLI_dir || option == CLI_help ||
	       lists_word(command->options, str_of(cli_options[option].name));
}

static bool words_match(const char *name, const char *const *words, size_t count, size_t *used)
{
	struct str rest = str_of(name);
	size_t n = 0;

	while (rest.len > 0) {
		size_t blank = str_find(rest, ' ');
		struct str word = str_first(rest, blank == STR_NONE ? rest.len : blank);

		if (n == count || !str_is(word, str_of(words[n])))
			return false;
		n++;
		rest = str_from(rest, word.len + 1);
	}
	*used = n;
	return true;
}

const struct command *command_find(const char *const *words, size_t count, size_t *used)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		if (words_match(cli_commands[i].words, words, count, used))
			return &cli_commands[i];
	}
	return NULL;
}

static int usage_error(const char *what, const char *about, const char *advice)
{
	fprintf(stderr, "glasspost: %s%s%s\n", what, about, advice);
	return EX_USAGE;
}

static bool may_repeat(int option)
{
	return str_ends_nocase(str_of(cli_options[option].value), S("..."));
}

static int keep_value(int option, const char *value, struct invocation *out)
{
	out->options[option] = value;
	if (!may_repeat(option))
		return EX_OK;
	if (out->value_count == VALUES_MAX)
		return usage_error("given too many times: --", cli_options[option].name, "");
	out->values[out->value_count++] = value;
	return EX_OK;
}

/* "--name=value", "--name value" or "--flag"; *next is the index of the word behind it. */
static int take_option(char **argv, int *at, int argc, struct invocation *out)
{
	struct str text = str_from(str_of(argv[*at]), 2);
	size_t equal = str_find(text, '=');
	int option = option_of(str_first(text, equal == STR_NONE ? text.len : equal));

	if (option < 0)
		return usage_error("there is no option ", argv[*at], "; see glasspost help");
	if (out->options[option] && !may_repeat(option))
		return usage_error("given twice: ", argv[*at], "");
	if (cli_options[option].value[0] == '\0') {
		if (equal != STR_NONE)
			return usage_error("takes no value: ", argv[*at], "");
		out->options[option] = "";
		return EX_OK;
	}
	if (equal != STR_NONE)
		return keep_value(option, argv[*at] + 2 + equal + 1, out);
	if (*at + 1 >= argc)
		return usage_error("needs a value: ", argv[*at], "");
	return keep_value(option, argv[++*at], out);
}

static int split(int argc, char **argv, struct invocation *out)
{
	bool options_end = false;
	int status = EX_OK;

	for (int i = 1; i < argc && status == EX_OK; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0)
			options_end = true;
		else if (!options_end && strcmp(argv[i], "-h") == 0)
			out->options[CLI_help] = "";
		else if (!options_end && strncmp(argv[i], "--", 2) == 0)
			status = take_option(argv, &i, argc, out);
		else if (!options_end && argv[i][0] == '-' && argv[i][1])
			status =
				usage_error("there is no option ", argv[i], "; see glasspost help");
		else if (out->word_count == WORDS_MAX)
			status = usage_error("too many arguments", "", "");
		else
			out->words[out->word_count++] = argv[i];
	}
	return status;
}

/* ADDRESS: one; [WORD]: none or one; WORD...: one or more; [WORD...]: any number. */
static bool count_fits(const char *arguments, size_t count)
{
	size_t least = 0;
	size_t most = 0;
	struct str rest = str_of(arguments);

	while (rest.len > 0) {
		size_t blank = str_find(rest, ' ');
		struct str word = str_first(rest, blank == STR_NONE ? rest.len : blank);

		least += word.at[0] != '[';
		most = str_find_str(word, S("...")) == STR_NONE ? most + (most < WORDS_MAX)
								: WORDS_MAX;
		rest = str_from(rest, word.len + 1);
	}
	return count >= least && count <= most;
}

static int check_fit(const struct invocation *invocation)
{
	const struct command *command = invocation->command;

	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (invocation->options[i] && !command_takes(command, (enum cli_option)i)) {
			fprintf(stderr, "glasspost: `%s` takes no --%s; see glasspost %s --help\n",
				command->words, cli_options[i].name, command->words);
			return EX_USAGE;
		}
	}
	if (invocation->options[CLI_help] || count_fits(command->arguments, invocation->word_count))
		return EX_OK;
	fprintf(stderr, "usage: glasspost %s%s%s\nsee glasspost %s --help\n", command->words,
		command->arguments[0] ? " " : "", command->arguments, command->words);
	return EX_USAGE;
}

static int unknown_command(const struct invocation *invocation)
{
	const char *first = invocation->words[0];
	bool group = false;

	for (size_t i = 0; i < cli_command_count; i++) {
		struct str words = str_of(cli_commands[i].words);

		if (str_starts(words, str_of(first)) && words.len > strlen(first) &&
		    words.at[strlen(first)] == ' ') {
			if (!group)
				fprintf(stderr, "glasspost: what about the %s? There is:\n", first);
			fprintf(stderr, "  glasspost %s %s\n", cli_commands[i].words,
				cli_commands[i].arguments);
			group = true;
		}
	}
	if (!group)
		fprintf(stderr, "glasspost: there is no command %s; see glasspost help\n", first);
	return EX_USAGE;
}

int command_parse(int argc, char **argv, struct invocation *out)
{
	const char *folder = getenv("GLASSPOST_DIR");
	size_t used = 0;
	int status = split(argc, argv, out);

	if (status != EX_OK)
		return status;
	out->folder = folder && folder[0] ? folder : FOLDER_DEFAULT;
	if (out->options[CLI_dir])
		out->folder = out->options[CLI_dir];
	if (out->word_count == 0)
		return EX_OK;
	out->command = command_find(out->words, out->word_count, &used);
	if (!out->command)
		return unknown_command(out);
	memmove(out->words, out->words + used, (WORDS_MAX + 1 - used) * sizeof out->words[0]);
	out->word_count -= used;
	return check_fit(out);
}
