/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/exchange.h"

#include <stdio.h>

enum {
	ROUNDS = 3,
	TCP_MS = 5000,
	PLAIN_MS = 600'000, /* that a server is asked without EDNS */
	JUNK_MAX = 100,     /* datagrams that are no answer to us, in one try */
	QUERY_MAX = 512,
	DATAGRAM_ROOM = 4096, /* more than we ask for */
	SHOWN_MAX = 500,
	ZONE_US = 500 /* what asking takes where no time passes by itself */
};
/* rfc1536 1: the waits grow, so that a slow server is not asked more often. */
static const int64_t round_ms[ROUNDS] = { 2000, 4000, 8000 };

static const char *code_text(enum dns_code code)
{
	static const char *const names[] = { "NOERROR",  "FORMERR", "SERVFAIL",
					     "NXDOMAIN", "NOTIMP",  "REFUSED" };

	return code < COUNT_OF(names) ? names[code] : "an error code that is not known";
}

/* ---- traces ---- */

static struct str outcome_of(const struct dns_answer *answer)
{
	if (!answer || answer->loops)
		return S("failed");
	if (answer->code == DNS_NXDOMAIN)
		return S("no-name");
	if (answer->code != DNS_NOERROR)
		return S("failed");
	return answer->count || answer->is_cut ? S("found") : S("no-data");
}

static void show(const struct dns_answer *answer, struct buf *out)
{
	if (!answer)
		buf_add_c(out, fault_text());
	else if (answer->loops)
		buf_add_c(out, "CNAMEs without end");
	else if (answer->is_cut)
		buf_print(out, "CNAME %.*s", STR_ARGS(answer->canonical));
	else
		dns_answer_show(answer, out);
}

void exchange_trace(struct trace *trace, uint64_t session, const struct dns_question *question,
		    const struct dns_answer *answer, const struct exchange_event *event)
{
	OWNED(buf) struct buf shown = BUF(SHOWN_MAX);
	char name[DNS_NAME_TEXT];

	if (!trace)
		return;
	dns_name_print(&question->name, name);
	show(answer, &shown);
	TRACE(trace, session, 0, dns, .question = str_of(name),
	      .type = str_of(dns_type_name(question->type)), .server = event->server,
	      .outcome = outcome_of(answer), .answer = buf_str(&shown),
	      .ttl = answer ? answer->ttl_s : 0, .cached = event->cached, .secure = event->secure,
	      .tcp = event->tcp, .us = (uint64_t)(now() - event->since));
}

/* ---- one try ---- */

static uint16_t new_id(void)
{
	return (uint16_t)random_u64();
}

static enum err ask_udp(struct exchange *x, const struct dns_server *server, bool edns,
			moment deadline) WAITS
{
	OWNED(buf) struct buf query = BUF(QUERY_MAX);
	OWNED(datagram) struct datagram *socket = NULL;
	uint16_t id = new_id();
	enum err err = datagram_open(&server->address, &socket);

	dns_query_print(x->question, id, edns, &query);
	if (!err)
		err = datagram_send(socket, buf_str(&query));
	for (unsigned junk = 0; !err; junk++) {
		size_t got = 0;

		buf_reset(x->octets);
		err = buf_reserve(x->octets, DATAGRAM_ROOM);
		must(!err);
		err = datagram_receive(socket, x->octets->at, DATAGRAM_ROOM, deadline, &got);
		x->octets->len = got;
		if (!err && dns_answer_is_for(buf_str(x->octets), x->question, id))
			return OK;
		if (!err && junk == JUNK_MAX) /* somebody guesses, or it is no DNS server */
			return fault(ERR_PROTOCOL, "too many answers that are none");
	}
	return err;
}

static enum err read_whole(struct stream *stream, char *at, size_t len, moment deadline) WAITS
{
	enum err err = OK;

	while (!err && len > 0) {
		size_t got = 0;

		err = stream_read(stream, at, len, deadline, &got);
		at += got;
		len -= got;
	}
	return err;
}

