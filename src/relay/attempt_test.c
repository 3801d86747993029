/* SPDX-License-Identifier: Apache-2.0 */
/* An attempt in the simulated world: what becomes of recipients when sessions, names and the role itself change. */
#include "relay/attempt.h"
#include "relay/own.h"
#include "relay/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define CONFIG "listener mx {\n protocol = smtp\n address = 192.0.2.250\n}\n"

static const char reachable[] = "far.example. MX 10 mx.far.example.\n"
				"mx.far.example. A 192.0.2.1\n";
static const char broken[] = "$SERVFAIL far.example\n";
static const char shunning[] = "far.example. MX 10 a.far.example.\n"
			       "far.example. MX 20 b.far.example.\n"
			       "a.far.example. A 192.0.2.2\n"
			       "b.far.example. A 192.0.2.2\n";

struct stage {
	fiber_fn *fn;
	struct arena arena, zones;
	struct role role;
	struct relay relay;
	struct listener *polite, *shunner;
	struct fiber_group servers;
	unsigned taken; /* messages */
	unsigned most;  /* in one session; then it hangs up. 0: no bound */
	struct str recipients[2];
	uint64_t numbers[2];
	struct answer_queue_claim claim;
	struct attempt attempt;
};

/* ---- servers ---- */

struct visit {
	struct stage *stage;
	struct stream *stream;
	struct buf heard;
	bool in_data;
	unsigned taken;
};

/* The replies to all the lines that have come; false: this server hangs up. */
static bool answer_lines(struct visit *v, struct buf *replies)
{
	struct scan scan = scan_of(buf_str(&v->heard));
	struct str line;

	while (take_until(&scan, '\n', &line)) {
		if (v->in_data) {
			v->in_data = !str_is(line, S(".\r"));
			if (v->in_data)
				continue;
			buf_add_c(replies, "250 2.0.0 taken\r\n");
			v->stage->taken++;
			if (++v->taken == v->stage->most)
				return false;
		} else if (str_starts(line, S("EHLO"))) {
			buf_add_c(replies, "250-mx\r\n250 LIMITS RCPTMAX=1\r\n");
		} else if (str_starts(line, S("DATA"))) {
			v->in_data = true;
			buf_add_c(replies, "354 go on\r\n");
		} else {
			buf_add_c(replies, "250 2.0.0 ok\r\n");
		}
	}
	buf_reset(&v->heard);
	return true;
}

static void visit_fiber(void *arg) WAITS
{
	struct visit *v = arg;
	enum err err = stream_write(v->stream, S("220 mx\r\n"), in_ms(1000));
	bool goes_on = true;
	char piece[1000];
	size_t got;

	while (!err && goes_on) {
		struct buf replies = BUF(4000);

		err = stream_read(v->stream, piece, sizeof(piece), NEVER, &got);
		if (!err)
			err = buf_add(&v->heard, (struct str){ piece, got });
		if (!err)
			goes_on = answer_lines(v, &replies);
		if (!err && replies.len)
			err = stream_write(v->stream, buf_str(&replies), in_ms(1000));
		buf_drop(&replies);
	}
	stream_drop(&v->stream);
	buf_drop(&v->heard);
	free(v);
}

static void serve_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	struct stream *stream;

	while (!listener_accept(stage->polite, NEVER, &stream)) {
		struct visit *v = calloc(1, sizeof(*v));

		must(v);
		*v = (struct visit){ stage, stream, BUF(64000), false, 0 };
		must(!fiber_spawn(&stage->servers, "visit", visit_fiber, v, NULL));
	}
}

static void shun_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	struct stream *stream;

	while (!listener_accept(stage->shunner, NEVER, &stream)) {
		(void)!stream_write(stream, S("554 5.7.1 not you\r\n"), in_ms(1000));
		stream_drop(&stream);
	}
}

/* ---- the stage ---- */

static struct listener *listen_at(const char *ip)
{
	struct listener *listener;
	struct addr at;

	must(addr_parse_ip(str_of(ip), &at));
	at.port = 25;
	must(!listener_new(&at, 10, &listener));
	return listener;
}

static const struct dns_zone *zone_of(struct stage *stage, const char *text)
{
	struct dns_zone *zone;

	must(!dns_zone_parse(&stage->zones, str_of(text), &zone));
	return zone;
}

static struct config *config_of(const char *hostname)
{
	struct buf complaints = BUF(4000);
	struct buf text = BUF(4000);
	struct config *config;

	buf_print(&text, "hostname = %s\n" CONFIG, hostname);
	must(!config_parse(buf_str(&text), S("test"), NULL, 0, &complaints, &config));
	buf_drop(&complaints);
	buf_drop(&text);
	return config;
}

