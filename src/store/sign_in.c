/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sasl.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { HASH_PATIENCE_MS = 2000, VERIFIED_US = 120 * 1000000, VERIFIED_MAX = 4096 };
enum { FAILURES_MAX = 20000, FAILURE_FORGOTTEN_US = 600 * 1000000, DELAY_MAX_MS = 8000 };

struct sign_in {
	Gsasl *gsasl;
	unsigned char memory_key[32]; /* of this process: of the passwords known for a while */
	size_t hashing;               /* hashes computed now */
	struct waitq hash_free;
	struct table verified;
	struct table failures;
};

/* A password that was right. */
struct verified {
	struct table_item item;
	unsigned char mac[32]; /* of account and password */
	moment until;
	uint64_t generation;
};

/* Failed tries of one client network or of one name. */
struct failure {
	struct table_item item;
	unsigned count;
	moment at;
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
	waitq_init(&s->hash_free);
	random_bytes(s->memory_key, sizeof(s->memory_key));
	code = gsasl_init(&s->gsasl);
	if (code != GSASL_OK)
		return fault(ERR_SYSTEM, "GNU SASL: %s", gsasl_strerror(code));
	sasl_attach(s->gsasl);
	return OK;
}

static void forget_verified(struct sign_in *s)
{
	struct table_item *item;

	while ((item = table_any(&s->verified))) {
		table_remove(&s->verified, item);
		free(CONTAINER_OF(item, struct verified, item));
	}
}

static void forget_failures(struct sign_in *s)
{
	struct table_item *item;

	while ((item = table_any(&s->failures))) {
		table_remove(&s->failures, item);
		free(CONTAINER_OF(item, struct failure, item));
	}
}

