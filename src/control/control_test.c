/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/control.h"
#include "control/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A server in a real world, on the main thread; clients, which block, on a thread of their own. The
 * thread ends by asking for "stop".
 */
struct house {
	char folder[64];
	char path[128];
	int context;
	struct fiber_group group;
	struct fiber *acceptor;
	enum err served;
	void (*clients)(struct house *house);
	unsigned rows_sent;
	bool saw_gone;
};

static enum err run_echo(struct control_call *call) WAITS
{
	json_t *row = json_object();

	must(*(int *)call->context == 4711);
	json_object_set_new(row, "address", control_string(control_text(call, "address")));
	json_object_set_new(row, "count",
			    json_integer((json_int_t)control_number(call, "count", 7)));
	json_object_set_new(row, "flag", json_boolean(control_flag(call, "flag")));
	json_object_set_new(row, "has", json_boolean(control_has(call, "flag")));
	control_result(call, "done", json_string("echo"));
	return control_row(call, row);
}

static enum err run_rows(struct control_call *call) WAITS
{
	uint64_t count = control_number(call, "count", 0);
	enum err err = OK;

	for (uint64_t i = 0; !err && i < count; i++)
		err = control_row_text(
			call, S("{\"text\":\"0123456789012345678901234567890123456789\"}"));
	return err;
}

static enum err run_fail(struct control_call *call) WAITS
{
	return control_fail(call, "make it first", "no such thing: %s", "it");
}

static enum err run_world_fails(struct control_call *call) WAITS
{
	(void)call;
	return fault(ERR_IO, "the disk said no");
}

static enum err run_bare_failure(struct control_call *call) WAITS
{
	(void)call;
	return ERR_BUSY;
}

static enum err run_octets(struct control_call *call) WAITS
{
	json_t *row = json_object();

	json_object_set_new(row, "octets",
			    control_string(S("a\xff"
					     "b\n\xc3\xbc")));
	return control_row(call, row);
}

static enum err run_too_long(struct control_call *call) WAITS
{
	char *octets = calloc(1, LIMIT_control_line);
	enum err err;

	must(octets);
	memset(octets, 'x', LIMIT_control_line);
	err = control_row(call, json_pack("{s:s#}", "x", octets, (int)LIMIT_control_line));
	free(octets);
	return err;
}

static enum err run_follow(struct control_call *call) WAITS
{
	struct house *house = CONTAINER_OF((int *)call->context, struct house, context);

	while (!control_is_gone(call)) {
		enum err err = fiber_sleep(in_ms(5));

		if (err)
			return err;
	}
	house->saw_gone = true;
	return ERR_CLOSED;
}

static enum err run_stop(struct control_call *call) WAITS
{
	struct house *house = CONTAINER_OF((int *)call->context, struct house, context);

	fiber_stop(house->acceptor);
	return OK;
}

static const struct control_command commands[] = {
	{ "echo", run_echo },
	{ "rows", run_rows },
	{ "fail", run_fail },
	{ "world fails", run_world_fails },
	{ "bare failure", run_bare_failure },
	{ "octets", run_octets },
	{ "too long", run_too_long },
	{ NULL, NULL },
};
static const struct control_command more_commands[] = {
	{ "follow", run_follow },
	{ "stop", run_stop },
	{ NULL, NULL },
};
static const struct control_command *const tables[] = { commands, more_commands, NULL };

static void accept_fiber(void *arg) WAITS
{
	struct house *house = arg;
	struct listener *listener = NULL;
	struct addr addr = { .family = ADDR_UNIX };

	snprintf(addr.path, sizeof(addr.path), "%.100s", house->path);
	must(listener_new(&addr, 64, &listener) == OK);
	house->acceptor = fiber_self();
	house->served = control_serve(listener, tables, &house->context, &house->group);
	group_stop(&house->group);
	group_wait(&house->group, NEVER);
	listener_drop(&listener);
}

static struct control_client *client_of(const struct house *house)
{
	struct control_client *client = NULL;

	/* The server's fiber may not have bound its socket yet. */
	for (int i = 0; i < 500 && control_open(house->path, &client); i++)
		usleep(10000);
	must(client);
	return client;
}

