/* SPDX-License-Identifier: Apache-2.0 */
/* MAIL and RCPT: the path (rfc5321 4.1.2) and the parameters of the extensions. */
#include "smtp/verbs.h"

enum { PARAMETERS_MAX = 16 };

/* rfc5321 4.1.2 A-d-l: "@one,@two:" before the mailbox; accepted, and ignored (F.2). */
static bool skip_source_route(struct scan *scan, bool allow_utf8)
{
	struct str domain;

	do {
		if (!take_char(scan, '@') || !take_domain(scan, allow_utf8, &domain))
			return false;
	} while (take_char(scan, ','));
	return take_char(scan, ':');
}

static bool take_mailbox_path(struct arena *arena, struct scan *scan, struct address *out)
{
	struct scan at = *scan;

	if (!take_char(&at, '<')) {
		/* No brackets: taken from the clients that know no better, as long as it is one address. */
		if (!take_mailbox(arena, &at, true, out) ||
		    (!scan_at_end(&at) && scan_peek(&at) != ' '))
			return false;
		*scan = at;
		return true;
	}
	if (scan_peek(&at) == '@' && !skip_source_route(&at, true))
		return false;
	if (!take_mailbox(arena, &at, true, out) || !take_char(&at, '>'))
		return false;
	*scan = at;
	return true;
}

static bool is_keyword_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-';
}

/* rfc5321 4.1.2 esmtp-value: any octet but "=", blanks and controls (rfc6531 3.3 adds UTF-8). */
static bool is_value_octet(unsigned char c)
{
	return c > ' ' && c != '=' && c != 0x7F;
}

struct esmtp_param {
	struct str keyword;
	bool has_value;
	struct str value;
};

static bool take_esmtp_param(struct scan *scan, struct esmtp_param *out)
{
	*out = (struct esmtp_param){ .keyword = take_while(scan, is_keyword_octet) };
	if (out->keyword.len == 0 || out->keyword.at[0] == '-')
		return false;
	out->has_value = take_char(scan, '=');
	if (out->has_value) {
		out->value = take_while(scan, is_value_octet);
		if (out->value.len == 0)
			return false;
	}
	return scan_at_end(scan) || scan_peek(scan) == ' ';
}

static struct smtp_reply bad_value(struct arena *arena, const struct esmtp_param *parameter)
{
	return smtp_reply_with(arena, SMTP_REPLY_parameter_value, parameter->keyword);
}

/* rfc1870 6: SIZE=, 1 to 20 digits. More than 64 bits are more than any server takes. */
static struct smtp_reply size_parameter(struct arena *arena, const struct esmtp_param *parameter,
					struct smtp_command *out)
{
	for (size_t i = 0; i < parameter->value.len; i++)
		if (!ascii_is_digit((unsigned char)parameter->value.at[i]))
			return bad_value(arena, parameter);
	if (parameter->value.len == 0 || parameter->value.len > 20)
		return bad_value(arena, parameter);
	if (!str_to_u64(parameter->value, UINT64_MAX, &out->size))
		out->size = UINT64_MAX;
	out->has_size = true;
	return smtp_no_reply();
}

/* rfc6152 2, rfc3030 3 */
static struct smtp_reply body_parameter(struct arena *arena, const struct esmtp_param *parameter,
					const struct smtp_rules *rules, struct smtp_command *out)
{
	if (str_is_nocase(parameter->value, S("7BIT")))
		out->body = SMTP_BODY_7BIT;
	else if (str_is_nocase(parameter->value, S("8BITMIME")))
		out->body = SMTP_BODY_8BITMIME;
	else if (!str_is_nocase(parameter->value, S("BINARYMIME")))
		return bad_value(arena, parameter);
	else if (!(rules->extensions & SMTP_EXT_BINARYMIME))
		return smtp_reply_with(arena, SMTP_REPLY_parameter_not_done, S("BODY=BINARYMIME"));
	else
		out->body = SMTP_BODY_BINARYMIME;
	return smtp_no_reply();
}

