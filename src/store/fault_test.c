/* SPDX-License-Identifier: Apache-2.0 */
/* Every write and every flush fails once; what was acknowledged is there afterwards, once and whole. */
#include "store/fault_vfs.h"
#include "store/fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ANNA "anna@example.org"

enum { TRIES = 6 };

static struct str body_of_id(struct arena *arena, uint64_t id)
{
	struct str text = str_print(arena, "Subject: %llu\r\n\r\n", (unsigned long long)id);
	size_t len = 100 + id * 1777 % 9000;
	char *at = arena_take(arena, text.len + len);

	memcpy(at, text.at, text.len);
	for (size_t i = 0; i < len; i++)
		at[text.len + i] = (char)('a' + (i * 31 + id) % 26);
	return (struct str){ at, text.len + len };
}

static enum err hand_id(struct fixture *f, uint64_t id) WAITS
{
	struct arena arena = { 0 };
	struct handover h = { .message = id, .to = { ANNA }, .body = body_of_id(&arena, id) };
	uint64_t out[8] = { 0 };
	enum err err = hand_over(f, &h, out);

	if (!err)
		CHECK(out[0] == DELIVERY_DONE);
	arena_drop(&arena);
	return err;
}

/* How often is this body there, octet for octet? */
static size_t times_there(const struct strs *all, uint64_t id)
{
	struct arena arena = { 0 };
	struct str body = body_of_id(&arena, id);
	size_t times = 0;

	for (size_t i = 0; i < all->count; i++)
		times += str_is(str_from(all->at[i], 33), body);
	arena_drop(&arena);
	return times;
}

/* Acknowledged: exactly once. Not acknowledged: at most once. And nothing else is there. */
static void judge(struct fixture *f, const bool *acked, size_t count) WAITS
{
	struct arena arena = { 0 };
	struct strs all = read_all(f, &arena, ANNA, "INBOX");
	size_t known = 0;

	for (size_t id = 1; id < count; id++) {
		size_t times = times_there(&all, id);

		known += times;
		CHECK(times <= 1);
		CHECK(!acked[id] || times == 1);
	}
	CHECK(known == all.count);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void sweep(struct fixture *f, struct fault_plan plan) WAITS
{
	static bool acked[2000];
	size_t next = 1;
	bool struck = true;

	memset(acked, 0, sizeof(acked));
	add_account(f, ANNA, NULL, -1);
	for (long n = 0; struck && next + TRIES < COUNT_OF(acked); n++) {
		fault_clear();
		fault_plan = plan;
		*(plan.write_at >= 0 ? &fault_plan.write_at : &fault_plan.flush_at) = n;
		for (int i = 0; i < TRIES; i++) {
			acked[next] = hand_id(f, next) == OK;
			next++;
		}
		struck = plan.write_at >= 0 ? fault_plan.writes > n : fault_plan.flushes > n;
		fault_clear();
		fixture_reopen(f);
		if (n % 10 == 0)
			judge(f, acked, next);
	}
	CHECK(!struck);
	judge(f, acked, next);
	acked[next] = hand_id(f, next) == OK;
	CHECK(acked[next]);
	judge(f, acked, next + 1);
}

static void writes_full(struct fixture *f) WAITS
{
	sweep(f, (struct fault_plan){ .write_at = 0, .flush_at = -1, .error = ENOSPC });
	CHECK(f->fatal_calls == 0);
}

static void writes_broken(struct fixture *f) WAITS
{
	sweep(f, (struct fault_plan){ .write_at = 0, .flush_at = -1, .error = EIO });
	CHECK(f->fatal_calls == 0); /* one at a time is borne */
}

static void flushes_broken(struct fixture *f) WAITS
{
	sweep(f, (struct fault_plan){ .write_at = -1, .flush_at = 0 });
	CHECK(f->fatal_calls > 5);
}

static void whichever_write_finds_the_disk_full_nothing_acknowledged_is_lost(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = writes_full, .io = &fault_io });
}

