/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A recorder in a real world with rings that the test writes, its commands on a control socket, and
 * a client thread that asks them as the command line does.
 */
enum { RINGS = 3 };

struct house {
	char folder[64];
	char path[128];
	void *ring[RINGS];
	struct trace *writer[RINGS];
	struct recorder *recorder;
	struct record_config config;
	bool keep_files;
	struct fiber_group group;
	struct fiber *server;
	void (*clients)(struct house *house);
	int log_pipe[2];
	struct buf log;
	/* What clients found. */
	json_t *rows;
	bool (*enough)(const json_t *rows);
};

static enum err run_stop(struct control_call *call) WAITS
{
	struct recorder *recorder = call->context;

	(void)recorder;
	fiber_stop(((struct house *)(void *)(uintptr_t)control_number(call, "house", 0))->server);
	return OK;
}

static const struct control_command stop_commands[] = { { "stop", run_stop }, { NULL, NULL } };
static const struct control_command *const tables[] = { record_commands, stop_commands, NULL };

static void main_fiber(void *arg) WAITS
{
	struct house *house = arg;
	struct listener *listener = NULL;
	struct addr addr = { .family = ADDR_UNIX };

	must(recorder_new(house->keep_files ? house->folder : NULL, &house->config,
			  &house->recorder) == OK);
	for (int i = 0; i < RINGS; i++) {
		struct record_ring ring = { .at = house->ring[i], .size = trace_ring_size() };

		snprintf(ring.name, sizeof(ring.name), "ring-%d", i);
		must(recorder_add_ring(house->recorder, &ring) == OK);
		must(recorder_add_ring(house->recorder, &ring) == ERR_EXISTS);
	}
	must(fiber_spawn(&house->group, "recorder", recorder_run, house->recorder, NULL) == OK);
	snprintf(addr.path, sizeof(addr.path), "%.100s", house->path);
	must(listener_new(&addr, 64, &listener) == OK);
	house->server = fiber_self();
	must(control_serve(listener, tables, house->recorder, &house->group) == ERR_STOPPED);
	group_stop(&house->group);
	group_wait(&house->group, NEVER);
	listener_drop(&listener);
}

static struct control_client *client_of(const struct house *house)
{
	struct control_client *client = NULL;

	for (int i = 0; i < 500 && control_open(house->path, &client); i++)
		usleep(10000);
	must(client);
	return client;
}

static bool gather(void *context, const json_t *row)
{
	struct house *house = context;

	json_array_append_new(house->rows, json_deep_copy(row));
	return !house->enough || !house->enough(house->rows);
}

/* Leaves the rows in house->rows. Takes the arguments over. */
static enum err ask(struct house *house, const char *command, json_t *arguments)
{
	struct control_client *client = client_of(house);
	struct control_request request = { command, arguments, gather, house, 20000, NULL };
	enum err err;

	json_decref(house->rows);
	house->rows = json_array();
	err = control_ask(client, &request, NULL);
	control_close(&client);
	json_decref(arguments);
	return err;
}

static void *clients_thread(void *arg)
{
	struct house *house = arg;

	house->clients(house);
	house->enough = NULL;
	must(ask(house, "stop", json_pack("{s:I}", "house", (json_int_t)(uintptr_t)house)) == OK);
	return NULL;
}

static void *log_thread(void *arg)
{
	struct house *house = arg;
	ssize_t count;

	while (!buf_reserve(&house->log, 65536) &&
	       (count = read(house->log_pipe[0], house->log.at + house->log.len, 65536)) > 0)
		house->log.len += (size_t)count;
	return NULL;
}

static void house_init(struct house *house, bool keep_files)
{
	memset(house, 0, sizeof(*house));
	snprintf(house->folder, sizeof(house->folder), "/tmp/record-test-XXXXXX");
	assert_non_null(mkdtemp(house->folder));
	snprintf(house->path, sizeof(house->path), "%s/control", house->folder);
	house->keep_files = keep_files;
	house->config = (struct record_config){ .keep_us = INT64_C(3600) * 1000000,
						.keep_octets = 1 << 28,
						.log = RECORD_LOG_TEXT };
	house->log = BUF(1 << 26);
	assert_int_equal(pipe2(house->log_pipe, O_CLOEXEC), 0);
	house->config.log_fd = house->log_pipe[1];
	group_init(&house->group);
	for (int i = 0; i < RINGS; i++) {
		house->ring[i] = aligned_alloc(64, trace_ring_size());
		trace_ring_format(house->ring[i], trace_ring_size(), (unsigned)i, 0);
		assert_int_equal(
			trace_writer_new(house->ring[i], trace_ring_size(), &house->writer[i]), OK);
	}
}

