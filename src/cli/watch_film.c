/* SPDX-License-Identifier: Apache-2.0 */
/* One session as a film: its events, how they are drawn, and where in it we are. */
#include "cli/watch.h"

#include <stdlib.h>

enum {
	ROW_TEXT_MAX = 1 << 20,
	SQUEEZED_US = 500000, /* longer silences are not waited out */
	EVEN_US = 500000,
	PARTNERS_BACK = 4000 /* events; no client has more commands under way */
};
static const double SPEED_MIN = 0.1;
static const double SPEED_MAX = 100;

const char *pace_name(enum pace pace)
{
	static const char *const names[PACES] = { "squeezed", "real", "even" };

	must(pace < PACES);
	return names[pace];
}

void film_init(struct film *film, uint64_t session)
{
	*film = (struct film){ .session = session, .is_open = true, .follows = true, .speed = 1 };
}

void film_done(struct film *film)
{
	arena_drop(&film->arena);
	arena_drop(&film->drawn);
	free(film->events);
	free(film->partners);
	free(film->rows);
	*film = (struct film){ 0 };
}

/* ---- events ---- */

static bool is_command(const struct trace_event *event)
{
	return event->head.kind == TRACE_command;
}

/* A line that answers a challenge belongs to AUTH, whatever it looks like. */
static struct str verb_of(const struct trace_event *event)
{
	bool is_response = event->command.verb.len == 0 && (event->head.flags & TRACE_MASKED);

	return is_response ? S("AUTH") : event->command.verb;
}

/* The last line of a reply; 354 is half of one, and 334 or "+ " a whole one. */
static bool ends_reply(const struct trace_event *event)
{
	return event->head.kind == TRACE_reply && !event->reply.more;
}

/* The oldest command that this line can be the answer to: of its verb, and not answered before. */
static size_t command_of(const struct film *film, size_t reply)
{
	struct str verb = film->events[reply].event.reply.verb;
	size_t from = reply > PARTNERS_BACK ? reply - PARTNERS_BACK : 0;
	size_t newest = film->count;

	for (size_t i = reply; i-- > from;) {
		const struct trace_event *event = &film->events[i].event;

		if (!is_command(event) || !str_is(verb_of(event), verb))
			continue;
		if (newest == film->count)
			newest = i;
		/* Answered in full already: the first one behind it is meant, or (LMTP) the same again. */
		if (film->partners[i] != NO_EVENT &&
		    ends_reply(&film->events[film->partners[i]].event))
			break;
		newest = i;
	}
	return newest;
}

/*
 * A command's partner is the last line of its newest reply, a reply line's the command. While a command
 * is not answered in full its partner is the newest line.
 */
static void find_partner(struct film *film, size_t event)
{
	size_t command;

	film->partners[event] = NO_EVENT;
	if (film->events[event].event.head.kind != TRACE_reply)
		return;
	command = command_of(film, event);
	if (command == film->count)
		return;
	film->partners[event] = (int32_t)command;
	film->partners[command] = (int32_t)event;
}

static void grow(struct film *film)
{
	if (film->count < film->room)
		return;
	film->room = film->room ? film->room * 2 : 256;
	film->events = realloc(film->events, film->room * sizeof film->events[0]);
	film->partners = realloc(film->partners, film->room * sizeof film->partners[0]);
	must(film->events && film->partners);
}

static bool is_known(const struct film *film, const struct trace_head *head)
{
	if (head->at_us > film->newest_us)
		return false;
	for (size_t i = film->count; i-- > 0;) {
		const struct trace_head *other = &film->events[i].event.head;

		if (other->sequence == head->sequence && other->role == head->role &&
		    other->role_index == head->role_index && other->wall_us == head->wall_us)
			return true;
		/* Rows come nearly in order: what is much older than this cannot be this. */
		if (other->at_us + 10000000 < head->at_us)
			break;
	}
	return false;
}

/* Known before it is read: what is read stays in the film's arena. */
static bool is_of(const struct film *film, const json_t *row)
{
	const char *text = json_string_value(json_object_get(row, "session"));
	uint64_t session;

	return text && id_parse(str_of(text), &session) && session == film->session;
}

bool film_add(struct film *film, const json_t *row)
{
	struct watched watched;

	if (!is_of(film, row))
		return false;
	if (film->count == FILM_EVENTS_MAX) {
		film->left_out++;
		return false;
	}
	if (!watched_read(&film->arena, row, &watched) || is_known(film, &watched.event.head))
		return false;
	grow(film);
	film->events[film->count] = watched;
	film->count++;
	if (watched.event.head.at_us > film->newest_us)
		film->newest_us = watched.event.head.at_us;
	find_partner(film, film->count - 1);
	if (film->follows)
		film->cursor = film->count - 1;
	if (watched.event.head.kind == TRACE_close) {
		film->is_open = false;
		film->follows = false;
	}
	return true;
}

struct str film_protocol(const struct film *film)
{
	for (size_t i = 0; i < film->count && i < 8; i++)
		if (film->events[i].event.head.kind == TRACE_connect)
			return film->events[i].event.connect.protocol;
	return S("smtp");
}

/* ---- drawing ---- */

static void add_row(struct film *film, size_t event, struct str text)
{
	if (film->row_count == film->row_room) {
		film->row_room = film->row_room ? film->row_room * 2 : 512;
		film->rows = realloc(film->rows, film->row_room * sizeof film->rows[0]);
		must(film->rows);
	}
	film->rows[film->row_count++] = (struct film_row){ event, str_dup(&film->drawn, text) };
}

