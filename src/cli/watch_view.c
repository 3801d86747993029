/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the screen. */
#include "cli/watch_view.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	SPLIT_FROM = 112, /* columns from which the line's page stands beside the ladder */
	PAGE_MIN = 44,
	PAGE_MAX = 76,
	GUTTER = 2,
	STRIP = 5, /* rows of a narrow screen that explain the line: a rule and four of words */
	STRIP_FROM = 16, /* rows of a screen that has them */
	ROW_MAX = 4096
};

void view_done(struct view *view)
{
	seen_list_done(&view->list);
	film_done(&view->film);
	page_done(&view->page);
	arena_drop(&view->scratch);
}

void canvas_done(struct canvas *canvas)
{
	arena_drop(&canvas->arena);
	free(canvas->rows);
	*canvas = (struct canvas){ 0 };
}

static void canvas_begin(struct canvas *canvas, const struct view *view)
{
	arena_reset(&canvas->arena);
	free(canvas->rows);
	canvas->width = view->width;
	canvas->height = view->height;
	canvas->split = 0;
	canvas->rows = calloc(view->height + 1, sizeof canvas->rows[0]);
	must(canvas->rows);
}

/* ---- bars ---- */

static struct str words_in_columns(struct canvas *canvas, struct str left, struct str right)
{
	size_t left_cells = 0;
	size_t right_cells = 0;

	for (size_t i = 0; i < left.len; i++)
		left_cells += ((unsigned char)left.at[i] & 0xC0) != 0x80;
	for (size_t i = 0; i < right.len; i++)
		right_cells += ((unsigned char)right.at[i] & 0xC0) != 0x80;
	if (left_cells + right_cells + 3 > canvas->width)
		return str_print(&canvas->arena, " %.*s", STR_ARGS(left));
	return str_print(&canvas->arena, " %.*s%*s%.*s ", STR_ARGS(left),
			 (int)(canvas->width - left_cells - right_cells - 2), "", STR_ARGS(right));
}

static void draw_bar(struct canvas *canvas, unsigned row, struct str left, struct str right)
{
	if (row >= canvas->height)
		return;
	canvas->rows[row] = (struct canvas_row){ .left = words_in_columns(canvas, left, right),
						 .is_bar = true };
}

static void draw_bottom(struct view *view, struct canvas *canvas, const char *keys)
{
	const uint64_t lost = view->lost + view->film.left_out;
	struct str left = str_of(keys);

	/* In front: a narrow screen has no room behind the keys. */
	if (lost)
		left = str_print(&canvas->arena, "%llu events not seen  %s",
				 (unsigned long long)lost, keys);
	if (view->is_typing)
		left = str_print(&canvas->arena, "/%s_", view->find);
	else if (view->message[0])
		left = str_of(view->message);
	else if (view->trouble[0])
		left = str_of(view->trouble);
	draw_bar(canvas, canvas->height - 1, left, S(""));
}

/* ---- the list ---- */

size_t view_chosen(const struct view *view)
{
	for (size_t i = 0; i < view->list.count; i++)
		if (view->list.at[i].id == view->chosen)
			return i;
	return view->list.count ? view->list.count - 1 : 0;
}

/* The first row shown, so that rows [first, last] can be seen. */
static size_t scrolled(size_t top, size_t first, size_t last, size_t height)
{
	if (last >= top + height)
		top = last + 1 - height;
	if (first < top)
		top = first;
	return top;
}

static unsigned body_height(const struct canvas *canvas)
{
	return canvas->height > 2 ? canvas->height - 2 : 0;
}

static void draw_seen(struct canvas *canvas, unsigned row, const struct view *view, size_t index)
{
	const struct seen *seen = &view->list.at[index];
	enum style style = seen_style(seen);
	OWNED(buf) struct buf line = BUF(4 * ROW_MAX);

	seen_print(seen, canvas->width, view->ascii, &line);
	canvas->rows[row].left =
		str_print(&canvas->arena, "%s%s %.*s", index == view_chosen(view) ? ">" : " ",
			  style_sign(style, view->ascii), STR_ARGS(buf_str(&line)));
	canvas->rows[row].left_style = style == STYLE_GOOD ? STYLE_PLAIN : style;
	canvas->rows[row].is_selected = index == view_chosen(view);
}

