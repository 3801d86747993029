/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * relay: the role that takes queued mail to other servers. The store says what is due; the relay
 * finds the way, speaks SMTP, and tells what became of each recipient. It keeps nothing of its own:
 * killed at any moment, the store gives the same mail out again.
 *
 * Invariants
 *  (1) What was tried is reported, and reported again until the store has heard it.
 *  (2) Memory is bounded by relay_connections, whatever the queue's length: a message is in memory only
 *      while it is being sent.
 *  (3) A recipient is reported as sent only after the server took the responsibility for it.
 */
#include "role/role.h"

extern const struct role_ops relay_role;
