/* SPDX-License-Identifier: Apache-2.0 */
#include "stage/pair.h"

#include "stage/certificate.h"

enum { LONG_MS = 60'000 };

struct playing {
	struct pair pair;
	void (*test)(struct pair *pair);
};

static void client_handshake(void *arg) WAITS
{
	struct pair *pair = arg;

	/* Its outcome shows at the server. */
	if (conn_start_tls_client(pair->client, pair->client_tls, S("mx.here.example"),
				  in_ms(LONG_MS)) != OK)
		return;
}

enum err pair_tls(struct pair *pair) WAITS
{
	struct fiber_group group;
	enum err err;

	group_init(&group);
	must(fiber_spawn(&group, "client", client_handshake, pair, NULL) == OK);
	err = conn_start_tls(pair->server, pair->server_tls, in_ms(LONG_MS), &pair->discarded);
	if (err)
		conn_shut(pair->server);
	must(group_wait(&group, in_ms(2 * LONG_MS)) == OK);
	return err;
}

static void run(void *arg) WAITS
{
	struct playing *playing = arg;
	struct pair *pair = &playing->pair;
	struct stream *ends[2];

	group_init(&pair->group);
	must(stream_pair(ends) == OK);
	pair->client = conn_new(ends[0]);
	pair->server = conn_new(ends[1]);
	pair->server_tls = certificate_context("mx.here.example", TLS_AGE_CURRENT, "smtp");
	must(tls_client_context_new(S(""), &pair->client_tls) == OK);
	playing->test(pair);
	group_stop(&pair->group);
	must(group_wait(&pair->group, in_ms(LONG_MS)) == OK);
	conn_drop(&pair->client);
	conn_drop(&pair->server);
	tls_context_unref(&pair->server_tls);
	tls_context_unref(&pair->client_tls);
}

void pair_play(void (*test)(struct pair *pair), bool simulated)
{
	struct world *world = simulated ? world_sim_new(1) : world_real_new();
	struct playing playing = { .test = test };

	must(world_spawn(world, "test", run, &playing) == OK);
	world_run(world);
	world_drop(&world);
}
