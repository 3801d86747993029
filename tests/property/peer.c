/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"
#include "talk.h"

#include <stdlib.h>

enum {
	SMTP_PORT = 25,
	PATIENCE_MS = 20 * 60000,
	HANG_MS = 3 * 3600000,
	LATE_MS = 7 * 60000, /* past most of a client's time-outs, now and then */
	GREY_MS = 10 * 60000,
	LINE_OCTETS = 4096,
	DATA_MAX = 400000
};

/* Where trouble may come. */
enum step {
	STEP_GREETING,
	STEP_HELLO,
	STEP_TLS,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,   /* among its lines */
	STEP_END,    /* after the last octet, and nothing was kept */
	STEP_ANSWER, /* it is kept: the 250 gets lost */
	STEP_QUIT,
	STEPS,
	STEP_NONE = STEPS
};

enum trouble { LATE, HANG, CLOSE, CUT, SAY_421, NONSENSE, TROUBLES };

struct visit {
	struct peer *peer;
	struct stream *stream;
	struct conn *conn;
	/* The script of this session. */
	enum step trouble_at;
	enum trouble trouble;
	bool has_ehlo, has_pipelining, has_chunking, has_8bit, has_dsn, has_size, has_tls;
	/* The transaction. */
	bool has_sender;
	struct post_to *taken[POST_TO_MAX];
	size_t taken_count;
	struct buf data;
};

/* ---- speaking ---- */

static bool say(struct visit *v, const char *line) WAITS
{
	return conn_write(v->conn, str_of(line), in_ms(PATIENCE_MS)) == OK &&
	       conn_write(v->conn, S("\r\n"), in_ms(PATIENCE_MS)) == OK;
}

static bool hear(struct visit *v, struct str *line) WAITS
{
	return conn_read_line(v->conn, LINE_OCTETS, LINE_CRLF_ONLY, in_ms(PATIENCE_MS), line) == OK;
}

/* ---- trouble ---- */

static void hang(struct visit *v) WAITS
{
	moment until = in_ms(HANG_MS);

	while (!conn_fill(v->conn, until))
		conn_take(v->conn, conn_input(v->conn).len);
}

static bool make_trouble(struct visit *v) WAITS
{
	switch (v->trouble) {
	case LATE:
		return fiber_sleep(in_ms((int64_t)chance(2 * LATE_MS))) == OK;
	case HANG:
		hang(v);
		return false;
	case CUT:
		sim_stream_cut(v->stream);
		return false;
	case SAY_421:
		(void)say(v, "421 4.3.2 we close for today");
		break;
	case NONSENSE:
		(void)say(v, chance(2) ? "I beg your pardon?" : "999 \x01\xff");
		break;
	case CLOSE:
	case TROUBLES:
		break;
	}
	(void)!conn_flush(v->conn, in_ms(PATIENCE_MS));
	return false;
}

/* False: the session is over. */
static bool passes(struct visit *v, enum step step) WAITS
{
	v->peer->step(v->peer->context);
	if (v->trouble_at != step)
		return true;
	v->trouble_at = STEP_NONE;
	return make_trouble(v);
}

static void draw_script(struct visit *v)
{
	enum mood mood = v->peer->mood;
	bool is_in_trouble = mood == MOOD_BAD || (mood == MOOD_MOODY && chance(3) == 0);

	v->trouble_at = is_in_trouble ? (enum step)chance(STEPS) : STEP_NONE;
	if (is_in_trouble && chance(4) == 0)
		v->trouble_at = STEP_ANSWER;
	v->trouble = (enum trouble)chance(TROUBLES);
	/* Who has kept it and says 421 lies; nobody could know. */
	if (v->trouble_at == STEP_ANSWER && v->trouble == SAY_421)
		v->trouble = CUT;
	v->has_ehlo = chance(12) != 0;
	v->has_pipelining = chance(2);
	v->has_chunking = chance(2);
	v->has_8bit = v->has_ehlo && chance(20) != 0;
	v->has_dsn = chance(2);
	v->has_size = chance(2);
	/* Its TLS is always broken: nothing that passes is left to OpenSSL's own chance. */
	v->has_tls = chance(5) == 0;
	/* What has octets past 127 cannot go there, for good (rfc6152 3). */
	if (!v->has_8bit)
		v->peer->place->may_refuse = true;
}

/* ---- commands ---- */

