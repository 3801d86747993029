/* SPDX-License-Identifier: Apache-2.0 */
#include "store/segment.h"
#include "store/lately.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALLOCATE_STEP = 8 << 20, COPY_PIECE = 256 << 10 };

static const char zeros[RECORD_HEADER];

/* One record that waits for flush. */
struct pending {
	unsigned char head[RECORD_HEADER];
	struct str octets;
	bool is_copied; /* from the source, and not from memory */
	struct body_source source;
};

struct body_files {
	int folder;
	const struct io *io;
	uint64_t segment_size;
	uint64_t store;
	bool durable;
	bool broken;
	bool is_uncertain; /* a commit failed: whether the database has it is known after a restart */

	uint64_t number; /* of the active segment; 0: none */
	uint64_t newest; /* largest number ever seen */
	int fd;
	bool registered;    /* its row is in the database */
	bool name_flushed;  /* the folder was flushed after it was made */
	uint64_t kept;      /* end of what was committed */
	uint64_t end;       /* kept and what is pending or written since */
	uint64_t written;   /* end of what was handed to the kernel */
	uint64_t allocated; /* size of the file */
	uint64_t log;       /* where the batch's log record is; 0: it has none */

	struct pending *pending;
	size_t pending_count, pending_room;
	struct segment_change *changes;
	size_t change_count, change_room;
	struct lately lately; /* in the active segment */
};

void segment_name(uint64_t number, char out[SEGMENT_NAME])
{
	snprintf(out, SEGMENT_NAME, "%08llu.seg", (unsigned long long)number);
}

bool segment_name_parse(const char *name, uint64_t *number)
{
	struct str text = str_of(name);
	char again[SEGMENT_NAME];

	if (!str_ends_nocase(text, S(".seg")) ||
	    !str_to_u64(str_first(text, text.len - 4), UINT64_MAX / 2, number) || *number == 0)
		return false;
	segment_name(*number, again);
	return str_is(text, str_of(again));
}

static void find_newest(struct body_files *segments)
{
	int copy = dup(segments->folder);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	uint64_t number;

	must(dir);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (segment_name_parse(entry->d_name, &number) && number > segments->newest)
			segments->newest = number;
	closedir(dir);
}

enum err body_files_open(const struct body_files_options *options, struct body_files **out)
{
	int folder = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct body_files *segments;

	if (folder < 0)
		return fault_errno("open %s", options->folder);
	segments = calloc(1, sizeof(*segments));
	must(segments);
	segments->folder = folder;
	segments->io = options->io;
	segments->segment_size = options->segment_size;
	segments->store = options->store;
	segments->durable = options->durable;
	segments->fd = -1;
	find_newest(segments);
	*out = segments;
	return OK;
}

void body_files_close(struct body_files **segments)
{
	struct body_files *gone = *segments;

	if (!gone)
		return;
	/* Room taken in advance is given back; nothing durable hangs on it. */
	if (gone->fd >= 0 && gone->allocated > gone->kept && !gone->is_uncertain)
		(void)!ftruncate(gone->fd, (off_t)gone->kept);
	if (gone->fd >= 0)
		close(gone->fd);
	close(gone->folder);
	free(gone->pending);
	free(gone->changes);
	free(gone);
	*segments = NULL;
}

/* ---- files ---- */

/* The disk, a quota, or the table of open files. */
static bool is_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE ||
	       error == ENFILE;
}

/*
 * Of a failed write: full is the caller's trouble, all else (a disk that went read-only, too) is the
 * whole batch's, whose records are not where they should be.
 */
static enum err write_failed(const char *what, uint64_t number)
{
	enum err err = is_full(errno) ? ERR_FULL : ERR_IO;

	(void)fault_errno("%s of body file %llu", what, (unsigned long long)number);
	return err;
}

static enum err flush_failed(struct body_files *segments, const char *what)
{
	segments->broken = true;
	/* Whatever errno says: after this nobody knows which of the octets are on the disk. */
	(void)fault_errno("%s of body file %llu (stopping to recover)", what,
			  (unsigned long long)segments->number);
	return ERR_IO;
}

/* Takes room ahead in large steps, so that most flushes need not touch the file's size. */
static enum err allocate(struct body_files *segments, uint64_t end)
{
	uint64_t want;

