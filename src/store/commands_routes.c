/* SPDX-License-Identifier: Apache-2.0 */
/* route add, list, delete; source add, list, delete */
#include "store/commands.h"
#include "store/routes.h"
#include "mail/address.h"

enum { ROWS_ONCE = 200 };

/* ---- what is asked for ---- */

struct routing {
	struct job job;
	struct arena arena;
	struct route route;
	struct str addresses; /* of a source */
	uint64_t changed;
};

/* example.org, *.example.org, [192.0.2.1] or *. */
static enum err take_pattern(struct control_call *call, struct arena *arena, struct str *out)
{
	struct str text = control_text(call, "domain");
	struct str domain = str_starts(text, S("*.")) ? str_from(text, 2) : text;

	if (str_is(text, S("*"))) {
		*out = S("*");
		return OK;
	}
	if (!is_domain_or_literal(domain, true))
		return control_fail(
			call,
			"a domain: example.org; *.example.org for all below it; '*' for "
			"whatever has no route of its own",
			"not a domain: %.*s", STR_ARGS(text));
	domain = domain_canonical(arena, domain);
	if (str_starts(text, S("*.")))
		*out = str_print(arena, "*.%.*s", STR_ARGS(domain));
	else
		*out = domain;
	return OK;
}

/* A password is told to nobody who has not shown who he is, unless the operator wants it so. */
static enum queue_tls usual_tls(const struct route *route)
{
	if (route->credential.len || route->transport == QUEUE_BY_SMTPS)
		return QUEUE_TLS_VERIFIED;
	return route->transport == QUEUE_BY_LMTP ? QUEUE_TLS_NONE : QUEUE_TLS_OPPORTUNISTIC;
}

static enum err take_tls(struct control_call *call, struct route *route)
{
	struct str text = control_text(call, "tls");

	route->tls = usual_tls(route);
	if (text.len && !queue_tls_parse(text, &route->tls))
		return control_fail(call, "none, opportunistic, required or verified",
				    "no such TLS policy: %.*s", STR_ARGS(text));
	if (route->transport == QUEUE_BY_SMTPS && route->tls < QUEUE_TLS_REQUIRED)
		return control_fail(call, "--tls required or --tls verified",
				    "smtps is TLS from the first octet");
	if (route->target.len && route->target.at[0] == '/' && route->tls > QUEUE_TLS_OPPORTUNISTIC)
		return control_fail(call, "--tls none", "a socket of this machine has no TLS");
	return OK;
}

static bool is_to_a_host(enum queue_transport transport)
{
	return transport == QUEUE_BY_SMTP || transport == QUEUE_BY_SMTPS ||
	       transport == QUEUE_BY_LMTP;
}

static enum err take_route(struct control_call *call, struct routing *r)
{
	struct route *route = &r->route;
	struct str target = control_text(call, "target");
	enum err err = take_pattern(call, &r->arena, &route->domain);

	if (err)
		return err;
	if (!queue_transport_parse(control_text(call, "transport"), &route->transport))
		return control_fail(call, "glasspost help route add", "no such way");
	if (!route_take_target(&r->arena, target, route))
		return control_fail(call,
				    is_to_a_host(route->transport)
					    ? "HOST:PORT, ADDRESS:PORT or [ADDRESS]:PORT; for LMTP "
					      "also /PATH of a "
					      "socket"
					    : NULL,
				    "not a place to send mail to: %.*s", STR_ARGS(target));
	route->credential = str_dup(&r->arena, control_text(call, "credential"));
	route->is_fallback = control_flag(call, "fallback");
	if (route->is_fallback && !is_to_a_host(route->transport))
		return control_fail(call, "--smtp, --smtps or --lmtp with --fallback",
				    "a way to fall back to is a host");
	if (route->credential.len && !is_to_a_host(route->transport))
		return control_fail(call, "--smtp or --smtps with --credential",
				    "only a host that is named can be signed in to");
	return take_tls(call, route);
}

/* ---- routes ---- */

static enum err run_add(struct writer *writer, struct job *job)
{
	struct routing *r = CONTAINER_OF(job, struct routing, job);
	const struct route *route = &r->route;
	int64_t has = 1;
	enum err err = OK;

	if (route->credential.len)
		err = db_number_values(writer->db, Q_credential_has,
				       DB_VALUES(db_str(route->credential)), &has);
	if (!err && !has)
		return fault(ERR_NOT_FOUND,
			     "there is no credential %.*s: `glasspost credential add %.*s --user "
			     "USER` makes it",
			     STR_ARGS(route->credential), STR_ARGS(route->credential));
	if (err)
		return err;
	return db_run(writer->db, Q_route_set, db_str(route->domain),
		      db_str(str_of(queue_transport_name(route->transport))), db_str(route->target),
		      db_str(str_of(queue_tls_name(route->tls))),
		      route->credential.len ? db_str(route->credential) : db_null(),
		      db_int(route->is_fallback), db_int(route->created_us));
}

static enum err run_delete(struct writer *writer, struct job *job)
{
	struct routing *r = CONTAINER_OF(job, struct routing, job);
	enum err err = db_run_values(writer->db, Q_route_delete, DB_VALUES(db_str(r->route.domain)),
				     &r->changed);

	return err || r->changed ? err : command_no_such("route of", r->route.domain);
}

enum err command_route_add(struct control_call *call) WAITS
{
	struct routing r = { .job.run = run_add };
	enum err err = take_route(call, &r);

	r.route.created_us = wall_us();
	if (!err)
		err = store_commit(command_store(call), &r.job);
	if (!err)
		control_result(call, "tls", json_string(queue_tls_name(r.route.tls)));
	arena_drop(&r.arena);
	return err;
}

