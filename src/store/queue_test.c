/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_fixture.h"
#include "store/segment.h"

#include <fcntl.h>
#include <unistd.h>

/* ---- who may ---- */

static void rights(struct fixture *f) WAITS
{
	uint64_t anna, out[8];
	struct answer_recipient answer = { 0 };
	struct ask_recipient ask = { .address = S("bob@far.example") };

	add_account(f, "anna@example.org", NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	CHECK(store_recipient(f->peer, &ask, NULL, &answer) == OK);
	CHECK(answer.verdict == RECIPIENT_NOT_OURS);
	ask.account = anna;
	CHECK(store_recipient(f->peer, &ask, NULL, &answer) == OK);
	CHECK(answer.verdict == RECIPIENT_REMOTE);
	ask.account = anna + 1;
	CHECK(store_recipient(f->peer, &ask, NULL, &answer) == ERR_DENIED);
	/* Nobody signed in, a handle that is none, another's address. */
	CHECK(send_one(f, 1, 0, "bob@far.example") == DELIVERY_NOT_OURS);
	CHECK(send_one(f, 2, anna + 1, "bob@far.example") == 100 + ERR_DENIED);
	CHECK(send_mail(f,
			&(struct sending){ .message = 3,
					   .sender = "bert@example.org",
					   .account = anna,
					   .to = { "bob@far.example", "anna@example.org" } },
			out) == OK);
	CHECK(out[0] == DELIVERY_NOT_OURS && out[1] == DELIVERY_DONE);
	CHECK(send_mail(f,
			&(struct sending){ .message = 4,
					   .sender = "x@far.example",
					   .account = anna,
					   .to = { "bob@far.example" } },
			out) == OK);
	CHECK(out[0] == DELIVERY_NOT_OURS);
	/* What would be a command of its own at the other server. */
	CHECK(send_one(f, 5, anna, "bob>\r\nDATA\r\n@far.example") == DELIVERY_NOT_OURS);
	CHECK(send_one(f, 6, anna, "bob") == DELIVERY_NOT_OURS);
	CHECK(send_one(f, 7, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(state_of(f, 7, 0) == QUEUE_WAITING);
	for (uint64_t i = 1; i < 7; i++)
		CHECK(state_of(f, i, 0) == 99);
	CHECK(complaints(f) == 0);
}

static void only_who_signed_in_relays_and_as_himself(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = rights, .config_text = RELAYING });
}

static void nobody_relays(struct fixture *f) WAITS
{
	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 1, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_NOT_OURS);
}

static void nobody_relays_unless_the_configuration_says_so(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = nobody_relays });
}

/* ---- one message through ---- */

static void through(struct fixture *f) WAITS
{
	struct sending s = { .message = 7,
			     .sender = "anna@example.org",
			     .to = { "bob@far.example", "bert@example.org", "eve@far.example",
				     "zoe@else.example" } };
	struct claimed c, d, none;
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	s.account = sign_in_as(f, "anna@example.org");
	for (int again = 0; again < 2; again++) {
		CHECK(send_mail(f, &s, out) == OK);
		for (int i = 0; i < 4; i++)
			CHECK(out[i] == DELIVERY_DONE);
	}
	CHECK(inbox_count(f, "bert@example.org") == 1);
	CHECK(claim(f, &c) && claim(f, &d) && !claim(f, &none));
	CHECK(c.answer.numbers.count == 2 && d.answer.numbers.count == 1);
	CHECK(str_is(c.answer.destination, S("far.example")));
	CHECK(str_is(c.answer.recipients.at[1], S("eve@far.example")));
	CHECK(str_is(c.answer.sender, S("anna@example.org")));
	CHECK(str_is(c.answer.body.octets, S("Subject: hello\r\n\r\nthe text\r\n")));
	CHECK(complaints(f) == 0);
	CHECK(report(f, &c, &sent) == 2);
	CHECK(report(f, &c, &refused) == 0); /* too late: it is done */
	CHECK(state_of(f, 7, 0) == QUEUE_RELAYED && state_of(f, 7, 2) == QUEUE_LEASED);
	CHECK(report(f, &d, &refused) == 1);
	CHECK(state_of(f, 7, 2) == QUEUE_FAILED);
	CHECK(inbox_count(f, "anna@example.org") == 1);
	CHECK(complaints(f) == 0);
	/* The same once more, after it is done: it is not queued again. */
	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_DONE);
	CHECK(!claim(f, &none));
	drop_claim(&c);
	drop_claim(&d);
}

