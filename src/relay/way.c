/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/way.h"

enum { SMTP_PORT = 25 };

/* ---- from the claim ---- */

static bool is_fixed(enum queue_transport transport)
{
	return transport == QUEUE_BY_SMTP || transport == QUEUE_BY_SMTPS ||
	       transport == QUEUE_BY_LMTP;
}

static struct str key_of(const struct way *way, const struct answer_queue_claim *claim,
			 struct arena *arena)
{
	struct str key =
		str_print(arena, "%u %u %u %llu %.*s %.*s", (unsigned)way->transport, way->port,
			  (unsigned)way->tls,
			  way->credential.len ? (unsigned long long)claim->credential_us : 0,
			  STR_ARGS(way->target), STR_ARGS(way->credential));

	for (size_t i = 0; i < claim->sources.count; i++)
		key = str_print(arena, "%.*s %.*s", STR_ARGS(key), STR_ARGS(claim->sources.at[i]));
	return key;
}

static void take_sources(const struct answer_queue_claim *claim, struct arena *arena,
			 struct way *way)
{
	way->sources = NEW_ARRAY(arena, struct addr, claim->sources.count + 1);
	for (size_t i = 0; i < claim->sources.count; i++)
		way->source_count +=
			addr_parse_ip(claim->sources.at[i], &way->sources[way->source_count]);
}

void way_of_claim(const struct answer_queue_claim *claim, bool fallback, struct arena *arena,
		  struct way *out)
{
	bool is_by_mx = claim->fallback && !fallback;

	*out = (struct way){ .target = claim->destination,
			     .port = SMTP_PORT,
			     .tls = QUEUE_TLS_OPPORTUNISTIC };
	if (!is_by_mx) {
		out->transport = (enum queue_transport)claim->transport;
		out->tls = (enum queue_tls)claim->tls;
		out->port = claim->port ? (uint16_t)claim->port : SMTP_PORT;
		out->is_fixed = is_fixed(out->transport);
		out->credential = claim->credential;
		out->user = claim->user;
		out->password = claim->password;
		if (claim->target.len)
			out->target = claim->target;
	}
	take_sources(claim, arena, out);
	out->key = key_of(out, claim, arena);
}

/* ---- hosts ---- */

static struct smtp_said said_by_us(enum smtp_result result, unsigned code, struct str enhanced,
				   struct str text)
{
	return (struct smtp_said){ .result = result,
				   .is_ours = true,
				   .reply = { .code = code, .enhanced = enhanced, .text = text } };
}

static size_t hosts_of(const struct mail_route *route, struct way_host *hosts)
{
	size_t count = 0;

	for (size_t i = 0; i < route->count; i++) {
		const struct mail_hop *hop = &route->hops[i];
		struct way_host *host = count ? &hosts[count - 1] : NULL;

		if (!host || !str_is_nocase(host->name, hop->host)) {
			if (count == WAY_HOSTS_MAX)
				break;
			host = &hosts[count++];
			*host = (struct way_host){ .name = hop->host, .is_secure = true };
		}
		host->is_secure = host->is_secure && hop->secure;
		if (host->count < DIAL_MAX)
			host->addresses[host->count++] = hop->address;
	}
	return count;
}

/* rfc5321 4.1.3: [192.0.2.1] and [IPv6:2001:db8::1] are the host itself. */
static bool literal_of(struct str target, struct way_host *host)
{
	struct str inside;

	if (target.len < 3 || target.at[0] != '[')
		return false;
	inside = str_from(str_first(target, target.len - 1), 1);
	if (str_starts_nocase(inside, S("IPv6:")))
		inside = str_from(inside, 5);
	*host = (struct way_host){ .name = inside, .count = 1 };
	if (!addr_parse_ip(inside, &host->addresses[0]))
		return false;
	host->addresses[0].port = SMTP_PORT;
	return true;
}

static bool is_own_address(const struct way_finding *finding, const struct addr *address)
{
	for (size_t i = 0; i < finding->own_count; i++)
		if (addr_is_same_ip(&finding->own[i], address))
			return true;
	return false;
}

static bool socket_of(const struct way *way, struct way_host *host)
{
	if (!way->is_fixed || !way->target.len || way->target.at[0] != '/')
		return false;
	*host = (struct way_host){ .name = way->target, .count = 1, .is_secure = true };
	return addr_parse(way->target, &host->addresses[0]);
}

static size_t ask_for_hosts(const struct way *way, const struct way_finding *finding,
			    struct way_host *hosts, struct smtp_said *why) WAITS
{
	struct mail_route_question question = { .domain = way->target,
						.port = way->port,
						.session = finding->session,
						.own_names = &finding->hostname,
						.own_name_count = 1,
						.own_addresses = finding->own,
						.own_address_count = finding->own_count };
	struct mail_route route = { 0 };
	bool is_final;

	if (way->is_fixed) {
		/* Another port of ours, or another server behind our name, is the operator's business. */
		question.own_name_count = 0;
		question.own_address_count = 0;
		mail_route_host(finding->resolver, &question, finding->arena, &route);
	} else {
		mail_route_find(finding->resolver, &question, finding->arena, &route);
	}
	if (route.verdict == ROUTE_FOUND)
		return hosts_of(&route, hosts);
	is_final = route.verdict != ROUTE_TEMPORARY && !way->is_fixed;
	*why = said_by_us(is_final ? SMTP_REFUSED : SMTP_DEFERRED, way->is_fixed ? 451 : route.code,
			  way->is_fixed ? S("4.4.4") : route.enhanced, route.reason);
	return 0;
}

size_t way_find_hosts(const struct way *way, const struct way_finding *finding,
		      struct way_host *hosts, struct smtp_said *why) WAITS
{
	if (socket_of(way, &hosts[0]))
		return 1;
	if (!literal_of(way->target, &hosts[0]))
		return ask_for_hosts(way, finding, hosts, why);
	if (!is_own_address(finding, &hosts[0].addresses[0]))
		return 1;
	*why = said_by_us(SMTP_REFUSED, 550, S("5.4.6"), S("that address is this server's own"));
	return 0;
}

/* ---- trust ---- */

/*
 * A host that the operator has named, or DNSSEC, goes by its name. What other DNS says of a domain's hosts
 * anybody may have said: then the certificate has to be for the domain itself, or a host in it.
 */
size_t way_names(const struct way *way, const struct way_host *host, struct arena *arena,
		 struct str names[3])
{
	size_t count = 0;

	if (way->is_fixed || host->is_secure || str_is_nocase(host->name, way->target))
		names[count++] = host->name;
	if (!way->is_fixed && way->target.len && way->target.at[0] != '[') {
		names[count++] = way->target;
		names[count++] = str_print(arena, ".%.*s", STR_ARGS(way->target));
	}
	if (!count)
		names[count++] = host->name;
	return count;
}

enum smtp_tls_policy way_tls(const struct way *way)
{
	if (way->transport == QUEUE_BY_SMTPS)
		return SMTP_TLS_IMPLICIT;
	switch (way->tls) {
	case QUEUE_TLS_NONE:
		return SMTP_TLS_NONE;
	case QUEUE_TLS_OPPORTUNISTIC:
		return SMTP_TLS_MAY;
	default:
		return SMTP_TLS_MUST;
	}
}
