/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * test_inside: what every role lives on, tried in a child that has entered its sandbox. A
 * condition that does not hold ends the child with status 1.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* A condition inside a child: cmocka's own would jump out of it. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno);  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* The libraries, the system and fibers, each used as a role uses them. */
void inside_any(void);
