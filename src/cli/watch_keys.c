/* SPDX-License-Identifier: Apache-2.0 */
/* What a key does, and what an event does. */
#include "cli/watch_view.h"

#include <stdio.h>

static void say(struct view *view, const char *text)
{
	snprintf(view->message, sizeof view->message, "%s", text);
}

void view_event(struct view *view, const json_t *row)
{
	struct watched watched;

	arena_reset(&view->scratch);
	if (watched_read(&view->scratch, row, &watched))
		seen_note(&view->list, &watched.event);
	if (view->has_film)
		film_add(&view->film, row);
}

void view_open(struct view *view, uint64_t session)
{
	enum err err;

	film_done(&view->film);
	film_init(&view->film, session);
	view->film.speed = view->speed;
	view->has_film = true;
	view->chosen = session;
	view->list_follows = false;
	err = view->load(view->context, &view->film);
	if (err && view->film.count == 0) {
		OWNED(buf) struct buf text = BUF(MESSAGE_MAX);

		trace_add_harmless(&text, str_first(str_of(fault_text()), 120), view->ascii);
		snprintf(view->message, sizeof view->message, "%.*s", STR_ARGS(buf_str(&text)));
		return;
	}
	if (!view->film.is_open)
		film_go(&view->film, 0);
	view->mode = VIEW_LADDER;
	view->ladder_top = 0;
	view->page_top = 0;
}

int64_t view_play(struct view *view, int64_t now_us)
{
	if (view->mode == VIEW_LIST)
		return -1;
	return film_play(&view->film, now_us);
}

/* ---- finding ---- */

static bool find_in_list(struct view *view, struct str text, int by)
{
	size_t count = view->list.count;

	for (size_t i = 1; i <= count; i++) {
		size_t index = (view_chosen(view) + (by > 0 ? i : count - i)) % count;
		OWNED(buf) struct buf line = BUF(16384);
		char id[ID_TEXT + 1];

		id_print(view->list.at[index].id, id);
		seen_print(&view->list.at[index], view->width, view->ascii, &line);
		buf_print(&line, " %s", id);
		if (line_holds(buf_str(&line), text)) {
			view->list_follows = false;
			view->chosen = view->list.at[index].id;
			return true;
		}
	}
	return false;
}

static void find(struct view *view, int by)
{
	struct str text = str_of(view->find);
	bool is_found;

	if (!text.len)
		return;
	is_found = view->mode == VIEW_LIST ? find_in_list(view, text, by)
					   : film_find(&view->film, text, by);
	view->page_top = 0;
	if (!is_found)
		say(view, "not found");
}

/* The text to find is typed on the last row. */
static void type(struct view *view, uint32_t key)
{
	size_t len = strlen(view->find);

	switch (key) {
	case WATCH_ENTER:
		view->is_typing = false;
		find(view, 1);
		return;
	case WATCH_ESCAPE:
		view->is_typing = false;
		view->find[0] = '\0';
		return;
	case WATCH_BACKSPACE:
		if (len)
			view->find[len - 1] = '\0';
		return;
	default:
		if (key >= ' ' && key < 0x7f && len + 1 < sizeof view->find) {
			view->find[len] = (char)key;
			view->find[len + 1] = '\0';
		}
	}
}

/* ---- keys of the list ---- */

static void choose(struct view *view, size_t index)
{
	if (!view->list.count)
		return;
	if (index >= view->list.count)
		index = view->list.count - 1;
	view->chosen = view->list.at[index].id;
	view->list_follows = index + 1 == view->list.count && view->list_follows;
}

static void list_key(struct view *view, uint32_t key)
{
	size_t at = view_chosen(view);
	size_t screen = view->height > 3 ? view->height - 3 : 1;

	switch (key) {
	case WATCH_UP:
	case 'k':
		choose(view, at > 0 ? at - 1 : 0);
		break;
	case WATCH_DOWN:
	case 'j':
		choose(view, at + 1);
		break;
	case WATCH_PAGE_UP:
		choose(view, at > screen ? at - screen : 0);
		break;
	case WATCH_PAGE_DOWN:
		choose(view, at + screen);
		break;
	case WATCH_HOME:
	case 'g':
		choose(view, 0);
		break;
	case WATCH_END:
	case 'G':
		view->list_follows = true;
		break;
	case ' ':
		view->list_follows = !view->list_follows;
		break;
	case WATCH_ENTER:
	case WATCH_RIGHT:
		if (view->list.count)
			view_open(view, view->list.at[at].id);
		break;
	case WATCH_ESCAPE:
	case 'q':
		view->is_over = true;
		break;
	default:
		break;
	}
}

