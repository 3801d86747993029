/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_fixture.h"
#include "cli/watch_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- a session as the server tells it ---- */

enum { START_US = 1000000 };

static uint64_t sequence;

/* An event of session 77, so many microseconds after its beginning. */
static json_t *told(int64_t at_us, struct trace_event event)
{
	event.head.session = event.head.session ? event.head.session : 77;
	event.head.sequence = ++sequence;
	event.head.at_us = START_US + at_us;
	event.head.wall_us = WALL_US + at_us;
	event.head.role = 2;
	return row_of(&event);
}

#define COMMAND(at, word, text)                                                                    \
	told(at, (struct trace_event){ .head = { .kind = TRACE_command },                          \
				       .command = { S(word), S(text) } })
#define REPLY(at, number, text, goes_on, word)                                                     \
	told(at, (struct trace_event){ .head = { .kind = TRACE_reply },                            \
				       .reply = { number, S(text), goes_on, S(word), 40 } })

static json_t *connect_row(int64_t at_us, uint64_t session)
{
	return told(at_us,
		    (struct trace_event){ .head = { .kind = TRACE_connect, .session = session },
					  .connect = { S("smtp"), S("mx"), S("192.0.2.7:40112"),
						       S("192.0.2.1:25"), S(""), 0 } });
}

static json_t *close_row(int64_t at_us, uint64_t errors)
{
	return told(at_us, (struct trace_event){ .head = { .kind = TRACE_close },
						 .close = { S("quit"), S(""), 5, errors, 1, 2000,
							    300, (uint64_t)at_us,
							    S("192.0.2.7:40112"), S("smtp"), 0 } });
}

/* The session of the pictures: pipelined, one recipient refused, with what happened inside. */
static json_t *session_rows(void)
{
	json_t *rows = json_array();

	sequence = 0;
	json_array_append_new(rows, connect_row(0, 77));
	json_array_append_new(rows, REPLY(120, 220, "220 mail.example ESMTP", 0, "greeting"));
	json_array_append_new(rows, COMMAND(9000, "EHLO", "EHLO client.example"));
	json_array_append_new(
		rows, told(9010, (struct trace_event){ .head = { .kind = TRACE_state },
						       .state = { S("fresh"), S("ready") } }));
	json_array_append_new(rows, REPLY(9020, 250, "250-mail.example", 1, "EHLO"));
	json_array_append_new(rows, REPLY(9020, 250, "250-PIPELINING", 1, "EHLO"));
	json_array_append_new(rows, REPLY(9020, 250, "250 SIZE 52428800", 0, "EHLO"));
	json_array_append_new(rows,
			      COMMAND(20000, "MAIL", "MAIL FROM:<anna@example.org> SIZE=350"));
	json_array_append_new(rows, COMMAND(20001, "RCPT", "RCPT TO:<nobody@mail.example>"));
	json_array_append_new(rows, COMMAND(20002, "RCPT", "RCPT TO:<otto@mail.example>"));
	json_array_append_new(rows, COMMAND(20003, "DATA", "DATA"));
	json_array_append_new(rows, REPLY(20100, 250, "250 2.1.0 Sender OK", 0, "MAIL"));
	json_array_append_new(
		rows, told(20150, (struct trace_event){ .head = { .kind = TRACE_policy },
							.policy = { S("unknown_recipients_max"),
								    S("delay"),
								    S("one more unknown recipient"),
								    S("glasspost.conf:17") } }));
	json_array_append_new(rows, REPLY(20200, 550, "550 5.1.1 No such mailbox here", 0, "RCPT"));
	json_array_append_new(rows, REPLY(20300, 250, "250 2.1.5 Recipient OK", 0, "RCPT"));
	json_array_append_new(rows, REPLY(20400, 354, "354 Send the message", 0, "DATA"));
	json_array_append_new(
		rows,
		told(90000, (struct trace_event){ .head = { .kind = TRACE_data },
						  .data = { S("DATA"), 2150, 2150, 1, 3, 400 } }));
	json_array_append_new(
		rows, told(91000, (struct trace_event){ .head = { .kind = TRACE_accept },
							.accept = { S("0ABCDEFGHJKMN"),
								    S("anna@example.org"),
								    S("otto@mail.example"), 2150,
								    3000, S("192.0.2.7:40112"),
								    S("Gr\xc3\xbc\xc3\x9f"
								      "e") } }));
	json_array_append_new(rows, REPLY(92000, 250, "250 2.0.0 Accepted", 0, "DATA"));
	json_array_append_new(rows, COMMAND(5092000, "QUIT", "QUIT"));
	json_array_append_new(rows, REPLY(5092100, 221, "221 2.0.0 Bye", 0, "QUIT"));
	json_array_append_new(rows, close_row(5093000, 1));
	return rows;
}

