/* SPDX-License-Identifier: Apache-2.0 */
/* session, message list and events: what was recorded, and what happens now. */
#include "cli/command.h"

#include <stdio.h>
#include <unistd.h>

enum { LIST_MAX = 1000 }; /* the server gives no more */

static int list(const struct invocation *invocation, const char *command, const char *empty)
{
	uint64_t limit = 0;
	const char *text = invocation->options[CLI_limit];

	if (text && !str_to_u64(str_of(text), LIST_MAX, &limit)) {
		fprintf(stderr, "glasspost: --limit: '%s' is no number up to %d\n", text, LIST_MAX);
		return EX_USAGE;
	}
	return ask_server(
		invocation,
		&(struct asking){
			.role = "store",
			.command = command,
			.arguments = limit ? json_pack("{s:I}", "limit", (json_int_t)limit) : NULL,
			.output = listing(invocation),
			.empty = empty,
			.timeout_ms = 60000 });
}

int run_session_list(const struct invocation *invocation)
{
	return list(invocation, "session list",
		    "no sessions yet: glasspost listeners says where to connect");
}

int run_message_list(const struct invocation *invocation)
{
	return list(invocation, "message list",
		    "no messages yet: glasspost listeners says where to send one");
}

/* A row is an event as JSON, or lines of the ladder in "text". */
static bool print_event(void *context, const json_t *row)
{
	const json_t *text = json_object_get(row, "text");

	(void)context;
	if (json_is_string(text) && json_object_size(row) == 1) {
		fwrite(json_string_value(text), 1, json_string_length(text), stdout);
		if (json_string_length(text) == 0 ||
		    json_string_value(text)[json_string_length(text) - 1] != '\n')
			putchar('\n');
	} else {
		print_json(row, false);
	}
	return fflush(stdout) == 0 && !ferror(stdout);
}

static int show(const struct invocation *invocation, const char *command, json_t *arguments)
{
	bool text = invocation->options[CLI_text] ||
		    (!invocation->options[CLI_json] && isatty(STDOUT_FILENO));

	json_object_set_new(arguments, "as", json_string(text ? "text" : "json"));
	json_object_set_new(arguments, "ascii",
			    json_boolean(invocation->options[CLI_ascii] != NULL));
	json_object_set_new(arguments, "width", json_integer((json_int_t)terminal_width()));
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = command,
							.arguments = arguments,
							.output = OUTPUT_NONE,
							.row = print_event });
}

int run_session_show(const struct invocation *invocation)
{
	return show(invocation, "session show",
		    json_pack("{s:o}", "session", control_string(str_of(invocation->words[0]))));
}

int run_session_follow(const struct invocation *invocation)
{
	return show(invocation, "session follow", json_object());
}

int run_message_events(const struct invocation *invocation)
{
	return show(invocation, "message events",
		    json_pack("{s:o}", "message", control_string(str_of(invocation->words[0]))));
}
