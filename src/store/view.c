/* SPDX-License-Identifier: Apache-2.0 */
#include "store/view.h"
#include "store/commands.h"
#include "store/recording.h"

#include <stdio.h>
#include <stdlib.h>

enum { TAKEN_MS = 30000, LOOK_MS = 1000, LAST_MAX = 4096 };

/* Who may look. */
enum who {
	FOR_ALL,    /* nothing in it belongs to anybody */
	FOR_VIEWER, /* the command shows what is the viewer's */
	FOR_ADMINS,
	FOR_CHANGERS, /* admins, and it is told who did it */
	FOR_READERS   /* text of messages: the viewer's own, and of others only with web_bodies */
};

static const struct {
	const char *command;
	enum who who;
} table[] = {
	{ "metrics", FOR_ALL },
	{ "session list", FOR_VIEWER },
	{ "session show", FOR_VIEWER },
	{ "session follow", FOR_VIEWER },
	{ "queue list", FOR_ADMINS },
	{ "message list", FOR_VIEWER },
	{ "message show", FOR_VIEWER },
	{ "message events", FOR_VIEWER },
	{ "message raw", FOR_READERS },
	{ "queue show", FOR_ADMINS },
	{ "queue retry", FOR_CHANGERS },
	{ "queue hold", FOR_CHANGERS },
	{ "queue release", FOR_CHANGERS },
	{ "queue delete", FOR_CHANGERS },
	{ "queue redirect", FOR_CHANGERS },
	{ "queue flush", FOR_CHANGERS },
};

static const struct control_command *const tables[] = { store_commands, recording_commands };

struct view {
	struct handle handle;
	struct role *role;
	const struct control_command *command;
	json_t *arguments;
	struct control_sink sink;
	struct buf rows;
	struct buf last;
	struct waitq changed; /* rows came, rows went, or the end did */
	bool ended;
};

/* ---- what the command gives ---- */

/* {"row":ROW} becomes ROW; the other kind of line is the last. */
static bool add_line(struct view *view, struct str line)
{
	struct str row = S("{\"row\":");

	if (!str_starts(line, row)) {
		buf_reset(&view->last);
		(void)buf_add(&view->last, str_first(line, line.len - 1));
		return true;
	}
	line = str_from(line, row.len);
	if (view->rows.len + line.len - 1 > view->rows.max)
		return false;
	must(line.len > 2 && line.at[line.len - 2] == '}');
	(void)buf_add(&view->rows, str_first(line, line.len - 2));
	(void)buf_add_char(&view->rows, '\n');
	return true;
}

static enum err take_line(struct control_sink *sink, struct str line) WAITS
{
	struct view *view = CONTAINER_OF(sink, struct view, sink);
	moment deadline = in_ms(TAKEN_MS);
	enum err err = OK;

	while (!view->handle.closed && !add_line(view, line)) {
		err = waitq_wait(&view->changed, sooner(deadline, in_ms(LOOK_MS)));
		if (err == ERR_STOPPED || now() >= deadline)
			return ERR_CLOSED;
	}
	waitq_wake_all(&view->changed);
	return view->handle.closed ? ERR_CLOSED : OK;
}

static bool is_gone(struct control_sink *sink)
{
	return CONTAINER_OF(sink, struct view, sink)->handle.closed;
}

static void view_fiber(void *arg) WAITS
{
	struct view *view = arg;

	/* How it went stands in the last line. */
	(void)control_run(view->command, view->role, view->arguments, &view->sink);
	view->ended = true;
	waitq_wake_all(&view->changed);
	handle_give(&view->handle);
}

static void end_view(struct handle *handle)
{
	struct view *view = CONTAINER_OF(handle, struct view, handle);

	json_decref(view->arguments);
	buf_drop(&view->rows);
	buf_drop(&view->last);
	free(view);
}

/* ---- opening ---- */

static const struct control_command *command_find(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(tables); i++)
		for (const struct control_command *c = tables[i]; c->name; c++)
			if (str_is(str_of(c->name), name))
				return c;
	return NULL;
}

static void name_viewer(const struct signed_in *who, json_t *arguments)
{
	json_object_set_new(arguments, "viewer", control_string(who->address));
	json_object_set_new(arguments, "viewer_id", json_integer((json_int_t)who->account));
}

/* An admin reads mail of others only where that was allowed, and never unseen. */
static enum err admit_reader(const struct store *store, const struct signed_in *who,
			     json_t *arguments)
{
	const char *message = json_string_value(json_object_get(arguments, "message"));
	char detail[LIMIT_address + 64];

	if (!store->config->accept_any_password && !store->config->web_bodies) {
		name_viewer(who, arguments);
		return OK;
	}
	snprintf(detail, sizeof(detail), "%.*s reads message %.*s", STR_ARGS(who->address), ID_TEXT,
		 message ? message : "");
	TRACE(store->trace, who->session, 0, policy, .rule = S("web_bodies"),
	      .verdict = S("accept"), .detail = str_of(detail), .source = S("web_bodies"));
	return OK;
}

