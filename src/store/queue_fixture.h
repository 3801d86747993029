/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* queue_fixture: what the tests of the queue share: sending, and a relay's part of the talk. */
#include "store/fixture.h"
#include "store/queue.h"

#include <stdio.h>
#include <stdlib.h>

#define RELAYING "hostname = mail.example.org\nrelay = users\ndurable = no\n"

struct sending {
	uint64_t message;
	const char *sender;
	const char *to[8];
	uint64_t account; /* handle */
	uint64_t notify;
	uint64_t ret;
	const char *client;      /* IP address */
	const char *certificate; /* one name */
	struct str body;
};
enum err send_mail(struct fixture *f, const struct sending *s, uint64_t out[8]) WAITS;
/* Of anna@example.org: the outcome, or 100 + err. */
unsigned send_one(struct fixture *f, uint64_t message, uint64_t account, const char *to) WAITS;

struct claimed {
	struct arena arena;
	struct answer_queue_claim answer;
};
void claim_of(struct fixture *f, struct claimed *c, const char *only, uint64_t site_max) WAITS;
/* false: nothing is due. */
bool claim(struct fixture *f, struct claimed *c) WAITS;
void drop_claim(struct claimed *c);

struct saying {
	enum queue_result result;
	unsigned code;
	const char *enhanced, *text;
	bool site_down, is_final;
};
extern const struct saying sent, refused, deferred, down;
/* The same of all recipients. How many were noted. */
uint64_t report(struct fixture *f, struct claimed *c, const struct saying *s) WAITS;

/* Of a recipient; 99: there is no row. */
unsigned state_of(struct fixture *f, uint64_t message, uint64_t number) WAITS;
int64_t next_of(struct fixture *f, uint64_t message) WAITS;
size_t inbox_count(struct fixture *f, const char *address) WAITS;
/* Complains where it has not. */
bool has(struct str text, const char *what);
