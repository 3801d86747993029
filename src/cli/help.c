/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>

/* At most the terminal's width and 96, each line begun by `indent` blanks. */
static void print_wrapped(int indent, const char *text)
{
	struct str rest = str_of(text);
	size_t width = terminal_width() < 96 ? terminal_width() : 96;

	width = width > (size_t)indent + 20 ? width - (size_t)indent : 20;
	while (rest.len > 0) {
		size_t end = rest.len < width ? rest.len : width;

		while (end < rest.len && end > 0 && rest.at[end] != ' ')
			end--;
		if (end == 0)
			end = rest.len;
		printf("%*s%.*s\n", indent, "", (int)end, rest.at);
		rest = str_trim(str_from(rest, end));
	}
}

void print_ways_to_start(void)
{
	puts("Glasspost " GP_VERSION ", a mail system whose every move can be watched.\n"
	     "\n"
	     "Try it, no configuration needed; everything is forgotten at the end:\n"
	     "  glasspost dev\n"
	     "\n"
	     "Run a real server:\n"
	     "  glasspost init /var/lib/glasspost --hostname mail.example.org --domain "
	     "example.org\n"
	     "  glasspost --dir /var/lib/glasspost serve\n"
	     "  glasspost --dir /var/lib/glasspost account add anna@example.org\n"
	     "\n"
	     "Everything else:\n"
	     "  glasspost help");
}

void print_commands(void)
{
	puts("usage: glasspost [--dir DIR] COMMAND [ARGUMENT...] [OPTION...]\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		char line[120];

		snprintf(line, sizeof line, "%s%s%s", cli_commands[i].words,
			 cli_commands[i].arguments[0] ? " " : "", cli_commands[i].arguments);
		printf("  %-30s %s\n", line, cli_commands[i].summary);
	}
	puts("\nOptions of all commands:");
	printf("  --%-28s %s\n", "dir DIR", cli_options[CLI_dir].doc);
	printf("  --%-28s %s\n", "help", cli_options[CLI_help].doc);
	puts("\n`glasspost COMMAND --help` explains one. Manuals: glasspost(1), "
	     "glasspost.conf(5).");
}

void print_command_help(const struct command *command)
{
	printf("usage: glasspost %s%s%s [OPTION...]\n\n", command->words,
	       command->arguments[0] ? " " : "", command->arguments);
	print_wrapped(0, command->help);
	puts("\nOptions:");
	for (int i = 0; i < CLI_OPTIONS; i++) {
		char name[60];

		if (!command_takes(command, (enum cli_option)i))
			continue;
		snprintf(name, sizeof name, "--%s%s%s", cli_options[i].name,
			 cli_options[i].value[0] ? " " : "", cli_options[i].value);
		printf("  %s\n", name);
		print_wrapped(6, cli_options[i].doc);
	}
}

int run_help(const struct invocation *invocation)
{
	const struct command *command;
	size_t used = 0;

	if (invocation->word_count == 0) {
		print_commands();
		return EX_OK;
	}
	command = command_find(invocation->words, invocation->word_count, &used);
	if (command && used == invocation->word_count) {
		print_command_help(command);
		return EX_OK;
	}
	fprintf(stderr, "glasspost: there is no command %s; see glasspost help\n",
		invocation->words[0]);
	return EX_USAGE;
}

int run_version(const struct invocation *invocation)
{
	if (invocation->options[CLI_json])
		puts("{\"version\": \"" GP_VERSION "\"}");
	else
		puts("glasspost " GP_VERSION);
	return EX_OK;
}
