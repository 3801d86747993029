/* SPDX-License-Identifier: Apache-2.0 */
/* The queue, and message show: the store has it, we only ask. */
#include "cli/command.h"

#include <stdio.h>

int run_queue_list(const struct invocation *invocation)
{
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = "queue list",
							.output = listing(invocation),
							.is_long = true,
							.empty = "the queue is empty",
							.timeout_ms = 120000 });
}

int run_queue_stats(const struct invocation *invocation)
{
	return list_store(invocation, "queue stats", NULL, "the queue is empty");
}

/* What other servers and senders wrote is shown, never obeyed. */
static void print_text(const char *name, const json_t *value)
{
	const struct str text = { json_string_value(value), json_string_length(value) };
	OWNED(buf) struct buf shown = BUF(4 * text.len);

	if (!text.len)
		return;
	must(!escape_add(&shown, text));
	printf("%-12s %.*s\n", name, STR_ARGS(buf_str(&shown)));
}

static bool print_row(void *context, const json_t *row)
{
	const char *name;
	json_t *value;

	(void)context;
	json_object_foreach((json_t *)(uintptr_t)row, name, value)
	{
		if (json_is_string(value))
			print_text(name, value);
		else if (json_is_integer(value))
			printf("%-12s %lld\n", name, (long long)json_integer_value(value));
		else if (json_is_true(value))
			printf("%-12s yes\n", name);
	}
	putchar('\n');
	return true;
}

/* Rows of two kinds make no table: each is told by itself. */
static int show(const struct invocation *invocation, const char *command)
{
	json_t *arguments =
		json_pack("{s:o}", "message", control_string(str_of(invocation->words[0])));

	return ask_server(invocation,
			  &(struct asking){ .role = "store",
					    .command = command,
					    .arguments = arguments,
					    .output = listing(invocation),
					    .row = invocation->options[CLI_json] ? NULL : print_row,
					    .timeout_ms = 120000 });
}

int run_queue_show(const struct invocation *invocation)
{
	return show(invocation, "queue show");
}

int run_message_show(const struct invocation *invocation)
{
	return show(invocation, "message show");
}

static int change(const struct invocation *invocation, const char *command, json_t *arguments,
		  const char *done)
{
	json_t *result = NULL;
	int status = ask_server(invocation, &(struct asking){ .role = "store",
							      .command = command,
							      .arguments = arguments,
							      .output = OUTPUT_NONE,
							      .result = &result });
	json_int_t count = json_integer_value(json_object_get(result, "recipients"));
	json_int_t leased = json_integer_value(json_object_get(result, "leased"));

	if (status == EX_OK && invocation->options[CLI_json])
		print_json(result, false);
	else if (status == EX_OK)
		printf("%lld recipient%s %s\n", (long long)count, count == 1 ? "" : "s", done);
	if (status == EX_OK && leased && !invocation->options[CLI_json])
		printf("%lld are being tried at this moment and were left alone\n",
		       (long long)leased);
	json_decref(result);
	return status;
}

static json_t *what(const struct invocation *invocation)
{
	json_t *arguments =
		json_pack("{s:o}", "what", control_string(str_of(invocation->words[0])));

	if (invocation->options[CLI_recipient])
		json_object_set_new(arguments, "recipient",
				    control_string(str_of(invocation->options[CLI_recipient])));
	return arguments;
}

int run_queue_retry(const struct invocation *invocation)
{
	return change(invocation, "queue retry", what(invocation), "will be tried now");
}

int run_queue_hold(const struct invocation *invocation)
{
	return change(invocation, "queue hold", what(invocation), "held");
}

int run_queue_release(const struct invocation *invocation)
{
	return change(invocation, "queue release", what(invocation), "released");
}

int run_queue_delete(const struct invocation *invocation)
{
	return change(invocation, "queue delete", what(invocation),
		      "are deleted; nobody is notified");
}

int run_queue_redirect(const struct invocation *invocation)
{
	json_t *arguments = what(invocation);

	json_object_set_new(arguments, "destination", control_string(str_of(invocation->words[1])));
	return change(invocation, "queue redirect", arguments, "sent another way");
}

int run_queue_flush(const struct invocation *invocation)
{
	json_t *arguments =
		json_pack("{s:o}", "domain", control_string(str_of(invocation->words[0])));

	return change(invocation, "queue flush", arguments, "will be tried now");
}
