/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead: a client that fetches message after message finds the next ones here already. The
 * window doubles with every piece that was wanted in order and falls back to one with the first that
 * was not, so a client that hops about costs nothing extra.
 */
#include "pop3/maildrop.h"

enum { CALL_MS = 30000, HEAD_OCTETS = 16384 };

static struct piece *piece_at(struct maildrop *drop, size_t nth)
{
	return &drop->pieces[(drop->first + nth) % MAILDROP_PIECES];
}

static void fetch(struct piece *piece) WAITS
{
	struct maildrop *drop = piece->drop;

	piece->err = call_maildrop_read(drop->store,
					&(struct ask_maildrop_read){ .drop = drop->handle,
								     .index = piece->index,
								     .offset = piece->offset,
								     .length = piece->length },
					&piece->arena, &piece->answer, in_ms(CALL_MS));
	piece->here = true;
	waitq_wake_all(&drop->arrivals);
}

static void fetch_fiber(void *arg) WAITS
{
	fetch(arg);
}

static void wait_for(struct maildrop *drop, const struct piece *piece) WAITS
{
	/* A call always ends, by its deadline at the latest. */
	while (!piece->here)
		(void)waitq_wait_through(&drop->arrivals, NEVER);
}

static void drop_first(struct maildrop *drop) WAITS
{
	struct piece *piece = piece_at(drop, 0);

	wait_for(drop, piece);
	if (!piece->err)
		body_done(&piece->answer.octets);
	arena_reset(&piece->arena);
	drop->ahead -= piece->length;
	drop->first = (drop->first + 1) % MAILDROP_PIECES;
	drop->piece_count--;
}

void maildrop_forget(struct maildrop *drop) WAITS
{
	while (drop->piece_count > 0)
		drop_first(drop);
	for (size_t i = 0; drop->pieces && i < MAILDROP_PIECES; i++)
		arena_drop(&drop->pieces[i].arena);
	group_wait_through(&drop->readers);
	drop->window = 0;
}

static uint64_t length_at(const struct maildrop *drop, struct position from)
{
	uint64_t most = drop->heads_only ? HEAD_OCTETS : LIMIT_maildrop_piece;
	uint64_t left = drop->sizes[from.index] - from.offset;

	return left < most ? left : most;
}

/* Where the piece after this one begins; false at the end of the maildrop. */
static bool follow(const struct maildrop *drop, struct position *from)
{
	uint64_t end = from->offset + length_at(drop, *from);

	if (!drop->heads_only && end < drop->sizes[from->index]) {
		from->offset = end;
		return true;
	}
	from->offset = 0;
	from->index++;
	while (from->index < drop->count && maildrop_is_marked(drop, from->index))
		from->index++;
	return from->index < drop->count;
}

static struct piece *append(struct maildrop *drop, struct position from)
{
	struct piece *piece = piece_at(drop, drop->piece_count++);
	struct arena arena = piece->arena;

	*piece = (struct piece){ .drop = drop,
				 .index = from.index,
				 .offset = from.offset,
				 .length = length_at(drop, from),
				 .arena = arena };
	drop->ahead += piece->length;
	drop->next = from;
	if (!follow(drop, &drop->next))
		drop->next = (struct position){ drop->count, 0 };
	return piece;
}

/* Start the calls for what comes after the ring, as far as the window and the octets allow. */
static void extend(struct maildrop *drop)
{
	while (drop->piece_count < drop->window && drop->next.index < drop->count &&
	       drop->ahead + length_at(drop, drop->next) <= LIMIT_pop3_read_ahead) {
		struct piece *piece = append(drop, drop->next);

		if (fiber_spawn(&drop->readers, "pop3 read-ahead", fetch_fiber, piece, NULL)) {
			/* Too many fibers: this piece will be asked for when it is wanted. */
			drop->next = (struct position){ piece->index, piece->offset };
			drop->ahead -= piece->length;
			drop->piece_count--;
			return;
		}
	}
}

static bool is_at(const struct piece *piece, struct position from)
{
	return piece->index == from.index && piece->offset == from.offset;
}

/* Brings the piece that begins at `from` to the front of the ring. */
static struct piece *bring(struct maildrop *drop, struct position from) WAITS
{
	struct piece *piece;
	bool in_order;

	while (drop->piece_count > 0 && !is_at(piece_at(drop, 0), from))
		drop_first(drop);
	in_order = drop->piece_count > 0 ||
		   (drop->next.index == from.index && drop->next.offset == from.offset);
	drop->window = in_order && drop->window > 0 ? drop->window * 2 : 1;
	if (drop->window > MAILDROP_PIECES)
		drop->window = MAILDROP_PIECES;
	if (drop->piece_count > 0) {
		/* Not at every piece: half a window of calls then leaves, and is answered, in one go. */
		if (drop->piece_count <= drop->window / 2)
			extend(drop);
		piece = piece_at(drop, 0);
		wait_for(drop, piece);
		return piece;
	}
	/* Ask for the ones behind it first: all of these calls then leave in one go. */
	piece = append(drop, from);
	extend(drop);
	fetch(piece);
	return piece;
}

enum err maildrop_read(struct maildrop *drop, struct position from, bool heads_only,
		       struct str *octets, uint64_t *size) WAITS
{
	struct piece *piece;
	enum err err;

	if (!drop->pieces)
		drop->pieces = NEW_ARRAY(&drop->arena, struct piece, MAILDROP_PIECES);
	if (drop->heads_only != heads_only) {
		while (drop->piece_count > 0)
			drop_first(drop);
		drop->window = 0;
		drop->heads_only = heads_only;
	}
	piece = bring(drop, from);
	err = piece->err;
	if (!err && piece->answer.octets.fd > 0)
		err = fault(ERR_PROTOCOL, "a piece of a message came as a descriptor");
	if (err) {
		drop_first(drop); /* a later try asks again */
		return err;
	}
	*octets = piece->answer.octets.octets;
	*size = piece->answer.size;
	return OK;
}
