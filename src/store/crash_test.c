/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 under load, again and again: each acknowledged message is there once, octet for octet. */
#include "store/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 12, SENDERS = 30, IDS_MAX = 400000, ACCOUNTS = 5 };

static const char configuration[] = "segment_size = 1M\n";
static unsigned char acked[IDS_MAX];
static int ack_pipe;
static uint64_t next_id = 1;

static struct str body_of_id(struct arena *arena, uint64_t id)
{
	size_t len = 40 + id * 7919 % 6000;
	char *at = arena_take(arena, len + 40);
	int head = snprintf(at, 40, "%010llu\r\n", (unsigned long long)id);

	for (size_t i = (size_t)head; i < len; i++)
		at[i] = (char)('!' + (i * 17 + id) % 90);
	return (struct str){ at, len };
}

static struct str account_of_id(struct arena *arena, uint64_t id)
{
	return str_print(arena, "user%llu@example.org", (unsigned long long)(id % ACCOUNTS));
}

/* ---- the child ---- */

static void send_for_ever(void *arg) WAITS
{
	struct fixture *f = arg;
	struct arena arena = { 0 };

	for (;;) {
		uint64_t id = next_id++;
		struct str to = account_of_id(&arena, id);
		struct answer_deliver answer = { 0 };
		struct ask_deliver ask = { .message = id,
					   .sender = S("from@example.com"),
					   .recipients = { &to, 1 } };

		ask.body = body_of(body_of_id(&arena, id));
		must(store_deliver(f->peer, &ask, &arena, &answer) == OK);
		must(answer.outcomes.at[0] == DELIVERY_DONE);
		must(write(ack_pipe, &id, sizeof(id)) == sizeof(id));
		arena_reset(&arena);
	}
}

static void child_body(struct fixture *f) WAITS
{
	struct fiber_group group;

	group_init(&group);
	must(fiber_spawn(&group, "upkeep", store_upkeep, f->store, NULL) == OK);
	for (int i = 0; i < SENDERS; i++)
		must(fiber_spawn(&group, "sender", send_for_ever, f, NULL) == OK);
	(void)!group_wait(&group, NEVER);
}

/* ---- the parent ---- */

static uint64_t newest_ack;

static void kill_round(struct fixture *f, unsigned round)
{
	struct timespec pause = { 0, 30000000 + (long)(round * 37 % 200) * 1000000 };
	struct fixture child = *f;
	uint64_t id;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		ack_pipe = fds[1];
		child.body = child_body;
		fixture_run(&child);
		_exit(1);
	}
	close(fds[1]);
	/* The clock runs from the first acknowledgement on. */
	if (read(fds[0], &id, sizeof(id)) == sizeof(id)) {
		acked[id] = 1;
		newest_ack = id > newest_ack ? id : newest_ack;
	}
	nanosleep(&pause, NULL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(fds[0], &id, sizeof(id)) == sizeof(id)) {
		assert_true(id < IDS_MAX);
		acked[id] = 1;
		newest_ack = id > newest_ack ? id : newest_ack;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Ids that were under way may be there: they are not used again. */
	next_id = newest_ack + 2 * SENDERS;
}

static void note_message(unsigned char *seen, struct str text)
{
	struct arena arena = { 0 };
	struct str body = str_from(text, 33);
	uint64_t id = 0;

	CHECK(str_to_u64(str_first(body, 10), IDS_MAX - 1, &id) && id > 0);
	CHECK(str_is(body, body_of_id(&arena, id)));
	seen[id]++;
	arena_drop(&arena);
}

static void judge(struct fixture *f) WAITS
{
	static unsigned char seen[IDS_MAX];
	struct arena arena = { 0 };
	size_t lost = 0;
	size_t twice = 0;
	size_t ghosts = 0;

	memset(seen, 0, sizeof(seen));
	for (uint64_t account = 0; account < ACCOUNTS; account++) {
		struct str address = account_of_id(&arena, account);
		struct strs all = read_all(f, &arena, str_dup_c(&arena, address), "INBOX");

		for (size_t i = 0; i < all.count; i++)
			note_message(seen, all.at[i]);
		arena_reset(&arena);
	}
	for (size_t id = 1; id < IDS_MAX; id++) {
		lost += acked[id] && !seen[id];
		twice += seen[id] > 1;
		ghosts += seen[id] && !acked[id];
	}
	CHECK(lost == 0);
	CHECK(twice == 0);
	/* In flight when it was killed: kept, and nobody heard of it. */
	CHECK(ghosts <= ROUNDS * SENDERS);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void set_up(struct fixture *f) WAITS
{
	for (int i = 0; i < ACCOUNTS; i++) {
		char address[40];

		snprintf(address, sizeof(address), "user%d@example.org", i);
		add_account(f, address, NULL, -1);
	}
}

static void killed_at_any_moment_the_store_has_what_it_acknowledged(void **state)
{
	struct fixture f = { .config_text = configuration };
	struct fixture first;
	size_t count = 0;

	(void)state;
	snprintf(f.folder, sizeof(f.folder), "/tmp/glasspost-crash-XXXXXX");
	assert_non_null(mkdtemp(f.folder));
	first = f;
	first.body = set_up;
	fixture_make(&first);
	f.keep_folder = true;
	for (unsigned round = 0; round < ROUNDS; round++) {
		kill_round(&f, round);
		f.body = judge;
		if (round % 4 == 3)
			fixture_run(&f);
	}
	for (size_t id = 0; id < IDS_MAX; id++)
		count += acked[id];
	printf("%zu messages acknowledged over %d kills\n", count, ROUNDS);
	assert_true(count > 100);
	fixture_remove_folder(f.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_moment_the_store_has_what_it_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
