/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * addr: where a connection comes from or goes to: IPv4, IPv6 or a UNIX socket; and networks
 * of such addresses (CIDR). IPv4 inside IPv6 (::ffff:1.2.3.4) is folded to IPv4 on the way in.
 */
enum addr_family { ADDR_NONE, ADDR_IPV4, ADDR_IPV6, ADDR_UNIX };

struct addr {
	enum addr_family family;
	uint16_t port;
	unsigned char ip[16]; /* 4 or 16 of them, network order */
	char path[108];       /* of a UNIX socket; "" for an unnamed one */
};

struct network {
	struct addr address;
	unsigned prefix; /* bits */
};

enum { ADDR_TEXT = 128 };

struct sockaddr;

void addr_from_sockaddr(const struct sockaddr *from, size_t len, struct addr *out);
/* Gives a struct sockaddr_storage's worth of octets and its length. */
size_t addr_to_sockaddr(const struct addr *addr, void *storage, size_t room);
bool addr_parse_ip(struct str text, struct addr *out); /* "192.0.2.1" or "2001:db8::1", no port */
bool addr_parse(struct str text,
		struct addr *out); /* "192.0.2.1:25", "[2001:db8::1]:25", "/path" */
void addr_print_ip(const struct addr *addr, char text[ADDR_TEXT]);
void addr_print(const struct addr *addr, char text[ADDR_TEXT]); /* with port; "unix:" and path */
bool addr_is_loopback(const struct addr *addr);                 /* UNIX sockets too */
bool addr_is_same_ip(const struct addr *a, const struct addr *b);

bool network_parse(struct str text,
		   struct network *out); /* "10.0.0.0/8", or one address; host bits must be 0 */
bool network_contains(const struct network *network, const struct addr *addr);
/* The group that rate limits count: the address itself for IPv4, the /64 for IPv6. */
struct addr addr_rate_group(const struct addr *addr);
