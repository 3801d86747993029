/* SPDX-License-Identifier: Apache-2.0 */
/* A role that only takes notes, led through its life by hand and over a boss channel. */
#include "role/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static char notes[400];

static void note(const char *word)
{
	size_t len = strlen(notes);

	snprintf(notes + len, sizeof notes - len, "%s%s", len ? " " : "", word);
}

static enum err note_begin(struct role *role) WAITS
{
	note("begin");
	return str_is(role->config->hostname, S("unlucky.example"))
		       ? fault(ERR_IO, "the disk is gone")
		       : OK;
}

static enum err note_listen(struct role *role, struct str name, struct listener *listener) WAITS
{
	char word[60];

	(void)role;
	snprintf(word, sizeof word, "listen:%.*s", STR_ARGS(name));
	note(word);
	listener_drop(&listener);
	return OK;
}

static enum err note_reload(struct role *role) WAITS
{
	char word[60];

	snprintf(word, sizeof word, "reload:%.*s", STR_ARGS(role->config->hostname));
	note(word);
	if (str_is(role->certificate.chain, S("bad")))
		return fault(ERR_TLS, "as the test wants it");
	return str_is(role->config->hostname, S("unlucky.example"))
		       ? fault(ERR_IO, "the disk is gone")
		       : OK;
}

static void note_stop(struct role *role, moment deadline) WAITS
{
	(void)role;
	must(deadline >= now());
	note("stop");
}

static void note_end(struct role *role) WAITS
{
	must(role->fibers.count == 0);
	note("end");
}

static enum err serve_room(struct link_call *call, const struct ask_room *ask,
			   struct answer_room *answer) WAITS
{
	(void)call;
	answer->enough = ask->size < 1000;
	return OK;
}

static const struct link_handlers store_handlers = { .room = serve_room };
static const struct role_ops store_ops = {
	.kind = ROLE_STORE,
	.begin = note_begin,
	.listen = note_listen,
	.reload = note_reload,
	.stop = note_stop,
	.end = note_end,
	.serves = &store_handlers,
};
static const struct role_ops gate_ops = { .kind = ROLE_GATE_MX };

static struct role_boot boot_with(const char *config)
{
	static const struct str overrides[] = { S("port_base=20000") };

	return (struct role_boot){ .config = str_of(config),
				   .config_name = S("glasspost.conf"),
				   .folder = S("/nowhere"),
				   .overrides = overrides,
				   .override_count = 1,
				   .index = 2 };
}

static struct listener *some_listener(uint16_t port)
{
	struct addr at;
	struct listener *listener;

	must(addr_parse(S("127.0.0.1:25"), &at));
	at.port = port;
	must(listener_new(&at, 5, &listener) == OK);
	return listener;
}

/* ---- the world these run in ---- */

struct scene {
	void (*play)(void);
};

static void scene_fiber(void *arg)
{
	((struct scene *)arg)->play();
}

static void in_the_simulated_world(void (*play)(void))
{
	struct world *world = world_sim_new(1);
	struct scene scene = { play };

	notes[0] = '\0';
	assert_int_equal(world_spawn(world, "scene", scene_fiber, &scene), OK);
	world_run(world);
	world_drop(&world);
}

/* ---- scenes: an assertion of cmocka would jump off the fiber's stack, so they use must ---- */

static bool has_certificate(const struct role *role, const char *chain, const char *client_ca)
{
	return str_is(role->certificate.chain, str_of(chain)) &&
	       str_is(role->certificate.client_ca, str_of(client_ca));
}

