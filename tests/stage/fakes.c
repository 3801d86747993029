/* SPDX-License-Identifier: Apache-2.0 */
#include "stage/stage.h"

struct link *stage_link(enum role_kind role, const struct link_handlers *handlers, void *house,
			struct fiber_group *group)
{
	struct channel *ends[2];
	struct link *link = link_new(ROLE_GATE_USER, role);

	must(!channel_pair_memory(ends));
	must(!link_serve(ends[0], role, ROLE_GATE_USER, 0, handlers, house, group));
	must(!link_attach(link, 0, ends[1]));
	return link;
}
