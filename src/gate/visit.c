/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: may it come in, what is in front of the protocol, and who serves it. */
#include "gate/port.h"
#include "smtp/smtp.h"

#include <stdlib.h>

enum { PROXY_MS = 10'000 };

/* Why a connection is turned away. */
struct refusal {
	const char *rule; /* NULL: it is not */
	enum smtp_reply_name smtp;
	const char *pop3;
	const char *detail;
	unsigned line;                /* of the configuration; 0: ask config_origin */
	const struct network *listed; /* by `glasspost network` */
};

void gate_count_changed(struct gate *gate)
{
	gate->is_stressed = gate->open >= gate->role->config->connections_max / 10 * 9;
}

/* ---- refusing ---- */

static const char *protocol_name(const struct config_listener *listener)
{
	static const char *const names[] = {
		[PROTOCOL_SMTP] = "smtp", [PROTOCOL_SUBMISSION] = "submission",
		[PROTOCOL_LMTP] = "lmtp", [PROTOCOL_POP3] = "pop3",
		[PROTOCOL_HTTP] = "http",
	};

	return names[listener->kind];
}

static void refusal_print(const struct generation *generation, const struct refusal *refusal,
			  struct arena *arena, struct buf *out)
{
	struct smtp_reply reply;

	if (generation->listener->kind == PROTOCOL_POP3) {
		buf_print(out, "-ERR %s\r\n", refusal->pop3);
		return;
	}
	reply = refusal->smtp == SMTP_REPLY_too_busy
			? smtp_reply_with(arena, refusal->smtp, generation->config->hostname)
			: smtp_reply(refusal->smtp);
	smtp_reply_print(out, &reply, true);
}

static struct str refusal_source(const struct generation *generation, const struct refusal *refusal,
				 struct arena *arena)
{
	if (refusal->listed)
		return S("glasspost network list");
	return refusal->line ? str_print(arena, "%.*s:%u", STR_ARGS(generation->config->file),
					 refusal->line)
			     : config_origin(generation->config, arena, refusal->rule);
}

static struct str refusal_detail(const struct refusal *refusal, struct arena *arena)
{
	char ip[ADDR_TEXT];

	if (!refusal->listed)
		return str_of(refusal->detail);
	addr_print_ip(&refusal->listed->address, ip);
	return str_print(arena, "network %s/%u is denied", ip, refusal->listed->prefix);
}

static void refusal_trace(struct gate *gate, const struct generation *generation,
			  const struct refusal *refusal, const struct addr *peer,
			  struct arena *arena)
{
	struct trace *trace = gate->role->trace;
	uint64_t session = id_new();
	struct str protocol = str_of(protocol_name(generation->listener));
	struct str source;
	char text[ADDR_TEXT];

	if (!trace)
		return;
	addr_print(peer, text);
	source = refusal_source(generation, refusal, arena);
	TRACE(trace, session, 0, connect, .protocol = protocol,
	      .listener = generation->listener->name, .peer = str_of(text));
	TRACE(trace, session, 0, policy, .rule = str_of(refusal->rule), .verdict = S("refuse"),
	      .detail = refusal_detail(refusal, arena), .source = source);
	TRACE(trace, session, 0, close, .reason = S("refused"), .peer = str_of(text),
	      .protocol = protocol);
}

/* One line if it goes without waiting; on a TLS port there is no language yet to say it in. */
static void refusal_say(const struct generation *generation, const struct refusal *refusal,
			struct stream *stream, struct arena *arena)
{
	OWNED(buf) struct buf line = BUF(LIMIT_smtp_reply_line + 1);
	size_t written = 0;

