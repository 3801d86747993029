/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * opening: one listening socket, made once and handed to every process that serves it. In the
 * simulated world, where there are no descriptors, the listener is made when it is handed over.
 */
#include "fiber/fiber.h"

#include <sys/types.h>

enum { OPENING_BACKLOG = 4096 };

struct opening {
	char listener[64]; /* of the configuration, or "control" */
	struct addr wanted;
	struct addr address; /* what it is: the kernel may have chosen the port */
	int fd;              /* -1 in the simulated world */
	mode_t mode;         /* of a UNIX socket */
};

/* ERR_UNSUPPORTED: the machine lacks the family (IPv6 switched off). The fault says what to do. */
[[nodiscard]] enum err opening_open(struct opening *opening);
/*
 * Until nobody listens at a socket of that folder any more, for five seconds at most: the processes of a server that was
 * killed hold its sockets while they end. Blocks.
 */
void openings_wait_for_dead(const char *folder);
void opening_close(struct opening *opening); /* removes a UNIX socket's name */
/* A listener of its own for a role in this process. */
[[nodiscard]] enum err opening_listener(const struct opening *opening, struct listener **out);
