/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define ANNA "anna@example.org"

static enum err open_drop(struct peer *peer, uint64_t account, struct answer_maildrop_open *drop)
	WAITS
{
	*drop = (struct answer_maildrop_open){ 0 };
	return store_maildrop_open(peer, &(struct ask_maildrop_open){ .account = account }, drop);
}

static enum err close_drop(struct peer *peer, uint64_t drop) WAITS
{
	return store_maildrop_close(peer, &(struct ask_maildrop_close){ .drop = drop });
}

static void locks(struct fixture *f) WAITS
{
	struct answer_maildrop_open first, second;
	uint64_t anna;
	struct peer *ours = f->peer;
	struct peer *other = peer_new(f->store);
	uint64_t there;

	add_account(f, ANNA, NULL, -1);
	anna = sign_in_as(f, ANNA);
	f->peer = other;
	there = sign_in_as(f, ANNA);
	f->peer = ours;
	CHECK(open_drop(ours, anna, &first) == OK);
	CHECK(open_drop(ours, anna, &second) == ERR_BUSY);
	CHECK(open_drop(other, there, &second) == ERR_BUSY);
	CHECK(open_drop(other, anna, &second) == ERR_DENIED);
	CHECK(close_drop(other, first.drop) == ERR_DENIED);
	CHECK(close_drop(ours, anna) == ERR_DENIED); /* a handle of another kind */
	CHECK(close_drop(ours, first.drop) == OK);
	CHECK(close_drop(ours, first.drop) == ERR_DENIED);
	CHECK(open_drop(other, there, &second) == OK);
	CHECK(open_drop(ours, anna, &first) == ERR_BUSY);
	peer_drop(&other); /* the channel ends */
	CHECK(open_drop(ours, anna, &first) == OK);
	CHECK(store_maildrop_open(
		      ours, &(struct ask_maildrop_open){ .account = anna, .folder = S("nothing") },
		      &second) == ERR_NOT_FOUND);
}

static void one_session_holds_a_maildrop_until_it_or_its_channel_ends(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = locks });
}

static void delay(struct fixture *f) WAITS
{
	struct answer_maildrop_open drop;
	uint64_t anna;

	add_account(f, ANNA, NULL, -1);
	anna = sign_in_as(f, ANNA);
	CHECK(open_drop(f->peer, anna, &drop) == OK);
	CHECK(close_drop(f->peer, drop.drop) == OK);
	CHECK(open_drop(f->peer, anna, &drop) == ERR_LIMIT);
	CHECK(fiber_sleep(in_ms(59000)) == OK);
	CHECK(open_drop(f->peer, anna, &drop) == ERR_LIMIT);
	CHECK(fiber_sleep(in_ms(1001)) == OK);
	CHECK(open_drop(f->peer, anna, &drop) == OK);
}

static void a_login_too_soon_after_the_last_is_refused(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = delay, .simulated = true, .config_text = "pop3_login_delay = 1m\n" });
}

static enum err read_at(struct fixture *f, struct arena *arena, const uint64_t where[4],
			struct str *out) WAITS
{
	struct answer_maildrop_read answer = { 0 };
	struct ask_maildrop_read ask = {
		.drop = where[0], .index = where[1], .offset = where[2], .length = where[3]
	};
	enum err err = store_maildrop_read(f->peer, &ask, arena, &answer);

	*out = answer.octets.octets;
	return err;
}

static void pieces(struct fixture *f) WAITS
{
	struct str whole = S("Return-Path: <from@example.com>\r\nSubject: x\r\n\r\nbody\r\n");
	struct answer_maildrop_open drop;
	struct answer_maildrop_list list = { 0 };
	struct arena arena = { 0 };
	struct str piece;

	add_account(f, ANNA, NULL, -1);
	CHECK(hand_one(f, 1, ANNA, "Subject: x\r\n\r\nbody\r\n") == DELIVERY_DONE);
	CHECK(open_drop(f->peer, sign_in_as(f, ANNA), &drop) == OK);
	CHECK(drop.count == 1 && drop.octets == whole.len && drop.uid_validity > 0);
	CHECK(hand_one(f, 2, ANNA, "later\r\n") == DELIVERY_DONE); /* not in the frozen list */
	CHECK(store_maildrop_list(f->peer, &(struct ask_maildrop_list){ .drop = drop.drop }, &arena,
				  &list) == OK);
	CHECK(list.uids.count == 1 && list.uids.at[0] == 1 && list.sizes.at[0] == whole.len);
	CHECK(store_maildrop_list(f->peer,
				  &(struct ask_maildrop_list){ .drop = drop.drop, .first = 1 },
				  &arena, &list) == OK);
	CHECK(list.uids.count == 0);
	for (uint64_t from = 0; from <= whole.len + 2; from++)
		for (uint64_t len = 0; len <= whole.len + 2; len += 5) {
			uint64_t where[4] = { drop.drop, 0, from, len };

			CHECK(read_at(f, &arena, where, &piece) == OK);
			CHECK(str_is(piece, str_first(str_from(whole, from), len)));
			arena_reset(&arena);
		}
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop, 1, 0, 9 }, &piece) == ERR_NOT_FOUND);
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop, UINT64_MAX, 0, 9 }, &piece) ==
	      ERR_NOT_FOUND);
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop, 0, UINT64_MAX, 9 }, &piece) == OK);
	CHECK(piece.len == 0);
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop + 1, 0, 0, 9 }, &piece) == ERR_DENIED);
	arena_drop(&arena);
}