static void live(struct house *house, void (*clients)(struct house *house))
{
	struct world *world = world_real_new();
	pthread_t threads[2];

	house->clients = clients;
	assert_int_equal(world_spawn(world, "main", main_fiber, house), OK);
	assert_int_equal(pthread_create(&threads[0], NULL, clients_thread, house), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, log_thread, house), 0);
	world_run(world);
	pthread_join(threads[0], NULL);
	recorder_drop(&house->recorder);
	close(house->log_pipe[1]);
	pthread_join(threads[1], NULL);
	world_drop(&world);
}

static void remove_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char inner[400];

		snprintf(inner, sizeof(inner), "%s/%.200s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(inner);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

static void house_done(struct house *house)
{
	char trace[100];

	close(house->log_pipe[0]);
	json_decref(house->rows);
	buf_drop(&house->log);
	for (int i = 0; i < RINGS; i++) {
		trace_writer_drop(&house->writer[i]);
		free(house->ring[i]);
	}
	snprintf(trace, sizeof(trace), "%s/trace", house->folder);
	remove_folder(trace);
	remove_folder(house->folder);
}

static bool log_says(const struct house *house, const char *what)
{
	return str_find_str(buf_str(&house->log), str_of(what)) != STR_NONE;
}

/* ---- a session, as several roles would tell it ---- */

/* Stamps are microseconds: what one role does after another takes at least that. */
static void pass_a_moment(void)
{
	struct timespec start, at;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &at);
	while ((at.tv_sec - start.tv_sec) * 1000000000 + at.tv_nsec - start.tv_nsec < 2000);
}

static void tell_session(struct house *house, uint64_t id, unsigned commands)
{
	struct trace *gate = house->writer[0];
	struct trace *store = house->writer[1];

	TRACE(gate, id, 0, connect, .protocol = S("smtp"), .listener = S("mx"),
	      .peer = S("192.0.2.7:4711"), .local = S("192.0.2.1:25"));
	for (unsigned i = 0; i < commands; i++) {
		TRACE(gate, id, 0, command, .verb = S("NOOP"), .line = S("NOOP"));
		TRACE(gate, id, 0, reply, .code = 250, .line = S("250 ok"), .verb = S("NOOP"));
	}
	pass_a_moment();
	TRACE(store, 0, 0, commit, .requests = 1, .messages = 1, .octets = 100, .us = 900);
	TRACE(store, id, 0, deliver, .message = S("0M"), .recipient = S("anna@example.org"),
	      .account = S("anna@example.org"), .folder = S("INBOX"), .uid = 1,
	      .outcome = S("delivered"));
	pass_a_moment();
	TRACE(gate, id, 0, accept, .message = S("0M"), .sender = S("a@b"),
	      .recipients = S("anna@example.org"), .octets = 100, .us = 1000,
	      .peer = S("192.0.2.7:4711"), .subject = S("Hello\n250 fake"));
	TRACE(gate, id, 0, close, .reason = S("quit"), .commands = commands, .messages = 1,
	      .octets_in = 10, .octets_out = 20, .us = 5000, .peer = S("192.0.2.7:4711"),
	      .protocol = S("smtp"));
}

static uint64_t id_now(uint64_t chance)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	return ((uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000) << 22 | chance;
}

static json_t *show_arguments(uint64_t id, const char *as)
{
	char text[ID_TEXT + 1];

	id_print(id, text);
	return json_pack("{s:s,s:s,s:i}", "session", text, "as", as, "width", 80);
}

static const char *row_text(const struct house *house, size_t row, const char *member)
{
	const char *text =
		json_string_value(json_object_get(json_array_get(house->rows, row), member));

	return text ? text : "";
}

