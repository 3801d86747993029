/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void one_message(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct strs all;

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(hand_one(f, 1, "Anna@example.org", "Received: x\r\n\r\nhello\r\n") == DELIVERY_DONE);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 1);
	CHECK(str_is(all.at[0],
		     S("Return-Path: <from@example.com>\r\nReceived: x\r\n\r\nhello\r\n")));
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void a_message_comes_back_as_it_was_behind_its_return_path(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = one_message });
}

static void the_same_in_the_simulated_world(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = one_message, .simulated = true });
}

static void matrix(struct fixture *f) WAITS
{
	static const struct {
		const char *to;
		unsigned outcome;
	} rows[] = {
		{ "anna@example.org", DELIVERY_DONE },
		{ "ANNA@example.org", DELIVERY_DONE },
		{ "nobody@example.org", DELIVERY_UNKNOWN },
		{ "anna@elsewhere.example", DELIVERY_NOT_OURS },
		{ "anna+lists@example.org", DELIVERY_DONE },
		{ "nobody+lists@example.org", DELIVERY_UNKNOWN },
		{ "+@example.org", DELIVERY_UNKNOWN },
		{ "team@example.org", DELIVERY_DONE },
		{ "keep@example.org", DELIVERY_DONE },
		{ "loop-a@example.org", DELIVERY_LOOP },
		{ "half@example.org", DELIVERY_UNKNOWN },
		{ "postmaster@example.org", DELIVERY_DONE },
		{ "Postmaster@example.net", DELIVERY_DONE },
		{ "postmaster", DELIVERY_DONE },
		{ "anything@example.net", DELIVERY_DONE },
		{ "\"anna\"@example.org", DELIVERY_UNKNOWN },
		{ "no-at-sign", DELIVERY_NOT_OURS },
		{ "", DELIVERY_NOT_OURS },
		{ "@", DELIVERY_NOT_OURS },
		{ "@example.org", DELIVERY_UNKNOWN },
	};

	add_account(f, "anna@example.org", NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	add_account(f, "keep@example.org", NULL, -1);
	add_alias(f, "team@example.org", "anna@example.org");
	add_alias(f, "team@example.org", "bert@example.org");
	add_alias(f, "keep@example.org", "keep@example.org");
	add_alias(f, "keep@example.org", "bert@example.org");
	add_alias(f, "loop-a@example.org", "loop-b@example.org");
	add_alias(f, "loop-b@example.org", "loop-a@example.org");
	add_alias(f, "half@example.org", "anna@example.org");
	add_alias(f, "half@example.org", "gone@example.org");
	add_alias(f, "@example.net", "team@example.org");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unsigned outcome = hand_one(f, 100 + i, rows[i].to, "text\r\n");

		if (outcome != rows[i].outcome)
			fprintf(stderr, "<%s>: outcome %u, not %u\n", rows[i].to, outcome,
				rows[i].outcome);
		CHECK(outcome == rows[i].outcome);
	}
	CHECK(complaints(f) == 1); /* half@ leads to nobody */
}

static void who_gets_what_is_decided_by_accounts_aliases_and_subaddresses(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = matrix });
}

static size_t count_of(struct fixture *f, const char *address, const char *folder) WAITS
{
	struct arena arena = { 0 };
	size_t count = read_all(f, &arena, address, folder).count;

	arena_drop(&arena);
	return count;
}

static void several(struct fixture *f) WAITS
{
	struct handover h = { .message = 9,
			      .to = { "team@example.org", "anna@example.org", "bert@example.org",
				      "nobody@example.org", "anna@elsewhere.example" },
			      .body = S("once\r\n") };
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	add_alias(f, "team@example.org", "anna@example.org");
	add_alias(f, "team@example.org", "bert@example.org");
	for (int again = 0; again < 3; again++) {
		CHECK(hand_over(f, &h, out) == OK);
		CHECK(out[0] == DELIVERY_DONE && out[1] == DELIVERY_DONE);
		CHECK(out[2] == DELIVERY_DONE && out[3] == DELIVERY_UNKNOWN);
		CHECK(out[4] == DELIVERY_NOT_OURS);
		CHECK(count_of(f, "anna@example.org", "INBOX") == 1);
		CHECK(count_of(f, "bert@example.org", "inbox") == 1);
		fixture_reopen(f);
	}
	CHECK(complaints(f) == 0);
}

