/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * smtp: the language of SMTP and LMTP (rfc5321, rfc2033 and the extensions named at each part):
 * command lines in, values out; replies in, lines out. No input or output, no clock, no fibers.
 *
 * Invariants
 *  (1) A line of any octets gives a command or a reply that says what is wrong with it, in time
 *      linear in its length.
 *  (2) What a function gives is a view into its input or lies in the arena it was handed.
 *  (3) A printed reply holds no CR, LF or other control but its own line ends, and no line of it is
 *      longer than LIMIT_smtp_reply_line, a SASL challenge (334) apart: what a client sent cannot
 *      forge a reply.
 *  (4) commands.def and replies.def are the only lists of commands and replies.
 */
#include "mail/mail.h"

/* ---- states of a session, as far as they decide which command may come ---- */

enum smtp_state {
	SMTP_FRESH = 1,     /* no EHLO, HELO or LHLO yet, or none since STARTTLS */
	SMTP_READY = 2,     /* between messages */
	SMTP_MAILING = 4,   /* a sender, no recipient */
	SMTP_ADDRESSED = 8, /* a sender and a recipient */
	SMTP_CHUNKING = 16, /* the first chunk of the message came (BDAT) */
};
const char *smtp_state_name(enum smtp_state state); /* "fresh" ... */

/* ---- extensions that a server may offer ---- */

#define SMTP_EXTENSIONS(X)                                                                         \
	X(PIPELINING, 0)          /* rfc2920 */                                                    \
	X(SIZE, 1)                /* rfc1870 */                                                    \
	X(8BITMIME, 2)            /* rfc6152 */                                                    \
	X(SMTPUTF8, 3)            /* rfc6531 */                                                    \
	X(CHUNKING, 4)            /* rfc3030 */                                                    \
	X(BINARYMIME, 5)          /* rfc3030 */                                                    \
	X(ENHANCEDSTATUSCODES, 6) /* rfc2034 */                                                    \
	X(STARTTLS, 7)            /* rfc3207 */                                                    \
	X(AUTH, 8)                /* rfc4954 */                                                    \
	X(LIMITS, 9)              /* rfc9422 */                                                    \
	X(VRFY, 10)               /* rfc5321 4.1.1.6 */                                            \
	X(EXPN, 11)               /* rfc5321 4.1.1.7 */                                            \
	X(HELP, 12)               /* rfc5321 4.1.1.8 */                                            \
	X(DSN, 13)                /* rfc3461 */                                                    \
	X(ETRN, 14)               /* rfc1985 */
enum smtp_extension {
#define X(name, bit) SMTP_EXT_##name = 1 << (bit),
	SMTP_EXTENSIONS(X)
#undef X
};

/* ---- replies ---- */

enum smtp_reply_name {
#define REPLY(name, code, enhanced, text) SMTP_REPLY_##name,
#include "smtp/replies.def"
#undef REPLY
	SMTP_REPLIES
};

struct smtp_reply {
	unsigned code;       /* 0: nothing to say yet */
	struct str enhanced; /* "5.5.1"; may be empty */
	struct str text;     /* lines parted by LF */
};

/* By name. Replies whose text has a place for a detail get it from smtp_reply_with. */
struct smtp_reply smtp_reply(enum smtp_reply_name name);
struct smtp_reply smtp_reply_with(struct arena *arena, enum smtp_reply_name name,
				  struct str detail);
static inline bool smtp_reply_is_error(const struct smtp_reply *reply)
{
	return reply->code >= 400;
}
/*
 * All lines with their CRLF. `with_enhanced`: put the enhanced code before each line's text
 * (rfc2034 4). Octets that do not belong in a reply become '?'; long lines are broken.
 */
enum err smtp_reply_print(struct buf *out, const struct smtp_reply *reply, bool with_enhanced);

/* ---- what a server says, as its client hears it ---- */

/*
 * A reply of a stranger, line by line. Lenient, as servers are: a code without a text, another octet
 * than a blank behind it, lines without a code inside a reply of many lines, and codes that differ from
 * line to line (the last one counts). Octets that are no text become '?'. Text past
 * LIMIT_smtp_heard_text is left out.
 */
struct smtp_reply_reader {
	struct smtp_reply reply; /* once it is whole: views, until the next line */
	char enhanced[16];
	struct buf text;
	unsigned lines;
};
void smtp_reply_reader_init(struct smtp_reply_reader *reader);
void smtp_reply_reader_done(struct smtp_reply_reader *reader);
/*
 * The next line, without its end. OK: the reply is whole, and the next line begins another one.
 * ERR_AGAIN: it goes on. ERR_PROTOCOL: this is no reply, or it has more than LIMIT_smtp_heard_lines.
 */
