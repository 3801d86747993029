/* SPDX-License-Identifier: Apache-2.0 */
/* The whole role, asked over a link as a gate would, in both worlds. */
#include "filter/filter.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
	bool over_sockets;
	struct role *role;
	struct link *link;
	void *ring;
	void (*run)(struct stage *stage);
};

static void connect_gate(struct stage *stage)
{
	struct channel *ends[2];
	int fds[2];

	if (stage->over_sockets) {
		assert_int_equal(channel_pair_fds(fds), OK);
		assert_int_equal(channel_of_fd(fds[0], &ends[0]), OK);
		assert_int_equal(channel_of_fd(fds[1], &ends[1]), OK);
	} else {
		assert_int_equal(channel_pair_memory(ends), OK);
	}
	assert_int_equal(role_wire(stage->role, ROLE_GATE_MX, 0, ends[0], true), OK);
	stage->link = link_new(ROLE_GATE_MX, ROLE_FILTER);
	assert_int_equal(link_attach(stage->link, 0, ends[1]), OK);
}

static void stage_fiber(void *arg) WAITS
{
	struct stage *stage = arg;
	struct role_boot boot = { .config = S("hostname = mx.example.org\n"),
				  .config_name = S("test.conf") };
	struct role_ring ring = { .role = ROLE_FILTER, .size = trace_ring_size() };

	stage->ring =
		mmap(NULL, ring.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(stage->ring != MAP_FAILED);
	trace_ring_format(stage->ring, ring.size, ROLE_FILTER, 0);
	ring.at = stage->ring;
	stage->role = role_new(&filter_role);
	assert_int_equal(role_set_up(stage->role, &boot), OK);
	assert_int_equal(role_take_ring(stage->role, &ring, true), OK);
	connect_gate(stage);
	assert_int_equal(role_begin(stage->role), OK);
	stage->run(stage);
	link_drop(&stage->link);
	role_drop(&stage->role);
}

static void play(void (*run)(struct stage *stage))
{
	for (int i = 0; i < 3; i++) {
		struct stage stage = { .over_sockets = i == 2, .run = run };
		struct world *world = i == 0 ? world_sim_new(1) : world_real_new();

		assert_int_equal(world_spawn(world, "stage", stage_fiber, &stage), OK);
		world_run(world);
		world_drop(&world);
	}
}

static enum err inspect(struct stage *stage, struct arena *arena, struct str message,
			struct answer_inspect *answer) WAITS
{
	struct body body = body_of(message);
	struct ask_inspect ask = { .message = 7, .session = 9, .body = body };
	enum err err = call_inspect(stage->link, &ask, arena, answer, in_ms(20000));

	return err;
}

/* The newest event of the ring; its texts go into the record. */
static void newest_event(struct stage *stage, struct buf *record, struct trace_event *out)
{
	struct trace_reader *reader;
	struct buf next = BUF(LIMIT_trace_text * 64);
	uint64_t lost = 0;

	assert_int_equal(trace_reader_new(stage->ring, trace_ring_size(), false, &reader), OK);
	for (;;) {
		buf_reset(&next);
		if (!trace_reader_next(reader, &next, &lost))
			break;
		buf_reset(record);
		assert_int_equal(buf_add(record, buf_str(&next)), OK);
	}
	trace_reader_drop(&reader);
	buf_drop(&next);
	assert_int_equal(trace_event_decode(buf_str(record), out), OK);
}

#define assert_str(actual, expected)                                                               \
	do {                                                                                       \
		if (!str_is((actual), S(expected)))                                                \
			fail_msg("\"%.*s\" is not \"%s\"", STR_ARGS(actual), expected);            \
	} while (0)

static void tell_of_a_message(struct stage *stage) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf record = BUF(1 << 20);
	struct answer_inspect answer;
	struct trace_event event;

	assert_int_equal(inspect(stage, &arena,
				 S("Received: x\r\nFrom: =?utf-8?Q?Ren=C3=A9?= <r@x>\r\nDate: Sat, "
				   "21 Nov 2026 22:10:00 +0000\r\n"
				   "Message-ID: <1@x>\r\nSubject: =?utf-8?B?w6k=?=\r\n\r\nhello\n"),
				 &answer),
			 OK);
	assert_int_equal(answer.verdict, INSPECT_ACCEPT);
	assert_str(answer.subject, "\xC3\xA9");
	assert_str(answer.from, "Ren\xC3\xA9 <r@x>");
	assert_str(answer.message_id, "<1@x>");
	assert_str(answer.preview, "hello");
	assert_true(str_starts(answer.structure, S("(structure 1 ")));
	assert_true(str_find_str(answer.structure, S("\"bare-lf\"")) != STR_NONE);
	newest_event(stage, &record, &event);
	assert_int_equal(event.head.kind, TRACE_inspect);
	assert_int_equal(event.head.session, 9);
	assert_str(event.inspect.verdict, "accept");
	assert_str(event.inspect.detail, "bare-lf");
	assert_int_equal(event.inspect.parts, 1);
}

static void a_message_is_told_of(void **state)
{
	(void)state;
	play(tell_of_a_message);
}

static struct str with_received(struct buf *out, int count)
{
	buf_reset(out);
	for (int i = 0; i < count; i++)
		buf_add_c(out, "Received: from a by b; Sat, 21 Nov 2026 22:10:00 +0000\r\n");
	buf_add_c(out, "From: a@b\r\n\r\nReceived: no\r\n");
	return buf_str(out);
}

