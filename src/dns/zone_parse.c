/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/zone.h"

enum { WORDS_MAX = 512, STRING_MAX = 255, ENTRY_MAX = 65535, TTL_PRESET_S = 3600 };

/* One entry: a line, or several inside parentheses. */
struct entry {
	struct str words[WORDS_MAX]; /* escapes as they were, quotes taken off */
	size_t count;
	size_t at;       /* the word to be taken next */
	bool has_owner;  /* its first column is not blank */
	unsigned number; /* of its first line */
};

struct zone_reader {
	struct arena *arena;
	struct scan scan;
	unsigned line;
	struct entry *entry;
	struct dns_name origin;
	struct dns_name owner; /* of the record before */
	bool owned;
	uint32_t ttl_s;
	struct dns_zone *zone;
	struct zone_record **last_record;
	struct zone_rule **last_rule;
};

static enum err wrong(const struct zone_reader *reader, const char *what)
{
	return fault(ERR_SYNTAX, "line %u: %s", reader->entry->number, what);
}

/* ---- words ---- */

static bool take_quoted(struct zone_reader *reader, struct str *out)
{
	const char *start = ++reader->scan.at;

	while (!scan_at_end(&reader->scan) && *reader->scan.at != '"') {
		if (*reader->scan.at == '\n')
			return false;
		if (*reader->scan.at == '\\' && reader->scan.at + 1 < reader->scan.end)
			reader->scan.at++;
		reader->scan.at++;
	}
	*out = (struct str){ start, (size_t)(reader->scan.at - start) };
	return take_char(&reader->scan, '"');
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '(' ||
	       c == ')' || c == '"';
}

static struct str take_bare(struct zone_reader *reader)
{
	const char *start = reader->scan.at;

	while (!scan_at_end(&reader->scan) && !ends_word(*reader->scan.at)) {
		if (*reader->scan.at == '\\' && reader->scan.at + 1 < reader->scan.end)
			reader->scan.at++;
		reader->scan.at++;
	}
	return (struct str){ start, (size_t)(reader->scan.at - start) };
}

static void skip_comment(struct zone_reader *reader)
{
	while (!scan_at_end(&reader->scan) && *reader->scan.at != '\n')
		reader->scan.at++;
}

static enum err take_word(struct zone_reader *reader)
{
	struct entry *entry = reader->entry;
	struct str word = S("");

	if (entry->count == WORDS_MAX)
		return wrong(reader, "too many words");
	if (*reader->scan.at != '"')
		word = take_bare(reader);
	else if (!take_quoted(reader, &word))
		return wrong(reader, "a quoted string without its end");
	entry->words[entry->count++] = word;
	return OK;
}

/* The words of the next entry; none at an empty line. */
static enum err take_entry(struct zone_reader *reader)
{
	struct entry *entry = reader->entry;
	unsigned depth = 0;
	enum err err = OK;

	*entry = (struct entry){ .number = ++reader->line };
	entry->has_owner = !ends_word(*reader->scan.at) || *reader->scan.at == '"';
	while (!err && !scan_at_end(&reader->scan)) {
		char c = *reader->scan.at;

		if (c == ';') {
			skip_comment(reader);
			continue;
		}
		if (!ends_word(c) || c == '"') {
			err = take_word(reader);
			continue;
		}
		reader->scan.at++;
		if (c == '\n' && depth == 0)
			return OK;
		reader->line += c == '\n';
		depth += c == '(';
		if (c == ')' && depth-- == 0)
			return wrong(reader, "')' without '('");
	}
	return !err && depth ? wrong(reader, "'(' without ')'") : err;
}

static bool next_word(struct zone_reader *reader, struct str *out)
{
	struct entry *entry = reader->entry;

	if (entry->at == entry->count)
		return false;
	*out = entry->words[entry->at++];
	return true;
}

static bool next_number(struct zone_reader *reader, uint64_t max, uint64_t *out)
{
	struct str word;

	return next_word(reader, &word) && str_to_u64(word, max, out);
}

