/* SPDX-License-Identifier: Apache-2.0 */
#include "config/file.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * libconfuse stops at the first unknown option. So that one run names them all, each is added to
 * the table it reads by, as a text that nobody looks at, and the file is read again: so many times.
 */
enum { UNKNOWN_MAX = 20, NAME_ROOM = 64 };

/*
 * libconfuse takes a section that the end of the file cuts off for whole. This option is put
 * behind the file: when it is met inside a section, a brace was forgotten.
 */
#define SENTINEL "glasspost_end_of_file"

struct reader {
	struct arena *arena;
	struct complaints *complaints;
	struct raw_file *file;
	struct {
		char name[NAME_ROOM];
		unsigned line;
		bool in_listener;
	} unknown[UNKNOWN_MAX];
	size_t unknown_count;
	unsigned done_line; /* up to it everything was told by an earlier reading */
	bool again;
	const struct raw_listener *unclosed;
};

/* libconfuse's callbacks carry no pointer of ours. Nothing waits while it reads. */
static _Thread_local struct reader *reading;

static struct raw_listener *listener_of(struct reader *reader, const char *title, unsigned line)
{
	struct raw_listener **end = &reader->file->listeners;

	while (*end) {
		if (str_is((*end)->name, str_of(title)))
			return *end;
		end = &(*end)->next;
	}
	*end = NEW(reader->arena, struct raw_listener);
	(*end)->name = str_dup(reader->arena, str_of(title));
	(*end)->line = line;
	(*end)->values = NEW_ARRAY(reader->arena, struct raw_value, listener_row_count);
	reader->file->listener_count++;
	return *end;
}

static void add_word(struct arena *arena, struct raw_value *raw, struct str text)
{
	struct raw_word *word = NEW(arena, struct raw_word);

	word->text = text;
	if (!raw->end)
		raw->end = &raw->words;
	*raw->end = word;
	raw->end = &word->next;
}

/* The words of each list become its text, in one pass: a list may be as long as the file. */
static void join_words(struct arena *arena, struct raw_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		OWNED(buf) struct buf text = BUF(4 * LIMIT_config_file);

		if (!values[i].words || !values[i].words->next)
			continue;
		for (const struct raw_word *w = values[i].words; w; w = w->next) {
			buf_add(&text, w->text);
			if (w->next)
				buf_add(&text, S(", "));
		}
		must(!text.failed);
		values[i].text = str_dup(arena, buf_str(&text));
	}
}

static void join_all_words(struct arena *arena, struct raw_file *file)
{
	join_words(arena, file->values, config_row_count);
	for (struct raw_listener *l = file->listeners; l; l = l->next)
		join_words(arena, l->values, listener_row_count);
}

static int value_is_read(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
	struct reader *reader = reading;
	bool in_listener = cfg_title(cfg) != NULL;
	const struct option_row *rows = in_listener ? listener_rows : config_rows;
	size_t count = in_listener ? listener_row_count : config_row_count;
	const struct option_row *row = option_find(rows, count, str_of(option->name));
	unsigned line = (unsigned)cfg->line;
	struct raw_value *raw;

	*(const char **)result = value;
	if (!row)
		return 0; /* unknown and told already, or the sentinel */
	raw = in_listener ? listener_of(reader, cfg_title(cfg), line)->values
			  : reader->file->values;
	raw += row - rows;
	if (raw->line && row->type != OPTION_LIST && line > reader->done_line)
		complain(reader->complaints, line,
			 "%s: is set a second time (first in line %u); keep one of them", row->name,
			 raw->line);
	raw->text = str_dup(reader->arena, str_of(value));
	if (row->type == OPTION_LIST)
		add_word(reader->arena, raw, raw->text);
	if (!raw->line)
		raw->line = line;
	return 0;
}

static void note_unknown(struct reader *reader, cfg_t *cfg, const char *name)
{
	bool in_listener = cfg_title(cfg) != NULL;
	const struct option_row *rows = in_listener ? listener_rows : config_rows;
	size_t count = in_listener ? listener_row_count : config_row_count;
	const char *nearest = option_nearest(rows, count, str_of(name));
	unsigned line = (unsigned)cfg->line;

	if (strcmp(name, SENTINEL) == 0) {
		reader->unclosed = listener_of(reader, cfg_title(cfg), line);
		return;
	}
	if (nearest)
		complain(reader->complaints, line, "%.60s: is no option%s; did you mean %s?", name,
			 in_listener ? " of a listener" : "", nearest);
	else
		complain(reader->complaints, line,
			 "%.60s: is no option%s; see glasspost.conf(5) for those there are", name,
			 in_listener ? " of a listener" : "");
	if (strlen(name) >= NAME_ROOM || reader->unknown_count == UNKNOWN_MAX)
		return;
	snprintf(reader->unknown[reader->unknown_count].name, NAME_ROOM, "%s", name);
	reader->unknown[reader->unknown_count].in_listener = in_listener;
	reader->unknown[reader->unknown_count++].line = line;
	reader->done_line = line;
	reader->again = true;
}

