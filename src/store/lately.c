/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lately.h"

static struct span *span_at(struct lately *lately, size_t index)
{
	return &lately->spans[(lately->first + index) % LATELY_SPANS];
}

void lately_add(struct lately *lately, struct span span)
{
	struct span *last = lately->count ? span_at(lately, lately->count - 1) : NULL;

	must(span.from < span.end && (!last || last->end <= span.from));
	lately->octets += span.end - span.from;
	if (last && (last->end == span.from || lately->count == LATELY_SPANS)) {
		/* Too many to tell apart: what lies between them goes with them. */
		lately->octets += span.from - last->end;
		last->end = span.end;
		return;
	}
	lately->count++;
	*span_at(lately, lately->count - 1) = span;
}

bool lately_take(struct lately *lately, uint64_t octets, struct span *out)
{
	if (!lately->count || (lately->octets <= octets && lately->count < LATELY_SPANS))
		return false;
	*out = *span_at(lately, 0);
	lately->octets -= out->end - out->from;
	lately->first = (lately->first + 1) % LATELY_SPANS;
	lately->count--;
	return true;
}
