/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to net: what a connection holds, and its TLS half. */
#include "net/net.h"

#include <openssl/ssl.h>

struct tls_half {
	SSL *ssl;
	struct tls_context *context;
	enum err stream_err; /* why the stream under the TLS layer failed, when it did */
	unsigned wants;      /* READABLE, WRITABLE: what the last operation waits for */
	bool is_broken;      /* no close_notify after a fatal failure */
	bool is_unproven;    /* the client has a certificate that nobody vouches for */
	struct tls_info info;
	struct tls_sessions *sessions; /* of a client: where sessions go, under this name */
	struct str session_key;        /* in its own allocation */
};

struct proxied {
	struct addr from;
	struct addr to;
	struct addr via;
};

struct conn {
	struct stream *stream;
	struct tls_half *tls;    /* NULL in the clear */
	struct proxied *proxied; /* NULL unless a PROXY header came */
	char *input;             /* NULL while nothing is held */
	size_t input_start, input_end, input_room;
	size_t read_size; /* grows while the peer fills what we offer */
	struct buf output;
	uint64_t octets_in, octets_out;
	enum err lost;   /* why nothing that we say leaves any more; OK: it may */
	bool skips_line; /* the rest of a line that was too long */
	bool skip_saw_cr;
	bool is_idle;
	bool is_held; /* what leaves now leaves with the end */
};

/* What stream_try_read, stream_try_write and stream_wait do, through TLS when it is on. */
enum err conn_try_read(struct conn *conn, void *at, size_t room, size_t *out);
enum err conn_try_write(struct conn *conn, struct str octets, size_t *out);
enum err conn_wait(struct conn *conn, unsigned how, moment deadline) WAITS;

/* The TLS half, of a stream that outlives it. */
enum err tls_try_read(struct tls_half *tls, void *at, size_t room, size_t *out);
enum err tls_try_write(struct tls_half *tls, struct str octets, size_t *out);
void tls_shut(struct tls_half *tls);
void tls_half_drop(struct tls_half **tls);

/* A new SSL of this context, its BIO set to the stream; ERR_TLS. */
enum err tls_half_new(struct tls_context *context, struct stream *stream, bool is_server,
		      struct tls_half **out);
/* One step of the handshake: OK when done, ERR_AGAIN (see wants), or the failure with its fault. */
enum err tls_try_handshake(struct tls_half *tls);
/* A failure of the newest OpenSSL call, with its reason in the fault. */
enum err tls_fault(const char *what);
SSL_CTX *tls_context_ssl(struct tls_context *context);
/* The session stays the table's; NULL: there is none to resume. */
SSL_SESSION *tls_sessions_find(struct tls_sessions *sessions, struct str key);
void tls_sessions_forget(struct tls_sessions *sessions, struct str key);
/* Takes a reference over. */
void tls_sessions_keep(struct tls_sessions *sessions, struct str key, SSL_SESSION *session);
/* Before the handshake: who is meant, and how he may be recognised. */
enum err tls_half_aim(struct tls_half *tls, const struct tls_target *target);
/* The handshake failed: what was to be resumed is not tried again. */
void tls_half_disappoint(struct tls_half *tls);
