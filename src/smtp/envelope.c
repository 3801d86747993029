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

void smtp_envelope_add(struct envelope *envelope, struct str recipient)
{
	size_t index = recipient_index(envelope, recipient);

	must(envelope->given_count < LIMIT_recipients);
	if (index == envelope->recipient_count) {
		if (envelope->recipient_count == envelope->recipient_room)
			envelope->recipients = grown(
				&envelope->arena, envelope->recipients, envelope->recipient_count,
				&envelope->recipient_room, sizeof(*envelope->recipients));
		envelope->recipients[envelope->recipient_count++] =
			str_dup(&envelope->arena, recipient);
	}
	if (envelope->given_count == envelope->given_room)
		envelope->given = grown(&envelope->arena, envelope->given, envelope->given_count,
					&envelope->given_room, sizeof(*envelope->given));
	envelope->given[envelope->given_count++] = (uint32_t)index;
}