enum err command_route_delete(struct control_call *call) WAITS
{
	struct routing r = { .job.run = run_delete };
	enum err err = take_pattern(call, &r.arena, &r.route.domain);

	if (!err)
		err = store_commit(command_store(call), &r.job);
	arena_drop(&r.arena);
	return err;
}

/* ---- sources ---- */

static enum err run_source_add(struct writer *writer, struct job *job)
{
	struct routing *r = CONTAINER_OF(job, struct routing, job);

	return db_run(writer->db, Q_source_set, db_str(r->route.domain), db_str(r->addresses));
}

static enum err run_source_delete(struct writer *writer, struct job *job)
{
	struct routing *r = CONTAINER_OF(job, struct routing, job);
	enum err err = db_run_values(writer->db, Q_source_delete,
				     DB_VALUES(db_str(r->route.domain)), &r->changed);

	return err || r->changed ? err : command_no_such("source of", r->route.domain);
}

static enum err take_addresses(struct control_call *call, struct routing *r)
{
	json_t *list = json_object_get(call->arguments, "addresses");
	struct str text = S("");
	struct strs all;

	for (size_t i = 0; i < json_array_size(list) && i <= LIMIT_source_addresses; i++) {
		struct str word = str_of(json_string_value(json_array_get(list, i)));
		struct addr address;
		char plain[ADDR_TEXT];

		if (!addr_parse_ip(word, &address))
			return control_fail(call, "an address of this machine: 192.0.2.25",
					    "not an IP address: %.*s", STR_ARGS(word));
		addr_print_ip(&address, plain);
		text = str_print(&r->arena, "%.*s%s%s", STR_ARGS(text), text.len ? " " : "", plain);
	}
	r->addresses = text;
	if (!text.len || !source_take(&r->arena, text, &all))
		return control_fail(call, "glasspost source add DOMAIN ADDRESS...",
				    "a source has from 1 to %d addresses", LIMIT_source_addresses);
	return OK;
}

enum err command_source_add(struct control_call *call) WAITS
{
	struct routing r = { .job.run = run_source_add };
	enum err err = take_pattern(call, &r.arena, &r.route.domain);

	if (!err)
		err = take_addresses(call, &r);
	if (!err)
		err = store_commit(command_store(call), &r.job);
	arena_drop(&r.arena);
	return err;
}

enum err command_source_delete(struct control_call *call) WAITS
{
	struct routing r = { .job.run = run_source_delete };
	enum err err = take_pattern(call, &r.arena, &r.route.domain);

	if (!err)
		err = store_commit(command_store(call), &r.job);
	arena_drop(&r.arena);
	return err;
}

/* ---- listings ---- */

struct paging {
	enum db_query query;
	json_t *(*row)(struct db *db, enum db_query query);
	struct buf after;
	size_t seen;
	json_t *rows;
};

static json_t *text_at(struct db *db, enum db_query q, int column)
{
	struct str text = db_text_at(db, q, column);

	return text.len ? control_string(text) : json_null();
}

static json_t *route_row(struct db *db, enum db_query q)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:I}", "domain", text_at(db, q, 0),
			 "transport", text_at(db, q, 1), "target", text_at(db, q, 2), "tls",
			 text_at(db, q, 3), "credential", text_at(db, q, 4), "fallback",
			 (int)db_int_at(db, q, 5), "created_us", (json_int_t)db_int_at(db, q, 6));
}

static json_t *source_row(struct db *db, enum db_query q)
{
	return json_pack("{s:o, s:o}", "domain", text_at(db, q, 0), "addresses", text_at(db, q, 1));
}

static json_t *credential_row(struct db *db, enum db_query q)
{
	return json_pack("{s:o, s:o, s:I, s:I}", "name", text_at(db, q, 0), "user",
			 text_at(db, q, 1), "created_us", (json_int_t)db_int_at(db, q, 2), "routes",
			 (json_int_t)db_int_at(db, q, 3));
}

static enum err read_page(struct db *db, void *arg)
{
	struct paging *p = arg;
	bool has_row = true;
	enum err err = db_select(db, p->query, db_str(buf_str(&p->after)), db_int(ROWS_ONCE));

	p->seen = 0;
	while (!err) {
		err = db_step(db, p->query, &has_row);
		if (err || !has_row)
			break;
		p->seen++;
		buf_reset(&p->after);
		buf_add(&p->after, db_text_at(db, p->query, 0));
		json_array_append_new(p->rows, p->row(db, p->query));
	}
	return err;
}

static enum err list(struct control_call *call, enum db_query query,
		     json_t *(*row)(struct db *, enum db_query)) WAITS
{
	struct paging p = {
		.query = query, .row = row, .after = BUF(LIMIT_address), .rows = json_array()
	};
	enum err err;

	do {
		err = store_read(command_store(call), read_page, &p);
		for (size_t i = 0; !err && i < json_array_size(p.rows); i++)
			err = control_row(call, json_incref(json_array_get(p.rows, i)));
		json_array_clear(p.rows);
	} while (!err && p.seen == ROWS_ONCE);
	json_decref(p.rows);
	buf_drop(&p.after);
	return err;
}

enum err command_route_list(struct control_call *call) WAITS
{
	return list(call, Q_route_list, route_row);
}

enum err command_source_list(struct control_call *call) WAITS
{
	return list(call, Q_source_list, source_row);
}

enum err command_credential_list(struct control_call *call) WAITS
{
	return list(call, Q_credential_list, credential_row);
}
