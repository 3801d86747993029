/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS_MAX = 24, CELL_MAX = 600 };

struct column {
	const char *name;
	size_t width;
	bool number;
	bool moment;
};

unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		return size.ws_col;
	if (columns && str_to_u64(str_of(columns), 1000, &width) && width >= 20)
		return (unsigned)width;
	return 100;
}

/* Microseconds that are so many are no span: they count from 1970, and people read a date. */
enum { WALL_SECONDS_LEAST = 1000000000 };

static bool is_moment(const char *name, const json_t *value)
{
	return json_is_integer(value) && str_ends_nocase(str_of(name), S("_us")) &&
	       json_integer_value(value) / 1000000 >= WALL_SECONDS_LEAST;
}

static void add_integer(struct buf *out, const char *name, const json_t *value)
{
	time_t seconds = (time_t)(json_integer_value(value) / 1000000);
	struct tm tm;
	char text[40];

	if (is_moment(name, value) && gmtime_r(&seconds, &tm) &&
	    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_add_c(out, text);
	else
		buf_print(out, "%lld", (long long)json_integer_value(value));
}

void print_json(const json_t *json, bool as_lines)
{
	char *text = json_dumps(json, as_lines ? JSON_INDENT(2) : JSON_COMPACT);
	struct buf mended = BUF(0);

	must(text);
	mended.max = strlen(text) * 6 + 16;
	must(json_mend(&mended, str_of(text)) == OK);
	printf("%.*s\n", STR_ARGS(buf_str(&mended)));
	buf_drop(&mended);
	free(text);
}

/* What the server says is shown, never obeyed: no control character reaches the terminal. */
static struct str cell_text(const char *name, const json_t *value, struct buf *out)
{
	buf_reset(out);
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		escape_add(out,
			   (struct str){ json_string_value(value), json_string_length(value) });
		break;
	case JSON_INTEGER:
		add_integer(out, name, value);
		break;
	case JSON_REAL:
		buf_print(out, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
		buf_add(out, S("yes"));
		break;
	case JSON_FALSE:
		buf_add(out, S("no"));
		break;
	case JSON_ARRAY:
		for (size_t i = 0; i < json_array_size(value); i++) {
			const char *text = json_string_value(json_array_get(value, i));

			buf_add_c(out, i ? ", " : "");
			escape_add(out, str_of(text ? text : "?"));
		}
		break;
	case JSON_OBJECT:
	case JSON_NULL:
		break;
	}
	return buf_str(out);
}

/* Columns that a text takes: one a character, whatever its octets (rfc3629). */
static size_t text_width(struct str text)
{
	size_t width = 0;

	for (size_t i = 0; i < text.len; i++)
		width += ((unsigned char)text.at[i] & 0xC0) != 0x80;
	return width;
}

static size_t find_columns(const json_t *rows, struct column columns[COLUMNS_MAX])
{
	json_t *first = json_array_get(rows, 0);
	size_t count = 0;
	const char *name;
	json_t *value;

	json_object_foreach(first, name, value)
	{
		if (count == COLUMNS_MAX || json_is_object(value))
			continue;
		columns[count++] = (struct column){ name, strlen(name), json_is_number(value),
						    is_moment(name, value) };
	}
	return count;
}

static void measure(const json_t *rows, struct column *columns, size_t count)
{
	OWNED(buf) struct buf cell = BUF(CELL_MAX);

	for (size_t i = 0; i < json_array_size(rows); i++) {
		for (size_t c = 0; c < count; c++) {
			const json_t *value =
				json_object_get(json_array_get(rows, i), columns[c].name);
			size_t width = text_width(cell_text(columns[c].name, value, &cell));

			if (width > columns[c].width)
				columns[c].width = width;
		}
	}
}

static void print_cell(const struct column *column, struct str text, bool last)
{
	int blanks = (int)(column->width - text_width(text));

	if (column->number)
		printf("%*s%.*s", blanks, "", STR_ARGS(text));
	else
		printf("%.*s%*s", STR_ARGS(text), last ? 0 : blanks, "");
	fputs(last ? "\n" : "  ", stdout);
}

static void print_head(const struct column *columns, size_t count)
{
	for (size_t c = 0; c < count; c++) {
		char name[64];
		size_t len = strlen(columns[c].name);

		len = len < sizeof name ? len : sizeof name;
		len -= columns[c].moment ? strlen("_us") : 0; /* it is shown as a date */
		for (size_t i = 0; i < len; i++) {
			char letter = columns[c].name[i];

			name[i] = letter == '_'                    ? ' '
				  : letter >= 'a' && letter <= 'z' ? (char)(letter - 32)
								   : letter;
		}
		print_cell(&columns[c], (struct str){ name, len }, c + 1 == count);
	}
}

void print_table(const json_t *rows)
{
	OWNED(buf) struct buf cell = BUF(CELL_MAX);
	struct column columns[COLUMNS_MAX];
	size_t count;

	if (json_array_size(rows) == 0)
		return;
	count = find_columns(rows, columns);
	measure(rows, columns, count);
	print_head(columns, count);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		for (size_t c = 0; c < count; c++) {
			const json_t *value =
				json_object_get(json_array_get(rows, i), columns[c].name);

			print_cell(&columns[c], cell_text(columns[c].name, value, &cell),
				   c + 1 == count);
		}
	}
}