static void *clients_thread(void *arg)
{
	struct house *house = arg;
	struct control_client *client = client_of(house);

	control_close(&client);
	house->clients(house);
	client = client_of(house);
	must(control_ask(client, &(struct control_request){ .command = "stop" }, NULL) == OK);
	control_close(&client);
	return NULL;
}

static void live(struct house *house, void (*clients)(struct house *house))
{
	struct world *world = world_real_new();
	pthread_t thread;

	*house = (struct house){ .context = 4711, .clients = clients };
	snprintf(house->folder, sizeof(house->folder), "/tmp/control-test-XXXXXX");
	assert_non_null(mkdtemp(house->folder));
	snprintf(house->path, sizeof(house->path), "%s/control", house->folder);
	group_init(&house->group);
	assert_int_equal(world_spawn(world, "accept", accept_fiber, house), OK);
	assert_int_equal(pthread_create(&thread, NULL, clients_thread, house), 0);
	world_run(world);
	pthread_join(thread, NULL);
	world_drop(&world);
	assert_int_equal(house->served, ERR_STOPPED);
	unlink(house->path);
	rmdir(house->folder);
}

/* ---- what the clients do; cmocka's asserts must stay on the main thread, so these use must ---- */

static bool keep_row(void *context, const json_t *row)
{
	json_t **kept = context;

	json_decref(*kept);
	*kept = json_deep_copy(row);
	return true;
}

static void ask_echo(struct house *house)
{
	struct control_client *client = client_of(house);
	json_t *arguments =
		json_pack("{s:s,s:i,s:b}", "address", "anna@example.org", "count", 3, "flag", 1);
	json_t *row = NULL;
	json_t *last = NULL;
	struct control_request request = { "echo", arguments, keep_row, &row, 5000, NULL };

	for (int i = 0; i < 3; i++) { /* one connection serves several requests */
		must(control_ask(client, &request, &last) == OK);
		must(!strcmp(json_string_value(json_object_get(last, "done")), "echo"));
		must(!strcmp(json_string_value(json_object_get(row, "address")),
			     "anna@example.org"));
		must(json_integer_value(json_object_get(row, "count")) == 3);
		must(json_is_true(json_object_get(row, "flag")));
		json_decref(last);
	}
	request.arguments = NULL;
	must(control_ask(client, &request, NULL) == OK);
	must(!strcmp(json_string_value(json_object_get(row, "address")), ""));
	must(json_integer_value(json_object_get(row, "count")) == 7);
	must(json_is_false(json_object_get(row, "has")));
	json_decref(row);
	json_decref(arguments);
	control_close(&client);
}

static void a_command_gets_its_arguments_and_streams_its_rows(void **state)
{
	struct house house;

	(void)state;
	live(&house, ask_echo);
}

static bool count_row(void *context, const json_t *row)
{
	must(json_is_string(json_object_get(row, "text")));
	return ++*(unsigned *)context != 77777;
}

static void ask_many_rows(struct house *house)
{
	struct control_client *client = client_of(house);
	json_t *arguments = json_pack("{s:i}", "count", 20000);
	unsigned count = 0;
	struct control_request request = { "rows", arguments, count_row, &count, 20000, NULL };

	must(control_ask(client, &request, NULL) == OK);
	must(count == 20000);
	/* Enough is enough: the client hangs up in the middle, and the server goes on living. */
	json_object_set_new(arguments, "count", json_integer(10000000));
	count = 77770;
	must(control_ask(client, &request, NULL) == ERR_STOPPED);
	control_close(&client);
	json_decref(arguments);
	ask_echo(house);
}

static void rows_flow_as_fast_as_the_client_reads_and_stop_when_it_goes(void **state)
{
	struct house house;

	(void)state;
	live(&house, ask_many_rows);
}

