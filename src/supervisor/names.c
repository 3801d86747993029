/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/names.h"
#include "link/link.h"
#include "trace/trace.h"

void set_trace_names(void)
{
	static const char *names[ROLE_KINDS];

	for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
		names[kind] = role_kind_name((enum role_kind)kind);
	trace_set_role_names(names, ROLE_KINDS);
	trace_set_clock(now, wall_us);
}
