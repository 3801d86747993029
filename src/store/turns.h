/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * turns: who gets the next password hash. A hash is slow on purpose, so whoever makes us compute many
 * could keep everybody else waiting: the ones who have proved themselves go first.
 *
 * Invariants
 *  (1) At most `places` are taken at once.
 *  (2) A better standing goes before a worse one, and in one standing who came first.
 *  (3) Suspects never hold the last place, unless there is only one: who is no suspect does not wait
 *      for one of their hashes.
 */
#include "fiber/fiber.h"

enum standing {
	STANDING_WELCOME, /* signed in from there before */
	STANDING_NEW,
	STANDING_SUSPECT, /* failed from there lately */
	STANDINGS
};

struct turns {
	size_t places;
	size_t taken[STANDINGS];
	struct list waiting[STANDINGS];
};

void turns_init(struct turns *turns);
/* `places`: as configured now. OK (pair it with turns_give); ERR_TIMEOUT; ERR_STOPPED. */
[[nodiscard]] enum err turns_take(struct turns *turns, enum standing standing, size_t places,
				  moment deadline) WAITS;
void turns_give(struct turns *turns, enum standing standing);
