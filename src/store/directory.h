/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * directory: domains, accounts, aliases and mailboxes, row by row, on any connection.
 *
 * Addresses are looked up in lower case (`address_key`): our own local parts do not differ by case.
 * Texts of *out lie in the arena. *found false: there is no such row, and *out is untouched.
 */
#include "store/db.h"

struct account {
	uint64_t id;
	struct str address; /* the key */
	struct str display;
	bool disabled;
	int64_t quota;       /* octets; -1: the configuration's */
	struct str password; /* PHC string; empty: nobody can sign in */
	struct str scram_salt;
	uint64_t scram_iterations;
	struct str sha1_stored, sha1_server, sha256_stored, sha256_server;
	struct str secret; /* encrypted */
};

struct mailbox {
	uint64_t id;
	uint64_t uid_validity;
	uint64_t uid_next;
	uint64_t messages;
	uint64_t octets;
};

struct str address_key(struct arena *arena, struct str address);
/* After the last @; empty when there is none. A view of address. */
struct str address_domain(struct str address);
struct str address_local(struct str address);

[[nodiscard]] enum err domain_find(struct db *db, struct arena *arena, struct str name,
				   struct str *postmaster, bool *found);
/* ERR_NOT_FOUND with what to do where it is none of ours. */
[[nodiscard]] enum err domain_must_be_ours(struct db *db, struct arena *arena, struct str name);
[[nodiscard]] enum err domain_find_first(struct db *db, struct arena *arena, struct str *name,
					 bool *found);
[[nodiscard]] enum err account_find(struct db *db, struct arena *arena, struct str key,
				    struct account *out, bool *found);
[[nodiscard]] enum err account_find_oldest(struct db *db, struct arena *arena, struct str domain,
					   struct account *out, bool *found);
[[nodiscard]] enum err mailbox_find(struct db *db, uint64_t account, struct str name,
				    struct mailbox *out, bool *found);
/* Octets in all mailboxes of the account. */
[[nodiscard]] enum err account_octets(struct db *db, uint64_t account, uint64_t *out);

/* ---- the writer's ---- */

struct account_new {
	struct str address; /* as spelt */
	int64_t created_us;
	int64_t quota; /* -1: the configuration's */
};
/* With an INBOX. ERR_EXISTS; ERR_NOT_FOUND when the domain is not ours. */
[[nodiscard]] enum err account_make(struct db *db, struct arena *arena,
				    const struct account_new *new_account);
[[nodiscard]] enum err mailbox_make(struct db *db, uint64_t account, struct str name,
				    int64_t created_us);
