/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials: in a child that has entered the sandbox, do what the role must not. Each trial has a
 * child of its own, because most end with the kernel killing it.
 */
#include "sandbox/row.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IT_WORKED = 0, IT_FAILED = 1, NOT_ENTERED = 100 };

struct attempt {
	const struct sandbox_request *request;
	/* Made before, so that the trial is about what is done with them. */
	int socket;
	int unix_socket;
	pid_t other; /* another role: a process in the same sandbox, of the same user */
};

struct trial {
	const char *name;
	bool (*works)(const struct attempt *attempt);
	unsigned needs; /* promises: without any of these it must be denied */
	bool any_file;  /* and it needs the right to files anywhere */
};

/* ---- files ---- */

static bool open_passwd(const struct attempt *attempt)
{
	(void)attempt;
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool create_in(const char *folder)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/sandbox-trial-%d", folder, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlink(path);
	return fd >= 0;
}

static bool create_in_tmp(const struct attempt *attempt)
{
	(void)attempt;
	return create_in("/tmp");
}

static bool create_in_folder(const struct attempt *attempt)
{
	return attempt->request->folder && create_in(attempt->request->folder);
}

static bool open_memory_of_other(const struct attempt *attempt)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)attempt->other);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0;
}

/* Every process here is a copy of one, so what we have at an address, it has too. */
static bool copy_memory_of_other(const struct attempt *attempt)
{
	static char theirs = 'x';
	char ours;
	struct iovec to = { &ours, 1 };
	struct iovec from = { &theirs, 1 };

	return process_vm_readv(attempt->other, &to, 1, &from, 1, 0) == 1;
}

static bool read_file(const char *path)
{
	char octet;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, &octet, 1) == 1;
}

static bool read_tls_key(const struct attempt *attempt)
{
	return read_file(attempt->request->tls_key);
}

static bool read_store_key(const struct attempt *attempt)
{
	return read_file(attempt->request->store_key);
}

/* ---- the net ---- */

static const struct sockaddr_in loopback = {
	.sin_family = AF_INET,
	.sin_port = 0x0100, /* 1, where nobody listens: "refused" means that we could ask */
	.sin_addr.s_addr = 0x0100007f,
};

static bool connect_tcp(const struct attempt *attempt)
{
	return connect(attempt->socket, (const struct sockaddr *)&loopback, sizeof(loopback)) ==
		       0 ||
	       errno == ECONNREFUSED;
}

static bool connect_unix(const struct attempt *attempt)
{
	const struct sockaddr_un nobody = { .sun_family = AF_UNIX, .sun_path = "/nobody/listens" };

	return connect(attempt->unix_socket, (const struct sockaddr *)&nobody, sizeof(nobody)) ==
		       0 ||
	       errno == ENOENT || errno == ECONNREFUSED;
}

static bool bind_and_listen(const struct attempt *attempt)
{
	struct sockaddr_in any_port = loopback;

	any_port.sin_port = 0;
	return bind(attempt->socket, (struct sockaddr *)&any_port, sizeof(any_port)) == 0 &&
	       listen(attempt->socket, 1) == 0;
}

static bool socket_inet(const struct attempt *attempt)
{
	(void)attempt;
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool send_udp(const struct attempt *attempt)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)attempt;
	return fd >= 0 && connect(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0 &&
	       send(fd, "", 1, 0) == 1;
}

