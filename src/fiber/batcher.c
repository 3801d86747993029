/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batcher. Jobs gather on the loop's side until no fiber can run, so that all who were ready
 * share the batch; then they go to the thread, and while it works the next ones gather.
 */
#include "fiber/real.h"

#include <stdlib.h>

struct batcher {
	batch_fn *fn;
	void *context;
	int64_t sim_cost_us;
	struct list gathering; /* the loop's own; not yet with the thread */
	struct real_world *real;
	/* The rest is the real world's. */
	struct idle_hook hook;
	struct post post;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t wake;
	struct list handed; /* to the thread; in the simulated world, of the batch under way */
	struct list done;   /* by the thread */
	bool leaving;
	/* The simulated world's. */
	bool busy;
};

static void answer(struct list *jobs)
{
	struct list *link;

	while ((link = list_take_first(jobs))) {
		struct batch_job *job = CONTAINER_OF(link, struct batch_job, link);

		job->done = true;
		fiber_wake_if(job->waiter, OK);
	}
}

/* ---- the thread ---- */

static bool take_handed(struct batcher *batcher, struct list *jobs)
{
	pthread_mutex_lock(&batcher->mutex);
	while (list_is_empty(&batcher->handed) && !batcher->leaving)
		pthread_cond_wait(&batcher->wake, &batcher->mutex);
	list_move_all(jobs, &batcher->handed);
	pthread_mutex_unlock(&batcher->mutex);
	return !list_is_empty(jobs);
}

static void *batcher_thread(void *arg)
{
	struct batcher *batcher = arg;
	struct list jobs;

	list_init(&jobs);
	while (take_handed(batcher, &jobs)) {
		batcher->fn(batcher->context, &jobs);
		pthread_mutex_lock(&batcher->mutex);
		list_move_all(&batcher->done, &jobs);
		pthread_mutex_unlock(&batcher->mutex);
		post_send(batcher->real, &batcher->post);
	}
	return NULL;
}

static void batch_done(struct post *post)
{
	struct batcher *batcher = CONTAINER_OF(post, struct batcher, post);
	struct list jobs;

	list_init(&jobs);
	pthread_mutex_lock(&batcher->mutex);
	list_move_all(&jobs, &batcher->done);
	pthread_mutex_unlock(&batcher->mutex);
	answer(&jobs);
}

static void hand_over(struct idle_hook *hook)
{
	struct batcher *batcher = CONTAINER_OF(hook, struct batcher, hook);

	if (list_is_empty(&batcher->gathering))
		return;
	if (!batcher->has_thread) { /* none may be made here: the loop does the work */
		batcher->fn(batcher->context, &batcher->gathering);
		answer(&batcher->gathering);
		return;
	}
	pthread_mutex_lock(&batcher->mutex);
	list_move_all(&batcher->handed, &batcher->gathering);
	pthread_cond_signal(&batcher->wake);
	pthread_mutex_unlock(&batcher->mutex);
}

/* At the first job, not earlier: by then the role is in its sandbox, and so will be the thread. */
static void go_to_work(struct batcher *batcher)
{
	batcher->real = real_here();
	batcher->hook.run = hand_over;
	batcher->post.run = batch_done;
	world_add_idle_hook(&batcher->real->world, &batcher->hook);
	batcher->has_thread = thread_start(&batcher->thread, batcher_thread, batcher);
}

static void real_run(struct batcher *batcher, struct batch_job *job) WAITS
{
	if (!batcher->real)
		go_to_work(batcher);
	must(batcher->real == real_here());
	list_add_last(&batcher->gathering, &job->link);
	while (!job->done)
		(void)fiber_park_hard("batch", NEVER);
}

/* ---- the simulated world: the first who waits leads a batch for all who gathered ---- */

static void finish_handed(struct batcher *batcher)
{
	if (!list_is_empty(&batcher->handed))
		batcher->fn(batcher->context, &batcher->handed);
	answer(&batcher->handed);
	batcher->busy = false;
}

/* batcher_drop may come in each wait here; then our own job is done and the batcher is gone. */
static void lead(struct batcher *batcher, const struct batch_job *own) WAITS
{
	batcher->busy = true;
	(void)fiber_park_hard("batch", now()); /* until all who are ready have handed in */
	if (own->done)
		return;
	list_move_all(&batcher->handed, &batcher->gathering);
	(void)fiber_park_hard("batch", in_us(batcher->sim_cost_us));
	if (own->done)
		return;
	finish_handed(batcher);
	if (!list_is_empty(&batcher->gathering))
		fiber_wake_if(CONTAINER_OF(batcher->gathering.next, struct batch_job, link)->waiter,
			      OK);
}

static void sim_run(struct batcher *batcher, struct batch_job *job) WAITS
{
	list_add_last(&batcher->gathering, &job->link);
	while (!job->done) {
		if (batcher->busy)
			(void)fiber_park_hard("batch", NEVER);
		else
			lead(batcher, job);
	}
}

/* ---- the face ---- */

struct batcher *batcher_new(batch_fn *fn, void *context, int64_t sim_cost_us)
{
	struct batcher *batcher = calloc(1, sizeof(*batcher));

	must(batcher);
	batcher->fn = fn;
	batcher->context = context;
	batcher->sim_cost_us = sim_cost_us;
	list_init(&batcher->gathering);
	list_init(&batcher->handed);
	list_init(&batcher->done);
	list_init(&batcher->hook.link);
	must(pthread_mutex_init(&batcher->mutex, NULL) == 0);
	must(pthread_cond_init(&batcher->wake, NULL) == 0);
	return batcher;
}

void batcher_run(struct batcher *batcher, struct batch_job *job) WAITS
{
	job->waiter = fiber_self();
	job->done = false;
	if (world_here()->simulated)
		sim_run(batcher, job);
	else
		real_run(batcher, job);
}

void batcher_drop(struct batcher **batcher)
{
	struct batcher *b = *batcher;

	if (!b)
		return;
	if (!b->has_thread) {
		list_move_all(&b->handed, &b->gathering);
		finish_handed(b);
	} else {
		hand_over(&b->hook);
		pthread_mutex_lock(&b->mutex);
		b->leaving = true;
		pthread_cond_signal(&b->wake);
		pthread_mutex_unlock(&b->mutex);
		pthread_join(b->thread, NULL);
		if (!list_is_empty(&b->done)) {
			post_cancel(b->real, &b->post);
			answer(&b->done);
		}
	}
	world_remove_idle_hook(&b->hook);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->mutex);
	free(b);
	*batcher = NULL;
}
