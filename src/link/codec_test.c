/* SPDX-License-Identifier: Apache-2.0 */
#include "link/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- random values of a shape ---- */

static uint64_t chance_state = 88172645463325252u;

static uint64_t chance(uint64_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return below ? chance_state % below : chance_state;
}

static struct str random_text(struct arena *arena, size_t max)
{
	size_t len = (size_t)chance(chance(4) ? 40 : max + 1);
	char *at = arena_take(arena, len + 1);

	if (len > max)
		len = max;
	for (size_t i = 0; i < len; i++)
		at[i] = (char)chance(256);
	return (struct str){ at, len };
}

static size_t random_count(uint64_t max)
{
	return (size_t)chance(chance(8) ? (max < 8 ? max + 1 : 8) : max + 1);
}

static void random_field(const struct field *field, void *at, struct arena *arena)
{
	uint64_t max = field->max;

	switch (field->type) {
	case FIELD_U64:
		*(uint64_t *)at = max == UINT64_MAX ? chance(0) : chance(max + 1);
		break;
	case FIELD_STR:
	case FIELD_SECRET:
		*(struct str *)at = random_text(arena, (size_t)max);
		break;
	case FIELD_STRS: {
		size_t count = random_count(max);
		struct str *items = NEW_ARRAY(arena, struct str, count);

		for (size_t i = 0; i < count; i++)
			items[i] = random_text(arena, LIMIT_address);
		*(struct strs *)at = (struct strs){ items, count };
		break;
	}
	case FIELD_U64S: {
		size_t count = random_count(max);
		uint64_t *items = NEW_ARRAY(arena, uint64_t, count);

		for (size_t i = 0; i < count; i++)
			items[i] = chance(0);
		*(struct u64s *)at = (struct u64s){ items, count };
		break;
	}
	case FIELD_BODY:
		if (chance(2)) {
			*(struct body *)at =
				(struct body){ .fd = 700, .size = 1 + chance(max < 99 ? max : 99) };
		} else {
			struct str text = random_text(
				arena, max < LIMIT_link_inline_body ? max : LIMIT_link_inline_body);

			*(struct body *)at = (struct body){ text, -1, text.len };
		}
		break;
	case FIELD_FD:
		*(int *)at = 701;
		break;
	case FIELD_END:
		break;
	}
}

static bool same_field(const struct field *field, const void *left, const void *right)
{
	const struct strs *a = left, *b = right;
	const struct u64s *n = left, *m = right;
	const struct body *x = left, *y = right;

	switch (field->type) {
	case FIELD_U64:
		return *(const uint64_t *)left == *(const uint64_t *)right;
	case FIELD_STR:
	case FIELD_SECRET:
		return str_is(*(const struct str *)left, *(const struct str *)right);
	case FIELD_STRS:
		for (size_t i = 0; i < a->count && a->count == b->count; i++)
			if (!str_is(a->at[i], b->at[i]))
				return false;
		return a->count == b->count;
	case FIELD_U64S:
		return n->count == m->count &&
		       (!n->count || !memcmp(n->at, m->at, n->count * sizeof(uint64_t)));
	case FIELD_BODY:
		return x->fd == y->fd && x->size == y->size && str_is(x->octets, y->octets);
	case FIELD_FD:
		return *(const int *)left == *(const int *)right;
	case FIELD_END:
		break;
	}
	return false;
}

static void *random_value(const struct shape *shape, struct arena *arena)
{
	char *value = arena_take(arena, shape->size);

	shape_clear(shape, value);
	for (const struct field *f = shape->fields; f->type; f++)
		random_field(f, value + f->offset, arena);
	return value;
}

static void check_round_trip(const struct shape *shape, struct arena *arena)
{
	struct buf first = BUF(LIMIT_link_frame), second = BUF(LIMIT_link_frame);
	const char *value = random_value(shape, arena);
	char *back = arena_take(arena, shape->size);
	int fd, fd_again;

	assert_int_equal(shape_encode(shape, value, &first, &fd), OK);
	assert_int_equal(shape_decode(shape, buf_str(&first), fd, arena, back), OK);
	for (const struct field *f = shape->fields; f->type; f++)
		assert_true(same_field(f, value + f->offset, back + f->offset));
	assert_int_equal(shape_encode(shape, back, &second, &fd_again), OK);
	assert_int_equal(fd, fd_again);
	assert_true(str_is(buf_str(&first), buf_str(&second)));
	/* Cut anywhere, it is not valid; the octets lie at the end of a block so that ASan sees overruns. */
	for (size_t tries = 0; tries < 8 && first.len; tries++) {
		size_t len = (size_t)chance(first.len);
		char *copy = malloc(len ? len : 1);

		memcpy(copy, first.at, len);
		assert_int_equal(shape_decode(shape, (struct str){ copy, len }, fd, arena, back),
				 ERR_PROTOCOL);
		free(copy);
	}
	buf_drop(&first);
	buf_drop(&second);
}

