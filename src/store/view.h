/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * view: what the web role may look at: a few commands of the control socket that change nothing, each run in a
 * fiber of its own whose rows the web role takes piece by piece.
 *
 * Invariants
 *  (1) Only the table in view.c can be asked for, whatever the web role has become.
 *  (2) Who signed in is known by a handle of this channel. The command is told as its argument `viewer` (and never
 *      takes that from the web role), and gives what this account may see. Without a handle there is nothing to see,
 *      but where any password signs in.
 *  (3) At most LIMIT_views at once; what nobody takes waits in LIMIT_view_piece octets, and is given up after
 *      half a minute.
 */
#include "store/peer.h"
#include "role/role.h"

[[nodiscard]] enum err store_view_open(struct peer *peer, struct role *role,
				       const struct ask_view_open *ask,
				       struct answer_view_open *answer);
[[nodiscard]] enum err store_view_next(struct peer *peer, const struct ask_view_next *ask,
				       struct arena *arena, struct answer_view_next *answer) WAITS;
[[nodiscard]] enum err store_view_close(struct peer *peer, const struct ask_view_close *ask);
