/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/session.h"

void smtp_envelope_reset(struct smtp_session *s)
{
	smtp_message_drop(s);
	arena_drop(&s->envelope.arena);
	s->envelope = (struct envelope){ 0 };
}

/* Twice the room in the same arena: the old array stays until the transaction ends, which is soon. */
static void *grown(struct arena *arena, const void *old, size_t count, size_t *room, size_t size)
{
	void *bigger;

	*room = *room ? *room * 2 : 8;
	bigger = arena_take_array(arena, *room, size);
	if (count)
		memcpy(bigger, old, count * size);
	return bigger;
}

static size_t recipient_index(const struct envelope *envelope, struct str recipient)
{
	size_t i = 0;

	while (i < envelope->recipient_count && !str_is(envelope->recipients[i], recipient))
		i++;
	return i;
}

static void add_recipient(struct envelope *e, struct str recipient)
{
	size_t count = e->recipient_count;

	if (count == e->recipient_room) {
		size_t room = e->recipient_room;

		e->notify = grown(&e->arena, e->notify, count, &room, sizeof(*e->notify));
		room = e->recipient_room;
		e->originals = grown(&e->arena, e->originals, count, &room, sizeof(*e->originals));
		e->recipients = grown(&e->arena, e->recipients, count, &e->recipient_room,
				      sizeof(*e->recipients));
	}
	e->notify[count] = 0;
	e->originals[count] = S("");
	e->recipients[e->recipient_count++] = str_dup(&e->arena, recipient);
}

/* rfc3461 4.1: nothing said means failures, and delays as we like. */
static uint64_t both_wishes(uint64_t one, uint64_t other)
{
	uint64_t said =
		(one ? one : DSN_FAILURE | DSN_DELAY) | (other ? other : DSN_FAILURE | DSN_DELAY);

	return said == DSN_NEVER ? said : said & ~(uint64_t)DSN_NEVER;
}

static void add_wishes(struct envelope *e, size_t index, const struct smtp_command *command,
		       bool is_new)
{
	if (is_new || e->notify[index] != command->notify)
		e->notify[index] =
			is_new ? command->notify : both_wishes(e->notify[index], command->notify);
	/* Longer ones are well formed, but kept by nobody: what they say is a comfort, no more. */
	if (command->original.len > 0 && command->original.len <= LIMIT_address && is_new)
		e->originals[index] = str_dup(&e->arena, command->original);
	e->has_wishes = e->has_wishes || command->notify || command->original.len > 0;
}

void smtp_envelope_add(struct envelope *envelope, struct str recipient,
		       const struct smtp_command *command)
{
	size_t index = recipient_index(envelope, recipient);
	bool is_new = index == envelope->recipient_count;

	must(envelope->given_count < LIMIT_recipients);
	if (is_new)
		add_recipient(envelope, recipient);
	add_wishes(envelope, index, command, is_new);
	if (envelope->given_count == envelope->given_room)
		envelope->given = grown(&envelope->arena, envelope->given, envelope->given_count,
					&envelope->given_room, sizeof(*envelope->given));
	envelope->given[envelope->given_count++] = (uint32_t)index;
}
