/* SPDX-License-Identifier: Apache-2.0 */
/* The gate led through its life in either world: who may come in, reload, certificates, stop. */
#include "gate/gate.h"
#include "gate/port.h"
#include "net/net.h"
#include "stage/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { LONG_MS = 60'000 };

/* A gate, the roles behind it, and the address of its only listener. */
struct scene {
	void (*play)(struct scene *scene) WAITS;
	const char *protocol; /* NULL: smtp */
	const char *options;  /* general ones */
	const char *listener; /* the listener's */
	struct role *role;
	struct fiber_group house;
	struct addr at;
	size_t delivered;
	int64_t deliver_ms;
	struct arena arena;
	bool is_over;
};

/* ---- the house behind ---- */

static enum err on_recipient(struct link_call *call, const struct ask_recipient *ask,
			     struct answer_recipient *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->verdict = RECIPIENT_LOCAL;
	return OK;
}

static enum err on_room(struct link_call *call, const struct ask_room *ask,
			struct answer_room *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->enough = 1;
	return OK;
}

static enum err on_deliver(struct link_call *call, const struct ask_deliver *ask,
			   struct answer_deliver *answer) WAITS
{
	struct scene *scene = call->context;
	uint64_t *outcomes = NEW_ARRAY(call->arena, uint64_t, ask->recipients.count);

	if (scene->deliver_ms && fiber_sleep(in_ms(scene->deliver_ms)) != OK)
		return ERR_STOPPED;
	scene->delivered++;
	answer->outcomes = (struct u64s){ outcomes, ask->recipients.count };
	return OK;
}

static enum err on_inspect(struct link_call *call, const struct ask_inspect *ask,
			   struct answer_inspect *answer) WAITS
{
	(void)call;
	(void)ask;
	answer->verdict = INSPECT_ACCEPT;
	return OK;
}

static const char listed[] = "allow 203.0.113.7/32\ndeny 203.0.113.0/24\nrelay 192.0.2.0/24\n"
			     "deny 192.0.2.1/32\nallow 10.0.0.0/8\n";

static enum err on_networks(struct link_call *call, const struct ask_networks *ask,
			    struct answer_networks *answer) WAITS
{
	(void)call;
	if (ask->known) /* it never changes */
		return fiber_sleep(in_ms((int64_t)ask->wait_ms)) ? ERR_STOPPED : OK;
	answer->version = 1;
	answer->list = body_of(str_of(listed));
	return OK;
}

static const struct link_handlers store = {
	.networks = on_networks, .recipient = on_recipient, .room = on_room, .deliver = on_deliver
};
static const struct link_handlers filter = { .inspect = on_inspect };

static void wire(struct scene *scene, enum role_kind other, const struct link_handlers *handlers)
{
	struct channel *ends[2];

	must(channel_pair_memory(ends) == OK);
	must(link_serve(ends[0], other, ROLE_GATE_MX, 0, handlers, scene, &scene->house) == OK);
	must(role_wire(scene->role, other, 0, ends[1], false) == OK);
}

/* ---- setting up and taking down ---- */

static struct str config_text(const struct scene *scene, struct buf *out, const char *hostname)
{
	buf_reset(out);
	buf_print(out, "hostname = \"%s\"\n%s\nlistener \"mx\" {\nprotocol = %s\n%s\n}\n", hostname,
		  scene->options ? scene->options : "", scene->protocol ? scene->protocol : "smtp",
		  scene->listener ? scene->listener : "");
	must(!out->failed);
	return buf_str(out);
}

static void certify(struct role *role)
{
	OWNED(buf) struct buf chain = BUF(8192);
	OWNED(buf) struct buf key = BUF(8192);

	certificate_print("one.example", &chain, &key);
	must(role_set_certificate(role, &(struct role_certificate){ .chain = buf_str(&chain),
								    .key = buf_str(&key) }) == OK);
}

