/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/zone.h"

/* How many CNAMEs a server follows: one more than a reader does, so that a loop is seen as one. */
enum { CHAIN_MAX = LIMIT_dns_chain + 1 };
enum { QUESTION_POINTER = 0xC000 | DNS_HEAD };

static bool has_rule(const struct dns_zone *zone, const struct dns_name *name,
		     enum zone_rule_kind kind)
{
	for (const struct zone_rule *rule = zone->rules; rule; rule = rule->next)
		if (rule->kind == kind && dns_name_is_under(name, &rule->name))
			return true;
	return false;
}

/* rfc4592 2: "*" in place of the labels below `above`. */
static struct dns_name wildcard_below(const struct dns_name *above)
{
	struct dns_name name = { .len = 2, .at = { 1, '*' } };

	memcpy(name.at + 2, above->at, above->len);
	name.len = (uint8_t)(2 + above->len);
	return name;
}

static bool is_there(const struct dns_zone *zone, const struct dns_name *name)
{
	for (const struct zone_record *record = zone->records; record; record = record->next)
		if (dns_name_is_under(&record->owner, name))
			return true;
	return false;
}

/* The name whose records answer for this one: itself, or a wildcard. false: there is none. */
static bool find_owner(const struct dns_zone *zone, const struct dns_name *name,
		       struct dns_name *out)
{
	struct dns_name above = *name;

	*out = *name;
	if (is_there(zone, name))
		return true;
	while (!dns_name_is_root(&above)) {
		size_t label = 1 + (size_t)above.at[0];

		above.len = (uint8_t)(above.len - label);
		memmove(above.at, above.at + label, above.len);
		if (above.len + 2 > DNS_NAME_MAX)
			continue;
		*out = wildcard_below(&above);
		if (is_there(zone, out))
			return true;
		if (is_there(zone, &above)) /* the closest encloser: no wildcard higher up counts */
			return false;
	}
	return false;
}

struct answering {
	const struct dns_zone *zone;
	const struct dns_question *question;
	struct buf *out;
	struct dns_name name; /* where the chain stands */
	unsigned answers, authorities;
	enum dns_code code;
	bool secure; /* every name of the chain so far */
};

static void add_record(struct answering *a, const struct dns_name *owner,
		       const struct zone_record *record)
{
	if (dns_name_equal(owner, &a->question->name))
		wire_add_u16(a->out, QUESTION_POINTER);
	else
		wire_add_name(a->out, owner);
	wire_add_u16(a->out, record->type);
	wire_add_u16(a->out, DNS_CLASS_IN);
	wire_add_u32(a->out, record->ttl_s);
	wire_add_u16(a->out, (unsigned)record->data.len);
	buf_add(a->out, record->data);
}

/* The records asked for at a->name; else the CNAME there, and a->name moves on: true. */
static bool answer_one_name(struct answering *a)
{
	const struct zone_record *cname = NULL;
	struct dns_name owner;
	unsigned before = a->answers;

	if (!find_owner(a->zone, &a->name, &owner)) {
		a->code = DNS_NXDOMAIN;
		return false;
	}
	for (const struct zone_record *r = a->zone->records; r; r = r->next) {
		if (!dns_name_equal(&r->owner, &owner))
			continue;
		if (r->type == a->question->type) {
			add_record(a, &a->name, r);
			a->answers++;
		} else if (r->type == DNS_CNAME) {
			cname = r;
		}
	}
	if (a->answers > before || !cname)
		return false;
	add_record(a, &a->name, cname);
	a->answers++;
	memcpy(a->name.at, cname->data.at, cname->data.len);
	a->name.len = (uint8_t)cname->data.len;
	return true;
}

static void add_soa(struct answering *a)
{
	const struct zone_record *nearest = NULL;

	for (const struct zone_record *r = a->zone->records; r; r = r->next)
		if (r->type == DNS_SOA && dns_name_is_under(&a->name, &r->owner) &&
		    (!nearest || r->owner.len > nearest->owner.len))
			nearest = r;
	if (nearest) {
		add_record(a, &nearest->owner, nearest);
		a->authorities++;
	}
}

static void add_sections(struct answering *a)
{
	unsigned before;
	unsigned steps = 0;

	do {
		before = a->answers;
		a->secure = a->secure && has_rule(a->zone, &a->name, ZONE_SECURE);
	} while (answer_one_name(a) && steps++ < CHAIN_MAX);
	if (a->answers == before)
		add_soa(a);
}

static void set_u16(struct buf *out, size_t at, unsigned value)
{
	out->at[at] = (char)(value >> 8);
	out->at[at + 1] = (char)(value & 0xFF);
}

static void add_question(struct answering *a, uint16_t id)
{
	wire_add_u16(a->out, id);
	for (int i = 0; i < 5; i++)
		wire_add_u16(a->out, i == 1);
	wire_add_name(a->out, &a->question->name);
	wire_add_u16(a->out, a->question->type);
	wire_add_u16(a->out, DNS_CLASS_IN);
}

bool dns_zone_answer(const struct dns_zone *zone, const struct dns_question *question, uint16_t id,
		     size_t size_max, struct buf *out)
{
	struct answering a = {
		.zone = zone,
		.question = question,
		.out = out,
		.name = question->name,
		.secure = true,
	};
	unsigned flags = DNS_QR | DNS_RD | DNS_RA;
	size_t head = out->len;
	size_t end;

	if (has_rule(zone, &question->name, ZONE_SILENT))
		return false;
	add_question(&a, id);
	end = out->len;
	if (has_rule(zone, &question->name, ZONE_SERVFAIL))
		a.code = DNS_SERVFAIL;
	else
		add_sections(&a);
	if (a.secure && a.code != DNS_SERVFAIL)
		flags |= DNS_AD;
	must(end <= out->max); /* a question always has room */
	if (out->failed || out->len - head > size_max) {
		flags |= DNS_TC;
		out->len = end;
		out->failed = false;
		a.answers = a.authorities = 0;
	}
	set_u16(out, head + 2, flags | a.code);
	set_u16(out, head + 6, a.answers);
	set_u16(out, head + 8, a.authorities);
	return true;
}
