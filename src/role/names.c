/* SPDX-License-Identifier: Apache-2.0 */
#include "role/role.h"

void role_name_traces(void)
{
	static const char *names[ROLE_KINDS];

	for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
		names[kind] = role_kind_name((enum role_kind)kind);
	trace_set_role_names(names, ROLE_KINDS);
	trace_set_clock(now, wall_us);
}
