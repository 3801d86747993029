/* SPDX-License-Identifier: Apache-2.0 */
#include "record/messages.h"
#include "record/kept.h"

#include <stdlib.h>

enum { ADDRESS_KEPT = 320, TEXT_KEPT = 256 };
/* Moments that are nearer than this are one stay. */
static const int64_t STAY_US = INT64_C(60) * 1000000;

void messages_init(struct messages *messages)
{
	memset(messages, 0, sizeof(*messages));
	list_init(&messages->all);
}

/* ---- buckets: ids come from roles that strangers talk to, the keyed hash keeps them short ---- */

static struct message **bucket_of(const struct messages *messages, uint64_t id)
{
	uint64_t hash = str_hash((struct str){ (const char *)&id, sizeof(id) });

	return (struct message **)&messages->buckets[hash % MESSAGE_BUCKETS];
}

static struct addressee **place_of(const struct messages *messages, struct str account,
				   uint64_t uid)
{
	uint64_t hash = str_hash(account) ^ uid * UINT64_C(0x9e3779b97f4a7c15);

	return (struct addressee **)&messages->places[hash % MESSAGE_BUCKETS];
}

struct message *messages_find(const struct messages *messages, uint64_t id)
{
	struct message *message = *bucket_of(messages, id);

	while (message && message->id != id)
		message = message->in_bucket;
	return message;
}

struct addressee *messages_at(const struct messages *messages, const struct trace_fetch *place)
{
	struct addressee *a = *place_of(messages, place->account, place->uid);

	while (a && (a->uid != place->uid || !str_is(a->account, place->account) ||
		     !str_is(a->folder, place->folder)))
		a = a->in_bucket;
	return a;
}

struct addressee *message_addressee(const struct message *message, struct str address)
{
	struct addressee *a = message->first;

	while (a && !str_is(a->address, address))
		a = a->next;
	return a;
}

/* ---- forgetting ---- */

static void addressee_drop(struct messages *messages, struct addressee *a)
{
	struct str *texts[] = { &a->address, &a->given,    &a->account, &a->folder,
				&a->peer,    &a->enhanced, &a->reply,   &a->outcome };
	struct addressee **at = place_of(messages, a->account, a->uid);

	while (*at && *at != a)
		at = &(*at)->in_bucket;
	if (*at)
		*at = a->in_bucket;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		kept_drop(texts[i]);
	free(a);
	messages->addressees--;
}

static void forget(struct messages *messages, struct message *message)
{
	struct message **at = bucket_of(messages, message->id);
	struct addressee *next;

	while (*at != message)
		at = &(*at)->in_bucket;
	*at = message->in_bucket;
	for (struct addressee *a = message->first; a; a = next) {
		next = a->next;
		addressee_drop(messages, a);
	}
	kept_drop(&message->sender);
	kept_drop(&message->subject);
	kept_drop(&message->peer);
	kept_drop(&message->account);
	list_remove(&message->link);
	messages->count--;
	free(message);
}

void messages_done(struct messages *messages)
{
	LIST_EACH (link, &messages->all)
		forget(messages, CONTAINER_OF(link, struct message, link));
}

static void forget_oldest(struct messages *messages)
{
	struct list *oldest = list_take_first(&messages->all);

	must(oldest);
	forget(messages, CONTAINER_OF(oldest, struct message, link));
}

/* ---- where its events lie ---- */

static void note_moment(struct message *message, int64_t at_us)
{
	struct stay *stay;

	for (size_t i = 0; i < message->stay_count; i++) {
		stay = &message->stays[i];
		if (at_us < stay->from_us - STAY_US || at_us > stay->to_us + STAY_US)
			continue;
		if (at_us < stay->from_us)
			stay->from_us = at_us;
		if (at_us > stay->to_us)
			stay->to_us = at_us;
		return;
	}
	if (message->stay_count < MESSAGE_STAYS) {
		message->stays[message->stay_count++] = (struct stay){ at_us, at_us };
		return;
	}
	stay = &message->stays[MESSAGE_STAYS - 1];
	if (at_us < stay->from_us)
		stay->from_us = at_us;
	if (at_us > stay->to_us)
		stay->to_us = at_us;
}

static void note_session(struct message *message, const struct sessions *sessions, uint64_t id)
{
	const struct session *session = id ? sessions_find(sessions, id) : NULL;

	if (!id)
		return;
	for (size_t i = 0; i < message->session_count; i++)
		if (message->sessions[i] == id)
			return;
	if (message->session_count == MESSAGE_SESSIONS)
		return;
	message->sessions[message->session_count++] = id;
	if (session)
		note_moment(message, session->start_wall_us);
}

/* ---- noting ---- */

