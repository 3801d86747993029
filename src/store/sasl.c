/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sasl.h"
#include "mail/address.h"

#include <gsasl.h>
#include <stdlib.h>
#include <strings.h>

enum { NAME = 40, CHANNEL = 255 };

/* One SASL exchange under way. */
struct exchange {
	struct handle handle;
	struct list idle; /* in peer->idle_exchanges while its client has the word */
	struct peer *peer;
	struct store *store;
	Gsasl_session *session;
	char mechanism[NAME + 1];
	unsigned step;
	bool busy; /* a step is on a worker */
	uint64_t trace_session;
	char from[65];
	struct str channel_type, channel_base64; /* in arena */
	struct str separator; /* POP3: between a login name and a folder; empty: names carry none */
	struct arena arena;   /* for the exchange's life */

	/* While a step runs on a worker. */
	struct db *db;
	enum err err;
	bool looked_up;
	struct str folder; /* that the name carried */
	bool found;
	bool has_account; /* found, be it with a secret or without */
	/* Of the account that is meant, were there one: what is made up hangs on it. */
	struct str key;
	struct account account;
	/* PLAIN and LOGIN: what the client said. */
	bool has_simple;
	struct str name, password, act_as;
};

static void end_exchange(struct handle *handle)
{
	struct exchange *x = CONTAINER_OF(handle, struct exchange, handle);

	list_remove(&x->idle);
	x->peer->exchange_count--;
	if (x->session)
		gsasl_finish(x->session);
	if (x->password.len)
		explicit_bzero((char *)(uintptr_t)x->password.at, x->password.len);
	arena_drop(&x->arena);
	free(x);
}

/* ---- what GNU SASL asks for, on a worker ---- */

static struct str property(Gsasl_session *session, Gsasl_property which)
{
	return str_of(gsasl_property_fast(session, which));
}

/* The name as given, which a proof signs whole, without the folder that it may carry. */
static struct str without_folder(struct exchange *x, struct str name, struct str *folder)
{
	struct str user = name;

	login_split(&x->arena, name, x->separator, &user, folder);
	if (folder->len <= LIMIT_folder_name)
		return user;
	*folder = (struct str){ 0 };
	return name;
}

static int look_up(struct exchange *x, Gsasl_session *session)
{
	struct str name;

	if (x->looked_up)
		return GSASL_OK;
	x->looked_up = true;
	x->name = str_dup(&x->arena, property(session, GSASL_AUTHID));
	name = x->name = without_folder(x, x->name, &x->folder);
	if (!name.len || name.len > LIMIT_user_name)
		return GSASL_OK;
	x->err = login_key(x->db, &x->arena, name, &x->key);
	if (!x->err)
		x->err = account_find(x->db, &x->arena, x->key, &x->account, &x->found);
	x->has_account = x->found;
	return x->err ? GSASL_AUTHENTICATION_ERROR : GSASL_OK;
}

static int set_base64(Gsasl_session *session, Gsasl_property which, struct str octets)
{
	struct buf text = BUF(1024);
	int code = GSASL_AUTHENTICATION_ERROR;

	base64_add(&text, octets);
	if (!text.failed)
		code = gsasl_property_set_raw(session, which, text.at, text.len);
	buf_drop(&text);
	return code;
}

/* rfc5802 allows to make up a salt for a name that does not exist; the same one every time. */
static int give_salt(struct exchange *x, Gsasl_session *session)
{
	unsigned char made_up[32];
	struct str salt = { (char *)made_up, SALT };

	if (x->found && x->account.scram_salt.len == SALT)
		salt = x->account.scram_salt;
	else
		keyed_hash(x->store->salts, S("made-up salt"), x->key, made_up);
	return set_base64(session, GSASL_SCRAM_SALT, salt);
}

static int give_key(struct exchange *x, Gsasl_session *session, Gsasl_property which)
{
	bool is_sha256 = strncasecmp(x->mechanism, "SCRAM-SHA-256", 13) == 0;
	bool is_stored = which == GSASL_SCRAM_STOREDKEY;
	const struct account *a = &x->account;
	unsigned char made_up[32];
	struct str key = { (char *)made_up, is_sha256 ? SHA256 : SHA1 };

	keyed_hash(x->store->salts, is_stored ? S("made-up stored key") : S("made-up server key"),
		   x->key, made_up);
	if (x->found && a->sha1_stored.len == SHA1 && a->sha256_stored.len == SHA256) {
		if (is_sha256)
			key = is_stored ? a->sha256_stored : a->sha256_server;
		else
			key = is_stored ? a->sha1_stored : a->sha1_server;
	}
	return set_base64(session, which, key);
}

