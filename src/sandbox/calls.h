/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* calls: promises.def as a list of rules, and the seccomp filter made from it. */
#include "base/base.h"

/* The calls of one promise, or (PROMISES) those that are refused softly, for the documentation. */
void calls_print(struct buf *out, unsigned promise);
