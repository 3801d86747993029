/* SPDX-License-Identifier: Apache-2.0 */
#include "store/password.h"

#include <argon2.h>
#include <gsasl.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* What OWASP's password storage advice of 2023 asks of argon2id at least. */
enum { MEMORY_KIB = 19456, PASSES = 2, LANES = 1, HASH = 32 };

struct str password_prepare(struct arena *arena, struct str password)
{
	char *plain = str_dup_c(arena, password);
	char *prepared = NULL;
	struct str result = password;

	if (str_find(password, '\0') == STR_NONE &&
	    gsasl_saslprep(plain, 0, &prepared, NULL) == GSASL_OK && prepared[0])
		result = str_dup(arena, str_of(prepared));
	if (prepared) {
		explicit_bzero(prepared, strlen(prepared));
		gsasl_free(prepared);
	}
	if (password.len)
		explicit_bzero(plain, password.len);
	return result;
}

/* What preparing made of it is a secret too, and is not left in memory. */
static void wipe(struct str prepared, struct str password)
{
	if (prepared.at && prepared.at != password.at)
		explicit_bzero((char *)(uintptr_t)prepared.at, prepared.len);
}

static enum err argon2_make(struct str password, const unsigned char *salt, struct verifier *out)
{
	int code = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password.at, password.len, salt,
					 SALT, HASH, out->phc, sizeof(out->phc));

	return code == ARGON2_OK ? OK : fault(ERR_SYSTEM, "argon2: %s", argon2_error_message(code));
}

static enum err scram_make(const char *password, struct verifier *out)
{
	char salted[SHA256];
	char client[SHA256];
	const char *salt = (const char *)out->salt;
	int code = gsasl_scram_secrets_from_password(
		GSASL_HASH_SHA1, password, SCRAM_ITERATIONS, salt, SALT, salted, client,
		(char *)out->sha1_server, (char *)out->sha1_stored);

	if (code == GSASL_OK)
		code = gsasl_scram_secrets_from_password(
			GSASL_HASH_SHA256, password, SCRAM_ITERATIONS, salt, SALT, salted, client,
			(char *)out->sha256_server, (char *)out->sha256_stored);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return code == GSASL_OK ? OK : fault(ERR_SYSTEM, "SCRAM keys: %s", gsasl_strerror(code));
}

enum err verifier_make(struct arena *arena, struct str password, const unsigned char *secret_key,
		       struct str address, struct verifier *out)
{
	unsigned char salt[SALT];
	struct str prepared = password_prepare(arena, password);
	char *plain;
	enum err err;

	*out = (struct verifier){ 0 };
	if (!prepared.len || str_find(prepared, '\0') != STR_NONE)
		return fault(ERR_SYNTAX, "a password must not be empty or hold a NUL");
	if (RAND_bytes(salt, SALT) != 1 || RAND_bytes(out->salt, SALT) != 1)
		return fault(ERR_SYSTEM, "no random octets");
	plain = str_dup_c(arena, prepared);
	err = argon2_make(prepared, salt, out);
	if (!err)
		err = scram_make(plain, out);
	if (!err && secret_key)
		err = secret_encrypt(arena, secret_key, address, prepared, &out->secret);
	explicit_bzero(plain, prepared.len);
	wipe(prepared, password);
	return err;
}

bool password_matches(struct str phc, struct str password)
{
	struct arena arena = { 0 };
	struct str prepared = password_prepare(&arena, password);
	char text[128];
	bool matches;

	phc = str_first(phc, sizeof(text) - 1);
	if (!phc.len)
		phc = password_dummy();
	memcpy(text, phc.at, phc.len);
	text[phc.len] = '\0';
	matches = argon2id_verify(text, prepared.at ? prepared.at : "", prepared.len) == ARGON2_OK;
	wipe(prepared, password);
	arena_drop(&arena);
	return matches && !str_is(phc, password_dummy());
}

struct str password_dummy(void)
{
	/* Same cost, no password: the octets of salt and hash are those of a counter. */
	return S("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$"
		 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
}
