/* SPDX-License-Identifier: Apache-2.0 */
/* Each mechanism against GNU SASL's own client, and everything that must not succeed. */
#include "store/fixture.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANNA     "anna@example.org"
#define PASSWORD "pencil & paper"

struct dialogue {
	const char *mechanism;
	const char *name, *password, *act_as;
	struct str channel_type, channel_data; /* as the server saw it */
	const char *client_exporter;           /* as the client saw it: base64, or NULL */
	const char *peer;
	bool no_initial;
	const char *service; /* NULL: smtp */
};

#define ACTING(mech, who, secret, other)                                                           \
	((struct dialogue){                                                                        \
		.mechanism = (mech), .name = (who), .password = (secret), .act_as = (other) })
#define AS(mech, who, secret) ACTING(mech, who, secret, NULL)

static int on_client(Gsasl *gsasl, Gsasl_session *session, Gsasl_property which)
{
	const struct dialogue *d = gsasl_session_hook_get(session);
	const char *value = NULL;

	(void)gsasl;
	if (which == GSASL_AUTHID)
		value = d->name;
	else if (which == GSASL_PASSWORD)
		value = d->password;
	else if (which == GSASL_AUTHZID)
		value = d->act_as;
	else if (which == GSASL_CB_TLS_EXPORTER)
		value = d->client_exporter;
	if (!value)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set(session, which, value);
}

struct outcome {
	enum sasl_state state;
	uint64_t account;
	char address[LIMIT_address + 1];
	char folder[LIMIT_folder_name + 1];
	uint64_t delay_ms;
	int client; /* what the client made of the last challenge */
	char challenges[3][200];
	unsigned steps;
	int64_t cpu_ns; /* of this process, while the store decided */
};

/* Time of all our threads: what others on this machine do, and waits, are not in it. */
static int64_t cpu_ns(void)
{
	struct timespec at;

	must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at) == 0);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void note(struct outcome *out, const struct answer_sasl_step *a)
{
	out->state = (enum sasl_state)a->state;
	out->account = a->account;
	out->delay_ms = a->delay_ms;
	snprintf(out->address, sizeof(out->address), "%.*s", STR_ARGS(a->address));
	snprintf(out->folder, sizeof(out->folder), "%.*s", STR_ARGS(a->folder));
	if (out->steps < 3)
		snprintf(out->challenges[out->steps], sizeof(out->challenges[0]), "%.*s",
			 STR_ARGS(a->challenge));
	out->steps++;
}

static struct outcome converse(struct fixture *f, const struct dialogue *d) WAITS
{
	struct outcome out = { .client = GSASL_NEEDS_MORE };
	struct arena arena = { 0 };
	struct answer_sasl_start started = { 0 };
	struct answer_sasl_step answer = { 0 };
	struct ask_sasl_start ask = { .mechanism = str_of(d->mechanism),
				      .channel_type = d->channel_type,
				      .channel_data = d->channel_data,
				      .service = str_of(d->service ? d->service : "smtp"),
				      .peer = str_of(d->peer ? d->peer : "127.0.0.1") };
	bool server_first = !strcmp(d->mechanism, "LOGIN") || !strcmp(d->mechanism, "CRAM-MD5");
	Gsasl_session *client = NULL;
	Gsasl *gsasl = NULL;
	char *text = NULL;
	size_t len = 0;
	int64_t since;

