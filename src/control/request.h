/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* request: one line of the control socket, as bytes and as meaning. Private to control/. */
#include "base/base.h"

#include <jansson.h>

struct control_ask {
	struct str command; /* lies in json */
	json_t *arguments;  /* an object, part of json */
	json_t *json;       /* json_decref it */
};

/* From now on what jansson frees is overwritten first: requests hold passwords. */
void request_wipe_json(void);
/* ERR_SYNTAX with a fault for people, and nothing to free, for whatever is no request. */
[[nodiscard]] enum err request_parse(struct str line, struct control_ask *out);
/* Is this JSON text at most LIMIT_control_depth levels deep? Says nothing else about it. */
bool request_is_shallow(struct str text);
/* One line with its LF; ERR_LIMIT past LIMIT_control_line. */
enum err line_print(const json_t *json, struct buf *out);
