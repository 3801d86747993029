/* SPDX-License-Identifier: Apache-2.0 */
/* account add, password, delete */
#include "store/commands.h"
#include "store/remove.h"
#include "store/sasl.h"

enum { REMOVED_ONCE = 200 };
static const uint64_t QUOTA_MAX = UINT64_C(1) << 50;

struct making_verifier {
	struct arena *arena;
	struct str password;
	struct str address;
	unsigned char key[CIPHER_KEY];
	bool keep;
	struct verifier verifier;
};

static enum err make_verifier(void *arg)
{
	struct making_verifier *m = arg;

	return verifier_make(m->arena, m->password, m->keep ? m->key : NULL, m->address,
			     &m->verifier);
}

static struct str octets_of(const void *at, size_t len)
{
	return (struct str){ at, len };
}

static enum err set_password(struct writer *writer, struct change *change)
{
	const struct verifier *v = change->verifier;
	enum err err = db_run_values(
		writer->db, Q_account_set_password,
		DB_VALUES(db_str(str_of(v->phc)), db_octets(octets_of(v->salt, SALT)),
			  db_int(SCRAM_ITERATIONS), db_octets(octets_of(v->sha1_stored, SHA1)),
			  db_octets(octets_of(v->sha1_server, SHA1)),
			  db_octets(octets_of(v->sha256_stored, SHA256)),
			  db_octets(octets_of(v->sha256_server, SHA256)),
			  v->secret.len ? db_octets(v->secret) : db_null(),
			  db_str(change->address)),
		&change->changed);

	if (!err && !change->changed)
		return command_no_such("account", change->address);
	return err;
}

static enum err add_account(struct writer *writer, struct change *change)
{
	struct account_new new_account = { change->display, change->at_us, change->quota };
	enum err err = account_make(writer->db, &change->arena, &new_account);

	if (!err && change->verifier)
		err = set_password(writer, change);
	return err;
}

/* The password travels in the request only; it is never told again, and hashed away from the loop. */
static enum err take_password(struct control_call *call, struct change *change,
			      struct making_verifier *m) WAITS
{
	struct store *store = command_store(call);
	enum err err;

	m->password = control_text(call, "password");
	if (!m->password.len)
		return OK;
	if (m->password.len > LIMIT_password)
		return control_fail(call, NULL, "the password is longer than %d octets",
				    LIMIT_password);
	m->arena = &change->arena;
	m->address = change->address;
	m->keep = store->config->keep_secrets;
	if (m->keep)
		secret_keys_current(&store->secrets, m->key);
	err = store_hash(make_verifier, m);
	explicit_bzero(m->key, sizeof(m->key));
	if (!err)
		change->verifier = &m->verifier;
	return err;
}

/* A number of octets, or text: "200M". Absent: the configuration's. */
static enum err take_quota(struct control_call *call, int64_t *out)
{
	struct str text = control_text(call, "quota");
	struct scan scan = scan_of(text);
	uint64_t octets = control_number(call, "quota", 0);
	unsigned shift = 0;

	*out = -1;
	if (!control_has(call, "quota"))
		return OK;
	if (text.len) {
		if (!take_number(&scan, QUOTA_MAX, &octets))
			return control_fail(call, "octets, with K, M or G: 200M",
					    "not a size: %.*s", STR_ARGS(text));
		if (take_str_nocase(&scan, S("K")))
			shift = 10;
		else if (take_str_nocase(&scan, S("M")))
			shift = 20;
		else if (take_str_nocase(&scan, S("G")))
			shift = 30;
		if (!scan_at_end(&scan) || octets > QUOTA_MAX >> shift)
			return control_fail(call, "octets, with K, M or G: 200M",
					    "not a size: %.*s", STR_ARGS(text));
	}
	octets <<= shift;
	if (octets > QUOTA_MAX)
		return control_fail(call, NULL, "the quota is too large");
	*out = (int64_t)octets;
	return OK;
}

