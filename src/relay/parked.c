/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/parked.h"

#include <stdlib.h>

static void end(struct relay *relay, struct parked *parked) WAITS
{
	dialogue_end(relay, &parked->talk);
	arena_drop(&parked->arena);
	free(parked);
}

static struct parked *take(struct relay *relay, struct list *link)
{
	list_remove(link);
	relay->parked_count--;
	return CONTAINER_OF(link, struct parked, link);
}

void park(struct relay *relay, struct dialogue_out *talk, struct arena *arena, unsigned sent) WAITS
{
	bool may_stay = talk->client && smtp_client_is_open(talk->client) &&
			sent < SESSION_MESSAGES_MAX && !relay->closing && !fiber_is_stopping();
	struct parked *parked;

	if (!may_stay) {
		dialogue_end(relay, talk);
		arena_drop(arena);
		return;
	}
	parked = calloc(1, sizeof(*parked));
	must(parked);
	*parked = (struct parked){ .talk = *talk, .arena = *arena, .sent = sent, .since = now() };
	*talk = (struct dialogue_out){ 0 };
	*arena = (struct arena){ 0 };
	list_init(&parked->link);
	list_add_last(&relay->parked, &parked->link);
	relay->parked_count++;
	/* At a host with places it must not keep the others out who wait there. */
	waitq_wake_all(&relay->ways_moved);
	if (relay->parked_count > PARKED_MAX)
		end(relay, take(relay, relay->parked.next));
}

bool unpark(struct relay *relay, struct str way_key, struct parked *out)
{
	/* The newest first: it is the least likely to have been closed meanwhile. */
	for (struct list *link = relay->parked.prev; link != &relay->parked; link = link->prev) {
		struct parked *parked = CONTAINER_OF(link, struct parked, link);

		if (!str_is(parked->talk.way_key, way_key))
			continue;
		take(relay, link);
		*out = *parked;
		free(parked);
		return true;
	}
	return false;
}

bool relay_end_parked(struct relay *relay, struct str way_key) WAITS
{
	struct parked parked;

	if (!unpark(relay, way_key, &parked))
		return false;
	dialogue_end(relay, &parked.talk);
	arena_drop(&parked.arena);
	return true;
}

void parked_sweep(struct relay *relay, bool all) WAITS
{
	while (!list_is_empty(&relay->parked)) {
		struct list *link = relay->parked.next;

		if (!all && now() - CONTAINER_OF(link, struct parked, link)->since <
				    (moment)PARKED_MS * 1000)
			return;
		end(relay, take(relay, link));
	}
}
