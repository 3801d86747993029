/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <stdarg.h>
#include <stdio.h>

enum { REPLY_MS = 3600000, LINE_MAX_OCTETS = 4096 };

const char *const walk_recipients[WALK_RECIPIENTS] = { "ann@wire.example", "bob@wire.example",
						       "carol@wire.example" };

/* What the client knows of its session. */
struct client {
	struct walk *walk;
	struct conn *conn;
	struct stream *stream;
	struct arena arena;
	bool greeted; /* EHLO or HELO was answered 250 */
	bool mailing; /* MAIL was */
	bool chunking;
	bool recipients[WALK_RECIPIENTS];
	struct walk_message *message; /* whose chunks are under way */
	unsigned code;                /* of the newest reply */
	bool is_over;
};

static void broken(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3);

static void broken(struct client *c, const char *format, ...)
{
	char *failure = c->walk->ledger->failure;
	va_list args;

	if (failure[0])
		return;
	va_start(args, format);
	vsnprintf(failure, sizeof(c->walk->ledger->failure), format, args);
	va_end(args);
}

static uint64_t chance(uint64_t below)
{
	return random_u64() % below;
}

/* ---- replies ---- */

static bool code_of(struct str line, unsigned *out)
{
	uint64_t code;

	if (line.len < 4 || !str_to_u64(str_first(line, 3), 599, &code) || code < 200 ||
	    (line.at[3] != ' ' && line.at[3] != '-'))
		return false;
	*out = (unsigned)code;
	return true;
}

/* One reply. False when the connection ended, which is_over then says. */
static bool read_reply(struct client *c) WAITS
{
	struct str line;
	unsigned code;

	c->code = 0;
	do {
		enum err err = conn_read_line(c->conn, LINE_MAX_OCTETS, LINE_CRLF_ONLY,
					      in_ms(REPLY_MS), &line);

		if (err) {
			c->is_over = true;
			return false;
		}
		if (!code_of(line, &code) || (c->code && code != c->code)) {
			broken(c, "not a reply, or another code in one: %.*s", STR_ARGS(line));
			return false;
		}
		c->code = code;
	} while (line.at[3] == '-');
	if (c->code == 421)
		c->is_over = true;
	return true;
}

static bool say(struct client *c, struct str line) WAITS
{
	if (conn_write(c->conn, line, in_ms(REPLY_MS)) ||
	    conn_write(c->conn, S("\r\n"), in_ms(REPLY_MS))) {
		c->is_over = true;
		return false;
	}
	return read_reply(c);
}

/* Said in the wrong place: must be refused for good. */
static void expect_refused(struct client *c, const char *what)
{
	if (!c->is_over && c->code < 500)
		broken(c, "%s in the wrong place was answered %u", what, c->code);
}

static bool has_recipient(const struct client *c)
{
	for (size_t i = 0; i < WALK_RECIPIENTS; i++)
		if (c->recipients[i])
			return true;
	return false;
}

static void forget_envelope(struct client *c)
{
	c->mailing = false;
	c->chunking = false;
	c->message = NULL;
	memset(c->recipients, 0, sizeof(c->recipients));
}

/* ---- what a client may say ---- */

static void do_hello(struct client *c) WAITS
{
	if (!say(c, chance(2) ? S("EHLO walk.example") : S("HELO walk.example")))
		return;
	if (c->code != 250 && !c->is_over)
		broken(c, "EHLO was answered %u", c->code);
	c->greeted = true;
	forget_envelope(c);
}

static void do_mail(struct client *c) WAITS
{
	static const char *const lines[] = { "MAIL FROM:<walker@client.example>", "MAIL FROM:<>",
					     "mail from:<a.b@client.example> SIZE=500",
					     "MAIL FROM:<broken", "MAIL FROM:<a@b.example> X=Y" };
	size_t which = chance(COUNT_OF(lines));

	if (!say(c, str_of(lines[which])))
		return;
	if (!c->greeted || c->mailing || which >= 3)
		expect_refused(c, "MAIL");
	else if (c->code == 250)
		c->mailing = true;
}