static int give_iterations(struct exchange *x, Gsasl_session *session)
{
	uint64_t iterations = x->found && x->account.scram_iterations ? x->account.scram_iterations
								      : SCRAM_ITERATIONS;
	struct str text = str_print(&x->arena, "%llu", (unsigned long long)iterations);

	return gsasl_property_set_raw(session, GSASL_SCRAM_ITER, text.at, text.len);
}

static int give_password(struct exchange *x, Gsasl_session *session)
{
	unsigned char made_up[32];
	struct buf hex = BUF(128);
	struct str secret = { 0 };
	int code;

	if (x->found && x->account.secret.len &&
	    secret_open(&x->store->secrets, &x->arena, x->account.address, x->account.secret,
			&secret) == OK) {
		code = gsasl_property_set_raw(session, GSASL_PASSWORD, secret.at, secret.len);
		secret_wipe(&secret);
	} else {
		keyed_hash(x->store->salts, S("made-up password"), x->key, made_up);
		hex_add(&hex, (struct str){ (char *)made_up, sizeof(made_up) });
		code = gsasl_property_set_raw(session, GSASL_PASSWORD, hex.at, hex.len);
		buf_drop(&hex);
		x->found = false;
	}
	return code;
}

static int give_channel(struct exchange *x, Gsasl_session *session, Gsasl_property which)
{
	struct str wanted = which == GSASL_CB_TLS_EXPORTER ? S("tls-exporter") : S("tls-unique");

	if (!str_is(x->channel_type, wanted))
		return GSASL_NO_CALLBACK;
	return gsasl_property_set_raw(session, which, x->channel_base64.at, x->channel_base64.len);
}

/* PLAIN and LOGIN: the password is compared by the fiber, in its turn. */
static int take_simple(struct exchange *x, Gsasl_session *session)
{
	x->has_simple = true;
	x->name = str_dup(&x->arena, property(session, GSASL_AUTHID));
	x->name = without_folder(x, x->name, &x->folder);
	x->password = str_dup(&x->arena, property(session, GSASL_PASSWORD));
	x->act_as = str_dup(&x->arena, property(session, GSASL_AUTHZID));
	return GSASL_OK;
}

static int on_property(Gsasl *gsasl, Gsasl_session *session, Gsasl_property which)
{
	struct exchange *x = gsasl_session_hook_get(session);
	int code;

	(void)gsasl;
	switch (which) {
	case GSASL_VALIDATE_SIMPLE:
		return take_simple(x, session);
	case GSASL_CB_TLS_UNIQUE:
	case GSASL_CB_TLS_EXPORTER:
		return give_channel(x, session, which);
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_SALT:
	case GSASL_SCRAM_STOREDKEY:
	case GSASL_SCRAM_SERVERKEY:
	case GSASL_PASSWORD:
		break;
	default:
		return GSASL_NO_CALLBACK;
	}
	code = look_up(x, session);
	if (code != GSASL_OK)
		return code;
	if (which == GSASL_SCRAM_ITER)
		return give_iterations(x, session);
	if (which == GSASL_SCRAM_SALT)
		return give_salt(x, session);
	if (which == GSASL_PASSWORD)
		return strcasecmp(x->mechanism, "CRAM-MD5") == 0 ? give_password(x, session)
								 : GSASL_NO_CALLBACK;
	return give_key(x, session, which);
}

void sasl_attach(struct Gsasl *gsasl)
{
	gsasl_callback_set(gsasl, on_property);
}

/* ---- one step ---- */

struct stepping {
	struct exchange *x;
	struct str response;
	struct arena *arena;
	int code;
	struct str challenge;
};

/* rfc5802 5.1: in a name "=" begins =2C or =3D and nothing else; the library would take it as it is. */
static bool has_false_escape(struct str text)
{
	for (size_t at; (at = str_find(text, '=')) != STR_NONE; text = str_from(text, at + 3)) {
		struct str escape = str_first(str_from(text, at), 3);

		if (!str_is_nocase(escape, S("=2C")) && !str_is_nocase(escape, S("=3D")))
			return true;
	}
	return false;
}

