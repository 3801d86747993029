/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/real.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 256,
	SWEEP_EVERY_US = 2'000'000,
	SWEEP_AGE_US = 4'000'000, /* a wait longer than this has its stack trimmed */
	SWEEP_CHUNK = 512,        /* fibers looked at in one go */
};

static struct real_world *real_of(struct world *world)
{
	return CONTAINER_OF(world, struct real_world, world);
}

struct real_world *real_here(void)
{
	struct world *world = world_here();

	must(!world->simulated);
	return real_of(world);
}

/* ---- time ---- */

static int64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	must(clock_gettime(clock, &ts) == 0);
	return (int64_t)ts.tv_sec * 1'000'000 + ts.tv_nsec / 1000;
}

/*
 * The coarse clock is one memory read; only when it has ticked (every 1 to 10 ms) or the loop
 * comes back from outside is the exact one asked.
 */
static int64_t coarse_us(void)
{
	return clock_us(CLOCK_MONOTONIC_COARSE);
}

moment real_refresh(struct real_world *real)
{
	real->tick = coarse_us();
	real->world.now = clock_us(CLOCK_MONOTONIC);
	return real->world.now;
}

static moment real_now(struct world *world)
{
	struct real_world *real = real_of(world);

	return coarse_us() == real->tick ? world->now : real_refresh(real);
}

static int64_t real_wall_us(struct world *world)
{
	(void)world;
	return clock_us(CLOCK_REALTIME);
}

static void tell_on_stderr(struct world *world, const char *name, int64_t us)
{
	static _Thread_local moment last;

	/* A busy machine preempts us too: one line a second says enough. */
	if (last && world->now - last < 1'000'000)
		return;
	last = world->now;
	fprintf(stderr, "glasspost: fiber '%s' kept the others waiting for %lld ms\n", name,
		(long long)us / 1000);
}

/* The beginning of a slice is known to a tick of the coarse clock, so `us` is that much too long
   at worst. */
static void real_slice_end(struct world *world, const char *name)
{
	int64_t us = real_now(world) - world->slice_begun;

	if (us > world->stats.slice_longest_us)
		world->stats.slice_longest_us = us;
	if (us <= LIMIT_fiber_slice)
		return;
	world->stats.slices_long++;
	if (world->on_long_slice)
		world->on_long_slice(name, us);
	else
		tell_on_stderr(world, name, us);
}

/* ---- chance ---- */

static void system_random(void *at, size_t len)
{
	char *next = at;

	while (len > 0) {
		ssize_t got = getrandom(next, len, 0);

		must(got > 0 || errno == EINTR); /* the kernel's pool is there since boot */
		if (got > 0) {
			next += got;
			len -= (size_t)got;
		}
	}
}

/* Octets given are wiped here, so that no key can be read from this memory later. */
static void real_random(struct world *world, void *at, size_t len)
{
	struct real_world *real = real_of(world);
	unsigned char *from;

	if (len > sizeof(real->random) / 4) {
		system_random(at, len);
		return;
	}
	if (real->random_left < len) {
		system_random(real->random, sizeof(real->random));
		real->random_left = sizeof(real->random);
	}
	real->random_left -= len;
	from = real->random + real->random_left;
	memcpy(at, from, len);
	explicit_bzero(from, len);
}

/* ---- posts from threads ---- */

void post_send(struct real_world *real, struct post *post)
{
	static const uint64_t one = 1;

	pthread_mutex_lock(&real->post_mutex);
	if (!post->sent) {
		post->sent = true;
		list_add_last(&real->posts, &post->link);
	}
	pthread_mutex_unlock(&real->post_mutex);
	/* One write wakes the loop for all that is posted until it looks. */
	if (!atomic_exchange(&real->post_pending, true)) {
		ssize_t written = write(real->event_fd, &one, sizeof(one));

		must(written == sizeof(one));
	}
}

void post_cancel(struct real_world *real, struct post *post)
{
	pthread_mutex_lock(&real->post_mutex);
	if (post->sent)
		list_remove(&post->link);
	post->sent = false;
	pthread_mutex_unlock(&real->post_mutex);
}

static struct post *post_take(struct real_world *real)
{
	struct list *link;
	struct post *post = NULL;

