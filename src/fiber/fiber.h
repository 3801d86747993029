/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fiber: many sessions, each read from top to bottom, in one thread; and the world they live in.
 *
 * A fiber is a function with a stack of its own that gives way only inside a call marked WAITS.
 * A world gives fibers time, randomness and connections. There are two: the real one (epoll,
 * CLOCK_MONOTONIC, sockets) and the simulated one (virtual clock, seeded randomness, in-memory
 * links). Fiber code never knows which.
 *
 * Invariants
 *  (1) One world runs in one thread; fibers never migrate. Only the functions marked "any thread"
 *      may be called from elsewhere.
 *  (2) Nothing is killed in place. A stopped fiber finds ERR_STOPPED from every further wait and
 *      unwinds by ordinary returns, so that its cleanups run.
 *  (3) Every wait has a deadline: a point of the world's monotonic time, or NEVER.
 *  (4) In the simulated world the same seed gives the same order of everything. Time passes only
 *      when no fiber can run, and then jumps to the next due moment.
 *  (5) A waiting fiber that nothing can wake again holds its world open; world_run returns when
 *      no fiber is left, or after world_halt. In the simulated world, where nothing comes from
 *      outside, a world in which all wait and nothing is due is a bug: it prints them and aborts.
 *  (6) Threads are made at the first world_run, offload and batcher_run, not before: a role that
 *      enters its sandbox first has them inside too.
 */
#include "base/base.h"

/* ---- worlds ---- */

struct world;

/* The first one of a process draws what str_hash is keyed by: no table is older. */
struct world *world_real_new(void);
struct world *world_sim_new(uint64_t seed);
/* Stops the fibers that are left and runs them until they have unwound, then frees the world. */
void world_drop(struct world **world);
/* Runs fibers until none is left (OK) or world_halt. Called from plain code, never from a fiber. */
void world_run(struct world *world);
void world_halt(struct world *world);
/* The world that runs now (in this thread); there must be one. */
struct world *world_here(void);
bool world_is_simulated(const struct world *world);
/* Called each time no fiber can run any more, before the world sleeps: links flush here. */
struct idle_hook {
	struct list link;
	void (*run)(struct idle_hook *hook);
};
void world_add_idle_hook(struct world *world, struct idle_hook *hook);
void world_remove_idle_hook(struct idle_hook *hook);

/* ---- time and chance, of the world that runs now ---- */

typedef int64_t moment; /* microseconds of the world's monotonic clock */
#define NEVER INT64_MAX

moment now(void);
int64_t wall_us(void);    /* microseconds since 1970-01-01T00:00:00Z; may jump */
moment in_ms(int64_t ms); /* now() + ms, saturated */
moment in_us(int64_t us);
/* When the wall clock will show that time as it goes now; `look_ms` from now at the latest where it may be set
   meanwhile, which the simulated world's is not. */
moment in_wall_us(int64_t us, int64_t look_ms);
moment sooner(moment a, moment b);
void random_bytes(void *at, size_t len); /* the real world's are fit for keys */
uint64_t random_u64(void);
/* A new id: 42 bits of wall-clock milliseconds, 22 of chance. Ids of one world only grow, so they
   are unique there, and unique in practice between worlds. 0 is none. */
uint64_t id_new(void);

/* ---- fibers ---- */

struct fiber;
typedef void fiber_fn(void *arg);

/* The fibers that somebody started and answers for. {0}-initialise with group_init. */
struct fiber_group {
	struct list fibers;
	size_t count;
	struct list waiters; /* of group_wait */
	bool stopping;       /* fibers started from now on are born stopped */
};

void group_init(struct fiber_group *group);
/* Ask every fiber of the group to stop. Does not wait. */
void group_stop(struct fiber_group *group);
/* Wait until the group is empty. */
enum err group_wait(struct fiber_group *group, moment deadline) WAITS;
/* The same for who must see its end though it was asked to stop itself. */
void group_wait_through(struct fiber_group *group) WAITS;

/*
 * Start fn(arg) as a fiber of the world that runs now; it first runs when the caller waits.
 * `name` must outlive the fiber (a literal); `group` may be NULL. Fails with ERR_LIMIT past
 * LIMIT_fiber_count. *out (may be NULL) is valid until the fiber ends.
 */
[[nodiscard]] enum err fiber_spawn(struct fiber_group *group, const char *name, fiber_fn *fn,
				   void *arg, struct fiber **out);
/* The first fibers of a world, from outside of it. */
[[nodiscard]] enum err world_spawn(struct world *world, const char *name, fiber_fn *fn, void *arg);
struct fiber *fiber_self(void);
/* Ask one fiber to stop: the wait it is in, and all later ones, return ERR_STOPPED. */
void fiber_stop(struct fiber *fiber);
bool fiber_is_stopping(void); /* was this fiber asked to stop? */
/* What fiber dumps show beside the name: peer, user, message. Copied, cut at 63 octets. */
void fiber_describe(const char *format, ...) PRINTF_LIKE(1, 2);