static void draw_list(struct view *view, struct canvas *canvas)
{
	size_t height = body_height(canvas);
	size_t chosen;
	size_t open = 0;

	if (view->list_follows && view->list.count)
		view->chosen = view->list.at[view->list.count - 1].id;
	chosen = view_chosen(view);
	for (size_t i = 0; i < view->list.count; i++)
		open += view->list.at[i].is_open;
	draw_bar(canvas, 0,
		 str_print(&canvas->arena, "Glasspost  %zu session%s, %zu open", view->list.count,
			   view->list.count == 1 ? "" : "s", open),
		 view->list_follows ? S("following") : S("paused"));
	view->list_top = scrolled(view->list_top, chosen, chosen, height ? height : 1);
	for (size_t i = 0; i < height && view->list_top + i < view->list.count; i++)
		draw_seen(canvas, (unsigned)i + 1, view, view->list_top + i);
	if (!view->list.count && height > 1)
		canvas->rows[2].left = S("  Nobody has connected yet. `glasspost listeners` says "
					 "where the server listens.");
	draw_bottom(view, canvas, "Enter open  Space follow, pause  / find  ? help  q quit");
}

/* ---- the ladder ---- */

static unsigned page_columns(const struct view *view)
{
	unsigned columns = view->width * 2 / 5;

	return columns < PAGE_MIN ? PAGE_MIN : columns > PAGE_MAX ? PAGE_MAX : columns;
}

static struct str film_words(const struct view *view, struct canvas *canvas)
{
	const struct film *film = &view->film;
	const char *what = film->plays     ? "playing"
			   : film->follows ? "following"
			   : film->as_film ? "paused"
			   : film->is_open ? "open, paused"
					   : "ended";

	struct str rhythm = S("");

	/* Said when it matters. */
	if (film->plays || film->as_film || film->speed < 1 || film->speed > 1)
		rhythm = str_print(&canvas->arena, "  %gx %s", film->speed, pace_name(film->pace));
	return str_print(&canvas->arena, "%s%.*s  %zu/%zu  %s", what, STR_ARGS(rhythm),
			 film->count ? film->cursor + 1 : 0, film->count,
			 depth_name(view->wishes.depth));
}

static void draw_top(struct view *view, struct canvas *canvas)
{
	const struct seen *seen = seen_find(&view->list, view->film.session);
	char id[ID_TEXT + 1];

	id_print(view->film.session, id);
	draw_bar(canvas, 0,
		 str_print(&canvas->arena, "%s  %s  %s", id, seen ? seen->protocol : "",
			   seen ? seen->peer : ""),
		 film_words(view, canvas));
}

static void draw_ladder_row(const struct view *view, struct canvas *canvas, unsigned at, size_t row)
{
	const struct film *film = &view->film;
	const struct film_row *from = &film->rows[row];
	enum style style = event_style(&film->events[from->event].event);
	bool is_first = row == 0 || film->rows[row - 1].event != from->event;
	bool is_here = from->event == film->cursor;
	struct canvas_row *to = &canvas->rows[at];

	to->left = str_print(&canvas->arena, "%s%s%.*s", is_here && is_first ? ">" : " ",
			     is_first ? style_sign(style, view->ascii) : " ", STR_ARGS(from->text));
	to->left_style = style;
	to->is_selected = is_here;
}

static void draw_rows(struct view *view, struct canvas *canvas, unsigned from, unsigned height)
{
	const struct film *film = &view->film;
	size_t shown = film_shown_rows(film);
	size_t first = film_row_of(film, film->cursor);
	size_t last = first;

	while (last + 1 < shown && film->rows[last + 1].event == film->cursor)
		last++;
	view->ladder_top = scrolled(view->ladder_top, first, last, height ? height : 1);
	for (unsigned i = 0; i < height && view->ladder_top + i < shown; i++)
		draw_ladder_row(view, canvas, from + i, view->ladder_top + i);
}

static void write_line_page(struct view *view, unsigned columns)
{
	struct detail_wishes wishes = view->wishes;

	/* Beside the ladder they have a row of their own. */
	wishes.states = wishes.states && view->mode == VIEW_LINE;
	page_begin(&view->page, columns, view->ascii);
	if (view->film.count)
		detail_write(&view->page, &view->film, view->film.cursor, &wishes);
}

static void draw_page_beside(struct view *view, struct canvas *canvas, unsigned from,
			     unsigned height)
{
	unsigned columns = page_columns(view);

	canvas->split = view->width - columns;
	write_line_page(view, columns - 1);
	for (unsigned i = 0; i < height && i < view->page.count; i++) {
		canvas->rows[from + i].right = str_dup(&canvas->arena, view->page.lines[i].text);
		canvas->rows[from + i].right_style = view->page.lines[i].style;
	}
}