static void play_life(void) WAITS
{
	const struct role_certificate first = { S("c1"), S("k1"), S("ca1") };
	const struct role_certificate second = { S("c2"), S("k2"), S("ca2") };
	const struct role_certificate bad = { S("bad"), S("k3"), S("ca3") };
	struct role *role = role_new(&store_ops);
	struct role_boot boot = boot_with("hostname = one.example\n");

	must(role_begin(role) == ERR_PROTOCOL); /* nobody knows its configuration */
	must(role_set_up(role, &boot) == OK);
	must(role_set_up(role, &boot) == ERR_PROTOCOL);
	must(role->index == 2);
	must(strcmp(role->folder, "/nowhere") == 0);
	must(config_listener(role->config, S("mx"))->real_port == 20025);
	must(role_reload(role, S("hostname = two.example\n"), NULL) == ERR_PROTOCOL);
	must(role_set_certificate(role, &first) == OK);
	must(role_listen(role, S("mx"), some_listener(25)) == OK);
	must(strcmp(notes, "") == 0); /* all that came early waits for begin */
	must(role_begin(role) == OK);
	must(role_listen(role, S("late"), some_listener(26)) == OK);
	must(role_set_certificate(role, &second) == ERR_PROTOCOL);
	must(has_certificate(role, "c1", "ca1"));
	must(role_reload(role, S("hostname = two.example\n"), &second) == OK);
	must(has_certificate(role, "c2", "ca2"));
	must(config_listener(role->config, S("mx"))->real_port == 20025);
	must(role_reload(role, S("hostnam = x\n"), &first) == ERR_CONFIG);
	must(strstr(fault_text(), "did you mean hostname?") != NULL);
	must(str_is(role->config->hostname, S("two.example")));
	/* What fails leaves the role as it was. */
	must(role_reload(role, S("hostname = unlucky.example\n"), &first) == ERR_IO);
	must(str_is(role->config->hostname, S("two.example")));
	must(has_certificate(role, "c2", "ca2") && str_is(role->certificate.key, S("k2")));
	must(role_reload(role, S("hostname = three.example\n"), &bad) == ERR_TLS);
	must(str_is(role->config->hostname, S("two.example")));
	must(has_certificate(role, "c2", "ca2") && str_is(role->certificate.key, S("k2")));
	must(role_reload(role, S("hostname = four.example\n"), NULL) == OK);
	must(has_certificate(role, "c2", "ca2"));
	role_drop(&role);
	must(role == NULL);
}

static void play_failed_begin(void) WAITS
{
	struct role *role = role_new(&store_ops);
	struct role_boot boot = boot_with("hostname = unlucky.example\n");

	must(role_set_up(role, &boot) == OK);
	must(role_listen(role, S("mx"), some_listener(25)) == OK);
	must(role_begin(role) == ERR_IO);
	must(strcmp(fault_text(), "the disk is gone") == 0);
	role_drop(&role);
}

static void play_wiring(void) WAITS
{
	struct role *store = role_new(&store_ops);
	struct role *gate = role_new(&gate_ops);
	struct role_boot boot = boot_with("");
	struct arena arena = { 0 };
	struct answer_room answer;
	struct channel *ends[2];

	must(role_set_up(store, &boot) == OK);
	must(role_set_up(gate, &boot) == OK);
	must(channel_pair_memory(ends) == OK);
	must(role_wire(store, ROLE_GATE_MX, 0, ends[0], true) == OK);
	must(role_wire(gate, ROLE_STORE, 0, ends[1], false) == OK);
	must(role_begin(store) == OK);
	must(role_begin(gate) == OK);
	must(gate->filter == NULL);
	must(call_room(gate->store, &(struct ask_room){ .size = 5 }, &arena, &answer,
		       in_ms(1000)) == OK);
	must(answer.enough == 1);
	/* A gate serves nobody. */
	must(channel_pair_memory(ends) == OK);
	must(role_wire(gate, ROLE_STORE, 0, ends[0], true) == ERR_UNSUPPORTED);
	channel_drop(&ends[1]);
	role_drop(&store);
	must(call_room(gate->store, &(struct ask_room){ .size = 5 }, &arena, &answer,
		       in_ms(10000)) == ERR_GONE);
	role_drop(&gate);
	arena_drop(&arena);
}

