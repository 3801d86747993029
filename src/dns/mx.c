/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/mx.h"

#include <stdlib.h>

struct candidate {
	struct str name;
	uint16_t preference;
	uint64_t chance; /* the order among those of one preference */
};

struct routing {
	struct resolver *resolver;
	const struct mail_route_question *question;
	struct arena *arena;
	struct mail_route *route;
	struct candidate *candidates;
	size_t count;
	uint32_t loop_from; /* preference at which we ourselves stand; past 65535: nowhere */
	struct dns_result temporary; /* of a host; its verdict tells whether there was any */
};

enum { NO_LOOP = UINT16_MAX + 1 };

static void refuse(struct routing *r, enum mail_route_verdict verdict, struct str reason)
{
	static const struct {
		unsigned code;
		const char *enhanced;
	} replies[] = {
		[ROUTE_NO_DOMAIN] = { 550, "5.1.2" },
		[ROUTE_NULL_MX] = { 556, "5.1.10" },
		[ROUTE_UNUSABLE] = { 550, "5.4.4" },
		[ROUTE_TEMPORARY] = { 451, "4.4.3" },
	};

	r->route->verdict = verdict;
	r->route->code = replies[verdict].code;
	r->route->enhanced = str_of(replies[verdict].enhanced);
	r->route->reason = reason;
	r->route->count = 0;
}

static void refuse_for_now(struct routing *r, struct str name, const struct dns_result *result)
{
	refuse(r, ROUTE_TEMPORARY,
	       str_print(r->arena, "looking up %.*s failed: %.*s", STR_ARGS(name),
			 STR_ARGS(result->reason)));
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct dns_result ask(struct routing *r, struct str name, enum dns_type type) WAITS
{
	struct resolver_question question = { name, type, r->question->session };
	struct dns_result result;

	resolver_ask(r->resolver, &question, r->arena, &result);
	r->route->ttl_s = lesser(r->route->ttl_s, result.ttl_s);
	return result;
}

/* ---- the hosts ---- */

static bool is_null(struct str host)
{
	return str_is(host, S("."));
}

/* Names of ours may be written with a final dot, names of records are not. */
static bool is_own_name(const struct routing *r, struct str host)
{
	for (size_t i = 0; i < r->question->own_name_count; i++)
		if (str_is_nocase(r->question->own_names[i], host))
			return true;
	return false;
}

static bool is_own_address(const struct routing *r, const struct addr *address)
{
	for (size_t i = 0; i < r->question->own_address_count; i++)
		if (addr_is_same_ip(&r->question->own_addresses[i], address))
			return true;
	return false;
}

/* rfc5321 5.1: what is not nearer to the end than we are is left out. */
static void note_loop(struct routing *r, uint16_t preference)
{
	if (preference < r->loop_from)
		r->loop_from = preference;
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return x->chance < y->chance ? -1 : x->chance > y->chance;
}

static bool is_known(const struct routing *r, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_is_nocase(r->candidates[i].name, name))
			return true;
	return false;
}

/* The nearest ones, each once. */
static void shorten(struct routing *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->count && kept < LIMIT_route_hosts; i++)
		if (!is_known(r, kept, r->candidates[i].name))
			r->candidates[kept++] = r->candidates[i];
	r->count = kept;
}

static void take_mx(struct routing *r, const struct dns_result *mx)
{
	r->candidates = NEW_ARRAY(r->arena, struct candidate, mx->count);
	for (size_t i = 0; i < mx->count; i++) {
		const struct dns_record *record = &mx->records[i];

		/* rfc7505 3: "." among others is a mistake, and names no host. */
		if (is_null(record->mx.host))
			continue;
		if (is_own_name(r, record->mx.host))
			note_loop(r, record->mx.preference);
		r->candidates[r->count++] =
			(struct candidate){ record->mx.host, record->mx.preference, random_u64() };
	}
	qsort(r->candidates, r->count, sizeof(*r->candidates), compare);
	shorten(r);
}

static void take_only(struct routing *r, struct str name)
{
	r->candidates = NEW_ARRAY(r->arena, struct candidate, 1);
	r->candidates[0] = (struct candidate){ .name = name };
	r->count = 1;
	if (is_own_name(r, name))
		note_loop(r, 0);
}

/* ---- their addresses ---- */

static void prefetch(const struct routing *r)
{
	for (size_t i = 0; i < r->count && r->candidates[i].preference < r->loop_from; i++) {
		struct resolver_question question = { r->candidates[i].name, DNS_AAAA,
						      r->question->session };

		resolver_prefetch(r->resolver, &question);
		question.type = DNS_A;
		resolver_prefetch(r->resolver, &question);
	}
}

/* To connect to "any address" would be to connect to ourselves; nobody answers mail as a group. */
static bool can_be_connected_to(const struct addr *address)
{
	static const unsigned char any[16];

	if (address->family == ADDR_IPV4)
		return address->ip[0] != 0 && address->ip[0] < 224;
	return memcmp(address->ip, any, sizeof(any)) != 0 && address->ip[0] != 0xFF;
}

