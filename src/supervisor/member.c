/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BOSS_FD = 3,
	QUICK_MS = 10000, /* a role that ends sooner after its start is in trouble */
	BACK_OFF_MS = 100,
	BACK_OFF_MAX_MS = 5000,
	TROUBLE = 5 /* quick ends in a row that are called so */
};

void say(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	must(vasprintf(&text, format, arguments) >= 0);
	va_end(arguments);
	fprintf(stderr, "glasspost: %s\n", text);
	free(text);
}

/* ---- processes ---- */

/* The user that roles become when we are root: the named one, or glasspost where there is one. */
static struct str role_user(const struct crew *crew)
{
	if (crew->config->user.len > 0 || getuid() != 0)
		return crew->config->user;
	return getpwnam("glasspost") ? S("glasspost") : S("");
}

/*
 * We wait until the new program runs. A copy of us that went on beside us would hold every connection that we close
 * meanwhile, and epoll would go on to tell of it to a watch that is gone.
 */
static int run_self(pid_t *pid, char *const *words, char *const *environment, int boss)
{
	posix_spawn_file_actions_t files;
	int error = posix_spawn_file_actions_init(&files);

	if (error)
		return error;
	error = posix_spawn_file_actions_adddup2(&files, boss, BOSS_FD);
	if (!error)
		error = posix_spawn_file_actions_addclosefrom_np(&files, BOSS_FD + 1);
	if (!error)
		error = posix_spawn(pid, "/proc/self/exe", &files, NULL, words, environment);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

static enum err spawn(struct member *member, int boss)
{
	struct arena arena = { 0 };
	const struct crew *crew = member->crew;
	/* As OpenSSL's other programs take it. The file is read before the sandbox closes. */
	bool has_roots = member->kind == ROLE_RELAY && crew->config->tls_roots.len > 0;
	struct str roots =
		str_print(&arena, "SSL_CERT_FILE=%.*s", STR_ARGS(crew->config->tls_roots));
	char *environment[] = { has_roots ? str_dup_c(&arena, roots) : NULL, NULL };
	struct str folder =
		member->kind == ROLE_STORE ? str_print(&arena, "%s/store", crew->folder) : S("");
	char *words[] = { "glasspost",
			  "role",
			  str_dup_c(&arena, str_of(role_kind_name(member->kind))),
			  str_dup_c(&arena, folder),
			  str_dup_c(&arena, role_user(crew)),
			  str_dup_c(&arena, crew->config->sandbox),
			  str_dup_c(&arena, str_of(role_sandbox_row(member->kind, crew->config))),
			  NULL };
	enum err err = OK;

	errno = run_self(&member->pid, words, environment, boss);
	if (errno) {
		err = fault_errno("start %s", words[2]);
		member->pid = 0;
	}
	arena_drop(&arena);
	return err;
}

static enum err watch_process(struct member *member)
{
	member->pidfd = pidfd_open(member->pid, PIDFD_NONBLOCK);
	if (member->pidfd < 0)
		return fault_errno("watch %s", role_kind_name(member->kind));
	return fd_watch_new(member->pidfd, &member->ended);
}

static enum err launch_process(struct member *member)
{
	struct channel *channel;
	int fds[2];
	enum err err = channel_pair_fds(fds);

	if (err)
		return err;
	err = spawn(member, fds[1]);
	close(fds[1]);
	if (!err)
		err = watch_process(member);
	if (!err)
		err = channel_of_fd(fds[0], &channel);
	if (err) {
		close(fds[0]);
		return err;
	}
	member->boss = link_new(ROLE_SUPERVISOR, member->kind);
	return link_attach(member->boss, 0, channel);
}

/* ---- from nothing to serving ---- */

enum err member_launch(struct member *member) WAITS
{
	enum err err = OK;

	member->since = now();
	if (member->crew->in_house) {
		member->role = role_new(member->ops);
		member->role->zone = member->crew->zone;
	} else {
		err = launch_process(member);
	}
	if (!err)
		err = hand_boot(member);
	if (!err)
		err = hand_rings(member);
	if (!err)
		err = hand_certificate(member);
	member->reachable = !err;
	return err;
}

static bool asks(const struct member *asking, const struct member *asked)
{
	bool is_gate = asking->kind == ROLE_GATE_MX || asking->kind == ROLE_GATE_USER;

	if (asking->kind == ROLE_RELAY || asking->kind == ROLE_WEB)
		return asked->kind == ROLE_STORE;
	return is_gate && (asked->kind == ROLE_FILTER || asked->kind == ROLE_STORE);
}

enum err member_wire_all(struct member *member) WAITS
{
	struct crew *crew = member->crew;
	enum err err = OK;

	for (size_t i = 0; i < crew->count && !err; i++) {
		struct member *other = &crew->members[i];

		if (!other->reachable || other == member)
			continue;
		if (asks(member, other))
			err = hand_wire(member, other);
		else if (asks(other, member))
			err = hand_wire(other, member);
		/* When the other one has died meanwhile, its own start wires us. */
		if (err && !other->reachable)
			err = OK;
	}
	return err;
}

static enum err listen_all(struct member *member) WAITS
{
	struct crew *crew = member->crew;
	enum err err = OK;

	if (member->control)
		err = hand_listen(member, member->control);
	for (size_t i = 0; i < crew->opening_count && !err; i++) {
		if (opening_is_for(crew, crew->openings[i], member))
			err = hand_listen(member, crew->openings[i]);
	}
	return err;
}

enum err member_begin(struct member *member) WAITS
{
	enum err err = listen_all(member);

	if (!err)
		err = hand_begin(member);
	member->up = !err;
	member->since = now();
	return err;
}

/* ---- the end of one ---- */

enum err member_wait_end(struct member *member, moment deadline) WAITS
{
	siginfo_t info = { 0 };

	if (!member->pid)
		return OK;
	/* A fresh watch says at once that it is worth a try, and then there is nothing yet. */
	while (info.si_pid == 0) {
		enum err err = member->ended ? fd_wait(member->ended, READABLE, deadline) : OK;

		if (err)
			return err;
		if (waitid(P_PID, (id_t)member->pid, &info,
			   WEXITED | (member->ended ? WNOHANG : 0)) != 0) {
			snprintf(member->last_end, sizeof member->last_end, "gone");
			member->pid = 0;
			return OK;
		}
	}
	if (info.si_code == CLD_EXITED)
		snprintf(member->last_end, sizeof member->last_end, "exit status %d",
			 info.si_status);
	else
		snprintf(member->last_end, sizeof member->last_end, "killed by SIG%s",
			 sigabbrev_np(info.si_status) ? sigabbrev_np(info.si_status) : "?");
	member->pid = 0;
	return OK;
}

void member_end(struct member *member) WAITS
{
	member->reachable = false;
	member->up = false;
	role_drop(&member->role);
	link_drop(&member->boss);
	if (member->pid > 0) {
		kill(member->pid, SIGKILL);
		/* Stopped fibers wait no more, but a killed process is gone in no time. */
		while (member_wait_end(member, NEVER) != OK)
			fd_watch_drop(&member->ended);
	}
	fd_watch_drop(&member->ended);
	if (member->pidfd >= 0)
		close(member->pidfd);
	member->pidfd = -1;
}

/* ---- watching ---- */

static int64_t back_off_ms(const struct member *member)
{
	int64_t ms = BACK_OFF_MS;

	if (member->quick_ends <= 1)
		return 0;
	for (unsigned i = 2; i < member->quick_ends && ms < BACK_OFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACK_OFF_MAX_MS ? ms : BACK_OFF_MAX_MS;
}

static void note_end(struct member *member)
{
	bool quick = now() - member->since < (moment)QUICK_MS * 1000;
	char pause[40] = "";

	member->quick_ends = quick ? member->quick_ends + 1 : 1;
	member->restarts++;
	if (back_off_ms(member) > 0)
		snprintf(pause, sizeof pause, " in %lld ms", (long long)back_off_ms(member));
	say("%s %u has ended (%s); starting it again%s", role_kind_name(member->kind),
	    member->index, member->last_end, pause);
	if (member->quick_ends == TROUBLE)
		say("%s %u cannot stay up: it ended %d times soon after its start. Its own lines "
		    "above say why; mail that waits at other servers is not lost.",
		    role_kind_name(member->kind), member->index, TROUBLE);
}

static enum err start_again(struct member *member) WAITS
{
	struct crew *crew = member->crew;
	enum err err = fiber_sleep(in_ms(back_off_ms(member)));

	while (!err && crew->reloading)
		err = waitq_wait(&crew->calm, NEVER);
	crew->starting++;
	if (!err)
		err = member_launch(member);
	if (!err)
		err = member_wire_all(member);
	if (!err)
		err = member_begin(member);
	crew->starting--;
	waitq_wake_all(&crew->calm);
	if (!err)
		return OK;
	if (err != ERR_STOPPED && !fiber_is_stopping())
		say("%s %u did not start: %s", role_kind_name(member->kind), member->index,
		    fault_text());
	return err;
}

void member_watch(void *arg) WAITS
{
	struct member *member = arg;

	while (member_wait_end(member, NEVER) == OK) {
		/* It may have ended in the very moment in which all are stopped. */
		if (fiber_is_stopping())
			return;
		member_end(member);
		note_end(member);
		crew_tell_readiness(member->crew);
		if (start_again(member) == OK) {
			crew_tell_readiness(member->crew);
			continue;
		}
		if (fiber_is_stopping())
			return;
		/* What was launched is taken down; the loop then finds it ended. */
		if (member->pid > 0)
			kill(member->pid, SIGKILL);
		member->reachable = false;
	}
}
