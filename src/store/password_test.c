/* SPDX-License-Identifier: Apache-2.0 */
/* USER and PASS: how long an answer takes, how many are computed at once; and how secrets are kept. */
#include "store/fixture.h"

#include <string.h>

#define ANNA     "anna@example.org"
#define PASSWORD "pencil & paper"

static moment time_of(struct fixture *f, const char *name, const char *password) WAITS
{
	moment least = NEVER;

	/* The least of some: what others on this machine do only adds. */
	for (int i = 0; i < 12; i++) {
		moment since = now();

		(void)try_password(f, name, password, "127.0.0.1");
		if (now() - since < least)
			least = now() - since;
	}
	return least;
}

static void timing(struct fixture *f) WAITS
{
	moment known, unknown, remembered;

	add_account(f, ANNA, PASSWORD, -1);
	known = time_of(f, ANNA, "wrong");
	unknown = time_of(f, "nobody@example.org", "wrong");
	remembered = time_of(f, ANNA, PASSWORD);
	/* A look-up without a hash would be a hundred times as quick. */
	CHECK(known < 4 * unknown && unknown < 4 * known);
	CHECK(remembered * 3 < known);
}

static void an_unknown_name_takes_the_time_of_a_wrong_password(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = timing });
}

struct guess {
	struct fixture *f;
	struct fiber_group *group;
	uint64_t state;
};

static void guess_one(void *arg) WAITS
{
	struct guess *guess = arg;

	guess->state = try_password(guess->f, "nobody@example.org", "guess", "127.0.0.1").state;
}

static void flood(struct fixture *f) WAITS
{
	enum { GUESSES = 400 };
	static struct guess guesses[GUESSES];
	struct fiber_group group;
	size_t busy = 0;
	size_t failed = 0;

	group_init(&group);
	for (size_t i = 0; i < GUESSES; i++) {
		guesses[i] = (struct guess){ .f = f };
		CHECK(fiber_spawn(&group, "guess", guess_one, &guesses[i], NULL) == OK);
	}
	CHECK(group_wait(&group, in_ms(60000)) == OK);
	for (size_t i = 0; i < GUESSES; i++) {
		busy += guesses[i].state == SASL_BUSY;
		failed += guesses[i].state == SASL_FAILED;
	}
	CHECK(busy + failed == GUESSES);
	CHECK(busy > 0 && failed > 0);
}

static void too_many_guesses_at_once_are_told_to_come_back(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = flood, .config_text = "password_hashes = 1\n" });
}

static void any_password(struct fixture *f) WAITS
{
	CHECK(try_password(f, "new@example.org", "whatever", "127.0.0.1").state == SASL_DONE);
	CHECK(try_password(f, "new@example.org", "something else", "127.0.0.1").state == SASL_DONE);
	CHECK(try_password(f, "plain", "x", "127.0.0.1").state == SASL_DONE);
	CHECK(try_password(f, "far@anywhere.example", "x", "127.0.0.1").state == SASL_DONE);
	CHECK(try_password(f, "", "x", "127.0.0.1").state == SASL_FAILED);
	CHECK(complaints(f) == 0);
}

static void any_password_will_do_where_that_is_wanted(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = any_password,
				       .config_text = "accept_any_password = yes\n"
						      "accept_any_domain = yes\n"
						      "listener \"pop3\" { protocol = pop3\n"
						      " address = \"127.0.0.1\" }\n" });
}

static void secrets_do_not_open_under_another_name_or_key(void **state)
{
	unsigned char key[CIPHER_KEY] = { 1 };
	unsigned char other[CIPHER_KEY] = { 2 };
	struct arena arena = { 0 };
	struct str first, second, plain;
	char damaged[100];

	(void)state;
	assert_int_equal(secret_encrypt(&arena, key, S("a@b"), S("secret"), &first), OK);
	assert_int_equal(secret_encrypt(&arena, key, S("a@b"), S("secret"), &second), OK);
	assert_false(str_is(first, second)); /* same password, different values */
	assert_int_equal(secret_decrypt(&arena, key, S("a@b"), first, &plain), OK);
	assert_true(str_is(plain, S("secret")));
	assert_int_equal(secret_decrypt(&arena, other, S("a@b"), first, &plain), ERR_CORRUPT);
	assert_int_equal(secret_decrypt(&arena, key, S("c@b"), first, &plain), ERR_CORRUPT);
	for (size_t bit = 0; bit < first.len * 8; bit++) {
		memcpy(damaged, first.at, first.len);
		damaged[bit / 8] = (char)(damaged[bit / 8] ^ (1 << bit % 8));
		assert_int_equal(secret_decrypt(&arena, key, S("a@b"),
						(struct str){ damaged, first.len }, &plain),
				 ERR_CORRUPT);
	}
	arena_drop(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_name_takes_the_time_of_a_wrong_password),
		cmocka_unit_test(too_many_guesses_at_once_are_told_to_come_back),
		cmocka_unit_test(any_password_will_do_where_that_is_wanted),
		cmocka_unit_test(secrets_do_not_open_under_another_name_or_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
