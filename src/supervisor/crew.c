/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/crew.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { START_MS = 15000 };

struct member *crew_member(struct crew *crew, enum role_kind kind, unsigned index)
{
	for (size_t i = 0; i < crew->count; i++) {
		if (crew->members[i].kind == kind && crew->members[i].index == index)
			return &crew->members[i];
	}
	return NULL;
}

/* ---- who belongs to it ---- */

static const struct role_ops *ops_of(const struct crew *crew, enum role_kind kind)
{
	for (size_t i = 0; crew->roles[i]; i++) {
		if (crew->roles[i]->kind == kind)
			return crew->roles[i];
	}
	return NULL;
}

static unsigned processes_of(const struct crew *crew, enum role_kind kind)
{
	if (crew->in_house || kind == ROLE_STORE || kind == ROLE_RELAY || kind == ROLE_WEB)
		return 1;
	if (kind == ROLE_FILTER)
		return (unsigned)crew->config->filter_processes;
	return (unsigned)crew->config->gate_processes;
}

static enum err make_ring(struct member *member)
{
	size_t size = trace_ring_size();
	void *at;

	member->ring_fd = memfd_create("glasspost trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (member->ring_fd < 0 || ftruncate(member->ring_fd, (off_t)size) != 0 ||
	    /* A role that could shrink it would take its readers down. */
	    fcntl(member->ring_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return fault_errno("a trace ring");
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, member->ring_fd, 0);
	if (at == MAP_FAILED)
		return fault_errno("map a trace ring");
	trace_ring_format(at, size, member->kind, member->index);
	if (member->crew->in_house)
		member->ring = at;
	else
		munmap(at, size);
	return OK;
}

static enum err add_member(struct crew *crew, enum role_kind kind, unsigned index)
{
	struct member *member = &crew->members[crew->count++];
	enum err err;

	must(crew->count <= CREW_MAX);
	*member = (struct member){
		.crew = crew,
		.ops = ops_of(crew, kind),
		.kind = kind,
		.index = index,
		.pidfd = -1,
		.ring_fd = -1,
	};
	err = make_ring(member);
	return err ? err : crew_open_control(crew, member);
}

static enum err add_members(struct crew *crew)
{
	static const enum role_kind order[] = { ROLE_STORE,   ROLE_FILTER,    ROLE_RELAY,
						ROLE_GATE_MX, ROLE_GATE_USER, ROLE_WEB };
	enum err err = OK;

	for (size_t i = 0; i < COUNT_OF(order); i++) {
		if (!ops_of(crew, order[i]))
			continue;
		for (unsigned n = 0; n < processes_of(crew, order[i]) && !err; n++)
			err = add_member(crew, order[i], n);
	}
	return err;
}

/* ---- starting ---- */

static enum err start_members(struct crew *crew) WAITS
{
	enum err err = OK;
	size_t i;

	for (i = 0; i < crew->count && !err; i++)
		err = member_launch(&crew->members[i]);
	/* Gates and relay ask the kinds below them; wiring those wires every pair. */
	for (i = 0; i < crew->count && !err; i++) {
		if (crew->members[i].kind != ROLE_STORE && crew->members[i].kind != ROLE_FILTER)
			err = member_wire_all(&crew->members[i]);
	}
	for (i = 0; i < crew->count && !err; i++) {
		err = member_begin(&crew->members[i]);
		if (err)
			say("%s did not begin: %s", role_kind_name(crew->members[i].kind),
			    fault_text());
	}
	return err;
}

static enum err watch_members(struct crew *crew)
{
	enum err err = OK;

	for (size_t i = 0; i < crew->count && !err && !crew->in_house; i++)
		err = fiber_spawn(&crew->watchers, "watch", member_watch, &crew->members[i], NULL);
	return err;
}

static bool is_all_ready(const struct crew *crew)
{
	for (size_t i = 0; i < crew->count; i++)
		if (!crew->members[i].up)
			return false;
	return crew->ready && !crew->stopping;
}

/* A role that does not listen keeps only this fiber waiting, and nobody from being started again. */
static void tell_fiber(void *arg) WAITS
{
	struct crew *crew = arg;

	while (crew->has_news && !fiber_is_stopping()) {
		crew->has_news = false;
		for (size_t i = 0; i < crew->count; i++)
			if (crew->members[i].kind == ROLE_WEB && crew->members[i].up)
				hand_readiness(&crew->members[i], is_all_ready(crew));
	}
	crew->is_telling = false;
}

void crew_tell_readiness(struct crew *crew)
{
	crew->has_news = true;
	if (!crew->is_telling)
		crew->is_telling =
			fiber_spawn(&crew->watchers, "readiness", tell_fiber, crew, NULL) == OK;
}

enum err crew_start(struct crew *crew, struct config *config) WAITS
{
	OWNED(buf) struct buf complaints = BUF(16384);
	enum err err;

