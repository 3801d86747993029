/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * maildrop: one session's frozen view of a folder: the list of messages, which of them are marked
 * deleted, and their octets, read a little ahead of the client.
 *
 * Invariants
 *  (1) Messages are numbered from 1 on the wire and from 0 here; numbers never move [rfc1939 3].
 *  (2) Marks live here only: the store hears of them in maildrop_commit, called at QUIT.
 *  (3) What is read ahead holds at most LIMIT_pop3_read_ahead octets.
 */
#include "link/link.h"

enum { MAILDROP_PIECES = 32 };

/* A run of one message's octets, asked for or here. */
struct piece {
	struct maildrop *drop;
	size_t index;
	uint64_t offset;
	uint64_t length; /* asked for */
	bool here;       /* the call has ended, with `err` */
	enum err err;
	struct answer_maildrop_read answer;
	struct arena arena; /* of the answer */
};

struct position {
	size_t index;
	uint64_t offset;
};

struct maildrop {
	struct link *store;
	struct arena arena;
	bool is_open;
	uint64_t handle;
	uint64_t uid_validity;
	size_t count;
	uint64_t octets;
	uint64_t *uids; /* NULL until maildrop_load */
	uint64_t *sizes;
	unsigned char *marks; /* a bit a message */
	size_t marked_count;
	uint64_t marked_octets;

	/* Reading ahead: a ring of pieces in the order they will be wanted. */
	struct piece *pieces;
	size_t first;
	size_t piece_count;
	size_t window;        /* pieces to keep under way; grows while the client reads in order */
	uint64_t ahead;       /* octets asked for in the ring */
	struct position next; /* what follows the ring's last piece */
	bool heads_only;      /* the client reads beginnings (TOP), not whole messages */
	struct waitq arrivals;
	struct fiber_group readers;
};

void maildrop_init(struct maildrop *drop, struct link *store);
/* ERR_BUSY: held by another session; ERR_NOT_FOUND: no such folder; ERR_LIMIT: too soon. */
[[nodiscard]] enum err maildrop_open(struct maildrop *drop, uint64_t account, struct str folder)
	WAITS;
/* Gives the folder back; fine when it is not open. */
void maildrop_close(struct maildrop *drop) WAITS;

/* The list of uids and sizes, if it is not here yet. */
[[nodiscard]] enum err maildrop_load(struct maildrop *drop) WAITS;
bool maildrop_is_marked(const struct maildrop *drop, size_t index);
void maildrop_mark(struct maildrop *drop, size_t index); /* needs maildrop_load before */
void maildrop_unmark_all(struct maildrop *drop);
/* Deletes what is marked, durably. When it fails, a part of a very long list may be gone. */
[[nodiscard]] enum err maildrop_commit(struct maildrop *drop) WAITS;

/*
 * The octets of a message from `offset` on, as many as one call gives, valid until the next call
 * here. *size is the whole message's. Needs maildrop_load before.
 */
[[nodiscard]] enum err maildrop_read(struct maildrop *drop, struct position from, bool heads_only,
				     struct str *octets, uint64_t *size) WAITS;
/* The client is idle: hold nothing. */
void maildrop_forget(struct maildrop *drop) WAITS;
