/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over any stream: OpenSSL reads and writes through a BIO that never waits. */
#include "net/conn.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum err tls_fault(const char *what)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	ERR_clear_error();
	return fault(ERR_TLS, "%s: %s", what, reason ? reason : "no reason given");
}

/* ---- the BIO: its data is the struct tls_half, whose stream lies in its app data ---- */

struct bio_place {
	struct tls_half *tls;
	struct stream *stream;
};

static int bio_read(BIO *bio, char *at, size_t room, size_t *out)
{
	struct bio_place *place = BIO_get_data(bio);
	enum err err;

	BIO_clear_retry_flags(bio);
	*out = 0;
	if (room == 0)
		return 0;
	err = stream_try_read(place->stream, at, room, out);
	if (err == ERR_AGAIN)
		BIO_set_retry_read(bio);
	else if (err)
		place->tls->stream_err = err;
	return err == OK;
}

static int bio_write(BIO *bio, const char *at, size_t len, size_t *out)
{
	struct bio_place *place = BIO_get_data(bio);
	enum err err;

	BIO_clear_retry_flags(bio);
	*out = 0;
	err = stream_try_write(place->stream, (struct str){ at, len }, out);
	if (*out > 0)
		return 1;
	if (err == ERR_AGAIN)
		BIO_set_retry_write(bio);
	else if (err)
		place->tls->stream_err = err;
	return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int bio_free(BIO *bio)
{
	free(BIO_get_data(bio));
	BIO_set_data(bio, NULL);
	return 1;
}

static BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	must(method && BIO_meth_set_read_ex(method, bio_read) &&
	     BIO_meth_set_write_ex(method, bio_write) && BIO_meth_set_ctrl(method, bio_ctrl) &&
	     BIO_meth_set_destroy(method, bio_free));
	return method;
}

/* ---- one connection's half ---- */

enum err tls_half_new(struct tls_context *context, struct stream *stream, bool is_server,
		      struct tls_half **out)
{
	struct tls_half *tls = calloc(1, sizeof(*tls));
	struct bio_place *place = calloc(1, sizeof(*place));
	BIO *bio = BIO_new(bio_method());

	must(tls && place && bio);
	*place = (struct bio_place){ tls, stream };
	BIO_set_data(bio, place);
	BIO_set_init(bio, 1);
	tls->context = tls_context_ref(context);
	tls->ssl = SSL_new(tls_context_ssl(context));
	must(tls->ssl);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	if (is_server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	*out = tls;
	return OK;
}

void tls_half_drop(struct tls_half **tls)
{
	if (!*tls)
		return;
	SSL_free((*tls)->ssl);
	free((char *)(uintptr_t)(*tls)->session_key.at);
	tls_context_unref(&(*tls)->context);
	free(*tls);
	*tls = NULL;
}

/* ---- whom a client speaks with ---- */

static bool is_address(struct str name)
{
	struct addr address;

	return addr_parse_ip(name, &address);
}

/* A name of the list suffices (rfc6125 6.4: no wild card in a part of a label). */
static bool expect_names(SSL *ssl, const struct tls_target *target, struct arena *arena)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < target->name_count; i++) {
		const char *name = str_dup_c(arena, target->names[i]);

		if (is_address(target->names[i]) ? X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1
						 : SSL_add1_host(ssl, name) != 1)
			return false;
	}
	return true;
}

/* Of its own memory. */
static struct str kept_copy(struct str text)
{
	char *copy = malloc(text.len);

	must(copy);
	memcpy(copy, text.at, text.len);
	return (struct str){ copy, text.len };
}

enum err tls_half_aim(struct tls_half *tls, const struct tls_target *target)
{
	struct arena arena = { 0 };
	SSL_SESSION *known = NULL;
	bool ok = true;

	if (target->server_name.len && !is_address(target->server_name))
		ok = SSL_set_tlsext_host_name(tls->ssl, str_dup_c(&arena, target->server_name));
	ok = ok && expect_names(tls->ssl, target, &arena);
	if (ok && target->sessions && target->session_key.len) {
		tls->sessions = target->sessions;
		tls->session_key = kept_copy(target->session_key);
		known = tls_sessions_find(tls->sessions, tls->session_key);
	}
	if (known)
		ok = SSL_set_session(tls->ssl, known) == 1;
	arena_drop(&arena);
	return ok ? OK : tls_fault("server name");
}

