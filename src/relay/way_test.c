/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/outside.h"
#include "relay/way.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct str keys_of(struct arena *arena, const struct answer_queue_claim *claim,
			  bool fallback)
{
	struct way way;

	way_of_claim(claim, fallback, arena, &way);
	return way.key;
}

static void a_session_is_shared_by_equal_ways_only(void **state)
{
	struct str sources[] = { S("192.0.2.9") };
	struct answer_queue_claim base = { .destination = S("a.example"),
					   .transport = QUEUE_BY_SMTP,
					   .target = S("smart.example"),
					   .port = 587,
					   .tls = QUEUE_TLS_VERIFIED,
					   .credential = S("one") };
	struct answer_queue_claim same = base, other;
	struct arena arena = { 0 };
	struct str key = keys_of(&arena, &base, false);

	(void)state;
	same.destination = S("b.example");
	assert_true(str_is(key, keys_of(&arena, &same, false)));
	other = base;
	other.credential = S("two");
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	other = base;
	other.credential_us = 1; /* another password */
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	other = base;
	other.tls = QUEUE_TLS_REQUIRED;
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	other = base;
	other.port = 25;
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	other = base;
	other.sources = (struct strs){ sources, 1 };
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	other = base;
	other.transport = QUEUE_BY_LMTP;
	assert_false(str_is(key, keys_of(&arena, &other, false)));
	arena_drop(&arena);
}

static void a_fallback_is_the_second_way_and_the_first_has_no_password(void **state)
{
	struct answer_queue_claim claim = { .destination = S("a.example"),
					    .transport = QUEUE_BY_SMTP,
					    .target = S("smart.example"),
					    .port = 587,
					    .tls = QUEUE_TLS_VERIFIED,
					    .credential = S("one"),
					    .user = S("carrier"),
					    .password = S("secret"),
					    .fallback = 1 };
	struct arena arena = { 0 };
	struct way way;

	(void)state;
	way_of_claim(&claim, false, &arena, &way);
	assert_true(str_is(way.target, S("a.example")) && !way.is_fixed && way.port == 25);
	assert_int_equal(way.password.len + way.user.len + way.credential.len, 0);
	assert_int_equal(way_tls(&way), SMTP_TLS_MAY);
	way_of_claim(&claim, true, &arena, &way);
	assert_true(str_is(way.target, S("smart.example")) && way.is_fixed && way.port == 587);
	assert_true(str_is(way.password, S("secret")));
	assert_int_equal(way_tls(&way), SMTP_TLS_MUST);
	arena_drop(&arena);
}

static bool is_among(const struct way *way, const struct way_host *host, const char *name)
{
	struct arena arena = { 0 };
	struct str names[3];
	size_t count = way_names(way, host, &arena, names);
	bool found = false;

	for (size_t i = 0; i < count; i++)
		found = found || str_is(names[i], str_of(name));
	arena_drop(&arena);
	return found;
}

/* What an insecure DNS calls a domain's host proves nothing: it may be the attacker's own. */
static void a_name_that_anybody_may_have_said_proves_nothing(void **state)
{
	struct way mx = { .transport = QUEUE_BY_MX, .target = S("a.example") };
	struct way smart = { .transport = QUEUE_BY_SMTP,
			     .target = S("smart.example"),
			     .is_fixed = true };
	struct way_host host = { .name = S("mx.elsewhere.example") };
	struct way_host named = { .name = S("smart.example"), .is_secure = true };

	(void)state;
	assert_false(is_among(&mx, &host, "mx.elsewhere.example"));
	assert_true(is_among(&mx, &host, "a.example"));
	assert_true(is_among(&mx, &host, ".a.example"));
	host.is_secure = true;
	assert_true(is_among(&mx, &host, "mx.elsewhere.example"));
	assert_true(is_among(&smart, &named, "smart.example"));
	assert_false(is_among(&smart, &named, ".smart.example"));
}

/* ---- port 25 of the world ---- */

static void watch_outside(void *arg) WAITS
{
	struct outside outside = { 0 };

	(void)arg;
	must(outside_failed(&outside) && outside_is_blocked(&outside));
	must(!fiber_sleep(in_ms(OUTSIDE_BLOCKED_MS + 1)));
	must(!outside_is_blocked(&outside)); /* the net may be another one: it is tried */
	outside_reached(&outside);
	must(!outside_failed(&outside)); /* others answered a moment ago: this one is away */
	must(!outside_is_blocked(&outside));
	must(!fiber_sleep(in_ms(OUTSIDE_GOOD_MS + 1)));
	must(outside_failed(&outside) && outside_is_blocked(&outside));
	outside_forget(&outside);
	must(!outside_is_blocked(&outside));
}

static void one_that_is_silent_is_not_a_closed_port_when_others_answer(void **state)
{
	struct world *world = world_sim_new(1);

	(void)state;
	must(!world_spawn(world, "outside", watch_outside, NULL));
	world_run(world);
	world_drop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_shared_by_equal_ways_only),
		cmocka_unit_test(a_fallback_is_the_second_way_and_the_first_has_no_password),
		cmocka_unit_test(a_name_that_anybody_may_have_said_proves_nothing),
		cmocka_unit_test(one_that_is_silent_is_not_a_closed_port_when_others_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
