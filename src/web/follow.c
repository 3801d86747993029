/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/events: server-sent events, as WHATWG's HTML (9.2) defines them. */
#include "web/look.h"
#include "web/route.h"
#include "web/sign_in.h"

enum { HEARTBEAT_MS = 15000, LOOK_UP_MS = 500, SLOW_MS = 2000, EVENT_MAX = 1 << 17 };

struct following {
	struct exchange *exchange;
	struct look look;
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

static enum err send_rows(struct following *f, struct str rows) WAITS
{
	struct str row;
	enum err err = OK;

	while (!err && look_row(&rows, &row))
		err = send_row(f, row);
	return err;
}

/* A browser that is gone is found out by this, and proxies keep the connection. */
static enum err beat(struct following *f) WAITS
{
	enum err err = tell_lost(f);

	if (!sign_in_holds(f->exchange))
		return ERR_CLOSED;
	if (!err)
		err = send_octets(f, S(": still here\n\n"));
	return err == ERR_AGAIN ? OK : err;
}

static void go_on(struct following *f) WAITS
{
	moment beaten = now();
	struct str rows;
	enum err err = exchange_write(f->exchange, S(": events follow\nretry: 1000\n\n"));

	/* A call is not interrupted: it is a short one, so that nobody waits for us when the browser or the role ends. */
	while (!err && !f->look.has_ended && !f->exchange->is_over &&
	       !f->exchange->door->web->is_closing) {
		moment next = beaten + (moment)HEARTBEAT_MS * 1000;

		err = look_next(&f->look, LOOK_UP_MS, &rows);
		if (!err)
			err = send_rows(f, rows);
		if (!err && now() >= next) {
			beaten = now();
			err = beat(f);
		}
	}
}

static json_t *arguments_of(const struct exchange *exchange)
{
	json_t *arguments = json_pack("{s:b}", "cursors", 1);
	struct str session = exchange_parameter(exchange, "session");
	struct str after = exchange_header(exchange, "Last-Event-ID");

	if (!after.len)
		after = exchange_parameter(exchange, "last_event_id");
	if (session.len)
		json_object_set_new(arguments, "session", control_string(str_first(session, 40)));
	if (after.len)
		json_object_set_new(arguments, "after", control_string(str_first(after, 100)));
	return arguments;
}

void answer_events(struct exchange *exchange) WAITS
{
	struct web *web = exchange->door->web;
	struct following f = { .exchange = exchange, .event = BUF(EVENT_MAX) };
	struct str session = exchange_parameter(exchange, "session");
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
	if (look_open(&f.look, exchange, "session follow", arguments_of(exchange)))
		return;
	web->followers++;
	exchange_begin(exchange, exchange->endpoint->type);
	exchange_set_header(exchange, "X-Accel-Buffering", "no"); /* nginx would gather it */
	go_on(&f);
	web->followers--;
	look_close(&f.look);
	buf_drop(&f.event);
}
