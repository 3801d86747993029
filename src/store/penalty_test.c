/* SPDX-License-Identifier: Apache-2.0 */
/* A gate that does not hold failures back, in virtual time: the store does it itself. */
#include "store/aged.h"
#include "store/fixture.h"
#include "store/penalty.h"

#include <stdlib.h>

#define ANNA     "anna@example.org"
#define PASSWORD "pencil & paper"

static const char *const config_text =
	"connections_exempt = {\"127.0.0.0/8\", \"10.0.0.0/8\"}\npassword_hashes = 8\n";

static bool fails(struct fixture *f, const char *name, const char *from) WAITS
{
	return try_password(f, name, "wrong", from).state == SASL_FAILED;
}

static bool passes(struct fixture *f, const char *from) WAITS
{
	return try_password(f, ANNA, PASSWORD, from).state == SASL_DONE;
}

static void run(void (*body)(struct fixture *f) WAITS)
{
	fixture_run(
		&(struct fixture){ .body = body, .simulated = true, .config_text = config_text });
}

/* ---- one after the other ---- */

static void hold(struct fixture *f) WAITS
{
	static const moment seconds[] = { 0, 0, 1, 2, 4, 8, 8 };
	moment since;

	add_account(f, ANNA, PASSWORD, -1);
	for (size_t i = 0; i < COUNT_OF(seconds); i++) {
		since = now();
		CHECK(fails(f, ANNA, "192.0.2.7"));
		CHECK(now() - since >= seconds[i] * 1000000);
		CHECK(now() - since < (seconds[i] + 1) * 1000000);
	}
	/* From elsewhere the name is held, and then it is looked at as ever. */
	since = now();
	CHECK(passes(f, "198.51.100.1"));
	CHECK(now() - since >= 7 * 1000000);
	/* And the network, whatever name it comes with. */
	CHECK(fails(f, ANNA, "192.0.2.7"));
	since = now();
	CHECK(fails(f, "other@example.org", "192.0.2.7"));
	CHECK(now() - since >= 7 * 1000000);
	/* Ten minutes later all is forgotten. */
	CHECK(fiber_sleep(in_ms(601 * 1000)) == OK);
	since = now();
	CHECK(fails(f, ANNA, "192.0.2.7"));
	CHECK(now() - since < 1000000);
}

static void nothing_is_told_before_a_penalty_is_over(void **state)
{
	(void)state;
	run(hold);
}

/* ---- many at once ---- */

struct guess {
	struct fixture *f;
	const char *password;
	char from[32];
	uint64_t state;
	moment took;
};

static void guess_one(void *arg) WAITS
{
	struct guess *guess = arg;
	moment since = now();

	guess->state = try_password(guess->f, ANNA, guess->password, guess->from).state;
	guess->took = now() - since;
}

enum { GUESSES = 300 };
static struct guess guesses[GUESSES];

/* All at once, each from a network of its own; the number that was answered by more than "later". */
static size_t guess_all(struct fixture *f) WAITS
{
	struct fiber_group group;
	size_t judged = 0;

	group_init(&group);
	for (size_t i = 0; i < GUESSES; i++) {
		guesses[i] = (struct guess){ .f = f, .password = "guess" };
		snprintf(guesses[i].from, sizeof(guesses[i].from), "198.51.%zu.%zu", i / 200,
			 i % 200);
		CHECK(fiber_spawn(&group, "guess", guess_one, &guesses[i], NULL) == OK);
	}
	CHECK(group_wait(&group, in_ms(60000)) == OK);
	for (size_t i = 0; i < GUESSES; i++) {
		CHECK(guesses[i].state == SASL_FAILED || guesses[i].state == SASL_BUSY);
		judged += guesses[i].state == SASL_FAILED;
	}
	return judged;
}

