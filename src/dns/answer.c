/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/wire.h"

enum { EDNS_DO = 0x8000 };

void dns_query_print(const struct dns_question *question, uint16_t id, bool edns, struct buf *out)
{
	wire_add_u16(out, id);
	wire_add_u16(out, DNS_RD | (edns ? DNS_AD : 0));
	wire_add_u16(out, 1);
	wire_add_u16(out, 0);
	wire_add_u16(out, 0);
	wire_add_u16(out, edns);
	wire_add_name(out, &question->name);
	wire_add_u16(out, question->type);
	wire_add_u16(out, DNS_CLASS_IN);
	if (edns) { /* rfc6891 6.1.2 */
		wire_add_u8(out, 0);
		wire_add_u16(out, DNS_OPT);
		wire_add_u16(out, DNS_UDP_SIZE);
		wire_add_u16(out, 0);
		wire_add_u16(out, EDNS_DO);
		wire_add_u16(out, 0);
	}
	must(!out->failed);
}

bool dns_answer_is_for(struct str octets, const struct dns_question *question, uint16_t id)
{
	struct wire wire = wire_of(octets);
	struct wire_head head;
	struct dns_name name;
	uint16_t type;
	uint16_t class;
	unsigned code;

	if (!wire_take_head(&wire, &head) || !(head.flags & DNS_QR) || head.id != id)
		return false;
	code = head.flags & DNS_CODE;
	if (head.questions == 0) /* servers older than EDNS, rfc6891 7 */
		return code == DNS_FORMERR || code == DNS_NOTIMP;
	return head.questions == 1 && wire_take_question(&wire, &name, &type, &class) &&
	       type == question->type && class == DNS_CLASS_IN &&
	       dns_name_equal(&name, &question->name);
}

/* ---- one record's data ---- */

static struct str name_text(struct arena *arena, const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];

	dns_name_print(name, text);
	return str_dup(arena, str_of(text));
}

static bool read_address(struct wire *data, enum addr_family family, struct addr *out)
{
	struct addr address = { .family = family };
	struct str ip;

	if (!wire_take(data, family == ADDR_IPV4 ? 4 : 16, &ip))
		return false;
	memcpy(address.ip, ip.at, ip.len);
	*out = address;
	return true;
}

static bool read_name(struct arena *arena, struct wire *data, struct str *out)
{
	struct dns_name name;

	if (!wire_take_name(data, &name))
		return false;
	*out = name_text(arena, &name);
	return true;
}

/* rfc7208 3.3, rfc6376 3.6.2.2: the strings of one record are joined without anything between. */
static bool read_text(struct arena *arena, struct wire *data, struct str *out)
{
	char *text = arena_take(arena, data->len - data->offset + 1);
	size_t len = 0;

	while (data->offset < data->len) {
		struct str part;
		uint8_t size;

		if (!wire_take_u8(data, &size) || !wire_take(data, size, &part))
			return false;
		memcpy(text + len, part.at, part.len);
		len += part.len;
	}
	*out = (struct str){ text, len };
	return true;
}

static bool read_tlsa(struct arena *arena, struct wire *data, struct dns_record *out)
{
	struct str rest;

	if (!wire_take_u8(data, &out->tlsa.usage) || !wire_take_u8(data, &out->tlsa.selector) ||
	    !wire_take_u8(data, &out->tlsa.matching) ||
	    !wire_take(data, data->len - data->offset, &rest))
		return false;
	out->tlsa.data = str_dup(arena, rest);
	return rest.len > 0;
}

/* `message` ends with the record, so that nothing is read past it; names may point before it. */
static bool read_data(struct arena *arena, struct wire *data, struct dns_record *out)
{
	switch (out->type) {
	case DNS_A:
		return read_address(data, ADDR_IPV4, &out->address);
	case DNS_AAAA:
		return read_address(data, ADDR_IPV6, &out->address);
	case DNS_CNAME:
	case DNS_PTR:
		return read_name(arena, data, &out->name);
	case DNS_MX:
		return wire_take_u16(data, &out->mx.preference) &&
		       read_name(arena, data, &out->mx.host);
	case DNS_TXT:
		return read_text(arena, data, &out->text);
	case DNS_TLSA:
		return read_tlsa(arena, data, out);
	case DNS_SOA:
		data->offset = data->len; /* only its times matter, and only when it denies */
		return true;
	}
	return false;
}

/* ---- the sections ---- */

struct reading {
	struct arena *arena;
	struct wire wire;
	struct wire_head head;
	const struct dns_question *question;
	struct dns_answer *answer;
	struct dns_name name; /* where the chain of CNAMEs has come to */
	uint32_t ttl_s;       /* the least so far */
};

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static struct wire data_of(const struct reading *reading, const struct wire_record *record)
{
	return (struct wire){ reading->wire.message, record->data + record->data_len,
			      record->data };
}

static enum err malformed(const char *what)
{
	return fault(ERR_PROTOCOL, "an answer with %s that is not well formed", what);
}

/* Adds what the answer section has of this type at the name; several CNAMEs at one name: the first. */
static enum err take_at_name(struct reading *reading, struct dns_name *target, bool *has_target)
{
	struct dns_answer *answer = reading->answer;
	struct wire wire = reading->wire;

