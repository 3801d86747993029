/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"
#include "supervisor/file.h"
#include "sandbox/sandbox.h"
#include "supervisor/notify.h"
#include "supervisor/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { GRACE_MS = 10000 };

/* ---- reload ---- */

/* As root only what root alone can have written: it names the user, the certificate, the sockets. */
static enum err read_as_root(struct server *server, struct buf *complaints, struct config **out)
{
	const struct supervisor_options *o = server->options;
	OWNED(buf) struct buf text = BUF(LIMIT_config_file + 1);
	struct config *unsure = NULL;
	enum err err = file_read_own(server->config_path, &text);

	if (!err)
		return config_parse(buf_str(&text), str_of(server->config_path), o->overrides,
				    o->override_count, complaints, out);
	/* Whatever else keeps it from being read, the common way says what to do about it. */
	if (err != ERR_CONFIG)
		err = config_read_file(server->config_path, o->overrides, o->override_count,
				       complaints, &unsure);
	if (unsure)
		config_unref(&unsure);
	if (!err)
		err = fault(ERR_CONFIG, "%s: changed while it was read", server->config_path);
	if (!complaints->len)
		buf_print(complaints, "%s\n", fault_text());
	return err;
}

static enum err read_config(struct server *server, struct buf *complaints, struct config **out)
{
	const struct supervisor_options *o = server->options;

	if (o->config_text.len > 0)
		return config_parse(o->config_text, str_of(server->config_path), o->overrides,
				    o->override_count, complaints, out);
	if (geteuid() == 0)
		return read_as_root(server, complaints, out);
	return config_read_file(server->config_path, o->overrides, o->override_count, complaints,
				out);
}

enum err server_reload(struct server *server, struct buf *complaints) WAITS
{
	struct config *fresh = NULL;
	uint64_t before;
	enum err err = semaphore_take(&server->reloading, NEVER);

	server->outcome = "the old configuration stays";
	if (err)
		return err;
	before = server->crew.taken_over;
	notify("RELOADING=1");
	err = read_config(server, complaints, &fresh);
	if (!err)
		err = crew_reload(&server->crew, fresh, complaints);
	if (server->crew.taken_over != before)
		server->outcome = "the new configuration holds, but for those named here";
	if (err)
		say("%s:\n%.*s", server->outcome,
		    STR_ARGS(complaints->len ? buf_str(complaints) : str_of(fault_text())));
	else
		say("reloaded %s", server->config_path);
	notify("READY=1");
	semaphore_give(&server->reloading);
	return err;
}

/* ---- signals ---- */

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void take_signals(struct server *server, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP)
			server->reload_asked = true;
		else
			server->stop_asked = true;
	}
	if (server->stop_asked && !server->crew.ready)
		crew_cut_starts(&server->crew); /* a store that recovers would take its time */
	waitq_wake_all(&server->asked);
}

static void signal_fiber(void *arg) WAITS
{
	struct server *server = arg;
	struct fd_watch *watch = NULL;
	sigset_t set;
	enum err err;
	int fd;

	block_signals(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	err = fd < 0 ? fault_errno("signals") : fd_watch_new(fd, &watch);
	while (!err) {
		take_signals(server, fd);
		err = fd_wait(watch, READABLE, NEVER);
	}
	if (watch)
		fd_watch_drop(&watch);
	if (fd >= 0)
		close(fd);
}

static void watchdog_fiber(void *arg) WAITS
{
	int64_t us = notify_watchdog_us();

	(void)arg;
	while (us > 0 && fiber_sleep(in_us(us)) == OK)
		notify("WATCHDOG=1");
}

/* ---- the control socket ---- */

static void control_fiber(void *arg) WAITS
{
	static const struct control_command *const tables[] = { server_commands, NULL };
	struct server *server = arg;
	enum err err = control_serve(server->control, tables, server, &server->fibers);

	(void)err; /* stopped; or the socket broke, and signals still reach us */
	listener_drop(&server->control);
}

static enum err open_control(struct server *server)
{
	struct opening opening = { .listener = "control",
				   .wanted = { .family = ADDR_UNIX },
				   .mode = 0600 };
	int len = snprintf(opening.wanted.path, sizeof opening.wanted.path,
			   "%s/run/supervisor.sock", server->options->folder);
	enum err err;

	if (len < 0 || (size_t)len >= sizeof opening.wanted.path)
		return fault(ERR_LIMIT,
			     "%s: the name is too long for sockets in it; use a shorter "
			     "data directory",
			     server->options->folder);
	err = opening_open(&opening);
	if (err)
		return err;
	server->opening = calloc(1, sizeof opening);
	must(server->opening);
	*server->opening = opening;
	err = opening_listener(server->opening, &server->control);
	return err ? err : fiber_spawn(&server->fibers, "control", control_fiber, server, NULL);
}

/* ---- from start to stop ---- */

static void serve_until_stopped(struct server *server) WAITS
{
	enum err err = OK;

	notify("READY=1");
	if (server->options->ready)
		server->options->ready(server->options->context, server->crew.config);
	while (!err && !server->stop_asked) {
		OWNED(buf) struct buf complaints = BUF(32768);

		if (!server->reload_asked) {
			err = waitq_wait(&server->asked, NEVER);
			continue;
		}
		server->reload_asked = false;
		if (server_reload(server, &complaints) != OK)
			continue; /* it was told on stderr; we go on as we were */
	}
}

static void server_fiber(void *arg) WAITS
{
	struct server *server = arg;
	struct config *config = server->crew.config;
	enum err err;

	server->started = now();
	err = fiber_spawn(&server->fibers, "signals", signal_fiber, server, NULL);
	if (!err)
		err = fiber_spawn(&server->fibers, "watchdog", watchdog_fiber, server, NULL);
	if (!err)
		err = open_control(server);
	if (!err)
		err = crew_start(&server->crew, config);
	if (err && server->stop_asked) {
		say("stopped before it had started");
	} else if (err) {
		say("did not start: %s", fault_text());
		server->status = err == ERR_DENIED ? EX_NOPERM : EX_UNAVAILABLE;
	} else {
		serve_until_stopped(server);
		notify("STOPPING=1");
		crew_stop(&server->crew, GRACE_MS);
	}
	group_stop(&server->fibers);
	group_wait_through(&server->fibers);
	if (server->opening)
		opening_close(server->opening);
	free(server->opening);
	world_halt(world_here());
}

/* Roles inherit it; each connection is a descriptor. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int run(struct server *server)
{
	const struct config *config = server->crew.config;
	struct sandbox_report report;
	struct world *world;
	sigset_t set;

	block_signals(&set); /* before there is a second thread */
	raise_limits();
	if (sandbox_enter(
		    &(struct sandbox_request){ .role = role_kind_name(ROLE_SUPERVISOR),
					       .required = str_is(config->sandbox, S("required")) },
		    &report)) {
		say("sandbox: %s", fault_text());
		return EX_CONFIG;
	}
	snprintf(server->sandbox, sizeof server->sandbox, "%s", report.text);
	role_name_traces();
	group_init(&server->fibers);
	waitq_init(&server->asked);
	semaphore_init(&server->reloading, 1);
	world = world_real_new();
	if (world_spawn(world, "supervisor", server_fiber, server) != OK)
		return EX_OSERR;
	world_run(world);
	world_drop(&world);
	return server->status;
}

