/* SPDX-License-Identifier: Apache-2.0 */
/* The role as its house runs it: asked over a link, told over the control socket. */
#include "store/fixture.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char configuration[] = "hostname = mail.example.org\nsegment_size = 1M\n"
				    "accept_any_password = no\n";
static const char any_password[] = "accept_any_password = yes\n"
				   "listener pop3 { protocol = pop3 address = 127.0.0.1 }\n";

struct house {
	char folder[64];
	char control[100];
	struct role *role;
	struct link *user, *mx;
	struct arena arena;
	const char *config;
	void (*scene)(struct house *house) WAITS;
};

static struct link *wire(struct role *role, enum role_kind kind) WAITS
{
	struct channel *ends[2];
	struct link *link = link_new(kind, ROLE_STORE);

	CHECK(channel_pair_memory(ends) == OK);
	CHECK(role_wire(role, kind, 0, ends[0], true) == OK);
	CHECK(link_attach(link, 0, ends[1]) == OK);
	return link;
}

static void house_fiber(void *arg) WAITS
{
	struct house *house = arg;
	struct role_boot boot = { .config = str_of(house->config),
				  .config_name = S("test.conf"),
				  .folder = str_of(house->folder) };
	struct listener *listener = NULL;
	struct addr addr;

	house->role = role_new(&store_role);
	must(role_set_up(house->role, &boot) == OK);
	must(role_begin(house->role) == OK);
	house->user = wire(house->role, ROLE_GATE_USER);
	house->mx = wire(house->role, ROLE_GATE_MX);
	if (!world_is_simulated(world_here())) {
		snprintf(house->control, sizeof(house->control), "%s/control", house->folder);
		must(addr_parse(str_of(house->control), &addr));
		must(listener_new(&addr, 8, &listener) == OK);
		must(role_listen(house->role, S("control"), listener) == OK);
	}
	house->scene(house);
	role_stop(house->role, 1000);
	link_drop(&house->user);
	link_drop(&house->mx);
	role_drop(&house->role);
	arena_drop(&house->arena);
}

static void run_house_with(const char *config, void (*scene)(struct house *house) WAITS,
			   struct world *world)
{
	struct house house = { .config = config, .scene = scene };

	snprintf(house.folder, sizeof(house.folder), "/tmp/glasspost-role-XXXXXX");
	must(mkdtemp(house.folder));
	must(store_create(house.folder, S("Example.ORG")) == OK);
	must(store_create(house.folder, S("example.org")) == ERR_EXISTS);
	must(world_spawn(world, "house", house_fiber, &house) == OK);
	world_run(world);
	world_drop(&world);
	fixture_remove_folder(house.folder);
	fixture_assert();
}

static void run_house(void (*scene)(struct house *house) WAITS, struct world *world)
{
	run_house_with(configuration, scene, world);
}

/* ---- over the link ---- */

static uint64_t deliver(struct house *h, uint64_t id, struct str to, struct str text) WAITS
{
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = id,
				   .sender = S("from@example.com"),
				   .recipients = { &to, 1 },
				   .body = body_of(text) };
	enum err err = call_deliver(h->mx, &ask, &h->arena, &answer, in_ms(20000));

	body_done(&ask.body);
	CHECK(err == OK);
	return err ? 99 : answer.outcomes.at[0];
}

static void by_link(struct house *h) WAITS
{
	struct answer_recipient recipient = { 0 };
	struct answer_room room = { 0 };
	struct answer_password password = { 0 };
	struct answer_maildrop_open drop = { 0 };
	struct answer_sign_out out = { 0 };
	char *large = malloc(300000);

	memset(large, 'x', 300000);
	CHECK(call_recipient(h->mx, &(struct ask_recipient){ .address = S("postmaster") },
			     &h->arena, &recipient, in_ms(5000)) == OK);
	CHECK(recipient.verdict == RECIPIENT_LOCAL);
	CHECK(call_recipient(h->mx, &(struct ask_recipient){ .address = S("x@example.org") },
			     &h->arena, &recipient, in_ms(5000)) == OK);
	CHECK(recipient.verdict == RECIPIENT_UNKNOWN);
	CHECK(call_room(h->mx, &(struct ask_room){ .size = 1000 }, &h->arena, &room, in_ms(5000)) ==
	      OK);
	CHECK(room.enough == 1);
	CHECK(deliver(h, 1, S("postmaster@example.org"), S("small\r\n")) == DELIVERY_DONE);
	CHECK(deliver(h, 2, S("postmaster@example.org"), (struct str){ large, 300000 }) ==
	      DELIVERY_DONE);
	/* An account without a password lets nobody in. */
	CHECK(call_password(h->user,
			    &(struct ask_password){ .user = S("postmaster@example.org"),
						    .password = S("") },
			    &h->arena, &password, in_ms(5000)) == OK);
	CHECK(password.state == SASL_FAILED);
	/* Handles are not guessed, and the mx gate has none of these calls at all. */
	CHECK(call_maildrop_open(h->user, &(struct ask_maildrop_open){ .account = 1 }, &h->arena,
				 &drop, in_ms(5000)) == ERR_DENIED);
	CHECK(call_sign_out(h->user, &(struct ask_sign_out){ .account = 1 }, &h->arena, &out,
			    in_ms(5000)) == ERR_DENIED);
	free(large);
}

