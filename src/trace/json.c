/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"
#include "trace/json.h"

#include <stdio.h>

/* RFC 3339 has four digits for the year: moments outside of it are drawn to its edges. */
static const int64_t WALL_MIN_US = -INT64_C(62135596800000000);
static const int64_t WALL_MAX_US = INT64_C(253402300799999999);

/* Two digits at a place. */
static void put_two(char *at, int64_t number)
{
	at[0] = (char)('0' + number / 10 % 10);
	at[1] = (char)('0' + number % 10);
}

/* The day of a day number since 1970-01-01, counted in years that begin in March, so that leap days come last. */
static void put_date(char *at, int64_t days)
{
	int64_t since = days + 719468; /* since 0000-03-01 */
	int64_t era = since / 146097;  /* 400 years */
	int64_t of_era = since % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	year += era * 400 + (month >= 10);
	put_two(at, year / 100);
	put_two(at + 2, year % 100);
	put_two(at + 5, month < 10 ? month + 3 : month - 9);
	put_two(at + 8, of_year - (153 * month + 2) / 5 + 1);
}

void trace_add_time(struct buf *out, int64_t wall_us)
{
	char text[] = "0000-00-00T00:00:00.000000Z";
	int64_t seconds;
	int64_t us;

	if (wall_us < WALL_MIN_US)
		wall_us = WALL_MIN_US;
	if (wall_us > WALL_MAX_US)
		wall_us = WALL_MAX_US;
	wall_us -= WALL_MIN_US; /* from here on nothing is negative */
	seconds = wall_us / 1000000;
	us = wall_us % 1000000;
	put_date(text, seconds / 86400 + WALL_MIN_US / INT64_C(86400000000));
	put_two(text + 11, seconds / 3600 % 24);
	put_two(text + 14, seconds / 60 % 60);
	put_two(text + 17, seconds % 60);
	put_two(text + 20, us / 10000);
	put_two(text + 22, us / 100);
	put_two(text + 24, us);
	buf_add(out, (struct str){ text, sizeof(text) - 1 });
}

const char *trace_direction_name(enum trace_direction direction)
{
	switch (direction) {
	case TRACE_FROM_CLIENT:
		return "from-client";
	case TRACE_TO_CLIENT:
		return "to-client";
	default:
		return "none";
	}
}

static void add_flag(struct buf *out, const char *name, bool set)
{
	buf_print(out, ",\"%s\":%s", name, set ? "true" : "false");
}

static void add_head(struct buf *out, const struct trace_event *event)
{
	const struct trace_head *head = &event->head;
	char session[ID_TEXT + 1] = "";

	buf_print(out, "{\"v\":%d,\"kind\":\"%s\",\"session\":", TRACE_JSON_VERSION,
		  trace_kind_name(head->kind));
	if (head->session) {
		id_print(head->session, session);
		buf_print(out, "\"%s\"", session);
	} else {
		buf_add(out, S("null"));
	}
	buf_print(out, ",\"time\":\"");
	trace_add_time(out, head->wall_us);
	buf_print(out, "\",\"wall_us\":%lld,\"at_us\":%lld,\"sequence\":%llu,\"role\":",
		  (long long)head->wall_us, (long long)head->at_us,
		  (unsigned long long)head->sequence);
	json_add_string(out, str_of(trace_role_name(head->role)));
	buf_print(out, ",\"role_index\":%u,\"direction\":\"%s\"", head->role_index,
		  trace_direction_name(trace_event_direction(event)));
	add_flag(out, "cut", head->flags & TRACE_CUT);
	add_flag(out, "masked", head->flags & TRACE_MASKED);
	add_flag(out, "encrypted", head->flags & TRACE_ENCRYPTED);
}

enum err trace_event_json(const struct trace_event *event, struct buf *out)
{
	const struct trace_kind_info *kind = trace_kind_of(event->head.kind);
	const char *at = event_fields(event);

	if (!kind)
		return fault(ERR_UNSUPPORTED, "an event of kind %u", event->head.kind);
	add_head(out, event);
	buf_add(out, S(",\"fields\":{"));
	for (size_t i = 0; i < kind->field_count; i++) {
		buf_print(out, "%s\"%s\":", i ? "," : "", kind->fields[i].name);
		if (kind->fields[i].is_text)
			json_add_string(out, field_str(&at));
		else
			buf_print(out, "%llu", (unsigned long long)field_u64(&at));
	}
	buf_add(out, S("}}"));
	return out->failed ? ERR_LIMIT : OK;
}

void trace_cursor_print(const struct trace_head *head, char text[TRACE_CURSOR_TEXT])
{
	snprintf(text, TRACE_CURSOR_TEXT, "%lld-%u-%u-%llu", (long long)head->wall_us, head->role,
		 head->role_index, (unsigned long long)head->sequence);
}
