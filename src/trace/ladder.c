/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/cells.h"
#include "trace/ring.h"

/*
 * A line of the ladder:
 *
 *	TTTTTTT ms LL|....................................|
 *
 * time, the mark of a connection under TLS, the client's life line, the wire, the server's.
 */
enum { MIB = 1 << 20, GIB = 1 << 30 };
enum { LEFT = 13, WIDTH_MIN = 60, WIDTH_MAX = 200, ARROW_MIN = 3, BAR_MAX = 24 };
/* Texts of one event, each octet of them spelled out as \xNN, and what stands around them. */
enum { TEXT_MAX = 8 * 4 * (LIMIT_trace_text + 64) };

static const struct glyphs {
	const char *life, *line, *double_line, *to_right, *to_left, *bar, *lock, *begin, *end, *dot,
		*arrow;
} unicode = { "│", "─", "═", "▶", "◀", "▓", "🔒", "┬", "┴", "·", "→" },
  plain = { "|", "-", "=", ">", "<", "#", "T ", "+", "+", ".", "->" };

struct ladder {
	const struct glyphs *glyphs;
	bool ascii;
	unsigned wire; /* cells between the life lines */
	bool encrypted;
	int64_t since_us;
	bool timed; /* the time was printed: later lines of the event leave it out */
	struct buf *out;
};

static void repeat(const struct ladder *ladder, const char *glyph, unsigned count)
{
	while (count--)
		buf_add_c(ladder->out, glyph);
}

/* Ten cells: a time that can be read at a glance, whether it is a handshake or a night of IDLE. */
static void add_time(struct ladder *ladder)
{
	double ms = (double)ladder->since_us / 1000;

	if (ladder->timed)
		repeat(ladder, " ", 10);
	else if (ms < 10000)
		buf_print(ladder->out, "%7.1f ms", ms < -999 ? -999.0 : ms);
	else if (ms < 600000)
		buf_print(ladder->out, "%8.1f s", ms / 1000);
	else if (ms < 36000000)
		buf_print(ladder->out, "%6.1f min", ms / 60000);
	else
		buf_print(ladder->out, "%8.0f h", ms > 1e12 ? 1e12 / 3600000 : ms / 3600000);
	ladder->timed = true;
}

static void line_begin(struct ladder *ladder, const char *life)
{
	add_time(ladder);
	buf_add_c(ladder->out, " ");
	buf_add_c(ladder->out, ladder->encrypted ? ladder->glyphs->lock : "  ");
	buf_add_c(ladder->out, life);
}

static void line_end(struct ladder *ladder, const char *life)
{
	buf_add_c(ladder->out, life);
	buf_add_char(ladder->out, '\n');
}

/* `text` is harmless already. Words from the client start at the left, the arrow ends the last line. */
static void draw_to_right(struct ladder *ladder, struct str text)
{
	const struct glyphs *glyphs = ladder->glyphs;
	unsigned room = ladder->wire - 2 - ARROW_MIN;

	do {
		struct str piece = cells_take(&text, room, false);
		unsigned cells = cells_count(piece);
		unsigned rest = ladder->wire - 2 - cells;

		line_begin(ladder, glyphs->life);
		buf_add_char(ladder->out, ' ');
		buf_add(ladder->out, piece);
		buf_add_char(ladder->out, ' ');
		repeat(ladder, text.len ? " " : glyphs->line, rest - 1);
		buf_add_c(ladder->out, text.len ? " " : glyphs->to_right);
		line_end(ladder, glyphs->life);
	} while (text.len);
}

