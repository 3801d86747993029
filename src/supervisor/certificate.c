/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/certificate.h"
#include "net/net.h"
#include "supervisor/file.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum {
	DAY = 86400,
	LIFE_DAYS = 730,
	RENEW_DAYS = 30 /* a self-signed one is made anew so long before its end, at a start */
};

static enum err tls_fault(const char *what)
{
	char reason[160] = "";

	ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
	ERR_clear_error();
	return fault(ERR_TLS, "%s: %s", what, reason);
}

void certificate_drop(struct certificate *certificate)
{
	if (certificate->key.at)
		explicit_bzero(certificate->key.at, certificate->key.room);
	buf_drop(&certificate->key);
	buf_drop(&certificate->chain);
	buf_drop(&certificate->client_ca);
}

/* ---- making ---- */

static bool add_extension(X509 *x509, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = extension && X509_add_ext(x509, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

static bool set_names(X509 *x509, struct str hostname)
{
	X509_NAME *name = X509_get_subject_name(x509);
	struct str common = str_first(hostname, 64); /* rfc5280 A.1: ub-common-name */
	char alternatives[400];

	snprintf(alternatives, sizeof alternatives, "DNS:%.*s%s", STR_ARGS(hostname),
		 str_is(hostname, S("localhost")) ? ",IP:127.0.0.1,IP:::1" : "");
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)common.at, (int)common.len, -1,
					  0) == 1 &&
	       X509_set_issuer_name(x509, name) == 1 &&
	       add_extension(x509, NID_subject_alt_name, alternatives) &&
	       add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x509, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x509, NID_ext_key_usage, "serverAuth");
}

static bool set_serial(X509 *x509)
{
	uint64_t serial = 0;

	return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1 | 1) == 1;
}

static X509 *sign_self(EVP_PKEY *pair, struct str hostname)
{
	X509 *x509 = X509_new();

	/* A clock that is a little behind ours is no reason to refuse it. */
	if (x509 && X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
	    X509_gmtime_adj(X509_getm_notBefore(x509), -3600) &&
	    X509_gmtime_adj(X509_getm_notAfter(x509), (long)LIFE_DAYS * DAY) &&
	    X509_set_pubkey(x509, pair) == 1 && set_names(x509, hostname) &&
	    X509_sign(x509, pair, EVP_sha256()) > 0)
		return x509;
	X509_free(x509);
	return NULL;
}

static enum err take_bio(BIO *bio, struct buf *out)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	buf_reset(out);
	return buf_add(out, (struct str){ at, (size_t)len });
}

static enum err print_pem(EVP_PKEY *pair, X509 *x509, struct certificate *out)
{
	BIO *chain = BIO_new(BIO_s_mem());
	BIO *key = BIO_new(BIO_s_secmem());
	enum err err = ERR_TLS;

	if (chain && key && PEM_write_bio_X509(chain, x509) == 1 &&
	    PEM_write_bio_PKCS8PrivateKey(key, pair, NULL, NULL, 0, NULL, NULL) == 1) {
		err = take_bio(chain, &out->chain);
		if (!err)
			err = take_bio(key, &out->key);
	}
	BIO_free(chain);
	BIO_free(key);
	return err;
}

enum err certificate_make(struct str hostname, struct certificate *out)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x509 = pair ? sign_self(pair, hostname) : NULL;
	enum err err = ERR_TLS;

	if (x509)
		err = print_pem(pair, x509, out);
	if (err)
		err = tls_fault("a self-signed certificate could not be made");
	X509_free(x509);
	EVP_PKEY_free(pair);
	return err;
}

/* ---- checking ---- */

static X509 *first_of_chain(struct str chain)
{
	BIO *bio = BIO_new_mem_buf(chain.at, (int)chain.len);
	X509 *x509 = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return x509;
}

static int no_password(char *at, int room, int writing, void *context)
{
	(void)at;
	(void)room;
	(void)writing;
	(void)context;
	return -1; /* an encrypted key is an error, not a question on the terminal */
}

static EVP_PKEY *private_key(struct str key)
{
	BIO *bio = BIO_new_mem_buf(key.at, (int)key.len);
	EVP_PKEY *pair = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	return pair;
}

static enum err check_pair(const struct certificate *certificate)
{
	X509 *x509 = first_of_chain(buf_str(&certificate->chain));
	EVP_PKEY *pair = private_key(buf_str(&certificate->key));
	enum err err = OK;

