/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * queue: mail for other servers, kept until each recipient of it is delivered, failed, expired or deleted.
 *
 * Invariants
 *  (1) A recipient is in one state. It leaves "waiting, leased or held" once, in the transaction that also
 *      keeps the notification about it where one is due: never two of delivered, bounced and queued,
 *      never none.
 *  (2) What is leased is given to nobody else until its lease ends, its channel ends or another run of the
 *      same process claims. A lease is measured by the clock that does not jump, and by a store that begins
 *      anew from its beginning again: never shorter than whoever has it was told. A report counts while its
 *      lease is the newest one, also after it was given back or the store was started anew.
 *  (3) A body is referred to while a recipient is not done.
 *
 * The state is in the database alone; `sites` in memory tells where to look next. What is marked "writer"
 * runs on the writer's thread.
 */
#include "mail/mail.h"
#include "store/delivery.h"
#include "store/queue_sites.h"

enum queue_state {
	QUEUE_WAITING,
	QUEUE_LEASED,
	QUEUE_HELD,
	/* Done: */
	QUEUE_DELIVERED, /* to the mailbox */
	QUEUE_RELAYED,   /* another server answers for it */
	QUEUE_FAILED,
	QUEUE_EXPIRED,
	QUEUE_REMOVED /* by an operator */
};
const char *queue_state_name(enum queue_state state); /* "waiting" ... */

enum { QUEUE_LEASE_MS = 60 * 60 * 1000 };

struct queue {
	struct sites *sites;
	struct waitq due;    /* who waits for something to claim */
	struct waitq alarms; /* the keeper */
	struct waitq met;    /* claims of a run that is being met */
	struct table leases; /* struct queue_lease, by lease: all that there are */
	struct list ages;    /* the same, oldest first */
	struct table owners; /* struct queue_owner: runs whose claims were seen */
	int64_t alarm_us;    /* when the keeper looks again */
};
/* The keeper shall look at that time, or sooner. */
void queue_alarm_at(struct queue *queue, int64_t at_us);

[[nodiscard]] enum err queue_init(struct store *store) WAITS; /* reads what is due when */
void queue_drop(struct store *store);
/* Expiry, warnings, leases of who is gone, history: until the fiber is stopped. */
void queue_keep(void *store) WAITS;
/* The same once, for tests: everything that is due now. */
[[nodiscard]] enum err queue_run_due(struct store *store) WAITS;

/* ---- the relay's calls ---- */

[[nodiscard]] enum err store_queue_claim(struct peer *peer, unsigned index,
					 const struct ask_queue_claim *ask, struct arena *arena,
					 struct answer_queue_claim *answer) WAITS;
[[nodiscard]] enum err store_queue_report(struct peer *peer, const struct ask_queue_report *ask,
					  struct answer_queue_report *answer) WAITS;
/* ETRN, for who may relay. */
[[nodiscard]] enum err store_flush(struct peer *peer, const struct ask_flush *ask,
				   struct arena *arena, struct answer_flush *answer) WAITS;
/* The channel ended: its claims that wait for something to be due end. */
void queue_peer_lost(struct peer *peer);
/* And no call of it is left: what it has leased is for others. */
void queue_peer_gone(struct peer *peer);

/* ---- rows; writer, or any connection for the first ---- */

struct queue_message {
	uint64_t id;
	struct str sender, envelope_id;
	struct str sent_as; /* to other servers, in place of the sender; empty: as it is */
	uint64_t ret, utf8, body_type, session, account;
	int64_t arrived_us, expires_us, alarm_us, done_us;
	bool held;
	uint64_t pending;
	uint64_t body, size;
	struct place place; /* of the body */
};

struct queue_recipient {
	uint64_t number;
	struct str address, original, destination;
	uint64_t notify, flow;
	enum queue_state state;
	uint64_t attempts;
	int64_t next_us;
	uint64_t lease;
	int64_t attempt_us;
	uint64_t session;
	struct str peer;
	unsigned code;
	struct str enhanced, reply;
};

[[nodiscard]] enum err queue_find(struct db *db, struct arena *arena, uint64_t message,
				  struct queue_message *out, bool *found);
/* Recipients of one message; texts go into the arena. */
struct queue_rows {
	struct db *db;
	struct arena *arena;
	uint64_t message;
};
[[nodiscard]] enum err queue_find_recipient(const struct queue_rows *rows, uint64_t number,
					    struct queue_recipient *out, bool *found);
/* At most `room` of them from that number on. */
[[nodiscard]] enum err queue_find_recipients(const struct queue_rows *rows, uint64_t from,
					     struct queue_recipient *out, size_t room,
					     size_t *count);

/* Was this message queued by an earlier try? ERR_EXISTS: another one has its id. Writer. */
[[nodiscard]] enum err queue_find_earlier(struct writer *writer, const struct delivery *delivery,
					  bool *found);
[[nodiscard]] enum err queue_add(struct writer *writer, const struct delivery *delivery,
				 uint64_t body);
void queue_tell_added(struct store *store, const struct delivery *delivery);

/* How it went on with one recipient: its row as it is now. Writer. */
[[nodiscard]] enum err queue_write(struct writer *writer, uint64_t message,
				   const struct queue_recipient *recipient);
/* So many recipients less; with the last one the body goes. Writer. */
[[nodiscard]] enum err queue_end(struct writer *writer, uint64_t message, uint64_t recipients,
				 int64_t now_us);

/* Wait so long after this many attempts; `chance` spreads it by an eighth to both sides. */
int64_t queue_backoff_us(const struct config *config, uint64_t attempts, uint64_t chance);

/* ---- notifications; writer, then told in the fiber ---- */

enum notice_kind { NOTICE_FAILED, NOTICE_DELAYED, NOTICE_DONE };

/* What one job has to say to senders, and what it needs for that; prepared in the fiber. */
struct notices {
	struct store *store;
	struct config *config;
	int64_t now_us;
	uint64_t ids[2]; /* of the notification, and of one to postmaster in its stead */
	uint64_t chance;
	struct arena arena;
	struct delivery *made[2];
	struct ask_deliver asked[2];
	size_t count;
	struct buf text[2]; /* they live until the batch ends */
};

struct notice_recipient {
	const struct queue_recipient *recipient;
	bool is_final; /* NOTICE_DONE: into the mailbox itself */
};

void notices_init(struct notices *notices, struct store *store);
struct notice {
	enum notice_kind kind;
	const struct queue_message *message;
	struct str octets; /* of the message, where they are at hand; empty: they are read */
	const struct notice_recipient *recipients;
	size_t count;
};
/* At most one notice for each notices_init. */
[[nodiscard]] enum err notices_add(struct writer *writer, struct notices *notices,
				   const struct notice *notice);
/* After the commit. */
void notices_tell(struct notices *notices, uint64_t about);
void notices_done(struct notices *notices);

/* Does this recipient's sender want to hear of it? */
bool wants_notice(const struct queue_recipient *recipient, enum notice_kind kind);
