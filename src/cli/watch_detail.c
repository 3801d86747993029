/* SPDX-License-Identifier: Apache-2.0 */
/* All about one line of a session, as a page. */
#include "cli/watch.h"

#include <stdio.h>
#include <stdlib.h>

enum { INDENT = 2, DETAIL_BUF = 4096 };

struct detail {
	struct page *page;
	const struct film *film;
	size_t at;
	const struct trace_event *event;
	const struct detail_wishes *wishes;
	struct str protocol;
};

static void heading(struct detail *d, const char *text)
{
	page_blank(d->page);
	page_add(d->page, STYLE_LABEL, 0, str_of(text));
}

static void explain_more(struct detail *d, const struct explanation *explanation)
{
	if (!explanation)
		return;
	page_blank(d->page);
	page_add(d->page, STYLE_PLAIN, 0, str_of(explanation_text(explanation, d->wishes->depth)));
	if (explanation->rfc[0])
		page_add(d->page, STYLE_DIM, 0, str_of(explanation->rfc));
}

/* "name  title": a part, and in a few words what it is. */
static void part(struct detail *d, enum style style, struct str name,
		 const struct explanation *explanation)
{
	const char *sign = style_sign(style, d->page->ascii);

	page_print(d->page, style, INDENT, "%s%s%.*s%s%s", sign[0] == ' ' ? "" : sign,
		   sign[0] == ' ' ? "" : " ", STR_ARGS(name), explanation ? "  " : "",
		   explanation ? explanation->title : "");
}

static struct str take_word(struct str *text)
{
	struct str word = str_first(*text, str_find(*text, ' '));

	*text = str_from(*text, word.len + 1);
	return word;
}

/* ---- what stands at the top ---- */

static void add_span(struct buf *out, int64_t us)
{
	if (us < 1000)
		buf_print(out, "%lld us", (long long)us);
	else if (us < 10000000)
		buf_print(out, "%.1f ms", (double)us / 1000);
	else
		buf_print(out, "%.1f s", (double)us / 1000000);
}

static const char *direction_words(const struct detail *d)
{
	switch (trace_event_direction(d->event)) {
	case TRACE_FROM_CLIENT:
		return "client to server";
	case TRACE_TO_CLIENT:
		return "server to client";
	default:
		return "inside the server";
	}
}

static void write_when(struct detail *d)
{
	const struct trace_head *head = &d->event->head;
	int64_t start_us = d->film->events[0].event.head.at_us;
	OWNED(buf) struct buf line = BUF(DETAIL_BUF);

	buf_print(&line, "%s, ", direction_words(d));
	add_span(&line, head->at_us - start_us);
	buf_add(&line, S(" after the beginning"));
	if (d->at > 0) {
		buf_add(&line, S(", "));
		add_span(&line, head->at_us - d->film->events[d->at - 1].event.head.at_us);
		buf_add(&line, S(" after the line before"));
	}
	if (head->flags & TRACE_ENCRYPTED)
		buf_add(&line, S(", encrypted"));
	if (head->flags & TRACE_MASKED)
		buf_add(&line, S(", secrets masked"));
	if (head->flags & TRACE_CUT)
		buf_add(&line, S(", cut because it was long"));
	page_add(d->page, STYLE_DIM, 0, buf_str(&line));
	buf_reset(&line);
	trace_add_time(&line, head->wall_us);
	page_print(d->page, STYLE_DIM, 0, "%.*s, seen by %.*s", STR_ARGS(buf_str(&line)),
		   STR_ARGS(d->film->events[d->at].role));
}

/* ---- commands ---- */

/* "SIZE=100" behind MAIL: its own explanation. */
static void write_parameter(struct detail *d, struct str verb, struct str word)
{
	struct str keyword = str_first(word, str_find(word, '='));
	struct str key = str_print(&d->page->arena, "%.*s %.*s", STR_ARGS(verb), STR_ARGS(keyword));
	struct str big = str_lower(&d->page->arena, key);

	for (size_t i = 0; i < big.len; i++)
		if (big.at[i] >= 'a' && big.at[i] <= 'z')
			((char *)(uintptr_t)big.at)[i] = (char)(big.at[i] - 32);
	part(d, STYLE_PLAIN, word, explain(d->protocol, "parameters", big));
}

