/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * posts: the ledger of mail that leaves: for whom each message was, who has it, and what its sender was told.
 *
 * Invariants that it checks, for each recipient whose message was answered 250
 *  (1) Delivered, or bounced, or still queued: never two of them, never none.
 *  (2) A second copy, or a bounce beside a copy, only where the trace says before that nobody knows: an attempt of
 *      outcome `unknown`, or a claim given back because its relay was gone.
 *  (3) It is bounced because somebody said no for good, or because queue_expire is over; not sooner.
 *  (4) Its sender is warned once when it waits longer than queue_delay_warning, and else not.
 *  (5) The null sender is told nothing; the postmaster hears of failures in his stead.
 *  (6) Where nothing is wrong any more, it is settled once the longest waits are over.
 *  (7) Who has it has it octet for octet.
 * And of what was refused nobody has or hears anything.
 */
#include "ledger.h"

enum { POSTS_MAX = 40, POST_TO_MAX = 6, POST_ADDRESS = 64 };

enum place_kind {
	PLACE_HOME,  /* our own mailboxes */
	PLACE_FAR,   /* the other house's */
	PLACE_PEERS, /* scripted servers */
	PLACE_NO_DOMAIN,
	PLACE_NO_MAIL, /* a null MX */
	PLACE_NO_DNS   /* its name servers fail for ever */
};

struct place {
	const char *domain;
	enum place_kind kind;
	int64_t well_us; /* of the wall clock: from then on nothing is wrong there; INT64_MAX: never */
	unsigned deaths; /* of its store: it may have kept what it answered 451 to */
	bool may_refuse; /* one of its servers has refused, for good, more than a single recipient */
};

struct post_to {
	struct place *place;
	size_t account; /* PLACE_HOME, PLACE_FAR */
	char address[POST_ADDRESS];
	bool refused;      /* its server said no for good */
	moment greylisted; /* when first asked for; 0: not yet */
	unsigned kept;     /* copies */
	unsigned bounces;  /* notices in the mailbox of who is to be told */
	unsigned warnings;
	int64_t bounced_us; /* Date of the bounce is not looked at: when its row ended */
	bool is_expiry;
	/* What the trace says. */
	bool is_queued;
	unsigned unknown;
	int64_t settled_us; /* 0: it is not */
	/* What the store's row says. */
	bool has_row;
	unsigned state; /* enum queue_state, as numbers */
};

struct post {
	unsigned number;
	struct str text;
	bool is_null;  /* the sender */
	size_t sender; /* account that signs in */
	enum fate fate;
	size_t count;
	struct post_to to[POST_TO_MAX];
	char id[16]; /* as the trace calls it; "": not seen */
	int64_t arrived_us;
	unsigned given_back;
};

struct posts {
	struct ledger ledger; /* texts, and the first broken invariant */
	struct post *list[POSTS_MAX];
	size_t count;
	int64_t expire_us, warning_us;
	int64_t end_us;                    /* of the walk, by the wall clock */
	unsigned bounces, warnings, twice; /* for the sums */
};

/* A message with its text, without recipients; NULL when there were enough. */
struct post *post_new(struct posts *posts);
/* One recipient more there, of an account's name where it has accounts. */
void post_add_to(struct post *post, struct place *place, size_t account);
struct post_to *posts_find(struct posts *posts, struct str address, struct post **post);

/* A server takes these octets for this recipient; false: they are not what was sent, which is noted. */
bool posts_keep(struct posts *posts, struct post_to *to, struct str octets);
/* Read from a mailbox of that house: a message, or a notice. `account` SCENE_ACCOUNTS: the postmaster. */
void posts_read(struct posts *posts, enum place_kind house, size_t account, struct str octets);
/* Events of the store, in their order. */
void posts_hear(struct posts *posts, struct str records);
/* A row of the queue as it is now. */
void posts_row(struct posts *posts, struct str address, unsigned state);
bool posts_row_is_pending(unsigned state);
/* At any time: does what is known of the rows agree with what servers have? */
void posts_check_rows(struct posts *posts);
/* In the end. */
void posts_check(struct posts *posts);
