/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/destinations.h"

#include <stdio.h>
#include <stdlib.h>

void destinations_init(struct destinations *destinations, unsigned most)
{
	*destinations = (struct destinations){ .most = most };
	list_init(&destinations->ages);
	for (size_t i = 0; i < COUNT_OF(destinations->buckets); i++)
		list_init(&destinations->buckets[i]);
}

static void forget(struct destinations *destinations, struct destination *destination)
{
	list_remove(&destination->age);
	list_remove(&destination->bucket);
	destinations->count--;
	free(destination);
}

void destinations_done(struct destinations *destinations)
{
	struct list *link;

	/* The buckets go with those that stand in them. */
	while ((link = list_take_first(&destinations->ages)))
		free(CONTAINER_OF(link, struct destination, age));
	destinations->count = 0;
}

static struct list *bucket_of(struct destinations *destinations, struct str name)
{
	return &destinations->buckets[str_hash(name) % COUNT_OF(destinations->buckets)];
}

static struct destination *find(struct destinations *destinations, struct str name)
{
	LIST_EACH (link, bucket_of(destinations, name)) {
		struct destination *destination = CONTAINER_OF(link, struct destination, bucket);

		if (str_is(destination->name, name))
			return destination;
	}
	return NULL;
}

/* Who has a connection is in use; there are fewer of them than relay_connections. */
static void make_room(struct destinations *destinations)
{
	LIST_EACH (link, &destinations->ages) {
		struct destination *destination = CONTAINER_OF(link, struct destination, age);

		if (destination->open)
			continue;
		forget(destinations, destination);
		return;
	}
}

static struct destination *add(struct destinations *destinations, struct str name)
{
	struct destination *destination = malloc(sizeof(*destination) + name.len);
	char *text = (char *)(destination + 1);

	must(destination);
	if (destinations->count >= DESTINATIONS_MAX)
		make_room(destinations);
	memcpy(text, name.at, name.len);
	*destination = (struct destination){ .name = { text, name.len },
					     .allowed = destinations->most < DESTINATION_FIRST
								? destinations->most
								: DESTINATION_FIRST };
	list_add_last(&destinations->ages, &destination->age);
	list_add_last(bucket_of(destinations, name), &destination->bucket);
	destinations->count++;
	return destination;
}

struct destination *destination_enter(struct destinations *destinations, struct str name)
{
	struct destination *destination = find(destinations, name);

	if (!destination)
		destination = add(destinations, name);
	list_remove(&destination->age);
	list_add_last(&destinations->ages, &destination->age);
	destination->open++;
	return destination;
}

void destination_leave(struct destination *destination)
{
	must(destination->open > 0);
	destination->open--;
}

void destination_went_well(const struct destinations *destinations, struct destination *destination)
{
	if (destination->allowed < destinations->most)
		destination->allowed++;
	else
		destination->allowed = destinations->most;
}

void destination_failed(struct destination *destination)
{
	destination->allowed = destination->allowed > 1 ? destination->allowed / 2 : 1;
}

static void copy(char *to, size_t room, struct str text)
{
	snprintf(to, room, "%.*s", STR_ARGS(str_first(text, room - 1)));
}

void destination_rest(struct destination *destination, moment until, const struct smtp_said *why)
{
	destination->rests_until = until;
	destination->code = why->reply.code;
	copy(destination->enhanced, sizeof(destination->enhanced), why->reply.enhanced);
	copy(destination->text, sizeof(destination->text), why->reply.text);
}

bool destination_rests(struct destinations *destinations, struct str name, struct arena *arena,
		       struct smtp_said *why)
{
	const struct destination *destination = find(destinations, name);

	if (!destination || now() >= destination->rests_until)
		return false;
	*why = (struct smtp_said){ .result = SMTP_DEFERRED,
				   .is_ours = true,
				   .reply = { destination->code,
					      str_dup(arena, str_of(destination->enhanced)),
					      str_dup(arena, str_of(destination->text)) } };
	return true;
}

bool destination_is_full(struct destinations *destinations, struct str name)
{
	const struct destination *destination = find(destinations, name);

	return destination && destination->open >= destination->allowed;
}
