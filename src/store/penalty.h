/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * penalty: who failed to sign in waits. The gate is asked to hold a failure back, and the store holds
 * back itself: while a network or a name has a penalty, nothing about a password is told before the
 * penalty is over, whatever the gate does.
 *
 * Invariants
 *  (1) Each failure of a network, or of a name, after the first one doubles its penalty: 1 s to 8 s.
 *      Ten minutes without one forget them.
 *  (2) A try that comes while its network or its name has a penalty waits until that is over, at most
 *      PENALTY_HELD for one network or name and PENALTY_HELD_ALL at once; more are refused unlooked.
 *  (3) Who signed in from a network before is welcome there: no penalty of others holds him, be it for
 *      his name or for his network. Five failures in ten minutes there end that.
 *  (4) Of exempt networks nothing is counted but the name, and its first hundred failures are free:
 *      only the gate says where a client is.
 *  (5) Memory is bounded; the longest unused is forgotten first. Names that are no account's are
 *      remembered apart, so that made-up ones cannot make a penalty forgotten.
 */
#include "store/turns.h"

enum { PENALTY_HELD = 4, PENALTY_HELD_ALL = 256 };

struct penalties;

/* Who tries. */
struct penalty_who {
	bool is_exempt;
	struct addr network; /* family ADDR_NONE: not known */
	struct str name;     /* as the directory spells it */
	bool is_account;
};

struct penalties *penalties_new(void);
/* Nobody may be held any more. */
void penalties_drop(struct penalties **penalties);

/* Waits the penalty out. *held: it had to. ERR_BUSY: too many wait already; ERR_STOPPED. */
[[nodiscard]] enum err penalty_admit(struct penalties *penalties, const struct penalty_who *who,
				     bool *held) WAITS;
/* Would it have to wait now? For a try that was let in at once and then waited for something else. */
bool penalty_applies(const struct penalties *penalties, const struct penalty_who *who);
/* Before whom does this one's password get compared? A network that failed lately is a suspect. */
enum standing penalty_standing(const struct penalties *penalties, const struct penalty_who *who);
/* One more failure: the milliseconds that its answer is to be held back by the gate. */
uint64_t penalty_failed(struct penalties *penalties, const struct penalty_who *who);
void penalty_passed(struct penalties *penalties, const struct penalty_who *who);
