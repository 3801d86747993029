/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_fixture.h"

/* ---- a dead destination with very many messages ---- */

enum { DEAD = 100000, ALIVE = 200 };

struct filling {
	struct job job;
	uint64_t first;
	unsigned count;
	int64_t at_us;
};

/* As deliver would, without its bodies: what is measured is who is found how fast. */
static enum err run_filling(struct writer *writer, struct job *job)
{
	struct filling *f = CONTAINER_OF(job, struct filling, job);
	enum err err = OK;

	for (unsigned i = 0; !err && i < f->count; i++) {
		uint64_t id = f->first + i;

		err = db_run(writer->db, Q_queue_message_add, db_id(id), db_int(0), db_int(0),
			     db_str(S("anna@example.org")), db_str(S("")), db_int(0), db_int(0),
			     db_int(0), db_int(0), db_int(1), db_int(f->at_us),
			     db_int(f->at_us + 432000000000), db_int(f->at_us + 432000000000),
			     db_int(1), db_str(S("")));
		if (!err)
			err = db_run(writer->db, Q_queue_recipient_add, db_id(id), db_int(0),
				     db_str(S("bob@dead.example")), db_int(0), db_str(S("")),
				     db_str(S("dead.example")), db_int((int64_t)(i % 7)),
				     db_int(f->at_us));
	}
	return err;
}

static int64_t claim_alive(struct fixture *f, uint64_t first, uint64_t anna) WAITS
{
	moment since;
	struct claimed c;

	for (uint64_t i = 0; i < ALIVE; i++)
		CHECK(send_one(f, first + i, anna, "zoe@alive.example") == DELIVERY_DONE);
	since = now();
	for (uint64_t i = 0; i < ALIVE; i++) {
		CHECK(claim(f, &c) && str_is(c.answer.destination, S("alive.example")));
		CHECK(report(f, &c, &sent) == 1);
		drop_claim(&c);
	}
	return now() - since;
}

static void dead(struct fixture *f) WAITS
{
	struct filling filling = { .job.run = run_filling, .first = 1000000, .count = DEAD };
	int64_t alone_us, beside_us;
	struct claimed c;
	uint64_t anna;
	moment since;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	alone_us = claim_alive(f, 1, anna);
	filling.at_us = wall_us();
	CHECK(store_commit(f->store, &filling.job) == OK);
	since = now();
	fixture_reopen(f);
	printf("opened with %d rows in %lld us\n", DEAD, (long long)(now() - since));
	CHECK(now() - since < 2 * 1000000);
	anna = sign_in_as(f, "anna@example.org");
	/* One attempt tells that nobody is there; then none of it is looked at. */
	CHECK(claim(f, &c) && str_is(c.answer.destination, S("dead.example")));
	CHECK(report(f, &c, &down) == 1);
	drop_claim(&c);
	beside_us = claim_alive(f, 1000, anna);
	printf("%d claims and reports: alone %lld us, beside %d dead ones %lld us\n", ALIVE,
	       (long long)alone_us, DEAD, (long long)beside_us);
	/* Quietly it is the same; on a busy machine it must not be another order. */
	CHECK(beside_us < 3 * alone_us + 500000);
	CHECK(!claim(f, &c));
}

static void a_hundred_thousand_for_a_dead_destination_delay_nobody_else(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = dead, .config_text = RELAYING });
}

/* ---- never two, never none ---- */

enum { WALK_MESSAGES = 60, WALK_STEPS = 4000, WALK_LEASES = 12 };

struct walk {
	struct fixture *f;
	struct claimed held[WALK_LEASES];
	unsigned sent[WALK_MESSAGES + 1];   /* 250 that "the other server" gave */
	unsigned failed[WALK_MESSAGES + 1]; /* 550 */
	bool made[WALK_MESSAGES + 1];
	uint64_t anna;
	uint64_t next;
};

