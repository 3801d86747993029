/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: taken over by ncurses, painted, listened to, and given back in every case. */
#include "cli/watch_view.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

enum { FRAME_US = 30000, AGAIN_MS = 1000, RESTORE_MAX = 256, CELLS_MAX = 1000 };

static struct {
	struct termios before;
	bool is_taken;
	char restore[RESTORE_MAX]; /* what a terminal is told that must be left at once */
	size_t restore_len;
} terminal;

static volatile sig_atomic_t asked_to_end;

/* ---- giving it back ---- */

static void on_end(int signal_number)
{
	asked_to_end = signal_number;
}

/* Only what may be called in a signal handler: the program has broken, and nothing of it is believed. */
static void on_crash(int signal_number)
{
	if (terminal.is_taken) {
		const char *at = terminal.restore;
		size_t rest = terminal.restore_len;

		while (rest > 0) {
			ssize_t written = write(STDOUT_FILENO, at, rest);

			if (written <= 0)
				break;
			at += written;
			rest -= (size_t)written;
		}
		tcsetattr(STDOUT_FILENO, TCSANOW, &terminal.before);
	}
	raise(signal_number); /* the handler is gone: this ends the program as it would have ended */
}

static int gather(int octet)
{
	if (terminal.restore_len < RESTORE_MAX)
		terminal.restore[terminal.restore_len++] = (char)octet;
	return octet;
}

/* End of colours and key pad, the cursor, the screen as it was. */
static void prepare_restore(void)
{
	static const char *const names[] = { "sgr0", "rmkx", "cnorm", "rmcup" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char name[8];
		const char *sequence;

		snprintf(name, sizeof name, "%s", names[i]);
		sequence = tigetstr(name);
		if (sequence && sequence != (const char *)(intptr_t)-1)
			tputs(sequence, 1, gather);
	}
}

static void set_handlers(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction action = { .sa_handler = on_end };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		sigaction(ends[i], &action, NULL);
	action.sa_handler = on_crash;
	action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
	for (size_t i = 0; i < COUNT_OF(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}

/* Signals are heard only while we wait for keys, so that none comes between looking and waiting. */
static void hold_signals(sigset_t *before)
{
	static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(held); i++)
		sigaddset(&set, held[i]);
	sigprocmask(SIG_BLOCK, &set, before);
}

/* ---- taking it over ---- */

static const short colors[STYLES] = {
	[STYLE_LABEL] = COLOR_CYAN,   [STYLE_GOOD] = COLOR_GREEN, [STYLE_ONGOING] = COLOR_CYAN,
	[STYLE_LATER] = COLOR_YELLOW, [STYLE_BAD] = COLOR_RED,    [STYLE_SAFE] = COLOR_MAGENTA,
};

static bool has_palette;

static void begin_colors(void)
{
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && no_color[0]) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	for (int i = 0; i < STYLES; i++)
		if (colors[i])
			init_pair((short)(i + 1), colors[i], -1);
	has_palette = true;
}

static attr_t attributes_of(enum style style)
{
	attr_t attributes = A_NORMAL;

	if (style == STYLE_TITLE || style == STYLE_LABEL || style == STYLE_BAD)
		attributes |= A_BOLD;
	if (style == STYLE_DIM)
		attributes |= A_DIM;
	if (has_palette && colors[style])
		attributes |= (attr_t)COLOR_PAIR(style + 1);
	return attributes;
}

/* What terminals send that were not told of application mode, or whose description leaves it out. */
static void add_keys(void)
{
	static const struct {
		const char *sequence;
		int key;
	} keys[] = {
		{ "\x1b[A", KEY_UP },       { "\x1b[B", KEY_DOWN },  { "\x1b[C", KEY_RIGHT },
		{ "\x1b[D", KEY_LEFT },     { "\x1b[H", KEY_HOME },  { "\x1b[F", KEY_END },
		{ "\x1b[1~", KEY_HOME },    { "\x1b[4~", KEY_END },  { "\x1bOA", KEY_UP },
		{ "\x1bOB", KEY_DOWN },     { "\x1bOC", KEY_RIGHT }, { "\x1bOD", KEY_LEFT },
		{ "\x1bOH", KEY_HOME },     { "\x1bOF", KEY_END },   { "\x1b[1;2C", KEY_SRIGHT },
		{ "\x1b[1;2D", KEY_SLEFT },
	};

	for (size_t i = 0; i < COUNT_OF(keys); i++)
		define_key(keys[i].sequence, keys[i].key);
}