void tls_half_disappoint(struct tls_half *tls)
{
	if (tls->sessions)
		tls_sessions_forget(tls->sessions, tls->session_key);
}

/* Why the other side's certificate was refused says more than that it was. */
static enum err handshake_fault(struct tls_half *tls, const char *what)
{
	long verdict = SSL_get_verify_result(tls->ssl);

	if (SSL_is_server(tls->ssl) || verdict == X509_V_OK ||
	    !(SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER) || SSL_is_init_finished(tls->ssl))
		return tls_fault(what);
	ERR_clear_error();
	return fault(ERR_TLS, "certificate: %s", X509_verify_cert_error_string(verdict));
}

/* What an operation's failure means, and what to wait for. */
static enum err tls_outcome(struct tls_half *tls, int result, const char *what)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		tls->wants = READABLE;
		return ERR_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		tls->wants = WRITABLE;
		return ERR_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return ERR_CLOSED;
	default:
		tls->is_broken = true;
		if (tls->stream_err) {
			ERR_clear_error();
			return tls->stream_err;
		}
		return handshake_fault(tls, what);
	}
}

enum err tls_try_read(struct tls_half *tls, void *at, size_t room, size_t *out)
{
	int result;

	ERR_clear_error();
	tls->stream_err = OK;
	tls->wants = 0;
	result = SSL_read_ex(tls->ssl, at, room, out);
	return result == 1 ? OK : tls_outcome(tls, result, "reading");
}

enum err tls_try_write(struct tls_half *tls, struct str octets, size_t *out)
{
	int result;

	*out = 0;
	if (octets.len == 0)
		return OK;
	ERR_clear_error();
	tls->stream_err = OK;
	tls->wants = 0;
	result = SSL_write_ex(tls->ssl, octets.at, octets.len, out);
	return result == 1 ? OK : tls_outcome(tls, result, "writing");
}

static void note_session(struct tls_half *tls)
{
	const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
	int group = (int)SSL_get_negotiated_group(tls->ssl);

	tls->info.version = SSL_get_version(tls->ssl);
	tls->info.cipher = SSL_get_cipher_name(tls->ssl);
	tls->info.group = group ? SSL_group_to_name(tls->ssl, group) : "";
	if (!tls->info.group)
		tls->info.group = "";
	tls->info.resumed = SSL_session_reused(tls->ssl);
	if (name)
		memcpy(tls->info.server_name, name,
		       strnlen(name, sizeof(tls->info.server_name) - 1));
}

enum err tls_try_handshake(struct tls_half *tls)
{
	int result;

	ERR_clear_error();
	tls->stream_err = OK;
	tls->wants = 0;
	result = SSL_do_handshake(tls->ssl);
	if (result != 1)
		return tls_outcome(tls, result, "TLS handshake");
	note_session(tls);
	return OK;
}

/* close_notify, as far as it goes without waiting: nobody waits for an answer to it. */
void tls_shut(struct tls_half *tls)
{
	if (tls->is_broken || !SSL_is_init_finished(tls->ssl))
		return;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

/* rfc5929 3: the first Finished message of the handshake; the server's when it was resumed. */
static size_t tls_unique(SSL *ssl, bool is_server, unsigned char data[64])
{
	if (SSL_session_reused(ssl) && !SSL_get_extms_support(ssl))
		return 0; /* rfc7627: without it another handshake could share the value */
	return is_server != (bool)SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, data, 64)
							  : SSL_get_finished(ssl, data, 64);
}

bool conn_channel_binding(struct conn *conn, const char **type, unsigned char data[64], size_t *len)
{
	static const char label[] = "EXPORTER-Channel-Binding"; /* rfc9266 2 */
	SSL *ssl;

	if (!conn_is_tls(conn))
		return false;
	ssl = conn->tls->ssl;
	if (SSL_version(ssl) >= TLS1_3_VERSION) {
		*type = "tls-exporter";
		*len = 32;
		return SSL_export_keying_material(ssl, data, 32, label, sizeof(label) - 1, NULL, 0,
						  1) == 1;
	}
	*type = "tls-unique";
	*len = tls_unique(ssl, SSL_is_server(ssl), data);
	return *len > 0;
}
