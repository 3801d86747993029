/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * watch: sessions as a list, a ladder and single lines, for people at a terminal. It reads what the
 * recorder gives (session list, show, follow) and asks nothing else of the server. Private to cli/.
 *
 * Invariants
 *  (1) Watching changes nothing at the server and slows nothing there: who cannot keep up loses events
 *      and is told how many.
 *  (2) Text from outside is made harmless before it is shown; no octet of it reaches the terminal as
 *      anything but a character that can be read.
 *  (3) The meaning of a colour is also said by a sign: nothing is told by colour alone.
 *  (4) However watch ends, the terminal is as it was before.
 */
#include "cli/command.h"
#include "cli/explain.h"
#include "trace/trace.h"

/* ---- meaning: colour and sign ---- */

enum style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_TITLE,
	STYLE_LABEL,
	STYLE_GOOD,    /* done */
	STYLE_ONGOING, /* go on, or still open */
	STYLE_LATER,   /* not for now */
	STYLE_BAD,     /* refused, cut */
	STYLE_SAFE,    /* encryption, signing in */
	STYLES
};
/* One cell; " " where there is nothing to say. */
const char *style_sign(enum style style, bool ascii);

/* ---- events, as the server tells them ---- */

struct watched {
	struct trace_event event; /* its texts lie in the arena it was read with */
	struct str role;
};

/* false: it is no event that this program knows. */
bool watched_read(struct arena *arena, const json_t *row, struct watched *out);
/* The field's value in words; numbers as they are. */
struct str event_value(struct arena *arena, const struct trace_event *event, size_t field);
enum style event_style(const struct trace_event *event);
/* Does a new part of the session begin with it: greeting, encryption, sign-in, message, end? */
bool event_begins_phase(const struct trace_event *event);

/* Members of a row; empty and 0 when they are not there or of another type. */
struct str row_text(const json_t *row, const char *name);
uint64_t row_number(const json_t *row, const char *name);
/* Does the line hold the text, large and small letters alike? */
bool line_holds(struct str line, struct str text);

/* ---- the list ---- */

enum { SESSIONS_MAX = 5000, SESSIONS_ASKED = 1000 };

struct seen {
	uint64_t id;
	int64_t start_us; /* wall clock */
	bool is_open;
	char protocol[20];
	char peer[60];
	char account[80];
	char reason[24];
	char subject[100]; /* of its newest message, if it came since we watch */
	char path[120];    /* who wrote to whom */
	uint64_t errors;
	uint64_t messages;
	uint64_t us;
};

struct seen_list {
	struct seen *at; /* oldest first */
	size_t count;
	size_t room;
};
void seen_list_done(struct seen_list *list);
struct seen *seen_find(const struct seen_list *list, uint64_t id);
/* A row of "session list", and an event of "session follow". */
void seen_add_row(struct seen_list *list, const json_t *row);
void seen_note(struct seen_list *list, const struct trace_event *event);
enum style seen_style(const struct seen *seen);
/* One line without sign, for a screen of that width; harmless. */
void seen_print(const struct seen *seen, unsigned width, bool ascii, struct buf *out);

/* ---- the film: one session's events, drawn ---- */

enum { NO_EVENT = -1, FILM_EVENTS_MAX = 200000 };
enum pace { PACE_SQUEEZED, PACE_REAL, PACE_EVEN, PACES };
const char *pace_name(enum pace pace);

struct film_row {
	size_t event;
	struct str text;
};

struct film {
	uint64_t session;
	struct arena arena;
	struct watched *events;
	int32_t *
		partners; /* of a command its newest reply line, of a reply line its command; NO_EVENT */
	size_t count;
	size_t room;
	size_t left_out; /* events past FILM_EVENTS_MAX */
	int64_t newest_us;

	struct arena drawn;
	struct film_row *rows;
	size_t row_count;
	size_t row_room;
	size_t drawn_count; /* events */
	unsigned width;
	bool ascii;

	size_t cursor; /* an event; 0 when there is none */
	bool is_open;  /* no close was seen */
	bool follows;  /* the cursor goes with the newest event */
	bool as_film;  /* what comes after the cursor is not shown yet */
	bool plays;
	double speed;
	enum pace pace;
	int64_t due_us; /* when the next event is shown; of the clock given to film_play */
};
void film_init(struct film *film, uint64_t session);
void film_done(struct film *film);
/* Reads a row into the film; false when it is of another session, known already, or no event. */
bool film_add(struct film *film, const json_t *row);
struct str film_protocol(const struct film *film);
/* Draws what is not drawn yet; everything anew when width or alphabet changed. */
void film_draw(struct film *film, unsigned width, bool ascii);
/* Rows of events that are shown now. */
size_t film_shown_rows(const struct film *film);
size_t film_row_of(const struct film *film, size_t event); /* its first row */

void film_go(struct film *film, size_t event);
void film_step(struct film *film, int by);
void film_step_phase(struct film *film, int by);
void film_end(struct film *film);
/* Space: plays, pauses, follows. */
void film_toggle(struct film *film, int64_t now_us);
void film_faster(struct film *film, bool faster);
/* Shows what is due. Milliseconds until the next event, -1: nothing is waited for. */
int64_t film_play(struct film *film, int64_t now_us);
/* The next event whose line holds the text, from the cursor on, round the end; false: there is none. */
bool film_find(struct film *film, struct str text, int by);

/* ---- pages of words ---- */

struct page_line {
	struct str text;
	enum style style;
};

struct page {
	struct arena arena;
	struct page_line *lines;
	size_t count;
	size_t room;
	unsigned width;
	bool ascii;
};
void page_done(struct page *page);
void page_begin(struct page *page, unsigned width, bool ascii);
/* Breaks the text into lines between words; each is indented. Harmless after it. */
void page_add(struct page *page, enum style style, unsigned indent, struct str text);
void page_print(struct page *page, enum style style, unsigned indent, const char *format, ...)
	PRINTF_LIKE(4, 5);
void page_blank(struct page *page);
void page_hex(struct page *page, struct str octets);

struct detail_wishes {
	enum depth depth;
	bool bytes;
	bool states;
};
/* All about one line: what it is, its parts, the RFC, other answers, why, how long, octets. */
void detail_write(struct page *page, const struct film *film, size_t event,
		  const struct detail_wishes *wishes);
/* One line: the states of this protocol, the current one in brackets. */
struct str states_line(struct arena *arena, const struct film *film, bool ascii);
void help_write(struct page *page);

/* ---- what is told by the server ---- */

struct feed {
	const struct invocation *invocation;
	struct control_client *follow;
	struct control_request request; /* of follow */
	void (*event)(void *context, const json_t *row);
	void *context;
	uint64_t lost;
	int64_t again_us; /* of a server that is gone: when to try again */
	char trouble[FAULT_TEXT_MAX];
};
/* Connects and follows. OK, or a failure whose words are in fault_text(). */
enum err feed_open(struct feed *feed);
void feed_close(struct feed *feed);
/* Takes what has come, without waiting. A server that went away is tried again each second. */
void feed_take(struct feed *feed, int64_t now_us);
/* Ask and wait: session list into the list, session show into the film of that session. */
enum err feed_list(const struct feed *feed, struct seen_list *list);
enum err feed_film(const struct feed *feed, struct film *film);

/* ---- the two ways to watch ---- */

struct watch_options {
	const struct invocation *invocation;
	uint64_t session; /* 0: the list */
	bool ascii;
	bool plays;
	bool explains; /* --explain was given */
	enum depth depth;
	double speed;
};
int watch_text(const struct watch_options *options);
int watch_screen(const struct watch_options *options);