/* "@" is the origin; a name without a final dot stands below it. */
static bool read_name(const struct zone_reader *reader, struct str word, struct dns_name *out)
{
	struct dns_name name;

	if (str_is(word, S("@"))) {
		*out = reader->origin;
		return true;
	}
	if (!dns_name_parse(word, &name))
		return false;
	/* The last dot counts unless a backslash makes it part of the label. */
	if (word.at[word.len - 1] != '.' || (word.len > 1 && word.at[word.len - 2] == '\\' &&
					     !(word.len > 2 && word.at[word.len - 3] == '\\'))) {
		size_t len = name.len - 1U;

		if (len + reader->origin.len > DNS_NAME_MAX)
			return false;
		memcpy(name.at + len, reader->origin.at, reader->origin.len);
		name.len = (uint8_t)(len + reader->origin.len);
	}
	*out = name;
	return true;
}

static bool next_name(struct zone_reader *reader, struct dns_name *out)
{
	struct str word;

	return next_word(reader, &word) && read_name(reader, word, out);
}

/* ---- data ---- */

static bool add_address(struct zone_reader *reader, enum addr_family family, struct buf *data)
{
	struct str word;
	struct addr address;

	if (!next_word(reader, &word) || !addr_parse_ip(word, &address) || address.family != family)
		return false;
	buf_add(data, (struct str){ (const char *)address.ip, family == ADDR_IPV4 ? 4 : 16 });
	return true;
}

static bool add_name(struct zone_reader *reader, struct buf *data)
{
	struct dns_name name;

	if (!next_name(reader, &name))
		return false;
	wire_add_name(data, &name);
	return true;
}

static bool add_string(struct str word, struct buf *data)
{
	unsigned char text[STRING_MAX];
	size_t len = 0;

	for (size_t i = 0; i < word.len; i++) {
		unsigned char c = (unsigned char)word.at[i];
		uint64_t value;

		if (c == '\\' && ++i == word.len)
			return false;
		if (c == '\\' && ascii_is_digit((unsigned char)word.at[i])) {
			if (word.len - i < 3 ||
			    !str_to_u64((struct str){ word.at + i, 3 }, 255, &value))
				return false;
			c = (unsigned char)value;
			i += 2;
		} else if (c == '\\') {
			c = (unsigned char)word.at[i];
		}
		if (len == sizeof(text))
			return false;
		text[len++] = c;
	}
	wire_add_u8(data, (unsigned)len);
	buf_add(data, (struct str){ (const char *)text, len });
	return true;
}

static bool add_strings(struct zone_reader *reader, struct buf *data)
{
	struct str word;

	while (next_word(reader, &word))
		if (!add_string(word, data))
			return false;
	return data->len > 0;
}

