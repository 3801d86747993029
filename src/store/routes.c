/* SPDX-License-Identifier: Apache-2.0 */
#include "store/routes.h"
#include "mail/address.h"
#include "store/directory.h"

enum { SMTP_PORT = 25, SMTPS_PORT = 465, LMTP_PORT = 24, LABELS = 128 };

/* ---- words ---- */

static const char *const transports[] = {
	[QUEUE_BY_MX] = "mx",     [QUEUE_BY_SMTP] = "smtp",    [QUEUE_BY_SMTPS] = "smtps",
	[QUEUE_BY_LMTP] = "lmtp", [QUEUE_DISCARD] = "discard", [QUEUE_ERROR] = "error",
};
static const char *const policies[] = {
	[QUEUE_TLS_NONE] = "none",
	[QUEUE_TLS_OPPORTUNISTIC] = "opportunistic",
	[QUEUE_TLS_REQUIRED] = "required",
	[QUEUE_TLS_VERIFIED] = "verified",
};
static_assert(COUNT_OF(transports) == QUEUE_TRANSPORTS);
static_assert(COUNT_OF(policies) == QUEUE_TLS_POLICIES);

static bool find_word(const char *const *words, size_t count, struct str text, size_t *out)
{
	for (*out = 0; *out < count; ++*out)
		if (str_is_nocase(text, str_of(words[*out])))
			return true;
	return false;
}

const char *queue_transport_name(enum queue_transport transport)
{
	return transport < QUEUE_TRANSPORTS ? transports[transport] : "?";
}

bool queue_transport_parse(struct str text, enum queue_transport *out)
{
	size_t index;
	bool found = find_word(transports, COUNT_OF(transports), text, &index);

	*out = found ? (enum queue_transport)index : QUEUE_BY_MX;
	return found;
}

const char *queue_tls_name(enum queue_tls tls)
{
	return tls < QUEUE_TLS_POLICIES ? policies[tls] : "?";
}

bool queue_tls_parse(struct str text, enum queue_tls *out)
{
	size_t index;
	bool found = find_word(policies, COUNT_OF(policies), text, &index);

	*out = found ? (enum queue_tls)index : QUEUE_TLS_OPPORTUNISTIC;
	return found;
}

/* ---- targets ---- */

static uint16_t usual_port(enum queue_transport transport)
{
	return transport == QUEUE_BY_LMTP    ? LMTP_PORT
	       : transport == QUEUE_BY_SMTPS ? SMTPS_PORT
					     : SMTP_PORT;
}

static bool take_port(struct str text, uint16_t *out)
{
	uint64_t port;

	if (!str_to_u64(text, 65535, &port) || port == 0)
		return false;
	*out = (uint16_t)port;
	return true;
}

/* HOST, HOST:PORT, [IPv6]:PORT. */
static bool take_host(struct arena *arena, struct str text, struct route *route)
{
	struct addr address;
	size_t colon = str_find_last(text, ':');
	bool is_bare_ip6 = text.len && text.at[0] != '[' && str_find(text, ':') != colon;
	struct str host = text;

	route->port = usual_port(route->transport);
	if (colon != STR_NONE && !is_bare_ip6 && text.at[text.len - 1] != ']') {
		host = str_first(text, colon);
		if (!take_port(str_from(text, colon + 1), &route->port))
			return false;
	}
	if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
		host = str_from(str_first(host, host.len - 1), 1);
	if (addr_parse_ip(host, &address)) {
		char plain[ADDR_TEXT];

		addr_print_ip(&address, plain);
		route->host = str_dup(arena, str_of(plain));
	} else if (host.len <= LIMIT_domain && is_domain_or_literal(host, true)) {
		route->host = domain_canonical(arena, host);
	} else {
		return false;
	}
	route->target =
		str_print(arena,
			  addr_parse_ip(host, &address) && address.family == ADDR_IPV6 ? "[%.*s]:%u"
										       : "%.*s:%u",
			  STR_ARGS(route->host), route->port);
	return true;
}

