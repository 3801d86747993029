/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* json: what the JSON line and its schema share. Private to trace/. */
#include "trace/trace.h"

enum { TRACE_JSON_VERSION = 1 };

const char *trace_direction_name(enum trace_direction direction);
