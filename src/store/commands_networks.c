/* SPDX-License-Identifier: Apache-2.0 */
/* network add, list, delete */
#include "store/commands.h"
#include "store/networks.h"
#include "mail/address.h"

struct network_change {
	struct change change;
	struct strs cidrs; /* canonical; at least one */
	enum network_verdict verdict;
	struct str senders;
	struct rate rate;
	struct str before; /* empty: at the end */
};

/* ---- what is typed ---- */

static bool is_fingerprint(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.at[i];

		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return name.len == 64; /* SHA-256 in hexadecimal */
}

static enum err take_certificate(struct control_call *call, struct arena *arena, struct str text,
				 struct str *out)
{
	struct str name = certificate_name(arena, str_from(text, CERTIFICATE_PREFIX.len));
	struct address address;

	if (!is_fingerprint(name) && !is_domain_or_literal(name, false) &&
	    !address_parse(arena, name, true, &address))
		return control_fail(
			call,
			"certificate: and a SHA-256 fingerprint, a mail address or a host name",
			"not what a certificate proves: %.*s", STR_ARGS(name));
	*out = str_print(arena, "certificate:%.*s", STR_ARGS(name));
	return OK;
}

/* A network, spelt canonically; or certificate:NAME. */
static enum err take_cidr(struct control_call *call, struct arena *arena, struct str text,
			  struct str *out)
{
	struct network network;
	char ip[ADDR_TEXT];

	if (str_starts(text, CERTIFICATE_PREFIX))
		return take_certificate(call, arena, text, out);
	if (!network_parse(text, &network))
		return control_fail(call,
				    "192.0.2.0/24, 2001:db8::/32 or one address; host bits are 0",
				    "not a network: %.*s", STR_ARGS(str_first(text, 100)));
	addr_print_ip(&network.address, ip);
	*out = str_print(arena, "%s/%u", ip, network.prefix);
	return OK;
}

static enum err take_cidrs(struct control_call *call, struct network_change *c)
{
	json_t *list = json_object_get(call->arguments, "networks");
	size_t count = json_array_size(list);
	struct str *cidrs = NEW_ARRAY(&c->change.arena, struct str, count + 1);
	enum err err = OK;

	if (!count)
		return control_fail(call, "glasspost network add CIDR... --relay|--allow|--deny",
				    "a network is missing");
	for (size_t i = 0; !err && i < count; i++)
		err = take_cidr(call, &c->change.arena,
				str_of(json_string_value(json_array_get(list, i))), &cidrs[i]);
	c->cidrs = (struct strs){ cidrs, count };
	return err;
}

static bool any_certificate(const struct network_change *c)
{
	for (size_t i = 0; i < c->cidrs.count; i++)
		if (str_starts(c->cidrs.at[i], CERTIFICATE_PREFIX))
			return true;
	return false;
}

/* An address or @domain, in lower case. */
static enum err add_sender(struct control_call *call, struct arena *arena, struct str text,
			   struct buf *out)
{
	struct str domain = str_from(text, 1);
	struct address address;

	if (out->len)
		buf_add_char(out, '\n');
	if (text.len > 1 && text.at[0] == '@' && is_domain_or_literal(domain, true))
		return buf_print(out, "@%.*s", STR_ARGS(domain_canonical(arena, domain)));
	if (!address_parse(arena, text, true, &address))
		return control_fail(call,
				    "scanner@example.org, or @example.org for all of a domain",
				    "not a sender: %.*s", STR_ARGS(str_first(text, 100)));
	return buf_add(out, address_key(arena, address_print(arena, &address)));
}

static enum err take_senders(struct control_call *call, struct network_change *c)
{
	json_t *list = json_object_get(call->arguments, "senders");
	OWNED(buf) struct buf text = BUF(LIMIT_network_senders * (LIMIT_address + 1));
	size_t count = json_array_size(list);
	enum err err = OK;

	if (count > LIMIT_network_senders)
		return control_fail(call, "a whole domain is one sender: @example.org",
				    "a network has at most %d senders", LIMIT_network_senders);
	for (size_t i = 0; !err && i < count; i++)
		err = add_sender(call, &c->change.arena,
				 str_of(json_string_value(json_array_get(list, i))), &text);
	c->senders = str_dup(&c->change.arena, buf_str(&text));
	return err;
}

static enum err take_all(struct control_call *call, struct network_change *c)
{
	struct str rate = control_text(call, "rate");
	enum err err = take_cidrs(call, c);

	if (!err && !network_verdict_of(control_text(call, "verdict"), &c->verdict))
		err = control_fail(call, NULL, "the verdict is one of relay, allow and deny");
	if (!err && c->verdict != NETWORK_RELAY && any_certificate(c))
		err = control_fail(call, "glasspost network add certificate:NAME --relay",
				   "a certificate can only be allowed to relay");
	if (!err)
		err = take_senders(call, c);
	if (!err && rate.len && !rate_parse(rate, &c->rate))
		err = control_fail(call, "a number, a slash and a time: 100/10m, 1000/d",
				   "not a rate: %.*s", STR_ARGS(str_first(rate, 100)));
	if (!err && c->verdict != NETWORK_RELAY && (rate.len || c->senders.len))
		err = control_fail(call, NULL, "senders and a rate are for networks that relay");
	if (!err && control_has(call, "before"))
		err = take_cidr(call, &c->change.arena, control_text(call, "before"), &c->before);
	return err;
}