/* The end of "<...>" at the front, quotes and all; 0 when there is none. */
static size_t path_length(struct str text)
{
	bool is_quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '\\')
			i++;
		else if (text.at[i] == '"')
			is_quoted = !is_quoted;
		else if (text.at[i] == '>' && !is_quoted)
			return i + 1;
	}
	return 0;
}

static void write_envelope_parts(struct detail *d, struct str verb, struct str rest)
{
	size_t colon = str_find(rest, ':');
	struct str path;
	size_t len;

	if (colon == STR_NONE)
		return;
	rest = str_trim(str_from(rest, colon + 1));
	len = path_length(rest);
	path = len ? str_first(rest, len) : str_first(rest, str_find(rest, ' '));
	rest = str_trim(str_from(rest, path.len));
	page_print(d->page, STYLE_PLAIN, INDENT, "%.*s  %s", STR_ARGS(path),
		   str_is(path, S("<>"))            ? "nobody: a report that must not be answered"
		   : str_is_nocase(verb, S("MAIL")) ? "the sender of the envelope"
						    : "a recipient of the envelope");
	while (rest.len)
		write_parameter(d, verb, take_word(&rest));
}

static void write_command_parts(struct detail *d)
{
	struct str verb = d->event->command.verb;
	struct str rest = str_trim(d->event->command.line);
	struct str word = take_word(&rest);

	rest = str_trim(rest);
	if (!str_is_nocase(word, verb) || rest.len == 0)
		return;
	heading(d, "Parts");
	page_print(d->page, STYLE_PLAIN, INDENT, "%.*s  the command", STR_ARGS(word));
	if (str_is(verb, S("MAIL")) || str_is(verb, S("RCPT"))) {
		write_envelope_parts(d, verb, rest);
	} else if (str_is(verb, S("AUTH"))) {
		struct str mechanism = take_word(&rest);

		part(d, STYLE_PLAIN, mechanism, explain_mechanism(mechanism));
		if (rest.len)
			page_print(d->page, STYLE_PLAIN, INDENT, "%.*s  the first answer, masked",
				   STR_ARGS(rest));
	} else {
		page_add(d->page, STYLE_PLAIN, INDENT, rest);
	}
}

/* ---- replies ---- */

/* "5.1.1" at the front of the text, when it is one. */
static struct str enhanced_of(struct str text)
{
	struct str word = str_first(text, str_find(text, ' '));
	unsigned dots = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (word.at[i] == '.')
			dots++;
		else if (!ascii_is_digit((unsigned char)word.at[i]))
			return S("");
	}
	return dots == 2 && word.len >= 5 ? word : S("");
}

/* The code of a reply line, as texts are found by it. */
static struct str code_of(const struct trace_reply *reply)
{
	struct str line = reply->line;

	if (reply->code)
		return str_first(line, 3);
	return str_first(line, str_find(line, ' '));
}

static void write_smtp_reply_parts(struct detail *d)
{
	const struct trace_reply *reply = &d->event->reply;
	struct str text = str_from(reply->line, 4);
	struct str enhanced = enhanced_of(text);
	bool is_offer = (str_is(reply->verb, S("EHLO")) || str_is(reply->verb, S("LHLO"))) &&
			reply->code == 250 && d->at > 0 &&
			d->film->events[d->at - 1].event.head.kind == TRACE_reply;

	part(d, event_style(d->event), code_of(reply),
	     explain(d->protocol, "codes", code_of(reply)));
	if (enhanced.len) {
		part(d, STYLE_PLAIN, enhanced, explain(d->protocol, "enhanced", enhanced));
		text = str_trim(str_from(text, enhanced.len));
	}
	if (is_offer) {
		struct str keyword = str_first(text, str_find(text, ' '));

		keyword = str_first(keyword, str_find(keyword, '='));
		part(d, STYLE_PLAIN, text, explain(d->protocol, "extensions", keyword));
		explain_more(d, explain(d->protocol, "extensions", keyword));
	} else if (text.len) {
		page_print(d->page, STYLE_PLAIN, INDENT, "%.*s  words for people", STR_ARGS(text));
	}
}