/* rfc1035 4.2.2: each message behind its length in two octets. */
static enum err talk_tcp(struct exchange *x, struct stream *stream, bool edns, moment deadline)
	WAITS
{
	OWNED(buf) struct buf query = BUF(QUERY_MAX);
	unsigned char size[2];
	size_t len;
	uint16_t id = new_id();
	enum err err;

	buf_add(&query, (struct str){ "\0\0", 2 });
	dns_query_print(x->question, id, edns, &query);
	query.at[1] = (char)(query.len - 2);
	query.at[0] = (char)((query.len - 2) >> 8);
	err = stream_write(stream, buf_str(&query), deadline);
	if (!err)
		err = read_whole(stream, (char *)size, sizeof(size), deadline);
	if (err)
		return err;
	len = (size_t)size[0] << 8 | size[1];
	buf_reset(x->octets);
	err = buf_reserve(x->octets, len + 1);
	if (!err)
		err = read_whole(stream, x->octets->at, len, deadline);
	if (err)
		return err;
	x->octets->len = len;
	return dns_answer_is_for(buf_str(x->octets), x->question, id)
		       ? OK
		       : fault(ERR_PROTOCOL, "an answer to another question");
}

static enum err ask_tcp(struct exchange *x, const struct dns_server *server, bool edns) WAITS
{
	OWNED(stream) struct stream *stream = NULL;
	moment deadline = sooner(x->deadline, in_ms(TCP_MS));
	enum err err = stream_connect(&server->address, deadline, &stream);

	x->stats->queries_tcp++;
	return err ? err : talk_tcp(x, stream, edns, deadline);
}

/* ---- one server ---- */

struct
try {
	struct exchange *x;
	struct dns_server *server;
	struct arena *arena;
	struct dns_answer *answer;
	bool edns, tcp;
};

static enum err ask_once(struct try *try, moment deadline) WAITS
{
	struct exchange *x = try->x;
	enum err err;

	x->stats->queries++;
	err = try->tcp ? ask_tcp(x, try->server, try->edns)
		       : ask_udp(x, try->server, try->edns, deadline);
	if (err)
		return err;
	return dns_answer_parse(try->arena, buf_str(x->octets), x->question, try->answer);
}

static bool knows_no_edns(const struct dns_answer *answer)
{
	return answer->code == DNS_FORMERR || answer->code == DNS_NOTIMP;
}

/* rfc6891 7: a server that cannot read an OPT record is asked again without. */
static enum err ask_with_or_without_edns(struct try *try, moment deadline) WAITS
{
	enum err err = ask_once(try, deadline);

	if (err || !try->edns || !knows_no_edns(try->answer))
		return err;
	try->edns = false;
	err = ask_once(try, deadline);
	if (!err && !knows_no_edns(try->answer))
		try->server->plain_until = in_ms(PLAIN_MS);
	return err;
}

static enum err ask_server(struct try *try, moment deadline) WAITS
{
	enum err err = ask_with_or_without_edns(try, deadline);

	if (!err && try->answer->truncated) {
		try->tcp = true;
		err = ask_once(try, deadline);
	}
	if (!err && try->answer->truncated)
		return fault(ERR_PROTOCOL, "a truncated answer over TCP");
	if (!err && try->answer->code != DNS_NOERROR && try->answer->code != DNS_NXDOMAIN)
		return fault(ERR_PROTOCOL, "%s", code_text(try->answer->code));
	return err;
}

/* Marks the server by what came of it. */
static void remember(struct exchange *x, size_t index, enum err err)
{
	struct dns_server *server = &x->servers[index];

	if (err == ERR_STOPPED)
		return;
	if (err == ERR_PROTOCOL || err == ERR_LIMIT)
		x->in_vain[index] = true;
	x->stats->timeouts += err == ERR_TIMEOUT;
	if (!err || x->in_vain[index])
		server->ill_until = 0;
	else
		server->ill_until = in_ms(LIMIT_dns_ill);
}

