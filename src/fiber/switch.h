/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * switch: leave one stack, go on with another. A context is where a stack was left.
 *
 * Two ways behind one face: a few instructions of our own (x86-64, aarch64), or the C library's
 * sigsetjmp and siglongjmp on stacks first entered by makecontext (everywhere else, and wherever
 * GP_PORTABLE_SWITCH is set). Signal masks are not switched.
 */
#include "base/base.h"

#if !defined(GP_PORTABLE_SWITCH) && !defined(__x86_64__) && !defined(__aarch64__)
#define GP_PORTABLE_SWITCH 1
#endif

#if defined(__SANITIZE_ADDRESS__)
#define GP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GP_ASAN 1
#endif
#endif

#ifdef GP_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#ifdef GP_PORTABLE_SWITCH
#include <setjmp.h>
#endif

struct context {
#ifdef GP_PORTABLE_SWITCH
	sigjmp_buf env;
	void (*entry)(void);
#endif
	void *sp;           /* nothing below it is live while the stack is left */
	void *fake;         /* ASan's own notes about this stack */
	const void *bottom; /* lowest address of the stack and its size, for ASan */
	size_t size;
};

/* The first switch to *context calls entry(), which must never return, on the given stack. */
void context_init(struct context *context, void *bottom, size_t size, void (*entry)(void));
/* Leave `from`, go on with `to`; returns when somebody switches back. */
void context_jump(struct context *from, struct context *to);

static inline void context_switch(struct context *from, struct context *to)
{
#ifdef GP_ASAN
	__sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
	context_jump(from, to);
#ifdef GP_ASAN
	__sanitizer_finish_switch_fiber(from->fake, &to->bottom, &to->size);
#endif
}

/* What entry() calls first: `self` runs now and was reached from `from`. */
static inline void context_arrived(struct context *self, struct context *from)
{
#ifdef GP_ASAN
	__sanitizer_finish_switch_fiber(self->fake, &from->bottom, &from->size);
#else
	(void)self;
	(void)from;
#endif
}

/* The last switch away from a stack; nobody comes back to it. */
static inline void context_end(struct context *self, struct context *to)
{
#ifdef GP_ASAN
	__sanitizer_start_switch_fiber(NULL, to->bottom, to->size);
#endif
	context_jump(self, to);
}