static void flood(struct fixture *f) WAITS
{
	size_t judged = 0;
	moment since;

	add_account(f, ANNA, PASSWORD, -1);
	CHECK(passes(f, "203.0.113.1"));
	/* The first ones are under way together before any of them has failed. */
	CHECK(guess_all(f) <= 2 + 8 + PENALTY_HELD);
	since = now();
	for (int round = 0; round < 10; round++)
		judged += guess_all(f);
	CHECK(judged > 0 && judged <= 10 * PENALTY_HELD);
	CHECK(now() - since >= 9 * 7 * 1000000);
	/* Who signed in here before comes in as ever; and a name that nobody guesses at. */
	since = now();
	CHECK(passes(f, "203.0.113.1"));
	CHECK(fails(f, "other@example.org", "203.0.113.9"));
	CHECK(now() - since < 1000000);
	/* From a network where he never was, he waits, and is not shut out. */
	CHECK(passes(f, "203.0.113.200"));
	CHECK(now() - since < 9 * 1000000);
}

static void guesses_from_many_networks_are_slow_and_shut_nobody_out(void **state)
{
	(void)state;
	run(flood);
}

static void stay(struct fixture *f) WAITS
{
	moment since;

	add_account(f, ANNA, PASSWORD, -1);
	CHECK(passes(f, "203.0.113.1"));
	for (int i = 0; i < 3; i++)
		CHECK(fails(f, ANNA, "198.51.100.1"));
	since = now();
	for (int i = 0; i < 5; i++) /* a gate may say that any guess comes from there */
		CHECK(fails(f, ANNA, "203.0.113.1"));
	CHECK(now() - since < 1000000);
	CHECK(fails(f, ANNA, "203.0.113.1"));
	CHECK(passes(f, "203.0.113.1"));
	CHECK(now() - since >= 15 * 1000000);
}

static void who_is_welcome_may_fail_five_times(void **state)
{
	(void)state;
	run(stay);
}

static void exempt(struct fixture *f) WAITS
{
	static const char *const from[] = { "127.0.0.1", "10.9.8.7", "" };
	moment since = now();

	add_account(f, ANNA, PASSWORD, -1);
	for (int i = 0; i < 101; i++) {
		struct answer_password answer = try_password(f, ANNA, "wrong", from[i % 3]);

		CHECK(answer.state == SASL_FAILED && answer.delay_ms == 0);
	}
	CHECK(now() - since < 1000000);
	for (int i = 0; i < 5; i++)
		CHECK(fails(f, ANNA, from[i % 3]));
	CHECK(now() - since >= 20 * 1000000);
	/* Those who are not exempt know nothing of it. */
	since = now();
	CHECK(passes(f, "192.0.2.1"));
	CHECK(now() - since < 1000000);
}

static void a_gate_that_calls_every_client_local_gains_a_hundred_guesses(void **state)
{
	(void)state;
	run(exempt);
}

/* ---- exchanges ---- */

static uint64_t start_login(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct answer_sasl_start answer = { 0 };
	struct ask_sasl_start ask = { .mechanism = S("LOGIN"), .peer = S("127.0.0.1") };

	CHECK(store_sasl_start(f->peer, &ask, &arena, &answer) == OK);
	CHECK(answer.state == SASL_CONTINUE);
	arena_drop(&arena);
	return answer.sasl;
}

static enum err say(struct fixture *f, uint64_t sasl, const char *text, uint64_t *state) WAITS
{
	struct arena arena = { 0 };
	struct answer_sasl_step answer = { 0 };
	struct ask_sasl_step ask = { .sasl = sasl, .response = str_of(text) };
	enum err err = store_sasl_step(f->peer, &ask, &arena, &answer);

	CHECK(answer.state == SASL_DONE || !answer.account);
	*state = answer.state;
	arena_drop(&arena);
	return err;
}

static void many_exchanges(struct fixture *f) WAITS
{
	uint64_t first = start_login(f);
	uint64_t second = start_login(f);
	uint64_t state;
	uint64_t last = 0;

	add_account(f, ANNA, PASSWORD, -1);
	CHECK(say(f, first, ANNA, &state) == OK && state == SASL_CONTINUE);
	for (int i = 0; i < LIMIT_sasl_exchanges - 1; i++)
		last = start_login(f);
	CHECK(f->peer->exchange_count == LIMIT_sasl_exchanges);
	/* Who has said something lately stays; who was silent longest has gone. */
	CHECK(say(f, second, ANNA, &state) == ERR_DENIED);
	CHECK(say(f, first, PASSWORD, &state) == OK && state == SASL_DONE);
	CHECK(say(f, last, ANNA, &state) == OK && state == SASL_CONTINUE);
	CHECK(f->peer->exchange_count == LIMIT_sasl_exchanges - 1);
}