static void a_message_is_kept_once_for_a_mailbox_however_often_it_is_handed_over(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = several });
}

static void quotas(struct fixture *f) WAITS
{
	struct answer_recipient answer = { 0 };
	struct ask_recipient ask = { .address = S("small@example.org"), .size = 10 };
	struct arena arena = { 0 };

	add_account(f, "small@example.org", NULL, 200);
	add_account(f, "anna@example.org", NULL, -1);
	add_alias(f, "both@example.org", "small@example.org");
	add_alias(f, "both@example.org", "anna@example.org");
	CHECK(store_recipient(f->peer, &ask, &arena, &answer) == OK);
	CHECK(answer.verdict == RECIPIENT_LOCAL);
	for (uint64_t i = 1; i <= 4; i++) /* 33 octets of Return-Path and 17 of text */
		CHECK(hand_one(f, i, "small@example.org", "fifteen octets.\r\n") == DELIVERY_DONE);
	CHECK(hand_one(f, 5, "small@example.org", "x") == DELIVERY_FULL);
	CHECK(hand_one(f, 6, "both@example.org", "x") == DELIVERY_FULL);
	CHECK(count_of(f, "anna@example.org", "INBOX") == 0);
	CHECK(store_recipient(f->peer, &ask, &arena, &answer) == OK);
	CHECK(answer.verdict == RECIPIENT_FULL);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void a_full_account_refuses_and_takes_nobody_else_along(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = quotas });
}

static void on_arrival(struct fixture *f) WAITS
{
	struct handover h = { .message = 1,
			      .to = { "new@anywhere.example", "new+tag@anywhere.example" },
			      .body = S("hello\r\n"),
			      .create = true };
	uint64_t out[8];

	CHECK(hand_over(f, &h, out) == OK);
	CHECK(out[0] == DELIVERY_DONE && out[1] == DELIVERY_DONE);
	CHECK(count_of(f, "new@anywhere.example", "INBOX") == 1);
	h.create = false;
	h.message = 2;
	h.to[0] = "other@anywhere.example";
	CHECK(hand_over(f, &h, out) == OK);
	CHECK(out[0] == DELIVERY_UNKNOWN);
	CHECK(complaints(f) == 0);
}

static void accounts_come_into_being_as_mail_arrives_where_that_is_wanted(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = on_arrival,
				       .config_text = "accept_any_domain = yes\n"
						      "catch_all = yes\n" });
}

static void folders(struct fixture *f) WAITS
{
	add_account(f, "anna@example.org", NULL, -1);
	CHECK(hand_one(f, 1, "anna+lists@example.org", "x") == DELIVERY_DONE);
	CHECK(hand_one(f, 2, "anna+lists@example.org", "y") == DELIVERY_DONE);
	CHECK(hand_one(f, 3, "anna+../../etc@example.org", "z") == DELIVERY_DONE);
	CHECK(count_of(f, "anna@example.org", "lists") == 2);
	CHECK(count_of(f, "anna@example.org", "INBOX") == 1);
}

static void subaddresses_make_folders_where_that_is_wanted(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = folders,
				       .config_text = "subaddress_folders = create\n" });
}

/* ---- a commit is shared ---- */

struct crowd {
	struct fixture *f;
	uint64_t message;
	uint64_t batch;
};

