/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <idn2.h>

enum { LABEL_MAX = 63 /* rfc1035 2.3.4 */ };

/* rfc5322 3.2.3 atext, and the octets of UTF-8 beyond ASCII (rfc6531 3.3), checked as a whole. */
static bool is_atext(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_domain_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c >= 0x80;
}

/* UTF-8 without the C1 controls, which a terminal would obey. */
static bool is_clean_utf8(struct str s)
{
	for (size_t i = 0; i + 1 < s.len; i++) {
		if ((unsigned char)s.at[i] == 0xC2 && (unsigned char)s.at[i + 1] < 0xA0)
			return false;
	}
	return str_is_utf8(s);
}

static struct str between(const char *from, const char *to)
{
	return (struct str){ from, (size_t)(to - from) };
}

/* rfc5321 4.1.2 Dot-string: 1*atext *("." 1*atext). */
static bool take_dot_string(struct scan *scan, struct str *out)
{
	struct scan at = *scan;

	do {
		if (take_while(&at, is_atext).len == 0)
			return false;
	} while (take_char(&at, '.'));
	*out = between(scan->at, at.at);
	*scan = at;
	return true;
}

/* rfc5321 4.1.2 Quoted-string: printable ASCII, the quote and the backslash behind a backslash. */
static bool take_quoted_local(struct arena *arena, struct scan *scan, struct str *out)
{
	struct scan at = *scan;
	char text[LIMIT_srs_local_part];
	size_t len = 0;

	if (!take_char(&at, '"'))
		return false;
	while (!take_char(&at, '"')) {
		int c;

		if (take_char(&at, '\\') && (scan_peek(&at) < ' ' || scan_peek(&at) > '~'))
			return false; /* rfc5321 4.1.2 quoted-pairSMTP: %d32-126 */
		c = scan_peek(&at);
		if (c < ' ' || c == 0x7F || len == sizeof(text))
			return false;
		text[len++] = (char)c;
		at.at++;
	}
	*out = str_dup(arena, (struct str){ text, len });
	*scan = at;
	return true;
}

static bool take_local_part(struct arena *arena, struct scan *scan, bool allow_utf8,
			    struct address *out)
{
	struct scan at = *scan;
	struct str written;

	out->is_quoted = scan_peek(&at) == '"';
	if (out->is_quoted ? !take_quoted_local(arena, &at, &out->local)
			   : !take_dot_string(&at, &out->local))
		return false;
	written = between(scan->at, at.at);
	if (written.len > (srs_is(out->local) ? LIMIT_srs_local_part : LIMIT_local_part))
		return false;
	if (!str_is_ascii(written) && (!allow_utf8 || !is_clean_utf8(written)))
		return false;
	*scan = at;
	return true;
}

/* rfc5321 4.1.2 sub-domain: a hyphen neither first nor last. */
static bool is_label(struct str label)
{
	return label.len > 0 && label.len <= LABEL_MAX && label.at[0] != '-' &&
	       label.at[label.len - 1] != '-';
}

/* Domain names of ASCII; of UTF-8 only the shape, each label's length apart. */
static bool take_labels(struct scan *scan, struct str *out)
{
	struct scan at = *scan;

	do {
		struct str label = take_while(&at, is_domain_octet);

		if (!is_label(str_is_ascii(label) ? label : str_first(label, LABEL_MAX)))
			return false;
	} while (take_char(&at, '.'));
	*out = between(scan->at, at.at);
	if (out->len > LIMIT_domain)
		return false;
	*scan = at;
	return true;
}

/* rfc5891 5: U-labels to A-labels. text holds a domain's worth of octets and a NUL. */
static bool to_a_labels(struct str domain, char text[LIMIT_domain + 1])
{
	char u8[LIMIT_domain + 1];
	uint8_t *ascii = NULL;
	bool is_good = false;
	struct scan scan;
	struct str labels;

	if (domain.len > LIMIT_domain || (domain.len && memchr(domain.at, 0, domain.len)))
		return false;
	if (domain.len)
		memcpy(u8, domain.at, domain.len);
	u8[domain.len] = '\0';
	if (idn2_lookup_u8((const uint8_t *)u8, &ascii,
			   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) ==
	    IDN2_OK) {
		struct str result = str_of((const char *)ascii);

		scan = scan_of(result);
		is_good = str_is_ascii(result) && take_labels(&scan, &labels) && scan_at_end(&scan);
		if (is_good)
			memcpy(text, result.at, result.len + 1);
	}
	idn2_free(ascii);
	return is_good;
}

bool take_domain(struct scan *scan, bool allow_utf8, struct str *out)
{
	struct scan at = *scan;
	struct str domain;
	char ascii[LIMIT_domain + 1];

	if (!take_labels(&at, &domain))
		return false;
	if (!str_is_ascii(domain) &&
	    (!allow_utf8 || !is_clean_utf8(domain) || !to_a_labels(domain, ascii)))
		return false;
	*out = domain;
	*scan = at;
	return true;
}

/* rfc5321 4.1.3 dcontent. */
static bool is_dcontent(unsigned char c)
{
	return c > ' ' && c < 0x7F && !(c >= '[' && c <= ']');
}