/* ---- keys of a session ---- */

static void go_back(struct view *view)
{
	if (view->mode == VIEW_LINE) {
		view->mode = VIEW_LADDER;
		return;
	}
	view->mode = VIEW_LIST;
	view->has_film = false;
	film_done(&view->film);
}

/* A screen's worth of rows, but in events: what is chosen is an event. */
static void step_screen(struct view *view, int by)
{
	struct film *film = &view->film;
	size_t rows = view->height > 10 ? view->height - 8 : 3;
	size_t row = film_row_of(film, film->cursor);

	if (!film->row_count)
		return;
	film->plays = false;
	row = by > 0 ? row + rows : row > rows ? row - rows : 0;
	film_go(film, row < film->row_count ? film->rows[row].event : film->count - 1);
}

static void scroll_page(struct view *view, int by)
{
	if (by < 0)
		view->page_top -= (size_t)-by < view->page_top ? (size_t)-by : view->page_top;
	else
		view->page_top += (size_t)by; /* bounded when it is drawn */
}

/* Up and down move in the ladder and scroll a line's page. */
static void move(struct view *view, int by, bool by_screen)
{
	if (view->mode == VIEW_LINE)
		scroll_page(view, by_screen ? by * (int)(view->height / 2) : by);
	else if (by_screen)
		step_screen(view, by);
	else
		film_step(&view->film, by);
}

static void step(struct view *view, int by, bool by_phase)
{
	view->page_top = 0;
	if (by_phase)
		film_step_phase(&view->film, by);
	else
		film_step(&view->film, by);
}

static bool film_key(struct view *view, uint32_t key, int64_t now_us)
{
	struct film *film = &view->film;

	switch (key) {
	case ' ':
		film_toggle(film, now_us);
		return true;
	case '[':
	case ']':
		film_faster(film, key == ']');
		view->speed = film->speed;
		return true;
	case 't':
		film->pace = (enum pace)((film->pace + 1) % PACES);
		snprintf(view->message, sizeof view->message, "time: %s", pace_name(film->pace));
		return true;
	case WATCH_LEFT:
	case WATCH_RIGHT:
		step(view, key == WATCH_LEFT ? -1 : 1, false);
		return true;
	case WATCH_PHASE_LEFT:
	case WATCH_PHASE_RIGHT:
		step(view, key == WATCH_PHASE_LEFT ? -1 : 1, true);
		return true;
	case WATCH_HOME:
	case 'g':
		view->page_top = 0;
		film->plays = false;
		film_go(film, 0);
		return true;
	case WATCH_END:
	case 'G':
		view->page_top = 0;
		film_end(film);
		return true;
	default:
		return false;
	}
}

static void session_key(struct view *view, uint32_t key, int64_t now_us)
{
	if (film_key(view, key, now_us))
		return;
	switch (key) {
	case WATCH_UP:
	case 'k':
		move(view, -1, false);
		break;
	case WATCH_DOWN:
	case 'j':
		move(view, 1, false);
		break;
	case WATCH_PAGE_UP:
		move(view, -1, true);
		break;
	case WATCH_PAGE_DOWN:
		move(view, 1, true);
		break;
	case WATCH_ENTER:
		view->mode = VIEW_LINE;
		view->page_top = 0;
		break;
	case 'b':
		view->wishes.bytes = !view->wishes.bytes;
		break;
	case 's':
		view->wishes.states = !view->wishes.states;
		break;
	case WATCH_ESCAPE:
	case 'q':
		go_back(view);
		break;
	default:
		break;
	}
}

void view_key(struct view *view, uint32_t key, int64_t now_us)
{
	view->message[0] = '\0';
	if (view->is_typing) {
		type(view, key);
		return;
	}
	if (view->shows_help) {
		view->shows_help = key == WATCH_UP || key == WATCH_DOWN;
		if (view->shows_help)
			scroll_page(view, key == WATCH_UP ? -1 : 1);
		return;
	}
	switch (key) {
	case '?':
		view->shows_help = true;
		view->page_top = 0;
		return;
	case '/':
		view->is_typing = true;
		view->find[0] = '\0';
		return;
	case 'n':
	case 'N':
		find(view, key == 'n' ? 1 : -1);
		return;
	case 'e':
		view->wishes.depth = (enum depth)((view->wishes.depth + 1) % DEPTHS);
		return;
	default:
		break;
	}
	if (view->mode == VIEW_LIST)
		list_key(view, key);
	else
		session_key(view, key, now_us);
}
