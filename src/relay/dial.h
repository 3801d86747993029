/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dial: a connection to the first of a host's addresses that answers: the next one is tried beside those under
 * way every DIAL_STAGGER_MS [rfc8305 5], so that an address that leads nowhere costs a quarter of a second and no
 * time-out.
 */
#include "fiber/fiber.h"

enum { DIAL_STAGGER_MS = 250, DIAL_MAX = 16 };

/* `count` at most DIAL_MAX. *out: the stream, *which: of which address. Fails as the last one to fail did. */
[[nodiscard]] enum err dial(const struct addr *addresses, size_t count, moment deadline,
			    struct stream **out, size_t *which) WAITS;