/* The client's first message: gs2-header (flag "," [ "a=" name ] ",") and "n=" name "," ... */
static bool has_false_name(struct str message)
{
	while (message.len) {
		size_t comma = str_find(message, ',');
		struct str field = str_first(message, comma == STR_NONE ? message.len : comma);
		bool is_name = str_starts(field, S("a=")) || str_starts(field, S("n="));

		if (is_name && has_false_escape(str_from(field, 2)))
			return true;
		message = str_from(message, field.len + 1);
	}
	return false;
}

/* rfc5802 6: who wants the channel bound ("p=") speaks a -PLUS mechanism, and only he does. */
static bool has_false_binding(const struct exchange *x, struct str message)
{
	bool is_plus = str_ends_nocase(str_of(x->mechanism), S("-PLUS"));

	return str_starts(message, S("p=")) != is_plus;
}

/*
 * What the library takes and must not. An empty response where something was asked for: it would say
 * the challenge once more, and no mechanism of ours has one. And first messages of SCRAM with names
 * or bindings that are none.
 */
static bool is_no_response(const struct exchange *x, struct str response)
{
	bool is_scram = strncmp(x->mechanism, "SCRAM-", 6) == 0;

	if (response.len == 0)
		return x->step > 0;
	if (!is_scram || str_starts(response, S("c=")))
		return false;
	return has_false_binding(x, response) || has_false_name(response);
}

static enum err step_on_worker(struct db *db, void *arg)
{
	struct stepping *stepping = arg;
	struct exchange *x = stepping->x;
	char *output = NULL;
	size_t len = 0;

	if (is_no_response(x, stepping->response)) {
		stepping->code = GSASL_MECHANISM_PARSE_ERROR;
		return OK;
	}
	x->db = db;
	x->err = OK;
	stepping->code = gsasl_step(x->session, stepping->response.at, stepping->response.len,
				    &output, &len);
	x->db = NULL;
	if (len && (stepping->code == GSASL_OK || stepping->code == GSASL_NEEDS_MORE))
		stepping->challenge = str_dup(stepping->arena, (struct str){ output, len });
	gsasl_free(output);
	return x->err;
}

static bool is_malformed(int code)
{
	return code == GSASL_MECHANISM_PARSE_ERROR || code == GSASL_BASE64_ERROR ||
	       code == GSASL_SASLPREP_ERROR || code == GSASL_MECHANISM_CALLED_TOO_MANY_TIMES;
}

/* The client proved itself by the mechanism's own means (SCRAM, CRAM-MD5). */
static enum err conclude_proof(struct exchange *x, const struct login_try *try, struct arena *arena,
			       struct sign_in_result *out)
{
	struct str folder;
	struct str act_as =
		address_key(arena, without_folder(x, property(x->session, GSASL_AUTHZID), &folder));

	/* rfc4422 3.4.1: to act as somebody else is nobody's right here. */
	if (!x->found || (act_as.len && !str_is(act_as, x->account.address))) {
		out->challenge = (struct str){ 0 };
		sign_in_refuse(try, out);
		return OK;
	}
	return sign_in_accept(try, &x->account, arena, out);
}

static enum err conclude_simple(struct exchange *x, const struct login_try *try,
				struct arena *arena, struct sign_in_result *out) WAITS
{
	struct str folder;
	struct str act_as = address_key(arena, without_folder(x, x->act_as, &folder));

	if (act_as.len && !str_is(act_as, address_key(arena, x->name))) {
		sign_in_refuse(try, out);
		return OK;
	}
	return sign_in_by_password(try, x->password, arena, out);
}

/* The library has judged a proof: who has a penalty learns it late, or not at all. */
static enum err conclude_judged(const struct login_try *try, struct stepping *s,
				struct sign_in_result *out) WAITS
{
	bool held;
	enum err err = sign_in_admit(try, &held);

	if (err == ERR_BUSY) {
		out->state = SASL_BUSY;
		return OK;
	}
	if (err)
		return err;
	if (s->code != GSASL_OK) {
		sign_in_refuse(try, out);
		return OK;
	}
	out->challenge = s->challenge;
	return conclude_proof(s->x, try, s->arena, out);
}

