/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * commands: what the control socket can ask of the store; the context is its struct role. A change of
 * the directory is one job: arguments are taken by command_..., command_commit runs it.
 */
#include "role/role.h"
#include "store/password.h"
#include "store/state.h"

extern const struct control_command store_commands[];

struct queue_message;
struct queue_recipient;

struct change {
	struct job job;
	struct arena arena;
	enum err (*run)(struct writer *writer, struct change *change);
	struct str address; /* the key; of an alias: what it stands for */
	struct str display; /* the address as it was spelt */
	struct str domain;
	struct strs targets;
	int64_t quota;
	int64_t at_us;
	const struct verifier *verifier;
	uint64_t changed;
};

struct store *command_store(const struct control_call *call);
/* A whole address, spelt canonically. */
[[nodiscard]] enum err command_address(struct control_call *call, const char *name,
				       struct arena *arena, struct str *out);
[[nodiscard]] enum err command_domain(struct control_call *call, struct arena *arena,
				      struct str *out);
[[nodiscard]] enum err command_commit(struct control_call *call, struct change *change) WAITS;
/* Rows of the queue: of a message, and of a recipient. */
json_t *command_queue_message(const struct queue_message *message);
json_t *command_queue_recipient(const struct queue_recipient *recipient);
/* ERR_NOT_FOUND, in words. */
enum err command_no_such(const char *what, struct str name);

/* ---- by file ---- */

enum err command_domain_add(struct control_call *call) WAITS;
enum err command_domain_delete(struct control_call *call) WAITS;
enum err command_alias_add(struct control_call *call) WAITS;
enum err command_alias_delete(struct control_call *call) WAITS;
enum err command_account_add(struct control_call *call) WAITS;
enum err command_account_password(struct control_call *call) WAITS;
enum err command_account_delete(struct control_call *call) WAITS;
enum err command_domain_list(struct control_call *call) WAITS;
enum err command_account_list(struct control_call *call) WAITS;
enum err command_alias_list(struct control_call *call) WAITS;
enum err command_network_add(struct control_call *call) WAITS;
enum err command_network_list(struct control_call *call) WAITS;
enum err command_network_delete(struct control_call *call) WAITS;
enum err command_sender_add(struct control_call *call) WAITS;
enum err command_sender_list(struct control_call *call) WAITS;
enum err command_sender_delete(struct control_call *call) WAITS;
enum err command_queue_list(struct control_call *call) WAITS;
enum err command_queue_show(struct control_call *call) WAITS;
enum err command_queue_stats(struct control_call *call) WAITS;
enum err command_queue_retry(struct control_call *call) WAITS;
enum err command_queue_hold(struct control_call *call) WAITS;
enum err command_queue_release(struct control_call *call) WAITS;
enum err command_queue_redirect(struct control_call *call) WAITS;
enum err command_queue_delete(struct control_call *call) WAITS;
enum err command_queue_flush(struct control_call *call) WAITS;
enum err command_message_show(struct control_call *call) WAITS;
enum err command_message_raw(struct control_call *call) WAITS;
enum err command_route_add(struct control_call *call) WAITS;
enum err command_route_list(struct control_call *call) WAITS;
enum err command_route_delete(struct control_call *call) WAITS;
enum err command_source_add(struct control_call *call) WAITS;
enum err command_source_list(struct control_call *call) WAITS;
enum err command_source_delete(struct control_call *call) WAITS;
enum err command_credential_add(struct control_call *call) WAITS;
enum err command_credential_list(struct control_call *call) WAITS;
enum err command_credential_delete(struct control_call *call) WAITS;
enum err command_store_rotate_key(struct control_call *call) WAITS;