static void a_message_is_claimed_by_destination_and_reported_by_recipient(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = through, .config_text = RELAYING });
}

/* ---- notifications ---- */

static void bounce(struct fixture *f) WAITS
{
	struct sending s = { .message = 7,
			     .sender = "anna@example.org",
			     .to = { "bob@far.example" } };
	struct arena arena = { 0 };
	struct claimed c;
	struct strs all;
	uint64_t out[8];

	add_account(f, "postmaster@example.org", NULL, -1);
	add_account(f, "anna@example.org", NULL, -1);
	s.account = sign_in_as(f, "anna@example.org");
	CHECK(send_mail(f, &s, out) == OK && claim(f, &c));
	CHECK(report(f, &c, &refused) == 1);
	drop_claim(&c);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 1);
	if (all.count == 1) {
		CHECK(str_starts(all.at[0], S("Return-Path: <>\r\n")));
		CHECK(has(all.at[0], "multipart/report; report-type=delivery-status"));
		CHECK(has(all.at[0], "bob@far.example\r\n    could not be reached"));
		CHECK(has(all.at[0], "mx.far.example [192.0.2.7] said: 550 No such user here"));
		CHECK(has(all.at[0], "\r\nFinal-Recipient: rfc822; bob@far.example\r\n"
				     "Action: failed\r\nStatus: 5.1.1\r\n"
				     "Remote-MTA: dns; mx.far.example\r\n"
				     "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"));
		CHECK(has(all.at[0], "text/rfc822-headers"));
		CHECK(has(all.at[0], "\r\nSubject: hello\r\n"));
		CHECK(str_find_str(all.at[0], S("the text")) == STR_NONE);
	}
	/* NOTIFY=NEVER: nothing. RET=FULL: the whole. */
	s.message = 8;
	s.notify = DSN_NEVER;
	CHECK(send_mail(f, &s, out) == OK && claim(f, &c) && report(f, &c, &refused) == 1);
	drop_claim(&c);
	CHECK(inbox_count(f, "anna@example.org") == 1);
	s.message = 9;
	s.notify = DSN_FAILURE;
	s.ret = DSN_RETURN_FULL;
	CHECK(send_mail(f, &s, out) == OK && claim(f, &c) && report(f, &c, &refused) == 1);
	drop_claim(&c);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 2 && has(all.at[1], "the text"));
	/* The null sender: nobody is answered, the postmaster hears of it. */
	s.message = 10;
	s.sender = "";
	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_DONE && claim(f, &c));
	CHECK(report(f, &c, &refused) == 1);
	drop_claim(&c);
	CHECK(inbox_count(f, "anna@example.org") == 2);
	all = read_all(f, &arena, "postmaster@example.org", "INBOX");
	CHECK(all.count == 1 && has(all.at[0], "A message from <> could not be delivered"));
	/* NOTIFY=SUCCESS. */
	s.message = 11;
	s.sender = "anna@example.org";
	s.notify = DSN_SUCCESS;
	CHECK(send_mail(f, &s, out) == OK && claim(f, &c) && report(f, &c, &sent) == 1);
	drop_claim(&c);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 3 && has(all.at[2], "\r\nAction: relayed\r\n"));
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void who_wants_to_know_is_told_in_plain_words_and_once(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = bounce, .config_text = RELAYING });
}

/* ---- leases ---- */

