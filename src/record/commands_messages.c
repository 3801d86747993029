/* SPDX-License-Identifier: Apache-2.0 */
/* message list and events, and what is known of one message. */
#include "record/search.h"
#include "record/show.h"

#include <stdlib.h>

enum {
	LIST_DEFAULT = 100,
	LIST_MAX = 1000,
	ADDRESSES_SHOWN = 20,
	DATA_WAITING =
		64 /* body events of a session, until it is known which message they are of */
};
/* ---- rows ---- */

static json_t *id_json(uint64_t id)
{
	char text[ID_TEXT + 1];

	if (!id)
		return json_null();
	id_print(id, text);
	return json_string(text);
}

static json_t *time_json(int64_t wall_us)
{
	OWNED(buf) struct buf text = BUF(64);

	if (!wall_us)
		return json_null();
	trace_add_time(&text, wall_us);
	return json_stringn(text.at, text.len);
}

static json_t *sessions_json(const struct message *message, const struct sight *sight)
{
	json_t *ids = json_array();

	if (sight->all)
		for (size_t i = 0; i < message->session_count; i++)
			json_array_append_new(ids, id_json(message->sessions[i]));
	else if (sight->sent && message->session)
		json_array_append_new(ids, id_json(message->session));
	return ids;
}

/* A sender knows what was given, and not whom an alias leads to. */
static struct str address_shown(const struct addressee *a, const struct sight *sight)
{
	return sight->all || !a->given.len ? a->address : a->given;
}

/* Addresses, each once, and how many there are more. */
static uint64_t add_addresses(json_t *row, const struct message *message, const struct sight *sight,
			      struct str viewer)
{
	json_t *addresses = json_array();
	const struct addressee *before = NULL;
	uint64_t more = sight->all || sight->sent ? message->more : 0;

	for (const struct addressee *a = message->first; a; a = a->next) {
		if (!sight_of(sight, a, viewer) ||
		    (before && str_is(address_shown(a, sight), address_shown(before, sight))))
			continue;
		before = a;
		if (json_array_size(addresses) < ADDRESSES_SHOWN)
			json_array_append_new(addresses, control_string(address_shown(a, sight)));
		else
			more++;
	}
	json_object_set_new(row, "recipients", addresses);
	return more;
}

static json_t *message_json(const struct message *message, struct str viewer)
{
	struct sight sight = message_sight(message, viewer);
	json_t *row = json_object();
	uint64_t more;

	json_object_set_new(row, "message", id_json(message->id));
	json_object_set_new(
		row, "time",
		time_json(message->accepted_us ? message->accepted_us : message->begun_us));
	json_object_set_new(row, "sender", control_string(message->sender));
	more = add_addresses(row, message, &sight, viewer);
	json_object_set_new(row, "more", json_integer((json_int_t)more));
	json_object_set_new(row, "subject", control_string(message->subject));
	json_object_set_new(row, "octets", json_integer((json_int_t)message->octets));
	json_object_set_new(row, "state", json_string(message_state(message, viewer)));
	json_object_set_new(row, "peer", control_string(message->peer));
	/* A recipient's film of it would be the sender's. */
	json_object_set_new(row, "session",
			    sight.all || sight.sent ? id_json(message->session) : json_null());
	json_object_set_new(row, "sessions", sessions_json(message, &sight));
	return row;
}

/* As the queue names them. */
static const char *state_name(const struct addressee *a)
{
	static const char *const names[][2] = {
		{ "queued", "waiting" },      { "deferred", "waiting" }, { "held", "held" },
		{ "delivered", "delivered" }, { "relayed", "relayed" },  { "expired", "expired" },
		{ "deleted", "deleted" },
	};

	if (str_is(a->outcome, S("unknown")) && a->attempts)
		return "waiting";
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_is(a->outcome, str_of(names[i][0])))
			return names[i][1];
	return "failed";
}

static json_t *addressee_json(const struct addressee *a, const struct sight *sight,
			      struct str viewer)
{
	bool is_theirs = sight->all || str_is_nocase(a->account, viewer);
	bool is_hidden = !sight->all && a->given.len; /* what others say of it would name it */
	json_t *row = json_object();