static void add_rows(struct film *film, const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++)
		assert_true(film_add(film, json_array_get(rows, i)));
}

static void film_of_session(struct film *film)
{
	json_t *rows = session_rows();

	film_init(film, 77);
	add_rows(film, rows);
	json_decref(rows);
}

static struct str line_of(const struct film *film, int32_t event)
{
	assert_true(event != NO_EVENT);
	return film->events[event].event.command.line;
}

static void each_pipelined_command_finds_its_answer(void **state)
{
	struct film film;

	(void)state;
	film_of_session(&film);
	assert_int_equal(film.count, 22);
	/* EHLO has three lines, DATA two replies; the greeting answers nothing. */
	assert_int_equal(film.partners[1], NO_EVENT);
	assert_true(str_is(line_of(&film, film.partners[5]), S("EHLO client.example")));
	assert_int_equal(film.partners[2], 6);
	assert_true(str_is(line_of(&film, film.partners[13]), S("RCPT TO:<nobody@mail.example>")));
	assert_true(str_is(line_of(&film, film.partners[14]), S("RCPT TO:<otto@mail.example>")));
	assert_true(str_is(line_of(&film, film.partners[15]), S("DATA")));
	assert_true(str_is(line_of(&film, film.partners[18]), S("DATA")));
	film_done(&film);
}

static void the_answer_to_a_challenge_belongs_to_the_sign_in(void **state)
{
	json_t *rows[] = { COMMAND(1, "AUTH", "AUTH PLAIN"), REPLY(2, 0, "+ ", 0, "AUTH"),
			   told(3, (struct trace_event){ .head = { .kind = TRACE_command,
								   .flags = TRACE_MASKED },
							 .command = { S(""), S("****") } }),
			   REPLY(4, 0, "+OK", 0, "AUTH") };
	struct film film;

	(void)state;
	film_init(&film, 77);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(film_add(&film, rows[i]));
		json_decref(rows[i]);
	}
	assert_int_equal(film.partners[0], 1);
	assert_int_equal(film.partners[3], 2);
	film_done(&film);
}

static void an_event_that_was_shown_already_is_not_taken_twice(void **state)
{
	struct film film;
	json_t *rows = session_rows();

	(void)state;
	film_init(&film, 77);
	add_rows(&film, rows);
	for (size_t i = 0; i < json_array_size(rows); i++)
		assert_false(film_add(&film, json_array_get(rows, i)));
	assert_int_equal(film.count, json_array_size(rows));
	json_decref(rows);
	film_done(&film);
}

/* ---- playing ---- */

