/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What accounts are told of sessions and messages: anna's mail to bert, who is reached through an alias, to an alias
 * that leads elsewhere (secret@elsewhere.example), and to carl, who lives elsewhere.
 */
enum { SUBMISSION = 1, RELAY = 2, MESSAGE = 3 };

struct place {
	char folder[64];
	void *ring;
	struct trace *trace;
	struct recorder *recorder;
	uint64_t begun; /* an id of that moment */
	void (*run)(struct place *place) WAITS;
};

struct told {
	struct control_sink sink;
	struct buf text;
	size_t lines;
	void (*at_first)(struct place *place) WAITS; /* line of the answer, or NULL */
	struct place *place;
};

static uint64_t id_of(const struct place *place, uint64_t which)
{
	return place->begun | which;
}

static struct str name_of(const struct place *place, uint64_t which)
{
	static char text[4][ID_TEXT + 1];

	id_print(id_of(place, which), text[which % 4]);
	return str_of(text[which % 4]);
}

static enum err take_line(struct control_sink *sink, struct str line) WAITS
{
	struct told *told = CONTAINER_OF(sink, struct told, sink);

	if (!told->lines++ && told->at_first)
		told->at_first(told->place);
	return buf_add(&told->text, line);
}

static bool is_gone(struct control_sink *sink)
{
	return CONTAINER_OF(sink, struct told, sink)->lines > 0;
}

static enum err ask(struct place *place, const char *name, json_t *arguments, struct told *told)
	WAITS
{
	const struct control_command *command = record_commands;
	enum err err;

	while (strcmp(command->name, name) != 0)
		command++;
	told->sink = (struct control_sink){ take_line, is_gone };
	told->text = BUF(1 << 24);
	told->place = place;
	err = control_run(command, place->recorder, arguments, &told->sink);
	json_decref(arguments);
	return err;
}

static json_t *about(struct place *place, const char *what, uint64_t which, const char *viewer)
{
	json_t *arguments = json_pack("{s:o}", what, control_string(name_of(place, which)));

	if (viewer)
		json_object_set_new(arguments, "viewer", json_string(viewer));
	return arguments;
}

static bool says(const struct told *told, const char *what)
{
	return str_find_str(buf_str(&told->text), str_of(what)) != STR_NONE;
}

static void tell_submission(struct place *place) WAITS
{
	struct trace *trace = place->trace;
	uint64_t id = id_of(place, SUBMISSION);
	struct str message = name_of(place, MESSAGE);

	TRACE(trace, id, 0, connect, .protocol = S("submission"), .peer = S("192.0.2.7:4711"));
	TRACE(trace, id, 0, auth, .outcome = S("ok"), .account = S("anna@example.org"));
	TRACE(trace, id, 0, deliver, .message = message, .recipient = S("team@example.org"),
	      .account = S("bert@example.org"), .folder = S("INBOX"), .uid = 9,
	      .outcome = S("delivered"));
	TRACE(trace, id, 0, queued, .message = message, .sender = S("anna@example.org"),
	      .recipient = S("secret@elsewhere.example"), .destination = S("elsewhere.example"),
	      .forwarded_for = S("list@example.org"));
	TRACE(trace, id, 0, queued, .message = message, .sender = S("anna@example.org"),
	      .recipient = S("carl@other.example"), .destination = S("other.example"));
	TRACE(trace, id, 0, accept, .message = message, .sender = S("anna@example.org"),
	      .recipients = S("team@example.org,list@example.org,carl@other.example"));
	TRACE(trace, id, 0, close, .reason = S("quit"), .account = S("anna@example.org"));
}

static void tell_relay(struct place *place) WAITS
{
	struct trace *trace = place->trace;
	uint64_t id = id_of(place, RELAY);
	struct str message = name_of(place, MESSAGE);

	TRACE(trace, id, 0, connect, .protocol = S("smtp-out"),
	      .listener = S("mx.elsewhere.example"), .peer = S("198.51.100.9:25"), .outgoing = 1);
	TRACE(trace, id, 0, claimed, .message = message, .destination = S("elsewhere.example"),
	      .recipients = 1);
	TRACE(trace, id, 0, attempt, .message = message, .recipient = S("secret@elsewhere.example"),
	      .outcome = S("deferred"), .attempts = 1);
	TRACE(trace, id, 0, attempt, .message = message, .recipient = S("carl@other.example"),
	      .outcome = S("deferred"), .attempts = 1);
	TRACE(trace, 0, 0, queue_change, .message = message, .what = S("hold"), .recipients = 1,
	      .recipient = S("secret@elsewhere.example"));
	TRACE(trace, 0, 0, queue_change, .message = message, .what = S("retry"), .recipients = 1,
	      .recipient = S("carl@other.example"));
	must(recorder_catch_up(place->recorder) == OK);
}

static void expect_no_secret(struct told *told) WAITS
{
	must(told->lines > 2);
	must(says(told, "carl@other.example"));
	must(says(told, "list@example.org"));
	must(!says(told, "elsewhere.example"));
	must(!says(told, "bert@example.org"));
	must(!says(told, "198.51.100.9"));
	buf_drop(&told->text);
}

static void ask_as_the_sender(struct place *place) WAITS
{
	struct told told = { 0 };

	tell_submission(place);
	tell_relay(place);
	must(ask(place, "session show", about(place, "session", SUBMISSION, "anna@example.org"),
		 &told) == OK);
	expect_no_secret(&told);
	told.lines = 0;
	must(ask(place, "message events", about(place, "message", MESSAGE, "anna@example.org"),
		 &told) == OK);
	must(says(&told, "\"retry\"") && !says(&told, "\"hold\""));
	expect_no_secret(&told);
	/* Who may know everything is told everything. */
	told.lines = 0;
	must(ask(place, "message events", about(place, "message", MESSAGE, NULL), &told) == OK);
	must(says(&told, "mx.elsewhere.example") && says(&told, "bert@example.org") &&
	     says(&told, "\"hold\""));
	buf_drop(&told.text);
}

