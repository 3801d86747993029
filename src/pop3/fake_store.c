/* SPDX-License-Identifier: Apache-2.0 */
/* A store that answers from memory, for the session's tests. */
#include "mail/mail.h"
#include "pop3/session_test.h"

#include <openssl/evp.h>
#include <stdio.h>

static const char password[] = "tanstaaf";
enum { ACCOUNT = 7, DROP = 9, EXCHANGE = 11 };

static struct fake_store *store_of(struct link_call *call)
{
	return call->context;
}

#define DECIDE(store, good, name, answer)                                                          \
	do {                                                                                       \
		(answer)->state = (good) ? SASL_DONE : SASL_FAILED;                                \
		(answer)->delay_ms = (good) ? 0 : (store)->delay_ms;                               \
		(answer)->account = (good) ? ACCOUNT : 0;                                          \
		(answer)->address = (good) ? S("mrose@example.org") : S("");                       \
		(store)->signed_in += (good);                                                      \
		snprintf((store)->user, sizeof((store)->user), "%.*s", STR_ARGS(name));            \
	} while (0)

static enum err on_password(struct link_call *call, const struct ask_password *ask,
			    struct answer_password *answer) WAITS
{
	struct fake_store *store = store_of(call);
	bool good = str_is(ask->password, str_of(password));

	if (store->password_err)
		return fault(store->password_err, "as the test wants it");
	must(ask->session == STAGE_SESSION);
	DECIDE(store, good, ask->user, answer);
	return OK;
}

static bool is_digest_of(struct str digest, struct str banner)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf hex = BUF(64);
	struct str text = str_print(&arena, "%.*s%s", STR_ARGS(banner), password);
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	must(EVP_Digest(text.at, text.len, md, &len, EVP_md5(), NULL) == 1);
	hex_add(&hex, (struct str){ (const char *)md, len });
	return str_is(buf_str(&hex), digest);
}

static enum err on_apop(struct link_call *call, const struct ask_apop *ask,
			struct answer_apop *answer) WAITS
{
	bool good = is_digest_of(ask->digest, ask->banner);

	DECIDE(store_of(call), good, ask->user, answer);
	return OK;
}

/*
 * PLAIN as it is; and TEST-STEP, which asks twice and ends with a last challenge, as SCRAM does:
 * "one" -> "1", "two" -> "2", done with "bye".
 */
static enum err on_sasl_start(struct link_call *call, const struct ask_sasl_start *ask,
			      struct answer_sasl_start *answer) WAITS
{
	struct fake_store *store = store_of(call);
	struct str name;

	if (!str_is_nocase(ask->mechanism, S("PLAIN"))) {
		answer->state = SASL_CONTINUE;
		answer->sasl = EXCHANGE;
		answer->challenge = S("one");
		return OK;
	}
	answer->sasl = EXCHANGE;
	answer->state = SASL_CONTINUE;
	if (!ask->has_initial)
		return OK;
	if (ask->initial.len < sizeof(password) || str_find(ask->initial, '\0') == STR_NONE) {
		answer->state = SASL_MALFORMED;
		return OK;
	}
	name = str_from(ask->initial, str_find(ask->initial, '\0') + 1);
	login_split(call->arena, str_first(name, str_find(name, '\0')), S("+"), &name,
		    &answer->folder);
	DECIDE(store, str_ends_nocase(ask->initial, str_of(password)), name, answer);
	return OK;
}

static enum err on_sasl_step(struct link_call *call, const struct ask_sasl_step *ask,
			     struct answer_sasl_step *answer) WAITS
{
	struct fake_store *store = store_of(call);

	answer->sasl = EXCHANGE;
	if (str_is(ask->response, S("1"))) {
		answer->state = SASL_CONTINUE;
		answer->challenge = S("two");
	} else if (str_is(ask->response, S("2"))) {
		DECIDE(store, true, S("stepper"), answer);
		answer->challenge = S("bye");
	} else if (str_find(ask->response, '\0') != STR_NONE) {
		DECIDE(store, str_ends_nocase(ask->response, str_of(password)), S("plain"), answer);
	} else {
		DECIDE(store, false, S("stepper"), answer);
	}
	return OK;
}

