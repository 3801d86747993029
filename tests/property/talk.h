/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* talk: one connection of a client to the scene, over a link that chance has made. */
#include "ledger.h"

struct talk {
	struct ledger *ledger;
	struct conn *conn;
	struct stream *stream;
	struct arena arena; /* of one command; the caller resets it */
	unsigned code;      /* of the newest SMTP reply; 0: none came */
	bool is_ok;         /* of the newest POP3 reply */
	bool is_over;
};

/* Connections made from now on go over another kind of line. */
void talk_choose_link(void);
/* From this address, whose port the net gives; false when there is no way through now. */
bool talk_open(struct talk *talk, struct ledger *ledger, const struct addr *server,
	       const struct addr *from) WAITS;
/* Ends like a program that ends: what was not sent is lost. */
void talk_close(struct talk *talk);
void talk_cut(struct talk *talk);
/* In pieces, as a network may bring them. False when the connection has ended. */
bool talk_send(struct talk *talk, struct str octets) WAITS;
/* A text as DATA wants it, without the last dot. */
struct str talk_stuffed(struct arena *arena, struct str text);
bool talk_line(struct talk *talk, const char *format, ...) WAITS PRINTF_LIKE(2, 3);
/* One SMTP reply, checked for its form. */
bool talk_reply(struct talk *talk) WAITS;
/* One line of POP3's status, its text in *rest (may be NULL). */
bool talk_status(struct talk *talk, struct str *rest) WAITS;
/* Lines up to the one dot, unstuffed, added to *text with their ends. */
bool talk_text(struct talk *talk, struct buf *text) WAITS;
