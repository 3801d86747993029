/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for any machine: makecontext enters a new stack once, from then on sigsetjmp and
 * siglongjmp go to and fro without a system call. Compiled without FORTIFY (CMakeLists.txt),
 * whose longjmp check forbids what is done here on purpose: jumping to another stack.
 */
#include "fiber/switch.h"

#ifdef GP_PORTABLE_SWITCH

#include <ucontext.h>

enum { SLACK = 1024 }; /* what this file's own frames may take below the address noted as sp */

/* The context that context_init enters for the first time, and the way back to it. */
static _Thread_local struct context *entering;
static _Thread_local struct context maker;

static void first_entry(void)
{
	struct context *self = entering;

	context_arrived(self, &maker);
	if (sigsetjmp(self->env, 0) == 0) {
#ifdef GP_ASAN
		__sanitizer_start_switch_fiber(&self->fake, maker.bottom, maker.size);
#endif
		siglongjmp(maker.env, 1);
	}
	self->entry();
	must(false); /* entry() never returns */
}

void context_init(struct context *context, void *bottom, size_t size, void (*entry)(void))
{
	ucontext_t made;
	ucontext_t back;

	*context = (struct context){ .bottom = bottom, .size = size, .entry = entry };
	context->sp = (char *)bottom + size - SLACK;
	must(getcontext(&made) == 0);
	made.uc_stack.ss_sp = bottom;
	made.uc_stack.ss_size = size;
	made.uc_link = NULL;
	makecontext(&made, first_entry, 0);
	entering = context;
	if (sigsetjmp(maker.env, 0) == 0) {
#ifdef GP_ASAN
		__sanitizer_start_switch_fiber(&maker.fake, bottom, size);
#endif
		must(swapcontext(&back, &made) == 0);
	}
#ifdef GP_ASAN
	__sanitizer_finish_switch_fiber(maker.fake, NULL, NULL);
#endif
}

void context_jump(struct context *from, struct context *to)
{
	from->sp = (char *)__builtin_frame_address(0) - SLACK;
	if (sigsetjmp(from->env, 0) == 0)
		siglongjmp(to->env, 1);
}

#endif
