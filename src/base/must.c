/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void must_fail(const char *condition, const char *file, int line, const char *function)
{
	fprintf(stderr, "glasspost: bug: %s:%d: %s: must(%s)\n", file, line, function, condition);
	abort();
}
