/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"

#include <stdio.h>

enum { LABEL_MAX = 63 };

/* \DDD or \X, after the backslash [rfc1035 5.1]. */
static bool take_escape(struct scan *scan, unsigned char *out)
{
	struct str digits = str_first(scan_rest(scan), 3);
	uint64_t value;

	if (scan_at_end(scan))
		return false;
	if (!ascii_is_digit((unsigned char)*scan->at)) {
		*out = (unsigned char)*scan->at++;
		return *out > ' ' && *out < 0x7F;
	}
	if (digits.len < 3 || !str_to_u64(digits, 255, &value))
		return false;
	scan->at += 3;
	*out = (unsigned char)value;
	return true;
}

/* Up to a dot or the end; neither is taken. */
static bool take_label(struct scan *scan, struct dns_name *name)
{
	size_t head = name->len;
	size_t size = 0;

	if (head + 1 >= DNS_NAME_MAX)
		return false;
	name->len++;
	while (!scan_at_end(scan) && *scan->at != '.') {
		unsigned char c = (unsigned char)*scan->at++;

		if (c == '\\' ? !take_escape(scan, &c) : c <= ' ' || c >= 0x7F)
			return false;
		if (size == LABEL_MAX || name->len >= DNS_NAME_MAX - 1) /* the root's octet */
			return false;
		name->at[name->len++] = c;
		size++;
	}
	name->at[head] = (unsigned char)size;
	return size > 0;
}

bool dns_name_parse(struct str text, struct dns_name *out)
{
	struct scan scan = scan_of(text);
	struct dns_name name = { 0 };

	if (text.len == 0)
		return false;
	if (!str_is(text, S("."))) {
		do {
			if (!take_label(&scan, &name))
				return false;
		} while (take_char(&scan, '.') && !scan_at_end(&scan));
	}
	name.at[name.len++] = 0;
	*out = name;
	return true;
}

static size_t print_octet(unsigned char c, char *at)
{
	if (c <= ' ' || c >= 0x7F)
		return (size_t)snprintf(at, 5, "\\%03u", c);
	/* What the master file format gives a meaning is escaped too, so that it can stand there. */
	if (c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' ||
	    c == '$') {
		at[0] = '\\';
		at[1] = (char)c;
		return 2;
	}
	at[0] = (char)c;
	return 1;
}

void dns_name_print(const struct dns_name *name, char text[DNS_NAME_TEXT])
{
	size_t at = 0;
	size_t len = 0;

	if (dns_name_is_root(name))
		text[len++] = '.';
	while (name->at[at]) {
		size_t end = at + 1 + name->at[at];

		if (at)
			text[len++] = '.';
		for (at++; at < end; at++)
			len += print_octet(name->at[at], text + len);
	}
	must(len < DNS_NAME_TEXT);
	text[len] = 0;
}

/* Octets that tell lengths are at most 63, below every letter: the whole can be lowered. */
static bool is_same(const unsigned char *a, const unsigned char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && is_same(a->at, b->at, a->len);
}

bool dns_name_is_root(const struct dns_name *name)
{
	return name->len == 1;
}

bool dns_name_is_under(const struct dns_name *name, const struct dns_name *above)
{
	size_t at = 0;

	while (name->len - at > above->len)
		at += 1 + (size_t)name->at[at];
	return name->len - at == above->len && is_same(name->at + at, above->at, above->len);
}

/* ---- types ---- */

static const struct type {
	const char *name;
	enum dns_type type;
} types[] = {
#define X(name, number) { #name, DNS_##name },
	DNS_TYPES(X)
#undef X
};

const char *dns_type_name(enum dns_type type)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return "?";
}

bool dns_type_parse(struct str text, enum dns_type *out)
{
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		if (str_is_nocase(text, str_of(types[i].name))) {
			*out = types[i].type;
			return true;
		}
	}
	return false;
}
