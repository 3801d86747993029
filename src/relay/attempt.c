/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/attempt.h"
#include "relay/dial.h"

enum {
	SMTP_PORT = 25,
	HOSTS_MAX = 5,
	CONNECT_MS = 30000 /* the kernel's own patience is minutes, and there are other hosts */
};

/* One host with the addresses that the route has for it, side by side. */
struct host {
	struct str name;
	struct addr addresses[DIAL_MAX];
	size_t count;
};

/* ---- who is still to be sent to ---- */

static struct smtp_said said_by_us(enum smtp_result result, unsigned code, struct str enhanced,
				   struct str text)
{
	return (struct smtp_said){ .result = result,
				   .is_ours = true,
				   .reply = { .code = code, .enhanced = enhanced, .text = text } };
}

static void say_for_all(struct attempt *a, struct smtp_said said)
{
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		a->said[i] = said;
}

/* What a host has neither taken nor refused, the next one may take: invariant (1). */
bool attempt_is_pending(const struct smtp_said *said)
{
	return said->result == SMTP_DEFERRED && said->is_ours;
}

static size_t count_pending(const struct attempt *a)
{
	size_t count = 0;

	for (size_t i = 0; i < a->claim->recipients.count; i++)
		count += attempt_is_pending(&a->said[i]);
	return count;
}

/* No session came about: for those who are left, this is the reason so far. Another host may do what this
   one would not, so it is not final. */
static void say_for_pending(struct attempt *a, struct smtp_said said)
{
	said.is_ours = true;
	said.result = SMTP_DEFERRED;
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		if (attempt_is_pending(&a->said[i]))
			a->said[i] = said;
}

/* Every host has refused to speak with us at all (rfc5321 3.1: 554): it is final after all. */
static void refuse_pending(struct attempt *a)
{
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		if (attempt_is_pending(&a->said[i]))
			a->said[i].result = SMTP_REFUSED;
}

/* ---- sending ---- */

static struct str return_name(uint64_t ret)
{
	return ret == DSN_RETURN_FULL ? S("FULL") : ret == DSN_RETURN_HEADERS ? S("HDRS") : S("");
}

static struct str notify_names(struct arena *arena, uint64_t notify)
{
	static const struct {
		enum dsn_notify bit;
		const char *name;
	} names[] = { { DSN_SUCCESS, "SUCCESS" },
		      { DSN_FAILURE, "FAILURE" },
		      { DSN_DELAY, "DELAY" } };
	struct str text = S("");

	if (notify & DSN_NEVER)
		return S("NEVER");
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (notify & names[i].bit)
			text = str_print(arena, "%.*s%s%s", STR_ARGS(text), text.len ? "," : "",
					 names[i].name);
	return text;
}

static struct smtp_sending_to recipient_of(const struct attempt *a, size_t index)
{
	const struct answer_queue_claim *claim = a->claim;
	struct smtp_sending_to to = { .address = claim->recipients.at[index] };

	if (index < claim->notify.count)
		to.notify = notify_names(a->arena, claim->notify.at[index]);
	if (index < claim->original.count)
		to.original = claim->original.at[index];
	return to;
}

/* One transaction for as many of them as the server takes at once. */
static void send_some(struct attempt *a, const size_t *which, size_t count) WAITS
{
	const struct answer_queue_claim *claim = a->claim;
	struct smtp_sending_to *to = NEW_ARRAY(a->arena, struct smtp_sending_to, count);
	struct smtp_said *said = NEW_ARRAY(a->arena, struct smtp_said, count);
	struct smtp_sending sending = { .sender = claim->sender,
					.body = (enum smtp_body)claim->body_type,
					.utf8 = claim->utf8,
					.envelope_id = claim->envelope_id,
					.ret = return_name(claim->ret),
					.octets = a->octets,
					.count = count,
					.to = to,
					.said = said,
					.arena = a->arena };

	for (size_t i = 0; i < count; i++)
		to[i] = recipient_of(a, which[i]);
	smtp_client_send(a->client, &sending);
	for (size_t i = 0; i < count; i++)
		a->said[which[i]] = said[i];
}

static void send_pending(struct attempt *a) WAITS
{
	const struct smtp_offer *offer = smtp_client_offer(a->client);
	size_t most = offer->rcpt_max ? (size_t)offer->rcpt_max : LIMIT_queue_batch;
	size_t which[LIMIT_queue_batch];
	size_t count = 0;

	a->has_dsn = smtp_client_offers(a->client) & SMTP_EXT_DSN;
	for (size_t i = 0; i < a->claim->recipients.count; i++) {
		if (attempt_is_pending(&a->said[i]))
			which[count++] = i;
	}
	for (size_t at = 0; at < count && smtp_client_is_open(a->client); at += most)
		send_some(a, which + at, count - at < most ? count - at : most);
}

/* ---- a session ---- */

