/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole sessions against the whole house in the simulated world. The input is what up to four clients
 * write, with orders in between: 0xFF and an octet whose low three bits say which.
 *
 *	0 speak on another connection (2 bits: which; 2 bits: mx, submission, lmtp or pop3 if it is new)
 *	1 wait some milliseconds    2 wait some tens of seconds    3 close the sending half
 *	4 close                     5 cut                          6 0xFF itself    7 let it be read
 *
 * Whatever is said: replies are well formed and in step with the commands; what was answered
 * "Accepted" is in a mailbox, nothing else is, nothing twice; no message has a bare newline unless it
 * was sent as BINARYMIME; and when the clients are gone no fiber of theirs is left.
 */
#include "scene.h"

#include <argon2.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define GP_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GP_LEAKS 1
#endif
#endif

#ifdef GP_LEAKS
#include <sanitizer/lsan_interface.h>
#endif

enum {
	VISITORS = 4,
	INPUT_MAX = 32768,
	IDS_MAX = 400,
	INPUTS_PER_HOUSE = 200, /* then it is built anew: nothing may hang on its end */
	LINE_MAX_OCTETS = 32768,
	WRITE_MS = 60000,
	ANSWER_MS = 1800000, /* failed sign-ins are answered late, one after the other */
	REST_MS = 2000000
};

enum visitor_kind { KIND_MX, KIND_SUBMISSION, KIND_LMTP, KIND_POP3, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play;

struct visitor {
	struct play *play;
	enum visitor_kind kind;
	struct stream *stream;
	struct fiber *reader; /* NULL: it has ended */
	bool is_shut;
	struct buf line;    /* that comes in */
	struct buf command; /* that goes out, POP3 */
	size_t commands;    /* line ends written */
	size_t replies;     /* whole ones, the greeting among them */
	unsigned code;      /* of a reply under way */
	bool in_text;       /* of a multi-line POP3 reply */
	unsigned char
		has_text[INPUT_MAX + 1]; /* is the reply to this POP3 command of many lines? */
};

struct ids {
	struct str at[IDS_MAX];
	size_t count;
};

/* One input. */
struct play {
	struct str input;
	struct arena arena;
	struct visitor *visitors[VISITORS];
	struct visitor *speaker;
	struct fiber_group readers;
	struct ids accepted;
	struct ids stored;
	bool is_rude; /* somebody left without waiting for an answer */
	bool may_delete;
	bool may_hold_bare;
};

static struct world *world;
static struct scene scene;
static unsigned inputs;

/* In the library's place, which takes longer than the rest of an input for a name that is not there. */
int argon2id_verify(const char *encoded, const void *password, const size_t len)
{
	(void)encoded;
	return str_is((struct str){ password, len }, S("secret")) ? ARGON2_OK
								  : ARGON2_VERIFY_MISMATCH;
}

/* ---- ids ---- */

static bool ids_have(const struct ids *ids, struct str id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (str_is(ids->at[i], id))
			return true;
	return false;
}

static void ids_add(struct ids *ids, struct arena *arena, struct str id)
{
	must(ids->count < IDS_MAX);
	if (!ids_have(ids, id))
		ids->at[ids->count++] = str_dup(arena, id);
}

/* ---- what the server says ---- */

static void check_smtp_line(struct visitor *v, struct str line)
{
	const struct str accepted = S("250 2.0.0 Accepted as ");
	size_t most = v->kind == KIND_LMTP ? 2 * v->commands : v->commands;
	uint64_t code;

	must(line.len >= 4 && line.len + 2 <= LIMIT_smtp_reply_line);
	must(str_to_u64(str_first(line, 3), 599, &code) && code >= 200);
	must(line.at[3] == ' ' || line.at[3] == '-');
	must(v->code == 0 || v->code == code);
	for (size_t i = 0; i < line.len; i++)
		must(line.at[i] >= ' ' && line.at[i] <= '~');
	v->code = line.at[3] == '-' ? (unsigned)code : 0;
	if (line.at[3] == '-')
		return;
	/* The greeting, a line that is too long before its end, and 421 have no line of their own. */
	must(++v->replies <= most + 3);
	if (str_starts(line, accepted))
		ids_add(&v->play->accepted, &v->play->arena, str_from(line, accepted.len));
}

static void check_pop3_line(struct visitor *v, struct str line)
{
	bool is_ok = str_starts(line, S("+OK"));

	if (v->in_text) {
		must(line.len == 0 || line.at[0] != '.' || line.len == 1 || line.at[1] == '.');
		v->in_text = !str_is(line, S("."));
		return;
	}
	must(line.len + 2 <= 512 || str_starts(line, S("+ ")));
	must(is_ok || str_starts(line, S("-ERR")) || str_starts(line, S("+ ")));
	if (is_ok && v->replies > 0 && v->replies <= v->commands)
		v->in_text = v->has_text[v->replies - 1];
	must(++v->replies <= v->commands + 2);
}

static void hear(struct visitor *v, struct str octets)
{
	struct str line;
	size_t end;

	must(!buf_add(&v->line, octets));
	while ((end = str_find_str(buf_str(&v->line), S("\r\n"))) != STR_NONE) {
		line = str_first(buf_str(&v->line), end);
		if (v->kind == KIND_POP3)
			check_pop3_line(v, line);
		else
			check_smtp_line(v, line);
		buf_consume(&v->line, end + 2);
	}
}

static void read_fiber(void *arg) WAITS
{
	struct visitor *v = arg;
	char octets[4096];
	size_t count;

	while (stream_read(v->stream, octets, sizeof(octets), NEVER, &count) == OK)
		hear(v, (struct str){ octets, count });
	v->reader = NULL;
}

/* ---- what clients say ---- */

static struct visitor *visitor_new(struct play *play, enum visitor_kind kind) WAITS
{
	static const char *const names[KINDS] = { "mx", "submission", "lmtp", "pop3" };
	struct visitor *v = arena_take_array(&play->arena, 1, sizeof(*v));
	struct addr server = scene_address(&scene, names[kind]);

