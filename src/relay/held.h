/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * held: the leases that this run of the relay knows to have, from the answer to a claim until its report has been
 * noted.
 *
 * The store may end between the commit of a claim and its answer. Such a lease is nobody's: the relay never heard of
 * it, and a store that begins anew cannot tell. So the next claim says which are known, and the others are given back.
 */
#include "base/base.h"

struct held {
	uint64_t *at;
	size_t count, room;
	bool is_unsure; /* an answer was lost, and no claim that told of it was answered since */
};

void held_add(struct held *held, uint64_t lease);
void held_remove(struct held *held, uint64_t lease);
void held_done(struct held *held);