/* Is there a line that begins so? */
static bool metrics_say(struct house *house, const char *line)
{
	must(ask(house, "metrics", NULL) == OK);
	for (size_t i = 0; i < json_array_size(house->rows); i++)
		if (str_starts(str_of(row_text(house, i, "text")), str_of(line)))
			return true;
	return false;
}

static void ask_about_sessions(struct house *house)
{
	uint64_t ids[3];

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		ids[i] = id_now(i);
		tell_session(house, ids[i], (unsigned)i * 1000 + 1);
	}
	must(ask(house, "session list", NULL) == OK);
	must(json_array_size(house->rows) == 3);
	must(!strcmp(row_text(house, 0, "protocol"), "smtp"));
	must(!strcmp(row_text(house, 0, "reason"), "quit"));
	must(!strcmp(row_text(house, 2, "peer"), "192.0.2.7:4711"));
	must(json_is_false(json_object_get(json_array_get(house->rows, 0), "open")));
	must(ask(house, "session list", json_pack("{s:i}", "limit", 1)) == OK);
	must(json_array_size(house->rows) == 1);
	must(json_integer_value(json_object_get(json_array_get(house->rows, 0), "commands")) ==
	     2001);
	must(ask(house, "session list", json_pack("{s:s}", "protocol", "pop3")) == OK);
	must(json_array_size(house->rows) == 0);
	must(ask(house, "session list", json_pack("{s:s}", "peer", "192.0.2.7")) == OK);
	must(json_array_size(house->rows) == 3);

	/* connect, a command and its reply, deliver, accept, close: all of it and nothing else. */
	must(ask(house, "session show", show_arguments(ids[0], "json")) == OK);
	must(json_array_size(house->rows) == 6);
	must(!strcmp(row_text(house, 0, "kind"), "connect"));
	must(!strcmp(row_text(house, 3, "kind"), "deliver"));
	must(!strcmp(row_text(house, 5, "kind"), "close"));
	must(ask(house, "session show", show_arguments(ids[2], "json")) == OK);
	must(json_array_size(house->rows) == 4 + 2 * 2001);
	must(ask(house, "session show", show_arguments(ids[0], "text")) == OK);
	must(json_array_size(house->rows) > 8);
	must(strstr(row_text(house, 5, "text"), "250 ok"));

	must(ask(house, "session show", show_arguments(ids[0] + 77, "json")) == ERR_DENIED);
	must(ask(house, "session show", show_arguments(ids[0], "film")) == ERR_DENIED);
	must(ask(house, "session show", NULL) == ERR_DENIED);
}

static void sessions_are_listed_and_shown_from_the_files(void **state)
{
	struct house house;

	(void)state;
	house_init(&house, true);
	live(&house, ask_about_sessions);
	assert_true(log_says(&house, " session session="));
	assert_true(
		log_says(&house, " ip=192.0.2.7 port=4711 protocol=smtp end=quit commands=2001 "));
	assert_true(log_says(&house, "subject=\"Hello\\n250 fake\"\n"));
	house_done(&house);
}

static void ask_after_restart(struct house *house)
{
	/* The recorder learns from its files once it runs; the index is filled when it answers. */
	for (int i = 0; i < 200; i++) {
		must(ask(house, "session list", NULL) == OK);
		if (json_array_size(house->rows) == 1)
			break;
		usleep(10000);
	}
	must(json_array_size(house->rows) == 1);
	must(!strcmp(row_text(house, 0, "reason"), "quit"));
	must(ask(house, "session show",
		 json_pack("{s:s}", "session", row_text(house, 0, "session"))) == OK);
	must(json_array_size(house->rows) == 6);
}

static void one_session(struct house *house)
{
	tell_session(house, id_now(5), 1);
}

static void sessions_are_remembered_across_a_restart(void **state)
{
	struct house house;
	struct house again;

	(void)state;
	house_init(&house, true);
	live(&house, one_session); /* what was in the rings at the end is written too */
	house_init(&again, true);
	rmdir(again.folder);
	memcpy(again.folder, house.folder, sizeof(again.folder));
	snprintf(again.path, sizeof(again.path), "%s/control2", again.folder);
	live(&again, ask_after_restart);
	house_done(&again);
	house_done(&house);
}