static struct channel *role_end;

static void run_role_fiber(void *arg) WAITS
{
	(void)arg;
	role_run(&store_ops, role_end, true);
	note("over");
}

static enum err ask_boot(struct link *boss, struct arena *arena, const char *config) WAITS
{
	struct answer_boot answer;

	return call_boot(boss,
			 &(struct ask_boot){ .index = 1,
					     .config = body_of(str_of(config)),
					     .config_name = S("glasspost.conf"),
					     .folder = S("") },
			 arena, &answer, in_ms(1000));
}

static struct link *start_role(struct fiber_group *group)
{
	struct link *boss = link_new(ROLE_SUPERVISOR, ROLE_STORE);
	struct channel *ends[2];

	group_init(group);
	must(channel_pair_memory(ends) == OK);
	role_end = ends[1];
	must(fiber_spawn(group, "role", run_role_fiber, NULL, NULL) == OK);
	must(link_attach(boss, 0, ends[0]) == OK);
	return boss;
}

static void play_boss(void) WAITS
{
	struct fiber_group group;
	struct link *boss = start_role(&group);
	struct arena arena = { 0 };
	struct answer_begin begun;
	struct answer_reload reloaded;
	struct answer_stop stopped;
	const struct ask_reload reload = { .config = body_of(S("hostname = b.example\n")) };

	must(ask_boot(boss, &arena, "frobnicate = 1\n") == ERR_CONFIG);
	must(strstr(fault_text(), "glasspost.conf:1: frobnicate") != NULL);
	must(ask_boot(boss, &arena, "hostname = one.example\n") == OK);
	must(call_begin(boss, &(struct ask_begin){ 0 }, &arena, &begun, in_ms(1000)) == OK);
	must(call_reload(boss, &reload, &arena, &reloaded, in_ms(1000)) == OK);
	must(call_stop(boss, &(struct ask_stop){ .grace_ms = 100 }, &arena, &stopped,
		       in_ms(1000)) == OK);
	must(strcmp(notes, "begin reload:b.example stop") == 0);
	link_drop(&boss); /* the role finds out and ends by itself */
	must(group_wait(&group, in_ms(5000)) == OK);
	arena_drop(&arena);
}

static void play_boss_dies(void) WAITS
{
	struct fiber_group group;
	struct link *boss = start_role(&group);
	struct arena arena = { 0 };
	struct answer_begin begun;

	must(ask_boot(boss, &arena, "") == OK);
	must(call_begin(boss, &(struct ask_begin){ 0 }, &arena, &begun, in_ms(1000)) == OK);
	link_drop(&boss);
	must(group_wait(&group, in_ms(5000)) == OK);
	arena_drop(&arena);
}

/* Unwinds when it is stopped, if it is only given the time. */
static void take_a_step_fiber(void *arg) WAITS
{
	(void)arg;
	must(fiber_sleep(NEVER) == ERR_STOPPED);
	note("unwound");
}

static void stopped_fiber(void *arg) WAITS
{
	struct role *role = arg;

	fiber_stop(fiber_self());
	role_drop(&role);
	note("dropped");
}

static void play_stopped_stop(void) WAITS
{
	struct role_boot boot = boot_with("hostname = one.example\n");
	struct role *role = role_new(&store_ops);
	struct fiber_group group;

	group_init(&group);
	must(role_set_up(role, &boot) == OK);
	must(role_begin(role) == OK);
	must(fiber_spawn(&role->fibers, "step", take_a_step_fiber, NULL, NULL) == OK);
	must(fiber_yield() == OK);
	must(fiber_spawn(&group, "stopped", stopped_fiber, role, NULL) == OK);
	must(group_wait(&group, in_ms(5000)) == OK);
}

