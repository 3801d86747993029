/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What codec and calls need to know of a body beyond link.h. */
#include "link/link.h"

/* Is it in a memfd? A body that was never named is all zero; a memfd is never empty. */
static inline bool body_is_memfd(const struct body *body)
{
	return body->fd > 0 || (body->fd == 0 && body->size > 0);
}

/* Sealed, and as large as it says; inline bodies always are. ERR_PROTOCOL. */
[[nodiscard]] enum err body_check(const struct body *body);
