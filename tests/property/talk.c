/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <stdarg.h>
#include <stdio.h>

enum { PATIENCE_MS = 200000, CONNECT_MS = 20000, LINE_OCTETS = 4096 };

/* Each connection over another kind of line. */
void talk_choose_link(void)
{
	static const struct sim_link links[] = {
		{ 0 },
		{ .delay_us = 200, .jitter_us = 100 },
		{ .delay_us = 20000, .jitter_us = 30000, .octets_per_s = 200000 },
		{ .delay_us = 30000, .jitter_us = 5000, .loss_ppm = 30000 },
		{ .delay_us = 300000, .jitter_us = 100000, .octets_per_s = 50000 },
		{ .delay_us = 80000, .octets_per_s = 5000, .loss_ppm = 5000 },
		{ .delay_us = 5000, .jitter_us = 50000, .window = 2000 },
		{ .delay_us = 10000, .loss_ppm = 200000 },
	};

	sim_set_link(world_here(), &links[chance(COUNT_OF(links))]);
}

bool talk_open(struct talk *talk, struct ledger *ledger, const struct addr *server,
	       const struct addr *from) WAITS
{
	*talk = (struct talk){ .ledger = ledger };
	talk_choose_link();
	sim_set_local(world_here(), from);
	if (stream_connect(server, in_ms(CONNECT_MS), &talk->stream))
		return false;
	talk->conn = conn_new(talk->stream);
	return true;
}

void talk_close(struct talk *talk)
{
	conn_drop(&talk->conn);
	arena_drop(&talk->arena);
	talk->is_over = true;
}

void talk_cut(struct talk *talk)
{
	sim_stream_cut(talk->stream);
	talk->is_over = true;
}

bool talk_send(struct talk *talk, struct str octets) WAITS
{
	size_t most = octets.len > 2000 ? 5000 : 60;

	while (octets.len > 0 && !talk->is_over) {
		struct str piece = str_first(octets, 1 + chance(most));

		if (conn_write(talk->conn, piece, in_ms(PATIENCE_MS)) ||
		    (chance(4) == 0 && conn_flush(talk->conn, in_ms(PATIENCE_MS))))
			talk->is_over = true;
		octets = str_from(octets, piece.len);
	}
	return !talk->is_over;
}

struct str talk_stuffed(struct arena *arena, struct str text)
{
	char *at = arena_take(arena, 2 * text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '.' && (i == 0 || text.at[i - 1] == '\n'))
			at[len++] = '.';
		at[len++] = text.at[i];
	}
	return (struct str){ at, len };
}

bool talk_line(struct talk *talk, const char *format, ...) WAITS
{
	char line[600];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line) - 2, format, args);
	va_end(args);
	return talk_send(talk, str_of(line)) && talk_send(talk, S("\r\n"));
}

static bool read_line(struct talk *talk, struct str *line) WAITS
{
	if (talk->is_over ||
	    conn_read_line(talk->conn, LINE_OCTETS, LINE_CRLF_ONLY, in_ms(PATIENCE_MS), line))
		talk->is_over = true;
	return !talk->is_over;
}

static bool code_of(struct str line, unsigned *out)
{
	uint64_t code;

	if (line.len < 4 || !str_to_u64(str_first(line, 3), 599, &code) || code < 200 ||
	    (line.at[3] != ' ' && line.at[3] != '-'))
		return false;
	*out = (unsigned)code;
	return true;
}

bool talk_reply(struct talk *talk) WAITS
{
	struct str line;
	unsigned code;

	talk->code = 0;
	do {
		if (!read_line(talk, &line)) {
			talk->code = 0;
			return false;
		}
		if (!code_of(line, &code) || (talk->code && code != talk->code)) {
			ledger_broken(talk->ledger, "not a reply, or another code in one: %.*s",
				      STR_ARGS(line));
			talk->is_over = true;
			return false;
		}
		talk->code = code;
	} while (line.at[3] == '-');
	if (code == 421)
		talk->is_over = true;
	return true;
}

bool talk_status(struct talk *talk, struct str *rest) WAITS
{
	struct str line;

	talk->is_ok = false;
	if (!read_line(talk, &line))
		return false;
	talk->is_ok = str_starts(line, S("+OK"));
	if (!talk->is_ok && !str_starts(line, S("-ERR"))) {
		ledger_broken(talk->ledger, "no POP3 status: %.*s", STR_ARGS(line));
		talk->is_over = true;
	}
	if (rest)
		*rest = str_trim(str_from(line, talk->is_ok ? 3 : 4));
	return !talk->is_over;
}

bool talk_text(struct talk *talk, struct buf *text) WAITS
{
	struct str line;

	while (read_line(talk, &line)) {
		if (str_is(line, S(".")))
			return true;
		if (line.len > 0 && line.at[0] == '.')
			line = str_from(line, 1);
		must(!buf_add(text, line) && !buf_add(text, S("\r\n")));
	}
	return false;
}
