/* SPDX-License-Identifier: Apache-2.0 */
/* From promises to a seccomp filter. */
#include "sandbox/calls.h"
#include "sandbox/row.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* Linux 5.17 */
#endif

/* Stands in the table for what is known only at run time. */
#define OWN_PID (UINT64_MAX - 1)

/* Of an int the kernel reads the lower half only; what stands above must not matter. */
#define INT_BITS    ((uint64_t)UINT32_MAX)
#define ALL_BITS    UINT64_MAX
#define OF_A_THREAD (CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

enum { ANY_FORM = -1 };

struct rule {
	unsigned promise; /* PROMISES: refused softly */
	const char *call;
	int argument; /* ANY_FORM, or when (argument & mask) == value */
	uint64_t mask;
	uint64_t value;
};

static const struct rule rules[] = {
#define CALL(promise, call) { PROMISE_##promise, #call, ANY_FORM, 0, 0 },
#define CALL_IF(promise, call, argument, mask, value)                                              \
	{ PROMISE_##promise, #call, argument, mask, value },
#define REFUSE(call)                           { PROMISES, #call, ANY_FORM, 0, 0 },
#define REFUSE_IF(call, argument, mask, value) { PROMISES, #call, argument, mask, value },
#include "sandbox/promises.def"
};

/* ---- documentation ---- */

static bool is_first_mention(size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (rules[i].promise == rules[index].promise &&
		    strcmp(rules[i].call, rules[index].call) == 0)
			return false;
	return true;
}

void calls_print(struct buf *out, unsigned promise)
{
	const char *between = "";

	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		if (rules[i].promise != promise || !is_first_mention(i))
			continue;
		buf_print(out, "%s%s%s", between, rules[i].call,
			  rules[i].argument == ANY_FORM ? "" : " (some)");
		between = ", ";
	}
}

/* ---- the filter ---- */

struct filter {
	scmp_filter_ctx context;
	unsigned promises;
	unsigned calls; /* let through */
};

static bool is_promised(const struct filter *filter, const struct rule *rule)
{
	return rule->promise < PROMISES && (filter->promises & 1u << rule->promise);
}

/* Is this call let through in every form? Then rules about its forms say nothing. */
static bool is_free(const struct filter *filter, const char *call)
{
	for (size_t i = 0; i < COUNT_OF(rules); i++)
		if (rules[i].argument == ANY_FORM && is_promised(filter, &rules[i]) &&
		    strcmp(rules[i].call, call) == 0)
			return true;
	return false;
}

static bool is_known(const struct filter *filter, const char *call)
{
	for (size_t i = 0; i < COUNT_OF(rules); i++)
		if (is_promised(filter, &rules[i]) && strcmp(rules[i].call, call) == 0)
			return true;
	return false;
}

/* Did an earlier rule speak of this call already; or, `freely`, let it through in every form? */
static bool was_added(const struct filter *filter, size_t index, bool freely)
{
	for (size_t i = 0; i < index; i++)
		if (is_promised(filter, &rules[i]) &&
		    strcmp(rules[i].call, rules[index].call) == 0 &&
		    (!freely || rules[i].argument == ANY_FORM))
			return true;
	return false;
}

static int add_form(struct filter *filter, uint32_t action, int call, const struct rule *rule)
{
	uint64_t value = rule->value == OWN_PID ? (uint64_t)getpid() : rule->value;
	struct scmp_arg_cmp compare = { .arg = (unsigned)rule->argument,
					.op = SCMP_CMP_MASKED_EQ,
					.datum_a = rule->mask,
					.datum_b = value & rule->mask };

	return seccomp_rule_add(filter->context, action, call, 1, compare);
}

static int add_promised(struct filter *filter, size_t index, int call)
{
	const struct rule *rule = &rules[index];

	if (!was_added(filter, index, false))
		filter->calls++;
	if (rule->argument == ANY_FORM)
		return was_added(filter, index, true)
			       ? 0
			       : seccomp_rule_add(filter->context, SCMP_ACT_ALLOW, call, 0);
	return is_free(filter, rule->call) ? 0 : add_form(filter, SCMP_ACT_ALLOW, call, rule);
}

static int add_refused(struct filter *filter, size_t index, int call)
{
	const struct rule *rule = &rules[index];
	uint32_t action = SCMP_ACT_ERRNO(EPERM);

	if (rule->argument != ANY_FORM)
		return is_free(filter, rule->call) ? 0 : add_form(filter, action, call, rule);
	/* Where some form of it is let through the others end the process. */
	return is_known(filter, rule->call) ? 0
					    : seccomp_rule_add(filter->context, action, call, 0);
}

static int add_rule(struct filter *filter, size_t index)
{
	int call = seccomp_syscall_resolve_name(rules[index].call);

	if (call == __NR_SCMP_ERROR)
		return 0;
	if (rules[index].promise == PROMISES)
		return add_refused(filter, index, call);
	return is_promised(filter, &rules[index]) ? add_promised(filter, index, call) : 0;
}

static int build(struct filter *filter)
{
	int error = 0;

	for (size_t i = 0; i < COUNT_OF(rules) && !error; i++)
		error = add_rule(filter, i);
	/* Its flags lie in memory, where no filter can see them: glibc then uses clone. */
	if (!error && !is_known(filter, "clone3"))
		error = seccomp_rule_add(filter->context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
					 0);
	/* A tree in place of a list: a call costs six comparisons, not a hundred. */
	if (!error)
		(void)seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* Before Linux 5.16 a filter would slow the whole process down against a side channel within
	   it, where there is nobody to hide from. */
	if (!error)
		(void)seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_SSB, 1);
	return error;
}

enum err seccomp_enter(const struct sandbox_row *row, struct progress *progress)
{
	struct filter filter = { .promises = row->promises };
	int error;

	filter.context = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter.context)
		return fault(ERR_SYSTEM, "seccomp: no memory for a filter");
	error = build(&filter);
	if (error) {
		seccomp_release(filter.context);
		errno = -error;
		return fault_errno("seccomp: building the filter of %s", row->name);
	}
	error = seccomp_load(filter.context);
	seccomp_release(filter.context);
	if (error)
		progress_lacks(progress, "seccomp");
	else
		progress_done(progress, "seccomp %u calls", filter.calls);
	return OK;
}