static void any_piece_can_be_read_and_the_list_stays_frozen(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = pieces });
}

static void deletions(struct fixture *f) WAITS
{
	static const uint64_t first_two[] = { 0, 1, 1 };
	static const uint64_t bad[] = { 2, 7 };
	struct answer_maildrop_open drop;
	struct answer_maildrop_delete deleted = { 0 };
	struct arena arena = { 0 };
	struct strs left;
	uint64_t anna;

	add_account(f, ANNA, NULL, 1000);
	add_account(f, "bert@example.org", NULL, -1);
	add_alias(f, "both@example.org", ANNA);
	add_alias(f, "both@example.org", "bert@example.org");
	CHECK(hand_one(f, 1, ANNA, "one\r\n") == DELIVERY_DONE);
	CHECK(hand_one(f, 2, "both@example.org", "two\r\n") == DELIVERY_DONE);
	CHECK(hand_one(f, 3, ANNA, "three\r\n") == DELIVERY_DONE);
	anna = sign_in_as(f, ANNA);
	CHECK(open_drop(f->peer, anna, &drop) == OK && drop.count == 3);
	CHECK(store_maildrop_delete(
		      f->peer,
		      &(struct ask_maildrop_delete){ .drop = drop.drop, .indexes = { bad, 2 } },
		      &deleted) == ERR_NOT_FOUND);
	CHECK(store_maildrop_delete(f->peer,
				    &(struct ask_maildrop_delete){ .drop = drop.drop,
								   .indexes = { first_two, 3 } },
				    &deleted) == OK);
	CHECK(deleted.deleted == 2);
	fixture_reopen(f);
	left = read_all(f, &arena, ANNA, "INBOX");
	CHECK(left.count == 1 && str_ends_nocase(left.at[0], S("three\r\n")));
	left = read_all(f, &arena, "bert@example.org", "INBOX");
	CHECK(left.count == 1 && str_ends_nocase(left.at[0], S("two\r\n")));
	/* A number is never given a second time. */
	CHECK(hand_one(f, 4, ANNA, "four\r\n") == DELIVERY_DONE);
	CHECK(open_drop(f->peer, sign_in_as(f, ANNA), &drop) == OK && drop.count == 2);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void what_is_deleted_is_gone_and_the_rest_is_there(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = deletions });
}

static void damage(struct fixture *f) WAITS
{
	struct answer_maildrop_open drop;
	struct arena arena = { 0 };
	struct str piece;
	char path[400];
	int fd;

	add_account(f, ANNA, NULL, -1);
	CHECK(hand_one(f, 1, ANNA, "the quick brown fox\r\n") == DELIVERY_DONE);
	CHECK(hand_one(f, 2, ANNA, "another one\r\n") == DELIVERY_DONE);
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	fd = open(path, O_WRONLY);
	CHECK(pwrite(fd, "X", 1, SEGMENT_HEADER + RECORD_HEADER + 18) == 1);
	close(fd);
	CHECK(open_drop(f->peer, sign_in_as(f, ANNA), &drop) == OK);
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop, 0, 0, 40 }, &piece) == ERR_CORRUPT);
	CHECK(read_at(f, &arena, (uint64_t[]){ drop.drop, 1, 0, 60 }, &piece) == OK);
	CHECK(complaints(f) == 1);
	arena_drop(&arena);
}

static void a_damaged_body_is_told_and_never_handed_out(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = damage });
}

struct closing {
	struct fixture *f;
	uint64_t drop;
	enum err err;
};

static void read_slowly(void *arg) WAITS
{
	struct closing *c = arg;
	struct arena arena = { 0 };
	struct str piece;

	c->err = read_at(c->f, &arena, (uint64_t[]){ c->drop, 0, 0, 60000 }, &piece);
	arena_drop(&arena);
}

