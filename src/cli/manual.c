/* SPDX-License-Identifier: Apache-2.0 */
/* glasspost(1), made from the tables; and the one place that prints all documents for packaging. */
#include "cli/command.h"
#include "config/config.h"

#include <stdio.h>

enum { DOCUMENT_MAX = 1 << 20 };

static void add_arguments(struct buf *out, const char *arguments)
{
	struct str rest = str_of(arguments);

	while (rest.len > 0) {
		size_t blank = str_find(rest, ' ');
		struct str word = str_first(rest, blank == STR_NONE ? rest.len : blank);
		bool optional = word.at[0] == '[';
		struct str name = optional ? str_first(str_from(word, 1), word.len - 2) : word;
		size_t dots = str_find_str(name, S("..."));

		name = str_first(name, dots == STR_NONE ? name.len : dots);
		buf_print(out, "%s%.*s%s", optional ? " Op Ar " : " Ar ", STR_ARGS(name),
			  dots == STR_NONE ? "" : " ...");
		rest = str_from(rest, word.len + 1);
	}
}

static void add_command(struct buf *out, const struct command *command)
{
	buf_print(out, ".It Cm %s", command->words);
	add_arguments(out, command->arguments);
	buf_add_char(out, '\n');
	mdoc_add(out, str_of(command->help));
	for (int i = 0; i < CLI_OPTIONS; i++) {
		const struct option_text *option = &cli_options[i];
		bool common = i == CLI_dir || i == CLI_help;

		if (common || !command_takes(command, (enum cli_option)i))
			continue;
		buf_print(out, ".Pp\n.Fl \\-%s", option->name);
		if (option->value[0])
			buf_print(out, " Ar %s", option->value);
		buf_add_c(out, " :\n");
		mdoc_add(out, str_of(option->doc));
	}
}

static const char manual_head[] =
	".\\\" Made by `glasspost document manual` from src/cli/commands.def and options.def.\n"
	".Dd November 21, 2026\n"
	".Dt GLASSPOST 1\n"
	".Os\n"
	".Sh NAME\n"
	".Nm glasspost\n"
	".Nd mail system whose every move can be watched\n"
	".Sh SYNOPSIS\n"
	".Nm\n"
	".Op Fl \\-dir Ar directory\n"
	".Ar command\n"
	".Op Ar argument ...\n"
	".Op Ar option ...\n"
	".Sh DESCRIPTION\n"
	".Nm\n"
	"receives mail by SMTP, submission and LMTP, keeps it, hands it out by POP3,\n"
	"and sends on what is for other servers.\n"
	"Every octet of every dialogue can be read back as a trace.\n"
	".Pp\n"
	"Options common to all commands:\n"
	".Bl -tag -width Ds\n"
	".It Fl \\-dir Ar directory\n"
	"The data directory.\n"
	"Default:\n"
	".Ev GLASSPOST_DIR ,\n"
	"else\n"
	".Pa /var/lib/glasspost .\n"
	".It Fl \\-help\n"
	"Explain the command.\n"
	".El\n"
	".Sh COMMANDS\n"
	".Bl -tag -width Ds\n";

static const char manual_tail[] =
	".El\n"
	".Sh FILES\n"
	".Bl -tag -width Ds\n"
	".It Pa glasspost.conf\n"
	"In the data directory: the configuration,\n"
	".Xr glasspost.conf 5 .\n"
	".It Pa store\n"
	"Accounts and mail.\n"
	".It Pa tls\n"
	"The self-signed certificate, where none is configured.\n"
	".It Pa run\n"
	"The lock, the control sockets, and the sockets of SMTP and LMTP.\n"
	".El\n"
	".Sh EXIT STATUS\n"
	"0 when all went well; 1 when the server refused or failed;\n"
	"64 for a command line that makes no sense;\n"
	"69 when the server is not running; 78 for a configuration with mistakes.\n"
	".Sh EXAMPLES\n"
	"Try it, without any configuration:\n"
	".Pp\n"
	".Dl $ glasspost dev\n"
	".Pp\n"
	"A real server with one account:\n"
	".Bd -literal -offset indent\n"
	"# glasspost init /var/lib/glasspost --hostname mail.example.org \\e\n"
	"      --domain example.org --address anna@example.org\n"
	"# glasspost serve\n"
	".Ed\n"
	".Sh SEE ALSO\n"
	".Xr glasspost.conf 5\n";

enum err document_manual(struct buf *out)
{
	buf_add_c(out, manual_head);
	for (size_t i = 0; i < cli_command_count; i++)
		add_command(out, &cli_commands[i]);
	buf_add_c(out, manual_tail);
	return out->failed ? ERR_LIMIT : OK;
}

static enum err document_example(struct buf *out)
{
	return config_write_default(S("mail.example.org"), out);
}

int print_document(const char *name)
{
	static const struct {
		const char *name;
		enum err (*write)(struct buf *out);
	} documents[] = {
		{ "bash", document_bash },
		{ "zsh", document_zsh },
		{ "fish", document_fish },
		{ "manual", document_manual },
		{ "configuration-manual", config_manual },
		{ "configuration-example", document_example },
	};
	OWNED(buf) struct buf out = BUF(DOCUMENT_MAX);

	for (size_t i = 0; i < COUNT_OF(documents); i++) {
		if (strcmp(documents[i].name, name) != 0)
			continue;
		must(documents[i].write(&out) == OK);
		fwrite(out.at, 1, out.len, stdout);
		return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
	}
	fprintf(stderr, "glasspost: there is no document %s\n", name);
	return EX_USAGE;
}