bool take_address_literal(struct scan *scan, struct str *out, struct addr *ip)
{
	struct scan at = *scan;
	struct addr addr = { 0 };
	struct str text;
	struct str six;

	if (!take_char(&at, '['))
		return false;
	text = take_while(&at, is_dcontent);
	if (text.len > LIMIT_domain - 2 || !take_char(&at, ']'))
		return false;
	six = str_from(text, 5);
	if (str_starts_nocase(text, S("IPv6:"))) {
		/* Something like ::ffff:192.0.2.1 comes back folded to IPv4, which is fine here. */
		if (str_find(six, ':') == STR_NONE || !addr_parse_ip(six, &addr))
			return false;
	} else if (str_find(text, ':') != STR_NONE || !addr_parse_ip(text, &addr)) {
		return false;
	}
	*out = between(scan->at, at.at);
	*ip = addr;
	*scan = at;
	return true;
}

bool is_domain_or_literal(struct str text, bool allow_utf8)
{
	struct scan scan = scan_of(text);
	struct str domain;
	struct addr ip;

	if (scan_peek(&scan) == '[')
		return take_address_literal(&scan, &domain, &ip) && scan_at_end(&scan);
	return take_domain(&scan, allow_utf8, &domain) && scan_at_end(&scan);
}

bool take_mailbox(struct arena *arena, struct scan *scan, bool allow_utf8, struct address *out)
{
	struct scan at = *scan;
	struct address address = { 0 };
	struct addr ip;

	if (!take_local_part(arena, &at, allow_utf8, &address) || !take_char(&at, '@'))
		return false;
	address.is_literal = scan_peek(&at) == '[';
	if (address.is_literal ? !take_address_literal(&at, &address.domain, &ip)
			       : !take_domain(&at, allow_utf8, &address.domain))
		return false;
	address.is_utf8 = !str_is_ascii(address.local) || !str_is_ascii(address.domain);
	/* rfc5321 4.5.3.1.3 without "<" and ">"; A-labels may be longer than what was written. */
	if ((size_t)(at.at - scan->at) > LIMIT_path - 2 ||
	    (address.is_utf8 && address_print(arena, &address).len > LIMIT_path - 2))
		return false;
	*out = address;
	*scan = at;
	return true;
}

bool address_parse(struct arena *arena, struct str text, bool allow_utf8, struct address *out)
{
	struct scan scan = scan_of(text);
	struct address address;

	if (!take_mailbox(arena, &scan, allow_utf8, &address) || !scan_at_end(&scan))
		return false;
	*out = address;
	return true;
}

struct str local_part_print(struct arena *arena, struct str local)
{
	struct scan scan = scan_of(local);
	struct str dots;
	char *text;
	size_t len = 0;

	if (take_dot_string(&scan, &dots) && scan_at_end(&scan))
		return local;
	text = arena_take(arena, 2 * local.len + 2);
	text[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.at[i] == '"' || local.at[i] == '\\')
			text[len++] = '\\';
		text[len++] = local.at[i];
	}
	text[len++] = '"';
	return (struct str){ text, len };
}

struct str domain_canonical(struct arena *arena, struct str domain)
{
	struct scan scan = scan_of(domain);
	char ascii[LIMIT_domain + 1];
	char ip[ADDR_TEXT];
	struct str literal;
	struct addr addr;

	if (take_address_literal(&scan, &literal, &addr) && scan_at_end(&scan)) {
		addr_print_ip(&addr, ip);
		return str_print(arena, addr.family == ADDR_IPV6 ? "[IPv6:%s]" : "[%s]", ip);
	}
	if (!str_is_ascii(domain) && to_a_labels(domain, ascii))
		domain = str_of(ascii);
	return str_lower(arena, domain);
}

struct str address_print(struct arena *arena, const struct address *address)
{
	struct str local = local_part_print(arena, address->local);
	struct str domain = domain_canonical(arena, address->domain);
	char *text = arena_take(arena, local.len + 1 + domain.len);

	if (local.len)
		memcpy(text, local.at, local.len);
	text[local.len] = '@';
	if (domain.len)
		memcpy(text + local.len + 1, domain.at, domain.len);
	return (struct str){ text, local.len + 1 + domain.len };
}

bool address_equal(struct arena *arena, const struct address *a, const struct address *b)
{
	return str_is(a->local, b->local) &&
	       str_is(domain_canonical(arena, a->domain), domain_canonical(arena, b->domain));
}

void login_split(struct arena *arena, struct str name, struct str separator, struct str *user,
		 struct str *folder)
{
	size_t at_sign = str_find_last(name, '@');
	struct str local = at_sign == STR_NONE ? name : str_first(name, at_sign);
	struct str domain = at_sign == STR_NONE ? S("") : str_from(name, at_sign + 1);
	size_t local_end = separator.len ? str_find_str(local, separator) : STR_NONE;
	size_t domain_end = separator.len ? str_find_str(domain, separator) : STR_NONE;

	*user = name;
	*folder = S("");
	if (domain_end != STR_NONE && domain_end > 0) {
		*folder = str_from(domain, domain_end + separator.len);
		*user = str_first(name, name.len - folder->len - separator.len);
	} else if (local_end != STR_NONE && local_end > 0) {
		*folder = str_from(local, local_end + separator.len);
		*user = str_print(arena, "%.*s%.*s", (int)local_end, local.at,
				  (int)(name.len - local.len), name.at + local.len);
	}
	if (folder->len == 0)
		*user = name;
}