static void scene_fiber(void *arg) WAITS
{
	struct scene *scene = arg;
	OWNED(buf) struct buf text = BUF(8192);
	struct role_boot boot = { .config_name = S("test.conf") };
	struct listener *listener;

	group_init(&scene->house);
	boot.config = config_text(scene, &text, "one.example");
	scene->role = role_new(&gate_mx_role);
	must(role_set_up(scene->role, &boot) == OK);
	certify(scene->role);
	wire(scene, ROLE_STORE, &store);
	wire(scene, ROLE_FILTER, &filter);
	must(role_begin(scene->role) == OK);
	must(addr_parse(S("127.0.0.1:0"), &scene->at));
	scene->at.port = world_is_simulated(world_here()) ? 25 : 0;
	must(listener_new(&scene->at, 64, &listener) == OK);
	scene->at = *listener_address(listener);
	must(role_listen(scene->role, S("mx"), listener) == OK);
	scene->play(scene);
	role_drop(&scene->role);
	group_stop(&scene->house);
	must(group_wait(&scene->house, in_ms(LONG_MS)) == OK);
	scene->is_over = true;
}

static void play(const struct scene *plan, bool simulated)
{
	struct world *world = simulated ? world_sim_new(3) : world_real_new();
	struct scene scene = *plan;

	trace_set_clock(now, wall_us);
	assert_int_equal(world_spawn(world, "scene", scene_fiber, &scene), OK);
	world_run(world);
	world_drop(&world);
	assert_true(scene.is_over);
	arena_drop(&scene.arena);
}

/* ---- a client ---- */

static struct conn *dial(struct scene *scene) WAITS
{
	struct stream *stream;

	must(stream_connect(&scene->at, in_ms(LONG_MS), &stream) == OK);
	return conn_new(stream);
}

static bool hears(struct conn *conn, const char *start) WAITS
{
	struct str line;

	do {
		if (conn_read_line(conn, 1000, LINE_CRLF_ONLY, in_ms(LONG_MS), &line) != OK)
			return false;
	} while (line.len > 3 && line.at[3] == '-');
	return str_starts(line, str_of(start));
}

static void says(struct conn *conn, const char *text) WAITS
{
	must(conn_write(conn, str_of(text), in_ms(LONG_MS)) == OK);
	must(conn_flush(conn, in_ms(LONG_MS)) == OK);
}

static bool is_closed(struct conn *conn) WAITS
{
	enum err err;

	conn_take(conn, conn_input(conn).len);
	err = conn_fill(conn, in_ms(LONG_MS));
	return err == ERR_CLOSED || err == ERR_RESET;
}

