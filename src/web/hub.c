/* SPDX-License-Identifier: Apache-2.0 */
#include "web/hub.h"

#include <stdlib.h>

enum { LOOK_UP_MS = 500 };

struct hub {
	struct web *web;
	struct look look;
	struct list pieces; /* the oldest first */
	size_t octets;
	uint64_t end;
	unsigned users; /* with its fiber */
	bool has_ended;
	struct waitq came;
};

void hub_give(struct hub_piece *piece)
{
	if (--piece->references)
		return;
	free((char *)(uintptr_t)piece->rows.at);
	free(piece);
}

static void drop_oldest(struct hub *hub)
{
	struct hub_piece *piece =
		CONTAINER_OF(list_take_first(&hub->pieces), struct hub_piece, link);

	hub->octets -= piece->rows.len;
	hub_give(piece);
}

static void let_go(struct hub *hub)
{
	if (--hub->users)
		return;
	while (!list_is_empty(&hub->pieces))
		drop_oldest(hub);
	free(hub);
}

static void keep(struct hub *hub, struct str rows)
{
	struct hub_piece *piece = calloc(1, sizeof(*piece));

	must(piece);
	piece->references = 1;
	piece->first = hub->end;
	for (size_t i = 0; i < rows.len; i++)
		piece->count += rows.at[i] == '\n';
	piece->rows = (struct str){ malloc(rows.len), rows.len };
	must(piece->rows.at);
	memcpy((char *)(uintptr_t)piece->rows.at, rows.at, rows.len);
	list_add_last(&hub->pieces, &piece->link);
	hub->end += piece->count;
	hub->octets += rows.len;
	while (hub->octets > LIMIT_web_hub && hub->pieces.next != &piece->link)
		drop_oldest(hub);
	waitq_wake_all(&hub->came);
}

static void hub_fiber(void *arg) WAITS
{
	struct hub *hub = arg;
	struct web *web = hub->web;
	struct str rows;
	enum err err = OK;

	/* A call is not interrupted: it is a short one, so that nobody waits for us when the role ends. */
	while (!err && !hub->look.has_ended && hub->users > 1 && !web->is_closing) {
		err = look_next(&hub->look, LOOK_UP_MS, &rows);
		if (!err && rows.len)
			keep(hub, rows);
	}
	hub->has_ended = true;
	if (web->hub == hub)
		web->hub = NULL;
	waitq_wake_all(&hub->came);
	look_close(&hub->look);
	let_go(hub);
}

struct hub *hub_join(struct web *web, struct look *look) WAITS
{
	struct hub *hub = web->hub;

	if (hub) {
		hub->users++;
		look_close(look);
		return hub;
	}
	hub = calloc(1, sizeof(*hub));
	must(hub);
	hub->web = web;
	hub->look = *look;
	hub->look.exchange = NULL; /* nobody is to be told how it ends */
	hub->users = 2;
	list_init(&hub->pieces);
	waitq_init(&hub->came);
	if (fiber_spawn(&web->role->fibers, "event hub", hub_fiber, hub, NULL)) {
		hub->users--;
		hub->has_ended = true;
		look_close(&hub->look);
	} else {
		web->hub = hub;
	}
	return hub;
}

void hub_leave(struct hub *hub)
{
	let_go(hub);
}

bool hub_has_ended(const struct hub *hub)
{
	return hub->has_ended;
}

uint64_t hub_end(const struct hub *hub)
{
	return hub->end;
}

struct hub_piece *hub_take(struct hub *hub, uint64_t number, moment deadline) WAITS
{
	enum err err = OK;

	while (!err && hub->end <= number && !hub->has_ended)
		err = waitq_wait(&hub->came, deadline);
	/* Who reads along wants the newest. */
	for (struct list *l = hub->pieces.prev; l != &hub->pieces; l = l->prev) {
		struct hub_piece *piece = CONTAINER_OF(l, struct hub_piece, link);

		if (piece->first + piece->count <= number)
			return NULL;
		if (piece->first <= number || l->prev == &hub->pieces) {
			piece->references++;
			return piece;
		}
	}
	return NULL;
}