static struct str rule_line(struct canvas *canvas, bool ascii)
{
	OWNED(buf) struct buf line = BUF(4 * ROW_MAX);

	for (unsigned i = 0; i < canvas->width; i++)
		buf_add_c(&line, ascii ? "-" : "─");
	return str_dup(&canvas->arena, buf_str(&line));
}

/* On a narrow screen the most important words stand below: what it is, and what it means. */
static void draw_strip(struct view *view, struct canvas *canvas, unsigned from)
{
	unsigned row = from + 1;
	size_t line = 0;

	write_line_page(view, canvas->width - 2);
	canvas->rows[from] = (struct canvas_row){ .left = rule_line(canvas, view->ascii),
						  .left_style = STYLE_DIM };
	/* The title; then the words, which begin behind the second blank line or the first. */
	for (unsigned blanks = 0; line < view->page.count && row < from + STRIP; line++) {
		const struct page_line *words = &view->page.lines[line];
		bool has_octets =
			view->film.events[view->film.cursor].event.head.kind == TRACE_command ||
			view->film.events[view->film.cursor].event.head.kind == TRACE_reply;

		if (!words->text.len)
			blanks++;
		if (words->text.len && (line == 0 || blanks >= (has_octets ? 2U : 1U)))
			canvas->rows[row++] =
				(struct canvas_row){ .left = str_print(&canvas->arena, " %.*s",
								       STR_ARGS(words->text)),
						     .left_style = words->style };
	}
}

static void draw_ladder(struct view *view, struct canvas *canvas)
{
	bool is_split = view->width >= SPLIT_FROM;
	unsigned columns = is_split ? view->width - page_columns(view) - 2 : view->width;
	unsigned height = body_height(canvas);
	unsigned from = 1;
	bool has_strip = !is_split && canvas->height >= STRIP_FROM && view->film.count;

	film_draw(&view->film, columns > GUTTER ? columns - GUTTER : 1, view->ascii);
	draw_top(view, canvas);
	if (view->wishes.states && height > 2) {
		canvas->rows[from].left = states_line(&canvas->arena, &view->film, view->ascii);
		canvas->rows[from].left_style = STYLE_LABEL;
		from++;
		height--;
	}
	if (is_split)
		draw_page_beside(view, canvas, from, height);
	if (has_strip)
		height -= STRIP;
	draw_rows(view, canvas, from, height);
	if (has_strip)
		draw_strip(view, canvas, from + height);
	draw_bottom(view, canvas,
		    "Enter line  Space play  < > step  [ ] speed  e explain  ? help  q back");
}

/* ---- a line, and help ---- */

static void draw_page(struct view *view, struct canvas *canvas)
{
	size_t height = body_height(canvas);
	size_t most = view->page.count > height ? view->page.count - height : 0;

	if (view->page_top > most)
		view->page_top = most;
	for (size_t i = 0; i < height && view->page_top + i < view->page.count; i++) {
		const struct page_line *line = &view->page.lines[view->page_top + i];

		canvas->rows[i + 1].left = str_print(&canvas->arena, " %.*s", STR_ARGS(line->text));
		canvas->rows[i + 1].left_style = line->style;
	}
}

static void draw_line(struct view *view, struct canvas *canvas)
{
	film_draw(&view->film, canvas->width > GUTTER ? canvas->width - GUTTER : 1, view->ascii);
	draw_top(view, canvas);
	write_line_page(view, canvas->width - 2);
	draw_page(view, canvas);
	draw_bottom(view, canvas,
		    "Up Down scroll  < > step  e explain  b octets  s states  q back");
}

static void draw_help(struct view *view, struct canvas *canvas)
{
	draw_bar(canvas, 0, S("Glasspost watch"), S("help"));
	page_begin(&view->page, canvas->width - 2, view->ascii);
	help_write(&view->page);
	draw_page(view, canvas);
	draw_bottom(view, canvas, "any key: back");
}

void view_draw(struct view *view, struct canvas *canvas)
{
	canvas_begin(canvas, view);
	if (view->height < 3 || view->width < 20) {
		canvas->rows[0].left = S("too small");
		return;
	}
	if (view->shows_help)
		draw_help(view, canvas);
	else if (view->mode == VIEW_LIST)
		draw_list(view, canvas);
	else if (view->mode == VIEW_LADDER)
		draw_ladder(view, canvas);
	else
		draw_line(view, canvas);
}