	json_object_set_new(row, "recipient", control_string(address_shown(a, sight)));
	json_object_set_new(row, "state", json_string(state_name(a)));
	json_object_set_new(row, "outcome", control_string(a->outcome));
	json_object_set_new(row, "attempts", json_integer((json_int_t)a->attempts));
	json_object_set_new(row, "next", time_json(a->next_us));
	json_object_set_new(row, "tried", time_json(a->told_us));
	json_object_set_new(row, "peer", control_string(is_hidden ? S("") : a->peer));
	json_object_set_new(row, "code", json_integer((json_int_t)a->code));
	json_object_set_new(row, "enhanced", control_string(a->enhanced));
	json_object_set_new(row, "reply", control_string(is_hidden ? S("") : a->reply));
	json_object_set_new(row, "session", sight->all ? id_json(a->session) : json_null());
	/* Whom an alias leads to, and whether they have looked, is theirs. */
	json_object_set_new(row, "forwarded_for", control_string(sight->all ? a->given : S("")));
	json_object_set_new(row, "account", control_string(is_theirs ? a->account : S("")));
	json_object_set_new(row, "folder", control_string(is_theirs ? a->folder : S("")));
	json_object_set_new(row, "uid", json_integer(is_theirs ? (json_int_t)a->uid : 0));
	json_object_set_new(row, "queued", json_boolean(a->is_queued));
	json_object_set_new(row, "fetched", time_json(is_theirs ? a->fetched_us : 0));
	return row;
}

/* ---- list ---- */

struct listing {
	const struct recorder *recorder;
	const struct control_call *call;
	uint64_t limit;
	json_t *rows;
};

static bool is_for(const struct message *message, struct str address, struct str viewer)
{
	struct sight sight = message_sight(message, viewer);

	for (const struct addressee *a = message->first; a; a = a->next)
		if (sight_of(&sight, a, viewer) && str_is_nocase(address_shown(a, &sight), address))
			return true;
	return false;
}

static bool is_wanted(const struct message *message, const struct control_call *call)
{
	struct str viewer = control_text(call, "viewer");
	struct str sender = control_text(call, "sender");
	struct str recipient = control_text(call, "recipient");
	struct str state = control_text(call, "state");
	struct sight sight = message_sight(message, viewer);

	if (!sight.all && !sight.sent && !sight.got)
		return false;
	if (sender.len && !str_is_nocase(sender, message->sender))
		return false;
	if (recipient.len && !is_for(message, recipient, viewer))
		return false;
	return !state.len || str_is(state, str_of(message_state(message, viewer)));
}

/* The newest first: under the lock. */
static void list_offloaded(void *arg)
{
	struct listing *listing = arg;
	const struct list *all = &listing->recorder->messages.all;
	struct str viewer = control_text(listing->call, "viewer");

	for (struct list *l = all->prev; l != all; l = l->prev) {
		const struct message *message = CONTAINER_OF(l, struct message, link);

		if (json_array_size(listing->rows) == listing->limit)
			return;
		if (is_wanted(message, listing->call))
			json_array_append_new(listing->rows, message_json(message, viewer));
	}
}

enum err record_message_list(struct recorder *recorder, struct control_call *call) WAITS
{
	uint64_t limit = control_number(call, "limit", LIST_DEFAULT);
	struct listing listing = { recorder, call, limit < LIST_MAX ? limit : LIST_MAX,
				   json_array() };
	enum err err = recorder_catch_up(recorder);

	must(listing.rows);
	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (!err) {
		offload(OFFLOAD_WORK, list_offloaded, &listing);
		semaphore_give(&recorder->lock);
	}
	for (size_t i = 0; !err && i < json_array_size(listing.rows); i++)
		err = control_row(call, json_incref(json_array_get(listing.rows, i)));
	json_decref(listing.rows);
	return err;
}

/* ---- one ---- */

static void look_at_message(const struct message *message, struct str viewer,
			    struct record_message *out)
{
	struct sight sight = message_sight(message, viewer);

	out->is_known = sight.all || sight.sent || sight.got;
	if (!out->is_known)
		return;
	out->row = message_json(message, viewer);
	out->recipients = json_array();
	for (const struct addressee *a = message->first; a; a = a->next)
		if (sight_of(&sight, a, viewer))
			json_array_append_new(out->recipients, addressee_json(a, &sight, viewer));
}

enum err record_message_look(struct recorder *recorder, uint64_t id, struct str viewer,
			     struct record_message *out) WAITS
{
	const struct message *message;
	enum err err = recorder_catch_up(recorder);

