/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sasl: signing in. Mechanisms by GNU SASL, names and secrets from the directory, passwords compared
 * on worker threads, failures slowed down per address and per name.
 *
 * Invariants
 *  (1) A name that does not exist is told apart from a wrong password neither by the answer nor by
 *      the time: it costs the same hash, and SCRAM gets a salt that is always the same for a name,
 *      however that is spelt.
 *  (2) No more than password_hashes are computed at once; who waited 2 s is told SASL_BUSY.
 *      Networks that failed lately wait for those that did not (turns.h).
 *  (3) A password that was right is known for two minutes (as a keyed hash, in memory), so that a
 *      client that polls does not cost a slow hash each time; any change of the directory forgets it.
 *  (4) Whether a password was right is not told while its network or its name has a penalty
 *      (penalty.h), whatever the gate does with the delays that it is told.
 *  (5) Names and passwords over their limits are refused before any look-up or hash.
 */
#include "store/password.h"
#include "store/peer.h"

/* Before the sandbox: GNU SASL and OpenSSL load what they need. */
void sign_in_prepare(void);
[[nodiscard]] enum err sign_in_init(struct store *store);
void sign_in_drop(struct store *store);

[[nodiscard]] enum err store_sasl_start(struct peer *peer, const struct ask_sasl_start *ask,
					struct arena *arena, struct answer_sasl_start *answer)
	WAITS;
[[nodiscard]] enum err store_sasl_step(struct peer *peer, const struct ask_sasl_step *ask,
				       struct arena *arena, struct answer_sasl_step *answer) WAITS;
[[nodiscard]] enum err store_sasl_drop(struct peer *peer, const struct ask_sasl_drop *ask) WAITS;
[[nodiscard]] enum err store_password(struct peer *peer, const struct ask_password *ask,
				      struct arena *arena, struct answer_password *answer) WAITS;
[[nodiscard]] enum err store_apop(struct peer *peer, const struct ask_apop *ask,
				  struct arena *arena, struct answer_apop *answer) WAITS;
[[nodiscard]] enum err store_sign_out(struct peer *peer, const struct ask_sign_out *ask) WAITS;
[[nodiscard]] enum err store_may_send(struct peer *peer, const struct ask_may_send *ask,
				      struct arena *arena, struct answer_may_send *answer) WAITS;

/* ---- shared by the files that do it ---- */

/* The four sign-in answers have the same fields; this is what they are made from. */
struct sign_in_result {
	enum sasl_state state;
	uint64_t sasl;
	struct str challenge;
	uint64_t account;
	struct str address;
	struct str folder; /* that the login name carried */
	uint64_t delay_ms;
};

/* Into any of the answers that tell how a sign-in went: the table gives each its own struct. */
#define SIGN_IN_ANSWER(answer, result)                                                             \
	do {                                                                                       \
		(answer)->state = (result)->state;                                                 \
		(answer)->sasl = (result)->sasl;                                                   \
		(answer)->challenge = (result)->challenge;                                         \
		(answer)->account = (result)->account;                                             \
		(answer)->address = (result)->address;                                             \
		(answer)->folder = (result)->folder;                                               \
		(answer)->delay_ms = (result)->delay_ms;                                           \
	} while (0)

struct login_try {
	struct peer *peer;
	struct str name; /* as given */
	struct str from; /* the client's address, as text */
	uint64_t session;
	struct str key;  /* the name as the directory spells it; empty: it was not looked up */
	bool is_account; /* there is one of that key */
};

/* Before anything is told about a password: waits a penalty out. ERR_BUSY: it must not be told now. */
[[nodiscard]] enum err sign_in_admit(const struct login_try *try, bool *held) WAITS;
/* Compares the password, makes the account under accept_any_password. The world's failures only. */
[[nodiscard]] enum err sign_in_by_password(const struct login_try *try, struct str password,
					   struct arena *arena, struct sign_in_result *out) WAITS;
/* It succeeded by other means: a handle, unless the account is disabled. */
[[nodiscard]] enum err sign_in_accept(const struct login_try *try, const struct account *account,
				      struct arena *arena, struct sign_in_result *out);
void sign_in_refuse(const struct login_try *try, struct sign_in_result *out);

/* On any connection: the key of the account that a login name means ("anna" is at the first domain). */
[[nodiscard]] enum err login_key(struct db *db, struct arena *arena, struct str name,
				 struct str *out);
struct Gsasl *sign_in_gsasl(struct store *store);
/* Once: this library context asks us for what it needs to know. */
void sasl_attach(struct Gsasl *gsasl);