static void write_pop3_reply_parts(struct detail *d)
{
	struct str line = d->event->reply.line;
	struct str text = line;
	struct str word = take_word(&text);
	size_t close = text.len && text.at[0] == '[' ? str_find(text, ']') : STR_NONE;

	part(d, event_style(d->event), word, explain(d->protocol, "codes", word));
	if (close != STR_NONE) {
		struct str code = str_first(text, close + 1);

		part(d, STYLE_PLAIN, code, explain(d->protocol, "codes", code));
		text = str_trim(str_from(text, close + 1));
	}
	if (text.len)
		page_print(d->page, STYLE_PLAIN, INDENT, "%.*s  words for people", STR_ARGS(text));
}

static void write_reply_parts(struct detail *d)
{
	heading(d, "Parts");
	if (d->event->reply.code)
		write_smtp_reply_parts(d);
	else
		write_pop3_reply_parts(d);
}

static void write_enhanced(struct detail *d)
{
	struct str enhanced =
		d->event->reply.code ? enhanced_of(str_from(d->event->reply.line, 4)) : S("");

	if (enhanced.len)
		explain_more(d, explain(d->protocol, "enhanced", enhanced));
}

/* ---- between a command and its answer ---- */

static bool is_reason(const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_policy:
	case TRACE_dns:
	case TRACE_auth:
	case TRACE_inspect:
	case TRACE_commit:
	case TRACE_deliver:
	case TRACE_queued:
	case TRACE_trouble:
	case TRACE_tls:
	case TRACE_accept:
	case TRACE_data:
		return true;
	default:
		return false;
	}
}

static bool is_empty_value(struct str value)
{
	return value.len == 0 || str_is(value, S("0"));
}

/* "rule errors_max, verdict close, ..." */
static void write_in_one(struct detail *d, const struct trace_event *event)
{
	const struct trace_kind_info *kind = trace_kind_of(event->head.kind);
	OWNED(buf) struct buf line = BUF(16 * DETAIL_BUF);
	enum style style = event_style(event);
	const char *sign = style_sign(style, d->page->ascii);

	buf_print(&line, "%s%s%s", sign[0] == ' ' ? "" : sign, sign[0] == ' ' ? "" : " ",
		  kind->name);
	for (size_t i = 0; i < kind->field_count; i++) {
		struct str value = event_value(&d->page->arena, event, i);

		if (!is_empty_value(value))
			buf_print(&line, "%s %s %.*s", i ? "," : ":", kind->fields[i].name,
				  STR_ARGS(value));
	}
	page_add(d->page, style == STYLE_DIM ? STYLE_PLAIN : style, INDENT, buf_str(&line));
}

static void write_reasons(struct detail *d, size_t from, size_t to)
{
	bool any = false;

	for (size_t i = from; i < to && i < d->film->count; i++) {
		const struct trace_event *event = &d->film->events[i].event;

		if (!is_reason(event))
			continue;
		if (!any)
			heading(d, "Why, and what happened in between");
		any = true;
		write_in_one(d, event);
	}
}

static void write_answers(struct detail *d, struct str verb, struct str given)
{
	const struct explanation *explanation = explain(d->protocol, "verbs", verb);
	struct str rest = explanation ? str_of(explanation->answers) : S("");

	if (!rest.len)
		return;
	heading(d, "What can be answered to that");
	while (rest.len) {
		struct str code = take_word(&rest);
		bool is_given = str_is(code, given);
		const struct explanation *of_code = explain(d->protocol, "codes", code);

		page_print(d->page, is_given ? STYLE_TITLE : STYLE_PLAIN, INDENT, "%s %.*s  %s",
			   is_given ? ">" : " ", STR_ARGS(code), of_code ? of_code->title : "");
	}
}

/* The clock stands still while a fiber runs: what needed nobody else took no time by it. */
static void write_delay(struct detail *d, uint64_t us)
{
	if (us == 0)
		page_add(d->page, STYLE_DIM, INDENT, S("at once"));
	else
		page_print(d->page, STYLE_DIM, INDENT, "%llu us after it was read",
			   (unsigned long long)us);
}

