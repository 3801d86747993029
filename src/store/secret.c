/* SPDX-License-Identifier: Apache-2.0 */
#include "store/secret.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

enum { MARK = 4, SALT = 16, NONCE = 12, TAG = 16, HEAD = MARK + SALT + NONCE + TAG };

/* What was kept before secrets had a salt begins with its nonce. */
static const char mark[MARK + 1] = "GPS\1";

void keyed_hash(const unsigned char key[CIPHER_KEY], struct str label, struct str text,
		unsigned char out[CIPHER_KEY])
{
	unsigned char label_key[CIPHER_KEY];
	unsigned len = CIPHER_KEY;

	must(HMAC(EVP_sha256(), key, CIPHER_KEY, (const unsigned char *)label.at, label.len,
		  label_key, &len));
	must(HMAC(EVP_sha256(), label_key, CIPHER_KEY,
		  (const unsigned char *)(text.at ? text.at : ""), text.len, out, &len));
	explicit_bzero(label_key, sizeof(label_key));
}

void secret_wipe(struct str *secret)
{
	if (secret->len)
		explicit_bzero((char *)(uintptr_t)secret->at, secret->len);
	*secret = (struct str){ 0 };
}

/* ---- one secret ---- */

/* rfc5869, by OpenSSL. */
static bool derive(const unsigned char key[CIPHER_KEY], const unsigned char salt[SALT],
		   unsigned char out[CIPHER_KEY])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key,
						  CIPHER_KEY),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt,
						  SALT),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)"glasspost secret",
						  16),
		OSSL_PARAM_construct_end(),
	};
	bool ok = context && EVP_KDF_derive(context, out, CIPHER_KEY, params) == 1;

	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return ok;
}

enum err secret_encrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
			struct str binding, struct str plain, struct str *out)
{
	unsigned char *at = arena_take(arena, HEAD + plain.len);
	unsigned char *salt = at + MARK;
	unsigned char *nonce = salt + SALT;
	unsigned char *tag = nonce + NONCE;
	unsigned char own[CIPHER_KEY];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int len;
	bool ok;

	must(cipher);
	memcpy(at, mark, MARK);
	ok = RAND_bytes(salt, SALT + NONCE) == 1 && derive(key, salt, own) &&
	     EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, own, nonce) == 1 &&
	     EVP_EncryptUpdate(cipher, NULL, &len, (const unsigned char *)binding.at,
			       (int)binding.len) == 1 &&
	     EVP_EncryptUpdate(cipher, at + HEAD, &len, (const unsigned char *)plain.at,
			       (int)plain.len) == 1 &&
	     EVP_EncryptFinal_ex(cipher, at + HEAD + plain.len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1;
	EVP_CIPHER_CTX_free(cipher);
	explicit_bzero(own, sizeof(own));
	if (!ok)
		return fault(ERR_SYSTEM, "a secret could not be encrypted");
	*out = (struct str){ (char *)at, HEAD + plain.len };
	return OK;
}

/* nonce, tag, ciphertext: the whole, or what stands behind mark and salt. */
static bool open_octets(const unsigned char key[CIPHER_KEY], struct str binding, struct str in,
			unsigned char *plain)
{
	unsigned char *at = (unsigned char *)(uintptr_t)in.at;
	size_t plain_len = in.len - NONCE - TAG;
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int len;
	bool ok;

	must(cipher);
	ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, at) == 1 &&
	     EVP_DecryptUpdate(cipher, NULL, &len, (const unsigned char *)binding.at,
			       (int)binding.len) == 1 &&
	     EVP_DecryptUpdate(cipher, plain, &len, at + NONCE + TAG, (int)plain_len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG, at + NONCE) == 1 &&
	     EVP_DecryptFinal_ex(cipher, plain + plain_len, &len) == 1;
	EVP_CIPHER_CTX_free(cipher);
	return ok;
}

enum err secret_decrypt(struct arena *arena, const unsigned char key[CIPHER_KEY],
			struct str binding, struct str cipher_text, struct str *out)
{
	bool has_salt = str_starts(cipher_text, (struct str){ mark, MARK });
	struct str rest = has_salt ? str_from(cipher_text, MARK + SALT) : cipher_text;
	unsigned char own[CIPHER_KEY];
	unsigned char *plain;
	bool ok = true;

	if (rest.len < NONCE + TAG || rest.len > NONCE + TAG + 4 * LIMIT_password)
		return fault(ERR_CORRUPT, "a kept secret is damaged");
	plain = arena_take(arena, rest.len - NONCE - TAG + 16);
	if (has_salt)
		ok = derive(key, (const unsigned char *)cipher_text.at + MARK, own);
	else
		keyed_hash(key, S("kept secrets"), S(""), own);
	ok = ok && open_octets(own, binding, rest, plain);
	explicit_bzero(own, sizeof(own));
	if (!ok)
		return fault(ERR_CORRUPT, "a kept secret is damaged or was kept under another key");
	*out = (struct str){ (char *)plain, rest.len - NONCE - TAG };
	return OK;
}

/* ---- the keys ---- */

void secret_keys_init(struct secret_keys *keys)
{
	*keys = (struct secret_keys){ 0 };
	must(pthread_mutex_init(&keys->lock, NULL) == 0);
}

void secret_keys_done(struct secret_keys *keys)
{
	pthread_mutex_destroy(&keys->lock);
	explicit_bzero(keys->at, sizeof(keys->at));
}

void secret_keys_set(struct secret_keys *keys, const unsigned char key[CIPHER_KEY])
{
	pthread_mutex_lock(&keys->lock);
	memcpy(keys->at[0], key, CIPHER_KEY);
	pthread_mutex_unlock(&keys->lock);
}

void secret_keys_announce(struct secret_keys *keys, const unsigned char next[CIPHER_KEY])
{
	pthread_mutex_lock(&keys->lock);
	memcpy(keys->at[1], next, CIPHER_KEY);
	keys->has_other = true;
	pthread_mutex_unlock(&keys->lock);
}

void secret_keys_turn(struct secret_keys *keys)
{
	unsigned char former[CIPHER_KEY];

	pthread_mutex_lock(&keys->lock);
	memcpy(former, keys->at[0], CIPHER_KEY);
	memcpy(keys->at[0], keys->at[1], CIPHER_KEY);
	memcpy(keys->at[1], former, CIPHER_KEY);
	pthread_mutex_unlock(&keys->lock);
	explicit_bzero(former, sizeof(former));
}

void secret_keys_current(struct secret_keys *keys, unsigned char out[CIPHER_KEY])
{
	pthread_mutex_lock(&keys->lock);
	memcpy(out, keys->at[0], CIPHER_KEY);
	pthread_mutex_unlock(&keys->lock);
}

enum err secret_open(struct secret_keys *keys, struct arena *arena, struct str binding,
		     struct str cipher, struct str *out)
{
	unsigned char both[2][CIPHER_KEY];
	bool has_other;
	enum err err;

	pthread_mutex_lock(&keys->lock);
	memcpy(both, keys->at, sizeof(both));
	has_other = keys->has_other;
	pthread_mutex_unlock(&keys->lock);
	err = secret_decrypt(arena, both[0], binding, cipher, out);
	if (err && has_other)
		err = secret_decrypt(arena, both[1], binding, cipher, out);
	explicit_bzero(both, sizeof(both));
	return err;
}