	must(gsasl_init(&gsasl) == GSASL_OK);
	gsasl_callback_set(gsasl, on_client);
	must(gsasl_client_start(gsasl, d->mechanism, &client) == GSASL_OK);
	gsasl_session_hook_set(client, (void *)(uintptr_t)d);
	if (!server_first && !d->no_initial) {
		out.client = gsasl_step(client, NULL, 0, &text, &len);
		ask.has_initial = 1;
		ask.initial = (struct str){ text, len };
	}
	since = cpu_ns();
	CHECK(store_sasl_start(f->peer, &ask, &arena, &started) == OK);
	out.cpu_ns += cpu_ns() - since;
	memcpy(&answer, &started, sizeof(answer));
	note(&out, &answer);
	while (out.state == SASL_CONTINUE && out.steps < 9) {
		gsasl_free(text);
		text = NULL;
		out.client =
			gsasl_step(client, answer.challenge.at, answer.challenge.len, &text, &len);
		if (out.client != GSASL_OK && out.client != GSASL_NEEDS_MORE)
			break;
		since = cpu_ns();
		CHECK(store_sasl_step(f->peer,
				      &(struct ask_sasl_step){ .sasl = answer.sasl,
							       .response = { text, len } },
				      &arena, &answer) == OK);
		out.cpu_ns += cpu_ns() - since;
		note(&out, &answer);
	}
	/* rfc5802: the client believes the server only after its signature. */
	if (out.state == SASL_DONE && out.client == GSASL_NEEDS_MORE && answer.challenge.len) {
		gsasl_free(text);
		text = NULL;
		out.client =
			gsasl_step(client, answer.challenge.at, answer.challenge.len, &text, &len);
	}
	gsasl_free(text);
	gsasl_finish(client);
	gsasl_done(gsasl);
	arena_drop(&arena);
	return out;
}

static void expect(struct fixture *f, const struct dialogue *d, enum sasl_state state) WAITS
{
	struct outcome out = converse(f, d);

	if (out.state != state)
		fprintf(stderr, "%s as %s: state %d, not %d\n", d->mechanism, d->name, out.state,
			state);
	CHECK(out.state == state);
	if (state != SASL_DONE) {
		CHECK(out.account == 0 && !out.address[0]);
		return;
	}
	CHECK(out.client == GSASL_OK);
	CHECK(strcmp(out.address, ANNA) == 0);
	CHECK(store_sign_out(f->peer, &(struct ask_sign_out){ .account = out.account }) == OK);
	CHECK(store_sign_out(f->peer, &(struct ask_sign_out){ .account = out.account }) ==
	      ERR_DENIED);
}

static void mechanisms(struct fixture *f) WAITS
{
	static const char *const names[] = { "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1",
					     "SCRAM-SHA-256" };

	add_account(f, ANNA, PASSWORD, -1);
	add_account(f, "nopass@example.org", NULL, -1);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		expect(f, &AS(names[i], ANNA, PASSWORD), SASL_DONE);
		expect(f, &AS(names[i], "ANNA@Example.ORG", PASSWORD), SASL_DONE);
		expect(f, &AS(names[i], "anna", PASSWORD), SASL_DONE);
		expect(f, &AS(names[i], ANNA, "wrong"), SASL_FAILED);
		expect(f, &AS(names[i], "nobody@example.org", PASSWORD), SASL_FAILED);
		expect(f, &AS(names[i], "nopass@example.org", "x"), SASL_FAILED);
		if (strcmp(names[i], "LOGIN") != 0 && strcmp(names[i], "CRAM-MD5") != 0) {
			expect(f, &ACTING(names[i], ANNA, PASSWORD, ANNA), SASL_DONE);
			expect(f, &ACTING(names[i], ANNA, PASSWORD, "nopass@example.org"),
			       SASL_FAILED);
			expect(f,
			       &(struct dialogue){ .mechanism = names[i],
						   .name = ANNA,
						   .password = PASSWORD,
						   .no_initial = true },
			       SASL_DONE);
		}
	}
}

static void each_mechanism_lets_in_who_knows_the_password_and_nobody_else(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = mechanisms, .config_text = "keep_secrets = yes\n" });
	fixture_run(&(struct fixture){
		.body = mechanisms, .config_text = "keep_secrets = yes\n", .simulated = true });
}

static void bound(struct fixture *f) WAITS
{
	static const char *const names[] = { "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS" };
	const struct str data = S("0123456789abcdef0123456789abcdef");
	const char *same = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
	const char *other = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZUY=";

	add_account(f, ANNA, PASSWORD, -1);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct dialogue d = { .mechanism = names[i],
				      .name = ANNA,
				      .password = PASSWORD,
				      .channel_type = S("tls-exporter"),
				      .channel_data = data,
				      .client_exporter = same };

		expect(f, &d, SASL_DONE);
		d.client_exporter = other; /* somebody sits between */
		expect(f, &d, SASL_FAILED);
		d.client_exporter = same;
		d.password = "wrong";
		expect(f, &d, SASL_FAILED);
		d.channel_data = (struct str){ 0 };
		expect(f, &d, SASL_UNKNOWN);
	}
}

