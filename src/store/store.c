/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"
#include "store/commands.h"
#include "store/maildrop.h"
#include "store/queue.h"
#include "store/recording.h"
#include "store/sasl.h"
#include "store/view.h"

/* ---- the calls of the link: whose peer, and on to the file that does it ---- */

static struct store *store_of(const struct link_call *call)
{
	struct role *role = call->context;

	return role->state;
}

static struct peer *peer_of(const struct link_call *call)
{
	void **slot = link_peer_slot(call->peer);

	if (!*slot)
		*slot = peer_new(store_of(call));
	return *slot;
}

static void on_lost(void *context, struct link_peer *link_peer)
{
	(void)context;
	queue_peer_lost(*link_peer_slot(link_peer));
}

static void on_gone(void *context, struct link_peer *link_peer)
{
	struct peer *peer = *link_peer_slot(link_peer);

	(void)context;
	queue_peer_gone(peer);
	peer_drop(&peer);
	*link_peer_slot(link_peer) = NULL;
}

static enum err on_recipient(struct link_call *call, const struct ask_recipient *ask,
			     struct answer_recipient *answer) WAITS
{
	return store_recipient(peer_of(call), ask, call->arena, answer);
}

static enum err on_deliver(struct link_call *call, const struct ask_deliver *ask,
			   struct answer_deliver *answer) WAITS
{
	return store_deliver(peer_of(call), ask, call->arena, answer);
}

static enum err on_room(struct link_call *call, const struct ask_room *ask,
			struct answer_room *answer) WAITS
{
	answer->enough = store_has_room(store_of(call), ask->size);
	return OK;
}

static enum err on_sasl_start(struct link_call *call, const struct ask_sasl_start *ask,
			      struct answer_sasl_start *answer) WAITS
{
	return store_sasl_start(peer_of(call), ask, call->arena, answer);
}

static enum err on_sasl_step(struct link_call *call, const struct ask_sasl_step *ask,
			     struct answer_sasl_step *answer) WAITS
{
	return store_sasl_step(peer_of(call), ask, call->arena, answer);
}

static enum err on_sasl_drop(struct link_call *call, const struct ask_sasl_drop *ask,
			     struct answer_sasl_drop *answer) WAITS
{
	(void)answer;
	return store_sasl_drop(peer_of(call), ask);
}

static enum err on_password(struct link_call *call, const struct ask_password *ask,
			    struct answer_password *answer) WAITS
{
	return store_password(peer_of(call), ask, call->arena, answer);
}

static enum err on_apop(struct link_call *call, const struct ask_apop *ask,
			struct answer_apop *answer) WAITS
{
	return store_apop(peer_of(call), ask, call->arena, answer);
}

static enum err on_sign_out(struct link_call *call, const struct ask_sign_out *ask,
			    struct answer_sign_out *answer) WAITS
{
	(void)answer;
	return store_sign_out(peer_of(call), ask);
}

static enum err on_may_send(struct link_call *call, const struct ask_may_send *ask,
			    struct answer_may_send *answer) WAITS
{
	return store_may_send(peer_of(call), ask, call->arena, answer);
}

static enum err on_flush(struct link_call *call, const struct ask_flush *ask,
			 struct answer_flush *answer) WAITS
{
	return store_flush(peer_of(call), ask, call->arena, answer);
}

static enum err on_expand(struct link_call *call, const struct ask_expand *ask,
			  struct answer_expand *answer) WAITS
{
	return store_expand(peer_of(call), ask, call->arena, answer);
}

static enum err on_networks(struct link_call *call, const struct ask_networks *ask,
			    struct answer_networks *answer) WAITS
{
	return store_networks(store_of(call), ask, call->arena, answer);
}

static enum err on_maildrop_open(struct link_call *call, const struct ask_maildrop_open *ask,
				 struct answer_maildrop_open *answer) WAITS
{
	return store_maildrop_open(peer_of(call), ask, answer);
}

static enum err on_maildrop_list(struct link_call *call, const struct ask_maildrop_list *ask,
				 struct answer_maildrop_list *answer) WAITS
{
	return store_maildrop_list(peer_of(call), ask, call->arena, answer);
}

