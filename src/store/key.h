/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * key: the file store.key, and its change.
 *
 * A change writes the new key beside (store.key.new), durable, and then encrypts every secret anew and notes
 * the new key's fingerprint, in one transaction; then the new file takes the place of the old one. So the
 * database says at any moment which of the two files is the key: what a crash left half-done is finished, or
 * undone, when the store is opened.
 *
 * Made-up salts (of names that do not exist) must stay what they are when the key changes, or names could be told
 * apart by it: what they are made from is the first key, kept from then on as a secret of its own.
 */
#include "store/commit.h"
#include "store/secret.h"

struct store;

/* Once the database is open. Blocking. *lost: the file was made anew though secrets are kept. */
[[nodiscard]] enum err key_load(struct store *store, bool create, bool *lost);
/* Of a new store: the file alone. Blocking. */
[[nodiscard]] enum err key_create(const char *folder);
/* A new key; secrets: how many were encrypted anew. */
[[nodiscard]] enum err store_rotate_key(struct store *store, uint64_t *secrets) WAITS;
