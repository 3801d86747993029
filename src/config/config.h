/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * config: what the operator wrote, read once and then never changed. A reload makes a new one;
 * sessions under way keep the one they began with (counted).
 *
 * Invariants
 *  (1) A config that exists is whole and valid: every complaint is made while parsing, as
 *      "file:line: option: what is wrong; what to do".
 *  (2) options.def is the only list of options.
 */
#include "base/base.h"

struct config_list {
	struct str *at;
	size_t count;
};

#define CONFIG_TYPE_TEXT     struct str
#define CONFIG_TYPE_FLAG     bool
#define CONFIG_TYPE_NUMBER   uint64_t
#define CONFIG_TYPE_SIZE     uint64_t
#define CONFIG_TYPE_DURATION int64_t
#define CONFIG_TYPE_LIST     struct config_list

enum protocol { PROTOCOL_SMTP, PROTOCOL_SUBMISSION, PROTOCOL_LMTP, PROTOCOL_POP3, PROTOCOL_HTTP };
enum tls_mode { TLS_MODE_NONE, TLS_MODE_STARTTLS, TLS_MODE_IMPLICIT };
enum auth_mode { AUTH_MODE_NONE, AUTH_MODE_OFFERED, AUTH_MODE_REQUIRED };

/* A network list with exceptions; the first match wins. */
struct config_network {
	struct network network;
	bool allow;
	unsigned line; /* in the file, for the trace */
};
struct config_networks {
	struct config_network *at;
	size_t count;
};

struct config_listener {
	struct str name; /* "mx", "submission" ... */
	unsigned line;
#define LISTENER_OPTION(name, type, preset, min, max, doc) CONFIG_TYPE_##type name;
#include "config/options.def"
	/* The same, understood: */
	enum protocol kind;
	enum tls_mode tls_mode;
	enum auth_mode auth_mode;
	struct config_networks deny; /* the listener's, then the general ones */
	struct config_networks proxy_networks;
	uint16_t real_port; /* after port_base and the protocol's default */
};

struct config {
	unsigned references;
	struct arena arena; /* everything below lies in it */
	struct str file;    /* name, for complaints and traces */
	struct str text;    /* as read: what the roles are given */
#define OPTION(name, type, preset, min, max, doc) CONFIG_TYPE_##type name;
#include "config/options.def"
	struct config_listener *listeners;
	size_t listener_count;
	struct network *exempt;
	size_t exempt_count;
	struct config_networks monitors; /* `web_metrics`, understood */
	struct addr
		*resolvers; /* of `resolver`; where that is empty, those given by "resolv_conf" */
	size_t resolver_count;
	unsigned line_of
		[128]; /* where each option was set, in the order of options.def; 0: default */
};

/*
 * Parse. `overrides` ("name=value", and "port_base=N" which moves every listener to N + its well-known
 * port) come from the command line and win; "resolv_conf=ADDRESS:PORT", any number of times, is a DNS server that the
 * supervisor has found for who has set no `resolver`. On ERR_CONFIG `complaints` holds one line per mistake.
 */
[[nodiscard]] enum err config_parse(struct str text, struct str file, const struct str *overrides,
				    size_t override_count, struct buf *complaints,
				    struct config **out);
[[nodiscard]] enum err config_read_file(const char *path, const struct str *overrides,
					size_t override_count, struct buf *complaints,
					struct config **out);
struct config *config_ref(struct config *config);
void config_unref(struct config **config);
const struct config_listener *config_listener(const struct config *config, struct str name);
/* Its address number `index` with the real port. A path that does not begin with / lies in `folder`. */
bool config_listener_address(const struct config_listener *listener, size_t index,
			     struct str folder, struct addr *out);
bool config_lists(const struct config_list *list,
		  struct str word); /* is the word in it? case does not matter */
/* Is any mechanism with channel binding (-PLUS) among the listener's? Where none is, a client that could
 * bind and says so (rfc5802 7, flag "y") is right, and must not be taken for one under attack. */
bool listener_binds_channels(const struct config_listener *listener);
bool listener_without(const struct config_listener *listener, const char *extension);
/* The rule that matches, or NULL. */
const struct config_network *config_network_match(const struct config_networks *networks,
						  const struct addr *peer);
/* connections_exempt; and UNIX sockets, which have file permissions. */
bool config_is_exempt(const struct config *config, const struct addr *peer);
/*
 * The next option, from number *at of options.def on, that is another one in `fresh` and counts from the next start only;
 * NULL: no more. *at begins with 0.
 */
const char *config_next_waiting(const struct config *old, const struct config *fresh, size_t *at);
/* "glasspost.conf:31" for an option's name, or "default". */
struct str config_origin(const struct config *config, struct arena *arena, const char *option);

/* The commented file for `glasspost init`; docs/configuration.md; the manual; effective values with origin, as JSON. */
enum err config_write_default(struct str hostname, struct buf *out);
enum err config_markdown(struct buf *out);
enum err config_manual(struct buf *out); /* glasspost.conf(5), mdoc */
enum err config_json(const struct config *config, struct buf *out);
