/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* notify: the service manager's protocol, sd_notify(3): datagrams to $NOTIFY_SOCKET. */
#include "fiber/fiber.h"

/* "READY=1" and its kin; nothing happens when nobody asked to be told. */
void notify(const char *state);
/* Half of $WATCHDOG_USEC, 0 when there is none: how often "WATCHDOG=1" is due. */
int64_t notify_watchdog_us(void);