static void deliver_one(void *arg) WAITS
{
	struct crowd *crowd = arg;
	struct arena arena = { 0 };
	struct str to = S("anna@example.org");
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = crowd->message,
				   .recipients = { &to, 1 },
				   .body = body_of(S("hello\r\n")) };

	CHECK(store_deliver(crowd->f->peer, &ask, &arena, &answer) == OK);
	crowd->batch = answer.batch;
	body_done(&ask.body);
	arena_drop(&arena);
}

static void crowds(struct fixture *f) WAITS
{
	enum { CROWD = 300 };
	static struct crowd crowd[CROWD];
	struct fiber_group group;
	uint64_t commits;
	uint64_t largest = 0;

	add_account(f, "anna@example.org", NULL, -1);
	commits = f->store->commits;
	group_init(&group);
	for (size_t i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){ .f = f, .message = 1000 + i };
		CHECK(fiber_spawn(&group, "sender", deliver_one, &crowd[i], NULL) == OK);
	}
	CHECK(group_wait(&group, NEVER) == OK);
	for (size_t i = 0; i < CROWD; i++)
		if (crowd[i].batch > largest)
			largest = crowd[i].batch;
	CHECK(largest > 100);
	CHECK(f->store->commits - commits < 10);
	CHECK(count_of(f, "anna@example.org", "INBOX") == CROWD);
	CHECK(complaints(f) == 0);
}

static void many_who_wait_share_a_commit(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = crowds });
}

static void large(struct fixture *f) WAITS
{
	size_t len = 9 << 20;
	char *text = malloc(len);
	struct handover h = { .message = 5, .to = { "anna@example.org" }, .body = { text, len } };
	uint64_t out[8] = { 99 };
	struct arena arena = { 0 };
	struct strs all;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(i * 7 + i / 1000);
	add_account(f, "anna@example.org", NULL, -1);
	CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE);
	h.message = 6;
	h.body.len = 65535;
	CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE);
	h.message = 7;
	h.body.len = 0;
	CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE);
	fixture_reopen(f);
	all = read_all(f, &arena, "anna@example.org", "INBOX");
	CHECK(all.count == 3);
	CHECK(all.count == 3 && all.at[0].len == len + 33 &&
	      memcmp(all.at[0].at + 33, text, len) == 0);
	CHECK(all.count == 3 && all.at[1].len == 65535 + 33 && all.at[2].len == 33);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
	free(text);
}

static void a_body_may_be_larger_than_a_segment_and_may_be_empty(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = large, .config_text = "segment_size = 1M\n" });
}

/* Gates make ids apart: two of them may meet, and neither message may pass for the other. */
static void ids_that_meet(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct handover other = { .message = 7,
				  .sender = "else@example.com",
				  .to = { "anna@example.org" },
				  .body = S("first\r\n") };
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	CHECK(hand_one(f, 7, "anna@example.org", "first\r\n") == DELIVERY_DONE);
	/* The same once more: it is there already. */
	CHECK(hand_one(f, 7, "anna@example.org", "first\r\n") == DELIVERY_DONE);
	CHECK(read_all(f, &arena, "anna@example.org", "INBOX").count == 1);
	/* Another message: it is not kept, and nobody says it was. */
	CHECK(hand_one(f, 7, "anna@example.org", "second one\r\n") == 100 + ERR_EXISTS);
	CHECK(hand_over(f, &other, out) == ERR_EXISTS);
	CHECK(hand_one(f, 8, "anna@example.org", "second one\r\n") == DELIVERY_DONE);
	CHECK(read_all(f, &arena, "anna@example.org", "INBOX").count == 2);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void another_message_of_the_same_id_is_not_taken_for_kept(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = ids_that_meet });
}

