/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"
#include "trace/json.h"

#include <time.h>

/* RFC 3339 has four digits for the year: moments outside of it are drawn to its edges. */
static const int64_t WALL_MIN_US = -INT64_C(62135596800000000);
static const int64_t WALL_MAX_US = INT64_C(253402300799999999);

void trace_add_time(struct buf *out, int64_t at_us)
{
	struct tm parts;
	time_t seconds;

	if (at_us < WALL_MIN_US)
		at_us = WALL_MIN_US;
	if (at_us > WALL_MAX_US)
		at_us = WALL_MAX_US;
	seconds = at_us / 1000000;
	if (at_us % 1000000 < 0)
		seconds--;
	gmtime_r(&seconds, &parts);
	buf_print(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900,
		  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
		  (int)(at_us - seconds * 1000000));
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
	const struct kind_info *kind = kind_find(event->head.kind);
	const char *at = event_fields(event);

	if (!kind)
		return fault(ERR_UNSUPPORTED, "an event of kind %u", event->head.kind);
	add_head(out, event);
	buf_add(out, S(",\"fields\":{"));
	for (size_t i = 0; i < kind->field_count; i++) {
		buf_print(out, "%s\"%s\":", i ? "," : "", kind->fields[i].name);
		if (kind->fields[i].type == FIELD_U64)
			buf_print(out, "%llu", (unsigned long long)field_u64(&at));
		else
			json_add_string(out, field_str(&at));
	}
	buf_add(out, S("}}"));
	return out->failed ? ERR_LIMIT : OK;
}