static bool sends_mail(struct scene *scene) WAITS
{
	struct conn *conn = dial(scene);
	bool is_taken = hears(conn, "220 ");

	says(conn, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n");
	is_taken = is_taken && hears(conn, "250 ") && hears(conn, "250 ") && hears(conn, "250 ") &&
		   hears(conn, "354 ");
	says(conn, "Subject: x\r\n\r\ny\r\n.\r\nQUIT\r\n");
	is_taken = is_taken && hears(conn, "250 ") && hears(conn, "221 ");
	is_taken = is_taken && is_closed(conn);
	conn_drop(&conn);
	return is_taken;
}

/* ---- the scenes ---- */

static void mail_comes_in(struct scene *scene) WAITS
{
	must(sends_mail(scene));
	must(sends_mail(scene));
	must(scene->delivered == 2);
}

static void too_many(struct scene *scene) WAITS
{
	struct conn *one = dial(scene);
	struct conn *two = dial(scene);
	struct conn *three;

	must(hears(one, "220 ") && hears(two, "220 "));
	three = dial(scene);
	must(hears(three, "421 4.7.0 Too many"));
	must(is_closed(three));
	conn_drop(&three);
	says(one, "QUIT\r\n");
	must(hears(one, "221 ") && is_closed(one));
	conn_drop(&one);
	must(!fiber_sleep(in_ms(50)));
	must(sends_mail(scene));
	conn_drop(&two);
}

static void too_many_in_all(struct scene *scene) WAITS
{
	struct conn *in[10];
	struct conn *out;

	for (size_t i = 0; i < COUNT_OF(in); i++) {
		in[i] = dial(scene);
		must(hears(in[i], "220 "));
	}
	out = dial(scene);
	must(hears(out, "421 4.3.2 one.example has too many"));
	must(is_closed(out));
	conn_drop(&out);
	for (size_t i = 0; i < COUNT_OF(in); i++)
		conn_drop(&in[i]);
}

/* Nine tenths in use: the silent have to make room soon. */
static void under_stress(struct scene *scene) WAITS
{
	struct conn *in[9];
	moment start = now();

	for (size_t i = 0; i < COUNT_OF(in); i++) {
		in[i] = dial(scene);
		must(hears(in[i], "220 "));
		says(in[i], "NOOP\r\n"); /* what waits already keeps its patience */
		must(hears(in[i], "250 "));
	}
	must(hears(in[8], "421 4.4.2 "));
	must(now() - start < 10'000'000);
	for (size_t i = 0; i < COUNT_OF(in); i++)
		conn_drop(&in[i]);
}

/* Strangers who say nothing do not keep the users out of their mail. */
static void under_stress_pop3(struct scene *scene) WAITS
{
	OWNED(buf) struct buf text = BUF(8192);
	struct conn *in[9];
	moment start = now();

	scene->protocol = "pop3";
	must(role_reload(scene->role, config_text(scene, &text, "one.example"), NULL) == OK);
	for (size_t i = 0; i < COUNT_OF(in); i++) {
		in[i] = dial(scene);
		must(hears(in[i], "+OK "));
	}
	says(in[8], "NOOP\r\n");
	must(hears(in[8], "-ERR ") && is_closed(in[8]));
	must(now() - start < 10'000'000);
	for (size_t i = 0; i < COUNT_OF(in); i++)
		conn_drop(&in[i]);
}

/* The same nine are nine tenths once there may be ten. */
static void under_stress_by_a_reload(struct scene *scene) WAITS
{
	OWNED(buf) struct buf text = BUF(8192);
	struct conn *in[9];

	for (size_t i = 0; i < COUNT_OF(in); i++) {
		in[i] = dial(scene);
		must(hears(in[i], "220 "));
	}
	scene->options = "connections_max = 10\nsession_stress_idle = 1s\n";
	must(role_reload(scene->role, config_text(scene, &text, "one.example"), NULL) == OK);
	says(in[8], "NOOP\r\n");
	must(hears(in[8], "250 ") && hears(in[8], "421 4.4.2 "));
	for (size_t i = 0; i < COUNT_OF(in); i++)
		conn_drop(&in[i]);
}

static void not_welcome(struct scene *scene) WAITS
{
	struct conn *conn = dial(scene);

	must(hears(conn, "554 5.7.1 "));
	must(is_closed(conn));
	conn_drop(&conn);
}

static void behind_a_proxy(struct scene *scene) WAITS
{
	struct conn *welcome = dial(scene);
	struct conn *denied = dial(scene);
	struct conn *none = dial(scene);

	must(conn_fill(welcome, in_ms(200)) == ERR_TIMEOUT); /* the proxy speaks first */
	says(welcome, "PROXY TCP4 198.51.100.1 127.0.0.1 40000 25\r\n");
	must(hears(welcome, "220 "));
	says(denied, "PROXY TCP4 203.0.113.7 127.0.0.1 40000 25\r\n");
	must(hears(denied, "554 5.7.1 ") && is_closed(denied));
	says(none, "EHLO no proxy\r\n");
	must(is_closed(none));
	conn_drop(&welcome);
	conn_drop(&denied);
	conn_drop(&none);
}

/* The store's list comes after the configuration's, and the first that matches decides. */
static void not_welcome_by_the_list(struct scene *scene) WAITS
{
	static const struct {
		const char *from, *hears;
	} rows[] = {
		{ "203.0.113.7", "220 " },  { "203.0.113.8", "554 5.7.1 " },
		{ "203.0.113.99", "220 " }, { "192.0.2.1", "220 " },
		{ "198.51.100.1", "220 " }, { "10.0.0.1", "554 5.7.1 " },
	};
	char line[100];

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct conn *conn = dial(scene);

		snprintf(line, sizeof(line), "PROXY TCP4 %s 127.0.0.1 40000 25\r\n", rows[i].from);
		says(conn, line);
		must(hears(conn, rows[i].hears));
		conn_drop(&conn);
	}
}

static void tls_from_the_first_octet(struct scene *scene) WAITS
{
	struct tls_context *tls;
	struct conn *conn = dial(scene);
	struct conn *clear = dial(scene);

	must(tls_client_context_new(S(""), &tls) == OK);
	must(conn_start_tls_client(conn, tls, S("one.example"), in_ms(LONG_MS)) == OK);
	must(hears(conn, "220 one.example "));
	says(clear, "EHLO x\r\n");
	must(is_closed(clear));
	conn_drop(&conn);
	conn_drop(&clear);
	tls_context_unref(&tls);
}