static void plus_mechanisms_refuse_another_channel(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = bound });
}

/* ---- what hostile clients send ---- */

static enum sasl_state start_raw(struct fixture *f, const char *mechanism, struct str initial) WAITS
{
	struct arena arena = { 0 };
	struct answer_sasl_start answer = { 0 };
	struct ask_sasl_start ask = { .mechanism = str_of(mechanism),
				      .initial = initial,
				      .has_initial = 1,
				      .peer = S("192.0.2.1") };

	CHECK(store_sasl_start(f->peer, &ask, &arena, &answer) == OK);
	if (answer.state == SASL_CONTINUE)
		CHECK(store_sasl_drop(f->peer, &(struct ask_sasl_drop){ .sasl = answer.sasl }) ==
		      OK);
	arena_drop(&arena);
	return (enum sasl_state)answer.state;
}

static void garbage(struct fixture *f) WAITS
{
	static char long_name[LIMIT_sasl_line];
	static const struct {
		const char *mechanism;
		struct str initial;
		enum sasl_state state;
	} rows[] = {
		{ "PLAIN", S("no separators"), SASL_MALFORMED },
		{ "PLAIN", S("\0anna"), SASL_MALFORMED },
		{ "PLAIN", S("\0" ANNA "\0" PASSWORD "\0x"), SASL_MALFORMED },
		{ "PLAIN", S("\0\0"), SASL_FAILED },
		{ "SCRAM-SHA-256", S("n,,n=anna"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("n,,n=anna,r=abc"), SASL_CONTINUE },
		{ "SCRAM-SHA-256", S("n,,n=a=2C=3Dnna,r=a=b=c"), SASL_CONTINUE },
		{ "SCRAM-SHA-256", S("n,,n=a=nna,r=abc"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("n,,n=anna=,r=abc"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("n,a=b=2,n=anna,r=abc"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("p=,,n=anna,r=abc"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("p=tls-exporter,,n=anna,r=abc"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("\xff\xff\xff"), SASL_MALFORMED },
		{ "SCRAM-SHA-256", S("p=tls-exporter,,n=anna"), SASL_MALFORMED },
		{ "CRAM-MD5", S("x"), SASL_MALFORMED },
		{ "DIGEST-MD5", S(""), SASL_UNKNOWN },
		{ "GSSAPI", S(""), SASL_UNKNOWN },
		{ "EXTERNAL", S("anna"), SASL_UNKNOWN },
		{ "ANONYMOUS", S("anna"), SASL_UNKNOWN },
		{ "", S(""), SASL_UNKNOWN },
		{ "plain", S("\0" ANNA "\0" PASSWORD), SASL_DONE },
		{ "LOGIN", S(ANNA), SASL_CONTINUE },
	};

	add_account(f, ANNA, PASSWORD, -1);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		enum sasl_state state = start_raw(f, rows[i].mechanism, rows[i].initial);

		if (state != rows[i].state)
			fprintf(stderr, "row %zu: state %d, not %d\n", i, state, rows[i].state);
		CHECK(state == rows[i].state);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[0] = '\0';
	long_name[5000] = '\0';
	CHECK(start_raw(f, "PLAIN", (struct str){ long_name, sizeof(long_name) }) == SASL_FAILED);
}

static void what_is_not_well_formed_is_refused_without_harm(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = garbage, .config_text = "keep_secrets = yes\n" });
}

static void login_words(struct fixture *f) WAITS
{
	struct outcome out = converse(f, &AS("LOGIN", ANNA, "x"));

	CHECK(strcmp(out.challenges[0], "Username:") == 0);
	CHECK(strcmp(out.challenges[1], "Password:") == 0);
	CHECK(converse(f, &AS("PLAIN", ANNA, "x")).state == SASL_FAILED);
	/* CRAM-MD5 and APOP only where secrets are kept. */
	CHECK(start_raw(f, "CRAM-MD5", S("")) == SASL_UNKNOWN);
}

static void login_asks_in_the_words_that_clients_look_for(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = login_words });
}

static void same_salt(struct fixture *f) WAITS
{
	struct dialogue d = AS("SCRAM-SHA-256", "nobody@example.org", "x");
	struct outcome first, second, third;
	const char *salt;

	add_account(f, ANNA, PASSWORD, -1);
	first = converse(f, &d);
	second = converse(f, &d);
	d.name = ANNA;
	third = converse(f, &d);
	salt = strstr(first.challenges[0], ",s=");
	CHECK(salt && strstr(second.challenges[0], salt)); /* salt and iterations alike */
	CHECK(salt && !strstr(third.challenges[0], salt));
	CHECK(strlen(first.challenges[0]) == strlen(third.challenges[0]));
}

static bool salts_are_alike(struct fixture *f, const char *name, const char *other) WAITS
{
	struct dialogue d = AS("SCRAM-SHA-256", name, "x");
	struct outcome first = converse(f, &d);
	struct outcome second;
	const char *salt = strstr(first.challenges[0], ",s=");

	d.name = other;
	second = converse(f, &d);
	return salt && strstr(second.challenges[0], salt);
}

/* However a name is spelt: who is nobody must not be told apart by spelling it twice. */
static void same_salt_for_spellings(struct fixture *f) WAITS
{
	add_account(f, ANNA, PASSWORD, -1);
	CHECK(salts_are_alike(f, ANNA, "anna"));
	CHECK(salts_are_alike(f, "nobody@example.org", "nobody"));
	CHECK(salts_are_alike(f, ANNA, "ANNA@Example.ORG"));
	CHECK(salts_are_alike(f, "nobody@example.org", "NoBody@Example.ORG"));
	CHECK(!salts_are_alike(f, "nobody", "somebody"));
}

static void a_name_that_does_not_exist_has_a_salt_like_any_other(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = same_salt });
	fixture_run(&(struct fixture){ .body = same_salt_for_spellings });
}

