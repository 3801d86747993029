/* SPDX-License-Identifier: Apache-2.0 */
#include "web/sign_in.h"
#include "net/net.h"
#include "web/guard.h"
#include "web/route.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKEN = 32, TOKEN_TEXT = 2 * TOKEN, ASK_MS = 30000, KEEP_MS = 5000 };

/* ---- those that there are ---- */

static void drop(struct sign_in *who)
{
	list_remove(&who->link);
	explicit_bzero(who->token, sizeof(who->token));
	free((char *)(uintptr_t)who->address.at);
	free(who);
}

/* Nobody finds it any more; sign_ins_keep gives its handle back. */
static void end(struct web *web, struct sign_in *who)
{
	list_remove(&who->link);
	list_add_last(&web->ended_sign_ins, &who->link);
	web->sign_in_count--;
}

static bool is_too_old(const struct sign_in *who)
{
	return now() - who->used > (moment)LIMIT_web_sign_in_idle * 1000 ||
	       now() - who->begun > (moment)LIMIT_web_sign_in_age * 1000;
}

static void give_back(struct web *web) WAITS
{
	struct list *link;

	while ((link = list_take_first(&web->ended_sign_ins))) {
		struct sign_in *who = CONTAINER_OF(link, struct sign_in, link);
		const struct ask_sign_out ask = { .account = who->account };
		struct arena arena = { 0 };
		struct answer_sign_out answer;

		drop(who);
		(void)!call_sign_out(web->role->store, &ask, &arena, &answer, in_ms(ASK_MS));
		arena_drop(&arena);
	}
}

void sign_ins_keep(void *arg) WAITS
{
	struct web *web = arg;

	while (!fiber_sleep(in_ms(KEEP_MS))) {
		LIST_EACH (link, &web->sign_ins) {
			struct sign_in *who = CONTAINER_OF(link, struct sign_in, link);

			if (is_too_old(who))
				end(web, who);
		}
		give_back(web);
	}
}

void sign_ins_drop(struct web *web)
{
	struct list *link;

	list_move_all(&web->ended_sign_ins, &web->sign_ins);
	while ((link = list_take_first(&web->ended_sign_ins)))
		drop(CONTAINER_OF(link, struct sign_in, link));
}

static bool token_parse(struct str text, unsigned char token[TOKEN])
{
	static const char digits[] = "0123456789abcdef";

	if (text.len != TOKEN_TEXT)
		return false;
	for (size_t i = 0; i < TOKEN_TEXT; i++) {
		const char *digit = text.at[i] ? strchr(digits, text.at[i]) : NULL;

		if (!digit)
			return false;
		token[i / 2] = (unsigned char)(token[i / 2] << 4 | (digit - digits));
	}
	return true;
}

static struct sign_in *find(struct web *web, struct str text)
{
	unsigned char token[TOKEN] = { 0 };
	struct sign_in *found = NULL;

	if (!token_parse(text, token))
		return NULL;
	/* All of them, always: how long it takes tells nothing. */
	LIST_EACH (link, &web->sign_ins) {
		struct sign_in *who = CONTAINER_OF(link, struct sign_in, link);

		if (CRYPTO_memcmp(who->token, token, TOKEN) == 0)
			found = who;
	}
	explicit_bzero(token, sizeof(token));
	return found && !is_too_old(found) ? found : NULL;
}

/* The list stays in the order of use. */
static void use(struct web *web, struct sign_in *who)
{
	who->used = now();
	list_remove(&who->link);
	list_add_last(&web->sign_ins, &who->link);
}

void sign_in_find(struct exchange *exchange)
{
	struct web *web = exchange->door->web;
	struct sign_in *who = find(web, exchange_cookie(exchange, SIGN_IN_COOKIE));

	if (!who)
		return;
	use(web, who);
	exchange->account = who->account;
	exchange->account_address = str_dup(&exchange->arena, who->address);
}