static void set_up(struct stage *stage, const char *zone)
{
	struct relay *relay = &stage->relay;

	/* As long as the name of a host, so that the two are compared. */
	stage->role = (struct role){ .config = config_of("us.our.example"), .state = relay };
	relay->role = &stage->role;
	relay->resolver = resolver_new(&(struct resolver_options){ .zone = zone_of(stage, zone) });
	must(!tls_client_context_new(S(""), &relay->tls));
	destinations_init(&relay->ways, 5);
	waitq_init(&relay->ways_moved);
	waitq_init(&relay->errand_ended);
	list_init(&relay->parked);
	group_init(&relay->errands);
	own_addresses(stage->role.config, &relay->own, &relay->own_count);
	stage->polite = listen_at("192.0.2.1");
	stage->shunner = listen_at("192.0.2.2");
	group_init(&stage->servers);
	must(!fiber_spawn(&stage->servers, "serve", serve_fiber, stage, NULL));
	must(!fiber_spawn(&stage->servers, "shun", shun_fiber, stage, NULL));
	stage->recipients[0] = S("bob@far.example");
	stage->recipients[1] = S("carl@far.example");
	stage->claim = (struct answer_queue_claim){ .lease = 7,
						    .lease_ms = 3600000,
						    .destination = S("far.example"),
						    .sender = S("anna@example.org"),
						    .tls = QUEUE_TLS_OPPORTUNISTIC,
						    .numbers = { stage->numbers, 2 },
						    .recipients = { stage->recipients, 2 },
						    .body = body_of(S("Subject: x\r\n\r\ny\r\n")) };
	stage->attempt =
		(struct attempt){ .relay = relay, .claim = &stage->claim, .arena = &stage->arena };
}

static void tear_down(struct stage *stage) WAITS
{
	struct relay *relay = &stage->relay;

	dialogue_end(relay, &stage->attempt.talk);
	group_stop(&stage->servers);
	group_wait_through(&stage->servers);
	listener_drop(&stage->polite);
	listener_drop(&stage->shunner);
	resolver_drop(&relay->resolver);
	tls_context_unref(&relay->tls);
	destinations_done(&relay->ways);
	free(relay->own);
	config_unref(&stage->role.config);
}

static void run_stage(struct stage *stage)
{
	struct world *world = world_sim_new(1);

	assert_int_equal(world_spawn(world, "test", stage->fn, stage), OK);
	world_run(world);
	world_drop(&world);
}

static void end_stage(struct stage *stage)
{
	arena_drop(&stage->arena);
	arena_drop(&stage->zones);
}

/* ---- a session that ends when some are taken, and then no host is found ---- */

static void lose_the_session(void *arg) WAITS
{
	struct stage *stage = arg;

	set_up(stage, reachable);
	stage->most = 3;
	attempt_run(&stage->attempt);
	resolver_set_zone(stage->relay.resolver, zone_of(stage, broken));
	resolver_flush(stage->relay.resolver);
	attempt_run(&stage->attempt);
	tear_down(stage);
}

static void who_was_taken_stays_so_when_no_host_is_found_for_the_rest(void **state)
{
	struct stage stage = { .fn = lose_the_session };

	(void)state;
	run_stage(&stage);
	assert_int_equal(stage.taken, 3);
	assert_int_equal(stage.attempt.said[0].result, SMTP_SENT);
	assert_int_equal(stage.attempt.said[1].result, SMTP_DEFERRED);
	assert_string_equal(str_dup_c(&stage.arena, stage.attempt.said[1].reply.enhanced), "4.4.3");
	end_stage(&stage);
}

/* ---- hosts that nobody got to ---- */

static void attempt_fiber(void *arg) WAITS
{
	attempt_run(arg);
}

static void stop_at_once(void *arg) WAITS
{
	struct stage *stage = arg;
	struct fiber_group group;

	set_up(stage, reachable);
	stage->claim.destination = S("[192.0.2.1]");
	group_init(&group);
	must(!fiber_spawn(&group, "attempt", attempt_fiber, &stage->attempt, NULL));
	group_stop(&group);
	group_wait_through(&group);
	tear_down(stage);
}

static void a_host_that_was_not_tried_has_refused_nobody(void **state)
{
	struct stage stage = { .fn = stop_at_once };

	(void)state;
	run_stage(&stage);
	assert_true(attempt_is_pending(&stage.attempt.said[0]));
	assert_true(attempt_is_pending(&stage.attempt.said[1]));
	end_stage(&stage);
}

static void be_shunned(void *arg) WAITS
{
	struct stage *stage = arg;

	set_up(stage, shunning);
	attempt_run(&stage->attempt);
	tear_down(stage);
}

static void who_is_refused_by_every_host_is_refused(void **state)
{
	struct stage stage = { .fn = be_shunned };

	(void)state;
	run_stage(&stage);
	assert_int_equal(stage.attempt.said[0].result, SMTP_REFUSED);
	assert_int_equal(stage.attempt.said[0].reply.code, 554);
	end_stage(&stage);
}

/* ---- a reload ---- */

static void reload_meanwhile(void *arg) WAITS
{
	struct stage *stage = arg;
	struct config *old;
	struct fiber_group group;

	set_up(stage, reachable);
	group_init(&group);
	must(!fiber_spawn(&group, "attempt", attempt_fiber, &stage->attempt, NULL));
	must(!fiber_yield()); /* the first question is under way */
	old = stage->role.config;
	stage->role.config = config_of("other.example.org");
	config_unref(&old);
	must(!relay_role.reload(&stage->role));
	group_wait_through(&group);
	tear_down(stage);
}

static void a_reload_while_the_dns_is_asked_takes_nothing_away(void **state)
{
	struct stage stage = { .fn = reload_meanwhile };

	(void)state;
	run_stage(&stage);
	assert_int_equal(stage.attempt.said[0].result, SMTP_SENT);
	assert_int_equal(stage.attempt.said[1].result, SMTP_SENT);
	end_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_taken_stays_so_when_no_host_is_found_for_the_rest),
		cmocka_unit_test(a_host_that_was_not_tried_has_refused_nobody),
		cmocka_unit_test(who_is_refused_by_every_host_is_refused),
		cmocka_unit_test(a_reload_while_the_dns_is_asked_takes_nothing_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