	crew->config = config;
	group_init(&crew->watchers);
	waitq_init(&crew->calm);
	/* `init` runs the store alone. */
	err = ops_of(crew, ROLE_GATE_MX) ? crew_open_listeners(crew, config, &complaints) : OK;
	if (err)
		say("cannot listen:\n%.*s", STR_ARGS(buf_str(&complaints)));
	if (!err)
		err = add_members(crew);
	if (!err)
		err = start_members(crew);
	if (!err)
		err = watch_members(crew);
	if (err) {
		crew_stop(crew, 0);
	} else {
		crew->ready = true;
		crew_tell_readiness(crew);
	}
	return err;
}

/* ---- a new configuration ---- */

static enum err push(struct crew *crew, struct buf *complaints) WAITS
{
	enum err first = OK;
	size_t taken = 0;

	for (size_t i = 0; i < crew->count; i++) {
		struct member *member = &crew->members[i];
		enum err err = member->up ? hand_reload(member) : OK;

		/* Who dies meanwhile begins with it. */
		if (err && err != ERR_GONE) {
			buf_print(complaints, "%s %u: did not take it and goes on as before: %s\n",
				  role_kind_name(member->kind), member->index, fault_text());
			first = first ? first : err;
		} else if (!err && member->up) {
			taken++;
		}
	}
	if (first)
		buf_print(complaints, "%zu of %zu processes work by the new configuration\n", taken,
			  crew->count);
	return first;
}

static enum err listen_to_new(struct crew *crew, size_t first_new, struct buf *complaints) WAITS
{
	enum err first = OK;

	for (size_t i = first_new; i < crew->opening_count; i++) {
		for (size_t m = 0; m < crew->count; m++) {
			struct member *member = &crew->members[m];
			enum err err = OK;

			if (member->up && opening_is_for(crew, crew->openings[i], member))
				err = hand_listen(member, crew->openings[i]);
			if (err == ERR_GONE)
				err = OK;
			if (err)
				buf_print(complaints, "%s %u: does not listen for %s: %s\n",
					  role_kind_name(member->kind), member->index,
					  crew->openings[i]->listener, fault_text());
			first = first ? first : err;
		}
	}
	return first;
}

static void tell_what_waits(const struct config *old, const struct config *fresh)
{
	const char *name;

	for (size_t at = 0; (name = config_next_waiting(old, fresh, &at));)
		say("%s: the new value counts from the next start", name);
}

static enum role_kind server_of(const struct config_listener *l)
{
	if (l->kind == PROTOCOL_HTTP)
		return ROLE_WEB;
	return l->kind == PROTOCOL_SMTP || l->kind == PROTOCOL_LMTP ? ROLE_GATE_MX : ROLE_GATE_USER;
}

/* Its socket is in the hands of another role, which may not ask what this one must. */
static enum err check_classes(const struct config *old, const struct config *fresh,
			      struct buf *complaints)
{
	enum err err = OK;

	for (size_t i = 0; i < fresh->listener_count; i++) {
		const struct config_listener *l = &fresh->listeners[i];
		const struct config_listener *before = config_listener(old, l->name);

		if (!before || server_of(before) == server_of(l))
			continue;
		buf_print(
			complaints,
			"%.*s:%u: listener %.*s: protocol: from %.*s to %.*s is another process's "
			"work; give the listener another name and port, or start again\n",
			STR_ARGS(fresh->file), l->line, STR_ARGS(l->name),
			STR_ARGS(before->protocol), STR_ARGS(l->protocol));
		err = ERR_CONFIG;
	}
	return err;
}

static enum err wait_for_starts(struct crew *crew) WAITS
{
	moment deadline = in_ms(START_MS);
	enum err err = OK;

	while (!err && (crew->starting > 0 || crew->reloading))
		err = waitq_wait(&crew->calm, deadline);
	if (err || crew->stopping || !crew->ready)
		return fault(ERR_BUSY, "the server is starting or stopping; ask again in a moment");
	return OK;
}

static enum err take_over(struct crew *crew, struct config *fresh, struct buf *complaints) WAITS
{
	struct certificate certificate = CERTIFICATE_EMPTY;
	struct config *old = crew->config;
	size_t first_new = crew->opening_count;
	enum err listened;
	enum err err = check_classes(old, fresh, complaints);

