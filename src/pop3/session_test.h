/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the session's tests stand on: a simulated world with a POP3 session at one end of a stream, a
 * store that answers from memory behind it, and a client that plays a transcript:
 *
 *	S: +OK *          a line we expect; * stands for anything
 *	S...              lines up to and with the one that is a lone dot
 *	C: STAT           a line we send
 *	C- PASS x         sent together with the next C: line (pipelined)
 *	TLS               the client's handshake
 *	IDLE 5000         milliseconds that pass
 *	STOP              the server is asked to stop
 *	CUT               the connection breaks
 *	END               the server must close now
 */
#include "pop3/server.h"

/* What most scripts begin with. */
#define CLEAR "\tauth_without_tls = yes\n"
#define LOGIN "S: +OK dbc.example POP3 ready\nC: USER mrose\nS: +OK now PASS\nC: PASS tanstaaf\n"
#define ONE   "Subject: one\r\n\r\nfirst line\r\n.dotted\r\n..\r\nlast line\r\n" /* 52 octets */

struct fake_message {
	const char *octets;
	size_t len;
	uint64_t uid;
};

struct fake_store {
	struct fake_message messages[64];
	size_t count;
	bool deleted[64];
	const char *folder; /* that was opened */
	char user[300];     /* that signed in */
	bool held;          /* the maildrop, by a session */
	size_t signed_in;
	size_t calls_under_way, calls_most; /* of maildrop_read */
	size_t reads;
	uint64_t delay_ms; /* after a failed login */
	enum err open_err; /* what maildrop_open fails with */
	enum err
		read_err; /* what maildrop_read of `read_err_index` at an offset past 0 fails with */
	uint64_t read_err_index;
	bool read_err_at_once; /* at offset 0 too */
	enum err delete_err;
	enum err password_err;
	uint64_t expected_session;
};

struct stage {
	struct fake_store store;
	const char *listener; /* options of the listener, added to the file */
	const char *options;  /* general ones */
	bool exempt;          /* the client's network is exempt from counting */
	uint64_t seed;
	const char *script;
	struct buf events;     /* the session's trace as JSON lines, filled at the end */
	struct buf transcript; /* what the client saw */
};

/* Plays the script; fails the running test at the first line that differs. */
void stage_play(struct stage *stage);
void stage_done(struct stage *stage);
extern const struct link_handlers fake_store_handlers;
