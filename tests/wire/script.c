/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>

struct reader {
	struct script *script;
	const char *path;
	unsigned line;
	size_t room;
};

static enum err wrong(const struct reader *reader, const char *what, struct str text)
{
	return fault(ERR_SYNTAX, "%s:%u: %s: %.*s", reader->path, reader->line, what,
		     STR_ARGS(text));
}

static struct step *add_step(struct reader *reader, enum step_kind kind)
{
	struct script *script = reader->script;
	struct step *step;

	if (script->step_count == reader->room) {
		struct step *grown;

		reader->room = reader->room ? reader->room * 2 : 64;
		grown = NEW_ARRAY(&script->arena, struct step, reader->room);
		if (script->step_count)
			memcpy(grown, script->steps, script->step_count * sizeof(*grown));
		script->steps = grown;
	}
	step = &script->steps[script->step_count++];
	step->kind = kind;
	step->line = reader->line;
	return step;
}

/* ---- headers ---- */

static bool take_two(struct str text, char between, struct str *first, struct str *second)
{
	size_t at = str_find(text, between);

	*first = str_trim(str_first(text, at));
	*second = at == STR_NONE ? S("") : str_trim(str_from(text, at + 1));
	return at != STR_NONE && first->len > 0;
}

static enum err read_setting(struct reader *reader, struct str text)
{
	struct script *script = reader->script;
	struct setting *setting = &script->settings[script->setting_count];
	size_t dot;

	if (script->setting_count == COUNT_OF(script->settings))
		return wrong(reader, "too many settings", text);
	if (!take_two(text, '=', &setting->name, &setting->value))
		return wrong(reader, "@ config NAME=VALUE or LISTENER.NAME=VALUE", text);
	dot = str_find(setting->name, '.');
	if (dot != STR_NONE) {
		setting->listener = str_first(setting->name, dot);
		setting->name = str_from(setting->name, dot + 1);
	}
	script->setting_count++;
	return OK;
}

static enum err read_modes(struct reader *reader, struct str text)
{
	struct script *script = reader->script;

	script->modes = 0;
	while (text.len > 0) {
		struct str word = str_first(text, str_find(text, ' '));

		text = str_trim(str_from(text, word.len));
		if (str_is(word, S("clear")))
			script->modes |= WIRE_CLEAR;
		else if (str_is(word, S("tls")))
			script->modes |= WIRE_TLS;
		else if (str_is(word, S("sim")))
			script->modes |= WIRE_SIM;
		else
			return wrong(reader, "no such mode", word);
	}
	return OK;
}

static enum err read_listener(struct reader *reader, struct str text)
{
	struct script *script = reader->script;
	size_t connection = 1;

	if (text.len > 2 && ascii_is_digit((unsigned char)text.at[0]) && text.at[1] == ' ') {
		connection = (size_t)(text.at[0] - '0');
		text = str_trim(str_from(text, 2));
		script->listener[connection] = text;
		return OK;
	}
	for (size_t i = 0; i < WIRE_CONNECTIONS; i++)
		if (script->listener[i].len == 0)
			script->listener[i] = text;
	script->listener[connection] = text;
	return OK;
}

static enum err read_account(struct reader *reader, struct account *list, size_t *count,
			     struct str text)
{
	if (*count == 32)
		return wrong(reader, "too many", text);
	if (!take_two(text, ' ', &list[*count].address, &list[*count].password))
		return wrong(reader, "an address and a second word are needed", text);
	(*count)++;
	return OK;
}

static enum err read_protocol(struct reader *reader, struct str text)
{
	reader->script->protocol = text;
	return read_listener(reader, str_is(text, S("smtp")) ? S("mx") : text);
}

static enum err read_header(struct reader *reader, struct str text)
{
	struct script *script = reader->script;
	struct str word = str_first(text, str_find(text, ' '));
	struct str rest = str_trim(str_from(text, word.len));

