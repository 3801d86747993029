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
	segments->list[segments->count] =
		(struct segment){ .start_us = start_us, .end_us = start_us };
	return &segments->list[segments->count++];
}

static enum err learn(struct segments *segments)
{
	int fd = openat(segments->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!folder) {
		enum err err = fault_errno("read the folder of traces");

		if (fd >= 0)
			close(fd);
		return err;
	}
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
	segment_add(segments, wall_us)->is_counted = true;
	return OK;
}

static bool segment_delete(struct segments *segments, size_t at)
{
	char name[NAME_MAX_OCTETS];

	name_print(segments->list[at].start_us, name);
	if (unlinkat(segments->folder, name, 0) != 0 && errno != ENOENT)
		return false;
	segments->count--;
	memmove(&segments->list[at], &segments->list[at + 1],
		(segments->count - at) * sizeof(struct segment));
	return true;
}

static unsigned ring_of(struct str record)
{
	struct trace_head head = trace_record_head(record);

	return ((head.role & 7u) << 4 | (head.role_index & 15u)) % SEGMENT_RINGS;
}

static void count_records(struct segment *segment, struct str records)
{
	struct str record;

	while (trace_record_take(&records, &record) == OK)
		segment->of_ring[ring_of(record)] += (uint32_t)record.len;
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
	count_records(newest, records);
	while (records.len) {
		ssize_t count = write(segments->fd, records.at, records.len);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			enum err err = fault_errno("write the trace");

			segment_end(segments);
			/* Else a full disk would get a file a tick, all of them empty. */
			if (!newest->octets)
				(void)segment_delete(segments, segments->count - 1);
			return err;
		}
		newest->octets += (uint64_t)count;
		records = str_from(records, (size_t)count);
	}
	if (wall_us > newest->end_us)
		newest->end_us = wall_us;
	return OK;
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

/* ---- deleting ---- */

static void segment_count(const struct segments *segments, struct segment *segment)
{
	struct segment_reader reader;
	struct str record;

	segment->is_counted = true;
	if (!segment_reader_open(segments, segment->start_us, &reader))
		while (segment_reader_next(&reader, &record))
			segment->of_ring[ring_of(record)] += (uint32_t)record.len;
	segment_reader_close(&reader);
}

/* The ring that has most of what could be deleted. */
static unsigned largest_ring(struct segments *segments, size_t closed)
{
	uint64_t of_ring[SEGMENT_RINGS] = { 0 };
	unsigned largest = 0;

	for (size_t i = 0; i < closed; i++) {
		if (!segments->list[i].is_counted)
			segment_count(segments, &segments->list[i]);
		for (unsigned ring = 0; ring < SEGMENT_RINGS; ring++)
			of_ring[ring] += segments->list[i].of_ring[ring];
	}
	for (unsigned ring = 1; ring < SEGMENT_RINGS; ring++)
		if (of_ring[ring] > of_ring[largest])
			largest = ring;
	return largest;
}

static bool write_out(int fd, struct buf *octets)
{
	struct str rest = buf_str(octets);

	while (rest.len) {
		ssize_t count = write(fd, rest.at, rest.len);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		rest = str_from(rest, (size_t)count);
	}
	buf_reset(octets);
	return true;
}

/* All records but the ring's. */
static bool copy_others(struct segment_reader *reader, unsigned ring, int fd, uint64_t *octets)
{
	struct buf out = BUF(PIECE + TRACE_RECORD_MAX);
	struct str record;
	bool good = true;

	*octets = 0;
	while (good && segment_reader_next(reader, &record)) {
		if (ring_of(record) == ring)
			continue;
		good = !buf_add(&out, record) && (out.len < PIECE || write_out(fd, &out));
		*octets += record.len;
	}
	good = good && write_out(fd, &out);
	buf_drop(&out);
	return good;
}

/* Beside it first, under a name that is no segment's, then in its place; its age stays what it was. */
static bool segment_thin(struct segments *segments, struct segment *segment, unsigned ring)
{
	static const char beside[] = "thinned.new";
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
				     { .tv_sec = segment->end_us / 1000000 } };
	struct segment_reader reader;
	char name[NAME_MAX_OCTETS];
	uint64_t octets = 0;
	bool good = segment_reader_open(segments, segment->start_us, &reader) == OK;
	int fd = openat(segments->folder, beside,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	name_print(segment->start_us, name);
	good = good && fd >= 0 && copy_others(&reader, ring, fd, &octets) &&
	       futimens(fd, times) == 0 &&
	       renameat(segments->folder, beside, segments->folder, name) == 0;
	segment_reader_close(&reader);
	if (fd >= 0)
		close(fd);
	if (!good) {
		(void)unlinkat(segments->folder, beside, 0);
		return false;
	}
	segment->octets = octets;
	segment->of_ring[ring] = 0;
	return true;
}

/* The oldest that the ring has is taken out of its file, or the file goes where that cannot be done. */
static bool trim_ring(struct segments *segments, size_t closed, unsigned ring)
{
	size_t at = 0;

	while (at < closed && !segments->list[at].of_ring[ring])
		at++;
	if (at == closed)
		return segment_delete(segments, 0);
	if (segments->list[at].of_ring[ring] < segments->list[at].octets &&
	    segment_thin(segments, &segments->list[at], ring))
		return true;
	return segment_delete(segments, at);
}

static size_t closed_count(const struct segments *segments)
{
	return segments->count - (segments->fd >= 0 && segments->count ? 1 : 0);
}

void segments_trim(struct segments *segments, int64_t wall_us, int64_t keep_us,
		   uint64_t keep_octets)
{
	while (closed_count(segments) && segments->list[0].end_us < wall_us - keep_us)
		if (!segment_delete(segments, 0))
			return;
	for (;;) {
		size_t closed = closed_count(segments);
		uint64_t total = 0;

		for (size_t i = 0; i < segments->count; i++)
			total += segments->list[i].octets;
		if (!closed || total <= keep_octets ||
		    !trim_ring(segments, closed, largest_ring(segments, closed)))
			return;
	}
}
