/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * filter: the only role that opens messages. It answers `inspect` with a verdict and with what
 * listings and IMAP need to know of a message, so that nobody after it parses one again.
 *
 * Invariants
 *  (1) A message is read in one linear pass; past the limits of its structure the rest is one leaf.
 *      Large ones are read on a worker thread, so that no message delays another one's fiber.
 *  (2) It refuses only what is certain: a message with more Received lines than `received_max`, or with
 *      more than LIMIT_received_own by this server, is in a loop (554 5.4.6, rfc5321 6.3). What is merely
 *      odd goes to the trace.
 *
 * Errors: ERR_PROTOCOL for a body that is not what it was announced to be.
 */
#include "role/role.h"

extern const struct role_ops filter_role;
