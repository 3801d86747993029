/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sandbox: what a role may do, told to the kernel before the first stranger's byte is read.
 *
 * roles.def has one row a role: system calls as promises, files, TCP, limits, capabilities. sandbox_enter
 * applies the row: rlimits, no new privileges, Landlock (files, TCP, scopes), user and group, no
 * capabilities, not dumpable, seccomp. What the kernel lacks is named in the report and passed over, unless `required`.
 *
 * Invariants
 *  (1) After sandbox_enter nothing in this process can undo it.
 *  (2) Without root everything but the change of user is applied.
 */
#include "base/base.h"

struct sandbox_request {
	const char *role;   /* name of the row: "gate-mx", "store" ... */
	const char *folder; /* the data directory, for rows that may touch it; else NULL */
	const char *user;   /* to become, when root; NULL or "": stay */
	bool required;      /* fail where the kernel lacks a part */
	/* For sandbox_try: secrets that it tries to read. NULL, or not there: not tried. */
	const char *tls_key;
	const char *store_key;
};

/* What was applied: "landlock abi 7 (files tcp scope), seccomp 41 calls, user glasspost; lacking: ..." */
struct sandbox_report {
	char text[400];
	bool complete;
};

/*
 * What libraries load at first use, loaded now: OpenSSL's configuration and algorithms, seeds from
 * /dev/urandom, the time zone. sandbox_enter begins with it. Character sets: charset_prepare of mail/.
 */
void sandbox_warm_up(void);

/* Before any thread is started (ERR_BUSY). On failure the process may be half in: end it. */
[[nodiscard]] enum err sandbox_enter(const struct sandbox_request *request,
				     struct sandbox_report *out);

/* One thing a role may not do, tried for real inside the sandbox; for tests and `check --sandbox`. */
struct sandbox_trial {
	const char *name; /* "open /etc/passwd", "connect", "exec" ... */
	bool denied;
	bool expected; /* the row says it must be denied */
};
enum { SANDBOX_TRIALS_MAX = 21 };
/*
 * Each trial in a child of its own: fork, enter, try. Beside it lives another process in the same
 * sandbox, whose memory and life some trials are after. Gives the number of trials, and what that
 * process was told of its sandbox.
 */
[[nodiscard]] enum err sandbox_try(const struct sandbox_request *request, struct sandbox_trial *out,
				   size_t *count, struct sandbox_report *report);
/* docs/sandbox.md's table. */
enum err sandbox_table_markdown(struct buf *out);
