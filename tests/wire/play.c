/* SPDX-License-Identifier: Apache-2.0 */
#include "play.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEP_MS = 20000, KEPT_LINES = 2000 };

/* One connection of the script. */
struct wire_conn {
	struct conn *conn;
	struct stream *stream;
	struct str listener;
	struct str waiting; /* a line that was read before the script asked for it (the greeting) */
	bool has_waiting;
	struct str greeting;
	struct str last;              /* the newest line of the server */
	struct str since[KEPT_LINES]; /* lines since the client last spoke */
	size_t since_count;
	bool at_end;
};

/* ---- the transcript ---- */

static struct play_line *add_line(struct play *play, const struct step *step, struct str server)
{
	struct play_line *line;

	if (play->line_count == play->line_room) {
		struct play_line *grown;

		play->line_room = play->line_room ? play->line_room * 2 : 64;
		grown = NEW_ARRAY(&play->arena, struct play_line, play->line_room);
		if (play->line_count)
			memcpy(grown, play->lines, play->line_count * sizeof(*grown));
		play->lines = grown;
	}
	line = &play->lines[play->line_count++];
	line->script = step ? step->source : S("");
	line->line = step ? step->line : 0;
	line->server = str_dup(&play->arena, server);
	return line;
}

static void differ(struct play *play, const struct step *step, struct str got)
{
	add_line(play, step, got)->differs = true;
	play->failed = true;
}

static void differ_err(struct play *play, const struct step *step, enum err err)
{
	differ(play, step, str_print(&play->arena, "(%s: %s)", err_text(err), fault_text()));
}

void play_print(const struct play *play, struct buf *out)
{
	enum { WIDTH = 62 };

	buf_print(out, "%5s  %-*s  %s\n", "line", WIDTH, "script", "server");
	for (size_t i = 0; i < play->line_count; i++) {
		const struct play_line *line = &play->lines[i];
		char number[16] = "";
		OWNED(buf) struct buf right = BUF(4096);

		if (line->line)
			snprintf(number, sizeof(number), "%u", line->line);
		escape_add(&right, str_first(line->server, 400));
		buf_print(out, "%5s%s %-*.*s  %.*s\n", number, line->differs ? "!" : " ", WIDTH,
			  STR_ARGS(str_first(line->script, WIDTH)), STR_ARGS(buf_str(&right)));
	}
}

/* ---- lines ---- */

static enum err read_line(struct play *play, struct wire_conn *c, struct str *out) WAITS
{
	enum err err = OK;

	if (c->has_waiting) {
		*out = c->waiting;
		c->has_waiting = false;
	} else {
		err = conn_read_line(c->conn, WIRE_LINE - 1, LINE_CRLF_ONLY, in_ms(STEP_MS), out);
		if (err)
			return err;
		*out = str_dup(&play->arena, *out);
	}
	if (c->greeting.len == 0)
		c->greeting = *out;
	c->last = *out;
	if (c->since_count < KEPT_LINES)
		c->since[c->since_count++] = *out;
	return OK;
}

static enum err send(struct wire_conn *c, struct str octets) WAITS
{
	c->since_count = 0;
	return conn_write(c->conn, octets, in_ms(STEP_MS));
}

/* The reply to a line that the script did not write (STARTTLS inserted): its last line. */
static enum err exchange(struct play *play, struct wire_conn *c, struct str line, struct str wanted)
	WAITS
{
	struct str reply;
	enum err err = conn_write(c->conn, line, in_ms(STEP_MS));

	do {
		if (!err)
			err = conn_read_line(c->conn, WIRE_LINE - 1, LINE_CRLF_ONLY, in_ms(STEP_MS),
					     &reply);
	} while (!err && reply.len > 3 && reply.at[3] == '-');
	if (!err && !str_starts(reply, wanted))
		err = fault(ERR_PROTOCOL, "inserted \"%.*s\" was answered \"%.*s\"",
			    STR_ARGS(str_trim(line)), STR_ARGS(reply));
	add_line(play, NULL,
		 str_print(&play->arena, "(TLS inserted: %.*s)", (int)line.len - 2, line.at));
	return err;
}

static enum err insert_tls(struct play *play, struct wire_conn *c) WAITS
{
	enum err err =
		conn_read_line(c->conn, WIRE_LINE - 1, LINE_CRLF_ONLY, in_ms(STEP_MS), &c->waiting);

	if (err)
		return err;
	c->waiting = str_dup(&play->arena, c->waiting);
	c->has_waiting = true;
	if (str_starts(c->waiting, S("+OK"))) {
		err = exchange(play, c, S("STLS\r\n"), S("+OK"));
	} else if (str_is(c->listener, S("lmtp"))) {
		err = exchange(play, c, S("LHLO tls.wire.example\r\n"), S("250"));
		if (!err)
			err = exchange(play, c, S("STARTTLS\r\n"), S("220"));
	} else {
		err = exchange(play, c, S("EHLO tls.wire.example\r\n"), S("250"));
		if (!err)
			err = exchange(play, c, S("STARTTLS\r\n"), S("220"));
	}
	return err ? err
		   : conn_start_tls_client(c->conn, play->stand->tls, S("mail.example"),
					   in_ms(STEP_MS));
}