static void take_many_rows(struct house *house)
{
	json_t *arguments = json_pack("{s:i}", "count", 3000);
	unsigned seen = 0;
	unsigned takes = 0;
	struct control_request request = {
		.command = "rows", .arguments = arguments, .row = count_row, .context = &seen
	};
	struct control_client *client = client_of(house);
	enum err err = ERR_AGAIN;
	size_t rows;

	must(control_begin(client, &request) == OK);
	while (err == ERR_AGAIN) {
		struct pollfd readable = { control_descriptor(client), POLLIN, 0 };

		must(poll(&readable, 1, 10000) == 1);
		do {
			unsigned before = seen;

			err = control_take(client, &request, &rows);
			must(seen - before == rows && rows <= 600);
			takes += rows > 0;
		} while (err == ERR_AGAIN && rows > 0);
	}
	must(err == OK && seen == 3000 && takes > 3);
	/* The connection is as good as after control_ask. */
	must(control_ask(client, &(struct control_request){ .command = "echo" }, NULL) == OK);
	must(control_begin(client, &(struct control_request){ .command = "fail" }) == OK);
	do
		err = control_take(client, &(struct control_request){ .command = "fail" }, &rows);
	while (err == ERR_AGAIN);
	must(err == ERR_DENIED && strcmp(control_hint(client), "make it first") == 0);
	control_close(&client);
	json_decref(arguments);
}

static void rows_can_be_taken_as_they_come_without_waiting_for_them(void **state)
{
	struct house house;

	(void)state;
	live(&house, take_many_rows);
}

static void ask_failures(struct house *house)
{
	static const struct {
		const char *command, *error, *hint;
	} table[] = {
		{ "fail", "no such thing: it", "make it first" },
		{ "world fails", "the disk said no", "" },
		{ "bare failure", "in use", "" },
		{ "no such command", "unknown command: no such command", NULL },
		{ "too long", "an answer line would be longer than 65536 octets", "" },
		{ "bare failure", "in use", "" }, /* and not the words of an older failure */
	};
	struct control_client *client = client_of(house);

	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct control_request request = { .command = table[i].command,
						   .timeout_ms = 5000 };

		must(control_ask(client, &request, NULL) == ERR_DENIED);
		must(!strcmp(control_error(client), table[i].error));
		must(!table[i].hint || !strcmp(control_hint(client), table[i].hint));
	}
	must(control_ask(client, &(struct control_request){ .command = "echo" }, NULL) == OK);
	must(control_error(client)[0] == '\0');
	control_close(&client);
}

static void a_failure_says_what_and_what_to_do(void **state)
{
	struct house house;

	(void)state;
	live(&house, ask_failures);
}

static void ask_octets(struct house *house)
{
	struct control_client *client = client_of(house);
	json_t *row = NULL;
	struct control_request request = { "octets", NULL, keep_row, &row, 5000, NULL };

	must(control_ask(client, &request, NULL) == OK);
	must(!strcmp(json_string_value(json_object_get(row, "octets")), "a\xef\xbf\xbd"
									"b\n\xc3\xbc"));
	json_decref(row);
	control_close(&client);
}

static void octets_that_are_no_utf8_are_still_answered_in_json(void **state)
{
	struct house house;

	(void)state;
	live(&house, ask_octets);
}

/* Raw octets to the socket; all that comes back until the server hangs up. */
static void say(const struct house *house, struct str octets, bool shut, struct buf *answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t count;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", house->path);
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	while (octets.len && (count = send(fd, octets.at, octets.len, MSG_NOSIGNAL)) > 0)
		octets = str_from(octets, (size_t)count);
	if (shut)
		shutdown(fd, SHUT_WR);
	while (!buf_reserve(answer, 4096) && (count = read(fd, answer->at + answer->len, 4096)) > 0)
		answer->len += (size_t)count;
	close(fd);
}

static void say_nonsense(struct house *house)
{
	static const char *const nonsense[] = {
		"\n",
		"GET / HTTP/1.0\r\n",
		"{}\n",
		"[]\n",
		"\"echo\"\n",
		"{\"command\":3}\n",
		"{\"command\":\"\"}\n",
		"{\"command\":\"echo\",\"arguments\":[]}\n",
		"{\"command\":\"echo\",\"command\":\"stop\"}\n",
		"{\"command\":\"echo\"} {\"command\":\"echo\"}\n",
		"{\"command\":\"e\xff\"}\n",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
	};

	for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
		struct buf answer = BUF(1 << 20);

		say(house, str_of(nonsense[i]), false, &answer);
		must(str_starts(buf_str(&answer), S("{\"ok\":false,\"error\":\"")));
		must(answer.at[answer.len - 1] == '\n');
		buf_drop(&answer);
	}
	ask_echo(house);
}