static struct message *message_new(struct messages *messages, uint64_t id,
				   const struct trace_head *head)
{
	struct message **bucket = bucket_of(messages, id);
	struct message *message = calloc(1, sizeof(*message));

	must(message);
	if (messages->count >= LIMIT_record_messages)
		forget_oldest(messages);
	message->id = id;
	message->begun_us = head->wall_us;
	message->in_bucket = *bucket;
	*bucket = message;
	list_add_last(&messages->all, &message->link);
	messages->count++;
	return message;
}

static struct addressee *addressee_new(struct messages *messages, struct message *message,
				       struct str address)
{
	struct addressee *a;

	if (message->count >= LIMIT_record_message_recipients) {
		message->more++;
		return NULL;
	}
	while (messages->addressees >= LIMIT_record_recipients &&
	       messages->all.next != &message->link)
		forget_oldest(messages);
	a = calloc(1, sizeof(*a));
	must(a);
	a->message = message;
	kept_set(&a->address, address, ADDRESS_KEPT);
	if (message->last)
		message->last->next = a;
	else
		message->first = a;
	message->last = a;
	message->count++;
	messages->addressees++;
	return a;
}

static struct addressee *addressee_told(struct messages *messages, struct message *message,
					struct str address, const struct trace_head *head)
{
	struct addressee *a = message_addressee(message, text_cut(address, ADDRESS_KEPT));

	if (!a)
		a = addressee_new(messages, message, address);
	if (a)
		a->told_us = head->wall_us;
	return a;
}

static void note_accept(struct message *message, const struct sessions *sessions,
			const struct trace_event *event)
{
	const struct trace_accept *accept = &event->accept;
	const struct session *session = sessions_find(sessions, event->head.session);

	message->accepted_us = event->head.wall_us;
	message->session = event->head.session;
	message->octets = accept->octets;
	kept_set(&message->sender, accept->sender, ADDRESS_KEPT);
	kept_set(&message->subject, accept->subject, TEXT_KEPT);
	kept_set(&message->peer, accept->peer, ADDRESS_KEPT);
	/* One that fills its place may have been cut: then it is not known whose it is. */
	if (session && strlen(session->account) + 1 < sizeof(session->account))
		kept_set(&message->account, str_of(session->account), ADDRESS_KEPT);
}

/* One address may lead to several mailboxes, each an addressee of its own. */
static void note_deliver(struct messages *messages, struct message *message,
			 const struct trace_event *event)
{
	const struct trace_deliver *deliver = &event->deliver;
	const struct trace_fetch place = { .account = deliver->account,
					   .folder = deliver->folder,
					   .uid = deliver->uid };
	struct addressee **bucket = place_of(messages, deliver->account, deliver->uid);
	struct addressee *a;

	if (deliver->account.len && messages_at(messages, &place))
		return; /* told again, or a forgery */
	a = addressee_new(messages, message, deliver->recipient);
	if (!a)
		return;
	a->told_us = event->head.wall_us;
	a->session = event->head.session;
	kept_set(&a->outcome, deliver->outcome, TEXT_KEPT);
	if (!deliver->account.len)
		return;
	kept_set(&a->account, deliver->account, ADDRESS_KEPT);
	kept_set(&a->folder, deliver->folder, TEXT_KEPT);
	a->uid = deliver->uid;
	a->in_bucket = *bucket;
	*bucket = a;
}

static void note_queued(struct messages *messages, struct message *message,
			const struct trace_event *event)
{
	const struct trace_queued *queued = &event->queued;
	struct addressee *a = addressee_told(messages, message, queued->recipient, &event->head);

	if (!message->sender.len)
		kept_set(&message->sender, queued->sender, ADDRESS_KEPT);
	if (!a)
		return;
	a->is_queued = true;
	kept_set(&a->given, queued->forwarded_for, ADDRESS_KEPT);
	kept_set(&a->outcome, S("queued"), TEXT_KEPT);
}

static void note_attempt(struct messages *messages, struct message *message,
			 const struct trace_event *event)
{
	const struct trace_attempt *attempt = &event->attempt;
	struct addressee *a = addressee_told(messages, message, attempt->recipient, &event->head);

	/* What comes too late counts for nothing any more. */
	if (!a || str_is(attempt->outcome, S("late")))
		return;
	kept_set(&a->outcome, attempt->outcome, TEXT_KEPT);
	kept_set(&a->enhanced, attempt->enhanced, TEXT_KEPT);
	kept_set(&a->reply, attempt->reply, TEXT_KEPT);
	kept_set(&a->peer, attempt->peer, TEXT_KEPT);
	a->is_queued = true;
	a->code = attempt->code;
	a->attempts = attempt->attempts;
	a->next_us = (int64_t)attempt->next_us;
	a->session = event->head.session;
}

