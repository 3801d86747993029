/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many deliveries a second the store keeps durably, by how many wait at once: store_bench [FOLDER]
 * [SECONDS]. 2 KiB messages for 50 accounts; recipient look-ups and password checks after.
 */
#include "store/sasl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS = 50, BODY = 2048 };

struct bench {
	struct store *store;
	struct peer *peer;
	const char *folder;
	struct config *config;
	double seconds;
	char body[BODY];
	uint64_t next;
	moment until;
	uint64_t done, batches;
};

struct setting_up {
	struct job job;
	int64_t at_us;
	struct arena arena;
};

static enum err set_up(struct writer *writer, struct job *job)
{
	struct setting_up *s = CONTAINER_OF(job, struct setting_up, job);
	enum err err = db_run(writer->db, Q_domain_add, db_str(S("example.org")), db_int(s->at_us));

	for (int i = 0; !err && i < ACCOUNTS; i++) {
		struct account_new account = { str_print(&s->arena, "user%d@example.org", i),
					       s->at_us, -1 };

		err = account_make(writer->db, &s->arena, &account);
	}
	return err;
}

static void sender(void *arg) WAITS
{
	struct bench *b = arg;
	struct arena arena = { 0 };

	while (now() < b->until) {
		uint64_t id = b->next++;
		struct str to = str_print(&arena, "user%d@example.org", (int)(id % ACCOUNTS));
		struct answer_deliver answer = { 0 };
		struct ask_deliver ask = {
			.message = id,
			.sender = S("sender@example.com"),
			.recipients = { &to, 1 },
			.subject = S("A subject of an ordinary length"),
			.from = S("Somebody <sender@example.com>"),
			.message_id = S("<1234567890@example.com>"),
			.structure = S("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 2048 40)"),
			.body = { { b->body, BODY }, -1, BODY }
		};

		must(store_deliver(b->peer, &ask, &arena, &answer) == OK);
		must(answer.outcomes.at[0] == DELIVERY_DONE);
		b->done++;
		arena_reset(&arena);
	}
	arena_drop(&arena);
}

static void deliveries(struct bench *b, size_t in_flight) WAITS
{
	struct fiber_group group;
	moment since = now();
	uint64_t commits = b->store->commits;

	group_init(&group);
	b->until = since + (moment)(b->seconds * 1e6);
	b->done = 0;
	for (size_t i = 0; i < in_flight; i++)
		must(fiber_spawn(&group, "sender", sender, b, NULL) == OK);
	must(group_wait(&group, NEVER) == OK);
	printf("%4zu in flight: %7.0f deliveries/s, %6.1f a commit\n", in_flight,
	       (double)b->done * 1e6 / (double)(now() - since),
	       (double)b->done / (double)(b->store->commits - commits));
	fflush(stdout);
}

static void lookups(struct bench *b, bool cached) WAITS
{
	struct arena arena = { 0 };
	moment since = now();
	uint64_t done = 0;

	while (now() - since < (moment)(b->seconds * 5e5)) {
		struct answer_recipient answer = { 0 };
		struct ask_recipient ask = { .address = str_print(&arena, "user%d@example.org",
								  (int)(done++ % ACCOUNTS)) };

		if (!cached)
			b->store->directory_generation++;
		must(store_recipient(b->peer, &ask, &arena, &answer) == OK);
		must(answer.verdict == RECIPIENT_LOCAL);
		if (done % 1000 == 0)
			(void)fiber_yield();
		arena_reset(&arena);
	}
	printf("recipient %s: %7.0f/s\n", cached ? "remembered" : "looked up ",
	       (double)done * 1e6 / (double)(now() - since));
	arena_drop(&arena);
}

static void bench_fiber(void *arg) WAITS
{
	struct bench *b = arg;
	struct setting_up s = { .job.run = set_up, .at_us = wall_us() };
	struct store_options options = { .folder = b->folder, .config = b->config, .create = true };

	must(store_open(&options, &b->store) == OK);
	b->peer = peer_new(b->store);
	if (store_commit(b->store, &s.job))
		fprintf(stderr, "going on with what is in %s\n", b->folder);
	b->next = id_new();
	deliveries(b, 1);
	deliveries(b, 20);
	deliveries(b, 100);
	deliveries(b, 400);
	lookups(b, true);
	lookups(b, false);
	arena_drop(&s.arena);
	peer_drop(&b->peer);
	store_close(&b->store);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/store-bench-XXXXXX";
	struct buf complaints = BUF(4096);
	static struct bench b;
	struct world *world = world_real_new();

	b.folder = argc > 1 ? argv[1] : mkdtemp(folder);
	b.seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
	memset(b.body, 'x', BODY);
	must(config_parse(str_of(argc > 3 ? argv[3] : ""), S("bench"), NULL, 0, &complaints,
			  &b.config) == OK);
	must(world_spawn(world, "bench", bench_fiber, &b) == OK);
	world_run(world);
	world_drop(&world);
	config_unref(&b.config);
	return 0;
}
