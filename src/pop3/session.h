/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * session: what one POP3 connection remembers, and the functions that its commands are. A command
 * function answers its client and returns OK, or the failure that ends the session.
 */
#include "pop3/maildrop.h"
#include "pop3/pop3.h"
#include "pop3/server.h"

enum { POP3_BANNER = 200 };

struct pop3_session {
	const struct pop3_service *service;
	struct conn *conn;
	uint64_t id;
	struct arena arena; /* reset with every command */
	enum pop3_state state;
	enum pop3_verb verb;      /* of the command under way */
	moment started;           /* the session */
	moment command_at;        /* the command under way */
	const char *close_reason; /* set: the session ends after this command */
	bool exempt;              /* errors and failures of this peer are not counted */
	bool has_secret;          /* what the command under way came with is overwritten after it */
	bool masks_lines; /* AUTH did not succeed: its responses may come as if they were commands */

	char banner[POP3_BANNER]; /* the timestamp of the greeting; "" without APOP */
	char peer[ADDR_TEXT];     /* IP address; "": a UNIX socket */
	struct buf user;          /* of USER, until PASS; empty: none */
	struct buf folder;        /* that the login named; empty: INBOX */
	bool signed_in;
	uint64_t account;   /* handle, while signed_in */
	struct buf address; /* the account's own, while signed_in */
	struct maildrop drop;

	uint64_t commands;
	uint64_t errors;
	uint64_t idle_commands; /* in a row */
	uint64_t login_failures;
	uint64_t messages; /* fetched */
};

/* ---- saying ---- */

/* One line, CRLF added. */
enum err pop3_say(struct pop3_session *session, struct str line) WAITS;
/* The last one, to who may not be there any more: told only when it has left. */
enum err pop3_say_farewell(struct pop3_session *session, struct str line, moment deadline) WAITS;
/* A reply of the table. -ERR counts as an error, and past errors_soft it comes a second later. */
enum err pop3_answer(struct pop3_session *session, enum pop3_reply reply) WAITS;
/* "-ERR syntax: TOP message lines" */
enum err pop3_answer_syntax(struct pop3_session *session) WAITS;
/* What the store's failure means to a client. */
enum err pop3_answer_failure(struct pop3_session *session, enum err err) WAITS;
/* Raw octets of a multi-line answer. */
enum err pop3_send(struct pop3_session *session, struct str octets) WAITS;
/* Wait before a reply; what was answered until now leaves first. */
enum err pop3_delay(struct pop3_session *session, int64_t ms) WAITS;
void pop3_enter(struct pop3_session *session, enum pop3_state state);
unsigned pop3_trace_flags(const struct pop3_session *session);

/* How long the client may be silent as things are (server.c). */
int64_t pop3_patience_ms(const struct pop3_session *session);

/* ---- commands ---- */

typedef enum err pop3_run(struct pop3_session *session, const struct pop3_command *command) WAITS;

pop3_run pop3_user, pop3_pass, pop3_apop; /* login.c */
pop3_run pop3_auth;                       /* sasl.c */
pop3_run pop3_capa, pop3_lang, pop3_utf8; /* capability.c */
pop3_run pop3_stls;                       /* tls.c */
pop3_run pop3_stat, pop3_list, pop3_uidl; /* listing.c */
pop3_run pop3_dele, pop3_rset;
pop3_run pop3_retr, pop3_top; /* retrieve.c */

/* ---- tls.c ---- */

bool pop3_may_start_tls(const struct pop3_session *session);
enum err pop3_handshake(struct pop3_session *session, bool implicit) WAITS;

/* ---- login.c ---- */

/* May a password cross this connection as it is now? */
bool pop3_may_ask_password(const struct pop3_session *session);
bool pop3_has_apop(const struct pop3_session *session);
/* Is this SASL mechanism offered now? */
bool pop3_offers(struct pop3_session *session, struct str mechanism);
/* The answer of a login of any kind: all of ANSWER_sasl that matters here. */
struct pop3_login {
	struct str mechanism;
	unsigned step;
	moment began;
	enum sasl_state state;
	uint64_t account;
	struct str address;
	uint64_t delay_ms;
};
/* Refuse it, or open the maildrop and enter TRANSACTION. */
enum err pop3_conclude(struct pop3_session *session, const struct pop3_login *login) WAITS;
void pop3_trace_auth(struct pop3_session *session, const struct pop3_login *login,
		     struct str outcome);
void pop3_sign_out(struct pop3_session *session) WAITS;

/* ---- listing.c ---- */

/* The index of a message that can be used; else refuses, with *answered set. */
enum err pop3_message(struct pop3_session *session, uint64_t number, size_t *index, bool *answered)
	WAITS;
