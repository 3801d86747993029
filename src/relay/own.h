/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * own: the addresses at which this server takes mail on port 25. An MX host that has one of them is ourselves,
 * whatever it is called, and mail must not go round [rfc5321 5.1].
 */
#include "config/config.h"

/* Before the sandbox: which addresses the machine has. */
void own_prepare(void);
/* Of the listeners; for one that listens everywhere, those of the machine. *out is the caller's to free. */
void own_addresses(const struct config *config, struct addr **out, size_t *count);
