/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * lately: large bodies of the active body file that the kernel still has in its memory, oldest first.
 *
 * What came lately is read soon: by the relay, by a client that waits for it. After that a large body is
 * mostly read once if at all, and would push hundreds of small ones out. So it leaves the kernel's memory
 * when LATELY_OCTETS of large ones have come behind it; and the pages that it leaves, rather than
 * pages that nobody has touched, are those that the next ones are written to.
 *
 * Invariants
 *  (1) Spans are in the order of the file and do not touch.
 *  (2) What was taken is not given again.
 *
 * All zero is an empty one.
 */
#include "base/base.h"

enum { LATELY_LARGE = 32 << 10, LATELY_OCTETS = 16 << 20, LATELY_SPANS = 256 };

struct span {
	uint64_t from;
	uint64_t end;
};

struct lately {
	struct span spans[LATELY_SPANS];
	size_t first, count;
	uint64_t octets; /* of all spans */
};

/* Behind all that were added before. */
void lately_add(struct lately *lately, struct span span);
/* The oldest, where more than `octets` are held or there is no place for another. */
bool lately_take(struct lately *lately, uint64_t octets, struct span *out);
