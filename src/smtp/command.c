/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/verbs.h"

enum { IAC = 255, TELNET_SE = 240, TELNET_SB = 250, TELNET_WILL = 251 };

struct smtp_reply smtp_syntax_reply(struct arena *arena, enum smtp_verb verb)
{
	return smtp_reply_with(arena, SMTP_REPLY_syntax, smtp_verb_syntax(verb));
}

/* rfc854: how many octets the telnet command at the front of s takes. */
static size_t telnet_length(struct str s)
{
	unsigned char what = s.len > 1 ? (unsigned char)s.at[1] : 0;
	size_t end;

	if (what == TELNET_SB) {
		end = str_find_str(s, (struct str){ "\xFF\xF0", 2 });
		return end == STR_NONE ? s.len : end + 2;
	}
	if (what >= TELNET_WILL && what != IAC)
		return s.len < 3 ? s.len : 3;
	return s.len < 2 ? s.len : 2;
}

struct str telnet_strip(struct arena *arena, struct str line)
{
	char *out;
	size_t len = 0;

	if (str_find(line, (char)IAC) == STR_NONE)
		return line;
	out = arena_take(arena, line.len);
	while (line.len) {
		if ((unsigned char)line.at[0] == IAC) {
			line = str_from(line, telnet_length(line));
			continue;
		}
		out[len++] = line.at[0];
		line = str_from(line, 1);
	}
	return (struct str){ out, len };
}

static bool has_controls(struct str line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.at[i] < ' ' || line.at[i] == 0x7F)
			return true;
	return false;
}

/*
 * The first line of another protocol: a browser tricked into talking to us (HTTP), a TLS client on
 * a port in the clear, a proxy that is not listed. Nothing that follows can be trusted.
 */
static bool is_foreign(struct str line)
{
	static const struct str starts[] = {
		{ "GET ", 4 },     { "POST ", 5 },  { "PUT ", 4 },    { "HEAD ", 5 },
		{ "OPTIONS ", 8 }, { "PATCH ", 6 }, { "DELETE ", 7 }, { "CONNECT ", 8 },
		{ "TRACE ", 6 },   { "PRI * ", 6 }, { "PROXY ", 6 },  { "\x16\x03", 2 },
		{ "SSH-", 4 },     { "Host: ", 6 },
	};

	for (size_t i = 0; i < COUNT_OF(starts); i++)
		if (str_starts_nocase(line, starts[i]))
			return true;
	return false;
}

static struct smtp_reply parse_hello(struct arena *arena, const struct smtp_rules *rules,
				     struct smtp_command *out)
{
	if (rules->is_lmtp != (out->verb == SMTP_LHLO)) /* rfc2033 4.1 */
		return smtp_reply(rules->is_lmtp ? SMTP_REPLY_not_in_lmtp
						 : SMTP_REPLY_only_in_lmtp);
	/* rfc5321 4.1.4 forbids refusing for a name that is wrong; only one word, and ASCII. */
	if (out->argument.len == 0 || out->argument.len > LIMIT_domain ||
	    str_find(out->argument, ' ') != STR_NONE || !str_is_ascii(out->argument))
		return smtp_syntax_reply(arena, out->verb);
	out->hello = out->argument;
	return smtp_no_reply();
}

/* rfc3030 2: bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ]. */
static struct smtp_reply parse_bdat(struct smtp_command *out)
{
	struct scan scan = scan_of(out->argument);

	if (!take_number(&scan, UINT64_MAX, &out->octets))
		return smtp_reply(SMTP_REPLY_bad_chunk);
	if (scan_at_end(&scan))
		return smtp_no_reply();
	out->is_last = take_blanks(&scan) > 0 && take_str_nocase(&scan, S("LAST"));
	if (!out->is_last || !scan_at_end(&scan))
		return smtp_reply(SMTP_REPLY_bad_chunk);
	return smtp_no_reply();
}

/* rfc4422 3.1 sasl-mech: 1 to 20 of A-Z, 0-9, hyphen and underscore. */
static bool is_mechanism_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

/* rfc4954 4: AUTH mechanism [initial-response]; "=" stands for an empty one. */
static struct smtp_reply parse_auth(struct arena *arena, struct smtp_command *out)
{
	struct scan scan = scan_of(out->argument);
	struct str mechanism = take_while(&scan, is_mechanism_octet);
	char *capitals;

