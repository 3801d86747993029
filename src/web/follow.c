/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/events: server-sent events, as WHATWG's HTML (9.2) defines them. */
#include "web/guard.h"
#include "web/hub.h"
#include "web/look.h"
#include "web/route.h"
#include "web/sign_in.h"

#include <stdlib.h>

enum { HEARTBEAT_MS = 15000, LOOK_UP_MS = 500, SLOW_MS = 2000, EVENT_MAX = 1 << 17 };

/* Up to where the events of a role were sent. */
struct sent {
	struct str ring; /* "-ROLE-INDEX-" of its cursors; in `rings` */
	uint64_t wall_us, sequence;
};

struct following {
	struct exchange *exchange;
	struct look look;
	struct hub *hub; /* NULL: a view of its own */
	uint64_t number; /* of the hub's next row */
	struct str mark; /* that rows of the wanted session have; empty: all are wanted */
	bool is_replay;  /* what was missed comes first, and may come again */
	struct arena rings;
	struct sent sent[LIMIT_record_rings];
	size_t sent_count;
	uint64_t lost; /* not told yet */
	bool lost_count_unknown;
	moment slow_since; /* the browser has taken nothing since; 0: it takes */
	struct buf event;
};

/* {"cursor":"CURSOR","event":EVENT}, as the store writes it. */
static bool row_split(struct str row, struct str *cursor, struct str *event)
{
	const struct str begin = S("{\"cursor\":\"");
	const struct str middle = S("\",\"event\":");
	size_t end;

	if (!str_starts(row, begin) || row.at[row.len - 1] != '}')
		return false;
	row = str_first(str_from(row, begin.len), row.len - begin.len - 1);
	end = str_find(row, '"');
	*cursor = str_first(row, end);
	*event = str_from(row, end == STR_NONE ? row.len : end);
	if (!str_starts(*event, middle))
		return false;
	*event = str_from(*event, middle.len);
	return true;
}

/* {"lost":COUNT}; null: some, and nobody knows how many. */
static bool take_lost(struct following *f, struct str row)
{
	struct scan scan = scan_of(row);
	uint64_t lost = 0;

	if (!take_str_nocase(&scan, S("{\"lost\":")))
		return false;
	if (take_number(&scan, UINT32_MAX, &lost))
		f->lost += lost;
	else
		f->lost_count_unknown = true;
	return true;
}

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
	if (f->lost_count_unknown)
		buf_add(&f->event, S("event: lost\ndata: {\"events\":null}\n\n"));
	else
		buf_print(&f->event, "event: lost\ndata: {\"events\":%llu}\n\n",
			  (unsigned long long)f->lost);
	err = send_octets(f, buf_str(&f->event));
	if (!err) {
		f->lost = 0;
		f->lost_count_unknown = false;
	}
	return err;
}

static enum err send_row(struct following *f, struct str row) WAITS
{
	struct str cursor, event;
	enum err err;

	if (take_lost(f, row))
		return tell_lost(f) == ERR_CLOSED ? ERR_CLOSED : OK;
	if (!row_split(row, &cursor, &event))
		return OK;
	err = tell_lost(f);
	buf_reset(&f->event);
	buf_print(&f->event, "event: trace\nid: %.*s\ndata: ", STR_ARGS(cursor));
	buf_add(&f->event, event);
	buf_add(&f->event, S("\n\n"));
	if (!err)
		err = send_octets(f, buf_str(&f->event));
	if (err == ERR_AGAIN) {
		f->lost++;
		err = OK;
	}
	return err;
}

/* ---- what was replayed comes from the hub once more ---- */

/* WALL-ROLE-INDEX-SEQUENCE */
static bool cursor_split(struct str cursor, struct sent *out)
{
	size_t first = str_find(cursor, '-');
	size_t last = str_find_last(cursor, '-');

	if (first == STR_NONE || last <= first)
		return false;
	out->ring = str_first(str_from(cursor, first), last - first);
	return str_to_u64(str_first(cursor, first), INT64_MAX, &out->wall_us) &&
	       str_to_u64(str_from(cursor, last + 1), INT64_MAX, &out->sequence);
}

static struct sent *sent_of(struct following *f, struct str ring)
{
	for (size_t i = 0; i < f->sent_count; i++)
		if (str_is(f->sent[i].ring, ring))
			return &f->sent[i];
	return NULL;
}