enum err fiber_sleep(moment until) WAITS; /* OK at the time, or ERR_STOPPED */
enum err fiber_yield(void) WAITS;         /* to the back of the run queue */

/* ---- waiting for one another ---- */

struct waitq {
	struct list waiters;
};

void waitq_init(struct waitq *queue);
/* OK when woken; ERR_TIMEOUT; ERR_STOPPED. Check your condition again after OK. */
enum err waitq_wait(struct waitq *queue, moment deadline) WAITS;
/* The same, but a stop does not end it: for calls whose outcome must be known (a commit under way). */
enum err waitq_wait_through(struct waitq *queue, moment deadline) WAITS;
void waitq_wake_one(struct waitq *queue);
void waitq_wake_all(struct waitq *queue);

struct semaphore {
	size_t free;
	struct waitq queue; /* first come, first served */
};

/* `count` may hold it at once; each take that was OK needs its give. Take fails as waitq_wait does. */
void semaphore_init(struct semaphore *semaphore, size_t count);
enum err semaphore_take(struct semaphore *semaphore, moment deadline) WAITS;
void semaphore_give(struct semaphore *semaphore);

/* ---- work for threads ---- */

/* What work is for: each kind has threads of its own, so that none waits for another kind. */
enum offload_kind {
	OFFLOAD_WORK, /* what somebody waits for: reading, looking at a message */
	OFFLOAD_HASH, /* slow on purpose: passwords */
	OFFLOAD_LOG,  /* one piece at a time: the recorder */
	OFFLOAD_OUT,  /* what a reader outside may hold up: lines of the log */
	OFFLOAD_KINDS
};

/*
 * Run fn(arg) on a worker thread of that kind (at most the number of cores, at least 2; one each for
 * LOG and OUT) and wait for its end. Not interruptible, so arg may lie on the caller's stack. In the simulated
 * world it runs at once.
 */
void offload(enum offload_kind kind, void (*fn)(void *arg), void *arg) WAITS;

/*
 * batcher: one thread that takes all jobs that are ready, does them in one go and answers all of
 * them: a commit shared by everyone who waits for it. While a batch runs the next one gathers.
 * In the simulated world a fiber does the same, `sim_cost_us` of virtual time a batch. Jobs are
 * handed over when no fiber can run, so that all that were ready share a batch.
 */
struct batcher;
struct batch_job {
	struct list link;
	struct fiber *waiter;
	bool done;
};
/* jobs: a list of batch_job.link; set nothing in them but your own part. Runs on the batcher's thread. */
typedef void batch_fn(void *context, struct list *jobs);

struct batcher *batcher_new(batch_fn *fn, void *context, int64_t sim_cost_us);
/* Hand in and wait for the batch's end. Not interruptible: the job may lie on the caller's stack. */
void batcher_run(struct batcher *batcher, struct batch_job *job) WAITS;
/* Waits for the thread to finish what it has. */
void batcher_drop(struct batcher **batcher);

/* ---- descriptors (the real world only) ---- */

enum { READABLE = 1, WRITABLE = 2 };

struct fd_watch; /* one registered descriptor; does not own it */
[[nodiscard]] enum err fd_watch_new(int fd, struct fd_watch **out);
void fd_watch_drop(struct fd_watch **watch);
/* Edge-triggered: try first, wait after EAGAIN. At most one fiber per direction. */
enum err fd_wait(struct fd_watch *watch, unsigned how, moment deadline) WAITS;

/* ---- connections ---- */

/*
 * stream: one end of a byte connection. The try_ halves never wait and say ERR_AGAIN instead;
 * reading gives ERR_CLOSED at the end of what the peer sent and ERR_RESET when it was cut; so
 * does writing to a connection that is gone. At most one fiber per direction. A fiber that has
 * moved very much without a wait gets ERR_AGAIN too, and its next wait is a yield.
 */
struct stream;

[[nodiscard]] enum err stream_try_read(struct stream *stream, void *at, size_t room, size_t *out);
[[nodiscard]] enum err stream_try_write(struct stream *stream, struct str octets, size_t *out);
enum err stream_wait(struct stream *stream, unsigned how, moment deadline) WAITS;
[[nodiscard]] enum err stream_read(struct stream *stream, void *at, size_t room, moment deadline,
				   size_t *out) WAITS;
[[nodiscard]] enum err stream_write(struct stream *stream, struct str octets, moment deadline)
	WAITS;
void stream_shut(struct stream *stream); /* no more from us; we may still read */
/* What is written from now on may leave as late as with the end, at stream_drop. False: it leaves at once. */
bool stream_hold(struct stream *stream);
void stream_drop(struct stream **stream);
const struct addr *stream_peer(const struct stream *stream);
const struct addr *stream_local(const struct stream *stream);