static enum err on_sasl_drop(struct link_call *call, const struct ask_sasl_drop *ask,
			     struct answer_sasl_drop *answer) WAITS
{
	(void)call;
	(void)answer;
	must(ask->sasl == EXCHANGE);
	return OK;
}

static enum err on_sign_out(struct link_call *call, const struct ask_sign_out *ask,
			    struct answer_sign_out *answer) WAITS
{
	(void)answer;
	must(ask->account == ACCOUNT && store_of(call)->signed_in > 0);
	store_of(call)->signed_in--;
	return OK;
}

static enum err on_open(struct link_call *call, const struct ask_maildrop_open *ask,
			struct answer_maildrop_open *answer) WAITS
{
	struct fake_store *store = store_of(call);

	must(ask->account == ACCOUNT);
	if (store->open_err)
		return fault(store->open_err, "as the test wants it");
	if (store->held)
		return fault(ERR_BUSY, "held");
	if (str_is(ask->folder, S("INBOX")))
		store->folder = "INBOX";
	else if (str_is(ask->folder, S("lists")))
		store->folder = "lists";
	else
		return fault(ERR_NOT_FOUND, "no such folder");
	store->held = true;
	answer->drop = DROP;
	answer->count = store->count;
	answer->uid_validity = 1767225600;
	for (size_t i = 0; i < store->count; i++)
		answer->octets += store->messages[i].len;
	return OK;
}

/* In pages of 3, so that tests see more than one. */
static enum err on_list(struct link_call *call, const struct ask_maildrop_list *ask,
			struct answer_maildrop_list *answer) WAITS
{
	struct fake_store *store = store_of(call);
	uint64_t *uids = NEW_ARRAY(call->arena, uint64_t, 3);
	uint64_t *sizes = NEW_ARRAY(call->arena, uint64_t, 3);
	size_t count = 0;

	must(ask->drop == DROP && store->held);
	for (size_t i = ask->first; i < store->count && count < 3; i++, count++) {
		uids[count] = store->messages[i].uid;
		sizes[count] = store->messages[i].len;
	}
	answer->uids = (struct u64s){ uids, count };
	answer->sizes = (struct u64s){ sizes, count };
	return OK;
}

static enum err on_read(struct link_call *call, const struct ask_maildrop_read *ask,
			struct answer_maildrop_read *answer) WAITS
{
	struct fake_store *store = store_of(call);
	const struct fake_message *message = &store->messages[ask->index];
	struct str octets = { message->octets, message->len };

	must(ask->drop == DROP && store->held && ask->index < store->count);
	store->reads++;
	store->calls_under_way++;
	if (store->calls_under_way > store->calls_most)
		store->calls_most = store->calls_under_way;
	(void)fiber_sleep(in_ms(1)); /* so that calls overlap */
	store->calls_under_way--;
	if (store->read_err && ask->index == store->read_err_index &&
	    (ask->offset > 0 || store->read_err_at_once))
		return fault(store->read_err, "as the test wants it");
	octets = str_first(str_from(octets, ask->offset), ask->length);
	answer->octets = body_of(octets);
	answer->size = message->len;
	return OK;
}

static enum err on_delete(struct link_call *call, const struct ask_maildrop_delete *ask,
			  struct answer_maildrop_delete *answer) WAITS
{
	struct fake_store *store = store_of(call);

	must(ask->drop == DROP && store->held);
	if (store->delete_err)
		return fault(store->delete_err, "as the test wants it");
	for (size_t i = 0; i < ask->indexes.count; i++)
		store->deleted[ask->indexes.at[i]] = true;
	answer->deleted = ask->indexes.count;
	return OK;
}

static enum err on_close(struct link_call *call, const struct ask_maildrop_close *ask,
			 struct answer_maildrop_close *answer) WAITS
{
	(void)answer;
	must(ask->drop == DROP && store_of(call)->held);
	store_of(call)->held = false;
	return OK;
}

const struct link_handlers fake_store_handlers = {
	.password = on_password,
	.apop = on_apop,
	.sasl_start = on_sasl_start,
	.sasl_step = on_sasl_step,
	.sasl_drop = on_sasl_drop,
	.sign_out = on_sign_out,
	.maildrop_open = on_open,
	.maildrop_list = on_list,
	.maildrop_read = on_read,
	.maildrop_delete = on_delete,
	.maildrop_close = on_close,
};
