/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * scene: the whole house in the simulated world, put up in a few milliseconds: thousands of them in a
 * row. The store begins as a copy of one that was made once: accounts whose password hash is cheap
 * on purpose, in memory where there is a file system for it, without flushes.
 *
 * All passwords are "secret", postmaster@wire.example's too. No TLS: its chance is OpenSSL's own, and equal seeds must do the same.
 */
#include "net/net.h"
#include "supervisor/supervisor.h"
#include "trace/trace.h"

enum { SCENE_ACCOUNTS = 3, SCENE_RINGS = 5 };
extern const char *const scene_accounts[SCENE_ACCOUNTS];

/* The store that all scenes begin with; once a process, from plain code. */
void scene_prepare(void);
void scene_forget(void);

/* Which house: the usual one, or the far one: mail.far.example, with the same names at far.example. */
struct scene_plan {
	const char *options;         /* lines of configuration besides the scene's own */
	bool is_far;                 /* its accounts are ann@far.example ... */
	const char *address;         /* of its listeners; NULL: 127.0.0.1 */
	const struct dns_zone *zone; /* not NULL: it has a relay, and this is the DNS */
};

struct scene {
	struct house *house;
	struct buf folder;
	size_t fibers; /* that run while nobody is connected */
	struct trace_reader *readers[SCENE_RINGS];
	struct sqlite3 *db; /* to look into the store's */
};

/* `options` are lines of configuration besides the scene's own. */
[[nodiscard]] enum err scene_begin(struct scene *scene, const char *options) WAITS;
[[nodiscard]] enum err scene_begin_as(struct scene *scene, const struct scene_plan *plan) WAITS;
void scene_end(struct scene *scene) WAITS;
/* The only address of a listener: mx, submission, lmtp, pop3. */
struct addr scene_address(const struct scene *scene, const char *listener);
/* Fibers of the world now, beyond those that run while nobody is connected. */
long scene_fibers_more(const struct scene *scene);
/* Waits until there are none, at most so long; ERR_TIMEOUT when they stay. */
[[nodiscard]] enum err scene_wait_for_rest(const struct scene *scene, int64_t ms) WAITS;
/* The records of all rings since the last call, ring by ring, as they lie there. None while the store is down. */
void scene_read_rings(struct scene *scene, struct buf *records);
/* Recipients in the queue, done ones too, with enum queue_state. */
void scene_read_queue(struct scene *scene,
		      void (*each)(void *context, struct str address, unsigned state),
		      void *context);