static bool say_hello(struct visit *v, bool is_extended) WAITS
{
	bool is_said = true;

	if (!passes(v, STEP_HELLO))
		return false;
	if (!is_extended)
		return say(v, "250 peer.example");
	if (!v->has_ehlo)
		return say(v, "502 5.5.1 what is EHLO?");
	is_said = say(v, "250-peer.example");
	if (v->has_pipelining)
		is_said = is_said && say(v, "250-PIPELINING");
	if (v->has_chunking)
		is_said = is_said && say(v, "250-CHUNKING");
	if (v->has_8bit)
		is_said = is_said && say(v, "250-8BITMIME");
	if (v->has_dsn)
		is_said = is_said && say(v, "250-DSN");
	if (v->has_size)
		is_said = is_said && say(v, chance(2) ? "250-SIZE" : "250-SIZE 100000000");
	if (v->has_tls)
		is_said = is_said && say(v, "250-STARTTLS");
	return is_said && say(v, "250 ENHANCEDSTATUSCODES");
}

static bool break_tls(struct visit *v) WAITS
{
	if (!passes(v, STEP_TLS))
		return false;
	switch (chance(3)) {
	case 0:
		return say(v, "454 4.7.0 no TLS today");
	case 1:
		(void)say(v, "220 go on, into the dark");
		(void)say(v, "this is no handshake at all");
		break;
	default:
		(void)say(v, "220 go on");
	}
	(void)!conn_flush(v->conn, in_ms(PATIENCE_MS));
	return false;
}

static void forget(struct visit *v)
{
	v->has_sender = false;
	v->taken_count = 0;
	buf_reset(&v->data);
}

static bool take_sender(struct visit *v) WAITS
{
	if (!passes(v, STEP_MAIL))
		return false;
	forget(v);
	if (v->peer->mood == MOOD_FULL)
		return say(v, "452 4.3.1 the disk is full");
	if (v->peer->mood == MOOD_MOODY && chance(20) == 0)
		return say(v, "451 4.7.1 not you, not now");
	v->has_sender = true;
	return say(v, "250 2.1.0 go on");
}

static struct post_to *find_recipient(struct visit *v, struct str line)
{
	size_t begin = str_find(line, '<');
	struct str address = str_from(line, begin == STR_NONE ? line.len : begin + 1);
	struct post *post;

	return posts_find(v->peer->posts, str_first(address, str_find(address, '>')), &post);
}

/* What it says to this recipient; "": take it. */
static const char *judge(const struct peer *peer, struct post_to *to)
{
	uint64_t dice = chance(100);

	if (!to->greylisted)
		to->greylisted = now();
	if (peer->mood == MOOD_GREY && now() < to->greylisted + 1000 * GREY_MS)
		return "451 4.7.1 greylisted, come again";
	if (peer->mood == MOOD_HALF && dice < 50)
		return "450 4.2.1 the mailbox is busy";
	if (peer->mood == MOOD_MOODY && dice < 10)
		return "452 4.2.2 the mailbox is full";
	if ((peer->mood == MOOD_MOODY || peer->mood == MOOD_HALF) && dice > 94) {
		to->refused = true;
		return "550 5.1.1 nobody of that name";
	}
	return "";
}

static bool take_recipient(struct visit *v, struct str line) WAITS
{
	struct post_to *to = find_recipient(v, line);
	const char *no;

	if (!passes(v, STEP_RCPT))
		return false;
	if (!v->has_sender)
		return say(v, "503 5.5.1 MAIL first");
	if (!to || v->taken_count == POST_TO_MAX) {
		ledger_broken(&v->peer->posts->ledger, "%s was asked for: %.*s", v->peer->host,
			      STR_ARGS(line));
		return false;
	}
	no = judge(v->peer, to);
	if (no[0])
		return say(v, no);
	v->taken[v->taken_count++] = to;
	return say(v, "250 2.1.5 go on");
}

/* ---- the message ---- */

static bool refuse_message(struct visit *v) WAITS
{
	bool is_final = chance(3) == 0;

	for (size_t i = 0; i < v->taken_count && is_final; i++)
		v->taken[i]->refused = true;
	forget(v);
	return say(v, is_final ? "554 5.6.0 we do not like it" : "451 4.3.0 local trouble");
}

/* All octets are here. */
static bool end_message(struct visit *v) WAITS
{
	struct peer *peer = v->peer;

	if (!passes(v, STEP_END))
		return false;
	if (peer->mood == MOOD_MOODY && chance(15) == 0)
		return refuse_message(v);
	for (size_t i = 0; i < v->taken_count; i++)
		(void)posts_keep(peer->posts, v->taken[i], buf_str(&v->data));
	peer->taken++;
	peer->lost++; /* until it is said */
	forget(v);
	if (!passes(v, STEP_ANSWER) || !say(v, "250 2.0.0 we have it"))
		return false;
	peer->lost--;
	return conn_flush(v->conn, in_ms(PATIENCE_MS)) == OK;
}

