/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dial: a connection to the first of a host's addresses that answers: the next one is tried beside those under
 * way every DIAL_STAGGER_MS [rfc8305 5], so that an address that leads nowhere costs a quarter of a second and no
 * time-out.
 */
#include "fiber/fiber.h"

enum { DIAL_STAGGER_MS = 250, DIAL_MAX = 16 };

struct dialled {
	const struct addr *addresses;
	size_t count; /* from 1 to DIAL_MAX */
	/* From which addresses of ours, one by chance of those of the family; an address without one is passed over.
	   None: from any. */
	const struct addr *sources;
	size_t source_count;
	moment deadline;
};

/* *out: the stream, *which: of which address. Fails as the last one to fail did. */
[[nodiscard]] enum err dial(const struct dialled *dialled, struct stream **out, size_t *which)
	WAITS;
