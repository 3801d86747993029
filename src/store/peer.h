/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * peer: what one channel may do: the handles it was given. A handle is a random number that means
 * something on its own channel only; on any other it is ERR_DENIED, as if it had never been.
 *
 * Invariants
 *  (1) A handle that is in use by a call (handle_take) lives until handle_give, even when it was
 *      closed meanwhile.
 *  (2) A peer holds at most LIMIT_link_handles, of which LIMIT_sasl_exchanges are exchanges.
 */
#include "store/state.h"

enum handle_kind { HANDLE_ACCOUNT, HANDLE_EXCHANGE, HANDLE_MAILDROP, HANDLE_VIEW };

struct handle {
	struct table_item item; /* by its number, in peer->handles */
	enum handle_kind kind;
	unsigned users;
	bool closed;
	void (*end)(struct handle *handle); /* frees it; called when closed and unused */
};

struct peer {
	struct store *store;
	struct table handles;
	/* sasl.c's: exchanges open, and those that wait for their client, longest idle first. */
	size_t exchange_count;
	struct list idle_exchanges;
	size_t view_count;    /* view.c's */
	uint64_t queue_owner; /* queue_own.h: who claims here; 0: nobody did */
	bool is_lost;         /* its channel has ended: it is given nothing any more */
};

struct peer *peer_new(struct store *store);
/* Closes every handle. No call of this peer is under way. */
void peer_drop(struct peer **peer);

/* Gives it a number that nobody can guess. ERR_LIMIT past the bound: the handle is still the caller's. */
[[nodiscard]] enum err handle_add(struct peer *peer, struct handle *handle);
uint64_t handle_number(const struct handle *handle);
/* ERR_DENIED when this peer has no such handle of that kind. */
[[nodiscard]] enum err handle_take(struct peer *peer, uint64_t number, enum handle_kind kind,
				   struct handle **out);
void handle_give(struct handle *handle);
/* No call finds it any more; it ends with its last user. */
void handle_close(struct peer *peer, struct handle *handle);

/* Somebody who signed in on this channel. */
struct signed_in {
	struct handle handle;
	uint64_t account;
	uint64_t session;
	struct str address; /* the key; at the end of this allocation */
};

[[nodiscard]] enum err signed_in_add(struct peer *peer, const struct account *account,
				     uint64_t session, uint64_t *number);
[[nodiscard]] enum err signed_in_take(struct peer *peer, uint64_t number, struct signed_in **out);
/* Whom a gate speaks for, by the handle that he was given at his sign-in; handle 0: nobody, account 0. */
[[nodiscard]] enum err signed_in_account(struct peer *peer, uint64_t number, uint64_t *account);
