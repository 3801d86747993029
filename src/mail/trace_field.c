/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

enum { FOLD_AT = 78 /* rfc5322 2.1.1 */, COMMENT_MAX = 255 };

/* A field being written: pieces that stay whole, with a blank or a fold between them. */
struct folder {
	struct buf *out;
	size_t line_at; /* where the current line starts */
	bool has_text;  /* behind the field's name: that is never alone on its line */
};

static void add_whole(struct folder *folder, struct str piece)
{
	if (folder->has_text && folder->out->len - folder->line_at + 1 + piece.len > FOLD_AT) {
		buf_add_c(folder->out, "\r\n");
		folder->line_at = folder->out->len;
		buf_add_char(folder->out, '\t');
	} else {
		buf_add_char(folder->out, ' ');
	}
	folder->has_text = true;
	buf_add(folder->out, piece);
}

/* Is there a line that takes so many octets, this one or the next? */
static bool has_line_for(const struct folder *folder, size_t len)
{
	size_t taken = folder->has_text ? 1 : folder->out->len - folder->line_at + 1;

	return taken + len <= FOLD_AT;
}

/* On one line where they can be: a name and what it names. */
static void add_clause(struct folder *folder, const char *name, struct str value)
{
	OWNED(buf) struct buf both = BUF(2048);

	buf_print(&both, "%s %.*s", name, STR_ARGS(value));
	if (has_line_for(folder, both.len)) {
		add_whole(folder, buf_str(&both));
		return;
	}
	add_whole(folder, str_of(name));
	add_whole(folder, value);
}

/* rfc5322 3.2.2: a comment may be folded wherever it has a blank. */
static void add_comment(struct folder *folder, struct str comment)
{
	size_t blank;

	if (has_line_for(folder, comment.len)) {
		add_whole(folder, comment);
		return;
	}
	while ((blank = str_find(comment, ' ')) != STR_NONE) {
		if (blank > 0)
			add_whole(folder, str_first(comment, blank));
		comment = str_from(comment, blank + 1);
	}
	add_whole(folder, comment);
}

/* What strangers said, fit for a comment: nothing in it is syntax (rfc5322 3.2.2 ctext). */
static void add_comment_text(struct buf *out, struct str text)
{
	text = str_first(text, COMMENT_MAX);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		bool is_safe = c >= ' ' && c <= '~' && c != '(' && c != ')' && c != '\\';

		buf_add_char(out, is_safe ? c : '?');
	}
}

static bool is_atom_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_atom(struct str text)
{
	struct scan scan = scan_of(text);

	return take_while(&scan, is_atom_octet).len > 0 && scan_at_end(&scan);
}

/* rfc5321 4.1.3; empty for a peer without an IP address. */
static void add_literal(struct buf *out, const struct addr *addr)
{
	char ip[ADDR_TEXT];

	addr_print_ip(addr, ip);
	if (addr->family == ADDR_IPV4)
		buf_print(out, "[%s]", ip);
	else if (addr->family == ADDR_IPV6)
		buf_print(out, "[IPv6:%s]", ip);
}

static bool has_ip(const struct addr *addr)
{
	return addr->family == ADDR_IPV4 || addr->family == ADDR_IPV6;
}

/* rfc5321 4.4 From-domain: what it called itself, then what we know. */
static void add_from(struct folder *folder, const struct received *received)
{
	OWNED(buf) struct buf text = BUF(2048);
	bool is_name = is_domain_or_literal(received->from_helo, false);

	if (is_name)
		buf_add(&text, received->from_helo);
	else if (has_ip(&received->from_addr))
		add_literal(&text, &received->from_addr);
	else
		buf_add_c(&text, "localhost"); /* a UNIX socket */
	add_clause(folder, "from", buf_str(&text));
	buf_reset(&text);
	if (has_ip(&received->from_addr)) {
		buf_add_char(&text, '(');
		if (is_domain_or_literal(received->from_name, false)) {
			buf_add(&text, received->from_name);
			buf_add_char(&text, ' ');
		}
		add_literal(&text, &received->from_addr);
		buf_add_char(&text, ')');
		add_comment(folder, buf_str(&text));
	}
	if (is_name || received->from_helo.len == 0)
		return;
	buf_reset(&text);
	buf_add_c(&text, "(helo=");
	add_comment_text(&text, received->from_helo);
	buf_add_char(&text, ')');
	add_comment(folder, buf_str(&text));
}

static void add_by(struct folder *folder, const struct received *received)
{
	OWNED(buf) struct buf text = BUF(2048);
	bool is_name = is_domain_or_literal(received->by, false);

	add_clause(folder, "by", is_name ? received->by : S("localhost"));
	if (is_atom(received->with))
		add_clause(folder, "with", received->with);
	if (received->tls.len) {
		buf_add_char(&text, '(');
		add_comment_text(&text, received->tls);
		buf_add_char(&text, ')');
		add_comment(folder, buf_str(&text));
	}
	if (is_atom(received->id))
		add_clause(folder, "id", received->id);
}

/* rfc5321 4.4 For: one path; UTF-8 in it only where "with" says so (rfc6531 3.7.3). */
static bool add_for(struct folder *folder, const struct received *received)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(2048);
	bool is_utf8 = str_starts(received->with, S("UTF8"));
	struct address address;

	if (!address_parse(&arena, received->for_address, is_utf8, &address))
		return false;
	buf_print(&text, "<%.*s>;", STR_ARGS(address_print(&arena, &address)));
	add_clause(folder, "for", buf_str(&text));
	return true;
}

enum err received_print(struct buf *out, const struct received *received)
{
	struct folder folder = { .out = out, .line_at = out->len };
	char date[DATE_TEXT];

	buf_add_c(out, "Received:");
	add_from(&folder, received);
	add_by(&folder, received);
	if (!add_for(&folder, received))
		buf_add_char(out, ';');
	date_print(received->wall_us, received->offset_minutes, date);
	add_whole(&folder, str_of(date));
	buf_add_c(out, "\r\n");
	return out->failed ? ERR_LIMIT : OK;
}

size_t received_count(struct str header)
{
	return field_count(header, S("Received"));
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_no_blank(unsigned char c)
{
	return !is_blank(c);
}

/* rfc5321 4.4 By-domain: the word behind "by", outside of comments. */
static bool is_by(struct str value, struct str host)
{
	struct scan scan = scan_of(value);
	bool is_next = false;

	for (skip_cfws(&scan); !scan_at_end(&scan); skip_cfws(&scan)) {
		struct str word = take_while(&scan, is_no_blank);

		if (is_next)
			return str_is_nocase(word, host);
		is_next = str_is_nocase(word, S("by"));
	}
	return false;
}

size_t received_count_by(struct str header, struct str host)
{
	struct scan scan = scan_of(header);
	struct field field;
	size_t count = 0;

	for (size_t i = 0; i < LIMIT_header_fields && take_field(&scan, &field); i++)
		count += str_is_nocase(field.name, S("Received")) && is_by(field.value, host);
	return count;
}
