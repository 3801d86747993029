/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dial.h"

#include <stdio.h>

struct call {
	struct dialling *dialling;
	const struct addr *address;
	struct fiber *fiber; /* NULL: not begun, or ended */
};

/* All on the stack of who dials: he stays until the last of the calls has ended. */
struct dialling {
	struct call calls[DIAL_MAX];
	size_t begun, ended;
	struct waitq moved;
	moment deadline;
	struct stream *stream; /* of the first that answered */
	size_t which;
	enum err err; /* of the last that failed */
	char text[FAULT_TEXT_MAX];
};

static void call_fiber(void *arg) WAITS
{
	struct call *call = arg;
	struct dialling *d = call->dialling;
	struct stream *stream = NULL;
	enum err err = stream_connect(call->address, d->deadline, &stream);

	if (err) {
		d->err = err;
		snprintf(d->text, sizeof(d->text), "%s", fault_text());
	} else if (d->stream) {
		stream_drop(&stream); /* another was sooner */
	} else {
		d->stream = stream;
		d->which = (size_t)(call - d->calls);
	}
	call->fiber = NULL;
	d->ended++;
	waitq_wake_all(&d->moved);
}

static enum err begin_call(struct dialling *d, const struct addr *address)
{
	struct call *call = &d->calls[d->begun];
	enum err err;

	*call = (struct call){ .dialling = d, .address = address };
	err = fiber_spawn(NULL, "dial", call_fiber, call, &call->fiber);
	if (!err)
		d->begun++;
	return err;
}

/* Until one has answered, or all have failed, or it is time for the next one. */
static enum err wait_for_answer(struct dialling *d, moment until) WAITS
{
	enum err err = OK;

	while (!err && !d->stream && d->ended < d->begun)
		err = waitq_wait(&d->moved, until);
	return err == ERR_TIMEOUT ? OK : err;
}

/* Not to be stopped itself: the calls lie on this stack. */
static void end_calls(struct dialling *d) WAITS
{
	for (size_t i = 0; i < d->begun; i++)
		if (d->calls[i].fiber)
			fiber_stop(d->calls[i].fiber);
	while (d->ended < d->begun)
		(void)waitq_wait_through(&d->moved, NEVER);
}

enum err dial(const struct addr *addresses, size_t count, moment deadline, struct stream **out,
	      size_t *which) WAITS
{
	struct dialling d = { .deadline = deadline, .err = ERR_TIMEOUT, .text = "no answer" };
	enum err err = OK;

	must(count > 0 && count <= DIAL_MAX);
	waitq_init(&d.moved);
	for (size_t i = 0; !err && !d.stream && i < count; i++) {
		bool is_last = i + 1 == count;

		err = begin_call(&d, &addresses[i]);
		if (!err)
			err = wait_for_answer(&d, is_last ? NEVER : in_ms(DIAL_STAGGER_MS));
	}
	end_calls(&d);
	if (err && d.stream)
		stream_drop(&d.stream);
	if (err)
		return err;
	if (!d.stream)
		return fault(d.err, "%s", d.text);
	*out = d.stream;
	*which = d.which;
	return OK;
}
