/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and the rules of TLS. Everything that OpenSSL reads from files is read here. */
#include "net/conn.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* Ticket keys: the newest makes tickets, the one before still opens them. */
enum { TICKET_KEYS = 2, TICKET_KEY_S = 12 * 3600 };

struct ticket_key {
	unsigned char name[16];
	unsigned char aes[32];
	unsigned char mac[32];
	moment made;
	bool is_set;
};

struct tls_context {
	unsigned references;
	SSL_CTX *ssl;
	char alpn[32];
	struct ticket_key tickets[TICKET_KEYS];
};

SSL_CTX *tls_context_ssl(struct tls_context *context)
{
	return context->ssl;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	if (context)
		context->references++;
	return context;
}

void tls_context_unref(struct tls_context **context)
{
	struct tls_context *c = *context;

	*context = NULL;
	if (!c || --c->references > 0)
		return;
	SSL_CTX_free(c->ssl);
	OPENSSL_cleanse(c->tickets, sizeof(c->tickets));
	free(c);
}

/* ---- session tickets (rfc5077), with keys that do not live for ever ---- */

static bool ticket_key_make(struct ticket_key *key)
{
	key->made = now();
	key->is_set = RAND_bytes(key->name, sizeof(key->name)) == 1 &&
		      RAND_priv_bytes(key->aes, sizeof(key->aes)) == 1 &&
		      RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
	return key->is_set;
}

static const struct ticket_key *ticket_key_newest(struct tls_context *context)
{
	struct ticket_key *newest = &context->tickets[0];

	if (newest->is_set && now() - newest->made < (moment)TICKET_KEY_S * 1'000'000)
		return newest;
	context->tickets[1] = *newest;
	return ticket_key_make(newest) ? newest : NULL;
}

static const struct ticket_key *ticket_key_find(const struct tls_context *context,
						const unsigned char name[16])
{
	for (int i = 0; i < TICKET_KEYS; i++)
		if (context->tickets[i].is_set &&
		    memcmp(context->tickets[i].name, name, sizeof(context->tickets[i].name)) == 0)
			return &context->tickets[i];
	return NULL;
}