/* rfc4954 5: AUTH=<xtext of a mailbox, or "<>">. Kept for the trace; we vouch for nobody else's word. */
static struct smtp_reply auth_parameter(struct arena *arena, const struct esmtp_param *parameter,
					struct smtp_command *out)
{
	struct str submitter;
	struct address address;

	if (!xtext_take(arena, parameter->value, &submitter))
		return bad_value(arena, parameter);
	if (!str_is(submitter, S("<>")) && !address_parse(arena, submitter, true, &address))
		return bad_value(arena, parameter);
	out->submitter = submitter;
	return smtp_no_reply();
}

/* ---- rfc3461 4: how the sender wants to hear of it ---- */

static struct smtp_reply ret_parameter(struct arena *arena, const struct esmtp_param *parameter,
				       struct smtp_command *out)
{
	if (str_is_nocase(parameter->value, S("FULL")))
		out->ret = SMTP_RETURN_FULL;
	else if (str_is_nocase(parameter->value, S("HDRS")))
		out->ret = SMTP_RETURN_HEADERS;
	else
		return bad_value(arena, parameter);
	return smtp_no_reply();
}

static bool is_printable(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < ' ' || text.at[i] > '~')
			return false;
	return true;
}

/* rfc3461 4.4: at most 100 characters, which stand for printable ASCII and blanks. */
static struct smtp_reply envid_parameter(struct arena *arena, const struct esmtp_param *parameter,
					 struct smtp_command *out)
{
	struct str decoded;

	if (parameter->value.len > LIMIT_envelope_id ||
	    !xtext_take(arena, parameter->value, &decoded))
		return bad_value(arena, parameter);
	if (!is_printable(decoded))
		return bad_value(arena, parameter);
	out->envelope_id = parameter->value;
	return smtp_no_reply();
}

/* rfc3461 4.1: NEVER, or any of the others with commas between them. */
static struct smtp_reply notify_parameter(struct arena *arena, const struct esmtp_param *parameter,
					  struct smtp_command *out)
{
	static const struct {
		struct str word;
		enum smtp_notify bit;
	} words[] = { { { "SUCCESS", 7 }, SMTP_NOTIFY_SUCCESS },
		      { { "FAILURE", 7 }, SMTP_NOTIFY_FAILURE },
		      { { "DELAY", 5 }, SMTP_NOTIFY_DELAY } };
	struct str rest = parameter->value;

	if (str_is_nocase(rest, S("NEVER"))) {
		out->notify = SMTP_NOTIFY_NEVER;
		return smtp_no_reply();
	}
	for (bool more = true; more;) {
		size_t comma = str_find(rest, ',');
		struct str word = str_first(rest, comma);
		uint64_t before = out->notify;

		for (size_t i = 0; i < COUNT_OF(words); i++)
			if (str_is_nocase(word, words[i].word))
				out->notify |= words[i].bit;
		if (out->notify == before) /* no word of ours, or one a second time */
			return bad_value(arena, parameter);
		more = comma != STR_NONE;
		rest = str_from(rest, more ? comma + 1 : rest.len);
	}
	return smtp_no_reply();
}

/* rfc5321 4.1.2 atom, as far as types of addresses go. */
static bool is_type_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.';
}

static bool has_control(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
			return true;
	return false;
}

/*
 * rfc6533 3: of type utf-8 an address may be UTF-8 where the transaction is. Postfix writes such an address as
 * rfc822, its octets as xtext.
 */
static bool is_original_text(struct arena *arena, struct str type, struct str text,
			     const struct smtp_rules *rules)
{
	struct str decoded = text;

	if ((!str_is_nocase(type, S("utf-8")) || str_is_ascii(text)) &&
	    !xtext_take(arena, text, &decoded))
		return false;
	return is_printable(decoded) ||
	       (rules->allows_utf8 && str_is_utf8(decoded) && !has_control(decoded));
}

