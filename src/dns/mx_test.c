/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/test_world.h"

static const char mail_zone[] = "$TTL 300\n"
				"$ORIGIN example.org.\n"
				"@ SOA ns host 1 2 3 4 60\n"
				"@ MX 20 b\n"
				"@ MX 10 a\n"
				"a A 192.0.2.1\n"
				"a A 192.0.2.2\n"
				"a AAAA 2001:db8::1\n"
				"b A 192.0.2.3\n"
				"bare A 192.0.2.4\n"
				"null MX 0 .\n"
				"nullish MX 0 .\n"
				"nullish MX 5 a\n"
				"empty TXT \"no mail host\"\n"
				"lost MX 10 nowhere\n"
				"alias CNAME @\n"
				"half MX 10 broken\n"
				"half MX 20 b\n"
				"down MX 10 broken\n"
				"down MX 20 nowhere\n"
				"twice MX 10 a\n"
				"twice MX 20 A\n"
				"safe MX 10 mx.safe\n"
				"mx.safe A 192.0.2.5\n"
				"mixed MX 10 mx.mixed\n"
				"mx.mixed CNAME b\n"
				"odd MX 10 any\n"
				"any A 0.0.0.0\n"
				"any A 224.0.0.1\n"
				"$SERVFAIL broken\n"
				"$SECURE safe\n"
				"$SECURE mixed\n";

static struct mail_route_question about(const char *domain)
{
	return (struct mail_route_question){ .domain = str_of(domain), .port = 25 };
}

/* "10 a 192.0.2.1:25, ..." or "550 5.1.2". */
static const char *told(struct net *net, const struct mail_route *route)
{
	struct buf text = BUF(8000);
	char *copy;

	if (route->verdict != ROUTE_FOUND) {
		assert_true(route->reason.len > 0 && route->count == 0);
		buf_print(&text, "%u %.*s", route->code, STR_ARGS(route->enhanced));
	}
	for (size_t i = 0; i < route->count; i++) {
		char address[ADDR_TEXT];

		addr_print(&route->hops[i].address, address);
		buf_print(&text, "%s%u %.*s %s%s", i ? ", " : "", route->hops[i].preference,
			  STR_ARGS(route->hops[i].host), address,
			  route->hops[i].secure ? " secure" : "");
	}
	copy = str_dup_c(&net->arena, buf_str(&text));
	buf_drop(&text);
	return copy;
}

static const char *route_to(struct net *net, const struct mail_route_question *question) WAITS
{
	struct mail_route route;

	mail_route_find(net->resolver, question, &net->arena, &route);
	return told(net, &route);
}

static void every_domain_has_its_route(void *arg) WAITS
{
	static const char *const rows[][2] = {
		{ "example.org",
		  "10 a.example.org [2001:db8::1]:25, 10 a.example.org 192.0.2.1:25, "
		  "10 a.example.org 192.0.2.2:25, 20 b.example.org 192.0.2.3:25" },
		{ "alias.example.org",
		  "10 a.example.org [2001:db8::1]:25, 10 a.example.org 192.0.2.1:25, "
		  "10 a.example.org 192.0.2.2:25, 20 b.example.org 192.0.2.3:25" },
		{ "bare.example.org", "0 bare.example.org 192.0.2.4:25" },
		{ "null.example.org", "556 5.1.10" },
		{ "nullish.example.org",
		  "5 a.example.org [2001:db8::1]:25, 5 a.example.org 192.0.2.1:25, "
		  "5 a.example.org 192.0.2.2:25" },
		{ "empty.example.org", "550 5.4.4" },
		{ "lost.example.org", "550 5.4.4" },
		{ "odd.example.org", "550 5.4.4" },
		{ "nobody.example.org", "550 5.1.2" },
		{ "broken.example.org", "451 4.4.3" },
		{ "half.example.org", "20 b.example.org 192.0.2.3:25" },
		{ "down.example.org", "451 4.4.3" },
		{ "twice.example.org",
		  "10 a.example.org [2001:db8::1]:25, 10 a.example.org 192.0.2.1:25, "
		  "10 a.example.org 192.0.2.2:25" },
		{ "safe.example.org", "10 mx.safe.example.org 192.0.2.5:25 secure" },
		{ "mixed.example.org", "10 mx.mixed.example.org 192.0.2.3:25" },
	};
	struct net *net = arg;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct mail_route_question question = about(rows[i][0]);

		assert_string_equal(route_to(net, &question), rows[i][1]);
	}
}

