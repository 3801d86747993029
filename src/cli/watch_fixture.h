/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* watch_fixture: events for tests of watch, as the server tells them. */
#include "cli/watch.h"

static const int64_t WALL_US = 1767225600000000; /* 2026-01-01T00:00:00Z */

/* The row that the server would send; the reference is the caller's. */
json_t *row_of(const struct trace_event *event);