/* ---- USER and PASS, APOP ---- */

static void delays(struct fixture *f) WAITS
{
	static const uint64_t expected[] = { 0, 1000, 2000, 4000, 8000, 8000 };
	struct outcome out;
	moment since;

	add_account(f, ANNA, PASSWORD, -1);
	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		struct answer_password answer = try_password(f, ANNA, "wrong", "192.0.2.7");

		CHECK(answer.state == SASL_FAILED && answer.delay_ms == expected[i]);
	}
	CHECK(try_password(f, "other@example.org", "x", "192.0.2.7").delay_ms == 8000);
	CHECK(try_password(f, "other2@example.org", "x", "192.0.2.8").delay_ms == 0);
	CHECK(try_password(f, ANNA, "x", "192.0.2.9").delay_ms == 8000);
	CHECK(try_password(f, ANNA, "x", "127.0.0.1").delay_ms == 0);
	CHECK(try_password(f, ANNA, "x", "10.1.2.3").delay_ms == 0);
	CHECK(try_password(f, ANNA, PASSWORD, "192.0.2.9").state == SASL_DONE);
	/* A proof is not told sooner than a password. */
	CHECK(try_password(f, ANNA, "x", "192.0.2.99").delay_ms == 8000);
	since = now();
	out = converse(f, &(struct dialogue){ .mechanism = "SCRAM-SHA-256",
					      .name = ANNA,
					      .password = "x",
					      .peer = "192.0.2.101" });
	CHECK(out.state == SASL_FAILED && now() - since >= 8000000);
	since = now();
	out = converse(f, &(struct dialogue){ .mechanism = "SCRAM-SHA-256",
					      .name = ANNA,
					      .password = PASSWORD,
					      .peer = "192.0.2.102" });
	CHECK(out.state == SASL_DONE && now() - since >= 8000000);
	CHECK(try_password(f, "", "x", "192.0.2.100").state == SASL_FAILED);
	/* One /64 is one client. */
	CHECK(try_password(f, "a", "x", "2001:db8::1").delay_ms == 0);
	CHECK(try_password(f, "b", "x", "2001:db8::2").delay_ms == 1000);
}

static void failures_are_slowed_down_by_address_and_by_name(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = delays,
		.simulated = true,
		.config_text = "connections_exempt = {\"127.0.0.0/8\", \"10.0.0.0/8\"}\n" });
}

