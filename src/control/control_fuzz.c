/* SPDX-License-Identifier: Apache-2.0 */
/* A request line as a stranger to the protocol might write it. */
#include "control/control.h"
#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err nothing(struct control_call *call)
{
	(void)call;
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_command command = { "x", nothing };
	struct str line = { (const char *)data, size };
	struct control_ask ask = { 0 };
	struct control_call call = { .command = &command };
	struct buf printed = BUF(LIMIT_control_line * 8);
	struct control_ask again;

	json_object_seed(1);
	if (size > LIMIT_control_line || request_parse(line, &ask))
		return 0;
	must(ask.command.len && json_is_object(ask.arguments));
	call.arguments = ask.arguments;
	must(control_text(&call, "address").len <= size);
	must(control_number(&call, "count", 7) <= INT64_MAX);
	must(!control_flag(&call, "address") || control_has(&call, "address"));
	json_decref(control_string(line));
	/* What was understood is understood again when it is written anew. */
	must(line_print(ask.json, &printed) == OK);
	must(request_parse(buf_str(&printed), &again) == OK);
	must(json_equal(ask.json, again.json));
	json_decref(again.json);
	json_decref(ask.json);
	buf_drop(&printed);
	return 0;
}