static bool is_line_of_unknown(const struct reader *reader, unsigned line)
{
	for (size_t i = 0; i < reader->unknown_count; i++) {
		if (reader->unknown[i].line == line)
			return true;
	}
	return false;
}

static void mistake_is_found(cfg_t *cfg, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
static void mistake_is_found(cfg_t *cfg, const char *format, va_list arguments)
{
	struct reader *reader = reading;
	char text[200];

	if (strcmp(format, "no such option '%s'") == 0) {
		note_unknown(reader, cfg, va_arg(arguments, const char *));
		return;
	}
	if (is_line_of_unknown(reader, (unsigned)cfg->line))
		return; /* what stands behind an unknown name is no second mistake */
	vsnprintf(text, sizeof text, format, arguments);
	if (strstr(text, SENTINEL)) {
		complain(reader->complaints, (unsigned)cfg->line - 1,
			 "syntax: the file ends in the middle of a value; close its braces and "
			 "quotes");
		return;
	}
	if (strcmp(format, "found duplicate title '%s'") == 0)
		complain(reader->complaints, (unsigned)cfg->line,
			 "listener: %s; give each listener a name of its own", text);
	else
		complain(reader->complaints, (unsigned)cfg->line,
			 "syntax: %s; write name = value, texts with blanks in \"quotes\"", text);
}

static void fill_options(cfg_opt_t *options, const struct option_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].type == OPTION_LIST)
			options[i] = (cfg_opt_t)CFG_STR_LIST_CB(rows[i].name, NULL, CFGF_NONE,
								value_is_read);
		else
			options[i] =
				(cfg_opt_t)CFG_STR_CB(rows[i].name, NULL, CFGF_NONE, value_is_read);
	}
}

static void add_unknown(struct reader *reader, bool in_listener, cfg_opt_t *options)
{
	for (size_t i = 0; i < reader->unknown_count; i++) {
		if (reader->unknown[i].in_listener == in_listener)
			*options++ = (cfg_opt_t)CFG_STR_CB(reader->unknown[i].name, NULL, CFGF_NONE,
							   value_is_read);
	}
	*options = (cfg_opt_t)CFG_END();
}

static void note_listeners(struct reader *reader, cfg_t *cfg)
{
	for (unsigned i = 0; i < cfg_size(cfg, "listener"); i++) {
		cfg_t *section = cfg_getnsec(cfg, "listener", i);

		listener_of(reader, cfg_title(section), (unsigned)section->line);
	}
}

