/* SPDX-License-Identifier: Apache-2.0 */
/* The answers that change the queue. Whether who asks may, the store says. */
#include "mail/mail.h"
#include "web/look.h"
#include "web/route.h"
#include "web/rows.h"

/* A text of the request's body, or empty. False: it is there, and no text. */
static bool take_text(const json_t *body, const char *name, struct str *out)
{
	const json_t *value = json_object_get(body, name);

	*out = (struct str){ 0 };
	if (!value)
		return true;
	if (!json_is_string(value))
		return false;
	*out = (struct str){ json_string_value(value), json_string_length(value) };
	return out->len > 0;
}

/* False: it was never queued, or who asks may not know; that is said. */
static bool is_queued(struct exchange *exchange) WAITS
{
	struct look look;
	struct str rows = { 0 };
	enum err err = look_open(&look, exchange, "queue show", rows_about(exchange, "message"));
	bool found;

	if (err)
		return false;
	while (!err && !rows.len && !look.has_ended)
		err = look_next(&look, LOOK_WAIT_MS, &rows);
	found = !err && !look.has_failed;
	look_close(&look);
	return found;
}

/* What the command ended with: {"ok":true,"recipients":N,"leased":N}, or why not. */
static void give_result(struct exchange *exchange, struct str last)
{
	json_t *line = control_object(last);
	json_int_t changed = json_integer_value(json_object_get(line, "recipients"));
	json_int_t leased = json_integer_value(json_object_get(line, "leased"));
	const char *error = json_string_value(json_object_get(line, "error"));
	OWNED(buf) struct buf out = BUF(100);

	if (error)
		exchange_refuse(exchange, MHD_HTTP_CONFLICT, "GET /api/v1/queue", "%s", error);
	else if (!json_is_true(json_object_get(line, "ok")))
		exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
				"look at the queue whether it was done",
				"the store stopped in the middle");
	else if (!changed && leased)
		exchange_refuse(exchange, MHD_HTTP_CONFLICT, "try again in a few seconds",
				"it is being tried at this moment");
	if (!exchange->status) {
		buf_print(&out, "{\"recipients\":%lld,\"leased\":%lld}\n", (long long)changed,
			  (long long)leased);
		exchange_say(exchange, MHD_HTTP_OK, exchange->endpoint->type, buf_str(&out));
	}
	json_decref(line);
}

static void run(struct exchange *exchange, const char *command, json_t *arguments) WAITS
{
	struct look look;
	struct str rows;
	enum err err = look_open(&look, exchange, command, arguments);

	if (err)
		return;
	look.exchange = NULL; /* what it fails with is told here */
	while (!err && !look.has_ended)
		err = look_next(&look, LOOK_WAIT_MS, &rows);
	give_result(exchange, err ? S("") : look.last);
	look_close(&look);
}

static void act(struct exchange *exchange, const char *command) WAITS
{
	const bool redirects = strcmp(command, "queue redirect") == 0;
	json_t *body = control_object(buf_str(&exchange->body));
	json_t *arguments = rows_about(exchange, "what");
	struct str recipient, destination;

	if (!body || !take_text(body, "recipient", &recipient) ||
	    !take_text(body, "destination", &destination)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST,
				redirects ? "send {\"destination\": ...}" : "send {}",
				"the request is no object of texts");
	} else if (redirects && !is_domain_or_literal(destination, false)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "a domain or [an address]",
				"the request names no destination");
	} else if (is_queued(exchange)) {
		rows_set_text(arguments, "recipient", recipient);
		if (redirects)
			rows_set_text(arguments, "destination", destination);
		run(exchange, command, json_incref(arguments));
	}
	json_decref(arguments);
	json_decref(body);
}

void answer_queue_retry(struct exchange *exchange) WAITS
{
	act(exchange, "queue retry");
}

void answer_queue_hold(struct exchange *exchange) WAITS
{
	act(exchange, "queue hold");
}

void answer_queue_release(struct exchange *exchange) WAITS
{
	act(exchange, "queue release");
}

void answer_queue_delete(struct exchange *exchange) WAITS
{
	act(exchange, "queue delete");
}

void answer_queue_redirect(struct exchange *exchange) WAITS
{
	act(exchange, "queue redirect");
}

void answer_queue_flush(struct exchange *exchange) WAITS
{
	json_t *body = control_object(buf_str(&exchange->body));
	json_t *arguments = json_object();
	struct str domain;

	if (!take_text(body, "domain", &domain) || !is_domain_or_literal(domain, true)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "send {\"domain\": ...}",
				"the request names no domain");
	} else {
		rows_set_text(arguments, "domain", domain);
		run(exchange, "queue flush", json_incref(arguments));
	}
	json_decref(arguments);
	json_decref(body);
}
