/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * state: one open store, as the files of this folder share it. Everything here belongs to the loop's
 * thread but for `writer` (the batcher's), `bodies` (any thread) and the connections in `readers`
 * (lent to one worker at a time).
 */
#include "config/config.h"
#include "link/link.h"
#include "record/record.h"
#include "store/bodies.h"
#include "store/commit.h"
#include "store/directory.h"
#include "store/rates.h"
#include "store/resolve.h"
#include "store/secret.h"
#include "store/table.h"
#include "trace/trace.h"

enum { STORE_READERS = 4, STORE_PATH = 1024 };

struct store_options {
	const char *folder;
	struct config *config; /* a reference is taken */
	struct trace *trace;   /* NULL is fine */
	const struct io *io;   /* NULL: the real one */
	/* A failure after which the process must end; NULL: it ends here and now. Any thread. */
	void (*fatal)(void *context, const char *text);
	void *fatal_context;
	bool create; /* make what is not there */
};

struct sign_in;   /* sasl.h */
struct lookups;   /* recipient.c */
struct maildrops; /* maildrop.c */
struct queue;     /* queue.h */
struct networks;  /* networks.h */
struct peer;      /* peer.h */

struct store {
	char folder[STORE_PATH];
	char body_folder[STORE_PATH];
	int lock;
	struct config *config;
	struct trace *trace;
	const struct io *io;
	struct secret_keys secrets;      /* DIR/store.key */
	unsigned char salts[CIPHER_KEY]; /* what made-up salts are made from */
	struct semaphore
		closing_secrets; /* who encrypts one until it is kept, and who changes the key */
	uint64_t id;

	struct writer writer;
	struct batcher *batcher;
	struct bodies *bodies;
	struct db *readers[STORE_READERS];
	size_t reader_count; /* of those free */
	struct semaphore reader_free;

	uint64_t directory_generation; /* grows with every change of domains, accounts, aliases */
	uint64_t commits;
	uint64_t messages_kept;
	struct waitq committed; /* woken by every commit; upkeep waits */
	moment room_at;         /* when room_free was looked up */
	uint64_t room_free;
	struct lookups *lookups;
	struct sign_in *sign_in;
	struct maildrops *maildrops;
	struct queue *queue;
	struct networks *networks;
	struct rates rates; /* of who relays */
	bool compacting;
	bool checking;             /* what it has counted must not move meanwhile */
	struct recorder *recorder; /* of the role; NULL in a store opened without one */
};

[[nodiscard]] enum err store_open(const struct store_options *options, struct store **out) WAITS;
/* No fiber may be inside any more. */
void store_close(struct store **store) WAITS;
/* The new one from now on. */
void store_configure(struct store *store, struct config *config) WAITS;

/* Hand the job to the writer; its err, with its text as this fiber's fault. */
[[nodiscard]] enum err store_commit(struct store *store, struct job *job) WAITS;
/* fn(db, arg) on a worker thread, in one snapshot. */
typedef enum err store_read_fn(struct db *db, void *arg);
[[nodiscard]] enum err store_read(struct store *store, store_read_fn *fn, void *arg) WAITS;
/* fn(arg) on a worker thread, its fault carried over. */
typedef enum err store_work_fn(void *arg);
[[nodiscard]] enum err store_work(store_work_fn *fn, void *arg) WAITS;
/* The same for what takes long on purpose, on threads of its own. */
[[nodiscard]] enum err store_hash(store_work_fn *fn, void *arg) WAITS;

/* How addresses are understood, as the configuration has it. Any thread. */
void config_policy(const struct config *config, bool create, struct resolve_policy *out);
void store_policy(const struct store *store, bool create, struct resolve_policy *out);
/* Is there room on the disk for so many octets, above the configured floor? */
bool store_has_room(struct store *store, uint64_t octets);
/* Write-ahead log and segments are looked after until the fiber is stopped. */
void store_upkeep(void *store) WAITS;
/* Tells the trace and stderr. */
void store_trouble(struct store *store, enum err err, const char *what);

/* ---- recipient.c ---- */

[[nodiscard]] enum err store_recipient(struct peer *peer, const struct ask_recipient *ask,
				       struct arena *arena, struct answer_recipient *answer) WAITS;
/* What an alias leads to, one step far: for who signed in. */
[[nodiscard]] enum err store_expand(struct peer *peer, const struct ask_expand *ask,
				    struct arena *arena, struct answer_expand *answer) WAITS;
void lookups_init(struct store *store);
void lookups_drop(struct store *store);
/* The account's mailboxes grew (or shrank) by so much. */
void lookups_note_octets(struct store *store, uint64_t account, int64_t more);

/* ---- networks.c ---- */

[[nodiscard]] enum err store_networks(struct store *store, const struct ask_networks *ask,
				      struct arena *arena, struct answer_networks *answer) WAITS;

/* ---- deliver.c ---- */

[[nodiscard]] enum err store_deliver(struct peer *peer, const struct ask_deliver *ask,
				     struct arena *arena, struct answer_deliver *answer) WAITS;
enum { RETURN_PATH_FIXED = 17 }; /* "Return-Path: <" and ">\r\n" */
/* The line in front of a message, rendered when it is read. */
struct str return_path(struct arena *arena, struct str sender);