	if (end <= segments->allocated)
		return OK;
	want = segments->allocated + ALLOCATE_STEP;
	if (want > segments->segment_size)
		want = segments->segment_size;
	if (want < end)
		want = end;
	while (segments->io->fallocate(segments->fd, 0, (off_t)segments->allocated,
				       (off_t)(want - segments->allocated))) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP)
			return OK; /* then the file grows as it is written */
		if (want == end)
			return write_failed("preallocation", segments->number);
		want = end; /* nearly full: only what is needed */
	}
	segments->allocated = want;
	return OK;
}

static enum err write_pieces(struct body_files *segments, struct iovec *pieces, int count)
{
	while (count) {
		ssize_t done = segments->io->pwritev(segments->fd, pieces, count,
						     (off_t)segments->written);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return write_failed("write", segments->number);
		if (done == 0)
			return fault(ERR_FULL, "write of body file %llu took nothing",
				     (unsigned long long)segments->number);
		segments->written += (uint64_t)done;
		while (count && (size_t)done >= pieces->iov_len) {
			done -= (ssize_t)pieces->iov_len;
			pieces++;
			count--;
		}
		if (count) {
			pieces->iov_base = (char *)pieces->iov_base + done;
			pieces->iov_len -= (size_t)done;
		}
	}
	return OK;
}

/* Large bodies leave the kernel's memory but for the newest so many octets; nothing hangs on it. */
static void forget_large(struct body_files *segments, uint64_t octets)
{
	struct span span;

	while (lately_take(&segments->lately, octets, &span))
		if (segments->durable) /* else they wait to be written */
			(void)segments->io->fadvise(segments->fd, (off_t)span.from,
						    (off_t)(span.end - span.from),
						    POSIX_FADV_DONTNEED);
}

static struct iovec piece_of(const void *at, size_t len)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)at, .iov_len = len };
}

static enum err read_source(const struct body_source *source, uint64_t offset, char *to, size_t len)
{
	while (len) {
		ssize_t got = pread(source->fd, to, len, (off_t)(source->offset + offset));

		if (got < 0 && errno == EINTR)
			continue;
		/* Not ERR_IO: it is the other file that fails, and what is written here goes on. */
		if (got <= 0)
			return fault(ERR_CORRUPT, "body %llu cannot be read to be copied: %s",
				     (unsigned long long)source->record.body,
				     got ? strerror(errno) : "its file ends too early");
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return OK;
}

static enum err copy_octets(struct body_files *segments, const struct body_source *source,
			    char *piece)
{
	uint64_t length = source->record.length;
	uint32_t crc = 0;
	enum err err = OK;

	for (uint64_t offset = 0; !err && offset < length; offset += COPY_PIECE) {
		size_t len = length - offset < COPY_PIECE ? (size_t)(length - offset) : COPY_PIECE;
		struct iovec octets = piece_of(piece, len);

		err = read_source(source, offset, piece, len);
		if (err)
			break;
		crc = crc32c(crc, piece, len);
		err = write_pieces(segments, &octets, 1);
	}
	if (!err && crc != source->record.checksum)
		err = fault(ERR_CORRUPT, "body %llu is damaged (checksum)",
			    (unsigned long long)source->record.body);
	return err;
}

static enum err copy_record(struct body_files *segments, const struct pending *pending)
{
	const struct body_source *source = &pending->source;
	uint64_t length = source->record.length;
	struct iovec head = piece_of(pending->head, RECORD_HEADER);
	struct iovec padding =
		piece_of(zeros, (size_t)(record_span(length) - RECORD_HEADER - length));
	char *piece = malloc(COPY_PIECE);
	enum err err;

	must(piece);
	err = write_pieces(segments, &head, 1);
	if (!err)
		err = copy_octets(segments, source, piece);
	if (!err && padding.iov_len)
		err = write_pieces(segments, &padding, 1);
	free(piece);
	return err;
}

static enum err write_pending(struct body_files *segments)
{
	struct iovec pieces[300];
	enum err err = allocate(segments, segments->end);
	int count = 0;

