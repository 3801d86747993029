/* SPDX-License-Identifier: Apache-2.0 */
#include "record/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_OCTETS = 40, PIECE = 1 << 18 };

static void name_print(int64_t start_us, char name[NAME_MAX_OCTETS])
{
	snprintf(name, NAME_MAX_OCTETS, "trace-%016lld.trace", (long long)start_us);
}

static bool name_parse(struct str name, int64_t *start_us)
{
	uint64_t number;

	if (!str_starts(name, S("trace-")) || name.len < 12 ||
	    !str_is(str_from(name, name.len - 6), S(".trace")))
		return false;
	name = str_first(str_from(name, 6), name.len - 12);
	if (!str_to_u64(name, INT64_MAX, &number))
		return false;
	*start_us = (int64_t)number;
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct segment *left = a;
	const struct segment *right = b;

	return (left->start_us > right->start_us) - (left->start_us < right->start_us);
}

static struct segment *segment_add(struct segments *segments, int64_t start_us)
{
	if (segments->count == segments->room) {
		segments->room = segments->room ? segments->room * 2 : 64;
		segments->list = realloc(segments->list, segments->room * sizeof(struct segment));
		must(segments->list);
	}
	segments->list[segments->count] = (struct segment){ start_us, start_us, 0 };
	return &segments->list[segments->count++];
}

