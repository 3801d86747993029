/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/inspect.h"

void inspection_run(struct inspection *inspection)
{
	struct arena *arena = &inspection->arena;

	mime_parse(arena, inspection->message, &inspection->mime);
	summary_of(arena, &inspection->mime, &inspection->summary);
	/* The structure tells the oddities of the header too. */
	inspection->mime.oddities = inspection->summary.oddities;
	inspection->structure = mime_structure_print(arena, &inspection->mime);
}

void inspection_done(struct inspection *inspection)
{
	arena_drop(&inspection->arena);
}
