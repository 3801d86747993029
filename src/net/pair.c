/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pair_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { LONG_MS = 60'000 };

static struct str pem_of(BIO *bio)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	return (struct str){ at, (size_t)len };
}

struct tls_context *pair_certificate(enum tls_age age)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	BIO *chain_pem = BIO_new(BIO_s_mem());
	BIO *key_pem = BIO_new(BIO_s_mem());
	struct tls_context *out = NULL;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)"mx.here.example", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	must(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(chain_pem, certificate);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	must(tls_context_new(pem_of(chain_pem), pem_of(key_pem), age, "smtp", &out) == OK);
	BIO_free(chain_pem);
	BIO_free(key_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return out;
}

struct playing {
	struct pair pair;
	void (*test)(struct pair *pair);
};

static void client_handshake(void *arg) WAITS
{
	struct pair *pair = arg;

	/* Its outcome shows at the server. */
	if (conn_start_tls_client(pair->client, pair->client_tls, S("mx.here.example"),
				  in_ms(LONG_MS)) != OK)
		return;
}

enum err pair_tls(struct pair *pair) WAITS
{
	struct fiber_group group;
	enum err err;

	group_init(&group);
	must(fiber_spawn(&group, "client", client_handshake, pair, NULL) == OK);
	err = conn_start_tls(pair->server, pair->server_tls, in_ms(LONG_MS), &pair->discarded);
	if (err)
		conn_shut(pair->server);
	must(group_wait(&group, in_ms(2 * LONG_MS)) == OK);
	return err;
}

static void run(void *arg) WAITS
{
	struct playing *playing = arg;
	struct pair *pair = &playing->pair;
	struct stream *ends[2];

	group_init(&pair->group);
	must(stream_pair(ends) == OK);
	pair->client = conn_new(ends[0]);
	pair->server = conn_new(ends[1]);
	pair->server_tls = pair_certificate(TLS_AGE_CURRENT);
	must(tls_client_context_new(S(""), &pair->client_tls) == OK);
	playing->test(pair);
	group_stop(&pair->group);
	must(group_wait(&pair->group, in_ms(LONG_MS)) == OK);
	conn_drop(&pair->client);
	conn_drop(&pair->server);
	tls_context_unref(&pair->server_tls);
	tls_context_unref(&pair->client_tls);
}

void pair_play(void (*test)(struct pair *pair), bool simulated)
{
	struct world *world = simulated ? world_sim_new(1) : world_real_new();
	struct playing playing = { .test = test };

	must(world_spawn(world, "test", run, &playing) == OK);
	world_run(world);
	world_drop(&world);
}