static void nonsense_is_answered_by_an_error_and_hurts_nobody(void **state)
{
	struct house house;

	(void)state;
	live(&house, say_nonsense);
}

/* The secret is nowhere in this program but where somebody left it: here it is turned around. */
static const char secret_turned[] = "ELPATS YRETTAB ESROH TCERROC";
enum { SECRET = sizeof(secret_turned) - 1 };

static size_t count_secrets(struct str octets)
{
	size_t count = 0;

	for (size_t i = 0; i + SECRET <= octets.len; i++) {
		size_t same = 0;

		while (same < SECRET && octets.at[i + same] == secret_turned[SECRET - 1 - same])
			same++;
		count += same == SECRET;
	}
	return count;
}

/* Of this program's memory, whatever it is used for; not of the shadows that sanitizers reserve. */
static size_t secrets_in_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from, to;
	char line[400];
	size_t count = 0;

	must(maps && memory >= 0);
	while (fgets(line, sizeof(line), maps)) {
		char *octets;
		ssize_t len;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !strstr(line, " rw") ||
		    to - from > 256ul << 20)
			continue;
		octets = mmap(NULL, to - from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		must(octets != MAP_FAILED);
		len = pread(memory, octets, to - from, (off_t)from);
		if (len > 0)
			count += count_secrets((struct str){ octets, (size_t)len });
		munmap(octets, to - from);
	}
	fclose(maps);
	close(memory);
	return count;
}

static void say_a_secret(struct house *house)
{
	char secret[SECRET + 1] = { 0 };
	char request[200];
	struct buf answer = BUF(10000);

	for (size_t i = 0; i < SECRET; i++)
		secret[i] = secret_turned[SECRET - 1 - i];
	assert_true(secrets_in_memory() >= 1); /* so that it is known to be found */
	snprintf(request, sizeof(request),
		 "{\"command\":\"echo\",\"arguments\":{\"password\":\"%s\"}}\n", secret);
	say(house, str_of(request), true, &answer);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(request, sizeof(request));
	assert_true(str_find_str(buf_str(&answer), S("\"ok\":true")) != STR_NONE);
	buf_drop(&answer);
	assert_int_equal(secrets_in_memory(), 0);
}

static void a_password_does_not_stay_in_memory(void **state)
{
	struct house house = { 0 };

	(void)state;
	live(&house, say_a_secret);
}

static void say_too_much(struct house *house)
{
	size_t size = 10 * LIMIT_control_line;
	char *flood = malloc(size);
	struct buf answer = BUF(1 << 20);

	must(flood);
	memset(flood, ' ', size);
	say(house, (struct str){ flood, size }, false, &answer);
	must(str_find_str(buf_str(&answer), S("at most 65536 octets")) != STR_NONE);
	buf_drop(&answer);
	free(flood);
	/* Two requests in one go are answered one after the other; half a third is nobody's. */
	answer = BUF(1 << 20);
	say(house, S("{\"command\":\"octets\"}\n{\"command\":\"fail\"}\n{\"comm"), true, &answer);
	must(str_find_str(buf_str(&answer),
			  S("{\"ok\":true}\n{\"ok\":false,\"error\":\"no such")) != STR_NONE);
	buf_drop(&answer);
}

static void a_request_is_bounded_and_may_follow_another(void **state)
{
	struct house house;

	(void)state;
	live(&house, say_too_much);
}

static void say_half_a_request(struct house *house)
{
	struct buf answer = BUF(1 << 20);

	say(house, S("{\"command\":\"oct"), false, &answer);
	must(str_find_str(buf_str(&answer), S("within 5 s")) != STR_NONE);
	buf_drop(&answer);
}

static void a_request_that_does_not_come_is_not_waited_for(void **state)
{
	struct house house;

	(void)state;
	live(&house, say_half_a_request);
}

