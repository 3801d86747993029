/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * outside: can port 25 of other people's servers be reached from here at all? Providers close it, and a laptop
 * moves between nets that do and nets that do not. One server that is silent says nothing; that none has answered
 * for a while, when one was tried, does.
 */
#include "fiber/fiber.h"

enum {
	OUTSIDE_GOOD_MS =
		5 * 60 *
		1000, /* since a server answered: others that do not are their own trouble */
	OUTSIDE_BLOCKED_MS =
		10 * 60 * 1000 /* so long nobody is tried: a new net is noticed after that */
};

struct outside {
	moment reached_at; /* 0: never */
	moment blocked_until;
};

static inline bool outside_is_blocked(const struct outside *outside)
{
	return now() < outside->blocked_until;
}

static inline void outside_reached(struct outside *outside)
{
	*outside = (struct outside){ .reached_at = now() + 1 };
}

/* Nobody of a destination answered. Gives whether that means that port 25 is closed. */
static inline bool outside_failed(struct outside *outside)
{
	if (outside->reached_at && now() - outside->reached_at < (moment)OUTSIDE_GOOD_MS * 1000)
		return false;
	outside->blocked_until = in_ms(OUTSIDE_BLOCKED_MS);
	return true;
}

/* The other way does not work either: the net may be another one meanwhile. */
static inline void outside_forget(struct outside *outside)
{
	outside->blocked_until = 0;
}