static void ask_after_a_crash(struct house *house)
{
	uint64_t id = id_now(6);

	must(ask(house, "metrics", NULL) == OK);
	must(metrics_say(house, "glasspost_messages_accepted_total 0"));
	tell_session(house, id, 1);
	must(metrics_say(house, "glasspost_messages_accepted_total 1"));
	must(ask(house, "session show", show_arguments(id, "json")) == OK);
	must(json_array_size(house->rows) == 6);
	must(ask(house, "session list", NULL) == OK);
	must(json_array_size(house->rows) == 2);
	must(ask(house, "session show",
		 json_pack("{s:s}", "session", row_text(house, 0, "session"))) == OK);
	must(json_array_size(house->rows) == 6); /* and not twice that */
}

static void a_restarted_recorder_takes_nothing_twice_from_rings_that_outlived_it(void **state)
{
	struct house house;

	(void)state;
	house_init(&house, true);
	live(&house, one_session);
	close(house.log_pipe[0]);
	assert_int_equal(pipe2(house.log_pipe, O_CLOEXEC), 0);
	house.config.log_fd = house.log_pipe[1];
	unlink(house.path);
	group_init(&house.group);
	live(&house, ask_after_a_crash);
	house_done(&house);
}

/* Events of three rings with interleaved stamps come out in the order of their stamps. */
static int64_t stamp;
static const int64_t stamp_ahead = INT64_C(1767225600000000);

static int64_t stamp_now(void)
{
	return stamp;
}

static int64_t stamp_wall(void)
{
	return stamp + stamp_ahead;
}

static void interleave(struct house *house)
{
	uint64_t id = (uint64_t)(stamp_ahead / 1000) << 22;

	for (int i = 0; i < 3000; i++) {
		stamp = i;
		TRACE(house->writer[i * 7 % RINGS], id, 0, data, .octets = (uint64_t)i);
	}
	must(ask(house, "session show", show_arguments(id, "json")) == OK);
	must(json_array_size(house->rows) == 3000);
	for (size_t i = 0; i < 3000; i++)
		must((size_t)json_integer_value(json_object_get(
			     json_object_get(json_array_get(house->rows, i), "fields"),
			     "octets")) == i);
}

static void rings_are_merged_by_time(void **state)
{
	struct house house;

	(void)state;
	house_init(&house, true);
	trace_set_clock(stamp_now, stamp_wall);
	live(&house, interleave);
	trace_set_clock(NULL, NULL);
	house_done(&house);
}

static bool has_lost(struct house *house)
{
	return metrics_say(house, "glasspost_trace_lost_total{ring=\"ring-2\"}");
}

/* Twice what a ring holds, faster than any tick; and again where this thread was the slow one. */
static void flood(struct house *house)
{
	char text[1000];

	memset(text, 'x', sizeof(text));
	for (int tries = 0; tries < 20 && !has_lost(house); tries++) {
		for (int i = 0; i < 8000; i++)
			TRACE(house->writer[2], 1, 0, command, .verb = S("X"),
			      .line = { text, sizeof(text) });
		for (int i = 0; i < 20 && !has_lost(house); i++)
			usleep(20000);
	}
}

static void what_a_slow_recorder_loses_is_counted_and_logged(void **state)
{
	struct house house;

	(void)state;
	house_init(&house, false);
	live(&house, flood);
	assert_true(log_says(&house, "lost events="));
	assert_true(log_says(&house, " of=ring-2\n"));
	house_done(&house);
}

static void lose_the_disk(struct house *house)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/trace", house->folder);
	must(ask(house, "metrics", NULL) == OK);
	remove_folder(path);
	tell_session(house, id_now(1), 1);
	must(metrics_say(house, "glasspost_messages_accepted_total 1"));
	must(!metrics_say(house, "glasspost_trace_unwritten_total 0"));
	tell_session(house, id_now(2), 1);
	must(metrics_say(house, "glasspost_messages_accepted_total 2"));
}

static void a_disk_that_fails_stops_nothing_and_is_told_once(void **state)
{
	struct house house;
	size_t first;

	(void)state;
	house_init(&house, true);
	live(&house, lose_the_disk);
	first = str_find_str(buf_str(&house.log), S(" trouble "));
	assert_true(first != STR_NONE);
	assert_true(str_find_str(str_from(buf_str(&house.log), first + 1), S(" trouble ")) ==
		    STR_NONE);
	house_done(&house);
}

