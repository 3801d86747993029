/* SPDX-License-Identifier: Apache-2.0 */
/* The queue when something ends or fails halfway: a relay, the disk, the store itself, the file of a body. */
#include "store/fault_vfs.h"
#include "store/queue_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANNA "anna@example.org"

static void queue_one(struct fixture *f, uint64_t message, struct str body) WAITS
{
	struct sending s = { .message = message,
			     .sender = ANNA,
			     .account = sign_in_as(f, ANNA),
			     .to = { "bob@far.example" },
			     .body = body };
	uint64_t out[8];

	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_DONE);
}

/* ---- giving back, on a full disk ---- */

static void full(struct fixture *f) WAITS
{
	struct claimed c, d;

	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, S(""));
	CHECK(claim(f, &c));
	queue_peer_gone(f->peer);
	fault_plan = (struct fault_plan){
		.write_at = 0, .flush_at = -1, .error = ENOSPC, .stays = true
	};
	CHECK(queue_run_due(f->store) == ERR_FULL);
	fault_clear();
	CHECK(queue_run_due(f->store) == OK);
	CHECK(state_of(f, 1, 0) == QUEUE_WAITING);
	CHECK(claim(f, &d) && d.answer.message == 1);
	drop_claim(&c);
	drop_claim(&d);
}

static void what_a_relay_had_is_given_back_once_the_disk_lets_us(void **state)
{
	(void)state;
	fault_clear();
	fixture_run(&(struct fixture){ .body = full, .config_text = RELAYING, .io = &fault_io });
}

/* ---- bodies that are not there ---- */

static void body_path(const struct fixture *f, char path[400])
{
	snprintf(path, 400, "%s/bodies/00000001.seg", f->folder);
}

static void missing(struct fixture *f) WAITS
{
	struct claimed c;
	char path[400];

	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, S(""));
	body_path(f, path);
	CHECK(unlink(path) == 0);
	CHECK(!claim(f, &c));
	CHECK(state_of(f, 1, 0) == QUEUE_HELD);
}

static void a_message_whose_body_file_is_missing_is_held(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = missing, .config_text = RELAYING });
}

static void unreadable(struct fixture *f) WAITS
{
	struct claimed c;
	char path[400], aside[420];

	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, S(""));
	queue_one(f, 2, S("Subject: two\r\n\r\nand its text\r\n"));
	body_path(f, path);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	CHECK(rename(path, aside) == 0 && mkdir(path, 0700) == 0); /* opens, and cannot be read */
	CHECK(!claim(f, &c));
	CHECK(state_of(f, 1, 0) == QUEUE_WAITING && state_of(f, 2, 0) == QUEUE_WAITING);
	CHECK(rmdir(path) == 0 && rename(aside, path) == 0);
	bodies_forget(f->store->bodies, 1);
	CHECK(!claim(f, &c));
	CHECK(fiber_sleep(in_ms(6 * 60 * 1000)) == OK);
	CHECK(claim(f, &c) && c.answer.message == 1);
	drop_claim(&c);
	CHECK(claim(f, &c) && c.answer.message == 2);
	drop_claim(&c);
}

static void a_body_that_the_disk_does_not_give_now_is_asked_for_again_soon(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = unreadable, .config_text = RELAYING, .simulated = true });
}

/* ---- another run claims while a damaged message is being held ---- */

struct second_run {
	struct fixture *f;
	struct peer *peer;
	int64_t after_us;
	bool has_ended;
};

/* Others' commits, one after the other: those who come meanwhile share the next one. */
static void keep_committing(void *arg) WAITS
{
	struct second_run *run = arg;

	for (uint64_t message = 100; !run->has_ended; message++)
		CHECK(hand_one(run->f, message, ANNA, "Subject: x\r\n\r\nx\r\n") == DELIVERY_DONE);
}

static void claim_as_another_run(void *arg) WAITS
{
	struct second_run *run = arg;
	struct claimed c = { 0 };

	CHECK(fiber_sleep(in_us(run->after_us)) == OK);
	CHECK(store_queue_claim(run->peer, 0,
				&(struct ask_queue_claim){
					.run = 0x2000, .site_max = 9, .recipients_max = 10 },
				&c.arena, &c.answer) == OK);
	CHECK(!c.answer.lease || c.answer.message == 1);
	drop_claim(&c);
	run->has_ended = true;
}

