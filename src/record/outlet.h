/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * outlet: log lines on their way to who reads them. Private to record/.
 *
 * Invariants
 *  (1) outlet_room, outlet_add and outlet_take_lost never wait for the reader, whatever it does: they are the
 *      recorder's, and may be called by one thread while another is in outlet_write.
 *  (2) Lines leave whole and in their order. Where the descriptor failed in the middle of one, the next begins on a
 *      line of its own.
 *  (3) No line goes without being counted: those that outlet_room had no room for by the caller, those that the
 *      descriptor refused by outlet_take_lost.
 */
#include "base/base.h"

#include <pthread.h>

struct outlet {
	pthread_mutex_t mutex;
	/* Under it: */
	struct buf waiting;
	uint64_t lost;
	int fd;
	/* Of who writes: */
	struct buf leaving;
	size_t left; /* octets of it that were written */
	bool is_torn;
};

/* Holds up to `room` octets, and as many again that outlet_write took to be written next. */
void outlet_init(struct outlet *outlet, size_t room);
void outlet_done(struct outlet *outlet);
/* Lines go there from now on; it stays the caller's. */
void outlet_to(struct outlet *outlet, int fd);
/* How many octets outlet_add takes; only outlet_write makes it more, and only outlet_add less. */
size_t outlet_room(struct outlet *outlet);
/* Whole lines, no more than there is room for. */
void outlet_add(struct outlet *outlet, struct str lines);
/* Lines that the descriptor refused since this was asked last. */
uint64_t outlet_take_lost(struct outlet *outlet);
/* Is there anything to write? */
bool outlet_has(struct outlet *outlet);
/* Writes until all is written, or it has waited so long for who reads. Of one thread at a time. */
void outlet_write(struct outlet *outlet, int64_t patience_ms);

uint64_t outlet_count_lines(struct str lines);