/* Words from the server end at the right, the arrow leaves with the first line. */
static void draw_to_left(struct ladder *ladder, struct str text)
{
	const struct glyphs *glyphs = ladder->glyphs;
	unsigned room = ladder->wire - 2 - ARROW_MIN;
	unsigned indent = 0;
	bool is_first = true;

	do {
		struct str piece = cells_take(&text, room, false);
		unsigned cells = cells_count(piece);

		if (is_first)
			indent = ladder->wire - 2 - cells;
		line_begin(ladder, glyphs->life);
		buf_add_c(ladder->out, is_first ? glyphs->to_left : " ");
		repeat(ladder, is_first ? glyphs->line : " ", indent - 1);
		buf_add_char(ladder->out, ' ');
		buf_add(ladder->out, piece);
		repeat(ladder, " ", ladder->wire - 1 - indent - cells);
		line_end(ladder, glyphs->life);
		is_first = false;
	} while (text.len);
}

enum ends { ENDS_NONE, ENDS_BEGIN, ENDS_END };

/* A life line begins once and ends once, however many lines the words beside that take. */
static const char *life_at(const struct glyphs *glyphs, enum ends ends, bool is_first, bool is_last)
{
	if (ends == ENDS_BEGIN && is_first)
		return glyphs->begin;
	return ends == ENDS_END && is_last ? glyphs->end : glyphs->life;
}

/* In the middle, between two fillings of at least two cells. */
static void draw_middle(struct ladder *ladder, struct str text, const char *filling, enum ends ends)
{
	unsigned room = ladder->wire - 6;
	bool is_first = true;

	do {
		struct str piece = cells_take(&text, room, true);
		const char *at;
		unsigned cells;
		unsigned left;

		if (piece.len && piece.at[piece.len - 1] == ' ')
			piece.len--;
		cells = cells_count(piece);
		left = (ladder->wire - 2 - cells) / 2;
		at = life_at(ladder->glyphs, ends, is_first, !text.len);
		is_first = false;
		line_begin(ladder, at);
		repeat(ladder, filling, left);
		buf_print(ladder->out, " %.*s ", STR_ARGS(piece));
		repeat(ladder, filling, ladder->wire - 2 - cells - left);
		line_end(ladder, at);
	} while (text.len);
}

/* ---- what the middle says ---- */

struct words {
	struct buf text;
	bool ascii;
};

static void say(struct words *words, const char *label, struct str value)
{
	if (!value.len)
		return;
	buf_add_c(&words->text, label);
	trace_add_harmless(&words->text, value, words->ascii);
}

static void say_octets(struct words *words, const char *label, uint64_t octets)
{
	if (octets < 1024)
		buf_print(&words->text, "%s%llu octets", label, (unsigned long long)octets);
	else if (octets < MIB)
		buf_print(&words->text, "%s%.1f KiB", label, (double)octets / 1024);
	else if (octets < GIB)
		buf_print(&words->text, "%s%.1f MiB", label, (double)octets / (double)MIB);
	else
		buf_print(&words->text, "%s%.1f GiB", label, (double)octets / (double)GIB);
}

static void say_count(struct words *words, const char *label, uint64_t count, const char *of_what)
{
	buf_print(&words->text, "%s%llu %s%s", label, (unsigned long long)count, of_what,
		  count == 1 ? "" : "s");
}

static void say_us(struct words *words, const char *label, uint64_t us)
{
	if (us < 10000000)
		buf_print(&words->text, "%s%.1f ms", label, (double)us / 1000);
	else
		buf_print(&words->text, "%s%.1f s", label, (double)us / 1000000);
}

/* One cell for each doubling past 32 octets: a note and a film look different, a disk does not fit. */
static void say_bar(struct words *words, const struct glyphs *glyphs, uint64_t octets)
{
	unsigned length = 1;

	while (octets >= 64 && length < BAR_MAX) {
		octets /= 2;
		length++;
	}
	while (length--)
		buf_add_c(&words->text, glyphs->bar);
	buf_add_char(&words->text, ' ');
}

static void tell_tls(struct words *words, const struct trace_tls *tls)
{
	if (tls->failure.len) {
		say(words, "TLS handshake failed: ", tls->failure);
	} else {
		say(words, "", tls->version);
		say(words, ", ", tls->cipher);
		say(words, ", ", tls->group);
	}
	say(words, ", for ", tls->server_name);
	if (tls->resumed)
		buf_add(&words->text, S(", resumed"));
	say_us(words, ", ", tls->us);
}

