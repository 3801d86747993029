/* SPDX-License-Identifier: Apache-2.0 */
#include "config/complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void complain(struct complaints *complaints, unsigned line, const char *format, ...)
{
	char text[700];
	va_list arguments;

	if (complaints->count++ >= COMPLAINTS_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	complaints->items[complaints->count - 1] = (struct complaint){
		.line = line,
		.serial = (unsigned)complaints->count,
		.text = str_dup(complaints->arena, str_of(text)),
	};
}

static int by_line(const void *left, const void *right)
{
	const struct complaint *a = left;
	const struct complaint *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->serial < b->serial ? -1 : 1;
}

void complaints_print(struct complaints *complaints, struct buf *out)
{
	size_t kept = complaints->count < COMPLAINTS_MAX ? complaints->count : COMPLAINTS_MAX;

	qsort(complaints->items, kept, sizeof complaints->items[0], by_line);
	for (size_t i = 0; i < kept; i++) {
		const struct complaint *item = &complaints->items[i];

		buf_add(out, complaints->file);
		if (item->line > 0)
			buf_print(out, ":%u", item->line);
		buf_add(out, S(": "));
		escape_add(out, item->text); /* what the file holds goes to a terminal */
		buf_add_char(out, '\n');
	}
	if (complaints->count > kept)
		buf_print(out, "%.*s: and %zu more\n", STR_ARGS(complaints->file),
			  complaints->count - kept);
}
