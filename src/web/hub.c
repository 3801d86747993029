/* SPDX-License-Identifier: Apache-2.0 */
#include "web/hub.h"
#include "trace/trace.h"
#include "web/event.h"

#include <stdlib.h>

enum {
	LOOK_UP_MS = 500,
	GATHER_MS = 20,
	MUCH = LIMIT_view_piece / 4, /* then there is more to be had at once */
	PIECE = 1 << 17,
	EVENT_MAX = 1 << 17,
	BURST = 2 * LIMIT_web_events,
	FRACTIONS = 4096, /* of sessions */
	SECOND_US = 1000000
};

struct hub {
	struct web *web;
	struct look look;
	struct list pieces;  /* the oldest first */
	struct list readers; /* hub_reader */
	size_t octets;
	uint64_t end;
	int64_t may_tell; /* events, before sessions are left out of them; at most BURST */
	moment filled;
	unsigned users; /* with its fiber */
	bool has_ended;
};

void hub_give(struct hub_piece *piece)
{
	if (!piece || --piece->references)
		return;
	buf_drop(&piece->text);
	buf_drop(&piece->told);
	free(piece);
}

static void drop_oldest(struct hub *hub)
{
	struct hub_piece *piece =
		CONTAINER_OF(list_take_first(&hub->pieces), struct hub_piece, link);

	hub->octets -= piece->text.len + piece->told.len;
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

static void tell_readers(struct hub *hub)
{
	LIST_EACH (link, &hub->readers)
		exchange_has_more(CONTAINER_OF(link, struct hub_reader, link)->exchange);
}

static struct hub_piece *piece_new(struct hub *hub)
{
	struct hub_piece *piece = calloc(1, sizeof(*piece));

	must(piece);
	piece->references = 1;
	piece->first = hub->end;
	piece->text = BUF(PIECE + EVENT_MAX);
	piece->told = BUF(PIECE + EVENT_MAX);
	return piece;
}

/* ---- how many sessions are told of ---- */

static void fill(struct hub *hub)
{
	const moment passed = now() - hub->filled;
	const int64_t more =
		passed > 10 * SECOND_US ? BURST : passed * LIMIT_web_events / SECOND_US;

	if (!more)
		return;
	hub->filled = now();
	hub->may_tell = hub->may_tell + more < BURST ? hub->may_tell + more : BURST;
}

/*
 * All, while half of a burst is left; below that the fewer the less is left, which comes to rest where as many are told as
 * may be. It is the same sessions in every piece, so that what is told can be looked at to its end.
 */
static bool is_told(const struct hub *hub, uint64_t session)
{
	const uint64_t place = (session * UINT64_C(0x9e3779b97f4a7c15)) >> 52;

	static_assert(FRACTIONS == 1 << 12, "as many as the places");
	return !session || hub->may_tell >= BURST / 2 ||
	       (int64_t)place < hub->may_tell * FRACTIONS / (BURST / 2);
}

/* ---- what comes ---- */

/* The store's newest, with a piece for it that has room. */
struct arriving {
	struct hub *hub;
	struct hub_piece *piece;
	struct arena arena;
	uint64_t left_out; /* of the piece */
};

static void keep(struct arriving *arriving)
{
	struct hub *hub = arriving->hub;
	struct hub_piece *piece = arriving->piece;

	if (arriving->left_out)
		event_print_lost(&piece->told, arriving->left_out);
	else
		buf_drop(&piece->told);
	list_add_last(&hub->pieces, &piece->link);
	hub->octets += piece->text.len + piece->told.len;
	while (hub->octets > LIMIT_web_hub && hub->pieces.next != &piece->link)
		drop_oldest(hub);
	arriving->left_out = 0;
	arriving->piece = piece_new(hub);
}

/* What was added to the text since `before`. */
static void count(struct arriving *arriving, size_t before, uint64_t events, bool told)
{
	struct hub *hub = arriving->hub;
	struct hub_piece *piece = arriving->piece;

	if (told)
		buf_add(&piece->told, str_from(buf_str(&piece->text), before));
	else
		arriving->left_out += events;
	if (told && hub->may_tell)
		hub->may_tell--;
	piece->count += events;
	hub->end += events;
	if (piece->text.len >= PIECE)
		keep(arriving);
}

/* What is not understood is lost: the web role may be older than what the store tells. */
static void take_records(struct arriving *arriving, struct str records)
{
	struct str record;

	while (!trace_record_take(&records, &record)) {
		struct buf *text = &arriving->piece->text;
		size_t before = text->len;

		if (event_print_record(text, record))
			event_print_lost(text, 1);
		count(arriving, before, 1,
		      is_told(arriving->hub, trace_record_head(record).session));
	}
}

static void take_rows(struct hub *hub, struct str rows)
{
	struct arriving arriving = { .hub = hub, .piece = piece_new(hub) };
	struct str row;

	fill(hub);
	while (look_row(&rows, &row)) {
		size_t before = arriving.piece->text.len;
		struct str records;
		uint64_t events = 0;

		if (event_records(&arriving.arena, row, &records))
			take_records(&arriving, records);
		else if (event_print(&arriving.piece->text, row, &events) != EVENT_NONE)
			count(&arriving, before, events, true);
		arena_reset(&arriving.arena);
	}
	if (arriving.piece->text.len)
		keep(&arriving);
	hub_give(arriving.piece);
	arena_drop(&arriving.arena);
	tell_readers(hub);
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
		if (err || !rows.len)
			continue;
		take_rows(hub, rows);
		/* Each piece costs every reader a wake-up and a packet: few large ones are cheap. */
		if (rows.len < MUCH)
			err = fiber_sleep(in_ms(GATHER_MS));
	}
	hub->has_ended = true;
	if (web->hub == hub)
		web->hub = NULL;
	tell_readers(hub);
	look_close(&hub->look);
	let_go(hub);
}

