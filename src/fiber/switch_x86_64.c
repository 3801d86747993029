/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for x86-64 (System V ABI): the callee-saved registers go onto the stack that is
 * left, its pointer into the context. MXCSR and the x87 control word are not saved: nothing in
 * this program changes them.
 *
 * Returns are by `ret`, which indirect branch tracking leaves alone; shadow stacks would see a
 * return address they do not know, so this file is compiled without their mark (CMakeLists.txt)
 * and the linker then leaves it off the whole program.
 */
#include "fiber/switch.h"

#if defined(__x86_64__) && !defined(GP_PORTABLE_SWITCH)

static_assert(offsetof(struct context, sp) == 0, "context_jump reads sp at offset 0");

/* Where a new stack's first `ret` goes: entry() is in rbx. rbp 0 ends the chain of frames. */
void context_start(void);

__asm__(".text\n"
	".p2align 4\n"
	".globl context_jump\n"
	".hidden context_jump\n"
	".type context_jump, @function\n"
	"context_jump:\n"
	".cfi_startproc\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rbx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r12\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r13\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r14\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r15\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	popq %r15\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r14\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r13\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r12\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rbx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rbp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size context_jump, .-context_jump\n"
	".p2align 4\n"
	".globl context_start\n"
	".hidden context_start\n"
	".type context_start, @function\n"
	"context_start:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"	endbr64\n"
	"	xorl %ebp, %ebp\n"
	"	call *%rbx\n"
	"	ud2\n"
	".cfi_endproc\n"
	".size context_start, .-context_start\n");

void context_init(struct context *context, void *bottom, size_t size, void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)bottom + size) & ~(uintptr_t)15;
	uintptr_t *frame = (uintptr_t *)top - 7; /* r15 r14 r13 r12 rbx rbp and the return */

	memset(frame, 0, 7 * sizeof(*frame));
	frame[4] = (uintptr_t)entry;
	frame[6] = (uintptr_t)context_start;
	*context = (struct context){ .sp = frame, .bottom = bottom, .size = size };
}

#endif