/* Old sessions keep what they began with; new ones see the new. */
static void reloading(struct scene *scene) WAITS
{
	OWNED(buf) struct buf text = BUF(8192);
	struct conn *old = dial(scene);
	struct conn *fresh;

	must(hears(old, "220 one.example "));
	must(role_reload(scene->role, config_text(scene, &text, "two.example"), NULL) == OK);
	fresh = dial(scene);
	must(hears(fresh, "220 two.example "));
	says(old, "EHLO c\r\n");
	must(hears(old, "250 "));
	says(old, "QUIT\r\n");
	must(hears(old, "221 2.0.0 one.example "));
	must(role_reload(scene->role, S("hostname = \n"), NULL) != OK);
	must(sends_mail(scene));
	conn_drop(&old);
	conn_drop(&fresh);
}

static void reloading_without_the_listener(struct scene *scene) WAITS
{
	struct conn *old = dial(scene);
	struct stream *stream;

	must(hears(old, "220 "));
	must(role_reload(scene->role,
			 S("hostname = one.example\nlistener \"other\" {\nprotocol = smtp\n}\n"),
			 NULL) == OK);
	must(!fiber_sleep(in_ms(50)));
	must(stream_connect(&scene->at, in_ms(500), &stream) != OK);
	says(old, "EHLO c\r\n");
	must(hears(old, "250 "));
	conn_drop(&old);
}

/* Whoever gives it is told; the one before it serves on, and with it the configuration. */
static void a_broken_certificate(struct scene *scene) WAITS
{
	const struct role_certificate nonsense = { S("nonsense"), S("nonsense"), S("nonsense") };
	OWNED(buf) struct buf text = BUF(8192);
	struct str before = str_dup(&scene->arena, scene->role->certificate.chain);
	struct tls_context *tls;
	struct conn *conn;

	must(role_reload(scene->role, config_text(scene, &text, "two.example"), &nonsense) ==
	     ERR_TLS);
	must(strstr(fault_text(), "listener mx: "));
	must(str_is(scene->role->certificate.chain, before));
	must(scene->role->certificate.client_ca.len == 0);
	conn = dial(scene);
	must(hears(conn, "220 one.example "));
	says(conn, "EHLO c\r\nSTARTTLS\r\n");
	must(hears(conn, "250 ") && hears(conn, "220 "));
	must(tls_client_context_new(before, &tls) == OK);
	must(conn_start_tls_client(conn, tls, S("one.example"), in_ms(LONG_MS)) == OK);
	tls_context_unref(&tls);
	conn_drop(&conn);
	must(sends_mail(scene));
}