	for (size_t i = 0; !err && i < segments->pending_count; i++) {
		const struct pending *pending = &segments->pending[i];
		size_t len = pending->octets.len;
		size_t padding = (size_t)(record_span(len) - RECORD_HEADER - len);

		if (pending->is_copied) {
			err = write_pieces(segments, pieces, count);
			count = 0;
			if (!err)
				err = copy_record(segments, pending);
			continue;
		}
		pieces[count++] = piece_of(pending->head, RECORD_HEADER);
		if (len)
			pieces[count++] = piece_of(pending->octets.at, len);
		if (padding)
			pieces[count++] = piece_of(zeros, padding);
		if (count > (int)COUNT_OF(pieces) - 3) {
			err = write_pieces(segments, pieces, count);
			count = 0;
		}
	}
	if (!err)
		err = write_pieces(segments, pieces, count);
	segments->pending_count = 0;
	return err;
}

static enum err flush_active(struct body_files *segments)
{
	enum err err;

	if (!segments->pending_count)
		return OK;
	err = write_pending(segments);
	if (err || !segments->durable)
		return err;
	if (segments->io->fdatasync(segments->fd))
		return flush_failed(segments, "flush");
	if (!segments->name_flushed && segments->io->fsync(segments->folder))
		return flush_failed(segments, "flush of the folder");
	segments->name_flushed = true;
	return OK;
}

static struct segment_change *change_of(struct body_files *segments)
{
	struct segment_change *last = segments->changes + segments->change_count;

	if (segments->change_count && last[-1].number == segments->number)
		return last - 1;
	if (segments->change_count == segments->change_room) {
		segments->change_room = segments->change_room ? 2 * segments->change_room : 8;
		segments->changes = realloc(segments->changes,
					    segments->change_room * sizeof(*segments->changes));
		must(segments->changes);
		last = segments->changes + segments->change_count;
	}
	*last = (struct segment_change){ .number = segments->number,
					 .is_new = !segments->registered };
	segments->change_count++;
	return last;
}

static enum err begin_segment(struct body_files *segments)
{
	struct segment_head head = { segments->newest + 1, segments->store };
	unsigned char octets[SEGMENT_HEADER];
	struct iovec piece;
	char name[SEGMENT_NAME];
	int fd;

	segment_name(head.number, name);
	fd = openat(segments->folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return write_failed("making", head.number);
	segments->newest = head.number;
	segment_head_print(&head, octets);
	piece = piece_of(octets, sizeof(octets));
	if (segments->io->pwritev(fd, &piece, 1, 0) != SEGMENT_HEADER) {
		enum err err = write_failed("write of the header", head.number);

		close(fd);
		unlinkat(segments->folder, name, 0);
		return err;
	}
	if (segments->fd >= 0) {
		/* Room taken in advance is given back; nothing durable hangs on it. */
		if (segments->allocated > segments->end)
			(void)!ftruncate(segments->fd, (off_t)segments->end);
		forget_large(segments, 0);
		close(segments->fd);
	}
	segments->fd = fd;
	segments->number = head.number;
	segments->registered = segments->name_flushed = false;
	segments->kept = segments->end = segments->written = SEGMENT_HEADER;
	segments->allocated = SEGMENT_HEADER;
	return OK;
}

enum err body_files_resume(struct body_files *segments, uint64_t number, uint64_t end)
{
	unsigned char octets[SEGMENT_HEADER];
	struct segment_head head;
	char name[SEGMENT_NAME];
	struct stat stat;
	int fd;

	if (number > segments->newest)
		segments->newest = number;
	if (!number || end >= segments->segment_size)
		return OK;
	segment_name(number, name);
	fd = openat(segments->folder, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fault(ERR_CORRUPT, "body file %s is missing", name);
	if (fstat(fd, &stat) || (uint64_t)stat.st_size < end || end < SEGMENT_HEADER ||
	    pread(fd, octets, sizeof(octets), 0) != SEGMENT_HEADER ||
	    !segment_head_parse(octets, &head) || head.number != number ||
	    head.store != segments->store) {
		close(fd);
		return fault(ERR_CORRUPT, "body file %s is shorter than what was kept in it", name);
	}
	/* What lies behind the end was never committed: torn, or of a commit that failed. */
	if (ftruncate(fd, (off_t)end)) {
		enum err err = fault_errno("cut body file %s", name);

		close(fd);
		return err;
	}
	segments->fd = fd;
	segments->number = number;
	segments->registered = segments->name_flushed = true;
	segments->kept = segments->end = segments->written = segments->allocated = end;
	return OK;
}

/* ---- a batch ---- */

static enum err roll(struct body_files *segments)
{
	enum err err = flush_active(segments);