/* The answer to one request on the control socket at port 99. */
static void ask_control(const char *request, char *answer, size_t room) WAITS
{
	struct stream *stream;
	struct addr at;
	size_t len = 0;
	size_t got;

	must(addr_parse(S("127.0.0.1:99"), &at));
	must(stream_connect(&at, in_ms(1000), &stream) == OK);
	must(stream_write(stream, str_of(request), in_ms(1000)) == OK);
	stream_shut(stream);
	while (len < room - 1 &&
	       stream_read(stream, answer + len, room - 1 - len, in_ms(1000), &got) == OK)
		len += got;
	answer[len] = '\0';
	stream_drop(&stream);
}

static void play_control(void) WAITS
{
	struct role *role = role_new(&store_ops);
	struct role_boot boot = boot_with("");
	char answer[4096];

	must(role_set_up(role, &boot) == OK);
	must(role_listen(role, S("control"), some_listener(99)) == OK);
	must(role_begin(role) == OK);
	ask_control("{\"command\":\"version\"}\n", answer, sizeof answer);
	must(strstr(answer, "\"role\":\"store\"") != NULL);
	must(strstr(answer, "{\"ok\":true}") != NULL);
	ask_control("{\"command\":\"fibers\"}\n", answer, sizeof answer);
	must(strstr(answer, "\"name\":\"control\"") != NULL);
	ask_control("{\"command\":\"stats\"}\n", answer, sizeof answer);
	must(strstr(answer, "\"switches\":") != NULL);
	role_drop(&role);
}

/* ---- the tests ---- */

static void a_role_lives_from_boot_to_end_in_order(void **state)
{
	(void)state;
	in_the_simulated_world(play_life);
	assert_string_equal(notes, "begin listen:mx listen:late reload:two.example "
				   "reload:unlucky.example reload:three.example "
				   "reload:four.example stop end");
}

static void a_begin_that_fails_is_neither_stopped_nor_ended(void **state)
{
	(void)state;
	in_the_simulated_world(play_failed_begin);
	assert_string_equal(notes, "begin");
}

static void roles_are_wired_to_ask_one_another(void **state)
{
	(void)state;
	in_the_simulated_world(play_wiring);
	assert_string_equal(notes, "begin stop end");
}

static void the_boss_channel_leads_through_the_same_life(void **state)
{
	(void)state;
	in_the_simulated_world(play_boss);
	assert_string_equal(notes, "begin reload:b.example stop end over");
}

static void a_role_whose_boss_died_stops_and_ends(void **state)
{
	(void)state;
	in_the_simulated_world(play_boss_dies);
	assert_string_equal(notes, "begin stop end over");
}

static void play_listeners(void) WAITS
{
	struct role_boot boot = boot_with("hostname = one.example\n");
	struct role *role = role_new(&store_ops);

	must(role_set_up(role, &boot) == OK);
	must(role_begin(role) == OK);
	for (int i = 0; i < 300; i++)
		must(role_listen(role, S("mx"), some_listener(26)) == OK);
	role_drop(&role);
}

static void reloads_may_give_a_role_listener_after_listener(void **state)
{
	(void)state;
	in_the_simulated_world(play_listeners);
}

static void who_is_stopped_himself_still_sees_a_role_to_its_end(void **state)
{
	(void)state;
	in_the_simulated_world(play_stopped_stop);
	assert_string_equal(notes, "begin stop unwound end dropped");
}

static void every_role_answers_the_common_commands(void **state)
{
	(void)state;
	in_the_simulated_world(play_control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_lives_from_boot_to_end_in_order),
		cmocka_unit_test(a_begin_that_fails_is_neither_stopped_nor_ended),
		cmocka_unit_test(roles_are_wired_to_ask_one_another),
		cmocka_unit_test(the_boss_channel_leads_through_the_same_life),
		cmocka_unit_test(a_role_whose_boss_died_stops_and_ends),
		cmocka_unit_test(reloads_may_give_a_role_listener_after_listener),
		cmocka_unit_test(who_is_stopped_himself_still_sees_a_role_to_its_end),
		cmocka_unit_test(every_role_answers_the_common_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
