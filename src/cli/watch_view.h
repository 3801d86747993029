/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * watch_view: what is on the screen and what a key does to it, without a terminal: keys come in, a canvas
 * goes out. Private to cli/.
 */
#include "cli/watch.h"

enum watch_key {
	WATCH_UP = 0x110000, /* past every character */
	WATCH_DOWN,
	WATCH_LEFT,
	WATCH_RIGHT,
	WATCH_PHASE_LEFT,
	WATCH_PHASE_RIGHT,
	WATCH_HOME,
	WATCH_END,
	WATCH_PAGE_UP,
	WATCH_PAGE_DOWN,
	WATCH_ENTER,
	WATCH_ESCAPE,
	WATCH_BACKSPACE
};

struct canvas_row {
	struct str left; /* harmless, perhaps too long: the painter cuts */
	struct str right;
	enum style left_style;
	enum style right_style;
	bool is_selected; /* the left side */
	bool is_bar;      /* the whole row */
};

struct canvas {
	struct arena arena;
	struct canvas_row *rows; /* height of them */
	unsigned width;
	unsigned height;
	unsigned split; /* column where the right side begins; 0: there is none */
};

enum view_mode { VIEW_LIST, VIEW_LADDER, VIEW_LINE };
enum { FIND_MAX = 80, MESSAGE_MAX = 160 };

struct view {
	enum view_mode mode;
	bool has_film;
	bool shows_help;
	bool is_typing; /* the text to find */
	bool is_over;
	bool ascii;
	bool list_follows;
	unsigned width;
	unsigned height;

	struct seen_list list;
	uint64_t chosen; /* session; 0: none */
	size_t list_top;

	struct film film;
	size_t ladder_top;
	struct page page;
	size_t page_top;
	struct detail_wishes wishes;
	double speed;

	char find[FIND_MAX];
	char message[MESSAGE_MAX]; /* until the next key */
	char trouble[MESSAGE_MAX]; /* as long as it lasts */
	uint64_t lost;
	struct arena scratch;

	/* Fills the film with what is known of its session. */
	enum err (*load)(void *context, struct film *film);
	void *context;
};
void view_done(struct view *view);
/* The place of the chosen session in the list; where it is not there any more, the last. */
size_t view_chosen(const struct view *view);
/* A row of "session follow". */
void view_event(struct view *view, const json_t *row);
void view_open(struct view *view, uint64_t session);
void view_key(struct view *view, uint32_t key, int64_t now_us);
/* Milliseconds after which view_draw is to be called though nothing came; -1: never. */
int64_t view_play(struct view *view, int64_t now_us);
/* canvas: zero at first; its width and height are the view's after it. */
void view_draw(struct view *view, struct canvas *canvas);
void canvas_done(struct canvas *canvas);
