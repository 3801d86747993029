/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fault_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

struct fault_plan fault_plan = { -1, -1, 0, false, 0, 0 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void fault_clear(void)
{
	pthread_mutex_lock(&mutex);
	fault_plan = (struct fault_plan){ .write_at = -1, .flush_at = -1 };
	pthread_mutex_unlock(&mutex);
}

static bool fails(long *seen, long at)
{
	bool result;

	pthread_mutex_lock(&mutex);
	result = at >= 0 && (*seen == at || (fault_plan.stays && *seen > at));
	++*seen;
	pthread_mutex_unlock(&mutex);
	return result;
}

static bool write_fails(void)
{
	return fails(&fault_plan.writes, fault_plan.write_at);
}

static bool flush_fails(void)
{
	return fails(&fault_plan.flushes, fault_plan.flush_at);
}

/* ---- ours ---- */

static ssize_t faulty_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	if (!write_fails())
		return pwritev(fd, pieces, count, offset);
	/* Half of it gets there: the worst there is. */
	(void)!pwrite(fd, pieces[0].iov_base, pieces[0].iov_len / 2, offset);
	errno = fault_plan.error;
	return -1;
}

static int faulty_fdatasync(int fd)
{
	if (!flush_fails())
		return fdatasync(fd);
	errno = EIO;
	return -1;
}

/* ---- SQLite's: a file around a file ---- */

struct shim {
	sqlite3_file file;
	sqlite3_file *real;
};

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct shim *)file)->real;
}

#define FORWARD(name, parameters, ...)                                                             \
	static int shim_##name parameters                                                          \
	{                                                                                          \
		return real_of(file)->pMethods->x##name(real_of(file) __VA_OPT__(, ) __VA_ARGS__); \
	}

FORWARD(Close, (sqlite3_file * file))
FORWARD(Read, (sqlite3_file * file, void *at, int len, sqlite3_int64 offset), at, len, offset)
FORWARD(Truncate, (sqlite3_file * file, sqlite3_int64 size), size)
FORWARD(FileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
FORWARD(Lock, (sqlite3_file * file, int lock), lock)
FORWARD(Unlock, (sqlite3_file * file, int lock), lock)
FORWARD(CheckReservedLock, (sqlite3_file * file, int *out), out)
FORWARD(FileControl, (sqlite3_file * file, int op, void *arg), op, arg)
FORWARD(SectorSize, (sqlite3_file * file))
FORWARD(DeviceCharacteristics, (sqlite3_file * file))
FORWARD(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **out), page,
	size, extend, out)
FORWARD(ShmLock, (sqlite3_file * file, int offset, int n, int flags), offset, n, flags)
FORWARD(ShmUnmap, (sqlite3_file * file, int delete_flag), delete_flag)

static void shim_ShmBarrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_Write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
	if (!write_fails())
		return real_of(file)->pMethods->xWrite(real_of(file), at, len, offset);
	(void)real_of(file)->pMethods->xWrite(real_of(file), at, len / 2, offset);
	return fault_plan.error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int shim_Sync(sqlite3_file *file, int flags)
{
	if (flush_fails())
		return SQLITE_IOERR_FSYNC;
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static const sqlite3_io_methods shim_methods = {
	.iVersion = 2,
	.xClose = shim_Close,
	.xRead = shim_Read,
	.xWrite = shim_Write,
	.xTruncate = shim_Truncate,
	.xSync = shim_Sync,
	.xFileSize = shim_FileSize,
	.xLock = shim_Lock,
	.xUnlock = shim_Unlock,
	.xCheckReservedLock = shim_CheckReservedLock,
	.xFileControl = shim_FileControl,
	.xSectorSize = shim_SectorSize,
	.xDeviceCharacteristics = shim_DeviceCharacteristics,
	.xShmMap = shim_ShmMap,
	.xShmLock = shim_ShmLock,
	.xShmBarrier = shim_ShmBarrier,
	.xShmUnmap = shim_ShmUnmap,
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim_vfs;

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		     int *out_flags)
{
	struct shim *shim = (struct shim *)file;
	int code;

	(void)vfs;
	shim->real = (sqlite3_file *)(shim + 1);
	code = real_vfs->xOpen(real_vfs, name, shim->real, flags, out_flags);
	shim->file.pMethods = shim->real->pMethods ? &shim_methods : NULL;
	return code;
}

__attribute__((constructor)) static void register_vfs(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	shim_vfs = *real_vfs;
	shim_vfs.zName = "faulty";
	shim_vfs.pNext = NULL;
	shim_vfs.szOsFile = real_vfs->szOsFile + (int)sizeof(struct shim);
	shim_vfs.xOpen = shim_open;
	sqlite3_vfs_register(&shim_vfs, 0);
}

const struct io fault_io = {
	.pwritev = faulty_pwritev,
	.fdatasync = faulty_fdatasync,
	.fsync = fsync,
	.fallocate = fallocate,
	.fadvise = posix_fadvise,
	.unlink = unlink,
	.vfs = "faulty",
};
