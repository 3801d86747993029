/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a store fast, without flushes: store_fill FOLDER MESSAGES OCTETS ACCOUNTS [DESTINATION]. FOLDER is that
 * of the store itself (DIR/store), whose server does not run. user0@fill.example and so on get their messages in
 * turn; the accounts have no passwords. With a DESTINATION the mail is for user0 and so on there instead, and waits
 * in the queue: the store has to list 127.0.0.1 as a network that may relay.
 */
#include "store/store.h"
#include "store/peer.h"
#include "store/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 2000, OCTETS_MAX = 65536 };

struct fill {
	struct store *store;
	struct peer *peer;
	const char *folder;
	struct config *config;
	uint64_t messages, octets, accounts;
	const char *domain;
	bool is_queued;
	uint64_t next;
	char body[OCTETS_MAX];
};

struct setting_up {
	struct job job;
	uint64_t accounts;
	int64_t at_us;
	struct arena arena;
};

static enum err set_up(struct writer *writer, struct job *job)
{
	struct setting_up *s = CONTAINER_OF(job, struct setting_up, job);
	enum err err =
		db_run(writer->db, Q_domain_add, db_str(S("fill.example")), db_int(s->at_us));

	for (uint64_t i = 0; !err && i < s->accounts; i++) {
		struct account_new account = { str_print(&s->arena, "user%llu@fill.example",
							 (unsigned long long)i),
					       s->at_us, -1 };

		err = account_make(writer->db, &s->arena, &account);
	}
	writer->changed_directory = true;
	return err;
}

static void deliver_one(struct fill *fill, uint64_t nth, struct arena *arena) WAITS
{
	struct str to = str_print(arena, "user%llu@%s", (unsigned long long)(nth % fill->accounts),
				  fill->domain);
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = {
		.message = id_new(),
		.sender = S("sender@example.com"),
		.recipients = { &to, 1 },
		.subject = S("A subject of an ordinary length"),
		.from = S("Somebody <sender@example.com>"),
		.message_id = S("<1234567890@example.com>"),
		.client = fill->is_queued ? S("127.0.0.1") : S(""),
		.structure = S("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 2048 40)"),
		.body = { { fill->body, fill->octets }, -1, fill->octets },
	};

	must(store_deliver(fill->peer, &ask, arena, &answer) == OK);
	must(answer.outcomes.at[0] == DELIVERY_DONE);
	if (nth % 100000 == 0) {
		printf("%llu\n", (unsigned long long)nth);
		fflush(stdout);
	}
}

static void sender(void *arg) WAITS
{
	struct fill *fill = arg;
	struct arena arena = { 0 };

	while (fill->next < fill->messages) {
		deliver_one(fill, fill->next++, &arena);
		arena_reset(&arena);
	}
	arena_drop(&arena);
}

static void fill_fiber(void *arg) WAITS
{
	struct fill *fill = arg;
	struct setting_up s = { .job.run = set_up, .accounts = fill->accounts, .at_us = wall_us() };
	struct store_options options = { .folder = fill->folder,
					 .config = fill->config,
					 .create = true };
	struct fiber_group group;

	group_init(&group);
	must(store_open(&options, &fill->store) == OK);
	fill->peer = peer_new(fill->store);
	if (!fill->is_queued && store_commit(fill->store, &s.job))
		fprintf(stderr, "going on with the accounts that are in %s\n", fill->folder);
	for (size_t i = 0; i < IN_FLIGHT; i++)
		must(fiber_spawn(&group, "sender", sender, fill, NULL) == OK);
	must(group_wait(&group, NEVER) == OK);
	arena_drop(&s.arena);
	peer_drop(&fill->peer);
	store_close(&fill->store);
}

/* Lines of 78 octets, as a text has them. */
static void write_body(struct fill *fill)
{
	static const char head[] = "Subject: filled\r\nFrom: sender@example.com\r\n\r\n";

	memset(fill->body, 'x', fill->octets);
	memcpy(fill->body, head, sizeof(head) - 1);
	for (size_t at = sizeof(head) - 1 + 76; at + 2 <= fill->octets; at += 78)
		memcpy(fill->body + at, "\r\n", 2);
	memcpy(fill->body + fill->octets - 2, "\r\n", 2);
}

int main(int argc, char **argv)
{
	static struct fill fill;
	struct buf complaints = BUF(4096);
	struct world *world = world_real_new();

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "store_fill FOLDER MESSAGES OCTETS ACCOUNTS [DESTINATION]\n");
		return 2;
	}
	fill.folder = argv[1];
	fill.messages = strtoull(argv[2], NULL, 10);
	fill.octets = strtoull(argv[3], NULL, 10);
	fill.accounts = strtoull(argv[4], NULL, 10);
	fill.is_queued = argc == 6;
	fill.domain = fill.is_queued ? argv[5] : "fill.example";
	must(fill.octets >= 200 && fill.octets <= OCTETS_MAX && fill.accounts > 0);
	write_body(&fill);
	must(config_parse(S("durable = no\n"), S("fill"), NULL, 0, &complaints, &fill.config) ==
	     OK);
	must(world_spawn(world, "fill", fill_fiber, &fill) == OK);
	world_run(world);
	world_drop(&world);
	config_unref(&fill.config);
	return 0;
}