static void tell_change(const struct store *store, const struct signed_in *who, struct str command,
			const json_t *arguments)
{
	const char *what = json_string_value(json_object_get(arguments, "what"));
	const char *domain = json_string_value(json_object_get(arguments, "domain"));
	char detail[LIMIT_address + LIMIT_domain + 64];

	snprintf(detail, sizeof(detail), "%.*s does %.*s %s", STR_ARGS(who->address),
		 STR_ARGS(command),
		 what     ? what
		 : domain ? domain
			  : "");
	TRACE(store->trace, who->session, 0, policy, .rule = S("web_admins"),
	      .verdict = S("accept"), .detail = str_of(detail), .source = S("web_admins"));
}

/* The viewer is told to the command; whatever the web role says of that is thrown away. */
static enum err admit(const struct store *store, const struct signed_in *who, struct str command,
		      json_t *arguments)
{
	bool is_admin = store->config->accept_any_password ||
			(who && config_lists(&store->config->web_admins, who->address));

	json_object_del(arguments, "viewer");
	json_object_del(arguments, "viewer_id");
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		if (!str_is(command, str_of(table[i].command)))
			continue;
		if (table[i].who == FOR_READERS && is_admin && who)
			return admit_reader(store, who, arguments);
		if (table[i].who == FOR_CHANGERS && is_admin && who)
			tell_change(store, who, command, arguments);
		if (table[i].who == FOR_ALL || is_admin)
			return OK;
		if (!who)
			return fault(ERR_DENIED, "sign in first");
		if (table[i].who == FOR_ADMINS)
			return fault(ERR_DENIED, "only accounts named in web_admins may see this");
		if (table[i].who == FOR_CHANGERS)
			return fault(ERR_DENIED, "only accounts named in web_admins may do this");
		name_viewer(who, arguments);
		return OK;
	}
	return fault(ERR_DENIED, "the web role may not ask for %.*s", STR_ARGS(command));
}

static enum err view_new(struct peer *peer, struct role *role, struct view **out)
{
	struct view *view;

	if (peer->view_count >= LIMIT_views)
		return fault(ERR_BUSY, "more than %d views at once", LIMIT_views);
	view = calloc(1, sizeof(*view));
	must(view);
	view->handle.kind = HANDLE_VIEW;
	view->handle.end = end_view;
	view->role = role;
	view->sink = (struct control_sink){ take_line, is_gone };
	view->rows = BUF(LIMIT_view_piece);
	view->last = BUF(LAST_MAX);
	waitq_init(&view->changed);
	*out = view;
	return OK;
}

static enum err view_begin(struct peer *peer, struct view *view)
{
	enum err err = handle_add(peer, &view->handle);

	peer->view_count++;
	if (err) {
		peer->view_count--;
		end_view(&view->handle);
		return err;
	}
	view->handle.users++; /* the fiber */
	err = fiber_spawn(&view->role->fibers, "view", view_fiber, view, NULL);
	if (err) {
		peer->view_count--;
		view->handle.users--;
		handle_close(peer, &view->handle);
	}
	return err;
}

enum err store_view_open(struct peer *peer, struct role *role, const struct ask_view_open *ask,
			 struct answer_view_open *answer)
{
	json_t *arguments = control_object(ask->arguments);
	struct signed_in *who = NULL;
	struct view *view = NULL;
	enum err err = OK;

	if (!arguments)
		return fault(ERR_SYNTAX, "arguments that are no JSON object");
	if (ask->account)
		err = signed_in_take(peer, ask->account, &who);
	if (!err)
		err = admit(peer->store, who, ask->command, arguments);
	if (who)
		handle_give(&who->handle);
	if (!err)
		err = view_new(peer, role, &view);
	if (err) {
		json_decref(arguments);
		return err;
	}
	view->arguments = arguments;
	view->command = command_find(ask->command);
	must(view->command);
	err = view_begin(peer, view);
	if (!err)
		answer->view = handle_number(&view->handle);
	return err;
}

/* ---- taking ---- */

static void give_rows(struct view *view, struct arena *arena, struct answer_view_next *answer)
{
	answer->rows = body_of(str_dup(arena, buf_str(&view->rows)));
	buf_reset(&view->rows);
	answer->ended = view->ended;
	if (view->ended)
		answer->last = str_dup(arena, buf_str(&view->last));
	waitq_wake_all(&view->changed);
}

enum err store_view_next(struct peer *peer, const struct ask_view_next *ask, struct arena *arena,
			 struct answer_view_next *answer) WAITS
{
	moment deadline = in_ms((int64_t)ask->wait_ms);
	struct handle *handle;
	struct view *view;
	enum err err = handle_take(peer, ask->view, HANDLE_VIEW, &handle);

	if (err)
		return err;
	view = CONTAINER_OF(handle, struct view, handle);
	while (!err && !view->ended && !view->rows.len && !handle->closed)
		err = waitq_wait(&view->changed, deadline);
	if (!err || err == ERR_TIMEOUT) {
		give_rows(view, arena, answer);
		err = OK;
	}
	handle_give(handle);
	return err;
}

enum err store_view_close(struct peer *peer, const struct ask_view_close *ask)
{
	struct handle *handle;
	enum err err = handle_take(peer, ask->view, HANDLE_VIEW, &handle);

	if (err)
		return err;
	peer->view_count--;
	handle_close(peer, handle);
	waitq_wake_all(&CONTAINER_OF(handle, struct view, handle)->changed);
	handle_give(handle);
	return OK;
}
