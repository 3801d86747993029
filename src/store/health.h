/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * health: whether a thread that writes may go on. After a failed flush nobody knows what the disk
 * holds, and a device that fails twice in a row is not asked again: `fatal` is called once, and the
 * process is expected to end and recover.
 *
 * One thread at a time.
 */
#include "base/base.h"

struct health {
	unsigned failures; /* in a row, by input or output */
	bool dead;
	void (*fatal)(void *context, const char *text); /* any thread */
	void *fatal_context;
};

/* OK, or why nothing is written any more. */
[[nodiscard]] enum err health_check(const struct health *health);
/* What became of the last batch; `broken`: a flush failed. The fault's text is told. */
void health_note(struct health *health, enum err err, bool broken);
