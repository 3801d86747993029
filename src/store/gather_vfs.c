/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gather_vfs.h"
#include "base/base.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* The log's format: each frame is a header and a page; a commit's has the database's size at 4. */
enum { FRAME_HEADER = 24, COMMIT_AT = 4 };
/* SQLite's own file layer takes no more at once (17 bits of a length). */
enum { GATHER_OCTETS = (128 << 10) - 1 };

struct gathered {
	sqlite3_file file;
	sqlite3_file *real;
	char *octets; /* for the file from offset on */
	size_t len;
	sqlite3_int64 offset;
	bool is_commit; /* the frame whose page comes next ends a transaction */
};

static struct gathered *gathered_of(sqlite3_file *file)
{
	return (struct gathered *)file;
}

static int let_go(struct gathered *g)
{
	size_t len = g->len;

	g->len = 0;
	return len ? g->real->pMethods->xWrite(g->real, g->octets, (int)len, g->offset) : SQLITE_OK;
}

static int gather_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
	struct gathered *g = gathered_of(file);
	static const char none[4];
	bool is_next = g->len && offset == g->offset + (sqlite3_int64)g->len;
	bool is_end = is_next && g->is_commit && len != FRAME_HEADER;
	int code = SQLITE_OK;

	if (!is_next || g->len + (size_t)len > GATHER_OCTETS)
		code = let_go(g);
	if (code != SQLITE_OK)
		return code;
	if (len > GATHER_OCTETS)
		return g->real->pMethods->xWrite(g->real, at, len, offset);
	if (!g->len)
		g->offset = offset;
	memcpy(g->octets + g->len, at, (size_t)len);
	g->len += (size_t)len;
	g->is_commit = len == FRAME_HEADER &&
		       memcmp((const char *)at + COMMIT_AT, none, sizeof(none)) != 0;
	return is_end ? let_go(g) : SQLITE_OK;
}

static int gather_close(sqlite3_file *file)
{
	struct gathered *g = gathered_of(file);
	int code = let_go(g);
	int closed = g->real->pMethods->xClose(g->real);

	free(g->octets);
	return code == SQLITE_OK ? closed : code;
}

static int gather_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
	struct gathered *g = gathered_of(file);
	int code = let_go(g);

	return code == SQLITE_OK ? g->real->pMethods->xRead(g->real, at, len, offset) : code;
}

static int gather_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct gathered *g = gathered_of(file);
	int code = let_go(g);

	return code == SQLITE_OK ? g->real->pMethods->xTruncate(g->real, size) : code;
}

static int gather_sync(sqlite3_file *file, int flags)
{
	struct gathered *g = gathered_of(file);
	int code = let_go(g);

	return code == SQLITE_OK ? g->real->pMethods->xSync(g->real, flags) : code;
}

static int gather_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct gathered *g = gathered_of(file);
	int code = let_go(g);

	return code == SQLITE_OK ? g->real->pMethods->xFileSize(g->real, size) : code;
}

/* ---- what a log has no use for, and what the file below knows ---- */

static int gather_lock(sqlite3_file *file, int lock)
{
	return gathered_of(file)->real->pMethods->xLock(gathered_of(file)->real, lock);
}

static int gather_unlock(sqlite3_file *file, int lock)
{
	return gathered_of(file)->real->pMethods->xUnlock(gathered_of(file)->real, lock);
}

static int gather_check_lock(sqlite3_file *file, int *out)
{
	return gathered_of(file)->real->pMethods->xCheckReservedLock(gathered_of(file)->real, out);
}

static int gather_control(sqlite3_file *file, int op, void *arg)
{
	struct gathered *g = gathered_of(file);

	return op == GATHER_RELEASE ? let_go(g) : g->real->pMethods->xFileControl(g->real, op, arg);
}

static int gather_sector(sqlite3_file *file)
{
	return gathered_of(file)->real->pMethods->xSectorSize(gathered_of(file)->real);
}

static int gather_device(sqlite3_file *file)
{
	return gathered_of(file)->real->pMethods->xDeviceCharacteristics(gathered_of(file)->real);
}

static const sqlite3_io_methods gather_methods = {
	.iVersion = 1,
	.xClose = gather_close,
	.xRead = gather_read,
	.xWrite = gather_write,
	.xTruncate = gather_truncate,
	.xSync = gather_sync,
	.xFileSize = gather_size,
	.xLock = gather_lock,
	.xUnlock = gather_unlock,
	.xCheckReservedLock = gather_check_lock,
	.xFileControl = gather_control,
	.xSectorSize = gather_sector,
	.xDeviceCharacteristics = gather_device,
};

/* ---- the layer ---- */

static int gather_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		       int *out_flags)
{
	struct gathered *g = gathered_of(file);
	sqlite3_vfs *base = vfs->pAppData;
	int code;

	if (!(flags & SQLITE_OPEN_WAL))
		return base->xOpen(base, name, file, flags, out_flags);
	*g = (struct gathered){ .real = (sqlite3_file *)(g + 1) };
	code = base->xOpen(base, name, g->real, flags, out_flags);
	if (code != SQLITE_OK)
		return code; /* without methods it is not closed */
	g->octets = malloc(GATHER_OCTETS);
	must(g->octets);
	g->file.pMethods = &gather_methods;
	return SQLITE_OK;
}

enum { BASES = 4, NAME = 40 };

static struct layer {
	sqlite3_vfs vfs;
	char name[NAME];
} layers[BASES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static const char *add_layer(struct layer *layer, sqlite3_vfs *base)
{
	layer->vfs = *base;
	snprintf(layer->name, sizeof(layer->name), "%.30s-gather", base->zName);
	layer->vfs.zName = layer->name;
	layer->vfs.pNext = NULL;
	layer->vfs.pAppData = base;
	layer->vfs.szOsFile = base->szOsFile + (int)sizeof(struct gathered);
	layer->vfs.xOpen = gather_open;
	must(sqlite3_vfs_register(&layer->vfs, 0) == SQLITE_OK);
	return layer->name;
}

const char *gather_vfs(const char *base_name)
{
	sqlite3_vfs *base = sqlite3_vfs_find(base_name);
	const char *name = NULL;
	size_t i = 0;

	must(base);
	pthread_mutex_lock(&mutex);
	while (layers[i].vfs.pAppData && layers[i].vfs.pAppData != base)
		must(++i < BASES);
	name = layers[i].vfs.pAppData ? layers[i].name : add_layer(&layers[i], base);
	pthread_mutex_unlock(&mutex);
	return name;
}
