/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * base: what every other floor stands on. Needs nothing but libc.
 *
 * One include for all of it: values (str, buf, scan, addr), memory (arena), containers
 * (list, heap), failures (err, must) and every fixed limit of the program (limits).
 */
#include <assert.h> /* static_assert only; conditions at run time are must() */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * This call may let other fibers run: no invariant of shared state may be half-done across it.
 * Only functions marked WAITS call functions marked WAITS; tools/tidy checks it.
 */
#define WAITS

/* OWNED(buf) struct buf b: dropped on every way out of the scope, by buf_drop(&b). */
#define OWNED(type) __attribute__((cleanup(type##_drop)))

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define COUNT_OF(array)          (sizeof(array) / sizeof((array)[0]))
/* The struct that holds this member. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#include "base/must.h"

#include "base/err.h"
#include "base/limits.h"

#include "base/arena.h"
#include "base/str.h"

#include "base/addr.h"
#include "base/buf.h"
#include "base/encode.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/scan.h"
