/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/events: server-sent events, as WHATWG's HTML (9.2) defines them. Who may see all of them reads from the
 * hub, as libmicrohttpd can send; who may not, and who is told what was missed, has a view and this exchange's fiber.
 */
#include "web/event.h"
#include "web/guard.h"
#include "web/hub.h"
#include "web/look.h"
#include "web/route.h"
#include "web/sign_in.h"

#include <stdlib.h>

enum {
	HEARTBEAT_MS = 15000,
	LOOK_UP_MS = 500,
	SLOW_MS = 2000,
	EVENT_MAX = 1 << 17,
	TWICE_US = 60 * 1000000 /* what was replayed comes from the hub again no later than this */
};

/* Up to where the events of a role were sent. */
struct sent {
	struct str ring; /* in `rings` */
	uint64_t wall_us, sequence;
};

struct following {
	struct exchange *exchange;
	struct look look;
	struct str mark; /* that events of the wanted session have; empty: all are wanted */

	/* from the hub */
	struct hub *hub; /* NULL: a view of its own */
	struct hub_reader reader;
	struct source source;
	struct hub_piece *piece; /* that is being sent, or was the last */
	uint64_t number;         /* of the event after it */
	struct str rest;         /* of the piece */
	bool is_replay;          /* what was missed comes first, and may come again */
	struct arena rings;
	struct sent sent[LIMIT_record_rings];
	size_t sent_count;
	uint64_t newest_us; /* of what was replayed */

	/* from a view */
	uint64_t lost; /* not told yet */
	bool lost_count_unknown;
	moment slow_since; /* the browser has taken nothing since; 0: it takes */
	struct buf event;
};

/* ---- from a view ---- */

/*
 * Waits a little for a browser that does not take what it is sent, and then leaves events out until it does: what the
 * store and the recorder do never waits for a browser.
 */
static enum err send_octets(struct following *f, struct str octets) WAITS
{
	enum err err = exchange_try_write(f->exchange, octets);

	while (err == ERR_AGAIN) {
		if (!f->slow_since)
			f->slow_since = now();
		if (now() - f->slow_since >= (moment)SLOW_MS * 1000)
			return ERR_AGAIN;
		err = waitq_wait(&f->exchange->room, f->slow_since + (moment)SLOW_MS * 1000);
		if (!err || err == ERR_TIMEOUT)
			err = exchange_try_write(f->exchange, octets);
	}
	if (!err)
		f->slow_since = 0;
	return err;
}

static enum err tell_lost(struct following *f) WAITS
{
	enum err err;

	if (!f->lost && !f->lost_count_unknown)
		return OK;
	buf_reset(&f->event);
	event_print_lost(&f->event, f->lost_count_unknown ? 0 : f->lost);
	err = send_octets(f, buf_str(&f->event));
	if (!err) {
		f->lost = 0;
		f->lost_count_unknown = false;
	}
	return err;
}

static enum err send_event(struct following *f, struct str row) WAITS
{
	uint64_t events;
	enum event_kind kind;
	enum err err = OK;

	buf_reset(&f->event);
	kind = event_print(&f->event, row, &events);
	if (kind == EVENT_LOST) {
		f->lost += events;
		f->lost_count_unknown |= !events;
		err = tell_lost(f);
		return err == ERR_CLOSED ? err : OK;
	}
	if (kind == EVENT_NONE)
		return OK;
	if (f->lost || f->lost_count_unknown) {
		err = tell_lost(f);
		buf_reset(&f->event);
		(void)!event_print(&f->event, row, &events);
	}
	if (!err)
		err = send_octets(f, buf_str(&f->event));
	if (err == ERR_AGAIN) {
		f->lost++;
		err = OK;
	}
	return err;
}

/* ---- what was replayed comes from the hub once more ---- */

static struct sent *sent_of(struct following *f, struct str ring)
{
	for (size_t i = 0; i < f->sent_count; i++)
		if (str_is(f->sent[i].ring, ring))
			return &f->sent[i];
	return NULL;
}