/* ---- on the writer's thread ---- */

static enum err find_place(struct writer *writer, const struct network_change *c, int64_t *place)
{
	enum err err;

	if (!c->before.len)
		return db_number_values(writer->db, Q_network_end, NULL, 0, place);
	*place = -1;
	err = db_number_values(writer->db, Q_network_place, DB_VALUES(db_str(c->before)), place);
	if (!err && *place < 0)
		return fault(ERR_NOT_FOUND, "%.*s is not listed", STR_ARGS(c->before));
	return err ? err
		   : db_run(writer->db, Q_network_shift, db_id(c->cidrs.count), db_int(*place));
}

static enum err add_one(struct writer *writer, const struct network_change *c, size_t i,
			int64_t place)
{
	struct str cidr = c->cidrs.at[i];
	enum err err =
		db_run(writer->db, Q_network_add, db_int(place), db_str(cidr),
		       db_str(str_of(network_verdict_name(c->verdict))), db_str(c->senders),
		       db_id(c->rate.max), db_int(c->rate.period_us), db_int(c->change.at_us));

	if (err == ERR_EXISTS)
		return fault(ERR_EXISTS,
			     "%.*s is listed already: `glasspost network delete %.*s` first",
			     STR_ARGS(cidr), STR_ARGS(cidr));
	return err;
}

static enum err add_network(struct writer *writer, struct change *change)
{
	struct network_change *c = CONTAINER_OF(change, struct network_change, change);
	int64_t count = 0;
	int64_t place = 0;
	enum err err = db_number_values(writer->db, Q_network_count, NULL, 0, &count);

	if (!err && (size_t)count + c->cidrs.count > LIMIT_networks)
		return fault(ERR_LIMIT, "no more than %d networks are kept", LIMIT_networks);
	if (!err)
		err = find_place(writer, c, &place);
	for (size_t i = 0; !err && i < c->cidrs.count; i++)
		err = add_one(writer, c, i, place + (int64_t)i);
	return err;
}

static enum err delete_network(struct writer *writer, struct change *change)
{
	struct network_change *c = CONTAINER_OF(change, struct network_change, change);
	enum err err = OK;

	for (size_t i = 0; !err && i < c->cidrs.count; i++) {
		err = db_run_values(writer->db, Q_network_delete, DB_VALUES(db_str(c->cidrs.at[i])),
				    &change->changed);
		if (!err && !change->changed)
			return command_no_such("network", c->cidrs.at[i]);
	}
	return err;
}

/* ---- in the fiber ---- */

/* The answer says that it counts: gates may have it a moment later. */
static enum err commit(struct control_call *call, struct network_change *c) WAITS
{
	enum err err = command_commit(call, &c->change);

	return err ? err : networks_read(command_store(call));
}

enum err command_network_add(struct control_call *call) WAITS
{
	struct network_change c = { .change.run = add_network };
	enum err err = take_all(call, &c);

	if (!err)
		err = commit(call, &c);
	arena_drop(&c.change.arena);
	return err;
}

enum err command_network_delete(struct control_call *call) WAITS
{
	struct network_change c = { .change.run = delete_network };
	enum err err = take_cidrs(call, &c);

	if (!err)
		err = commit(call, &c);
	arena_drop(&c.change.arena);
	return err;
}

static json_t *sender_list(struct str senders)
{
	json_t *list = json_array();
	struct scan scan = scan_of(senders);
	struct str line;

	while (!scan_at_end(&scan)) {
		if (!take_until(&scan, '\n', &line)) {
			line = scan_rest(&scan);
			scan.at = scan.end;
		}
		json_array_append_new(list, control_string(line));
	}
	return list;
}

static json_t *network_object(struct arena *arena, const struct network_row *row)
{
	return json_pack(
		"{s:o, s:s, s:o, s:o, s:I}", "network", control_string(row->cidr), "verdict",
		network_verdict_name(row->verdict), "senders", sender_list(row->senders), "rate",
		row->rate.max ? control_string(rate_print(arena, &row->rate)) : json_null(),
		"created_us", (json_int_t)row->created_us);
}

enum err command_network_list(struct control_call *call) WAITS
{
	const struct networks *networks = command_store(call)->networks;
	OWNED(arena) struct arena arena = { 0 };
	json_t *rows = json_array();
	enum err err = OK;

	/* Whole before the first row waits: they may be read again meanwhile. */
	for (size_t i = 0; i < networks->count; i++)
		json_array_append_new(rows, network_object(&arena, &networks->rows[i]));
	for (size_t i = 0; !err && i < json_array_size(rows); i++)
		err = control_row(call, json_incref(json_array_get(rows, i)));
	json_decref(rows);
	return err;
}