static const char *state_of(const struct addressee *a)
{
	static const char *const states[][2] = {
		{ "delivered", "delivered" }, { "relayed", "delivered" }, { "queued", "queued" },
		{ "deferred", "deferred" },   { "held", "held" },         { "deleted", "deleted" },
	};

	/* From the queue: nobody knows whether it arrived, it is tried again. From the mailbox: nobody is called so. */
	if (str_is(a->outcome, S("unknown")) && a->attempts)
		return "deferred";
	for (size_t i = 0; i < COUNT_OF(states); i++)
		if (str_is(a->outcome, str_of(states[i][0])))
			return states[i][1];
	return "failed";
}

static bool is_pending(const struct addressee *a)
{
	struct str state = str_of(state_of(a));

	return str_is(state, S("queued")) || str_is(state, S("deferred")) ||
	       str_is(state, S("held"));
}

static void note_change(struct message *message, const struct trace_event *event)
{
	const struct trace_queue_change *change = &event->queue_change;
	const struct addressee *only = message_addressee(message, change->recipient);
	struct str outcome = str_is(change->what, S("hold"))      ? S("held")
			     : str_is(change->what, S("delete"))  ? S("deleted")
			     : str_is(change->what, S("release")) ? S("queued")
								  : S("");

	for (struct addressee *a = message->first; outcome.len && a; a = a->next)
		if (is_pending(a) && (!change->recipient.len || a == only))
			kept_set(&a->outcome, outcome, TEXT_KEPT);
}

static void note_fetch(struct messages *messages, const struct trace_event *event)
{
	struct addressee *a = messages_at(messages, &event->fetch);

	if (!a)
		return;
	a->fetched_us = event->head.wall_us;
	note_moment(a->message, event->head.wall_us);
}

/* It was not accepted from anybody: what is known of one is told here. Its delivery may be told before. */
static void note_notice(struct messages *messages, const struct trace_event *event)
{
	struct message *message;
	uint64_t id;

	if (!id_parse(event->notice.message, &id) || str_is(event->notice.outcome, S("dropped")))
		return;
	message = messages_find(messages, id);
	if (!message)
		message = message_new(messages, id, &event->head);
	message->octets = event->notice.octets;
	kept_set(&message->subject, event->notice.subject, TEXT_KEPT);
}

struct str message_named(const struct trace_event *event)
{
	switch (event->head.kind) {
	case TRACE_accept:
		return event->accept.message;
	case TRACE_deliver:
		return event->deliver.message;
	case TRACE_queued:
		return event->queued.message;
	case TRACE_claimed:
		return event->claimed.message;
	case TRACE_attempt:
		return event->attempt.message;
	case TRACE_notice:
		return event->notice.about;
	case TRACE_queue_change:
		return event->queue_change.message;
	default:
		return S("");
	}
}

void messages_note(struct messages *messages, const struct sessions *sessions,
		   const struct trace_event *event)
{
	struct message *message;
	uint64_t id;

	if (event->head.kind == TRACE_fetch)
		note_fetch(messages, event);
	if (!id_parse(message_named(event), &id))
		return;
	if (event->head.kind == TRACE_notice)
		note_notice(messages, event);
	message = messages_find(messages, id);
	if (!message)
		message = message_new(messages, id, &event->head);
	note_session(message, sessions, event->head.session);
	note_moment(message, event->head.wall_us);
	switch (event->head.kind) {
	case TRACE_accept:
		note_accept(message, sessions, event);
		break;
	case TRACE_deliver:
		note_deliver(messages, message, event);
		break;
	case TRACE_queued:
		note_queued(messages, message, event);
		break;
	case TRACE_attempt:
		note_attempt(messages, message, event);
		break;
	case TRACE_queue_change:
		note_change(message, event);
		break;
	default:
		break;
	}
}

/* ---- who sees what ---- */

struct sight message_sight(const struct message *message, struct str viewer)
{
	struct sight sight = { .all = !viewer.len };

	sight.sent = viewer.len && str_is_nocase(message->account, viewer);
	for (const struct addressee *a = message->first; viewer.len && a; a = a->next)
		sight.got = sight.got || str_is_nocase(a->account, viewer);
	return sight;
}

bool sight_of(const struct sight *sight, const struct addressee *addressee, struct str viewer)
{
	if (sight->all || sight->sent)
		return true;
	return sight->got && str_is_nocase(addressee->account, viewer);
}

bool event_redact(struct trace_event *event, struct str viewer)
{
	if (event->head.kind == TRACE_queued)
		return !event->queued.forwarded_for.len;
	if (event->head.kind == TRACE_deliver && !str_is_nocase(event->deliver.account, viewer)) {
		event->deliver.account = event->deliver.folder = S("");
		event->deliver.uid = 0;
	}
	return true;
}

const char *message_state(const struct message *message, struct str viewer)
{
	struct sight sight = message_sight(message, viewer);
	const char *state = NULL;

	for (const struct addressee *a = message->first; a; a = a->next) {
		if (!sight_of(&sight, a, viewer))
			continue;
		if (state && strcmp(state, state_of(a)) != 0)
			return "mixed";
		state = state_of(a);
	}
	return state ? state : "delivered";
}