static int nibble(char c)
{
	unsigned char lower = ascii_lower((unsigned char)c);

	if (ascii_is_digit(lower))
		return lower - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool add_hex(struct zone_reader *reader, struct buf *data)
{
	struct str word;
	size_t before = data->len;

	while (next_word(reader, &word)) {
		if (word.len % 2)
			return false;
		for (size_t i = 0; i < word.len; i += 2) {
			int high = nibble(word.at[i]);
			int low = nibble(word.at[i + 1]);

			if (high < 0 || low < 0)
				return false;
			wire_add_u8(data, (unsigned)(high << 4 | low));
		}
	}
	return data->len > before;
}

static bool add_mx(struct zone_reader *reader, struct buf *data)
{
	uint64_t preference;

	if (!next_number(reader, UINT16_MAX, &preference))
		return false;
	wire_add_u16(data, (unsigned)preference);
	return add_name(reader, data);
}

static bool add_tlsa(struct zone_reader *reader, struct buf *data)
{
	for (int i = 0; i < 3; i++) {
		uint64_t value;

		if (!next_number(reader, UINT8_MAX, &value))
			return false;
		wire_add_u8(data, (unsigned)value);
	}
	return add_hex(reader, data);
}

static bool add_soa(struct zone_reader *reader, struct buf *data)
{
	for (int i = 0; i < 2; i++) /* the server's, the person's */
		if (!add_name(reader, data))
			return false;
	for (int i = 0; i < 5; i++) {
		uint64_t value;

		if (!next_number(reader, UINT32_MAX, &value))
			return false;
		wire_add_u32(data, (uint32_t)value);
	}
	return true;
}

static bool add_data(struct zone_reader *reader, enum dns_type type, struct buf *data)
{
	switch (type) {
	case DNS_A:
		return add_address(reader, ADDR_IPV4, data);
	case DNS_AAAA:
		return add_address(reader, ADDR_IPV6, data);
	case DNS_CNAME:
	case DNS_PTR:
		return add_name(reader, data);
	case DNS_MX:
		return add_mx(reader, data);
	case DNS_TXT:
		return add_strings(reader, data);
	case DNS_TLSA:
		return add_tlsa(reader, data);
	case DNS_SOA:
		return add_soa(reader, data);
	}
	return false;
}

/* ---- entries ---- */

/* [TTL] [IN] TYPE, the first two in either order [rfc1035 5.1]. */
static enum err take_type(struct zone_reader *reader, uint32_t *ttl_s, enum dns_type *type)
{
	struct str word;

	while (next_word(reader, &word)) {
		uint64_t value;

		if (str_to_u64(word, INT32_MAX, &value))
			*ttl_s = (uint32_t)value;
		else if (!str_is_nocase(word, S("IN")))
			return dns_type_parse(word, type)
				       ? OK
				       : wrong(reader, "a type that is not known here");
	}
	return wrong(reader, "a record without its type");
}

static enum err take_record(struct zone_reader *reader)
{
	OWNED(buf) struct buf data = BUF(ENTRY_MAX);
	struct zone_record *record = NEW(reader->arena, struct zone_record);
	uint32_t ttl_s = reader->ttl_s;
	enum err err;

	if (reader->entry->has_owner) {
		if (!next_name(reader, &reader->owner))
			return wrong(reader, "the owner is no name");
		reader->owned = true;
	}
	if (!reader->owned)
		return wrong(reader, "a record without an owner");
	err = take_type(reader, &ttl_s, &record->type);
	if (err)
		return err;
	if (!add_data(reader, record->type, &data) || data.failed)
		return wrong(reader, "data that do not fit the type");
	if (reader->entry->at != reader->entry->count)
		return wrong(reader, "more words than the type takes");
	record->owner = reader->owner;
	record->ttl_s = ttl_s;
	record->data = str_dup(reader->arena, buf_str(&data));
	*reader->last_record = record;
	reader->last_record = &record->next;
	return OK;
}

static enum err take_rule(struct zone_reader *reader, enum zone_rule_kind kind)
{
	struct zone_rule *rule = NEW(reader->arena, struct zone_rule);

	rule->kind = kind;
	if (!next_name(reader, &rule->name))
		return wrong(reader, "that is no name");
	*reader->last_rule = rule;
	reader->last_rule = &rule->next;
	return OK;
}

static enum err take_directive(struct zone_reader *reader)
{
	struct str word = reader->entry->words[reader->entry->at++];
	uint64_t ttl_s;

	if (str_is_nocase(word, S("$SERVFAIL")))
		return take_rule(reader, ZONE_SERVFAIL);
	if (str_is_nocase(word, S("$SILENT")))
		return take_rule(reader, ZONE_SILENT);
	if (str_is_nocase(word, S("$SECURE")))
		return take_rule(reader, ZONE_SECURE);
	if (str_is_nocase(word, S("$ORIGIN")))
		return next_name(reader, &reader->origin) ? OK : wrong(reader, "that is no name");
	if (!str_is_nocase(word, S("$TTL")))
		return wrong(reader, "a directive that is not known here");
	if (!next_number(reader, INT32_MAX, &ttl_s))
		return wrong(reader, "that is no number of seconds");
	reader->ttl_s = (uint32_t)ttl_s;
	return OK;
}

enum err dns_zone_parse(struct arena *arena, struct str text, struct dns_zone **out)
{
	struct zone_reader reader = { .arena = arena, .scan = scan_of(text) };
	enum err err = OK;

	reader.entry = NEW(arena, struct entry);
	reader.zone = NEW(arena, struct dns_zone);
	reader.last_record = &reader.zone->records;
	reader.last_rule = &reader.zone->rules;
	reader.ttl_s = TTL_PRESET_S;
	reader.origin.len = 1;
	while (!err && !scan_at_end(&reader.scan)) {
		err = take_entry(&reader);
		if (err || reader.entry->count == 0)
			continue;
		if (reader.entry->has_owner && str_starts(reader.entry->words[0], S("$")))
			err = take_directive(&reader);
		else
			err = take_record(&reader);
	}
	if (!err)
		*out = reader.zone;
	return err;
}

void dns_zone_become(struct dns_zone *zone, const struct dns_zone *with)
{
	*zone = *with;
}
