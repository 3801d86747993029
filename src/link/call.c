/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's side: a link is the channels ("lines") to all processes of one role. A call takes a
 * seat at a line; the seat's number and generation are the call's id. The line's reader fiber
 * puts the answer where the call wants it and wakes its fiber.
 *
 * A call whose deadline passed leaves its seat to the late answer: the seat counts as in flight until
 * that has come or the line has ended, so a slow callee cannot be buried in forgotten calls. What such an
 * answer hands out is given back (late.h).
 */
#include "link/channel.h"
#include "link/late.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	SEAT_BITS = 14, /* of a call id; the rest is the generation */
	SEATS_FIRST = 64,
	SEAT_NONE = LIMIT_link_calls /* no seat has this index */
};

static_assert(LIMIT_link_calls <= 1 << SEAT_BITS);

/* Where a call's outcome goes; lies on the stack of the fiber that waits. */
struct waiting {
	struct waitq queue;
	struct arena *arena;
	void *answer;
	bool done;
	enum err err;
	char text[FAULT_TEXT_MAX];
};

struct seat {
	struct waiting *waiting; /* NULL: its deadline has passed */
	const struct message *message;
	unsigned kind;
	uint32_t id;
	uint32_t next_free;
	bool taken;
};

struct line {
	struct link *link;
	unsigned index;
	struct channel *channel;
	struct seat *seats;
	uint32_t seat_count;
	uint32_t first_free;
};

struct link {
	enum role_kind self;
	enum role_kind callee;
	struct line *lines[LIMIT_role_processes];
	unsigned next;       /* line of the next call */
	struct waitq up;     /* who waits for any line */
	struct waitq seated; /* who waits for a seat */
	size_t users;        /* the owner, lines, calls */
	bool dropped;
	struct link_stats stats; /* its octets are of ended lines */
};

/* Who asks and where the answer goes: what one call is about. */
struct call {
	struct link *link;
	unsigned kind;
	const struct message *message;
	const void *ask;
	moment deadline;
	struct waiting waiting;
};

/* ---- birth and end ---- */

struct link *link_new(enum role_kind self, enum role_kind callee)
{
	struct link *link = calloc(1, sizeof(*link));

	must(link);
	link->self = self;
	link->callee = callee;
	link->users = 1;
	waitq_init(&link->up);
	waitq_init(&link->seated);
	return link;
}

static void link_release(struct link *link)
{
	if (--link->users == 0)
		free(link);
}

void link_drop(struct link **link)
{
	struct link *l = *link;

	if (!l)
		return;
	*link = NULL;
	l->dropped = true;
	for (size_t i = 0; i < COUNT_OF(l->lines); i++)
		if (l->lines[i])
			channel_cut(l->lines[i]->channel, ERR_GONE);
	waitq_wake_all(&l->up);
	waitq_wake_all(&l->seated);
	link_release(l);
}

static bool line_is_up(const struct line *line)
{
	return line && channel_is_up(line->channel);
}

bool link_is_up(const struct link *link)
{
	for (size_t i = 0; i < COUNT_OF(link->lines); i++)
		if (line_is_up(link->lines[i]))
			return true;
	return false;
}

static void add_octets(struct link_stats *to, const struct link_stats *from)
{
	to->bytes_in += from->bytes_in;
	to->bytes_out += from->bytes_out;
	to->reads += from->reads;
	to->writes += from->writes;
}

void link_get_stats(const struct link *link, struct link_stats *out)
{
	*out = link->stats;
	for (size_t i = 0; i < COUNT_OF(link->lines); i++)
		if (link->lines[i])
			add_octets(out, &link->lines[i]->channel->stats);
}

/* ---- seats ---- */

static void add_seats(struct line *line)
{
	uint32_t count = line->seat_count ? line->seat_count * 2 : SEATS_FIRST;
	struct seat *seats = realloc(line->seats, count * sizeof(*seats));

	must(seats && count <= LIMIT_link_calls);
	line->seats = seats;
	for (uint32_t i = count; i-- > line->seat_count;) {
		seats[i] = (struct seat){ .id = i, .next_free = line->first_free };
		line->first_free = i;
	}
	line->seat_count = count;
}

