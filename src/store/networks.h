/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * networks: whose connections are let in, turned away, or may hand on mail without signing in; and whose
 * certificates let them do so. The rows lie in the database; here is what fibers ask all the time.
 *
 * Invariants
 *  (1) Of the networks that hold an address the first decides, in the operator's order.
 *  (2) What is here is what was committed last: a command answers only when it has been read again.
 */
#include "link/link.h"
#include "net/net.h"
#include "store/rates.h"
#include "store/table.h"

struct store;

enum network_verdict { NETWORK_RELAY, NETWORK_ALLOW, NETWORK_DENY };
const char *network_verdict_name(enum network_verdict verdict); /* "relay" ... */
bool network_verdict_of(struct str name, enum network_verdict *out);

#define CERTIFICATE_PREFIX S("certificate:")

struct network_row {
	struct table_item item; /* of a certificate, by its name */
	uint64_t id;
	struct str cidr; /* canonical; or certificate:NAME */
	enum network_verdict verdict;
	struct str senders; /* one a line; empty: any */
	struct rate rate;
	int64_t created_us;
};

struct networks {
	uint64_t version; /* never 0, never the same twice */
	struct arena arena;
	struct network_row *rows;
	size_t count;
	size_t *places; /* of what netlist numbers: the row */
	struct netlist *list;
	struct table certificates;
	struct str text; /* as the gates are told */
	struct waitq changed;
	uint64_t readings;
};

[[nodiscard]] enum err networks_init(struct store *store) WAITS;
void networks_drop(struct store *store);
/* Read them again, after a change; the gates that wait are answered. */
[[nodiscard]] enum err networks_read(struct store *store) WAITS;

/* What a client is and says; views. */
struct relay_client {
	struct str address;      /* IP; empty: it gives no right */
	struct strs certificate; /* what its certificate proves */
	struct str sender;       /* MAIL FROM, canonical; empty: the null sender */
};
/* The row by which it may relay, or NULL. *is_sender_allowed: for this sender too. Valid until a wait. */
const struct network_row *networks_find(const struct networks *networks,
					const struct relay_client *client, bool *is_sender_allowed);
/* Is it one of these, an address or @domain a line? None listed: anybody. The null sender is never listed. */
bool senders_allow(struct str senders, struct str sender);
/* A name as rows have it: a fingerprint, an address, a host name. */
struct str certificate_name(struct arena *arena, struct str name);
/* Who is counted for what this client sends by that row. */
struct rated network_rated(const struct network_row *row, struct str address);