static struct str with_hops_of_ours(struct buf *out, int count)
{
	buf_reset(out);
	for (int i = 0; i < count; i++)
		buf_add_c(out,
			  "Received: from a by mx.example.org with ESMTP id 1; Sat, 21 Nov 2026 "
			  "22:10:00 +0000\r\n"
			  "Received: from b by c; Sat, 21 Nov 2026 22:10:00 +0000\r\n");
	buf_add_c(out, "From: a@b\r\n\r\nx\r\n");
	return buf_str(out);
}

static void refuse_circles(struct stage *stage) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(1 << 20);
	struct answer_inspect answer;

	assert_int_equal(inspect(stage, &arena, with_hops_of_ours(&text, 10), &answer), OK);
	assert_int_equal(answer.verdict, INSPECT_ACCEPT);
	assert_int_equal(inspect(stage, &arena, with_hops_of_ours(&text, 11), &answer), OK);
	assert_int_equal(answer.verdict, INSPECT_REFUSE);
	assert_int_equal(answer.code, 554);
	assert_str(answer.enhanced, "5.4.6");
	assert_str(answer.text, "This message has been here 10 times, it is in a loop");
}

static void a_message_that_comes_back_again_and_again_is_refused(void **state)
{
	(void)state;
	play(refuse_circles);
}

static void refuse_loops(struct stage *stage) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(1 << 20);
	OWNED(buf) struct buf record = BUF(1 << 20);
	struct answer_inspect answer;
	struct trace_event event;

	assert_int_equal(inspect(stage, &arena, with_received(&text, 100), &answer), OK);
	assert_int_equal(answer.verdict, INSPECT_ACCEPT);
	assert_int_equal(inspect(stage, &arena, with_received(&text, 101), &answer), OK);
	assert_int_equal(answer.verdict, INSPECT_REFUSE);
	assert_int_equal(answer.code, 554);
	assert_str(answer.enhanced, "5.4.6");
	assert_str(answer.text, "Too many hops: 101 Received lines, this message is in a loop");
	newest_event(stage, &record, &event);
	assert_str(event.inspect.verdict, "refuse");
}

static void a_message_that_passed_too_many_hosts_is_refused(void **state)
{
	(void)state;
	play(refuse_loops);
}

/* Every size around the ways a body travels and a message is read. */
static void read_all_sizes(struct stage *stage) WAITS
{
	static const size_t sizes[] = { 0,
					1,
					LIMIT_link_inline_body,
					LIMIT_link_inline_body + 1,
					256 * 1024 - 1,
					256 * 1024,
					3'000'000 };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		OWNED(arena) struct arena arena = { 0 };
		char *text = arena_take(&arena, sizes[i] + 1);
		char start[64];
		struct answer_inspect answer;

		memset(text, '\n', sizes[i]);
		assert_int_equal(inspect(stage, &arena, (struct str){ text, sizes[i] }, &answer),
				 OK);
		assert_int_equal(answer.verdict, INSPECT_ACCEPT);
		snprintf(start, sizeof(start), "(structure 1 %zu 1 0 ", sizes[i]);
		assert_true(str_starts(answer.structure, str_of(start)));
	}
}

static void small_and_large_messages_are_read_alike(void **state)
{
	(void)state;
	play(read_all_sizes);
}

static void answer_hostile_shapes(struct stage *stage) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf text = BUF(10'000'000);
	struct answer_inspect answer;

	buf_add_c(&text, "Subject: ");
	for (int i = 0; i < 5000; i++)
		buf_add_c(&text, "=?utf-8?Q?=C3=A9=0D=0A?= ");
	buf_add_c(&text, "\r\nFrom: ");
	for (int i = 0; i < 5000; i++)
		buf_add_c(&text, "\"\xFF(\" <\xFF@x>, ");
	buf_add_c(&text, "\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (int i = 0; i < 20000; i++)
		buf_add_c(&text, "--x\r\nContent-Type: message/rfc822\r\n\r\n");
	assert_int_equal(inspect(stage, &arena, buf_str(&text), &answer), OK);
	assert_int_equal(answer.verdict, INSPECT_ACCEPT);
	assert_true(answer.structure.len <= LIMIT_structure_octets);
	assert_true(str_ends_nocase(answer.structure, S("(cut)\n")));
	assert_true(str_is_utf8(answer.subject) && answer.subject.len > 900);
	assert_true(str_is_utf8(answer.from) && answer.from.len > 600);
}

static void hostile_messages_get_an_answer_within_the_bounds(void **state)
{
	(void)state;
	play(answer_hostile_shapes);
}

static void refuse_an_open_memfd(struct stage *stage) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct ask_inspect ask = { .body = { .fd = fd, .size = 100'000 } };
	struct answer_inspect answer;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 100'000), 0);
	assert_true(call_inspect(stage->link, &ask, &arena, &answer, in_ms(4000)) != OK);
}

static void a_body_that_is_not_sealed_is_never_read(void **state)
{
	(void)state;
	play(refuse_an_open_memfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_told_of),
		cmocka_unit_test(a_message_that_passed_too_many_hosts_is_refused),
		cmocka_unit_test(a_message_that_comes_back_again_and_again_is_refused),
		cmocka_unit_test(small_and_large_messages_are_read_alike),
		cmocka_unit_test(hostile_messages_get_an_answer_within_the_bounds),
		cmocka_unit_test(a_body_that_is_not_sealed_is_never_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
