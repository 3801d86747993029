/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * stage: a dialogue between a client that plays a script and one session, with fakes of the roles behind
 * it, in either world. A protocol's tests bring its fakes (handler tables) and how it serves.
 *
 * A script has a step a line; its last line ends like the others:
 *
 *	S: 250 2.1.0 *    a line we expect; * stands for anything
 *	S...: 250         a whole reply with this code, however many lines
 *	S...              lines up to and with the one that is a lone dot
 *	C: NOOP           a line we send, with CRLF; \r \n \0 \t \\ and \xHH are octets
 *	C- NOOP           the same, sent together with what follows (pipelined)
 *	R: .\r\n          octets as they are
 *	R- .\r            the same, kept back
 *	FILL 100 a        a hundred times the letter, kept back
 *	FLUSH             what was kept back
 *	TLS               the client's handshake
 *	IDLE 5000         milliseconds that pass (the simulated world's)
 *	STOP              the server is asked to stop
 *	CUT               the connection breaks
 *	SHUT              the client says no more, and listens
 *	END               the server must close now
 */
#include "config/config.h"
#include "link/link.h"
#include "net/net.h"
#include "trace/trace.h"

enum { STAGE_SESSION = 42 }; /* the id of the only session */

/* What is played, and what came of it. A protocol's own struct holds these members as if they were its. */
#define DIALOGUE_MEMBERS                                                                           \
	struct {                                                                                   \
		const char *script;                                                                \
		const char *protocol; /* of the listener; NULL: the protocol's name */             \
		const char *listener; /* options of the listener, added to the file */             \
		const char *options;  /* general ones */                                           \
		bool exempt;          /* the client's network is not counted */                    \
		bool in_real_world;                                                                \
		bool implicit_tls; /* the handshake is made before the session begins */           \
		bool without_certificate;                                                          \
		uint64_t seed;                                                                     \
		struct buf transcript; /* what the client saw */                                   \
		struct buf events;     /* the trace as JSON lines */                               \
		size_t memory_most;    /* octets from malloc above those at the start, at worst */ \
		int64_t took_ms;                                                                   \
	}

struct dialogue {
	DIALOGUE_MEMBERS;
};

/* Inside another struct: both its members and, for the functions below, the `dialogue` that they are. */
#define DIALOGUE                                                                                   \
	union {                                                                                    \
		DIALOGUE_MEMBERS;                                                                  \
		struct dialogue dialogue;                                                          \
	}

/* What a session is served with. Everything in it outlives the session. */
struct stage_service {
	const struct config *config;
	const struct config_listener *listener;
	struct link *store;
	struct link *filter; /* NULL when the protocol has no fake of it */
	struct tls_context *tls;
	struct trace *trace;
	struct caps *caps;
};

struct stage_protocol {
	const char *name;
	const char *host;    /* ours, in the file and in the certificate */
	size_t line_max;     /* of what the server says, with CRLF */
	enum role_kind gate; /* who writes the trace */
	const struct link_handlers *store;
	const struct link_handlers *filter; /* NULL: there is none */
	void (*serve)(const struct stage_service *service, struct conn *conn) WAITS;
	/* What a C line means; NULL: its escapes are octets, all else stands for itself. */
	void (*add_line)(const struct dialogue *dialogue, struct str line, struct buf *out);
};

/* Fails the running test at the first line that differs. `house` is the context of the fakes. */
void dialogue_play(struct dialogue *dialogue, const struct stage_protocol *protocol, void *house);
void dialogue_done(struct dialogue *dialogue);
bool dialogue_saw(const struct dialogue *dialogue, const char *text);    /* in the transcript */
bool dialogue_traced(const struct dialogue *dialogue, const char *text); /* in the events */

/* A link to a fake of `role` that serves in `group`, through memory; the caller drops it. */
struct link *stage_link(enum role_kind role, const struct link_handlers *handlers, void *house,
			struct fiber_group *group);