[[nodiscard]] enum err smtp_reply_parse(struct smtp_reply_reader *reader, struct str line);

/* What EHLO or LHLO was answered with; all of it zero after HELO. */
struct smtp_offer {
	unsigned extensions;      /* enum smtp_extension */
	uint64_t size;            /* the largest message [rfc1870 4]; 0: not said */
	uint64_t rcpt_max;        /* LIMITS [rfc9422 4]: of one message; 0: not said */
	uint64_t mail_max;        /* messages of one session */
	uint64_t rcpt_domain_max; /* domains among the recipients of one message */
	struct str mechanisms;    /* of AUTH, with a blank between two */
};
/* From the text of the reply, lines parted by LF, the first of them the server's name. */
void smtp_offer_parse(struct arena *arena, struct str text, struct smtp_offer *out);
/* Is this mechanism among them, in any case? */
bool smtp_offer_has_mechanism(const struct smtp_offer *offer, struct str mechanism);

/* ---- commands ---- */

enum smtp_verb {
	SMTP_UNKNOWN,
	SMTP_FOREIGN, /* another protocol's first line: HTTP, TLS, a PROXY header */
#define COMMAND(verb, states, syntax, help, rfc) SMTP_##verb,
#define COMMAND_REFUSED(verb, help, rfc)         SMTP_##verb,
#include "smtp/commands.def"
	SMTP_VERBS
};
const char *smtp_verb_name(enum smtp_verb verb); /* "MAIL"; "" for the first two */

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };

/* rfc3461 4.1, 4.3 */
enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8
};
enum smtp_return { SMTP_RETURN_ANY, SMTP_RETURN_FULL, SMTP_RETURN_HEADERS };

struct smtp_command {
	enum smtp_verb verb;
	struct str argument; /* after the verb, without blanks at both ends */
	/* EHLO, HELO, LHLO: as it was said. Often no domain at all, and no reason to refuse. */
	struct str hello;
	/* MAIL, RCPT */
	bool is_null;       /* MAIL FROM:<> */
	bool is_postmaster; /* RCPT TO:<Postmaster>, without a domain [rfc5321 4.5.1] */
	struct address address;
	/* MAIL */
	bool has_size;
	uint64_t size; /* UINT64_MAX when it was larger than that */
	enum smtp_body body;
	bool wants_utf8;
	struct str submitter; /* AUTH=, decoded */
	enum smtp_return ret;
	struct str envelope_id; /* ENVID=, as it came: xtext */
	/* RCPT */
	uint64_t notify;     /* enum smtp_notify; 0: not said */
	struct str original; /* ORCPT=, as it came: a type, a semicolon and xtext */
	/* BDAT */
	uint64_t octets;
	bool is_last;
	/* AUTH */
	struct str mechanism; /* in capitals */
	bool has_initial;
	struct str initial; /* in base64 still, without the "=" that stands for an empty one */
};

struct smtp_rules {
	unsigned extensions; /* enum smtp_extension: parameters of others are not recognised */
	bool is_lmtp;
	bool allows_utf8; /* this transaction has SMTPUTF8, so RCPT may be UTF-8 */
};

/*
 * Read one command line (without its line end). A reply with code 0: *out is the command, which may
 * still be out of order (smtp_order) or not served. Otherwise say the reply; out->verb says what it was.
 *
 * Lenient, for the clients that exist: any case, blanks at the end, a blank after "FROM:" and "TO:",
 * an address without angle brackets, a host name that is none, telnet's negotiation.
 */
struct smtp_reply smtp_command_parse(struct arena *arena, struct str line,
				     const struct smtp_rules *rules, struct smtp_command *out);
/* May this command come in this state? Code 0, or the 503 that says what is missing. */
struct smtp_reply smtp_order(enum smtp_verb verb, enum smtp_state state);
/* 214, or 504 for an unknown topic: what HELP says, about `topic` or about everything. */
struct smtp_reply smtp_help(struct arena *arena, struct str topic, const struct smtp_rules *rules);
/* The line without telnet's commands (rfc854: IAC and what follows it); itself when it has none. */
struct str telnet_strip(struct arena *arena, struct str line);

/* ---- xtext (rfc3461 4) ---- */

/* Written as xtext; read back into the arena, false when it is not well formed. */
enum err xtext_add(struct buf *out, struct str octets);
bool xtext_take(struct arena *arena, struct str text, struct str *out);
