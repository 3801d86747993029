/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A dialogue with a POP3 session, and the store that answers from memory behind it. A C line of the
 * script means what it says, without escapes; DIGEST in it is APOP's, made from the greeting that came.
 */
#include "pop3/server.h"
#include "stage/stage.h"

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
};

struct stage {
	DIALOGUE;
	struct fake_store store;
};

/* Connections are scarce. */
extern bool stage_is_stressed;
/* Plays the script; fails the running test at the first line that differs. */
void stage_play(struct stage *stage);
void stage_done(struct stage *stage);
extern const struct link_handlers fake_store_handlers;