	*out = (struct record_message){ 0 };
	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	message = messages_find(&recorder->messages, id);
	if (message)
		look_at_message(message, viewer, out);
	semaphore_give(&recorder->lock);
	return OK;
}

/* ---- its events ---- */

struct journey {
	struct search search;
	uint64_t id;
	struct str viewer;
	struct sight sight;
	int64_t since_us; /* nothing of it can be older */
	struct buf
		data; /* what came in the session it was accepted in, and may be of another message */
	char own[LIMIT_trace_text]; /* addresses that a recipient may know of */
};

static bool may_have_some(const struct journey *j, const struct message *message,
			  const struct segment *segment)
{
	if (!message)
		return segment->end_us >= j->since_us - SEARCH_SLACK_US;
	for (size_t i = 0; i < message->stay_count; i++)
		if (message->stays[i].from_us - SEARCH_SLACK_US <=
			    segment->end_us + SEARCH_SLACK_US &&
		    message->stays[i].to_us + SEARCH_SLACK_US >=
			    segment->start_us - SEARCH_SLACK_US)
			return true;
	return false;
}

static const struct message *message_of(const struct journey *j)
{
	return messages_find(&j->search.recorder->messages, j->id);
}

static bool may_hold(const struct search *search, size_t index)
{
	const struct journey *j = CONTAINER_OF(search, const struct journey, search);

	return may_have_some(j, message_of(j), &search->recorder->segments.list[index]);
}

/* Whom an alias leads to is hidden from its sender, and so is whatever would name it. */
static bool has_hidden(const struct message *message)
{
	const struct addressee *a = message->first;

	while (a && !a->given.len)
		a = a->next;
	return a || message->more;
}

/* Events of the sessions that carried it: where they began, and the octets of its body. */
static bool is_of_session(const struct journey *j, const struct message *message,
			  const struct trace_head *head)
{
	if (!message || !head->session || (!j->sight.all && !j->sight.sent))
		return false;
	if (head->kind == TRACE_data || (!j->sight.all && has_hidden(message)))
		return head->session == message->session;
	for (size_t i = 0; i < message->session_count; i++)
		if (message->sessions[i] == head->session)
			return true;
	return false;
}

/* What is inspected may never become a message: the list of messages does not know it, a journey does. */
static struct str named(const struct trace_event *event)
{
	return event->head.kind == TRACE_inspect ? event->inspect.message : message_named(event);
}

static bool is_about(const struct journey *j, const struct trace_event *event)
{
	uint64_t id;

	return id_parse(named(event), &id) && id == j->id;
}

/* A viewer gets what is the viewer's: the index says which recipients those are. */
static bool may_be_told(const struct journey *j, const struct message *message,
			const struct trace_event *event)
{
	const struct addressee *a;
	struct trace_fetch place;

	if (j->sight.all)
		return true;
	if (!message) /* forgotten meanwhile: nobody knows any more whose it was */
		return false;
	switch (event->head.kind) {
	case TRACE_accept:
	case TRACE_inspect:
		return true;
	case TRACE_deliver:
		place = (struct trace_fetch){ .account = event->deliver.account,
					      .folder = event->deliver.folder,
					      .uid = event->deliver.uid };
		a = place.account.len ? messages_at(&j->search.recorder->messages, &place) : NULL;
		return j->sight.sent ||
		       (a && a->message == message && sight_of(&j->sight, a, j->viewer));
	case TRACE_attempt:
		a = message_addressee(message, event->attempt.recipient);
		return j->sight.sent && a && !a->given.len;
	case TRACE_claimed:
		return j->sight.sent && !has_hidden(message);
	case TRACE_queue_change:
		a = message_addressee(message, event->queue_change.recipient);
		return j->sight.sent &&
		       (!event->queue_change.recipient.len || (a && !a->given.len));
	default:
		return j->sight.sent;
	}
}

static bool is_fetch_of(const struct journey *j, const struct message *message,
			const struct trace_event *event)
{
	const struct addressee *a = messages_at(&j->search.recorder->messages, &event->fetch);

	return message && a && a->message == message &&
	       (j->sight.all || str_is_nocase(a->account, j->viewer));
}

