/* SPDX-License-Identifier: Apache-2.0 */
/* watch --text: the same as lines, for tickets, pipes and mail. */
#include "cli/watch.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int complain(enum err err)
{
	OWNED(buf) struct buf line = BUF(4 * FAULT_TEXT_MAX);

	escape_add(&line, str_of(fault_text()));
	fprintf(stderr, "glasspost: %.*s\n", STR_ARGS(buf_str(&line)));
	if (err == ERR_NOT_FOUND)
		fputs("  try: glasspost session list\n", stderr);
	return err == ERR_REFUSED ? EX_UNAVAILABLE : err == ERR_DENIED ? EX_NOPERM : 1;
}

/* ---- the list ---- */

static int print_list(const struct watch_options *options, const struct feed *feed)
{
	struct seen_list list = { 0 };
	enum err err = feed_list(feed, &list);

	for (size_t i = 0; !err && i < list.count; i++) {
		OWNED(buf) struct buf line = BUF(16384);
		char id[ID_TEXT + 1];

		id_print(list.at[i].id, id);
		seen_print(&list.at[i], terminal_width(), options->ascii, &line);
		printf("%s %s  %.*s\n", style_sign(seen_style(&list.at[i]), options->ascii), id,
		       STR_ARGS(buf_str(&line)));
	}
	if (!err && list.count == 0)
		puts("no sessions yet: glasspost listeners says where to connect");
	seen_list_done(&list);
	return err ? complain(err) : EX_OK;
}

/* ---- one session ---- */

static void print_page(const struct page *page, unsigned indent)
{
	for (size_t i = 0; i < page->count; i++)
		printf("%*s%.*s\n", page->lines[i].text.len ? (int)indent : 0, "",
		       STR_ARGS(page->lines[i].text));
}

static void wait_until(int64_t us)
{
	struct timespec rest = { us / 1000000, us % 1000000 * 1000 };

	while (us > 0 && nanosleep(&rest, &rest) != 0)
		continue;
}

/* Refusals are what tickets are written about: of them all is said, of the rest when asked for. */
static bool is_remarkable(const struct watch_options *options, const struct film *film,
			  size_t event)
{
	const struct trace_event *e = &film->events[event].event;
	enum style style = event_style(e);

	if (options->explains)
		return true;
	return e->head.kind == TRACE_reply && !e->reply.more &&
	       (style == STYLE_LATER || style == STYLE_BAD);
}

static void print_event(const struct watch_options *options, const struct film *film, size_t event)
{
	struct detail_wishes wishes = { .depth = options->depth };
	struct page page = { 0 };

	for (size_t row = film_row_of(film, event);
	     row < film->row_count && film->rows[row].event == event; row++) {
		enum style style = row == film_row_of(film, event)
					   ? event_style(&film->events[event].event)
					   : STYLE_PLAIN;

		printf("%s %.*s\n", style_sign(style, options->ascii),
		       STR_ARGS(film->rows[row].text));
	}
	if (!is_remarkable(options, film, event))
		return;
	page_begin(&page, film->width > 24 ? film->width - 18 : film->width, options->ascii);
	detail_write(&page, film, event, &wishes);
	putchar('\n');
	print_page(&page, 16);
	putchar('\n');
	page_done(&page);
}

static void print_film(const struct watch_options *options, struct film *film)
{
	film->cursor = 0;
	for (size_t event = 0; event < film->count; event++) {
		int64_t gap_us = event ? film->events[event].event.head.at_us -
						 film->events[event - 1].event.head.at_us
				       : 0;

		if (options->plays) {
			fflush(stdout);
			wait_until((int64_t)((double)gap_us / options->speed));
		}
		film->cursor = event;
		print_event(options, film, event);
	}
}

static int print_session(const struct watch_options *options, const struct feed *feed)
{
	struct film film;
	enum err err;

	film_init(&film, options->session);
	err = feed_film(feed, &film);
	if (!err) {
		film_draw(&film, terminal_width() - 2, options->ascii);
		print_film(options, &film);
		if (film.left_out)
			printf("  %zu events more are not shown\n", film.left_out);
		if (film.is_open)
			puts("  the session is still open");
	}
	film_done(&film);
	return err ? complain(err) : fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int watch_text(const struct watch_options *options)
{
	struct feed feed = { .invocation = options->invocation };

	if (options->session)
		return print_session(options, &feed);
	return print_list(options, &feed);
}
