/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the session's tests stand on: an SMTP session at one end of a stream, a store and a filter that
 * answer from memory behind it, and a client that plays a transcript, in either world:
 *
 *	S: 250 2.1.0 *    a line we expect; * stands for anything
 *	S...: 250         a whole reply with this code, however many lines
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
#include "mail/mail.h"
#include "smtp/server.h"

struct kept {
	struct str sender;
	struct str recipients; /* joined by commas */
	struct str body;       /* with our Received line */
	bool is_utf8;
	uint64_t id;
};

/* Accounts alice, bob, late and postmaster at here.example; full, off and loop are refused. */
struct house {
	struct arena arena;
	struct kept kept[256];
	size_t count;
	size_t inspected;
	size_t signed_in;
	size_t asked_about; /* recipient calls */
	bool is_full;       /* room says no */
	uint64_t verdict;   /* of the filter */
	const char *verdict_text;
	enum err deliver_err, inspect_err, recipient_err, sasl_err;
	int64_t deliver_ms; /* the commit takes so long */
	uint64_t delay_ms;  /* after a failed sign-in */
};
extern const struct link_handlers house_store;
extern const struct link_handlers house_filter;

struct stage {
	struct house house;
	const char *protocol; /* NULL: smtp */
	const char *listener; /* options of the listener, added to the file */
	const char *options;  /* general ones */
	bool exempt;          /* the client's network is not counted */
	bool in_real_world;
	bool implicit_tls;
	bool without_certificate;
	uint64_t seed;
	const char *script;
	struct buf transcript; /* what the client saw */
	struct buf events;     /* the trace as JSON lines */
	size_t memory_most;    /* octets that malloc held more than at the start, at its worst */
	int64_t took_ms;
};

void stage_play(struct stage *stage);
void stage_done(struct stage *stage);
/* A kept message without our Received line. */
struct str kept_text(const struct kept *kept);
bool stage_saw(const struct stage *stage, const char *text);    /* in the transcript */
bool stage_traced(const struct stage *stage, const char *text); /* in the events */
