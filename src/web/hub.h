/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * hub: the live events once for all who may see all of them: the store tells them to one view, however many look on.
 * Private to web/.
 *
 * Invariants
 *  (1) Rows are the store's (record.h: session follow, with cursors), in its order, numbered from the hub's beginning.
 *  (2) At most LIMIT_web_hub octets are held; who is slower than that has missed some, and knows how many.
 *  (3) A hub ends with its last user, or with its view; then all its users end.
 */
#include "web/look.h"

struct hub;

/* Some rows. Lives as long as anybody holds it. */
struct hub_piece {
	struct list link;
	unsigned references;
	uint64_t first; /* number of its first row */
	uint64_t count;
	struct str rows; /* lines of JSON */
};

/* The web role's hub; `look` is a view of all events that was just opened, and is the hub's now. */
struct hub *hub_join(struct web *web, struct look *look) WAITS;
void hub_leave(struct hub *hub);
bool hub_has_ended(const struct hub *hub);
/* The number that the next row will have. */
uint64_t hub_end(const struct hub *hub);
/*
 * The piece with row `number`, or the oldest after it; NULL: there was none until the deadline. Give it back.
 */
struct hub_piece *hub_take(struct hub *hub, uint64_t number, moment deadline) WAITS;
void hub_give(struct hub_piece *piece);