	if (str_is(word, S("protocol")))
		return read_protocol(reader, rest);
	if (str_is(word, S("listener")))
		return read_listener(reader, rest);
	if (str_is(word, S("config")))
		return read_setting(reader, rest);
	if (str_is(word, S("account")))
		return read_account(reader, script->accounts, &script->account_count, rest);
	if (str_is(word, S("alias")))
		return read_account(reader, script->aliases, &script->alias_count, rest);
	if (str_is(word, S("modes")))
		return read_modes(reader, rest);
	return wrong(reader, "no such header", word);
}

/* ---- steps ---- */

static enum err read_whole_file(const struct reader *reader, struct arena *arena, const char *path,
				struct str *out)
{
	FILE *file = fopen(path, "rb");
	OWNED(buf) struct buf text = BUF(WIRE_FILE);
	char part[4096];
	size_t got;

	if (!file)
		return reader ? wrong(reader, "cannot be read", str_of(path))
			      : fault_errno("read %s", path);
	while ((got = fread(part, 1, sizeof(part), file)) > 0)
		buf_add(&text, (struct str){ part, got });
	fclose(file);
	if (text.failed)
		return fault(ERR_LIMIT, "%s is too large", path);
	*out = str_dup(arena, buf_str(&text));
	return OK;
}

/* "repeat COUNT text" or "file NAME" (beside the script). */
static enum err read_bulk(struct reader *reader, struct step *step, struct str text)
{
	struct arena *arena = &reader->script->arena;
	struct str word = str_first(text, str_find(text, ' '));
	struct str rest = str_trim(str_from(text, word.len));
	struct buf bulk = BUF(WIRE_FILE);
	struct str count;
	struct str piece;
	uint64_t times;

	if (str_is(word, S("file")))
		return read_whole_file(reader, arena,
				       str_dup_c(arena, str_print(arena, "%.*s/%.*s",
								  STR_ARGS(reader->script->folder),
								  STR_ARGS(rest))),
				       &step->text);
	if (!str_is(word, S("repeat")) || !take_two(rest, ' ', &count, &piece) ||
	    !str_to_u64(count, WIRE_FILE, &times) || !wire_unescape(arena, piece, &piece))
		return wrong(reader, "C< repeat COUNT TEXT or C< file NAME", text);
	for (uint64_t i = 0; i < times; i++)
		buf_add(&bulk, piece);
	step->text = str_dup(arena, buf_str(&bulk));
	buf_drop(&bulk);
	return OK;
}

static enum err read_sleep(struct reader *reader, struct step *step, struct str text)
{
	uint64_t unit = str_ends_nocase(text, S("ms"))  ? 1
			: str_ends_nocase(text, S("s")) ? 1000
			: str_ends_nocase(text, S("m")) ? 60000
							: 0;
	size_t suffix = unit == 1 ? 2 : 1;

	if (!unit || !str_to_u64(str_first(text, text.len - suffix), 1000000, &step->count))
		return wrong(reader, "SLEEP 200ms, 5s or 10m", text);
	step->count *= unit;
	return OK;
}

static enum err read_stored(struct reader *reader, struct step *step, struct str text)
{
	struct str count;

	if (!take_two(text, ' ', &step->text, &count) || !str_to_u64(count, 1000000, &step->count))
		return wrong(reader, "STORED address count", text);
	return OK;
}

static const struct {
	struct str word;
	enum step_kind kind;
} words[] = {
	{ { "C: ", 3 }, STEP_SEND },        { { "C! ", 3 }, STEP_SEND_RAW },
	{ { "C< ", 3 }, STEP_SEND_BULK },   { { "S: ", 3 }, STEP_EXPECT },
	{ { "S! ", 3 }, STEP_ABSENT },      { { "C:", 2 }, STEP_SEND },
	{ { "S:", 2 }, STEP_EXPECT },       { { "TLS", 3 }, STEP_TLS },
	{ { "SHUT", 4 }, STEP_HALF_CLOSE }, { { "CLOSE", 5 }, STEP_CLOSE },
	{ { "CUT", 3 }, STEP_CUT },         { { "EOF", 3 }, STEP_END },
	{ { "SLEEP ", 6 }, STEP_SLEEP },    { { "STORED ", 7 }, STEP_STORED },
};

