/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events whose every field a hostile role chose, through the index, the metrics and all logs. Whatever
 * they say: one line each, nothing that moves a terminal, the address before all quoted text.
 */
#include "record/log.h"
#include "record/metrics.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct scan input;

static uint64_t take_U64(void)
{
	uint64_t number = 0;

	for (int i = 0; i < 3 && !scan_at_end(&input); i++)
		number = number << 20 | (unsigned char)*input.at++;
	return number & INT64_MAX;
}

static struct str take_STR(void)
{
	size_t len = scan_at_end(&input) ? 0 : (unsigned char)*input.at++;
	struct str text = str_first(scan_rest(&input), len);

	input.at += text.len;
	return text;
}

#define TAKE_FIELD(type, name, doc) event.name = take_##type();
#define EVENT(name, number, fields, doc)                                                           \
	static struct trace_##name make_##name(void)                                               \
	{                                                                                          \
		struct trace_##name event;                                                         \
		fields(TAKE_FIELD) return event;                                                   \
	}
#include "trace/events.def"
#undef EVENT

static struct trace_event make(void)
{
	struct trace_event event = { .head = { .wall_us = (int64_t)take_U64() * 1000,
					       .session = take_U64() % 3,
					       .role = (uint8_t)take_U64() } };

	switch (take_U64() % 50) {
#define EVENT(name, number, fields, doc)                                                           \
	case number:                                                                               \
		event.head.kind = number;                                                          \
		event.name = make_##name();                                                        \
		break;
#include "trace/events.def"
#undef EVENT
	default:
		event.head.kind = TRACE_close;
		event.close = make_close();
		break;
	}
	return event;
}

/* What happens to a queued message has no client. */
static bool has_client(enum log_topic topic)
{
	return topic == LOG_SESSION || topic == LOG_MESSAGE || topic == LOG_REFUSAL ||
	       topic == LOG_SIGN_IN;
}

static void check_lines(struct str lines, enum record_log format, enum log_topic topic)
{
	struct scan scan = scan_of(lines);
	struct str line;
	size_t count = 0;

	must(str_is_utf8(lines));
	while (take_until(&scan, '\n', &line)) {
		count++;
		for (size_t i = 0; i < line.len; i++)
			must((unsigned char)line.at[i] >= 0x20 && line.at[i] != 0x7f);
		if (format == RECORD_LOG_TEXT && has_client(topic))
			must(str_find_str(line, S(" ip=")) < str_find(line, '"'));
		if (format == RECORD_LOG_JSON) {
			json_t *json = json_loadb(line.at, line.len,
						  JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);

			must(json_is_object(json));
			json_decref(json);
		}
	}
	must(scan_at_end(&scan));
	must(format == RECORD_LOG_POSTFIX || count <= 1);
}

/* # comments, or a name, perhaps labels, a value: nothing else may come out. */
static void check_metrics(struct str text)
{
	struct scan scan = scan_of(text);
	struct str line;

	while (take_until(&scan, '\n', &line)) {
		size_t brace = str_find(line, '{');
		size_t quotes = 0;

		must(str_is_ascii(line) && line.len > 10);
		must(line.at[0] == '#' || str_starts(line, S("glasspost_")));
		for (size_t i = 0; i < line.len; i++)
			quotes += line.at[i] == '"';
		must(line.at[0] == '#' || brace == STR_NONE || (quotes && quotes % 2 == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sessions sessions;
	static struct metrics metrics;
	struct buf out = BUF(1 << 20);

	json_object_seed(1);
	memset(&metrics, 0, sizeof(metrics));
	sessions_init(&sessions);
	input = scan_of((struct str){ (const char *)data, size });
	while (!scan_at_end(&input)) {
		struct trace_event event = make();
		struct session *session = sessions_note(&sessions, &event);

		metrics_note(&metrics, &event);
		for (enum record_log f = RECORD_LOG_NONE; f <= RECORD_LOG_DEV; f++) {
			buf_reset(&out);
			must(log_event(&out, f, "mail.example", &event, session) == OK);
			check_lines(buf_str(&out), f, log_topic(&event));
		}
	}
	buf_reset(&out);
	must(metrics_print(&metrics, sessions.open_count, &out) == OK);
	check_metrics(buf_str(&out));
	sessions_done(&sessions);
	buf_drop(&out);
	return 0;
}