/* A gate that has fallen may offer what takes it nothing to make: a hole of any size. */
static void a_hole(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct str to = S("anna@example.org");
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = 9, .recipients = { &to, 1 } };

	add_account(f, "anna@example.org", NULL, -1);
	ask.body = (struct body){ .fd = memfd_create("hole", MFD_CLOEXEC | MFD_ALLOW_SEALING),
				  .size = f->config->message_size_max + (1 << 20) };
	CHECK(ask.body.fd >= 0 && ftruncate(ask.body.fd, (off_t)ask.body.size) == 0);
	CHECK(fcntl(ask.body.fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	CHECK(store_deliver(f->peer, &ask, &arena, &answer) == ERR_LIMIT);
	CHECK(read_all(f, &arena, "anna@example.org", "INBOX").count == 0);
	body_done(&ask.body);
	arena_drop(&arena);
}

static void a_body_over_the_largest_size_is_not_even_looked_at(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = a_hole,
		.config_text = "hostname = mail.example.org\nmessage_size_max = 1M\n" });
}

enum { LISTED = 100 };

static enum err send_to_list(struct fixture *f, uint64_t message, size_t times) WAITS
{
	struct arena arena = { 0 };
	struct str *to = NEW_ARRAY(&arena, struct str, times);
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = message, .recipients = { to, times } };
	enum err err;

	for (size_t i = 0; i < times; i++)
		to[i] = str_print(&arena, "list+%zu@example.org", i);
	ask.body = body_of(S("hello\r\n"));
	err = store_deliver(f->peer, &ask, &arena, &answer);
	for (size_t i = 0; i < answer.outcomes.count; i++)
		CHECK(answer.outcomes.at[i] == DELIVERY_DONE);
	arena_drop(&arena);
	return err;
}

/* A stranger names one list under a thousand names: that must not keep the writer from all others. */
static void a_list_many_times(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	char name[40];

	for (unsigned i = 0; i < LISTED; i++) {
		snprintf(name, sizeof(name), "u%u@example.org", i);
		add_account(f, name, NULL, -1);
		add_alias(f, "list@example.org", name);
	}
	CHECK(send_to_list(f, 1, LIMIT_delivery_addresses / (LISTED + 1)) == OK);
	CHECK(send_to_list(f, 2, LIMIT_delivery_addresses / (LISTED + 1) + 1) == ERR_LIMIT);
	CHECK(read_all(f, &arena, "u0@example.org", "INBOX").count == 1);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void a_message_for_very_many_through_aliases_is_refused_as_a_whole(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = a_list_many_times,
				       .config_text =
					       "hostname = mail.example.org\ndurable = false\n" });
}

struct remaking {
	struct job job;
	struct arena arena;
	uint64_t uid_validity[3];
};

/* An account is made and deleted three times, at moments of a clock that stands and then goes back. */
static enum err run_remaking(struct writer *writer, struct job *job)
{
	static const int64_t at_us[] = { 1800000000000000, 1800000000999999, 1700000000000000 };
	struct remaking *r = CONTAINER_OF(job, struct remaking, job);
	struct str address = S("anna@example.org");
	enum err err = OK;

	for (size_t i = 0; !err && i < COUNT_OF(at_us); i++) {
		struct account_new anna = { address, at_us[i], -1 };
		struct account account = { 0 };
		struct mailbox mailbox = { 0 };
		bool found = false;

		err = account_make(writer->db, &r->arena, &anna);
		if (!err)
			err = account_find(writer->db, &r->arena, address, &account, &found);
		if (!err)
			err = mailbox_find(writer->db, account.id, S("INBOX"), &mailbox, &found);
		r->uid_validity[i] = mailbox.uid_validity;
		if (!err)
			err = db_run(writer->db, Q_account_delete, db_str(address));
	}
	return err;
}

static void made_again(struct fixture *f) WAITS
{
	struct remaking r = { .job.run = run_remaking };

	CHECK(store_commit(f->store, &r.job) == OK);
	CHECK(r.uid_validity[0] >= 1800000000);
	CHECK(r.uid_validity[1] > r.uid_validity[0]);
	CHECK(r.uid_validity[2] > r.uid_validity[1]);
	arena_drop(&r.arena);
}