	pthread_mutex_lock(&real->post_mutex);
	link = list_take_first(&real->posts);
	if (link) {
		post = CONTAINER_OF(link, struct post, link);
		post->sent = false;
	}
	pthread_mutex_unlock(&real->post_mutex);
	return post;
}

static void run_posts(struct real_world *real)
{
	uint64_t count;
	struct post *post;
	ssize_t got = read(real->event_fd, &count, sizeof(count));

	must(got == sizeof(count) || errno == EAGAIN);
	atomic_store(&real->post_pending, false);
	while ((post = post_take(real)))
		post->run(post);
}

/* ---- epoll ---- */

static void watch_event(struct fd_watch *watch, uint32_t events)
{
	/* An error alone may pass (a datagram that was refused), so it does not end anything. */
	if (events & (EPOLLRDHUP | EPOLLHUP))
		watch->ended |= READABLE;
	if (events & EPOLLHUP)
		watch->ended |= WRITABLE;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		watch->ready |= READABLE;
		fiber_wake_if(watch->waiters[0], OK);
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		watch->ready |= WRITABLE;
		fiber_wake_if(watch->waiters[1], OK);
	}
}

static int sleep_ms(moment at, moment until)
{
	int64_t ms;

	if (until <= at)
		return 0;
	if (until == NEVER)
		return -1;
	ms = (until - at + 999) / 1000;
	return ms > 3'600'000 ? 3'600'000 : (int)ms;
}

static void arm_sweep(struct real_world *real)
{
	struct world *world = &real->world;

	if (real->sweep.item.index != HEAP_OUT || real->swept_at == world->stats.switches)
		return;
	timer_set(world, &real->sweep, world->now + SWEEP_EVERY_US);
}

static void real_poll(struct world *world, moment until)
{
	struct real_world *real = real_of(world);
	struct epoll_event events[EVENTS_MAX];
	int timeout = until > 0 ? sleep_ms(real_refresh(real), until) : 0;
	int count;

	if (timeout != 0) {
		arm_sweep(real);
		timeout = sleep_ms(world->now, world_next_timer(world));
	}
	count = epoll_wait(real->epoll_fd, events, EVENTS_MAX, timeout);
	must(count >= 0 || errno == EINTR);
	real_refresh(real);
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			watch_event(events[i].data.ptr, events[i].events);
		else
			run_posts(real);
	}
}

/*
 * Those who have waited for several seconds give back the stack they do not stand on. The list
 * of fibers is turned as it is looked at, so that each sweep begins where the last one ended;
 * sweeps end when nobody has run since.
 */
static void sweep_fired(struct timer *timer)
{
	struct real_world *real = CONTAINER_OF(timer, struct real_world, sweep);
	struct world *world = &real->world;
	size_t left = world->stats.fibers < SWEEP_CHUNK ? world->stats.fibers : SWEEP_CHUNK;
	bool young = false;

	for (size_t i = 0; i < left; i++) {
		struct list *link = list_take_first(&world->fibers);
		struct fiber *fiber = CONTAINER_OF(link, struct fiber, all);

		list_add_last(&world->fibers, link);
		fiber_trim(fiber, world->now - SWEEP_AGE_US);
		young |= !fiber->trimmed;
	}
	if (world->stats.fibers > SWEEP_CHUNK) {
		/* A whole round takes SWEEP_EVERY_US, however many there are. */
		size_t chunks = world->stats.fibers / SWEEP_CHUNK + 1;

		timer_set(world, timer, world->now + SWEEP_EVERY_US / (int64_t)chunks);
	} else if (young) {
		timer_set(world, timer, world->now + SWEEP_EVERY_US);
	}
	real->swept_at = world->stats.switches;
}

/* ---- descriptors ---- */

/*
 * Room is asked about only from the first time on that there was none: each read of a UNIX socket
 * makes room at its other end, and would wake who waits there for something to read.
 */
enum err watch_init(struct fd_watch *watch, struct real_world *real, int fd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = watch,
	};

	*watch = (struct fd_watch){ .real = real, .fd = fd, .ready = READABLE | WRITABLE };
	if (epoll_ctl(real->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return fault_errno("watch descriptor %d", fd);
	return OK;
}

/* Where there is room by now, being asked makes the kernel say so at once. */
static void ask_for_room(struct fd_watch *watch)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = watch,
	};

	if (watch->asks_for_room)
		return;
	must(epoll_ctl(watch->real->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0);
	watch->asks_for_room = true;
}

