/* SPDX-License-Identifier: Apache-2.0 */
/* session list, show, follow and metrics. */
#include "record/recorder.h"
#include "record/replay.h"
#include "record/show.h"

#include <stdlib.h>

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, FOLLOW_MS = 500, METRICS_MAX = 1 << 20 };
/* ---- list ---- */

static json_t *session_json(const struct session *session)
{
	json_t *row = json_object();
	char id[ID_TEXT + 1];
	char time[32];
	struct buf text = BUF(64);

	id_print(session->id, id);
	trace_add_time(&text, session->start_wall_us);
	memcpy(time, text.at, text.len);
	json_object_set_new(row, "session", json_string(id));
	json_object_set_new(row, "start", control_string((struct str){ time, text.len }));
	json_object_set_new(row, "protocol", control_string(str_of(session->protocol)));
	json_object_set_new(row, "peer", control_string(str_of(session->peer)));
	json_object_set_new(row, "account", control_string(str_of(session->account)));
	json_object_set_new(row, "open", json_boolean(session->ended_wall_us == 0));
	json_object_set_new(row, "reason", control_string(str_of(session->reason)));
	json_object_set_new(row, "commands", json_integer((json_int_t)session->commands));
	json_object_set_new(row, "errors", json_integer((json_int_t)session->errors));
	json_object_set_new(row, "messages", json_integer((json_int_t)session->messages));
	json_object_set_new(row, "octets_in", json_integer((json_int_t)session->octets_in));
	json_object_set_new(row, "octets_out", json_integer((json_int_t)session->octets_out));
	json_object_set_new(row, "ms", json_integer((json_int_t)(session->us / 1000)));
	buf_drop(&text);
	return row;
}

static bool is_wanted(const struct control_call *call, const struct session *session)
{
	struct str protocol = control_text(call, "protocol");
	struct str peer = control_text(call, "peer");
	struct str account = control_text(call, "account");
	uint64_t id;

	if (id_parse(control_text(call, "session"), &id) && session->id != id)
		return false;
	if (protocol.len && !str_is(protocol, str_of(session->protocol)))
		return false;
	if (control_flag(call, "open") && session->ended_wall_us)
		return false;
	if (!session_is_for(session, control_text(call, "viewer")))
		return false;
	/* A peer is given with or without its port. */
	if (peer.len && !str_starts(str_of(session->peer), peer))
		return false;
	return !account.len || str_is_nocase(account, str_of(session->account));
}

static int by_start(const void *a, const void *b)
{
	const struct session *const *left = a;
	const struct session *const *right = b;

	return ((*left)->start_wall_us > (*right)->start_wall_us) -
	       ((*left)->start_wall_us < (*right)->start_wall_us);
}

struct listing {
	const struct recorder *recorder;
	const struct control_call *call;
	size_t limit;
	bool newest_first;
	json_t *rows;
};

/* The newest of the wanted ones, oldest first unless said, as rows: under the lock. */
static void list_offloaded(void *arg)
{
	struct listing *listing = arg;
	const struct sessions *sessions = &listing->recorder->sessions;
	const struct list *lists[] = { &sessions->ended, &sessions->open };
	const struct session **found = calloc(sessions->count + 1, sizeof(struct session *));
	size_t count = 0;

	must(found);
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		for (struct list *l = lists[i]->next; l != lists[i]; l = l->next) {
			const struct session *session = CONTAINER_OF(l, struct session, link);

			if (is_wanted(listing->call, session))
				found[count++] = session;
		}
	if (count)
		qsort(found, count, sizeof(struct session *), by_start);
	for (size_t i = count > listing->limit ? count - listing->limit : 0; i < count; i++)
		json_array_insert_new(listing->rows,
				      listing->newest_first ? 0 : json_array_size(listing->rows),
				      session_json(found[i]));
	free(found);
}