/* A kept secret is closed under the key that is in use until it is kept. */
static enum err commit_password(struct control_call *call, struct change *change,
				struct making_verifier *m) WAITS
{
	struct store *store = command_store(call);
	bool keeps = store->config->keep_secrets;
	enum err err = keeps ? semaphore_take(&store->closing_secrets, NEVER) : OK;

	if (err)
		return err;
	err = take_password(call, change, m);
	if (!err && !change->verifier && change->run == set_password)
		err = control_fail(call, "glasspost account password ADDRESS --password-stdin",
				   "no password was given");
	if (!err)
		err = command_commit(call, change);
	if (keeps)
		semaphore_give(&store->closing_secrets);
	return err;
}

enum err command_account_add(struct control_call *call) WAITS
{
	struct change change = { .run = add_account, .quota = -1 };
	struct making_verifier m = { 0 };
	enum err err = command_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err)
		err = take_quota(call, &change.quota);
	if (!err)
		err = commit_password(call, &change, &m);
	explicit_bzero(&m, sizeof(m));
	arena_drop(&change.arena);
	return err;
}

enum err command_account_password(struct control_call *call) WAITS
{
	struct change change = { .run = set_password };
	struct making_verifier m = { 0 };
	enum err err = command_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err)
		err = commit_password(call, &change, &m);
	explicit_bzero(&m, sizeof(m));
	arena_drop(&change.arena);
	return err;
}

/* ---- deleting an account: first it is closed, then emptied bit by bit, then gone ---- */

static enum err disable_account(struct writer *writer, struct change *change)
{
	enum err err = db_run_values(writer->db, Q_account_disable,
				     DB_VALUES(db_str(change->address)), &change->changed);

	if (!err && !change->changed)
		return command_no_such("account", change->address);
	return err;
}

static enum err remove_rows(struct writer *writer, struct change *change, uint64_t account)
{
	struct {
		uint64_t mailbox, uid;
	} rows[REMOVED_ONCE];
	size_t count = 0;
	bool has_row = true;
	enum err err =
		db_select(writer->db, Q_account_messages, db_id(account), db_int(REMOVED_ONCE));

	while (!err) {
		err = db_step(writer->db, Q_account_messages, &has_row);
		if (err || !has_row)
			break;
		rows[count].mailbox = (uint64_t)db_int_at(writer->db, Q_account_messages, 0);
		rows[count++].uid = (uint64_t)db_int_at(writer->db, Q_account_messages, 1);
	}
	for (size_t i = 0; !err && i < count; i++) {
		struct removal removal = { .account = account, .mailbox = rows[i].mailbox };

		err = writer_remove_message(writer, &removal, rows[i].uid);
		if (!err)
			err = writer_end_removal(writer, &removal);
	}
	change->changed = count;
	return err;
}

static enum err empty_account(struct writer *writer, struct change *change)
{
	struct account account;
	bool found;
	enum err err = account_find(writer->db, &change->arena, change->address, &account, &found);

	if (err || !found)
		return err ? err : command_no_such("account", change->address);
	err = remove_rows(writer, change, account.id);
	if (err || change->changed)
		return err;
	err = db_run(writer->db, Q_alias_forget_target, db_str(change->address));
	return err ? err : db_run(writer->db, Q_account_delete, db_str(change->address));
}

enum err command_account_delete(struct control_call *call) WAITS
{
	struct change change = { .run = disable_account };
	uint64_t messages = 0;
	enum err err = command_address(call, "address", &change.arena, &change.display);

	change.address = address_key(&change.arena, change.display);
	if (!err)
		err = command_commit(call, &change);
	change.run = empty_account;
	do {
		if (!err)
			err = command_commit(call, &change);
		messages += change.changed;
	} while (!err && change.changed);
	if (!err)
		control_result(call, "messages", json_integer((json_int_t)messages));
	arena_drop(&change.arena);
	return err;
}
