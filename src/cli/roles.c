/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/roles.h"
#include "filter/filter.h"
#include "gate/gate.h"
#include "relay/relay.h"
#include "store/store.h"
#include "web/web.h"

#include <stdio.h>
#include <sysexits.h>

const struct role_ops *const cli_roles[] = { &store_role,   &filter_role,    &relay_role,
					     &gate_mx_role, &gate_user_role, &web_role,
					     NULL };

int run_role(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && cli_roles[i]; i++) {
		if (strcmp(argv[2], role_kind_name(cli_roles[i]->kind)) == 0)
			return role_main(cli_roles[i], argc, argv);
	}
	fputs("glasspost: roles are started by the supervisor only; see glasspost serve\n", stderr);
	return EX_USAGE;
}