	if (generation->listener->tls_mode == TLS_MODE_IMPLICIT)
		return;
	refusal_print(generation, refusal, arena, &line);
	if (stream_try_write(stream, buf_str(&line), &written) == OK)
		stream_shut(stream);
}

static void refuse(struct gate *gate, const struct generation *generation,
		   const struct refusal *refusal, const struct addr *peer, struct stream *stream)
{
	struct arena arena = { 0 };

	refusal_trace(gate, generation, refusal, peer, &arena);
	if (stream)
		refusal_say(generation, refusal, stream, &arena);
	arena_drop(&arena);
}

/* ---- who may come in ---- */

/* The configuration's list, and where nothing in it matches the operator's other one. */
static struct refusal network_refusal(const struct gate *gate, const struct generation *generation,
				      const struct addr *peer)
{
	const struct config_network *match =
		config_network_match(&generation->listener->deny, peer);
	const struct gate_network *listed = match ? NULL : gate_network_of(gate, peer);
	struct refusal refusal = { "networks_deny",
				   SMTP_REPLY_denied,
				   "[SYS/PERM] no service for your address",
				   "a denied network",
				   match ? match->line : 0,
				   NULL };

	if (match && !match->allow)
		return refusal;
	if (!listed || listed->verdict != GATE_DENY)
		return (struct refusal){ 0 };
	refusal.rule = "network";
	refusal.listed = &listed->network;
	return refusal;
}

static struct refusal full_refusal(const struct gate *gate)
{
	if (gate->open < gate->role->config->connections_max)
		return (struct refusal){ 0 };
	return (struct refusal){ "connections_max",
				 SMTP_REPLY_too_busy,
				 "[SYS/TEMP] too many connections; try again later",
				 "too many connections in all",
				 0,
				 NULL };
}

static struct refusal caps_refusal(struct gate *gate, const struct addr *peer)
{
	const char *cap = caps_enter(gate->caps, peer);