static void do_recipient(struct client *c) WAITS
{
	size_t which = chance(WALK_RECIPIENTS + 3);
	const char *address = which < WALK_RECIPIENTS        ? walk_recipients[which]
			      : which == WALK_RECIPIENTS     ? "nobody@wire.example"
			      : which == WALK_RECIPIENTS + 1 ? "a@elsewhere.example"
							     : "@@";

	if (!say(c, str_print(&c->arena, "RCPT TO:<%s>", address)))
		return;
	if (!c->mailing || c->chunking || which > WALK_RECIPIENTS)
		expect_refused(c, "RCPT");
	else if (c->code == 250 && which < WALK_RECIPIENTS)
		c->recipients[which] = true;
	else if (c->code == 250)
		broken(c, "a recipient that is not there was taken");
}

static struct walk_message *new_message(struct client *c)
{
	struct walk_ledger *ledger = c->walk->ledger;
	struct walk_message *message;

	must(ledger->count < WALK_MESSAGES);
	message = &ledger->messages[ledger->count];
	message->number = (unsigned)++ledger->count;
	message->fate = WALK_UNKNOWN;
	memcpy(message->recipients, c->recipients, sizeof(message->recipients));
	return message;
}

/* Its text, dots doubled already; `flawed` says whether it must be refused. */
static struct str text_of(struct client *c, const struct walk_message *message, bool *flawed)
{
	static const char *const bodies[] = {
		"one line\r\n",
		"..\r\n...\r\n..dots\r\n",
		"",
		"\r\n\r\n",
		"a bare\nnewline\r\n",
		"smuggled\r\n.\nMAIL FROM:<evil@client.example>\r\n",
	};
	size_t which = chance(COUNT_OF(bodies));

	*flawed = which >= 4;
	return str_print(&c->arena, "Subject: walk %u.\r\n\r\n%s", message->number, bodies[which]);
}

static void settle(struct client *c, struct walk_message *message, bool flawed)
{
	if (c->is_over && c->code == 0)
		return; /* nobody knows */
	if (flawed && c->code < 500)
		broken(c, "data that must be refused was answered %u", c->code);
	message->fate = c->code == 250 ? WALK_ACKNOWLEDGED : WALK_REFUSED;
	forget_envelope(c);
}

/* Octets in pieces, as a network may bring them. */
static bool send_in_pieces(struct client *c, struct str octets) WAITS
{
	while (octets.len > 0) {
		struct str piece = str_first(octets, 1 + chance(40));

		if (conn_write(c->conn, piece, in_ms(REPLY_MS)) ||
		    (chance(4) == 0 && conn_flush(c->conn, in_ms(REPLY_MS)))) {
			c->is_over = true;
			return false;
		}
		octets = str_from(octets, piece.len);
	}
	return true;
}

static void cut(struct client *c)
{
	sim_stream_cut(c->stream);
	c->is_over = true;
}

static void do_data(struct client *c) WAITS
{
	bool legal = c->mailing && has_recipient(c) && !c->chunking;
	struct walk_message *message;
	struct str text;
	bool flawed;

	if (!say(c, S("DATA")))
		return;
	if (!legal) {
		expect_refused(c, "DATA");
		return;
	}
	if (c->code != 354)
		return;
	message = new_message(c);
	text = text_of(c, message, &flawed);
	if (chance(10) == 0) {
		/* Cut in the middle: the end never came, so nothing may be kept. */
		(void)send_in_pieces(c, str_first(text, text.len / 2));
		message->fate = WALK_REFUSED;
		cut(c);
		return;
	}
	if (!send_in_pieces(c, text) || !send_in_pieces(c, S(".\r\n")))
		return;
	if (chance(15) == 0) {
		(void)!conn_flush(c->conn, in_ms(REPLY_MS));
		cut(c); /* before the answer: it is kept, or not */
		return;
	}
	(void)read_reply(c);
	settle(c, message, flawed);
}

