/* SPDX-License-Identifier: Apache-2.0 */
/* Clients' certificates: asked for, never required; what one proves is told to who asks. */
#include "net/conn.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { SHA256_OCTETS = 32 };

/* ---- asking ---- */

/* Who is not vouched for goes on: his fingerprint may be listed. That it is so is noted. */
static int on_verify(int is_good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_half *tls = ssl ? SSL_get_app_data(ssl) : NULL;

	if (!is_good && tls)
		tls->is_unproven = true;
	return 1;
}

static enum err add_authorities(SSL_CTX *ssl, struct str authorities)
{
	BIO *bio = BIO_new_mem_buf(authorities.at, (int)authorities.len);
	X509 *certificate;
	enum err err = OK;

	while (!err && bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate) != 1 ||
		    SSL_CTX_add_client_CA(ssl, certificate) != 1)
			err = tls_fault("client_ca");
		X509_free(certificate);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text */
	return err;
}

enum err tls_context_ask_clients(struct tls_context *context, struct str authorities)
{
	SSL_CTX *ssl = tls_context_ssl(context);

	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	/* What was proven is not resumed: it is proven anew. */
	SSL_CTX_set_num_tickets(ssl, 0);
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
	return add_authorities(ssl, authorities);
}

/* ---- telling ---- */

struct names {
	struct arena *arena;
	struct str *at;
	size_t count, room;
};

static void add_name(struct names *names, struct str name)
{
	if (names->count < names->room && name.len > 0 && name.len <= LIMIT_address &&
	    str_is_ascii(name) && str_find(name, 0) == STR_NONE && str_find(name, '\n') == STR_NONE)
		names->at[names->count++] = str_lower(names->arena, name);
}

static struct str asn1_str(const ASN1_STRING *text)
{
	return (struct str){ (const char *)ASN1_STRING_get0_data(text),
			     (size_t)ASN1_STRING_length(text) };
}

static void add_fingerprint(struct names *names, const X509 *certificate)
{
	unsigned char hash[SHA256_OCTETS];
	unsigned len = sizeof(hash);
	OWNED(buf) struct buf text = BUF(2 * SHA256_OCTETS + 1);

	if (X509_digest(certificate, EVP_sha256(), hash, &len) != 1)
		return;
	for (unsigned i = 0; i < len; i++)
		buf_print(&text, "%02x", hash[i]);
	add_name(names, buf_str(&text));
}

/* A host name never stands for an address, nor the other way. */
static bool is_of_its_type(const GENERAL_NAME *name)
{
	bool has_at;

	if (name->type != GEN_EMAIL && name->type != GEN_DNS)
		return false;
	has_at = str_find(asn1_str(name->d.ia5), '@') != STR_NONE;
	return has_at == (name->type == GEN_EMAIL);
}

/* rfc5280 4.2.1.6: mail addresses and host names. */
static void add_alternatives(struct names *names, const X509 *certificate)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (is_of_its_type(name))
			add_name(names, asn1_str(name->d.ia5));
	}
	GENERAL_NAMES_free(all);
}

/* rfc5280 4.1.2.6: the old place of a mail address. */
static void add_subject_addresses(struct names *names, const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = -1;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_pkcs9_emailAddress, at)) >= 0) {
		struct str name =
			asn1_str(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));

		if (str_find(name, '@') != STR_NONE)
			add_name(names, name);
	}
}

size_t conn_certificate_names(const struct conn *conn, struct arena *arena, struct str *out,
			      size_t room)
{
	struct names names = { arena, out, 0, room };
	const X509 *certificate = conn->tls ? SSL_get0_peer_certificate(conn->tls->ssl) : NULL;

	if (!certificate || !SSL_is_server(conn->tls->ssl))
		return 0;
	add_fingerprint(&names, certificate);
	if (!conn->tls->is_unproven && SSL_get_verify_result(conn->tls->ssl) == X509_V_OK) {
		add_alternatives(&names, certificate);
		add_subject_addresses(&names, certificate);
	}
	return names.count;
}

bool conn_certificate_subject(const struct conn *conn, char *text, size_t room)
{
	const X509 *certificate = conn->tls ? SSL_get0_peer_certificate(conn->tls->ssl) : NULL;

	text[0] = 0;
	if (!certificate || !SSL_is_server(conn->tls->ssl))
		return false;
	X509_NAME_oneline(X509_get_subject_name(certificate), text, (int)room);
	return true;
}