static void leases(struct fixture *f) WAITS
{
	struct claimed c, d, none;
	uint64_t anna;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	CHECK(send_one(f, 1, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim(f, &c) && !claim(f, &none));
	/* The store starts anew: the lease holds, and its report counts. */
	fixture_reopen(f);
	CHECK(!claim(f, &none));
	CHECK(report(f, &c, &sent) == 1);
	drop_claim(&c);
	/* The relay's channel ends: others may try, and what it says later counts until they do. */
	anna = sign_in_as(f, "anna@example.org");
	CHECK(send_one(f, 2, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(send_one(f, 3, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim(f, &c) && claim(f, &d));
	queue_peer_gone(f->peer);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(report(f, &c, &sent) == 1);
	CHECK(claim(f, &none));
	CHECK(none.answer.message == d.answer.message && none.answer.lease != d.answer.lease);
	CHECK(report(f, &d, &refused) == 0);
	CHECK(report(f, &none, &sent) == 1);
	drop_claim(&c);
	drop_claim(&d);
	drop_claim(&none);
	/* Another run of the same process: what the earlier one had is for others at once. */
	CHECK(send_one(f, 4, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim(f, &c));
	fixture_reopen(f);
	d = (struct claimed){ 0 };
	CHECK(store_queue_claim(f->peer, 0,
				&(struct ask_queue_claim){
					.run = 0x2000, .site_max = 9, .recipients_max = 10 },
				&d.arena, &d.answer) == OK);
	CHECK(d.answer.message == 4);
	CHECK(report(f, &c, &sent) == 0 && report(f, &d, &sent) == 1);
	drop_claim(&c);
	drop_claim(&d);
	CHECK(complaints(f) == 0);
}

static void a_lease_outlives_the_store_and_ends_with_its_owner(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = leases, .config_text = RELAYING });
}

/* The store ended between the commit of a claim and its answer. */
static void unheard(struct fixture *f) WAITS
{
	struct claimed heard, lost, c;
	uint64_t anna;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	for (uint64_t message = 1; message <= 3; message++)
		CHECK(send_one(f, message, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim(f, &heard) && claim(f, &lost));
	fixture_reopen(f);
	c = (struct claimed){ 0 };
	CHECK(store_queue_claim(f->peer, 0,
				&(struct ask_queue_claim){ .run = 0x1000,
							   .site_max = 9,
							   .recipients_max = 10,
							   .tells = true,
							   .holds = { &heard.answer.lease, 1 } },
				&c.arena, &c.answer) == OK);
	CHECK(c.answer.lease && c.answer.message != heard.answer.message);
	drop_claim(&c);
	CHECK(claim(f, &c) && c.answer.message != heard.answer.message);
	drop_claim(&c);
	CHECK(!claim(f, &c));
	CHECK(report(f, &heard, &sent) == 1 && report(f, &lost, &sent) == 0);
	drop_claim(&heard);
	drop_claim(&lost);
}

static void a_claim_whose_answer_was_lost_is_given_out_again_at_once(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = unheard, .config_text = RELAYING });
}

static void unknown(struct fixture *f) WAITS
{
	static const struct saying nobody_knows = {
		QUEUE_UNKNOWN, 0, "", "the connection was cut", false, false
	};
	struct claimed c, d;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(send_one(f, 1, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(claim(f, &c));
	CHECK(fiber_sleep(in_ms(59 * 60 * 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	CHECK(!claim(f, &d));
	CHECK(fiber_sleep(in_ms(2 * 60 * 1000)) == OK);
	CHECK(queue_run_due(f->store) == OK);
	/* It never said anything. */
	CHECK(claim(f, &d) && d.answer.message == 1);
	CHECK(report(f, &c, &sent) == 0);
	CHECK(report(f, &d, &nobody_knows) == 1);
	CHECK(state_of(f, 1, 0) == QUEUE_WAITING);
	CHECK(next_of(f, 1) - wall_us() > 50 * 60 * 1000000ll);
	drop_claim(&c);
	drop_claim(&d);
}

static void what_nobody_knows_is_tried_again_when_the_lease_ends(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = unknown, .config_text = RELAYING, .simulated = true });
}

/* ---- a body that is damaged ---- */

static void damaged(struct fixture *f) WAITS
{
	struct claimed c;
	char path[400];
	int fd;
	uint64_t anna;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	CHECK(send_one(f, 1, anna, "bob@far.example") == DELIVERY_DONE);
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && pwrite(fd, "?", 1, SEGMENT_HEADER + RECORD_HEADER + 20) == 1);
	close(fd);
	CHECK(!claim(f, &c));
	CHECK(state_of(f, 1, 0) == QUEUE_HELD);
	/* Mail that came later goes its way. */
	CHECK(send_one(f, 2, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim(f, &c) && c.answer.message == 2);
	CHECK(report(f, &c, &sent) == 1);
	drop_claim(&c);
}

static void what_is_damaged_is_held_and_never_sent(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = damaged, .config_text = RELAYING });
}

/* ---- a relay that is gone ---- */

struct gone_claim {
	struct fixture *f;
	enum err err;
	bool has_ended;
};

static void wait_for_a_claim(void *arg) WAITS
{
	struct gone_claim *g = arg;
	struct arena arena = { 0 };
	struct answer_queue_claim answer = { .body = BODY_EMPTY };

	g->err = store_queue_claim(
		g->f->peer, 0,
		&(struct ask_queue_claim){
			.run = 0x1000, .site_max = 5, .recipients_max = 10, .wait_ms = 600000 },
		&arena, &answer);
	g->has_ended = true;
	arena_drop(&arena);
}

static void lost(struct fixture *f) WAITS
{
	struct gone_claim g = { .f = f };
	struct fiber_group group;
	moment since = now();

	group_init(&group);
	add_account(f, "anna@example.org", NULL, -1);
	CHECK(fiber_spawn(&group, "claim", wait_for_a_claim, &g, NULL) == OK);
	CHECK(fiber_sleep(in_ms(1000)) == OK && !g.has_ended);
	queue_peer_lost(f->peer);
	CHECK(group_wait(&group, in_ms(60000)) == OK);
	CHECK(g.has_ended && g.err == ERR_GONE && now() - since < 2000000);
	/* What comes now is for others. */
	CHECK(send_one(f, 1, sign_in_as(f, "anna@example.org"), "bob@far.example") ==
	      DELIVERY_DONE);
	CHECK(state_of(f, 1, 0) == QUEUE_WAITING);
}

static void a_claim_that_waits_ends_with_its_channel(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = lost, .config_text = RELAYING, .simulated = true });
}

/* ---- fairness ---- */

static void fair(struct fixture *f) WAITS
{
	struct claimed c;
	unsigned far = 0, els = 0, bert = 0;
	uint64_t anna, out[8];

	add_account(f, "anna@example.org", NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	for (uint64_t i = 1; i <= 300; i++)
		CHECK(send_one(f, i, anna, "bob@far.example") == DELIVERY_DONE);
	for (uint64_t i = 301; i <= 305; i++)
		CHECK(send_one(f, i, anna, "zoe@else.example") == DELIVERY_DONE);
	CHECK(send_mail(f,
			&(struct sending){ .message = 400,
					   .sender = "bert@example.org",
					   .account = sign_in_as(f, "bert@example.org"),
					   .to = { "bob@far.example" } },
			out) == OK);
	/* Destinations take turns, and who sends to one of them does, too. */
	for (int i = 0; i < 10; i++) {
		CHECK(claim(f, &c));
		far += str_is(c.answer.destination, S("far.example"));
		els += str_is(c.answer.destination, S("else.example"));
		bert += c.answer.message == 400;
		CHECK(report(f, &c, &sent) == 1);
		drop_claim(&c);
	}
	CHECK(far == 5 && els == 5 && bert == 1);
	/* As many leases of a destination as the relay wants. */
	claim_of(f, &c, NULL, 1);
	CHECK(c.answer.lease);
	drop_claim(&c);
	claim_of(f, &c, NULL, 1);
	CHECK(!c.answer.lease);
	drop_claim(&c);
	claim_of(f, &c, "far.example", 2);
	CHECK(c.answer.lease);
	/* Nobody answers there: all of it rests, and what comes does not wake it. */
	CHECK(report(f, &c, &down) == 1);
	drop_claim(&c);
	CHECK(send_one(f, 500, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(!claim(f, &c));
	CHECK(send_one(f, 501, anna, "zoe@else.example") == DELIVERY_DONE);
	CHECK(claim(f, &c) && c.answer.message == 501);
	drop_claim(&c);
	CHECK(fiber_sleep(in_ms(6 * 60 * 1000)) == OK);
	CHECK(claim(f, &c) && str_is(c.answer.destination, S("far.example")));
	drop_claim(&c);
}

static void destinations_and_senders_take_turns(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = fair, .config_text = RELAYING, .simulated = true });
}

/* ---- how many at once ---- */

/* So many claims of this destination until nothing more is given; they stay. */
static size_t claim_all(struct fixture *f, struct claimed *held, size_t room) WAITS
{
	size_t count = 0;

	while (count < room) {
		claim_of(f, &held[count], "far.example", 20);
		if (!held[count].answer.lease) {
			drop_claim(&held[count]);
			break;
		}
		count++;
	}
	return count;
}

static void report_all(struct fixture *f, struct claimed *held, size_t count,
		       const struct saying *saying) WAITS
{
	for (size_t i = 0; i < count; i++) {
		CHECK(report(f, &held[i], saying) == 1);
		drop_claim(&held[i]);
	}
}

struct late_claim {
	struct fixture *f;
	moment given;
};

static void claim_late(void *arg) WAITS
{
	struct late_claim *late = arg;
	struct claimed c = { 0 };
	struct ask_queue_claim ask = {
		.run = 0x1000, .site_max = 20, .recipients_max = 10, .wait_ms = 60000
	};

	CHECK(store_queue_claim(late->f->peer, 0, &ask, &c.arena, &c.answer) == OK);
	CHECK(c.answer.lease && report(late->f, &c, &sent) == 1);
	late->given = now();
	drop_claim(&c);
}

static void speeding(struct fixture *f) WAITS
{
	struct late_claim late = { .f = f };
	struct claimed held[40];
	struct fiber_group group;
	uint64_t anna;

	group_init(&group);
	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	for (uint64_t i = 1; i <= 100; i++)
		CHECK(send_one(f, i, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim_all(f, held, COUNT_OF(held)) == SITE_FIRST);
	/* Who waits because it is full gets the next one when a lease ends. */
	CHECK(fiber_spawn(&group, "claim", claim_late, &late, NULL) == OK);
	CHECK(fiber_sleep(in_ms(1000)) == OK && !late.given);
	report_all(f, held, SITE_FIRST, &sent);
	CHECK(group_wait(&group, in_ms(1000)) == OK && late.given);
	/* One more for each that was answered, half as many for each that was not; never none. */
	CHECK(claim_all(f, held, COUNT_OF(held)) == SITE_FIRST + SITE_FIRST + 1);
	report_all(f, held, 11, &deferred);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 20);
	report_all(f, held, 20, &down);
	CHECK(fiber_sleep(in_ms(6 * 60 * 1000)) == OK);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 1);
	report_all(f, held, 1, &sent);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 2);
	report_all(f, held, 2, &sent);
}