static bool socket_unix(const struct attempt *attempt)
{
	(void)attempt;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool socket_netlink(const struct attempt *attempt)
{
	(void)attempt;
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0;
}

/* ---- processes ---- */

static bool exec_true(const struct attempt *attempt)
{
	static char name[] = "true";
	char *const words[] = { name, NULL };
	char *const none[] = { NULL };

	(void)attempt;
	execve("/bin/true", words, none);
	return false;
}

static bool trace_other(const struct attempt *attempt)
{
	return ptrace(PTRACE_SEIZE, attempt->other, NULL, NULL) == 0;
}

static bool signal_other(const struct attempt *attempt)
{
	return kill(attempt->other, 0) == 0;
}

static bool fork_once(const struct attempt *attempt)
{
	pid_t pid = fork();

	(void)attempt;
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static bool unshare_users(const struct attempt *attempt)
{
	(void)attempt;
	return unshare(CLONE_NEWUSER) == 0;
}

static bool map_executable(const struct attempt *attempt)
{
	(void)attempt;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) != MAP_FAILED;
}

static bool become_root(const struct attempt *attempt)
{
	(void)attempt;
	return setuid(0) == 0;
}

enum { NEVER_GIVEN = 1u << 31 };
static_assert(PROMISES < 31);

static const struct trial trials[SANDBOX_TRIALS_MAX] = {
	{ "open /etc/passwd", open_passwd, P(rpath), true },
	{ "create a file in /tmp", create_in_tmp, P(wpath), true },
	{ "create a file in the data directory", create_in_folder, P(wpath), false },
	{ "read the TLS key", read_tls_key, P(rpath), true },
	{ "read the store's key", read_store_key, P(rpath), false },
	{ "open another role's memory", open_memory_of_other, P(rpath), true },
	{ "copy another role's memory", copy_memory_of_other, NEVER_GIVEN, false },
	{ "connect to a TCP port", connect_tcp, P(id) | P(connect), false },
	{ "connect to a UNIX socket", connect_unix, P(id) | P(connect), false },
	{ "bind and listen on a TCP port", bind_and_listen, P(listen), false },
	{ "make an IPv4 socket", socket_inet, P(listen) | P(connect), false },
	{ "send a UDP datagram", send_udp, P(listen) | P(connect), false },
	{ "make a UNIX socket", socket_unix, P(listen) | P(unix), false },
	{ "make a netlink socket", socket_netlink, NEVER_GIVEN, false },
	{ "run a program", exec_true, P(exec), true },
	{ "trace another role", trace_other, NEVER_GIVEN, false },
	{ "signal another role", signal_other, P(proc), false },
	{ "fork", fork_once, P(proc), false },
	{ "make a namespace", unshare_users, NEVER_GIVEN, false },
	{ "map writable and executable memory", map_executable, NEVER_GIVEN, false },
	{ "become root", become_root, P(id), false },
};

/* ---- running them ---- */

_Noreturn static void run_in_child(const struct trial *trial, const struct sandbox_request *request,
				   pid_t other)
{
	struct attempt attempt = { request, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
				   socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other };
	struct sandbox_report report;
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	if (sandbox_enter(request, &report))
		_exit(NOT_ENTERED);
	_exit(trial->works(&attempt) ? IT_WORKED : IT_FAILED);
}

static enum err try_one(const struct trial *trial, const struct sandbox_request *request,
			pid_t other, bool *denied)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return fault_errno("fork");
	if (pid == 0)
		run_in_child(trial, request, other);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fault_errno("wait for a trial");
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED)
		return fault(ERR_SYSTEM, "a child could not enter the sandbox of %s",
			     request->role);
	*denied = !WIFEXITED(status) || WEXITSTATUS(status) != IT_WORKED;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS)
		return fault(ERR_SYSTEM, "the trial \"%s\" died of signal %d", trial->name,
			     WTERMSIG(status));
	return OK;
}

static bool must_be_denied(const struct sandbox_row *row, const struct trial *trial)
{
	if (!(row->promises & trial->needs))
		return true;
	return trial->any_file && row->files != FILES_ANY;
}

/* What a trial is after is there to be had. */
static bool has_aim(const struct trial *trial, const struct sandbox_request *request)
{
	const char *path = trial->works == read_tls_key     ? request->tls_key
			   : trial->works == read_store_key ? request->store_key
							    : "/";

	return path && access(path, F_OK) == 0;
}

/* ---- the other role ---- */

/* Enters, says so, and lives until the pipe's other end is closed. */
_Noreturn static void live_beside(const struct sandbox_request *request, int say, int wait)
{
	struct sandbox_report report;
	char octet;

	if (sandbox_enter(request, &report))
		_exit(NOT_ENTERED);
	if (write(say, &report, sizeof(report)) == (ssize_t)sizeof(report))
		(void)!read(wait, &octet, 1);
	_exit(0);
}

static enum err begin_other(const struct sandbox_request *request, pid_t *pid, int *life,
			    struct sandbox_report *report)
{
	int says[2];
	int waits[2];
	ssize_t count;

	if (pipe2(says, O_CLOEXEC) != 0)
		return fault_errno("pipe");
	if (pipe2(waits, O_CLOEXEC) != 0) {
		close(says[0]);
		close(says[1]);
		return fault_errno("pipe");
	}
	*pid = fork();
	if (*pid == 0) {
		close(waits[1]);
		live_beside(request, says[1], waits[0]);
	}
	close(says[1]);
	close(waits[0]);
	count = *pid < 0 ? 0 : read(says[0], report, sizeof(*report));
	close(says[0]);
	*life = waits[1];
	return count == (ssize_t)sizeof(*report)
		       ? OK
		       : fault(ERR_SYSTEM, "a child could not enter the sandbox of %s",
			       request->role);
}

static void end_other(pid_t pid, int life)
{
	close(life);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
}

/* ---- all of them ---- */

static enum err try_all(const struct sandbox_request *request, pid_t other,
			struct sandbox_trial *out, size_t *count)
{
	const struct sandbox_row *row = sandbox_row(request->role);

	for (size_t i = 0; i < COUNT_OF(trials); i++) {
		struct sandbox_trial *trial = &out[*count];
		enum err err;

		if (!has_aim(&trials[i], request))
			continue;
		*trial = (struct sandbox_trial){ trials[i].name, true,
						 must_be_denied(row, &trials[i]) };
		err = try_one(&trials[i], request, other, &trial->denied);
		if (err)
			return err;
		++*count;
	}
	return OK;
}

enum err sandbox_try(const struct sandbox_request *request, struct sandbox_trial *out,
		     size_t *count, struct sandbox_report *report)
{
	pid_t other = -1;
	int life = -1;
	enum err err;

	*count = 0;
	*report = (struct sandbox_report){ 0 };
	if (!sandbox_row(request->role))
		return fault(ERR_NOT_FOUND, "there is no role %s", request->role);
	err = begin_other(request, &other, &life, report);
	if (!err)
		err = try_all(request, other, out, count);
	if (life >= 0)
		end_other(other, life);
	return err;
}
