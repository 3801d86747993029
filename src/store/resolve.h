/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * resolve: whose mailboxes does an address mean? Aliases expanded, subaddresses, catch-all and
 * postmaster applied, on any connection.
 *
 * Invariants
 *  (1) All targets or none: an alias of which one target is unknown is unknown, because to accept
 *      for it and to drop is worse.
 *  (2) An alias that names itself among its targets means the account of that name (a copy is kept);
 *      any other circle, and a chain longer than LIMIT_alias_depth, is RECIPIENT_LOOP.
 *  (3) No mailbox and no address elsewhere is named twice.
 *  (4) What leads to another server was made so by an operator (an alias), or is the way back of what was
 *      forwarded (store/srs.h), which only bounces go.
 */
#include "link/verdicts.h"
#include "store/directory.h"
#include "store/srs.h"

enum subaddress_folders { SUBADDRESS_EXISTING, SUBADDRESS_CREATE, SUBADDRESS_INBOX };

struct resolve_policy {
	struct str separator; /* of subaddresses; empty: none */
	enum subaddress_folders folders;
	bool any_domain; /* every domain is ours */
	bool create;     /* accounts come into being */
	uint64_t quota;  /* of accounts without their own; 0: no bound */
	struct srs_rule srs;
};

struct target {
	struct str address; /* of the account: the key; elsewhere: as it is spelt there */
	bool is_elsewhere;  /* forwarded: it goes to the queue, and what follows here is not said */
	uint64_t account;   /* 0: is to be made */
	struct str folder;
	uint64_t quota; /* octets; 0: no bound */
};

struct resolution {
	enum recipient_verdict verdict;
	struct str
		why; /* account, alias, subaddress, postmaster, catch-all, made on arrival, bounce ... */
	struct target *targets;
	size_t count;
	size_t addresses; /* looked at on the way */
	bool is_for_once; /* another message would be told otherwise */
};

/* address: canonical, as the link carries it. */
[[nodiscard]] enum err resolve_address(struct db *db, struct arena *arena,
				       const struct resolve_policy *policy, struct str address,
				       struct resolution *out);
/* May send as an address: who gets what is sent to it. */
struct ownership {
	uint64_t account;
	struct str address;
	bool is_owner; /* the answer */
};
[[nodiscard]] enum err resolve_owner(struct db *db, struct arena *arena,
				     const struct resolve_policy *policy,
				     struct ownership *ownership);
/*
 * *base: "list@domain" where the address is "list+anything@domain", has no row of its own, and list is an
 * alias: then both resolve alike. Else untouched. Costs three look-ups, however large the alias is.
 */
[[nodiscard]] enum err resolve_list(struct db *db, struct arena *arena,
				    const struct resolve_policy *policy, struct str address,
				    struct str *base);
