/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * net: a connection as protocols want it: lines and octets, in the clear or under TLS, over any
 * stream (real or simulated); the PROXY header in front of it; and caps on who may connect.
 *
 * Invariants
 *  (1) What we write leaves when the session next waits for the client, in one go (pipelining,
 *      rfc2920 3.1), or at conn_flush. At most CONN_OUTPUT_MAX octets gather; then writing waits.
 *  (2) An idle connection holds no buffers: they go back while it waits with nothing half-read.
 *  (3) At conn_start_tls every octet read in the clear and not yet taken is thrown away
 *      (rfc3207 6: nothing sent before the handshake is ever executed), and *discarded says how many.
 *  (4) A peer that stops reading cannot make us hold more than CONN_OUTPUT_MAX octets.
 *  (5) What a session has taken and called a secret (conn_wipe) is nowhere in the connection any more: not where it lay,
 *      not where it lay before a buffer grew, and under TLS not in the record that it came in.
 *  (6) Once writing has failed for good, or a handshake has failed, nothing more leaves: every write says so.
 */
#include "fiber/fiber.h"

enum { CONN_OUTPUT_MAX = 65536, CONN_INPUT_MAX = 65536 };

struct conn;

/* Takes the stream. The peer's address is the stream's until a PROXY header says otherwise. */
struct conn *conn_new(struct stream *stream);
void conn_drop(struct conn **conn); /* closes; what was not flushed is lost */

/* ---- reading ---- */

enum line_rule {
	LINE_CRLF_ONLY, /* a bare LF is no line end: it stays in the line, for the grammar to refuse */
	LINE_LF_TOO     /* LF alone ends a line as well */
};
/*
 * The next line without its end, valid until the next call on this conn. ERR_LIMIT when it is longer
 * than max with its end: the rest of that line is skipped by the next conn_read_line. ERR_TIMEOUT,
 * ERR_CLOSED, ERR_RESET, ERR_STOPPED, ERR_TLS.
 */
enum err conn_read_line(struct conn *conn, size_t max, enum line_rule rule, moment deadline,
			struct str *out) WAITS;
/* At least one octet more than conn_input shows, or an error. */
enum err conn_fill(struct conn *conn, moment deadline) WAITS;
/* The same without a wait: ERR_AGAIN where nothing has come. */
enum err conn_fill_now(struct conn *conn);
/* What was read and not taken yet; valid until the next call that waits or takes. */
struct str conn_input(const struct conn *conn);
void conn_take(struct conn *conn, size_t count);
/* What was taken was a secret: it is overwritten. What conn_read_line or conn_input gave is gone; what was not taken stays. */
void conn_wipe(struct conn *conn);
/* Does it wait in conn_read_line with nothing half-read? Such a session may be told to go at any moment. */
bool conn_is_idle(const struct conn *conn);

/* ---- writing ---- */

enum err conn_write(struct conn *conn, struct str octets, moment deadline) WAITS;
enum err conn_flush(struct conn *conn, moment deadline) WAITS;
/* Octets that were written and have not left. */
uint64_t conn_unsent(const struct conn *conn);
/*
 * The peer has said that it goes and nothing came behind: what is flushed from now on may leave together with
 * the end, at conn_drop (which says close_notify under TLS), with neither conn_shut nor conn_linger. False: it
 * needs them.
 */
bool conn_hold(struct conn *conn);
void conn_shut(
	struct conn *conn); /* tells the peer that nothing more comes (TLS close_notify, FIN) */
/*
 * After conn_shut, before conn_drop: closing with octets of the peer unread makes the kernel send a reset,
 * which may overtake our last reply. So they are read and thrown away, until the peer closes too, for two
 * seconds and a MiB at most.
 */
void conn_linger(struct conn *conn) WAITS;

/* Why a session ended, for its close event: "peer-closed", "cut", "timeout", "stopping", "tls" ...; OK: "quit". */
const char *conn_close_reason(enum err err);
/* Why a handshake failed, for its tls event: never empty. */
const char *conn_tls_failure(enum err err);

/* ---- who and how much ---- */

const struct addr *conn_peer(const struct conn *conn);
const struct addr *conn_local(const struct conn *conn);
const struct addr *conn_via(const struct conn *conn); /* the proxy, family ADDR_NONE without one */
uint64_t conn_octets_in(const struct conn *conn);
uint64_t conn_octets_out(const struct conn *conn);

/*
 * Read a PROXY header (version 1 or 2, HAProxy's proxy-protocol.txt) and take its addresses. Not an octet more is
 * read: what follows may be the beginning of TLS. Only called for connections from listed proxies, before
 * anything else. ERR_PROTOCOL when there is none or it is not well formed.
 */
enum err conn_read_proxy(struct conn *conn, moment deadline) WAITS;
/* The pure part, for tests and fuzzing: OK with *used octets taken; ERR_AGAIN: it has *used octets at least;
   ERR_PROTOCOL. */
struct proxy_header {
	bool is_local; /* the proxy's own health check: keep the connection's addresses */
	struct addr from, to;
};
enum err proxy_parse(struct str octets, struct proxy_header *out, size_t *used);

/* ---- TLS (OpenSSL) ---- */

struct tls_context; /* a certificate and the rules; shared by all connections, counted */

enum tls_age {
	TLS_AGE_CURRENT, /* 1.2 and newer */
	TLS_AGE_NEW,     /* 1.3 and newer */
	TLS_AGE_OLD      /* 1.0 and newer, for an MX that wants it */
};

