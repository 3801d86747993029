/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serve.h"
#include "cli/roles.h"

#include <stdio.h>
#include <unistd.h>

size_t serve_overrides(const struct invocation *invocation, struct arena *arena,
		       struct str overrides[SERVE_OVERRIDES])
{
	size_t count = 0;

	if (invocation->options[CLI_port_base])
		overrides[count++] =
			str_print(arena, "port_base=%s", invocation->options[CLI_port_base]);
	if (invocation->options[CLI_together])
		overrides[count++] = S("together=yes");
	return count;
}

int run_serve(const struct invocation *invocation)
{
	struct arena arena = { 0 };
	struct str overrides[SERVE_OVERRIDES];
	const struct supervisor_options options = {
		.folder = invocation->folder,
		.config_path = invocation->options[CLI_config],
		.overrides = overrides,
		.override_count = serve_overrides(invocation, &arena, overrides),
		.roles = cli_roles,
	};
	int status;

	if (access(invocation->folder, F_OK) != 0) {
		fprintf(stderr,
			"glasspost: there is no %s; make it with:\n"
			"  glasspost init %s --hostname mail.example.org --domain example.org\n",
			invocation->folder, invocation->folder);
		return EX_CONFIG;
	}
	status = supervisor_main(&options);
	arena_drop(&arena);
	return status;
}