/* The connection's first words need no command. */
static void write_reply(struct detail *d)
{
	const struct trace_reply *reply = &d->event->reply;
	int32_t command = d->film->partners[d->at];

	write_enhanced(d);
	write_reply_parts(d);
	if (command == NO_EVENT) {
		write_reasons(d, 0, d->at);
		return;
	}
	heading(d, "It answers");
	page_add(d->page, STYLE_PLAIN, INDENT, d->film->events[command].event.command.line);
	write_delay(d, reply->us);
	write_reasons(d, (size_t)command, d->at);
	write_answers(d, reply->verb, code_of(reply));
}

static void write_command(struct detail *d)
{
	int32_t reply = d->film->partners[d->at];
	struct str given = S("");

	write_command_parts(d);
	if (reply != NO_EVENT) {
		const struct trace_event *event = &d->film->events[reply].event;

		given = code_of(&event->reply);
		heading(d, "It was answered");
		part(d, event_style(event), event->reply.line, NULL);
		write_delay(d, event->reply.us);
		write_reasons(d, d->at, (size_t)reply);
	}
	write_answers(d, d->event->command.verb, given);
}

/* ---- other events ---- */

static void write_fields(struct detail *d)
{
	const struct trace_kind_info *kind = trace_kind_of(d->event->head.kind);

	heading(d, "Parts");
	for (size_t i = 0; i < kind->field_count; i++) {
		struct str value = event_value(&d->page->arena, d->event, i);

		if (is_empty_value(value))
			continue;
		page_print(d->page, STYLE_PLAIN, INDENT, "%s: %.*s", kind->fields[i].name,
			   STR_ARGS(value));
		if (d->wishes->depth != DEPTH_NEWCOMER)
			page_add(d->page, STYLE_DIM, 2 * INDENT, str_of(kind->fields[i].doc));
	}
}

static void write_other(struct detail *d)
{
	if (d->event->head.kind == TRACE_auth)
		explain_more(d, explain_mechanism(d->event->auth.mechanism));
	if (d->event->head.kind == TRACE_state) {
		const struct explanation *state =
			explain(d->protocol, "states", d->event->state.to);

		page_blank(d->page);
		if (state)
			page_print(d->page, STYLE_TITLE, 0, "%.*s  %s",
				   STR_ARGS(d->event->state.to), state->title);
		explain_more(d, state);
	}
	write_fields(d);
}

/* ---- the whole ---- */

static const struct explanation *main_explanation(const struct detail *d)
{
	const struct explanation *found = NULL;

	if (d->event->head.kind == TRACE_command && d->event->command.verb.len)
		found = explain(d->protocol, "verbs", d->event->command.verb);
	else if (d->event->head.kind == TRACE_command && (d->event->head.flags & TRACE_MASKED))
		found = explain_event("auth"); /* the answer to a challenge */
	if (d->event->head.kind == TRACE_reply)
		found = explain(d->protocol, "codes", code_of(&d->event->reply));
	return found ? found : explain_event(trace_kind_name(d->event->head.kind));
}

static struct str octets_of(const struct trace_event *event)
{
	if (event->head.kind == TRACE_command)
		return event->command.line;
	return event->head.kind == TRACE_reply ? event->reply.line : S("");
}

static void write_octets(struct detail *d)
{
	struct str line = octets_of(d->event);
	OWNED(buf) struct buf octets = BUF(DETAIL_BUF);

	if (!line.len)
		return;
	buf_add(&octets, line);
	buf_add(&octets, S("\r\n"));
	heading(d, "Octets, with the line end");
	page_hex(d->page, buf_str(&octets));
	/* The trace comes as JSON, which has no place for them. */
	if (str_find_str(line, S("\xEF\xBF\xBD")) != STR_NONE)
		page_add(d->page, STYLE_DIM, 0, S("ef bf bd stands for octets that are no UTF-8"));
}

/* What the line is called at the top: its own first word where it has one. */
static struct str name_of(const struct detail *d)
{
	struct str line = octets_of(d->event);

	if (d->event->head.kind == TRACE_command && d->event->command.verb.len)
		return d->event->command.verb;
	if (d->event->head.kind == TRACE_reply && line.len)
		return code_of(&d->event->reply);
	return str_of(trace_kind_name(d->event->head.kind));
}