static struct seat *seat_take(struct line *line, struct call *call)
{
	struct seat *seat;

	if (line->first_free == SEAT_NONE)
		add_seats(line);
	seat = &line->seats[line->first_free];
	line->first_free = seat->next_free;
	seat->waiting = &call->waiting;
	seat->message = call->message;
	seat->kind = call->kind;
	seat->id += 1u << SEAT_BITS;
	seat->taken = true;
	line->link->stats.in_flight++;
	return seat;
}

static void seat_give(struct line *line, struct seat *seat)
{
	struct link *link = line->link;

	seat->waiting = NULL;
	seat->taken = false;
	seat->next_free = line->first_free;
	line->first_free = (uint32_t)(seat - line->seats);
	link->stats.in_flight--;
	waitq_wake_one(&link->seated);
}

static struct seat *seat_of_id(struct line *line, uint32_t id)
{
	uint32_t index = id & ((1u << SEAT_BITS) - 1);
	struct seat *seat = index < line->seat_count ? &line->seats[index] : NULL;

	return seat && seat->taken && seat->id == id ? seat : NULL;
}

static void seat_finish(struct line *line, struct seat *seat, enum err err)
{
	struct waiting *waiting = seat->waiting;

	seat_give(line, seat);
	if (!waiting)
		return;
	waiting->err = err;
	waiting->done = true;
	waitq_wake_one(&waiting->queue);
}

/* ---- answers ---- */

/* Another role's text is quoted, not trusted: nothing that could forge a line of the log. */
static void copy_text(char *to, size_t room, struct str text)
{
	size_t len = text.len < room ? text.len : room - 1;

	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)text.at[i] < 32 || text.at[i] == 127 ? '?' : text.at[i];
	to[len] = '\0';
}

static enum err take_failure(struct line *line, struct seat *seat, const struct frame *frame,
			     int fd)
{
	struct arena none = { 0 }; /* a failure has no lists */
	struct failure failure;
	enum err err = shape_decode(&failure_shape, frame->payload, fd, &none, &failure);

	if (!err && failure.err == OK)
		err = fault(ERR_PROTOCOL, "a failure that is none");
	if (err)
		return err;
	if (seat->waiting)
		copy_text(seat->waiting->text, sizeof(seat->waiting->text), failure.text);
	line->link->stats.failures++;
	seat_finish(line, seat, (enum err)failure.err);
	return OK;
}

/* ---- late ones ---- */

struct giving_back {
	struct link *link;
	struct late late;
};

static void give_back_fiber(void *arg) WAITS
{
	struct giving_back *giving = arg;

	late_give_back(giving->link, &giving->late);
	link_release(giving->link);
	free(giving);
}

static enum err give_back_late(struct link *link, const struct frame *frame, int *fd)
{
	struct giving_back *giving;
	struct late late;
	enum err err = late_take(frame, fd, &late);

	if (err || late_is_empty(&late))
		return err;
	giving = calloc(1, sizeof(*giving));
	must(giving);
	*giving = (struct giving_back){ link, late };
	/* Without a fiber to spare it stays with the callee until the channel ends. */
	if (fiber_spawn(NULL, "late answer", give_back_fiber, giving, NULL) == OK)
		link->users++;
	else
		free(giving);
	return OK;
}

/* ---- and those that come in time ---- */

/* Takes *fd when the answer has a place for it. */
static enum err take_answer(struct line *line, struct seat *seat, const struct frame *frame,
			    int *fd)
{
	const struct shape *shape = seat->message->answer;
	struct waiting *waiting = seat->waiting;
	enum err err;

	line->link->stats.answers++;
	if (!waiting) {
		err = give_back_late(line->link, frame, fd);
		if (err)
			return err;
	} else {
		/* The receive buffer is used again at once; the answer's texts live with the caller. */
		struct str payload = str_dup(waiting->arena, frame->payload);

		err = shape_decode(shape, payload, *fd, waiting->arena, waiting->answer);
		if (err)
			return err;
		*fd = -1;
		err = shape_check_bodies(shape, waiting->answer);
		if (err) {
			shape_close(shape, waiting->answer);
			return err;
		}
	}
	if (shape->is_secret)
		frame_wipe(frame);
	seat_finish(line, seat, OK);
	return OK;
}