static void test_random_values_come_back_the_same(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned kind = 0; kind < MESSAGE_NUMBERS; kind++) {
			const struct message *message = message_of(kind);

			if (!message)
				continue;
			check_round_trip(message->ask, &arena);
			check_round_trip(message->answer, &arena);
			arena_reset(&arena);
		}
		check_round_trip(&failure_shape, &arena);
	}
	arena_drop(&arena);
}

/* ---- bounds ---- */

static enum err encode_ask(unsigned kind, const void *ask)
{
	struct buf out = BUF(LIMIT_link_frame);
	int fd;
	enum err err = shape_encode(message_of(kind)->ask, ask, &out, &fd);

	buf_drop(&out);
	return err;
}

static void test_the_encoder_refuses_what_is_over_a_bound(void **state)
{
	static char octets[LIMIT_link_inline_body + 1];
	static struct str many[LIMIT_recipients + 1];
	static const uint64_t numbers[8001];
	struct str long_address = { octets, LIMIT_address + 1 };

	(void)state;
	assert_int_equal(encode_ask(MESSAGE_recipient, &(struct ask_recipient){ .create = 1 }), OK);
	assert_int_equal(encode_ask(MESSAGE_recipient, &(struct ask_recipient){ .create = 2 }),
			 ERR_LIMIT);
	assert_int_equal(
		encode_ask(MESSAGE_recipient, &(struct ask_recipient){ .address = long_address }),
		ERR_LIMIT);
	assert_int_equal(
		encode_ask(MESSAGE_deliver,
			   &(struct ask_deliver){ .recipients = { many, LIMIT_recipients } }),
		OK);
	assert_int_equal(
		encode_ask(MESSAGE_deliver,
			   &(struct ask_deliver){ .recipients = { many, LIMIT_recipients + 1 } }),
		ERR_LIMIT);
	assert_int_equal(encode_ask(MESSAGE_deliver,
				    &(struct ask_deliver){ .recipients = { &long_address, 1 } }),
			 ERR_LIMIT);
	assert_int_equal(
		encode_ask(MESSAGE_deliver,
			   &(struct ask_deliver){ .body = { { octets, sizeof(octets) }, -1, 0 } }),
		ERR_LIMIT);
	assert_int_equal(encode_ask(MESSAGE_maildrop_delete,
				    &(struct ask_maildrop_delete){ .indexes = { numbers, 8001 } }),
			 ERR_LIMIT);
	assert_int_equal(encode_ask(MESSAGE_ring, &(struct ask_ring){ .fd = -1 }), ERR_LIMIT);
}

static void test_the_largest_message_of_each_kind_fits_into_a_frame(void **state)
{
	struct str *addresses = calloc(LIMIT_recipients, sizeof(*addresses));
	char *octets = calloc(1, LIMIT_link_inline_body);
	struct ask_deliver ask = {
		.sender = { octets, LIMIT_address },
		.recipients = { addresses, LIMIT_recipients },
		.structure = { octets, LIMIT_structure_octets },
		.subject = { octets, 1000 },
		.body = { { octets, LIMIT_link_inline_body }, -1, LIMIT_link_inline_body },
	};

	(void)state;
	for (size_t i = 0; i < LIMIT_recipients; i++)
		addresses[i] = (struct str){ octets, LIMIT_address };
	assert_int_equal(encode_ask(MESSAGE_deliver, &ask), OK);
	free(addresses);
	free(octets);
}

static void test_the_decoder_refuses_what_is_over_a_bound(void **state)
{
	static const struct {
		const char *what;
		unsigned kind;
		size_t len; /* the head, then zeros */
		struct str head;
	} cases[] = {
		{ "a text longer than the frame", MESSAGE_recipient, 20, S("\xff\xff\xff\x7f") },
		{ "a text over its bound", MESSAGE_recipient, 500, S("\x90\x01") },
		{ "a count without items", MESSAGE_maildrop_delete, 12, S("\1\0\0\0\0\0\0\0\1") },
		{ "a number over its bound", MESSAGE_recipient, 20,
		  S("\0\0\0\0\0\0\0\0\0\0\0\0\2") },
		{ "an unknown kind of body", MESSAGE_reload, 9, S("\2") },
		{ "an inline body longer than the frame", MESSAGE_reload, 9, S("\0\5") },
		{ "an inline body over the bound", MESSAGE_reload, 9 + 131073, S("\0\1\0\2") },
		{ "a memfd body without a memfd", MESSAGE_reload, 9, S("\1\5") },
		{ "octets after the end", MESSAGE_begin, 1, S("") },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct shape *shape = message_of(cases[i].kind)->ask;
		char *payload = calloc(1, cases[i].len);
		void *out = arena_take(&arena, shape->size);

		memcpy(payload, cases[i].head.at, cases[i].head.len);
		if (shape_decode(shape, (struct str){ payload, cases[i].len }, -1, &arena, out) !=
		    ERR_PROTOCOL)
			fail_msg("%s was taken", cases[i].what);
		free(payload);
	}
	arena_drop(&arena);
}

