/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

enum { CAPABILITIES_MAX = 4096 };

static void add_mechanisms(struct pop3_session *session, struct buf *out)
{
	const struct config_list *list = &session->service->listener->mechanisms;
	bool any = false;

	for (size_t i = 0; i < list->count; i++) {
		if (!pop3_offers(session, list->at[i]))
			continue;
		buf_print(out, "%s %.*s", any ? "" : "SASL", STR_ARGS(list->at[i]));
		any = true;
	}
	if (any)
		buf_add(out, S("\r\n"));
}

/* What only matters to who has not signed in yet. */
static void add_login(struct pop3_session *session, struct buf *out)
{
	if (pop3_may_start_tls(session))
		buf_add(out, S("STLS\r\n")); /* rfc2595 4 */
	if (pop3_may_ask_password(session))
		buf_add(out, S("USER\r\n")); /* rfc2449 6.2 */
	add_mechanisms(session, out);        /* rfc2449 6.3 */
}

static void add_unless(struct pop3_session *session, struct buf *out, const char *name,
		       struct str line)
{
	if (!listener_without(session->service->listener, name)) {
		buf_add(out, line);
		buf_add(out, S("\r\n"));
	}
}

enum err pop3_capa(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	const struct config *config = session->service->config;
	OWNED(buf) struct buf out = BUF(CAPABILITIES_MAX);
	enum err err;

	(void)command;
	if (session->state == POP3_AUTHORIZATION)
		add_login(session, &out);
	add_unless(session, &out, "TOP", S("TOP"));
	add_unless(session, &out, "UIDL", S("UIDL"));
	add_unless(session, &out, "RESP-CODES", S("RESP-CODES"));
	add_unless(session, &out, "AUTH-RESP-CODE", S("AUTH-RESP-CODE")); /* rfc3206 5 */
	add_unless(session, &out, "PIPELINING", S("PIPELINING"));
	add_unless(session, &out, "UTF8", S("UTF8 USER")); /* rfc6856 2 */
	add_unless(session, &out, "LANG", S("LANG"));
	buf_print(&out, "EXPIRE %.*s\r\n", STR_ARGS(config->pop3_expire));
	buf_print(&out, "LOGIN-DELAY %lld\r\n",
		  (long long)((config->pop3_login_delay + 999) / 1000));
	if (session->state == POP3_TRANSACTION) /* rfc2449 6.9: not for strangers */
		buf_add(&out, S("IMPLEMENTATION Glasspost-" GP_VERSION "\r\n"));
	buf_add(&out, S(".\r\n"));
	err = pop3_say(session, S("+OK this is what works here now"));
	return err ? err : pop3_send(session, buf_str(&out));
}

/* rfc6856 3: one language is spoken here. A range matches by its first subtag (rfc4647 3.3.1). */
enum err pop3_lang(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct str tag = str_first(command->text, str_find(command->text, '-'));
	enum err err;

	if (!command->has_text) {
		err = pop3_say(session, S("+OK the languages"));
		return err ? err : pop3_send(session, S("en English\r\n.\r\n"));
	}
	if (str_is(command->text, S("*")) || str_is_nocase(tag, S("en")))
		return pop3_say(session, S("+OK en English it is"));
	return pop3_answer(session, POP3_REPLY_NO_LANGUAGE);
}

/*
 * rfc6856 2.1. Message octets go out as they are kept with or without it: a client that fetches for
 * others wants exactly those, and none is known that a downgraded copy would help.
 */
enum err pop3_utf8(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	(void)command;
	return pop3_answer(session, POP3_REPLY_UTF8);
}