static void a_destination_gets_more_while_it_answers_and_half_when_not(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = speeding, .config_text = RELAYING, .simulated = true });
}

static void idle(struct fixture *f) WAITS
{
	struct claimed held[40];
	uint64_t anna, next = 1;

	add_account(f, "anna@example.org", NULL, -1);
	anna = sign_in_as(f, "anna@example.org");
	for (; next <= 5; next++)
		CHECK(send_one(f, next, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 5);
	report_all(f, held, 5, &sent);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 0);
	for (; next <= 40; next++)
		CHECK(send_one(f, next, anna, "bob@far.example") == DELIVERY_DONE);
	CHECK(claim_all(f, held, COUNT_OF(held)) == 10);
	report_all(f, held, 10, &sent);
}

static void a_destination_is_remembered_while_it_has_nothing(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = idle, .config_text = RELAYING, .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_signed_in_relays_and_as_himself),
		cmocka_unit_test(nobody_relays_unless_the_configuration_says_so),
		cmocka_unit_test(a_message_is_claimed_by_destination_and_reported_by_recipient),
		cmocka_unit_test(who_wants_to_know_is_told_in_plain_words_and_once),
		cmocka_unit_test(a_lease_outlives_the_store_and_ends_with_its_owner),
		cmocka_unit_test(a_claim_whose_answer_was_lost_is_given_out_again_at_once),
		cmocka_unit_test(what_nobody_knows_is_tried_again_when_the_lease_ends),
		cmocka_unit_test(what_is_damaged_is_held_and_never_sent),
		cmocka_unit_test(a_claim_that_waits_ends_with_its_channel),
		cmocka_unit_test(destinations_and_senders_take_turns),
		cmocka_unit_test(a_destination_gets_more_while_it_answers_and_half_when_not),
		cmocka_unit_test(a_destination_is_remembered_while_it_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
