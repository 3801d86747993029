/* SPDX-License-Identifier: Apache-2.0 */
#include "store/health.h"

enum { FAILURES_FATAL = 2 };

enum err health_check(const struct health *health)
{
	return health->dead ? fault(ERR_IO, "the store failed before and is about to end") : OK;
}

void health_note(struct health *health, enum err err, bool broken)
{
	health->failures = err == ERR_IO ? health->failures + 1 : 0;
	if (health->dead || (!broken && health->failures < FAILURES_FATAL))
		return;
	health->dead = true;
	health->fatal(health->fatal_context, fault_text());
}