static enum err conclude(struct peer *peer, struct stepping *s, struct sign_in_result *out) WAITS
{
	struct exchange *x = s->x;
	struct login_try try = { .peer = peer,
				 .name = x->name,
				 .from = str_of(x->from),
				 .session = x->trace_session,
				 .key = x->key,
				 .is_account = x->has_account };

	if (s->code == GSASL_NEEDS_MORE) {
		out->state = SASL_CONTINUE;
		out->sasl = handle_number(&x->handle);
		out->challenge = s->challenge;
		return OK;
	}
	if (s->code == GSASL_OK && x->has_simple)
		return conclude_simple(x, &try, s->arena, out);
	if (is_malformed(s->code)) {
		out->state = SASL_MALFORMED;
		return OK;
	}
	return conclude_judged(&try, s, out);
}

/* LOGIN has no specification but clients that look for these words. */
static void say_as_usual(struct exchange *x, struct stepping *stepping)
{
	if (stepping->code == GSASL_NEEDS_MORE && strcasecmp(x->mechanism, "LOGIN") == 0)
		stepping->challenge = x->step == 0 ? S("Username:") : S("Password:");
	x->step++;
}

/* Given up while it was decided: nobody will ever use, or give back, what it would have been given. */
static void take_back(struct peer *peer, struct sign_in_result *out)
{
	struct handle *account;

	if (out->account && handle_take(peer, out->account, HANDLE_ACCOUNT, &account) == OK) {
		handle_close(peer, account);
		handle_give(account);
	}
	*out = (struct sign_in_result){ .state = SASL_BUSY };
}

static enum err take_step(struct peer *peer, struct exchange *x, struct stepping *stepping,
			  struct sign_in_result *out) WAITS
{
	enum err err;

	stepping->x = x;
	x->busy = true;
	list_remove(&x->idle);
	err = store_read(peer->store, step_on_worker, stepping);
	if (!err) {
		say_as_usual(x, stepping);
		err = conclude(peer, stepping, out);
	}
	if (!err && out->state == SASL_DONE)
		out->folder = str_dup(stepping->arena, x->folder);
	x->busy = false;
	if (!err && x->handle.closed)
		take_back(peer, out);
	else if (err || out->state != SASL_CONTINUE)
		handle_close(peer, &x->handle);
	else
		list_add_last(&peer->idle_exchanges, &x->idle);
	return err;
}

/* ---- the calls ---- */

static bool is_served(const struct store *store, const struct ask_sasl_start *ask)
{
	static const struct str plain[] = { S("PLAIN"), S("LOGIN"), S("SCRAM-SHA-1"),
					    S("SCRAM-SHA-256") };
	static const struct str bound[] = { S("SCRAM-SHA-1-PLUS"), S("SCRAM-SHA-256-PLUS") };

	for (size_t i = 0; i < COUNT_OF(plain); i++)
		if (str_is_nocase(ask->mechanism, plain[i]))
			return true;
	for (size_t i = 0; i < COUNT_OF(bound); i++)
		if (str_is_nocase(ask->mechanism, bound[i]))
			return ask->channel_data.len > 0;
	return str_is_nocase(ask->mechanism, S("CRAM-MD5")) && store->config->keep_secrets;
}

/* Clients that begin and then say nothing must not keep others from signing in. */
static enum err make_place(struct peer *peer)
{
	struct exchange *oldest;

	if (peer->exchange_count < LIMIT_sasl_exchanges)
		return OK;
	if (list_is_empty(&peer->idle_exchanges))
		return fault(ERR_LIMIT, "too many sign-ins are being decided");
	oldest = CONTAINER_OF(peer->idle_exchanges.next, struct exchange, idle);
	handle_close(peer, &oldest->handle);
	return OK;
}

static enum err exchange_new(struct peer *peer, const struct ask_sasl_start *ask,
			     struct exchange **out)
{
	struct exchange *x = calloc(1, sizeof(*x));
	struct buf text = BUF(1024);
	Gsasl *gsasl = sign_in_gsasl(peer->store);
	struct str from = str_first(ask->peer, sizeof(x->from) - 1);
	enum err err = OK;

