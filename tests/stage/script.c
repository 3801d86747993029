/* SPDX-License-Identifier: Apache-2.0 */
/* The client's lines. */
#include "stage/play.h"

#include <malloc.h>
#include <stdio.h>

static bool matches(struct str pattern, struct str line)
{
	size_t star = STR_NONE;
	size_t star_line = 0;
	size_t p = 0;
	size_t l = 0;

	while (l < line.len) {
		if (p < pattern.len && pattern.at[p] == '*') {
			star = p++;
			star_line = l;
		} else if (p < pattern.len && pattern.at[p] == line.at[l]) {
			p++;
			l++;
		} else if (star != STR_NONE) {
			p = star + 1;
			l = ++star_line;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.at[p] == '*')
		p++;
	return p == pattern.len;
}

static void differ(struct play *play, struct str step, struct str got)
{
	struct str seen = buf_str(&play->dialogue->transcript);

	if (seen.len > 2500)
		seen = str_from(seen, seen.len - 2500);
	snprintf(play->failure, sizeof(play->failure), "at \"%.*s\": got \"%.*s\"\n%.*s",
		 STR_ARGS(str_first(step, 300)), STR_ARGS(str_first(got, 600)), STR_ARGS(seen));
}

static enum err take_line(struct play *play, struct str *line) WAITS
{
	return conn_read_line(play->client, play->protocol->line_max, LINE_CRLF_ONLY,
			      in_ms(LINE_MS), line);
}

static bool read_line(struct play *play, struct str step, struct str *line) WAITS
{
	enum err err = take_line(play, line);

	if (err) {
		differ(play, step, str_of(err_text(err)));
		return false;
	}
	buf_add(&play->dialogue->transcript, *line);
	buf_add(&play->dialogue->transcript, S("\n"));
	return true;
}

static void expect(struct play *play, struct str step, struct str pattern) WAITS
{
	struct str line;

	if (read_line(play, step, &line) && !matches(pattern, line))
		differ(play, step, line);
}

static void expect_reply(struct play *play, struct str step, struct str code) WAITS
{
	struct str line;

	while (read_line(play, step, &line)) {
		if (!str_starts(line, code) || line.len < 4) {
			differ(play, step, line);
			return;
		}
		if (line.at[3] == ' ')
			return;
	}
}

static void expect_dot(struct play *play, struct str step) WAITS
{
	struct str line;

	while (read_line(play, step, &line) && !str_is(line, S(".")))
		continue;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : ascii_lower((unsigned char)c) - 'a' + 10;
}

static void add_escaped(struct buf *out, struct str text)
{
	while (text.len > 0) {
		char c = text.at[0];
		size_t used = 1;

		if (c == '\\' && text.len > 1) {
			used = 2;
			c = text.at[1];
			if (c == 'x' && text.len > 3) {
				c = (char)(hex_digit(text.at[2]) << 4 | hex_digit(text.at[3]));
				used = 4;
			} else {
				c = (char)(c == 'r'   ? '\r'
					   : c == 'n' ? '\n'
					   : c == 't' ? '\t'
					   : c == '0' ? 0
						      : c);
			}
		}
		buf_add_char(out, c);
		text = str_from(text, used);
	}
}

static void send_octets(struct play *play, struct str text, bool is_line, bool more) WAITS
{
	OWNED(buf) struct buf out = BUF(TEXT_MAX);

	if (is_line && play->protocol->add_line)
		play->protocol->add_line(play->dialogue, text, &out);
	else
		add_escaped(&out, text);
	if (is_line)
		buf_add(&out, S("\r\n"));
	(void)!conn_write(play->client, buf_str(&out), in_ms(LINE_MS));
	if (!more)
		(void)!conn_flush(play->client, in_ms(LINE_MS));
}

static void send_fill(struct play *play, struct str what) WAITS
{
	OWNED(buf) struct buf out = BUF(TEXT_MAX);
	size_t space = str_find(what, ' ');
	uint64_t count = 0;

	must(space != STR_NONE && str_to_u64(str_first(what, space), TEXT_MAX, &count));
	for (uint64_t i = 0; i < count; i++)
		add_escaped(&out, str_from(what, space + 1));
	(void)!conn_write(play->client, buf_str(&out), in_ms(LINE_MS));
}

static void expect_end(struct play *play, struct str step) WAITS
{
	struct str line;
	enum err err = take_line(play, &line);

	if (err != ERR_CLOSED && err != ERR_RESET)
		differ(play, step, err ? str_of(err_text(err)) : line);
}

static void note_memory(struct play *play)
{
	size_t held = mallinfo2().uordblks;

	if (held > play->dialogue->memory_most)
		play->dialogue->memory_most = held;
}

static bool run_network_step(struct play *play, struct str step) WAITS
{
	uint64_t ms;

	if (str_is(step, S("TLS"))) {
		if (conn_start_tls_client(play->client, play->client_tls,
					  str_of(play->protocol->host), in_ms(LINE_MS)))
			differ(play, step, str_of(fault_text()));
	} else if (str_starts(step, S("IDLE "))) {
		must(str_to_u64(str_from(step, 5), 1'000'000'000, &ms));
		(void)!conn_flush(play->client, in_ms(LINE_MS));
		(void)!fiber_sleep(in_ms((int64_t)ms));
	} else if (str_is(step, S("STOP"))) {
		group_stop(&play->server_group);
	} else if (str_is(step, S("CUT"))) {
		sim_stream_cut(play->ends[1]);
	} else if (str_is(step, S("SHUT"))) {
		(void)!conn_flush(play->client, in_ms(LINE_MS));
		conn_shut(play->client);
	} else if (str_is(step, S("END"))) {
		expect_end(play, step);
	} else {
		return false;
	}
	return true;
}

static void run_step(struct play *play, struct str step) WAITS
{
	struct str rest = str_from(step, 3);

	note_memory(play);
	if (str_starts(step, S("S: ")))
		expect(play, step, rest);
	else if (str_starts(step, S("S...: ")))
		expect_reply(play, step, str_from(step, 6));
	else if (str_is(step, S("S...")))
		expect_dot(play, step);
	else if (str_starts(step, S("C: ")) || str_starts(step, S("C- ")))
		send_octets(play, rest, true, step.at[1] == '-');
	else if (str_starts(step, S("R: ")) || str_starts(step, S("R- ")))
		send_octets(play, rest, false, step.at[1] == '-');
	else if (str_starts(step, S("FILL ")))
		send_fill(play, str_from(step, 5));
	else if (str_is(step, S("FLUSH")))
		(void)!conn_flush(play->client, in_ms(LINE_MS));
	else if (!run_network_step(play, step))
		differ(play, step, S("no such step"));
}

void play_script(struct play *play) WAITS
{
	struct scan script = scan_of(str_of(play->dialogue->script));
	struct str step;

	while (!play->failure[0] && take_until(&script, '\n', &step))
		if (step.len > 0)
			run_step(play, step);
	must(play->failure[0] || scan_at_end(&script)); /* its last line lacks its end */
}
