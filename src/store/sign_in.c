/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sasl.h"
#include "store/aged.h"
#include "store/penalty.h"
#include "store/relaying.h"
#include "store/turns.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { HASH_PATIENCE_MS = 2000, VERIFIED_US = 120 * 1000000, VERIFIED_MAX = 4096 };

struct sign_in {
	Gsasl *gsasl;
	unsigned char memory_key[32]; /* of this process: of the passwords known for a while */
	struct turns hashes;
	struct aged verified;
	struct penalties *penalties;
};

/* A password that was right. */
struct verified {
	struct aged_item item;
	unsigned char mac[32]; /* of account and password */
	moment until;
	uint64_t generation;
};

void sign_in_prepare(void)
{
	static const unsigned char key[CIPHER_KEY];
	struct arena arena = { 0 };
	struct str secret = { 0 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	Gsasl *gsasl = NULL;

	if (gsasl_init(&gsasl) == GSASL_OK)
		gsasl_done(gsasl);
	(void)password_prepare(&arena, S("p\xc3\xa4ssword"));
	(void)!secret_encrypt(&arena, key, S("address"), S("secret"), &secret);
	(void)EVP_Digest("", 0, digest, &len, EVP_md5(), NULL);
	(void)EVP_Digest("", 0, digest, &len, EVP_sha1(), NULL);
	keyed_hash(key, S("label"), S("text"), digest);
	arena_drop(&arena);
}

enum err sign_in_init(struct store *store)
{
	struct sign_in *s = calloc(1, sizeof(*s));
	int code;

	must(s);
	store->sign_in = s;
	turns_init(&s->hashes);
	aged_init(&s->verified, VERIFIED_MAX);
	s->penalties = penalties_new();
	random_bytes(s->memory_key, sizeof(s->memory_key));
	code = gsasl_init(&s->gsasl);
	if (code != GSASL_OK)
		return fault(ERR_SYSTEM, "GNU SASL: %s", gsasl_strerror(code));
	sasl_attach(s->gsasl);
	return OK;
}

void sign_in_drop(struct store *store)
{
	struct sign_in *s = store->sign_in;

	if (!s)
		return;
	aged_done(&s->verified);
	penalties_drop(&s->penalties);
	if (s->gsasl)
		gsasl_done(s->gsasl);
	explicit_bzero(s, sizeof(*s));
	free(s);
	store->sign_in = NULL;
}

struct Gsasl *sign_in_gsasl(struct store *store)
{
	return store->sign_in->gsasl;
}

enum err login_key(struct db *db, struct arena *arena, struct str name, struct str *out)
{
	struct str domain = { 0 };
	bool found = false;
	enum err err = OK;

	*out = address_key(arena, name);
	if (str_find(name, '@') == STR_NONE)
		err = domain_find_first(db, arena, &domain, &found);
	if (!err && found)
		*out = str_print(arena, "%.*s@%.*s", STR_ARGS(*out), STR_ARGS(domain));
	return err;
}

/* ---- slowing down ---- */

static bool is_exempt(const struct store *store, struct str from, struct addr *addr)
{
	if (!addr_parse_ip(from, addr))
		return !from.len; /* a UNIX socket has no address */
	if (addr_is_loopback(addr))
		return true;
	for (size_t i = 0; i < store->config->exempt_count; i++)
		if (network_contains(&store->config->exempt[i], addr))
			return true;
	return false;
}

static struct penalty_who who_is(const struct login_try *try)
{
	struct penalty_who who = { .name = try->name };

	who.is_exempt = is_exempt(try->peer->store, try->from, &who.network);
	if (try->key.len)
		who.name = try->key;
	who.is_account = try->is_account;
	return who;
}

enum err sign_in_admit(const struct login_try *try, bool *held) WAITS
{
	struct penalty_who who = who_is(try);

	return penalty_admit(try->peer->store->sign_in->penalties, &who, held);
}

void sign_in_refuse(const struct login_try *try, struct sign_in_result *out)
{
	struct penalty_who who = who_is(try);

	out->state = SASL_FAILED;
	out->delay_ms = penalty_failed(try->peer->store->sign_in->penalties, &who);
}

enum err sign_in_accept(const struct login_try *try, const struct account *account,
			struct arena *arena, struct sign_in_result *out)
{
	struct penalty_who who = who_is(try);
	enum err err;

	if (account->disabled) {
		sign_in_refuse(try, out);
		return OK;
	}
	err = signed_in_add(try->peer, account, try->session, &out->account);
	if (err)
		return err;
	penalty_passed(try->peer->store->sign_in->penalties, &who);
	out->state = SASL_DONE;
	out->address = str_dup(arena, account->address);
	return OK;
}

/* ---- passwords known for a while ---- */

static void mac_of(const struct store *store, const struct account *account, struct str password,
		   unsigned char mac[32])
{
	struct arena arena = { 0 };
	struct str label = str_print(&arena, "%llu", (unsigned long long)account->id);

	keyed_hash(store->sign_in->memory_key, label, password, mac);
	arena_drop(&arena);
}

static uint64_t key_of_mac(const unsigned char mac[32])
{
	uint64_t key;

	memcpy(&key, mac, sizeof(key));
	return key;
}

static bool is_verified(struct store *store, const struct account *account, struct str password)
{
	unsigned char mac[32];
	struct aged_item *item;
	struct verified *verified;

	mac_of(store, account, password, mac);
	item = aged_find(&store->sign_in->verified, key_of_mac(mac));
	if (!item)
		return false;
	verified = CONTAINER_OF(item, struct verified, item);
	if (verified->until > now() && verified->generation == store->directory_generation)
		return CRYPTO_memcmp(verified->mac, mac, sizeof(mac)) == 0;
	aged_forget(&store->sign_in->verified, item);
	return false;
}

static void remember_verified(struct store *store, const struct account *account,
			      struct str password, uint64_t generation)
{
	struct sign_in *s = store->sign_in;
	struct verified *verified = calloc(1, sizeof(*verified));

	must(verified);
	mac_of(store, account, password, verified->mac);
	verified->until = in_us(VERIFIED_US);
	verified->generation = generation;
	aged_add(&s->verified, &verified->item, key_of_mac(verified->mac));
}

/* ---- comparing ---- */

struct finding {
	struct arena *arena;
	struct str name;
	struct str key;      /* of the account that is meant, were there one */
	uint64_t generation; /* of the directory, before it was looked at */
	struct account account;
	bool found;
};

static enum err find(struct db *db, void *arg)
{
	struct finding *finding = arg;
	enum err err = login_key(db, finding->arena, finding->name, &finding->key);

	return err ? err
		   : account_find(db, finding->arena, finding->key, &finding->account,
				  &finding->found);
}

struct comparing {
	struct str phc, password;
	bool matches;
};

static enum err compare(void *arg)
{
	struct comparing *comparing = arg;

	comparing->matches = password_matches(comparing->phc, comparing->password);
	return OK;
}

struct comparison {
	struct login_try try;
	struct comparing comparing;
	bool held; /* a penalty was waited out for it */
};

/* Of many tries at once the first failures are a penalty for those that wait for their hash. */
static bool is_too_late(const struct comparison *comparison)
{
	struct penalty_who who = who_is(&comparison->try);

	return !comparison->held &&
	       penalty_applies(comparison->try.peer->store->sign_in->penalties, &who);
}

/* ERR_BUSY: the queue for a hash was too long, or a penalty came before its end. */
static enum err compare_in_turn(struct comparison *comparison) WAITS
{
	struct store *store = comparison->try.peer->store;
	struct sign_in *s = store->sign_in;
	struct penalty_who who = who_is(&comparison->try);
	enum standing standing = penalty_standing(s->penalties, &who);
	enum err err = turns_take(&s->hashes, standing, store->config->password_hashes,
				  in_ms(HASH_PATIENCE_MS));

	if (err)
		return err == ERR_TIMEOUT ? ERR_BUSY : err;
	if (is_too_late(comparison))
		err = ERR_BUSY;
	else
		err = store_hash(compare, &comparison->comparing);
	turns_give(&s->hashes, standing);
	return err;
}

struct making {
	struct job job;
	struct arena *arena;
	struct str name;
	int64_t created_us;
};

/* accept_any_password: who comes is somebody. */
static enum err run_making(struct writer *writer, struct job *job)
{
	struct making *making = CONTAINER_OF(job, struct making, job);
	struct account_new new_account = { making->name, making->created_us, -1 };
	struct str domain = address_domain(address_key(making->arena, making->name));
	struct str postmaster;
	bool found = false;
	enum err err = domain_find(writer->db, making->arena, domain, &postmaster, &found);

	if (!err && !found)
		err = db_run(writer->db, Q_domain_add, db_str(domain), db_int(making->created_us));
	if (!err)
		err = account_make(writer->db, making->arena, &new_account);
	writer->changed_directory = true;
	return err;
}

static enum err make_and_find(struct store *store, struct finding *finding) WAITS
{
	struct making making = { .job.run = run_making,
				 .arena = finding->arena,
				 .name = finding->name,
				 .created_us = wall_us() };
	struct str local = address_local(finding->name);
	enum err err;

	if (str_find(finding->name, '@') == STR_NONE)
		making.name = finding->name =
			str_print(finding->arena, "%.*s@%.*s", STR_ARGS(finding->name),
				  STR_ARGS(store->config->hostname));
	if (!local.len || local.len > LIMIT_local_part || !address_domain(finding->name).len ||
	    !str_is_utf8(finding->name))
		return OK;
	err = store_commit(store, &making.job);
	if (err && err != ERR_EXISTS)
		return err;
	return store_read(store, find, finding);
}

/* ERR_BUSY: nothing is told of this password now. */
static enum err check_password(struct comparison *comparison, const struct finding *finding,
			       struct sign_in_result *out) WAITS
{
	const struct login_try *try = &comparison->try;
	struct store *store = try->peer->store;
	struct str password = comparison->comparing.password;
	enum err err = sign_in_admit(try, &comparison->held);

	if (err)
		return err;
	if (finding->found && is_verified(store, &finding->account, password))
		return sign_in_accept(try, &finding->account, finding->arena, out);
	if (finding->found)
		comparison->comparing.phc = finding->account.password;
	err = compare_in_turn(comparison);
	if (err)
		return err;
	if (!comparison->comparing.matches) {
		sign_in_refuse(try, out);
		return OK;
	}
	remember_verified(store, &finding->account, password, finding->generation);
	return sign_in_accept(try, &finding->account, finding->arena, out);
}

enum err sign_in_by_password(const struct login_try *try, struct str password, struct arena *arena,
			     struct sign_in_result *out) WAITS
{
	struct store *store = try->peer->store;
	struct finding finding = { .arena = arena,
				   .name = try->name,
				   .generation = store->directory_generation };
	struct comparison comparison = { .try = *try, .comparing.password = password };
	bool any = store->config->accept_any_password;
	enum err err;

	if (!try->name.len || try->name.len > LIMIT_user_name || password.len > LIMIT_password) {
		sign_in_refuse(try, out);
		return OK;
	}
	err = store_read(store, find, &finding);
	if (!err && any && !finding.found)
		err = make_and_find(store, &finding);
	if (err)
		return err;
	if (finding.found && any)
		return sign_in_accept(try, &finding.account, arena, out);
	comparison.try.key = finding.key;
	comparison.try.is_account = finding.found;
	err = check_password(&comparison, &finding, out);
	if (err != ERR_BUSY)
		return err;
	out->state = SASL_BUSY;
	return OK;
}

/* ---- the calls ---- */

enum err store_password(struct peer *peer, const struct ask_password *ask, struct arena *arena,
			struct answer_password *answer) WAITS
{
	struct login_try try = {
		.peer = peer, .name = ask->user, .from = ask->peer, .session = ask->session
	};
	struct sign_in_result result = { 0 };
	enum err err = sign_in_by_password(&try, ask->password, arena, &result);

	SIGN_IN_ANSWER(answer, &result);
	return err;
}

/* rfc1939 7: the MD5 of our greeting's timestamp and the shared secret. */
static bool digest_matches(const struct ask_apop *ask, struct str secret)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf hex = BUF(2 * EVP_MAX_MD_SIZE);
	struct buf text = BUF(200 + 4 * LIMIT_password);
	bool matches;

	buf_add(&text, ask->banner);
	buf_add(&text, secret);
	must(EVP_Digest(text.at ? text.at : "", text.len, digest, &len, EVP_md5(), NULL) == 1);
	hex_add(&hex, (struct str){ (char *)digest, len });
	matches = hex.len == ask->digest.len && CRYPTO_memcmp(hex.at, ask->digest.at, hex.len) == 0;
	if (text.at)
		explicit_bzero(text.at, text.len);
	buf_drop(&text);
	buf_drop(&hex);
	return matches;
}