static enum err finish_step(struct reader *reader, struct step *step, struct str rest)
{
	switch (step->kind) {
	case STEP_EXPECT:
		if (str_ends_nocase(rest, S("..."))) {
			step->kind = STEP_SKIP;
			step->text = str_first(rest, rest.len - 3);
		}
		return OK;
	case STEP_SEND_RAW:
		return wire_unescape(&reader->script->arena, rest, &step->text)
			       ? OK
			       : wrong(reader, "escapes are \\r \\n \\t \\\\ \\xNN", rest);
	case STEP_SEND_BULK:
		return read_bulk(reader, step, rest);
	case STEP_SLEEP:
		return read_sleep(reader, step, rest);
	case STEP_STORED:
		return read_stored(reader, step, rest);
	case STEP_TLS:
	case STEP_HALF_CLOSE:
	case STEP_CLOSE:
	case STEP_CUT:
	case STEP_END:
		return rest.len == 0 ? OK : wrong(reader, "takes no argument", rest);
	default:
		return OK;
	}
}

/* "S{120}: 250 *": so many lines. */
static enum err read_series(struct reader *reader, struct str line, unsigned connection,
			    struct str text)
{
	struct str count;
	struct str pattern;
	uint64_t times;

	if (!take_two(str_from(text, 2), '}', &count, &pattern) || !str_starts(pattern, S(":")) ||
	    !str_to_u64(count, 100000, &times))
		return wrong(reader, "S{COUNT}: pattern", line);
	for (uint64_t i = 0; i < times; i++) {
		struct step *step = add_step(reader, STEP_EXPECT);

		step->connection = connection;
		step->source = line;
		step->text = str_trim(str_from(pattern, 1));
	}
	return OK;
}

static enum err read_step(struct reader *reader, struct str line)
{
	unsigned connection = 1;
	struct str text = line;

	if (ascii_is_digit((unsigned char)text.at[0]) && text.at[0] != '0') {
		connection = (unsigned)(text.at[0] - '0');
		text = str_from(text, 1);
	}
	if (str_starts(text, S("S{")))
		return read_series(reader, line, connection, text);
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		struct step *step;

		if (!str_starts(text, words[i].word))
			continue;
		step = add_step(reader, words[i].kind);
		step->connection = connection;
		step->source = line;
		step->text = str_from(text, words[i].word.len);
		return finish_step(reader, step, step->text);
	}
	return wrong(reader, "no such step", line);
}

static enum err read_line(struct reader *reader, struct str line)
{
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0 || line.at[0] == '#')
		return OK;
	if (str_starts(line, S("@ ")))
		return read_header(reader, str_trim(str_from(line, 2)));
	return read_step(reader, line);
}

static void name_script(struct script *script, struct str path)
{
	size_t slash = str_find_last(path, '/');

	script->folder = slash == STR_NONE ? S(".") : str_first(path, slash);
	script->name = slash == STR_NONE ? path : str_from(path, slash + 1);
	if (str_ends_nocase(script->name, S(".wire")))
		script->name.len -= 5;
}

enum err script_read(const char *path, struct script *out)
{
	struct reader reader = { .script = out, .path = path };
	struct scan scan;
	enum err err;

	*out = (struct script){ .modes = WIRE_CLEAR | WIRE_TLS | WIRE_SIM };
	name_script(out, str_dup(&out->arena, str_of(path)));
	err = read_whole_file(NULL, &out->arena, path, &out->text);
	scan = scan_of(out->text);
	while (!err && !scan_at_end(&scan)) {
		struct str line;

		if (!take_until(&scan, '\n', &line)) {
			line = scan_rest(&scan);
			scan.at = scan.end;
		}
		reader.line++;
		err = read_line(&reader, line);
	}
	if (!err && out->protocol.len == 0)
		err = fault(ERR_SYNTAX, "%s: @ protocol is missing", path);
	if (!err && out->step_count == 0)
		err = fault(ERR_SYNTAX, "%s: no steps", path);
	return err;
}

void script_done(struct script *script)
{
	arena_drop(&script->arena);
}