static enum sasl_state apop(struct fixture *f, const char *name, const char *secret) WAITS
{
	struct arena arena = { 0 };
	struct answer_apop answer = { 0 };
	struct ask_apop ask = { .user = str_of(name),
				.banner = S("<1896.697170952@example.org>"),
				.peer = S("127.0.0.1") };
	struct str text = str_print(&arena, "%.*s%s", STR_ARGS(ask.banner), secret);
	struct buf hex = BUF(100);
	unsigned char digest[64];
	unsigned len;

	must(EVP_Digest(text.at, text.len, digest, &len, EVP_md5(), NULL));
	hex_add(&hex, (struct str){ (char *)digest, len });
	ask.digest = buf_str(&hex);
	CHECK(store_apop(f->peer, &ask, &arena, &answer) == OK);
	buf_drop(&hex);
	arena_drop(&arena);
	return (enum sasl_state)answer.state;
}

static void apop_kept(struct fixture *f) WAITS
{
	add_account(f, ANNA, PASSWORD, -1);
	CHECK(apop(f, ANNA, PASSWORD) == SASL_DONE);
	CHECK(apop(f, ANNA, "wrong") == SASL_FAILED);
	CHECK(apop(f, "nobody@example.org", "wrong") == SASL_FAILED);
}

static void apop_off(struct fixture *f) WAITS
{
	add_account(f, ANNA, PASSWORD, -1);
	CHECK(apop(f, ANNA, PASSWORD) == SASL_UNKNOWN);
}

static void apop_works_only_where_secrets_are_kept(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = apop_kept, .config_text = "keep_secrets = yes\n" });
	fixture_run(&(struct fixture){ .body = apop_off });
}

/* ---- user+folder ---- */

/* SCRAM and CRAM-MD5 prove the name as the client sent it: with its folder. */
static void name_folders(struct fixture *f) WAITS
{
	static const char *const ways[] = { "PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256",
					    "CRAM-MD5" };

	add_account(f, ANNA, PASSWORD, -1);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct dialogue d = AS(ways[i], "anna+lists@example.org", PASSWORD);
		struct outcome out;

		d.service = "pop";
		out = converse(f, &d);
		CHECK(out.state == SASL_DONE && strcmp(out.address, ANNA) == 0);
		CHECK(strcmp(out.folder, "lists") == 0);
		CHECK(strncmp(ways[i], "SCRAM", 5) != 0 || out.client == GSASL_OK);
		d.name = ANNA "+lists";
		CHECK(strcmp(converse(f, &d).folder, "lists") == 0);
		d.name = ANNA;
		CHECK(strcmp(converse(f, &d).folder, "") == 0);
		d.name = "anna+lists@example.org";
		d.password = "wrong";
		CHECK(converse(f, &d).state == SASL_FAILED);
		/* A folder means something to POP3 only. */
		d.service = "smtp";
		d.password = PASSWORD;
		CHECK(converse(f, &d).state == SASL_FAILED);
	}
}

static void a_login_name_may_carry_a_folder_whatever_the_mechanism(void **state)
{
	(void)state;
	fixture_run(
		&(struct fixture){ .body = name_folders, .config_text = "keep_secrets = yes\n" });
}

/* ---- who exists is not to be learned ---- */

enum { TRIES = 9, KINDS = 3 };

/* Somebody with a password, with none, and nobody; names of one length. */
static const char *const names[KINDS] = { ANNA, "bare@example.org", "nobo@example.org" };
static const char *const guessed_by[] = { "PLAIN",         "LOGIN",    "SCRAM-SHA-1",
					  "SCRAM-SHA-256", "CRAM-MD5", "APOP" };

static struct outcome guess_wrong(struct fixture *f, const char *mechanism, const char *name) WAITS
{
	struct outcome out = { 0 };
	int64_t since = cpu_ns();

	if (strcmp(mechanism, "APOP") != 0)
		return converse(f, &AS(mechanism, name, "wrong"));
	out.state = apop(f, name, "wrong");
	out.cpu_ns = cpu_ns() - since;
	return out;
}

