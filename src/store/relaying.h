/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * relaying: may this client hand us mail for other servers? Who signed in, for his own addresses and those he
 * was given (`glasspost sender`); a listed network or certificate, for the senders listed with it; nobody else.
 *
 * Invariant: what is said at RCPT is a forecast. It is decided inside the transaction that keeps the message,
 * by the rows as they are then, and the rate is counted there.
 */
#include "store/networks.h"
#include "store/peer.h"

/* What may be counted, before anything is written. Its texts lie in the arena. */
struct relay_right {
	bool by_account;  /* he signed in, and users may relay */
	uint64_t network; /* row that lets the client relay, for this sender; 0: none */
	bool has_network; /* there is one, maybe not for this sender */
	struct str why;   /* "account", "network 192.0.2.0/24" ... */
	struct rated rated;
	struct rate rate;
};
void relay_right_find(struct store *store, uint64_t account, const struct relay_client *client,
		      struct arena *arena, struct relay_right *out);

/* Whose right is asked for, on any connection. */
struct relay_asking {
	uint64_t account; /* 0: nobody signed in */
	uint64_t network; /* 0: none */
	struct str sender;
	bool any_sender; /* accept_any_password */
	const struct resolve_policy *policy;
};
[[nodiscard]] enum err relay_is_allowed(struct db *db, struct arena *arena,
					const struct relay_asking *asking, bool *allowed);
/* His own addresses, and those he was given. */
[[nodiscard]] enum err account_may_send(struct db *db, struct arena *arena,
					const struct relay_asking *asking, bool *allowed);