void sign_in_drop(struct store *store)
{
	struct sign_in *s = store->sign_in;

	if (!s)
		return;
	forget_verified(s);
	forget_failures(s);
	table_drop(&s->verified);
	table_drop(&s->failures);
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

void secret_key(const struct store *store, unsigned char out[CIPHER_KEY])
{
	keyed_hash(store->key, S("kept secrets"), S(""), out);
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

static uint64_t key_of_network(const struct addr *addr)
{
	struct addr group = addr_rate_group(addr);
	char text[ADDR_TEXT];

	addr_print_ip(&group, text);
	return str_hash(str_of(text)) ^ 1;
}

static uint64_t key_of_name(struct str name)
{
	struct arena arena = { 0 };
	uint64_t key = str_hash(str_lower(&arena, name));

	arena_drop(&arena);
	return key;
}

/* One more failure of this key: how long the answer is to be held back. */
static uint64_t count_failure(struct sign_in *s, uint64_t key)
{
	struct table_item *item = table_find(&s->failures, key);
	struct failure *failure = item ? CONTAINER_OF(item, struct failure, item) : NULL;

	if (!failure) {
		if (s->failures.count >= FAILURES_MAX)
			forget_failures(s);
		failure = calloc(1, sizeof(*failure));
		must(failure);
		table_add(&s->failures, &failure->item, key);
	} else if (now() - failure->at > FAILURE_FORGOTTEN_US) {
		failure->count = 0;
	}
	failure->at = now();
	failure->count++;
	if (failure->count < 2)
		return 0;
	return failure->count > 5 ? DELAY_MAX_MS : 1000u << (failure->count - 2);
}

static void forgive_name(struct sign_in *s, struct str name)
{
	struct table_item *item = table_find(&s->failures, key_of_name(name));

	if (!item)
		return;
	table_remove(&s->failures, item);
	free(CONTAINER_OF(item, struct failure, item));
}

void sign_in_refuse(const struct login_try *try, struct sign_in_result *out)
{
	struct store *store = try->peer->store;
	struct addr addr = { 0 };
	uint64_t by_network;
	uint64_t by_name;

	out->state = SASL_FAILED;
	if (is_exempt(store, try->from, &addr))
		return;
	by_network =
		addr.family == ADDR_NONE ? 0 : count_failure(store->sign_in, key_of_network(&addr));
	by_name = count_failure(store->sign_in, key_of_name(try->name));
	out->delay_ms = by_network > by_name ? by_network : by_name;
}

enum err sign_in_accept(const struct login_try *try, const struct account *account,
			struct arena *arena, struct sign_in_result *out)
{
	enum err err;

	if (account->disabled) {
		sign_in_refuse(try, out);
		return OK;
	}
	err = signed_in_add(try->peer, account, try->session, &out->account);
	if (err)
		return err;
	forgive_name(try->peer->store->sign_in, try->name);
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
	struct table_item *item;
	struct verified *verified;

	mac_of(store, account, password, mac);
	item = table_find(&store->sign_in->verified, key_of_mac(mac));
	if (!item)
		return false;
	verified = CONTAINER_OF(item, struct verified, item);
	if (verified->until > now() && verified->generation == store->directory_generation)
		return CRYPTO_memcmp(verified->mac, mac, sizeof(mac)) == 0;
	table_remove(&store->sign_in->verified, item);
	free(verified);
	return false;
}

static void remember_verified(struct store *store, const struct account *account,
			      struct str password, uint64_t generation)
{
	struct sign_in *s = store->sign_in;
	struct verified *verified = calloc(1, sizeof(*verified));

	must(verified);
	if (s->verified.count >= VERIFIED_MAX)
		forget_verified(s);
	mac_of(store, account, password, verified->mac);
	verified->until = in_us(VERIFIED_US);
	verified->generation = generation;
	table_add(&s->verified, &verified->item, key_of_mac(verified->mac));
}

/* ---- comparing ---- */

struct finding {
	struct arena *arena;
	struct str name;
	struct account account;
	bool found;
};

static enum err find(struct db *db, void *arg)
{
	struct finding *finding = arg;
	struct str key;
	enum err err = login_key(db, finding->arena, finding->name, &key);

	return err ? err
		   : account_find(db, finding->arena, key, &finding->account, &finding->found);
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

/* ERR_BUSY: the queue for a hash was too long. */
static enum err compare_in_turn(struct store *store, struct comparing *comparing) WAITS
{
	struct sign_in *s = store->sign_in;
	moment deadline = in_ms(HASH_PATIENCE_MS);
	enum err err = OK;

	while (s->hashing >= store->config->password_hashes) {
		err = waitq_wait(&s->hash_free, deadline);
		if (err)
			return err == ERR_TIMEOUT ? ERR_BUSY : err;
	}
	s->hashing++;
	err = store_work(compare, comparing);
	s->hashing--;
	waitq_wake_one(&s->hash_free);
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

enum err sign_in_by_password(const struct login_try *try, struct str password, struct arena *arena,
			     struct sign_in_result *out) WAITS
{
	struct store *store = try->peer->store;
	struct finding finding = { .arena = arena, .name = try->name };
	struct comparing comparing = { .password = password };
	uint64_t generation = store->directory_generation;
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
	if (finding.found && (any || is_verified(store, &finding.account, password)))
		return sign_in_accept(try, &finding.account, arena, out);
	if (finding.found)
		comparing.phc = finding.account.password;
	err = compare_in_turn(store, &comparing);
	if (err == ERR_BUSY) {
		out->state = SASL_BUSY;
		return OK;
	}
	if (err)
		return err;
	if (!comparing.matches) {
		sign_in_refuse(try, out);
		return OK;
	}
	remember_verified(store, &finding.account, password, generation);
	return sign_in_accept(try, &finding.account, arena, out);
}

/* ---- the calls ---- */

enum err store_password(struct peer *peer, const struct ask_password *ask, struct arena *arena,
			struct answer_password *answer) WAITS
{
	struct login_try try = { peer, ask->user, ask->peer, ask->session };
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

enum err store_apop(struct peer *peer, const struct ask_apop *ask, struct arena *arena,
		    struct answer_apop *answer) WAITS
{
	struct store *store = peer->store;
	struct login_try try = { peer, ask->user, ask->peer, ask->session };
	struct finding finding = { .arena = arena, .name = ask->user };
	struct sign_in_result result = { .state = SASL_UNKNOWN };
	unsigned char key[CIPHER_KEY];
	struct str secret = { 0 };
	enum err err = OK;

	if (store->config->keep_secrets) {
		secret_key(store, key);
		err = store_read(store, find, &finding);
		if (!err && (!finding.found || !finding.account.secret.len ||
			     secret_decrypt(arena, key, finding.account.address,
					    finding.account.secret, &secret) ||
			     !digest_matches(ask, secret)))
			sign_in_refuse(&try, &result);
		else if (!err)
			err = sign_in_accept(&try, &finding.account, arena, &result);
		if (secret.len)
			explicit_bzero((char *)(uintptr_t)secret.at, secret.len);
		explicit_bzero(key, sizeof(key));
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
	struct str sender;
	uint64_t account;
	bool owns;
};

/* May send as an address: who gets what is sent to it. */
static enum err look_who_owns(struct db *db, void *arg)
{
	struct owning *owning = arg;
	struct resolution resolution;
	enum err err =
		resolve_address(db, &owning->arena, &owning->policy, owning->sender, &resolution);

	for (size_t i = 0; !err && i < resolution.count; i++)
		if (resolution.verdict == RECIPIENT_LOCAL &&
		    resolution.targets[i].account == owning->account)
			owning->owns = true;
	return err;
}

enum err store_may_send(struct peer *peer, const struct ask_may_send *ask,
			struct answer_may_send *answer) WAITS
{
	struct store *store = peer->store;
	struct owning owning = { .sender = ask->sender };
	struct config *config;
	struct signed_in *who;
	enum err err = signed_in_take(peer, ask->account, &who);

	if (err)
		return err;
	owning.account = who->account;
	/* The null sender is for notices (rfc5321 4.5.5); it names nobody. */
	if (!ask->sender.len || store->config->accept_any_password) {
		answer->allowed = 1;
	} else {
		config = config_ref(store->config);
		store_policy(store, false, &owning.policy);
		err = store_read(store, look_who_owns, &owning);
		answer->allowed = owning.owns;
		config_unref(&config);
	}
	arena_drop(&owning.arena);
	handle_give(&who->handle);
	return err;
}
