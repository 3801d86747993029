/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY header, versions 1 and 2 (HAProxy's proxy-protocol.txt, sections 2.1 and 2.2). */
#include "net/net.h"

enum { V1_MAX = 107, V2_HEADER = 16, V2_MAX = LIMIT_proxy_header };
#define V1_SHORTEST "PROXY UNKNOWN\r\n"

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum err more(size_t wanted, size_t *used)
{
	*used = wanted;
	return ERR_AGAIN;
}

static bool take_word(struct scan *scan, struct str *out)
{
	return take_until(scan, ' ', out) && out->len > 0;
}

/* Decimal without a leading zero, as 2.1 wants it: two spellings of one port are one too many. */
static bool port_parse(struct str text, uint16_t *out)
{
	uint64_t port;

	if (!str_to_u64(text, 65535, &port) || (text.len > 1 && text.at[0] == '0'))
		return false;
	*out = (uint16_t)port;
	return true;
}

/* The family is what the text says, before ::ffff:1.2.3.4 is folded to IPv4. */
static bool ip_parse(struct str text, enum addr_family family, struct addr *out)
{
	bool has_colon = str_find(text, ':') != STR_NONE;

	return has_colon == (family == ADDR_IPV6) && addr_parse_ip(text, out);
}

static enum err v1_addresses(struct scan *scan, enum addr_family family, struct proxy_header *out)
{
	struct str from;
	struct str to;
	struct str port;
	uint16_t from_port;
	uint16_t to_port;

	if (!take_word(scan, &from) || !take_word(scan, &to) || !take_word(scan, &port) ||
	    !ip_parse(from, family, &out->from) || !ip_parse(to, family, &out->to) ||
	    !port_parse(port, &from_port) || !port_parse(scan_rest(scan), &to_port))
		return fault(ERR_PROTOCOL, "PROXY header with addresses that are none");
	out->from.port = from_port;
	out->to.port = to_port;
	return OK;
}

/* How long a header that begins like this is at least: its end is still to come. */
static size_t v1_least(struct str octets)
{
	size_t least = octets.len + (octets.at[octets.len - 1] == '\r' ? 1 : 2);

	return least < sizeof(V1_SHORTEST) - 1 ? sizeof(V1_SHORTEST) - 1 : least;
}

/* 2.1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n" */
static enum err v1_parse(struct str octets, struct proxy_header *out, size_t *used)
{
	size_t end = str_find_str(str_first(octets, V1_MAX), S("\r\n"));
	struct proxy_header header = { 0 };
	struct scan scan;
	enum err err;

	if (end == STR_NONE)
		return octets.len < V1_MAX ? more(v1_least(octets), used)
					   : fault(ERR_PROTOCOL, "PROXY header without an end");
	scan = scan_of(str_first(octets, end));
	scan.at += sizeof("PROXY ") - 1;
	if (take_str_nocase(&scan, S("UNKNOWN"))) {
		header.is_local = true; /* the rest of the line is to be ignored */
		err = OK;
	} else if (take_str_nocase(&scan, S("TCP4 "))) {
		err = v1_addresses(&scan, ADDR_IPV4, &header);
	} else if (take_str_nocase(&scan, S("TCP6 "))) {
		err = v1_addresses(&scan, ADDR_IPV6, &header);
	} else {
		err = fault(ERR_PROTOCOL, "PROXY header of an unknown family");
	}
	if (err)
		return err;
	*out = header;
	*used = end + 2;
	return OK;
}

static uint16_t be16(const char *at)
{
	return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

static void v2_addr(const char *ip, size_t size, const char *port, struct addr *out)
{
	static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };

	*out = (struct addr){ .family = size == 4 ? ADDR_IPV4 : ADDR_IPV6, .port = be16(port) };
	if (size == 16 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
		out->family = ADDR_IPV4;
		ip += 12;
		size = 4;
	}
	memcpy(out->ip, ip, size);
}

/* 2.2: signature, version and command, family and protocol, length, addresses, TLVs. */
static enum err v2_parse(struct str octets, struct proxy_header *out, size_t *used)
{
	struct proxy_header header = { 0 };
	unsigned command;
	unsigned family;
	size_t len;
	size_t ip;

	if (octets.len < V2_HEADER)
		return more(V2_HEADER, used);
	command = (unsigned char)octets.at[12];
	family = (unsigned char)octets.at[13];
	len = be16(octets.at + 14);
	if (command >> 4 != 2 || (command & 15) > 1)
		return fault(ERR_PROTOCOL, "PROXY header of an unknown version or command");
	if (len > V2_MAX - V2_HEADER)
		return fault(ERR_PROTOCOL, "PROXY header of %zu octets", len);
	if (octets.len < V2_HEADER + len)
		return more(V2_HEADER + len, used);
	ip = family == 0x11 ? 4 : family == 0x21 ? 16 : 0;
	header.is_local = (command & 15) == 0 || ip == 0;
	if (!header.is_local) {
		const char *at = octets.at + V2_HEADER;

		if (len < 2 * ip + 4)
			return fault(ERR_PROTOCOL, "PROXY header too short for its addresses");
		v2_addr(at, ip, at + 2 * ip, &header.from);
		v2_addr(at + ip, ip, at + 2 * ip + 2, &header.to);
	}
	*out = header;
	*used = V2_HEADER + len;
	return OK;
}

enum err proxy_parse(struct str octets, struct proxy_header *out, size_t *used)
{
	struct str v1 = S("PROXY ");
	struct str v2 = { v2_signature, sizeof(v2_signature) };

	if (str_starts(octets, v1))
		return v1_parse(octets, out, used);
	if (str_starts(octets, v2))
		return v2_parse(octets, out, used);
	if (str_starts(v1, octets) || str_starts(v2, octets))
		return more(sizeof(V1_SHORTEST) - 1, used); /* no header is shorter */
	return fault(ERR_PROTOCOL, "no PROXY header");
}