struct listener;

/* Of a bound, listening descriptor, which it then owns unless it fails (the real world). */
[[nodiscard]] enum err listener_of_fd(int fd, struct listener **out);
/* Of an address: binds and listens with `backlog` (real), or appears in the simulated net. */
[[nodiscard]] enum err listener_new(const struct addr *at, int backlog, struct listener **out);
[[nodiscard]] enum err listener_accept(struct listener *listener, moment deadline,
				       struct stream **out) WAITS;
const struct addr *listener_address(const struct listener *listener);
void listener_drop(struct listener **listener);
[[nodiscard]] enum err stream_connect(const struct addr *to, moment deadline, struct stream **out)
	WAITS;
/* The same from this address of ours, of the same family; its port does not count. NULL: from any. */
[[nodiscard]] enum err stream_connect_from(const struct addr *from, const struct addr *to,
					   moment deadline, struct stream **out) WAITS;
/* Of a connected, non-blocking socket, which it then owns unless it fails (the real world). */
[[nodiscard]] enum err stream_of_fd(int fd, struct stream **out);
/*
 * Gives the descriptor back, which is then the caller's to close, and frees the stream: for a library that has
 * its own way with sockets. -1, and nothing happens, in the simulated world.
 */
int stream_give_fd(struct stream **stream);
/* Two ends of one connection, no listener between. Real: a socket pair. */
[[nodiscard]] enum err stream_pair(struct stream *ends[2]);

/* ---- datagrams (the real world only) ---- */

/*
 * A UDP socket with a source port of the kernel's choice (by chance), connected: only datagrams from exactly that
 * address and port come in. ERR_REFUSED when the host says that nobody listens there.
 */
struct datagram;
[[nodiscard]] enum err datagram_open(const struct addr *to, struct datagram **out);
[[nodiscard]] enum err datagram_send(struct datagram *datagram, struct str octets);
/* The next datagram, cut at `room`. */
[[nodiscard]] enum err datagram_receive(struct datagram *datagram, void *at, size_t room,
					moment deadline, size_t *out) WAITS;
void datagram_drop(struct datagram **datagram);

/* ---- the simulated net ---- */

/* How links made from now on behave (stream_connect, stream_pair). */
struct sim_link {
	int64_t delay_us;      /* one way */
	int64_t jitter_us;     /* 0..jitter more, by chance */
	uint64_t octets_per_s; /* 0: no bound */
	unsigned
		loss_ppm; /* of segments; each loss delays what follows by a retransmission, as TCP would */
	size_t window; /* octets sent and not yet read before a writer waits; 0: 65536 */
};
void sim_set_link(struct world *world, const struct sim_link *link);
/* Cut every link whose either end has this address (port 0: all ports of that host): both sides
   see ERR_RESET once they have read what had arrived. */
void sim_cut(struct world *world, const struct addr *address);
/* From now on nothing passes and nobody is told (a cable pulled); connecting times out. */
void sim_go_dark(struct world *world, const struct addr *address);
/* The cable is back: connections made from now on pass. Those that were dark stay dead. */
void sim_come_back(struct world *world, const struct addr *address);
void sim_stream_cut(struct stream *stream);
/* Where connections made from now on come from (the port is given by the net). */
void sim_set_local(struct world *world, const struct addr *address);
/* Where the wall clock stands at the start of a simulated world: 2026-01-01T00:00:00Z unless set. */
void sim_set_wall(struct world *world, int64_t us);

/* ---- looking inside ---- */

struct fiber_info {
	uint64_t id;
	const char *name;
	char description[64];
	const char *waits_for; /* "readable", "queue", "sleep", "offload" ...; "runs" */
	int64_t since_us;      /* how long it has been in this wait */
	size_t stack_used;     /* high-water mark, octets; 0 when stacks are not painted */
};
/* Calls `each` for every fiber of the world. */
void world_each_fiber(struct world *world,
		      void (*each)(void *context, const struct fiber_info *info), void *context);
struct world_stats {
	uint64_t switches, spawned, polls;
	size_t fibers, fibers_peak;
	uint64_t slices_long; /* runs past LIMIT_fiber_slice */
	int64_t slice_longest_us;
	size_t stack_used_peak; /* over all fibers ended or alive, painted stacks only */
};
void world_get_stats(const struct world *world, struct world_stats *out);
/* Stacks are painted, so that high-water marks can be read. Costs a page touch each; tests switch it on. */
void world_paint_stacks(struct world *world, bool on);
/* Told on the loop's thread when a fiber has hogged it (LIMIT_fiber_slice); default: a line on stderr. */
void world_on_long_slice(struct world *world, void (*told)(const char *name, int64_t us));