/* By its handle: the sign-in may have ended while the exchange waited. */
static struct sign_in *of_account(struct web *web, uint64_t account)
{
	LIST_EACH (link, &web->sign_ins) {
		struct sign_in *who = CONTAINER_OF(link, struct sign_in, link);

		if (who->account == account)
			return who;
	}
	return NULL;
}

void sign_in_forget(struct exchange *exchange)
{
	struct sign_in *who = of_account(exchange->door->web, exchange->account);

	if (who && exchange->account)
		end(exchange->door->web, who);
	exchange->account = 0;
}

bool sign_in_holds(const struct exchange *exchange)
{
	struct sign_in *who = of_account(exchange->door->web, exchange->account);

	if (!exchange->account)
		return true;
	if (!who || is_too_old(who))
		return false;
	use(exchange->door->web, who); /* who watches is there */
	return true;
}

/* ---- cookies ---- */

static void set_cookie(struct exchange *exchange, const char *value, unsigned age_s)
{
	char text[256];

	snprintf(text, sizeof(text),
		 SIGN_IN_COOKIE "=%s; Path=/; Max-Age=%u; HttpOnly; SameSite=Strict%s", value,
		 age_s, exchange_is_tls(exchange) ? "; Secure" : "");
	exchange_set_header(exchange, "Set-Cookie", text);
	explicit_bzero(text, sizeof(text));
}

/* The list begins with the one unused the longest: that one goes, of the account's own before one of all. */
static void make_room(struct web *web, struct str address)
{
	struct sign_in *oldest_own = NULL;
	size_t own_count = 0;

	LIST_EACH (link, &web->sign_ins) {
		struct sign_in *who = CONTAINER_OF(link, struct sign_in, link);

		if (!str_is(who->address, address))
			continue;
		own_count++;
		if (!oldest_own)
			oldest_own = who;
	}
	if (own_count >= LIMIT_web_sign_ins_per_account)
		end(web, oldest_own);
	else if (web->sign_in_count >= LIMIT_web_sign_ins)
		end(web, CONTAINER_OF(web->sign_ins.next, struct sign_in, link));
}

static void add(struct exchange *exchange, const struct answer_password *answer)
{
	struct web *web = exchange->door->web;
	OWNED(buf) struct buf text = BUF(TOKEN_TEXT + 1);
	struct sign_in *who = calloc(1, sizeof(*who));

	must(who);
	make_room(web, answer->address);
	random_bytes(who->token, sizeof(who->token));
	who->account = answer->account;
	who->address = (struct str){ strndup(answer->address.at, answer->address.len),
				     answer->address.len };
	must(who->address.at);
	who->begun = who->used = now();
	list_add_last(&web->sign_ins, &who->link);
	web->sign_in_count++;
	(void)hex_add(&text, (struct str){ (const char *)who->token, TOKEN });
	(void)buf_add_char(&text, '\0');
	exchange_say(exchange, MHD_HTTP_OK, "application/json", S("{\"ok\":true}\n"));
	set_cookie(exchange, text.at, LIMIT_web_sign_in_age / 1000);
	explicit_bzero(text.at, text.room);
}

/* ---- signing in ---- */

/* A session of its own in the trace: who tried, from where, and how it went. */
struct attempt {
	struct exchange *exchange;
	uint64_t session;
	moment begun;
	char peer[ADDR_TEXT];
	char ip[ADDR_TEXT];
};

static void attempt_begin(struct attempt *attempt, struct exchange *exchange)
{
	struct trace *trace = exchange->door->web->role->trace;

	*attempt = (struct attempt){ .exchange = exchange, .session = id_new(), .begun = now() };
	addr_print(&exchange->peer, attempt->peer);
	addr_print_ip(&exchange->peer, attempt->ip);
	TRACE(trace, attempt->session, 0, connect, .protocol = S("http"),
	      .listener = exchange->door->name, .peer = str_of(attempt->peer));
}

