/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to smtp: a session as the client's files share it. */
#include "smtp/client.h"

struct smtp_client {
	struct conn *conn;
	struct smtp_client_options options; /* its texts lie in `memory` */
	struct smtp_client_times times;
	struct arena memory;  /* of options and offer */
	struct arena scratch; /* of a command line, of a response */
	struct arena *arena;  /* where the texts of replies go now */
	struct arena *arena_of_open;
	struct smtp_offer offer;
	struct smtp_reply_reader reader;
	bool is_open;
	bool needs_reset; /* a transaction was left half-done; RSET goes before the next one */
	bool is_signed_in;
	moment until;         /* of what is under way; NEVER: no bound */
	unsigned mails;       /* transactions begun */
	struct smtp_said end; /* once it is not open: why, for everybody who was not answered */

	/* For the trace. */
	moment began, said_at;
	unsigned commands, errors, messages;
	const char *reason; /* of the close */
};

static inline moment client_deadline(const struct smtp_client *client, int64_t ms)
{
	return sooner(in_ms(ms), client->until);
}
/* Nobody needs it any more. */
void client_forget_password(struct smtp_client *client);

/* ---- talking (client_talk.c) ---- */

unsigned client_trace_flags(const struct smtp_client *client);
/* A rule or a limit decided, in place of the server. */
void client_trace_policy(struct smtp_client *client, const char *rule, const char *verdict,
			 struct str detail);
/* The line without its end. It leaves when next we listen. `shown` instead of a secret goes to the trace. */
[[nodiscard]] enum err client_say(struct smtp_client *client, enum smtp_verb verb, struct str line)
	WAITS;
[[nodiscard]] enum err client_say_masked(struct smtp_client *client, struct str line,
					 struct str shown) WAITS;
/*
 * The next reply. Whatever goes wrong, a 421 too, ends the session and is kept in client->end; a 421 is
 * OK and in *out all the same. `verb` is the command that it answers, SMTP_UNKNOWN for the greeting.
 */
[[nodiscard]] enum err client_hear(struct smtp_client *client, enum smtp_verb verb, int64_t ms,
				   struct smtp_reply *out) WAITS;
/* Say it and hear the reply. */
[[nodiscard]] enum err client_ask(struct smtp_client *client, enum smtp_verb verb, struct str line,
				  int64_t ms, struct smtp_reply *out) WAITS;
/* The world failed while `doing`: the session is over. Gives err back. */
enum err client_fail(struct smtp_client *client, enum err err, const char *doing);
/* The same for writing that failed: what the server said before it closed counts. */
enum err client_lost(struct smtp_client *client, enum err err, bool is_data) WAITS;
/* A reply of a class that has no place there: the same. */
enum err client_misheard(struct smtp_client *client, const struct smtp_reply *reply,
			 const char *doing);
/* Why it is not open any more; in the arena of now. */
struct smtp_said client_end(struct smtp_client *client);
/* A verdict of the server, and of ours in its place. */
struct smtp_said client_said(struct smtp_reply reply);
struct smtp_said client_says(unsigned code, struct str enhanced, struct str text);

/* ---- the beginning (client_hello.c, client_auth.c) ---- */

/* Greeting, EHLO, TLS, AUTH. Not OK, or a *said that is not SMTP_SENT: it is not open. */
enum err client_begin(struct smtp_client *client, struct smtp_said *said) WAITS;
enum err client_sign_in(struct smtp_client *client, struct smtp_said *said) WAITS;

/* ---- a transaction (client_envelope.c, client_data.c) ---- */

struct transaction {
	struct smtp_client *client;
	const struct smtp_sending *sending;
	enum smtp_body body;    /* as MAIL says it */
	size_t waiting;         /* recipients without a verdict: to be asked, then accepted */
	bool is_by_chunks;      /* BDAT */
	bool was_offered;       /* DATA was said with the envelope */
	struct smtp_reply data; /* and this was the answer */
	bool is_sent;           /* the last octet has left */
};

/* Nobody has spoken about a recipient yet whose `said` has no code. */
static inline bool is_waiting(const struct smtp_said *said)
{
	return said->reply.code == 0;
}
void client_settle(struct transaction *transaction, size_t index, struct smtp_said said);
/* The same for all that have none. */
void client_settle_all(struct transaction *transaction, struct smtp_said said);
enum err client_envelope(struct transaction *transaction) WAITS;
enum err client_data(struct transaction *transaction) WAITS;