static void the_film_keeps_the_rhythm_of_the_session(void **state)
{
	struct film film;
	int64_t now = 50000000;

	(void)state;
	film_of_session(&film);
	film.pace = PACE_REAL;
	film_go(&film, 0);
	film_toggle(&film, now);
	assert_true(film.plays && film.as_film);
	film_draw(&film, 80, false);
	assert_int_equal(film_shown_rows(&film), film_row_of(&film, 1));
	assert_int_equal(film_play(&film, now + 100), 1);
	assert_int_equal(film.cursor, 0);
	film_play(&film, now + 130);
	assert_int_equal(film.cursor, 1);
	/* At twice the speed the rest takes half of its time. */
	film_toggle(&film, now);
	film.speed = 2;
	film_toggle(&film, now + 1000000);
	film_play(&film, now + 1000000 + 5093000 / 2 - 1000);
	assert_true(film.plays);
	film_play(&film, now + 1000000 + 5093000 / 2 + 1000);
	film_play(&film, now + 9000000);
	assert_false(film.plays);
	assert_int_equal(film.cursor, film.count - 1);
	film_done(&film);
}

static void long_silences_are_squeezed(void **state)
{
	struct film film;

	(void)state;
	film_of_session(&film);
	film_go(&film, 18); /* before QUIT, which came five seconds later */
	film.follows = false;
	film_toggle(&film, 0);
	film_play(&film, 600000);
	assert_true(film.cursor > 18);
	film.pace = PACE_REAL;
	film_go(&film, 18);
	film_toggle(&film, 0);
	film_toggle(&film, 0);
	film_play(&film, 600000);
	assert_int_equal(film.cursor, 18);
	film_done(&film);
}

static void speed_has_its_ends(void **state)
{
	struct film film;

	(void)state;
	film_init(&film, 1);
	for (int i = 0; i < 30; i++)
		film_faster(&film, true);
	assert_true(film.speed == 100);
	for (int i = 0; i < 30; i++)
		film_faster(&film, false);
	assert_true(film.speed == 0.1);
	for (int i = 0; i < 3; i++)
		film_faster(&film, true);
	assert_true(film.speed == 1);
	film_done(&film);
}

static void steps_by_phase_stop_where_something_new_begins(void **state)
{
	static const char *const begins[] = { "EHLO client.example",
					      "MAIL FROM:<anna@example.org> SIZE=350", "DATA",
					      "QUIT" };
	struct film film;

	(void)state;
	film_of_session(&film);
	film_go(&film, 0);
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		film_step_phase(&film, 1);
		assert_true(str_is(line_of(&film, (int32_t)film.cursor), str_of(begins[i])));
	}
	film_step_phase(&film, 1);
	assert_int_equal(film.cursor, film.count - 1);
	film_step_phase(&film, 1);
	assert_int_equal(film.cursor, film.count - 1);
	for (int i = 0; i < 20; i++)
		film_step_phase(&film, -1);
	assert_int_equal(film.cursor, 0);
	film_done(&film);
}

static void an_empty_film_bears_every_key(void **state)
{
	struct film film;

	(void)state;
	film_init(&film, 77);
	film_draw(&film, 80, false);
	film_step(&film, 1);
	film_step(&film, -1);
	film_step_phase(&film, 1);
	film_step_phase(&film, -1);
	film_end(&film);
	film.follows = false;
	film_toggle(&film, 0);
	assert_int_equal(film_play(&film, 1), -1);
	assert_false(film_find(&film, S("x"), 1));
	film_done(&film);
}

/* ---- the screen ---- */

static enum err load_session(void *context, struct film *film)
{
	json_t *rows = session_rows();

	if (film->session != 77) {
		json_decref(rows);
		return fault(ERR_NOT_FOUND, "no events of that session \x1b[31m are kept");
	}
	for (size_t i = 0; i < json_array_size(rows); i++)
		film_add(film, json_array_get(rows, i));
	json_decref(rows);
	++*(int *)context;
	return OK;
}

static void view_init(struct view *view, unsigned width, unsigned height)
{
	static int loads;
	json_t *rows = session_rows();

	*view = (struct view){ .width = width,
			       .height = height,
			       .speed = 1,
			       .list_follows = true,
			       .load = load_session,
			       .context = &loads };
	for (size_t i = 0; i < json_array_size(rows); i++)
		view_event(view, json_array_get(rows, i));
	json_decref(rows);
}

