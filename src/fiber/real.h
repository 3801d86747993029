/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * real (private): the world on epoll, CLOCK_MONOTONIC and sockets.
 *
 * Invariants
 *  (1) A descriptor is registered once, for both directions, edge-triggered. fd_watch.ready keeps
 *      what the edges said until somebody has used it up, so no edge is lost between two waits.
 *  (2) Other threads reach the loop only by post_send.
 */
#include "fiber/world.h"

#include <pthread.h>

struct fd_watch {
	struct real_world *real;
	int fd;
	unsigned ready; /* READABLE | WRITABLE: worth trying */
	unsigned ended; /* READABLE | WRITABLE: trying will always say something, so ready stays */
	bool asks_for_room;
	struct fiber *waiters[2];
};

/* A message from a thread to the loop: run(post) is called on the loop's thread. */
struct post {
	struct list link;
	void (*run)(struct post *post);
	bool sent; /* guarded by the world's post_mutex */
};

struct offload_pool;
struct watchdog;

struct real_world {
	struct world world;
	int epoll_fd;
	int event_fd;
	int64_t tick; /* the coarse clock when world.now was read */
	size_t random_left;
	unsigned char random[512];
	struct timer sweep; /* trims the stacks of those who wait long */
	uint64_t swept_at;  /* stats.switches then */
	pthread_mutex_t post_mutex;
	struct list posts;
	atomic_bool post_pending;
	struct offload_pool *offload[OFFLOAD_KINDS];
	struct watchdog *watchdog;
};

struct real_world *real_here(void); /* must() be a real one */
moment real_refresh(struct real_world *real);
/* Any thread. Sending what is sent already is fine: it runs once. */
void post_send(struct real_world *real, struct post *post);
void post_cancel(struct real_world *real, struct post *post);

enum err watch_init(struct fd_watch *watch, struct real_world *real, int fd);
void watch_done(struct fd_watch *watch);
/* The same, where closing the descriptor, which comes next, ends the watch by itself. */
void watch_left(struct fd_watch *watch);
/* Waits until `how` is worth trying; leaves watch->ready as it is. */
enum err watch_wait(struct fd_watch *watch, unsigned how, moment deadline) WAITS;
/* A try said EAGAIN: nothing more until the next edge. */
static inline void watch_used_up(struct fd_watch *watch, unsigned how)
{
	watch->ready &= ~(how & ~watch->ended);
}
/* The same for WRITABLE alone, where nobody may wait for it before the next try. */
void watch_full(struct fd_watch *watch);

void real_offload(struct world *world, enum offload_kind kind, void (*fn)(void *arg), void *arg)
	WAITS;
void offload_pool_drop(struct offload_pool **pool);
/* A thread of ours: no signals, they are the loop's. Fails where threads may not be made. */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

struct watchdog *watchdog_new(struct world *world);
void watchdog_drop(struct watchdog **watchdog);

enum err real_listen(struct world *world, const struct addr *at, int backlog,
		     struct listener **out);
enum err real_connect(struct world *world, const struct connecting *connecting, struct stream **out)
	WAITS;
enum err real_pair(struct world *world, struct stream *ends[2]);
