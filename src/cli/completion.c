/* SPDX-License-Identifier: Apache-2.0 */
/* Completions of bash, zsh and fish, made from the tables. */
#include "cli/command.h"

/* The first or the second word of a command; empty when there is none. */
static struct str word_of(const struct command *command, unsigned index)
{
	struct str words = str_of(command->words);
	size_t blank = str_find(words, ' ');

	if (index == 0)
		return str_first(words, blank == STR_NONE ? words.len : blank);
	return str_from(words, blank == STR_NONE ? words.len : blank + 1);
}

static bool is_first_of_group(size_t index)
{
	return index == 0 ||
	       !str_is(word_of(&cli_commands[index], 0), word_of(&cli_commands[index - 1], 0));
}

static void add_options(struct buf *out, const struct command *command)
{
	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (command_takes(command, (enum cli_option)i))
			buf_print(out, "--%s ", cli_options[i].name);
	}
}

static void add_first_words(struct buf *out)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		if (is_first_of_group(i))
			buf_print(out, "%.*s ", STR_ARGS(word_of(&cli_commands[i], 0)));
	}
}

static void add_second_words(struct buf *out, struct str group)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		if (str_is(word_of(&cli_commands[i], 0), group))
			buf_print(out, "%.*s ", STR_ARGS(word_of(&cli_commands[i], 1)));
	}
}

/* "--a|--b": the options that take a value. */
static void add_value_options(struct buf *out)
{
	const char *between = "";

	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (!cli_options[i].value[0])
			continue;
		buf_print(out, "%s--%s", between, cli_options[i].name);
		between = "|";
	}
}

/* A shell function that leaves the command's words, options passed over, in $words. */
static void add_bash_cases(struct buf *out)
{
	buf_add_c(out, "\tcase \"$found\" in\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		buf_print(out, "\t\"%s\"*) choices='", cli_commands[i].words);
		add_options(out, &cli_commands[i]);
		buf_add_c(out, "' ;;\n");
	}
	for (size_t i = 0; i < cli_command_count; i++) {
		if (!is_first_of_group(i) || word_of(&cli_commands[i], 1).len == 0)
			continue;
		buf_print(out, "\t\"%.*s \") choices='", STR_ARGS(word_of(&cli_commands[i], 0)));
		add_second_words(out, word_of(&cli_commands[i], 0));
		buf_add_c(out, "' ;;\n");
	}
	buf_add_c(out, "\t\"\") choices='--dir --help ");
	add_first_words(out);
	buf_add_c(out, "' ;;\n\tesac\n");
}

enum err document_bash(struct buf *out)
{
	buf_add_c(out, "# bash completion for glasspost; made by `glasspost document bash`.\n"
		       "_glasspost()\n{\n"
		       "\tlocal current=${COMP_WORDS[COMP_CWORD]} found= choices= i\n"
		       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		       "\t\tcase \"${COMP_WORDS[i]}\" in\n\t\t");
	add_value_options(out);
	buf_add_c(out, ") ((i++)) ;;\n"
		       "\t\t-*) ;;\n"
		       "\t\t*) found+=\"${COMP_WORDS[i]} \" ;;\n"
		       "\t\tesac\n\tdone\n"
		       "\tcase \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"
		       "\t--dir|--config) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
		       "\tesac\n");
	add_bash_cases(out);
	buf_add_c(out, "\tCOMPREPLY=($(compgen -W \"$choices\" -- \"$current\"))\n}\n"
		       "complete -F _glasspost glasspost\n");
	return out->failed ? ERR_LIMIT : OK;
}

/* A text inside single quotes, where brackets and colons mean something to zsh. */
static void add_zsh_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_add_c(out, "'\\''");
		else if (strchr("[]:\\", *text))
			buf_print(out, "\\%c", *text);
		else
			buf_add_char(out, *text);
	}
}

static void add_zsh_options(struct buf *out, const struct command *command)
{
	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (!command_takes(command, (enum cli_option)i))
			continue;
		buf_print(out, " '--%s[", cli_options[i].name);
		add_zsh_text(out, cli_options[i].doc);
		buf_add_char(out, ']');
		if (cli_options[i].value[0])
			buf_print(out, ":%s:%s", cli_options[i].value,
				  i == CLI_dir || i == CLI_config ? "_files" : "");
		buf_add_char(out, '\'');
	}
}

enum err document_zsh(struct buf *out)
{
	buf_add_c(out, "#compdef glasspost\n# Made by `glasspost document zsh`.\n_glasspost() {\n"
		       "\tlocal -a commands\n\tlocal found=\"${words[2]} ${words[3]}\"\n"
		       "\tif [[ ${words[2]} == --dir ]]; then "
		       "found=\"${words[4]} ${words[5]}\"; fi\n"
		       "\tcase \"$found\" in\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		buf_print(out, "\t\"%s\"*) _arguments", cli_commands[i].words);
		add_zsh_options(out, &cli_commands[i]);
		buf_add_c(out, " '*:argument:' ;;\n");
	}
	buf_add_c(out, "\t*)\n\t\tcommands=(\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		buf_print(out, "\t\t'%s:", cli_commands[i].words);
		add_zsh_text(out, cli_commands[i].summary);
		buf_add_c(out, "'\n");
	}
	buf_add_c(out,
		  "\t\t)\n\t\t_describe command commands -Q ;;\n\tesac\n}\n_glasspost \"$@\"\n");
	return out->failed ? ERR_LIMIT : OK;
}

static void add_fish_text(struct buf *out, const char *text)
{
	buf_add_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
	buf_add_char(out, '\'');
}

static void add_fish_command(struct buf *out, size_t index)
{
	const struct command *command = &cli_commands[index];
	struct str first = word_of(command, 0);
	struct str second = word_of(command, 1);

	if (second.len > 0)
		buf_print(
			out,
			"complete -c glasspost -n '__fish_seen_subcommand_from %.*s' -a '%.*s' -d ",
			STR_ARGS(first), STR_ARGS(second));
	else
		buf_print(out, "complete -c glasspost -n __fish_use_subcommand -a '%.*s' -d ",
			  STR_ARGS(first));
	add_fish_text(out, command->summary);
	buf_add_char(out, '\n');
	if (second.len > 0 && is_first_of_group(index))
		buf_print(out, "complete -c glasspost -n __fish_use_subcommand -a '%.*s'\n",
			  STR_ARGS(first));
	for (int i = 0; i < CLI_OPTIONS; i++) {
		if (!command_takes(command, (enum cli_option)i) || i == CLI_dir || i == CLI_help)
			continue;
		buf_print(out,
			  "complete -c glasspost -n '__fish_seen_subcommand_from %.*s' -l %s%s -d ",
			  STR_ARGS(second.len ? second : first), cli_options[i].name,
			  cli_options[i].value[0] ? " -r" : "");
		add_fish_text(out, cli_options[i].doc);
		buf_add_char(out, '\n');
	}
}

enum err document_fish(struct buf *out)
{
	buf_add_c(out, "# fish completion for glasspost; made by `glasspost document fish`.\n"
		       "complete -c glasspost -f\n"
		       "complete -c glasspost -l dir -r -F -d 'The data directory'\n"
		       "complete -c glasspost -l help -d 'Explain the command'\n");
	for (size_t i = 0; i < cli_command_count; i++)
		add_fish_command(out, i);
	return out->failed ? ERR_LIMIT : OK;
}