static void tell_auth(struct words *words, const struct trace_auth *auth)
{
	say(words, "sign-in by ", auth->mechanism);
	if (auth->step)
		buf_print(&words->text, ", step %llu", (unsigned long long)auth->step);
	say(words, ": ", auth->outcome);
	say(words, ", ", auth->account);
	say_us(words, ", ", auth->us);
}

static void tell_policy(struct words *words, const struct trace_policy *policy)
{
	say(words, "rule ", policy->rule);
	say(words, ": ", policy->verdict);
	say(words, ": ", policy->detail);
	if (policy->source.len) {
		say(words, " (", policy->source);
		buf_add_char(&words->text, ')');
	}
}

static void tell_close(struct words *words, const struct trace_close *close)
{
	say(words, "closed: ", close->reason);
	say(words, ", ", close->account);
	say_count(words, ", ", close->commands, "command");
	if (close->errors)
		buf_print(&words->text, " (%llu refused)", (unsigned long long)close->errors);
	say_count(words, ", ", close->messages, "message");
	say_octets(words, ", in ", close->octets_in);
	say_octets(words, ", out ", close->octets_out);
	if (close->unsent)
		say_octets(words, ", never sent ", close->unsent);
	say_us(words, ", ", close->us);
}

static void tell_inspect(struct words *words, const struct trace_inspect *inspect)
{
	say(words, "filter: ", inspect->verdict);
	say_count(words, ", ", inspect->parts, "part");
	say(words, ", ", inspect->detail);
	say_us(words, ", ", inspect->us);
}

static void tell_dns(struct words *words, const struct trace_dns *dns)
{
	say(words, "DNS: ", dns->question);
	say(words, " ", dns->type);
	say(words, ": ", dns->outcome);
	say(words, ": ", dns->answer);
	if (dns->secure)
		buf_add(&words->text, S(", secure"));
	say(words, ", by ", dns->server);
	if (dns->tcp)
		buf_add(&words->text, S(" over TCP"));
	say_us(words, ", ", dns->us);
}

static void tell_accept(struct words *words, const struct trace_accept *accept)
{
	say(words, "kept as ", accept->message);
	say_octets(words, ", ", accept->octets);
	buf_add(&words->text, S(", from <"));
	say(words, "", accept->sender);
	buf_add(&words->text, S(">"));
	say(words, " to ", accept->recipients);
	say(words, ", subject: ", accept->subject);
	say_us(words, ", ", accept->us);
}

static void tell_commit(struct words *words, const struct trace_commit *commit)
{
	say(words, "commit failed: ", commit->failure);
	if (!commit->failure.len)
		say_count(words, "commit of ", commit->requests, "request");
	say_count(words, ", ", commit->messages, "message");
	say_octets(words, ", ", commit->octets);
	say_us(words, ", ", commit->us);
}

static void tell_deliver(struct words *words, const struct trace_deliver *deliver)
{
	say(words, "", deliver->recipient);
	say(words, ": ", deliver->outcome);
	say(words, " to ", deliver->account);
	say(words, " ", deliver->folder);
	if (deliver->uid)
		buf_print(&words->text, " %llu", (unsigned long long)deliver->uid);
}

static void tell_queued(struct words *words, const struct trace_queued *queued)
{
	say(words, "", queued->recipient);
	say(words, ": queued for ", queued->destination);
}

static void tell_claimed(struct words *words, const struct trace_claimed *claimed)
{
	say_count(words, "", claimed->recipients, "recipient");
	say(words, " of ", claimed->destination);
	say(words, " claimed, message ", claimed->message);
	if (claimed->attempts)
		say_count(words, ", after ", claimed->attempts, "attempt");
}

