/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The client's half of a dialogue under way. */
#include "stage/stage.h"

enum { LINE_MS = 7'200'000, TEXT_MAX = 64 << 20 };

struct play {
	struct dialogue *dialogue;
	const struct stage_protocol *protocol;
	void *house;
	struct stage_service service;
	struct fiber_group house_group;
	struct fiber_group server_group;
	struct stream *ends[2]; /* the server's, the client's */
	struct conn *client;
	struct tls_context *client_tls;
	char failure[4000]; /* of the script; "" when all lines were as expected */
};

/* Plays the whole script, or up to the first line that differs. */
void play_script(struct play *play) WAITS;
