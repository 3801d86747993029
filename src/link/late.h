/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * late: an answer whose caller has given up may hand something out that nobody knows of: a handle, the lock of a
 * maildrop, a lease. It is given back by the call that is for that. Private to this folder.
 */
#include "link/codec.h"

/* What is in an answer of that kind; 0: nothing. */
struct late {
	uint64_t account, sasl, drop, view, lease, message;
};

/* Takes *fd when the answer has a place for it, and closes it. Errors as of shape_decode. */
[[nodiscard]] enum err late_take(const struct frame *frame, int *fd, struct late *out);
bool late_is_empty(const struct late *late);
/* Whatever comes of it: a callee that has ended meanwhile has nothing to be given. */
void late_give_back(struct link *link, const struct late *late) WAITS;