enum err record_session_list(struct recorder *recorder, struct control_call *call) WAITS
{
	uint64_t limit = control_number(call, "limit", LIST_DEFAULT);
	struct listing listing = { .recorder = recorder,
				   .call = call,
				   .newest_first = control_flag(call, "newest"),
				   .limit = limit < LIST_MAX ? (size_t)limit : LIST_MAX };
	enum err err = recorder_catch_up(recorder);

	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	listing.rows = json_array();
	must(listing.rows);
	offload(OFFLOAD_WORK, list_offloaded, &listing);
	semaphore_give(&recorder->lock);
	for (size_t i = 0; !err && i < json_array_size(listing.rows); i++)
		err = control_row(call, json_incref(json_array_get(listing.rows, i)));
	json_decref(listing.rows);
	return err;
}

/* ---- show ---- */

struct of_session {
	struct search search;
	uint64_t session;
	int64_t since_us; /* nothing of it can be older */
	bool is_closed;
	int64_t closed_us;
};

static bool may_hold(const struct search *search, size_t index)
{
	const struct of_session *of = CONTAINER_OF(search, const struct of_session, search);
	const struct segments *segments = &search->recorder->segments;

	return segments->list[index].start_us >= segments_since(segments, of->since_us);
}

static void look(struct search *search, struct str record)
{
	struct of_session *of = CONTAINER_OF(search, struct of_session, search);
	struct trace_head head = trace_record_head(record);

	if (of->is_closed && head.wall_us > of->closed_us + SEARCH_SLACK_US)
		search->is_done = true;
	if (head.session != of->session)
		return;
	if (head.kind == TRACE_close) {
		of->is_closed = true;
		of->closed_us = head.wall_us;
	}
	buf_add(&search->found, record);
}

/* Of somebody else's session is told what is told of none. */
static enum err check_viewer(struct of_session *of, struct control_call *call) WAITS
{
	struct recorder *recorder = of->search.recorder;
	struct str viewer = control_text(call, "viewer");
	enum err err;

	if (!viewer.len)
		return OK;
	err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	of->search.is_done =
		!session_is_for(sessions_find(&recorder->sessions, of->session), viewer);
	semaphore_give(&recorder->lock);
	return OK;
}

enum err record_session_show(struct recorder *recorder, struct control_call *call) WAITS
{
	struct str id = control_text(call, "session");
	struct of_session of = {
		.search = { .recorder = recorder, .may_hold = may_hold, .look = look }
	};
	struct show show;
	bool any = false;
	enum err err = show_init(&show, call);

	if (!err && !id_parse(id, &of.session))
		err = control_fail(call, "glasspost session list", "not a session id: %.*s",
				   STR_ARGS(str_first(id, 40)));
	if (!err)
		err = recorder_catch_up(recorder);
	if (err)
		return err;
	/* The upper part of an id is the wall clock of its making, in milliseconds. */
	of.since_us = (int64_t)(of.session >> 22) * 1000 - SEARCH_SLACK_US;
	search_begin(&of.search);
	err = check_viewer(&of, call);
	while (!err && search_next(&of.search, &err)) {
		any |= of.search.found.len > 0;
		if (!err)
			err = show_records(&show, call, buf_str(&of.search.found));
	}
	search_end(&of.search);
	buf_drop(&show.out);
	if (!err && !any)
		err = control_fail(call,
				   "glasspost session list; events are kept for sessions_keep, "
				   "at most sessions_keep_size",
				   "no events of session %.*s are kept", STR_ARGS(id));
	return err;
}

/* ---- follow ---- */

/* Everything gathered for this follower, and how much it lost. */
static enum err tap_take(struct recorder *recorder, struct tap *tap, struct buf *records,
			 uint64_t *lost) WAITS
{
	struct buf gathered;
	enum err err = semaphore_take(&recorder->lock, NEVER);

	if (err)
		return err;
	gathered = tap->records;
	tap->records = *records;
	*records = gathered;
	*lost = tap->lost;
	tap->lost = 0;
	semaphore_give(&recorder->lock);
	return OK;
}

