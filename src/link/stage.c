/* SPDX-License-Identifier: Apache-2.0 */
#include "link/stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what is served ---- */

static enum err serve_recipient(struct link_call *call, const struct ask_recipient *ask,
				struct answer_recipient *answer) WAITS
{
	struct stage *stage = call->context;

	if (str_is(ask->address, S("full@x")))
		return fault(ERR_QUOTA, "%.*s is full\n", STR_ARGS(ask->address));
	if (str_starts(ask->address, S("sleep")))
		(void)fiber_sleep(in_ms((int64_t)ask->size));
	if (str_starts(ask->address, S("through"))) {
		struct waitq never;

		waitq_init(&never);
		waitq_wait_through(&never, in_ms((int64_t)ask->size));
	}
	stage->served++;
	answer->verdict = RECIPIENT_DISABLED;
	answer->why = str_first(ask->address, 200);
	return OK;
}

uint64_t sum_of(struct str octets)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < octets.len; i++)
		sum = sum * 31 + (unsigned char)octets.at[i];
	return sum;
}

static enum err serve_deliver(struct link_call *call, const struct ask_deliver *ask,
			      struct answer_deliver *answer) WAITS
{
	uint64_t *outcomes = NEW_ARRAY(call->arena, uint64_t, ask->recipients.count);
	struct str body;
	enum err err = body_map(&ask->body, &body);

	if (err)
		return err;
	for (size_t i = 0; i < ask->recipients.count; i++)
		outcomes[i] = ask->recipients.at[i].len;
	answer->outcomes = (struct u64s){ outcomes, ask->recipients.count };
	answer->us = sum_of(body);
	answer->batch = body.len;
	body_unmap(&ask->body, body);
	return OK;
}

static enum err serve_password(struct link_call *call, const struct ask_password *ask,
			       struct answer_password *answer) WAITS
{
	struct stage *stage = call->context;

	if (str_is(ask->user, S("slow"))) {
		enum err err = fiber_sleep(in_ms(40));

		answer->account = 71;
		answer->sasl = 72;
		return err;
	}
	stage->secret = ask->password.at;
	answer->state = str_is(ask->password, S("tanstaaf")) ? SASL_DONE : SASL_FAILED;
	return OK;
}

/* Gives a sealed memfd of `length` octets, each the low octet of `offset`. */
static enum err serve_read(struct link_call *call, const struct ask_maildrop_read *ask,
			   struct answer_maildrop_read *answer) WAITS
{
	char octets[4096];
	int fd = memfd_create("piece", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)call;
	memset(octets, (int)(ask->offset & 0xff), sizeof(octets));
	if (fd < 0 || write(fd, octets, (size_t)ask->length) != (ssize_t)ask->length)
		return fault_errno("piece");
	fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	answer->octets = (struct body){ .fd = fd, .size = ask->length };
	answer->size = ask->index == 1 ? UINT64_MAX : ask->length;
	return OK;
}

static enum err serve_list(struct link_call *call, const struct ask_maildrop_list *ask,
			   struct answer_maildrop_list *answer) WAITS
{
	size_t count = (size_t)ask->first; /* more than 4000 is over the answer's bound */

	answer->uids = (struct u64s){ NEW_ARRAY(call->arena, uint64_t, count), count };
	return OK;
}

static enum err serve_ring(struct link_call *call, const struct ask_ring *ask,
			   struct answer_ring *answer) WAITS
{
	(void)call;
	(void)answer;
	return write(ask->fd, "ring", 4) == 4 ? OK : fault_errno("write");
}

static enum err serve_sign_out(struct link_call *call, const struct ask_sign_out *ask,
			       struct answer_sign_out *answer) WAITS
{
	(void)answer;
	((struct stage *)call->context)->given_back[0] = ask->account;
	return OK;
}

static enum err serve_sasl_drop(struct link_call *call, const struct ask_sasl_drop *ask,
				struct answer_sasl_drop *answer) WAITS
{
	(void)answer;
	((struct stage *)call->context)->given_back[1] = ask->sasl;
	return OK;
}

static enum err serve_open(struct link_call *call, const struct ask_maildrop_open *ask,
			   struct answer_maildrop_open *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->drop = 73;
	return fiber_sleep(in_ms(40));
}

static enum err serve_close(struct link_call *call, const struct ask_maildrop_close *ask,
			    struct answer_maildrop_close *answer) WAITS
{
	(void)answer;
	((struct stage *)call->context)->given_back[2] = ask->drop;
	return OK;
}

static enum err serve_view_open(struct link_call *call, const struct ask_view_open *ask,
				struct answer_view_open *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->view = 74;
	return fiber_sleep(in_ms(40));
}

static enum err serve_view_close(struct link_call *call, const struct ask_view_close *ask,
				 struct answer_view_close *answer) WAITS
{
	(void)answer;
	((struct stage *)call->context)->given_back[3] = ask->view;
	return OK;
}