/* Makes OpenSSL load what it loads lazily: before a sandbox, while files can still be read. */
void tls_prepare(void);
/* PEM text; ERR_TLS with a fault that says what is wrong with it. `alpn`: "smtp", "pop3": another is refused. */
[[nodiscard]] enum err tls_context_new(struct str chain, struct str key, enum tls_age age,
				       const char *alpn, struct tls_context **out);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context);
/* For tests and the client side: trusts `roots` (PEM) or, when empty, anything. */
[[nodiscard]] enum err tls_client_context_new(struct str roots, struct tls_context **out);

/*
 * Ask clients for a certificate from now on; they may have none. `authorities` (PEM, may be empty): they
 * vouch for its names. ERR_TLS.
 */
[[nodiscard]] enum err tls_context_ask_clients(struct tls_context *context, struct str authorities);

struct tls_info {
	const char *version; /* "TLSv1.3"; NULL: no TLS */
	const char *cipher;
	const char *group;
	char server_name[256]; /* SNI; "" */
	bool resumed;
	int64_t us; /* of the handshake */
};

/* Server handshake. ERR_TLS with the reason in the fault. *discarded: see invariant (3). */
enum err conn_start_tls(struct conn *conn, struct tls_context *context, moment deadline,
			size_t *discarded) WAITS;
/* Client handshake, for tests, the wire runner and the relay. */
enum err conn_start_tls_client(struct conn *conn, struct tls_context *context,
			       struct str server_name, moment deadline) WAITS;
/*
 * Sessions with others that can be resumed: at most so many, the longest unused go first. What was agreed on with
 * a certificate that was judged must not be kept under the key of one that was not.
 */
struct tls_sessions;
struct tls_sessions *tls_sessions_new(size_t most);
void tls_sessions_drop(struct tls_sessions **sessions);
/* With whom: the client handshake to a server of which more is known, or wanted, than its name. */
struct tls_target {
	struct str server_name; /* SNI; an address is not sent */
	/* With a context that judges: the certificate has to be for one of these: a name, .domain for any name in it, or
	   an address. */
	const struct str *names;
	size_t name_count;
	struct tls_sessions *sessions; /* NULL: none is resumed; outlives the conn */
	struct str session_key;
};
enum err conn_start_tls_to(struct conn *conn, struct tls_context *context,
			   const struct tls_target *target, moment deadline) WAITS;
/* From the end of the handshake on, whatever becomes of the connection. */
bool conn_is_tls(const struct conn *conn);
const struct tls_info *conn_tls(const struct conn *conn);
/*
 * What the client's certificate proves, in lower case: its SHA-256 fingerprint in hexadecimal; and where an
 * authority vouches for it the mail addresses and host names in it. 0: it showed none, or was not asked.
 */
size_t conn_certificate_names(const struct conn *conn, struct arena *arena, struct str *out,
			      size_t room);
/* Its subject, for people: whatever it says. false: there is no certificate. */
bool conn_certificate_subject(const struct conn *conn, char *text, size_t room);
/* Channel binding data (rfc9266 tls-exporter, rfc5929 tls-unique for TLS 1.2); false when there is none. */
bool conn_channel_binding(struct conn *conn, const char **type, unsigned char data[64],
			  size_t *len);

/*
 * Carries octets both ways between a connection and a stream, for a library behind it that knows nothing of TLS. Ends
 * with the stream's other end, with a failure, when the peer has taken nothing for a minute, or when the calling fiber is stopped (as which it may count from then
 * on). Closes neither.
 */
void conn_splice(struct conn *conn, struct stream *stream) WAITS;

/* ---- caps per address ---- */

struct caps_limits {
	unsigned open_per_group; /* connections open from one address (IPv6: one /64) */
	unsigned new_per_minute; /* connections begun in the last minute */
	unsigned open_in_all;
	uint64_t
		octets_in_all; /* of messages under way; one address may hold a quarter; 0: no bound */
	struct network *exempt; /* never counted: loopback, trusted networks */
	size_t exempt_count;
};
struct caps;
struct caps *caps_new(
	const struct caps_limits *limits); /* copies; memory is bounded whatever comes */
void caps_drop(struct caps **caps);
void caps_set(struct caps *caps, const struct caps_limits *limits);
/* NULL: come in (pair it with caps_leave). Else the name of the cap that was reached. */
const char *caps_enter(struct caps *caps, const struct addr *peer);
void caps_leave(struct caps *caps, const struct addr *peer);
/* So many more octets in memory for this peer? False: no, and nothing is counted. */
bool caps_hold(struct caps *caps, const struct addr *peer, uint64_t octets);
void caps_let_go(struct caps *caps, const struct addr *peer, uint64_t octets);
/* Misbehaviour remembered for an hour, halving every ten minutes: failed logins, unknown recipients. */
void caps_blame(struct caps *caps, const struct addr *peer, unsigned points);
unsigned caps_blamed(struct caps *caps, const struct addr *peer);

/* ---- lists of networks ---- */

/*
 * Networks in an order, the first that holds an address decides. A look-up costs one binary search for each
 * length of prefix that occurs, however many networks there are. Never changed once made.
 */
struct netlist;
struct netlist *netlist_new(const struct network *at, size_t count);
void netlist_drop(struct netlist **list);
/* The place (0 ...) of the first network that holds the address; NETLIST_NONE: none does, or list is NULL. */
#define NETLIST_NONE SIZE_MAX
size_t netlist_find(const struct netlist *list, const struct addr *addr);