/* What was missed since `after`, as far as it is kept. */
static enum err catch_up_with(struct replay *replay, struct control_call *call, struct show *show)
	WAITS
{
	enum err err = OK;

	if (!control_text(call, "after").len)
		return OK;
	while (!err && search_next(&replay->search, &err))
		if (!err)
			err = show_records(show, call, buf_str(&replay->search.found));
	if (!err && !replay->has_found)
		err = control_row(call, json_pack("{s:n}", "lost"));
	return err;
}

static enum err follow(struct control_call *call, struct tap *tap, struct show *show,
		       struct replay *replay) WAITS
{
	OWNED(buf) struct buf records = BUF(LIMIT_record_follow);
	struct recorder *recorder = replay->search.recorder;
	uint64_t lost = 0;
	enum err err = catch_up_with(replay, call, show);

	while (!err && !control_is_gone(call)) {
		buf_reset(&records);
		err = tap_take(recorder, tap, &records, &lost);
		if (!err)
			err = show_records(show, call, replay_rest(replay, buf_str(&records)));
		if (!err && lost)
			err = control_row(call, json_pack("{s:I}", "lost", (json_int_t)lost));
		if (!err && !records.len) {
			err = waitq_wait(&recorder->told, in_ms(FOLLOW_MS));
			err = err == ERR_TIMEOUT ? OK : err;
		}
	}
	return err ? err : ERR_CLOSED;
}

enum err record_session_follow(struct recorder *recorder, struct control_call *call) WAITS
{
	struct str id = control_text(call, "session");
	struct replay replay;
	struct show show;
	struct tap *tap;
	uint64_t session = 0;
	enum err err = show_init(&show, call);

	if (!err && id.len && !id_parse(id, &session))
		err = control_fail(call, "glasspost session list", "not a session id: %.*s",
				   STR_ARGS(str_first(id, 40)));
	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	tap = calloc(1, sizeof(*tap));
	must(tap);
	tap->session = session;
	replay_begin(&replay, recorder, control_text(call, "after"));
	replay.session = session;
	replay.viewer = control_text(call, "viewer");
	viewer_keep(tap->viewer, replay.viewer);
	tap->records = BUF(LIMIT_record_follow);
	list_add_last(&recorder->taps, &tap->link);
	semaphore_give(&recorder->lock);
	err = control_flag(call, "replay") ? catch_up_with(&replay, call, &show)
					   : follow(call, tap, &show, &replay);
	search_end(&replay.search);
	buf_drop(&show.out);
	/* A fiber that is being stopped gets no lock any more: the recorder buries its tap. */
	__atomic_store_n(&tap->dead, true, __ATOMIC_RELEASE);
	return err;
}

/* ---- metrics ---- */

enum err record_metrics(struct recorder *recorder, struct control_call *call) WAITS
{
	OWNED(buf) struct buf text = BUF(METRICS_MAX);
	enum err err = recorder_catch_up(recorder);

	if (!err)
		err = semaphore_take(&recorder->lock, NEVER);
	if (err)
		return err;
	err = metrics_print(&recorder->metrics, recorder->sessions.open_count, &text);
	semaphore_give(&recorder->lock);
	return err ? err : show_lines(call, buf_str(&text));
}

/* ---- the same as a table ---- */

static enum err run_list(struct control_call *call) WAITS
{
	return record_session_list(call->context, call);
}

static enum err run_show(struct control_call *call) WAITS
{
	return record_session_show(call->context, call);
}

static enum err run_follow(struct control_call *call) WAITS
{
	return record_session_follow(call->context, call);
}

static enum err run_message_list(struct control_call *call) WAITS
{
	return record_message_list(call->context, call);
}

static enum err run_message_events(struct control_call *call) WAITS
{
	return record_message_events(call->context, call);
}

static enum err run_metrics(struct control_call *call) WAITS
{
	return record_metrics(call->context, call);
}

const struct control_command record_commands[] = {
	{ "session list", run_list },
	{ "session show", run_show },
	{ "session follow", run_follow },
	{ "message list", run_message_list },
	{ "message events", run_message_events },
	{ "metrics", run_metrics },
	{ NULL, NULL },
};
