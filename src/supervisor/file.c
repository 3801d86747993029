/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_path(const char *folder, struct str name)
{
	char *path = NULL;

	if (str_starts(name, S("/")))
		must(asprintf(&path, "%.*s", STR_ARGS(name)) >= 0);
	else
		must(asprintf(&path, "%s/%.*s", folder, STR_ARGS(name)) >= 0);
	return path;
}

static enum err read_to_end(int fd, const char *path, struct buf *out)
{
	ssize_t got = 0;
	enum err err = OK;

	buf_reset(out);
	do {
		err = buf_reserve(out, out->max - out->len);
		if (err)
			break;
		got = read(fd, out->at + out->len, out->max - out->len);
		if (got > 0)
			out->len += (size_t)got;
	} while (got > 0 && out->len < out->max);
	if (got < 0)
		err = fault_errno("read %s", path);
	else if (!err && out->len == out->max)
		err = fault(ERR_LIMIT, "%s: is larger than %zu octets", path, out->max);
	return err;
}

enum err file_read_whole(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	enum err err;

	if (fd < 0)
		return fault_errno("open %s", path);
	err = read_to_end(fd, path, out);
	close(fd);
	return err;
}

/* Of what was opened, not of the name: in a folder of somebody else a name is somebody else's word. */
static enum err check_own(int fd, const char *path)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return fault_errno("look at %s", path);
	if (!S_ISREG(status.st_mode))
		return fault(ERR_UNSUPPORTED, "%s: is no file", path);
	if (geteuid() != 0 || (status.st_uid == 0 && !(status.st_mode & (S_IWGRP | S_IWOTH))))
		return OK;
	return fault(
		ERR_CONFIG,
		"%s: root would obey it, and %s may write it; start the server as that user, or: "
		"chown root %s && chmod go-w %s",
		path, status.st_uid ? "another user" : "its group or everybody", path, path);
}

enum err file_read_own(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	enum err err;

	if (fd < 0)
		return fault_errno("open %s", path);
	err = check_own(fd, path);
	if (!err)
		err = read_to_end(fd, path, out);
	close(fd);
	return err;
}

static enum err write_all(int fd, struct str octets)
{
	while (octets.len > 0) {
		ssize_t put = write(fd, octets.at, octets.len);

		if (put < 0 && errno != EINTR)
			return ERR_IO;
		octets = str_from(octets, put > 0 ? (size_t)put : 0);
	}
	return fsync(fd) == 0 ? OK : ERR_IO;
}

enum err file_write_whole(const char *path, struct str octets, mode_t mode)
{
	char *beside = NULL;
	enum err err;
	int fd;

	must(asprintf(&beside, "%s.new", path) >= 0);
	unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	err = fd < 0 || write_all(fd, octets) || rename(beside, path) != 0
		      ? fault_errno("write %s", path)
		      : OK;
	if (fd >= 0)
		close(fd);
	if (err)
		unlink(beside);
	free(beside);
	return err;
}

enum err file_make_folder(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return OK;
	return fault_errno("make %s", path);
}

static enum err tell_holder(int fd, const char *path)
{
	char pid[24] = "";
	ssize_t len = pread(fd, pid, sizeof pid - 1, 0);

	while (len > 0 && (pid[len - 1] < '0' || pid[len - 1] > '9'))
		len--;
	return fault(ERR_BUSY, "%s is held: process %.*s serves this directory already", path,
		     len > 0 ? (int)len : 1, len > 0 ? pid : "?");
}

enum err file_lock(const char *path, int *out)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char pid[24];
	enum err err = OK;
	int len;

	if (fd < 0)
		return fault_errno("open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err = errno == EWOULDBLOCK ? tell_holder(fd, path) : fault_errno("lock %s", path);
		close(fd);
		return err;
	}
	len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
		err = fault_errno("write %s", path);
		close(fd);
		return err;
	}
	*out = fd;
	return OK;
}
