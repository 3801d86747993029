/* SPDX-License-Identifier: Apache-2.0 */
#include "record/outlet.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

/* A pipe that poll calls writable takes so much (PIPE_BUF) without waiting; memory above the other is given back. */
enum { PIECE = 4096, KEEP = 1 << 18 };

void outlet_init(struct outlet *outlet, size_t room)
{
	*outlet = (struct outlet){ .waiting = BUF(room), .leaving = BUF(room), .fd = -1 };
	must(pthread_mutex_init(&outlet->mutex, NULL) == 0);
}

void outlet_done(struct outlet *outlet)
{
	buf_drop(&outlet->waiting);
	buf_drop(&outlet->leaving);
	pthread_mutex_destroy(&outlet->mutex);
}

void outlet_to(struct outlet *outlet, int fd)
{
	pthread_mutex_lock(&outlet->mutex);
	outlet->fd = fd;
	pthread_mutex_unlock(&outlet->mutex);
}

size_t outlet_room(struct outlet *outlet)
{
	size_t room;

	pthread_mutex_lock(&outlet->mutex);
	room = outlet->waiting.max - outlet->waiting.len;
	pthread_mutex_unlock(&outlet->mutex);
	return room;
}

void outlet_add(struct outlet *outlet, struct str lines)
{
	pthread_mutex_lock(&outlet->mutex);
	must(buf_add(&outlet->waiting, lines) == OK);
	pthread_mutex_unlock(&outlet->mutex);
}

uint64_t outlet_take_lost(struct outlet *outlet)
{
	uint64_t lost;

	pthread_mutex_lock(&outlet->mutex);
	lost = outlet->lost;
	outlet->lost = 0;
	pthread_mutex_unlock(&outlet->mutex);
	return lost;
}

bool outlet_has(struct outlet *outlet)
{
	bool has;

	pthread_mutex_lock(&outlet->mutex);
	has = outlet->waiting.len > 0 || outlet->leaving.len > 0;
	pthread_mutex_unlock(&outlet->mutex);
	return has;
}

uint64_t outlet_count_lines(struct str lines)
{
	uint64_t count = 0;

	for (size_t i = 0; i < lines.len; i++)
		count += lines.at[i] == '\n';
	return count;
}

/* ---- the side that writes ---- */

/* What to write next, and where; empty when nothing is left. */
static struct str next_lines(struct outlet *outlet, int *fd)
{
	pthread_mutex_lock(&outlet->mutex);
	if (outlet->left == outlet->leaving.len) {
		struct buf empty = outlet->leaving;

		if (empty.room > KEEP)
			buf_drop(&empty);
		else
			buf_reset(&empty);
		outlet->leaving = outlet->waiting;
		outlet->waiting = empty;
		outlet->left = 0;
	}
	*fd = outlet->fd;
	pthread_mutex_unlock(&outlet->mutex);
	return str_from(buf_str(&outlet->leaving), outlet->left);
}

/* As many whole lines as a pipe takes without waiting. */
static struct str first_piece(struct str lines)
{
	struct str piece = str_first(lines, PIECE);
	size_t end = str_find_last(piece, '\n');

	return end == STR_NONE ? piece : str_first(piece, end + 1);
}

/* The rest of what was under way is lost; a torn line counts. */
static void give_up(struct outlet *outlet, struct str rest)
{
	if (outlet->left)
		outlet->is_torn = outlet->leaving.at[outlet->left - 1] != '\n';
	pthread_mutex_lock(&outlet->mutex);
	outlet->lost += outlet_count_lines(rest);
	outlet->left = outlet->leaving.len;
	pthread_mutex_unlock(&outlet->mutex);
}

static bool is_for_later(ssize_t count)
{
	return count < 0 && (errno == EINTR || errno == EAGAIN);
}

/* False when the descriptor takes no more. */
static bool write_some(struct outlet *outlet, int fd, struct str lines)
{
	struct str piece = outlet->is_torn ? S("\n") : first_piece(lines);
	ssize_t count = write(fd, piece.at, piece.len);

	if (count > 0 && outlet->is_torn)
		outlet->is_torn = false;
	else if (count > 0)
		outlet->left += (size_t)count;
	return count > 0 || is_for_later(count);
}

static int64_t clock_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void outlet_write(struct outlet *outlet, int64_t patience_ms)
{
	const int64_t end_ms = clock_ms() + patience_ms;
	struct pollfd ready = { .events = POLLOUT };
	struct str lines;

	while ((lines = next_lines(outlet, &ready.fd)).len) {
		int64_t wait_ms = end_ms - clock_ms();
		int count = poll(&ready, 1, wait_ms > 0 ? (int)wait_ms : 0);

		if (count == 0)
			return;
		if (count > 0 && !write_some(outlet, ready.fd, lines))
			give_up(outlet, lines);
	}
}
