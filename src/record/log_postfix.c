/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines as Postfix's smtpd, qmgr and lmtp and Dovecot's pop3-login write them, so that what reads
 * those (pflogsumm, fail2ban's postfix and dovecot filters) reads ours.
 */
#include "record/dialogue.h"
#include "record/log.h"

#include <time.h>

/* Tools pair the lines of a session by its process number. */
static unsigned process_of(const struct log_line *line)
{
	return 1 + (unsigned)(line->event->head.session % 99999);
}

static void begin(struct log_line *line, const char *program)
{
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = line->event->head.wall_us / 1000000;
	struct tm parts = { 0 };

	localtime_r(&seconds, &parts);
	buf_print(line->out, "%s %2d %02d:%02d:%02d ", months[parts.tm_mon % 12], parts.tm_mday,
		  parts.tm_hour, parts.tm_min, parts.tm_sec);
	log_add_word(line->out, str_of(line->hostname));
	buf_print(line->out, " %s[%u]: ", program, process_of(line));
}

static bool is_pop3(const struct log_line *line)
{
	return line->session && str_is(str_of(line->session->protocol), S("pop3"));
}

static const char *program(const struct log_line *line)
{
	struct str protocol = str_of(line->session ? line->session->protocol : NULL);

	if (str_is(protocol, S("submission")))
		return "postfix/submission/smtpd";
	/* Where we are the client: who blocks what smtpd complains about must not block these. */
	if (str_ends_nocase(protocol, S("-out")))
		return str_is(protocol, S("lmtp-out")) ? "postfix/lmtp" : "postfix/smtp";
	return str_is(protocol, S("lmtp")) ? "postfix/lmtpd" : "postfix/smtpd";
}

/* A queue id is letters and digits. */
static void add_id(struct log_line *line, struct str message)
{
	struct str id = str_first(message, 20);

	for (size_t i = 0; i < id.len; i++)
		if (ascii_is_alpha((unsigned char)id.at[i]) ||
		    ascii_is_digit((unsigned char)id.at[i]))
			buf_add_char(line->out, id.at[i]);
	if (!id.len)
		buf_add(line->out, S("0"));
	buf_add(line->out, S(": "));
}

static void add_queue_id(struct log_line *line)
{
	add_id(line, line->event->accept.message);
}

/* Between angle brackets, where nothing may look like the end of it. */
static void add_in_brackets(struct log_line *line, struct str address)
{
	buf_add_char(line->out, '<');
	for (size_t i = 0; i < address.len; i++) {
		unsigned char c = (unsigned char)address.at[i];

		if (c >= 0x80 || c == '<' || c == '>' || c == ' ')
			buf_print(line->out, "\\x%02X", c);
		else
			trace_add_harmless(line->out, str_first(str_from(address, i), 1), true);
	}
	buf_add_char(line->out, '>');
}

static void add_address(struct log_line *line, const char *key, struct str address)
{
	buf_print(line->out, "%s=", key);
	add_in_brackets(line, address);
}

/* The next of a list separated by commas; a quoted local part may hold commas itself. */
static struct str take_recipient(struct str *list)
{
	struct str all = *list;
	bool in_quotes = false;
	size_t i;

	for (i = 0; i < all.len && (in_quotes || all.at[i] != ','); i++) {
		if (all.at[i] == '"')
			in_quotes = !in_quotes;
		else if (in_quotes && all.at[i] == '\\')
			i++;
	}
	if (i > all.len)
		i = all.len;
	*list = str_from(all, i + 1);
	return str_first(all, i);
}

static unsigned count_recipients(struct str list)
{
	unsigned count = 0;

	while (list.len) {
		take_recipient(&list);
		count++;
	}
	return count;
}

static void message(struct log_line *line)
{
	const struct trace_accept *accept = &line->event->accept;

	begin(line, program(line));
	add_queue_id(line);
	buf_print(line->out, "client=unknown[%s]\n", line->ip);
	begin(line, "postfix/qmgr");
	add_queue_id(line);
	add_address(line, "from", accept->sender);
	buf_print(line->out, ", size=%llu, nrcpt=%u (queue active)\n",
		  (unsigned long long)accept->octets, count_recipients(accept->recipients));
}

/* Since the message came: its id begins with that millisecond. */
static void add_delay(struct log_line *line, struct str message)
{
	uint64_t id = 0;
	int64_t ms;

	(void)!id_parse(message, &id);
	ms = line->event->head.wall_us / 1000 - (int64_t)(id >> 22);
	buf_print(line->out, ", delay=%.2f", id && ms > 0 ? (double)ms / 1e3 : 0.0);
}

/* What the client was told for it, too: whether it comes again. */
static const char *status_here(struct str outcome)
{
	static const char *const table[][2] = {
		{ "delivered", "dsn=2.0.0, status=sent (delivered to mailbox)" },
		{ "over-quota", "dsn=4.2.2, status=deferred (over-quota)" },
		{ "over-rate", "dsn=4.7.1, status=deferred (over-rate)" },
		{ "loop", "dsn=4.4.6, status=deferred (loop)" },
		{ "not-ours", "dsn=5.7.1, status=bounced (not-ours)" },
	};

	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (str_is(outcome, str_of(table[i][0])))
			return table[i][1];
	return "dsn=5.1.1, status=bounced (unknown)";
}

static void delivery(struct log_line *line)
{
	const struct trace_deliver *deliver = &line->event->deliver;

	begin(line, "postfix/lmtp");
	add_id(line, deliver->message);
	add_address(line, "to", deliver->recipient);
	buf_add(line->out, S(", relay=local"));
	add_delay(line, deliver->message);
	buf_print(line->out, ", %s\n", status_here(deliver->outcome));
}

static const char *status_of(struct str outcome)
{
	if (str_is(outcome, S("relayed")) || str_is(outcome, S("delivered")))
		return "sent";
	return str_is(outcome, S("failed")) || str_is(outcome, S("expired")) ? "bounced"
									     : "deferred";
}

static void attempt(struct log_line *line)
{
	const struct trace_attempt *attempt = &line->event->attempt;

	/* It changed nothing: another attempt has told already. */
	if (str_is(attempt->outcome, S("late")))
		return;
	begin(line, "postfix/smtp");
	add_id(line, attempt->message);
	add_address(line, "to", attempt->recipient);
	buf_add(line->out, S(", relay="));
	trace_add_harmless(line->out, attempt->peer.len ? attempt->peer : S("none"), true);
	add_delay(line, attempt->message);
	buf_add(line->out, S(", dsn="));
	log_add_word(line->out, attempt->enhanced);
	buf_print(line->out, ", status=%s (", status_of(attempt->outcome));
	if (attempt->code)
		buf_print(line->out, "%u ", (unsigned)attempt->code);
	trace_add_harmless(line->out, attempt->reply, true);
	buf_add(line->out, S(")\n"));
}

static void queue(struct log_line *line)
{
	struct log_change change = log_change(line->event);

	begin(line, "postfix/qmgr");
	add_id(line, change.message);
	log_add_word(line->out, change.what);
	buf_print(line->out, " (%u recipients)", (unsigned)change.recipients);
	if (change.detail.len) {
		buf_add(line->out, S(": "));
		log_add_quoted(line->out, change.detail);
	}
	buf_add_char(line->out, '\n');
}

static void notice(struct log_line *line)
{
	const struct trace_notice *notice = &line->event->notice;

	begin(line, "postfix/bounce");
	add_id(line, notice->about);
	add_address(line, "sender notification to", notice->recipient);
	buf_add(line->out, S(": "));
	add_id(line, notice->message);
	log_add_word(line->out, notice->outcome);
	buf_add_char(line->out, '\n');
}

/* After which command, in Postfix's words; before the first it is the connection itself. */
static void add_stage(struct log_line *line)
{
	const struct dialogue *dialogue = line->session ? line->session->dialogue : NULL;

	if (!dialogue)
		buf_add(line->out, S("CONNECT"));
	else if (!dialogue->verb[0])
		buf_add(line->out, S("UNKNOWN"));
	else
		log_add_word(line->out, str_of(dialogue->verb));
}

/* The session ends with it. */
static void closed_by(struct log_line *line, struct str rule)
{
	bool waited = str_is(rule, S("session_idle")) || str_is(rule, S("data_rate_min"));

	buf_add(line->out, waited ? S("timeout after ") : S("too many errors after "));
	add_stage(line);
	buf_print(line->out, " from unknown[%s]\n", line->ip);
}

/* A refused recipient has a line of its own, with the reply. */
static bool is_told_with_reply(const struct log_line *line)
{
	const struct dialogue *dialogue = line->session ? line->session->dialogue : NULL;

	return dialogue && !dialogue->is_answered && strcmp(dialogue->verb, "RCPT") == 0;
}

static const char *proto(const struct dialogue *dialogue)
{
	if (str_is(dialogue->greeting, S("LHLO")))
		return "LMTP";
	return str_is(dialogue->greeting, S("EHLO")) ? "ESMTP" : "SMTP";
}

static void refusal(struct log_line *line)
{
	const struct trace_policy *policy = &line->event->policy;
	bool defer = str_is(policy->verdict, S("defer"));

	if (is_told_with_reply(line))
		return;
	if (is_pop3(line)) {
		begin(line, "dovecot");
		buf_print(line->out, "pop3-login: Disconnected: rip=%s, ", line->ip);
		log_add_word(line->out, policy->rule);
		buf_add(line->out, S(": "));
		log_add_quoted(line->out, policy->detail);
		buf_add_char(line->out, '\n');
		return;
	}
	begin(line, program(line));
	if (str_is(policy->verdict, S("close"))) {
		closed_by(line, policy->rule);
		return;
	}
	buf_add(line->out, S("NOQUEUE: reject: "));
	add_stage(line);
	buf_print(line->out, " from unknown[%s]: %s ", line->ip, defer ? "450 4.7.1" : "554 5.7.1");
	trace_add_harmless(line->out, policy->rule, true);
	buf_add(line->out, S(": "));
	log_add_quoted(line->out, policy->detail);
	buf_add(line->out, S("; proto=ESMTP\n"));
}

static bool is_enhanced(struct str word)
{
	return word.len >= 5 && ascii_is_digit((unsigned char)word.at[0]) && word.at[1] == '.' &&
	       ascii_is_digit((unsigned char)word.at[2]);
}

/* Programs that read these lines look for Postfix's words. */
static const char *why_of(struct str enhanced)
{
	if (str_is(enhanced, S("5.1.1")))
		return "Recipient address rejected: User unknown: ";
	return str_is(enhanced, S("5.7.1")) ? "Relay access denied: "
					    : "Recipient address rejected: ";
}

/* rfc5321 4.2: the reply to RCPT, "550 5.1.1 text"; the enhanced code may be switched off. */
static void rejected_recipient(struct log_line *line)
{
	static const struct dialogue unknown = { 0 };
	const struct dialogue *told = line->session ? line->session->dialogue : NULL;
	unsigned code = (unsigned)line->event->reply.code;
	struct str text = str_from(line->event->reply.line, 4);
	struct str enhanced = str_first(text, str_find(text, ' '));
	OWNED(buf) struct buf general = BUF(8);

	if (!told)
		told = &unknown;
	if (is_enhanced(enhanced)) {
		text = str_from(text, enhanced.len + 1);
	} else {
		buf_print(&general, "%u.0.0", code / 100);
		enhanced = buf_str(&general);
	}
	begin(line, program(line));
	buf_print(line->out, "NOQUEUE: reject: RCPT from unknown[%s]: %u ", line->ip, code);
	trace_add_harmless(line->out, enhanced, true);
	buf_add_char(line->out, ' ');
	add_in_brackets(line, told->recipient);
	buf_print(line->out, ": %s", why_of(enhanced));
	trace_add_harmless(line->out, text, true);
	buf_add(line->out, S("; "));
	add_address(line, "from", told->sender);
	add_address(line, " to", told->recipient);
	buf_print(line->out, " proto=%s", proto(told));
	add_address(line, " helo", told->helo);
	buf_add_char(line->out, '\n');
}

static bool is_rejected_recipient(const struct log_line *line)
{
	const struct trace_reply *reply = &line->event->reply;

	return line->event->head.kind == TRACE_reply && str_is(reply->verb, S("RCPT")) &&
	       reply->code >= 400 && reply->code < 600 && !reply->more &&
	       !str_ends_nocase(str_of(line->session ? line->session->protocol : NULL), S("-out"));
}

static void session(struct log_line *line)
{
	const struct trace_close *close = &line->event->close;

	if (is_pop3(line)) {
		begin(line, "dovecot");
		buf_print(line->out, "pop3: Disconnected: ");
		log_add_word(line->out, close->reason);
		buf_print(line->out, " rip=%s, in=%llu, out=%llu, ", line->ip,
			  (unsigned long long)close->octets_in,
			  (unsigned long long)close->octets_out);
		add_address(line, "user", close->account);
		buf_add_char(line->out, '\n');
		return;
	}
	begin(line, program(line));
	buf_print(line->out, "disconnect from unknown[%s] data=%llu commands=%llu/%llu\n", line->ip,
		  (unsigned long long)close->messages,
		  (unsigned long long)(close->commands - (close->errors < close->commands
								  ? close->errors
								  : close->commands)),
		  (unsigned long long)close->commands);
}

static void sign_in(struct log_line *line)
{
	const struct trace_auth *auth = &line->event->auth;

	if (is_pop3(line)) {
		begin(line, "dovecot");
		buf_print(line->out,
			  "pop3-login: Disconnected (auth failed, 1 attempts): rip=%s, method=",
			  line->ip);
	} else {
		begin(line, program(line));
		buf_print(line->out, "warning: unknown[%s]: SASL ", line->ip);
	}
	log_add_word(line->out, auth->mechanism);
	buf_add_c(line->out,
		  is_pop3(line) ? "\n" : " authentication failed: authentication failure\n");
}

/* What other formats pass over: tools pair connections with their ends, and count deliveries. */
static void more(struct log_line *line)
{
	if (line->event->head.kind == TRACE_deliver) {
		delivery(line);
	} else if (is_rejected_recipient(line)) {
		rejected_recipient(line);
	} else if (line->event->head.kind == TRACE_connect && !is_pop3(line)) {
		begin(line, program(line));
		buf_print(line->out, "connect from unknown[%s]\n", line->ip);
	}
}

void log_postfix(struct log_line *line)
{
	const struct trace_event *event = line->event;

	switch (line->topic) {
	case LOG_SESSION:
		session(line);
		return;
	case LOG_MESSAGE:
		message(line);
		return;
	case LOG_ATTEMPT:
		attempt(line);
		return;
	case LOG_QUEUE:
		queue(line);
		return;
	case LOG_NOTICE:
		notice(line);
		return;
	case LOG_REFUSAL:
		refusal(line);
		return;
	case LOG_SIGN_IN:
		sign_in(line);
		return;
	case LOG_NOTHING:
		more(line);
		return;
	case LOG_TROUBLE:
		begin(line, "postfix/master");
		buf_add(line->out, S("warning: "));
		log_add_quoted(line->out, event->trouble.detail);
		break;
	case LOG_ROLE:
		begin(line, "postfix/master");
		buf_print(line->out, "%s-%u: ", trace_role_name(event->head.role),
			  event->head.role_index);
		log_add_word(line->out, event->role.what);
		buf_add_char(line->out, ' ');
		log_add_quoted(line->out, event->role.detail);
		break;
	case LOG_LEFT_OUT:
		begin(line, "postfix/master");
		buf_print(line->out, "warning: %llu lines of this log left out: nobody took them",
			  (unsigned long long)line->left_out);
		break;
	default:
		begin(line, "postfix/master");
		buf_print(line->out, "warning: %llu trace events lost",
			  (unsigned long long)event->lost.events);
		break;
	}
	buf_add_char(line->out, '\n');
}