	must(x);
	x->handle.kind = HANDLE_EXCHANGE;
	x->handle.end = end_exchange;
	x->peer = peer;
	list_init(&x->idle);
	peer->exchange_count++;
	x->store = peer->store;
	x->trace_session = ask->session;
	if (str_is(ask->service, S("pop")))
		x->separator = str_dup(&x->arena, peer->store->config->subaddress_separator);
	for (size_t i = 0; i < ask->mechanism.len && i < NAME; i++) {
		char c = ask->mechanism.at[i];

		x->mechanism[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
	}
	if (from.len)
		memcpy(x->from, from.at, from.len);
	if (ask->channel_data.len) {
		base64_add(&text, ask->channel_data);
		x->channel_type = str_dup(&x->arena, ask->channel_type);
		x->channel_base64 = str_dup(&x->arena, buf_str(&text));
	}
	buf_drop(&text);
	if (gsasl_server_start(gsasl, x->mechanism, &x->session) != GSASL_OK)
		err = fault(ERR_UNSUPPORTED, "GNU SASL has no %s", x->mechanism);
	else
		gsasl_session_hook_set(x->session, x);
	if (!err)
		err = handle_add(peer, &x->handle);
	if (err)
		end_exchange(&x->handle);
	else
		*out = x;
	return err;
}

/* The first words of the client where the mechanism has it speak first; for LOGIN, many send the name. */
static enum err start_steps(struct peer *peer, struct exchange *x, const struct ask_sasl_start *ask,
			    struct arena *arena, struct sign_in_result *out) WAITS
{
	bool server_first =
		strcmp(x->mechanism, "LOGIN") == 0 || strcmp(x->mechanism, "CRAM-MD5") == 0;
	struct stepping first = { .arena = arena };
	struct stepping second = { .arena = arena, .response = ask->initial };
	enum err err;

	/*
	 * rfc4954 4: no initial response where the server speaks first; and no mechanism of ours begins
	 * with an empty one ("="), which the library would take for none at all.
	 */
	if (ask->has_initial &&
	    (strcmp(x->mechanism, "CRAM-MD5") == 0 || (!server_first && ask->initial.len == 0))) {
		out->state = SASL_MALFORMED;
		handle_close(peer, &x->handle);
		return OK;
	}
	if (!server_first && ask->has_initial)
		first.response = ask->initial;
	err = take_step(peer, x, &first, out);
	if (err || out->state != SASL_CONTINUE || !server_first || !ask->has_initial)
		return err;
	/* The first challenge was answered before it was said. */
	*out = (struct sign_in_result){ 0 };
	return take_step(peer, x, &second, out);
}

enum err store_sasl_start(struct peer *peer, const struct ask_sasl_start *ask, struct arena *arena,
			  struct answer_sasl_start *answer) WAITS
{
	struct sign_in_result result = { .state = SASL_UNKNOWN };
	struct exchange *x;
	enum err err = OK;

	if (is_served(peer->store, ask)) {
		err = make_place(peer);
		if (!err)
			err = exchange_new(peer, ask, &x);
		if (err == ERR_UNSUPPORTED)
			err = OK;
		else if (!err) {
			x->handle.users++;
			err = start_steps(peer, x, ask, arena, &result);
			handle_give(&x->handle);
		}
	}
	SIGN_IN_ANSWER(answer, &result);
	return err;
}

enum err store_sasl_step(struct peer *peer, const struct ask_sasl_step *ask, struct arena *arena,
			 struct answer_sasl_step *answer) WAITS
{
	struct sign_in_result result = { 0 };
	struct stepping stepping = { .response = ask->response, .arena = arena };
	struct handle *handle;
	struct exchange *x;
	enum err err = handle_take(peer, ask->sasl, HANDLE_EXCHANGE, &handle);

	if (err)
		return err;
	x = CONTAINER_OF(handle, struct exchange, handle);
	if (x->busy)
		err = fault(ERR_DENIED, "two steps of one exchange at once");
	else
		err = take_step(peer, x, &stepping, &result);
	handle_give(handle);
	SIGN_IN_ANSWER(answer, &result);
	return err;
}

enum err store_sasl_drop(struct peer *peer, const struct ask_sasl_drop *ask) WAITS
{
	struct handle *handle;
	enum err err = handle_take(peer, ask->sasl, HANDLE_EXCHANGE, &handle);

	if (err)
		return err;
	handle_close(peer, handle);
	handle_give(handle);
	return OK;
}
