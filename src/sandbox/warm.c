/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libraries would load or open at their first use, used once while that is still possible. Each
 * of these reads a file, or a device, that no role may open later.
 */
#include "sandbox/sandbox.h"

#include <dlfcn.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>

/* With TZ set, localtime does not look again whether /etc/localtime has changed. */
static void warm_time(void)
{
	time_t then = 0;
	struct tm tm;

	setenv("TZ", ":/etc/localtime", 0);
	tzset();
	(void)localtime_r(&then, &tm);
}

/* Its configuration, error texts, algorithms and generator. */
static void warm_openssl(void)
{
	static const char *const digests[] = { "SHA1", "SHA256", "SHA384", "SHA512", "MD5" };
	unsigned char octet;
	SSL_CTX *context;

	(void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL);
	for (size_t i = 0; i < COUNT_OF(digests); i++)
		EVP_MD_free(EVP_MD_fetch(NULL, digests[i], NULL));
	(void)RAND_bytes(&octet, 1);
	(void)RAND_priv_bytes(&octet, 1);
	context = SSL_CTX_new(TLS_method());
	SSL_CTX_free(context);
	ERR_clear_error();
}

void sandbox_warm_up(void)
{
	unsigned char octet;

	/* pthread_exit, which argon2's threads end with, loads it; never closed. */
	(void)dlopen("libgcc_s.so.1", RTLD_NOW);
	warm_time();
	warm_openssl();
	json_object_seed(0); /* against chosen keys; takes its seed from /dev/urandom */
	if (sqlite3_initialize() == SQLITE_OK)
		sqlite3_randomness(sizeof(octet), &octet);
}
