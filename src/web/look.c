/* SPDX-License-Identifier: Apache-2.0 */
#include "web/look.h"
#include "web/sign_in.h"

#include <stdlib.h>

enum { ASK_MS = 30000 };

static void refuse(struct exchange *exchange, enum err err)
{
	if (!exchange)
		return;
	if (err == ERR_DENIED && exchange->account &&
	    str_starts(str_of(fault_text()), S("no such handle"))) {
		sign_in_forget(exchange);
		exchange_refuse(exchange, MHD_HTTP_UNAUTHORIZED, "POST /api/v1/sign-in",
				"the sign-in has ended");
	} else if (err == ERR_DENIED) {
		exchange_refuse(exchange, MHD_HTTP_FORBIDDEN, NULL, "%s", fault_text());
	} else {
		exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
				"try again in a few seconds", "the store does not answer now: %s",
				err_text(err));
	}
}

enum err look_open(struct look *look, struct exchange *exchange, const char *command,
		   json_t *arguments) WAITS
{
	char *text = json_dumps(arguments, JSON_COMPACT);
	struct answer_view_open answer;
	enum err err;

	json_decref(arguments);
	must(text);
	*look = (struct look){ .web = exchange->door->web, .exchange = exchange };
	err = call_view_open(look->web->role->store,
			     &(struct ask_view_open){ .command = str_of(command),
						      .arguments = str_of(text),
						      .account = exchange->account },
			     &look->arena, &answer, in_ms(ASK_MS));
	free(text);
	if (err)
		refuse(exchange, err);
	else
		look->view = answer.view;
	return err;
}

/* What the command failed with is the browser's to know; what it lacks comes as not found. */
static void tell_failure(struct look *look, struct str last)
{
	json_t *line = control_object(last);

	if (!json_is_true(json_object_get(line, "ok"))) {
		const char *error = json_string_value(json_object_get(line, "error"));
		const char *hint = json_string_value(json_object_get(line, "hint"));

		look->has_failed = true;
		if (look->exchange)
			exchange_refuse(look->exchange,
					error ? MHD_HTTP_NOT_FOUND : MHD_HTTP_SERVICE_UNAVAILABLE,
					hint, "%s",
					error ? error : "the store stopped in the middle");
	}
	json_decref(line);
}

enum err look_next(struct look *look, int64_t wait_ms, struct str *rows) WAITS
{
	struct answer_view_next answer;
	enum err err;

	arena_reset(&look->arena);
	*rows = (struct str){ 0 };
	if (look->has_ended)
		return OK;
	err = call_view_next(
		look->web->role->store,
		&(struct ask_view_next){ .view = look->view, .wait_ms = (uint64_t)wait_ms },
		&look->arena, &answer, in_ms(wait_ms + ASK_MS));
	if (err) {
		look->view = 0;
		look->has_ended = look->has_failed = true;
		refuse(look->exchange, err);
		return err;
	}
	*rows = str_dup(&look->arena, answer.rows.octets);
	body_done(&answer.rows);
	look->has_ended = answer.ended;
	look->last = answer.last;
	if (answer.ended)
		tell_failure(look, answer.last);
	return OK;
}

void look_close(struct look *look) WAITS
{
	struct answer_view_close answer;

	arena_reset(&look->arena);
	if (look->view)
		(void)!call_view_close(look->web->role->store,
				       &(struct ask_view_close){ .view = look->view }, &look->arena,
				       &answer, in_ms(ASK_MS));
	look->view = 0;
	arena_drop(&look->arena);
}

bool look_row(struct str *rows, struct str *row)
{
	size_t end = str_find(*rows, '\n');

	if (end == STR_NONE)
		return false;
	*row = str_first(*rows, end);
	*rows = str_from(*rows, end + 1);
	return true;
}
