/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callee's side: one fiber reads the channel; each call gets a job, with an arena of its own that
 * holds the ask, and a fiber that runs the handler and sends the answer. Jobs are kept for the next.
 */
#include "link/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	JOB_ARENA = 8192,    /* the block that a kept job keeps */
	JOBS_KEPT = 256,     /* per thread */
	LAST_WORDS_MS = 1000 /* for the answers that are left when we stop */
};

struct link_peer {
	struct channel *channel;
	enum role_kind self;
	enum role_kind role;
	unsigned index;
	const struct link_handlers *handlers;
	void *context;
	struct fiber_group *group;
	void *slot;
	size_t calls; /* in flight */
	size_t held;  /* octets of their asks, and of what they may be answered with */
	struct waitq ended_one;
};

struct job {
	struct list link; /* among the kept ones */
	struct link_call call;
	struct arena arena;
	const struct message *message;
	struct frame head;
	void *ask;
	void *answer;
	size_t held;
};

static _Thread_local struct list kept_jobs;
static _Thread_local size_t kept_count;

/* ---- jobs ---- */

static struct job *job_take(void)
{
	struct job *job;

	if (kept_count) {
		kept_count--;
		return CONTAINER_OF(list_take_first(&kept_jobs), struct job, link);
	}
	job = calloc(1, sizeof(*job));
	must(job);
	list_init(&job->link);
	arena_take(&job->arena, JOB_ARENA); /* the first block stays for ever */
	arena_reset(&job->arena);
	return job;
}

static void job_give(struct job *job)
{
	if (kept_count == JOBS_KEPT) {
		arena_drop(&job->arena);
		free(job);
		return;
	}
	if (!kept_jobs.next)
		list_init(&kept_jobs);
	arena_reset(&job->arena);
	list_add_first(&kept_jobs, &job->link); /* the warmest first */
	kept_count++;
}

/* ---- handlers ---- */

#define MESSAGE(name, number, from, to, ask_fields, answer_fields, doc)                            \
	case number:                                                                               \
		if (!handlers->name)                                                               \
			break;                                                                     \
		return handlers->name(&job->call, job->ask, job->answer);

static enum err run_handler(const struct link_handlers *handlers, struct job *job) WAITS
{
	switch (job->head.kind) {
#include "link/messages.def"
	default:
		break;
	}
	return fault(ERR_UNSUPPORTED, "%s is not served here", message_name(job->head.kind));
}
#undef MESSAGE

static void send_failure(struct link_peer *peer, const struct frame *call, enum err err,
			 const char *text)
{
	struct frame head = { .type = FRAME_FAILURE, .kind = call->kind, .call = call->call };
	struct failure failure = { err, str_first(str_of(*text ? text : err_text(err)),
						  FAULT_TEXT_MAX) };

	/* It can only fail when the channel has ended: then the caller has ERR_GONE. */
	if (channel_send(peer->channel, &head, &failure_shape, &failure))
		return;
}

static void send_outcome(struct job *job, enum err err) WAITS
{
	struct link_peer *peer = job->call.peer;
	struct frame head = job->head;

	head.type = FRAME_ANSWER;
	if (channel_wait_room(peer->channel, NEVER))
		return; /* never: it has no deadline */
	if (!err)
		err = channel_send(peer->channel, &head, job->message->answer, job->answer);
	if (err && channel_is_up(peer->channel))
		send_failure(peer, &job->head, err, fault_text());
}

static void job_fiber(void *arg) WAITS
{
	struct job *job = arg;
	struct link_peer *peer = job->call.peer;
	enum err err;

	job->answer = arena_take(&job->arena, job->message->answer->size);
	shape_clear(job->message->answer, job->answer);
	err = run_handler(peer->handlers, job);
	shape_close(job->message->ask, job->ask);
	send_outcome(job, err);
	shape_close(job->message->answer, job->answer);
	peer->calls--;
	peer->held -= job->held;
	waitq_wake_all(&peer->ended_one);
	if (job->message->ask->is_secret || job->message->answer->is_secret)
		arena_wipe(&job->arena);
	job_give(job);
}

/* ---- the channel ---- */

static enum err check_call(const struct link_peer *peer, const struct frame *frame)
{
	const struct message *message = message_of(frame->kind);

	if (frame->type != FRAME_CALL || !message)
		return fault(ERR_PROTOCOL, "message %u of type %u", frame->kind, frame->type);
	if (!message_is_allowed(message, peer->role, peer->self))
		return fault(ERR_PROTOCOL, "%s may not ask for %s", role_kind_name(peer->role),
			     message->name);
	if (peer->calls >= LIMIT_link_calls)
		return fault(ERR_PROTOCOL, "more than %d calls in flight", LIMIT_link_calls);
	return OK;
}