static bool ticket_mac_init(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac,
						  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* A ticket of TLS 1.3 is good for one resumption (rfc8446 C.4): clients that know so need the next one. */
static bool wants_new_ticket(const SSL *ssl, const struct ticket_key *key)
{
	const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return SSL_version(ssl) >= TLS1_3_VERSION || key != &context->tickets[0];
}

/* 1: used; 2: used, and make a new ticket; 0: unknown key; -1: failed. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int is_new)
{
	struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *key =
		is_new ? ticket_key_newest(context) : ticket_key_find(context, name);

	if (!key)
		return is_new ? -1 : 0;
	if (is_new) {
		memcpy(name, key->name, sizeof(key->name));
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
	}
	if (EVP_CipherInit_ex2(cipher, EVP_aes_256_cbc(), key->aes, iv, is_new, NULL) != 1 ||
	    !ticket_mac_init(mac, key))
		return -1;
	return !is_new && wants_new_ticket(ssl, key) ? 2 : 1;
}

/* ---- ALPN: a client that names protocols must name ours (a web page cannot talk to us) ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls_context *context = arg;
	struct str wanted = str_of(context->alpn);
	struct scan scan = scan_of((struct str){ (const char *)in, in_len });

	(void)ssl;
	while (!scan_at_end(&scan)) {
		size_t len = (unsigned char)*scan.at++;
		struct str name = str_first(scan_rest(&scan), len);

		if (str_is(name, wanted)) {
			*out = (const unsigned char *)name.at;
			*out_len = (unsigned char)name.len;
			return SSL_TLSEXT_ERR_OK;
		}
		scan.at += name.len;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- making contexts ---- */

static enum err use_chain(SSL_CTX *ssl, struct str chain)
{
	BIO *bio = BIO_new_mem_buf(chain.at, (int)chain.len);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	enum err err = OK;

	if (!certificate || SSL_CTX_use_certificate(ssl, certificate) != 1)
		err = tls_fault("certificate");
	X509_free(certificate);
	while (!err && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (SSL_CTX_add0_chain_cert(ssl, certificate) != 1) {
			X509_free(certificate);
			err = tls_fault("certificate chain");
		}
	}
	BIO_free(bio);
	return err;
}

/* A key with a passphrase cannot be used by a daemon: nobody is there to type it. */
static int no_passphrase(char *at, int size, int is_new, void *arg)
{
	(void)at;
	(void)size;
	(void)is_new;
	(void)arg;
	return -1;
}

static enum err use_key(SSL_CTX *ssl, struct str key)
{
	BIO *bio = BIO_new_mem_buf(key.at, (int)key.len);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	enum err err = OK;

	if (!pkey)
		err = tls_fault("private key");
	else if (SSL_CTX_use_PrivateKey(ssl, pkey) != 1 || SSL_CTX_check_private_key(ssl) != 1)
		err = tls_fault("private key and certificate");
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return err;
}

static enum err set_rules(SSL_CTX *ssl, enum tls_age age)
{
	/* First the one that every client has (rfc8446 9.1), which is also the cheapest (docs/performance.md). */
	static const char suites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
				     "TLS_CHACHA20_POLY1305_SHA256";
	static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
	static const char ciphers_old[] =
		"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AES:@SECLEVEL=0";
	static const int oldest[] = {
		[TLS_AGE_CURRENT] = TLS1_2_VERSION,
		[TLS_AGE_NEW] = TLS1_3_VERSION,
		[TLS_AGE_OLD] = TLS1_VERSION,
	};

	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_max_early_data(ssl, 0); /* early data may be replayed; mail must not be */
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	if (SSL_CTX_set_min_proto_version(ssl, oldest[age]) != 1 ||
	    SSL_CTX_set_ciphersuites(ssl, suites) != 1 ||
	    SSL_CTX_set_cipher_list(ssl, age == TLS_AGE_OLD ? ciphers_old : ciphers) != 1 ||
	    SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") != 1)
		return tls_fault("TLS rules");
	return OK;
}

/* Without openssl.cnf: a sandboxed role cannot read it, and the rules of TLS are ours. */
static void library_init(void)
{
	must(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1);
}

void tls_prepare(void)
{
	unsigned char octets[16];
	SSL_CTX *ssl;

	library_init();
	ssl = SSL_CTX_new(TLS_server_method());
	must(ssl && RAND_bytes(octets, sizeof(octets)) == 1);
	SSL_CTX_free(ssl);
}

static struct tls_context *context_new(bool is_server)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	must(context);
	library_init();
	context->references = 1;
	context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	must(context->ssl);
	SSL_CTX_set_app_data(context->ssl, context);
	return context;
}

enum err tls_context_new(struct str chain, struct str key, enum tls_age age, const char *alpn,
			 struct tls_context **out)
{
	static const unsigned char session_context[] = "glasspost";
	struct tls_context *context = context_new(true);
	enum err err = set_rules(context->ssl, age);

	if (!err)
		err = use_chain(context->ssl, chain);
	if (!err)
		err = use_key(context->ssl, key);
	if (err) {
		tls_context_unref(&context);
		return err;
	}
	memcpy(context->alpn, alpn, strnlen(alpn, sizeof(context->alpn) - 1));
	SSL_CTX_set_alpn_select_cb(context->ssl, on_alpn, context);
	SSL_CTX_set_session_id_context(context->ssl, session_context, sizeof(session_context) - 1);
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ssl, on_ticket);
	*out = context;
	return OK;
}

static enum err trust(SSL_CTX *ssl, struct str roots)
{
	BIO *bio = BIO_new_mem_buf(roots.at, (int)roots.len);
	X509 *certificate;
	size_t count = 0;
	enum err err = OK;

	while (!err && bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate) != 1)
			err = tls_fault("trusted certificate");
		X509_free(certificate);
		count++;
	}
	BIO_free(bio);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return err || count ? err : tls_fault("trusted certificates");
}

/* Kept where the connection says; without a place it goes again. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_half *tls = SSL_get_app_data(ssl);

	if (!tls || !tls->sessions)
		return 0;
	tls_sessions_keep(tls->sessions, tls->session_key, session);
	return 1;
}

enum err tls_client_context_new(struct str roots, struct tls_context **out)
{
	struct tls_context *context = context_new(false);
	enum err err = set_rules(context->ssl, TLS_AGE_CURRENT);

	SSL_CTX_set_session_cache_mode(context->ssl,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context->ssl, on_new_session);
	if (!err && roots.len > 0)
		err = trust(context->ssl, roots);
	if (err) {
		tls_context_unref(&context);
		return err;
	}
	*out = context;
	return OK;
}