/* The connection of a step, made at its first step. */
static struct wire_conn *conn_of(struct play *play, const struct step *step) WAITS
{
	struct wire_conn *c = play->conns[step->connection];
	enum err err;

	if (c)
		return c;
	c = NEW(&play->arena, struct wire_conn);
	c->listener = play->stand->script->listener[step->connection];
	play->conns[step->connection] = c;
	err = stand_connect(play->stand, c->listener, &c->conn, &c->stream);
	if (!err && play->stand->mode == WIRE_TLS && !conn_is_tls(c->conn))
		err = insert_tls(play, c);
	if (err)
		differ_err(play, step, err);
	return err ? NULL : c;
}

/* ---- {apop PASSWORD}, {cram USER PASSWORD}: what a client computes ---- */

static struct str hex_of(struct arena *arena, const unsigned char *octets, size_t len)
{
	OWNED(buf) struct buf hex = BUF(256);

	hex_add(&hex, (struct str){ (const char *)octets, len });
	return str_dup(arena, buf_str(&hex));
}

static struct str compute_apop(struct play *play, struct wire_conn *c, struct str password)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	size_t at = str_find(c->greeting, '<');
	struct str text = str_print(&play->arena, "%.*s%.*s",
				    STR_ARGS(at == STR_NONE ? S("") : str_from(c->greeting, at)),
				    STR_ARGS(password));

	must(EVP_Digest(text.at, text.len, md, &len, EVP_md5(), NULL) == 1);
	return hex_of(&play->arena, md, len);
}

static struct str compute_cram(struct play *play, struct wire_conn *c, struct str arguments)
{
	struct str user = str_first(arguments, str_find(arguments, ' '));
	struct str password = str_from(arguments, user.len + 1);
	OWNED(buf) struct buf out = BUF(4096);
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct str challenge;
	struct str digest;

	if (c->last.len < 4 ||
	    !base64_take(&play->arena,
			 str_trim(str_from(c->last, str_starts(c->last, S("+")) ? 1 : 4)),
			 &challenge))
		challenge = S("");
	must(HMAC(EVP_md5(), password.at, (int)password.len, (const unsigned char *)challenge.at,
		  challenge.len, md, &len));
	digest = hex_of(&play->arena, md, len);
	base64_add(&out, str_print(&play->arena, "%.*s %.*s", STR_ARGS(user), STR_ARGS(digest)));
	return str_dup(&play->arena, buf_str(&out));
}

/* The line with what stands in braces computed. */
static struct str expand(struct play *play, struct wire_conn *c, struct str line)
{
	size_t open = str_find_str(line, S("{apop "));
	bool is_apop = open != STR_NONE;
	struct str inner;
	struct str value;
	size_t close;

	if (!is_apop)
		open = str_find_str(line, S("{cram "));
	if (open == STR_NONE)
		return line;
	inner = str_from(line, open + 6);
	close = str_find(inner, '}');
	if (close == STR_NONE)
		return line;
	value = is_apop ? compute_apop(play, c, str_first(inner, close))
			: compute_cram(play, c, str_first(inner, close));
	return str_print(&play->arena, "%.*s%.*s%.*s", (int)open, line.at, STR_ARGS(value),
			 STR_ARGS(str_from(inner, close + 1)));
}

/* ---- steps ---- */

static void run_expect(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	struct str line;
	enum err err = read_line(play, c, &line);

	if (err)
		differ_err(play, step, err);
	else if (!wire_matches(step->text, line))
		differ(play, step, line);
	else
		add_line(play, step, line);
}

static const struct step *next_expect(const struct play *play, const struct step *step)
{
	const struct script *script = play->stand->script;

	for (const struct step *s = step + 1; s < script->steps + script->step_count; s++)
		if (s->connection == step->connection && s->kind == STEP_EXPECT)
			return s;
	return NULL;
}

/* Lines that begin with the prefix, until one comes that the next S: of this connection expects. */
static void run_skip(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	const struct step *next = next_expect(play, step);
	struct str line;
	enum err err;

	while (!(err = read_line(play, c, &line))) {
		if (next && wire_matches(next->text, line)) {
			c->waiting = line;
			c->has_waiting = true;
			c->since_count--;
			return;
		}
		if (!str_starts(line, step->text)) {
			differ(play, step, line);
			return;
		}
		add_line(play, step, line);
	}
	differ_err(play, step, err);
}

static void run_absent(struct play *play, struct wire_conn *c, const struct step *step)
{
	for (size_t i = 0; i < c->since_count; i++) {
		if (wire_matches(step->text, c->since[i])) {
			differ(play, step, c->since[i]);
			return;
		}
	}
	add_line(play, step, S(""));
}

static void run_send(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	struct str octets = step->text;
	enum err err;

	if (step->kind == STEP_SEND)
		octets = str_print(&play->arena, "%.*s\r\n", STR_ARGS(expand(play, c, step->text)));
	err = send(c, octets);
	/* What the server says to a connection it has closed already comes at the next S:. */
	if (err && err != ERR_CLOSED && err != ERR_RESET)
		differ_err(play, step, err);
	else
		add_line(play, step, S(""));
}

