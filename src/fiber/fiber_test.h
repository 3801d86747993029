/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of this folder share: a fresh world of the wanted kind round one fiber. */
#include "fiber/fiber.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum kind { REAL, SIMULATED };

[[maybe_unused]] static enum kind kind_real = REAL;
[[maybe_unused]] static enum kind kind_simulated = SIMULATED;

/* The same test in both worlds. */
#define BOTH(test)                                                                                 \
	{ #test " (real)", test, NULL, NULL, &kind_real },                                         \
	{                                                                                          \
#test " (simulated)", test, NULL, NULL, &kind_simulated                            \
	}
#define IN_REAL(test)                                                                              \
	{                                                                                          \
#test, test, NULL, NULL, &kind_real                                                \
	}
#define IN_SIMULATED(test)                                                                         \
	{                                                                                          \
#test, test, NULL, NULL, &kind_simulated                                           \
	}

static inline struct world *world_of_kind(void **state)
{
	enum kind kind = *state ? *(enum kind *)*state : REAL;

	return kind == REAL ? world_real_new() : world_sim_new(1);
}

static inline void run_in(struct world *world, fiber_fn *fn, void *arg)
{
	assert_int_equal(world_spawn(world, "test", fn, arg), OK);
	world_run(world);
	world_drop(&world);
}

static inline void spawn(struct fiber_group *group, const char *name, fiber_fn *fn, void *arg)
{
	assert_int_equal(fiber_spawn(group, name, fn, arg, NULL), OK);
}

/* How a child of ours ends that runs fn as a fiber. */
static inline int end_of_child(struct world *(*make)(void), fiber_fn *fn)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct world *world = make();

		if (!freopen("/dev/null", "w", stderr))
			_exit(98);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (world_spawn(world, "child", fn, NULL))
			_exit(99);
		world_run(world);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}