/* What it carried found no free descriptor here. */
static enum err lose_answer(struct line *line, struct seat *seat)
{
	line->link->stats.answers++;
	if (seat->waiting)
		copy_text(seat->waiting->text, sizeof(seat->waiting->text),
			  S("no descriptor was free for what came with the answer"));
	seat_finish(line, seat, ERR_SYSTEM);
	return OK;
}

static enum err take_frame(struct line *line, const struct frame *frame, int fd)
{
	struct seat *seat = seat_of_id(line, frame->call);
	enum err err;

	if (!seat || frame->type == FRAME_CALL || frame->kind != seat->kind)
		err = fault(ERR_PROTOCOL, "an answer (%s) that nobody asked for",
			    message_name(frame->kind));
	else if (frame->type == FRAME_FAILURE)
		err = take_failure(line, seat, frame, fd);
	else if (frame->has_fd && fd < 0)
		err = lose_answer(line, seat);
	else
		err = take_answer(line, seat, frame, &fd);
	if (fd >= 0)
		close(fd);
	return err;
}

static void line_end(struct line *line)
{
	struct link *link = line->link;

	if (link->lines[line->index] == line)
		link->lines[line->index] = NULL;
	for (uint32_t i = 0; i < line->seat_count; i++)
		if (line->seats[i].taken)
			seat_finish(line, &line->seats[i], ERR_GONE);
	add_octets(&link->stats, &line->channel->stats);
	channel_release(line->channel);
	free(line->seats);
	free(line);
	link_release(link);
}

static void line_fiber(void *arg) WAITS
{
	struct line *line = arg;
	struct frame frame;
	int fd;
	enum err err;

	do {
		err = channel_next(line->channel, &frame, &fd);
		if (!err)
			err = take_frame(line, &frame, fd);
	} while (!err);
	if (err == ERR_PROTOCOL)
		fprintf(stderr, "glasspost %s: link: cut the channel to %s %u: %s\n",
			role_kind_name(line->link->self), role_kind_name(line->link->callee),
			line->index, fault_text());
	channel_cut(line->channel, err);
	line_end(line);
}

enum err link_attach(struct link *link, unsigned index, struct channel *channel)
{
	struct line *line;
	enum err err = index < COUNT_OF(link->lines)
			       ? channel_start(channel)
			       : fault(ERR_LIMIT, "process %u of a role", index);

	if (err) {
		channel_drop(&channel);
		return err;
	}
	line = calloc(1, sizeof(*line));
	must(line);
	*line = (struct line){ link, index, channel, .first_free = SEAT_NONE };
	err = fiber_spawn(NULL, "link reader", line_fiber, line, NULL);
	if (err) {
		channel_drop(&channel);
		free(line);
		return err;
	}
	link->users++;
	if (link->lines[index])
		channel_cut(link->lines[index]->channel, ERR_GONE);
	link->lines[index] = line;
	waitq_wake_all(&link->up);
	return OK;
}

void link_detach(struct link *link, unsigned index)
{
	if (link->lines[index])
		channel_cut(link->lines[index]->channel, ERR_GONE);
}

/* ---- calls ---- */

/* The next line in turn, one with room if there is any. */
static struct line *next_line(struct link *link)
{
	struct line *full = NULL;

	for (unsigned i = 0; i < COUNT_OF(link->lines); i++) {
		unsigned at = (link->next + i) % COUNT_OF(link->lines);
		struct line *line = link->lines[at];

		if (!line_is_up(line))
			continue;
		if (channel_has_room(line->channel)) {
			link->next = at + 1;
			return line;
		}
		full = full ? full : line;
	}
	return full;
}

