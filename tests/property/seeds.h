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
#include "fiber/fiber.h"

struct run {
	struct buf records; /* of the trace, ring by ring */
	char why[1200];     /* what is broken; "" when all holds */
};

struct seeds {
	const char *program;
	uint64_t usual; /* number of seeds */
	size_t size; /* of the walk's own struct, which begins with its struct run; zeros at first */
	size_t records_max; /* octets */
	fiber_fn *act; /* in a world of its own, with that struct; ends when the last fiber has */
	/* After the world's end: what is broken, or "". Goes before what act said in `why`. */
	const char *(*judge)(struct run *run);
	void (*drop)(struct run *run); /* what the run holds, not itself */
	void (*add_up)(const struct run *run);
	/* Prints the sums. false: so little happened that it proves nothing. */
	bool (*tell)(uint64_t count);
};

/* That it ended with this error, and why. */
void run_failed(struct run *run, enum err err);
/* The exit status. */
int seeds_main(const struct seeds *seeds, int argc, char **argv);