static enum err learn(struct segments *segments)
{
	int fd = openat(segments->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!folder)
		return fault_errno("read the folder of traces");
	while ((entry = readdir(folder))) {
		struct segment *segment;
		struct stat st;
		int64_t start_us;

		if (!name_parse(str_of(entry->d_name), &start_us) ||
		    fstatat(segments->folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		segment = segment_add(segments, start_us);
		segment->octets = (uint64_t)st.st_size;
		segment->end_us = (int64_t)st.st_mtime * 1000000;
	}
	closedir(folder);
	if (segments->count)
		qsort(segments->list, segments->count, sizeof(struct segment), by_start);
	return OK;
}

enum err segments_open(const char *folder, struct segments *out)
{
	int parent;
	enum err err;

	*out = (struct segments){ .folder = -1, .fd = -1 };
	if (!folder || !*folder)
		return OK;
	parent = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return fault_errno("%s", folder);
	if (mkdirat(parent, "trace", 0700) == 0 || errno == EEXIST)
		out->folder =
			openat(parent, "trace", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	err = out->folder < 0 ? fault_errno("%s/trace", folder) : OK;
	close(parent);
	if (!err)
		err = learn(out);
	if (err)
		segments_close(out);
	return err;
}

static void segment_end(struct segments *segments)
{
	if (segments->fd >= 0)
		close(segments->fd);
	segments->fd = -1;
}

void segments_close(struct segments *segments)
{
	segment_end(segments);
	if (segments->folder >= 0)
		close(segments->folder);
	free(segments->list);
	*segments = (struct segments){ .folder = -1, .fd = -1 };
}

/* Never one that is there: its tail may be torn, and names are the order of things. */
static enum err segment_begin(struct segments *segments, int64_t wall_us)
{
	char name[NAME_MAX_OCTETS];

	if (wall_us < 0)
		wall_us = 0;
	/* A wall clock that was set back must not put new files before old ones. */
	if (segments->count && wall_us <= segments->list[segments->count - 1].start_us)
		wall_us = segments->list[segments->count - 1].start_us + 1;
	name_print(wall_us, name);
	segments->fd =
		openat(segments->folder, name,
		       O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (segments->fd < 0)
		return fault_errno("trace/%s", name);
	segment_add(segments, wall_us);
	return OK;
}

static bool segment_is_full(const struct segments *segments, int64_t wall_us, uint64_t keep_octets)
{
	const struct segment *newest = &segments->list[segments->count - 1];
	uint64_t most = keep_octets / 8 < SEGMENT_OCTETS ? keep_octets / 8 : SEGMENT_OCTETS;

	return newest->octets >= most || wall_us - newest->start_us >= SEGMENT_US;
}

enum err segments_append(struct segments *segments, struct str records, int64_t wall_us,
			 uint64_t keep_octets)
{
	struct segment *newest;

	if (segments->folder < 0)
		return OK;
	if (segments->fd >= 0 && segment_is_full(segments, wall_us, keep_octets))
		segment_end(segments);
	if (segments->fd < 0) {
		enum err err = segment_begin(segments, wall_us);

		if (err)
			return err;
	}
	newest = &segments->list[segments->count - 1];
	while (records.len) {
		ssize_t count = write(segments->fd, records.at, records.len);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			enum err err = fault_errno("write the trace");

			segment_end(segments);
			return err;
		}
		newest->octets += (uint64_t)count;
		records = str_from(records, (size_t)count);
	}
	if (wall_us > newest->end_us)
		newest->end_us = wall_us;
	return OK;
}

void segments_trim(struct segments *segments, int64_t wall_us, int64_t keep_us,
		   uint64_t keep_octets)
{
	uint64_t total = 0;
	size_t gone = 0;
	size_t last = segments->count - (segments->fd >= 0 && segments->count ? 1 : 0);

	for (size_t i = 0; i < segments->count; i++)
		total += segments->list[i].octets;
	while (gone < last &&
	       (total > keep_octets || segments->list[gone].end_us < wall_us - keep_us)) {
		char name[NAME_MAX_OCTETS];

		name_print(segments->list[gone].start_us, name);
		if (unlinkat(segments->folder, name, 0) != 0 && errno != ENOENT)
			break;
		total -= segments->list[gone].octets;
		gone++;
	}
	segments->count -= gone;
	if (gone)
		memmove(segments->list, segments->list + gone,
			segments->count * sizeof(struct segment));
}

/* ---- reading ---- */

int64_t segments_since(const struct segments *segments, int64_t wall_us)
{
	int64_t start_us = INT64_MIN;

	for (size_t i = 0; i < segments->count && segments->list[i].start_us <= wall_us; i++)
		start_us = segments->list[i].start_us;
	return start_us;
}

enum err segment_reader_open(const struct segments *segments, int64_t start_us,
			     struct segment_reader *out)
{
	char name[NAME_MAX_OCTETS];

	*out = (struct segment_reader){ .piece = BUF(PIECE + TRACE_RECORD_MAX) };
	name_print(start_us, name);
	out->fd = openat(segments->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return out->fd < 0 ? fault_errno("trace/%s", name) : OK;
}

void segment_reader_close(struct segment_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
	buf_drop(&reader->piece);
	reader->rest = (struct str){ 0 };
}

/* Moves what is left to the front and reads on behind it. */
static void reader_fill(struct segment_reader *reader)
{
	ssize_t count;

	buf_consume(&reader->piece, reader->piece.len - reader->rest.len);
	if (buf_reserve(&reader->piece, PIECE)) {
		reader->at_end = true;
		return;
	}
	do
		count = read(reader->fd, reader->piece.at + reader->piece.len, PIECE);
	while (count < 0 && errno == EINTR);
	if (count <= 0)
		reader->at_end = true; /* a file that cannot be read ends there */
	else
		reader->piece.len += (size_t)count;
	reader->rest = buf_str(&reader->piece);
}

/* The place where the next record begins may lie behind what was read: then keep its possible head. */
static void reader_resync(struct segment_reader *reader)
{
	struct str before = reader->rest;

	reader->damaged++;
	trace_record_resync(&reader->rest);
	if (!reader->rest.len && !reader->at_end)
		reader->rest = str_from(before, before.len - (TRACE_RECORD_MAX - 1));
}

bool segment_reader_next(struct segment_reader *reader, struct str *record)
{
	for (;;) {
		/* A whole record is certain to be in hand only then, or at the end. */
		if (reader->rest.len < TRACE_RECORD_MAX && !reader->at_end) {
			reader_fill(reader);
			continue;
		}
		switch (trace_record_take(&reader->rest, record)) {
		case OK:
			return true;
		case ERR_CLOSED:
			return false;
		default:
			reader_resync(reader);
		}
	}
}