static void tell_attempt(struct words *words, const struct trace_attempt *attempt)
{
	say(words, "", attempt->recipient);
	say(words, ": ", attempt->outcome);
	say(words, " by ", attempt->peer);
	if (attempt->code)
		buf_print(&words->text, ": %llu", (unsigned long long)attempt->code);
	say(words, " ", attempt->enhanced);
	say(words, " ", attempt->reply);
	if (attempt->attempts > 1)
		buf_print(&words->text, ", attempt %llu", (unsigned long long)attempt->attempts);
}

static void tell_notice(struct words *words, const struct trace_notice *notice)
{
	say(words, "notification about ", notice->about);
	say(words, " to ", notice->recipient);
	say(words, ": ", notice->outcome);
}

static void tell_site(struct words *words, const struct trace_site *site)
{
	say(words, "", site->destination);
	say(words, " as a whole is ", site->what);
	say(words, ": ", site->reply);
}

static void tell_expunge(struct words *words, const struct trace_expunge *expunge)
{
	say_count(words, "", expunge->messages, "message");
	say(words, " deleted from ", expunge->account);
	say(words, " ", expunge->folder);
}

static void tell_state(struct words *words, const struct ladder *ladder,
		       const struct trace_state *state)
{
	say(words, "state ", state->from);
	buf_print(&words->text, " %s", ladder->glyphs->arrow);
	say(words, " ", state->to);
}

static void tell_lost(struct words *words, const struct trace_lost *lost)
{
	say_count(words, "", lost->events, "event");
	say(words, " lost of ", lost->ring);
}

static void tell(struct words *words, const struct ladder *ladder, const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_tls:
		tell_tls(words, &event->tls);
		break;
	case TRACE_auth:
		tell_auth(words, &event->auth);
		break;
	case TRACE_state:
		tell_state(words, ladder, &event->state);
		break;
	case TRACE_policy:
		tell_policy(words, &event->policy);
		break;
	case TRACE_close:
		tell_close(words, &event->close);
		break;
	case TRACE_inspect:
		tell_inspect(words, &event->inspect);
		break;
	case TRACE_dns:
		tell_dns(words, &event->dns);
		break;
	case TRACE_accept:
		tell_accept(words, &event->accept);
		break;
	case TRACE_commit:
		tell_commit(words, &event->commit);
		break;
	case TRACE_deliver:
		tell_deliver(words, &event->deliver);
		break;
	case TRACE_queued:
		tell_queued(words, &event->queued);
		break;
	case TRACE_claimed:
		tell_claimed(words, &event->claimed);
		break;
	case TRACE_attempt:
		tell_attempt(words, &event->attempt);
		break;
	case TRACE_notice:
		tell_notice(words, &event->notice);
		break;
	case TRACE_site:
		tell_site(words, &event->site);
		break;
	case TRACE_expunge:
		tell_expunge(words, &event->expunge);
		break;
	case TRACE_role:
		say(words, "role ", str_of(trace_role_name(event->head.role)));
		say(words, " ", event->role.what);
		say(words, ": ", event->role.detail);
		break;
	case TRACE_trouble:
		say(words, "trouble ", event->trouble.err);
		say(words, ": ", event->trouble.detail);
		break;
	case TRACE_lost:
		tell_lost(words, &event->lost);
		break;
	default:
		say(words, "", str_of(trace_kind_name(event->head.kind)));
		break;
	}
}

/* ---- whole events ---- */

/* "client" and "server" over their life lines, each with its address. */
static void draw_ends(struct ladder *ladder, struct str left, struct str right)
{
	unsigned cells = cells_count(left) + cells_count(right);
	unsigned room = LEFT + ladder->wire + 2 - 4;

	ladder->timed = true;
	repeat(ladder, " ", 4);
	if (cells + 1 > room) {
		left = cells_take(&left, room / 2, false);
		right = cells_take(&right, room - room / 2 - 1, false);
		cells = cells_count(left) + cells_count(right);
	}
	buf_add(ladder->out, left);
	repeat(ladder, " ", room - cells);
	buf_add(ladder->out, right);
	buf_add_char(ladder->out, '\n');
}