/* A recipient reads the own delivery and nobody else's address. */
static void ask_as_the_recipient(struct place *place) WAITS
{
	struct told told = { 0 };

	tell_submission(place);
	tell_relay(place);
	must(ask(place, "message events", about(place, "message", MESSAGE, "bert@example.org"),
		 &told) == OK);
	must(says(&told, "bert@example.org") && says(&told, "\"recipients\":\"team@example.org\""));
	must(!says(&told, "carl@other.example") && !says(&told, "elsewhere.example"));
	buf_drop(&told.text);
	told.lines = 0;
	must(ask(place, "session show", about(place, "session", SUBMISSION, "bert@example.org"),
		 &told) == OK);
	must(told.lines == 1 && says(&told, "\"ok\":false"));
	buf_drop(&told.text);
}

/* Records cannot be redacted, so that only who may see all has them. */
static void ask_for_records(struct place *place) WAITS
{
	struct told told = { 0 };
	json_t *arguments = about(place, "session", SUBMISSION, "anna@example.org");

	tell_submission(place);
	json_object_set_new(arguments, "as", json_string("records"));
	must(ask(place, "session show", arguments, &told) == OK);
	must(told.lines == 1 && says(&told, "\"ok\":false"));
	buf_drop(&told.text);
	told.lines = 0;
	arguments = about(place, "session", SUBMISSION, NULL);
	json_object_set_new(arguments, "as", json_string("records"));
	must(ask(place, "session show", arguments, &told) == OK);
	must(says(&told, "{\"records\":\"") && says(&told, "\"ok\":true"));
	buf_drop(&told.text);
}

/* As many messages as are remembered, so that what was known before is not any more. */
static void forget_everything(struct place *place) WAITS
{
	for (uint64_t i = 0; i < LIMIT_record_messages; i++) {
		char text[ID_TEXT + 1];

		id_print(id_of(place, 1000 + i), text);
		TRACE(place->trace, 0, 0, accept, .message = str_of(text));
	}
	must(recorder_catch_up(place->recorder) == OK);
}

static void ask_while_it_is_forgotten(struct place *place) WAITS
{
	struct told told = { .at_first = forget_everything };
	char reply[LIMIT_trace_text];

	tell_submission(place);
	memset(reply, 'x', sizeof(reply));
	for (uint64_t i = 0; i < 2000; i++)
		TRACE(place->trace, id_of(place, RELAY), 0, attempt,
		      .message = name_of(place, MESSAGE), .recipient = S("carl@other.example"),
		      .outcome = S("deferred"), .reply = { reply, sizeof(reply) }, .attempts = i);
	must(ask(place, "message events", about(place, "message", MESSAGE, "anna@example.org"),
		 &told) == OK);
	/* What was told before it was forgotten, and nothing after. */
	must(told.lines > 10 && told.lines < 2000);
	buf_drop(&told.text);
}

/* ---- around each ---- */

static void main_fiber(void *arg) WAITS
{
	struct place *place = arg;
	const struct record_config config = { .keep_us = INT64_C(3600) * 1000000,
					      .keep_octets = 1 << 28,
					      .log = RECORD_LOG_NONE };
	const struct record_ring ring = { .at = place->ring,
					  .size = trace_ring_size(),
					  .name = "gate" };

	must(recorder_new(place->folder, &config, &place->recorder) == OK);
	must(recorder_add_ring(place->recorder, &ring) == OK);
	place->begun = (uint64_t)(wall_us() / 1000) << 22;
	place->run(place);
}

static void remove_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
	rmdir(path);
}

static void in_a_place(void (*run)(struct place *place))
{
	struct place place = { .run = run };
	struct world *world = world_real_new();
	char trace[80];

	snprintf(place.folder, sizeof(place.folder), "/tmp/viewer-test-XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	place.ring = aligned_alloc(64, trace_ring_size());
	trace_ring_format(place.ring, trace_ring_size(), 1, 0);
	assert_int_equal(trace_writer_new(place.ring, trace_ring_size(), &place.trace), OK);
	assert_int_equal(world_spawn(world, "main", main_fiber, &place), OK);
	world_run(world);
	recorder_drop(&place.recorder);
	world_drop(&world);
	trace_writer_drop(&place.trace);
	free(place.ring);
	snprintf(trace, sizeof(trace), "%s/trace", place.folder);
	remove_folder(trace);
	remove_folder(place.folder);
}

static void a_sender_learns_nothing_of_whom_an_alias_leads_to(void **state)
{
	(void)state;
	in_a_place(ask_as_the_sender);
}

static void a_recipient_learns_nothing_of_the_others(void **state)
{
	(void)state;
	in_a_place(ask_as_the_recipient);
}

static void records_as_they_lie_are_only_for_who_may_see_all(void **state)
{
	(void)state;
	in_a_place(ask_for_records);
}

static void a_message_that_is_forgotten_while_it_is_told_is_told_no_further(void **state)
{
	(void)state;
	in_a_place(ask_while_it_is_forgotten);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_learns_nothing_of_whom_an_alias_leads_to),
		cmocka_unit_test(a_recipient_learns_nothing_of_the_others),
		cmocka_unit_test(records_as_they_lie_are_only_for_who_may_see_all),
		cmocka_unit_test(a_message_that_is_forgotten_while_it_is_told_is_told_no_further),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