static bool begin(sigset_t *unheld)
{
	SCREEN *screen;

	if (tcgetattr(STDOUT_FILENO, &terminal.before) != 0)
		return false;
	set_handlers();
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return false;
	set_term(screen);
	prepare_restore();
	terminal.is_taken = true;
	hold_signals(unheld);
	cbreak();
	noecho();
	nonl();
	set_escdelay(25);
	keypad(stdscr, TRUE);
	add_keys();
	nodelay(stdscr, TRUE);
	curs_set(0);
	begin_colors();
	return true;
}

static void end(const sigset_t *unheld)
{
	endwin();
	terminal.is_taken = false;
	sigprocmask(SIG_SETMASK, unheld, NULL);
}

/* ---- painting ---- */

/* Text by cells: what is past the room is left out, what cannot be shown becomes a question mark. */
static void paint_text(int row, int column, int room, struct str text)
{
	wchar_t wide[CELLS_MAX];
	size_t count = 0;
	int cells = 0;
	mbstate_t state = { 0 };

	while (text.len && count + 1 < COUNT_OF(wide)) {
		wchar_t c = L'?';
		size_t len = mbrtowc(&c, text.at, text.len, &state);
		int width;

		if (len == 0 || len > text.len) {
			state = (mbstate_t){ 0 };
			c = L'?';
			len = 1;
		}
		width = wcwidth(c);
		if (width < 0) {
			c = L'?';
			width = 1;
		}
		if (cells + width > room)
			break;
		wide[count++] = c;
		cells += width;
		text = str_from(text, len);
	}
	mvaddnwstr(row, column, wide, (int)count);
	for (; cells < room; cells++)
		addch(' ');
}

static void paint_row(const struct canvas *canvas, unsigned at)
{
	const struct canvas_row *row = &canvas->rows[at];
	int width = (int)canvas->width;
	int split = (int)canvas->split;
	int left = split ? split - 2 : width;
	attr_t attributes = attributes_of(row->left_style);

	if (row->is_bar || row->is_selected)
		attributes |= A_REVERSE;
	attrset((int)attributes);
	paint_text((int)at, 0, row->is_bar ? width : left, row->left);
	if (!canvas->split || row->is_bar)
		return;
	attrset(A_NORMAL);
	paint_text((int)at, left, split - left, (struct str){ 0 });
	attrset((int)attributes_of(row->right_style));
	paint_text((int)at, split, width - split, row->right);
}

static void paint(const struct canvas *canvas)
{
	for (unsigned at = 0; at < canvas->height; at++)
		paint_row(canvas, at);
	refresh();
}

/* ---- keys ---- */

static uint32_t key_of(int status, wint_t key)
{
	static const struct {
		wint_t curses;
		enum watch_key key;
	} names[] = {
		{ KEY_UP, WATCH_UP },
		{ KEY_DOWN, WATCH_DOWN },
		{ KEY_LEFT, WATCH_LEFT },
		{ KEY_RIGHT, WATCH_RIGHT },
		{ KEY_SLEFT, WATCH_PHASE_LEFT },
		{ KEY_SRIGHT, WATCH_PHASE_RIGHT },
		{ KEY_HOME, WATCH_HOME },
		{ KEY_END, WATCH_END },
		{ KEY_PPAGE, WATCH_PAGE_UP },
		{ KEY_NPAGE, WATCH_PAGE_DOWN },
		{ KEY_ENTER, WATCH_ENTER },
		{ KEY_BACKSPACE, WATCH_BACKSPACE },
	};

	if (status != KEY_CODE_YES) {
		if (key == '\r' || key == '\n')
			return WATCH_ENTER;
		if (key == 0x1b)
			return WATCH_ESCAPE;
		return key == 0x7f || key == '\b' ? (uint32_t)WATCH_BACKSPACE : (uint32_t)key;
	}
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (names[i].curses == key)
			return names[i].key;
	return 0;
}

static int64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void measure(struct view *view)
{
	int height;
	int width;

	getmaxyx(stdscr, height, width);
	view->height = height > 0 ? (unsigned)height : 1;
	view->width = width > 0 && width < CELLS_MAX ? (unsigned)width : CELLS_MAX - 1;
}

static void take_keys(struct view *view)
{
	wint_t key;
	int status;

	while (!view->is_over && (status = get_wch(&key)) != ERR) {
		uint32_t which = key_of(status, key);

		if (which)
			view_key(view, which, now_us());
	}
	measure(view);
}