	if (!cap)
		return (struct refusal){ 0 };
	return (struct refusal){ cap,
				 SMTP_REPLY_too_many_connections,
				 "[SYS/TEMP] too many connections from your address",
				 "too many connections from there",
				 0,
				 NULL };
}

/* Who goes on guessing passwords from connection to connection. Blame fades by itself. */
static struct refusal ban_refusal(struct gate *gate, const struct generation *generation,
				  const struct addr *peer)
{
	uint64_t ban = generation->config->login_failures_ban;

	if (!ban || generation->listener->auth_mode == AUTH_MODE_NONE ||
	    caps_blamed(gate->caps, peer) < ban)
		return (struct refusal){ 0 };
	return (struct refusal){ "login_failures_ban",
				 SMTP_REPLY_banned,
				 "[SYS/TEMP] too many failed logins from your address",
				 "too many failed logins from there",
				 0,
				 NULL };
}

static struct refusal client_refusal(struct gate *gate, const struct generation *generation,
				     const struct addr *peer)
{
	struct refusal refusal = network_refusal(gate, generation, peer);

	if (!refusal.rule)
		refusal = ban_refusal(gate, generation, peer);
	return refusal.rule ? refusal : caps_refusal(gate, peer);
}

static bool is_proxy(const struct generation *generation, const struct addr *peer)
{
	const struct config_network *match =
		config_network_match(&generation->listener->proxy_networks, peer);

	return match && !match->allow; /* an entry with "!" is no proxy */
}

/* ---- the visit ---- */

static void visit_drop(struct visit *visit)
{
	struct gate *gate = visit->gate;

	conn_drop(&visit->conn);
	if (visit->has_entered)
		caps_leave(gate->caps, &visit->counted);
	gate->open--;
	gate_count_changed(gate);
	list_remove(&visit->link);
	generation_unref(&visit->generation);
	free(visit);
	gate_hang_up(gate);
}

static void trace_failed(struct visit *visit, const char *reason, struct str detail)
{
	const struct config_listener *listener = visit->generation->listener;
	struct str protocol = str_of(protocol_name(listener));
	struct trace *trace = visit->gate->role->trace;
	char peer[ADDR_TEXT];
	char local[ADDR_TEXT];

	addr_print(conn_peer(visit->conn), peer);
	addr_print(conn_local(visit->conn), local);
	TRACE(trace, visit->session, 0, connect, .protocol = protocol, .listener = listener->name,
	      .peer = str_of(peer), .local = str_of(local));
	if (strcmp(reason, "tls") == 0)
		TRACE(trace, visit->session, 0, tls, .implicit = 1,
		      .us = (uint64_t)(now() - visit->began), .failure = detail);
	else
		TRACE(trace, visit->session, 0, policy, .rule = S("proxies"),
		      .verdict = S("refuse"), .detail = detail);
	TRACE(trace, visit->session, 0, close, .reason = str_of(reason),
	      .us = (uint64_t)(now() - visit->began), .peer = str_of(peer), .protocol = protocol);
}

/* A listed proxy says who the client is; only then it is known whether he may come in. */
static bool meet_proxy(struct visit *visit) WAITS
{
	struct generation *generation = visit->generation;
	struct refusal refusal;
	enum err err = conn_read_proxy(visit->conn, in_ms(PROXY_MS));

	if (err) {
		trace_failed(visit, "refused", str_of(err_text(err)));
		return false;
	}
	refusal = client_refusal(visit->gate, generation, conn_peer(visit->conn));
	if (refusal.rule) {
		struct arena arena = { 0 };
		OWNED(buf) struct buf line = BUF(LIMIT_smtp_reply_line + 1);

		refuse(visit->gate, generation, &refusal, conn_peer(visit->conn), NULL);
		refusal_print(generation, &refusal, &arena, &line);
		arena_drop(&arena);
		if (generation->listener->tls_mode != TLS_MODE_IMPLICIT &&
		    conn_write(visit->conn, buf_str(&line), now()) == OK &&
		    conn_flush(visit->conn, now()) == OK)
			conn_shut(visit->conn);
		return false;
	}
	visit->has_entered = true;
	visit->counted = *conn_peer(visit->conn);
	return true;
}

/* rfc8314 3: TLS from the first octet. */
static bool meet_tls(struct visit *visit) WAITS
{
	size_t discarded = 0;
	enum err err = visit->generation->tls
			       ? conn_start_tls(visit->conn, visit->generation->tls,
						in_ms(LIMIT_tls_handshake), &discarded)
			       : fault(ERR_TLS, "no certificate for implicit TLS");

	if (err)
		trace_failed(visit, "tls", str_of(conn_tls_failure(err)));
	return err == OK;
}

static void visit_fiber(void *arg) WAITS
{
	struct visit *visit = arg;
	struct generation *generation = visit->generation;
	bool may_pass = visit->has_entered || meet_proxy(visit);

	if (may_pass && generation->listener->tls_mode == TLS_MODE_IMPLICIT)
		may_pass = meet_tls(visit);
	if (may_pass && generation->listener->kind == PROTOCOL_POP3)
		pop3_serve(&generation->pop3, visit->conn, visit->session);
	else if (may_pass)
		smtp_serve(&generation->smtp, visit->conn, visit->session);
	visit_drop(visit);
}

void visit_begin(struct port *port, struct stream *stream)
{
	struct gate *gate = port->gate;
	const struct addr *peer = stream_peer(stream);
	bool by_proxy = is_proxy(port->generation, peer);
	struct refusal refusal = full_refusal(gate);
	struct visit *visit;

	if (!refusal.rule && !by_proxy)
		refusal = client_refusal(gate, port->generation, peer);
	if (refusal.rule) {
		refuse(gate, port->generation, &refusal, peer, stream);
		stream_drop(&stream);
		return;
	}
	visit = calloc(1, sizeof(*visit));
	must(visit);
	visit->gate = gate;
	visit->generation = generation_ref(port->generation);
	visit->has_entered = !by_proxy;
	visit->counted = *peer;
	visit->conn = conn_new(stream);
	visit->session = id_new();
	visit->began = now();
	list_add_last(&gate->visits, &visit->link);
	gate->open++;
	gate_count_changed(gate);
	if (fiber_spawn(&gate->role->fibers, protocol_name(visit->generation->listener),
			visit_fiber, visit, &visit->fiber) != OK)
		visit_drop(
			visit); /* past LIMIT_fiber_count: the connection closes without a word */
}

void visits_stop_idle(struct gate *gate)
{
	LIST_EACH (link, &gate->visits) {
		struct visit *visit = CONTAINER_OF(link, struct visit, link);

		if (conn_is_idle(visit->conn))
			fiber_stop(visit->fiber);
	}
}