static void note_sent(struct following *f)
{
	struct event_place place;
	struct sent *before;

	if (!event_place(event_id(buf_str(&f->event)), &place))
		return;
	before = sent_of(f, place.ring);
	if (!before && f->sent_count < COUNT_OF(f->sent)) {
		before = &f->sent[f->sent_count++];
		before->ring = str_dup(&f->rings, place.ring);
	}
	if (before) {
		before->wall_us = place.wall_us;
		before->sequence = place.sequence;
	}
	if (place.wall_us > f->newest_us)
		f->newest_us = place.wall_us;
}

static bool was_sent(struct following *f, struct str event)
{
	struct event_place place;
	const struct sent *before;

	if (!f->sent_count || !event_place(event_id(event), &place))
		return false;
	if (place.wall_us > f->newest_us + TWICE_US) {
		f->sent_count = 0;
		return false;
	}
	before = sent_of(f, place.ring);
	/* A ring that began anew has small numbers and new times. */
	return before && place.sequence <= before->sequence && place.wall_us <= before->wall_us;
}

/* ---- from the hub ---- */

/* Its beginning says whose it is; what is in it from outside comes after that. What was lost concerns everybody. */
static bool is_wanted(const struct following *f, struct str event)
{
	enum { BEGINNING = 160 };

	return !f->mark.len || !event_id(event).len ||
	       str_find_str(str_first(event, BEGINNING), f->mark) != STR_NONE;
}

/* Of the piece the next that this browser gets: all that is left of it, where nothing has to be left out. */
static struct str next_of_piece(struct following *f)
{
	struct str event = f->rest;

	if (!f->mark.len && !f->sent_count) {
		f->rest = (struct str){ 0 };
		return event;
	}
	while (event_take(&f->rest, &event))
		if (is_wanted(f, event) && !was_sent(f, event))
			return event;
	return (struct str){ 0 };
}

/* The browser was slower than the hub remembers. Of one session's events nobody knows how many those were. */
static void note_lost(struct following *f, uint64_t events)
{
	if (f->mark.len && events)
		f->lost_count_unknown = true;
	else
		f->lost += events;
}

static struct str print_lost(struct following *f)
{
	buf_reset(&f->event);
	event_print_lost(&f->event, f->lost_count_unknown ? 0 : f->lost);
	f->lost = 0;
	f->lost_count_unknown = false;
	return buf_str(&f->event);
}

static struct str next_octets(struct source *source)
{
	struct following *f = CONTAINER_OF(source, struct following, source);

	for (;;) {
		struct hub_piece *piece;
		struct str octets;

		if (f->lost || f->lost_count_unknown)
			return print_lost(f);
		octets = next_of_piece(f);
		if (octets.len)
			return octets;
		piece = hub_take(f->hub, f->piece, f->number);
		if (!piece)
			return (struct str){ 0 };
		if (piece->first > f->number)
			note_lost(f, piece->first - f->number);
		f->piece = piece;
		f->rest = buf_str(piece->told.len && !f->mark.len ? &piece->told : &piece->text);
		f->number = piece->first + piece->count;
	}
}

/* ---- going on ---- */

static bool sees_all(const struct exchange *exchange)
{
	const struct web *web = exchange->door->web;

	return !guard_needs_sign_in(web) ||
	       (exchange->account &&
		config_lists(&web->role->config->web_admins, exchange->account_address));
}

/* A browser that is gone is found out by this, and proxies keep the connection. */
static enum err beat(struct following *f) WAITS
{
	enum err err = f->source.next ? OK : tell_lost(f);

	if (!sign_in_holds(f->exchange) || (f->hub && !sees_all(f->exchange)))
		return ERR_CLOSED;
	if (!err)
		err = exchange_try_write(f->exchange, S(": still here\n\n"));
	return err == ERR_AGAIN ? OK : err;
}

/* A call is not interrupted: it is a short one, so that nobody waits for us when the browser or the role ends. */
static enum err send_looked(struct following *f) WAITS
{
	struct str rows;
	struct str row;
	enum err err = look_next(&f->look, LOOK_UP_MS, &rows);

	while (!err && look_row(&rows, &row)) {
		err = send_event(f, row);
		if (f->is_replay)
			note_sent(f);
	}
	return !err && f->look.has_ended ? ERR_CLOSED : err;
}

