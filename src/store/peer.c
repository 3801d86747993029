/* SPDX-License-Identifier: Apache-2.0 */
#include "store/peer.h"

#include <stdlib.h>

struct peer *peer_new(struct store *store)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	must(peer);
	peer->store = store;
	list_init(&peer->idle_exchanges);
	return peer;
}

void peer_drop(struct peer **peer)
{
	struct peer *gone = *peer;
	struct table_item *item;

	if (!gone)
		return;
	while ((item = table_any(&gone->handles)))
		handle_close(gone, CONTAINER_OF(item, struct handle, item));
	table_drop(&gone->handles);
	free(gone);
	*peer = NULL;
}

enum err handle_add(struct peer *peer, struct handle *handle)
{
	uint64_t number;

	if (peer->handles.count >= LIMIT_link_handles)
		return fault(ERR_LIMIT, "too many handles on one link");
	do
		number = random_u64();
	while (!number || table_find(&peer->handles, number));
	handle->users = 0;
	handle->closed = false;
	table_add(&peer->handles, &handle->item, number);
	return OK;
}

uint64_t handle_number(const struct handle *handle)
{
	return handle->item.key;
}

enum err handle_take(struct peer *peer, uint64_t number, enum handle_kind kind, struct handle **out)
{
	struct table_item *item = table_find(&peer->handles, number);
	struct handle *handle = item ? CONTAINER_OF(item, struct handle, item) : NULL;

	if (!handle || handle->kind != kind)
		return fault(ERR_DENIED, "no such handle on this link");
	handle->users++;
	*out = handle;
	return OK;
}

void handle_give(struct handle *handle)
{
	must(handle->users);
	if (--handle->users == 0 && handle->closed)
		handle->end(handle);
}

void handle_close(struct peer *peer, struct handle *handle)
{
	if (handle->closed)
		return;
	table_remove(&peer->handles, &handle->item);
	handle->closed = true;
	if (!handle->users)
		handle->end(handle);
}

static void end_signed_in(struct handle *handle)
{
	free(CONTAINER_OF(handle, struct signed_in, handle));
}

enum err signed_in_add(struct peer *peer, const struct account *account, uint64_t session,
		       uint64_t *number)
{
	struct str address = account->address;
	struct signed_in *who = calloc(1, sizeof(*who) + address.len);
	enum err err;

	must(who);
	who->handle.kind = HANDLE_ACCOUNT;
	who->handle.end = end_signed_in;
	who->account = account->id;
	who->session = session;
	memcpy(who + 1, address.at, address.len);
	who->address = (struct str){ (char *)(who + 1), address.len };
	err = handle_add(peer, &who->handle);
	if (err)
		free(who);
	else
		*number = handle_number(&who->handle);
	return err;
}

enum err signed_in_take(struct peer *peer, uint64_t number, struct signed_in **out)
{
	struct handle *handle;
	enum err err = handle_take(peer, number, HANDLE_ACCOUNT, &handle);

	if (!err)
		*out = CONTAINER_OF(handle, struct signed_in, handle);
	return err;
}

enum err signed_in_account(struct peer *peer, uint64_t number, uint64_t *account)
{
	struct signed_in *who;
	enum err err;

	*account = 0;
	if (!number)
		return OK;
	err = signed_in_take(peer, number, &who);
	if (err)
		return err;
	*account = who->account;
	handle_give(&who->handle);
	return OK;
}
