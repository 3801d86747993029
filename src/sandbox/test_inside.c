/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/test_inside.h"
#include "fiber/fiber.h"

#include <argon2.h>
#include <fcntl.h>
#include <gsasl.h>
#include <iconv.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

static void use_openssl(void)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	SSL *ssl;

	check(context && key);
	ssl = SSL_new(context);
	check(ssl);
	SSL_set_connect_state(ssl);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	check(SSL_do_handshake(ssl) < 0); /* a ClientHello was made */
	check(EVP_Digest("x", 1, digest, &len, EVP_sha256(), NULL) == 1 && len == 32);
	check(PKCS5_PBKDF2_HMAC("p", 1, digest, 16, 4096, EVP_sha1(), 20, digest) == 1);
	SSL_free(ssl);
	SSL_CTX_free(context);
	EVP_PKEY_free(key);
}

static void use_gsasl(void)
{
	Gsasl *gsasl = NULL;
	Gsasl_session *session = NULL;
	char *out = NULL;
	size_t len;

	check(gsasl_init(&gsasl) == GSASL_OK);
	check(gsasl_client_start(gsasl, "SCRAM-SHA-256", &session) == GSASL_OK);
	gsasl_property_set(session, GSASL_AUTHID, "user");
	gsasl_property_set(session, GSASL_PASSWORD, "pencil");
	check(gsasl_step(session, "", 0, &out, &len) == GSASL_NEEDS_MORE);
	gsasl_free(out);
	gsasl_finish(session);
	gsasl_done(gsasl);
}

static void use_argon2(void)
{
	char encoded[128];

	check(argon2id_hash_encoded(2, 1024, 2, "pw", 2, "saltsalt", 8, 16, encoded,
				    sizeof(encoded)) == ARGON2_OK); /* two lanes: two threads */
	check(argon2id_verify(encoded, "pw", 2) == ARGON2_OK);
}

static void use_jansson(void)
{
	json_t *value = json_loads("{\"a\":[1,2.5,\"x\"]}", 0, NULL);
	char *text;

	check(value);
	text = json_dumps(value, JSON_COMPACT);
	check(text && strcmp(text, "{\"a\":[1,2.5,\"x\"]}") == 0);
	free(text);
	json_decref(value);
}

static void use_iconv(void)
{
	iconv_t how = iconv_open("UTF-8", "KOI8-R"); /* loaded before, as charset_prepare does */
	char in[] = "\xf0", out[8];
	char *from = in, *to = out;
	size_t in_left = 1, out_left = sizeof(out);

	check(how != (iconv_t)-1);
	check(iconv(how, &from, &in_left, &to, &out_left) == 0);
	check(memcmp(out, "\xd0\x9f", 2) == 0);
	iconv_close(how);
}

static void use_time(void)
{
	time_t at = 1700000000;
	struct tm *tm = localtime(&at);
	char text[80];

	check(tm && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S %z", tm) > 20);
}

static void *add_one(void *arg)
{
	++*(int *)arg;
	return NULL;
}

static void use_system(void)
{
	pthread_t thread;
	int number = 0;
	char octet;
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	check(fd >= 0 && write(fd, "octets", 6) == 6);
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
	check(mmap(NULL, 6, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	check(close(fd) == 0);
	check(pthread_create(&thread, NULL, add_one, &number) == 0);
	check(pthread_join(thread, NULL) == 0 && number == 1);
	check(isatty(0) || errno != EPERM);
	check(getentropy(&octet, 1) == 0);
	check(open("/etc/hostname", O_RDONLY) < 0); /* refused, and we live */
	free(malloc(10000000));
}

static void offloaded(void *arg)
{
	++*(int *)arg;
}

static void fiber_inside(void *arg) WAITS
{
	check(fiber_sleep(in_ms(5)) == OK);
	offload(OFFLOAD_WORK, offloaded, arg);
	check(id_new() != 0);
}

static void use_fibers(void)
{
	struct world *world = world_real_new();
	int number = 0;

	check(world_spawn(world, "inside", fiber_inside, &number) == OK);
	world_run(world);
	world_drop(&world);
	check(number == 1);
}

void inside_any(void)
{
	use_openssl();
	use_gsasl();
	use_argon2();
	use_jansson();
	use_iconv();
	use_time();
	use_system();
	use_fibers();
}
