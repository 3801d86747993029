/* SPDX-License-Identifier: Apache-2.0 */
/* Sets up the two sides in a world, lets them speak, and collects what was traced. */
#include "stage/stage.h"

#include "stage/certificate.h"
#include "stage/play.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct config *read_options(const struct play *play)
{
	const struct dialogue *dialogue = play->dialogue;
	OWNED(buf) struct buf text = BUF(8192);
	OWNED(buf) struct buf complaints = BUF(8192);
	struct config *config = NULL;

	buf_print(&text,
		  "hostname = \"%s\"\nconnections_exempt = \"%s\"\n%s\n"
		  "listener \"port\" {\n\tprotocol = %s\n%s\n}\n",
		  play->protocol->host, dialogue->exempt ? "0.0.0.0/0" : "203.0.113.0/24",
		  dialogue->options ? dialogue->options : "",
		  dialogue->protocol ? dialogue->protocol : play->protocol->name,
		  dialogue->listener ? dialogue->listener : "");
	if (config_parse(buf_str(&text), S("test.conf"), NULL, 0, &complaints, &config))
		fail_msg("%.*s", STR_ARGS(buf_str(&complaints)));
	return config;
}

static void serve(void *arg) WAITS
{
	struct play *play = arg;
	struct conn *conn = conn_new(play->ends[0]);
	size_t discarded;

	if (!play->dialogue->implicit_tls ||
	    !conn_start_tls(conn, play->service.tls, in_ms(LINE_MS), &discarded))
		play->protocol->serve(&play->service, conn);
	conn_drop(&conn);
}

/* The simulated world has every address and port; in the real one a free port must do. */
static void connect_client(struct play *play) WAITS
{
	struct listener *listener;
	struct addr at;

	must(addr_parse(play->dialogue->in_real_world ? S("127.0.0.1:0") : S("192.0.2.1:25"), &at));
	must(!listener_new(&at, 5, &listener));
	at = *listener_address(listener);
	must(!stream_connect(&at, in_ms(LINE_MS), &play->ends[1]));
	must(!listener_accept(listener, in_ms(LINE_MS), &play->ends[0]));
	listener_drop(&listener);
}

static void act(void *arg) WAITS
{
	struct play *play = arg;
	moment start;

	group_init(&play->house_group);
	group_init(&play->server_group);
	play->service.store =
		stage_link(ROLE_STORE, play->protocol->store, play->house, &play->house_group);
	if (play->protocol->filter)
		play->service.filter = stage_link(ROLE_FILTER, play->protocol->filter, play->house,
						  &play->house_group);
	connect_client(play);
	start = now();
	must(!fiber_spawn(&play->server_group, "session", serve, play, NULL));
	play->client = conn_new(play->ends[1]);
	play_script(play);
	play->dialogue->took_ms = (now() - start) / 1000;
	conn_drop(&play->client);
	must(!group_wait(&play->server_group, in_ms(LINE_MS)));
	link_drop(&play->service.store);
	link_drop(&play->service.filter);
	group_stop(&play->house_group);
	must(!group_wait(&play->house_group, in_ms(LINE_MS)));
}

static void read_events(struct dialogue *dialogue, const void *ring, size_t size)
{
	OWNED(buf) struct buf record = BUF(65536);
	struct trace_reader *reader;
	uint64_t lost = 0;

	assert_int_equal(trace_reader_new(ring, size, false, &reader), OK);
	while (trace_reader_next(reader, &record, &lost)) {
		struct trace_event event;

		assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
		assert_int_equal(trace_event_json(&event, &dialogue->events), OK);
		buf_add(&dialogue->events, S("\n"));
		buf_reset(&record);
	}
	assert_int_equal(lost, 0);
	trace_reader_drop(&reader);
}

static void play_in_world(struct play *play)
{
	struct world *world = play->dialogue->in_real_world ? world_real_new()
							    : world_sim_new(play->dialogue->seed);
	struct caps_limits limits = { .open_per_group = 50,
				      .new_per_minute = 50,
				      .open_in_all = 50 };
	size_t held;

	play->service.caps = caps_new(&limits);
	if (!play->dialogue->without_certificate)
		play->service.tls = certificate_context(play->protocol->host, TLS_AGE_CURRENT,
							play->protocol->name);
	assert_int_equal(tls_client_context_new(S(""), &play->client_tls), OK);
	assert_int_equal(world_spawn(world, "act", act, play), OK);
	held = mallinfo2().uordblks;
	world_run(world);
	play->dialogue->memory_most -= held < play->dialogue->memory_most ? held : 0;
	world_drop(&world);
	tls_context_unref(&play->service.tls);
	tls_context_unref(&play->client_tls);
	caps_drop(&play->service.caps);
}

void dialogue_play(struct dialogue *dialogue, const struct stage_protocol *protocol, void *house)
{
	struct play play = { .dialogue = dialogue, .protocol = protocol, .house = house };
	struct config *config = read_options(&play);
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);

	must(ring);
	dialogue->events = BUF(TEXT_MAX);
	dialogue->transcript = BUF(TEXT_MAX);
	play.service.config = config;
	play.service.listener = config_listener(config, S("port"));
	trace_ring_format(ring, size, protocol->gate, 0);
	trace_set_clock(now, wall_us);
	assert_int_equal(trace_writer_new(ring, size, &play.service.trace), OK);
	play_in_world(&play);
	config_unref(&config);
	trace_writer_drop(&play.service.trace);
	read_events(dialogue, ring, size);
	free(ring);
	if (play.failure[0])
		fail_msg("%s", play.failure);
}

void dialogue_done(struct dialogue *dialogue)
{
	buf_drop(&dialogue->events);
	buf_drop(&dialogue->transcript);
}

bool dialogue_saw(const struct dialogue *dialogue, const char *text)
{
	return str_find_str(buf_str(&dialogue->transcript), str_of(text)) != STR_NONE;
}

bool dialogue_traced(const struct dialogue *dialogue, const char *text)
{
	return str_find_str(buf_str(&dialogue->events), str_of(text)) != STR_NONE;
}