static void exchanges_of_one_channel_are_bounded(void **state)
{
	(void)state;
	run(many_exchanges);
}

struct late {
	struct fixture *f;
	uint64_t sasl;
	uint64_t state;
};

static void finish_late(void *arg) WAITS
{
	struct late *late = arg;

	CHECK(say(late->f, late->sasl, PASSWORD, &late->state) == OK);
}

static void give_up_meanwhile(struct fixture *f) WAITS
{
	struct late late = { .f = f, .sasl = start_login(f) };
	struct fiber_group group;
	uint64_t state;
	size_t handles;

	group_init(&group);
	add_account(f, ANNA, PASSWORD, -1);
	CHECK(say(f, late.sasl, ANNA, &state) == OK);
	handles = f->peer->handles.count;
	for (int i = 0; i < 101; i++)
		CHECK(fails(f, ANNA, "127.0.0.1"));
	CHECK(fiber_spawn(&group, "late", finish_late, &late, NULL) == OK);
	CHECK(fiber_sleep(in_ms(100)) == OK); /* it is held now */
	CHECK(store_sasl_drop(f->peer, &(struct ask_sasl_drop){ .sasl = late.sasl }) == OK);
	CHECK(group_wait(&group, in_ms(20000)) == OK);
	CHECK(late.state == SASL_BUSY);
	CHECK(f->peer->handles.count == handles - 1 && f->peer->exchange_count == 0);
}

static void what_was_given_up_leaves_no_account_behind(void **state)
{
	(void)state;
	run(give_up_meanwhile);
}

/* ---- memory ---- */

static void floods_of_names(void *arg) WAITS
{
	struct penalties *p = penalties_new();
	struct penalty_who anna = { .name = S(ANNA), .is_account = true };
	struct penalty_who other = { .is_account = false };
	char name[40];

	(void)arg;
	(void)addr_parse_ip(S("192.0.2.7"), &anna.network);
	for (int i = 0; i < 4; i++)
		(void)penalty_failed(p, &anna);
	for (int i = 0; i < 50000; i++) {
		snprintf(name, sizeof(name), "name%d@example.org", i);
		other.name = str_of(name);
		(void)penalty_failed(p, &other);
		other.network.family = ADDR_IPV4;
		memcpy(other.network.ip, &i, sizeof(i));
	}
	anna.network = (struct addr){ 0 };
	CHECK(penalty_applies(p, &anna));
	penalties_drop(&p);
}

static void made_up_names_make_no_penalty_forgotten(void **state)
{
	struct world *world = world_sim_new(1);

	(void)state;
	assert_int_equal(world_spawn(world, "test", floods_of_names, NULL), OK);
	world_run(world);
	world_drop(&world);
	fixture_assert();
}

struct thing {
	struct aged_item item;
	uint64_t number;
};

static void add_thing(struct aged *aged, uint64_t number)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	thing->number = number;
	aged_add(aged, &thing->item, number);
}

static void the_longest_unused_is_forgotten_and_nothing_else(void **state)
{
	struct aged aged;

	(void)state;
	aged_init(&aged, 100);
	for (uint64_t i = 1; i <= 100; i++)
		add_thing(&aged, i);
	aged_touch(&aged, aged_find(&aged, 1));
	add_thing(&aged, 101);
	assert_null(aged_find(&aged, 2));
	for (uint64_t i = 1; i <= 101; i++)
		assert_true(i == 2 || aged_find(&aged, i));
	assert_int_equal(aged.table.count, 100);
	aged_forget_all(&aged);
	assert_int_equal(aged.table.count, 0);
	add_thing(&aged, 7);
	aged_done(&aged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_told_before_a_penalty_is_over),
		cmocka_unit_test(guesses_from_many_networks_are_slow_and_shut_nobody_out),
		cmocka_unit_test(who_is_welcome_may_fail_five_times),
		cmocka_unit_test(a_gate_that_calls_every_client_local_gains_a_hundred_guesses),
		cmocka_unit_test(exchanges_of_one_channel_are_bounded),
		cmocka_unit_test(what_was_given_up_leaves_no_account_behind),
		cmocka_unit_test(made_up_names_make_no_penalty_forgotten),
		cmocka_unit_test(the_longest_unused_is_forgotten_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
