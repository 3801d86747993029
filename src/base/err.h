/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * err: the world's failures. A peer's mistake is a value (a reply), a bug aborts (must);
 * everything else that can go wrong is one of these, handed up to whoever owns the session
 * and logged once, there.
 *
 * Detail (errno, path, peer) lies in the running fiber's `struct fault`; it is the fault of
 * the newest failure, so read it before the next call that may fail.
 */
#define ERRORS(X)                                                                                  \
	X(TIMEOUT, "timed out")                                                                    \
	X(STOPPED, "asked to stop")                                                                \
	X(AGAIN, "would wait")                                                                     \
	X(CLOSED, "the other side closed the connection")                                          \
	X(RESET, "the connection was cut")                                                         \
	X(REFUSED, "the connection was refused")                                                   \
	X(GONE, "the role that was asked has ended")                                               \
	X(PROTOCOL, "the other side broke the protocol")                                           \
	X(LIMIT, "a limit was reached")                                                            \
	X(SYNTAX, "not well formed")                                                               \
	X(NOT_FOUND, "not found")                                                                  \
	X(EXISTS, "exists already")                                                                \
	X(DENIED, "not permitted")                                                                 \
	X(BUSY, "in use")                                                                          \
	X(FULL, "no space left on the disk")                                                       \
	X(QUOTA, "over quota")                                                                     \
	X(IO, "input or output failed")                                                            \
	X(TLS, "the TLS layer failed")                                                             \
	X(CORRUPT, "stored data is damaged")                                                       \
	X(CONFIG, "the configuration is not valid")                                                \
	X(UNSUPPORTED, "not supported here")                                                       \
	X(SYSTEM, "the operating system refused")

enum err {
	OK = 0,
#define X(name, text) ERR_##name,
	ERRORS(X)
#undef X
};

/* What a person reads; never NULL. */
const char *err_text(enum err err);
/* The name in the source ("TIMEOUT"), for traces and JSON. */
const char *err_name(enum err err);
/* The failure that an errno value stands for (ENOSPC -> ERR_FULL, EPIPE -> ERR_CLOSED ...). */
enum err err_from_errno(int error);

enum { FAULT_TEXT_MAX = 400 };

struct fault {
	enum err err;
	char text[FAULT_TEXT_MAX]; /* always NUL-terminated; cut when too long */
};

/* Note the detail of a failure and return err itself: `return fault(ERR_IO, "write %s", path)`. */
enum err fault(enum err err, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for a failed system call: appends errno's text and returns err_from_errno(errno). */
enum err fault_errno(const char *format, ...) PRINTF_LIKE(1, 2);
/* The newest detail noted by this fiber; "" when there is none. */
const char *fault_text(void);
/* Where faults go from now on; the fiber switch calls this. NULL: a place of the thread's own. */
void fault_use(struct fault *place);
