/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gate: the role that strangers talk to. It owns listening sockets and sessions, and nothing else:
 * what it needs to know it asks of filter and store. Two classes of the same code: gate-mx (SMTP from
 * other servers, LMTP) cannot sign anyone in, gate-user (submission, POP3) can.
 *
 * Invariants
 *  (1) A connection that a cap or a network list refuses costs no fiber, no TLS and no call.
 *  (2) A reload, of the certificate too, changes sessions that begin after it; the others keep what they
 *      began with, counted.
 *  (3) No connection is accepted before the store has told the list of networks; after that the gate is told
 *      when it changes, and while the store is away what was last known holds.
 *  (4) At stop no more connections are taken; sessions that wait for a command are told so at once,
 *      the others when they have finished what they do, or at the deadline.
 */
#include "role/role.h"

extern const struct role_ops gate_mx_role;
extern const struct role_ops gate_user_role;