void watch_full(struct fd_watch *watch)
{
	watch_used_up(watch, WRITABLE);
	ask_for_room(watch);
}

void watch_left(struct fd_watch *watch)
{
	must(!watch->waiters[0] && !watch->waiters[1]); /* nobody may still wait for it */
}

void watch_done(struct fd_watch *watch)
{
	watch_left(watch);
	/* Closing is not enough: another process may hold the same open file. */
	(void)epoll_ctl(watch->real->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static const char *what_for(unsigned how)
{
	return how == READABLE ? "readable" : how == WRITABLE ? "writable" : "readable, writable";
}

enum err watch_wait(struct fd_watch *watch, unsigned how, moment deadline) WAITS
{
	struct fiber *self = fiber_self();
	enum err err = OK;

	if (self->stopping)
		return ERR_STOPPED;
	if ((how & WRITABLE) && !(watch->ready & how))
		ask_for_room(watch);
	while (!err && !(watch->ready & how)) {
		for (unsigned i = 0; i < 2; i++) {
			if (!(how & (READABLE << i)))
				continue;
			must(!watch->waiters[i]); /* one fiber per direction */
			watch->waiters[i] = self;
		}
		err = fiber_park(what_for(how), deadline);
		for (unsigned i = 0; i < 2; i++)
			if (how & (READABLE << i))
				watch->waiters[i] = NULL;
	}
	return err;
}

enum err fd_watch_new(int fd, struct fd_watch **out)
{
	struct fd_watch *watch = malloc(sizeof(*watch));
	enum err err;

	must(watch);
	err = watch_init(watch, real_here(), fd);
	if (err) {
		free(watch);
		return err;
	}
	*out = watch;
	return OK;
}

void fd_watch_drop(struct fd_watch **watch)
{
	if (!*watch)
		return;
	watch_done(*watch);
	free(*watch);
	*watch = NULL;
}

/* The caller tried and got EAGAIN, so what was known before is used up by this wait. */
enum err fd_wait(struct fd_watch *watch, unsigned how, moment deadline) WAITS
{
	enum err err = watch_wait(watch, how, deadline);

	if (!err)
		watch_used_up(watch, how);
	return err;
}

/* ---- the world ---- */

static void real_run_begin(struct world *world)
{
	struct real_world *real = real_of(world);

	real_refresh(real);
	/* Not earlier: a role enters its sandbox before it runs, and threads must be inside too. */
	if (!real->watchdog)
		real->watchdog = watchdog_new(world);
}

static void real_drop(struct world *world)
{
	struct real_world *real = real_of(world);

	watchdog_drop(&real->watchdog);
	for (size_t i = 0; i < OFFLOAD_KINDS; i++)
		offload_pool_drop(&real->offload[i]);
	timer_clear(world, &real->sweep);
	close(real->epoll_fd);
	close(real->event_fd);
	pthread_mutex_destroy(&real->post_mutex);
	world_done(world);
	explicit_bzero(real->random, sizeof(real->random));
	free(real);
}

/* What strangers name is looked up in tables by its hash: which ones meet in a bucket is not for them to choose. */
static void key_tables(void)
{
	uint64_t seed;

	system_random(&seed, sizeof(seed));
	str_hash_seed(seed);
}

struct world *world_real_new(void)
{
	static pthread_once_t keyed = PTHREAD_ONCE_INIT;

	static const struct world_ops ops = {
		.now = real_now,
		.wall_us = real_wall_us,
		.random = real_random,
		.poll = real_poll,
		.run_begin = real_run_begin,
		.slice_end = real_slice_end,
		.drop = real_drop,
		.offload = real_offload,
		.listen = real_listen,
		.connect = real_connect,
		.pair = real_pair,
	};
	struct real_world *real = calloc(1, sizeof(*real));
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	must(real && pthread_once(&keyed, key_tables) == 0);
	world_init(&real->world, &ops, false);
	real->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	real->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(real->epoll_fd >= 0 && real->event_fd >= 0); /* at start; nothing runs without them */
	must(epoll_ctl(real->epoll_fd, EPOLL_CTL_ADD, real->event_fd, &event) == 0);
	must(pthread_mutex_init(&real->post_mutex, NULL) == 0);
	list_init(&real->posts);
	timer_init(&real->sweep, sweep_fired);
	real_refresh(real);
	return &real->world;
}
