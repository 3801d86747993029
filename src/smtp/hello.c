/* SPDX-License-Identifier: Apache-2.0 */
/* EHLO, HELO, LHLO and STARTTLS: who is there, and what this session can do. */
#include "smtp/session.h"

static bool has_auth(const struct smtp_session *s)
{
	return s->listener->auth_mode != AUTH_MODE_NONE;
}

static bool offers_starttls(const struct smtp_session *s)
{
	return s->listener->tls_mode == TLS_MODE_STARTTLS && s->service->tls &&
	       !conn_is_tls(s->conn) && !listener_without(s->listener, "STARTTLS");
}

/* behaviour: no password in the clear, so no AUTH before TLS unless the operator asked for it. */
static bool offers_auth(const struct smtp_session *s)
{
	return has_auth(s) && !s->is_signed_in &&
	       (conn_is_tls(s->conn) || s->listener->auth_without_tls);
}

unsigned smtp_offered(const struct smtp_session *s)
{
	static const struct {
		const char *name;
		unsigned bit;
	} switches[] = {
		{ "PIPELINING", SMTP_EXT_PIPELINING },
		{ "SIZE", SMTP_EXT_SIZE },
		{ "8BITMIME", SMTP_EXT_8BITMIME },
		{ "SMTPUTF8", SMTP_EXT_SMTPUTF8 },
		{ "CHUNKING", SMTP_EXT_CHUNKING },
		{ "BINARYMIME", SMTP_EXT_BINARYMIME },
		{ "ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCEDSTATUSCODES },
		{ "DSN", SMTP_EXT_DSN },
		{ "LIMITS", SMTP_EXT_LIMITS },
		{ "VRFY", SMTP_EXT_VRFY },
		{ "HELP", SMTP_EXT_HELP },
	};
	unsigned offered = 0;

	for (size_t i = 0; i < COUNT_OF(switches); i++)
		if (!listener_without(s->listener, switches[i].name))
			offered |= switches[i].bit;
	if (!(offered & SMTP_EXT_CHUNKING)) /* rfc3030 3: BINARYMIME needs CHUNKING */
		offered &= ~(unsigned)SMTP_EXT_BINARYMIME;
	if (offers_starttls(s))
		offered |= SMTP_EXT_STARTTLS;
	if (offers_auth(s))
		offered |= SMTP_EXT_AUTH;
	if (s->listener->expn && s->is_signed_in)
		offered |= SMTP_EXT_EXPN;
	if (smtp_may_start_queues(s))
		offered |= SMTP_EXT_ETRN;
	return offered;
}

static struct str mechanism_list(struct smtp_session *s)
{
	struct str list = S("");

	for (size_t i = 0; i < s->listener->mechanisms.count; i++)
		if (smtp_mechanism_is_offered(s, s->listener->mechanisms.at[i]))
			list = str_print(&s->arena, "%.*s %.*s", STR_ARGS(list),
					 STR_ARGS(s->listener->mechanisms.at[i]));
	return str_trim(list);
}

static void add_line(struct smtp_session *s, struct str *text, struct str line)
{
	*text = str_print(&s->arena, "%.*s\n%.*s", STR_ARGS(*text), STR_ARGS(line));
}

/* rfc5321 4.1.1.1: the host's name, then one extension a line. */
static struct smtp_reply hello_reply(struct smtp_session *s)
{
	unsigned offered = smtp_offered(s);
	struct str text = s->config->hostname;

	if (offered & SMTP_EXT_PIPELINING)
		add_line(s, &text, S("PIPELINING"));
	if (offered & SMTP_EXT_SIZE)
		add_line(s, &text,
			 str_print(&s->arena, "SIZE %llu",
				   (unsigned long long)s->config->message_size_max));
	if (offered & SMTP_EXT_8BITMIME)
		add_line(s, &text, S("8BITMIME"));
	if (offered & SMTP_EXT_SMTPUTF8)
		add_line(s, &text, S("SMTPUTF8"));
	if (offered & SMTP_EXT_CHUNKING)
		add_line(s, &text, S("CHUNKING"));
	if (offered & SMTP_EXT_BINARYMIME)
		add_line(s, &text, S("BINARYMIME"));
	if (offered & SMTP_EXT_ENHANCEDSTATUSCODES)
		add_line(s, &text, S("ENHANCEDSTATUSCODES"));
	if (offered & SMTP_EXT_DSN)
		add_line(s, &text, S("DSN"));
	if (offered & SMTP_EXT_ETRN)
		add_line(s, &text, S("ETRN"));
	if (offered & SMTP_EXT_STARTTLS)
		add_line(s, &text, S("STARTTLS"));
	if ((offered & SMTP_EXT_AUTH) && mechanism_list(s).len) {
		struct str list = mechanism_list(s);

		add_line(s, &text, str_print(&s->arena, "AUTH %.*s", STR_ARGS(list)));
		/* For clients older than rfc2554, which read only this spelling. */
		add_line(s, &text, str_print(&s->arena, "AUTH=%.*s", STR_ARGS(list)));
	}
	if (offered & SMTP_EXT_LIMITS) /* rfc9422 */
		add_line(s, &text,
			 str_print(&s->arena, "LIMITS RCPTMAX=%llu",
				   (unsigned long long)s->config->recipients_max));
	return smtp_reply_with(&s->arena, SMTP_REPLY_hello, text);
}

enum err smtp_run_hello(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	/* rfc5321 4.1.4: a later EHLO begins anew, as RSET does. */
	smtp_forget(s);
	buf_reset(&s->hello);
	buf_add(&s->hello, command->hello);
	s->is_extended = command->verb != SMTP_HELO;
	smtp_set_state(s, SMTP_READY);
	if (!s->is_extended)
		return smtp_say(s, smtp_reply_named(s, SMTP_REPLY_hello));
	return smtp_say(s, hello_reply(s));
}

static void trace_tls(struct smtp_session *s, enum err err)
{
	const struct tls_info *info = conn_tls(s->conn);

	TRACE(s->service->trace, s->id, smtp_trace_flags(s), tls, .version = str_of(info->version),
	      .cipher = str_of(info->cipher), .group = str_of(info->group),
	      .server_name = str_of(info->server_name), .resumed = info->resumed,
	      .us = (uint64_t)info->us, .failure = str_of(err ? conn_tls_failure(err) : ""));
	if (!err)
		smtp_trace_certificate(s);
}

/* rfc3207 4.2: what was learned in the clear is worth nothing any more. */
static void forget_everything(struct smtp_session *s) WAITS
{
	smtp_forget(s);
	smtp_sign_out(s);
	buf_drop(&s->hello);
	s->is_extended = false;
	smtp_set_state(s, SMTP_FRESH);
}

enum err smtp_run_starttls(struct smtp_session *s) WAITS
{
	size_t discarded = 0;
	enum err err;

	if (conn_is_tls(s->conn))
		return smtp_say_name(s, SMTP_REPLY_tls_already);
	if (s->listener->tls_mode == TLS_MODE_STARTTLS && !s->service->tls)
		return smtp_say_name(s, SMTP_REPLY_tls_unavailable);
	if (!offers_starttls(s))
		return smtp_say(
			s, smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("STARTTLS")));
	err = smtp_say_name(s, SMTP_REPLY_tls_go);
	if (err)
		return err;
	err = conn_start_tls(s->conn, s->service->tls, in_ms(LIMIT_tls_handshake), &discarded);
	trace_tls(s, err);
	if (discarded > 0)
		smtp_trace_policy(s, "starttls", "refuse",
				  str_print(&s->arena,
					    "%zu octets behind STARTTLS in the clear: thrown away",
					    discarded));
	if (err) {
		s->reason = "tls";
		return err;
	}
	forget_everything(s);
	return OK;
}

/* rfc6409 4.3 and 8314: mail of our users only from who signed in, under TLS. */
struct smtp_reply smtp_entry_rule(const struct smtp_session *s)
{
	if (s->listener->auth_mode != AUTH_MODE_REQUIRED || s->is_signed_in ||
	    smtp_is_relay_client(s))
		return (struct smtp_reply){ 0 };
	if (!conn_is_tls(s->conn) && !s->listener->auth_without_tls)
		return smtp_reply(SMTP_REPLY_tls_wanted);
	return smtp_reply(SMTP_REPLY_sign_in_wanted);
}
