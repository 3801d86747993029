/* SPDX-License-Identifier: Apache-2.0 */
#include "record/sessions.h"
#include "record/dialogue.h"

#include <stdlib.h>

void sessions_init(struct sessions *sessions)
{
	memset(sessions, 0, sizeof(*sessions));
	list_init(&sessions->open);
	list_init(&sessions->ended);
}

/* Ids come from roles that strangers talk to: the keyed hash keeps buckets short. */
static struct session **bucket_of(const struct sessions *sessions, uint64_t id)
{
	uint64_t hash = str_hash((struct str){ (const char *)&id, sizeof(id) });

	return (struct session **)&sessions->buckets[hash % SESSION_BUCKETS];
}

static void forget(struct sessions *sessions, struct session *session)
{
	struct session **at = bucket_of(sessions, session->id);

	while (*at != session)
		at = &(*at)->in_bucket;
	*at = session->in_bucket;
	list_remove(&session->link);
	sessions->count--;
	if (!session->ended_wall_us)
		sessions->open_count--;
	dialogue_drop(&session->dialogue);
	free(session);
}

void sessions_done(struct sessions *sessions)
{
	struct list *lists[] = { &sessions->open, &sessions->ended };

	for (size_t i = 0; i < COUNT_OF(lists); i++)
		LIST_EACH (link, lists[i])
			forget(sessions, CONTAINER_OF(link, struct session, link));
}

struct session *sessions_find(const struct sessions *sessions, uint64_t id)
{
	struct session *session = *bucket_of(sessions, id);

	while (session && session->id != id)
		session = session->in_bucket;
	return session;
}

bool session_is_for(const struct session *session, struct str viewer)
{
	struct str account = str_of(session ? session->account : NULL);

	/* One that fills its place may have been cut: then it is not known whose it is. */
	return !viewer.len ||
	       (account.len + 1 < sizeof(session->account) && str_is_nocase(account, viewer));
}

static void forget_oldest(struct sessions *sessions)
{
	struct list *from = &sessions->ended;

	/* Of a role that died the sessions never end: they may not crowd out all others. */
	if (list_is_empty(from) || sessions->open_count > LIMIT_record_sessions / 2)
		from = &sessions->open;
	forget(sessions, CONTAINER_OF(from->next, struct session, link));
}

static struct session *session_new(struct sessions *sessions, const struct trace_head *head)
{
	struct session **bucket = bucket_of(sessions, head->session);
	struct session *session = calloc(1, sizeof(*session));

	must(session);
	if (sessions->count >= LIMIT_record_sessions)
		forget_oldest(sessions);
	session->id = head->session;
	session->start_wall_us = head->wall_us;
	session->start_at_us = head->at_us;
	session->in_bucket = *bucket;
	*bucket = session;
	list_add_last(&sessions->open, &session->link);
	sessions->count++;
	sessions->open_count++;
	return session;
}

static void keep_text(char *place, size_t room, struct str text)
{
	if (!text.len)
		return;
	text = str_first(text, room - 1);
	memcpy(place, text.at, text.len);
	place[text.len] = '\0';
}

#define KEEP_TEXT(place, text) keep_text((place), sizeof(place), (text))

static void note_close(struct sessions *sessions, struct session *session,
		       const struct trace_event *event)
{
	const struct trace_close *close = &event->close;

	KEEP_TEXT(session->protocol, close->protocol);
	KEEP_TEXT(session->peer, close->peer);
	KEEP_TEXT(session->account, close->account);
	KEEP_TEXT(session->reason, close->reason);
	session->commands = close->commands;
	session->errors = close->errors;
	session->messages = close->messages;
	session->octets_in = close->octets_in;
	session->octets_out = close->octets_out;
	session->us = close->us;
	if (session->ended_wall_us)
		return;
	session->ended_wall_us = event->head.wall_us ? event->head.wall_us : 1;
	sessions->open_count--;
	list_remove(&session->link);
	list_add_last(&sessions->ended, &session->link);
}

struct session *sessions_note(struct sessions *sessions, const struct trace_event *event)
{
	struct session *session;

	if (!event->head.session)
		return NULL;
	session = sessions_find(sessions, event->head.session);
	if (!session)
		session = session_new(sessions, &event->head);
	switch (event->head.kind) {
	case TRACE_connect:
		KEEP_TEXT(session->protocol, event->connect.protocol);
		KEEP_TEXT(session->peer, event->connect.peer);
		break;
	case TRACE_command:
		session->commands++;
		break;
	case TRACE_auth:
		if (str_is(event->auth.outcome, S("ok")))
			KEEP_TEXT(session->account, event->auth.account);
		break;
	case TRACE_accept:
		session->messages++;
		break;
	case TRACE_close:
		note_close(sessions, session, event);
		break;
	default:
		break;
	}
	return session;
}
