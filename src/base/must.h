/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * must: a condition whose failure is a bug of ours. Always compiled in; prints where and what
 * and aborts, and the supervisor restarts the role. Bytes from outside can never trip one.
 */
#define must(condition)                                                                            \
	((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__, __func__))

/* What must() calls: prints the condition with its place to stderr and aborts. */
_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function);
