/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/client_stage.h"

#include "stage/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char host[] = "mx.there.example";

static const struct stage_protocol turned = {
	.name = "smtp",
	.host = host,
	.line_max = 60000,
};

struct stand {
	struct client_play *played;
	struct dialogue dialogue;
	struct play play; /* the server's half: its `client` is the connection to ours */
	struct tls_context *server_tls, *client_tls;
	struct stream *stream; /* the client's end */
};

/* ---- the server ---- */

/* What the one side says is what the other hears. */
static void turn_round(struct str script, struct buf *out)
{
	struct scan scan = scan_of(script);
	struct str step;

	while (take_until(&scan, '\n', &step)) {
		bool is_said = str_starts(step, S("S: ")) || str_starts(step, S("S- "));
		bool is_heard = str_starts(step, S("C: "));

		buf_add(out, is_said ? S("C") : is_heard ? S("S") : str_first(step, 1));
		buf_add(out, str_from(step, 1));
		buf_add(out, S("\n"));
	}
	must(scan_at_end(&scan)); /* its last line lacks its end */
}

static void play_piece(struct stand *stand, struct str piece) WAITS
{
	struct buf text = BUF(TEXT_MAX);

	turn_round(piece, &text);
	buf_add_char(&text, '\0');
	stand->dialogue.script = text.at;
	play_script(&stand->play);
	buf_drop(&text);
}

static void serve(void *arg) WAITS
{
	struct stand *stand = arg;
	struct str rest = str_of(stand->played->script);
	size_t discarded;

	while (!stand->play.failure[0]) {
		size_t tls = str_starts(rest, S("TLS\n")) ? 0 : str_find_str(rest, S("\nTLS\n"));

		if (tls == STR_NONE)
			break;
		tls += rest.at[0] != 'T';
		play_piece(stand, str_first(rest, tls));
		rest = str_from(rest, tls + 4);
		if (!stand->play.failure[0] && conn_start_tls(stand->play.client, stand->server_tls,
							      in_ms(LINE_MS), &discarded))
			return; /* the client's outcome tells */
	}
	if (!stand->play.failure[0])
		play_piece(stand, rest);
	conn_drop(&stand->play.client);
}

/* ---- the client ---- */

static void send_all(struct stand *stand, struct smtp_client *client) WAITS
{
	struct client_play *played = stand->played;

	for (size_t i = 0; i < played->count; i++) {
		struct smtp_sending sending = played->sendings[i];

		must(sending.count <= PLAYED_MOST);
		sending.said = played->said[i];
		if (i > 0 && played->pause_ms)
			must(!fiber_sleep(in_ms(played->pause_ms)));
		smtp_client_send(client, &sending);
		played->is_open[i] = smtp_client_is_open(client);
		for (size_t j = 0; j < sending.count; j++)
			must(sending.said[j].reply.code >= 200);
		if (!played->is_open[i] && !played->stays)
			break;
	}
}

static void act(void *arg) WAITS
{
	struct stand *stand = arg;
	struct client_play *played = stand->played;
	struct smtp_client *client = NULL;
	struct fiber_group group;
	struct listener *listener;
	struct addr at;
	moment start;

	group_init(&group);
	must(addr_parse(str_of(played->from ? played->from : "192.0.2.1:25"), &at));
	must(!listener_new(&at, 5, &listener));
	must(!stream_connect(&at, in_ms(LINE_MS), &stand->stream));
	must(!listener_accept(listener, in_ms(LINE_MS), &stand->play.ends[1]));
	listener_drop(&listener);
	stand->play.client = conn_new(stand->play.ends[1]);
	start = now();
	must(!fiber_spawn(&group, "server", serve, stand, NULL));
	smtp_client_open(conn_new(stand->stream), &played->options, &client, &played->arena,
			 &played->open);
	if (client) {
		played->offer = *smtp_client_offer(client);
		played->offer.mechanisms = str_dup(&played->arena, played->offer.mechanisms);
		send_all(stand, client);
	}
	smtp_client_drop(&client);
	played->took_ms = (now() - start) / 1000;
	must(!group_wait(&group, in_ms(10 * LINE_MS)));
}

static void read_events(struct client_play *played, const void *ring, size_t size)
{
	OWNED(buf) struct buf record = BUF(65536);
	struct trace_reader *reader;
	uint64_t lost = 0;

	must(trace_reader_new(ring, size, false, &reader) == OK);
	while (trace_reader_next(reader, &record, &lost)) {
		struct trace_event event;

		must(trace_event_decode(buf_str(&record), &event) == OK);
		must(trace_event_json(&event, &played->events) == OK);
		buf_add(&played->events, S("\n"));
		buf_reset(&record);
	}
	trace_reader_drop(&reader);
}

static void in_world(struct stand *stand)
{
	struct client_play *played = stand->played;
	struct world *world = world_sim_new(1);
	struct sim_link link = { .delay_us = 1000,
				 .octets_per_s = played->link_rate,
				 .window = played->window };

	sim_set_link(world, &link);
	stand->server_tls = certificate_context(host, TLS_AGE_CURRENT, "smtp");
	must(tls_client_context_new(S(""), &stand->client_tls) == OK);
	if (!played->options.tls_context)
		played->options.tls_context = stand->client_tls;
	must(world_spawn(world, "act", act, stand) == OK);
	world_run(world);
	world_drop(&world);
	tls_context_unref(&stand->server_tls);
	tls_context_unref(&stand->client_tls);
}

void client_play(struct client_play *played)
{
	struct stand stand = { .played = played };
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);

	must(ring);
	stand.dialogue.transcript = BUF(TEXT_MAX);
	stand.play.dialogue = &stand.dialogue;
	stand.play.protocol = &turned;
	played->events = BUF(TEXT_MAX);
	if (!played->options.hello.len)
		played->options.hello = S("client.example");
	played->options.server_name = str_of(host);
	trace_ring_format(ring, size, ROLE_GATE_MX, 0);
	trace_set_clock(now, wall_us);
	must(trace_writer_new(ring, size, &played->options.trace) == OK);
	in_world(&stand);
	trace_writer_drop(&played->options.trace);
	read_events(played, ring, size);
	free(ring);
	buf_drop(&stand.dialogue.transcript);
	if (stand.play.failure[0])
		fail_msg("%s", stand.play.failure);
}

void client_play_done(struct client_play *play)
{
	buf_drop(&play->events);
	arena_drop(&play->arena);
}

bool client_traced(const struct client_play *play, const char *text)
{
	return str_find_str(buf_str(&play->events), str_of(text)) != STR_NONE;
}

struct smtp_sending client_mail(const struct smtp_sending_to *to, size_t count, struct str octets)
{
	return (struct smtp_sending){
		.sender = S("me@client.example"),
		.octets = octets,
		.count = count,
		.to = to,
	};
}
