/* SPDX-License-Identifier: Apache-2.0 */
#include "link/late.h"

#include <stdlib.h>

enum { GIVE_BACK_MS = 60000 };

#define NOTE_SIGN_IN(name)                                                                         \
	{                                                                                          \
		const struct answer_##name *a = answer;                                            \
                                                                                                   \
		out->sasl = a->sasl;                                                               \
		out->account = a->account;                                                         \
		break;                                                                             \
	}

static void note(unsigned kind, const void *answer, struct late *out)
{
	switch (kind) {
	case MESSAGE_sasl_start:
		NOTE_SIGN_IN(sasl_start)
	case MESSAGE_sasl_step:
		NOTE_SIGN_IN(sasl_step)
	case MESSAGE_password:
		NOTE_SIGN_IN(password)
	case MESSAGE_apop:
		NOTE_SIGN_IN(apop)
	case MESSAGE_maildrop_open:
		out->drop = ((const struct answer_maildrop_open *)answer)->drop;
		break;
	case MESSAGE_view_open:
		out->view = ((const struct answer_view_open *)answer)->view;
		break;
	case MESSAGE_queue_claim:
		out->lease = ((const struct answer_queue_claim *)answer)->lease;
		out->message = ((const struct answer_queue_claim *)answer)->message;
		break;
	default:
		break;
	}
}

enum err late_take(const struct frame *frame, int *fd, struct late *out)
{
	const struct shape *shape = message_of(frame->kind)->answer;
	void *answer = calloc(1, shape->size);
	struct arena arena = { 0 };
	enum err err;

	must(answer);
	*out = (struct late){ 0 };
	err = shape_decode(shape, frame->payload, *fd, &arena, answer);
	if (!err) {
		*fd = -1;
		note(frame->kind, answer, out);
		shape_close(shape, answer);
	}
	arena_drop(&arena);
	free(answer);
	return err;
}

bool late_is_empty(const struct late *late)
{
	return !late->account && !late->sasl && !late->drop && !late->view && !late->lease;
}

void late_give_back(struct link *link, const struct late *late) WAITS
{
	moment deadline = in_ms(GIVE_BACK_MS);
	struct arena arena = { 0 };

	if (late->sasl) {
		struct answer_sasl_drop answer;

		(void)!call_sasl_drop(link, &(struct ask_sasl_drop){ .sasl = late->sasl }, &arena,
				      &answer, deadline);
	}
	if (late->account) {
		struct answer_sign_out answer;

		(void)!call_sign_out(link, &(struct ask_sign_out){ .account = late->account },
				     &arena, &answer, deadline);
	}
	if (late->drop) {
		struct answer_maildrop_close answer;

		(void)!call_maildrop_close(link, &(struct ask_maildrop_close){ .drop = late->drop },
					   &arena, &answer, deadline);
	}
	if (late->view) {
		struct answer_view_close answer;

		(void)!call_view_close(link, &(struct ask_view_close){ .view = late->view }, &arena,
				       &answer, deadline);
	}
	/* A report that tells of nobody gives all of the claim back as it was. */
	if (late->lease) {
		struct answer_queue_report answer;
		struct ask_queue_report ask = { .lease = late->lease, .message = late->message };

		(void)!call_queue_report(link, &ask, &arena, &answer, deadline);
	}
	arena_drop(&arena);
}