static void draw_event(struct film *film, size_t event, struct buf *lines)
{
	struct str rest;

	buf_reset(lines);
	if (trace_event_ladder(&film->events[event].event, film->events[0].event.head.at_us,
			       film->width, film->ascii, lines))
		return;
	for (rest = buf_str(lines); rest.len;) {
		size_t end = str_find(rest, '\n');

		add_row(film, event, str_first(rest, end));
		rest = str_from(rest, end == STR_NONE ? rest.len : end + 1);
	}
}

void film_draw(struct film *film, unsigned width, bool ascii)
{
	OWNED(buf) struct buf lines = BUF(ROW_TEXT_MAX);

	if (film->width != width || film->ascii != ascii) {
		arena_reset(&film->drawn);
		film->row_count = 0;
		film->drawn_count = 0;
		film->width = width;
		film->ascii = ascii;
	}
	for (; film->drawn_count < film->count; film->drawn_count++)
		draw_event(film, film->drawn_count, &lines);
}

/* Rows are sorted by their event. */
size_t film_row_of(const struct film *film, size_t event)
{
	size_t low = 0;
	size_t high = film->row_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (film->rows[middle].event < event)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t film_shown_rows(const struct film *film)
{
	return film->as_film ? film_row_of(film, film->cursor + 1) : film->row_count;
}

/* ---- moving ---- */

static size_t last_event(const struct film *film)
{
	return film->count ? film->count - 1 : 0;
}

void film_go(struct film *film, size_t event)
{
	film->cursor = event < film->count ? event : last_event(film);
	film->follows = film->is_open && !film->as_film && film->cursor == last_event(film);
}

void film_step(struct film *film, int by)
{
	size_t event = film->cursor;

	film->plays = false;
	if (by < 0 && event > 0)
		film_go(film, event - 1);
	else if (by > 0)
		film_go(film, event + 1);
}

void film_step_phase(struct film *film, int by)
{
	size_t event = film->cursor;

	film->plays = false;
	do {
		if ((by < 0 && event == 0) || (by > 0 && event >= last_event(film)))
			break;
		event = by < 0 ? event - 1 : event + 1;
	} while (!event_begins_phase(&film->events[event].event));
	film_go(film, event);
}

void film_end(struct film *film)
{
	film->plays = false;
	film->as_film = false;
	film_go(film, last_event(film));
}

static int64_t gap_us(const struct film *film, size_t event)
{
	int64_t gap =
		film->events[event].event.head.at_us - film->events[event - 1].event.head.at_us;

	if (film->pace == PACE_EVEN)
		gap = EVEN_US;
	else if (film->pace == PACE_SQUEEZED && gap > SQUEEZED_US)
		gap = SQUEEZED_US;
	return gap > 0 ? (int64_t)((double)gap / film->speed) : 0;
}

void film_toggle(struct film *film, int64_t now_us)
{
	if (film->plays || film->follows) {
		film->plays = false;
		film->follows = false;
		return;
	}
	if (!film->count)
		return;
	if (film->cursor == last_event(film)) {
		/* There is nothing to wait for in a session that has ended: from the beginning. */
		if (film->is_open) {
			film_end(film);
			return;
		}
		film->cursor = 0;
	}
	film->plays = true;
	film->as_film = true;
	film->due_us = now_us;
	if (film->cursor + 1 < film->count)
		film->due_us += gap_us(film, film->cursor + 1);
}

void film_faster(struct film *film, bool faster)
{
	static const double steps[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100 };
	size_t at = 0;

	while (at + 1 < COUNT_OF(steps) && steps[at] < film->speed * 0.999)
		at++;
	if (faster && at + 1 < COUNT_OF(steps) && steps[at] <= film->speed * 1.001)
		at++;
	else if (!faster && at > 0)
		at--;
	film->speed = steps[at];
	if (film->speed < SPEED_MIN || film->speed > SPEED_MAX)
		film->speed = 1;
}

int64_t film_play(struct film *film, int64_t now_us)
{
	while (film->plays && film->due_us <= now_us) {
		if (film->cursor + 1 >= film->count) {
			/* Caught up with a session that goes on, or at its end. */
			if (!film->is_open || film->count == 0) {
				film->plays = false;
				film->as_film = false;
			} else {
				film_end(film);
			}
			break;
		}
		film->cursor++;
		if (film->cursor + 1 < film->count)
			film->due_us += gap_us(film, film->cursor + 1);
	}
	if (!film->plays)
		return -1;
	return (film->due_us - now_us) / 1000 + 1;
}

/* ---- finding ---- */

static bool event_holds(const struct film *film, size_t event, struct str text)
{
	for (size_t row = film_row_of(film, event);
	     row < film->row_count && film->rows[row].event == event; row++)
		if (line_holds(film->rows[row].text, text))
			return true;
	return false;
}

bool film_find(struct film *film, struct str text, int by)
{
	for (size_t i = 1; text.len && i <= film->count; i++) {
		size_t event = by > 0 ? film->cursor + i : film->cursor + film->count - i;

		event %= film->count;
		if (event_holds(film, event, text)) {
			film->plays = false;
			film->as_film = false;
			film_go(film, event);
			return true;
		}
	}
	return false;
}