	if (mechanism.len == 0 || (!scan_at_end(&scan) && take_blanks(&scan) == 0))
		return smtp_syntax_reply(arena, SMTP_AUTH);
	if (mechanism.len > 20)
		return smtp_reply(SMTP_REPLY_mechanism_unknown);
	capitals = str_dup_c(arena, mechanism);
	for (size_t i = 0; i < mechanism.len; i++)
		if (capitals[i] >= 'a' && capitals[i] <= 'z')
			capitals[i] = (char)(capitals[i] - 32);
	out->mechanism = (struct str){ capitals, mechanism.len };
	out->has_initial = !scan_at_end(&scan);
	out->initial = scan_rest(&scan);
	if (str_find(out->initial, ' ') != STR_NONE)
		return smtp_syntax_reply(arena, SMTP_AUTH);
	if (str_is(out->initial, S("=")))
		out->initial = S("");
	return smtp_no_reply();
}

/*
 * rfc1985 5: one domain. "@" (all below it) and "#" (a queue by its name) ask for what the queue does not
 * know: it has destinations.
 */
static struct smtp_reply parse_etrn(struct arena *arena, const struct smtp_command *out)
{
	char first = out->argument.len > 0 ? out->argument.at[0] : 0;

	if (first == '@' || first == '#')
		return smtp_reply(SMTP_REPLY_node_only);
	if (!is_domain_or_literal(out->argument, false))
		return smtp_syntax_reply(arena, SMTP_ETRN);
	return smtp_no_reply();
}

static struct smtp_reply parse_argument(struct arena *arena, const struct smtp_rules *rules,
					struct smtp_command *out)
{
	switch (out->verb) {
	case SMTP_EHLO:
	case SMTP_HELO:
	case SMTP_LHLO:
		return parse_hello(arena, rules, out);
	case SMTP_MAIL:
		return smtp_mail_parse(arena, out->argument, rules, out);
	case SMTP_RCPT:
		return smtp_rcpt_parse(arena, out->argument, rules, out);
	case SMTP_BDAT:
		return parse_bdat(out);
	case SMTP_AUTH:
		return parse_auth(arena, out);
	case SMTP_VRFY:
	case SMTP_EXPN:
		if (out->argument.len == 0)
			return smtp_syntax_reply(arena, out->verb);
		return smtp_no_reply();
	case SMTP_ETRN:
		return parse_etrn(arena, out);
	case SMTP_DATA:
	case SMTP_RSET:
	case SMTP_QUIT:
	case SMTP_STARTTLS:
		if (out->argument.len > 0) /* rfc5321 4.3.2; rfc3207 4 asks for 501 */
			return smtp_syntax_reply(arena, out->verb);
		return smtp_no_reply();
	default:
		return smtp_no_reply();
	}
}

struct smtp_reply smtp_command_parse(struct arena *arena, struct str line,
				     const struct smtp_rules *rules, struct smtp_command *out)
{
	struct str clean = telnet_strip(arena, line);
	size_t space;
	struct str word;

	*out = (struct smtp_command){ 0 };
	/* rfc5321 4.1.1: blanks before the line end are tolerated. */
	while (clean.len && (clean.at[clean.len - 1] == ' ' || clean.at[clean.len - 1] == '\t'))
		clean.len--;
	if (is_foreign(clean)) {
		out->verb = SMTP_FOREIGN;
		return smtp_reply(SMTP_REPLY_not_smtp);
	}
	if (has_controls(clean))
		return smtp_reply(SMTP_REPLY_not_text);
	space = str_find(clean, ' ');
	word = str_first(clean, space);
	out->verb = smtp_verb_find(word);
	out->argument = space == STR_NONE ? S("") : str_trim(str_from(clean, space));
	if (out->verb == SMTP_UNKNOWN)
		return smtp_reply(SMTP_REPLY_unknown_command);
	if (smtp_verb_is_refused(out->verb))
		return smtp_reply_with(arena, SMTP_REPLY_not_done_here,
				       str_of(smtp_verb_name(out->verb)));
	return parse_argument(arena, rules, out);
}
