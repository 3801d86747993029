/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/held.h"

#include <stdlib.h>

void held_add(struct held *held, uint64_t lease)
{
	if (held->count == held->room) {
		held->room = held->room ? held->room * 2 : 64;
		held->at = reallocarray(held->at, held->room, sizeof(*held->at));
		must(held->at);
	}
	held->at[held->count++] = lease;
}

void held_remove(struct held *held, uint64_t lease)
{
	for (size_t i = 0; i < held->count; i++) {
		if (held->at[i] != lease)
			continue;
		held->at[i] = held->at[--held->count];
		return;
	}
}

void held_done(struct held *held)
{
	free(held->at);
	*held = (struct held){ 0 };
}
