/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

/* A line of a notification's own parts: rfc5322 2.1.1 asks for at most 998. */
enum { VALUE_MAX = 700 };

const char *dsn_action_name(enum dsn_action action)
{
	static const char *const names[] = { "failed", "delayed", "delivered", "relayed" };

	return names[action];
}

/* ---- text of others ---- */

/* On one line, whatever it was: controls become spaces; what is too long is cut at a character. */
static void add_text(struct buf *out, struct str text)
{
	size_t len = text.len;

	if (len > VALUE_MAX) {
		len = VALUE_MAX;
		while (len && ((unsigned char)text.at[len] & 0xc0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		(void)buf_add_char(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
	}
}

static void add_field(struct buf *out, const char *name, const char *type, struct str value)
{
	if (!value.len)
		return;
	(void)buf_print(out, "%s: %s", name, type);
	add_text(out, value);
	(void)buf_add(out, S("\r\n"));
}

static void add_date(struct buf *out, const char *name, int64_t at_us)
{
	char text[DATE_TEXT];

	if (!at_us)
		return;
	date_print(at_us, 0, text);
	add_field(out, name, "", str_of(text));
}

/* rfc3461 4: what +HH at the beginning of xtext stands for, the letters capital; -1: it is none. */
static int xtext_octet(struct str text)
{
	return text.len && text.at[0] == '+' ? hex_octet_capital(str_from(text, 1)) : -1;
}

/* Octets that are not ASCII stay as they were written: the field may have to be ASCII. */
static void add_xtext(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		int stands_for = xtext_octet(str_from(text, i));

		if (stands_for >= 0 && stands_for < 0x80) {
			c = (unsigned char)stands_for;
			i += 2;
		}
		(void)buf_add_char(out, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
}

/* ---- what the recipients are together ---- */

static bool has_action(const struct dsn *dsn, enum dsn_action action)
{
	for (size_t i = 0; i < dsn->count; i++)
		if (dsn->recipients[i].action == action)
			return true;
	return false;
}

static bool is_international(const struct dsn *dsn)
{
	bool is_ascii = str_is_ascii(dsn->to);

	for (size_t i = 0; is_ascii && i < dsn->count; i++)
		is_ascii = str_is_ascii(dsn->recipients[i].address);
	return !is_ascii;
}

struct str dsn_subject(const struct dsn *dsn)
{
	if (has_action(dsn, DSN_FAILED))
		return S("Not delivered: your message");
	if (has_action(dsn, DSN_DELAYED))
		return S("Delayed: your message");
	return S("Delivered: your message");
}

static const char *status_of(const struct dsn_recipient *recipient)
{
	switch (recipient->action) {
	case DSN_FAILED:
		return "5.0.0";
	case DSN_DELAYED:
		return "4.0.0";
	case DSN_DELIVERED:
	case DSN_RELAYED:
		break;
	}
	return "2.0.0";
}

/* ---- for people ---- */

static void add_words_of(struct buf *out, const struct dsn_recipient *r)
{
	static const char *const what[] = {
		[DSN_FAILED] = "could not be reached, and will not be tried again",
		[DSN_DELAYED] = "has not been reached yet",
		[DSN_DELIVERED] = "has the message in the mailbox",
		[DSN_RELAYED] = "was handed on to a server that tells no more about it",
	};
	char date[DATE_TEXT];

	(void)buf_add(out, S("  "));
	add_text(out, r->address);
	(void)buf_print(out, "\r\n    %s.\r\n", what[r->action]);
	if (r->reply.len) {
		(void)buf_add(out, r->remote.len ? S("    ") : S("    Reason: "));
		if (r->remote.len) {
			add_text(out, r->remote);
			(void)buf_add(out, S(" said: "));
		}
		if (r->code)
			(void)buf_print(out, "%u ", r->code);
		add_text(out, r->reply);
		(void)buf_add(out, S("\r\n"));
	}
	if (r->action == DSN_DELAYED) {
		date_print(r->retry_until_us, 0, date);
		(void)buf_print(out, "    It will be tried until %s.\r\n", date);
	}
	(void)buf_add(out, S("\r\n"));
}

static void add_words(struct buf *out, const struct dsn *dsn)
{
	char date[DATE_TEXT];

	date_print(dsn->arrived_us, 0, date);
	(void)buf_add(out, S("This is the mail server "));
	add_text(out, dsn->reporter);
	(void)buf_add(out, S(".\r\n\r\n"));
	if (dsn->about.len) {
		(void)buf_add(out, S("A message from "));
		add_text(out, dsn->about);
		(void)buf_add(out, S(" could not be delivered, and its sender cannot be told.\r\n"
				     "It"));
	} else if (has_action(dsn, DSN_FAILED)) {
		(void)buf_add(out, S("Your message could not be delivered to everybody.\r\nIt"));
	} else if (has_action(dsn, DSN_DELAYED)) {
		(void)buf_add(out,
			      S("Your message is still waiting. You need not send it again:\r\n"
				"it will be tried further. It"));
	} else {
		(void)buf_add(out, S("You asked to be told when your message arrives. It"));
	}
	(void)buf_print(out, " came here on %s.\r\n\r\n", date);
	for (size_t i = 0; i < dsn->count; i++)
		add_words_of(out, &dsn->recipients[i]);
	(void)buf_add(out, dsn->is_whole ? S("The message is attached.\r\n")
					 : S("The header of the message is attached.\r\n"));
}

/* ---- for machines (rfc3464 2) ---- */

static void add_status_of(struct buf *out, const struct dsn_recipient *r)
{
	/* rfc6533 3: an address that is not ASCII has a type of its own. */
	const char *type = str_is_ascii(r->address) ? "rfc822; " : "utf-8; ";
	size_t blank = str_find(r->remote, ' ');
	size_t split = str_find(r->original, ';');

	(void)buf_add(out, S("\r\n"));
	if (split != STR_NONE) {
		(void)buf_add(out, S("Original-Recipient: "));
		add_text(out, str_first(r->original, split));
		(void)buf_add_char(out, ';');
		add_xtext(out, str_from(r->original, split + 1));
		(void)buf_add(out, S("\r\n"));
	}
	add_field(out, "Final-Recipient", type, r->address);
	add_field(out, "Action", "", str_of(dsn_action_name(r->action)));
	add_field(out, "Status", "", r->status.len ? r->status : str_of(status_of(r)));
	if (r->remote.len)
		add_field(out, "Remote-MTA", "dns; ",
			  str_first(r->remote, blank == STR_NONE ? r->remote.len : blank));
	if (r->code) {
		(void)buf_print(out, "Diagnostic-Code: smtp; %u ", r->code);
		if (r->status.len) {
			add_text(out, r->status);
			(void)buf_add_char(out, ' ');
		}
		add_text(out, r->reply);
		(void)buf_add(out, S("\r\n"));
	}
	add_date(out, "Last-Attempt-Date", r->attempt_us);
	if (r->action == DSN_DELAYED)
		add_date(out, "Will-Retry-Until", r->retry_until_us);
}

static void add_status(struct buf *out, const struct dsn *dsn)
{
	if (dsn->envelope_id.len) {
		(void)buf_add(out, S("Original-Envelope-Id: "));
		add_xtext(out, dsn->envelope_id);
		(void)buf_add(out, S("\r\n"));
	}
	add_field(out, "Reporting-MTA", "dns; ", dsn->reporter);
	add_date(out, "Arrival-Date", dsn->arrived_us);
	for (size_t i = 0; i < dsn->count; i++)
		add_status_of(out, &dsn->recipients[i]);
}

/* ---- the whole ---- */

static void add_header(struct buf *out, const struct dsn *dsn)
{
	add_date(out, "Date", dsn->now_us);
	/* rfc3834 2: nobody's machine should answer this one. */
	(void)buf_print(out, "From: Mail delivery at %.*s <postmaster@%.*s>\r\n",
			STR_ARGS(dsn->reporter), STR_ARGS(dsn->reporter));
	(void)buf_add(out, S("To: <"));
	add_text(out, dsn->to);
	(void)buf_print(out,
			">\r\nSubject: %.*s\r\nMessage-ID: <%.*s@%.*s>\r\n"
			"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
			"Content-Type: multipart/report; report-type=%s;\r\n"
			"\tboundary=\"=_%.*s\"\r\n\r\n",
			STR_ARGS(dsn_subject(dsn)), STR_ARGS(dsn->id), STR_ARGS(dsn->reporter),
			is_international(dsn) ? "global-delivery-status" : "delivery-status",
			STR_ARGS(dsn->id));
}

static void add_part(struct buf *out, const struct dsn *dsn, const char *type, bool is_ascii)
{
	(void)buf_print(out,
			"--=_%.*s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
			STR_ARGS(dsn->id), type, is_ascii ? "7bit" : "8bit");
}

static bool is_line_end(struct str text)
{
	return text.len >= 2 && text.at[text.len - 2] == '\r' && text.at[text.len - 1] == '\n';
}

enum err dsn_print(struct buf *out, const struct dsn *dsn)
{
	const char *status = is_international(dsn) ? "message/global-delivery-status"
						   : "message/delivery-status";
	OWNED(buf) struct buf fields = BUF(out->max);
	const char *whole = dsn->is_whole ? "message/rfc822" : "text/rfc822-headers";

	add_header(out, dsn);
	/* Replies of others are UTF-8 now and then (rfc6531 3.7.4.1). */
	add_part(out, dsn, "text/plain; charset=utf-8", false);
	add_words(out, dsn);
	(void)buf_add(out, S("\r\n"));
	add_status(&fields, dsn);
	add_part(out, dsn, status, str_is_ascii(buf_str(&fields)));
	(void)buf_add(out, buf_str(&fields));
	(void)buf_add(out, S("\r\n"));
	add_part(out, dsn, whole, str_is_ascii(dsn->original));
	(void)buf_add(out, dsn->original);
	if (!is_line_end(dsn->original))
		(void)buf_add(out, S("\r\n"));
	(void)buf_print(out, "\r\n--=_%.*s--\r\n", STR_ARGS(dsn->id));
	return out->failed || fields.failed ? ERR_LIMIT : OK;
}
