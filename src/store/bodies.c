/* SPDX-License-Identifier: Apache-2.0 */
#include "store/bodies.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN_FILES = 64, PIECE = 65536 };

struct open_segment {
	uint64_t number;
	uint64_t used; /* when, in order */
	int fd;
	unsigned readers;
	bool forgotten; /* closed by its last reader */
};

struct bodies {
	int folder;
	pthread_mutex_t mutex; /* guards what follows */
	struct open_segment files[OPEN_FILES];
	uint64_t clock;
};

enum err bodies_open(const char *folder, struct bodies **out)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bodies *bodies;

	if (fd < 0)
		return fault_errno("open %s", folder);
	bodies = calloc(1, sizeof(*bodies));
	must(bodies);
	bodies->folder = fd;
	must(pthread_mutex_init(&bodies->mutex, NULL) == 0);
	*out = bodies;
	return OK;
}

static void close_file(struct open_segment *file)
{
	close(file->fd);
	*file = (struct open_segment){ 0 };
}

void bodies_close(struct bodies **bodies)
{
	struct bodies *gone = *bodies;

	if (!gone)
		return;
	for (size_t i = 0; i < OPEN_FILES; i++)
		if (gone->files[i].number)
			close_file(&gone->files[i]);
	close(gone->folder);
	pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*bodies = NULL;
}

/* A free place, or the one longest unused; NULL when all are being read. */
static struct open_segment *place_for(struct bodies *bodies)
{
	struct open_segment *oldest = NULL;

	for (size_t i = 0; i < OPEN_FILES; i++) {
		struct open_segment *file = &bodies->files[i];

		if (!file->number)
			return file;
		if (!file->readers && (!oldest || file->used < oldest->used))
			oldest = file;
	}
	if (oldest)
		close_file(oldest);
	return oldest;
}

static struct open_segment *find_open(struct bodies *bodies, uint64_t number)
{
	/* 0 marks a free place; only a damaged row asks for it. */
	for (size_t i = 0; number && i < OPEN_FILES; i++)
		if (bodies->files[i].number == number && !bodies->files[i].forgotten)
			return &bodies->files[i];
	return NULL;
}

static enum err take_file(struct bodies *bodies, uint64_t number, struct open_segment **out)
{
	struct open_segment *file;
	char name[SEGMENT_NAME];
	enum err err = OK;

	pthread_mutex_lock(&bodies->mutex);
	file = find_open(bodies, number);
	if (!file) {
		file = place_for(bodies);
		segment_name(number, name);
		if (!file)
			err = fault(ERR_BUSY, "too many body files are being read");
		else if ((file->fd = openat(bodies->folder, name, O_RDONLY | O_CLOEXEC)) < 0)
			err = fault_errno("open body file %s", name);
		else
			file->number = number;
	}
	if (!err) {
		file->readers++;
		file->used = ++bodies->clock;
		*out = file;
	}
	pthread_mutex_unlock(&bodies->mutex);
	return err;
}

static void give_file(struct bodies *bodies, struct open_segment *file)
{
	pthread_mutex_lock(&bodies->mutex);
	if (--file->readers == 0 && file->forgotten)
		close_file(file);
	pthread_mutex_unlock(&bodies->mutex);
}

void bodies_forget(struct bodies *bodies, uint64_t segment)
{
	struct open_segment *file;

	pthread_mutex_lock(&bodies->mutex);
	file = find_open(bodies, segment);
	if (file && file->readers)
		file->forgotten = true;
	else if (file)
		close_file(file);
	pthread_mutex_unlock(&bodies->mutex);
}

static enum err read_exactly(const struct open_segment *file, uint64_t offset, void *at, size_t len)
{
	char *to = at;

