/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole session, in the simulated world: the first octet chooses the listener, the rest is what the
 * client says, without ever waiting. The server must end, say nothing but well-formed replies, and
 * keep no message that has a bare newline or more than its size.
 */
#include "smtp/smtp.h"
#include "smtp/stage.h"

#include <stdlib.h>

enum { LONG_MS = 3'600'000, INPUT_MAX = 65'536, SIZE_MAX_OCTETS = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct house house;
	struct smtp_service service;
	struct str input;
	struct conn *client;
	struct stream *server;
	struct fiber_group house_group, session_group;
	bool may_hold_bare;
};

static const char *const files[] = {
	"protocol = smtp\n tls = none",
	"protocol = lmtp\n tls = none",
	"protocol = submission\n auth_without_tls = yes\n tls = none",
	"protocol = smtp\n tls = none\n vrfy = yes",
};

static struct config *config_of(unsigned which)
{
	static struct config *configs[COUNT_OF(files)];
	OWNED(buf) struct buf text = BUF(4096);
	OWNED(buf) struct buf complaints = BUF(4096);

	if (configs[which])
		return configs[which];
	buf_print(&text,
		  "hostname = \"mx.here.example\"\nmessage_size_max = %d\nrecipients_max = 20\n"
		  "connections_exempt = \"0.0.0.0/0\"\nlistener \"port\" {\n%s\n}\n",
		  SIZE_MAX_OCTETS, files[which]);
	must(config_parse(buf_str(&text), S("fuzz.conf"), NULL, 0, &complaints, &configs[which]) ==
	     OK);
	return configs[which];
}

static void serve(void *arg) WAITS
{
	struct run *run = arg;
	struct conn *conn = conn_new(run->server);

	smtp_serve(&run->service, conn, 1);
	conn_drop(&conn);
}

/* Says everything at once, and hears what comes meanwhile. */
static void speak(void *arg) WAITS
{
	struct run *run = arg;

	if (conn_write(run->client, run->input, in_ms(LONG_MS)) == OK &&
	    conn_flush(run->client, in_ms(LONG_MS)) == OK)
		conn_shut(run->client);
}

static void hear(struct run *run) WAITS
{
	struct str line;

	while (conn_read_line(run->client, LIMIT_smtp_reply_line, LINE_CRLF_ONLY, in_ms(LONG_MS),
			      &line) == OK) {
		must(line.len >= 4 && line.at[0] >= '2' && line.at[0] <= '5');
		must(line.at[3] == ' ' || line.at[3] == '-');
		for (size_t i = 0; i < line.len; i++)
			must(line.at[i] >= ' ' && line.at[i] <= '~');
	}
}

static void act(void *arg) WAITS
{
	struct run *run = arg;
	struct stream *ends[2];

	group_init(&run->house_group);
	group_init(&run->session_group);
	run->service.store = stage_link(ROLE_STORE, &house_store, &run->house, &run->house_group);
	run->service.filter =
		stage_link(ROLE_FILTER, &house_filter, &run->house, &run->house_group);
	must(stream_pair(ends) == OK);
	run->server = ends[0];
	run->client = conn_new(ends[1]);
	must(!fiber_spawn(&run->session_group, "session", serve, run, NULL));
	must(!fiber_spawn(&run->session_group, "client", speak, run, NULL));
	hear(run);
	must(!group_wait(&run->session_group, in_ms(LONG_MS)));
	conn_drop(&run->client);
	link_drop(&run->service.store);
	link_drop(&run->service.filter);
	group_stop(&run->house_group);
	must(!group_wait(&run->house_group, in_ms(LONG_MS)));
}

/* A message with BODY=BINARYMIME may hold anything; without one in the input, none may. */
static void check_kept(const struct run *run)
{
	for (size_t i = 0; i < run->house.count; i++) {
		struct str body = run->house.kept[i].body;

		must(str_starts(body, S("Received: ")));
		must(body.len <= SIZE_MAX_OCTETS + 4096);
		for (size_t at = 0; !run->may_hold_bare && at < body.len; at++) {
			if (body.at[at] == '\n')
				must(at > 0 && body.at[at - 1] == '\r');
			if (body.at[at] == '\r')
				must(at + 1 < body.len && body.at[at + 1] == '\n');
		}
	}
	must(run->house.signed_in == 0 && run->house.exchanges == 0);
}

/* Somewhere, though telnet's commands may be strewn in: a line is read without them. */
static bool names_binarymime(struct str input)
{
	struct arena arena = { 0 };
	struct str plain = telnet_strip(&arena, input);
	bool found = false;

	for (size_t i = 0; !found && i < plain.len; i++)
		found = str_starts_nocase(str_from(plain, i), S("BINARYMIME"));
	arena_drop(&arena);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run *run;
	struct world *world;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	run = calloc(1, sizeof(*run));
	must(run);
	run->input = (struct str){ (const char *)data + 1, size - 1 };
	run->service.config = config_of(data[0] % COUNT_OF(files));
	run->service.listener = config_listener(run->service.config, S("port"));
	run->may_hold_bare = names_binarymime(run->input);
	world = world_sim_new(1);
	must(world_spawn(world, "act", act, run) == OK);
	world_run(world);
	world_drop(&world);
	check_kept(run);
	arena_drop(&run->house.arena);
	free(run);
	return 0;
}
