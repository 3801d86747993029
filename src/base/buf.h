/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * buf: octets that grow, born with a maximum. Past it an append changes nothing and says
 * ERR_LIMIT, so a caller that checks once at the end of a series is safe: `failed` stays set
 * until buf_reset.
 *
 * BUF(max) is a ready, empty buffer that holds no memory yet.
 */
struct buf {
	char *at;
	size_t len;
	size_t room; /* allocated */
	size_t max;
	bool failed; /* an append was refused since the last reset */
};

#define BUF(maximum) ((struct buf){ .max = (maximum) })

enum err buf_add(struct buf *buf, struct str s);
enum err buf_add_c(struct buf *buf, const char *c_string);
enum err buf_add_char(struct buf *buf, char c);
enum err buf_print(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Room for `more` octets past len, to be written by the caller and then counted with len +=. */
[[nodiscard]] enum err buf_reserve(struct buf *buf, size_t more);
/* The same for what may hold a secret: where the octets have to move, their old place is overwritten. */
[[nodiscard]] enum err buf_reserve_secret(struct buf *buf, size_t more);
/* Forget the first `count` octets (at most len). */
void buf_consume(struct buf *buf, size_t count);
/* Empty it, keep the memory. */
void buf_reset(struct buf *buf);
/* Empty it, give the memory back; max stays. */
void buf_drop(struct buf *buf);

/* What it holds, as a view: good until the buffer is next written to. */
static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){ buf->at, buf->len };
}
