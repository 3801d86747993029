/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* serve: what serve, dev, init and check share. */
#include "cli/command.h"
#include "supervisor/supervisor.h"

enum { SERVE_OVERRIDES = 4 };

/* Options of the command line as "name=value"; the texts live in `arena`. */
size_t serve_overrides(const struct invocation *invocation, struct arena *arena,
		       struct str overrides[SERVE_OVERRIDES]);
