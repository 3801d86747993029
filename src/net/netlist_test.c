/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct netlist *list_of(const char *const *texts, size_t count)
{
	struct network networks[16];

	assert_true(count <= COUNT_OF(networks));
	for (size_t i = 0; i < count; i++)
		assert_true(network_parse(str_of(texts[i]), &networks[i]));
	return netlist_new(networks, count);
}

static size_t find(const struct netlist *list, const char *text)
{
	struct addr addr;

	assert_true(addr_parse_ip(str_of(text), &addr));
	return netlist_find(list, &addr);
}

static void the_first_that_holds_the_address_decides(void **state)
{
	static const char *const texts[] = { "192.0.2.7",       "192.0.2.0/24",  "10.0.0.0/8",
					     "10.1.0.0/16",     "2001:db8::/32", "2001:db8:1::/48",
					     "198.51.100.0/25", "192.0.2.0/24" };
	struct netlist *list = list_of(texts, COUNT_OF(texts));

	(void)state;
	assert_int_equal(find(list, "192.0.2.7"), 0);
	assert_int_equal(find(list, "192.0.2.8"), 1);
	assert_int_equal(find(list, "10.1.2.3"), 2);
	assert_int_equal(find(list, "2001:db8:1::9"), 4);
	assert_int_equal(find(list, "::ffff:10.1.2.3"), 2);
	assert_int_equal(find(list, "198.51.100.127"), 6);
	assert_true(find(list, "198.51.100.128") == NETLIST_NONE);
	assert_true(find(list, "2001:db9::") == NETLIST_NONE);
	netlist_drop(&list);
}

static void all_of_a_family_is_that_family_alone(void **state)
{
	static const char *const texts[] = { "::/0" };
	struct netlist *list = list_of(texts, 1);
	struct addr local = { .family = ADDR_UNIX };

	(void)state;
	assert_int_equal(find(list, "2001:db8::1"), 0);
	assert_true(find(list, "192.0.2.1") == NETLIST_NONE);
	assert_true(netlist_find(list, &local) == NETLIST_NONE);
	assert_true(netlist_find(NULL, &local) == NETLIST_NONE);
	netlist_drop(&list);
}

/* Against the plain way of looking at one after the other. */
static void ten_thousand_by_chance_are_found_as_one_by_one(void **state)
{
	enum { MANY = 10000 };
	struct network *networks = calloc(MANY, sizeof(*networks));
	struct netlist *list;

	(void)state;
	must(networks);
	srandom(7);
	for (size_t i = 0; i < MANY; i++) {
		char text[64];
		unsigned bits = 8 + (unsigned)random() % 25;
		uint32_t ip = ((uint32_t)random() % 64 << 26 | (uint32_t)random() % (1 << 26)) &
			      (uint32_t)(UINT64_C(0xFFFFFFFF) << (32 - bits));

		snprintf(text, sizeof(text), "%u.%u.%u.%u/%u", ip >> 24, ip >> 16 & 255,
			 ip >> 8 & 255, ip & 255, bits);
		assert_true(network_parse(str_of(text), &networks[i]));
	}
	list = netlist_new(networks, MANY);
	for (size_t tries = 0; tries < 2000; tries++) {
		struct addr addr = { .family = ADDR_IPV4 };
		size_t plain = NETLIST_NONE;

		for (size_t i = 0; i < 4; i++)
			addr.ip[i] = (unsigned char)random();
		for (size_t i = 0; i < MANY && plain == NETLIST_NONE; i++)
			if (network_contains(&networks[i], &addr))
				plain = i;
		assert_true(netlist_find(list, &addr) == plain);
	}
	netlist_drop(&list);
	free(networks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_holds_the_address_decides),
		cmocka_unit_test(all_of_a_family_is_that_family_alone),
		cmocka_unit_test(ten_thousand_by_chance_are_found_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