static void attempt_end(const struct attempt *attempt, const char *outcome, struct str account)
{
	struct trace *trace = attempt->exchange->door->web->role->trace;
	const uint64_t us = (uint64_t)(now() - attempt->begun);
	const unsigned flags = exchange_is_tls(attempt->exchange) ? TRACE_ENCRYPTED : 0;

	TRACE(trace, attempt->session, flags, auth, .mechanism = S("FORM"),
	      .outcome = str_of(outcome), .account = account, .us = us);
	TRACE(trace, attempt->session, 0, close, .reason = S("quit"), .account = account,
	      .errors = str_is(str_of(outcome), S("ok")) ? 0 : 1, .commands = 1, .us = us,
	      .peer = str_of(attempt->peer), .protocol = S("http"));
}

static void give_verdict(const struct attempt *attempt, const struct answer_password *answer) WAITS
{
	struct exchange *exchange = attempt->exchange;
	struct web *web = exchange->door->web;

	if (answer->state == SASL_DONE) {
		attempt_end(attempt, "ok", answer->address);
		add(exchange, answer);
		return;
	}
	if (answer->state == SASL_BUSY) {
		attempt_end(attempt, "unavailable", S(""));
		exchange_refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "try again in a few seconds",
				"too many sign-ins at once");
		return;
	}
	caps_blame(web->caps, &exchange->peer, 1);
	attempt_end(attempt, "failed", S(""));
	(void)fiber_sleep(in_ms((int64_t)answer->delay_ms));
	exchange_refuse(exchange, MHD_HTTP_UNAUTHORIZED, "look at the address and the password",
			"no account has this address and password");
}

static void ask_store(struct exchange *exchange, struct str user, struct str password) WAITS
{
	struct answer_password answer;
	struct attempt attempt;
	enum err err;

	attempt_begin(&attempt, exchange);
	err = call_password(exchange->door->web->role->store,
			    &(struct ask_password){ .user = user,
						    .password = password,
						    .peer = str_of(attempt.ip),
						    .session = attempt.session },
			    &exchange->arena, &answer, in_ms(ASK_MS));
	if (!err) {
		give_verdict(&attempt, &answer);
		return;
	}
	attempt_end(&attempt, "unavailable", S(""));
	exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "try again in a few seconds",
			"the store does not answer now");
}

static bool may_try(struct exchange *exchange)
{
	struct web *web = exchange->door->web;
	const uint64_t ban = web->role->config->login_failures_ban;

	if (ban && !addr_is_loopback(&exchange->peer) &&
	    caps_blamed(web->caps, &exchange->peer) >= ban) {
		exchange_refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "wait some minutes",
				"too many failed sign-ins from your address");
		return false;
	}
	if (web->signing_in >= LIMIT_web_signing_in) {
		exchange_refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "try again in a few seconds",
				"too many sign-ins at once");
		return false;
	}
	return true;
}

static struct str text_of(const json_t *body, const char *name)
{
	const json_t *value = json_object_get(body, name);

	if (!json_is_string(value))
		return (struct str){ 0 };
	return (struct str){ json_string_value(value), json_string_length(value) };
}

void answer_sign_in(struct exchange *exchange) WAITS
{
	struct web *web = exchange->door->web;
	json_t *body = control_object(buf_str(&exchange->body));
	struct str address = text_of(body, "address");
	struct str password = text_of(body, "password");

	if (!address.len || address.len > LIMIT_user_name || password.len > LIMIT_password) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST,
				"send {\"address\": ..., \"password\": ...}",
				"the request names no address and password");
	} else if (may_try(exchange)) {
		web->signing_in++;
		ask_store(exchange, address, password);
		web->signing_in--;
	}
	json_decref(body);
}

void answer_sign_out(struct exchange *exchange) WAITS
{
	sign_in_forget(exchange);
	exchange_say(exchange, MHD_HTTP_OK, "application/json", S("{\"ok\":true}\n"));
	set_cookie(exchange, "", 0);
}
