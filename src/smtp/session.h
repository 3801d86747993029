/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to smtp: the state of one session, and the parts that its files give one another. */
#include "smtp/server.h"
#include "smtp/smtp.h"

/*
 * One mail transaction: from MAIL to the end of the data, RSET, EHLO or STARTTLS. All of it lies in
 * its own arena and goes with it.
 */
struct envelope {
	struct arena arena;
	struct str sender; /* canonical; empty: the null reverse-path */
	enum smtp_body body;
	bool is_utf8;
	uint64_t size_said; /* SIZE=, 0: not said */
	enum smtp_return ret;
	struct str envelope_id; /* ENVID=, xtext */
	struct str *recipients; /* canonical, each once */
	/* Of each of them; told to the store when any client said any. */
	uint64_t *notify;
	struct str *originals; /* ORCPT=, empty: not said */
	bool has_wishes;
	size_t recipient_count;
	size_t recipient_room;
	size_t remote_count; /* of them at other servers */
	uint32_t *
		given; /* for each RCPT that got 250: its index in recipients (LMTP answers each) */
	size_t given_count;
	size_t given_room;
	size_t refused; /* RCPTs that did not */
	size_t excess;  /* RCPTs that were put off: past recipients_max, a full mailbox ... */
	struct message *message; /* the data, once it begins */
};

/* The data of a transaction on its way in; lies in the envelope's arena. */
struct message {
	uint64_t id;
	struct body_writer writer;
	struct dot_reader reader;
	uint64_t octets; /* of data kept so far, without our Received line */
	uint64_t came;   /* octets of it taken from the connection */
	uint64_t held;   /* octets that caps knows of */
	bool is_too_large;
	enum err failure; /* the writer's */
	moment started;
	moment last_octet;
	int64_t waited_us; /* for the client */
};

struct smtp_session {
	struct smtp_service *service;
	const struct config *config;
	const struct config_listener *listener;
	struct conn *conn;
	uint64_t id;
	moment began;

	enum smtp_state state;
	bool is_lmtp;
	bool is_extended; /* EHLO or LHLO, not HELO */
	bool is_exempt;   /* connections_exempt: no delays, no blame */
	bool has_secret;  /* what the command under way came with is overwritten after it */
	bool masks_lines; /* a sign-in did not succeed: its responses may come as if they were commands */
	bool is_over;
	bool is_hurried; /* it ends; nobody is waited for any more */
	struct buf hello;
	struct buf account; /* address of who signed in */
	uint64_t account_handle;
	bool is_signed_in;
	struct envelope envelope;

	struct arena arena;  /* of one command */
	enum smtp_verb verb; /* of the command under way; its replies tell it in the trace */
	bool was_greeted;
	moment heard;

	unsigned commands, errors, idle_commands, failures, unknown, messages;
	const char *reason; /* of the close, once it is known */
};

/* ---- saying (say.c) ---- */

enum err smtp_say(struct smtp_session *s, struct smtp_reply reply) WAITS;
enum err smtp_say_name(struct smtp_session *s, enum smtp_reply_name name) WAITS;
/*
 * All of them to one command, which is one error at most: who was delivered to must hear so, however many
 * errors there were, or the client brings it again.
 */
enum err smtp_say_each(struct smtp_session *s, const struct smtp_reply *replies, size_t count)
	WAITS;
/* A 421 or 554 that ends the session. */
enum err smtp_say_last(struct smtp_session *s, struct smtp_reply reply, const char *reason) WAITS;
/* A 421 to who may not be there any more: said when it can leave at once, and told only when it did. */
void smtp_say_farewell(struct smtp_session *s, enum smtp_reply_name name) WAITS;
/* As many times as LMTP wants it after the data: once for each recipient taken (rfc2033 4.2). */
enum err smtp_say_for_all(struct smtp_session *s, struct smtp_reply reply) WAITS;
/* With our host name as the detail. */
struct smtp_reply smtp_reply_named(struct smtp_session *s, enum smtp_reply_name name);
unsigned smtp_trace_flags(const struct smtp_session *s);
void smtp_set_state(struct smtp_session *s, enum smtp_state state);
/* A rule decided; `option` is the configuration's name for it. */
void smtp_trace_policy(struct smtp_session *s, const char *option, const char *verdict,
		       struct str detail);