/* rfc3461 4.2: at most 500 characters. */
static struct smtp_reply orcpt_parameter(struct arena *arena, const struct esmtp_param *parameter,
					 const struct smtp_rules *rules, struct smtp_command *out)
{
	enum { ORIGINAL_MAX = 500 };
	struct scan scan = scan_of(parameter->value);
	struct str type = take_while(&scan, is_type_octet);

	if (type.len == 0 || parameter->value.len > ORIGINAL_MAX || !take_char(&scan, ';') ||
	    scan_at_end(&scan) || !is_original_text(arena, type, scan_rest(&scan), rules))
		return bad_value(arena, parameter);
	out->original = parameter->value;
	return smtp_no_reply();
}

enum parameter_name {
	PARAMETER_SIZE,
	PARAMETER_BODY,
	PARAMETER_SMTPUTF8,
	PARAMETER_AUTH,
	PARAMETER_RET,
	PARAMETER_ENVID,
	PARAMETERS
};

static const struct {
	struct str keyword;
	unsigned extension; /* any of these must be offered */
} mail_parameters[PARAMETERS] = {
	[PARAMETER_SIZE] = { { "SIZE", 4 }, SMTP_EXT_SIZE },
	[PARAMETER_BODY] = { { "BODY", 4 }, SMTP_EXT_8BITMIME | SMTP_EXT_BINARYMIME },
	[PARAMETER_SMTPUTF8] = { { "SMTPUTF8", 8 }, SMTP_EXT_SMTPUTF8 },
	[PARAMETER_AUTH] = { { "AUTH", 4 }, SMTP_EXT_AUTH },
	[PARAMETER_RET] = { { "RET", 3 }, SMTP_EXT_DSN },
	[PARAMETER_ENVID] = { { "ENVID", 5 }, SMTP_EXT_DSN },
};

static enum parameter_name mail_parameter_find(struct str keyword, const struct smtp_rules *rules)
{
	unsigned name = 0;

	while (name < PARAMETERS && (!str_is_nocase(keyword, mail_parameters[name].keyword) ||
				     !(mail_parameters[name].extension & rules->extensions)))
		name++;
	return (enum parameter_name)name;
}

static struct smtp_reply mail_parameter(struct arena *arena, const struct esmtp_param *parameter,
					const struct smtp_rules *rules, unsigned *seen,
					struct smtp_command *out)
{
	enum parameter_name name = mail_parameter_find(parameter->keyword, rules);

	if (name == PARAMETERS)
		return smtp_reply_with(arena, SMTP_REPLY_parameter_unknown, parameter->keyword);
	if (*seen & 1u << name)
		return smtp_reply_with(arena, SMTP_REPLY_parameter_twice, parameter->keyword);
	*seen |= 1u << name;
	if (parameter->has_value != (name != PARAMETER_SMTPUTF8))
		return bad_value(arena, parameter);
	switch (name) {
	case PARAMETER_SIZE:
		return size_parameter(arena, parameter, out);
	case PARAMETER_BODY:
		return body_parameter(arena, parameter, rules, out);
	case PARAMETER_AUTH:
		return auth_parameter(arena, parameter, out);
	case PARAMETER_RET:
		return ret_parameter(arena, parameter, out);
	case PARAMETER_ENVID:
		return envid_parameter(arena, parameter, out);
	case PARAMETER_SMTPUTF8:
	case PARAMETERS:
		break;
	}
	out->wants_utf8 = true;
	return smtp_no_reply();
}

/* All that follows the path; the cursor stands behind it. */
static struct smtp_reply mail_parameters_parse(struct arena *arena, struct scan *scan,
					       const struct smtp_rules *rules,
					       struct smtp_command *out)
{
	struct esmtp_param parameter;
	struct smtp_reply reply;
	unsigned seen = 0;