bool route_take_target(struct arena *arena, struct str text, struct route *route)
{
	struct addr socket;

	if (text.len > LIMIT_route_target || str_find(text, '\n') != STR_NONE)
		return false;
	switch (route->transport) {
	case QUEUE_BY_MX:
		route->port = SMTP_PORT;
		if (text.len && !is_domain_or_literal(text, true))
			return false;
		route->host = route->target = text.len ? domain_canonical(arena, text) : S("");
		return text.len == 0 || text.at[0] != '[';
	case QUEUE_BY_LMTP:
		if (text.len == 0 || text.at[0] != '/')
			return take_host(arena, text, route);
		route->host = route->target = str_dup(arena, text);
		return addr_parse(text, &socket) && socket.family == ADDR_UNIX;
	case QUEUE_BY_SMTP:
	case QUEUE_BY_SMTPS:
		return take_host(arena, text, route);
	default:
		route->host = route->target = str_dup(arena, text);
		return true;
	}
}

/* ---- look-ups ---- */

static enum err read_row(struct db *db, struct arena *arena, struct str domain, struct route *out,
			 bool *found)
{
	const enum db_query q = Q_route_get;
	struct str target;
	enum err err = db_select(db, q, db_str(domain));

	*found = false;
	if (!err)
		err = db_step(db, q, found);
	if (err || !*found)
		return err;
	*out = (struct route){
		.domain = str_dup(arena, db_text_at(db, q, 0)),
		.credential = str_dup(arena, db_text_at(db, q, 4)),
		.is_fallback = db_int_at(db, q, 5) != 0,
		.user = str_dup(arena, db_text_at(db, q, 6)),
		.secret = str_dup(arena, db_text_at(db, q, 7)),
		.created_us = db_int_at(db, q, 8),
		.credential_us = db_int_at(db, q, 9),
	};
	target = str_dup(arena, db_text_at(db, q, 2));
	if (!queue_transport_parse(db_text_at(db, q, 1), &out->transport) ||
	    !queue_tls_parse(db_text_at(db, q, 3), &out->tls) ||
	    !route_take_target(arena, target, out))
		err = fault(ERR_SYNTAX, "the route of %.*s is damaged", STR_ARGS(domain));
	db_finish(db, q);
	return err;
}

static enum err has_any(struct db *db, bool *out)
{
	int64_t any = 0;
	enum err err = db_number_values(db, Q_route_any, NULL, 0, &any);

	*out = any != 0;
	return err;
}

enum err route_find(struct db *db, struct arena *arena, struct str destination, struct route *out,
		    bool *found)
{
	struct str rest = destination;
	bool is_literal = destination.len && destination.at[0] == '[';
	enum err err = has_any(db, found);

	if (err || !*found)
		return err;
	err = read_row(db, arena, destination, out, found);
	for (int i = 0; !err && !*found && !is_literal && i < LABELS; i++) {
		size_t dot = str_find(rest, '.');

		if (dot == STR_NONE)
			break;
		rest = str_from(rest, dot + 1);
		err = read_row(db, arena, str_print(arena, "*.%.*s", STR_ARGS(rest)), out, found);
	}
	if (!err && !*found && !is_literal)
		err = read_row(db, arena, S("*"), out, found);
	return err;
}

/* ---- sources ---- */

bool source_take(struct arena *arena, struct str text, struct strs *out)
{
	struct str *all = NEW_ARRAY(arena, struct str, LIMIT_source_addresses);
	struct scan scan = scan_of(text);
	struct str word;
	size_t count = 0;
	struct addr address;

	while (!scan_at_end(&scan)) {
		if (!take_until(&scan, ' ', &word)) {
			word = scan_rest(&scan);
			scan.at += word.len;
		}
		if (!word.len)
			continue;
		if (count == LIMIT_source_addresses || !addr_parse_ip(word, &address))
			return false;
		all[count++] = word;
	}
	*out = (struct strs){ all, count };
	return true;
}

static enum err read_source(struct db *db, struct arena *arena, struct str domain, struct strs *out)
{
	const enum db_query q = Q_source_get;
	bool has_row = false;
	enum err err = db_select(db, q, db_str(domain));

	if (!err)
		err = db_step(db, q, &has_row);
	if (err || !has_row)
		return err;
	if (!source_take(arena, str_dup(arena, db_text_at(db, q, 0)), out))
		err = fault(ERR_SYNTAX, "the source of %.*s is damaged", STR_ARGS(domain));
	db_finish(db, q);
	return err;
}

enum err source_find(struct db *db, struct arena *arena, struct str sender, struct strs *out)
{
	struct str domain = sender.len ? address_domain(sender) : S("");
	enum err err = OK;

	*out = (struct strs){ 0 };
	if (domain.len)
		err = read_source(db, arena, domain_canonical(arena, domain), out);
	if (!err && !out->count)
		err = read_source(db, arena, S("*"), out);
	return err;
}
