/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pop3: the language of the Post Office Protocol: command lines and replies. Bytes in, values out;
 * no input or output, no clock, no fibers. (The stuffing of bodies is mail/dot.h.)
 *
 * Invariants
 *  (1) Parsing takes time linear in the line and gives views into it.
 *  (2) A number is decimal digits, whole, and fits its type, or the command is refused: no sign, no
 *      blanks, no wrap-around.
 *  (3) What pop3_command_mask gives holds nothing of a password, a digest or a SASL response, also
 *      when the command was mistyped.
 *
 * RFC 1939, 2449, 2595, 5034, 6856.
 */
#include "base/base.h"

enum pop3_state { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2, POP3_UPDATE = 4 };
#define POP3_BOTH (POP3_AUTHORIZATION | POP3_TRANSACTION)

enum pop3_verb {
	POP3_NONE,
#define COMMAND(verb, states, argument, syntax) POP3_##verb,
#include "pop3/commands.def"
#undef COMMAND
};

enum pop3_reply {
	POP3_REPLY_NONE,
#define REPLY(name, status, text) POP3_REPLY_##name,
#include "pop3/replies.def"
#undef REPLY
};

struct pop3_command {
	enum pop3_verb verb;
	struct str text;     /* USER, PASS, APOP's name, AUTH's mechanism, LANG's language */
	struct str secret;   /* APOP's digest, AUTH's initial response as it came (base64 or "=") */
	bool has_text;       /* AUTH, LANG */
	bool has_secret;     /* AUTH */
	bool has_number;     /* LIST, UIDL */
	uint64_t number;     /* message number, as it came: may be 0 or past the last */
	uint64_t line_count; /* TOP */
};

const char *pop3_state_name(enum pop3_state state); /* "AUTHORIZATION" ... */
const char *pop3_verb_name(enum pop3_verb verb);    /* "RETR"; "" for POP3_NONE */
const char *pop3_verb_syntax(enum pop3_verb verb);  /* "TOP message lines" */
unsigned pop3_verb_states(enum pop3_verb verb);     /* bits of enum pop3_state */

/*
 * One command line without its end. POP3_REPLY_NONE: *out is the command. Otherwise the reply that
 * refuses it; out->verb is set when the verb at least was known.
 */
enum pop3_reply pop3_command_parse(struct str line, struct pop3_command *out);
/* The line as logs and traces may have it; *masked tells whether something was taken out. */
struct str pop3_command_mask(struct arena *arena, struct str line, bool *masked);
/* Is this the first line of an HTTP request (a browser led astray, or an attack across protocols)? */
bool pop3_line_is_http(struct str line);

/* "-ERR no such message", without CRLF; a string that lives for ever. */
struct str pop3_reply_text(enum pop3_reply reply);
bool pop3_reply_is_ok(enum pop3_reply reply);