/* ---- the loop ---- */

struct show {
	struct view view;
	struct feed feed;
	struct canvas canvas;
	sigset_t unheld;
	int64_t painted_us;
};

static void on_event(void *context, const json_t *row)
{
	view_event(context, row);
}

static enum err load_film(void *context, struct film *film)
{
	return feed_film(context, film);
}

/* Until a key, an event, a signal, or the film's next line. false: nobody sits there any more. */
static bool wait_for_something(struct show *show, int64_t wait_ms)
{
	int follow = show->feed.follow ? control_descriptor(show->feed.follow) : -1;
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { follow, POLLIN, 0 } };
	struct timespec timeout;

	if (follow < 0 && (wait_ms < 0 || wait_ms > AGAIN_MS))
		wait_ms = AGAIN_MS;
	timeout = (struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 };
	if (ppoll(fds, 2, wait_ms < 0 ? NULL : &timeout, &show->unheld) < 0 && errno != EINTR)
		return false;
	return !(fds[0].revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void show_trouble(struct show *show)
{
	OWNED(buf) struct buf text = BUF(4 * FAULT_TEXT_MAX);
	struct view *view = &show->view;

	view->lost = show->feed.lost;
	trace_add_harmless(&text, str_of(show->feed.trouble), view->ascii);
	snprintf(view->trouble, sizeof view->trouble, "%.*s",
		 STR_ARGS(str_first(buf_str(&text), sizeof view->trouble - 1)));
}

static void run(struct show *show)
{
	struct view *view = &show->view;

	measure(view);
	while (!view->is_over && !asked_to_end) {
		int64_t wait_ms = view_play(view, now_us());
		int64_t rest_us = show->painted_us + FRAME_US - now_us();

		/* A busy server is drawn some thirty times a second, no more. */
		if (rest_us <= 0) {
			view_draw(view, &show->canvas);
			paint(&show->canvas);
			show->painted_us = now_us();
		} else if (wait_ms < 0 || wait_ms > rest_us / 1000 + 1) {
			wait_ms = rest_us / 1000 + 1;
		}
		if (!wait_for_something(show, wait_ms))
			break;
		feed_take(&show->feed, now_us());
		take_keys(view);
		show_trouble(show);
	}
}

static int tell(enum err err)
{
	OWNED(buf) struct buf line = BUF(4 * FAULT_TEXT_MAX);

	escape_add(&line, str_of(fault_text()));
	fprintf(stderr, "glasspost: %.*s\n", STR_ARGS(buf_str(&line)));
	if (err == ERR_REFUSED)
		fputs("  start it with: glasspost serve, or glasspost dev\n", stderr);
	return err == ERR_DENIED ? EX_NOPERM : EX_UNAVAILABLE;
}

static enum err prepare(struct show *show, const struct watch_options *options)
{
	struct view *view = &show->view;
	enum err err;

	view->ascii = options->ascii;
	view->wishes.depth = options->depth;
	view->speed = options->speed;
	view->list_follows = true;
	view->load = load_film;
	view->context = &show->feed;
	show->feed.invocation = options->invocation;
	show->feed.event = on_event;
	show->feed.context = view;
	/* Followed before it is listed: what begins in between is in both, and known by its id. */
	err = feed_open(&show->feed);
	if (!err)
		err = feed_list(&show->feed, &view->list);
	if (err || !options->session)
		return err;
	view_open(view, options->session);
	if (view->mode == VIEW_LIST)
		return ERR_NOT_FOUND;
	if (options->plays) {
		film_go(&view->film, 0);
		view->film.follows = false;
		film_toggle(&view->film, now_us());
	}
	return OK;
}

int watch_screen(const struct watch_options *options)
{
	struct show *show = calloc(1, sizeof *show);
	enum err err;
	int status = EX_OK;

	must(show);
	err = prepare(show, options);
	if (err) {
		status = tell(err);
	} else if (begin(&show->unheld)) {
		run(show);
		end(&show->unheld);
	} else {
		fprintf(stderr, "glasspost: this terminal cannot be used (TERM=%s): try --text\n",
			getenv("TERM"));
		status = EX_UNAVAILABLE;
	}
	feed_close(&show->feed);
	view_done(&show->view);
	canvas_done(&show->canvas);
	free(show);
	return status;
}
