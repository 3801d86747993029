/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client that sends, and a server that plays a script, in the simulated world.
 *
 * The script is stage's (stage/stage.h), seen from the other side: `S: 250 OK` is what the server says,
 * `C: NOOP` what the client must say; `S- ` is said together with what follows, `R: `, `FILL`, `IDLE`,
 * `CUT`, `SHUT` and `END` are the server's doing. `TLS` is the server's handshake.
 */
#include "smtp/client.h"
#include "stage/play.h"

enum { PLAYED_MOST = 400 };

struct client_play {
	const char *script;
	struct smtp_client_options options; /* hello is client.example unless it is set */
	const char *from;                   /* where the server is; NULL: 192.0.2.1:25 */
	struct smtp_sending sendings[4];    /* `said` is put in */
	size_t count;
	bool stays;         /* all transactions are tried, open or not */
	int64_t pause_ms;   /* between two of them */
	uint64_t link_rate; /* octets a second; 0: no bound */
	size_t window;

	/* What came of it. */
	struct smtp_said open;
	struct smtp_said said[4][PLAYED_MOST];
	bool is_open[4]; /* after each */
	struct smtp_offer offer;
	int64_t took_ms;
	struct buf events; /* as JSON lines */
	struct arena arena;
};

/* Fails the running test when the client does not say what the script wants. */
void client_play(struct client_play *play);
void client_play_done(struct client_play *play);
bool client_traced(const struct client_play *play, const char *text);
/* One message to these recipients. */
struct smtp_sending client_mail(const struct smtp_sending_to *to, size_t count, struct str octets);
