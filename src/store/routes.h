/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * routes: which way mail for a destination goes, as the operator wants it, and which of our addresses it
 * leaves from.
 *
 * The route of a destination is the row of its own name, else that of *.PARENT for the nearest parent, else that of
 * "*"; an address literal has none but its own. Without any, mail goes to the MX hosts.
 */
#include "link/link.h"
#include "store/db.h"

struct route {
	struct str domain; /* of the row: example.org, *.example.org, * */
	enum queue_transport transport;
	struct str
		target; /* as it is kept: HOST:PORT, a path, a domain for its MX hosts, an error's text */
	struct str host; /* the same without the port */
	uint16_t port;
	enum queue_tls tls;
	struct str credential, user, secret; /* secret: as it is kept */
	bool is_fallback;
	int64_t created_us, credential_us;
};

const char *queue_transport_name(enum queue_transport transport);
bool queue_transport_parse(struct str text, enum queue_transport *out);
const char *queue_tls_name(enum queue_tls tls);
bool queue_tls_parse(struct str text, enum queue_tls *out);

/* Of a transport that has one. false: not well formed; the target is put into its canonical form. */
bool route_take_target(struct arena *arena, struct str text, struct route *route);

/* Any connection. Texts go into the arena. */
[[nodiscard]] enum err route_find(struct db *db, struct arena *arena, struct str destination,
				  struct route *out, bool *found);
/* That connections for this sender's mail come from; none: from any. */
[[nodiscard]] enum err source_find(struct db *db, struct arena *arena, struct str sender,
				   struct strs *out);
/* A list with blanks between; false: more than LIMIT_source_addresses, or not all are addresses. */
bool source_take(struct arena *arena, struct str text, struct strs *out);