static void draw_connect(struct ladder *ladder, const struct trace_event *event,
			 struct words *words)
{
	const struct trace_connect *connect = &event->connect;
	OWNED(buf) struct buf other = BUF(TEXT_MAX);
	char session[ID_TEXT + 1];

	draw_ends(ladder, S("       client"), S("server"));
	say(words, "       ", connect->outgoing ? connect->local : connect->peer);
	say(words, " through ", connect->via);
	trace_add_harmless(&other, connect->outgoing ? connect->peer : connect->local,
			   ladder->ascii);
	draw_ends(ladder, buf_str(&words->text), buf_str(&other));
	ladder->timed = false;

	buf_reset(&words->text);
	id_print(event->head.session, session);
	say(words, "", connect->protocol);
	say(words, " session ", str_of(session));
	say(words, connect->outgoing ? " to " : " on listener ", connect->listener);
	draw_middle(ladder, buf_str(&words->text), " ", ENDS_BEGIN);
	draw_to_right(ladder, S("connects"));
}

static void draw_octets(struct ladder *ladder, const struct trace_event *event, struct words *words)
{
	if (event->head.kind == TRACE_fetch) {
		say(words, "", event->fetch.what);
		say(words, " ", event->fetch.account);
		say(words, " ", event->fetch.folder);
		buf_print(&words->text, " %llu ", (unsigned long long)event->fetch.uid);
		say_octets(words, "", event->fetch.octets);
		buf_add_char(&words->text, ' ');
		say_bar(words, ladder->glyphs, event->fetch.octets);
		words->text.len -= words->text.len ? 1 : 0;
		draw_to_left(ladder, buf_str(&words->text));
		return;
	}
	say_bar(words, ladder->glyphs, event->data.octets);
	say_octets(words, "", event->data.octets);
	say(words, " ", event->data.how);
	if (event->data.total != event->data.octets)
		say_octets(words, ", in all ", event->data.total);
	if (event->data.unstuffed)
		say_count(words, ", ", event->data.unstuffed, "dot");
	if (event->data.last)
		buf_add(&words->text, S(", complete"));
	draw_to_right(ladder, buf_str(&words->text));
}

static void draw_event(struct ladder *ladder, const struct trace_event *event, struct words *words)
{
	const struct glyphs *glyphs = ladder->glyphs;

	switch (event->head.kind) {
	case TRACE_connect:
		draw_connect(ladder, event, words);
		return;
	case TRACE_command:
		say(words, "", event->command.line);
		draw_to_right(ladder, buf_str(&words->text));
		return;
	case TRACE_reply:
		say(words, "", event->reply.line);
		draw_to_left(ladder, buf_str(&words->text));
		return;
	case TRACE_data:
	case TRACE_fetch:
		draw_octets(ladder, event, words);
		return;
	case TRACE_tls:
		tell(words, ladder, event);
		draw_middle(ladder, buf_str(&words->text), glyphs->double_line, ENDS_NONE);
		return;
	case TRACE_close:
		tell(words, ladder, event);
		draw_middle(ladder, buf_str(&words->text), " ", ENDS_END);
		return;
	default:
		buf_print(&words->text, "%s ", glyphs->dot);
		tell(words, ladder, event);
		draw_middle(ladder, buf_str(&words->text), " ", ENDS_NONE);
		return;
	}
}

enum err trace_event_ladder(const struct trace_event *event, int64_t start_us, unsigned width,
			    bool ascii, struct buf *out)
{
	struct ladder ladder = { .glyphs = ascii ? &plain : &unicode, .ascii = ascii, .out = out };
	struct words words = { BUF(TEXT_MAX), ascii };
	enum err err;

	width = width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
	ladder.wire = width - LEFT - 2;
	ladder.encrypted = event->head.flags & TRACE_ENCRYPTED;
	if (__builtin_sub_overflow(event->head.at_us, start_us, &ladder.since_us))
		ladder.since_us = 0;
	draw_event(&ladder, event, &words);
	err = out->failed || words.text.failed ? ERR_LIMIT : OK;
	buf_drop(&words.text);
	return err;
}