static int prepare(struct server *server, int *lock)
{
	const struct supervisor_options *o = server->options;
	struct crew *crew = &server->crew;
	char *path;
	enum err err = supervisor_make_folder(o->folder, crew->config);

	path = file_path(o->folder, S("run/lock"));
	if (!err)
		err = file_lock(path, lock);
	free(path);
	path = file_path(o->folder, S("run"));
	if (!err) /* it is ours, so whoever still serves here is on the way out */
		openings_wait_for_dead(path);
	free(path);
	if (!err)
		err = certificate_load(o->folder, crew->config, &crew->certificate);
	if (!err)
		return EX_OK;
	say("%s", fault_text());
	return err == ERR_BUSY ? EX_TEMPFAIL : EX_CONFIG;
}

/* No role may read it, so they are told. Without the file or without servers in it: nobody is asked. */
static size_t add_resolvers(struct crew *crew, struct str *overrides)
{
	OWNED(buf) struct buf text = BUF(LIMIT_config_file);
	struct addr servers[LIMIT_dns_servers];
	size_t count = 0;

	if (file_read_whole("/etc/resolv.conf", &text) == OK)
		count = dns_resolv_conf(buf_str(&text), servers, COUNT_OF(servers));
	for (size_t i = 0; i < count; i++) {
		char printed[ADDR_TEXT];

		addr_print(&servers[i], printed);
		overrides[i] = str_print(&crew->arena, "resolv_conf=%s", printed);
	}
	return count;
}

static void fill_crew(struct server *server)
{
	const struct supervisor_options *o = server->options;
	struct crew *crew = &server->crew;

	crew->roles = o->roles;
	crew->in_house = crew->config->together;
	crew->has_control = true;
	crew->certificate = CERTIFICATE_EMPTY;
	must(asprintf(&crew->folder, "%s", o->folder) >= 0);
	crew->overrides =
		NEW_ARRAY(&crew->arena, struct str, o->override_count + LIMIT_dns_servers);
	crew->override_count = o->override_count;
	for (size_t i = 0; i < o->override_count; i++)
		crew->overrides[i] = str_dup(&crew->arena, o->overrides[i]);
	crew->override_count += add_resolvers(crew, crew->overrides + o->override_count);
}

static int serve(struct server *server)
{
	OWNED(buf) struct buf complaints = BUF(32768);
	int lock = -1;
	int status;

	if (read_config(server, &complaints, &server->crew.config) != OK) {
		fprintf(stderr, "%.*s", STR_ARGS(buf_str(&complaints)));
		return EX_CONFIG;
	}
	fill_crew(server);
	status = prepare(server, &lock);
	if (status == EX_OK)
		status = run(server);
	if (lock >= 0)
		close(lock);
	return status;
}

int supervisor_main(const struct supervisor_options *options)
{
	struct server *server = calloc(1, sizeof *server);
	int status;

	must(server);
	umask(077);
	server->options = options;
	server->config_path = options->config_path
				      ? strdup(options->config_path)
				      : file_path(options->folder, S("glasspost.conf"));
	status = serve(server);
	free(server->config_path);
	free(server);
	return status;
}