static void walk_send(struct walk *w) WAITS
{
	static const char *const to[] = { "a@one.example", "b@two.example", "c@three.example" };
	uint64_t id = w->next;

	if (id > WALK_MESSAGES)
		return;
	w->next++;
	w->made[id] = send_one(w->f, id, w->anna, to[random_u64() % 3]) == DELIVERY_DONE;
	CHECK(w->made[id]);
}

static void walk_report(struct walk *w, size_t i) WAITS
{
	static const struct saying *const all[] = { &sent, &refused, &deferred, &down };
	const struct saying *s = all[random_u64() % 4];
	uint64_t id = w->held[i].answer.message;
	bool is_noted = report(w->f, &w->held[i], s) == 1;

	if (is_noted && s == &sent)
		w->sent[id]++;
	if (is_noted && s == &refused)
		w->failed[id]++;
	drop_claim(&w->held[i]);
	w->held[i] = (struct claimed){ 0 };
}

static void walk_step(struct walk *w) WAITS
{
	size_t i = random_u64() % WALK_LEASES;

	switch (random_u64() % 12) {
	case 0:
	case 1:
		walk_send(w);
		return;
	case 2:
		fixture_reopen(w->f);
		w->anna = sign_in_as(w->f, "anna@example.org");
		return;
	case 3:
		queue_peer_gone(w->f->peer);
		return;
	case 4:
		CHECK(fiber_sleep(in_ms((int64_t)(random_u64() % (3600 * 1000)))) == OK);
		return;
	case 5:
		CHECK(queue_run_due(w->f->store) == OK);
		return;
	default:
		break;
	}
	if (w->held[i].answer.lease)
		walk_report(w, i);
	else if (!claim(w->f, &w->held[i]))
		drop_claim(&w->held[i]);
}

/* Nothing is forgotten: what waits is given out in time, though the store is not opened anew. */
static void drain(struct walk *w) WAITS
{
	struct claimed c;

	for (int round = 0; round < 3; round++) {
		CHECK(fiber_sleep(in_ms(5 * 3600 * 1000)) == OK);
		CHECK(queue_run_due(w->f->store) == OK);
		while (claim(w->f, &c)) {
			uint64_t id = c.answer.message;

			if (report(w->f, &c, &sent) == 1)
				w->sent[id]++;
			drop_claim(&c);
		}
	}
}

static void walk(struct fixture *f) WAITS
{
	struct walk *w = calloc(1, sizeof(*w));
	size_t bounces;
	size_t ended = 0;

	must(w);
	w->f = f;
	w->next = 1;
	add_account(f, "anna@example.org", NULL, -1);
	w->anna = sign_in_as(f, "anna@example.org");
	for (int step = 0; step < WALK_STEPS; step++)
		walk_step(w);
	for (size_t i = 0; i < WALK_LEASES; i++)
		drop_claim(&w->held[i]);
	drain(w);
	for (uint64_t id = 1; id < w->next; id++) {
		unsigned state = state_of(f, id, 0);

		CHECK(state > QUEUE_HELD);

		CHECK(w->sent[id] + w->failed[id] <= 1);
		CHECK((state == QUEUE_RELAYED) == (w->sent[id] == 1));
		if (w->failed[id])
			CHECK(state == QUEUE_FAILED);
		ended += state == QUEUE_FAILED || state == QUEUE_EXPIRED;
		CHECK(state != 99);
	}
	bounces = 0;
	{
		struct arena arena = { 0 };
		struct strs all = read_all(f, &arena, "anna@example.org", "INBOX");

		for (size_t i = 0; i < all.count; i++)
			bounces += str_find_str(all.at[i], S("Subject: Not delivered")) != STR_NONE;
		arena_drop(&arena);
	}
	CHECK(bounces == ended);
	CHECK(complaints(f) == 0);
	free(w);
}

static void never_two_of_delivered_bounced_and_queued_and_never_none(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = walk,
				       .config_text = RELAYING
				       "queue_history = 300d\nqueue_delay_warning = 0s\n",
				       .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_for_a_dead_destination_delay_nobody_else),
		cmocka_unit_test(never_two_of_delivered_bounced_and_queued_and_never_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
