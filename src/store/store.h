/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * store: the role that keeps mail. Accounts, aliases, mailboxes, messages, secrets; bodies in
 * segment files, all else in a database; one writer whose commits are shared by everyone who waits.
 *
 * Invariants
 *  (1) An answer to `deliver` means durable: kill -9 and power cuts lose nothing acknowledged.
 *  (2) The same message for the same mailbox is kept once, however often it is handed over.
 *  (3) A body is kept once, however many mailboxes refer to it; its octets are never changed.
 *  (4) After a failed flush nobody is told that anything is kept: the process ends and recovers.
 *
 * Formats: docs/formats/store.md.
 */
#include "role/role.h"

extern const struct role_ops store_role;

/*
 * The data directory of a new server: folders, an empty database, its key, the first domain
 * (empty: none) and an account postmaster@domain without a password. ERR_EXISTS when there is a
 * store in it already. Blocking, without fibers; for `glasspost init`.
 */
[[nodiscard]] enum err store_create(const char *folder, struct str domain);
