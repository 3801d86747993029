/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: a thread that looks a few times a second whether the same slice is still running,
 * and says so while it lasts. The loop itself can tell only once the fiber has given way, which
 * a fiber that spins for ever never does.
 */
#include "fiber/real.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOK_EVERY_MS = 250 };

struct watchdog {
	struct world *world;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool leaving;
};

bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0;
}

static bool wait_a_look(struct watchdog *watchdog)
{
	struct timespec until;
	bool leaving;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_EVERY_MS * 1'000'000L;
	until.tv_sec += until.tv_nsec / 1'000'000'000L;
	until.tv_nsec %= 1'000'000'000L;
	pthread_mutex_lock(&watchdog->mutex);
	while (!watchdog->leaving &&
	       pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until) != ETIMEDOUT)
		;
	leaving = watchdog->leaving;
	pthread_mutex_unlock(&watchdog->mutex);
	return !leaving;
}

static void *watchdog_run(void *arg)
{
	struct watchdog *watchdog = arg;
	unsigned long long seen = 0;
	unsigned looks = 0;

	while (wait_a_look(watchdog)) {
		const char *name = atomic_load(&watchdog->world->running);
		unsigned long long slice = atomic_load(&watchdog->world->slices);

		looks = name && slice == seen ? looks + 1 : 0;
		seen = slice;
		/* Said at 1/4 s, 1/2 s, 1 s, 2 s ...: a hang does not flood the log. */
		if (looks > 0 && (looks & (looks - 1)) == 0)
			fprintf(stderr, "glasspost: fiber '%s' has not given way for %u ms\n", name,
				looks * LOOK_EVERY_MS);
	}
	return NULL;
}

struct watchdog *watchdog_new(struct world *world)
{
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	pthread_condattr_t monotonic;

	must(watchdog);
	watchdog->world = world;
	must(pthread_mutex_init(&watchdog->mutex, NULL) == 0);
	must(pthread_condattr_init(&monotonic) == 0);
	must(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&watchdog->wake, &monotonic) == 0);
	pthread_condattr_destroy(&monotonic);
	if (thread_start(&watchdog->thread, watchdog_run, watchdog))
		return watchdog;
	/* Where threads may not be made the loop's own measuring must do. */
	free(watchdog);
	return NULL;
}

void watchdog_drop(struct watchdog **watchdog)
{
	struct watchdog *dog = *watchdog;

	if (!dog)
		return;
	pthread_mutex_lock(&dog->mutex);
	dog->leaving = true;
	pthread_cond_signal(&dog->wake);
	pthread_mutex_unlock(&dog->mutex);
	pthread_join(dog->thread, NULL);
	pthread_cond_destroy(&dog->wake);
	pthread_mutex_destroy(&dog->mutex);
	free(dog);
	*watchdog = NULL;
}