/* With a body that has a descriptor, as a large one has. */
static enum err serve_claim(struct link_call *call, const struct ask_queue_claim *ask,
			    struct answer_queue_claim *answer) WAITS
{
	struct ask_maildrop_read piece = { .length = 4096 };
	struct answer_maildrop_read read;
	enum err err = serve_read(call, &piece, &read);

	(void)ask;
	answer->lease = 75;
	answer->message = 76;
	if (!err)
		answer->body = read.octets;
	return err ? err : fiber_sleep(in_ms(40));
}

static enum err serve_report(struct link_call *call, const struct ask_queue_report *ask,
			     struct answer_queue_report *answer) WAITS
{
	(void)answer;
	assert_int_equal(ask->message, 76);
	assert_int_equal(ask->numbers.count, 0);
	((struct stage *)call->context)->given_back[4] = ask->lease;
	return OK;
}

static void note_gone(void *context, struct link_peer *peer)
{
	struct stage *stage = context;

	must(*link_peer_slot(peer) == NULL);
	must(link_peer_index(peer) < LIMIT_role_processes);
	stage->gone++;
}

static const struct link_handlers handlers = {
	.recipient = serve_recipient,
	.password = serve_password,
	.deliver = serve_deliver,
	.maildrop_read = serve_read,
	.maildrop_list = serve_list,
	.ring = serve_ring,
	.sign_out = serve_sign_out,
	.sasl_drop = serve_sasl_drop,
	.maildrop_open = serve_open,
	.maildrop_close = serve_close,
	.view_open = serve_view_open,
	.view_close = serve_view_close,
	.queue_claim = serve_claim,
	.queue_report = serve_report,
	.gone = note_gone,
};

/* ---- the stage ---- */

void make_pair(const struct stage *stage, struct channel *ends[2])
{
	int fds[2];

	if (stage->transport != OVER_SOCKETS) {
		assert_int_equal(channel_pair_memory(ends), OK);
		return;
	}
	assert_int_equal(channel_pair_fds(fds), OK);
	assert_int_equal(channel_of_fd(fds[0], &ends[0]), OK);
	assert_int_equal(channel_of_fd(fds[1], &ends[1]), OK);
}

void serve(struct stage *stage, struct channel *channel, enum role_kind peer)
{
	assert_int_equal(link_serve(channel, SERVER, peer, 0, &handlers, stage, &stage->servers),
			 OK);
}

void connect_index(struct stage *stage, unsigned index)
{
	struct channel *ends[2];

	make_pair(stage, ends);
	serve(stage, ends[0], ASKER);
	assert_int_equal(link_attach(stage->link, index, ends[1]), OK);
}

static void stage_fiber(void *arg) WAITS
{
	struct stage *stage = arg;

	group_init(&stage->servers);
	group_init(&stage->callers);
	stage->link = link_new(ASKER, SERVER);
	stage->run(stage);
	link_drop(&stage->link);
	assert_int_equal(group_wait(&stage->callers, in_ms(20000)), OK);
	assert_int_equal(group_wait(&stage->servers, in_ms(20000)), OK);
}

void play(enum transport transport, void (*run)(struct stage *stage))
{
	struct stage stage = { .transport = transport, .run = run };
	struct world *world =
		transport == IN_MEMORY_SIMULATED ? world_sim_new(7) : world_real_new();

	assert_int_equal(world_spawn(world, "stage", stage_fiber, &stage), OK);
	world_run(world);
	world_drop(&world);
}

void play_everywhere(void (*run)(struct stage *stage))
{
	for (unsigned transport = 0; transport < TRANSPORTS; transport++)
		play(transport, run);
}

enum err ask_about(struct stage *stage, const char *address, uint64_t size, int64_t within_ms) WAITS
{
	struct arena arena = { 0 };
	struct ask_recipient ask = { .address = str_of(address), .size = size };
	struct answer_recipient answer;
	enum err err = call_recipient(stage->link, &ask, &arena, &answer, in_ms(within_ms));

	if (!err) {
		assert_int_equal(answer.verdict, RECIPIENT_DISABLED);
		assert_true(str_is(answer.why, str_first(ask.address, 200)));
	}
	arena_drop(&arena);
	return err;
}

size_t in_flight(const struct stage *stage)
{
	struct link_stats stats;

	link_get_stats(stage->link, &stats);
	return stats.in_flight;
}

void let_it_settle(struct stage *stage) WAITS
{
	(void)stage;
	assert_int_equal(fiber_sleep(in_ms(60)), OK);
}

void caller_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	char address[40];
	uint64_t ms = random_u64() % 30;

	snprintf(address, sizeof(address), "sleep-%llu@x", (unsigned long long)random_u64());
	if (ask_about(stage, address, ms, 15000))
		stage->failed++;
}