	while (len) {
		ssize_t got = pread(file->fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno("read body file %llu", (unsigned long long)file->number);
		if (got == 0)
			return fault(ERR_CORRUPT, "body file %llu ends too early",
				     (unsigned long long)file->number);
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return OK;
}

static enum err check_head(const unsigned char head[RECORD_HEADER], const struct body_place *at,
			   struct record *record)
{
	if (!record_parse(head, record) || record->kind != RECORD_BODY ||
	    record->body != at->body || record->length != at->length)
		return fault(ERR_CORRUPT, "body %llu is not at octet %llu of body file %llu",
			     (unsigned long long)at->body, (unsigned long long)at->place.offset,
			     (unsigned long long)at->place.segment);
	return OK;
}

static enum err read_head(const struct open_segment *file, const struct body_place *at,
			  struct record *record)
{
	unsigned char head[RECORD_HEADER];
	enum err err = read_exactly(file, at->place.offset, head, sizeof(head));

	return err ? err : check_head(head, at, record);
}

enum err bodies_read(struct bodies *bodies, const struct body_place *at, uint64_t offset,
		     void *octets, size_t len)
{
	struct open_segment *file;
	struct record record;
	enum err err;

	must(offset <= at->length && len <= at->length - offset);
	err = take_file(bodies, at->place.segment, &file);
	if (err)
		return err;
	err = read_head(file, at, &record);
	if (!err)
		err = read_exactly(file, at->place.offset + RECORD_HEADER + offset, octets, len);
	give_file(bodies, file);
	return err;
}

static enum err compare_checksum(const struct body_place *at, uint32_t found, uint32_t wanted)
{
	if (found == wanted)
		return OK;
	return fault(ERR_CORRUPT, "body %llu in body file %llu is damaged (checksum)",
		     (unsigned long long)at->body, (unsigned long long)at->place.segment);
}

static enum err verify_octets(const struct open_segment *file, const struct body_place *at,
			      uint32_t checksum)
{
	uint64_t offset = at->place.offset + RECORD_HEADER;
	uint64_t left = at->length;
	char *piece = malloc(PIECE);
	enum err err = OK;
	uint32_t crc = 0;

	must(piece);
	while (!err && left) {
		size_t len = left < PIECE ? (size_t)left : PIECE;

		err = read_exactly(file, offset, piece, len);
		if (!err)
			crc = crc32c(crc, piece, len);
		offset += len;
		left -= len;
	}
	free(piece);
	return err ? err : compare_checksum(at, crc, checksum);
}

enum err bodies_lend(struct bodies *bodies, const struct body_place *at, struct body_lent *out)
{
	struct open_segment *file;
	struct record record;
	enum err err = take_file(bodies, at->place.segment, &file);

	if (err)
		return err;
	err = read_head(file, at, &record);
	if (!err)
		err = verify_octets(file, at, record.checksum);
	if (err) {
		give_file(bodies, file);
		return err;
	}
	*out = (struct body_lent){
		.source = { file->fd, at->place.offset + RECORD_HEADER, record },
		.file = file,
	};
	return OK;
}

void bodies_give_back(struct bodies *bodies, struct body_lent *lent)
{
	if (lent->file)
		give_file(bodies, lent->file);
	*lent = (struct body_lent){ 0 };
}

enum err bodies_verify(struct bodies *bodies, const struct body_place *at)
{
	struct body_lent lent;
	enum err err = bodies_lend(bodies, at, &lent);

	if (!err)
		bodies_give_back(bodies, &lent);
	return err;
}

/* Most bodies come with their header in one system call. */
static enum err read_record(const struct open_segment *file, const struct body_place *at,
			    unsigned char head[RECORD_HEADER], void *octets)
{
	struct iovec parts[] = { { head, RECORD_HEADER }, { octets, at->length } };
	ssize_t got = preadv(file->fd, parts, COUNT_OF(parts), (off_t)at->place.offset);
	enum err err;

	if (got >= 0 && (uint64_t)got == RECORD_HEADER + at->length)
		return OK;
	err = read_exactly(file, at->place.offset, head, RECORD_HEADER);
	return err ? err : read_exactly(file, at->place.offset + RECORD_HEADER, octets, at->length);
}

enum err bodies_read_whole(struct bodies *bodies, const struct body_place *at, void *octets)
{
	unsigned char head[RECORD_HEADER];
	struct open_segment *file;
	struct record record;
	enum err err = take_file(bodies, at->place.segment, &file);

	if (err)
		return err;
	err = read_record(file, at, head, octets);
	give_file(bodies, file);
	if (!err)
		err = check_head(head, at, &record);
	return err ? err : compare_checksum(at, crc32c(0, octets, at->length), record.checksum);
}