	if (!x509)
		err = fault(ERR_TLS, "the file holds no certificate in PEM form");
	else if (!pair)
		err = fault(ERR_TLS, "the key file holds no private key in PEM form without a "
				     "password");
	else if (X509_check_private_key(x509, pair) != 1)
		err = fault(ERR_TLS, "the key does not belong to the certificate");
	ERR_clear_error();
	X509_free(x509);
	EVP_PKEY_free(pair);
	return err;
}

static bool is_fit(const struct certificate *certificate, struct str hostname)
{
	X509 *x509 = first_of_chain(buf_str(&certificate->chain));
	time_t soon = time(NULL) + (time_t)RENEW_DAYS * DAY;
	bool fit = x509 && X509_cmp_time(X509_get0_notAfter(x509), &soon) > 0 &&
		   X509_check_host(x509, hostname.at, hostname.len, 0, NULL) == 1 &&
		   check_pair(certificate) == OK;

	X509_free(x509);
	return fit;
}

/* ---- loading ---- */

static enum err load_configured(const char *folder, const struct config *config,
				struct certificate *out)
{
	char *path = file_path(folder, config->certificate);
	char *key_path = file_path(folder, config->certificate_key);
	enum err err = file_read_whole(path, &out->chain);

	if (!err)
		err = file_read_whole(key_path, &out->key);
	if (!err)
		err = check_pair(out);
	free(path);
	free(key_path);
	return err;
}

static enum err load_self_signed(const char *folder, struct str hostname, struct certificate *out)
{
	char *directory = file_path(folder, S("tls"));
	char *chain = file_path(folder, S("tls/self-signed.pem"));
	char *key = file_path(folder, S("tls/self-signed.key"));
	enum err err = file_make_folder(directory, 0700);

	if (!err && !(file_read_whole(chain, &out->chain) == OK &&
		      file_read_whole(key, &out->key) == OK && is_fit(out, hostname))) {
		err = certificate_make(hostname, out);
		if (!err)
			err = file_write_whole(key, buf_str(&out->key), 0600);
		if (!err)
			err = file_write_whole(chain, buf_str(&out->chain), 0644);
	}
	free(directory);
	free(chain);
	free(key);
	return err;
}

static enum err load_client_ca(const char *folder, struct str name, struct certificate *out)
{
	char *path = file_path(folder, name);
	enum err err = file_read_whole(path, &out->client_ca);
	X509 *first = err ? NULL : first_of_chain(buf_str(&out->client_ca));

	if (!err && !first)
		err = fault(ERR_TLS, "client_ca: %s holds no certificate in PEM form", path);
	ERR_clear_error();
	X509_free(first);
	free(path);
	return err;
}

/*
 * OpenSSL has rules of its own (how long a key must be, how it was signed), and no role may find out only when it
 * has nothing else to serve with. They are laxer where old clients are served.
 */
static enum err try_listener(const struct config_listener *listener,
			     const struct certificate *certificate)
{
	bool is_old = listener->kind != PROTOCOL_HTTP && str_is(listener->tls_versions, S("old"));
	struct tls_context *tls = NULL;
	char detail[FAULT_TEXT_MAX];
	enum err err;

	if (listener->tls_mode == TLS_MODE_NONE)
		return OK;
	err = tls_context_new(buf_str(&certificate->chain), buf_str(&certificate->key),
			      is_old ? TLS_AGE_OLD : TLS_AGE_CURRENT, "smtp", &tls);
	if (!err && listener->client_certificates)
		err = tls_context_ask_clients(tls, buf_str(&certificate->client_ca));
	if (!err) {
		tls_context_unref(&tls);
		return OK;
	}
	snprintf(detail, sizeof detail, "%s", fault_text());
	tls_context_unref(&tls);
	return fault(err, "listener %.*s cannot use it: %s", STR_ARGS(listener->name), detail);
}

static enum err try_listeners(const struct config *config, const struct certificate *certificate)
{
	enum err err = OK;

	for (size_t i = 0; i < config->listener_count && !err; i++)
		err = try_listener(&config->listeners[i], certificate);
	return err;
}

enum err certificate_load(const char *folder, const struct config *config, struct certificate *out)
{
	enum err err = OK;

	if (config->client_ca.len > 0)
		err = load_client_ca(folder, config->client_ca, out);
	if (err)
		return err;
	if (config->certificate.len > 0)
		err = load_configured(folder, config, out);
	else
		err = load_self_signed(folder, config->hostname, out);
	return err ? err : try_listeners(config, out);
}