void detail_write(struct page *page, const struct film *film, size_t event,
		  const struct detail_wishes *wishes)
{
	struct detail d = { .page = page,
			    .film = film,
			    .at = event,
			    .wishes = wishes,
			    .protocol = film_protocol(film) };
	const struct explanation *explanation;

	if (event >= film->count)
		return;
	d.event = &film->events[event].event;
	explanation = main_explanation(&d);
	page_print(page, STYLE_TITLE, 0, "%.*s  %s", STR_ARGS(name_of(&d)),
		   explanation ? explanation->title : "");
	write_when(&d);
	if (octets_of(d.event).len) {
		page_blank(page);
		page_add(page, event_style(d.event), 0, octets_of(d.event));
	}
	explain_more(&d, explanation);
	if (wishes->states) {
		heading(&d, "States");
		page_add(page, STYLE_PLAIN, INDENT, states_line(&page->arena, film, page->ascii));
	}
	if (wishes->bytes)
		write_octets(&d);
	if (d.event->head.kind == TRACE_command)
		write_command(&d);
	else if (d.event->head.kind == TRACE_reply)
		write_reply(&d);
	else
		write_other(&d);
}

/* ---- states ---- */

struct str states_line(struct arena *arena, const struct film *film, bool ascii)
{
	static const char *const smtp[] = { "fresh", "ready", "mailing", "addressed", "chunking" };
	static const char *const pop3[] = { "AUTHORIZATION", "TRANSACTION", "UPDATE" };
	bool is_pop3 = strcmp(explain_family(film_protocol(film)), "pop3") == 0;
	const char *const *names = is_pop3 ? pop3 : smtp;
	size_t count = is_pop3 ? COUNT_OF(pop3) : COUNT_OF(smtp);
	struct str now = str_of(names[0]);
	struct str line = S("");

	for (size_t i = 0; i <= film->cursor && i < film->count; i++)
		if (film->events[i].event.head.kind == TRACE_state)
			now = film->events[i].event.state.to;
	for (size_t i = 0; i < count; i++) {
		bool is_now = str_is(now, str_of(names[i]));

		line = str_print(arena, "%.*s%s%s%s%s", STR_ARGS(line),
				 i ? (ascii ? " > " : " → ") : "", is_now ? "[" : "", names[i],
				 is_now ? "]" : "");
	}
	return line;
}

void help_write(struct page *page)
{
	static const char *const keys[][2] = {
		{ "Up Down j k", "move by a line" },
		{ "Left Right", "a line back or on; with Shift: to the next part of the session" },
		{ "Enter", "open: list, ladder, line" },
		{ "Esc q", "back; in the list: end" },
		{ "Home End g G", "the first or the last line; End follows what still happens" },
		{ "PgUp PgDn", "a screen back or on" },
		{ "Space", "play and pause the film; in a session that is open: follow, pause" },
		{ "[ ]", "slower, faster: 0.1 to 100 times" },
		{ "t", "time: long silences squeezed, real, or every line alike" },
		{ "/ n N", "find a text, the next one, the one before" },
		{ "e", "explain for newcomers, for students, as the RFC says" },
		{ "b", "the octets of the line" },
		{ "s", "the states of the session" },
		{ "?", "this page" },
	};

	page_add(page, STYLE_TITLE, 0, S("Keys"));
	page_blank(page);
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		page_print(page, STYLE_PLAIN, 0, "%-14s %s", keys[i][0], keys[i][1]);
	page_blank(page);
	page_add(page, STYLE_TITLE, 0, S("Signs"));
	page_blank(page);
	page_print(page, STYLE_GOOD, 0, "%s              done, accepted",
		   style_sign(STYLE_GOOD, page->ascii));
	page_print(page, STYLE_ONGOING, 0, "%s              open; go on",
		   style_sign(STYLE_ONGOING, page->ascii));
	page_print(page, STYLE_LATER, 0, "%s              not for now; ended well with refusals",
		   style_sign(STYLE_LATER, page->ascii));
	page_print(page, STYLE_BAD, 0, "%s              refused, cut, failed",
		   style_sign(STYLE_BAD, page->ascii));
	page_print(page, STYLE_SAFE, 0, "%s             under TLS", page->ascii ? "T " : "🔒");
}
