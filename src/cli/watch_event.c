/* SPDX-License-Identifier: Apache-2.0 */
/* Events: read back from the lines of JSON in which the server tells them. */
#include "cli/watch.h"
#include "link/link.h"

struct str row_text(const json_t *row, const char *name)
{
	const json_t *value = json_object_get(row, name);

	return (struct str){ json_string_value(value), json_string_length(value) };
}

uint64_t row_number(const json_t *row, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(row, name));

	return value > 0 ? (uint64_t)value : 0;
}

bool line_holds(struct str line, struct str text)
{
	for (; line.len >= text.len; line = str_from(line, 1))
		if (str_is_nocase(str_first(line, text.len), text))
			return true;
	return false;
}

static void read_fields(struct arena *arena, const json_t *fields,
			const struct trace_kind_info *kind, struct trace_event *out)
{
	char *to = (char *)&out->connect;

	for (size_t i = 0; i < kind->field_count; i++) {
		const char *name = kind->fields[i].name;

		if (kind->fields[i].is_text) {
			struct str text = str_dup(arena, row_text(fields, name));

			memcpy(to, &text, sizeof text);
			to += sizeof text;
		} else {
			uint64_t number = row_number(fields, name);

			memcpy(to, &number, sizeof number);
			to += sizeof number;
		}
	}
}

static unsigned flags_of(const json_t *row)
{
	return (json_is_true(json_object_get(row, "cut")) ? TRACE_CUT : 0) |
	       (json_is_true(json_object_get(row, "masked")) ? TRACE_MASKED : 0) |
	       (json_is_true(json_object_get(row, "encrypted")) ? TRACE_ENCRYPTED : 0);
}

static uint8_t role_of(struct str name)
{
	for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
		if (str_is(name, str_of(role_kind_name((enum role_kind)kind))))
			return (uint8_t)kind;
	return 0;
}

bool watched_read(struct arena *arena, const json_t *row, struct watched *out)
{
	const struct trace_kind_info *kind = trace_kind_named(row_text(row, "kind"));
	struct trace_head *head = &out->event.head;

	*out = (struct watched){ 0 };
	if (!kind || !json_is_object(json_object_get(row, "fields")))
		return false;
	head->kind = (uint16_t)kind->number;
	head->sequence = row_number(row, "sequence");
	head->at_us = (int64_t)row_number(row, "at_us");
	head->wall_us = (int64_t)row_number(row, "wall_us");
	head->flags = (uint8_t)flags_of(row);
	head->role = role_of(row_text(row, "role"));
	head->role_index = (uint8_t)row_number(row, "role_index");
	if (!id_parse(row_text(row, "session"), &head->session))
		head->session = 0;
	out->role = str_dup(arena, row_text(row, "role"));
	read_fields(arena, json_object_get(row, "fields"), kind, &out->event);
	return true;
}

struct str event_value(struct arena *arena, const struct trace_event *event, size_t field)
{
	const struct trace_kind_info *kind = trace_kind_of(event->head.kind);
	const char *from = (const char *)&event->connect;
	struct str text;
	uint64_t number;

	must(kind && field < kind->field_count);
	for (size_t i = 0; i < field; i++)
		from += kind->fields[i].is_text ? sizeof text : sizeof number;
	if (kind->fields[field].is_text) {
		memcpy(&text, from, sizeof text);
		return text;
	}
	memcpy(&number, from, sizeof number);
	return str_print(arena, "%llu", (unsigned long long)number);
}

/* ---- what it means ---- */

const char *style_sign(enum style style, bool ascii)
{
	switch (style) {
	case STYLE_GOOD:
		return ascii ? "+" : "✓";
	case STYLE_ONGOING:
		return ascii ? "*" : "●";
	case STYLE_LATER:
		return ascii ? "!" : "▲";
	case STYLE_BAD:
		return ascii ? "x" : "✗";
	default:
		return " ";
	}
}

static enum style reply_style(const struct trace_reply *reply)
{
	if (reply->code == 0) {
		if (str_starts(reply->line, S("+OK")))
			return STYLE_GOOD;
		return str_starts(reply->line, S("-ERR")) ? STYLE_BAD : STYLE_ONGOING;
	}
	switch (reply->code / 100) {
	case 2:
		return STYLE_GOOD;
	case 3:
		return STYLE_ONGOING;
	case 4:
		return STYLE_LATER;
	default:
		return STYLE_BAD;
	}
}

static enum style verdict_style(struct str verdict)
{
	if (str_is(verdict, S("refuse")) || str_is(verdict, S("close")))
		return STYLE_BAD;
	return str_is(verdict, S("accept")) ? STYLE_GOOD : STYLE_LATER;
}

static enum style outcome_style(struct str outcome)
{
	static const char *const good[] = { "delivered", "relayed", "ok", "found" };
	static const char *const later[] = { "deferred", "continue", "unavailable", "late",
					     "unknown",  "queued",   "no-data" };

	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (str_is(outcome, str_of(good[i])))
			return STYLE_GOOD;
	for (size_t i = 0; i < COUNT_OF(later); i++)
		if (str_is(outcome, str_of(later[i])))
			return STYLE_LATER;
	return STYLE_BAD;
}

static enum style close_style(const struct trace_close *close)
{
	static const char *const calm[] = { "quit", "stopping" };

	for (size_t i = 0; i < COUNT_OF(calm); i++)
		if (str_is(close->reason, str_of(calm[i])))
			return close->errors ? STYLE_LATER : STYLE_GOOD;
	return STYLE_BAD;
}

enum style event_style(const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_command:
	case TRACE_connect:
		return STYLE_PLAIN;
	case TRACE_reply:
		return reply_style(&event->reply);
	case TRACE_tls:
		return event->tls.failure.len ? STYLE_BAD : STYLE_SAFE;
	case TRACE_auth:
		return str_is(event->auth.outcome, S("continue"))
			       ? STYLE_SAFE
			       : outcome_style(event->auth.outcome);
	case TRACE_policy:
		return verdict_style(event->policy.verdict);
	case TRACE_inspect:
		return verdict_style(event->inspect.verdict);
	case TRACE_close:
		return close_style(&event->close);
	case TRACE_accept:
		return STYLE_GOOD;
	case TRACE_deliver:
		return outcome_style(event->deliver.outcome);
	case TRACE_attempt:
		return outcome_style(event->attempt.outcome);
	case TRACE_dns:
		return outcome_style(event->dns.outcome);
	case TRACE_commit:
		return event->commit.failure.len ? STYLE_BAD : STYLE_DIM;
	case TRACE_trouble:
		return STYLE_BAD;
	case TRACE_lost:
		return STYLE_LATER;
	default:
		return STYLE_DIM;
	}
}

bool event_begins_phase(const struct trace_event *event)
{
	static const char *const verbs[] = { "EHLO", "HELO", "LHLO", "STARTTLS", "STLS",
					     "AUTH", "USER", "APOP", "MAIL",     "DATA",
					     "BDAT", "RETR", "LIST", "QUIT" };

	if (event->head.kind == TRACE_connect || event->head.kind == TRACE_close)
		return true;
	if (event->head.kind != TRACE_command ||
	    (event->head.flags & TRACE_MASKED && str_starts(event->command.line, S("****"))))
		return false;
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (str_is(event->command.verb, str_of(verbs[i])))
			return true;
	return false;
}
