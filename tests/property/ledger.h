/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ledger: what was sent, what became of it as the clients know, and what the mailboxes hold.
 *
 * Invariants that it checks, for each message and mailbox
 *  (1) Acknowledged: there exactly once, or once deleted by an acknowledged QUIT.
 *  (2) Refused, or cut before the end of the data: nowhere, at no time.
 *  (3) Only where the answer was lost, or the store died between end of data and answer, may it be
 *      either way; never twice.
 *  (4) What is read is Return-Path, our Received field, and then the octets that were sent.
 *  (5) Deleted is what an answered QUIT deleted, and nothing else.
 */
#include "scene.h"

enum { LEDGER_MESSAGES = 200 };

enum fate {
	FATE_NONE,     /* the recipient was not asked for, or refused */
	FATE_OPEN,     /* under way */
	FATE_ACCEPTED, /* 250 after the data */
	FATE_REFUSED,  /* another answer, or the end of the data was never sent */
	FATE_UNKNOWN
};

struct ledger_copy {
	enum fate fate;
	bool deleted;       /* by a QUIT that was answered +OK */
	bool maybe_deleted; /* by one whose answer was lost */
	unsigned found;     /* in the end */
};

struct ledger_message {
	unsigned number; /* from 1; in its Subject */
	struct str text;
	struct ledger_copy copies[SCENE_ACCOUNTS];
};

struct ledger {
	struct arena arena;
	struct ledger_message messages[LEDGER_MESSAGES];
	size_t count;
	unsigned store_deaths;
	size_t deletions;
	char failure[1000]; /* the first broken invariant; "" */
};

/* Notes the first one only. */
void ledger_broken(struct ledger *ledger, const char *format, ...) PRINTF_LIKE(2, 3);
/* A message with a text made by chance; NULL when there were enough. */
struct ledger_message *ledger_message_new(struct ledger *ledger);
/* The message that was read from this account's mailbox; NULL when it is none, which is a failure. */
struct ledger_message *ledger_recognise(struct ledger *ledger, size_t account, struct str got);
/* Everything was read: do the mailboxes hold what they must? */
void ledger_check(struct ledger *ledger);
uint64_t chance(uint64_t below);