static void look(struct search *search, struct str record)
{
	struct journey *j = CONTAINER_OF(search, struct journey, search);
	const struct message *message = message_of(j);
	struct trace_head head = trace_record_head(record);
	struct trace_event event;
	bool is_of_ours;

	if (head.kind == TRACE_connect || head.kind == TRACE_data) {
		if (is_of_session(j, message, &head))
			(void)buf_add(head.kind == TRACE_data ? &j->data : &j->search.found,
				      record);
		return;
	}
	if ((head.kind < TRACE_data || head.kind > TRACE_queue_change) ||
	    trace_event_decode(record, &event))
		return;
	is_of_ours =
		head.kind == TRACE_fetch ? is_fetch_of(j, message, &event) : is_about(j, &event);
	/* A session's body events come before the first that names their message. */
	if (message && head.session == message->session && named(&event).len) {
		if (is_of_ours)
			(void)buf_add(&j->search.found, buf_str(&j->data));
		buf_reset(&j->data);
	}
	if (is_of_ours && (head.kind == TRACE_fetch || may_be_told(j, message, &event)))
		(void)buf_add(&j->search.found, record);
}

/* What is told of it to who is not to know all of it; false: nothing. */
static bool redact(const struct journey *j, struct trace_event *event)
{
	if (j->sight.all)
		return true;
	if (!event_redact(event, j->viewer))
		return false;
	if (j->sight.sent)
		return true;
	event->head.session = 0;
	if (event->head.kind == TRACE_accept)
		event->accept.recipients = str_of(j->own);
	return true;
}

static enum err show_found(struct journey *j, struct show *show, struct control_call *call) WAITS
{
	struct str records = buf_str(&j->search.found);
	struct trace_event event;
	struct str record;
	enum err err = OK;

	while (!err && !trace_record_take(&records, &record)) {
		if (trace_event_decode(record, &event))
			continue;
		if (redact(j, &event))
			err = show_event(show, call, &event);
	}
	return err;
}

/* What the index says about who asks. */
static enum err journey_begin(struct journey *j) WAITS
{
	OWNED(buf) struct buf own = BUF(sizeof(j->own) - 1);
	const struct message *message;
	enum err err = semaphore_take(&j->search.recorder->lock, NEVER);

	if (err)
		return err;
	message = messages_find(&j->search.recorder->messages, j->id);
	j->sight = message ? message_sight(message, j->viewer)
			   : (struct sight){ .all = !j->viewer.len };
	for (const struct addressee *a = message ? message->first : NULL; a; a = a->next)
		if (str_is_nocase(a->account, j->viewer) && own.len + a->address.len + 1 < own.max)
			buf_print(&own, "%s%.*s", own.len ? "," : "", STR_ARGS(a->address));
	semaphore_give(&j->search.recorder->lock);
	memcpy(j->own, own.at ? own.at : "", own.len);
	j->search.is_done = !j->sight.all && !j->sight.sent && !j->sight.got;
	return OK;
}

enum err record_message_events(struct recorder *recorder, struct control_call *call) WAITS
{
	struct str id = control_text(call, "message");
	struct journey journey = {
		.search = { .recorder = recorder, .may_hold = may_hold, .look = look },
		.viewer = control_text(call, "viewer"),
		.data = BUF(DATA_WAITING * 256)
	};
	struct show show;
	bool any = false;
	enum err err = show_init(&show, call);

	search_begin(&journey.search);
	show.is_together = true;
	if (!err && !id_parse(id, &journey.id))
		err = control_fail(call, "glasspost message list", "not the id of a message: %.*s",
				   STR_ARGS(str_first(id, 40)));
	if (!err)
		err = recorder_catch_up(recorder);
	if (!err)
		err = journey_begin(&journey);
	/* The upper part of an id is the wall clock of its making, in milliseconds. */
	journey.since_us = (int64_t)(journey.id >> 22) * 1000 - SEARCH_SLACK_US;
	while (!err && search_next(&journey.search, &err)) {
		any |= journey.search.found.len > 0;
		if (!err)
			err = show_found(&journey, &show, call);
	}
	search_end(&journey.search);
	buf_drop(&journey.data);
	buf_drop(&show.out);
	if (!err && !any)
		err = control_fail(call,
				   "glasspost message list; events are kept for sessions_keep, "
				   "at most sessions_keep_size",
				   "no events of message %.*s are kept", STR_ARGS(id));
	return err;
}
