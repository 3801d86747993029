/* SPDX-License-Identifier: Apache-2.0 */
/* credential add, delete; store rotate-key */
#include "store/commands.h"
#include "store/key.h"

struct keeping {
	struct job job;
	struct arena arena;
	struct str name, user, cipher;
	int64_t at_us;
	uint64_t changed;
};

static bool is_name_octet(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.' ||
	       c == '@';
}

static enum err take_name(struct control_call *call, struct keeping *k)
{
	struct str name = control_text(call, "name");

	for (size_t i = 0; i < name.len; i++)
		if (!is_name_octet((unsigned char)name.at[i]))
			name.len = 0;
	if (!name.len || name.len > LIMIT_credential_name)
		return control_fail(call, "letters, digits, - _ . @, at most 64",
				    "not a name for a credential");
	k->name = str_dup(&k->arena, name);
	return OK;
}

static bool has_control(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7F)
			return true;
	return false;
}

static enum err take_secret(struct control_call *call, struct keeping *k)
{
	struct store *store = command_store(call);
	struct str user = control_text(call, "user");
	struct str password = control_text(call, "password");
	unsigned char key[CIPHER_KEY];
	enum err err;

	if (!user.len || user.len > LIMIT_user_name || has_control(user))
		return control_fail(call, "glasspost credential add NAME --user USER",
				    "a credential needs the name of a user");
	if (!password.len || password.len > LIMIT_password)
		return control_fail(call, NULL, "a password has from 1 to %d octets",
				    LIMIT_password);
	k->user = str_dup(&k->arena, user);
	secret_keys_current(&store->secrets, key);
	err = secret_encrypt(&k->arena, key,
			     str_print(&k->arena, "credential %.*s", STR_ARGS(k->name)), password,
			     &k->cipher);
	explicit_bzero(key, sizeof(key));
	return err;
}

static enum err run_add(struct writer *writer, struct job *job)
{
	struct keeping *k = CONTAINER_OF(job, struct keeping, job);

	return db_run(writer->db, Q_credential_add, db_str(k->name), db_str(k->user),
		      db_octets(k->cipher), db_int(k->at_us));
}

enum err command_credential_add(struct control_call *call) WAITS
{
	struct store *store = command_store(call);
	struct keeping k = { .job.run = run_add, .at_us = wall_us() };
	enum err err = take_name(call, &k);

	/* It is closed under the key that is in use until it is kept. */
	if (!err)
		err = semaphore_take(&store->closing_secrets, NEVER);
	if (!err) {
		err = take_secret(call, &k);
		if (!err)
			err = store_commit(store, &k.job);
		semaphore_give(&store->closing_secrets);
	}
	arena_drop(&k.arena);
	return err;
}

static enum err run_delete(struct writer *writer, struct job *job)
{
	struct keeping *k = CONTAINER_OF(job, struct keeping, job);
	const enum db_query q = Q_route_uses;
	bool is_used = false;
	enum err err = db_select(writer->db, q, db_str(k->name));

	if (!err)
		err = db_step(writer->db, q, &is_used);
	if (!err && is_used) {
		err = fault(ERR_DENIED, "the route of %.*s uses it: `glasspost route delete` first",
			    STR_ARGS(db_text_at(writer->db, q, 0)));
		db_finish(writer->db, q);
	}
	if (!err)
		err = db_run_values(writer->db, Q_credential_delete, DB_VALUES(db_str(k->name)),
				    &k->changed);
	return err || k->changed ? err : command_no_such("credential", k->name);
}

enum err command_credential_delete(struct control_call *call) WAITS
{
	struct keeping k = { .job.run = run_delete };
	enum err err = take_name(call, &k);

	if (!err)
		err = store_commit(command_store(call), &k.job);
	arena_drop(&k.arena);
	return err;
}

enum err command_store_rotate_key(struct control_call *call) WAITS
{
	uint64_t secrets = 0;
	enum err err = store_rotate_key(command_store(call), &secrets);

	if (!err)
		control_result(call, "secrets", json_integer((json_int_t)secrets));
	return err;
}
