/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/opening.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DEAD_PAUSE_NS = 20000000, DEAD_PAUSES = 250 };

static enum err refusal(const struct opening *opening)
{
	char text[ADDR_TEXT];
	int why = errno;

	addr_print(&opening->wanted, text);
	if (why == EACCES && opening->wanted.family != ADDR_UNIX)
		return fault(ERR_DENIED,
			     "listener %s: %s: ports below 1024 need root; start as root, or with "
			     "--port-base 10000",
			     opening->listener, text);
	if (why == EEXIST)
		return fault(ERR_CONFIG,
			     "listener %s: %s: is there and is no socket; remove it, or name "
			     "another path",
			     opening->listener, text);
	if (why == EADDRINUSE)
		return fault(ERR_BUSY,
			     "listener %s: %s: another program listens there; stop it, or use "
			     "--port-base or another port",
			     opening->listener, text);
	if (why == EAFNOSUPPORT || (why == EADDRNOTAVAIL && opening->wanted.family == ADDR_IPV6))
		return fault(ERR_UNSUPPORTED, "listener %s: %s: not available on this machine",
			     opening->listener, text);
	errno = why;
	return fault_errno("listener %s: %s", opening->listener, text);
}

static bool set_options(const struct opening *opening, int fd)
{
	const int on = 1;

	if (opening->wanted.family == ADDR_UNIX)
		return true;
	/* IPv4 has a socket of its own, so that a peer's address is never a mapped one. */
	if (opening->wanted.family == ADDR_IPV6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
		return false;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
}

static bool is_served(const struct addr *at)
{
	struct sockaddr_storage name;
	socklen_t len = (socklen_t)addr_to_sockaddr(at, &name, sizeof name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool is_alive = fd >= 0 &&
			(connect(fd, (const struct sockaddr *)&name, len) == 0 || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return is_alive;
}

/* A socket file that nobody listens at is a dead server's. Nothing else is taken away. */
static bool remove_dead_socket(const struct addr *at)
{
	struct stat status;

	if (lstat(at->path, &status) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(status.st_mode)) {
		errno = EEXIST;
		return false;
	}
	if (is_served(at)) {
		errno = EADDRINUSE;
		return false;
	}
	return unlink(at->path) == 0;
}

static bool has_server(const char *folder)
{
	static const char end[] = ".sock";
	DIR *run = opendir(folder);
	const struct dirent *entry;
	bool found = false;

	while (run && !found && (entry = readdir(run))) {
		struct addr at = { .family = ADDR_UNIX };
		int len = snprintf(at.path, sizeof at.path, "%s/%s", folder, entry->d_name);

		found = len > 0 && (size_t)len < sizeof at.path &&
			str_ends_nocase(str_of(at.path), str_of(end)) && is_served(&at);
	}
	if (run)
		closedir(run);
	return found;
}

void openings_wait_for_dead(const char *folder)
{
	const struct timespec pause = { .tv_nsec = DEAD_PAUSE_NS };

	for (int i = 0; i < DEAD_PAUSES && has_server(folder); i++)
		nanosleep(&pause, NULL);
}

/* Born with its mode: no moment in which others may connect, and no name to change it by afterwards. */
static bool bind_path(const struct opening *opening, int fd, const struct sockaddr *name,
		      socklen_t len)
{
	mode_t before;
	bool good;

	if (!remove_dead_socket(&opening->wanted))
		return false;
	before = umask(0777 & ~opening->mode);
	good = bind(fd, name, len) == 0;
	umask(before);
	return good;
}

static bool bind_and_listen(const struct opening *opening, int fd)
{
	struct sockaddr_storage name;
	size_t len = addr_to_sockaddr(&opening->wanted, &name, sizeof name);
	const struct sockaddr *at = (const struct sockaddr *)&name;
	bool good = opening->wanted.family == ADDR_UNIX ? bind_path(opening, fd, at, (socklen_t)len)
							: bind(fd, at, (socklen_t)len) == 0;

	return good && listen(fd, OPENING_BACKLOG) == 0;
}

static void read_address(struct opening *opening)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof name;

	opening->address = opening->wanted;
	if (opening->wanted.family != ADDR_UNIX &&
	    getsockname(opening->fd, (struct sockaddr *)&name, &len) == 0)
		addr_from_sockaddr((const struct sockaddr *)&name, len, &opening->address);
}

enum err opening_open(struct opening *opening)
{
	static const int families[] = {
		[ADDR_IPV4] = AF_INET, [ADDR_IPV6] = AF_INET6, [ADDR_UNIX] = AF_UNIX
	};
	enum err err;
	int fd;

	opening->fd = -1;
	opening->address = opening->wanted;
	if (world_is_simulated(world_here()))
		return OK;
	fd = socket(families[opening->wanted.family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0)
		return refusal(opening);
	if (!set_options(opening, fd) || !bind_and_listen(opening, fd)) {
		err = refusal(opening);
		close(fd);
		return err;
	}
	opening->fd = fd;
	read_address(opening);
	return OK;
}

void opening_close(struct opening *opening)
{
	if (opening->fd < 0)
		return;
	/* Roles have descriptors of the same socket: this ends it for all of them at once. */
	shutdown(opening->fd, SHUT_RDWR);
	close(opening->fd);
	opening->fd = -1;
	if (opening->wanted.family == ADDR_UNIX)
		unlink(opening->wanted.path);
}

enum err opening_listener(const struct opening *opening, struct listener **out)
{
	enum err err;
	int fd;

	if (opening->fd < 0)
		return listener_new(&opening->address, OPENING_BACKLOG, out);
	fd = fcntl(opening->fd, F_DUPFD_CLOEXEC, 4);
	if (fd < 0)
		return fault_errno("a second descriptor of a listening socket");
	err = listener_of_fd(fd, out);
	if (err)
		close(fd);
	return err;
}
