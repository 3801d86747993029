/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct addr address_of(const char *text, uint16_t port)
{
	struct addr addr;

	must(addr_parse_ip(str_of(text), &addr));
	addr.port = port;
	return addr;
}

struct play {
	const char *dark;   /* its cable is pulled; NULL: none */
	const char *listen; /* who answers; NULL: nobody */
	const char *source; /* NULL: any */
	char local[ADDR_TEXT];
	enum err err;
	size_t which;
	int64_t took_us;
};

static void run_play(void *arg) WAITS
{
	struct play *play = arg;
	struct addr addresses[2] = { address_of("192.0.2.1", 25), address_of("192.0.2.2", 25) };
	struct listener *listener = NULL;
	struct stream *stream = NULL;
	struct addr source;
	struct dialled dialled = { .addresses = addresses, .count = 2, .deadline = in_ms(5000) };
	moment begun = now();

	if (play->source) {
		source = address_of(play->source, 0);
		dialled.sources = &source;
		dialled.source_count = 1;
	}
	if (play->dark) {
		struct addr dark = address_of(play->dark, 0);

		sim_go_dark(world_here(), &dark);
	}
	if (play->listen) {
		struct addr at = address_of(play->listen, 25);

		must(!listener_new(&at, 4, &listener));
	}
	play->err = dial(&dialled, &stream, &play->which);
	play->took_us = now() - begun;
	must((play->err == OK) == (stream != NULL));
	if (stream)
		addr_print_ip(stream_local(stream), play->local);
	if (stream)
		stream_drop(&stream);
	if (listener)
		listener_drop(&listener);
}

static void play(struct play *p)
{
	struct world *world = world_sim_new(1);

	must(!world_spawn(world, "play", run_play, p));
	world_run(world);
	world_drop(&world);
}

static void the_first_address_that_answers_is_taken(void **state)
{
	struct play p = { .listen = "192.0.2.1" };

	(void)state;
	play(&p);
	assert_int_equal(p.err, OK);
	assert_int_equal(p.which, 0);
}

static void a_refusal_leads_to_the_next_one_at_once(void **state)
{
	struct play p = { .listen = "192.0.2.2" };

	(void)state;
	play(&p);
	assert_int_equal(p.err, OK);
	assert_int_equal(p.which, 1);
	assert_true(p.took_us < 250000);
}

static void an_address_that_leads_nowhere_costs_a_quarter_of_a_second(void **state)
{
	struct play p = { .dark = "192.0.2.1", .listen = "192.0.2.2" };

	(void)state;
	play(&p);
	assert_int_equal(p.err, OK);
	assert_int_equal(p.which, 1);
	assert_in_range(p.took_us, 250000, 400000);
}

static void when_nobody_answers_it_is_said(void **state)
{
	struct play p = { 0 };
	struct play silent = { .dark = "192.0.2.2" };

	(void)state;
	play(&p);
	assert_int_not_equal(p.err, OK);
	assert_true(p.took_us < 1000000);
	play(&silent);
	assert_int_equal(silent.err, ERR_TIMEOUT);
	assert_in_range(silent.took_us, 4900000, 5300000);
}

static void a_connection_comes_from_the_source_that_was_named(void **state)
{
	struct play p = { .listen = "192.0.2.1", .source = "192.0.2.77" };
	struct play six = { .listen = "192.0.2.1", .source = "2001:db8::77" };

	(void)state;
	play(&p);
	assert_int_equal(p.err, OK);
	assert_string_equal(p.local, "192.0.2.77");
	play(&six); /* there is no IPv4 source: no IPv4 connection */
	assert_int_equal(six.err, ERR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_address_that_answers_is_taken),
		cmocka_unit_test(a_refusal_leads_to_the_next_one_at_once),
		cmocka_unit_test(an_address_that_leads_nowhere_costs_a_quarter_of_a_second),
		cmocka_unit_test(when_nobody_answers_it_is_said),
		cmocka_unit_test(a_connection_comes_from_the_source_that_was_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
