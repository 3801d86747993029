/* SPDX-License-Identifier: Apache-2.0 */
#include "stage/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { PEM_MAX = 8192, DAY_S = 86'400 };

static void move_text(BIO *from, struct buf *to)
{
	char *at;
	long len = BIO_get_mem_data(from, &at);

	buf_add(to, (struct str){ at, (size_t)len });
	must(len > 0 && !to->failed);
	BIO_free(from);
}

void certificate_print(const char *host, struct buf *chain, struct buf *key)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	BIO *chain_pem = BIO_new(BIO_s_mem());
	BIO *key_pem = BIO_new(BIO_s_mem());

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1,
				   0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, pair);
	must(X509_sign(certificate, pair, EVP_sha256()) > 0);
	PEM_write_bio_X509(chain_pem, certificate);
	PEM_write_bio_PrivateKey(key_pem, pair, NULL, NULL, 0, NULL, NULL);
	move_text(chain_pem, chain);
	move_text(key_pem, key);
	X509_free(certificate);
	EVP_PKEY_free(pair);
}

struct tls_context *certificate_context(const char *host, enum tls_age age, const char *alpn)
{
	OWNED(buf) struct buf chain = BUF(PEM_MAX);
	OWNED(buf) struct buf key = BUF(PEM_MAX);
	struct tls_context *out = NULL;

	certificate_print(host, &chain, &key);
	must(tls_context_new(buf_str(&chain), buf_str(&key), age, alpn, &out) == OK);
	return out;
}
