/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* kept: texts that an index keeps: of the heap, each its holder's alone. Private to record/. */
#include "base/base.h"

/* As much of the text as fits, and no part of a character. */
struct str text_cut(struct str text, size_t max);
/* Keeps a copy of it, cut, in the place of what was there. */
void kept_set(struct str *place, struct str text, size_t max);
void kept_drop(struct str *place);