static void stop_fiber(void *arg) WAITS
{
	struct scene *scene = arg;

	role_stop(scene->role, 10'000);
}

/* The idle are told at once; a commit under way ends in its 250. */
static void stopping(struct scene *scene) WAITS
{
	struct fiber_group group;
	struct conn *idle = dial(scene);
	struct conn *busy = dial(scene);
	struct stream *stream;
	moment start;

	group_init(&group);
	must(hears(idle, "220 ") && hears(busy, "220 "));
	says(busy, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n");
	must(hears(busy, "250 ") && hears(busy, "250 ") && hears(busy, "250 ") &&
	     hears(busy, "354 "));
	scene->deliver_ms = 300;
	says(busy, "x\r\n.\r\n");
	must(!fiber_sleep(in_ms(50)));
	start = now();
	must(fiber_spawn(&group, "stop", stop_fiber, scene, NULL) == OK);
	must(hears(idle, "421 4.3.2 ") && is_closed(idle));
	must(hears(busy, "250 2.0.0 ") && hears(busy, "421 ") && is_closed(busy));
	conn_drop(&idle);
	conn_drop(&busy);
	must(group_wait(&group, in_ms(LONG_MS)) == OK);
	must(now() - start < 5'000'000);
	must(scene->delivered == 1);
	must(stream_connect(&scene->at, in_ms(500), &stream) != OK);
}

/* 300,000 octets are more than one address may have in memory; what they took is given back. */
static void too_much_in_memory(struct scene *scene) WAITS
{
	static char lines[300'001];
	struct conn *conn = dial(scene);

	for (size_t i = 0; i < sizeof(lines) - 1; i++)
		lines[i] = "123456789012345678901234567890123456789012345678\r\n"[i % 50];
	for (int i = 0; i < 2; i++) {
		must(hears(conn, i ? "250 " : "220 "));
		says(conn,
		     "HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n");
		must(hears(conn, "250 ") && hears(conn, "250 ") && hears(conn, "250 ") &&
		     hears(conn, "354 "));
		says(conn, lines);
		says(conn, ".\r\n");
		must(hears(conn, "452 4.3.1 "));
		says(conn, "RSET\r\n");
	}
	must(hears(conn, "250 "));
	conn_drop(&conn);
	must(sends_mail(scene));
}

/* Who guessed too often is not heard any more where passwords are taken, until it is forgotten. */
static void banned(struct scene *scene) WAITS
{
	OWNED(buf) struct buf text = BUF(8192);
	struct gate *gate = scene->role->state;
	struct conn *conn;

	scene->protocol = "submission";
	must(role_reload(scene->role, config_text(scene, &text, "one.example"), NULL) == OK);
	conn = dial(scene);
	must(hears(conn, "220 "));
	caps_blame(gate->caps, &CONTAINER_OF(gate->visits.next, struct visit, link)->counted, 5);
	conn_drop(&conn);
	conn = dial(scene);
	must(hears(conn, "421 4.7.0 ") && is_closed(conn));
	conn_drop(&conn);
	if (!world_is_simulated(world_here()))
		return;
	must(!fiber_sleep(in_ms(601'000)));
	conn = dial(scene);
	must(hears(conn, "220 "));
	conn_drop(&conn);
}

#define EXEMPT_NONE "connections_exempt = \"203.0.113.0/24\"\n"
#define SCENES(X)                                                                                  \
	X(mail_comes_in, NULL, NULL)                                                               \
	X(too_many, EXEMPT_NONE "connections_per_address = 2\n", NULL)                             \
	X(too_many_in_all, "connections_max = 10\n", NULL)                                         \
	X(under_stress, "connections_max = 10\nsession_stress_idle = 1s\n", NULL)                  \
	X(under_stress_by_a_reload, "connections_max = 20\nsession_stress_idle = 1s\n", NULL)      \
	X(under_stress_pop3, "connections_max = 10\nsession_stress_idle = 1s\n", NULL)             \
	X(too_much_in_memory, EXEMPT_NONE "message_memory_max = 1M\n", NULL)                       \
	X(banned, EXEMPT_NONE "login_failures_ban = 5\n", NULL)                                    \
	X(not_welcome, "networks_deny = \"!127.0.0.9, 127.0.0.0/8, 198.18.0.0/15\"\n", NULL)       \
	X(behind_a_proxy, NULL,                                                                    \
	  "proxies = \"127.0.0.0/8, 198.18.0.0/15\"\nnetworks_deny = \"203.0.113.7\"\n")           \
	X(not_welcome_by_the_list, NULL,                                                           \
	  "proxies = \"127.0.0.0/8, 198.18.0.0/15\"\nnetworks_deny = \"!203.0.113.99, "            \
	  "10.0.0.1\"\n")                                                                          \
	X(tls_from_the_first_octet, NULL, "tls = implicit\n")                                      \
	X(reloading, NULL, NULL)                                                                   \
	X(reloading_without_the_listener, NULL, NULL)                                              \
	X(a_broken_certificate, NULL, NULL)                                                        \
	X(stopping, NULL, NULL)

#define SCENE_TESTS(name, general, listener_options)                                               \
	static const struct scene name##_scene = { .play = name,                                   \
						   .options = general,                             \
						   .listener = listener_options };                 \
	static void name##_simulated(void **state)                                                 \
	{                                                                                          \
		(void)state;                                                                       \
		play(&name##_scene, true);                                                         \
	}                                                                                          \
	static void name##_real(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		play(&name##_scene, false);                                                        \
	}
SCENES(SCENE_TESTS)

int main(void)
{
#define SCENE_UNITS(name, general, listener_options)                                               \
	cmocka_unit_test(name##_simulated), cmocka_unit_test(name##_real),
	const struct CMUnitTest tests[] = { SCENES(SCENE_UNITS) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