	for (int count = 0; !scan_at_end(scan); count++) {
		if (take_blanks(scan) == 0 || count == PARAMETERS_MAX ||
		    !take_esmtp_param(scan, &parameter))
			return smtp_syntax_reply(arena, SMTP_MAIL);
		reply = mail_parameter(arena, &parameter, rules, &seen, out);
		if (reply.code)
			return reply;
	}
	return smtp_no_reply();
}

struct smtp_reply smtp_mail_parse(struct arena *arena, struct str argument,
				  const struct smtp_rules *rules, struct smtp_command *out)
{
	struct scan scan = scan_of(argument);
	struct smtp_reply reply;

	if (!take_str_nocase(&scan, S("FROM:")))
		return smtp_syntax_reply(arena, SMTP_MAIL);
	take_blanks(&scan);
	if (scan_at_end(&scan))
		return smtp_syntax_reply(arena, SMTP_MAIL);
	if (take_str_nocase(&scan, S("<>")))
		out->is_null = true; /* rfc5321 4.5.5 */
	else if (!take_mailbox_path(arena, &scan, &out->address))
		return smtp_reply(SMTP_REPLY_bad_sender);
	if (!scan_at_end(&scan) && scan_peek(&scan) != ' ')
		return smtp_reply(SMTP_REPLY_bad_sender);
	reply = mail_parameters_parse(arena, &scan, rules, out);
	if (reply.code)
		return reply;
	if (out->address.is_utf8 && !out->wants_utf8) /* rfc6531 3.5 */
		return smtp_reply(SMTP_REPLY_needs_utf8);
	return smtp_no_reply();
}

/* What follows the path of RCPT: NOTIFY and ORCPT, each once. */
static struct smtp_reply rcpt_parameters_parse(struct arena *arena, struct scan *scan,
					       const struct smtp_rules *rules,
					       struct smtp_command *out)
{
	struct esmtp_param parameter;
	struct smtp_reply reply = smtp_no_reply();

	while (!scan_at_end(scan) && !reply.code) {
		bool is_notify;

		if (take_blanks(scan) == 0 || !take_esmtp_param(scan, &parameter))
			return smtp_syntax_reply(arena, SMTP_RCPT);
		is_notify = str_is_nocase(parameter.keyword, S("NOTIFY"));
		if (!(rules->extensions & SMTP_EXT_DSN) ||
		    (!is_notify && !str_is_nocase(parameter.keyword, S("ORCPT"))))
			return smtp_reply_with(arena, SMTP_REPLY_parameter_unknown,
					       parameter.keyword);
		if (is_notify ? out->notify != 0 : out->original.len > 0)
			return smtp_reply_with(arena, SMTP_REPLY_parameter_twice,
					       parameter.keyword);
		reply = is_notify ? notify_parameter(arena, &parameter, out)
				  : orcpt_parameter(arena, &parameter, rules, out);
	}
	return reply;
}

struct smtp_reply smtp_rcpt_parse(struct arena *arena, struct str argument,
				  const struct smtp_rules *rules, struct smtp_command *out)
{
	struct scan scan = scan_of(argument);
	struct smtp_reply reply;

	if (!take_str_nocase(&scan, S("TO:")))
		return smtp_syntax_reply(arena, SMTP_RCPT);
	take_blanks(&scan);
	if (scan_at_end(&scan))
		return smtp_syntax_reply(arena, SMTP_RCPT);
	if (take_str_nocase(&scan, S("<Postmaster>")))
		out->is_postmaster = true;
	else if (!take_mailbox_path(arena, &scan, &out->address))
		return smtp_reply(SMTP_REPLY_bad_recipient);
	if (!scan_at_end(&scan) && scan_peek(&scan) != ' ')
		return smtp_reply(SMTP_REPLY_bad_recipient);
	reply = rcpt_parameters_parse(arena, &scan, rules, out);
	if (reply.code)
		return reply;
	if (out->address.is_utf8 && !rules->allows_utf8) /* rfc6531 3.5 */
		return smtp_reply(SMTP_REPLY_needs_utf8);
	return smtp_no_reply();
}