/* As the painter would, in cells counted by characters. */
static void print_row(const struct canvas *canvas, const struct canvas_row *row, struct buf *out)
{
	static const char *const marks[STYLES] = { " ", "d", "T", "L", "g", "o", "l", "b", "s" };
	size_t cells = 0;

	buf_print(out, "%s%s",
		  row->is_bar        ? "="
		  : row->is_selected ? "#"
				     : " ",
		  marks[row->left_style]);
	buf_print(out, "|%.*s", STR_ARGS(row->left));
	for (size_t i = 0; i < row->left.len; i++)
		cells += ((unsigned char)row->left.at[i] & 0xC0) != 0x80;
	if (row->right.len) {
		for (; cells < canvas->split; cells++)
			buf_add_char(out, ' ');
		buf_print(out, "%s|%.*s", marks[row->right_style], STR_ARGS(row->right));
	}
	buf_add_char(out, '\n');
}

static void print_screen(struct view *view, struct buf *out)
{
	struct canvas canvas = { 0 };

	view_draw(view, &canvas);
	for (unsigned i = 0; i < canvas.height; i++)
		print_row(&canvas, &canvas.rows[i], out);
	canvas_done(&canvas);
}

static void compare(const char *name, struct view *view)
{
	struct buf drawn = BUF(1 << 20);
	struct buf golden = BUF(1 << 20);
	char path[1024];
	FILE *file;

	print_screen(view, &drawn);
	snprintf(path, sizeof path, "%s/%s", GOLDEN, name);
	if (getenv("GOLDEN_UPDATE")) {
		file = fopen(path, "wb");
		assert_non_null(file);
		assert_int_equal(fwrite(drawn.at, 1, drawn.len, file), drawn.len);
		fclose(file);
	}
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(buf_reserve(&golden, 65536), OK);
	golden.len = fread(golden.at, 1, 65536, file);
	fclose(file);
	if (!str_is(buf_str(&golden), buf_str(&drawn)))
		fail_msg("%s is not as it was (GOLDEN_UPDATE=1 writes it anew; look at it "
			 "then):\n%.*s",
			 name, STR_ARGS(buf_str(&drawn)));
	buf_drop(&drawn);
	buf_drop(&golden);
}

static void keys(struct view *view, const char *typed)
{
	for (; *typed; typed++)
		view_key(view,
			 (unsigned char)*typed == '\n' ? (uint32_t)WATCH_ENTER
						       : (unsigned char)*typed,
			 0);
}

/* GOLDEN_UPDATE=1 watch_test writes these anew; look at them then, they are what people see. */
static void the_screens_look_like_their_golden_files(void **state)
{
	struct view view;

	(void)state;
	view_init(&view, 80, 24);
	compare("watch-list-80.txt", &view);
	keys(&view, "\n");
	compare("watch-ladder-80.txt", &view);
	keys(&view, "/5.1.1\n");
	compare("watch-found-80.txt", &view);
	keys(&view, "\n");
	compare("watch-line-80.txt", &view);
	view.width = 120;
	view.height = 40;
	keys(&view, "q");
	compare("watch-ladder-120.txt", &view);
	keys(&view, "sbee");
	view.ascii = true;
	compare("watch-ascii-120.txt", &view);
	keys(&view, "?");
	compare("watch-help-120.txt", &view);
	view_done(&view);
}

