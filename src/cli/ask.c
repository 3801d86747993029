/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

enum { STORE_MS = 120000 }; /* of silence: it may have much to look through */

enum output listing(const struct invocation *invocation)
{
	return invocation->options[CLI_json] ? OUTPUT_JSON : OUTPUT_TABLE;
}

static char *socket_path(const struct invocation *invocation, const char *role)
{
	char *path = NULL;

	must(asprintf(&path, "%s/run/%s.sock", invocation->folder, role) >= 0);
	return path;
}

static bool gather_row(void *context, const json_t *row)
{
	json_t *rows = context;
	json_t *copy = json_deep_copy(row);

	return copy && json_array_append_new(rows, copy) == 0;
}

/* Of a listing that is printed as it comes. */
struct printing {
	struct buf line;
	size_t rows;
};

static bool print_row_text(void *context, struct str row)
{
	struct printing *printing = context;

	buf_reset(&printing->line);
	if (json_mend(&printing->line, row))
		return false;
	fputs(printing->rows++ ? ",\n " : "[\n ", stdout);
	fwrite(printing->line.at, 1, printing->line.len, stdout);
	return true;
}

static void print_rows(const struct asking *asking, const json_t *rows)
{
	if (asking->output == OUTPUT_TABLE)
		print_table(rows);
	if (asking->output == OUTPUT_JSON && !asking->is_long)
		print_json(rows, true);
}

static int tell(const struct control_client *client, enum err err)
{
	const char *error = control_error(client);
	struct buf line = BUF(4 * LIMIT_control_line);

	escape_add(&line, str_of(error[0] ? error : err_text(err)));
	fprintf(stderr, "glasspost: %.*s\n", STR_ARGS(buf_str(&line)));
	buf_reset(&line);
	escape_add(&line, str_of(control_hint(client)));
	if (line.len)
		fprintf(stderr, "  try: %.*s\n", STR_ARGS(buf_str(&line)));
	buf_drop(&line);
	return err == ERR_TIMEOUT || err == ERR_CLOSED ? EX_UNAVAILABLE : 1;
}

static int ask_client(struct control_client *client, const struct asking *asking, json_t *rows)
{
	bool is_long = asking->is_long && asking->output == OUTPUT_JSON;
	struct printing printing = { .line = BUF(6 * LIMIT_control_line) };
	json_t *last = NULL;
	struct control_request request = {
		.command = asking->command,
		.arguments = asking->arguments,
		.row = asking->row ? asking->row : gather_row,
		.context = asking->row ? asking->context : rows,
		.timeout_ms = asking->timeout_ms,
	};
	int status = EX_OK;
	enum err err;

	if (is_long) {
		request.text = print_row_text;
		request.context = &printing;
	}
	err = control_ask(client, &request, &last);
	if (is_long)
		puts(printing.rows ? "\n]" : "[]");
	buf_drop(&printing.line);

	if (!err && asking->output == OUTPUT_TABLE && asking->empty && !json_array_size(rows))
		puts(asking->empty);
	print_rows(asking, rows); /* also those before a failure */
	fflush(stdout);
	if (err && err != ERR_STOPPED)
		status = tell(client, err);
	if (asking->result && !err)
		*asking->result = json_incref(last);
	json_decref(last);
	return status;
}

int ask_server(const struct invocation *invocation, const struct asking *asking)
{
	char *path = socket_path(invocation, asking->role);
	struct control_client *client = NULL;
	json_t *rows = json_array();
	enum err err = control_open(path, &client);
	int status = EX_UNAVAILABLE;

	if (err == ERR_DENIED)
		status = EX_NOPERM;
	if (err) {
		fprintf(stderr, "glasspost: %s\n", fault_text());
		if (err == ERR_REFUSED)
			fprintf(stderr, "  start it with: glasspost --dir %s serve\n",
				invocation->folder);
	} else {
		status = ask_client(client, asking, rows);
		control_close(&client);
	}
	json_decref(rows);
	json_decref(asking->arguments);
	free(path);
	return status;
}

int ask_store(const struct invocation *invocation, const char *command, json_t *arguments,
	      json_t **result)
{
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = command,
							.arguments = arguments,
							.output = OUTPUT_NONE,
							.timeout_ms = STORE_MS,
							.result = result });
}

int list_store(const struct invocation *invocation, const char *command, json_t *arguments,
	       const char *empty)
{
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = command,
							.arguments = arguments,
							.output = listing(invocation),
							.empty = empty,
							.timeout_ms = STORE_MS });
}

bool server_answers(const struct invocation *invocation, const char *role, const char *command)
{
	char *path = socket_path(invocation, role);
	struct control_client *client = NULL;
	enum err err = control_open(path, &client);

	if (!err) {
		err = control_ask(
			client, &(struct control_request){ .command = command, .timeout_ms = 5000 },
			NULL);
		control_close(&client);
	}
	free(path);
	return err == OK;
}