static void mail_does_not_come_back_to_us(void *arg) WAITS
{
	static const struct str names[] = { S("mx.example.com"), S("B.example.org") };
	struct mail_route_question question = about("example.org");
	struct net *net = arg;
	struct addr own[2] = { { 0 } };

	question.own_names = names;
	question.own_name_count = 2;
	assert_string_equal(route_to(net, &question),
			    "10 a.example.org [2001:db8::1]:25, 10 a.example.org 192.0.2.1:25, "
			    "10 a.example.org 192.0.2.2:25");
	question.own_names = (const struct str[]){ S("a.example.org") };
	question.own_name_count = 1;
	assert_string_equal(route_to(net, &question), "550 5.4.6");
	question.own_name_count = 0;
	question.own_addresses = own;
	question.own_address_count = 2;
	assert_true(addr_parse_ip(S("192.0.2.3"), &own[0]));
	assert_true(addr_parse_ip(S("198.51.100.1"), &own[1]));
	assert_string_equal(route_to(net, &question),
			    "10 a.example.org [2001:db8::1]:25, 10 a.example.org 192.0.2.1:25, "
			    "10 a.example.org 192.0.2.2:25");
	assert_true(addr_parse_ip(S("192.0.2.2"), &own[0]));
	assert_string_equal(route_to(net, &question), "550 5.4.6");
	question.domain = S("bare.example.org");
	assert_true(addr_parse_ip(S("192.0.2.4"), &own[1]));
	assert_string_equal(route_to(net, &question), "550 5.4.6");
}

static void hosts_of_one_preference_come_in_any_order(void *arg) WAITS
{
	struct net *net = arg;
	unsigned first[3] = { 0 };

	set_zone(net, "d.example MX 10 a.example\nd.example MX 10 b.example\n"
		      "d.example MX 10 c.example\nd.example MX 5 z.example\n"
		      "a.example A 192.0.2.1\nb.example A 192.0.2.2\nc.example A 192.0.2.3\n"
		      "z.example A 192.0.2.26\n");
	for (int i = 0; i < 300; i++) {
		struct mail_route_question question = about("d.example");
		struct mail_route route;

		mail_route_find(net->resolver, &question, &net->arena, &route);
		assert_int_equal(route.count, 4);
		assert_true(str_is(route.hops[0].host, S("z.example")));
		first[route.hops[1].host.at[0] - 'a']++;
	}
	for (size_t i = 0; i < COUNT_OF(first); i++)
		assert_true(first[i] > 50);
}

static void hosts_and_addresses_are_bounded(void *arg) WAITS
{
	struct buf text = BUF(100'000);
	struct mail_route_question question = about("d.example");
	struct net *net = arg;
	struct mail_route route;

	for (int i = 0; i < 100; i++)
		buf_print(&text, "d.example MX %d h%d.example\n", i, i);
	for (int i = 0; i < 300; i++)
		buf_print(&text, "h%d.example A 192.0.2.%d\n", i % 100, i % 250 + 1);
	buf_add_char(&text, 0);
	set_zone(net, text.at);
	buf_drop(&text);
	mail_route_find(net->resolver, &question, &net->arena, &route);
	assert_int_equal(route.count, LIMIT_route_hops);
	assert_true(stats(net).queries <= 1 + 2 * LIMIT_route_hosts);
}

static void a_host_is_found_without_mx(void *arg) WAITS
{
	struct mail_route_question question = about("b.example.org");
	struct net *net = arg;
	struct mail_route route;

	question.port = 587;
	mail_route_host(net->resolver, &question, &net->arena, &route);
	assert_string_equal(told(net, &route), "0 b.example.org 192.0.2.3:587");
	question.domain = S("2001:db8::25");
	mail_route_host(net->resolver, &question, &net->arena, &route);
	assert_string_equal(told(net, &route), "0 2001:db8::25 [2001:db8::25]:587 secure");
	question.domain = S("nowhere.example.org");
	mail_route_host(net->resolver, &question, &net->arena, &route);
	assert_string_equal(told(net, &route), "550 5.4.4");
}

#define IN_NET(test)                                                                               \
	{                                                                                          \
#test, play, NULL, NULL, &(struct scene)                                           \
		{                                                                                  \
			test, mail_zone                                                            \
		}                                                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NET(every_domain_has_its_route),
		IN_NET(mail_does_not_come_back_to_us),
		IN_NET(hosts_of_one_preference_come_in_any_order),
		IN_NET(hosts_and_addresses_are_bounded),
		IN_NET(a_host_is_found_without_mx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