static void every_key_at_every_size_leaves_a_screen_that_is_whole(void **state)
{
	static const unsigned sizes[][2] = { { 80, 24 },  { 20, 3 },  { 1, 1 },   { 60, 10 },
					     { 111, 16 }, { 112, 5 }, { 300, 90 } };
	static const uint32_t pressed[] = { WATCH_DOWN,
					    WATCH_ENTER,
					    WATCH_DOWN,
					    WATCH_PAGE_DOWN,
					    WATCH_PHASE_RIGHT,
					    ' ',
					    '[',
					    ']',
					    't',
					    'e',
					    'b',
					    's',
					    WATCH_ENTER,
					    WATCH_PAGE_DOWN,
					    WATCH_UP,
					    WATCH_RIGHT,
					    WATCH_LEFT,
					    WATCH_END,
					    WATCH_HOME,
					    '?',
					    'x',
					    '/',
					    'q',
					    WATCH_BACKSPACE,
					    'd',
					    WATCH_ENTER,
					    'n',
					    'N',
					    WATCH_PHASE_LEFT,
					    WATCH_PAGE_UP,
					    0x1F600,
					    WATCH_ESCAPE,
					    WATCH_ESCAPE,
					    'g',
					    'G',
					    WATCH_UP };
	(void)state;
	for (size_t size = 0; size < COUNT_OF(sizes); size++) {
		struct view view;

		view_init(&view, sizes[size][0], sizes[size][1]);
		for (size_t i = 0; i < COUNT_OF(pressed); i++) {
			struct buf drawn = BUF(1 << 20);

			view_key(&view, pressed[i], (int64_t)i * 100000);
			view_play(&view, (int64_t)i * 100000);
			print_screen(&view, &drawn);
			assert_false(drawn.failed);
			buf_drop(&drawn);
		}
		assert_int_equal(view.mode, VIEW_LIST);
		view_done(&view);
	}
}

static void sessions_appear_as_they_come_and_stay_in_their_order(void **state)
{
	struct view view;
	json_t *row;

	(void)state;
	view_init(&view, 80, 24);
	assert_int_equal(view.list.count, 1);
	assert_false(view.list.at[0].is_open);
	assert_int_equal(seen_style(&view.list.at[0]), STYLE_LATER);
	row = connect_row(7000000, 79);
	view_event(&view, row);
	view_event(&view, row);
	json_decref(row);
	row = connect_row(6000000, 78); /* another role's events come a moment later */
	view_event(&view, row);
	json_decref(row);
	assert_int_equal(view.list.count, 3);
	assert_int_equal(view.list.at[1].id, 78);
	assert_int_equal(view.list.at[2].id, 79);
	assert_int_equal(seen_style(&view.list.at[2]), STYLE_ONGOING);
	view_done(&view);
}

static void a_session_that_is_not_kept_is_said_and_not_opened(void **state)
{
	struct view view;

	(void)state;
	view_init(&view, 80, 24);
	view_open(&view, 4711);
	assert_int_equal(view.mode, VIEW_LIST);
	assert_non_null(strstr(view.message, "no events of that session"));
	assert_null(strchr(view.message, 0x1b));
	view_done(&view);
}

static void what_a_film_has_no_room_for_is_counted_where_it_can_be_seen(void **state)
{
	struct buf out = BUF(1 << 20);
	struct view view;
	json_t *row;

	(void)state;
	view_init(&view, 80, 24);
	keys(&view, "\n");
	assert_int_equal(view.mode, VIEW_LADDER);
	print_screen(&view, &out);
	assert_true(str_find_str(buf_str(&out), S("not seen")) == STR_NONE);
	view.film.count = FILM_EVENTS_MAX; /* as if */
	row = connect_row(9000000, view.film.session);
	view_event(&view, row);
	view_event(&view, row);
	json_decref(row);
	view.film.count = view.film.drawn_count;
	buf_reset(&out);
	print_screen(&view, &out);
	assert_true(str_find_str(buf_str(&out), S("2 events not seen")) != STR_NONE);
	buf_drop(&out);
	view_done(&view);
}