	/* All that can fail comes first; then the old configuration is let go. */
	if (!err && crew->has_control) {
		err = certificate_load(crew->folder, fresh, &certificate);
		if (err)
			buf_print(complaints, "certificate: %s\n", fault_text());
	}
	if (!err)
		err = crew_open_listeners(crew, fresh, complaints);
	if (err) {
		certificate_drop(&certificate);
		crew_close_listeners(crew, old);
		config_unref(&fresh);
		return err;
	}
	if (crew->has_control) {
		certificate_drop(&crew->certificate);
		crew->certificate = certificate;
	}
	tell_what_waits(old, fresh);
	crew->config = fresh;
	crew->taken_over++;
	/* Each does what it can: one that fails does not keep the others from what they were given. */
	err = push(crew, complaints);
	listened = listen_to_new(crew, first_new, complaints);
	err = err ? err : listened;
	crew_close_listeners(crew, crew->config);
	config_unref(&old);
	return err;
}

enum err crew_reload(struct crew *crew, struct config *fresh, struct buf *complaints) WAITS
{
	enum err err = wait_for_starts(crew);

	if (err) {
		config_unref(&fresh);
		return err;
	}
	crew->reloading = true;
	err = take_over(crew, fresh, complaints);
	crew->reloading = false;
	waitq_wake_all(&crew->calm);
	return err;
}

/* ---- stopping ---- */

struct stop_job {
	struct member *member;
	int64_t grace_ms;
};

static void stop_fiber(void *arg) WAITS
{
	struct stop_job *job = arg;

	hand_stop(job->member, job->grace_ms);
}

/* All processes of these kinds at once; those who do not listen are killed by member_end. */
static void stop_kinds(struct crew *crew, unsigned kinds, int64_t grace_ms) WAITS
{
	struct stop_job jobs[CREW_MAX];
	struct fiber_group group;

	group_init(&group);
	for (size_t i = 0; i < crew->count; i++) {
		jobs[i] = (struct stop_job){ &crew->members[i], grace_ms };
		if (!(kinds & ROLE_BIT(jobs[i].member->kind)) || !jobs[i].member->up)
			continue;
		if (fiber_spawn(&group, "stop", stop_fiber, &jobs[i], NULL) != OK)
			stop_fiber(&jobs[i]);
	}
	group_wait_through(&group);
}

static void close_boss(struct member *member) WAITS
{
	enum { LAST_MS = 3000 };

	link_drop(&member->boss); /* the role ends when it finds this out */
	if (member->pid > 0 && member->up && member_wait_end(member, in_ms(LAST_MS)) != OK)
		say("%s %u is killed: it did not end", role_kind_name(member->kind), member->index);
	member_end(member);
}

static void free_member(struct member *member)
{
	if (member->ring)
		munmap(member->ring, trace_ring_size());
	if (member->ring_fd >= 0)
		close(member->ring_fd);
	if (member->control)
		opening_close(member->control);
	free(member->control);
}

void crew_cut_starts(struct crew *crew)
{
	for (size_t i = 0; i < crew->count; i++) {
		if (!crew->members[i].up && crew->members[i].pid > 0)
			kill(crew->members[i].pid, SIGKILL);
	}
}

void crew_stop(struct crew *crew, int64_t grace_ms) WAITS
{
	crew->stopping = true;
	crew->ready = false;
	group_stop(&crew->watchers);
	crew_cut_starts(crew);
	group_wait_through(&crew->watchers);
	crew_close_listeners(crew, NULL);
	stop_kinds(crew, FROM_GATES | FROM_WEB, grace_ms);
	stop_kinds(crew, ROLE_BIT(ROLE_FILTER) | ROLE_BIT(ROLE_RELAY), grace_ms);
	stop_kinds(crew, ROLE_BIT(ROLE_STORE), grace_ms);
	for (size_t i = crew->count; i-- > 0;)
		close_boss(&crew->members[i]);
	for (size_t i = 0; i < crew->count; i++)
		free_member(&crew->members[i]);
	crew->count = 0;
	config_unref(&crew->config);
	certificate_drop(&crew->certificate);
	free(crew->folder);
	crew->folder = NULL;
	arena_drop(&crew->arena);
}