	v->play = play;
	v->kind = kind;
	v->line = BUF(1 << 20);
	v->command = BUF(INPUT_MAX);
	must(!stream_connect(&server, in_ms(WRITE_MS), &v->stream));
	must(!fiber_spawn(&play->readers, "reader", read_fiber, v, &v->reader));
	return v;
}

/* Ends this one's reader, and the connection. */
static void visitor_leave(struct visitor *v) WAITS
{
	if (v->reader)
		fiber_stop(v->reader);
	while (v->reader)
		(void)!fiber_yield();
	stream_drop(&v->stream);
	buf_drop(&v->line);
	buf_drop(&v->command);
}

static bool gives_text(struct str line)
{
	static const char *const always[] = { "CAPA", "RETR", "TOP" };
	static const char *const alone[] = { "LIST", "UIDL", "LANG", "AUTH" };
	struct scan scan = scan_of(line);

	for (size_t i = 0; i < COUNT_OF(always); i++)
		if (take_str_nocase(&scan, str_of(always[i])))
			return true;
	for (size_t i = 0; i < COUNT_OF(alone); i++)
		if (take_str_nocase(&scan, str_of(alone[i])))
			return str_trim(scan_rest(&scan)).len == 0;
	return false;
}

static void note_octet(struct visitor *v, char octet)
{
	if (octet != '\n') {
		buf_add_char(&v->command, octet);
		return;
	}
	if (v->command.len > 0 && v->command.at[v->command.len - 1] == '\r')
		v->command.len--;
	v->has_text[v->commands++] = gives_text(buf_str(&v->command));
	buf_reset(&v->command);
}

static void turn_to(struct play *play, unsigned argument) WAITS
{
	struct visitor **place = &play->visitors[argument & 3];

	if (!*place)
		*place = visitor_new(play, (argument >> 2 & 3));
	play->speaker = *place;
}

static void speak(struct play *play, struct str octets) WAITS
{
	struct visitor *v;

	if (octets.len == 0)
		return;
	if (!play->speaker)
		turn_to(play, 0);
	v = play->speaker;
	if (v->is_shut)
		return;
	for (size_t i = 0; i < octets.len; i++)
		note_octet(v, octets.at[i]);
	(void)!stream_write(v->stream, octets, in_ms(WRITE_MS));
}

static void leave(struct play *play, bool cut) WAITS
{
	struct visitor *v = play->speaker;

	play->is_rude = true;
	if (cut)
		sim_stream_cut(v->stream);
	visitor_leave(v);
	for (size_t i = 0; i < VISITORS; i++)
		if (play->visitors[i] == v)
			play->visitors[i] = NULL;
	play->speaker = NULL;
}

static void obey(struct play *play, unsigned char octet) WAITS
{
	unsigned argument = octet >> 3;

	switch (octet & 7) {
	case 0:
		turn_to(play, argument);
		break;
	case 1:
		(void)!fiber_sleep(in_ms(argument * argument));
		break;
	case 2:
		(void)!fiber_sleep(in_ms(argument * 10000));
		break;
	case 6:
		speak(play, S("\xff"));
		break;
	case 7:
		(void)!fiber_yield();
		break;
	default:
		if (play->speaker && (octet & 7) == 3 && !play->speaker->is_shut) {
			play->speaker->is_shut = true;
			stream_shut(play->speaker->stream);
		} else if (play->speaker && (octet & 7) != 3) {
			leave(play, (octet & 7) == 5);
		}
	}
}

static void perform(struct play *play) WAITS
{
	struct scan scan = scan_of(play->input);
	struct str piece;

	while (take_until(&scan, '\xff', &piece)) {
		speak(play, piece);
		if (!scan_at_end(&scan))
			obey(play, (unsigned char)*scan.at++);
	}
	speak(play, scan_rest(&scan));
}

/* POP3 answers each line once; so that is how long to wait. */
static void wait_for_answers(struct visitor *v) WAITS
{
	moment deadline = in_ms(ANSWER_MS);

	while (v->reader && (v->replies < v->commands + 1 || v->in_text) && now() < deadline)
		(void)!fiber_sleep(in_ms(100));
	must(!v->reader || (v->replies == v->commands + 1 && !v->in_text));
}

static void say_goodbye(struct play *play) WAITS
{
	for (size_t i = 0; i < VISITORS; i++) {
		struct visitor *v = play->visitors[i];

		if (!v)
			continue;
		if (v->kind == KIND_POP3 && !v->is_shut)
			wait_for_answers(v);
		if (!v->is_shut)
			stream_shut(v->stream);
	}
	/* The server answers what it has, and closes. */
	must(!group_wait(&play->readers, in_ms(REST_MS)));
	for (size_t i = 0; i < VISITORS; i++)
		if (play->visitors[i])
			visitor_leave(play->visitors[i]);
}

/* ---- what is kept ---- */

static void ask(struct conn *conn, struct str line, struct str *reply) WAITS
{
	must(!conn_write(conn, line, in_ms(WRITE_MS)));
	must(!conn_read_line(conn, 4096, LINE_CRLF_ONLY, in_ms(WRITE_MS), reply));
	must(str_starts(*reply, S("+OK")));
}

/* "id" and what follows, as a word of our Received field, which is the second line and its continuation. */
static bool find_id(struct str line, struct str *id)
{
	for (size_t i = 1; i < line.len; i++) {
		struct str rest = str_from(line, i);

		if ((line.at[i - 1] != ' ' && line.at[i - 1] != '\t') ||
		    !str_starts(rest, S("id ")))
			continue;
		*id = str_first(str_from(rest, 3), ID_TEXT);
		if (id->len == ID_TEXT && str_find(*id, ' ') == STR_NONE)
			return true;
	}
	return false;
}

static void note_trace_line(struct play *play, struct str line, struct ids *here)
{
	struct str id;

	if (!find_id(line, &id))
		return;
	must(!ids_have(here, id)); /* twice in one mailbox */
	ids_add(here, &play->arena, id);
	ids_add(&play->stored, &play->arena, id);
}

static void check_bare(const struct play *play, struct str line)
{
	must(play->may_hold_bare ||
	     (str_find(line, '\n') == STR_NONE && str_find(line, '\r') == STR_NONE));
}

static void read_message(struct play *play, struct conn *conn, uint64_t number, struct ids *here)
	WAITS
{
	size_t before = here->count;
	unsigned count = 0;
	struct str line;

	ask(conn, str_print(&play->arena, "RETR %llu\r\n", (unsigned long long)number), &line);
	for (;; count++) {
		must(!conn_read_line(conn, LINE_MAX_OCTETS, LINE_CRLF_ONLY, in_ms(WRITE_MS),
				     &line));
		if (str_is(line, S(".")))
			break;
		check_bare(play, line);
		if (count == 0)
			must(str_starts(line, S("Return-Path: <")));
		if (count == 1)
			must(str_starts(line, S("Received:"))); /* a long name is folded off it */
		if (count >= 1 && here->count == before)
			note_trace_line(play, line, here);
	}
	must(here->count == before + 1);
	ask(conn, str_print(&play->arena, "DELE %llu\r\n", (unsigned long long)number), &line);
}

static void empty_mailbox(struct play *play, const char *address) WAITS
{
	struct addr server = scene_address(&scene, "pop3");
	struct ids here = { .count = 0 };
	struct stream *stream;
	struct conn *conn;
	struct str reply;
	struct scan scan;
	uint64_t count;

	must(!stream_connect(&server, in_ms(WRITE_MS), &stream));
	conn = conn_new(stream);
	ask(conn, S(""), &reply);
	ask(conn, str_print(&play->arena, "USER %s\r\n", address), &reply);
	ask(conn, S("PASS secret\r\n"), &reply);
	ask(conn, S("STAT\r\n"), &reply);
	scan = scan_of(str_from(reply, 4));
	must(take_number(&scan, IDS_MAX, &count));
	for (uint64_t i = 1; i <= count; i++)
		read_message(play, conn, i, &here);
	ask(conn, S("QUIT\r\n"), &reply);
	conn_drop(&conn);
}

static void check_mailboxes(struct play *play) WAITS
{
	if (play->accepted.count == 0 && !play->is_rude)
		return;
	empty_mailbox(play, "postmaster@wire.example");
	for (size_t i = 0; i < SCENE_ACCOUNTS; i++)
		empty_mailbox(play, scene_accounts[i]);
	for (size_t i = 0; i < play->accepted.count && !play->may_delete; i++)
		must(ids_have(&play->stored, play->accepted.at[i]));
	for (size_t i = 0; i < play->stored.count && !play->is_rude; i++)
		must(ids_have(&play->accepted, play->stored.at[i]));
}

/* ---- the house ---- */

static void begin_fiber(void *arg) WAITS
{
	(void)arg;
	if (scene_begin(&scene, "message_size_max = 4096\nrecipients_max = 20\n")) {
		fprintf(stderr, "the house cannot be built: %s\n", fault_text());
		abort();
	}
	world_halt(world_here());
}

static void end_fiber(void *arg) WAITS
{
	(void)arg;
	scene_end(&scene);
}

static void end_house(void)
{
	if (!world)
		return;
	must(!world_spawn(world, "end", end_fiber, NULL));
	world_run(world);
	world_drop(&world);
#ifdef GP_LEAKS
	/* Here: after each input it would take longer than the input. */
	must(!__lsan_do_recoverable_leak_check());
#endif
}

static void end_all(void)
{
	end_house();
	scene_forget();
}

static void begin_house(void)
{
	if (world && inputs++ % INPUTS_PER_HOUSE != 0)
		return;
	if (!world) {
		scene_prepare();
		atexit(end_all);
	}
	end_house();
	world = world_sim_new(1);
	trace_set_clock(now, wall_us);
	must(!world_spawn(world, "begin", begin_fiber, NULL));
	world_run(world);
}

static void play_fiber(void *arg) WAITS
{
	struct play *play = arg;

	group_init(&play->readers);
	perform(play);
	say_goodbye(play);
	must(!scene_wait_for_rest(&scene, REST_MS));
	check_mailboxes(play);
	must(!scene_wait_for_rest(&scene, REST_MS));
	world_halt(world_here());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *play;

	if (size > INPUT_MAX)
		return 0;
	begin_house();
	play = calloc(1, sizeof(*play));
	must(play);
	play->input = (struct str){ (const char *)data, size };
	for (size_t i = 0; i < size; i++) {
		struct str rest = str_from(play->input, i);

		play->may_hold_bare |= str_starts_nocase(rest, S("BINARYMIME"));
		play->may_delete |= str_starts_nocase(rest, S("DELE"));
	}
	must(!world_spawn(world, "play", play_fiber, play));
	world_run(world);
	arena_drop(&play->arena);
	free(play);
	return 0;
}