static void test_a_descriptor_must_be_asked_for(void **state)
{
	struct arena arena = { 0 };
	struct answer_begin nothing;
	struct ask_listen ask;

	(void)state;
	assert_int_equal(shape_decode(message_of(MESSAGE_begin)->ask, S(""), 7, &arena, &nothing),
			 ERR_PROTOCOL);
	assert_int_equal(
		shape_decode(message_of(MESSAGE_listen)->ask, S("\0\0\0\0"), -1, &arena, &ask),
		ERR_PROTOCOL);
	assert_int_equal(ask.fd, -1);
	assert_int_equal(
		shape_decode(message_of(MESSAGE_listen)->ask, S("\0\0\0\0"), 7, &arena, &ask), OK);
	assert_int_equal(ask.fd, 7);
	arena_drop(&arena);
}

/* ---- frames ---- */

static void test_frames_are_split_wherever_the_octets_are_cut(void **state)
{
	struct frame frame = { FRAME_ANSWER, 513, 70000, true, S("hello") };
	char octets[FRAME_HEAD + 5];
	struct frame back;

	(void)state;
	frame_write_head(&frame, octets);
	memcpy(octets + FRAME_HEAD, "hello", 5);
	for (size_t len = 0; len < sizeof(octets); len++) {
		struct str part = { octets, len };

		assert_int_equal(frame_take(&part, &back), ERR_AGAIN);
		assert_int_equal(part.len, len);
	}
	{
		struct str whole = { octets, sizeof(octets) };

		assert_int_equal(frame_length(whole), sizeof(octets));
		assert_int_equal(frame_take(&whole, &back), OK);
		assert_int_equal(whole.len, 0);
	}
	assert_int_equal(back.type, FRAME_ANSWER);
	assert_int_equal(back.kind, 513);
	assert_int_equal(back.call, 70000);
	assert_true(back.has_fd);
	assert_true(str_is(back.payload, S("hello")));
}

static void test_a_bad_head_is_refused_before_its_frame_has_come(void **state)
{
	static const char heads[][FRAME_HEAD + 1] = {
		"\xff\xff\xff\xff\1\0\1\0\0\0\0\0", /* too long */
		"\0\0\x10\0\1\0\1\0\0\0\0",         /* LIMIT_link_frame, the head not counted */
		"\4\0\0\0\0\0\1\0\0\0\0",           /* type 0 */
		"\4\0\0\0\4\0\1\0\0\0\0",           /* type 4 */
		"\4\0\0\0\1\2\1\0\0\0\0",           /* an unknown flag */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		struct str octets = { heads[i], FRAME_HEAD };
		struct frame frame;

		assert_int_equal(frame_take(&octets, &frame), ERR_PROTOCOL);
	}
}

static void test_calls_go_down_the_table_of_roles_only(void **state)
{
	static const enum role_kind order[] = { ROLE_NONE,      ROLE_SUPERVISOR, ROLE_GATE_MX,
						ROLE_GATE_USER, ROLE_FILTER,     ROLE_RELAY,
						ROLE_WEB,       ROLE_STORE };

	static_assert(COUNT_OF(order) == ROLE_KINDS);
	(void)state;
	for (unsigned kind = 0; kind < MESSAGE_NUMBERS; kind++) {
		const struct message *message = message_of(kind);

		if (!message)
			continue;
		assert_string_equal(message_name(kind), message->name);
		for (unsigned from = 0; from < ROLE_KINDS; from++)
			for (unsigned to = 0; to <= from; to++)
				assert_false(message_is_allowed(message, order[from], order[to]));
	}
	assert_string_equal(message_name(63), "?");
	assert_string_equal(message_name(100000), "?");
	assert_null(message_of(0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_values_come_back_the_same),
		cmocka_unit_test(test_the_encoder_refuses_what_is_over_a_bound),
		cmocka_unit_test(test_the_largest_message_of_each_kind_fits_into_a_frame),
		cmocka_unit_test(test_the_decoder_refuses_what_is_over_a_bound),
		cmocka_unit_test(test_a_descriptor_must_be_asked_for),
		cmocka_unit_test(test_frames_are_split_wherever_the_octets_are_cut),
		cmocka_unit_test(test_a_bad_head_is_refused_before_its_frame_has_come),
		cmocka_unit_test(test_calls_go_down_the_table_of_roles_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