/* A list decided that the store keeps. */
void smtp_trace_listed(struct smtp_session *s, const char *rule, const char *verdict,
		       struct str detail);
void smtp_trace_trouble(struct smtp_session *s, enum err err, const char *what);
/* The deadline for anything that the client has to do or to read. */
moment smtp_patience(const struct smtp_session *s);
/* One more command that moves nothing: more than commands_idle_max of them since the last message? */
bool smtp_idles_too_long(struct smtp_session *s);
enum err smtp_say_idles(struct smtp_session *s) WAITS; /* 421 */
/* Refusals come slower the more there were. */
enum err smtp_slow_down(struct smtp_session *s) WAITS;

/* ---- who are you, and what is there (hello.c) ---- */

unsigned smtp_offered(
	const struct smtp_session *s); /* enum smtp_extension, as EHLO would say now */
enum err smtp_run_hello(struct smtp_session *s, const struct smtp_command *command) WAITS;
enum err smtp_run_starttls(struct smtp_session *s) WAITS;
/* May this client send mail at all now? Code 0, or 530. */
struct smtp_reply smtp_entry_rule(const struct smtp_session *s);

/* ---- signing in (auth.c) ---- */

bool smtp_mechanism_is_offered(const struct smtp_session *s, struct str mechanism);
enum err smtp_run_auth(struct smtp_session *s, const struct smtp_command *command) WAITS;
void smtp_sign_out(struct smtp_session *s) WAITS;

/* ---- who may relay without signing in (transaction.c) ---- */

/* As far as the gate knows; the store decides. */
bool smtp_is_relay_client(const struct smtp_session *s);
/* ETRN is for whom relaying is for. */
bool smtp_may_start_queues(const struct smtp_session *s);
/* What the client's certificate proves, where the listener asks for one. In the command's arena. */
struct strs smtp_certificate(struct smtp_session *s);
/* Tells the trace of it, after a handshake. */
void smtp_trace_certificate(struct smtp_session *s);
/* The client's IP address, empty for a UNIX socket's. */
struct str smtp_client_address(struct smtp_session *s);

/* ---- the envelope (envelope.c, transaction.c) ---- */

void smtp_envelope_reset(struct smtp_session *s);
/* Takes one more RCPT and what it wishes; the same address twice is one recipient. */
void smtp_envelope_add(struct envelope *envelope, struct str recipient,
		       const struct smtp_command *command);
/* Forget the transaction, if there is one. */
void smtp_forget(struct smtp_session *s);
enum err smtp_run_mail(struct smtp_session *s, const struct smtp_command *command) WAITS;
enum err smtp_run_rcpt(struct smtp_session *s, const struct smtp_command *command) WAITS;
enum err smtp_run_vrfy(struct smtp_session *s, const struct smtp_command *command) WAITS;
enum err smtp_run_etrn(struct smtp_session *s, const struct smtp_command *command) WAITS;
enum err smtp_run_expn(struct smtp_session *s, const struct smtp_command *command) WAITS;

/* ---- the data (data.c, bdat.c, message.c) ---- */

enum err smtp_run_data(struct smtp_session *s) WAITS;
enum err smtp_run_bdat(struct smtp_session *s, const struct smtp_command *command,
		       struct smtp_reply refused) WAITS;
/* Begins the message of the envelope: its id and its Received line. */
void smtp_message_begin(struct smtp_session *s);
/* Gives back what the arena does not hold. */
void smtp_message_drop(struct smtp_session *s);
void smtp_message_add(struct smtp_session *s, struct str octets);
/* What is wrong with what came: bare newlines, size, long lines, our own disk. Code 0: nothing. */
struct smtp_reply smtp_message_judge(struct smtp_session *s);
struct smtp_reply smtp_too_large(struct smtp_session *s); /* with the limit (rfc1870 6) */
/* Wait for more of the data: idle and rate limits. */
enum err smtp_data_fill(struct smtp_session *s) WAITS;
/* The same for who waits by himself, for the next chunk: until when, and after it since when, and how it ended. */
moment smtp_data_deadline(const struct smtp_session *s);
enum err smtp_data_waited(struct smtp_session *s, moment since, enum err err) WAITS;
/* The last octet is here and judged: filter, store, and the reply. Ends the transaction. */
enum err smtp_accept(struct smtp_session *s) WAITS;