/* Whoever sends takes it from the hub from now on; the fiber looks after the rest. */
static void begin_source(struct following *f)
{
	f->source.next = next_octets;
	exchange_set_source(f->exchange, &f->source);
	exchange_has_more(f->exchange);
}

static enum err watch_source(struct following *f) WAITS
{
	enum err err = waitq_wait(&f->exchange->room, in_ms(LOOK_UP_MS));

	if (hub_has_ended(f->hub))
		return ERR_CLOSED;
	return err == ERR_TIMEOUT ? OK : err;
}

static void go_on(struct following *f) WAITS
{
	const struct exchange *exchange = f->exchange;
	moment beaten = now();
	enum err err = exchange_write(f->exchange, S(": events follow\nretry: 1000\n\n"));

	if (!err && f->hub && !f->is_replay)
		begin_source(f);
	while (!err && !exchange->is_over && !exchange->door->web->is_closing) {
		err = f->source.next ? watch_source(f) : send_looked(f);
		if (err == ERR_CLOSED && f->is_replay && !f->look.has_failed) {
			f->is_replay = false;
			begin_source(f);
			err = OK;
		}
		if (!err && now() >= beaten + (moment)HEARTBEAT_MS * 1000) {
			beaten = now();
			err = beat(f);
		}
	}
	exchange_set_source(f->exchange, NULL);
}

/* A copy: what the request says goes with its connection, and the store is asked twice. */
static struct str last_id(struct exchange *exchange)
{
	struct str after = exchange_header(exchange, "Last-Event-ID");

	if (!after.len)
		after = exchange_parameter(exchange, "last_event_id");
	return str_dup(&exchange->arena, str_first(after, 100));
}

/* Who sees all of them shares one view; what was missed before is told first. */
static enum err look_on(struct following *f, struct str session, struct str after) WAITS
{
	struct exchange *exchange = f->exchange;
	json_t *arguments;
	enum err err;

	if (sees_all(exchange)) {
		err = look_open(&f->look, exchange, "session follow",
				json_pack("{s:s}", "as", "records"));
		if (err)
			return err;
		f->reader.exchange = exchange;
		f->hub = hub_join(exchange->door->web, &f->look, &f->reader);
		f->look = (struct look){ .web = exchange->door->web, .exchange = exchange };
		f->number = hub_end(f->hub);
		f->is_replay = after.len > 0;
		if (!f->is_replay)
			return OK;
		arguments = json_pack("{s:b, s:b}", "cursors", 1, "replay", 1);
	} else {
		arguments = json_pack("{s:b}", "cursors", 1);
	}
	if (session.len)
		json_object_set_new(arguments, "session", control_string(session));
	if (after.len)
		json_object_set_new(arguments, "after", control_string(after));
	return look_open(&f->look, exchange, "session follow", arguments);
}

static void follow(struct following *f, struct str session) WAITS
{
	struct exchange *exchange = f->exchange;

	if (!look_on(f, session, last_id(exchange))) {
		exchange_begin(exchange, exchange->endpoint->type);
		exchange_set_header(exchange, "X-Accel-Buffering",
				    "no"); /* nginx would gather it */
		go_on(f);
	}
	hub_give(f->piece);
	if (f->hub)
		hub_leave(f->hub, &f->reader);
	look_close(&f->look);
	buf_drop(&f->event);
	arena_drop(&f->rings);
}

void answer_events(struct exchange *exchange) WAITS
{
	struct web *web = exchange->door->web;
	struct following *f;
	struct str session = exchange_parameter(exchange, "session");
	char name[ID_TEXT + 1];
	uint64_t id;

	if (session.len && !id_parse(session, &id)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "GET /api/v1/sessions",
				"session is not the id of one");
		return;
	}
	if (web->followers >= LIMIT_web_followers) {
		exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "close other pages",
				"%d browsers follow the events already", LIMIT_web_followers);
		return;
	}
	f = calloc(1, sizeof(*f));
	must(f);
	f->exchange = exchange;
	f->event = BUF(EVENT_MAX);
	if (session.len) {
		id_print(id, name);
		session = str_of(name);
		f->mark = str_print(&exchange->arena, "\"session\":\"%s\"", name);
	}
	web->followers++;
	follow(f, session);
	web->followers--;
	free(f);
}