static void read_once(struct reader *reader, const char *text)
{
	cfg_opt_t *in_listener =
		NEW_ARRAY(reader->arena, cfg_opt_t, listener_row_count + UNKNOWN_MAX + 1);
	cfg_opt_t *options =
		NEW_ARRAY(reader->arena, cfg_opt_t, config_row_count + 2 + UNKNOWN_MAX + 1);
	cfg_t *cfg;

	fill_options(in_listener, listener_rows, listener_row_count);
	add_unknown(reader, true, in_listener + listener_row_count);
	fill_options(options, config_rows, config_row_count);
	options[config_row_count] = (cfg_opt_t)CFG_SEC(
		"listener", in_listener, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	options[config_row_count + 1] =
		(cfg_opt_t)CFG_STR_CB(SENTINEL, NULL, CFGF_NONE, value_is_read);
	add_unknown(reader, false, options + config_row_count + 2);

	cfg = cfg_init(options, CFGF_NONE);
	must(cfg);
	cfg_set_error_function(cfg, mistake_is_found);
	reading = reader;
	if (cfg_parse_buf(cfg, text) == CFG_SUCCESS)
		note_listeners(reader, cfg);
	reading = NULL;
	cfg_free(cfg);
}

/*
 * libconfuse 3.3 counts the lines of comments more than once. So comments become blanks first:
 * from # or, at a word's start, // to the end of the line, and what stands between slash-stars.
 */
static char *blank_until(char *from, const char *end)
{
	for (; *from && from != end; from++)
		*from = *from == '\n' ? '\n' : ' ';
	return from;
}

/* Past the closing quote, or at the end. */
static char *skip_quoted(char *from)
{
	char quote = *from++;

	while (*from && *from != quote)
		from += *from == '\\' && from[1] ? 2 : 1;
	return *from ? from + 1 : from;
}

static unsigned line_at(const char *start, const char *at)
{
	unsigned line = 1;

	for (; start < at; start++)
		line += *start == '\n';
	return line;
}

static void blank_comments(char *text, struct complaints *complaints)
{
	const char *const start = text;

	while (*text) {
		bool at_word_start = text == start || strchr(" \t\n", text[-1]);

		if (*text == '"' || *text == '\'') {
			text = skip_quoted(text);
		} else if (*text == '#' || (at_word_start && text[0] == '/' && text[1] == '/')) {
			text = blank_until(text, strchr(text, '\n'));
		} else if (text[0] == '/' && text[1] == '*') {
			const char *end = strstr(text + 2, "*/");

			if (!end)
				complain(complaints, line_at(start, text),
					 "syntax: a comment begins and does not end; write */ "
					 "behind it");
			text = blank_until(text, end ? end + 2 : NULL);
		} else {
			text++;
		}
	}
}

/* The first word of a line: what begins a section, looked for outside of comments. */
static bool line_begins_listener(struct str line, struct str name)
{
	size_t at;

	line = str_trim(line);
	if (!str_starts(line, S("listener")))
		return false;
	line = str_trim(str_from(line, S("listener").len));
	at = str_find_str(line, name);
	return at != STR_NONE && at <= 1; /* 1: behind a quote */
}

static struct str next_line(struct str *rest)
{
	size_t end = str_find(*rest, '\n');
	struct str line = str_first(*rest, end == STR_NONE ? rest->len : end);

	*rest = str_from(*rest, line.len + 1);
	return line;
}

/* libconfuse knows the line of a value, not of a section's start. */
static void find_listener_lines(struct raw_file *file, struct str text)
{
	for (unsigned number = 1; text.len > 0; number++) {
		struct str line = next_line(&text);

		for (struct raw_listener *l = file->listeners; l; l = l->next) {
			if (line_begins_listener(line, l->name) && number < l->line)
				l->line = number;
		}
	}
}

/*
 * libconfuse would put the environment's values in place of ${NAME}; the roles read the same text
 * with no environment, so that would be two configurations.
 */
static void refuse_variables(struct str text, struct complaints *complaints)
{
	for (unsigned number = 1; text.len > 0; number++) {
		struct str line = str_trim(next_line(&text));

		if (str_find_str(line, S("${")) != STR_NONE)
			complain(complaints, number,
				 "syntax: ${...} is not replaced here; write the value itself");
	}
}

static void forget(struct reader *reader)
{
	*reader->file = (struct raw_file){
		.values = NEW_ARRAY(reader->arena, struct raw_value, config_row_count),
	};
}

void file_read(struct arena *arena, struct str text, struct complaints *complaints,
	       struct raw_file *out)
{
	struct reader reader = { .arena = arena, .complaints = complaints, .file = out };
	struct str without_comments;
	char *whole;

	forget(&reader); /* ready for who looks at it after a complaint */
	if (text.len > LIMIT_config_file) {
		complain(complaints, 0, "file: is larger than %d octets; shorten it",
			 LIMIT_config_file);
		return;
	}
	if (str_find(text, '\0') != STR_NONE) {
		complain(complaints, line_at(text.at, text.at + str_find(text, '\0')),
			 "file: holds a NUL octet; write it as plain text");
		return;
	}
	whole = str_dup_c(arena, text);
	blank_comments(whole, complaints);
	without_comments = str_of(whole);
	refuse_variables(without_comments, complaints);
	if (complaints->count > 0)
		return;
	whole = str_dup_c(arena, str_print(arena, "%s\n" SENTINEL " = yes\n", whole));
	do {
		reader.again = false;
		forget(&reader);
		read_once(&reader, whole);
	} while (reader.again);
	join_all_words(arena, out);
	find_listener_lines(out, without_comments);
	if (reader.unclosed)
		complain(complaints, reader.unclosed->line,
			 "listener %.*s: is not closed; add a line with }",
			 STR_ARGS(reader.unclosed->name));
}
