/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/roles.h"

#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv)
{
	struct invocation *invocation = calloc(1, sizeof *invocation);
	int status;

	must(invocation);
	status = command_parse(argc, argv, invocation);
	if (status != EX_OK) {
		free(invocation);
		return status;
	}
	if (!invocation->command && invocation->options[CLI_help])
		print_commands();
	else if (!invocation->command)
		print_ways_to_start();
	else if (invocation->options[CLI_help])
		print_command_help(invocation->command);
	else
		status = invocation->command->run(invocation);
	free(invocation);
	return fflush(stdout) == 0 ? status : EX_IOERR;
}

int cli_main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "role") == 0)
		return run_role(argc, argv);
	/* For packaging: what is made from the tables. */
	if (argc == 3 && strcmp(argv[1], "document") == 0)
		return print_document(argv[2]);
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("glasspost " GP_VERSION);
		return EX_OK;
	}
	return run(argc, argv);
}
