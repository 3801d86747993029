/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * secret: what the store keeps and must be able to read again: passwords for CRAM-MD5 and APOP, and those that we
 * sign in to other servers with. AES-256-GCM; each has a key of its own, made by HKDF-SHA-256 (rfc5869) from the
 * store's key and a salt by chance, a nonce by chance, and is bound to whom it belongs to.
 *
 * Invariants
 *  (1) The same secret twice is not the same octets; one that was moved to another row, or changed in a bit, does not
 *      open.
 *  (2) While the key is changed, what either key has closed opens: the new one is known before anything is kept
 *      under it, and the former one stays.
 *
 * Format: docs/formats/store.md. Any thread.
 */
#include "base/base.h"

#include <pthread.h>

enum { CIPHER_KEY = 32 };

[[nodiscard]] enum err secret_encrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
				      struct str binding, struct str plain, struct str *out);
/* ERR_CORRUPT: another key, another binding, or damaged. */
[[nodiscard]] enum err secret_decrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
				      struct str binding, struct str cipher, struct str *out);
/* HMAC-SHA-256, for keys derived from the store's and for made-up salts. */
void keyed_hash(const unsigned char key[CIPHER_KEY], struct str label, struct str text,
		unsigned char out[CIPHER_KEY]);
/* Over it, and it is empty. */
void secret_wipe(struct str *secret);

/* The key in use, and beside it one that is to come or that was before. */
struct secret_keys {
	pthread_mutex_t lock;
	unsigned char at[2][CIPHER_KEY];
	bool has_other;
};

void secret_keys_init(struct secret_keys *keys);
void secret_keys_done(struct secret_keys *keys);
void secret_keys_set(struct secret_keys *keys, const unsigned char key[CIPHER_KEY]);
void secret_keys_announce(struct secret_keys *keys, const unsigned char next[CIPHER_KEY]);
/* The announced one is in use from now on. */
void secret_keys_turn(struct secret_keys *keys);
void secret_keys_current(struct secret_keys *keys, unsigned char out[CIPHER_KEY]);
/* secret_decrypt with the key that opens it. */
[[nodiscard]] enum err secret_open(struct secret_keys *keys, struct arena *arena,
				   struct str binding, struct str cipher, struct str *out);