static bool ten_rows(const json_t *rows)
{
	return json_array_size(rows) >= 10;
}

static void *talk_on(void *arg)
{
	struct house *house = arg;

	for (uint64_t i = 0; i < 400 && __atomic_load_n(&house->enough, __ATOMIC_ACQUIRE); i++) {
		TRACE(house->writer[0], 4711, 0, command, .verb = S("NOOP"), .line = S("NOOP"));
		TRACE(house->writer[0], 4712, 0, command, .verb = S("QUIT"), .line = S("QUIT"));
		usleep(5000);
	}
	return NULL;
}

static void follow_one(struct house *house)
{
	char id[ID_TEXT + 1];
	pthread_t thread;

	id_print(4711, id);
	house->enough = ten_rows;
	must(pthread_create(&thread, NULL, talk_on, house) == 0);
	must(ask(house, "session follow", json_pack("{s:s}", "session", id)) == ERR_STOPPED);
	for (size_t i = 0; i < 10; i++)
		must(!strcmp(row_text(house, i, "session"), id));
	must(ask(house, "session follow", json_pack("{s:s,s:b}", "as", "text", "ascii", 1)) ==
	     ERR_STOPPED);
	must(strstr(row_text(house, 0, "text"), "NOOP") ||
	     strstr(row_text(house, 0, "text"), "QUIT"));
	__atomic_store_n(&house->enough, NULL, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	must(ask(house, "session follow", json_pack("{s:s}", "session", "nonsense")) == ERR_DENIED);
}

static void a_session_is_followed_while_it_goes_on(void **state)
{
	struct house house;

	(void)state;
	house_init(&house, false);
	live(&house, follow_one);
	house_done(&house);
}

static void remove_and_reload(void *arg) WAITS
{
	struct house *house = arg;
	struct record_config config = house->config;

	must(recorder_new(house->folder, &house->config, &house->recorder) == OK);
	for (int i = 0; i < RINGS; i++)
		must(recorder_add_ring(house->recorder,
				       &(struct record_ring){ .at = house->ring[i],
							      .size = trace_ring_size(),
							      .name = "r" }) == OK);
	must(recorder_add_ring(house->recorder,
			       &(struct record_ring){ .at = house, .size = 100, .name = "bad" }) ==
	     ERR_CORRUPT);
	tell_session(house, id_now(3), 1);
	must(recorder_remove_ring(house->recorder, house->ring[0]) == OK);
	must(recorder_remove_ring(house->recorder, house->ring[0]) == OK); /* is no ring any more */
	memset(house->ring[0], 0xff, trace_ring_size());
	must(house->recorder->metrics.messages == 1); /* what was in it was read before */
	config.log = RECORD_LOG_DEV;
	config.keep_octets = 0;
	must(recorder_reload(house->recorder, &config) == OK);
	TRACE(house->writer[1], 0, 0, trouble, .err = S("IO"), .detail = S("oh"));
	must(recorder_catch_up(house->recorder) == OK);
}

static void rings_come_and_go_and_the_configuration_changes(void **state)
{
	struct house house;
	struct world *world = world_real_new();
	pthread_t thread;

	(void)state;
	house_init(&house, true);
	assert_int_equal(world_spawn(world, "main", remove_and_reload, &house), OK);
	assert_int_equal(pthread_create(&thread, NULL, log_thread, &house), 0);
	world_run(world);
	recorder_drop(&house.recorder);
	world_drop(&world);
	close(house.log_pipe[1]);
	pthread_join(thread, NULL);
	assert_true(log_says(&house, " !! role-1: oh\n"));
	house_done(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_are_listed_and_shown_from_the_files),
		cmocka_unit_test(sessions_are_remembered_across_a_restart),
		cmocka_unit_test(
			a_restarted_recorder_takes_nothing_twice_from_rings_that_outlived_it),
		cmocka_unit_test(rings_are_merged_by_time),
		cmocka_unit_test(what_a_slow_recorder_loses_is_counted_and_logged),
		cmocka_unit_test(a_disk_that_fails_stops_nothing_and_is_told_once),
		cmocka_unit_test(a_session_is_followed_while_it_goes_on),
		cmocka_unit_test(rings_come_and_go_and_the_configuration_changes),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