static void run_end(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	struct str line;
	enum err err = read_line(play, c, &line);

	if (err == ERR_CLOSED || err == ERR_RESET || err == ERR_TLS)
		add_line(play, step, S("(closed)"));
	else if (err)
		differ_err(play, step, err);
	else
		differ(play, step, line);
}

static const struct account *account_of(const struct play *play, struct str address)
{
	const struct script *script = play->stand->script;

	for (size_t i = 0; i < script->account_count; i++)
		if (str_is(script->accounts[i].address, address))
			return &script->accounts[i];
	return NULL;
}

/* One line said on a POP3 connection, and the answer's first line. */
static enum err ask_pop3(struct play *play, struct conn *conn, struct str line, struct str *reply)
	WAITS
{
	enum err err = OK;

	if (line.len > 0)
		err = conn_write(conn, str_print(&play->arena, "%.*s\r\n", STR_ARGS(line)),
				 in_ms(STEP_MS));
	if (!err)
		err = conn_read_line(conn, WIRE_LINE - 1, LINE_CRLF_ONLY, in_ms(STEP_MS), reply);
	if (!err && !str_starts(*reply, S("+OK")))
		err = fault(ERR_PROTOCOL, "%.*s", STR_ARGS(*reply));
	return err;
}

static void run_stored(struct play *play, const struct step *step) WAITS
{
	const struct account *account = account_of(play, step->text);
	struct stream *stream;
	struct conn *conn = NULL;
	struct str reply = S("");
	struct str wanted = str_print(&play->arena, "+OK %llu *", (unsigned long long)step->count);
	enum err err = account ? stand_connect(play->stand, S("pop3s"), &conn, &stream)
			       : fault(ERR_NOT_FOUND, "no such @ account");

	if (!err)
		err = ask_pop3(play, conn, S(""), &reply);
	if (!err)
		err = ask_pop3(play, conn,
			       str_print(&play->arena, "USER %.*s", STR_ARGS(account->address)),
			       &reply);
	if (!err)
		err = ask_pop3(play, conn,
			       str_print(&play->arena, "PASS %.*s", STR_ARGS(account->password)),
			       &reply);
	if (!err)
		err = ask_pop3(play, conn, S("STAT"), &reply);
	if (err)
		differ_err(play, step, err);
	else if (!wire_matches(wanted, reply))
		differ(play, step, reply);
	else
		add_line(play, step, reply);
	if (!err)
		err = ask_pop3(play, conn, S("QUIT"), &reply);
	conn_drop(&conn);
}

static void run_tls(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	enum err err =
		conn_start_tls_client(c->conn, play->stand->tls, S("mail.example"), in_ms(STEP_MS));

	if (err)
		differ_err(play, step, err);
	else
		add_line(play, step, str_of(conn_tls(c->conn)->version));
}

static void run_on(struct play *play, struct wire_conn *c, const struct step *step) WAITS
{
	switch (step->kind) {
	case STEP_SEND:
	case STEP_SEND_RAW:
	case STEP_SEND_BULK:
		run_send(play, c, step);
		return;
	case STEP_EXPECT:
		run_expect(play, c, step);
		return;
	case STEP_SKIP:
		run_skip(play, c, step);
		return;
	case STEP_ABSENT:
		run_absent(play, c, step);
		return;
	case STEP_TLS:
		run_tls(play, c, step);
		return;
	case STEP_END:
		run_end(play, c, step);
		return;
	case STEP_HALF_CLOSE:
		(void)!conn_flush(c->conn, in_ms(STEP_MS));
		conn_shut(c->conn);
		break;
	case STEP_CUT:
		(void)!conn_flush(c->conn, in_ms(STEP_MS));
		if (play->stand->mode == WIRE_SIM)
			sim_stream_cut(c->stream);
		[[fallthrough]];
	case STEP_CLOSE:
		(void)!conn_flush(c->conn, in_ms(STEP_MS));
		conn_drop(&c->conn);
		play->conns[step->connection] = NULL;
		break;
	default:
		break;
	}
	add_line(play, step, S(""));
}

static void run_step(struct play *play, const struct step *step) WAITS
{
	struct wire_conn *c;

	if (step->kind == STEP_STORED) {
		run_stored(play, step);
		return;
	}
	c = conn_of(play, step);
	if (!c)
		return;
	if (step->kind == STEP_SLEEP) {
		(void)!conn_flush(c->conn, in_ms(STEP_MS));
		(void)fiber_sleep(in_ms((int64_t)step->count));
		add_line(play, step, S(""));
		return;
	}
	run_on(play, c, step);
}

void play_run(struct play *play) WAITS
{
	const struct script *script = play->stand->script;

	for (size_t i = 0; i < script->step_count && !play->failed; i++)
		run_step(play, &script->steps[i]);
	for (size_t i = 0; i < WIRE_CONNECTIONS; i++)
		if (play->conns[i])
			conn_drop(&play->conns[i]->conn);
}

void play_done(struct play *play)
{
	arena_drop(&play->arena);
}
