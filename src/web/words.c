/* SPDX-License-Identifier: Apache-2.0 */
#include "web/words.h"

enum { HOST_MAX = LIMIT_domain + 8 };

static bool is_host_letter(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '.' || c == '_';
}

static bool is_in_brackets(unsigned char c)
{
	return ascii_is_digit(c) || c == ':' || c == '.' ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

/* The host without its port, and [] taken off; false when it is none. */
static bool split(struct str host, struct str *name, bool *is_ipv6)
{
	struct scan scan = scan_of(host);
	uint64_t port;

	*is_ipv6 = take_char(&scan, '[');
	if (*is_ipv6) {
		*name = take_while(&scan, is_in_brackets);
		if (!take_char(&scan, ']'))
			return false;
	} else {
		*name = take_while(&scan, is_host_letter);
	}
	if (!name->len || (take_char(&scan, ':') && !take_number(&scan, 65535, &port)))
		return false;
	return scan_at_end(&scan);
}

bool host_is_sound(struct str host)
{
	struct str name;
	bool is_ipv6;

	return host.len <= HOST_MAX && split(host, &name, &is_ipv6);
}

bool host_is_local(struct str host)
{
	struct addr addr;
	struct str name;
	bool is_ipv6;

	if (host.len > HOST_MAX || !split(host, &name, &is_ipv6))
		return false;
	if (addr_parse_ip(name, &addr))
		return addr_is_loopback(&addr);
	/* rfc6761 6.3: these never leave the machine. */
	return !is_ipv6 &&
	       (str_is_nocase(name, S("localhost")) || str_ends_nocase(name, S(".localhost")));
}

/* rfc9110 5.6.2 */
static bool is_token_letter(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", (char)c));
}

static bool is_value(struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

void framing_note(struct framing *framing, struct str name, struct str value)
{
	struct scan scan = scan_of(name);
	uint64_t length;

	/* rfc9112 5.1: no blank before the colon; 2.2: no bare CR, and no NUL. */
	if (!take_while(&scan, is_token_letter).len || !scan_at_end(&scan) || !is_value(value))
		framing->is_unsound = true;
	if (str_is_nocase(name, S("Host")))
		framing->hosts++;
	if (str_is_nocase(name, S("Transfer-Encoding")))
		framing->has_coding = true;
	if (!str_is_nocase(name, S("Content-Length")))
		return;
	framing->lengths++;
	if (!str_to_u64(value, INT64_MAX, &length))
		framing->is_unsound = true;
}

const char *framing_complaint(const struct framing *framing)
{
	if (framing->is_unsound)
		return "a header field is not well-formed";
	if (framing->hosts > 1)
		return "the request names its host twice";
	if (framing->lengths > 1)
		return "the request names its length twice";
	return NULL;
}

bool origin_is_of(struct str origin, struct str host)
{
	static const struct str schemes[] = { { "http://", 7 }, { "https://", 8 } };

	for (size_t i = 0; i < COUNT_OF(schemes); i++)
		if (str_starts(origin, schemes[i]) && host.len &&
		    str_is_nocase(str_from(origin, schemes[i].len), host))
			return true;
	return false;
}

bool type_is_json(struct str type)
{
	return str_is_nocase(str_trim(str_first(type, str_find(type, ';'))), S("application/json"));
}

/* q=0, q=0.0 ... : not wanted (rfc9110 12.4.2). */
static bool is_unwanted(struct str parameters)
{
	size_t at = str_find_str(parameters, S("q="));
	struct str weight = at == STR_NONE ? (struct str){ 0 } : str_from(parameters, at + 2);

	for (size_t i = 0; i < weight.len; i++)
		if (weight.at[i] != '0' && weight.at[i] != '.')
			return false;
	return weight.len > 0;
}

bool list_has(struct str list, struct str word)
{
	while (list.len) {
		size_t end = str_find(list, ',');
		struct str item = str_trim(str_first(list, end));
		size_t semicolon = str_find(item, ';');

		list = end == STR_NONE ? (struct str){ 0 } : str_from(list, end + 1);
		if (str_is_nocase(str_trim(str_first(item, semicolon)), word))
			return semicolon == STR_NONE || !is_unwanted(str_from(item, semicolon + 1));
	}
	return false;
}

bool path_fits(struct str pattern, struct str path, uint64_t *id)
{
	size_t mark = str_find(pattern, '{');
	struct str after;

	*id = 0;
	if (mark == STR_NONE)
		return str_is(path, pattern);
	after = str_from(pattern, mark + sizeof("{id}") - 1);
	if (path.len != mark + ID_TEXT + after.len || !str_starts(path, str_first(pattern, mark)))
		return false;
	return str_is(str_from(path, mark + ID_TEXT), after) &&
	       id_parse(str_first(str_from(path, mark), ID_TEXT), id) && *id;
}