static void close_under_way(struct fixture *f) WAITS
{
	struct answer_maildrop_open drop;
	struct closing readers[10];
	struct fiber_group group;
	uint64_t anna;

	add_account(f, ANNA, NULL, -1);
	CHECK(hand_one(f, 1, ANNA, "one\r\n") == DELIVERY_DONE);
	anna = sign_in_as(f, ANNA);
	for (int round = 0; round < 20; round++) {
		group_init(&group);
		CHECK(open_drop(f->peer, anna, &drop) == OK);
		for (size_t i = 0; i < COUNT_OF(readers); i++) {
			readers[i] = (struct closing){ f, drop.drop, OK };
			CHECK(fiber_spawn(&group, "reader", read_slowly, &readers[i], NULL) == OK);
		}
		CHECK(fiber_yield() == OK);
		CHECK(close_drop(f->peer, drop.drop) == OK);
		CHECK(group_wait(&group, NEVER) == OK);
		for (size_t i = 0; i < COUNT_OF(readers); i++)
			CHECK(readers[i].err == OK || readers[i].err == ERR_DENIED);
	}
}

static void a_maildrop_may_be_closed_while_it_is_being_read(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = close_under_way });
}

enum { TOGETHER = 60, PIECE_OF_SIX = 10 };

struct together {
	struct fixture *f;
	uint64_t where[4];
	struct arena arena;
	struct str piece;
	enum err err;
};

static void read_one(void *arg) WAITS
{
	struct together *t = arg;

	t->err = read_at(t->f, &t->arena, t->where, &t->piece);
}

static void check_whole(const struct together pieces[6], uint64_t number)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf whole = BUF(1000);

	for (size_t i = 0; i < 6; i++) {
		CHECK(pieces[i].err == OK);
		buf_add(&whole, pieces[i].piece);
	}
	CHECK(str_is(buf_str(&whole),
		     str_print(&arena,
			       "Return-Path: <from@example.com>\r\nSubject: x\r\n\r\nbody %llu\r\n",
			       (unsigned long long)number)));
}

/* Flips a bit of the text whose number this is. */
static void damage_body(int fd, unsigned number)
{
	char octets[4096];
	ssize_t got = pread(fd, octets, sizeof(octets), 0);
	char text[20];
	size_t at;

	CHECK(got > 0);
	snprintf(text, sizeof(text), "body %u", number);
	at = str_find_str((struct str){ octets, (size_t)got }, str_of(text));
	CHECK(at != STR_NONE);
	CHECK(pwrite(fd, "B", 1, (off_t)at) == 1);
}

/* Six pieces each of ten messages, all at once; the fourth message is damaged. */
static void read_together(struct fixture *f) WAITS
{
	struct answer_maildrop_open drop;
	struct together all[TOGETHER] = { 0 };
	struct fiber_group group;
	char path[400];
	int fd;

	add_account(f, ANNA, NULL, -1);
	for (uint64_t i = 0; i < 10; i++) {
		char text[40];

		snprintf(text, sizeof(text), "Subject: x\r\n\r\nbody %llu\r\n",
			 (unsigned long long)i);
		CHECK(hand_one(f, i + 1, ANNA, text) == DELIVERY_DONE);
	}
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", f->folder);
	fd = open(path, O_RDWR);
	damage_body(fd, 3);
	close(fd);
	CHECK(open_drop(f->peer, sign_in_as(f, ANNA), &drop) == OK);
	group_init(&group);
	for (uint64_t i = 0; i < TOGETHER; i++) {
		all[i].f = f;
		memcpy(all[i].where,
		       (uint64_t[]){ drop.drop, i / 6, i % 6 * PIECE_OF_SIX, PIECE_OF_SIX },
		       sizeof(all[i].where));
		CHECK(fiber_spawn(&group, "reader", read_one, &all[i], NULL) == OK);
	}
	CHECK(group_wait(&group, NEVER) == OK);
	for (uint64_t i = 0; i < TOGETHER; i++)
		if (i / 6 == 3)
			CHECK(all[i].err == ERR_CORRUPT && all[i].piece.len == 0);
		else if (i % 6 == 0)
			check_whole(&all[i], i / 6);
	for (size_t i = 0; i < TOGETHER; i++)
		arena_drop(&all[i].arena);
}

static void of_pieces_asked_for_together_only_the_damaged_ones_fail(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = read_together });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_session_holds_a_maildrop_until_it_or_its_channel_ends),
		cmocka_unit_test(a_login_too_soon_after_the_last_is_refused),
		cmocka_unit_test(any_piece_can_be_read_and_the_list_stays_frozen),
		cmocka_unit_test(what_is_deleted_is_gone_and_the_rest_is_there),
		cmocka_unit_test(a_damaged_body_is_told_and_never_handed_out),
		cmocka_unit_test(a_maildrop_may_be_closed_while_it_is_being_read),
		cmocka_unit_test(of_pieces_asked_for_together_only_the_damaged_ones_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