struct hub *hub_join(struct web *web, struct look *look, struct hub_reader *reader) WAITS
{
	struct hub *hub = web->hub;

	if (hub) {
		hub->users++;
		list_add_last(&hub->readers, &reader->link);
		look_close(look);
		return hub;
	}
	hub = calloc(1, sizeof(*hub));
	must(hub);
	hub->web = web;
	hub->look = *look;
	hub->look.exchange = NULL; /* nobody is to be told how it ends */
	hub->users = 2;
	hub->may_tell = BURST;
	hub->filled = now();
	list_init(&hub->pieces);
	list_init(&hub->readers);
	list_add_last(&hub->readers, &reader->link);
	if (fiber_spawn(&web->role->fibers, "event hub", hub_fiber, hub, NULL)) {
		hub->users--;
		hub->has_ended = true;
		look_close(&hub->look);
	} else {
		web->hub = hub;
	}
	return hub;
}

void hub_leave(struct hub *hub, struct hub_reader *reader)
{
	list_remove(&reader->link);
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

/* In the order of numbers; one that was dropped is in no list. */
static struct hub_piece *find(struct hub *hub, uint64_t number)
{
	LIST_EACH (link, &hub->pieces) {
		struct hub_piece *piece = CONTAINER_OF(link, struct hub_piece, link);

		if (piece->first + piece->count > number)
			return piece;
	}
	return NULL;
}

struct hub_piece *hub_take(struct hub *hub, struct hub_piece *before, uint64_t number)
{
	struct hub_piece *piece = NULL;

	if (before && !list_is_empty(&before->link))
		piece = before->link.next == &hub->pieces
				? NULL
				: CONTAINER_OF(before->link.next, struct hub_piece, link);
	else if (hub->end > number)
		piece = find(hub, number);
	if (!piece)
		return NULL;
	hub_give(before);
	piece->references++;
	return piece;
}
