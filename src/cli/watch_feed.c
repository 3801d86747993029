/* SPDX-License-Identifier: Apache-2.0 */
/* What the server tells: one connection that follows, and short ones that ask. */
#include "cli/watch.h"

#include <stdio.h>
#include <stdlib.h>

enum { AGAIN_US = 1000000, ASK_MS = 60000 };

static enum err open_client(const struct feed *feed, struct control_client **out)
{
	char *path = NULL;
	enum err err;

	must(asprintf(&path, "%s/run/store.sock", feed->invocation->folder) >= 0);
	err = control_open(path, out);
	free(path);
	return err;
}

static bool on_row(void *context, const json_t *row)
{
	struct feed *feed = context;
	json_int_t lost = json_integer_value(json_object_get(row, "lost"));

	if (lost > 0)
		feed->lost += (uint64_t)lost;
	else
		feed->event(feed->context, row);
	return true;
}

enum err feed_open(struct feed *feed)
{
	enum err err = open_client(feed, &feed->follow);

	feed->request = (struct control_request){ .command = "session follow",
						  .row = on_row,
						  .context = feed };
	if (!err)
		err = control_begin(feed->follow, &feed->request);
	if (err)
		control_close(&feed->follow);
	return err;
}

void feed_close(struct feed *feed)
{
	control_close(&feed->follow);
}

static void try_again(struct feed *feed, int64_t now_us)
{
	if (now_us < feed->again_us)
		return;
	feed->again_us = now_us + AGAIN_US;
	if (feed_open(feed) == OK)
		feed->trouble[0] = '\0';
	else
		snprintf(feed->trouble, sizeof feed->trouble, "%s", fault_text());
}

void feed_take(struct feed *feed, int64_t now_us)
{
	enum err err = ERR_AGAIN;
	size_t rows = 1;

	if (!feed->follow) {
		try_again(feed, now_us);
		return;
	}
	/* Bounded, so that a busy server cannot keep the keys from being heard. */
	for (int i = 0; i < 8 && err == ERR_AGAIN && rows > 0; i++)
		err = control_take(feed->follow, &feed->request, &rows);
	if (err == ERR_AGAIN)
		return;
	snprintf(feed->trouble, sizeof feed->trouble, "the server has gone: waiting for it");
	control_close(&feed->follow);
	feed->again_us = now_us + AGAIN_US;
}

static enum err ask(const struct feed *feed, const struct control_request *request)
{
	struct control_client *client = NULL;
	struct control_request bounded = *request;
	enum err err = open_client(feed, &client);

	if (err)
		return err;
	bounded.timeout_ms = ASK_MS;
	err = control_ask(client, &bounded, NULL);
	if (err == ERR_DENIED)
		err = fault(ERR_NOT_FOUND, "%s", control_error(client));
	control_close(&client);
	return err;
}

static bool add_seen(void *context, const json_t *row)
{
	seen_add_row(context, row);
	return true;
}

enum err feed_list(const struct feed *feed, struct seen_list *list)
{
	json_t *arguments = json_pack("{s:i}", "limit", SESSIONS_ASKED);
	enum err err = ask(feed, &(struct control_request){ .command = "session list",
							    .arguments = arguments,
							    .row = add_seen,
							    .context = list });

	json_decref(arguments);
	return err;
}

static bool add_event(void *context, const json_t *row)
{
	film_add(context, row);
	return true;
}

enum err feed_film(const struct feed *feed, struct film *film)
{
	char id[ID_TEXT + 1];
	json_t *arguments;
	enum err err;

	id_print(film->session, id);
	arguments = json_pack("{s:s,s:s}", "session", id, "as", "json");
	err = ask(feed, &(struct control_request){ .command = "session show",
						   .arguments = arguments,
						   .row = add_event,
						   .context = film });
	json_decref(arguments);
	return err;
}
