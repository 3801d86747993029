/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/resolver.h"

#include "dns/test_world.h"

#include <stdlib.h>

static const char first_zone[] = "$TTL 100\n"
				 "$ORIGIN example.org.\n"
				 "@ SOA ns host 1 2 3 4 60\n"
				 "mx A 192.0.2.1\n"
				 "www CNAME mx\n"
				 "loop CNAME loop2\n"
				 "loop2 CNAME loop\n"
				 "short 0 A 192.0.2.3\n"
				 "long 2000000 A 192.0.2.4\n"
				 "safe A 192.0.2.5\n"
				 "mixed CNAME safe\n"
				 "$SECURE safe\n"
				 "$SERVFAIL broken\n"
				 "$SILENT silent\n";
static const char second_zone[] = "$ORIGIN example.org.\n"
				  "@ SOA ns host 1 2 3 4 60\n"
				  "mx A 192.0.2.2\n"
				  "late A 192.0.2.9\n"
				  "broken A 192.0.2.8\n";

static int64_t left_s(const struct dns_result *result)
{
	return result->ttl_s;
}

static void an_answer_is_kept_as_long_as_it_holds(void *arg) WAITS
{
	struct net *net = arg;
	struct dns_result result = ask_net(net, "mx.example.org", DNS_A);

	assert_int_equal(result.verdict, DNS_FOUND);
	assert_false(result.cached);
	assert_int_equal(left_s(&result), 100);
	assert_int_equal(fiber_sleep(in_ms(40'000)), OK);
	set_zone(net, second_zone);
	result = ask_net(net, "MX.example.ORG.", DNS_A);
	assert_true(result.cached);
	assert_int_equal(left_s(&result), 60);
	assert_string_equal(shown(net, &result), "192.0.2.1");
	assert_int_equal(fiber_sleep(in_ms(60'000)), OK);
	result = ask_net(net, "mx.example.org", DNS_A);
	assert_false(result.cached);
	assert_string_equal(shown(net, &result), "192.0.2.2");
	assert_int_equal(stats(net).queries, 2);
}

static void a_denial_is_kept_as_long_as_its_soa_says(void *arg) WAITS
{
	struct net *net = arg;
	struct dns_result result = ask_net(net, "late.example.org", DNS_A);

	assert_int_equal(result.verdict, DNS_NO_NAME);
	assert_int_equal(left_s(&result), 60);
	set_zone(net, second_zone);
	assert_int_equal(fiber_sleep(in_ms(59'000)), OK);
	result = ask_net(net, "late.example.org", DNS_A);
	assert_int_equal(result.verdict, DNS_NO_NAME);
	assert_true(result.cached);
	assert_int_equal(fiber_sleep(in_ms(2'000)), OK);
	assert_int_equal(ask_net(net, "late.example.org", DNS_A).verdict, DNS_FOUND);
	assert_int_equal(ask_net(net, "late.example.org", DNS_MX).verdict, DNS_NO_DATA);
}

static void times_are_clamped_and_nought_is_not_kept(void *arg) WAITS
{
	struct net *net = arg;
	struct dns_result result = ask_net(net, "long.example.org", DNS_A);

	assert_int_equal(left_s(&result), LIMIT_dns_ttl);
	(void)ask_net(net, "short.example.org", DNS_A);
	assert_false(ask_net(net, "short.example.org", DNS_A).cached);
	assert_int_equal(stats(net).entries, 1);
	resolver_flush(net->resolver);
	assert_int_equal(stats(net).entries, 0);
	assert_int_equal(stats(net).octets, 0);
	assert_false(ask_net(net, "long.example.org", DNS_A).cached);
}

static void failures_are_temporary_and_soon_forgotten(void *arg) WAITS
{
	struct net *net = arg;
	struct dns_result result = ask_net(net, "broken.example.org", DNS_A);
	moment begun = now();

	assert_int_equal(result.verdict, DNS_TEMPORARY);
	assert_string_equal(str_dup_c(&net->arena, result.reason), "SERVFAIL");
	set_zone(net, second_zone);
	assert_int_equal(ask_net(net, "broken.example.org", DNS_A).verdict, DNS_TEMPORARY);
	assert_int_equal(fiber_sleep(in_ms(5'000)), OK);
	assert_int_equal(ask_net(net, "broken.example.org", DNS_A).verdict, DNS_FOUND);
	set_zone(net, first_zone);
	begun = now();
	result = ask_net(net, "silent.example.org", DNS_MX);
	assert_int_equal(result.verdict, DNS_TEMPORARY);
	assert_true(now() - begun >= 10'000'000 && now() - begun <= LIMIT_dns_wait * 1000LL);
}

static void cnames_are_followed_and_circles_are_not(void *arg) WAITS
{
	struct net *net = arg;
	struct dns_result result = ask_net(net, "www.example.org", DNS_A);

	assert_string_equal(shown(net, &result), "192.0.2.1");
	assert_true(str_is(result.canonical, S("mx.example.org")));
	result = ask_net(net, "loop.example.org", DNS_A);
	assert_int_equal(result.verdict, DNS_TEMPORARY);
	assert_int_equal(ask_net(net, "no name", DNS_A).verdict, DNS_NO_NAME);
}

static void secure_is_what_is_secure_all_the_way(void *arg) WAITS
{
	struct net *net = arg;

	assert_true(ask_net(net, "safe.example.org", DNS_A).secure);
	assert_true(ask_net(net, "safe.example.org", DNS_A).secure); /* from the cache */
	assert_true(ask_net(net, "safe.example.org", DNS_MX).secure);
	assert_false(ask_net(net, "mixed.example.org", DNS_A).secure);
	assert_false(ask_net(net, "mx.example.org", DNS_A).secure);
}

/* ---- sharing ---- */

static void ask_silent(void *arg) WAITS
{
	struct net *net = arg;

	assert_int_equal(ask_net(net, "silent.example.org", DNS_A).verdict, DNS_TEMPORARY);
	net->answers++;
}

static void the_same_question_is_asked_once(void *arg) WAITS
{
	struct net *net = arg;
	struct fiber_group group;
	struct fiber *first;

	group_init(&group);
	assert_int_equal(fiber_spawn(&group, "first", ask_silent, net, &first), OK);
	for (int i = 0; i < 50; i++)
		assert_int_equal(fiber_spawn(&group, "asks", ask_silent, net, NULL), OK);
	assert_int_equal(fiber_sleep(in_ms(1000)), OK);
	assert_int_equal(net->answers, 0);
	fiber_stop(first); /* the others do not depend on who came first */
	assert_int_equal(fiber_sleep(in_ms(1000)), OK);
	assert_int_equal(net->answers, 1);
	assert_int_equal(group_wait(&group, NEVER), OK);
	assert_int_equal(net->answers, 51);
	assert_int_equal(stats(net).queries, 1);
	assert_int_equal(stats(net).joined, 50);
}

static void a_resolver_goes_while_it_is_asking(void *arg) WAITS
{
	struct net *net = arg;
	struct resolver_question question = { S("silent.example.org"), DNS_A, 0 };

	resolver_prefetch(net->resolver, &question);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	resolver_drop(&net->resolver);
	assert_null(net->resolver);
}

static void ask_and_go(void *arg) WAITS
{
	struct net *net = arg;

	ask_silent(net);
	resolver_drop(&net->resolver);
	net->answers++;
}

static void who_is_stopped_may_drop_its_resolver(void *arg) WAITS
{
	struct net *net = arg;
	struct fiber *fiber;
	struct fiber_group group;

	group_init(&group);
	assert_int_equal(fiber_spawn(&group, "asks", ask_and_go, net, &fiber), OK);
	assert_int_equal(fiber_sleep(in_ms(10)), OK);
	fiber_stop(fiber);
	assert_int_equal(group_wait(&group, in_ms(10)), OK);
	assert_int_equal(net->answers, 2);
}

static void the_cache_is_bounded_and_forgets_the_oldest(void *arg) WAITS
{
	struct net *net = arg;
	size_t count = LIMIT_dns_cache_entries + 100;

	set_zone(net, "$ORIGIN example.org.\n* 80000 TXT \"some text that takes some room\"\n");
	for (size_t i = 0; i < count; i++) {
		char name[64];

		snprintf(name, sizeof(name), "n%zu.example.org", i);
		assert_int_equal(ask_net(net, name, DNS_TXT).verdict, DNS_FOUND);
		arena_reset(&net->arena);
		if (i % 1000 == 0) /* used again and again: it stays */
			assert_true(ask_net(net, "n0.example.org", DNS_TXT).cached);
	}
	assert_true(stats(net).entries <= LIMIT_dns_cache_entries);
	assert_true(stats(net).octets <= LIMIT_dns_cache_octets);
	assert_true(stats(net).entries > LIMIT_dns_cache_entries / 2);
	assert_true(ask_net(net, "n0.example.org", DNS_TXT).cached);
	assert_false(ask_net(net, "n1.example.org", DNS_TXT).cached);
	assert_true(ask_net(net, "n20099.example.org", DNS_TXT).cached);
}

/* ---- traces ---- */

static const char *next_event(struct net *net, struct trace_reader *reader)
{
	struct buf record = BUF(TRACE_RECORD_MAX);
	struct trace_event event;
	uint64_t lost = 0;
	struct str text;

	assert_true(trace_reader_next(reader, &record, &lost));
	assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
	assert_int_equal(event.head.kind, TRACE_dns);
	text = str_print(&net->arena, "%llu %.*s %.*s %.*s %.*s \"%.*s\" ttl %llu%s%s",
			 (unsigned long long)event.head.session, STR_ARGS(event.dns.question),
			 STR_ARGS(event.dns.type), STR_ARGS(event.dns.server),
			 STR_ARGS(event.dns.outcome), STR_ARGS(event.dns.answer),
			 (unsigned long long)event.dns.ttl, event.dns.cached ? " cached" : "",
			 event.dns.secure ? " secure" : "");
	buf_drop(&record);
	return str_dup_c(&net->arena, text);
}

static void every_question_is_an_event(void *arg) WAITS
{
	static const char *const names[] = { "mx", "safe", "safe", "broken", "loop", "nobody" };
	static const char *const events[] = {
		"42 mx.example.org A zone found \"192.0.2.1\" ttl 100",
		"42 safe.example.org A zone found \"192.0.2.5\" ttl 100 secure",
		"42 safe.example.org A cache found \"192.0.2.5\" ttl 100 cached secure",
		"42 broken.example.org A zone failed \"SERVFAIL\" ttl 0",
		"42 loop.example.org A zone failed \"CNAMEs without end\" ttl 100",
		"42 nobody.example.org A zone no-name \"\" ttl 60",
	};
	struct net *net = arg;
	void *ring = calloc(1, trace_ring_size());
	struct resolver_options options = { .zone = zone_of(net, first_zone) };
	struct resolver *traced;
	struct trace_reader *reader;

	trace_ring_format(ring, trace_ring_size(), 1, 0);
	assert_int_equal(trace_writer_new(ring, trace_ring_size(), &options.trace), OK);
	assert_int_equal(trace_reader_new(ring, trace_ring_size(), false, &reader), OK);
	traced = resolver_new(&options);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct str name = str_print(&net->arena, "%s.example.org", names[i]);
		struct resolver_question question = { name, DNS_A, 42 };
		struct dns_result result;

		resolver_ask(traced, &question, &net->arena, &result);
		assert_string_equal(next_event(net, reader), events[i]);
	}
	resolver_drop(&traced);
	trace_reader_drop(&reader);
	trace_writer_drop(&options.trace);
	free(ring);
}

#define IN_NET(test)                                                                               \
	{                                                                                          \
#test, play, NULL, NULL, &(struct scene)                                           \
		{                                                                                  \
			test, first_zone                                                           \
		}                                                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NET(an_answer_is_kept_as_long_as_it_holds),
		IN_NET(a_denial_is_kept_as_long_as_its_soa_says),
		IN_NET(times_are_clamped_and_nought_is_not_kept),
		IN_NET(failures_are_temporary_and_soon_forgotten),
		IN_NET(cnames_are_followed_and_circles_are_not),
		IN_NET(secure_is_what_is_secure_all_the_way),
		IN_NET(the_same_question_is_asked_once),
		IN_NET(a_resolver_goes_while_it_is_asking),
		IN_NET(who_is_stopped_may_drop_its_resolver),
		IN_NET(every_question_is_an_event),
		IN_NET(the_cache_is_bounded_and_forgets_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
