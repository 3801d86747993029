/* SPDX-License-Identifier: Apache-2.0 */
/* A role as a process of its own: `glasspost role NAME`, the boss channel on descriptor 3. */
#include "role/life.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	BOSS_FD = 3,
	HEAP_KEPT = 4 << 20,  /* free octets at the end of the heap */
	OWN_MAPPING = 1 << 20 /* allocations of this size are mapped by themselves */
};

struct process {
	const struct role_ops *ops;
	struct channel *boss;
	struct sandbox_report report;
};

static void role_fiber(void *arg) WAITS
{
	struct process *process = arg;

	role_run_process(process->ops, process->boss, &process->report);
	world_halt(world_here());
}

/* What ps and top show. The words of argv lie behind one another and may be written over. */
static void set_title(const struct role_ops *ops, int argc, char **argv)
{
	char name[64];
	size_t room = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);

	snprintf(name, sizeof name, "gp-%s", role_kind_name(ops->kind));
	prctl(PR_SET_NAME, name);
	snprintf(name, sizeof name, "glasspost: %s", role_kind_name(ops->kind));
	memset(argv[0], 0, room);
	snprintf(argv[0], room + 1, "%s", name);
}

/*
 * The terminal's interrupt reaches the whole process group, but only the supervisor decides what it
 * means. A supervisor that was killed takes its roles with it; the boss channel's end tells them too.
 */
static void set_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t none;

	for (size_t i = 0; i < COUNT_OF(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/*
 * Messages of 64 KiB took memory from the kernel and gave it back, one by one, at the price of a page fault for each
 * page: 13 in a gate, 8 in the filter. So a little is kept.
 */
static void set_heap(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
	(void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING);
}

/* Before any thread is made and any octet is read; the words stand behind `role NAME`. */
static enum err enter_sandbox(struct process *process, char **words)
{
	const struct sandbox_request request = {
		.role = words[3],
		.folder = words[0][0] ? words[0] : NULL,
		.user = words[1],
		.required = strcmp(words[2], "required") == 0,
	};

	if (process->ops->prepare)
		process->ops->prepare();
	return sandbox_enter(&request, &process->report);
}

/* What the relay may is the operator's wish in one thing. */
const char *role_sandbox_row(enum role_kind kind, const struct config *config)
{
	return kind == ROLE_RELAY && config->relay_sockets ? "relay-sockets" : role_kind_name(kind);
}

/* "relay" or "relay-sockets": a row of its own, or one that begins like it. */
static bool is_row_of(enum role_kind kind, const char *row)
{
	const char *name = role_kind_name(kind);
	size_t len = strlen(name);

	return strncmp(row, name, len) == 0 && (row[len] == '\0' || row[len] == '-');
}

int role_main(const struct role_ops *ops, int argc, char **argv)
{
	struct process process = { .ops = ops };
	struct world *world;

	if (argc != 7 || !is_row_of(ops->kind, argv[6]) || channel_of_fd(BOSS_FD, &process.boss)) {
		fprintf(stderr, "glasspost role %s: is started by the supervisor only\n",
			role_kind_name(ops->kind));
		return 64;
	}
	set_signals();
	set_heap();
	if (enter_sandbox(&process, argv + 3)) {
		fprintf(stderr, "glasspost %s: sandbox: %s\n", role_kind_name(ops->kind),
			fault_text());
		return 78;
	}
	set_title(ops, argc, argv);
	role_name_traces();
	world = world_real_new();
	if (world_spawn(world, "role", role_fiber, &process))
		return 70;
	world_run(world);
	return 0; /* the kernel takes the rest back */
}
