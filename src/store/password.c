/* SPDX-License-Identifier: Apache-2.0 */
#include "store/password.h"

#include <argon2.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* What OWASP's password storage advice of 2023 asks of argon2id at least. */
enum { MEMORY_KIB = 19456, PASSES = 2, LANES = 1, HASH = 32 };
enum { NONCE = 12, TAG = 16 };

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

void keyed_hash(const unsigned char key[32], struct str label, struct str text,
		unsigned char out[32])
{
	unsigned char label_key[32];
	unsigned len = 32;

	must(HMAC(EVP_sha256(), key, 32, (const unsigned char *)label.at, label.len, label_key,
		  &len));
	must(HMAC(EVP_sha256(), label_key, 32, (const unsigned char *)(text.at ? text.at : ""),
		  text.len, out, &len));
	explicit_bzero(label_key, sizeof(label_key));
}

/* ---- kept secrets: nonce, tag, ciphertext; AES-256-GCM with the address as associated data ---- */

enum err secret_encrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
			struct str address, struct str plain, struct str *out)
{
	unsigned char *at = arena_take(arena, NONCE + TAG + plain.len);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int len;
	bool ok;

	must(cipher);
	ok = RAND_bytes(at, NONCE) == 1 &&
	     EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, at) == 1 &&
	     EVP_EncryptUpdate(cipher, NULL, &len, (const unsigned char *)address.at,
			       (int)address.len) == 1 &&
	     EVP_EncryptUpdate(cipher, at + NONCE + TAG, &len, (const unsigned char *)plain.at,
			       (int)plain.len) == 1 &&
	     EVP_EncryptFinal_ex(cipher, at + NONCE + TAG + plain.len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG, at + NONCE) == 1;
	EVP_CIPHER_CTX_free(cipher);
	if (!ok)
		return fault(ERR_SYSTEM, "a secret could not be encrypted");
	*out = (struct str){ (char *)at, NONCE + TAG + plain.len };
	return OK;
}

enum err secret_decrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
			struct str address, struct str cipher_text, struct str *out)
{
	unsigned char *in = (unsigned char *)(uintptr_t)cipher_text.at;
	EVP_CIPHER_CTX *cipher;
	unsigned char *plain;
	size_t plain_len;
	int len;
	bool ok;

	if (cipher_text.len < NONCE + TAG || cipher_text.len > NONCE + TAG + 4 * LIMIT_password)
		return fault(ERR_CORRUPT, "a kept secret is damaged");
	plain_len = cipher_text.len - NONCE - TAG;
	plain = arena_take(arena, plain_len + 16);
	cipher = EVP_CIPHER_CTX_new();
	must(cipher);
	ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, in) == 1 &&
	     EVP_DecryptUpdate(cipher, NULL, &len, (const unsigned char *)address.at,
			       (int)address.len) == 1 &&
	     EVP_DecryptUpdate(cipher, plain, &len, in + NONCE + TAG, (int)plain_len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG, in + NONCE) == 1 &&
	     EVP_DecryptFinal_ex(cipher, plain + plain_len, &len) == 1;
	EVP_CIPHER_CTX_free(cipher);
	if (!ok)
		return fault(ERR_CORRUPT, "a kept secret is damaged or was kept under another key");
	*out = (struct str){ (char *)plain, plain_len };
	return OK;
}
