/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/pop3.h"

enum argument {
	ARGUMENT_NONE,
	ARGUMENT_TEXT,
	ARGUMENT_NUMBER,
	ARGUMENT_NUMBER_MAYBE,
	ARGUMENT_NUMBER_LINES,
	ARGUMENT_NAME_DIGEST,
	ARGUMENT_MECHANISM,
	ARGUMENT_WORD_MAYBE
};

struct row {
	struct str verb;
	const char *syntax;
	unsigned states;
	enum argument argument;
};

static const struct row rows[] = {
	[POP3_NONE] = { { NULL, 0 }, "", 0, ARGUMENT_NONE },
#define COMMAND(verb, states, argument, syntax)                                                    \
	[POP3_##verb] = {                                                                          \
		{ #verb, sizeof(#verb) - 1 }, syntax, POP3_##states, ARGUMENT_##argument           \
	},
#include "pop3/commands.def"
#undef COMMAND
};

const char *pop3_state_name(enum pop3_state state)
{
	switch (state) {
	case POP3_AUTHORIZATION:
		return "AUTHORIZATION";
	case POP3_TRANSACTION:
		return "TRANSACTION";
	case POP3_UPDATE:
		return "UPDATE";
	}
	return "";
}

const char *pop3_verb_name(enum pop3_verb verb)
{
	return rows[verb].verb.at ? rows[verb].verb.at : "";
}

const char *pop3_verb_syntax(enum pop3_verb verb)
{
	return rows[verb].syntax;
}

unsigned pop3_verb_states(enum pop3_verb verb)
{
	return rows[verb].states;
}

static enum pop3_verb verb_of(struct str word)
{
	for (size_t i = POP3_NONE + 1; i < COUNT_OF(rows); i++)
		if (str_is_nocase(word, rows[i].verb))
			return (enum pop3_verb)i;
	return POP3_NONE;
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static bool is_no_blank(unsigned char c)
{
	return !is_blank(c);
}

/* The verb, and what follows it without the blanks between. */
static struct str take_verb(struct scan *scan)
{
	struct str word = take_while(scan, is_no_blank);

	take_blanks(scan);
	return word;
}

static bool take_word(struct scan *scan, struct str *out)
{
	*out = take_while(scan, is_no_blank);
	take_blanks(scan);
	return out->len > 0;
}

/* Blanks must stand between two numbers, and after one only blanks or the end. */
static bool take_message_number(struct scan *scan, uint64_t *out)
{
	if (!take_number(scan, UINT64_MAX, out))
		return false;
	return scan_at_end(scan) || take_blanks(scan) > 0;
}

static bool is_digest(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit((unsigned char)text.at[i]) &&
		    !(text.at[i] >= 'a' && text.at[i] <= 'f'))
			return false;
	return text.len == 32; /* rfc1939 7: MD5 in lower-case hexadecimal */
}

/* APOP name digest: names may hold blanks, digests may not, so the last word is the digest. */
static bool take_name_digest(struct scan *scan, struct pop3_command *out)
{
	struct str rest = str_trim(scan_rest(scan));
	size_t blank = str_find_last(rest, ' ');

	if (blank == STR_NONE)
		return false;
	out->text = str_trim(str_first(rest, blank));
	out->secret = str_from(rest, blank + 1);
	scan->at = scan->end;
	return out->text.len > 0 && is_digest(out->secret);
}

static bool take_argument(struct scan *scan, enum argument argument, struct pop3_command *out)
{
	switch (argument) {
	case ARGUMENT_NONE:
		return true;
	case ARGUMENT_TEXT: /* rfc1939 7: blanks may be part of a password */
		out->text = scan_rest(scan);
		scan->at = scan->end;
		return out->text.len > 0;
	case ARGUMENT_NUMBER:
		return take_message_number(scan, &out->number);
	case ARGUMENT_NUMBER_MAYBE:
		out->has_number = !scan_at_end(scan);
		return !out->has_number || take_message_number(scan, &out->number);
	case ARGUMENT_NUMBER_LINES:
		return take_message_number(scan, &out->number) &&
		       take_message_number(scan, &out->line_count);
	case ARGUMENT_NAME_DIGEST:
		return take_name_digest(scan, out);
	case ARGUMENT_MECHANISM:
		out->has_text = take_word(scan, &out->text);
		out->has_secret = take_word(scan, &out->secret);
		return true;
	case ARGUMENT_WORD_MAYBE:
		out->has_text = take_word(scan, &out->text);
		return true;
	}
	return false;
}

static bool has_control(struct str line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

enum pop3_reply pop3_command_parse(struct str line, struct pop3_command *out)
{
	struct scan scan = scan_of(line);
	struct str word = take_verb(&scan);

	*out = (struct pop3_command){ .verb = verb_of(word) };
	if (has_control(line))
		return POP3_REPLY_CONTROL;
	if (out->verb == POP3_NONE)
		return POP3_REPLY_UNKNOWN;
	/*
	 * rfc2449 4: 255 octets with CRLF. Real clients send longer tokens behind AUTH, and we keep
	 * passwords longer than that.
	 */
	if (line.len + 2 > LIMIT_pop3_command_line && out->verb != POP3_AUTH &&
	    out->verb != POP3_PASS)
		return POP3_REPLY_TOO_LONG;
	if (!str_is_utf8(line)) /* rfc6856 2.2: names and passwords are UTF-8 or refused */
		return POP3_REPLY_NOT_UTF8;
	if (!take_argument(&scan, rows[out->verb].argument, out) || !scan_at_end(&scan))
		return POP3_REPLY_SYNTAX;
	return POP3_REPLY_NONE;
}

/* How much of the line may be shown: all of it, or up to where a secret may begin. */
static size_t shown_length(struct str line)
{
	struct scan scan = scan_of(line);
	struct str word = take_verb(&scan);
	size_t verb_end = (size_t)(scan.at - line.at);
	struct str name;

	switch (verb_of(word)) {
	case POP3_PASS:
		return verb_end;
	case POP3_APOP:
		take_word(&scan, &name);
		return (size_t)(scan.at - line.at);
	case POP3_AUTH: /* a mechanism's name has 20 letters at most (rfc4422 3.1) */
		take_word(&scan, &name);
		return name.len > 20 ? verb_end : (size_t)(scan.at - line.at);
	case POP3_NONE: /* a mistyped PASS is nobody's business either, nor what sticks to it */
		return str_starts_nocase(word, S("PASS")) ? 4 : verb_end;
	default:
		return line.len;
	}
}

struct str pop3_command_mask(struct arena *arena, struct str line, bool *masked)
{
	size_t shown = line.len ? shown_length(line) : 0;

	*masked = shown < line.len;
	if (!*masked)
		return line;
	return str_print(arena, "%.*s****", (int)shown, line.at);
}

bool pop3_line_is_http(struct str line)
{
	static const char *const methods[] = { "GET ",     "POST ",    "HEAD ",  "PUT ",  "DELETE ",
					       "OPTIONS ", "CONNECT ", "PATCH ", "TRACE " };

	for (size_t i = 0; i < COUNT_OF(methods); i++)
		if (str_starts(line, str_of(methods[i])))
			return true;
	return false;
}