	return err ? err : begin_segment(segments);
}

/* The next record of that length has its segment: a new one where this one is full. */
static enum err make_room(struct body_files *segments, uint64_t span)
{
	if (segments->broken)
		return fault(ERR_IO, "the body files are not to be trusted after a failed flush");
	if (!segments->number ||
	    (segments->end > SEGMENT_HEADER && segments->end + span > segments->segment_size))
		return roll(segments);
	return OK;
}

/* Its octets are for the caller to say. */
static struct pending *append(struct body_files *segments, const struct record *record)
{
	struct segment_change *change = change_of(segments);
	struct pending *pending;

	if (segments->pending_count == segments->pending_room) {
		segments->pending_room = segments->pending_room ? 2 * segments->pending_room : 64;
		segments->pending = realloc(segments->pending,
					    segments->pending_room * sizeof(*segments->pending));
		must(segments->pending);
	}
	pending = &segments->pending[segments->pending_count++];
	*pending = (struct pending){ 0 };
	record_print(record, pending->head);
	segments->end += record_span(record->length);
	change->end = segments->end;
	return pending;
}

static enum err append_body(struct body_files *segments, const struct record *record,
			    struct place *out, struct pending **pending)
{
	uint64_t span = record_span(record->length);
	enum err err = make_room(segments, span);

	if (err)
		return err;
	*out = (struct place){ segments->number, segments->end };
	*pending = append(segments, record);
	change_of(segments)->added += span;
	if (record->length >= LATELY_LARGE)
		lately_add(&segments->lately, (struct span){ out->offset, segments->end });
	return OK;
}

enum err body_files_append(struct body_files *segments, uint64_t body, struct str octets,
			   struct place *out)
{
	struct record record = { body, octets.len, crc32c(0, octets.at, octets.len), RECORD_BODY };
	struct pending *pending;
	enum err err = append_body(segments, &record, out, &pending);

	if (!err)
		pending->octets = octets;
	return err;
}

enum err body_files_append_from(struct body_files *segments, const struct body_source *source,
				struct place *out)
{
	struct pending *pending;
	enum err err = append_body(segments, &source->record, out, &pending);

	if (err)
		return err;
	pending->is_copied = true;
	pending->source = *source;
	return OK;
}

enum err body_files_begin_log(struct body_files *segments, size_t len)
{
	enum err err = make_room(segments, record_span(len));

	if (!err)
		change_of(segments)->end = segments->end;
	return err;
}

enum err body_files_append_log(struct body_files *segments, struct str octets)
{
	struct record record = { 0, octets.len, crc32c(0, octets.at, octets.len), RECORD_REDO };

	if (segments->broken)
		return fault(ERR_IO, "the body files are not to be trusted after a failed flush");
	segments->log = segments->end;
	append(segments, &record)->octets = octets;
	return OK;
}

enum err body_files_flush(struct body_files *segments)
{
	if (segments->broken)
		return fault(ERR_IO, "the body files are not to be trusted after a failed flush");
	return flush_active(segments);
}

const struct segment_change *body_files_changes(const struct body_files *segments, size_t *count)
{
	*count = segments->change_count;
	return segments->changes;
}

void body_files_keep(struct body_files *segments)
{
	must(!segments->pending_count);
	if (segments->change_count)
		segments->registered = true;
	segments->kept = segments->end;
	segments->change_count = 0;
	segments->log = 0;
	segments->is_uncertain = false;
	forget_large(segments, LATELY_OCTETS);
}

/*
 * A restart would do what was answered with a failure. Its bodies stay: should the database have taken the
 * transaction after all, nothing is missing.
 */
static void void_log(struct body_files *segments)
{
	struct iovec piece = piece_of(zeros, sizeof(zeros));

	if (segments->io->pwritev(segments->fd, &piece, 1, (off_t)segments->log) != RECORD_HEADER ||
	    segments->io->fdatasync(segments->fd))
		(void)flush_failed(segments, "taking back the last commit");
}

void body_files_forget(struct body_files *segments)
{
	/* Written short of its octets it is not whole, and no restart takes it for one; the zeros behind them may
	   have been there. */
	if (segments->log && !segments->broken && segments->written + RECORD_ALIGN > segments->end)
		void_log(segments);
	segments->log = 0;
	segments->pending_count = 0;
	segments->change_count = 0;
	segments->is_uncertain = true;
	segments->lately = (struct lately){ 0 }; /* its places are given again */
	segments->end = segments->written = segments->kept;
}

bool body_files_are_broken(const struct body_files *segments)
{
	return segments->broken;
}