static void check_alike(const struct outcome *one, const struct outcome *other)
{
	CHECK(one->state == SASL_FAILED && other->state == SASL_FAILED);
	CHECK(one->steps == other->steps && one->client == other->client);
	CHECK(one->delay_ms == other->delay_ms && one->account == other->account);
	CHECK(strcmp(one->address, other->address) == 0);
	for (unsigned step = 0; step < COUNT_OF(one->challenges); step++)
		CHECK(strlen(one->challenges[step]) == strlen(other->challenges[step]));
}

/*
 * In turns, and the least of some. A hash or a look-up that is left out for one of them makes a factor of
 * ten or more; a third of that is what a test may ask for.
 */
static void compare_kinds(struct fixture *f, const char *mechanism) WAITS
{
	int64_t least[KINDS] = { INT64_MAX, INT64_MAX, INT64_MAX };
	struct outcome out[KINDS];

	for (int i = 0; i < TRIES; i++)
		for (int kind = 0; kind < KINDS; kind++) {
			out[kind] = guess_wrong(f, mechanism, names[kind]);
			if (out[kind].cpu_ns < least[kind])
				least[kind] = out[kind].cpu_ns;
			check_alike(&out[0], &out[kind]);
		}
	fprintf(stderr, "%s: %lld, %lld, %lld us\n", mechanism, (long long)least[0] / 1000,
		(long long)least[1] / 1000, (long long)least[2] / 1000);
	for (int kind = 1; kind < KINDS; kind++)
		CHECK(least[0] < 3 * least[kind] && least[kind] < 3 * least[0]);
}

static void who_exists(struct fixture *f) WAITS
{
	add_account(f, names[0], PASSWORD, -1);
	add_account(f, names[1], NULL, -1);
	for (size_t i = 0; i < COUNT_OF(guessed_by); i++)
		compare_kinds(f, guessed_by[i]);
}

static void a_failure_does_not_tell_whether_there_is_such_an_account(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = who_exists, .config_text = "keep_secrets = yes\n" });
}

static bool may(struct fixture *f, uint64_t account, const char *sender) WAITS
{
	struct answer_may_send answer = { 0 };

	CHECK(store_may_send(f->peer,
			     &(struct ask_may_send){ .account = account, .sender = str_of(sender) },
			     NULL, &answer) == OK);
	return answer.allowed;
}

static void senders(struct fixture *f) WAITS
{
	struct answer_may_send answer = { 0 };
	struct peer *other = peer_new(f->store);
	uint64_t anna;

	add_account(f, ANNA, NULL, -1);
	add_account(f, "bert@example.org", NULL, -1);
	add_alias(f, "team@example.org", ANNA);
	add_alias(f, "team@example.org", "bert@example.org");
	add_alias(f, "sales@example.org", "bert@example.org");
	anna = sign_in_as(f, ANNA);
	CHECK(may(f, anna, ANNA) && may(f, anna, "Anna@example.org"));
	CHECK(may(f, anna, "anna+list@example.org") && may(f, anna, "team@example.org"));
	CHECK(may(f, anna, ""));
	CHECK(!may(f, anna, "bert@example.org") && !may(f, anna, "sales@example.org"));
	CHECK(!may(f, anna, "anna@elsewhere.example") && !may(f, anna, "nobody@example.org"));
	/* A handle means nothing on another channel. */
	CHECK(store_may_send(other, &(struct ask_may_send){ .account = anna }, NULL, &answer) ==
	      ERR_DENIED);
	peer_drop(&other);
}

static void an_account_may_send_as_whom_it_receives_for(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = senders });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mechanism_lets_in_who_knows_the_password_and_nobody_else),
		cmocka_unit_test(plus_mechanisms_refuse_another_channel),
		cmocka_unit_test(what_is_not_well_formed_is_refused_without_harm),
		cmocka_unit_test(login_asks_in_the_words_that_clients_look_for),
		cmocka_unit_test(a_name_that_does_not_exist_has_a_salt_like_any_other),
		cmocka_unit_test(failures_are_slowed_down_by_address_and_by_name),
		cmocka_unit_test(a_login_name_may_carry_a_folder_whatever_the_mechanism),
		cmocka_unit_test(a_failure_does_not_tell_whether_there_is_such_an_account),
		cmocka_unit_test(apop_works_only_where_secrets_are_kept),
		cmocka_unit_test(an_account_may_send_as_whom_it_receives_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