static bool read_data(struct visit *v) WAITS
{
	struct str line;

	if (!passes(v, STEP_DATA))
		return false;
	if (!v->taken_count)
		return say(v, "554 5.5.1 for whom?");
	if (!say(v, "354 go on"))
		return false;
	while (hear(v, &line)) {
		if (str_is(line, S(".")))
			return end_message(v);
		if (line.len > 0 && line.at[0] == '.')
			line = str_from(line, 1);
		must(!buf_add(&v->data, line) && !buf_add(&v->data, S("\r\n")));
		if (v->trouble_at == STEP_BODY && chance(20) == 0 && !passes(v, STEP_BODY))
			return false;
	}
	return false;
}

static bool read_chunk(struct visit *v, struct str line) WAITS
{
	struct scan scan = scan_of(str_from(line, 5));
	bool is_last = str_ends_nocase(line, S(" LAST"));
	uint64_t left;

	if (!take_number(&scan, DATA_MAX, &left) || !passes(v, STEP_BODY))
		return false;
	while (left > 0) {
		struct str piece = str_first(conn_input(v->conn), left);

		if (!piece.len && conn_fill(v->conn, in_ms(PATIENCE_MS)))
			return false;
		must(!buf_add(&v->data, piece));
		left -= piece.len;
		conn_take(v->conn, piece.len);
	}
	if (!v->taken_count)
		return say(v, "554 5.5.1 for whom?");
	return is_last ? end_message(v) : say(v, "250 2.0.0 go on");
}

/* ---- a session ---- */

/* False: it is over. */
static bool obey(struct visit *v, struct str line) WAITS
{
	if (str_starts_nocase(line, S("EHLO ")) || str_starts_nocase(line, S("HELO ")))
		return say_hello(v, ascii_lower((unsigned char)line.at[0]) == 'e');
	if (str_is_nocase(line, S("STARTTLS")))
		return break_tls(v);
	if (str_starts_nocase(line, S("MAIL FROM:<")))
		return take_sender(v);
	if (str_starts_nocase(line, S("RCPT TO:<")))
		return take_recipient(v, line);
	if (str_is_nocase(line, S("DATA")))
		return read_data(v);
	if (str_starts_nocase(line, S("BDAT ")))
		return read_chunk(v, line);
	if (str_is_nocase(line, S("RSET"))) {
		forget(v);
		return say(v, "250 2.0.0 forgotten");
	}
	if (!str_is_nocase(line, S("QUIT")))
		return say(v, "500 5.5.2 what?");
	if (passes(v, STEP_QUIT) && say(v, "221 2.0.0 goodbye"))
		(void)!conn_flush(v->conn, in_ms(PATIENCE_MS));
	return false;
}

static void receive(struct visit *v) WAITS
{
	struct str line;

	if (!passes(v, STEP_GREETING))
		return;
	if (v->peer->mood == MOOD_HATES) {
		v->peer->place->may_refuse = true;
		(void)say(v, "554 5.7.1 not for you");
		(void)!conn_flush(v->conn, in_ms(PATIENCE_MS));
		return;
	}
	if (!say(v, "220 peer.example ESMTP"))
		return;
	while (hear(v, &line))
		if (!obey(v, line))
			return;
}

static void visit_fiber(void *arg) WAITS
{
	struct visit *v = arg;

	v->conn = conn_new(v->stream);
	v->data = BUF(DATA_MAX);
	draw_script(v);
	talk_choose_link(); /* of the next one */
	receive(v);
	buf_drop(&v->data);
	conn_drop(&v->conn);
	free(v);
}

/* ---- the server ---- */

static void listen_fiber(void *arg) WAITS
{
	struct peer *peer = arg;
	struct stream *stream;

	while (!listener_accept(peer->listener, NEVER, &stream)) {
		struct visit *v = calloc(1, sizeof(*v));

		must(v);
		v->peer = peer;
		v->stream = stream;
		must(!fiber_spawn(&peer->visits, "visit", visit_fiber, v, NULL));
	}
	listener_drop(&peer->listener);
}

void peer_init(struct peer *peer)
{
	peer->address.port = SMTP_PORT;
	group_init(&peer->visits);
}

void peer_open(struct peer *peer)
{
	if (peer->listener)
		return;
	group_init(&peer->ears);
	must(!listener_new(&peer->address, 10, &peer->listener));
	must(!fiber_spawn(&peer->ears, "peer", listen_fiber, peer, NULL));
}

void peer_close(struct peer *peer) WAITS
{
	if (!peer->listener)
		return;
	group_stop(&peer->ears);
	(void)!group_wait(&peer->ears, NEVER);
}

void peer_done(struct peer *peer) WAITS
{
	peer_close(peer);
	group_stop(&peer->visits);
	(void)!group_wait(&peer->visits, NEVER);
}
