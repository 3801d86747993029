/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call between two processes costs: microseconds of wall time per call and answer, with 1,
 * 20, 50 and 100 calls in flight, for a small ask and for one of 2.5 KiB.
 */
#include "link/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 100000, BODY_OCTETS = 2500 };

struct bench {
	int fd;
	struct link *link;
	struct fiber_group callers;
	unsigned left;
	bool large;
};

static enum err serve_recipient(struct link_call *call, const struct ask_recipient *ask,
				struct answer_recipient *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->verdict = RECIPIENT_LOCAL;
	return OK;
}

static enum err serve_deliver(struct link_call *call, const struct ask_deliver *ask,
			      struct answer_deliver *answer) WAITS
{
	(void)call;
	answer->batch = ask->body.size;
	return OK;
}

static void callee(void *arg)
{
	static const struct link_handlers handlers = { .recipient = serve_recipient,
						       .deliver = serve_deliver };
	struct channel *channel;
	int fd = *(int *)arg;

	must(!channel_of_fd(fd, &channel));
	must(!link_serve(channel, ROLE_STORE, ROLE_GATE_MX, 0, &handlers, NULL, NULL));
}

static void call_small(struct bench *bench, struct arena *arena) WAITS
{
	struct ask_recipient ask = { .address = S("someone@example.org"), .size = 2500 };
	struct answer_recipient answer;

	must(!call_recipient(bench->link, &ask, arena, &answer, in_ms(60000)));
}

static void call_large(struct bench *bench, struct arena *arena) WAITS
{
	static char octets[BODY_OCTETS];
	struct str to = S("someone@example.org");
	struct ask_deliver ask = { .message = 1,
				   .session = 2,
				   .sender = S("me@example.org"),
				   .recipients = { &to, 1 },
				   .body = { { octets, BODY_OCTETS }, -1, BODY_OCTETS } };
	struct answer_deliver answer;

	must(!call_deliver(bench->link, &ask, arena, &answer, in_ms(60000)));
	must(answer.batch == BODY_OCTETS);
}

static void caller(void *arg) WAITS
{
	struct bench *bench = arg;
	struct arena arena = { 0 };

	while (bench->left) {
		bench->left--;
		if (bench->large)
			call_large(bench, &arena);
		else
			call_small(bench, &arena);
		arena_reset(&arena);
	}
	arena_drop(&arena);
}

static void measure(struct bench *bench, unsigned in_flight, bool large) WAITS
{
	unsigned calls = in_flight == 1 ? CALLS / 5 : CALLS;
	struct link_stats before, after;
	moment begun = now();

	bench->left = calls;
	bench->large = large;
	link_get_stats(bench->link, &before);
	for (unsigned i = 0; i < in_flight; i++)
		must(!fiber_spawn(&bench->callers, "caller", caller, bench, NULL));
	must(!group_wait(&bench->callers, NEVER));
	link_get_stats(bench->link, &after);
	printf("%s ask, %3u in flight: %6.2f us per call, %.1f calls per write\n",
	       large ? "2.5 KiB" : "small  ", in_flight, (double)(now() - begun) / calls,
	       (double)calls / (double)(after.writes - before.writes));
}

static void bench_fiber(void *arg) WAITS
{
	static const unsigned in_flight[] = { 1, 20, 50, 100 };
	struct bench *bench = arg;
	struct channel *channel;

	group_init(&bench->callers);
	bench->link = link_new(ROLE_GATE_MX, ROLE_STORE);
	must(!channel_of_fd(bench->fd, &channel));
	must(!link_attach(bench->link, 0, channel));
	measure(bench, 50, false); /* warm */
	for (unsigned large = 0; large < 2; large++)
		for (size_t i = 0; i < COUNT_OF(in_flight); i++)
			measure(bench, in_flight[i], large);
	link_drop(&bench->link);
}

int main(void)
{
	struct bench bench = { 0 };
	struct world *world;
	int fds[2];
	pid_t pid;

	must(!channel_pair_fds(fds));
	pid = fork();
	must(pid >= 0);
	close(fds[pid != 0]);
	world = world_real_new();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, 9);
		must(!world_spawn(world, "callee", callee, &fds[1]));
	} else {
		bench.fd = fds[0];
		must(!world_spawn(world, "bench", bench_fiber, &bench));
	}
	world_run(world);
	world_drop(&world);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return 0;
}