static bool open_session(struct attempt *a, const struct host *host, enum smtp_tls_policy tls,
			 struct smtp_said *said) WAITS
{
	struct smtp_client_options options = { .hello = a->relay->role->config->hostname,
					       .tls = tls,
					       .tls_context = a->relay->tls,
					       .server_name = host->name,
					       .trace = a->relay->role->trace,
					       .session = id_new() };
	struct stream *stream = NULL;
	char address[ADDR_TEXT];
	size_t which = 0;

	if (dial(host->addresses, host->count, in_ms(CONNECT_MS), &stream, &which)) {
		*said = said_by_us(
			SMTP_DEFERRED, 451, S("4.4.1"),
			str_print(a->arena, "%.*s: %s", STR_ARGS(host->name), fault_text()));
		return false;
	}
	addr_print_ip(&host->addresses[which], address);
	a->peer = str_print(a->arena, "%.*s [%s]", STR_ARGS(host->name), address);
	a->session = options.session;
	a->is_site_down = false;
	smtp_client_open(conn_new(stream), &options, &a->client, a->arena, said);
	return a->client != NULL;
}

/* TLS that is only wished for must not keep the mail: then it goes in the clear [rfc7435 3]. */
static bool open_somehow(struct attempt *a, const struct host *host, struct smtp_said *said) WAITS
{
	if (open_session(a, host, SMTP_TLS_MAY, said))
		return true;
	return said->is_tls && open_session(a, host, SMTP_TLS_NONE, said);
}

/* ---- the way ---- */

static size_t hosts_of(const struct mail_route *route, struct host *hosts, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < route->count; i++) {
		const struct mail_hop *hop = &route->hops[i];
		struct host *host = count ? &hosts[count - 1] : NULL;

		if (!host || !str_is_nocase(host->name, hop->host)) {
			if (count == room)
				break;
			host = &hosts[count++];
			*host = (struct host){ .name = hop->host };
		}
		if (host->count < DIAL_MAX)
			host->addresses[host->count++] = hop->address;
	}
	return count;
}

/* rfc5321 4.1.3: [192.0.2.1] and [IPv6:2001:db8::1] are the host itself. */
static bool literal_of(struct str destination, struct host *host)
{
	struct str inside;

	if (destination.len < 3 || destination.at[0] != '[')
		return false;
	inside = str_from(str_first(destination, destination.len - 1), 1);
	if (str_starts_nocase(inside, S("IPv6:")))
		inside = str_from(inside, 5);
	*host = (struct host){ .name = destination, .count = 1 };
	host->addresses[0].port = SMTP_PORT;
	if (!addr_parse_ip(inside, &host->addresses[0]))
		return false;
	host->addresses[0].port = SMTP_PORT;
	return true;
}

/* How many hosts to try; 0: `said` tells everybody why not. */
static size_t find_hosts(struct attempt *a, struct host *hosts, size_t room) WAITS
{
	const struct config *config = a->relay->role->config;
	struct mail_route_question question = { .domain = a->claim->destination,
						.port = SMTP_PORT,
						.session = a->claim->session,
						.own_names = &config->hostname,
						.own_name_count = 1 };
	struct mail_route route = { 0 };

	if (literal_of(a->claim->destination, &hosts[0]))
		return 1;
	mail_route_find(a->relay->resolver, &question, a->arena, &route);
	if (route.verdict == ROUTE_FOUND)
		return hosts_of(&route, hosts, room);
	say_for_all(a, said_by_us(route.verdict == ROUTE_TEMPORARY ? SMTP_DEFERRED : SMTP_REFUSED,
				  route.code, route.enhanced, route.reason));
	return 0;
}

static void try_hosts(struct attempt *a, const struct host *hosts, size_t count) WAITS
{
	bool all_refuse = true;

	a->is_site_down = true;
	for (size_t i = 0; i < count && count_pending(a) && !fiber_is_stopping(); i++) {
		struct smtp_said said;

		smtp_client_drop(&a->client);
		if (open_somehow(a, &hosts[i], &said)) {
			all_refuse = false;
			send_pending(a);
		} else {
			all_refuse = all_refuse && said.result == SMTP_REFUSED;
			say_for_pending(a, said);
		}
	}
	if (all_refuse)
		refuse_pending(a);
}

void attempt_run(struct attempt *a) WAITS
{
	struct host *hosts = NEW_ARRAY(a->arena, struct host, HOSTS_MAX);
	size_t count;

	a->said = NEW_ARRAY(a->arena, struct smtp_said, a->claim->recipients.count);
	say_for_all(a, said_by_us(SMTP_DEFERRED, 451, S("4.4.1"), S("no host was tried")));
	if (a->client)
		send_pending(a);
	if (!count_pending(a))
		return;
	count = find_hosts(a, hosts, HOSTS_MAX);
	if (count)
		try_hosts(a, hosts, count);
}
