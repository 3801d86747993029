/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/stack.h"
#include "fiber/switch.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

enum {
	POOL_HOT = 128, /* newest stacks in the pool that keep their pages */
	POOL_MAX = 1024,
	/* Code built outside this tree may take a frame larger than a page without touching each
	   page on its way; four guard pages cost no more than one. */
	GUARD_PAGES = 4,
#ifdef GP_ASAN
	SIZE = 4 * LIMIT_fiber_stack, /* red zones make every frame larger */
#else
	SIZE = LIMIT_fiber_stack,
#endif
};

static const uint64_t PAINT = 0x5A5A'A5A5'5A5A'A5A5;

#ifdef GP_ASAN
/* Newer runtimes keep the frames of functions that have returned: megabytes to map and unmap for every fiber. */
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}
#endif

static size_t page_size(void)
{
	static size_t size; /* every thread that races here writes the same */

	if (!size)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static size_t guard_size(void)
{
	return GUARD_PAGES * page_size();
}

static void stack_note(struct stack *stack)
{
#ifdef VALGRIND_STACK_REGISTER
	stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, stack->low + stack->size);
#endif
#ifdef GP_ASAN
	__lsan_register_root_region(stack->low, stack->size);
#endif
	(void)stack;
}

static enum err stack_map(struct stack *out)
{
	size_t guard = guard_size();
	struct stack stack = { .size = SIZE };
	char *base;

	base = mmap(NULL, guard + SIZE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return fault_errno("map a fiber's stack");
	stack.low = base + guard;
	if (mprotect(stack.low, SIZE, PROT_READ | PROT_WRITE) != 0) {
		enum err err = fault_errno("make a fiber's stack writable");

		munmap(base, guard + SIZE);
		return err;
	}
	/* A huge page would make every idle fiber cost 2 MiB; kernels without them say EINVAL. */
	(void)madvise(stack.low, SIZE, MADV_NOHUGEPAGE);
	stack_note(&stack);
	*out = stack;
	return OK;
}

static void stack_unmap(struct stack *stack)
{
	size_t guard = guard_size();

#ifdef VALGRIND_STACK_DEREGISTER
	VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
#ifdef GP_ASAN
	__lsan_unregister_root_region(stack->low, stack->size);
	ASAN_UNPOISON_MEMORY_REGION(stack->low, stack->size);
#endif
	munmap(stack->low - guard, guard + stack->size);
}

enum err stack_take(struct stack_pool *pool, struct stack *out)
{
	if (pool->count == 0)
		return stack_map(out);
	*out = pool->free[--pool->count];
	return OK;
}

void stack_give(struct stack_pool *pool, struct stack *stack)
{
	if (pool->count == POOL_MAX) {
		stack_unmap(stack);
		return;
	}
	if (pool->count == pool->room) {
		pool->room = pool->room ? pool->room * 2 : POOL_HOT;
		pool->free = reallocarray(pool->free, pool->room, sizeof(*pool->free));
		must(pool->free);
	}
#ifdef GP_ASAN
	/* Frames that a fiber left without returning through them left their red zones behind. */
	ASAN_UNPOISON_MEMORY_REGION(stack->low, stack->size);
#endif
	if (pool->count >= POOL_HOT || stack->painted)
		stack_trim(stack, stack->low + stack->size - page_size());
	stack->painted = false;
	pool->free[pool->count++] = *stack;
}

void stack_pool_drop(struct stack_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		stack_unmap(&pool->free[i]);
	free(pool->free);
	*pool = (struct stack_pool){ 0 };
}

void stack_trim(const struct stack *stack, const void *live)
{
	size_t dead = ((size_t)((const char *)live - stack->low)) & ~(page_size() - 1);

	must((const char *)live >= stack->low && dead <= stack->size);
	if (dead > 0)
		(void)madvise(stack->low, dead,
			      MADV_DONTNEED); /* a hint; failing costs memory only */
}

void stack_paint(struct stack *stack, const void *end)
{
	for (char *at = stack->low; at + sizeof(PAINT) <= (const char *)end; at += sizeof(PAINT))
		memcpy(at, &PAINT, sizeof(PAINT));
	stack->painted = true;
}

/* Reads where frames have been and are, red zones included. */
__attribute__((no_sanitize("address"))) size_t stack_used(const struct stack *stack)
{
	const uint64_t *at = (const void *)stack->low;
	const uint64_t *top = (const void *)(stack->low + stack->size);

	if (!stack->painted)
		return 0;
	while (at < top && *at == PAINT)
		at++;
	return (size_t)((const char *)top - (const char *)at);
}
