/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static const unsigned char mapped_prefix[12] = { [10] = 0xFF, [11] = 0xFF };

static size_t ip_size(const struct addr *addr)
{
	return addr->family == ADDR_IPV4 ? 4 : addr->family == ADDR_IPV6 ? 16 : 0;
}

static void set_ipv6(struct addr *out, const unsigned char ip[16])
{
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		out->family = ADDR_IPV4;
		memcpy(out->ip, ip + 12, 4);
		return;
	}
	out->family = ADDR_IPV6;
	memcpy(out->ip, ip, 16);
}

void addr_from_sockaddr(const struct sockaddr *from, size_t len, struct addr *out)
{
	struct addr addr = { 0 };

	if (from->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)from;

		addr.family = ADDR_IPV4;
		addr.port = ntohs(in->sin_port);
		memcpy(addr.ip, &in->sin_addr, 4);
	} else if (from->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = (const void *)from;

		addr.port = ntohs(in6->sin6_port);
		set_ipv6(&addr, in6->sin6_addr.s6_addr);
	} else if (from->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const void *)from;
		size_t room = len > offsetof(struct sockaddr_un, sun_path)
				      ? len - offsetof(struct sockaddr_un, sun_path)
				      : 0;

		addr.family = ADDR_UNIX;
		if (room > sizeof(addr.path) - 1)
			room = sizeof(addr.path) - 1;
		memcpy(addr.path, un->sun_path, room);
	}
	*out = addr;
}

size_t addr_to_sockaddr(const struct addr *addr, void *storage, size_t room)
{
	must(room >= sizeof(struct sockaddr_storage));
	memset(storage, 0, room);
	if (addr->family == ADDR_IPV4) {
		struct sockaddr_in *in = storage;

		in->sin_family = AF_INET;
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->ip, 4);
		return sizeof(*in);
	}
	if (addr->family == ADDR_IPV6) {
		struct sockaddr_in6 *in6 = storage;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(addr->port);
		memcpy(&in6->sin6_addr, addr->ip, 16);
		return sizeof(*in6);
	}
	if (addr->family == ADDR_UNIX) {
		struct sockaddr_un *un = storage;

		un->sun_family = AF_UNIX;
		static_assert(sizeof(addr->path) == sizeof(un->sun_path), "one length for both");
		memcpy(un->sun_path, addr->path, sizeof(addr->path));
		return sizeof(*un);
	}
	return 0;
}

bool addr_parse_ip(struct str text, struct addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char ip[16];
	struct addr addr = { 0 };

	if (text.len == 0 || text.len >= sizeof(copy) || str_find(text, 0) != STR_NONE)
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = 0;
	if (inet_pton(AF_INET, copy, addr.ip) == 1)
		addr.family = ADDR_IPV4;
	else if (inet_pton(AF_INET6, copy, ip) == 1)
		set_ipv6(&addr, ip);
	else
		return false;
	*out = addr;
	return true;
}

bool addr_parse(struct str text, struct addr *out)
{
	size_t colon = str_find_last(text, ':');
	struct str host = str_first(text, colon == STR_NONE ? 0 : colon);
	uint64_t port;
	struct addr addr = { 0 };

	if (text.len && text.at[0] == '/') {
		if (text.len >= sizeof(addr.path))
			return false;
		addr.family = ADDR_UNIX;
		memcpy(addr.path, text.at, text.len);
		*out = addr;
		return true;
	}
	if (colon == STR_NONE || !str_to_u64(str_from(text, colon + 1), 65535, &port))
		return false;
	if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
		host = (struct str){ host.at + 1, host.len - 2 };
	else if (str_find(host, ':') != STR_NONE)
		return false; /* IPv6 needs its brackets before a port */
	if (!addr_parse_ip(host, &addr))
		return false;
	addr.port = (uint16_t)port;
	*out = addr;
	return true;
}

void addr_print_ip(const struct addr *addr, char text[ADDR_TEXT])
{
	text[0] = 0;
	if (addr->family == ADDR_IPV4)
		inet_ntop(AF_INET, addr->ip, text, ADDR_TEXT);
	else if (addr->family == ADDR_IPV6)
		inet_ntop(AF_INET6, addr->ip, text, ADDR_TEXT);
	else if (addr->family == ADDR_UNIX)
		snprintf(text, ADDR_TEXT, "unix:%s", addr->path);
}

void addr_print(const struct addr *addr, char text[ADDR_TEXT])
{
	char ip[ADDR_TEXT];

	addr_print_ip(addr, ip);
	if (addr->family == ADDR_IPV4)
		snprintf(text, ADDR_TEXT, "%.60s:%u", ip, addr->port);
	else if (addr->family == ADDR_IPV6)
		snprintf(text, ADDR_TEXT, "[%.60s]:%u", ip, addr->port);
	else
		memcpy(text, ip, ADDR_TEXT);
}

bool addr_is_loopback(const struct addr *addr)
{
	static const unsigned char one[16] = { [15] = 1 };

	if (addr->family == ADDR_IPV4)
		return addr->ip[0] == 127;
	return addr->family == ADDR_UNIX ||
	       (addr->family == ADDR_IPV6 && memcmp(addr->ip, one, 16) == 0);
}

bool addr_is_same_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, ip_size(a)) == 0;
}

static bool bits_are_same(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned char mask = (unsigned char)(0xFF00 >> (bits % 8));

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (a[bits / 8] & mask) == (b[bits / 8] & mask);
}

bool network_parse(struct str text, struct network *out)
{
	size_t slash = str_find(text, '/');
	struct network network = { 0 };
	struct addr bare = { 0 };
	uint64_t prefix;

	if (!addr_parse_ip(slash == STR_NONE ? text : str_first(text, slash), &network.address))
		return false;
	prefix = ip_size(&network.address) * 8;
	if (slash != STR_NONE && !str_to_u64(str_from(text, slash + 1), prefix, &prefix))
		return false;
	network.prefix = (unsigned)prefix;
	memcpy(bare.ip, network.address.ip, (network.prefix + 7) / 8);
	if (network.prefix % 8)
		bare.ip[network.prefix / 8] &= (unsigned char)(0xFF00 >> (network.prefix % 8));
	if (memcmp(bare.ip, network.address.ip, 16) != 0)
		return false;
	*out = network;
	return true;
}

bool network_contains(const struct network *network, const struct addr *addr)
{
	return network->address.family == addr->family && ip_size(addr) > 0 &&
	       bits_are_same(network->address.ip, addr->ip, network->prefix);
}

struct addr addr_rate_group(const struct addr *addr)
{
	struct addr group = { .family = addr->family };

	memcpy(group.ip, addr->ip, addr->family == ADDR_IPV4 ? 4 : 8);
	return group;
}
