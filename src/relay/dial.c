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
	const struct dialled *dialled;
	struct call calls[DIAL_MAX];
	size_t begun, ended;
	struct waitq moved;
	struct stream *stream; /* of the first that answered */
	size_t which;
	enum err err; /* of the last that failed */
	char text[FAULT_TEXT_MAX];
};

/* One of ours of that family, by chance; NULL: there is none. */
static const struct addr *choose_source(const struct dialled *dialled, enum addr_family family)
{
	const struct addr *chosen = NULL;
	uint64_t seen = 0;

	for (size_t i = 0; i < dialled->source_count; i++)
		if (dialled->sources[i].family == family && random_u64() % ++seen == 0)
			chosen = &dialled->sources[i];
	return chosen;
}

static enum err connect_to(const struct dialled *dialled, const struct addr *address,
			   struct stream **out) WAITS
{
	const struct addr *source = choose_source(dialled, address->family);
	char text[ADDR_TEXT];

	if (source || !dialled->source_count || address->family == ADDR_UNIX)
		return stream_connect_from(source, address, dialled->deadline, out);
	addr_print_ip(address, text);
	return fault(ERR_UNSUPPORTED, "connect to %s: no source address of its kind", text);
}

static void call_fiber(void *arg) WAITS
{
	struct call *call = arg;
	struct dialling *d = call->dialling;
	struct stream *stream = NULL;
	enum err err = connect_to(d->dialled, call->address, &stream);

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

enum err dial(const struct dialled *dialled, struct stream **out, size_t *which) WAITS
{
	const size_t count = dialled->count;
	struct dialling d = { .dialled = dialled, .err = ERR_TIMEOUT, .text = "no answer" };
	enum err err = OK;

	must(count > 0 && count <= DIAL_MAX);
	waitq_init(&d.moved);
	for (size_t i = 0; !err && !d.stream && i < count; i++) {
		bool is_last = i + 1 == count;

		err = begin_call(&d, &dialled->addresses[i]);
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
