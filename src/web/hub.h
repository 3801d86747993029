/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * hub: the live events once for all who may see all of them: the store tells them to one view, and they are made ready
 * for browsers once, however many look on. Private to web/.
 *
 * Invariants
 *  (1) Events are in the store's order, numbered from the hub's beginning; those that the store lost have numbers too.
 *  (2) At most LIMIT_web_hub octets are held, and what readers are in the middle of; who is slower has missed some, and
 *      knows how many.
 *  (3) An event after a silence is told at once, others after it GATHER_MS together.
 *  (4) Past LIMIT_web_events a second sessions are left out of what is told of all, as few as suffice: nobody could look
 *      at more, and each event costs as often as somebody looks on. Who follows one session gets all of it.
 *  (5) A hub ends with its last reader, or with its view; then all its readers are woken.
 */
#include "web/look.h"

struct hub;

/* Some events. Lives as long as anybody holds it. */
struct hub_piece {
	struct list link;
	unsigned references;
	uint64_t first; /* number of its first event */
	uint64_t count;
	struct buf text; /* server-sent events */
	struct buf told; /* where some are left out: the others, and how many those are */
};

/* Who looks on: its exchange is told whenever there is more. */
struct hub_reader {
	struct list link;
	struct exchange *exchange;
};

/* The web role's hub; `look` is a view of all events that was just opened, and is the hub's now. */
struct hub *hub_join(struct web *web, struct look *look, struct hub_reader *reader) WAITS;
void hub_leave(struct hub *hub, struct hub_reader *reader);
bool hub_has_ended(const struct hub *hub);
/* The number that the next event will have. */
uint64_t hub_end(const struct hub *hub);
/*
 * The piece after `before`, which is given back; NULL for `before`: that with the event `number`. The oldest where
 * that is gone. NULL: there is none yet, and `before` stays the reader's. What is taken is given back.
 */
struct hub_piece *hub_take(struct hub *hub, struct hub_piece *before, uint64_t number);
void hub_give(struct hub_piece *piece);