/* The second of two bodies. */
static void spoil(const struct fixture *f, struct str first)
{
	off_t at = (off_t)(SEGMENT_HEADER + record_span(first.len) + RECORD_HEADER + 20);
	char path[400];
	int fd;

	body_path(f, path);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && pwrite(fd, "?", 1, at) == 1);
	close(fd);
}

/*
 * The second run has found a lease of the first one before that claims the damaged message, so that to give it
 * back and to hold the message share a commit.
 */
static void claimed_twice(struct fixture *f) WAITS
{
	struct second_run run = { .f = f,
				  .peer = peer_new(f->store),
				  .after_us = *(const int64_t *)f->arg };
	const struct str first = S("Subject: one\r\n\r\nand all of its text\r\n");
	struct fiber_group group;
	struct claimed c, d;

	group_init(&group);
	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, first);
	CHECK(claim(f, &c) && c.answer.message == 1);
	queue_one(f, 2, S("Subject: two\r\n\r\nand all of its text\r\n"));
	spoil(f, first);
	CHECK(fiber_spawn(&group, "others", keep_committing, &run, NULL) == OK);
	CHECK(fiber_spawn(&group, "second run", claim_as_another_run, &run, NULL) == OK);
	CHECK(fiber_yield() == OK);
	(void)claim(f, &d);
	group_wait_through(&group);
	CHECK(state_of(f, 2, 0) == QUEUE_HELD);
	drop_claim(&c);
	drop_claim(&d);
	queue_peer_gone(run.peer);
	peer_drop(&run.peer);
}

static void a_run_may_end_a_lease_while_its_message_is_being_held(void **state)
{
	(void)state;
	for (int64_t after_us = 0; after_us <= 6000; after_us += 250)
		fixture_run(&(struct fixture){ .body = claimed_twice,
					       .arg = &after_us,
					       .config_text = RELAYING,
					       .simulated = true });
}

/* ---- the keeper is stopped while it gives up ---- */

static void keep(void *store) WAITS
{
	queue_keep(store);
}

static void stopped(struct fixture *f) WAITS
{
	struct fiber_group group;

	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, S(""));
	CHECK(fiber_sleep(in_ms(5 * 24 * 3600 * 1000ll + 60000)) == OK);
	group_init(&group);
	CHECK(fiber_spawn(&group, "keeper", keep, f->store, NULL) == OK);
	CHECK(fiber_sleep(in_us(100)) == OK); /* its commit is under way */
	group_stop(&group);
	group_wait_through(&group);
	CHECK(state_of(f, 1, 0) == QUEUE_EXPIRED);
}

static void who_keeps_the_queue_ends_when_its_commits_have(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = stopped, .config_text = RELAYING, .simulated = true });
}

/* ---- a report that says nothing ---- */

static void unsaid(struct fixture *f) WAITS
{
	struct claimed c;

	add_account(f, ANNA, NULL, -1);
	queue_one(f, 1, S(""));
	CHECK(claim(f, &c));
	c.answer.numbers.count = 0;
	CHECK(report(f, &c, &down) == 0);
	drop_claim(&c);
	CHECK(claim(f, &c) && c.answer.message == 1);
	drop_claim(&c);
}

static void a_relay_that_stopped_before_it_tried_says_nothing_of_the_place(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = unsaid, .config_text = RELAYING });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_relay_had_is_given_back_once_the_disk_lets_us),
		cmocka_unit_test(a_message_whose_body_file_is_missing_is_held),
		cmocka_unit_test(a_body_that_the_disk_does_not_give_now_is_asked_for_again_soon),
		cmocka_unit_test(a_run_may_end_a_lease_while_its_message_is_being_held),
		cmocka_unit_test(who_keeps_the_queue_ends_when_its_commits_have),
		cmocka_unit_test(a_relay_that_stopped_before_it_tried_says_nothing_of_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
