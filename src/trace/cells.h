/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cells: text as a terminal shows it, one code point in none, one or two cells. Private to trace/. */
#include "base/base.h"

/*
 * Adds text so that it can do nothing but be read: controls, octets that are no UTF-8 and code
 * points that are invisible or turn the direction of writing are spelled out; with `ascii`
 * everything past 0x7e is.
 */
void cells_add_harmless(struct buf *out, struct str text, bool ascii);
/* How many cells harmless text takes. */
unsigned cells_count(struct str text);
/* Takes the longest beginning of at most `room` cells off harmless text; at a space when `words`. */
struct str cells_take(struct str *text, unsigned room, bool words);