/* ERR_BUSY: nothing is told of this digest now. */
static enum err check_digest(struct login_try *try, const struct ask_apop *ask, struct arena *arena,
			     struct sign_in_result *out) WAITS
{
	struct store *store = try->peer->store;
	struct finding finding = { .arena = arena, .name = ask->user };
	struct str secret = { 0 };
	bool matches;
	bool held;
	enum err err = store_read(store, find, &finding);

	try->key = finding.key;
	try->is_account = finding.found;
	if (!err)
		err = sign_in_admit(try, &held);
	if (err)
		return err;
	matches = finding.found && finding.account.secret.len &&
		  !secret_open(&store->secrets, arena, finding.account.address,
			       finding.account.secret, &secret) &&
		  digest_matches(ask, secret);
	secret_wipe(&secret);
	if (matches)
		return sign_in_accept(try, &finding.account, arena, out);
	sign_in_refuse(try, out);
	return OK;
}

enum err store_apop(struct peer *peer, const struct ask_apop *ask, struct arena *arena,
		    struct answer_apop *answer) WAITS
{
	struct login_try try = {
		.peer = peer, .name = ask->user, .from = ask->peer, .session = ask->session
	};
	struct sign_in_result result = { .state = SASL_UNKNOWN };
	enum err err = OK;