static void the_store_is_asked_over_links(void **state)
{
	(void)state;
	run_house(by_link, world_real_new());
	run_house(by_link, world_sim_new(3));
}

/* The role is stopped while a channel holds an account, a maildrop and half an exchange. */
static void holding(struct house *h) WAITS
{
	struct answer_password password = { 0 };
	struct answer_maildrop_open drop = { 0 };
	struct answer_sasl_start sasl = { 0 };

	CHECK(call_password(
		      h->user,
		      &(struct ask_password){ .user = S("anna@example.org"), .password = S("x") },
		      &h->arena, &password, in_ms(5000)) == OK);
	CHECK(password.state == SASL_DONE);
	CHECK(call_maildrop_open(h->user,
				 &(struct ask_maildrop_open){ .account = password.account },
				 &h->arena, &drop, in_ms(5000)) == OK);
	CHECK(call_maildrop_open(h->user,
				 &(struct ask_maildrop_open){ .account = password.account },
				 &h->arena, &drop, in_ms(5000)) == ERR_BUSY);
	CHECK(call_sasl_start(h->user, &(struct ask_sasl_start){ .mechanism = S("LOGIN") },
			      &h->arena, &sasl, in_ms(5000)) == OK);
	CHECK(sasl.state == SASL_CONTINUE);
}

static void a_role_that_stops_lets_go_of_what_its_channels_hold(void **state)
{
	(void)state;
	run_house_with(any_password, holding, world_real_new());
	run_house_with(any_password, holding, world_sim_new(4));
}

/* ---- over the control socket ---- */

struct asking {
	struct house *house;
	const char *command;
	json_t *arguments;
	json_t *rows, *last;
	char error[400];
	enum err err;
};

static bool take_row(void *context, const json_t *row)
{
	struct asking *asking = context;

	json_array_append_new(asking->rows, json_deep_copy(row));
	return true;
}

/* The client's side blocks, so it runs on a worker. */
static void ask_on_worker(void *arg)
{
	struct asking *a = arg;
	struct control_client *client = NULL;
	struct control_request request = { .command = a->command,
					   .arguments = a->arguments,
					   .row = take_row,
					   .context = a,
					   .timeout_ms = 20000 };

	a->err = control_open(a->house->control, &client);
	if (!a->err)
		a->err = control_ask(client, &request, &a->last);
	if (client)
		snprintf(a->error, sizeof(a->error), "%s", control_error(client));
	control_close(&client);
}

/* What the rows and the last line say, as one JSON text, or "ERR: " and the error. */
static const char *ask(struct house *house, const char *command, json_t *arguments) WAITS
{
	static char text[4000];
	struct asking a = { house, command, arguments, json_array(), NULL, "", OK };

	offload(OFFLOAD_WORK, ask_on_worker, &a);
	if (a.err) {
		snprintf(text, sizeof(text), "ERR: %s", a.error);
	} else {
		char *rows = json_dumps(a.rows, JSON_COMPACT);

		snprintf(text, sizeof(text), "%s", rows);
		free(rows);
	}
	json_decref(a.rows);
	json_decref(a.last);
	json_decref(a.arguments);
	return text;
}

static json_t *args1(const char *name, const char *value)
{
	return json_pack("{s:s}", name, value);
}

static json_t *args2(const char *name, const char *value, const char *name2, const char *value2)
{
	return json_pack("{s:s, s:s}", name, value, name2, value2);
}

static uint64_t sign_in(struct house *h, const char *name, const char *password) WAITS
{
	struct answer_password answer = { 0 };

	CHECK(call_password(
		      h->user,
		      &(struct ask_password){ .user = str_of(name), .password = str_of(password) },
		      &h->arena, &answer, in_ms(20000)) == OK);
	return answer.state == SASL_DONE ? answer.account : 0;
}

#define SAYS(text, what)                                                                           \
	do {                                                                                       \
		const char *said = (text);                                                         \
                                                                                                   \
		CHECK(strstr(said, (what)) != NULL);                                               \
	} while (0)
#define FAILS(text, what)                                                                          \
	do {                                                                                       \
		const char *said = (text);                                                         \
                                                                                                   \
		CHECK(strncmp(said, "ERR: ", 5) == 0 && strstr(said, (what)));                     \
	} while (0)

