/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sign_in: who has signed in with a browser: a random number in a cookie, and a handle of the account at the store.
 * Private to web/.
 *
 * Invariants
 *  (1) The number has 256 bits; the store's handle never leaves this process.
 *  (2) A sign-in ends when it is not used for LIMIT_web_sign_in_idle, at the age of LIMIT_web_sign_in_age, when it is
 *      given back, when the store has forgotten its handle (it or this role began anew), or when it is the one
 *      unused the longest of its account's LIMIT_web_sign_ins_per_account, or of all LIMIT_web_sign_ins.
 */
#include "web/exchange.h"

#define SIGN_IN_COOKIE "glasspost_session"

struct sign_in {
	struct list link; /* in web->sign_ins, the one unused the longest first */
	unsigned char token[32];
	uint64_t account;
	moment begun, used;
	struct str address; /* of its own memory */
};

/* Of the request's cookie: sets exchange->account and its address, or leaves them. */
void sign_in_find(struct exchange *exchange);
/* The store does not know the handle any more. */
void sign_in_forget(struct exchange *exchange);
/* For what goes on and on: is it still there, also when nobody had to sign in? Counts as a use. */
bool sign_in_holds(const struct exchange *exchange);
/* A fiber: ends those that are too old, and gives handles back. */
void sign_ins_keep(void *web) WAITS;
void sign_ins_drop(struct web *web);
