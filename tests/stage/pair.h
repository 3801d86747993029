/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Two connected ends in either world, for net's tests. */
#include "net/net.h"

struct pair {
	struct conn *client;
	struct conn *server;
	struct tls_context *server_tls;
	struct tls_context *client_tls;
	struct fiber_group group;
	size_t discarded;
};

/* Runs the test as a fiber of a fresh world, with the pair set up. */
void pair_play(void (*test)(struct pair *pair), bool simulated);
/* Handshakes on both sides; the server's outcome. */
enum err pair_tls(struct pair *pair) WAITS;