static void accounts(struct house *h) WAITS
{
	const char *text;

	FAILS(ask(h, "account add", args1("address", "anna@example.net")), "glasspost domain add");
	FAILS(ask(h, "account add", args1("address", "no address")), "not a mail address");
	FAILS(ask(h, "account add", NULL), "address");
	SAYS(ask(h, "domain add", args1("domain", "M\xc3\xbcnchen.example")), "[]");
	FAILS(ask(h, "domain add", args1("domain", "xn--mnchen-3ya.example")), "already");
	FAILS(ask(h, "domain add", args1("domain", "two words")), "not a domain");
	SAYS(ask(h, "account add",
		 json_pack("{s:s, s:s, s:s}", "address", "Anna@Example.org", "password", "pencil",
			   "quota", "2M")),
	     "[]");
	FAILS(ask(h, "account add", args2("address", "anna@example.org", "password", "x")),
	      "already");
	FAILS(ask(h, "account add", args2("address", "b@example.org", "quota", "2X")), "size");
	text = ask(h, "account list", NULL);
	SAYS(text, "\"anna@example.org\"");
	SAYS(text, "\"quota\":2097152");
	SAYS(text, "postmaster@example.org");
	CHECK(!strstr(text, "pencil") && !strstr(text, "argon2"));
	SAYS(ask(h, "account list", args1("domain", "example.net")), "[]");
	CHECK(sign_in(h, "anna@example.org", "pencil") != 0);
	CHECK(sign_in(h, "anna@example.org", "wrong") == 0);
	SAYS(ask(h, "account password", args2("address", "anna@example.org", "password", "pen")),
	     "[]");
	CHECK(sign_in(h, "anna@example.org", "pencil") == 0); /* nor from memory */
	CHECK(sign_in(h, "anna@example.org", "pen") != 0);
	FAILS(ask(h, "account password", args2("address", "x@example.org", "password", "y")),
	      "no account");
	FAILS(ask(h, "account password", args1("address", "anna@example.org")), "password");
	FAILS(ask(h, "domain delete", args1("domain", "example.org")), "accounts");
	FAILS(ask(h, "domain delete", args1("domain", "nowhere.example")), "no domain");
	SAYS(ask(h, "domain delete", args1("domain", "xn--mnchen-3ya.example")), "[]");
}

static void accounts_and_domains_come_and_go_by_command(void **state)
{
	(void)state;
	run_house(accounts, world_real_new());
}

static json_t *alias(const char *address, const char *target)
{
	return json_pack("{s:s, s:[s]}", "address", address, "targets", target);
}

static void aliases(struct house *h) WAITS
{
	SAYS(ask(h, "account add", args1("address", "anna@example.org")), "[]");
	SAYS(ask(h, "alias add", alias("Info@example.org", "anna@example.org")), "[]");
	SAYS(ask(h, "alias add", alias("@example.org", "info@example.org")), "[]");
	FAILS(ask(h, "alias add", alias("info@example.org", "ANNA@example.org")), "already");
	SAYS(ask(h, "alias add", alias("out@example.org", "Ann@Elsewhere.example")), "[]");
	FAILS(ask(h, "alias add", alias("info@elsewhere.example", "anna@example.org")),
	      "none of our domains");
	FAILS(ask(h, "alias add", args1("address", "x@example.org")), "target");
	SAYS(ask(h, "alias list", NULL),
	     "{\"address\":\"info@example.org\",\"target\":\"anna@example.org\"}");
	/* Elsewhere the case may matter. */
	SAYS(ask(h, "alias list", NULL),
	     "{\"address\":\"out@example.org\",\"target\":\"Ann@elsewhere.example\"}");
	CHECK(deliver(h, 1, S("whoever@example.org"), S("x\r\n")) == DELIVERY_DONE);
	SAYS(ask(h, "account list", NULL), "\"messages\":1");
	SAYS(ask(h, "store check", json_pack("{s:b}", "deep", 1)), "[]");
	SAYS(ask(h, "store stats", NULL), "\"messages\":1");
	SAYS(ask(h, "store compact", NULL), "[]");
	/* With the account go its mail and the aliases that led to it. */
	SAYS(ask(h, "account delete", args1("address", "anna@example.org")), "[]");
	CHECK(!strstr(ask(h, "alias list", NULL), "anna@"));
	CHECK(deliver(h, 2, S("anna@example.org"), S("x\r\n")) == DELIVERY_LOOP);
	FAILS(ask(h, "store check", NULL), "complaints");
	SAYS(ask(h, "alias delete", args1("address", "@example.org")), "[]");
	FAILS(ask(h, "alias delete", args1("address", "@example.org")), "no alias");
	SAYS(ask(h, "store check", NULL), "[]");
	CHECK(deliver(h, 2, S("anna@example.org"), S("x\r\n")) == DELIVERY_UNKNOWN);
	SAYS(ask(h, "store stats", NULL), "\"messages\":0");
}

static void aliases_lead_where_they_are_told(void **state)
{
	(void)state;
	run_house(aliases, world_real_new());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_store_is_asked_over_links),
		cmocka_unit_test(a_role_that_stops_lets_go_of_what_its_channels_hold),
		cmocka_unit_test(accounts_and_domains_come_and_go_by_command),
		cmocka_unit_test(aliases_lead_where_they_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