static void add_hop(struct routing *r, const struct candidate *candidate,
		    const struct dns_result *result, size_t index)
{
	struct mail_route *route = r->route;
	struct addr address = result->records[index].address;

	if (is_own_address(r, &address))
		note_loop(r, candidate->preference);
	if (!can_be_connected_to(&address) || route->count == LIMIT_route_hops)
		return;
	address.port = r->question->port;
	route->hops[route->count++] = (struct mail_hop){
		.host = candidate->name,
		.address = address,
		.preference = candidate->preference,
		.secure = route->secure && result->secure,
	};
}

static struct dns_result ask_addresses(struct routing *r, struct str name, enum dns_type type) WAITS
{
	struct dns_result result = ask(r, name, type);

	if (result.verdict == DNS_TEMPORARY)
		r->temporary = result;
	return result;
}

/* rfc8305 4: families take turns, so that one that does not work costs one try. */
static void add_host(struct routing *r, const struct candidate *candidate) WAITS
{
	struct dns_result six = ask_addresses(r, candidate->name, DNS_AAAA);
	struct dns_result four = ask_addresses(r, candidate->name, DNS_A);

	for (size_t i = 0; i < six.count || i < four.count; i++) {
		if (i < six.count)
			add_hop(r, candidate, &six, i);
		if (i < four.count)
			add_hop(r, candidate, &four, i);
	}
}

static void cut_loop(struct routing *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->route->count; i++)
		if (r->route->hops[i].preference < r->loop_from)
			r->route->hops[kept++] = r->route->hops[i];
	r->route->count = kept;
}

static void find_addresses(struct routing *r) WAITS
{
	struct str domain = r->question->domain;

	r->route->hops = NEW_ARRAY(r->arena, struct mail_hop, LIMIT_route_hops);
	prefetch(r);
	for (size_t i = 0; i < r->count && r->candidates[i].preference < r->loop_from; i++)
		add_host(r, &r->candidates[i]);
	cut_loop(r);
	if (r->route->count > 0)
		return;
	if (r->temporary.verdict == DNS_TEMPORARY) {
		refuse_for_now(r, domain, &r->temporary);
	} else if (r->loop_from != NO_LOOP) {
		refuse(r, ROUTE_UNUSABLE,
		       str_print(r->arena, "mail for %.*s would come back to us",
				 STR_ARGS(domain)));
		r->route->enhanced = S("5.4.6");
	} else {
		refuse(r, ROUTE_UNUSABLE,
		       str_print(r->arena, "no mail host of %.*s has an address",
				 STR_ARGS(domain)));
	}
}

/* ---- routes ---- */

static struct routing begin(struct resolver *resolver, const struct mail_route_question *question,
			    struct arena *arena, struct mail_route *out)
{
	*out = (struct mail_route){ .verdict = ROUTE_FOUND, .ttl_s = LIMIT_dns_ttl };
	return (struct routing){ .resolver = resolver,
				 .question = question,
				 .arena = arena,
				 .route = out,
				 .loop_from = NO_LOOP };
}

void mail_route_find(struct resolver *resolver, const struct mail_route_question *question,
		     struct arena *arena, struct mail_route *out) WAITS
{
	struct routing r = begin(resolver, question, arena, out);
	struct dns_result mx = ask(&r, question->domain, DNS_MX);

	out->secure = mx.secure;
	switch (mx.verdict) {
	case DNS_TEMPORARY:
		refuse_for_now(&r, question->domain, &mx);
		return;
	case DNS_NO_NAME:
		refuse(&r, ROUTE_NO_DOMAIN,
		       str_print(arena, "there is no domain %.*s", STR_ARGS(question->domain)));
		return;
	case DNS_NO_DATA: /* rfc5321 5.1: an implicit MX with preference 0 */
		take_only(&r, question->domain);
		break;
	case DNS_FOUND:
		take_mx(&r, &mx);
		break;
	}
	if (r.count == 0) /* rfc7505 */
		refuse(&r, ROUTE_NULL_MX,
		       str_print(arena, "%.*s takes no mail", STR_ARGS(question->domain)));
	else
		find_addresses(&r);
}

void mail_route_host(struct resolver *resolver, const struct mail_route_question *question,
		     struct arena *arena, struct mail_route *out) WAITS
{
	struct routing r = begin(resolver, question, arena, out);
	struct addr address;

	out->secure = true; /* it was not the DNS that named the host */
	take_only(&r, question->domain);
	if (!addr_parse_ip(question->domain, &address)) {
		find_addresses(&r);
		return;
	}
	address.port = question->port;
	out->hops = NEW(arena, struct mail_hop);
	out->hops[0] =
		(struct mail_hop){ .host = question->domain, .address = address, .secure = true };
	out->count = 1;
}