static void come_in_crowds(struct house *house)
{
	struct control_client *clients[LIMIT_control_connections + 8] = { 0 };
	unsigned served = 0;
	unsigned told = 0;

	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		struct control_request request = { .command = "echo", .timeout_ms = 5000 };

		must(control_open(house->path, &clients[i]) == OK);
		switch (control_ask(clients[i], &request, NULL)) {
		case OK:
			served++;
			break;
		case ERR_DENIED:
			told += !strcmp(control_error(clients[i]), "too many control connections");
			break;
		default:
			must(false);
		}
	}
	must(told >= 8);
	must(served + told == COUNT_OF(clients));
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		control_close(&clients[i]);
	usleep(50000);
	ask_echo(house);
}

static void a_crowd_is_bounded_and_the_rest_is_told(void **state)
{
	struct house house;

	(void)state;
	live(&house, come_in_crowds);
}

static void follow_and_leave(struct house *house)
{
	struct control_client *client = client_of(house);
	struct control_request request = { .command = "follow", .timeout_ms = 50 };

	must(control_ask(client, &request, NULL) == ERR_TIMEOUT);
	must(control_error(client)[0]);
	control_close(&client);
	for (int i = 0; i < 500 && !__atomic_load_n(&house->saw_gone, __ATOMIC_RELAXED); i++)
		usleep(10000);
}

static void a_command_that_waits_learns_that_the_client_has_gone(void **state)
{
	struct house house;

	(void)state;
	live(&house, follow_and_leave);
	assert_true(house.saw_gone);
}

static void a_server_that_is_not_there_is_named_plainly(void **state)
{
	char folder[] = "/tmp/control-test-XXXXXX";
	char deep[400];
	struct control_client *client = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(deep, sizeof(deep), "%s/control", folder);
	assert_int_equal(control_open(deep, &client), ERR_REFUSED);
	assert_true(str_starts(str_of(fault_text()),
			       S("the server is not running (no answer on /tmp")));
	/* The same for a path longer than a socket's address. */
	snprintf(deep, sizeof(deep), "%s/%0150d/control", folder, 1);
	assert_int_equal(control_open(deep, &client), ERR_REFUSED);
	snprintf(deep, sizeof(deep), "%s/%0150d", folder, 1);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(deep, sizeof(deep), "%s/%0150d/control", folder, 1);
	assert_int_equal(control_open(deep, &client), ERR_REFUSED);
	assert_null(client);
	snprintf(deep, sizeof(deep), "%s/%0150d", folder, 1);
	rmdir(deep);
	rmdir(folder);
}

static void nesting_is_counted_outside_of_strings_only(void **state)
{
	static const struct {
		const char *text;
		bool shallow;
	} table[] = {
		{ "", true },
		{ "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", true },
		{ "{\"a\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\":1}", true },
		{ "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", true },
		{ "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", false },
		{ "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", true },
		{ "\"\\", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++)
		assert_int_equal(request_is_shallow(str_of(table[i].text)), table[i].shallow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nesting_is_counted_outside_of_strings_only),
		cmocka_unit_test(a_server_that_is_not_there_is_named_plainly),
		cmocka_unit_test(a_command_gets_its_arguments_and_streams_its_rows),
		cmocka_unit_test(rows_can_be_taken_as_they_come_without_waiting_for_them),
		cmocka_unit_test(rows_flow_as_fast_as_the_client_reads_and_stop_when_it_goes),
		cmocka_unit_test(a_failure_says_what_and_what_to_do),
		cmocka_unit_test(octets_that_are_no_utf8_are_still_answered_in_json),
		cmocka_unit_test(nonsense_is_answered_by_an_error_and_hurts_nobody),
		cmocka_unit_test(a_password_does_not_stay_in_memory),
		cmocka_unit_test(a_request_is_bounded_and_may_follow_another),
		cmocka_unit_test(a_request_that_does_not_come_is_not_waited_for),
		cmocka_unit_test(a_crowd_is_bounded_and_the_rest_is_told),
		cmocka_unit_test(a_command_that_waits_learns_that_the_client_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
