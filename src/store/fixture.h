/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* fixture: what the store's tests share: a store in a folder of its own, run in a world's fibers. */
#include "store/sasl.h"
#include "store/maildrop.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* Inside fibers cmocka's assertions cannot be used (they jump): a failed CHECK is noted and told. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
void check_failed(const char *condition, const char *file, int line);

/* Outside of fibers: fails when a CHECK did since the last time. */
void fixture_assert(void);

struct fixture {
	char folder[256];
	const char *config_text; /* NULL: domain example.org's test configuration */
	const struct io *io;
	struct config *config;
	struct store *store;
	struct peer *peer;
	void (*body)(struct fixture *f) WAITS;
	void *arg;
	unsigned fatal_calls;
	bool keep_folder; /* it was made before and stays */
	bool simulated;
};

/* A new folder, a store with the domains example.org and example.net, f->body in a fiber, all away. */
void fixture_run(struct fixture *f);
/* The same, and the folder stays; then set keep_folder to run in it again. */
void fixture_make(struct fixture *f);
/* In the fiber: close the store and open it again. */
void fixture_reopen(struct fixture *f) WAITS;
/* The same without the first half, for a test that closed it itself. */
void fixture_open(struct fixture *f) WAITS;
void fixture_remove_folder(const char *folder);

/* Directory, by jobs of its own. */
void add_domain(struct fixture *f, const char *name) WAITS;
void add_account(struct fixture *f, const char *address, const char *password, int64_t quota) WAITS;
void add_alias(struct fixture *f, const char *address, const char *target) WAITS;

struct handover {
	uint64_t message;
	const char *sender;
	const char *to[8];
	struct str body;
	bool create;
};
/* The outcome for each recipient in out; the call's own err. */
enum err hand_over(struct fixture *f, const struct handover *h, uint64_t out[8]) WAITS;
/* One recipient, a body of text: its outcome, or 100 + err. */
unsigned hand_one(struct fixture *f, uint64_t message, const char *to, const char *text) WAITS;
/* The messages of an account's folder, each as it is read. */
struct strs read_all(struct fixture *f, struct arena *arena, const char *address,
		     const char *folder) WAITS;
/* A handle as if the account had signed in. */
uint64_t sign_in_as(struct fixture *f, const char *address) WAITS;
/* Complaints of store_check, printed; their number. */
uint64_t complaints(struct fixture *f) WAITS;
/* USER and PASS from that address. */
struct answer_password try_password(struct fixture *f, const char *name, const char *password,
				    const char *from) WAITS;
