/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seeds: what every walk through the simulated world does with its seeds.
 *
 *	PROGRAM                       as many as PROPERTY_SEEDS says, from PROPERTY_FIRST (1) on
 *	PROGRAM --seed N [--trace]    this one; its ladder on the output
 *
 * Each is played twice. It holds when the walk has found nothing, the second run gives the same trace to the octet,
 * no descriptor is left open, and memory in use stands still.
 */
#include "base/base.h"

struct run {
	struct buf records; /* of the trace, ring by ring */
	char why[1200];     /* what is broken; "" when all holds */
};

struct seeds {
	const char *program;
	uint64_t usual; /* number of seeds */
	struct run *(*play)(uint64_t seed);
	void (*drop)(struct run *run);
	void (*add_up)(const struct run *run);
	/* Prints the sums. false: so little happened that it proves nothing. */
	bool (*tell)(uint64_t count);
};

/* The exit status. */
int seeds_main(const struct seeds *seeds, int argc, char **argv);
