/* SPDX-License-Identifier: Apache-2.0 */
#include "link/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, COPY_MAX = 1 << 20 };

/* ---- views ---- */

void body_done(struct body *body)
{
	if (body_is_memfd(body))
		close(body->fd);
	*body = BODY_EMPTY;
}

/* What was sealed cannot change: the size seen now is the size for ever. */
enum err body_check(const struct body *body)
{
	struct stat st;
	int seals;

	if (!body_is_memfd(body))
		return OK;
	seals = fcntl(body->fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return fault(ERR_PROTOCOL, "a body that is not sealed");
	if (fstat(body->fd, &st) != 0 || (uint64_t)st.st_size != body->size)
		return fault(ERR_PROTOCOL, "a body of another size than announced");
	return OK;
}

/* Up to here a copy costs less than a mapping, whose end interrupts every thread of the process. */
static bool is_copied(const struct body *body)
{
	return body->size <= COPY_MAX;
}

static enum err read_body(const struct body *body, struct str *out)
{
	size_t size = (size_t)body->size;
	char *at = malloc(size);
	size_t len = 0;

	must(at);
	while (len < size) {
		ssize_t got = pread(body->fd, at + len, size - len, (off_t)len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			free(at);
			return got ? fault_errno("read a body")
				   : fault(ERR_PROTOCOL, "a body that is shorter than announced");
		}
		len += (size_t)got;
	}
	*out = (struct str){ at, size };
	return OK;
}

enum err body_map(const struct body *body, struct str *out)
{
	void *at;
	enum err err;

	if (!body_is_memfd(body)) {
		*out = body->octets;
		return OK;
	}
	err = body_check(body);
	if (err)
		return err;
	if (is_copied(body))
		return read_body(body, out);
	at = mmap(NULL, (size_t)body->size, PROT_READ, MAP_SHARED, body->fd, 0);
	if (at == MAP_FAILED)
		return fault_errno("map a body of %llu octets", (unsigned long long)body->size);
	*out = (struct str){ at, (size_t)body->size };
	return OK;
}

void body_unmap(const struct body *body, struct str mapped)
{
	if (!body_is_memfd(body) || !mapped.at)
		return;
	if (is_copied(body))
		free((void *)(uintptr_t)mapped.at);
	else
		munmap((void *)(uintptr_t)mapped.at, mapped.len);
}

struct body body_of(struct str octets)
{
	struct body body = { .octets = octets, .fd = -1, .size = octets.len };
	struct body_writer writer;
	struct body sealed;

	if (octets.len <= LIMIT_link_inline_body)
		return body;
	body_writer_init(&writer, octets.len);
	/* Without a memfd the octets stay inline, over the bound: the call then fails with ERR_LIMIT. */
	if (!body_write(&writer, octets) && !body_finish(&writer, &sealed))
		body = sealed;
	body_writer_done(&writer);
	return body;
}

/* ---- the writer ---- */

void body_writer_init(struct body_writer *writer, uint64_t max_octets)
{
	*writer = (struct body_writer){
		.small = BUF(LIMIT_link_inline_body),
		.fd = -1,
		.max = max_octets,
	};
}

static enum err open_memfd(struct body_writer *writer)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	writer->fd = memfd_create("body", flags | MFD_NOEXEC_SEAL);
	if (writer->fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		writer->fd = memfd_create("body", flags);
	return writer->fd < 0 ? fault_errno("a memfd for a body") : OK;
}

static enum err write_memfd(struct body_writer *writer, struct str octets)
{
	while (octets.len) {
		ssize_t wrote = write(writer->fd, octets.at, octets.len);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) /* ENOSPC: tmpfs is full; EFBIG: RLIMIT_FSIZE */
			return fault_errno("write to a memfd");
		octets = str_from(octets, (size_t)wrote);
	}
	return OK;
}

/* What was gathered goes to the memfd; short pieces stay here first, so that few writes are made. */
static enum err spill(struct body_writer *writer)
{
	enum err err = writer->fd < 0 ? open_memfd(writer) : OK;

	if (!err)
		err = write_memfd(writer, buf_str(&writer->small));
	if (!err)
		buf_reset(&writer->small);
	return err;
}

enum err body_write(struct body_writer *writer, struct str octets)
{
	bool fits = writer->size <= writer->max && octets.len <= writer->max - writer->size;
	enum err err = OK;

	if (__builtin_add_overflow(writer->size, octets.len, &writer->size))
		writer->size = UINT64_MAX;
	if (!fits)
		return ERR_LIMIT;
	if (octets.len > LIMIT_link_inline_body - writer->small.len)
		err = spill(writer);
	if (err)
		return err;
	if (octets.len > LIMIT_link_inline_body)
		return write_memfd(writer, octets);
	return buf_add(&writer->small, octets);
}

enum err body_finish(struct body_writer *writer, struct body *out)
{
	enum err err;

	if (writer->size > writer->max)
		return fault(ERR_LIMIT, "a body of %llu octets", (unsigned long long)writer->size);
	if (writer->fd < 0) {
		*out = (struct body){ buf_str(&writer->small), -1, writer->size };
		return OK;
	}
	err = spill(writer);
	if (err)
		return err;
	if (fcntl(writer->fd, F_ADD_SEALS, SEALS) != 0)
		return fault_errno("seal a body");
	*out = (struct body){ .fd = writer->fd, .size = writer->size };
	writer->fd = -1;
	return OK;
}

void body_writer_done(struct body_writer *writer)
{
	buf_drop(&writer->small);
	if (writer->fd >= 0)
		close(writer->fd);
	writer->fd = -1;
}
