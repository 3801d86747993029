/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for aarch64 (AAPCS64): x19 to x28, the frame and link registers and the low halves
 * of v8 to v15 go onto the stack that is left, its pointer into the context. `hint #34` is a
 * landing pad (bti c) where the processor wants one, and nothing elsewhere.
 */
#include "fiber/switch.h"

#if defined(__aarch64__) && !defined(GP_PORTABLE_SWITCH)

static_assert(offsetof(struct context, sp) == 0, "context_jump reads sp at offset 0");

/* Where a new stack's first `ret` goes: entry() is in x19. x29 0 ends the chain of frames. */
void context_start(void);

__asm__(".text\n"
	".p2align 4\n"
	".globl context_jump\n"
	".hidden context_jump\n"
	".type context_jump, %function\n"
	"context_jump:\n"
	".cfi_startproc\n"
	"	hint #34\n"
	"	sub sp, sp, #160\n"
	"	.cfi_def_cfa_offset 160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	ldr x9, [x1]\n"
	"	mov sp, x9\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	.cfi_def_cfa_offset 0\n"
	"	ret\n"
	".cfi_endproc\n"
	".size context_jump, .-context_jump\n"
	".p2align 4\n"
	".globl context_start\n"
	".hidden context_start\n"
	".type context_start, %function\n"
	"context_start:\n"
	".cfi_startproc\n"
	".cfi_undefined x30\n"
	"	hint #34\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	blr x19\n"
	"	brk #1\n"
	".cfi_endproc\n"
	".size context_start, .-context_start\n");

void context_init(struct context *context, void *bottom, size_t size, void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)bottom + size) & ~(uintptr_t)15;
	uintptr_t *frame = (uintptr_t *)top - 20;

	memset(frame, 0, 20 * sizeof(*frame));
	frame[0] = (uintptr_t)entry;
	frame[11] = (uintptr_t)context_start;
	*context = (struct context){ .sp = frame, .bottom = bottom, .size = size };
}

#endif
