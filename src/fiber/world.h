/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * world (private to this folder): what both worlds share (the run queue, timers, fibers) and the
 * table of what each does its own way.
 *
 * Invariants
 *  (1) A fiber is in exactly one state: ready (in world->ready), running (world->current), parked
 *      or ended. Only a parked fiber can be woken, and once.
 *  (2) While parked, fiber->wait may be in the list of whatever it waits for; waking takes it out.
 *  (3) A fiber's timer may stand in the heap with a moment earlier than its deadline, left from
 *      an earlier wait; when that moment comes the timer moves to the deadline. So most waits
 *      leave the heap alone.
 */
#include "fiber/fiber.h"
#include "fiber/stack.h"
#include "fiber/switch.h"

#include <stdatomic.h>

struct timer {
	struct heap_item item;
	void (*fire)(struct timer *timer);
};

/* struct fiber lies at the top of its own stack, so that an idle fiber costs one page. */
struct fiber {
	struct context context;
	void *frame;       /* frame pointer where it gave way, for tools/gdb/fibers.py */
	struct list run;   /* in world->ready */
	struct list wait;  /* in the list of what it waits for */
	struct list all;   /* in world->fibers */
	struct list group; /* in group_of->fibers */
	struct fiber_group *group_of;
	struct timer timer;
	struct world *world;
	struct stack stack;
	fiber_fn *fn;
	void *arg;
	uint64_t id;
	const char *name;
	const char *waits_for;
	moment since;
	moment deadline;
	enum err woken; /* what the wait says */
	unsigned moved; /* octets moved over streams in this slice */
	bool parked;
	bool hard; /* the wait under way cannot be stopped */
	bool stopping;
	bool trimmed; /* in the wait under way */
	char description[64];
	struct fault fault;
};

struct connecting {
	const struct addr *from; /* NULL: any address of ours */
	const struct addr *to;
	moment deadline;
};

struct world_ops {
	moment (*now)(struct world *world);
	int64_t (*wall_us)(struct world *world);
	void (*random)(struct world *world, void *at, size_t len);
	/* Collect what happened; sleep until `until` when nothing did (not at all when it is past). */
	void (*poll)(struct world *world, moment until);
	void (*run_begin)(struct world *world); /* world_run starts; may be NULL */
	void (*slice_end)(struct world *world, const char *name); /* may be NULL */
	void (*drop)(struct world *world);
	void (*offload)(struct world *world, enum offload_kind kind, void (*fn)(void *arg),
			void *arg) WAITS;
	enum err (*listen)(struct world *world, const struct addr *at, int backlog,
			   struct listener **out);
	enum err (*connect)(struct world *world, const struct connecting *connecting,
			    struct stream **out) WAITS;
	enum err (*pair)(struct world *world, struct stream *ends[2]);
};

struct world {
	const struct world_ops *ops;
	struct list worlds; /* in the list that tools/gdb/fibers.py starts from */
	struct list ready;
	struct list fibers;
	struct fiber *current;
	struct fiber *ended; /* its stack is given back once nobody stands on it */
	struct heap timers;
	struct list idle_hooks;
	moment now;
	moment slice_begun;
	struct context loop; /* where world_run was left */
	struct stack_pool stacks;
	struct world_stats stats;
	uint64_t last_id;
	uint64_t last_fiber_id;
	bool simulated;
	bool halted;
	bool dropping;
	bool paints;
	void (*on_long_slice)(const char *name, int64_t us);
	/* Read by the watchdog's thread. */
	_Atomic(const char *) running;
	atomic_ullong slices;
};

void world_init(struct world *world, const struct world_ops *ops, bool simulated);
void world_done(struct world *world);
void world_fire_timers(struct world *world); /* all that are due at world->now */
/* When the first timer stands; NEVER without one. */
moment world_next_timer(const struct world *world);
void world_print_fibers(struct world *world); /* on stderr */

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
void timer_set(struct world *world, struct timer *timer, moment when);
void timer_clear(struct world *world, struct timer *timer);

/* Give way until woken or the deadline: OK, ERR_TIMEOUT or ERR_STOPPED. */
enum err fiber_park(const char *waits_for, moment deadline) WAITS;
/* The same, deaf to fiber_stop: somebody else uses this fiber's stack. OK or ERR_TIMEOUT. */
enum err fiber_park_hard(const char *waits_for, moment deadline) WAITS;
void fiber_wake(struct fiber *fiber, enum err why);
/* fiber_wake, for a place that may hold no fiber. */
void fiber_wake_if(struct fiber *fiber, enum err why);
struct fiber *fiber_of_wait(struct list *wait);
enum err fiber_start(struct world *world, struct fiber_group *group, struct fiber *model,
		     struct fiber **out);
void fiber_bury(struct world *world);
/* Trim the stack of a fiber that has waited since before `before`. */
void fiber_trim(struct fiber *fiber, moment before);

/* Streams stand on these, whichever world they are of. */
struct stream_ops {
	enum err (*try_read)(struct stream *stream, void *at, size_t room, size_t *out);
	enum err (*try_write)(struct stream *stream, struct str octets, size_t *out);
	void (*hold)(struct stream *stream); /* NULL: what is written leaves at once */
	enum err (*wait)(struct stream *stream, unsigned how, moment deadline) WAITS;
	void (*shut)(struct stream *stream);
	void (*drop)(struct stream *stream);
	int (*give_fd)(struct stream *stream); /* real only */
	void (*cut)(struct stream *stream);    /* simulated only */
};

struct stream {
	const struct stream_ops *ops;
	struct addr peer;
	struct addr local;
};

struct listener {
	enum err (*accept)(struct listener *listener, moment deadline, struct stream **out) WAITS;
	void (*drop)(struct listener *listener);
	struct addr address;
};
