/* SPDX-License-Identifier: Apache-2.0 */
#include "control/request.h"
#include "control/control.h"

#include <malloc.h>
#include <stdlib.h>

enum { COMMAND_MAX = 64 };

static void wipe_and_free(void *at)
{
	if (at)
		explicit_bzero(at, malloc_usable_size(at));
	free(at);
}

void request_wipe_json(void)
{
	json_set_alloc_funcs(malloc, wipe_and_free);
}

bool request_is_shallow(struct str text)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && depth)
			depth--;
		if (depth > LIMIT_control_depth)
			return false;
	}
	return true;
}

static enum err request_read(json_t *json, struct control_ask *out)
{
	const json_t *command = json_object_get(json, "command");
	size_t len = json_string_length(command);

	if (!json_is_object(json))
		return fault(ERR_SYNTAX, "a request is a JSON object");
	if (!json_is_string(command) || !len || len > COMMAND_MAX)
		return fault(ERR_SYNTAX, "a request needs a \"command\"");
	out->arguments = json_object_get(json, "arguments");
	if (!out->arguments) {
		out->arguments = json_object();
		json_object_set_new(json, "arguments", out->arguments);
	}
	if (!json_is_object(out->arguments))
		return fault(ERR_SYNTAX, "\"arguments\" is an object");
	out->command = (struct str){ json_string_value(command), len };
	out->json = json;
	return OK;
}

enum err request_parse(struct str line, struct control_ask *out)
{
	json_error_t error;
	json_t *json;
	enum err err;

	/* jansson recurses, and a fiber's stack is small: the depth is bounded before. */
	if (!request_is_shallow(line))
		return fault(ERR_SYNTAX, "a request is at most %d levels deep",
			     LIMIT_control_depth);
	json = json_loadb(line.at ? line.at : "", line.len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return fault(ERR_SYNTAX, "a request is one line of JSON");
	err = request_read(json, out);
	if (err)
		json_decref(json);
	return err;
}

static int add_piece(const char *piece, size_t len, void *out)
{
	return buf_add(out, (struct str){ piece, len }) ? -1 : 0;
}

json_t *control_object(struct str text)
{
	json_t *json;

	if (!text.len || !request_is_shallow(text))
		return NULL;
	json = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

enum err line_print(const json_t *json, struct buf *out)
{
	if (json_dump_callback(json, add_piece, out, JSON_COMPACT) || buf_add_char(out, '\n'))
		return fault(ERR_LIMIT, "an answer line would be longer than %d octets",
			     LIMIT_control_line);
	return OK;
}
