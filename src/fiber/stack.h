/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * stack: guarded memory for fibers to stand on, and a pool of what ended fibers left.
 *
 * Invariants
 *  (1) Below the lowest octet lie pages that nothing may touch: an overflow is a SIGSEGV at once.
 *  (2) Pages never used, or trimmed, cost no memory: an idle fiber holds its topmost page.
 *  (3) The pool is bounded, and of its stacks only the few newest keep more than one page.
 */
#include "base/base.h"

struct stack {
	char *low;
	size_t size;
	unsigned valgrind_id;
	bool painted;
};

struct stack_pool {
	struct stack *free;
	size_t count;
	size_t room;
};

[[nodiscard]] enum err stack_take(struct stack_pool *pool, struct stack *out);
void stack_give(struct stack_pool *pool, struct stack *stack);
void stack_pool_drop(struct stack_pool *pool);
/* Give back the pages that lie wholly below `live`. */
void stack_trim(const struct stack *stack, const void *live);
/* Fill the stack up to `end` with a pattern, so that stack_used can tell how deep it went. */
void stack_paint(struct stack *stack, const void *end);
size_t stack_used(const struct stack *stack); /* octets from the top; 0 when not painted */