/* OK: the descriptor is the ask's. */
static enum err decode_ask(struct job *job, const struct frame *frame, int *fd)
{
	const struct shape *shape = job->message->ask;
	/* The receive buffer is used again at once; the ask's texts live with the job. */
	struct str payload = str_dup(&job->arena, frame->payload);
	enum err err;

	job->ask = arena_take(&job->arena, shape->size);
	err = shape_decode(shape, payload, *fd, &job->arena, job->ask);
	if (err)
		return err;
	*fd = -1;
	err = shape_check_bodies(shape, job->ask);
	if (err)
		shape_close(shape, job->ask);
	return err;
}

/*
 * Without memory for a fiber of its own the call is served here, and the next ones wait: a lock or a
 * handle that is given back must come back, or its owner is shut out for as long as the channel lives.
 */
static void start_job(struct link_peer *peer, struct job *job) WAITS
{
	peer->calls++;
	peer->held += job->held;
	if (fiber_spawn(peer->group, job->message->name, job_fiber, job, NULL))
		job_fiber(job);
}

static enum err dispatch(struct link_peer *peer, const struct frame *frame, int fd) WAITS
{
	struct job *job;
	enum err err = check_call(peer, frame);

	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	if (frame->has_fd && fd < 0) {
		send_failure(peer, frame, ERR_SYSTEM,
			     "no descriptor was free for what came with it");
		return OK;
	}
	job = job_take();
	job->message = message_of(frame->kind);
	job->head = *frame;
	job->head.payload = (struct str){ 0 };
	job->held = frame->payload.len + job->message->answer->octets_max;
	job->call = (struct link_call){ &job->arena, peer, peer->context };
	err = decode_ask(job, frame, &fd);
	if (job->message->ask->is_secret)
		frame_wipe(frame);
	if (!err) {
		start_job(peer, job);
		return OK;
	}
	if (fd >= 0)
		close(fd);
	job_give(job);
	return err;
}

/* While too much is under way nothing more is read: the caller then finds its own buffer full. */
static enum err wait_for_others(struct link_peer *peer) WAITS
{
	enum err err = OK;

	while (!err && channel_is_up(peer->channel)) {
		if (peer->held > LIMIT_link_held)
			err = waitq_wait(&peer->ended_one, NEVER);
		else if (!channel_has_room(peer->channel))
			err = waitq_wait(&peer->channel->room, NEVER);
		else
			break;
	}
	return err;
}

static enum err serve_frames(struct link_peer *peer) WAITS
{
	struct frame frame;
	int fd;
	enum err err;

	do {
		err = wait_for_others(peer);
		if (!err)
			err = channel_next(peer->channel, &frame, &fd);
		if (!err)
			err = dispatch(peer, &frame, fd);
	} while (!err);
	return err;
}

/* Every call that was begun is finished; a peer that takes no answers cannot hold us for ever. */
static void finish_calls(struct link_peer *peer) WAITS
{
	while (peer->calls) {
		enum err err = waitq_wait_through(&peer->ended_one, in_ms(LAST_WORDS_MS));

		if (err && !channel_has_room(peer->channel))
			channel_cut(peer->channel, err);
	}
}

static void serve_fiber(void *arg) WAITS
{
	struct link_peer *peer = arg;
	enum err err = serve_frames(peer);

	if (err == ERR_PROTOCOL)
		fprintf(stderr, "glasspost %s: link: cut the channel from %s %u: %s\n",
			role_kind_name(peer->self), role_kind_name(peer->role), peer->index,
			fault_text());
	if (err != ERR_STOPPED)
		channel_cut(peer->channel, err);
	if (peer->handlers->lost)
		peer->handlers->lost(peer->context, peer);
	finish_calls(peer);
	channel_drain(peer->channel, in_ms(LAST_WORDS_MS));
	channel_cut(peer->channel, ERR_CLOSED);
	if (peer->handlers->gone)
		peer->handlers->gone(peer->context, peer);
	channel_release(peer->channel);
	free(peer);
}

enum err link_serve(struct channel *channel, enum role_kind self, enum role_kind peer,
		    unsigned peer_index, const struct link_handlers *handlers, void *context,
		    struct fiber_group *group)
{
	struct link_peer *p;
	enum err err = channel_start(channel);

	if (err) {
		channel_drop(&channel);
		return err;
	}
	p = calloc(1, sizeof(*p));
	must(p);
	*p = (struct link_peer){
		.channel = channel,
		.self = self,
		.role = peer,
		.index = peer_index,
		.handlers = handlers,
		.context = context,
		.group = group,
	};
	waitq_init(&p->ended_one);
	err = fiber_spawn(group, "link server", serve_fiber, p, NULL);
	if (err) {
		channel_drop(&channel);
		free(p);
	}
	return err;
}

unsigned link_peer_index(const struct link_peer *peer)
{
	return peer->index;
}

void **link_peer_slot(struct link_peer *peer)
{
	return &peer->slot;
}
