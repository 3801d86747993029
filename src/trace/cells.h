/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cells: text as a terminal shows it, one code point in none, one or two cells. Private to trace/. */
#include "trace/trace.h"

/* How many cells harmless text takes. */
unsigned cells_count(struct str text);
/* Takes the longest beginning of at most `room` cells off harmless text; at a space when `words`. */
struct str cells_take(struct str *text, unsigned room, bool words);
