/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/own.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMTP_PORT = 25, OWN_MAX = 256, TABLE_OCTETS = 1 << 20 };

static struct addr machine[OWN_MAX];
static size_t machine_count;

static void add(struct addr *all, size_t *count, const struct addr *address)
{
	if (*count < OWN_MAX)
		all[(*count)++] = *address;
}

/* ---- of the machine: the kernel's tables as text, for no role may ask it by netlink ---- */

static struct str read_whole(const char *path, struct buf *out)
{
	char piece[4096];
	FILE *file = fopen(path, "re");
	size_t got;

	buf_reset(out);
	while (file && (got = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(out, (struct str){ piece, got });
	if (file)
		fclose(file);
	return buf_str(out);
}

/* fib_trie: a line "|-- 192.0.2.1", and below it "/32 host LOCAL" when it is one of ours. */
static void take_ipv4(struct str text)
{
	struct scan scan = scan_of(text);
	struct addr address = { 0 };
	struct str line;

	while (take_until(&scan, '\n', &line)) {
		size_t leaf = str_find_str(line, S("|-- "));
		struct addr next;

		if (leaf != STR_NONE && addr_parse_ip(str_from(line, leaf + 4), &next))
			address = next;
		else if (address.family == ADDR_IPV4 &&
			 str_find_str(line, S("/32 host LOCAL")) != STR_NONE)
			add(machine, &machine_count, &address);
	}
}

/* if_inet6: 32 digits, and then what does not matter here. */
static void take_ipv6(struct str text)
{
	struct scan scan = scan_of(text);
	struct str line;

	while (take_until(&scan, '\n', &line)) {
		struct addr address = { .family = ADDR_IPV6 };
		uint64_t half[2] = { 0 };
		bool is_hex = line.len > 32;

		for (size_t i = 0; is_hex && i < 32; i++) {
			unsigned char c = ascii_lower((unsigned char)line.at[i]);

			is_hex = ascii_is_digit(c) || (c >= 'a' && c <= 'f');
			half[i / 16] = half[i / 16] << 4 |
				       (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
		}
		for (size_t i = 0; i < 16; i++)
			address.ip[i] = (unsigned char)(half[i / 8] >> (56 - 8 * (i % 8)));
		if (is_hex)
			add(machine, &machine_count, &address);
	}
}

void own_prepare(void)
{
	struct buf text = BUF(TABLE_OCTETS);

	machine_count = 0;
	take_ipv4(read_whole("/proc/net/fib_trie", &text));
	take_ipv6(read_whole("/proc/net/if_inet6", &text));
	buf_drop(&text);
}

/* ---- of the listeners ---- */

static bool is_any(const struct addr *address)
{
	static const unsigned char any[16];

	return memcmp(address->ip, any, sizeof(any)) == 0;
}

static void add_listener(const struct config_listener *listener, struct addr *all, size_t *count)
{
	struct addr address;

	for (size_t i = 0; i < listener->address.count; i++) {
		if (!config_listener_address(listener, i, S(""), &address) ||
		    address.port != SMTP_PORT ||
		    (address.family != ADDR_IPV4 && address.family != ADDR_IPV6))
			continue;
		if (!is_any(&address)) {
			add(all, count, &address);
			continue;
		}
		for (size_t j = 0; j < machine_count; j++)
			if (machine[j].family == address.family)
				add(all, count, &machine[j]);
	}
}

void own_addresses(const struct config *config, struct addr **out, size_t *count)
{
	struct addr *all = calloc(OWN_MAX, sizeof(*all));

	must(all);
	*count = 0;
	for (size_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].kind == PROTOCOL_SMTP)
			add_listener(&config->listeners[i], all, count);
	*out = all;
}