static void whichever_write_fails_nothing_acknowledged_is_lost(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = writes_broken, .io = &fault_io });
}

static void whichever_flush_fails_nothing_acknowledged_is_lost(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = flushes_broken, .io = &fault_io });
}

static void flush_fails(struct fixture *f) WAITS
{
	add_account(f, ANNA, NULL, -1);
	CHECK(hand_id(f, 1) == OK);
	fault_plan.flush_at = 0;
	fault_plan.flushes = 0;
	CHECK(hand_id(f, 2) == ERR_IO);
	CHECK(f->fatal_calls == 1);
	fault_clear(); /* a second flush would succeed now, and lie */
	CHECK(hand_id(f, 3) == ERR_IO);
	CHECK(f->fatal_calls == 1);
	fixture_reopen(f);
	CHECK(hand_id(f, 4) == OK);
	judge(f, (bool[]){ false, true, false, false, true }, 5);
}

static void after_a_failed_flush_nothing_is_acknowledged_until_recovery(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = flush_fails, .io = &fault_io });
}

static void twice(struct fixture *f) WAITS
{
	add_account(f, ANNA, NULL, -1);
	fault_plan.write_at = 0;
	fault_plan.writes = 0;
	fault_plan.error = EIO;
	fault_plan.stays = true;
	CHECK(hand_id(f, 1) == ERR_IO);
	CHECK(f->fatal_calls == 0);
	CHECK(hand_id(f, 2) == ERR_IO);
	CHECK(f->fatal_calls == 1);
	fault_clear();
	CHECK(hand_id(f, 3) == ERR_IO);
}

static void two_commits_in_a_row_that_fail_by_input_or_output_end_the_process(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = twice, .io = &fault_io });
}

/* A limit of the kernel's own stands for the disk that is full. */
static void full(struct fixture *f) WAITS
{
	static bool acked[4000];
	struct rlimit old;
	struct rlimit small;
	enum err err = OK;
	size_t id = 1;

	memset(acked, 0, sizeof(acked));
	add_account(f, ANNA, NULL, -1);
	must(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = (struct rlimit){ 600000, old.rlim_max };
	must(setrlimit(RLIMIT_FSIZE, &small) == 0);
	for (; !err && id < COUNT_OF(acked) - 20; id++) {
		err = hand_id(f, id);
		acked[id] = !err;
	}
	CHECK(err == ERR_FULL && id > 10);
	for (int i = 0; i < 5; i++, id++)
		CHECK(hand_id(f, id) == ERR_FULL);
	must(setrlimit(RLIMIT_FSIZE, &old) == 0);
	for (int i = 0; i < 5; i++, id++) {
		acked[id] = hand_id(f, id) == OK; /* by itself, without a restart */
		CHECK(acked[id]);
	}
	CHECK(f->fatal_calls == 0);
	judge(f, acked, id);
	fixture_reopen(f);
	judge(f, acked, id);
}

static void a_full_disk_is_told_and_overcome(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	fixture_run(&(struct fixture){ .body = full });
}

static void no_room(struct fixture *f) WAITS
{
	add_account(f, ANNA, NULL, -1);
	CHECK(!store_has_room(f->store, 1));
	CHECK(hand_id(f, 1) == ERR_FULL);
}

static void below_the_floor_of_free_space_no_mail_is_taken(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = no_room, .config_text = "disk_floor = 1024G\n" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whichever_write_finds_the_disk_full_nothing_acknowledged_is_lost),
		cmocka_unit_test(whichever_write_fails_nothing_acknowledged_is_lost),
		cmocka_unit_test(whichever_flush_fails_nothing_acknowledged_is_lost),
		cmocka_unit_test(after_a_failed_flush_nothing_is_acknowledged_until_recovery),
		cmocka_unit_test(two_commits_in_a_row_that_fail_by_input_or_output_end_the_process),
		cmocka_unit_test(a_full_disk_is_told_and_overcome),
		cmocka_unit_test(below_the_floor_of_free_space_no_mail_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
