/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For the tests of link: a callee and a link to it in one process, over each transport. */
#include "link/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum transport { OVER_SOCKETS, IN_MEMORY, IN_MEMORY_SIMULATED, TRANSPORTS };

/* Who may ask whom in most tests. */
#define ASKER  ROLE_GATE_USER
#define SERVER ROLE_STORE

struct stage {
	enum transport transport;
	struct link *link;
	struct fiber_group servers;
	struct fiber_group callers;
	unsigned served;
	unsigned gone;
	unsigned failed;
	uint64_t given_back[5]; /* handles and a lease, in the order of struct late */
	const char *secret;     /* where the callee found the last password */
	void (*run)(struct stage *stage);
};

/* Both ends of a channel: [0] for the callee, [1] for the caller. */
void make_pair(const struct stage *stage, struct channel *ends[2]);
void serve(struct stage *stage, struct channel *channel, enum role_kind peer);
/* A new channel as process `index` of the link. */
void connect_index(struct stage *stage, unsigned index);
/* Run this as a fiber of a new world, over one transport or over each. */
void play(enum transport transport, void (*run)(struct stage *stage));
void play_everywhere(void (*run)(struct stage *stage));

/*
 * One call. What is served of it: "full@x" fails with ERR_QUOTA; "sleep..." answers after `size`
 * ms, "through..." too, but deaf to a stop; all others at once.
 */
enum err ask_about(struct stage *stage, const char *address, uint64_t size, int64_t within_ms)
	WAITS;
size_t in_flight(const struct stage *stage);
void let_it_settle(struct stage *stage) WAITS;
uint64_t sum_of(struct str octets);
/* A fiber of its own that calls once, answered after up to 30 ms; counts in stage->failed. */
void caller_fiber(void *stage) WAITS;