	if (peer->store->config->keep_secrets)
		err = check_digest(&try, ask, arena, &result);
	if (err == ERR_BUSY) {
		result.state = SASL_BUSY;
		err = OK;
	}
	SIGN_IN_ANSWER(answer, &result);
	return err;
}

enum err store_sign_out(struct peer *peer, const struct ask_sign_out *ask) WAITS
{
	struct signed_in *who;
	enum err err = signed_in_take(peer, ask->account, &who);

	if (err)
		return err;
	handle_close(peer, &who->handle);
	handle_give(&who->handle);
	return OK;
}

/* ---- whose address is it? ---- */

struct owning {
	struct arena arena;
	struct resolve_policy policy;
	struct relay_asking asking;
	bool allowed;
};

static enum err look_who_owns(struct db *db, void *arg)
{
	struct owning *owning = arg;

	return account_may_send(db, &owning->arena, &owning->asking, &owning->allowed);
}

static enum err ask_account(struct store *store, uint64_t account, struct str sender, bool *allowed)
	WAITS
{
	struct config *config = config_ref(store->config); /* its texts are read by the worker */
	struct owning owning = { .asking = { .account = account,
					     .sender = sender,
					     .any_sender = config->accept_any_password } };
	enum err err;

	store_policy(store, false, &owning.policy);
	owning.asking.policy = &owning.policy;
	err = store_read(store, look_who_owns, &owning);
	*allowed = owning.allowed;
	arena_drop(&owning.arena);
	config_unref(&config);
	return err;
}

enum err store_may_send(struct peer *peer, const struct ask_may_send *ask, struct arena *arena,
			struct answer_may_send *answer) WAITS
{
	const struct relay_client client = { ask->client, ask->certificate, ask->sender };
	struct store *store = peer->store;
	struct relay_right right;
	uint64_t account = 0;
	bool allowed = false;
	enum err err = signed_in_account(peer, ask->account, &account);

	/* The null sender needs no look into the directory. */
	if (!err && account && (!ask->sender.len || store->config->accept_any_password))
		allowed = true;
	else if (!err && account)
		err = ask_account(store, account, ask->sender, &allowed);
	if (err)
		return err;
	answer->why = S("account");
	if (!allowed) {
		relay_right_find(store, 0, &client, arena, &right);
		allowed = right.network != 0;
		answer->listed = right.has_network;
		answer->why = right.why;
	}
	answer->allowed = allowed;
	return OK;
}
