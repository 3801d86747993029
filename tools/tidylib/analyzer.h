/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Included first by tools/tidy for clang-tidy alone: what its analyzer cannot see from one file. */
#include "base/base.h"

/* A failure that was noted is never OK. */
#define fault(err, ...)  (fault(err, __VA_ARGS__), (err))
#define fault_errno(...) (fault_errno(__VA_ARGS__), ERR_IO)

/* What was taken out of a list is out of it: the links of the rest lead there no more. */
struct list *taken_out(struct list *list);
#define list_take_first(list) taken_out(list)