static enum err wait_until_up(struct call *call, moment patience) WAITS
{
	moment until = sooner(call->deadline, patience);
	enum err err = waitq_wait_through(&call->link->up, until);

	if (err == ERR_TIMEOUT && until == patience)
		return fault(ERR_GONE, "no %s is there", role_kind_name(call->link->callee));
	return err;
}

/* A line that takes the call now. */
static enum err find_line(struct call *call, struct line **out) WAITS
{
	struct link *link = call->link;
	moment patience = in_ms(LINK_PATIENCE_MS);
	enum err err = OK;

	while (!err) {
		struct line *line = next_line(link);

		if (link->dropped)
			return fault(ERR_GONE, "the link was given up");
		if (link->stats.in_flight >= LIMIT_link_calls) {
			err = waitq_wait_through(&link->seated, call->deadline);
		} else if (!line) {
			err = wait_until_up(call, patience);
		} else if (!channel_has_room(line->channel)) {
			err = channel_wait_room(line->channel, call->deadline);
		} else {
			*out = line;
			return OK;
		}
	}
	return err;
}

enum err link_wait_room(struct link *link, moment deadline) WAITS
{
	struct call call = { .link = link, .deadline = deadline };
	struct line *line;
	enum err err;

	link->users++;
	err = find_line(&call, &line);
	link_release(link);
	return err;
}

static enum err wait_for_answer(struct call *call, struct line *line, uint32_t id) WAITS
{
	struct waiting *waiting = &call->waiting;
	enum err err = OK;

	while (!err && !waiting->done)
		err = waitq_wait_through(&waiting->queue, call->deadline);
	if (waiting->done) /* the line may be gone */
		return waiting->err ? fault(waiting->err, "%s", waiting->text) : OK;
	seat_of_id(line, id)->waiting = NULL;
	return fault(err, "%s to %s: no answer in time", call->message->name,
		     role_kind_name(call->link->callee));
}

static enum err send_and_wait(struct call *call) WAITS
{
	struct frame head = { .type = FRAME_CALL, .kind = call->kind };
	struct line *line = NULL;
	struct seat *seat;
	enum err err = find_line(call, &line);

	if (err)
		return err;
	seat = seat_take(line, call);
	head.call = seat->id;
	err = channel_send(line->channel, &head, call->message->ask, call->ask);
	if (err) {
		seat_give(line, seat);
		return err;
	}
	call->link->stats.calls++;
	return wait_for_answer(call, line, head.call);
}

static enum err link_ask(struct call *call) WAITS
{
	struct link *link = call->link;
	enum err err;

	call->message = message_of(call->kind);
	shape_clear(call->message->answer, call->waiting.answer);
	if (!message_is_allowed(call->message, link->self, link->callee))
		return fault(ERR_DENIED, "%s may not ask %s for %s", role_kind_name(link->self),
			     role_kind_name(link->callee), call->message->name);
	waitq_init(&call->waiting.queue);
	snprintf(call->waiting.text, sizeof(call->waiting.text),
		 "%s ended while it was asked for %s", role_kind_name(link->callee),
		 call->message->name);
	link->users++;
	err = send_and_wait(call);
	link_release(link);
	return err;
}

#define MESSAGE(name, number, from, to, ask_fields, answer_fields, doc)                            \
	enum err call_##name(struct link *link, const struct ask_##name *ask, struct arena *arena, \
			     struct answer_##name *answer, moment deadline) WAITS                  \
	{                                                                                          \
		struct call call;                                                                  \
                                                                                                   \
		call.link = link;                                                                  \
		call.kind = (number);                                                              \
		call.ask = ask;                                                                    \
		call.deadline = deadline;                                                          \
		call.waiting.arena = arena;                                                        \
		call.waiting.answer = answer;                                                      \
		call.waiting.done = false;                                                         \
		return link_ask(&call);                                                            \
	}
#include "link/messages.def"
#undef MESSAGE