/* "192.0.2.53:53: SERVFAIL" */
static void name_server(const struct dns_server *server, enum err err)
{
	char text[FAULT_TEXT_MAX];

	snprintf(text, sizeof(text), "%s", err == ERR_TIMEOUT ? "no answer" : fault_text());
	(void)fault(err, "%s: %s", server->text, text);
}

static enum err try_server(struct exchange *x, size_t index, moment deadline, struct arena *arena,
			   struct dns_answer *out) WAITS
{
	struct dns_server *server = &x->servers[index];
	struct try try = { x, server, arena, out, .edns = now() >= server->plain_until };
	struct exchange_event event = { .server = str_of(server->text), .since = now() };
	enum err err = ask_server(&try, deadline);

	if (err)
		name_server(server, err);
	remember(x, index, err);
	x->trusted = server->trusted;
	event.tcp = try.tcp;
	event.secure = !err && server->trusted && out->authentic;
	exchange_trace(x->trace, x->session, x->question, err ? NULL : out, &event);
	return err;
}

/* ---- all of them ---- */

/* The first pass is for those who are well, the second for the others. */
static enum err run_round(struct exchange *x, int64_t ms, struct arena *arena,
			  struct dns_answer *out) WAITS
{
	bool asked[LIMIT_dns_servers] = { false };
	enum err err = ERR_TIMEOUT;

	for (size_t i = 0; i < 2 * x->server_count; i++) {
		size_t index = i % x->server_count;

		if (asked[index] || x->in_vain[index] || now() >= x->deadline)
			continue;
		if (i < x->server_count && x->servers[index].ill_until > now())
			continue;
		asked[index] = true;
		err = try_server(x, index, sooner(x->deadline, in_ms(ms)), arena, out);
		if (!err || err == ERR_STOPPED)
			return err;
	}
	return err;
}

static bool all_in_vain(const struct exchange *x)
{
	for (size_t i = 0; i < x->server_count; i++)
		if (!x->in_vain[i])
			return false;
	return true;
}

static enum err ask_servers(struct exchange *x, struct arena *arena, struct dns_answer *out) WAITS
{
	enum err err = fault(ERR_CONFIG, "no resolver is configured");

	for (int i = 0; i < ROUNDS && !all_in_vain(x) && now() < x->deadline; i++) {
		err = run_round(x, round_ms[i], arena, out);
		if (!err || err == ERR_STOPPED)
			return err;
	}
	return err;
}

/* ---- a zone in their place ---- */

static enum err keep_silent(struct exchange *x) WAITS
{
	int64_t ms = 0;
	enum err err;

	for (int i = 0; i < ROUNDS; i++)
		ms += round_ms[i];
	err = fiber_sleep(sooner(x->deadline, in_ms(ms)));
	return err ? err : fault(ERR_TIMEOUT, "no answer");
}

static enum err ask_zone(struct exchange *x, struct arena *arena, struct dns_answer *out) WAITS
{
	uint16_t id = new_id();
	enum err err = fiber_sleep(in_us(ZONE_US));

	buf_reset(x->octets);
	x->trusted = true;
	if (err)
		return err;
	if (!dns_zone_answer(x->zone, x->question, id, DNS_MESSAGE_MAX, x->octets))
		return keep_silent(x);
	must(dns_answer_is_for(buf_str(x->octets), x->question, id));
	err = dns_answer_parse(arena, buf_str(x->octets), x->question, out);
	if (!err && out->code != DNS_NOERROR && out->code != DNS_NXDOMAIN)
		return fault(ERR_PROTOCOL, "%s", code_text(out->code));
	return err;
}

enum err exchange_run(struct exchange *x, struct arena *arena, struct dns_answer *out) WAITS
{
	struct exchange_event event = { .server = S("zone"), .since = now() };
	enum err err;

	if (!x->zone)
		return ask_servers(x, arena, out);
	x->stats->queries++;
	err = ask_zone(x, arena, out);
	event.secure = !err && out->authentic;
	exchange_trace(x->trace, x->session, x->question, err ? NULL : out, &event);
	return err;
}
