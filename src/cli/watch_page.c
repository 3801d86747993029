/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of words: broken into lines, harmless, each line with its meaning. */
#include "cli/watch.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIDTH_MIN = 16, HEX_OCTETS = 16, HEX_NARROW = 8, HEX_NARROW_BELOW = 76 };

void page_done(struct page *page)
{
	arena_drop(&page->arena);
	free(page->lines);
	*page = (struct page){ 0 };
}

void page_begin(struct page *page, unsigned width, bool ascii)
{
	arena_reset(&page->arena);
	page->count = 0;
	page->width = width < WIDTH_MIN ? WIDTH_MIN : width;
	page->ascii = ascii;
}

static void add_line(struct page *page, enum style style, struct str text)
{
	if (page->count == page->room) {
		page->room = page->room ? page->room * 2 : 64;
		page->lines = realloc(page->lines, page->room * sizeof page->lines[0]);
		must(page->lines);
	}
	page->lines[page->count++] = (struct page_line){ text, style };
}

void page_blank(struct page *page)
{
	if (page->count && page->lines[page->count - 1].text.len)
		add_line(page, STYLE_PLAIN, S(""));
}

/* Octets of the longest beginning that fits into so many cells, at a blank where there is one. */
static size_t line_length(struct str text, unsigned cells)
{
	size_t used = 0;
	size_t blank = 0;

	for (unsigned count = 0; used < text.len && count < cells; count++) {
		if (text.at[used] == ' ')
			blank = used;
		used++;
		while (used < text.len && ((unsigned char)text.at[used] & 0xC0) == 0x80)
			used++;
	}
	if (used == text.len || text.at[used] == ' ')
		return used;
	return blank ? blank : used;
}

void page_add(struct page *page, enum style style, unsigned indent, struct str text)
{
	OWNED(buf) struct buf harmless = BUF(1 << 20);
	struct str rest;
	unsigned room;

	if (indent + WIDTH_MIN / 2 > page->width)
		indent = 0;
	room = page->width - indent;
	trace_add_harmless(&harmless, text, page->ascii);
	rest = buf_str(&harmless);
	do {
		size_t len = line_length(rest, room);

		add_line(page, style,
			 str_print(&page->arena, "%*s%.*s", (int)indent, "",
				   STR_ARGS(str_first(rest, len))));
		rest = str_from(rest, len);
		while (rest.len && rest.at[0] == ' ')
			rest = str_from(rest, 1);
	} while (rest.len);
}

void page_print(struct page *page, enum style style, unsigned indent, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	must(vasprintf(&text, format, arguments) >= 0);
	va_end(arguments);
	page_add(page, style, indent, str_of(text));
	free(text);
}

void page_hex(struct page *page, struct str octets)
{
	size_t row = page->width < HEX_NARROW_BELOW ? HEX_NARROW : HEX_OCTETS;

	for (size_t at = 0; at < octets.len; at += row) {
		OWNED(buf) struct buf line = BUF(400);
		struct str part = str_first(str_from(octets, at), row);

		buf_print(&line, "%04zx ", at);
		for (size_t i = 0; i < row; i++) {
			if (i < part.len)
				buf_print(&line, " %02x", (unsigned char)part.at[i]);
			else
				buf_add(&line, S("   "));
		}
		buf_add(&line, S("  "));
		for (size_t i = 0; i < part.len; i++)
			buf_add_char(&line,
				     part.at[i] >= 0x20 && part.at[i] < 0x7f ? part.at[i] : '.');
		add_line(page, STYLE_PLAIN, str_dup(&page->arena, buf_str(&line)));
	}
}