static void a_mailbox_made_again_never_has_the_validity_of_an_earlier_one(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = made_again });
}

/* ---- what RCPT costs ---- */

static uint64_t ask_for(struct fixture *f, const char *address) WAITS
{
	struct arena arena = { 0 };
	struct answer_recipient answer = { 0 };
	struct ask_recipient ask = { .address = str_of(address) };

	CHECK(store_recipient(f->peer, &ask, &arena, &answer) == OK);
	arena_drop(&arena);
	return answer.verdict;
}

struct expanding {
	struct arena arena;
	struct resolve_policy policy;
};

static enum err expand(struct db *db, void *arg)
{
	struct expanding *expanding = arg;
	struct resolution resolution;

	return resolve_address(db, &expanding->arena, &expanding->policy, S("list@example.org"),
			       &resolution);
}

static void ask_for_lists(struct fixture *f) WAITS
{
	enum { TIMES = 100 };
	struct expanding expanding = { .policy.separator = S("+") };
	char address[60];
	moment since;
	int64_t expanded_us, alone_us, folders_us;

	for (int i = 0; i < 400; i++) {
		snprintf(address, sizeof(address), "member%d@example.org", i);
		add_account(f, address, NULL, 1000000);
		add_alias(f, "list@example.org", address);
	}
	add_alias(f, "list+own@example.org", "nobody@example.org");
	CHECK(ask_for(f, "list@example.org") == RECIPIENT_LOCAL);
	since = now();
	for (int i = 0; i < TIMES; i++)
		CHECK(store_read(f->store, expand, &expanding) == OK);
	expanded_us = now() - since;
	since = now();
	for (int i = 0; i < TIMES; i++)
		CHECK(ask_for(f, "list@example.org") == RECIPIENT_LOCAL);
	alone_us = now() - since; /* from memory, however many have a quota */
	since = now();
	for (int i = 0; i < TIMES; i++) {
		snprintf(address, sizeof(address), "list+%d@example.org", i);
		CHECK(ask_for(f, address) == RECIPIENT_LOCAL);
	}
	folders_us = now() - since;
	CHECK(3 * alone_us < expanded_us && 3 * folders_us < expanded_us);
	CHECK(ask_for(f, "list+own@example.org") == RECIPIENT_UNKNOWN);
	CHECK(ask_for(f, "nolist+1@example.org") == RECIPIENT_UNKNOWN);
	CHECK(ask_for(f, "member1+x@example.org") == RECIPIENT_LOCAL);
	arena_drop(&expanding.arena);
}

static void a_list_is_expanded_once_whatever_is_added_to_its_name(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = ask_for_lists });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_expanded_once_whatever_is_added_to_its_name),
		cmocka_unit_test(a_message_comes_back_as_it_was_behind_its_return_path),
		cmocka_unit_test(the_same_in_the_simulated_world),
		cmocka_unit_test(who_gets_what_is_decided_by_accounts_aliases_and_subaddresses),
		cmocka_unit_test(
			a_message_is_kept_once_for_a_mailbox_however_often_it_is_handed_over),
		cmocka_unit_test(a_full_account_refuses_and_takes_nobody_else_along),
		cmocka_unit_test(accounts_come_into_being_as_mail_arrives_where_that_is_wanted),
		cmocka_unit_test(subaddresses_make_folders_where_that_is_wanted),
		cmocka_unit_test(many_who_wait_share_a_commit),
		cmocka_unit_test(a_body_may_be_larger_than_a_segment_and_may_be_empty),
		cmocka_unit_test(another_message_of_the_same_id_is_not_taken_for_kept),
		cmocka_unit_test(a_body_over_the_largest_size_is_not_even_looked_at),
		cmocka_unit_test(a_message_for_very_many_through_aliases_is_refused_as_a_whole),
		cmocka_unit_test(a_mailbox_made_again_never_has_the_validity_of_an_earlier_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
