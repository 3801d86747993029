/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * address: a Mailbox of the SMTP envelope (rfc5321 4.1.2), with UTF-8 where the caller allows it
 * (rfc6531 3.3). Stricter than the addresses of header fields (mail/mailbox_list.h): no comments,
 * no white space, no controls, domain names by the rules of host names.
 *
 * Canonical text: the local part as it is, in quotes only where it needs them; the domain in
 * lower case, always as A-labels (ASCII), an address literal as base prints its address: two
 * spellings of one domain give one text.
 * The case of the local part is kept: whether it matters is for its host to say (rfc5321 2.4).
 */
struct address {
	struct str
		local; /* without its quotes; at most LIMIT_local_part octets as written (of SRS: LIMIT_srs_local_part) */
	struct str domain; /* as written; an address literal with its brackets */
	bool is_quoted;    /* the local part was written as a quoted string */
	bool is_literal;   /* the domain is an address literal */
	bool is_utf8;      /* local part or domain is not ASCII */
};

/* rfc5321 4.1.2 Mailbox, from the cursor on; what follows it is left to the caller. */
bool take_mailbox(struct arena *arena, struct scan *scan, bool allow_utf8, struct address *out);
/* The same, of the whole string. */
bool address_parse(struct arena *arena, struct str text, bool allow_utf8, struct address *out);
/* rfc5321 4.1.2 Domain: labels of letters, digits and inner hyphens; U-labels when allowed. */
bool take_domain(struct scan *scan, bool allow_utf8, struct str *out);
/*
 * rfc5321 4.1.3 address-literal with its brackets, IPv4 or IPv6; its address goes to *ip. The
 * General form is refused: its tags must be registered with IANA, and none is.
 */
bool take_address_literal(struct scan *scan, struct str *out, struct addr *ip);
/* Is the whole text a Domain or an address literal: what HELO and EHLO take. */
bool is_domain_or_literal(struct str text, bool allow_utf8);

/* The canonical text. */
struct str address_print(struct arena *arena, const struct address *address);
/* The local part as canonical text: in quotes where it needs them. */
struct str local_part_print(struct arena *arena, struct str local);
/* The canonical domain: lower case, A-labels. A name that IDNA refuses comes back in lower case. */
struct str domain_canonical(struct arena *arena, struct str domain);
/* The same local part, octet for octet, at the same domain. */
bool address_equal(struct arena *arena, const struct address *a, const struct address *b);

/*
 * user+folder: a login may name a folder, as user+folder@domain or user@domain+folder, where
 * `separator` is the '+' of the configuration ("" switches it off). *folder is empty when none was
 * named; *user is then the name as it came.
 */
void login_split(struct arena *arena, struct str name, struct str separator, struct str *user,
		 struct str *folder);