static void note_sent(struct following *f, struct str row)
{
	struct str cursor, event;
	struct sent now;
	struct sent *before;

	if (!row_split(row, &cursor, &event) || !cursor_split(cursor, &now))
		return;
	before = sent_of(f, now.ring);
	now.ring = before ? before->ring : str_dup(&f->rings, now.ring);
	if (!before && f->sent_count < COUNT_OF(f->sent))
		before = &f->sent[f->sent_count++];
	if (before)
		*before = now;
}

static bool was_sent(struct following *f, struct str row)
{
	struct str cursor, event;
	struct sent now;
	const struct sent *before;

	if (!f->sent_count || !row_split(row, &cursor, &event) || !cursor_split(cursor, &now))
		return false;
	before = sent_of(f, now.ring);
	/* A ring that began anew has small numbers and new times. */
	return before && now.sequence <= before->sequence && now.wall_us <= before->wall_us;
}

/* Of a hub's row the beginning says whose it is; what is in it from outside comes after that. */
static bool is_wanted(const struct following *f, struct str row)
{
	enum { BEGINNING = 160 };

	return !f->mark.len || str_find_str(str_first(row, BEGINNING), f->mark) != STR_NONE;
}

static enum err send_rows(struct following *f, struct str rows) WAITS
{
	struct str row;
	enum err err = OK;

	while (!err && look_row(&rows, &row)) {
		if (f->is_replay)
			note_sent(f, row);
		if (!f->hub || f->is_replay || (is_wanted(f, row) && !was_sent(f, row)))
			err = send_row(f, row);
	}
	return err;
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
	enum err err = tell_lost(f);

	if (!sign_in_holds(f->exchange) || (f->hub && !sees_all(f->exchange)))
		return ERR_CLOSED;
	if (!err)
		err = send_octets(f, S(": still here\n\n"));
	return err == ERR_AGAIN ? OK : err;
}

static enum err send_piece(struct following *f) WAITS
{
	struct hub_piece *piece = hub_take(f->hub, f->number, in_ms(LOOK_UP_MS));
	enum err err;

	if (!piece)
		return hub_has_ended(f->hub) ? ERR_CLOSED : OK;
	if (piece->first > f->number && f->mark.len)
		f->lost_count_unknown = true;
	else if (piece->first > f->number)
		f->lost += piece->first - f->number;
	f->number = piece->first + piece->count;
	err = send_rows(f, piece->rows);
	hub_give(piece);
	/* There may be another at once: the others get their turn. */
	return err ? err : fiber_yield();
}

/* A call is not interrupted: it is a short one, so that nobody waits for us when the browser or the role ends. */
static enum err send_looked(struct following *f) WAITS
{
	struct str rows;
	enum err err = look_next(&f->look, LOOK_UP_MS, &rows);

	if (!err)
		err = send_rows(f, rows);
	return !err && f->look.has_ended ? ERR_CLOSED : err;
}

static void go_on(struct following *f) WAITS
{
	const struct exchange *exchange = f->exchange;
	moment beaten = now();
	enum err err = exchange_write(f->exchange, S(": events follow\nretry: 1000\n\n"));

	while (!err && !exchange->is_over && !exchange->door->web->is_closing) {
		moment next = beaten + (moment)HEARTBEAT_MS * 1000;

		err = f->hub && !f->is_replay ? send_piece(f) : send_looked(f);
		if (err == ERR_CLOSED && f->is_replay && !f->look.has_failed) {
			f->is_replay = false;
			err = OK;
		}
		if (!err && now() >= next) {
			beaten = now();
			err = beat(f);
		}
	}
}

static struct str last_id(const struct exchange *exchange)
{
	struct str after = exchange_header(exchange, "Last-Event-ID");

	return str_first(after.len ? after : exchange_parameter(exchange, "last_event_id"), 100);
}

/* Who sees all of them shares one view; what was missed before is told first. */
static enum err look_on(struct following *f, struct str session, struct str after) WAITS
{
	struct exchange *exchange = f->exchange;
	json_t *arguments = json_pack("{s:b}", "cursors", 1);
	bool is_shared = sees_all(exchange);
	enum err err;

	if (is_shared) {
		err = look_open(&f->look, exchange, "session follow", arguments);
		if (err)
			return err;
		f->hub = hub_join(exchange->door->web, &f->look);
		f->look = (struct look){ .web = exchange->door->web, .exchange = exchange };
		f->number = hub_end(f->hub);
		f->is_replay = after.len > 0;
		if (!f->is_replay)
			return OK;
		arguments = json_pack("{s:b, s:b}", "cursors", 1, "replay", 1);
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
	if (f->hub)
		hub_leave(f->hub);
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
