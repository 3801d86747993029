/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * value: what stands behind the equal sign, understood by its option's type. On a mistake nothing
 * is written and the complaint, without the option's name, says what is wrong and what to do.
 */
#include "config/table.h"

enum { VALUE_COMPLAINT_MAX = 400 };

bool value_take(struct arena *arena, const struct option_row *row, struct str text, void *place,
		char complaint[VALUE_COMPLAINT_MAX]);
/* "a, b" into words; blanks around them and empty ones are dropped. */
struct config_list value_list(struct arena *arena, struct str text);
/* The shortest spelling that value_take reads back as the same. */
void value_print_size(uint64_t octets, struct buf *out);
void value_print_duration(int64_t ms, struct buf *out);
/* A least or greatest value of that option, in its own unit. */
void value_print_bound(const struct option_row *row, uint64_t bound, struct buf *out);
