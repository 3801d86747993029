/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io: the writing system calls under segments and database, in a table, so that the tests can make
 * each of them fail. Each has the meaning and the errno of the call it is named after.
 */
#include "base/base.h"

#include <sys/uio.h>

struct io {
	ssize_t (*pwritev)(int fd, const struct iovec *pieces, int count, off_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* of folders */
	int (*fallocate)(int fd, int mode, off_t offset, off_t len);
	int (*fadvise)(int fd, off_t offset, off_t len, int advice);
	int (*unlink)(const char *path);
	const char *vfs; /* SQLite's; NULL: its own */
};

extern const struct io io_real;