static enum err on_maildrop_read(struct link_call *call, const struct ask_maildrop_read *ask,
				 struct answer_maildrop_read *answer) WAITS
{
	return store_maildrop_read(peer_of(call), ask, call->arena, answer);
}

static enum err on_maildrop_delete(struct link_call *call, const struct ask_maildrop_delete *ask,
				   struct answer_maildrop_delete *answer) WAITS
{
	return store_maildrop_delete(peer_of(call), ask, answer);
}

static enum err on_maildrop_close(struct link_call *call, const struct ask_maildrop_close *ask,
				  struct answer_maildrop_close *answer) WAITS
{
	(void)answer;
	return store_maildrop_close(peer_of(call), ask);
}

static enum err on_queue_claim(struct link_call *call, const struct ask_queue_claim *ask,
			       struct answer_queue_claim *answer) WAITS
{
	return store_queue_claim(peer_of(call), link_peer_index(call->peer), ask, call->arena,
				 answer);
}

static enum err on_queue_report(struct link_call *call, const struct ask_queue_report *ask,
				struct answer_queue_report *answer) WAITS
{
	return store_queue_report(peer_of(call), ask, answer);
}

static enum err on_view_open(struct link_call *call, const struct ask_view_open *ask,
			     struct answer_view_open *answer) WAITS
{
	return store_view_open(peer_of(call), call->context, ask, answer);
}

static enum err on_view_next(struct link_call *call, const struct ask_view_next *ask,
			     struct answer_view_next *answer) WAITS
{
	return store_view_next(peer_of(call), ask, call->arena, answer);
}

static enum err on_view_close(struct link_call *call, const struct ask_view_close *ask,
			      struct answer_view_close *answer) WAITS
{
	(void)answer;
	return store_view_close(peer_of(call), ask);
}

static const struct link_handlers handlers = {
	.view_open = on_view_open,
	.view_next = on_view_next,
	.view_close = on_view_close,
	.queue_claim = on_queue_claim,
	.queue_report = on_queue_report,
	.recipient = on_recipient,
	.deliver = on_deliver,
	.room = on_room,
	.sasl_start = on_sasl_start,
	.sasl_step = on_sasl_step,
	.sasl_drop = on_sasl_drop,
	.password = on_password,
	.apop = on_apop,
	.sign_out = on_sign_out,
	.may_send = on_may_send,
	.networks = on_networks,
	.expand = on_expand,
	.flush = on_flush,
	.maildrop_open = on_maildrop_open,
	.maildrop_list = on_maildrop_list,
	.maildrop_read = on_maildrop_read,
	.maildrop_delete = on_maildrop_delete,
	.maildrop_close = on_maildrop_close,
	.lost = on_lost,
	.gone = on_gone,
};

/* ---- the role ---- */

static enum err begin(struct role *role) WAITS
{
	struct store_options options = {
		.folder = role->folder, .config = role->config, .trace = role->trace, .create = true
	};
	struct store *store;
	enum err err = store_open(&options, &store);

	if (err)
		return err;
	role->state = store;
	err = recording_begin(role, &store->recorder);
	if (!err)
		err = fiber_spawn(&role->fibers, "store upkeep", store_upkeep, store, NULL);
	return err ? err : fiber_spawn(&role->fibers, "queue keeper", queue_keep, store, NULL);
}

static enum err reload(struct role *role) WAITS
{
	struct store *store = role->state;

	store_configure(store, role->config);
	return recording_reload(role, store->recorder);
}

static void end(struct role *role) WAITS
{
	struct store *store = role->state;

	role->state = NULL;
	recorder_drop(&store->recorder);
	store_close(&store);
}

/* Libraries that read their own files the first time they are used do it before the sandbox. */
static void prepare(void)
{
	sign_in_prepare();
	db_prepare();
}

static const struct control_command *const commands[] = { store_commands, recording_commands,
							  NULL };

const struct role_ops store_role = {
	.kind = ROLE_STORE,
	.begin = begin,
	.reload = reload,
	.end = end,
	.serves = &handlers,
	.commands = commands,
	.prepare = prepare,
};