/* What a stranger says is shown, never obeyed. */
static void no_text_from_outside_moves_the_terminal(void **state)
{
	const struct str evil = S("\x1b[2J\x1b]0;gotcha\x07\23331m\xc2\x9b\r\n\x08\x7f"
				  "\xe2\x80\xae\xe2\x80\x8f\xff\xfe end");
	struct view view;

	(void)state;
	view_init(&view, 120, 40);
	for (int64_t at = 1; at < 6; at++) {
		struct trace_event events[] = {
			{ .head = { .kind = TRACE_connect, .session = 99 },
			  .connect = { evil, evil, evil, evil, evil, 0 } },
			{ .head = { .kind = TRACE_command }, .command = { evil, evil } },
			{ .head = { .kind = TRACE_reply }, .reply = { 599, evil, 0, evil, 1 } },
			{ .head = { .kind = TRACE_policy }, .policy = { evil, evil, evil, evil } },
			{ .head = { .kind = TRACE_accept },
			  .accept = { evil, evil, evil, 1, 1, evil, evil } },
		};
		json_t *row = told(6000000 + at, events[at - 1]);

		view_event(&view, row);
		view_open(&view, 77);
		film_add(&view.film, row);
		film_end(&view.film);
		json_decref(row);
		for (const char *key = " b\nsee?"; *key; key++) {
			struct buf drawn = BUF(1 << 20);

			keys(&view, (const char[]){ *key, '\0' });
			print_screen(&view, &drawn);
			for (size_t i = 0; i < drawn.len; i++)
				assert_true((unsigned char)drawn.at[i] >= 0x20 ||
					    drawn.at[i] == '\n');
			assert_int_equal(str_find_str(buf_str(&drawn), S("\xc2\x9b")), STR_NONE);
			assert_int_equal(str_find_str(buf_str(&drawn), S("\xe2\x80\xae")),
					 STR_NONE);
			buf_drop(&drawn);
		}
		view.mode = VIEW_LIST;
		view.shows_help = false;
	}
	view_done(&view);
}

/* ---- pages ---- */

static void a_page_keeps_its_width(void **state)
{
	struct page page = { 0 };
	struct film film;

	(void)state;
	film_of_session(&film);
	for (unsigned width = 20; width < 120; width += 7) {
		for (size_t event = 0; event < film.count; event++) {
			struct detail_wishes wishes = { .bytes = false, .states = true };

			page_begin(&page, width, width % 2);
			detail_write(&page, &film, event, &wishes);
			assert_true(page.count > 3);
			for (size_t i = 0; i < page.count; i++) {
				size_t cells = 0;

				for (size_t at = 0; at < page.lines[i].text.len; at++)
					cells += ((unsigned char)page.lines[i].text.at[at] &
						  0xC0) != 0x80;
				assert_true(cells <= width);
			}
		}
	}
	page_done(&page);
	film_done(&film);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pipelined_command_finds_its_answer),
		cmocka_unit_test(the_answer_to_a_challenge_belongs_to_the_sign_in),
		cmocka_unit_test(an_event_that_was_shown_already_is_not_taken_twice),
		cmocka_unit_test(the_film_keeps_the_rhythm_of_the_session),
		cmocka_unit_test(long_silences_are_squeezed),
		cmocka_unit_test(speed_has_its_ends),
		cmocka_unit_test(steps_by_phase_stop_where_something_new_begins),
		cmocka_unit_test(an_empty_film_bears_every_key),
		cmocka_unit_test(the_screens_look_like_their_golden_files),
		cmocka_unit_test(every_key_at_every_size_leaves_a_screen_that_is_whole),
		cmocka_unit_test(sessions_appear_as_they_come_and_stay_in_their_order),
		cmocka_unit_test(a_session_that_is_not_kept_is_said_and_not_opened),
		cmocka_unit_test(what_a_film_has_no_room_for_is_counted_where_it_can_be_seen),
		cmocka_unit_test(no_text_from_outside_moves_the_terminal),
		cmocka_unit_test(a_page_keeps_its_width),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
