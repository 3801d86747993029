/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * password: what is kept in place of a password, and comparing with it. Slow on purpose (argon2id,
 * 19 MiB, two passes; PBKDF2): worker threads only, never the loop's.
 *
 * A password is prepared by SASLprep (rfc4013) where that is possible, and else taken as it is, both
 * when it is set and when it is compared; SCRAM clients do the same (rfc5802 2.2).
 */
#include "store/directory.h"
#include "store/secret.h"

enum { SALT = 16, SCRAM_ITERATIONS = 15000, SHA1 = 20, SHA256 = 32 };

struct verifier {
	char phc[128];
	unsigned char salt[SALT];
	unsigned char sha1_stored[SHA1], sha1_server[SHA1];
	unsigned char sha256_stored[SHA256], sha256_server[SHA256];
	struct str secret; /* encrypted; empty unless kept */
};

/* secret_key: NULL when passwords are not to be kept; else CIPHER_KEY octets, and `address` binds it. */
[[nodiscard]] enum err verifier_make(struct arena *arena, struct str password,
				     const unsigned char *secret_key, struct str address,
				     struct verifier *out);
/* false for any hash that is not ours to compare; takes as long then. */
bool password_matches(struct str phc, struct str password);
/* A hash that no password is known for, to take the time for users that do not exist. */
struct str password_dummy(void);
struct str password_prepare(struct arena *arena, struct str password);