static void do_chunk(struct client *c) WAITS
{
	bool legal = c->mailing && has_recipient(c);
	bool is_last = chance(2);
	struct str text = S("Subject: nowhere\r\n\r\nx\r\n");
	struct walk_message *message = c->message;

	if (legal && !message) {
		message = c->message = new_message(c);
		text = str_print(&c->arena, "Subject: walk %u.\r\n\r\n", message->number);
	}
	(void)!conn_write(c->conn,
			  str_print(&c->arena, "BDAT %zu%s\r\n", text.len, is_last ? " LAST" : ""),
			  in_ms(REPLY_MS));
	if (!send_in_pieces(c, text) || !read_reply(c))
		return;
	if (!legal) {
		expect_refused(c, "BDAT");
		return;
	}
	c->chunking = true;
	if (is_last || c->code >= 400)
		settle(c, message, false);
}

static void abandon_chunks(struct client *c)
{
	if (c->message)
		c->message->fate = WALK_REFUSED;
}

static void do_other(struct client *c) WAITS
{
	static const char *const lines[] = { "NOOP",    "VRFY ann@wire.example",
					     "EXPN x",  "XYZZY",
					     "",        "AUTH PLAIN AGEAYg==",
					     "TURN",    "HELP MAIL",
					     "RCPT TO", "DATA x" };
	struct str line = str_of(lines[chance(COUNT_OF(lines))]);

	if (say(c, line) && c->code >= 300 && c->code < 400)
		broken(c, "%.*s was answered %u", STR_ARGS(line), c->code);
}

static void do_reset(struct client *c) WAITS
{
	abandon_chunks(c);
	if (say(c, S("RSET")) && c->code != 250 && !c->is_over)
		broken(c, "RSET was answered %u", c->code);
	forget_envelope(c);
}

static void do_quit(struct client *c) WAITS
{
	abandon_chunks(c);
	if (say(c, S("QUIT")) && c->code != 221 && !c->is_over)
		broken(c, "QUIT was answered %u", c->code);
	c->is_over = true;
}

/* Weighted so that messages come through: a client that only errs is soon sent away. */
static void take_step(struct client *c) WAITS
{
	uint64_t dice = chance(100);

	arena_reset(&c->arena);
	if (dice < 8 || (!c->greeted && dice < 50))
		do_hello(c);
	else if (dice < 32)
		do_mail(c);
	else if (dice < 58)
		do_recipient(c);
	else if (dice < 74)
		do_data(c);
	else if (dice < 84)
		do_chunk(c);
	else if (dice < 92)
		do_other(c);
	else if (dice < 96)
		do_reset(c);
	else if (dice < 98)
		do_quit(c);
	else
		(void)fiber_sleep(in_ms((int64_t)chance(5000)));
}

static bool come_in(struct client *c, struct walk *walk) WAITS
{
	*c = (struct client){ .walk = walk };
	if (stream_connect(walk->server, in_ms(REPLY_MS), &c->stream)) {
		broken(c, "the server takes no connections: %s", fault_text());
		return false;
	}
	c->conn = conn_new(c->stream);
	if (read_reply(c) && c->code != 220)
		broken(c, "the greeting was %u", c->code);
	return true;
}

void walk_run(struct walk *walk) WAITS
{
	unsigned left = walk->steps;

	while (left > 0 && !walk->ledger->failure[0]) {
		struct client c;

		if (!come_in(&c, walk))
			return;
		for (; left > 0 && !c.is_over && !walk->ledger->failure[0]; left--)
			take_step(&c);
		/* Chunks without a last one are never kept. */
		if (!c.is_over || c.code != 0)
			abandon_chunks(&c);
		conn_drop(&c.conn);
		arena_drop(&c.arena);
		left -= left > 0;
	}
}