	*has_target = false;
	for (unsigned i = 0; i < reading->head.answers; i++) {
		struct wire_record record;
		struct wire data;

		if (!wire_take_record(&wire, &record))
			return malformed("a record");
		if (record.class != DNS_CLASS_IN || !dns_name_equal(&record.owner, &reading->name))
			continue;
		data = data_of(reading, &record);
		if (record.type == reading->question->type) {
			struct dns_record *out = &answer->records[answer->count];

			*out = (struct dns_record){ .type = reading->question->type,
						    .ttl_s = record.ttl_s };
			if (!read_data(reading->arena, &data, out) || data.offset != data.len)
				return malformed("a record's data");
			answer->count++;
		} else if (record.type == DNS_CNAME && !*has_target) {
			if (!wire_take_name(&data, target))
				return malformed("a CNAME");
			*has_target = true;
		} else {
			continue;
		}
		reading->ttl_s = lesser(reading->ttl_s, record.ttl_s);
	}
	return OK;
}

static enum err follow(struct reading *reading)
{
	struct dns_answer *answer = reading->answer;

	for (;;) {
		struct dns_name target;
		bool has_target;
		enum err err = take_at_name(reading, &target, &has_target);

		if (err)
			return err;
		if (answer->count > 0 || !has_target)
			return OK;
		if (answer->chain++ == LIMIT_dns_chain) {
			answer->loops = true;
			return OK;
		}
		reading->name = target;
	}
}

static enum err skip_answers(struct reading *reading)
{
	for (unsigned i = 0; i < reading->head.answers; i++) {
		struct wire_record record;

		if (!wire_take_record(&reading->wire, &record))
			return malformed("a record");
	}
	return OK;
}

/* rfc2308 5: a denial holds as long as the lesser of the SOA's own time and its last field. */
static enum err take_soa(struct reading *reading, bool *found)
{
	*found = false;
	for (unsigned i = 0; i < reading->head.authorities && !*found; i++) {
		struct wire_record record;
		struct wire data;
		struct dns_name name;
		uint32_t numbers[5];

		if (!wire_take_record(&reading->wire, &record))
			return malformed("an authority record");
		if (record.type != DNS_SOA || record.class != DNS_CLASS_IN ||
		    !dns_name_is_under(&reading->name, &record.owner))
			continue;
		data = data_of(reading, &record);
		for (int j = 0; j < 2; j++) /* the server's, the person's */
			if (!wire_take_name(&data, &name))
				return malformed("a SOA");
		for (size_t j = 0; j < COUNT_OF(numbers); j++)
			if (!wire_take_u32(&data, &numbers[j]))
				return malformed("a SOA");
		if (numbers[4] > INT32_MAX)
			numbers[4] = 0;
		reading->ttl_s = lesser(reading->ttl_s, lesser(record.ttl_s, numbers[4]));
		*found = true;
	}
	return OK;
}

/* Whether the name exists is the question of the last name of the chain [rfc6604 3]. */
static enum err take_denial(struct reading *reading)
{
	struct dns_answer *answer = reading->answer;
	bool has_soa;
	enum err err = take_soa(reading, &has_soa);

	if (!err && !has_soa)
		reading->ttl_s = 0;
	if (!err)
		answer->is_cut = answer->chain > 0 && !has_soa && answer->code == DNS_NOERROR;
	return err;
}

static enum err read_sections(struct reading *reading)
{
	struct dns_answer *answer = reading->answer;
	enum err err;

	/* Room is asked for by what is there, not by what the head says: a record has 11 octets. */
	if ((size_t)reading->head.answers * 11 > reading->wire.len)
		return malformed("a number of records");
	if (reading->head.answers > LIMIT_dns_records ||
	    reading->head.authorities > LIMIT_dns_records)
		return fault(ERR_LIMIT, "an answer of %u records", reading->head.answers);
	answer->records =
		NEW_ARRAY(reading->arena, struct dns_record, (size_t)reading->head.answers + 1);
	err = follow(reading);
	if (!err)
		err = skip_answers(reading);
	if (!err && answer->count == 0 && !answer->loops)
		err = take_denial(reading);
	return err;
}

enum err dns_answer_parse(struct arena *arena, struct str octets,
			  const struct dns_question *question, struct dns_answer *out)
{
	struct dns_answer answer = { 0 };
	struct reading reading = { .arena = arena,
				   .wire = wire_of(octets),
				   .question = question,
				   .answer = &answer,
				   .name = question->name,
				   .ttl_s = UINT32_MAX };
	uint16_t type;
	uint16_t class;
	struct dns_name name;
	enum err err = OK;

	if (!wire_take_head(&reading.wire, &reading.head))
		return malformed("a head");
	answer.code = reading.head.flags & DNS_CODE;
	answer.truncated = reading.head.flags & DNS_TC;
	answer.authentic = reading.head.flags & DNS_AD;
	for (unsigned i = 0; i < reading.head.questions; i++)
		if (i > 0 || !wire_take_question(&reading.wire, &name, &type, &class))
			return malformed("a question");
	/* A truncated answer may end anywhere, and an error says nothing but itself. */
	if (!answer.truncated && (answer.code == DNS_NOERROR || answer.code == DNS_NXDOMAIN))
		err = read_sections(&reading);
	if (err)
		return err;
	answer.ttl_s = reading.ttl_s == UINT32_MAX ? 0 : reading.ttl_s;
	answer.canonical = name_text(arena, &reading.name);
	*out = answer;
	return OK;
}
