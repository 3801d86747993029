/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for what would keep the loop waiting. They take jobs that lie on fibers' stacks, run
 * them, and post them back; they never touch a fiber themselves.
 */
#include "fiber/real.h"

#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

struct offload_job {
	struct list link;
	struct post post;
	struct fiber *waiter;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

struct offload_pool {
	struct real_world *real;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct list jobs;
	size_t idle;    /* threads that wait for jobs */
	size_t waiting; /* jobs that wait for threads */
	size_t count;
	size_t max;
	bool leaving;
	pthread_t threads[THREADS_MAX];
};

static void job_done(struct post *post)
{
	struct offload_job *job = CONTAINER_OF(post, struct offload_job, post);

	job->done = true;
	fiber_wake(job->waiter, OK);
}

static struct offload_job *take_job(struct offload_pool *pool)
{
	struct list *link;

	pthread_mutex_lock(&pool->mutex);
	pool->idle++;
	while (list_is_empty(&pool->jobs) && !pool->leaving)
		pthread_cond_wait(&pool->wake, &pool->mutex);
	pool->idle--;
	link = list_take_first(&pool->jobs);
	if (link)
		pool->waiting--;
	pthread_mutex_unlock(&pool->mutex);
	return link ? CONTAINER_OF(link, struct offload_job, link) : NULL;
}

static void *offload_thread(void *arg)
{
	struct offload_pool *pool = arg;
	struct offload_job *job;

	while ((job = take_job(pool))) {
		job->fn(job->arg);
		post_send(pool->real, &job->post); /* the job is gone once this is seen */
	}
	return NULL;
}

static struct offload_pool *pool_new(struct real_world *real, enum offload_kind kind)
{
	struct offload_pool *pool = calloc(1, sizeof(*pool));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	must(pool);
	pool->real = real;
	pool->max = cores < 2 ? 2 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores;
	if (kind == OFFLOAD_LOG || kind == OFFLOAD_OUT)
		pool->max = 1;
	list_init(&pool->jobs);
	must(pthread_mutex_init(&pool->mutex, NULL) == 0);
	must(pthread_cond_init(&pool->wake, NULL) == 0);
	return pool;
}

void offload_pool_drop(struct offload_pool **pool)
{
	struct offload_pool *p = *pool;

	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->leaving = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->mutex);
	for (size_t i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->mutex);
	free(p);
	*pool = NULL;
}

/* One thread more while jobs outnumber those who could take them. */
static void grow(struct offload_pool *pool, bool needed)
{
	if (needed && pool->count < pool->max &&
	    thread_start(&pool->threads[pool->count], offload_thread, pool))
		pool->count++;
}

void real_offload(struct world *world, enum offload_kind kind, void (*fn)(void *arg), void *arg)
	WAITS
{
	struct real_world *real = CONTAINER_OF(world, struct real_world, world);
	struct offload_job job = { .fn = fn, .arg = arg, .waiter = fiber_self() };
	struct offload_pool *pool;
	bool needed;

	if (!real->offload[kind])
		real->offload[kind] = pool_new(real, kind);
	pool = real->offload[kind];
	if (pool->count == 0)
		grow(pool, true);
	if (pool->count == 0) {
		fn(arg); /* no thread may be made here: slow is better than never */
		return;
	}
	job.post.run = job_done;
	pthread_mutex_lock(&pool->mutex);
	list_add_last(&pool->jobs, &job.link);
	needed = ++pool->waiting > pool->idle;
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->mutex);
	grow(pool, needed);
	while (!job.done)
		(void)fiber_park_hard("offload", NEVER);
}

void offload(enum offload_kind kind, void (*fn)(void *arg), void *arg) WAITS
{
	struct world *world = world_here();

	must(world->current); /* only fibers wait */
	must(kind < OFFLOAD_KINDS);
	world->ops->offload(world, kind, fn, arg);
}
