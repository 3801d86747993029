/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching: many messages, large ones, and those that fail on the way. */
#include "pop3/session_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void play_and_check(struct stage *stage)
{
	stage_play(stage);
	stage_done(stage);
}

static void fill(struct fake_store *store, size_t count, const char *octets, size_t len)
{
	store->count = count;
	for (size_t i = 0; i < count; i++)
		store->messages[i] = (struct fake_message){ octets, len, i + 1 };
}

static void pipelined_fetches_are_read_ahead(void **state)
{
	struct stage stage = { .listener = CLEAR };
	OWNED(buf) struct buf script = BUF(100000);

	(void)state;
	fill(&stage.store, 60, ONE, sizeof(ONE) - 1);
	buf_add(&script, S("S: +OK*\nC- USER mrose\nC- PASS tanstaaf\n"));
	for (int i = 1; i <= 60; i++)
		buf_print(&script, "C- RETR %d\nC- DELE %d\n", i, i);
	buf_add(&script, S("C: QUIT\nS: +OK now PASS\nS: +OK 60*\n"));
	for (int i = 1; i <= 60; i++)
		buf_add(&script,
			S("S: +OK 52 octets\nS: Subject: one\nS: \nS: first line\nS: ..dotted\n"
			  "S: ...\nS: last line\nS: .\nS: +OK deleted*\n"));
	buf_add(&script, S("S: +OK goodbye\nEND\n"));
	buf_add_char(&script, '\0');
	stage.script = script.at;
	play_and_check(&stage);
	assert_int_equal(stage.store.reads, 60);
	assert_true(stage.store.calls_most >= 8);
	for (int i = 0; i < 60; i++)
		assert_true(stage.store.deleted[i]);
}

static void a_client_that_hops_about_costs_no_extra_reads(void **state)
{
	struct stage stage = { .listener = CLEAR,
			       .script = LOGIN
			       "S: +OK*\nC: RETR 30\nS: +OK*\nS...\nC: RETR 10\nS: +OK*\nS...\n"
			       "C: RETR 20\nS: +OK*\nS...\nC: TOP 5 0\nS: +OK*\nS...\n"
			       "C: RETR 5\nS: +OK*\nS...\nC: QUIT\nS: +OK*\nEND\n" };

	(void)state;
	fill(&stage.store, 60, ONE, sizeof(ONE) - 1);
	play_and_check(&stage);
	assert_int_equal(stage.store.reads, 5);
	assert_int_equal(stage.store.calls_most, 1);
}

static char *big_message(size_t len)
{
	char *at = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		at[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : i % 64 == 0 ? '.' : 'x';
	at[len] = '\0';
	return at;
}

/* What was fetched in the same breath as QUIT reaches who reads slowly, before it is deleted. */
static void a_slow_reader_loses_nothing_by_a_pipelined_quit(void **state)
{
	enum { LEN = 100000 };
	char *octets = big_message(LEN);
	struct stage stage = { .listener = CLEAR,
			       .script = LOGIN
			       "S: +OK*\nC- RETR 1\nC- DELE 1\nC: QUIT\nIDLE 20000\n"
			       "S: +OK 100000 octets\nS...\nS: +OK deleted*\nS: +OK goodbye\n"
			       "END\n" };
	struct stage gone = stage;

	(void)state;
	fill(&stage.store, 1, octets, LEN);
	play_and_check(&stage);
	assert_true(stage.store.deleted[0]);
	fill(&gone.store, 1, octets, LEN);
	gone.script = LOGIN "S: +OK*\nC- RETR 1\nC- DELE 1\nC: QUIT\nIDLE 900000\n";
	play_and_check(&gone);
	assert_false(gone.store.deleted[0]);
	free(octets);
}

static void a_large_message_comes_whole(void **state)
{
	enum { LEN = 640000 };
	char *octets = big_message(LEN);
	struct stage stage = { .listener = CLEAR,
			       .script =
				       LOGIN "S: +OK*\nC: RETR 1\nS: +OK 640000 octets\nS...\n"
					     "C: RETR 2\nS: +OK 640000 octets\nS...\n"
					     "C: TOP 1 3\nS: +OK*\nS...\nC: QUIT\nS: +OK*\nEND\n" };
	size_t doubled = 0;
	struct scan lines;
	struct str line;

	(void)state;
	fill(&stage.store, 2, octets, LEN);
	stage_play(&stage);
	lines = scan_of(buf_str(&stage.transcript));
	while (take_until(&lines, '\n', &line))
		doubled += str_starts(line, S("..x")) && line.len == 63;
	/* TOP sends it whole too: it has no blank line. */
	assert_int_equal(doubled, 3 * LEN / 64);
	assert_true(stage.store.calls_most <= 5); /* 256 KiB ahead, in pieces of 64 */
	stage_done(&stage);
	free(octets);
}

static void a_message_that_fails_halfway_cuts_the_connection(void **state)
{
	enum { LEN = 200000 };
	char *octets = big_message(LEN);
	struct stage stage = { .listener = CLEAR };

	(void)state;
	fill(&stage.store, 2, octets, LEN);
	stage.store.read_err = ERR_CORRUPT;
	stage.store.read_err_index = 0;
	stage.script = LOGIN "S: +OK*\nC: DELE 2\nS: +OK*\nC: RETR 1\nS: +OK 200000 octets\n";
	stage_play(&stage);
	assert_true(str_find_str(buf_str(&stage.events), S("CORRUPT")) != STR_NONE);
	assert_false(stage.store.deleted[1]);
	stage_done(&stage);

	/* At the first octet it can still be refused, and the session goes on. */
	stage.store.read_err_at_once = true;
	stage.script = LOGIN "S: +OK*\nC: RETR 1\nS: -ERR [SYS/TEMP]*\nC: RETR 2\nS: +OK*\nS...\n"
			     "C: QUIT\nS: +OK*\nEND\n";
	play_and_check(&stage);
	free(octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipelined_fetches_are_read_ahead),
		cmocka_unit_test(a_client_that_hops_about_costs_no_extra_reads),
		cmocka_unit_test(a_slow_reader_loses_nothing_by_a_pipelined_quit),
		cmocka_unit_test(a_large_message_comes_whole),
		cmocka_unit_test(a_message_that_fails_halfway_cuts_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
